"""From a trained model to poses in the pixels of the photographs."""
