"""Published weights, imported, compute what the public networks compute."""

import json
from functools import partial

import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import layers, ops

from keras_pose import files, import_weights
from keras_pose.codecs import COCO18
from keras_pose.models.model import load_model
from keras_pose.models.torch_weights import (
    conversion,
    networks,
    published,
    sources,
)
from tests.models import layer_tables as tables
from tests.models import numpy_networks as peers

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of R, G, B in ImageNet; Microsoft's code has them on B, G, R."""
MPII_MEAN = (0.4404, 0.4440, 0.4327)
MODULES = (1, 1, 3)
"""Of HRNet's stages, fewer than published: a graph less to build."""
IMAGENET = "simple-baselines-mmpose", "hrnet-mmpose", "cpm-mmpose"
NETWORKS = {
    "simple-baselines": (
        tables.merged(tables.RESNET_50, tables.upsampling(filters=32)),
        peers.simple_baselines((3, 4, 6, 3)),
        (64, 96),
    ),
    "hrnet-mmpose": (
        tables.merged(tables.branches(4, modules=MODULES), tables.final(4)),
        partial(peers.hrnet, modules=MODULES),
        (64, 96),
    ),
    "cpm-mmpose": (tables.cpm(3, f=16), peers.cpm(3), (64, 96)),
    "hourglass-pytorch-pose": (
        tables.pytorch_pose(1),
        peers.pytorch_pose(1),
        (64, 128),
    ),
    "hourglass-princeton": (
        tables.princeton(2, f=32),
        peers.princeton(2),
        (128, 192),
    ),
    "openpose-tensorboy": (
        tables.openpose(3, f=8),
        peers.openpose(3),
        (48, 64),
    ),
    "openpose-lightweight": (
        tables.lightweight(3, f=16),
        peers.lightweight(3),
        (48, 64),
    ),
}


def seen(source, images):
    """What the source's code makes of RGB bytes: (B, C, H, W) float64."""
    x = images / 255
    if source == "simple-baselines":
        x = (x[..., ::-1] - MEAN) / DEVIATION
    elif source == "hourglass-pytorch-pose":
        x = x - MPII_MEAN
    elif source.startswith("openpose"):
        x = images[..., ::-1] / 256 - 0.5
    elif source in IMAGENET:
        x = (x - MEAN) / DEVIATION
    return np.moveaxis(x, -1, 1)


def as_published(source, values):
    """By the names in the source's files."""
    if not source.endswith("-mmpose"):
        return values
    heads = "final_layer", "deconv_layers"
    return {
        ("head." if name.startswith(heads) else "backbone.") + name: value
        for name, value in values.items()
    }


@pytest.fixture(scope="module", params=NETWORKS)
def imported(request, tmp_path_factory):
    """Source, the model that the command wrote, its features, pictures, and
    the wanted features."""
    source, folder = request.param, tmp_path_factory.mktemp("weights")
    table, network, size = NETWORKS[source]
    pictures = np.random.default_rng(1).integers(0, 256, (2, *size, 3), "uint8")
    gain = 2**0.5 if "openpose" in source else 1.0
    weights = peers.Weights(table, gain=gain)
    wanted = weights.fit(network, seen(source, pictures))
    file = folder / "published.safetensors"
    safetensors.numpy.save_file(as_published(source, weights.values), file)
    output = folder / "models" / "imported.keras"
    config = import_weights.Config(file, output, image_size=size)
    with pytest.MonkeyPatch.context() as patch:
        # saved and loaded below, of a smaller network
        patch.setattr(keras.Model, "save", lambda _, path: path.touch())
        model = import_weights.main(config)
    assert model.provenance["sha256"] == files.checksum(file)
    assert output.is_file()
    outputs = {name: model.get_layer(name).output for name in wanted}
    features = keras.Model(model.input, outputs)
    yield source, model, features, pictures, wanted
    keras.backend.clear_session()


