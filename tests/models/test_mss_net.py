"""MSS-net and MSR-net: sizes by hand, and what stage 2 begins with."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_pose.models.__main__ import Row, count
from keras_pose.models.macs import parameters
from keras_pose.models.msr_net import msr_net
from keras_pose.models.mss_net import mss_net

IMAGES = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), "uint8")
JOINTS, STACKS, FILTERS = 3, 2, 8


@pytest.fixture(scope="module")
def small():
    """Both networks, and the tensors between them."""
    images = keras.Input((64, 128, 3), dtype="uint8")
    maps, features = mss_net(images, JOINTS, stacks=STACKS, filters=FILTERS)
    refined = msr_net(maps, features, JOINTS, filters=FILTERS)
    return SimpleNamespace(
        images=images,
        maps=maps,
        features=features,
        refined=refined,
        model=keras.Model(images, (maps, refined)),
    )


@pytest.mark.parametrize(
    ("stacks", "hourglass"),
    # Newell's graph, see models.__main__; each stack normalises 256 features
    # and reads 16 maps of them, with a bias, at three more scales.
    [(1, 3_426_448), (2, 6_570_400), (8, 25_434_112)],
)
def test_supervision_costs_three_1x1_convolutions_a_stack(stacks, hourglass):
    def build(images, joints):
        return mss_net(images, joints, stacks=stacks)[0]

    trainable, _ = count(Row("MSS-net", build, (64, 64), joints=16))
    reading = 3 * (2 * 256 + 256 * 16 + 16)
    assert trainable == hourglass + stacks * reading


def test_the_parameters_of_the_regression_network_by_hand(small):
    def residual(a, b):
        h = b // 2
        norms = 2 * a + 2 * h + 2 * h
        convolutions = a * h + h + 9 * h * h + h + h * b + b
        return norms + convolutions + (a * b + b if a != b else 0)

    f, k = FILTERS, JOINTS
    # 14 residuals, the linear layer, maps at four scales, each with its norm
    hourglass = 14 * residual(f, f) + (f * f + f) + 4 * (2 * f + f * k + k)
    into = f + 4 * STACKS * k
    alone = parameters(keras.Model(small.images, small.maps))
    both = parameters(small.model)
    assert both - alone == residual(into, f) + hourglass


def test_maps_come_at_four_sizes_the_coarsest_first(small):
    sizes = [(2, 4), (4, 8), (8, 16), (16, 32)]
    maps, refined = small.model(IMAGES)
    for scale, better, size in zip(maps, refined, sizes, strict=True):
        assert [m.shape for m in scale] == 2 * [(1, *size, 3)]
        assert better.shape == (1, *size, 3)


def test_regression_begins_with_the_last_stack_s_maps(small):
    """Its last layers start near zero, so it only corrects."""
    last = [
        layer
        for layer in small.model.layers
        if layer.name.startswith("msr_maps") and hasattr(layer, "kernel")
    ]
    assert len(last) == 4
    kernels = [ops.convert_to_numpy(layer.kernel) for layer in last]
    for layer in last:
        layer.kernel.assign(ops.zeros(layer.kernel.shape))
    maps, refined = small.model(IMAGES)
    for layer, kernel in zip(last, kernels, strict=True):
        layer.kernel.assign(kernel)
    for scale, better in zip(maps, refined, strict=True):
        last = ops.convert_to_numpy(scale[-1])
        assert np.ptp(last) > 0
        np.testing.assert_array_equal(last, ops.convert_to_numpy(better))


def test_regression_sees_every_scale_of_every_stack(small):
    """A change of any of the maps reaches the finest output."""
    inputs = [*small.maps, small.features]
    model = keras.Model(inputs, small.refined[-1])
    rng = np.random.default_rng(1)
    zeros = [
        [np.zeros((1, *m.shape[1:]), "float32") for m in s] for s in small.maps
    ]
    y = rng.normal(size=(1, *small.features.shape[1:])).astype("float32")
    usual = ops.convert_to_numpy(model([*zeros, y]))
    for scale in range(4):
        values = [list(s) for s in zeros]
        values[scale][0] = values[scale][0] + 1.0  # of the first stack
        changed = ops.convert_to_numpy(model([*values, y]))
        assert not np.allclose(changed, usual, atol=1e-6)


def test_both_learn_from_the_maps_down_to_the_first_layer(small):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("reads gradients with TensorFlow")
    with tf.GradientTape() as tape:
        maps = keras.tree.flatten(small.model(IMAGES, training=True))
        loss = sum(ops.mean(ops.square(m - 1)) for m in maps)
    kernels = [w for w in small.model.trainable_weights if w.name == "kernel"]
    gradients = tape.gradient(loss, [kernel.value for kernel in kernels])
    for kernel, gradient in zip(kernels, gradients, strict=True):
        assert np.isfinite(gradient).all(), kernel.path
        assert np.any(gradient), kernel.path
