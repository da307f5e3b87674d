"""OpenPose: what is counted by hand, what a stage sees, and VGG's weights."""

import keras
import numpy as np
import pytest
from keras import applications, layers, ops

from keras_pose.models import lightweight_openpose, macs, openpose

SIZE = (64, 96)


def built(size=SIZE, parts=3, limbs=2, stages=3, filters=8, **settings):
    images = keras.Input((*size, 3), dtype="uint8")
    outputs = openpose.openpose(
        images, parts, limbs, stages=stages, filters=filters, **settings
    )
    return keras.Model(images, outputs)


def by_hand(f, parts, limbs, stages, cells):
    """Parameters and MACs, from the layers' table: (side, in, out, cells)."""
    front = [
        *[(3, 3, f // 2, 64), (3, f // 2, f // 2, 64)],
        *[(3, f // 2, f, 16), (3, f, f, 16)],
        *[(3, f, 2 * f, 4), *[(3, 2 * f, 2 * f, 4)] * 3],
        *[(3, 2 * f, 4 * f, 1), (3, 4 * f, 4 * f, 1)],
        *[(3, 4 * f, 2 * f, 1), (3, 2 * f, f, 1)],
    ]
    branches = (2 * limbs, parts + 1)
    seen = f + sum(branches)
    first = [*[(3, f, f, 1)] * 3, (1, f, 4 * f, 1)]
    later = [(7, seen, f, 1), *[(7, f, f, 1)] * 4, (1, f, f, 1)]
    table = list(front)
    for out in branches:
        table += [*first, (1, 4 * f, out, 1)]
        table += (stages - 1) * [*later, (1, f, out, 1)]
    kernels = [k * k * i * o for k, i, o, _ in table]
    total = sum(n * c for n, (_, _, _, c) in zip(kernels, table, strict=True))
    return sum(kernels) + sum(o for _, _, o, _ in table), total * cells


@pytest.mark.parametrize("stages", [1, 3])
def test_numbers_are_those_of_the_layers_table(stages):
    model = built(stages=stages)
    expected = by_hand(8, 3, 2, stages, 8 * 12)
    assert (macs.parameters(model), macs.macs(model)) == expected
    outputs = [tuple(maps.shape) for maps in model.outputs]
    assert outputs == stages * [(None, 8, 12, 3 + 1 + 2 * 2)]


def test_the_size_of_the_released_network_by_hand():
    count, work = by_hand(128, 18, 19, 6, 46 * 46)
    assert (count, round(work / 1e9, 3)) == (52_311_446, 135.934)


@pytest.mark.parametrize(("stride", "gmacs"), [(8, 1.122), (4, 2.911)])
def test_a_quarter_of_the_channels_and_stride_4(stride, gmacs):
    """MPII's 16 joints and 15 limbs; the same kernels on more cells."""
    model = built((192, 192), 16, 15, 2, 32, stride=stride)
    assert macs.parameters(model) == 1_182_766
    assert macs.macs(model) / 1e9 == pytest.approx(gmacs, abs=6e-4)
    assert model.outputs[0].shape[1:] == (192 // stride, 192 // stride, 47)


def test_body_25_has_four_stages_of_fields_and_two_of_maps():
    images = keras.Input((*SIZE, 3), dtype="uint8")
    model = keras.Model(images, openpose.chained(images, 25, 26))
    assert macs.parameters(model) == 26_166_084
    slopes = [x for x in model.layers if isinstance(x, layers.PReLU)]
    assert sum(macs.parameters(layer) for layer in slopes) == 14_016
    pixels = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), "uint8")
    outputs = [ops.convert_to_numpy(x)[0] for x in model(pixels)]
    assert [x.shape for x in outputs] == 4 * [(8, 12, 26 + 52)]
    maps = [x[..., :26].any() for x in outputs]
    assert maps == [False, False, True, True]
    assert all(x[..., 26:].any() for x in outputs)


def test_a_stage_sees_fields_maps_and_features():
    model = built()
    parts = model.get_layer("stage2_input").input
    names = [x._keras_history.operation.name for x in parts]
    assert names == ["stage1_fields", "stage1_maps", "features_2_relu"]
    later = model.get_layer("stage2_maps_1").input
    assert later is model.get_layer("stage2_fields_1").input


def test_features_of_imagenet_are_the_librarys(monkeypatch):
    """Divided by 256, up to the tenth convolution; pixels are R, G, B."""
    library = applications.VGG19(include_top=False, weights=None)
    rng = np.random.default_rng(0)
    for layer in library.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            bias = rng.normal(0, 20, bias.shape)
            layer.set_weights([kernel, bias])
    monkeypatch.setattr(openpose.applications, "VGG19", lambda **_: library)
    model = built((32, 48), stages=1, filters=128, weights="imagenet")
    ours = keras.Model(model.input, model.get_layer("block4_conv2_relu").output)
    pixels = rng.integers(0, 256, (1, 32, 48, 3), "uint8")
    theirs = keras.Model(
        library.input, library.get_layer("block4_conv2").output
    )
    expected = theirs(applications.vgg19.preprocess_input(pixels * 1.0))
    expected = ops.convert_to_numpy(expected) / 256
    assert expected.max() > 0.1
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(pixels)),
        expected,
        atol=1e-4 * expected.max(),
    )
    assert all(layer.trainable for layer in model.layers)


def test_a_file_that_is_none_is_named():
    with pytest.raises(FileNotFoundError, match="vgg19_weights.* got no.h5"):
        built(filters=128, weights="no.h5")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"size": (64, 90)}, "divisible by 8, got 64 x 90"),
        ({"stages": 0}, "stages must be at least 1, got 0"),
        ({"filters": 7}, "filters must be divisible by 2, got 7"),
        ({"stride": 2}, "stride must be one of 4, 8, got 2"),
        ({"weights": "imagenet"}, "weights imagenet need 128 filters, got 8"),
    ],
)
def test_impossible_networks_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        built(**settings)


def test_a_later_stage_of_the_lightweight_network_sees_features_first():
    images = keras.Input((*SIZE, 3), dtype="uint8")
    outputs = lightweight_openpose.lightweight_openpose(
        images, 3, 2, stages=3, filters=8
    )
    model = keras.Model(images, outputs)
    assert [x.shape for x in outputs] == 3 * [(None, 8, 12, 3 + 1 + 2 * 2)]
    parts = model.get_layer("stage3_input").input
    names = [x._keras_history.operation.name for x in parts]
    before = "refinement_stages_0"
    ends = [f"{before}_heatmaps_1_0", f"{before}_pafs_1_0"]
    assert names == ["cpm_conv_0_relu", *ends]


def test_impossible_lightweight_networks_are_named():
    images = keras.Input((*SIZE, 3), dtype="uint8")
    for settings, named in (
        ({"filters": 6}, "filters must be divisible by 4, got 6"),
        ({"stages": 0}, "stages must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=named):
            lightweight_openpose.lightweight_openpose(images, 3, 2, **settings)


@pytest.mark.parametrize("stages", [0, 5])
def test_impossible_stages_of_maps_are_named(stages):
    images = keras.Input((*SIZE, 3), dtype="uint8")
    with pytest.raises(
        ValueError, match=f"map_stages must be 1 .* got {stages}"
    ):
        openpose.chained(images, 25, 26, map_stages=stages)
