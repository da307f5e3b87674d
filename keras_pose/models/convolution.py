"""Convolutions with Torch's padding and initial values."""

import math

from keras import initializers, layers


def convolution(
    x,
    filters,
    kernel,
    name,
    strides=1,
    use_bias=True,
    deviation=None,
    dilation=1,
):
    """A convolution that pads kernel // 2 on every side.

    Keras' "same" does so, too, at stride 1. With larger strides it pads the far
    side more, a 7x7 of stride 2 by (2, 3), which shifts it by a pixel against
    Torch's. `deviation`: of the normal initial kernel; None: Torch's default.
    With `dilation`, at stride 1, it pads as many times more.

    (B, h, w, C) -> (B, h / strides, w / strides, filters).
    """
    fan_in = kernel**2 * x.shape[-1]
    padding = "same"
    if strides > 1 and kernel > 1:
        padding = "valid"
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    return layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding=padding,
        dilation_rate=dilation,
        use_bias=use_bias,
        kernel_initializer=initial(fan_in, deviation),
        bias_initializer=uniform(fan_in),
        name=name,
    )(x)


def uniform(fan_in):
    """Torch's initial values of a convolution's kernel and bias.

    Uniform in +-1 / sqrt(fan_in), a deviation of 1 / sqrt(3 fan_in); that of
    "he_normal" is 2.4 times larger.
    """
    limit = 1 / math.sqrt(fan_in)
    return initializers.RandomUniform(-limit, limit)


def initial(fan_in, deviation=None):
    """Normal initial values of this deviation; None: Torch's default."""
    if deviation:
        return initializers.RandomNormal(stddev=deviation)
    return uniform(fan_in)
