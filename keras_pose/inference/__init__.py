"""Inference: from a trained model to poses in pixels of the photographs."""
