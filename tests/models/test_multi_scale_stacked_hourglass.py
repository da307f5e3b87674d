"""MSSH: which scale goes to which hourglass, and how they are joined."""

from functools import partial

import keras
import numpy as np
import pytest

from keras_pose.models.__main__ import Row, count
from keras_pose.models.macs import parameters
from keras_pose.models.multi_scale_stacked_hourglass import (
    dispatch,
    multi_scale_stacked_hourglass,
)


def network(size=(64, 128), joints=3, filters=8, **settings):
    images = keras.Input((*size, 3), dtype="uint8")
    maps = multi_scale_stacked_hourglass(
        images, joints, filters=filters, **settings
    )
    return keras.Model(images, [m for scale in maps.values() for m in scale])


def alive(model):
    """With weights above 0, of which no ReLU is 0 everywhere: of random ones
    of both signs one network in some hundred has such a ReLU."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.05, 0.1, weight.shape))
    return model


@pytest.mark.parametrize(
    ("stacks", "scales", "strides"),
    [
        (1, 1, "2"),
        (2, 1, "22"),
        (2, 2, "42"),
        (3, 2, "442"),
        (3, 3, "842"),
        (4, 3, "8842"),
        (5, 3, "88442"),
        (6, 3, "884422"),
        (7, 3, "8884422"),
        (8, 3, "88844422"),
    ],
)
def test_small_scales_go_to_the_first_hourglasses(stacks, scales, strides):
    assert "".join(map(str, dispatch(stacks, scales))) == strides


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"stacks": 2}, "more scales than stacks: 3 scales .* got 2"),
        ({"stacks": 4, "scales": 4}, "scales must be 1 to 3, got 4"),
        ({"stacks": 4, "scales": 0}, "scales must be 1 to 3, got 0"),
        ({"stacks": 0, "scales": 1}, "stacks must be at least 1, got 0"),
        ({"size": (64, 100)}, "divisible by 64, got 64 x 100"),
        ({"filters": 6}, "filters must be divisible by 4, got 6"),
        ({"fusion": "mul"}, "fusion must be one of add, concat, got 'mul'"),
    ],
)
def test_impossible_settings_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        network(**settings)


@pytest.fixture(scope="module")
def three():
    """Stacks, at strides 8, 4 and 2."""
    return alive(network(stacks=3))


@pytest.fixture(scope="module")
def lateral():
    return alive(network(stacks=3, lateral=True))


def test_every_hourglass_gives_maps_of_its_own_scale(three):
    # four, of which two have the same: reproductions/test_multi_scale_...
    assert [output.shape[1:] for output in three.outputs] == [
        (8, 16, 3), (16, 32, 3), (32, 64, 3)
    ]  # fmt: skip


def test_every_hourglass_goes_down_to_the_same_cells(three):
    bottoms = [
        three.get_layer(f"stack{stack}_bottom_add").output.shape[1:3]
        for stack in (1, 2, 3)
    ]
    assert bottoms == [(1, 2)] * 3  # 64 pixels each


def residual(a, b):
    h = b // 2
    norms = 2 * a + 2 * h + 2 * h
    convolutions = a * h + h + 9 * h * h + h + h * b + b
    return norms + convolutions + (a * b + b if a != b else 0)


def test_the_parameters_of_three_stacks_by_hand(three, lateral):
    f, k = 8, 3
    pre = 7 * 7 * 3 * (f // 4) + f // 4 + 2 * (f // 4)
    pre += residual(f // 4, f // 2)
    pre += 3 * residual(f // 2, f) + 3 * residual(f // 2, f // 2)
    # an hourglass of d halvings: 3 d + 1 residuals, and one after it
    residuals = sum(3 * depth + 2 for depth in (3, 4, 5)) * residual(f, f)
    heads = 3 * ((f * f + f + 2 * f) + (f * k + k))
    back = 2 * ((f * f + f) + (k * f + f))
    assert parameters(three) == pre + residuals + heads + back
    more = 2 * (f * f + f)
    assert parameters(lateral) == parameters(three) + more
    build = partial(
        multi_scale_stacked_hourglass, stacks=3, filters=f, fusion="concat"
    )
    concat, _ = count(Row("concat", build, (64, 128), k))
    assert concat == parameters(three) + 2 * (2 * f * f + f)


def outputs_of(model):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1, 64, 128, 3)).astype("uint8")
    return [np.asarray(maps) for maps in model(images)]


def changed(model, *names):
    """For each of the layers: the outputs that change when its weights do."""
    before, found = outputs_of(model), []
    for name in names:
        layer = model.get_layer(name)
        weights = layer.get_weights()
        layer.set_weights([w + 0.5 for w in weights])
        found.append(
            [
                not np.array_equal(a, b)
                for a, b in zip(before, outputs_of(model), strict=True)
            ]
        )
        layer.set_weights(weights)
    return found


def test_a_hourglass_sees_its_own_feature_and_the_one_before(three):
    # the last block of each branch, and what the first hourglass hands on
    branches = "pre8_at8_3", "pre4_at4_3", "pre2_at2_3"
    assert changed(three, *branches, "stack1_features_back") == [
        [True, True, True],
        [False, True, True],
        [False, False, True],
        [False, True, True],
    ]


def test_lateral_connections_go_from_coarse_to_fine(lateral):
    for stack in (1, 2):  # nothing passes from hourglass to hourglass
        for part in ("features", "maps"):
            layer = lateral.get_layer(f"stack{stack}_{part}_back")
            layer.set_weights([0 * w for w in layer.get_weights()])
    assert changed(lateral, "pre8_at8_3", "pre2_at2_3", "pre4_lateral") == [
        [True, True, True],
        [False, False, True],
        [False, True, True],
    ]
