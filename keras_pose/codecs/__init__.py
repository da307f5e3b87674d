"""What the outputs of networks mean, from labels to joints."""

from keras_pose.codecs.heatmaps import Heatmaps

__all__ = ["Heatmaps"]
