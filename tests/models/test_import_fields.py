"""Published part affinity fields, imported, lie at our limbs' places."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import ops

from keras_pose import import_weights, load_model
from keras_pose.codecs import COCO18
from keras_pose.models.torch_weights import (
    conversion,
    fields,
    networks,
    sources,
)
from keras_pose.skeletons import COCO
from tests.models import layer_tables as tables
from tests.models import numpy_networks as peers

SIZE = (48, 64)
PICTURES = np.random.default_rng(2).integers(0, 256, (2, *SIZE, 3), "uint8")
STAGES = 3
NETWORKS = {
    "openpose-tensorboy": (tables.openpose(STAGES, f=8), peers.openpose),
    "openpose-lightweight": (
        tables.lightweight(STAGES, f=16),
        peers.lightweight,
    ),
}
LAST = {
    "openpose-tensorboy": (
        ("model1_2.8", "model2_2.12", "model3_2.12"),
        ("model1_1.8", "model2_1.12", "model3_1.12"),
    ),
    "openpose-lightweight": tuple(
        (
            f"initial_stage.{branch}.1.0",
            f"refinement_stages.0.{branch}.1.0",
            f"refinement_stages.1.{branch}.1.0",
        )
        for branch in ("heatmaps", "pafs")
    ),
}
"""Modules that make maps, and fields, of each stage."""
FILE_LIMBS = (
    *("neck right_hip", "right_hip right_knee", "right_knee right_ankle"),
    *("neck left_hip", "left_hip left_knee", "left_knee left_ankle"),
    *("neck right_shoulder", "right_shoulder right_elbow"),
    *("right_elbow right_wrist", "right_shoulder right_ear"),
    *("neck left_shoulder", "left_shoulder left_elbow"),
    *("left_elbow left_wrist", "left_shoulder left_ear"),
    *("neck nose", "nose right_eye", "nose left_eye"),
    *("right_eye right_ear", "left_eye left_ear"),
)
"""As tensorboy's evaluation code describes its channels, two for each."""


def made(name):
    """Source, tensors, and what the public network makes of PICTURES:
    (B, S, h, w, C)."""
    table, network = NETWORKS[name]
    weights = peers.Weights(table, gain=2**0.5)
    pixels = np.moveaxis(PICTURES[..., ::-1] / 256 - 0.5, -1, 1)
    features = weights.fit(network(STAGES), pixels)
    stages = [features[f"stage{t}"] for t in range(1, STAGES + 1)]
    source = sources.recognise(weights.values)
    assert source.name == name
    return source, weights.values, np.moveaxis(np.stack(stages, 1), 2, -1)


@pytest.fixture(scope="module", params=NETWORKS)
def public(request):
    yield made(request.param)
    keras.backend.clear_session()


def outputs(source, tensors, pictures=PICTURES, stages=None):
    """(B, S, h, w, C) of the imported network."""
    layers, _ = conversion.layers_of(source, tensors, stages)
    model, _ = networks.build(source, layers, COCO, SIZE)
    return ops.convert_to_numpy(model(pictures))


def worst(found, wanted):
    """Largest difference / largest value of each stage."""
    assert found.shape == wanted.shape
    off = np.abs(found - wanted).max(axis=(0, 2, 3, 4))
    return off / np.abs(wanted).max(axis=(0, 2, 3, 4))


@pytest.mark.parametrize("name", NETWORKS)
def test_constants_known_by_limb_lie_at_our_limbs_place(name):
    table, _ = NETWORKS[name]
    tensors = {n: np.zeros(shape, "f4") for n, shape in table.items()}
    limbs = np.arange(1, 20, dtype="f4")
    for stage, (maps, vectors) in enumerate(zip(*LAST[name], strict=True)):
        tensors[f"{maps}.bias"][:] = np.arange(19) + 100 * stage
        tensors[f"{vectors}.bias"][0::2] = limbs + 100 * stage
        tensors[f"{vectors}.bias"][1::2] = -limbs
    found = outputs(sources.recognise(tensors), tensors)
    assert found.shape == (2, STAGES, 6, 8, 19 + 38)
    for stage in range(STAGES):
        values = found[1, stage, 2, 5]
        np.testing.assert_array_equal(
            values[:19], np.arange(19) + 100 * stage
        )  # the last is the background
        for place, limb in enumerate(COCO18.limbs):
            number = 1 + FILE_LIMBS.index(" ".join(limb))
            x, y = values[19 + 2 * place :][:2]
            assert (x, y) == (number + 100 * stage, -number), limb
    keras.backend.clear_session()


