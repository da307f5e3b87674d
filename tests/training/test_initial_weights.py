"""Fine-tuning: what is taken from a file, what is trained, and how fast."""

import contextlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from safetensors.numpy import save_file

from keras_pose import files, provenance, skeletons, training
from keras_pose.models import weights
from keras_pose.training import folder, initial, stages
from reproductions import (
    cascaded_pyramid,
    flow,
    hsm_loss,
    multi_scale_structure_aware,
    simple_baselines,
)
from tfrecords import synthetic


def dense(**units):
    """A model of dense layers in a row, by name; "norm..." normalises."""
    x = inputs = keras.Input((2,))
    for name, count in units.items():
        if name.startswith("norm"):
            x = layers.BatchNormalization(name=name)(x)
        else:
            x = layers.Dense(count, bias_initializer="normal", name=name)(x)
    return keras.Model(inputs, x)


def by_layer(model):
    """{layer: its weights}, of layers that have some."""
    found = {layer.name: layer.get_weights() for layer in model.layers}
    return {name: arrays for name, arrays in found.items() if arrays}


def check_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_layer_is_taken_as_a_whole_by_its_name_or_not_at_all():
    source = by_layer(dense(first=3, norm=3, second=5, third=4, spare=2))
    model = dense(first=3, norm=3, fresh=5, second=4, third=4)
    source["third"] = source["third"][:1]  # its bias is missing
    before = by_layer(model)
    taken = initial.take(model, source, "a.keras")
    assert taken.layers == ["first", "norm"]
    assert taken.left == {
        "fresh": "not in the file",
        "second": "kernel is 5 x 4, in the file 3 x 5",
        "third": "kernel is 4 x 4, in the file 5 x 4",
    }
    assert taken.unused == ["second", "third", "spare"]
    after = by_layer(model)
    for name in model.layers[1:]:
        own = source if name.name in taken.layers else before
        check_same(after[name.name], own[name.name])
    lines = taken.describe("a.keras").splitlines()
    assert lines[0] == "a.keras: took 2 of 5 layers"
    assert lines[1] == "  fresh not taken: not in the file"
    assert lines[-1] == "  layers of the file not used: 3"


def test_weights_that_have_names_are_taken_by_them():
    model = dense(norm=2)
    given = {
        name: np.full(2, value, "float32")
        for value, name in enumerate(
            ["moving_variance", "gamma", "moving_mean", "beta"]
        )
    }
    initial.take(model, {"norm": given}, "a.pth")
    norm = model.get_layer("norm")
    for name, array in given.items():
        np.testing.assert_array_equal(getattr(norm, name), array)
    with pytest.raises(ValueError, match="norm: running is absent, in the"):
        initial.take(model, {"norm": given | {"running": given["beta"]}}, "a")


def test_a_file_without_a_layer_that_fits_is_an_error():
    model, other = dense(first=3, last=4), dense(second=3, last=4, third=1)
    initial.take(model, by_layer(other) | by_layer(dense(first=3)), "a.keras")
    expected = (
        "a.keras: none of its 2 layers fits one of the network's 2 by name and "
        "shape; first: not in the file"
    )
    with pytest.raises(ValueError, match=expected):
        initial.take(model, by_layer(dense(last=4, third=1)), "a.keras")


@pytest.mark.parametrize("units", [{"first": 3, "new": 3}, {"first": 3}])
def test_a_stage_has_all_layers_of_the_one_before(units):
    source, model = dense(first=3, last=4), dense(**units, last=4)
    initial.take_all(model, by_layer(source), "best.keras")
    check_same(by_layer(model)["last"], by_layer(source)["last"])


