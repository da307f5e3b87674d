"""What the suite costs, beside what others use."""

import keras_pose  # noqa: F401  before TensorFlow: how it is imported
