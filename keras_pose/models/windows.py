"""Windows of feature maps around joints, and what is made of them.

J. Tompson, R. Goroshin, A. Jain, Y. LeCun, C. Bregler, "Efficient Object
Localization Using Convolutional Networks", CVPR 2015: the crop module and the
Siamese layers of the fine model. A window is as large in pixels for all joints
and features. Its corner lies on a cell of the coarsest features, so that it is
cut from all of them without interpolation.
"""

import keras
from keras import layers, ops

from keras_pose.codecs import gaussians

STEP = 8
"""Pixels: the coarsest features' stride, and the grid of the corners."""
FINE = 2
"""Input pixels per cell of the fine maps."""
DEVIATION = 0.001
"""Of the initial kernels of the maps."""
LEAST = 1e-3
"""Weight of a window whose coarse map has no peak."""


@keras.saving.register_keras_serializable("keras_pose")
class WindowCorners(layers.Layer):
    """Where the windows are: around the highest cell of each joint's map.

    maps (B, h, w, K) -> corners (B, K, 2) int32, x and y in STEP pixels, which
    may lie outside of the picture; and heights (B, K) of the peaks. Neither has
    a gradient.

    Args:
        window: side in pixels.
        stride: input pixels per cell of the maps.
    """

    def __init__(self, window=72, stride=4, **kwargs):
        super().__init__(**kwargs)
        check_window(window)
        self.window = window
        self.stride = stride

    def call(self, maps):
        """Finds the peaks."""
        cells, heights = gaussians.decode(ops.stop_gradient(maps), "argmax")
        corners = gaussians.to_pixels(cells, self.stride)
        corners = (corners - (self.window - 1) / 2) / STEP
        return ops.cast(ops.floor(corners + 0.5), "int32"), heights

    def compute_output_spec(self, maps):
        """Shapes and types of corners and heights."""
        batch, joints = maps.shape[0], maps.shape[-1]
        return (
            keras.KerasTensor((batch, joints, 2), "int32"),
            keras.KerasTensor((batch, joints), "float32"),
        )

    def get_config(self):
        """Everything `__init__` takes."""
        own = {"window": self.window, "stride": self.stride}
        return super().get_config() | own


