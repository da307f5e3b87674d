"""HRNet: sizes, who is fused with whom, and the same network in PyTorch."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose.models import __main__ as table
from keras_pose.models.heads import pose_maps
from keras_pose.models.hrnet import hrnet
from keras_pose.models.model import PoseModel, load_model
from keras_pose.skeletons import Skeleton

SIZE = (64, 96)
SKELETON = Skeleton("mast", ("top", "middle", "foot"))
MODULES = (1, 2, 1)
WIDTHS = (4, 8, 16, 32)


@pytest.fixture(scope="module")
def built():
    images = keras.Input((*SIZE, 3), dtype="uint8")
    maps = hrnet(images, 3, width=WIDTHS[0], modules=MODULES)
    model = PoseModel(images, pose_maps({4: [maps]}, SKELETON))
    return model, model.get_weights()


@pytest.fixture
def tiny(built):
    """As it begins, whatever another test did to it."""
    model, weights = built
    model.set_weights(weights)
    return model


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), "uint8")


@pytest.fixture
def shapes(without_values):
    """settings -> the graph without values."""

    def build(**settings):
        with without_values():
            images = keras.Input((*SIZE, 3), dtype="uint8")
            return keras.Model(images, hrnet(images, 3, width=4, **settings))

    return build


def test_the_width_of_the_laptop_has_the_parameters_of_the_authors_code():
    narrow = table.Row("W8", partial(hrnet, width=8), (128, 128), joints=17)
    assert table.count(narrow)[0] == 2_139_305


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_maps_are_read_from_the_branch_of_their_stride(stride, shapes):
    model = shapes(stride=stride, modules=(1, 1, 1))
    assert model.output.shape == (None, 64 // stride, 96 // stride, 3)
    read = model.get_layer("final_layer")
    assert read.kernel.shape == (1, 1, stride, 3)  # 4 channels at stride 4 ...
    last = {n for n in names(model) if n.startswith("stage4_0_fuse_layers")}
    branch = {4: 0, 8: 1, 16: 2, 32: 3}[stride]
    prefix = f"stage4_0_fuse_layers_{branch}_"
    assert last and all(name.startswith(prefix) for name in last)


def names(model):
    return [layer.name for layer in model.layers]


@pytest.mark.parametrize(
    ("fusion", "sums"),
    [
        # every module to each of its branches, the last to one
        ("modules", ["2_0"] * 2 + ["3_0"] * 3 + ["3_1"] * 3 + ["4_0"]),
        ("stages", ["2_0"] * 2 + ["3_1"] * 3 + ["4_0"]),
        ("last", ["4_0"]),
    ],
)
def test_fusion_is_where_it_is_wanted(fusion, sums, shapes):
    fused = [
        name.removeprefix("stage")[:3]
        for name in names(shapes(fusion=fusion, modules=MODULES))
        if "fuse_layers" in name and name.endswith("_add")
    ]
    assert sorted(fused) == sums


def test_it_begins_as_in_the_authors_code(tiny):
    for layer in tiny.layers:
        if isinstance(layer, layers.Conv2D):
            kernel = ops.convert_to_numpy(layer.kernel)
            # the deviation of n normal numbers is off by 1 / sqrt(2 n)
            off = 5 / (2 * kernel.size) ** 0.5
            assert kernel.std() == pytest.approx(0.001, rel=off)
            assert layer.use_bias == (layer.name == "final_layer")
        if isinstance(layer, layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
            assert (ops.convert_to_numpy(layer.gamma) == 1).all()
            assert not ops.convert_to_numpy(layer.beta).any()
    assert not ops.convert_to_numpy(tiny.get_layer("final_layer").bias).any()


def gradients(model, pixels):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        cost = tf.reduce_sum(model(pixels, training=True) ** 2)
    weights = model.trainable_variables
    return zip(weights, tape.gradient(cost, weights), strict=True)


def test_every_branch_gets_a_gradient(tiny, pixels):
    tiny.get_layer("final_layer").bias.assign([1.0, -1.0, 2.0])
    for weight, gradient in gradients(tiny, pixels):
        assert gradient is not None, weight.path
        assert ops.convert_to_numpy(gradient).any(), weight.path


def test_a_saved_network_gives_the_same_maps(tiny, pixels, tmp_path):
    tiny.set_weights(disturbed(tiny))
    expected = ops.convert_to_numpy(tiny(pixels))
    assert np.abs(expected).max() > 0.1
    tiny.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(loaded(pixels)), expected
    )
    assert loaded.output.shape == (None, 1, 16, 24, 3)


def disturbed(model):
    rng = np.random.default_rng(1)
    return [
        w + rng.uniform(0.1, 0.5, w.shape).astype("float32")
        if w.ndim == 1
        else w * 200
        for w in model.get_weights()
    ]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"size": (64, 80)}, "divisible by 32, got 64 x 80"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"stride": 2}, "stride must be one of .* got 2"),
        ({"fusion": "none"}, "fusion must be one of .* got 'none'"),
        ({"modules": (1, 4)}, r"modules must be three .* got \(1, 4\)"),
        ({"modules": (1, 0, 3)}, r"modules must be three .* got \(1, 0, 3\)"),
    ],
)
def test_impossible_networks_are_named(settings, named):
    settings = dict(settings)
    images = keras.Input((*settings.pop("size", SIZE), 3), dtype="uint8")
    with pytest.raises(ValueError, match=named):
        hrnet(images, 3, **settings)
