"""MSS-net and MSR-net: sizes by hand, and what stage 2 begins with."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.models.msr_net import msr_net
from keras_pose.models.mss_net import mss_net

IMAGES = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), "uint8")


def trainable(model):
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def network(joints=3, stacks=1, filters=8, size=(64, 128), refine=False):
    images = keras.Input((*size, 3), dtype="uint8")
    maps, features = mss_net(images, joints, stacks=stacks, filters=filters)
    refined = msr_net(maps, features, joints, filters=filters)
    return keras.Model(images, (maps, refined) if refine else maps)


@pytest.mark.parametrize(
    ("stacks", "hourglass"),
    # Newell's graph, see test_hourglass; each stack normalises 256 features
    # and reads 16 maps of them, with a bias, at three more scales.
    [(1, 3_426_448), (2, 6_570_400), (8, 25_434_112)],
)
def test_supervision_costs_three_1x1_convolutions_a_stack(stacks, hourglass):
    model = network(16, stacks, 256, (64, 64))
    reading = 3 * (2 * 256 + 256 * 16 + 16)
    assert trainable(model) == hourglass + stacks * reading


def test_the_parameters_of_the_regression_network_by_hand():
    def residual(a, b):
        h = b // 2
        norms = 2 * a + 2 * h + 2 * h
        convolutions = a * h + h + 9 * h * h + h + h * b + b
        return norms + convolutions + (a * b + b if a != b else 0)

    f, k, stacks = 8, 3, 2
    # 14 residuals, the linear layer, maps at four scales, each with its norm
    hourglass = 14 * residual(f, f) + (f * f + f) + 4 * (2 * f + f * k + k)
    into = f + 4 * stacks * k
    alone = trainable(network(k, stacks, f))
    both = trainable(network(k, stacks, f, refine=True))
    assert both - alone == residual(into, f) + hourglass


def test_maps_come_at_four_sizes_the_coarsest_first():
    maps, refined = network(stacks=2, refine=True)(IMAGES)
    sizes = [(2, 4), (4, 8), (8, 16), (16, 32)]
    for scale, better, size in zip(maps, refined, sizes, strict=True):
        assert [m.shape for m in scale] == 2 * [(1, *size, 3)]
        assert better.shape == (1, *size, 3)


def test_regression_begins_with_the_last_stack_s_maps():
    """Its last layers start near zero, so it only corrects."""
    model = network(stacks=2, refine=True)
    for layer in model.layers:
        if layer.name.startswith("msr_maps") and hasattr(layer, "kernel"):
            layer.kernel.assign(ops.zeros_like(layer.kernel))
    maps, refined = model(IMAGES)
    for scale, better in zip(maps, refined, strict=True):
        assert np.ptp(scale[-1]) > 0
        np.testing.assert_array_equal(scale[-1], better)


def test_regression_sees_every_scale_of_every_stack():
    """A change of any of the maps reaches the finest output."""
    images = keras.Input((64, 128, 3), dtype="uint8")
    maps, features = mss_net(images, 3, stacks=2, filters=8)
    inputs = [[keras.Input(m.shape[1:]) for m in scale] for scale in maps]
    given = keras.Input(features.shape[1:])
    model = keras.Model([inputs, given], msr_net(inputs, given, 3, filters=8))
    rng = np.random.default_rng(1)
    zeros = [[np.zeros((1, *m.shape[1:]), "float32") for m in s] for s in maps]
    y = rng.normal(size=(1, *features.shape[1:])).astype("float32")
    usual = ops.convert_to_numpy(model([zeros, y])[-1])
    for scale in range(4):
        values = [list(s) for s in zeros]
        values[scale][0] = values[scale][0] + 1.0  # of the first stack
        changed = ops.convert_to_numpy(model([values, y])[-1])
        assert not np.allclose(changed, usual, atol=1e-6)