@pytest.mark.parametrize("units", [{"first": 3, "last": 5}, {"first": 3}])
def test_a_stage_of_another_architecture_is_named(units):
    source = by_layer(dense(first=3, last=4))
    with pytest.raises(ValueError, match="best.keras is of another archit"):
        initial.take_all(dense(**units), source, "best.keras")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model, and its files as a run and a checkpoint have them."""
    place = tmp_path_factory.mktemp("saved")
    model = dense(first=3, norm=3, last=4)
    model.layers[2].trainable = False  # the order of the weights is the same
    model.save(place / "best.keras")
    model.save_weights(place / "model.weights.h5")
    return model, place


@pytest.mark.parametrize("name", ["best.keras", "model.weights.h5"])
def test_the_weights_of_a_file_are_read_without_its_network(
    saved, name, monkeypatch
):
    def build(*args, **settings):
        raise AssertionError("a network was built")

    model, place = saved
    monkeypatch.setattr(keras.saving, "load_model", build)
    found, facts = weights.read(place / name)
    assert facts == {}
    expected = by_layer(model)
    assert found.keys() == expected.keys()
    for name, arrays in found.items():
        check_same(arrays, expected[name])


def rewritten(content, path, change):
    """A .keras file with this content and other weights."""
    inner = path.with_suffix(".h5")
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            inner.write_bytes(old.read(name))
            if name == "model.weights.h5":
                with h5py.File(inner, "r+") as file:
                    change(file["layers/dense/vars"])
            new.writestr(name, inner.read_bytes())


def infinite(stored):
    stored["0"][0] = np.inf


def of_text(stored):
    del stored["0"]
    stored["0"] = "text"


def elsewhere(stored):
    del stored["0"]
    stored["0"] = h5py.ExternalLink("/etc/hostname", "/")


def nameless(stored):
    del stored.attrs["name"]


@pytest.mark.parametrize("change", [infinite, of_text, elsewhere, nameless])
def test_a_hostile_file_is_one_clear_error(saved, tmp_path, change):
    path = tmp_path / "bad.keras"
    rewritten(saved[1] / "best.keras", path, change)
    with pytest.raises(ValueError, match="bad.keras cannot be used: ") as error:
        weights.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["best.keras", "model.weights.h5"])
def test_a_damaged_file_is_one_clear_error(saved, tmp_path, name):
    content = (saved[1] / name).read_bytes()
    flipped = bytearray(content)
    at = content.index(by_layer(saved[0])["last"][0].tobytes())
    flipped[at] ^= 1
    bad = [b"", b"text", content[: len(content) // 2]]
    if name == "best.keras":  # a checkpoint has SHA256SUMS for this
        bad.append(bytes(flipped))
    for number, damaged in enumerate(bad):
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="cannot be used: "):
            weights.read(path)


def test_weights_are_found_in_a_file_a_run_and_a_checkpoint(saved, tmp_path):
    _, place = saved
    names = folder.BEST, folder.WEIGHTS
    run, checkpoint = tmp_path / "run", tmp_path / "run/checkpoint/epoch-0007"
    checkpoint.mkdir(parents=True)
    shutil.copy(place / names[0], run)
    shutil.copy(place / names[1], checkpoint)
    files.seal(checkpoint, [names[1]])
    best = run / names[0]
    assert initial.find(best, *names) == initial.find(run, *names) == best
    assert initial.find(checkpoint, *names) == checkpoint / names[1]
    (checkpoint / names[1]).write_bytes(bytes(9))
    with pytest.raises(ValueError, match="epoch-0007.*h5 is damaged"):
        initial.find(checkpoint, *names)
    with pytest.raises(FileNotFoundError, match="nothing, which does not ex"):
        initial.find(tmp_path / "nothing", *names)
    with pytest.raises(FileNotFoundError, match="which has no best.keras"):
        initial.find(run / "checkpoint", *names)


def test_published_weights_of_a_backbone_are_taken(tmp_path):
    """PyTorch has a kernel's outputs and inputs first."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(64, 3, 3, 3)).astype("float32")
    norm = {
        name: rng.uniform(1, 2, 64).astype("float32")
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    path = tmp_path / "hrnet.safetensors"
    tensors = {
        "conv1.weight": kernel,
        "stage4.2.fuse_layers.0.1.0.weight": kernel[:, :, :1, :1].copy(),
        "classifier.weight": kernel[:, :, 0, 0].copy(),
    } | {f"bn1.{name}": array for name, array in norm.items()}
    save_file(tensors, path)
    given, facts = weights.read(path)
    assert facts["source"] == "hrnet-imagenet"
    images = keras.Input((32, 64, 3))
    x = layers.Conv2D(64, 3, use_bias=False, name="conv1")(images)
    model = keras.Model(images, layers.BatchNormalization(name="bn1")(x))
    taken = initial.take(model, given, path)
    assert taken.layers == ["conv1", "bn1"] and len(taken.unused) == 1
    found = by_layer(model)
    np.testing.assert_array_equal(
        found["conv1"][0][2, 1, 0, 5], kernel[5, 0, 2, 1]
    )
    check_same(found["bn1"], norm.values())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="hrnet.safetensors cannot be used: "):
        weights.read(path)


