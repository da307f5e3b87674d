"""Head of Simple Baselines: a few transposed convolutions on a ResNet.

B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and
Tracking", ECCV 2018, section 2, https://arxiv.org/abs/1804.06208

    (B, H / 32, W / 32, 2048)
      -> 3 x (4x4 transposed convolution of stride 2, norm, relu), 256 channels
      -> 1x1 convolution -> (B, H / 4, W / 4, K)

In the authors' targets the first cell's centre lies on the first pixel's; after
mirroring it lies on the last, so their flip test shifts the maps by one cell.
Here a cell's centre is that of the pixels it covers, mirrored or not
(alignment="center"), and no shift is needed.
"""

from keras import initializers, layers

from keras_pose import choices
from keras_pose.models.hourglass import read_maps
from keras_pose.models.normalization import norm_relu
from keras_pose.models.resnet import STRIDE

KERNELS = (2, 3, 4)
"""Kernel sizes of the paper's ablation (table 1)."""
DEVIATION = 0.001
"""Deviation of the head's initial kernels (authors' code)."""


def output_stride(deconvolutions):
    """Input pixels per cell of the maps: each layer halves it."""
    return STRIDE // 2**deconvolutions


def deconvolution_head(
    features, joints, *, deconvolutions=3, filters=256, kernel=4
):
    """Features to maps (section 2, figure 1 c; ablation in table 1).

    Args:
        features: (B, h, w, C) of a ResNet.
        joints: number K of maps.
        deconvolutions: number of transposed convolutions, each doubles the
            size.
        filters: their channels.
        kernel: their kernel size: 4, 3 or 2.

    Returns:
        (B, h * 2^deconvolutions, w * 2^deconvolutions, K) maps, not activated.
    """
    if not 0 <= deconvolutions <= 5:
        raise ValueError(f"deconvolutions must be 0 to 5, got {deconvolutions}")
    if filters < 1:
        raise ValueError(f"filters must be at least 1, got {filters}")
    choices.check("kernel", kernel, KERNELS)
    x = features
    for step in range(1, deconvolutions + 1):
        x = _twice(x, filters, kernel, f"deconvolution{step}")
        x = norm_relu(x, f"deconvolution{step}")
    return read_maps(x, joints, 0.0, "head_maps", DEVIATION)


def _twice(x, filters, kernel, name):
    """A transposed convolution of stride 2 to exactly twice the size.

    For kernel 3 Torch crops the other side than "same" does.
    """
    x = layers.Conv2DTranspose(
        filters,
        kernel,
        strides=2,
        padding="valid" if kernel == 3 else "same",
        use_bias=False,
        kernel_initializer=initializers.RandomNormal(stddev=DEVIATION),
        name=name,
    )(x)
    if kernel == 3:
        x = layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_crop")(x)
    return x
