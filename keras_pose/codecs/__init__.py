"""What the outputs of networks mean, from labels to joints."""

from keras_pose.codecs import gaussians
from keras_pose.codecs.codec import Codec
from keras_pose.codecs.coordinates import Coordinates
from keras_pose.codecs.displacements import Displacements
from keras_pose.codecs.expectation import Expectation
from keras_pose.codecs.fields import Fields
from keras_pose.codecs.heatmaps import Heatmaps
from keras_pose.codecs.midpoints import Midpoints
from keras_pose.codecs.parts import COCO18
from keras_pose.codecs.windowed import WindowedHeatmaps

__all__ = [
    "COCO18",
    "Codec",
    "Coordinates",
    "Displacements",
    "Expectation",
    "Fields",
    "Heatmaps",
    "Midpoints",
    "WindowedHeatmaps",
    "gaussians",
]
