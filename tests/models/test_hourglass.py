"""Stacked hourglass: what goes in and comes out.

The published sizes are counted in test_main.
"""

import json
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_pose.codecs import Heatmaps
from keras_pose.models.heads import PoseMaps, codec_of
from keras_pose.models.hourglass import stacked_hourglass
from keras_pose.models.macs import parameters
from keras_pose.models.model import load_model


def network(size=(64, 128), joints=16, **settings):
    images = keras.Input((*size, 3), dtype="uint8")
    maps = stacked_hourglass(images, joints, **settings)
    return keras.Model(images, PoseMaps(Heatmaps())(maps))


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
    head = PoseMaps(Heatmaps("lsp", alignment="corner"))
    keras.Model(images, head([maps])).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert codec_of(loaded) == head.codec


def test_another_kind_of_model_is_refused():
    images = keras.Input((8, 12, 3))
    model = keras.Model(images, keras.layers.Dense(2)(images), name="dense")
    with pytest.raises(ValueError, match="dense is not a keras_pose model"):
        codec_of(model)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("knows_sigma", [True, False])
def test_a_file_of_before_there_were_codecs_loads(
    tmp_path, knows_sigma, nested
):
    """Settings were the layer's own, then an activation its codec's."""
    images = keras.Input((8, 12, 3))
    maps = keras.layers.Conv2D(16, 1)(images)
    codec = Heatmaps("mpii", 1, "corner", 2.5, occluded_amplitude=-1)
    keras.Model(images, PoseMaps(codec)([maps])).save(tmp_path / "new.keras")
    assert codec_of(load_model(tmp_path / "new.keras")) == codec
    settings = {
        "skeleton": "mpii",
        "stride": 1,
        "alignment": "corner",
        "activation": "absolute",
    } | ({"sigma": 2.5} if knows_sigma else {})
    with (
        zipfile.ZipFile(tmp_path / "new.keras") as new,
        zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
    ):
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                content = json.loads(content)
                head = content["config"]["layers"][-1]["config"]
                if nested:
                    head["codec"]["config"] = settings
                else:
                    del head["codec"]
                    head |= settings
                content = json.dumps(content)
            old.writestr(name, content)
    sigma = 2.5 if knows_sigma else 1.0
    assert codec_of(load_model(tmp_path / "old.keras")) == replace(
        codec, sigma=sigma
    )
