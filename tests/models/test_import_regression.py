"""Published regression, imported, places joints where mmpose does.

The trunk is that of Simple Baselines (test_import_weights): here one
convolution stands in for it.
"""

import json

import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import layers, ops

from keras_pose import import_weights
from keras_pose.models import weights as stored
from keras_pose.models.model import load_model
from keras_pose.models.torch_weights import networks, published
from tests.models import layer_tables as tables
from tests.models import numpy_networks as peers

SIZE = (64, 96)
TRUNK = {"backbone.layer4.0.conv1.weight": (2048, 3, 32, 32)}
PICTURES = np.random.default_rng(1).integers(0, 256, (2, *SIZE, 3), "uint8")


def stand_in(images, depth, **_):
    x = layers.Rescaling(1 / 255)(images)
    name = "conv5_block1_1_conv"
    return layers.Conv2D(2048, 32, 32, use_bias=False, name=name)(x)


@pytest.fixture(autouse=True)
def one_layer(monkeypatch):
    monkeypatch.setattr(networks.resnet, "resnet_features", stand_in)
    monkeypatch.setattr(networks, "resnet_depth", lambda _: 50)


def features(weights):
    """(B, 2048, 2, 3) of PICTURES, float64."""
    cells = (PICTURES / 255).reshape(2, 2, 32, 3, 32, 3)
    (kernel,) = (weights.values[name].astype("float64") for name in TRUNK)
    return np.einsum("bhywxc,ocyx->bohw", cells, kernel)


def imported(tmp_path, tensors, **settings):
    """Joints (B, K, 2) in pixels, and the model that the command wrote."""
    file = tmp_path / "ours.safetensors"
    safetensors.numpy.save_file(tensors, file)
    output = tmp_path / "model.keras"
    config = import_weights.Config(file, output, image_size=SIZE, **settings)
    import_weights.main(config)
    model = load_model(output)
    seen = model.codec.seen(model.predict(PICTURES, verbose=0))
    return ops.convert_to_numpy(model.codec.joints(seen)[0]), model


def mmpose_integral(maps, beta=1.0, debias=False):
    """Its head on maps (B, K, h, w), in pixels of the input."""
    b, k, h, w = maps.shape
    shares = np.exp(beta * (maps - maps.max((2, 3), keepdims=True)))
    shares /= shares.sum((2, 3), keepdims=True)
    x = (shares * (np.arange(w) / w)).sum((2, 3))
    y = (shares * (np.arange(h) / h)[:, None]).sum((2, 3))
    points = np.stack([x, y], axis=-1)
    if debias:
        c = np.exp(maps).sum((2, 3))[..., None]
        points = c / (c - 1) * (points - 1 / (2 * c))
    return points * SIZE[::-1]


HEAD = tables.upsampling(filters=8)


def deconvolved(head=HEAD):
    """Random weights by mmpose's names, and the maps that they make."""
    weights = peers.Weights(tables.merged(TRUNK, head))
    weights.values["final_layer.weight"] *= 4  # peaks
    weights.values["final_layer.bias"] -= 4  # of little mass: C is small

    def network(weights, x):
        for step in (0, 3, 6):
            x = weights.deconv(f"deconv_layers.{step}", x)
            x = peers.relu(weights.norm(f"deconv_layers.{step + 1}", x))
        return weights.conv("final_layer", x)

    maps = weights.fit(network, features(weights))
    return weights.values, maps


def named(values, before):
    """By the names of a file of mmpose's."""
    return {n if n in TRUNK else before + n: v for n, v in values.items()}


@pytest.mark.parametrize("debias", [False, True])
def test_integral_regression_places_joints_where_mmpose_does(tmp_path, debias):
    values, maps = deconvolved()
    tensors = named(values, "head.simplebaseline_head.")
    settings = {"beta": 3.0, "debias": True} if debias else {}
    found, model = imported(tmp_path, tensors, **settings)
    wanted = mmpose_integral(maps, **settings)
    if debias:
        assert np.abs(mmpose_integral(maps, 3.0) - wanted).max() > 1
        # the middle of 16 and 24 cells, there half a cell (2 pixels) further
        mass = np.exp(maps).sum((2, 3))
        assert 1 < mass.min() < 10
        each = 2 / (mass - 1)
        wanted = wanted + each[..., None]
    np.testing.assert_allclose(found, wanted, atol=1e-4 * SIZE[1])
    assert np.ptp(wanted, axis=(0, 1)).min() > 8  # they are not in one place
    assert model.codec.alignment == "corner"
    assert model.provenance["source"] == "integral-mmpose"