def worst(features, pictures, wanted):
    """Largest difference / largest value, by layer."""
    found = features(pictures)
    differences = {}
    for name, value in wanted.items():
        value = np.moveaxis(value, 1, -1)
        off = np.abs(ops.convert_to_numpy(found[name]) - value)
        differences[name] = off.max() / np.abs(value).max()
    return differences


def test_every_stage_computes_what_the_public_network_does(imported):
    source, model, features, pictures, wanted = imported
    differences = worst(features, pictures, wanted)
    assert max(differences.values()) <= 1e-4, differences
    *_, maps = wanted
    result = ops.convert_to_numpy(model(pictures))[:, -1]
    off = np.abs(np.moveaxis(result, -1, 1) - wanted[maps]).max()
    assert off <= 1e-4 * np.abs(wanted[maps]).max()


def test_the_comparison_sees_epsilon_padding_colours_and_a_flipped_kernel(
    imported,
):
    source, model, features, pictures, wanted = imported
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, layers.BatchNormalization)
    ]
    for norm in norms:
        assert norm.epsilon == 1e-5
        norm.epsilon = 1e-3
    assert not norms or min(worst(features, pictures, wanted).values()) > 1e-4
    for norm in norms:
        norm.epsilon = 1e-5
    pads = [x for x in model.layers if isinstance(x, layers.ZeroPadding2D)]
    assert len(norms) + len(pads) > 10 or source == "openpose-tensorboy"
    for pad in pads[:1]:
        ((side, _), _) = before = pad.padding
        pad.padding = ((side - 1, side),) * 2  # Keras' "same" at stride 2
        assert min(worst(features, pictures, wanted).values()) > 1e-4
        pad.padding = before
    mirrored = pictures[..., ::-1]  # B, G, R
    assert min(worst(features, mirrored, wanted).values()) > 1e-4
    first = next(x for x in model.layers if isinstance(x, layers.Conv2D))
    kernel = first.get_weights()
    first.set_weights([kernel[0][::-1], *kernel[1:]])
    assert min(worst(features, pictures, wanted).values()) > 1e-4
    first.set_weights(kernel)


GEOMETRY = {
    "simple-baselines": ("coco", "corner", 2),
    "hrnet-mmpose": ("coco", "corner", 2),
    "cpm-mmpose": ("mpii", "corner", 2),
    "hourglass-pytorch-pose": ("mpii", "center", 1),
    "hourglass-princeton": ("mpii", "center", 1),
    "openpose-tensorboy": ("coco", "center", 0.875),
    "openpose-lightweight": ("coco", "center", 0.875),
}
"""Sigma is that of pictures of 256 rows; OpenPose's is so at all sizes."""


def test_the_model_knows_its_joints_and_the_geometry_of_its_cells(imported):
    source, model, *_ = imported
    codec = model.codec
    fields = "openpose" in source
    sigma = codec.sigma * (1 if fields else 256 / model.input_shape[1])
    found = codec.skeleton.name, codec.alignment, sigma
    assert found == GEOMETRY[source]
    assert codec.stride == (8 if fields or "cpm" in source else 4)
    assert codec.parts == COCO18 if fields else not codec.logits


def test_the_networks_have_the_published_numbers_of_parameters():
    def count(table):
        return sum(
            int(np.prod(shape))
            for name, shape in table.items()
            if "running" not in name
        )

    trunk = tables.RESNET_50
    assert count(tables.merged(trunk, tables.upsampling())) == 33_999_697
    hrnet = tables.merged(tables.branches(48), tables.final(48))
    assert count(hrnet) == 63_595_745
    assert count(tables.openpose()) == 52_311_446
    assert count(tables.lightweight(4)) == 7_308_964
    assert count(tables.princeton(2)) == 8_429_088
    used, _ = sources.recognise(tables.princeton(2)).sort(tables.princeton(2))
    assert count({n: tables.princeton(2)[n] for n in used}) == 6_570_400


