"""Every reproduction cites its source and runs from data to export."""

import dataclasses
import importlib
import json
import pkgutil
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from keras import layers

import reproductions
from keras_pose import export
from keras_pose.data.augment import Augmentation, draw
from keras_pose.models.convolution import convolution
from keras_pose.report import charts, pictures
from reproductions import flow
from tfrecords.crops import CONTEXT

NEWELLS = (2**-0.5, 2**0.5), 60, 0.6, 0.4
"""Least and greatest zoom, largest angle, share of rotated samples and half the
range of the gains: Newell's code, 60 % as in its PyTorch ports."""
AUGMENTATIONS = {
    "cascaded_pyramid": ((0.7, 1.3), 45, 0.5, 0.2),  # pytorch-cpn's code
    "convolutional_pose_machines": ((0.7, 1.3), 40, 1, 0),  # authors' code
    "efficient_localization": ((0.5, 1.5), 20, 1, 0),  # ranges, no code
    "deep_pose": ((1, 1), 0, 0, 0),  # translation and mirroring alone
    "hrnet": ((0.75, 1.25), 60, 0.6, 0),  # code, MPII
    "hsm_loss": NEWELLS,  # section IV-A: "follows" it
    "integral_regression": ((0.75, 1.25), 60, 0.6, 0.2),  # code
    "multi_scale_stacked_hourglass": NEWELLS,  # section 5.1.3
    "multi_scale_structure_aware": ((0.75, 1.25), 30, 1, 0.4),  # section 4.1
    "openpose": ((0.7, 1.3), 40, 1, 0),  # code's angles; ours of zooms
    "resnet_fcn": ((0.75, 1.25), 30, 1, 0),  # section 3
    "simple_baselines": ((0.75, 1.25), 60, 0.6, 0),  # code, MPII
}
NAMES = sorted(
    {m.name for m in pkgutil.iter_modules(reproductions.__path__)}
    - {"flow", "fine_tuning", "lecture"}
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Folder of the people that a run without --data draws for itself."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = flow.synthetic.Config
        alone = partial(config, workers=1)  # others would import TensorFlow
        patch.setattr(flow.synthetic, "Config", alone)
        patch.setattr(flow, "SMOKE", {"train": 8, "val": 6, "test": 0})
        flow.open_data(None, smoke=True)
        few = {"size": (48, 64), "people": (1, 2), "crowd_index": (0, 0.1)}
        few = partial(flow.crowds.Config, workers=1, **few)
        patch.setattr(flow.crowds, "Config", few)
        flow.open_data(None, smoke=True, whole=True)
    return folder / flow.DRAWN.parent


@pytest.fixture
def shallow(without_hourglasses):
    with without_hourglasses():
        yield


def one_layer(images, depth, *, weights, width):
    """Stands in for `resnet.resnet_features`."""
    x = layers.Rescaling(1 / 255)(images)
    return layers.Conv2D(64, 32, 32, activation="relu")(x)


def four_layers(images, depth, *, pixels, **settings):
    """Stands in for `resnet.resnet_stages`."""
    x = layers.Conv2D(8, 4, 4, activation="relu")(pixels(images))
    return [x, *(layers.AveragePooling2D(n)(x) for n in (2, 4, 8))]


def one_convolution(x, filters, name):
    """Stands in for a block of several."""
    return convolution(x, filters, 1, f"{name}_all")


def traced(module, path, signatures):
    """In place of a saved graph of all signatures: one, of the network."""
    signatures["images"].get_concrete_function()
    Path(path).mkdir()


def undrawn(figure, title):
    """In place of a chart's lines, which are no paper's own: its title."""
    assert figure.axes
    return f"<svg><title>{title}</title></svg>"


@pytest.mark.parametrize("name", NAMES)
def test_paper_trains_reports_and_exports(
    name, drawn, tmp_path, monkeypatch, eagerly, request
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data").symlink_to(drawn)
    paper = importlib.import_module(f"reproductions.{name}")
    for part in ("New here", "Run ", "Reported", "Measured", "Departs"):
        assert part in paper.__doc__
    assert f"python -m reproductions.{name}" in paper.__doc__
    assert re.search(r'"[A-Z].+"', paper.__doc__), "the paper's title"
    fields = {field.name for field in dataclasses.fields(paper.Config)}
    small = {"stacks": 1, "stages": 2, "filters": 8, "window": 16}
    small |= {"batch_size": 8, "width": 1 / 16, "block": "residual"}
    if name == "integral_regression":
        small["method"] = "integral_maps"
    # Networks are in tests/models; these are quicker to trace.
    if name == "resnet_fcn":  # the others have no layer of a ResNet
        request.getfixturevalue("few_blocks")
    if name in ("integral_regression", "simple_baselines"):
        monkeypatch.setattr(paper.resnet, "resnet_features", one_layer)
    if name == "cascaded_pyramid":
        monkeypatch.setattr(paper.resnet, "resnet_stages", four_layers)
        network = paper.cascaded_pyramid
        monkeypatch.setattr(network, "_bottleneck", one_convolution)
    if name == "multi_scale_stacked_hourglass":
        monkeypatch.setattr(paper.hourglass, "residual", one_convolution)
    if name == "multi_scale_structure_aware":
        # three stages: reproductions/test_multi_scale_structure_aware.py
        small["method"] = "mss"
        request.getfixturevalue("shallow")
    if name in ("hrnet", "hsm_loss", "openpose"):
        two_layers = request.getfixturevalue("two_layers")
        settings = {"stacks": 1, "filters": 8, "bias": 0.0}
        if name in ("hsm_loss", "openpose"):
            monkeypatch.setattr(
                paper.hourglass, "stacked_hourglass", two_layers
            )
        else:
            monkeypatch.setattr(
                paper.hrnet,
                "hrnet",
                lambda images, joints, **_: two_layers(
                    images, joints, **settings
                )[0],
            )
    monkeypatch.setattr(pictures, "PICTURE", 64)
    if name not in ("hsm_loss", "integral_regression"):  # one of each kind
        monkeypatch.setattr(export.tf.saved_model, "save", traced)
        monkeypatch.setattr(charts, "svg", undrawn)
    config = dataclasses.replace(
        paper.Config(),
        smoke=True,
        image_size=(64, 64),
        sigma=1.25,
        **{k: v for k, v in small.items() if k in fields},
    )
    with eagerly():
        history = paper.main(config)
    assert np.isfinite(history["loss"]).all()
    (run,) = [p for p in (tmp_path / "runs").iterdir() if p.name != "data"]
    written = {path.name for path in run.iterdir()}
    assert written >= {
        *("best.keras", "history.csv", "report.html", "results.json"),
        *("run.json", "table.csv", "predictions.npz", "saved_model"),
        "SHA256SUMS",  # it is finished
    }
    assert ("windows.png" in written) == (name == "efficient_localization")
    assert (name == "deep_pose") == ("cascade.png" in written)
    header = json.loads((run / "predictions-header.json").read_text())
    assert header["trained_on"] == ["drawn people"]
    assert "warning" not in header  # these people are drawn as well
    serving = json.loads((run / "saved_model" / "serving.json").read_text())
    assert serving["provenance"]["trained_on"] == ["drawn people"]
    assert "drawn people only" in serving["warning"]
    outputs = serving["outputs"]  # decoding knows what was trained
    if name == "integral_regression":
        assert outputs["codec"] == "Expectation" and outputs["beta"] == 10
    else:
        assert outputs["sigma"] == 1.25


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_help_text(name):
    paper = importlib.import_module(f"reproductions.{name}")
    for preset in paper.Config.PRESETS.values():
        fields = {f.name: f for f in dataclasses.fields(paper.Config)}
        assert preset.keys() <= fields.keys()
        assert all(fields[key].default is None for key in preset)


def resolved(name, **settings):
    paper = importlib.import_module(f"reproductions.{name}")
    return dataclasses.replace(paper.Config(), **settings).resolved()[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_paper_augments_as_its_text_or_code_says(name):
    config = resolved(name, preset="paper")
    many = 20_000
    found = draw(Augmentation.from_config(config), many, 0, 0)
    found = {key: value.numpy() for key, value in found.items()}
    zooms, degrees, share, color = AUGMENTATIONS[name]
    zoom, turned = found["zoom"], np.degrees(found["angle"])
    assert (zoom.min(), zoom.max()) == pytest.approx(zooms, rel=1e-3)
    assert np.abs(turned).max() == pytest.approx(degrees, rel=1e-3)
    deviation = (share * (1 - share) / many) ** 0.5
    assert abs((turned != 0).mean() - share) <= 4 * deviation
    assert abs(found["flip"].mean() - 0.5) < 4 * (0.25 / many) ** 0.5
    assert np.abs(found["gain"] - 1).max() == pytest.approx(color, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_augmentation_is_turned_off_by_flags(name):
    off = {"rotation": 0.0, "zoom": 0.0, "flip_chance": 0.0, "color": 0.0}
    config = resolved(name, preset="paper", **off)
    found = draw(Augmentation.from_config(config), 99, 0, 0)
    assert not np.any(found["angle"]) and not np.any(found["flip"])
    assert np.all(found["zoom"] == 1) and np.all(found["gain"] == 1)


@pytest.mark.parametrize("name", NAMES)
def test_records_hold_every_papers_strongest_sample(name):
    settings = [{"preset": "paper"}, {"preset": "laptop"}]
    coco = {  # their commands for COCO
        "hrnet": {"rotation": 45.0, "zoom": 0.35, "half_body": 0.3},
        "simple_baselines": {"rotation": 40.0, "zoom": 0.3},
    }
    if name in coco:
        sizes = {"preset": "paper", "image_size": (256, 192)}
        settings.append(sizes | coco[name])
    for each in settings:
        config = resolved(name, **each)
        shown = Augmentation.from_config(config).context(config.image_size)
        assert 1 < shown <= CONTEXT * (1 + 1e-9)
