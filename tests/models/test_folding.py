"""A model without norms answers like the one with them."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose.codecs import Heatmaps
from keras_pose.losses import HSM
from keras_pose.models.folding import fold_norms
from keras_pose.models.heads import PoseMaps
from keras_pose.models.hourglass import stacked_hourglass
from keras_pose.models.normalization import BatchNormalization

SHAPE = 6, 10, 3


def filled(model):
    """The model with weights that are none of its first ones."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            new = [rng.uniform(0.5, 2, w.shape) for w in layer.weights]
            layer.set_weights(new)
    return model


def answer(model, images):
    return ops.convert_to_numpy(model(images, training=False))


def images(count=2, shape=SHAPE):
    return np.random.default_rng(1).normal(size=(count, *shape))


def norms(model):
    kind = layers.BatchNormalization
    return [layer for layer in model.layers if isinstance(layer, kind)]


def convolutions(model):
    kinds = layers.Conv2D, layers.Conv2DTranspose
    return [layer for layer in model.layers if type(layer) in kinds]


BLOCKS = {
    "a convolution": lambda x: BatchNormalization()(layers.Conv2D(5, 3)(x)),
    "without bias": lambda x: layers.BatchNormalization()(
        layers.Conv2D(5, (1, 3), strides=2, use_bias=False)(x)
    ),
    "transposed": lambda x: BatchNormalization()(
        layers.Conv2DTranspose(5, 4, strides=2, use_bias=False)(x)
    ),
    "without scale": lambda x: BatchNormalization(scale=False)(
        layers.Conv2D(5, 3)(x)
    ),
    "without centre": lambda x: BatchNormalization(center=False)(
        layers.Conv2D(5, 3)(x)
    ),
    "in groups": lambda x: BatchNormalization()(
        layers.Conv2D(6, 3, groups=3)(x)
    ),
}


def folds(block):
    """A model of the block and the folded one, which answers the same."""
    inputs = keras.Input(SHAPE)
    model = filled(keras.Model(inputs, block(inputs)))
    folded = fold_norms(model)
    x = images()
    np.testing.assert_allclose(
        answer(folded, x), answer(model, x), rtol=1e-5, atol=1e-5
    )
    return model, folded


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_norm_goes_into_the_convolution(block):
    model, folded = folds(block)
    assert len(folded.layers) == 2  # the input and the convolution
    assert len(norms(model)) == 1


OTHERS = {
    "the input": lambda x: BatchNormalization()(x),
    "an activation": lambda x: BatchNormalization()(
        layers.Conv2D(5, 3, activation="relu")(x)
    ),
    "a depthwise convolution": lambda x: BatchNormalization()(
        layers.DepthwiseConv2D(3)(x)
    ),
}


@pytest.mark.parametrize("block", OTHERS.values(), ids=OTHERS)
def test_behind_something_else_a_norm_is_a_product_and_a_sum(block):
    model, folded = folds(block)
    assert not norms(folded)
    assert len(convolutions(folded)) == len(convolutions(model))


def test_a_norm_along_another_axis_stays():
    inputs = keras.Input(SHAPE)
    x = layers.BatchNormalization(axis=1)(layers.Conv2D(5, 3)(inputs))
    model = filled(keras.Model(inputs, x))
    folded = fold_norms(model)
    assert len(norms(folded)) == 1
    np.testing.assert_array_equal(
        answer(folded, images()), answer(model, images())
    )


def test_a_convolution_that_others_read_remains_for_them():
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(5, 3)(inputs)
    model = keras.Model(inputs, layers.Add()([x, BatchNormalization()(x)]))
    folded = fold_norms(filled(model))
    assert len(convolutions(folded)) == 2
    np.testing.assert_allclose(
        answer(folded, images()), answer(model, images()), rtol=1e-5, atol=1e-5
    )


@pytest.fixture(scope="module")
def hourglass():
    inputs = keras.Input((64, 128, 3), dtype="uint8")
    maps = stacked_hourglass(inputs, 16, stacks=1, filters=8)
    return filled(keras.Model(inputs, PoseMaps(Heatmaps())(maps)))


def test_an_hourglass_has_no_norms_left_and_the_same_maps(hourglass):
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (2, 64, 128, 3), "uint8")
    before = answer(hourglass, pictures)
    folded = fold_norms(hourglass)
    found = answer(folded, pictures)
    # Every block adds to the maps' size: to float32's rounding of the largest.
    assert np.abs(found - before).max() < 3e-6 * np.abs(before).max()
    assert not norms(folded)
    # Of each residual two of three; the stem's; the one after the stack.
    residuals = sum(
        layer.name.endswith("_3_norm") for layer in hourglass.layers
    )
    kept = sum(layer in hourglass.layers for layer in convolutions(folded))
    assert len(convolutions(folded)) - kept == 2 * residuals + 2
    np.testing.assert_array_equal(answer(hourglass, pictures), before)


def test_a_compiled_model_is_folded_without_its_loss(hourglass):
    images = keras.Input((64, 128, 3), dtype="uint8")
    compiled = keras.Model(images, hourglass(images))
    compiled.compile(
        "adam", HSM(Heatmaps(logits=True)), metrics=[lambda y, z: 0.0]
    )
    assert not fold_norms(compiled).compiled


def test_half_precision_remains():
    inputs = keras.Input(SHAPE, dtype="float16")
    x = BatchNormalization(dtype="mixed_float16")(inputs)
    x = layers.Conv2D(5, 3, dtype="mixed_float16")(x)
    x = BatchNormalization(dtype="mixed_float16")(x)
    model = filled(keras.Model(inputs, x))
    folded = fold_norms(model)
    assert folded.output.dtype == "float16"
    np.testing.assert_allclose(
        answer(folded, images()), answer(model, images()), atol=0.02
    )
