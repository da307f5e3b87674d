"""Lightweight OpenPose: MobileNet, and one trunk for maps and fields.

D. Osokin, "Real-time 2D Multi-Person Pose Estimation on CPU: Lightweight
OpenPose", 2018, https://arxiv.org/abs/1811.12004. In maps of stride 8, with
f = 128, "sep" a depthwise 3x3 and a 1x1, and ReLU where nothing else stands:

    image -> MobileNet v1 to its tenth 512 = 4f, stride 8, one sep dilated
    features: 1x1 f = x -> 3 x (sep f, ELU) + x -> 3x3 f
    stage 1: features -> 3 x (3x3 f) = trunk
    stage t: (features, maps, fields) -> 5 x block f = trunk
    block: 1x1 f = x -> 3x3 f, norm -> 3x3 f dilated, norm; + x
    maps, fields: trunk -> 1x1 (stage 1: 4f, else f) -> 1x1, linear

Norms follow all convolutions of MobileNet, which have no biases.

Layers are named after the keys of published weights, with underscores for dots:
stage t is refinement_stages_{t - 2} from stage 2 on, fields are "pafs". Pixels
are R, G, B / 256 - 0.5; the author feeds B, G, R.
"""

from keras import layers

from keras_pose.models import openpose
from keras_pose.models.convolution import convolution, uniform
from keras_pose.models.normalization import BatchNormalization

MOBILE = (
    *((2, 1, 1), (4, 2, 1), (4, 1, 1), (8, 2, 1), (8, 1, 1), (16, 1, 1)),
    *((16, 1, 2), *4 * ((16, 1, 1),)),
)
"""Filters / (f / 4), stride and dilation of MobileNet's separable
convolutions."""
BLOCKS = 5
"""Of a later stage."""


def lightweight_openpose(images, parts, limbs, *, stages=2, filters=128):
    """The network, supervised after each stage.

    Args:
        images: (B, H, W, 3) uint8 RGB; H and W divisible by 8.
        parts: J, number of maps without the background.
        limbs: L, number of fields.
        stages: number of stages; the published score has 2.
        filters: f above.

    Returns:
        list of `stages` outputs as of `openpose.openpose`.

    Raises:
        ValueError: an invalid size or number.
    """
    openpose.check(images.shape[1:3], stages, filters, multiple=4)
    x = features = _features(images, filters)
    outputs = []
    for stage in range(1, stages + 1):
        if stage == 1:
            name, wide = "initial_stage", 4 * filters
            for part in range(3):
                x = _convolve(x, filters, 3, f"{name}_trunk_{part}_0")
        else:
            name, wide = f"refinement_stages_{stage - 2}", filters
            for part in range(BLOCKS):
                x = _block(x, filters, f"{name}_trunk_{part}")
        maps, fields = (
            convolution(
                _convolve(x, wide, 1, f"{name}_{branch}_0_0"),
                number,
                1,
                f"{name}_{branch}_1_0",
            )
            for branch, number in (("heatmaps", parts + 1), ("pafs", 2 * limbs))
        )
        outputs.append(openpose.joined(maps, fields, stage))
        if stage < stages:
            x = layers.Concatenate(name=f"stage{stage + 1}_input")(
                [features, maps, fields]
            )
    return outputs


def _features(images, filters):
    """MobileNet, and the convolutions behind it."""
    x = layers.Rescaling(1 / openpose.SCALE, -0.5, name="scale")(images)
    width = filters // 4
    x = convolution(x, width, 3, "model_0_0", strides=2, use_bias=False)
    x = _norm_relu(x, "model_0_1")
    for number, (times, strides, dilation) in enumerate(MOBILE, start=1):
        name = f"model_{number}"
        x = _depthwise(x, f"{name}_0", strides, dilation)
        x = _norm_relu(x, f"{name}_1")
        x = convolution(x, times * width, 1, f"{name}_3", use_bias=False)
        x = _norm_relu(x, f"{name}_4")
    x = y = _convolve(x, filters, 1, "cpm_align_0")
    for part in range(3):
        name = f"cpm_trunk_{part}"
        y = layers.ELU(name=f"{name}_1")(_depthwise(y, f"{name}_0"))
        y = convolution(y, filters, 1, f"{name}_2", use_bias=False)
        y = layers.ELU(name=f"{name}_3")(y)
    x = layers.Add(name="cpm_add")([x, y])
    return _convolve(x, filters, 3, "cpm_conv_0")


def _block(x, filters, name):
    """Of a later stage: a residual that sees 7 x 7 cells."""
    x = y = _convolve(x, filters, 1, f"{name}_initial_0")
    for part, dilation in enumerate((1, 2)):
        layer = f"{name}_trunk_{part}"
        y = convolution(y, filters, 3, f"{layer}_0", dilation=dilation)
        y = _norm_relu(y, f"{layer}_1")
    return layers.Add(name=f"{name}_add")([x, y])


def _depthwise(x, name, strides=1, dilation=1):
    """A 3x3 convolution of each channel, padded as `convolution`."""
    padding = "same"
    if strides > 1:
        padding = "valid"
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding=padding,
        dilation_rate=dilation,
        use_bias=False,
        depthwise_initializer=uniform(9),
        name=name,
    )(x)


def _convolve(x, filters, kernel, name):
    """Convolution and ReLU."""
    x = convolution(x, filters, kernel, name)
    return layers.ReLU(name=f"{name}_relu")(x)


def _norm_relu(x, name):
    """Batch normalisation of this name, and ReLU."""
    x = BatchNormalization(name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(x)