def values(table):
    found = peers.Weights(table).values
    return {n: v**2 if "var" in n else v for n, v in found.items()}


SMALL = tables.branches(1, modules=MODULES)
TINY = values(tables.merged(SMALL, tables.final(1, 3)))
HRNET = sources.recognise(TINY)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("bn1.running_var", np.full(64, -1.0, "f4"), "not be negative, got -1"),
        ("bn1.bias", np.full(64, np.nan, "f4"), "bn1.bias must be finite"),
        ("conv1.weight", np.ones((64, 3, 3, 3), "i8"), "real numbers, got int"),
        ("head.weight", np.ones(3, "f4"), "1 others: head.weight"),
    ],
)
def test_tensors_that_no_network_can_have_are_named(name, value, named):
    with pytest.raises(ValueError, match=named):
        conversion.layers_of(HRNET, TINY | {name: value})


def test_half_precision_is_read_as_single():
    halves = {name: value.astype("float16") for name, value in TINY.items()}
    found, _ = conversion.layers_of(HRNET, halves)
    kernel = found["conv1"]["kernel"]
    assert kernel.dtype == "float32" and kernel.shape == (3, 3, 3, 64)
    wanted = halves["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, wanted)


def test_every_weight_is_assigned_once_and_every_value_used():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(2, 1, use_bias=False, name="conv")(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(x))
    before = model.get_weights()
    kernel = np.full((1, 1, 3, 2), 3.0, "f4")
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    given = {
        "conv": {"kernel": kernel},
        "norm": {name: np.full(2, n, "f4") for n, name in enumerate(norm)},
    }
    for changed, named in (
        ({"conv": {}}, "lack 1: conv/kernel"),
        ({"conv": given["conv"] | {"bias": kernel}}, "beside .* 1: conv/bias"),
        ({"more": {"kernel": kernel}}, "have, beside .* 1: more/kernel"),
        (
            {"conv": {"kernel": kernel[..., :1]}},
            r"conv/kernel must be \(1, 1, 3, 2\), got \(1, 1, 3, 1\)",
        ),
    ):
        with pytest.raises(ValueError, match=named):
            networks.assign(model, given | changed)
        for one, other in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    networks.assign(model, given)
    assert [w.ravel()[0] for w in model.get_weights()] == [3, 0, 1, 2, 3]


def refused(tmp_path, tensors, named, **settings):
    file = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file(tensors, file)
    output = tmp_path / "model.keras"
    settings = {"weights": file, "output": output} | settings
    with pytest.raises(ValueError, match=named):
        import_weights.main(import_weights.Config(**settings))
    assert not output.exists()


def test_what_cannot_be_imported_is_said(tmp_path):
    def say(named, tensors=TINY, **settings):
        refused(tmp_path, tensors, named, **settings)

    say("published skeleton: name their joints with --skeleton")
    say("--skeleton must be one of mpii.*got cat", skeleton="cat")
    say("coco has 17 joints, but the weights are for 3", skeleton="coco")
    say("with both orders of colours, these are of hrnet", channels="bgr")
    say("output must be a .keras file", output=tmp_path / "model.h5")
    say(
        "weights.safetensors: weights must be of .* other names",
        {"x": TINY["bn1.bias"]},
    )
    backbone = values(tables.branches(1, 4, MODULES))
    backbone |= {"classifier.weight": np.zeros((2, 3), "f4")}
    say("classify pictures: --initial-weights", backbone)
    deeper = {
        n.replace("hg.0.hg.0.0.0", "hg.0.hg.0.0.1"): v
        for n, v in values(tables.pytorch_pose(1)).items()
    }
    say(r"has a hg\.0\.hg\.0\.0\.1", deeper)


def test_a_known_file_brings_its_size_and_cells_and_says_how_it_was_tested(
    tmp_path, capsys, monkeypatch
):
    row = published.Published(
        name="tiny_best",
        network="Hourglass, 1 stack",
        size=(64, 128),
        score=91.5,
        source="hourglass-princeton",
        place="someone/pose",
        licence="MIT",
        data="MPII",
        measure="PCKh@0.5",
        protocol="pckh",
        skeleton="mpii",
        flip_shift=1,
        alignment="udp",
    )
    monkeypatch.setattr(published, "PUBLISHED", (row,))
    file, output = tmp_path / "tiny_best.pth", tmp_path / "new" / "tiny.keras"
    table = tables.princeton(1, f=16)
    tensors = values(table) | {"pre.0.bn.num_batches_tracked": np.array(7)}
    safetensors.numpy.save_file(tensors, file)
    import_weights.main(import_weights.Config(file, output))
    said = capsys.readouterr().out
    model = load_model(output)
    assert model.input_shape == (None, 64, 128, 3)
    assert model.codec.alignment == "udp" and model.codec.sigma == 64 / 256
    facts = json.loads(output.with_suffix(".json").read_text())
    left = facts.pop("left_out")
    assert facts == model.provenance
    assert facts["trained_on"] == ["MPII"] and facts["licence"] == "MIT"
    assert facts["sha256"] in said and "hourglass-princeton" in said
    dead = [name for name in table if tables.dead(name, table)]
    assert {*left} == {*dead, "pre.0.bn.num_batches_tracked"}
    assert f"{len(dead)}, shortcut whose widths agree" in said
    assert "This is tiny_best: MPII val, PCKh@0.5 91.5" in said
    wanted = "--split val --decoding quarter --flip --flip-shift 1"
    (test,) = [published["test"] for published in facts["published"]]
    assert test.startswith(wanted) and test in said.splitlines()[-1]
    assert f"{facts['parameters']:,} parameters" in said


def test_a_resnet_of_mmpose_takes_rgb():
    table = tables.merged(tables.RESNET_50, tables.upsampling())
    tensors = {name: np.zeros(shape, "f4") for name, shape in table.items()}
    tensors["conv1.weight"][:, 0] = 1  # the first channel
    for source, first in (
        ("simple-baselines", 2),
        ("simple-baselines-mmpose", 0),
    ):
        given = as_published(source, tensors)
        assert sources.recognise(given).name == source
        found, _ = conversion.layers_of(sources.recognise(given), given)
        kernel = found["conv1_conv"]["kernel"]
        assert kernel[:, :, first].all() and kernel.sum() == 49 * 64


def test_the_numpy_networks_have_the_layers_of_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 8))
    there = torch.from_numpy(x)

    def same(found, wanted):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)

    for kernel, stride in ((1, 1), (1, 2), (3, 1), (3, 2), (7, 2)):
        weights = peers.Weights(tables.under("a", tables.conv(3, 4, kernel)))
        given = [torch.from_numpy(v).double() for v in weights.values.values()]
        wanted = functional.conv2d(there, *given, stride, kernel // 2)
        same(weights.conv("a", x, stride), wanted)
    for kernel, padding, more in ((4, 1, 0), (3, 1, 1), (2, 0, 0)):
        weights = peers.Weights({"a.weight": (3, 4, kernel, kernel)})
        given = torch.from_numpy(weights.values["a.weight"]).double()
        wanted = functional.conv_transpose2d(
            there, given, None, 2, padding, more
        )
        same(weights.deconv("a", x), wanted)
    same(peers.pool(x), functional.max_pool2d(there, 2, 2))
    same(peers.pool(x, 3, 1), functional.max_pool2d(there, 3, 2, 1))
    same(peers.repeat(x), functional.interpolate(there, scale_factor=2))
    weights = peers.Weights(tables.under("a", tables.norm(3)))
    weights.norm("a", x)
    weights.fitted = True
    order = "running_mean", "running_var", "weight", "bias"
    given = [torch.from_numpy(weights.values[f"a.{n}"]).double() for n in order]
    same(weights.norm("a", x), functional.batch_norm(there, *given))
