"""One converter per data set: from its files to records."""

import keras_pose  # noqa: F401  before TensorFlow: how it is imported