def test_every_stage_is_the_public_networks_and_no_other(public, monkeypatch):
    source, tensors, wanted = public
    assert worst(outputs(source, tensors), wanted).max() <= 1e-4
    rgb = outputs(source, tensors, PICTURES[..., ::-1])
    assert worst(rgb, wanted).min() > 1e-3
    first, second, *others = source.limbs
    swapped = replace(source, limbs=(second, first, *others))
    assert worst(outputs(swapped, tensors), wanted).min() > 1e-3
    # fields made in our order, and seen in the file's
    monkeypatch.setattr(fields, "SEES", {})
    first, *later = worst(outputs(source, tensors), wanted)
    assert first <= 1e-4 and min(later) > 1e-3


def test_later_stages_are_left_out_by_rule(public):
    source, tensors, wanted = public
    found = outputs(source, tensors, stages=2)
    assert worst(found, wanted[:, :2]).max() <= 1e-4
    _, left = conversion.layers_of(source, tensors, 2)
    third = ("model3_", "refinement_stages.1.")
    assert set(left) == {name for name in tensors if name.startswith(third)}
    assert set(left.values()) == {"stages after the first 2"}
    for stages in (0, 4):
        with pytest.raises(ValueError, match=f"stages .* 1 to 3.*got {stages}"):
            conversion.layers_of(source, tensors, stages)


def test_other_networks_have_no_stages_to_leave_out():
    table = tables.merged(tables.branches(1), tables.final(1))
    tensors = {n: np.ones(shape, "f4") for n, shape in table.items()}
    with pytest.raises(ValueError, match="only OpenPose's .* are of hrnet"):
        conversion.layers_of(sources.recognise(tensors), tensors, 2)


def test_weights_trained_by_tensorboys_code_take_rgb_as_a_resnet_does():
    source, tensors, _ = made("openpose-tensorboy")
    weights = peers.Weights({})
    weights.values = tensors
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = np.moveaxis((PICTURES / 255 - mean) / deviation, -1, 1)
    wanted = np.moveaxis(peers.openpose(1)(weights, pixels)["stage1"], 1, -1)
    found = outputs(source.with_channels("rgb"), tensors, stages=1)
    assert worst(found, wanted[:, None]).max() <= 1e-4
    keras.backend.clear_session()


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("openpose-tensorboy", "model2_1.12.bias"),
        ("openpose-tensorboy", "model1_1.8.weight"),
        (
            "openpose-lightweight",
            "refinement_stages.0.trunk.0.initial.0.weight",
        ),
    ],
)
def test_another_number_of_limbs_is_named(name, tensor):
    table, _ = NETWORKS[name]
    tensors = {n: np.zeros(shape, "f4") for n, shape in table.items()}
    source = sources.recognise(tensors)
    cut = tensors[tensor][:28]  # MPI's
    tensors[tensor] = cut if cut.ndim == 1 or "_1" in tensor else cut[:, :28]
    with pytest.raises(ValueError, match="must have 38 channels .*got 28"):
        conversion.layers_of(source, tensors)


def test_a_known_file_keeps_the_stages_of_its_score_and_reads_a_photograph(
    tmp_path, capsys
):
    """The file has one stage more."""
    name = "openpose-lightweight"
    _, tensors, wanted = made(name)
    file = tmp_path / "checkpoint_iter_370000.pth"
    safetensors.numpy.save_file(tensors, file)
    output = tmp_path / "light.keras"
    config = import_weights.Config(file, output, image_size=SIZE)
    import_weights.main(config)
    said = capsys.readouterr().out
    assert "This is checkpoint_iter_370000: COCO val, AP 40: without" in said
    assert "stages after the first 2" in said
    assert said.splitlines()[-1].endswith(
        "--data DIR --split val --protocol oks"
    )
    facts = json.loads(output.with_suffix(".json").read_text())
    assert facts["network"] == "Lightweight OpenPose, 2 stages"
    assert facts["licence"] == "Apache-2.0" and facts["channels"] == "bgr"
    assert facts["sha256"] in said
    estimator = load_model(output)
    poses = estimator.predict_photo(np.full((60, 50, 3), 128, "uint8"))
    assert poses.joints.shape[1:] == (17, 2)
    import_weights.main(replace(config, stages=3))
    assert "COCO: no published score" in capsys.readouterr().out
    keras.backend.clear_session()
