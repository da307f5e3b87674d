"""One module per paper, and `flow`: what all runs have in common."""

import keras_pose  # noqa: F401  before TensorFlow: how it is imported
