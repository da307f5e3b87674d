"""The fused batch normalisation is Keras' layer, with Torch's statistics."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose.models.normalization import BatchNormalization

RNG = np.random.default_rng(0)
SHAPE = 3, 4, 6, 5
X = RNG.normal(3, 2, SHAPE).astype("float32")


def filled(layer):
    """`layer`, built for X, with weights that are none of its first ones."""
    layer.build(SHAPE)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.weights])
    return layer


def both(**settings):
    settings = {"momentum": 0.9, "epsilon": 1e-5} | settings
    return filled(BatchNormalization(**settings)), filled(
        layers.BatchNormalization(**settings)
    )


def slopes(layer, training):
    """Gradients of a sum of squares by X, scale and offset."""
    tf = pytest.importorskip("tensorflow")
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        cost = tf.reduce_sum((layer(x, training=training) - X) ** 2)
    return tape.gradient(cost, [x, *[v.value for v in layer.trainable_weights]])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
def test_outputs_are_those_of_keras(training, epsilon):
    ours, theirs = both(epsilon=epsilon)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(X, training=training)),
        ops.convert_to_numpy(theirs(X, training=training)),
        atol=1e-5,
    )


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras' own path"
)
@pytest.mark.parametrize("training", [True, False])
def test_slopes_are_those_of_keras(training):
    ours, theirs = both()
    for a, b in zip(
        slopes(ours, training), slopes(theirs, training), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"center": False}])
def test_the_moving_statistics_are_those_of_torch(settings):
    """Torch: 0.9 of the old, 0.1 of the batch's; its variance by n - 1."""
    layer = filled(BatchNormalization(**settings))
    mean, variance = (
        ops.convert_to_numpy(v)
        for v in (layer.moving_mean, layer.moving_variance)
    )
    layer(X, training=True)
    pixels = X.reshape(-1, 5).astype("float64")
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.moving_mean),
        0.9 * mean + 0.1 * pixels.mean(axis=0),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.moving_variance),
        0.9 * variance + 0.1 * pixels.var(axis=0, ddof=1),
        rtol=1e-5,
    )


def test_a_frozen_layer_keeps_its_statistics_and_uses_them():
    ours, theirs = both()
    ours.trainable = False
    before = [ops.convert_to_numpy(w) for w in ours.weights]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(X, training=True)),
        ops.convert_to_numpy(theirs(X, training=False)),
        atol=1e-5,
    )
    for weight, value in zip(ours.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)


def test_variables_and_settings_are_those_of_keras():
    ours, theirs = both(name="norm")
    assert [(w.path, w.shape) for w in ours.weights] == [
        (w.path, w.shape) for w in theirs.weights
    ]
    assert ours.get_config() == theirs.get_config()
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ours)
    )
    assert type(copy) is BatchNormalization


def test_without_settings_the_constants_are_those_of_torch():
    layer = BatchNormalization()
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)


def test_features_in_half_precision_keep_float32_statistics():
    layer = filled(BatchNormalization(dtype="mixed_float16"))
    outputs = layer(X.astype("float16"), training=True)
    expected = filled(BatchNormalization())(X, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs),
        ops.convert_to_numpy(expected),
        atol=2e-2,
    )


def test_a_saved_model_has_the_layer_and_its_statistics(tmp_path):
    images = keras.Input(SHAPE[1:])
    layer = BatchNormalization()
    model = keras.Model(images, layer(images))
    layer.set_weights([np.full(5, value) for value in (2, 1, 3, 4)])
    model.save(tmp_path / "norm.keras")
    loaded = keras.saving.load_model(tmp_path / "norm.keras")
    assert type(loaded.layers[-1]) is BatchNormalization
    found = ops.convert_to_numpy(loaded(X))
    expected = (X - 3) / np.sqrt(4 + 1e-5) * 2 + 1
    np.testing.assert_allclose(found, expected, atol=1e-5)
