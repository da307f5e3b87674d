"""CPN computes what the public code does, and its weights are imported."""

import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import layers, ops

from keras_pose import import_weights
from keras_pose.models import cascaded_pyramid as cpn
from keras_pose.models import resnet
from keras_pose.models.model import last_output, load_whole
from keras_pose.models.torch_weights import conversion, networks, sources
from keras_pose.skeletons import LSP
from tests.models import layer_tables as tables
from tests.models import numpy_networks as peers

WIDTHS, JOINTS, FILTERS = (12, 10, 8, 6), 5, 16
"""Of the ResNet's stages, coarsest first: narrow ones."""
SIZES = (2, 3), (4, 6), (8, 12), (16, 24)
CPN = next(source for source in sources.SOURCES if source.name == "cpn")


def pyramid(joints=JOINTS, **settings):
    """Of inputs in place of a ResNet."""
    features = [
        keras.Input((*size, width))
        for size, width in zip(SIZES[::-1], WIDTHS[::-1], strict=True)
    ]
    maps = cpn.cascaded_pyramid(features, joints, **settings)
    return keras.Model(features, maps)


@pytest.fixture(scope="module")
def imported():
    """A model with published names, its inputs, the peer's features."""
    rng = np.random.default_rng(1)
    coarse_first = [
        rng.normal(size=(2, width, *size))
        for size, width in zip(SIZES, WIDTHS, strict=True)
    ]
    weights = peers.Weights(tables.pyramid(JOINTS, FILTERS, WIDTHS))
    wanted = weights.fit(peers.pyramid, coarse_first)
    found, ignored = conversion.layers_of(CPN, weights.values)
    assert not ignored
    model = pyramid(filters=FILTERS)
    networks.assign(model, found)
    inputs = [np.moveaxis(x, 1, -1) for x in coarse_first[::-1]]
    return model, inputs, wanted


def worst(model, inputs, wanted):
    """Largest difference / largest value, by layer."""
    outputs = {name: model.get_layer(name).output for name in wanted}
    found = keras.Model(model.inputs, outputs)(inputs)
    return {
        name: np.abs(
            np.moveaxis(ops.convert_to_numpy(found[name]), -1, 1) - value
        ).max()
        / np.abs(value).max()
        for name, value in wanted.items()
    }


def test_every_level_computes_what_the_public_code_does(imported):
    model, inputs, wanted = imported
    differences = worst(model, inputs, wanted)
    assert max(differences.values()) <= 1e-5, differences
    maps = [value for name, value in wanted.items() if "_predict_" in name]
    assert len(maps) == len(model.outputs) == 5
    for found, value in zip(model(inputs), maps, strict=True):
        off = np.abs(np.moveaxis(ops.convert_to_numpy(found), -1, 1) - value)
        assert off.max() <= 1e-5 * np.abs(value).max()


def test_the_comparison_sees_other_corners_and_another_epsilon(
    imported, monkeypatch
):
    model, inputs, wanted = imported
    norm = model.get_layer("global_net_laterals_0_1")
    norm.epsilon = 1e-2
    assert max(worst(model, inputs, wanted).values()) > 1e-3
    norm.epsilon = 1e-5
    half_pixels = layers.UpSampling2D(2, interpolation="bilinear")
    finer = model.get_layer("global_net_upsamples_0_0")
    monkeypatch.setattr(finer, "call", half_pixels.call)
    assert worst(model, inputs, wanted)["global_net_sums_1"] > 1e-2


def test_the_maps_begin_in_units_of_our_peak():
    """The code's last scales begin at 1, and its Gaussians are 255 high."""
    model = pyramid(filters=4)
    lasts = [f"global_net_predict_{level}_5" for level in range(4)]
    for name in (*lasts, "refine_net_final_predict_2"):
        gamma = ops.convert_to_numpy(model.get_layer(name).gamma)
        np.testing.assert_allclose(gamma, 1 / 255, rtol=1e-6)


def test_global_net_alone_is_the_first_part():
    alone = pyramid(filters=8, refine=False)
    names = {layer.name for layer in pyramid(filters=8).layers}
    assert len(alone.outputs) == 4
    assert {x.name for x in alone.layers if x.weights} < names
    assert not any("refine" in layer.name for layer in alone.layers)


