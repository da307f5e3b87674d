"""The fused updates are those of Keras and of Torch."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.training.optimizers import SGD, Adam, RMSprop, scale_rates

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


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"), [CASES[0], CASES[2], CASES[4], CASES[7]]
)
def test_a_layer_with_a_factor_has_that_factor_on_its_rate(
    ours, theirs, settings
):
    def trained(optimizer):
        """Weights of two layers after steps with gradients that change."""
        two = [
            keras.layers.Dense(3, name=name, kernel_initializer="ones")
            for name in ("slow", "fast")
        ]
        for layer in two:
            layer.build((None, 2))
        weights = [weight for layer in two for weight in layer.weights]
        rng = np.random.default_rng(0)
        for _ in range(4):
            gradients = [rng.normal(0, 1, w.shape) for w in weights]
            gradients = [ops.convert_to_tensor(g, "float32") for g in gradients]
            optimizer.apply(gradients, weights)
        return [[ops.convert_to_numpy(w) for w in x.weights] for x in two]

    optimizer = ours(0.1, **settings)
    scale_rates(optimizer, {"slow": 0.01})
    found = trained(optimizer)
    slow, fast = (
        trained(theirs(1e-3, **settings)),
        trained(theirs(0.1, **settings)),
    )
    for one, other in zip(found, (slow[0], fast[1]), strict=True):
        for weight, expected in zip(one, other, strict=True):
            np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-7)
    assert not np.allclose(slow[0][0], fast[0][0])


def test_layers_have_no_rates_of_their_own_with_another_optimizer():
    inner = Adam(0.1)
    scale_rates(keras.optimizers.LossScaleOptimizer(inner), {"stem": 0.5})
    assert inner.factors == {"stem": 0.5}
    with pytest.raises(ValueError, match="keras_pose.training.*, got Adam"):
        scale_rates(keras.optimizers.Adam(), {"stem": 0.5})


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
    one = optimizer(0.1, global_clipnorm=2.0, factors={"stem": 0.1})
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
        return [x for x in objects if type(x).__name__ == "FuncGraph"]

    before = weakref.WeakSet(graphs())  # others' may go at any time
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(kind(), "mse", jit_compile=False)
    model.train_on_batch(np.zeros((4, 3)), np.zeros((4, 2)))
    made = weakref.WeakSet(x for x in graphs() if x not in before)
    assert made
    del model
    gc.collect()
    assert not made
