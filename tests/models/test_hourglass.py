"""Stacked hourglass: what goes in and comes out.

The published sizes are counted in test_main.
"""

import zipfile

import keras
import numpy as np
import pytest

from keras_pose.inference import load_model
from keras_pose.models.heads import PoseMaps, describe
from keras_pose.models.hourglass import stacked_hourglass
from keras_pose.models.macs import parameters


def network(size=(64, 128), joints=16, **settings):
    images = keras.Input((*size, 3), dtype="uint8")
    maps = stacked_hourglass(images, joints, **settings)
    return keras.Model(images, PoseMaps()(maps))


@pytest.fixture(scope="module")
def small():
    return network(joints=3, stacks=2, filters=8, bias=-4.0)


def test_the_parameters_of_a_small_one_by_hand(small):
    def residual(a, b):
        h = b // 2
        norms = 2 * a + 2 * h + 2 * h
        convolutions = a * h + h + 9 * h * h + h + h * b + b
        return norms + convolutions + (a * b + b if a != b else 0)

    f, k = 8, 3
    stem = 7 * 7 * 3 * (f // 4) + f // 4 + 2 * (f // 4)
    stem += residual(f // 4, f // 2) + residual(f // 2, f // 2)
    stem += residual(f // 2, f)
    stack = 14 * residual(f, f) + (f * f + f + 2 * f) + (f * k + k)
    back = (f * f + f) + (k * f + f)
    assert parameters(small) == stem + 2 * stack + back


def test_a_picture_gives_a_map_of_a_quarter_per_stack_and_joint(small):
    images = np.zeros((1, 64, 128, 3), "uint8")
    assert small(images).shape == (1, 2, 16, 32, 3)


def test_the_bias_is_where_the_maps_start(small):
    for stack in (1, 2):
        bias = small.get_layer(f"stack{stack}_maps").bias
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(bias), -4.0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"size": (64, 100)}, "divisible by 64, got 64 x 100"),
        ({"stacks": 0}, "stacks"),
        ({"filters": 6}, "filters"),
    ],
)
def test_impossible_sizes_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        network(**settings)


def test_a_saved_model_says_what_its_maps_mean(tmp_path):
    images = keras.Input((64, 96, 3), dtype="uint8")
    maps = keras.layers.Conv2D(14, 4, 4)(images)
    head = PoseMaps("lsp", alignment="corner", activation="linear")
    keras.Model(images, head([maps])).save(tmp_path / "model.keras")
    head = describe(keras.saving.load_model(tmp_path / "model.keras"))
    assert (head.skeleton, head.stride) == ("lsp", 4)
    assert (head.alignment, head.activation) == ("corner", "linear")


def test_another_kind_of_model_is_refused():
    images = keras.Input((8, 12, 3))
    model = keras.Model(images, keras.layers.Dense(2)(images), name="dense")
    with pytest.raises(ValueError, match="dense is not a keras_pose model"):
        describe(model)


@pytest.mark.parametrize("field", ["skeleton", "alignment", "activation"])
def test_a_head_names_what_it_knows(field):
    with pytest.raises(ValueError, match=f"{field}: one of .*got 'other'"):
        PoseMaps(**{field: "other"})


def test_a_head_refuses_a_sigma_that_is_none():
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        PoseMaps(sigma=0)


def test_a_file_of_before_heads_knew_sigma_loads(tmp_path):
    images = keras.Input((8, 12, 3))
    maps = keras.layers.Conv2D(16, 1)(images)
    model = keras.Model(images, PoseMaps(stride=1, sigma=2.5)([maps]))
    model.save(tmp_path / "new.keras")
    assert describe(load_model(tmp_path / "new.keras")).sigma == 2.5
    with (
        zipfile.ZipFile(tmp_path / "new.keras") as new,
        zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
    ):
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                assert content.count(b', "sigma": 2.5') == 1
                content = content.replace(b', "sigma": 2.5', b"")
            old.writestr(name, content)
    assert describe(load_model(tmp_path / "old.keras")).sigma == 1