def test_outputs_have_gaussians_of_their_own():
    maps = pyramid(14, filters=4).outputs
    for sigma, given, wanted in (
        (1.4, None, [2.6, 2.0, 1.7, 1.4, 1.4]),
        (2.8, None, [5.2, 4.0, 3.4, 2.8, 2.8]),  # in proportion
        (1.7, (3.8, 2.9, 2.3, 1.7), [3.8, 2.9, 2.3, 1.7, 1.7]),
    ):
        outputs = cpn.pose_maps({4: maps}, LSP, sigma, given)
        made = [x._keras_history.operation for x in outputs]
        names = [layer.name for layer in made]
        assert names == ["global1", "global2", "global3", "global4", "maps"]
        codecs = [layer.codec for layer in made]
        assert [c.sigma for c in codecs] == pytest.approx(wanted)
        assert {(c.stride, c.alignment) for c in codecs} == {(4, "center")}
    alone = cpn.pose_maps({4: maps[:4]}, LSP)
    last = alone[-1]._keras_history.operation
    assert last.name == "maps" and last.codec.sigma == 1.4


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: pyramid(filters=5), "filters must be even, got 5"),
        (
            lambda: cpn.cascaded_pyramid([keras.Input((4, 4, 3))], 2),
            "features must be of 4 strides, got 1",
        ),
        (
            lambda: cpn.pose_maps({4: pyramid().outputs}, LSP, 1, (2, 1)),
            r"level_sigmas must be 4 numbers.*got \(2, 1\)",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_stages_have_their_strides_and_widths():
    images = keras.Input((64, 96, 3), dtype="uint8")
    settings = {"weights": "none", "width": 1 / 16}
    stages = resnet.resnet_stages(images, **settings)
    assert [x.shape[1:] for x in stages] == [
        *((16, 24, 16), (8, 12, 32), (4, 6, 64), (2, 3, 128)),
    ]


def test_every_tensor_of_a_checkpoint_has_a_weight_of_its_shape():
    """The graph is enough: initial values take longer than the rest."""
    table = tables.under("resnet", tables.RESNET_50) | tables.pyramid()
    zeros = {name: np.zeros(shape, "f4") for name, shape in table.items()}
    given, _ = conversion.layers_of(CPN, zeros)
    try:
        with keras.StatelessScope(initialize_variables=False):
            images = keras.Input((64, 96, 3), dtype="uint8")
            build = networks.NETWORKS[CPN.network]
            title, maps = build(CPN, images, given)
            model = keras.Model(images, maps)
            wanted = {
                (layer.name, weight.name): tuple(weight.shape)
                for layer in model.layers
                for weight in layer.weights
            }
    finally:
        keras.backend.clear_session()  # forgets the variables without values
    assert title == "CPN, ResNet-50" and len(maps) == 5
    shapes = {
        (layer, name): array.shape
        for layer, arrays in given.items()
        for name, array in arrays.items()
    }
    assert shapes == wanted


def test_a_checkpoint_becomes_a_complete_model(tmp_path, capsys, monkeypatch):
    """Here without a ResNet: in its place, four averages of the pixels."""

    def averages(images, depth, *, weights, pixels):
        x, stages = pixels(images), []
        for stride, width in zip((4, 8, 16, 32), WIDTHS[::-1], strict=True):
            y = layers.AveragePooling2D(stride)(x)
            stages.append(layers.Concatenate()([y] * (width // 2))[..., :width])
        return stages

    monkeypatch.setattr(networks.resnet, "resnet_stages", averages)
    monkeypatch.setattr(networks, "resnet_depth", lambda layers: 50)
    table = tables.pyramid(17, FILTERS, WIDTHS)
    values = {n: np.full(s, 0.01, "f4") for n, s in table.items()}
    last = "refine_net.final_predict.2"
    values[f"{last}.weight"] = np.arange(17, dtype="f4")
    file, output = tmp_path / "cpn.safetensors", tmp_path / "cpn.keras"
    module = {f"module.{name}": value for name, value in values.items()}
    safetensors.numpy.save_file(module, file)
    config = import_weights.Config(file, output, image_size=(384, 288))
    import_weights.main(config)
    said = capsys.readouterr().out
    assert "CPN, ResNet-50" in said and "GengDavid/pytorch-cpn" in said
    assert "COCO val, AP 74.1: flip test, decoding second, boxes ann" in said
    assert "--split val --decoding second --flip --flip-shift 0" in said
    whole = load_whole(output)
    codecs = whole.codecs
    sigmas = np.array([2.6, 2.0, 1.7, 1.4, 1.4]) * 1.7 / 1.4
    assert [c.sigma for c in codecs] == pytest.approx(sigmas)
    assert codecs[-1].skeleton.name == "coco"
    gamma = ops.convert_to_numpy(whole.get_layer(last.replace(".", "_")).gamma)
    np.testing.assert_allclose(gamma, np.arange(17) / 255, rtol=1e-6)
    scale = whole.get_layer("scale")
    pixel = np.array([[[255, 0, 51]]], "uint8")
    means = np.array([122.7717, 115.9465, 102.9801])
    found = ops.convert_to_numpy(scale(pixel))
    np.testing.assert_allclose(found, (pixel - means) / 255, atol=1e-6)
    assert last_output(whole).output_names == ["maps"]