HEADS = {
    hsm_loss: {"stack1_maps0", "stack2_maps0"},
    multi_scale_structure_aware: {
        f"stack{stack}_maps{step}" for stack in (1, 2) for step in range(4)
    },
    simple_baselines: {"head_maps"},
    cascaded_pyramid: {  # convolution and normalisation
        *(f"global_net_predict_{n}_{part}" for n in range(4) for part in "35"),
        *(f"refine_net_final_predict_{part}" for part in "12"),
    },
}


@pytest.mark.parametrize("paper", HEADS, ids=lambda paper: paper.__name__)
def test_the_head_is_what_the_outputs_are_made_with(
    paper, without_hourglasses, without_values
):
    """The first stack's maps are also an input of the second stack."""
    small = {"stacks": 2, "filters": 8, "width": 1 / 32, "stage": "mss"}
    fields = paper.Config.__dataclass_fields__
    config, _ = paper.Config(
        preset="laptop",
        image_size=(64, 128),
        **{name: value for name, value in small.items() if name in fields},
    ).resolved()
    with without_hourglasses(), without_values():
        model = paper.build_model(config, skeletons.LSP)
        assert initial.heads(model) == HEADS[paper]


def test_a_head_that_was_taken_is_trained_before_a_frozen_backbone():
    model = dense(first=3, norm=3, new=2, last=4)
    model.compile(training.optimizers.Adam(0.1), "mse")
    taken = ["first", "norm", "last"]
    initial.slow_down(model, taken, "backbone", 0.5)
    trained = {layer.name for layer in model.layers if layer.trainable}
    assert {"new", "last"} <= trained and not {"first", "norm"} & trained
    assert model.optimizer.factors == dict.fromkeys(taken, 0.5)