@keras.saving.register_keras_serializable("keras_pose")
class CutWindows(layers.Layer):
    """Cuts the windows of all joints from features; outside they are 0.

    features (B, h, w, C), corners (B, K, 2) -> (B, K, n, n, C), n = window /
    stride. The gradient goes to the features.

    Args:
        window: side in pixels.
        stride: input pixels per cell of the features, a divisor of STEP.
    """

    def __init__(self, window=72, stride=2, **kwargs):
        super().__init__(**kwargs)
        check_window(window)
        self.window = window
        self.stride = stride

    @property
    def side(self):
        """n: cells along a side of a window."""
        return self.window // self.stride

    def call(self, features, corners):
        """Gathers from features with a margin of zeros."""
        side, joints = self.side, corners.shape[1]
        # The middle of a window lies less than STEP outside of the picture.
        margin = side // 2 + STEP // self.stride
        features = ops.pad(
            features, ((0, 0), (margin, margin), (margin, margin), (0, 0))
        )
        _, height, width, channels = features.shape
        first = corners * (STEP // self.stride) + margin
        x, y = first[..., 0, None], first[..., 1, None]
        steps = ops.arange(side)
        index = (y + steps)[..., None] * width + (x + steps)[..., None, :]
        people = ops.arange(ops.shape(features)[0]) * (height * width)
        index = index + ops.reshape(people, (-1, 1, 1, 1))
        flat = ops.reshape(features, (-1, channels))
        cut = ops.take(flat, ops.reshape(index, (-1,)), axis=0)
        return ops.reshape(cut, (-1, joints, side, side, channels))

    def compute_output_shape(self, features_shape, corners_shape):
        """(B, K, n, n, C)."""
        return (*corners_shape[:2], self.side, self.side, features_shape[-1])

    def get_config(self):
        """Everything `__init__` takes."""
        own = {"window": self.window, "stride": self.stride}
        return super().get_config() | own


@keras.saving.register_keras_serializable("keras_pose")
class WindowConv2D(layers.Conv2D):
    """One convolution for the windows of all joints, a Siamese network.

    (B, K, n, n, C) -> (B, K, n', n', F).
    """

    def build(self, shape):
        """Makes the kernel for one window."""
        super().build((None, *shape[-3:]))

    def call(self, x):
        """Folds the windows into the batch."""
        _, joints, *window = x.shape
        y = super().call(ops.reshape(x, (-1, *window)))
        return ops.reshape(y, (-1, joints, *y.shape[1:]))

    def compute_output_shape(self, shape):
        """(B, K, n', n', F); `build` asks for one window."""
        one = super().compute_output_shape((None, *shape[-3:]))
        return (*shape[:-3], *one[1:])


@keras.saving.register_keras_serializable("keras_pose")
class JointMaps(layers.Layer):
    """A 1x1 convolution of its own for each joint.

    (B, K, n, n, C) -> maps (B, n, n, K).
    """

    def build(self, shape):
        """A kernel (K, C) and a bias (K,)."""
        joints, channels = shape[1], shape[-1]
        start = keras.initializers.RandomNormal(stddev=DEVIATION)
        self.kernel = self.add_weight(
            (joints, channels), initializer=start, name="kernel"
        )
        self.bias = self.add_weight((joints,), "zeros", name="bias")

    def call(self, x):
        """A sum over the channels of each joint's window."""
        return ops.einsum("bkyxc,kc->byxk", x, self.kernel) + self.bias

    def compute_output_shape(self, shape):
        """(B, n, n, K)."""
        return (shape[0], *shape[2:4], shape[1])


@keras.saving.register_keras_serializable("keras_pose")
class PlaceWindows(layers.Layer):
    """Puts maps of windows into their places in the picture.

    maps (B, n, n, K), corners (B, K, 2), heights (B, K) -> (B, H / 2, W / 2,
    2 K): the maps, 0 outside of their windows; and the window's weight, the
    height of the coarse peak but at least LEAST, 0 outside. The weights have no
    gradient. It is what `codecs.WindowedHeatmaps` describes.

    Args:
        size: (height, width) of the network's input, pixels.
    """

    def __init__(self, size, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.size = tuple(map(int, size))

    def call(self, maps, corners, heights):
        """Places with a matrix of zeros and ones for each axis."""
        first = corners * (STEP // FINE)
        columns, rows = (
            self._places(first[..., axis, None], count, maps.shape[1])
            for axis, count in ((0, self.size[1]), (1, self.size[0]))
        )
        placed = ops.einsum("bkyi,bijk->bkyj", rows, maps)
        placed = ops.einsum("bkyj,bkxj->byxk", placed, columns)
        weights = ops.stop_gradient(ops.maximum(heights, LEAST))
        rows, columns = ops.sum(rows, axis=-1), ops.sum(columns, axis=-1)
        weights = ops.einsum("bk,bky,bkx->byxk", weights, rows, columns)
        return ops.concatenate([placed, weights], axis=-1)

    def _places(self, first, pixels, side):
        """(B, K, m, n): 1 where cell m of the picture is cell n of a window."""
        cells = ops.arange(pixels // FINE) - first
        same = cells[..., None] == ops.arange(side)
        return ops.cast(same, "float32")

    def compute_output_shape(self, maps_shape, corners_shape, heights_shape):
        """(B, H / 2, W / 2, 2 K)."""
        height, width = (side // FINE for side in self.size)
        return (maps_shape[0], height, width, 2 * maps_shape[-1])

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {"size": self.size}


def check_window(window):
    """Raises ValueError unless a window can be cut from all features."""
    if window <= 0 or window % STEP:
        raise ValueError(
            f"window must be divisible by {STEP} pixels, the coarsest cell "
            f"that it is cut from, got {window}"
        )
