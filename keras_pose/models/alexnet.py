"""AlexNet for regression: five convolutions and three dense layers.

A. Toshev, C. Szegedy, "DeepPose: Human Pose Estimation via Deep Neural
Networks", CVPR 2014, section 3.1, https://arxiv.org/abs/1312.4659; layers of
A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks", NeurIPS 2012. With f = 96 width:

    conv 11x11/4 f, norm, pool    220 -> 55 -> 27 cells
    conv 5x5 8/3 f, norm, pool    27 -> 13
    conv 3x3 4 f, 4 f, 8/3 f, pool    13 -> 6
    dense 42.7 f, dropout, dense 42.7 f, dropout, dense 2 K

ReLU follows each convolution and dense layer but the last. Not stated in the
paper, and ours: norms before the pooling, as in its figure; one group of
channels; initial values.
"""

import keras
import numpy as np
from keras import initializers, layers, ops

from keras_pose import choices
from keras_pose.models import direct_regression
from keras_pose.models.normalization import BatchNormalization

NORMS = ("lrn", "batch")
KERNELS = (11, 96), (5, 256), (3, 384), (3, 384), (3, 256)
"""Side and channels of the convolutions."""
POOLED = (0, 1, 4)
"""Convolutions that a pooling follows; a norm follows the first two."""
GROUPED = (1, 3, 4)
"""Convolutions of two groups, where there are groups."""
DENSE = 4096


@keras.saving.register_keras_serializable("keras_pose")
class LocalResponseNorm(layers.Layer):
    """Divides a channel by the activity of the channels beside it.

    Krizhevsky et al., section 3.3: x_i / (k + alpha sum_j x_j^2)^beta, j over
    `count` channels around i, those that there are. Their alpha, 1e-4, is for
    pixels of 0 ... 255. For pixels of 0 ... 1 the default is 255^2 times as
    large, which makes the same function but for the scale.

    (B, h, w, C) -> (B, h, w, C).
    """

    def __init__(
        self, count=5, k=2.0, alpha=1e-4 * 255**2, beta=0.75, **kwargs
    ):
        super().__init__(**kwargs)
        self.count = count
        self.k = k
        self.alpha = alpha
        self.beta = beta

    def call(self, x):
        """Squares times a band of ones; with slices a step took 1.4 times."""
        first = np.arange(x.shape[-1]) - self.count // 2
        offsets = np.arange(x.shape[-1])[:, None] - first
        band = (offsets >= 0) & (offsets < self.count)
        total = ops.matmul(ops.square(x), ops.cast(band, x.dtype))
        total = self.k + self.alpha * total
        if self.beta == 0.75:  # roots: with a power a step took 1.1 times
            root = ops.rsqrt(total)
            return x * root * ops.sqrt(root)
        return x * ops.power(total, -self.beta)

    def compute_output_shape(self, shape):
        """As the input's."""
        return shape

    def get_config(self):
        """Everything `__init__` takes."""
        names = ("count", "k", "alpha", "beta")
        settings = {name: getattr(self, name) for name in names}
        return super().get_config() | settings


def alexnet(images, joints, *, width=1.0, dropout=0.6, norm="lrn", groups=1):
    """Images (B, H, W, 3) uint8 to x and y (B, joints, 2), not activated.

    Args:
        images: (B, H, W, 3) uint8 RGB; H and W at least 64.
        joints: number K of joints.
        width: factor on the channels.
        dropout: share of the dense layers' outputs that are dropped.
        norm: "lrn" (the paper), or "batch": batch normalisation in its place.
        groups: 1, or 2: as Krizhevsky's network on two GPUs.

    Raises:
        ValueError: too small a picture, an unknown norm or number of groups.
    """
    choices.check("norm", norm, NORMS)
    choices.check("groups", groups, (1, 2))
    height, width_ = images.shape[1:3]
    if min(height, width_) < 64:
        raise ValueError(
            f"image size must be at least 64 x 64, got {height} x {width_}"
        )
    x = layers.Rescaling(1 / 255, -0.5, name="scale")(images)
    for number, (side, channels) in enumerate(KERNELS):
        name = f"conv{number + 1}"
        x = layers.Conv2D(
            _even(channels * width),
            side,
            strides=4 if number == 0 else 1,
            padding="same",
            groups=groups if number in GROUPED else 1,
            activation="relu",
            kernel_initializer=initializers.HeNormal(),
            name=name,
        )(x)
        if number in POOLED[:2]:
            make = LocalResponseNorm if norm == "lrn" else BatchNormalization
            x = make(name=f"{name}_norm")(x)
        if number in POOLED:
            x = layers.MaxPooling2D(3, 2, name=f"{name}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for number in (6, 7):
        x = layers.Dense(
            _even(DENSE * width),
            activation="relu",
            kernel_initializer=initializers.HeNormal(),
            name=f"dense{number}",
        )(x)
        x = layers.Dropout(dropout, name=f"dense{number}_dropout")(x)
    return direct_regression.read_points(x, joints)


def _even(channels):
    """Whole channels, for two groups."""
    return max(2, 2 * round(channels / 2))