def test_only_the_first_stage_takes_initial_weights(tmp_path):
    config, origin = multi_scale_structure_aware.Config(
        preset="laptop",
        output=tmp_path,
        initial_weights=Path("a.keras"),
        freeze="backbone",
        taken_rate=0.1,
    ).resolved()
    run = training.Run("A paper", config, origin, None, "pck")
    parts = multi_scale_structure_aware.stages(config)
    first, second, third = (stages.staged(run, parts, n) for n in range(3))
    assert first.config.initial_weights == Path("a.keras")
    assert (first.config.freeze, first.config.taken_rate) == ("backbone", 0.1)
    for later in (second, third):
        assert later.config.initial_weights is None
        assert (later.config.freeze, later.config.taken_rate) == ("none", 1.0)
        later.config.check()
    with pytest.raises(ValueError, match="are for the first stage, mss; stage"):
        stages.check(replace(config, stage="msr"), parts)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"freeze": "backbone"}, "freeze needs initial_weights"),
        ({"taken_rate": 0.1}, "taken_rate needs initial_weights"),
        ({"freeze": "head"}, "freeze must be one of none, backbone"),
        (
            {"initial_weights": Path("a"), "taken_rate": 0.0},
            "taken_rate must be positive, got 0",
        ),
        ({"train_people": 0}, "train_people must be positive, got 0"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        hsm_loss.Config(preset="laptop", **settings).resolved()


def test_a_resnet_of_another_form_than_pytorchs_is_refused():
    file = Path("resnet50-19c8e357.pth")
    config = simple_baselines.Config(preset="paper", initial_weights=file)
    with pytest.raises(ValueError, match="19c8e357.pth need --weights none"):
        config.resolved()
    replace(config, weights="none").resolved()
    replace(config, initial_weights=Path("a.keras")).resolved()


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    place = tmp_path_factory.mktemp("people")
    synthetic.main(synthetic.Config(str(place), 16, 4, 0, size=64, workers=1))
    return place


@pytest.fixture(scope="module")
def small(eagerly):
    """Every network is two convolutions and a norm, run without graphs."""

    def network(images, joints, *, filters, **_):
        x = layers.Rescaling(1 / 255)(images)
        x = layers.Conv2D(filters, 4, 4, name="stem")(x)
        x = layers.BatchNormalization(name="norm", momentum=0.5)(x)
        return [layers.Conv2D(joints, 1, name="head")(x)]

    with pytest.MonkeyPatch.context() as patch, eagerly():
        patch.setattr(hsm_loss.hourglass, "stacked_hourglass", network)
        yield


@pytest.fixture(scope="module")
def begun(people, tmp_path_factory, small):
    """An epoch of fine-tuning, from a network with other joints."""
    place = tmp_path_factory.mktemp("begun")
    source = hsm_loss.Config(preset="laptop", image_size=(64, 96), filters=4)
    model = hsm_loss.build_model(source.resolved()[0], skeletons.LSP)
    for variable in model.get_layer("norm").weights:
        variable.assign(np.linspace(0.5, 2, 4))
    model.provenance = {"trained_on": ["leeds"]}
    model.save(place / "source.keras")
    config = replace(
        source,
        data=people,
        output=place / "run",
        epochs=1,
        batch_size=4,
        drop_epochs=(),
        train_people=8,
        initial_weights=Path("source.keras"),
        taken_rate=0.1,
    )
    with contextlib.chdir(place):
        hsm_loss.paper().train(config)
    return config


@pytest.fixture
def config(begun, tmp_path, monkeypatch):
    """That of `begun`, in a folder that a test may change."""
    shutil.copytree(begun.output.parent, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return replace(begun, output=tmp_path / "run")


def newest(config):
    return folder.newest_checkpoint(config.output)


def test_a_frozen_backbone_stays_and_the_head_learns(config, capsys):
    config = replace(
        config, freeze="backbone", output=config.output.with_name("frozen")
    )
    hsm_loss.paper().train(config)
    source, _ = weights.read(config.initial_weights)
    start, _ = weights.read(config.output / folder.UNTRAINED)
    found, _ = weights.read(newest(config).folder / folder.WEIGHTS)
    for read in (start, found):
        check_same(read["stem"], source["stem"])
        check_same(read["norm"], source["norm"])  # and its statistics
    assert not np.allclose(found["head"][0], start["head"][0])
    described = json.loads((config.output / folder.RUN).read_text())
    assert described["initial"] == newest(config).state["run"]["initial"]
    assert described["initial"]["layers"] == ["stem", "norm"]
    assert described["initial"]["left"].keys() == {"head"}
    digest = files.checksum(config.initial_weights)
    assert described["starts_from_sha256"] == digest
    assert "starts_from" not in described  # its curves are not of this run
    assert "source.keras: took 2 of 3 layers" in capsys.readouterr().out
    facts = provenance.read(config.output / folder.BEST)
    assert facts["trained_on"] == ["leeds", "drawn people"]
    assert facts["people"] == 8
    assert facts["started_from"] == {
        "trained_on": ["leeds"],
        "file": "source.keras",
        "sha256": digest,
    }


def test_a_run_continues_bit_for_bit_without_its_initial_weights(
    config, capsys
):
    config = replace(config, epochs=2)
    whole = replace(config, output=config.output.with_name("whole"))
    hsm_loss.paper().train(whole)
    config.initial_weights.unlink()
    capsys.readouterr()
    hsm_loss.paper().train(config)
    assert "took" not in capsys.readouterr().out
    assert newest(config).epoch == 2
    with (
        h5py.File(newest(config).folder / folder.WEIGHTS) as found,
        h5py.File(newest(whole).folder / folder.WEIGHTS) as expected,
    ):
        compared = []

        def compare(name, item):
            if isinstance(item, h5py.Dataset):
                compared.append(name)
                np.testing.assert_array_equal(found[name], item)

        expected.visititems(compare)
    assert any(name.startswith("optimizer") for name in compared)
    model = keras.saving.load_model(config.output / folder.BEST)
    assert model.optimizer.factors == {"stem": 0.1, "norm": 0.1}


def test_other_initial_weights_do_not_continue_a_run(config, tmp_path):
    paper = hsm_loss.paper()
    paper.train(replace(config, initial_weights=tmp_path / "source.keras"))
    for other, rate in ((None, 1.0), (tmp_path / "run", 0.1)):
        named = f"initial_weights: source.keras before, {other} now"
        other = replace(config, initial_weights=other, taken_rate=rate)
        with pytest.raises(ValueError, match=named):
            paper.train(other)
    path = config.initial_weights
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match="that it started from have changed"):
        paper.train(config)


def test_the_score_at_the_start_is_called_what_it_is(config, monkeypatch):
    called = []
    monkeypatch.setattr(flow.Paper, "_train", lambda _, run: (run, None))
    monkeypatch.setattr(
        flow, "finish", lambda run, start, _: called.append(start)
    )
    hsm_loss.paper().reproduce(config)
    hsm_loss.paper().reproduce(
        replace(config, initial_weights=None, taken_rate=1.0)
    )
    assert called == ["before training", "untrained"]


def test_more_people_than_there_are_is_an_error(config):
    with pytest.raises(ValueError, match="train_people must be at most 16"):
        hsm_loss.paper().train(replace(config, train_people=17, restart=True))
