"""Local contrast normalisation, and half the size for an image pyramid.

K. Jarrett, K. Kavukcuoglu, M. Ranzato, Y. LeCun, "What is the Best Multi-Stage
Architecture for Object Recognition?", ICCV 2009, section 2, on the three
colours of a picture: one mean and one deviation for all of them.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_pose.models.resize import resampled

WINDOW, DEVIATION = 9, 2.25
"""Side and deviation of the Gaussian window, pixels (ours)."""
FLOOR = 1e-4
"""Least deviation that divides; pixels are 0 ... 1."""
HALF = np.array([1.0, 3.0, 3.0, 1.0]) / 8
"""Even, so that it is centred between two pixels: mirroring a picture mirrors
its pyramid."""


@keras.saving.register_keras_serializable("keras_pose")
class LocalContrast(layers.Layer):
    """Subtracts the mean around each pixel and divides by the deviation.

    With weights w of a Gaussian window, whose sum is 1 over the part of the
    window in the picture and its colours:

        v = x - sum of w x,  s = root of the sum of w v^2,
        y = v / max(s, mean of s over the picture, 1e-4)

    (B, H, W, C) -> (B, H, W, C) float32.
    """

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"  # squares need more than half precision
        super().__init__(**kwargs)

    def call(self, x):
        """Normalises each picture."""
        window = [_window(count) for count in x.shape[1:3]]
        mean = ops.mean(x, axis=-1, keepdims=True)
        v = x - resampled(mean, *window)
        square = ops.mean(ops.square(v), axis=-1, keepdims=True)
        # rounding may make it negative
        s = ops.sqrt(ops.maximum(resampled(square, *window), 0.0))
        usual = ops.mean(s, axis=(1, 2), keepdims=True)
        return v / ops.maximum(ops.maximum(s, usual), FLOOR)

    def compute_output_shape(self, shape):
        """The same."""
        return shape


@keras.saving.register_keras_serializable("keras_pose")
class HalfSize(layers.Layer):
    """The next level of a Gaussian pyramid: (B, H, W, C) -> half of H and W,
    float32."""

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def call(self, x):
        """Smooths and takes every second place."""
        return resampled(x, *(_halving(count) for count in x.shape[1:3]))

    def compute_output_shape(self, shape):
        """(B, H / 2, W / 2, C)."""
        return (shape[0], shape[1] // 2, shape[2] // 2, shape[3])


def _window(count):
    """Matrix (count, count): row i is the window around pixel i."""
    distance = np.arange(count)[:, None] - np.arange(count)
    weights = np.exp(-(distance**2) / (2 * DEVIATION**2))
    weights[np.abs(distance) > WINDOW // 2] = 0
    return _normalised(weights)


def _halving(count):
    """Matrix (count / 2, count): row i lies between pixels 2 i and 2 i + 1."""
    weights = np.zeros((count // 2, count + 2))
    for row, line in enumerate(weights):
        line[2 * row : 2 * row + len(HALF)] = HALF
    return _normalised(weights[:, 1:-1])


def _normalised(weights):
    """Rows whose sum is 1: what lies outside of the picture does not count."""
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
