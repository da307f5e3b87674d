"""Folds batch normalisation into convolutions for inference."""

import keras
import numpy as np
from keras import layers, ops

CONVOLUTIONS = (layers.Conv2D, layers.Conv2DTranspose)


def fold_norms(model):
    """An equivalent model for inference with fewer operations.

    A convolution with kernel k and bias b followed by a norm with factor f and
    summand s is another convolution: (k * x + b) f + s = (f k) * x + (f b + s).
    A norm that follows another layer becomes a product and a sum: oneDNN's
    batch normalisation takes several times as long for one small picture.

    Args:
        model: a functional Keras model. It is not changed; the result shares
            all its layers except norms and the convolutions before them.

    Returns:
        The equivalent model; up to rounding its outputs are those of `model`
        called with training=False.
    """
    made = {}  # id of its output: (output, convolution, input)

    def call(layer, *inputs, **settings):
        x = inputs[0]
        if _is_norm(layer):
            factor, summand = _factor_and_summand(layer)
            if id(x) in made:
                _, convolution, x = made[id(x)]
                return _fold(convolution, x, factor, summand, layer.name)
            y = x * factor.astype("float32") + summand.astype("float32")
            return ops.cast(y, layer.compute_dtype)
        output = layer(*inputs, **settings)
        if type(layer) in CONVOLUTIONS and _is_linear(layer):
            made[id(output)] = output, layer, x  # kept alive: ids stay unique
        return output

    # An uncompiled Model of the same layers: cloning would copy the loss, too.
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
    """Factor and summand of the norm: (C,) float64 each."""
    factor = 1 / np.sqrt(_float64(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        factor = factor * _float64(norm.gamma)
    summand = -_float64(norm.moving_mean) * factor
    if norm.center:
        summand = summand + _float64(norm.beta)
    return factor, summand


def _fold(convolution, x, factor, summand, name):
    """`convolution` of x, with product and sum, as one layer called `name`."""
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
