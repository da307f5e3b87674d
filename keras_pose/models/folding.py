"""Batch normalisation at inference: a factor and a summand per channel."""

import keras
import numpy as np
from keras import layers, ops

CONVOLUTIONS = (layers.Conv2D, layers.Conv2DTranspose)


def fold_norms(model):
    """A model for inference that computes the same with fewer operations.

    Of a convolution with kernel k and bias b, a norm of factor f and summand s
    makes (k * x + b) f + s = (f k) * x + (f b + s), another convolution. Where
    a norm follows something else, the product and the sum are left: oneDNN's
    batch normalisation takes a multiple of their time for one small picture.

    Args:
        model: a functional Keras model. It is not changed; all but its norms
            and the convolutions in front of them are shared with it.

    Returns:
        The other model; up to rounding its outputs are those of `model` called
        with training=False.
    """
    made = {}  # by its output: a convolution and what it was given

    def call(layer, *given, **settings):
        x = given[0]
        if _is_norm(layer):
            factor, summand = _factor_and_summand(layer)
            if id(x) in made:
                _, convolution, x = made[id(x)]
                return _fold(convolution, x, factor, summand, layer.name)
            y = x * factor.astype("float32") + summand.astype("float32")
            return ops.cast(y, layer.compute_dtype)
        output = layer(*given, **settings)
        if type(layer) in CONVOLUTIONS and _is_linear(layer):
            made[id(output)] = output, layer, x  # kept, so that no id recurs
        return output

    # Another Model of the same layers: a compiled one is cloned with its loss.
    plain = keras.Model(model.input, model.output, name=model.name)
    return keras.models.clone_model(
        plain, clone_function=lambda layer: layer, call_function=call
    )


def _is_norm(layer):
    last = (-1, 3)
    return isinstance(layer, layers.BatchNormalization) and layer.axis in last


def _is_linear(convolution):
    return convolution.activation is keras.activations.linear


def _factor_and_summand(norm):
    """What the norm multiplies by, and then adds: (C,) float64 each."""
    factor = 1 / np.sqrt(_float64(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        factor = factor * _float64(norm.gamma)
    summand = -_float64(norm.moving_mean) * factor
    if norm.center:
        summand = summand + _float64(norm.beta)
    return factor, summand


def _fold(convolution, x, factor, summand, name):
    """`convolution` of x, the product and the sum, by a layer of that name."""
    kernel = _float64(convolution.kernel)
    bias = summand
    if convolution.use_bias:
        bias = bias + _float64(convolution.bias) * factor
    if isinstance(convolution, layers.Conv2DTranspose):
        factor = factor[:, None]  # its kernel is (h, w, out, in)
    config = convolution.get_config() | {"use_bias": True, "name": name}
    folded = type(convolution).from_config(config)
    output = folded(x)
    folded.set_weights([kernel * factor, bias])
    return output


def _float64(weight):
    return weight.numpy().astype("float64")
