"""Head of ResNet-FCN: convolutions and upsampling instead of deconvolutions.

Y. Wang, C. Hao, "Human Pose Estimation from a Single Image", a student report,
section 4.2. Each transposed convolution of Simple Baselines becomes a block of
1x1, 3x3 and 1x1 convolutions; three 1x1 convolutions read the maps.

    (B, H / 32, W / 32, 2048)
      -> 3 x (1x1 to 128, twice the size, 3x3 of 128, 1x1 to 256)
      -> 1x1 of 256 -> 1x1 of 256 -> 1x1 -> (B, H / 4, W / 4, K)

The report states neither widths nor any upsampling, without which there would
be 8 x 8 cells. Ours: a bottleneck of half the channels, as in the hourglass, no
shortcut, and nearest-neighbour upsampling between the first and the second
convolution: before a 1x1 convolution the result is the same and costs four
times as much. Initial weights are Torch's, those of the maps as in Simple
Baselines' code, on which the report is based; the report states none. Every
convolution but the last has batch normalisation and ReLU. "A batch
normalization to every down sample layer" concerns the backbone, see
`keras_pose.models.resnet`.
"""

from keras import layers

from keras_pose import choices
from keras_pose.models.convolution import convolution
from keras_pose.models.hourglass import read_maps
from keras_pose.models.normalization import norm_relu
from keras_pose.models.resnet import STRIDE
from keras_pose.models.simple_baselines import DEVIATION

OUTPUT_STRIDES = (2, 4, 8, 16, 32)
UPSAMPLINGS = ("nearest", "bilinear")


def fcn_head(
    features, joints, *, output_stride=4, filters=256, upsampling="nearest"
):
    """Features of stride 32 to maps of `output_stride` (section 4.2, figure 2).

    Args:
        features: (B, h, w, C) of a ResNet.
        joints: number K of maps.
        output_stride: input pixels per cell of the maps; a block per halving.
        filters: channels of the blocks and of the 1x1 convolutions.
        upsampling: "nearest" or "bilinear".

    Returns:
        (B, h * n, w * n, K) maps, n = 32 / output_stride, not activated.
    """
    choices.check("output_stride", output_stride, OUTPUT_STRIDES)
    if filters < 2 or filters % 2:
        raise ValueError(f"filters must be even, got {filters}")
    choices.check("upsampling", upsampling, UPSAMPLINGS)
    x = features
    for step in range(1, (STRIDE // output_stride).bit_length()):
        name = f"block{step}"
        x = _convolve(x, filters // 2, 1, f"{name}_1")
        x = layers.UpSampling2D(
            interpolation=upsampling, name=f"{name}_upsample"
        )(x)
        x = _convolve(x, filters // 2, 3, f"{name}_2")
        x = _convolve(x, filters, 1, f"{name}_3")
    for step in (1, 2):
        x = _convolve(x, filters, 1, f"head_{step}")
    return read_maps(x, joints, 0.0, "head_maps", DEVIATION)


def _convolve(x, filters, kernel, name):
    """A convolution, its normalisation and ReLU."""
    return norm_relu(
        convolution(x, filters, kernel, name, use_bias=False), name
    )
