"""Bilinear resizing with aligned corners."""

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable("keras_pose")
class AlignedResize(layers.Layer):
    """Bilinear interpolation that keeps the corners in their places.

    The first and last cells of an axis lie on the first and last of the input;
    cell i of m lies at i (n - 1) / (m - 1) of n. This is torch.nn.Upsample with
    align_corners=True. Keras' UpSampling2D takes cells for areas, and moves
    everything but the centre against this.

    (B, h, w, C) -> (B, *size, C).

    Args:
        size: (height, width) of the output.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = tuple(map(int, size))
        if len(self.size) != 2 or not min(self.size) > 0:
            raise ValueError(
                f"size must be a positive height and width, got {self.size}"
            )

    def call(self, x):
        """A matrix for each axis."""
        counts = zip(x.shape[1:3], self.size, strict=True)
        return resampled(
            x, *(weights(count, target) for count, target in counts)
        )

    def compute_output_shape(self, shape):
        """(B, *size, C)."""
        return (shape[0], *self.size, shape[-1])

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {"size": self.size}


def resampled(x, rows, columns):
    """Features (B, h, w, C) as weighted sums along both axes: (B, m, n, C).

    Args:
        x: features; they are reshaped, not transposed.
        rows, columns: numpy matrices (m, h) and (n, w).
    """
    _, height, width, channels = x.shape
    rows, columns = (ops.cast(matrix, x.dtype) for matrix in (rows, columns))
    size = rows.shape[0], columns.shape[0]
    x = ops.reshape(x, (-1, height, width * channels))
    x = ops.reshape(ops.matmul(rows, x), (-1, width, channels))
    return ops.reshape(ops.matmul(columns, x), (-1, *size, channels))


def weights(count, target):
    """Matrix (target, count): row i interpolates `count` cells at cell i."""
    at = np.linspace(0, count - 1, target)
    distance = np.abs(at[:, None] - np.arange(count))
    return np.maximum(0, 1 - distance).astype("float32")
