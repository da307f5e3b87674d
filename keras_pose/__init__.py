"""keras_pose: human pose estimation papers, reproduced in Keras 3."""

__version__ = "0.1.0"
