"""Inception-resnet blocks of the Multi-Scale Stacked Hourglass network.

Anonymous, "Multi-Scale Stacked Hourglass Network for Human Pose Estimation",
paper under double-blind review, section 3.3, figure 4. The text lists the
parts: convolutions, norms, ReLUs, two concatenated branches followed by 1x1
convolutions, a sum with the input, "a small number of" layers more than a
residual block; B has a subsampling and an upsampling layer inside. Widths and
order are ours, with pre-activation like Newell's bottleneck, which is the first
branch (h = filters / 2, q = filters / 4):

    x -> 1x1 (h) -> 3x3 (h) ────────────────────────┐
    x -> 1x1 (q) -> [pool] -> 3x3 (q) -> 3x3 (q) ───┴ concat -> 1x1 -> + x
                                    [upsample]

A has no layers in brackets. So A and B have the same parameters and differ only
in the resolution of the second branch.
"""

from keras import layers

from keras_pose.models.convolution import convolution
from keras_pose.models.normalization import norm_relu


def inception_resnet_a(x, filters, name):
    """Figure 4 (a): (B, h, w, any) -> (B, h, w, filters)."""
    return _inception_resnet(x, filters, name, factor=1)


def inception_resnet_b(x, filters, name):
    """Figure 4 (b): the second branch works at half the resolution.

    (B, h, w, any) -> (B, h, w, filters); h and w even.
    """
    height, width = x.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(
            f"inception_resnet_b halves its maps: {name} got {height} x {width}"
        )
    return _inception_resnet(x, filters, name, factor=2)


def _inception_resnet(x, filters, name, factor):
    half, quarter = filters // 2, filters // 4
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = convolution(x, filters, 1, f"{name}_skip")
    x = norm_relu(x, f"{name}_in")
    short = convolution(x, half, 1, f"{name}_short1")
    short = norm_relu(short, f"{name}_short2")
    short = convolution(short, half, 3, f"{name}_short2")
    deep = convolution(x, quarter, 1, f"{name}_deep1")
    if factor > 1:
        deep = layers.MaxPooling2D(factor, name=f"{name}_pool")(deep)
    for step in (2, 3):
        deep = norm_relu(deep, f"{name}_deep{step}")
        deep = convolution(deep, quarter, 3, f"{name}_deep{step}")
    if factor > 1:
        deep = layers.UpSampling2D(factor, name=f"{name}_upsample")(deep)
    x = layers.Concatenate(name=f"{name}_concat")([short, deep])
    x = norm_relu(x, f"{name}_out")
    x = convolution(x, filters, 1, f"{name}_out")
    return layers.Add(name=f"{name}_add")([x, shortcut])
