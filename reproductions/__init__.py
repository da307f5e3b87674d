"""One module per paper, and `flow`: what all of them begin and end with."""

import keras_pose  # noqa: F401  before TensorFlow: how it is imported
