"""The fused updates are those of Keras and of Torch."""

import gc

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.training.optimizers import SGD, Adam, RMSprop

CASES = [
    (Adam, keras.optimizers.Adam, {}),
    (Adam, keras.optimizers.Adam, {"beta_1": 0.5, "epsilon": 1e-3}),
    (Adam, keras.optimizers.Adam, {"amsgrad": True}),
    (Adam, keras.optimizers.Adam, {"global_clipnorm": 0.5}),
    (RMSprop, keras.optimizers.RMSprop, {"rho": 0.99}),
    (RMSprop, keras.optimizers.RMSprop, {"momentum": 0.9}),
    (RMSprop, keras.optimizers.RMSprop, {"centered": True}),
    (SGD, keras.optimizers.SGD, {"momentum": 0.9}),
    (SGD, keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    (SGD, keras.optimizers.SGD, {}),
]


def after(optimizer, steps=4, scale=1.0):
    """Two weights after some steps, with gradients that change."""
    weights = [
        keras.Variable(np.linspace(-1, 1, 6).reshape(2, 3).astype("float32")),
        keras.Variable(np.full(4, 0.5, "float32")),
    ]
    rng = np.random.default_rng(0)
    for step in range(steps):
        optimizer.learning_rate = 0.1 / (step + 1)
        gradients = [
            ops.convert_to_tensor(rng.normal(0, scale, w.shape), "float32")
            for w in weights
        ]
        optimizer.apply(gradients, weights)
    return np.concatenate([ops.convert_to_numpy(w).ravel() for w in weights])


@pytest.mark.parametrize(("ours", "theirs", "settings"), CASES)
def test_an_update_is_that_of_keras(ours, theirs, settings):
    expected = after(theirs(**settings))
    np.testing.assert_allclose(after(ours(**settings)), expected, rtol=1e-5)
    assert not np.allclose(expected, after(theirs(**settings), steps=1))


@pytest.mark.parametrize("scale", [1.0, 1e-11])
def test_rmsprop_with_epsilon_squared_is_that_of_torch(scale):
    """Torch: w -= rate g / (sqrt(v) + 1e-8), v = 0.99 v + 0.01 g^2.

    Far above its epsilon, and far below, where the step is rate g / 1e-8.
    """
    optimizer = RMSprop(rho=0.99, epsilon=1e-16)
    found = after(optimizer, scale=scale) - after(optimizer, steps=0)
    rng = np.random.default_rng(0)
    expected = [np.zeros((2, 3)), np.zeros(4)]
    squares = [np.zeros((2, 3)), np.zeros(4)]
    for step in range(4):
        for moved, square in zip(expected, squares, strict=True):
            gradient = rng.normal(0, scale, moved.shape)
            square += 0.01 * (gradient**2 - square)
            moved -= 0.1 / (step + 1) * gradient / (np.sqrt(square) + 1e-8)
    expected = np.concatenate([moved.ravel() for moved in expected])
    np.testing.assert_allclose(
        found, expected, atol=1e-3 * np.abs(expected).max()
    )


@pytest.mark.parametrize("optimizer", [Adam, RMSprop, SGD])
def test_settings_survive_a_round_trip(optimizer):
    one = optimizer(0.1, global_clipnorm=2.0)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(one))
    assert type(copy) is optimizer
    assert copy.get_config() == one.get_config()


@pytest.mark.parametrize("kind", [Adam, RMSprop])
def test_the_graph_of_a_training_goes_with_its_model(kind):
    """With Keras' own optimizers TensorFlow keeps it."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has graphs")

    def graphs():
        gc.collect()
        objects = gc.get_objects()
        return sum(type(found).__name__ == "FuncGraph" for found in objects)

    before = graphs()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(kind(), "mse", jit_compile=False)
    model.train_on_batch(np.zeros((4, 3)), np.zeros((4, 2)))
    assert graphs() > before
    del model
    assert graphs() == before
