"""A map that says where the subject of a crop is.

S.-E. Wei et al., "Convolutional Pose Machines", CVPR 2016, by their code.
"""

import keras
import numpy as np
from keras import layers, ops

CENTER = 21 / 368
"""Width of the Gaussian / height of the input (authors' code)."""


@keras.saving.register_keras_serializable("keras_pose")
class CenterMap(layers.Layer):
    """Where the subject is: a Gaussian at the middle of the crop, always.

    It tells the stages whose maps to refine where several people are seen. The
    width is CENTER of the picture's height; it is averaged over 9x9 pixels
    around each cell.

    images (B, H, W, 3) -> (B, H / stride, W / stride, 1).

    Args:
        stride: input pixels per cell.
    """

    def __init__(self, stride=8, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def build(self, shape):
        """Draws it once."""
        self.lines = [
            _line(side, CENTER * shape[1], self.stride) for side in shape[1:3]
        ]

    def call(self, images):
        """The same map for every picture."""
        rows, columns = (ops.convert_to_tensor(x) for x in self.lines)
        drawn = rows[:, None, None] * columns[:, None]
        ones = ops.ones_like(images[:, :1, :1, :1], self.compute_dtype)
        return ones * ops.cast(drawn, self.compute_dtype)

    def compute_output_shape(self, shape):
        """(B, H / stride, W / stride, 1)."""
        return (shape[0], *(side // self.stride for side in shape[1:3]), 1)

    def get_config(self):
        """With the stride."""
        return super().get_config() | {"stride": self.stride}


def _line(side, sigma, stride):
    """One axis of the centre map: the Gaussian is a product of two."""
    pixels = np.arange(-4, side + 4)  # a window of 9 around each cell's pixel
    line = np.exp(-(((pixels - (side - 1) / 2) / sigma) ** 2) / 2)
    means = np.convolve(line, np.full(9, 1 / 9), "valid")
    return means[::stride][: side // stride].astype("float32")