def test_integral_regression_in_space_places_joints_where_the_authors_do(
    tmp_path, monkeypatch, capsys
):
    """softmax_integral_tensor: a softmax over the whole volume, summed up."""
    depth, joints = 5, 18
    head = tables.upsampling(joints * depth, filters=8)
    values, maps = deconvolved(head)
    renamed = tables.volume({n: n for n in head})
    tensors = {new: values[old] for new, old in renamed.items()}
    tensors |= {name: values[name] for name in TRUNK}
    found, model = imported(tmp_path, tensors)
    b, _, h, w = maps.shape
    shares = maps.reshape(b, joints, -1)
    shares = np.exp(shares - shares.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    shares = shares.reshape(b, joints, depth, h, w)
    x = (shares.sum((2, 3)) * np.arange(w)).sum(-1) / w
    y = (shares.sum((2, 4)) * np.arange(h)).sum(-1) / h
    wanted = np.stack([x, y], axis=-1) * SIZE[::-1]
    np.testing.assert_allclose(found, wanted, atol=1e-4 * SIZE[1])
    assert np.ptp(wanted, axis=(0, 1)).min() > 8
    # one map in depth alone places them elsewhere
    front = maps.reshape(b, joints, depth, h, w)[:, :, 0]
    assert np.abs(mmpose_integral(front) - wanted).max() > 2
    assert model.codec.skeleton.name == "human36m"
    assert "Integral regression in space, ResNet-50" in capsys.readouterr().out
    # a published file, whose score is a distance in space, repeats no test
    row = published.find("integral")[0]
    monkeypatch.setattr(
        published.Published, "is_file", lambda self, *_: self is row
    )
    imported(tmp_path, tensors)
    said = capsys.readouterr().out
    assert f"This is {row.name}: {row.data}: no published score" in said
    assert "as it was tested" not in said


def test_direct_regression_places_joints_where_mmpose_does(tmp_path, capsys):
    table = tables.merged(TRUNK, tables.regression(17))
    weights = peers.Weights(table)
    tensors = named(weights.values, "keypoint_head.")
    found, model = imported(tmp_path, tensors)
    pooled = features(weights).mean((2, 3))
    wanted = pooled @ weights.values["fc.weight"].T + weights.values["fc.bias"]
    wanted = wanted.reshape(2, 17, 2) * SIZE[::-1]  # x / W, y / H
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    said = capsys.readouterr().out
    assert "Direct regression, ResNet-50" in said and "Coordinates" in said
    facts = json.loads((tmp_path / "model.json").read_text())
    assert facts["outputs"] == "Coordinates" and facts["alignment"] is None
    # a training starts from it half a pixel off: it does not know the size
    layers, _ = stored.read(tmp_path / "ours.safetensors")
    off = layers["head_points"]["bias"] - model.get_layer("head_points").bias
    half = [-0.5 / SIZE[1], -0.5 / SIZE[0]] * 17
    np.testing.assert_allclose(off, half, atol=1e-6)


def test_a_debiased_file_is_known(tmp_path, monkeypatch):
    row = published.find("integral-mmpose")[2]
    assert row.debias
    monkeypatch.setattr(
        published.Published, "is_file", lambda self, *_: self is row
    )
    values, _ = deconvolved()
    tensors = named(values, "head.simplebaseline_head.")
    _, model = imported(tmp_path, tensors)
    codec = model.codec
    assert (codec.beta, codec.debias, codec.background) == (10, True, "one")
    assert codec.alignment == "corner"
    (test,) = [each["test"] for each in model.provenance["published"]]
    assert test == "--split detected --flip --protocol oks"


def test_a_setting_that_the_outputs_have_not_is_refused(tmp_path):
    table = tables.merged(TRUNK, tables.regression(17))
    tensors = named(peers.Weights(table).values, "head.")
    for settings, words in (
        ({"sigma": 2.0}, "sigma is no setting of Coordinates, .*deeppose"),
        ({"debias": True}, "debias is no setting of Coordinates"),
        ({"skeleton": "mpii"}, "mpii has 16 joints, but .* are for 17"),
    ):
        with pytest.raises(ValueError, match=words):
            imported(tmp_path, tensors, **settings)
    keras.backend.clear_session()
