"""Three stages in one command: what each begins with, moves and leaves."""

import contextlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from keras_pose import console, export, files, geometry, predict, training
from keras_pose.data import annotations, pipeline, records
from keras_pose.data.dataset import DESCRIPTION, open_dataset
from keras_pose.inference import top_down
from keras_pose.models import msr_net
from keras_pose.models.model import load_model
from keras_pose.report import charts, pictures
from keras_pose.training import folder as names
from keras_pose.training.schedule import Plateau
from reproductions import flow
from reproductions import multi_scale_structure_aware as paper
from tfrecords import synthetic

MSS, JOINT = "1-mss", "."
"""Folders of the stages, inside that of the run; stage 2 has `REGRESSION`."""
REGRESSION = "2-msr"
ALPHA = 0.3


@pytest.fixture(scope="module", autouse=True)
def shallow(without_hourglasses):
    with without_hourglasses():
        yield


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    synthetic.main(synthetic.Config(str(folder), 4, 4, 0, size=64, workers=1))
    return folder


def settings(people, output):
    """Stages of 4, 2 and 2 epochs of a step."""
    return paper.Config(
        data=people,
        output=output,
        epochs=8,
        batch_size=4,
        image_size=(64, 128),
        stacks=1,
        filters=8,
        alpha=ALPHA,
    )


@pytest.fixture
def config(people, tmp_path):
    return settings(people, tmp_path / "run")


def weights(model):
    return {v.path: keras.ops.convert_to_numpy(v) for v in model.weights}


@pytest.fixture(scope="module")
def fits(eagerly):
    """Every training from here on: what it began with and ended with."""
    seen, train = [], keras.Model.fit

    def fit(model, *args, **kwargs):
        entry = SimpleNamespace(
            stage=model.name.split("_")[-1],
            done=kwargs["initial_epoch"],
            before=weights(model),
            model=model,
        )
        seen.append(entry)
        with eagerly():
            history = train(model, *args, **kwargs)
        del entry.model
        entry.after = weights(model)
        entry.optimizer = [
            keras.ops.convert_to_numpy(v) for v in model.optimizer.variables
        ]
        return history

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", fit)
        yield seen


def with_used_signatures(module, path, signatures, save=tf.saved_model.save):
    """tf.saved_model.save without those that nothing below calls; all are in
    tests/test_export.py."""
    used = {name: signatures[name] for name in ("encoded", "images", "names")}
    save(module, path, used)


@pytest.fixture(scope="module")
def finished(people, fits, tmp_path_factory, eagerly):
    """All stages by one command; `stopped` is what a kill in stage 2 leaves."""
    folder = tmp_path_factory.mktemp("stages") / "run"
    stopped = folder.with_name("stopped")

    def keep(self, epoch, logs=None):
        if epoch == 1 and fits[-1].stage == "msr":
            shutil.copytree(folder, stopped)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plateau, "on_epoch_begin", keep)
        patch.setattr(pictures, "PICTURE", 64)
        patch.setattr(charts, "svg", lambda _, title: title)  # of any run
        patch.setattr(export.tf.saved_model, "save", with_used_signatures)
        with eagerly():
            paper.main(settings(people, folder))
    return SimpleNamespace(folder=folder, fits=fits[:], stopped=stopped)


@pytest.fixture(scope="module")
def resumed(people, fits, finished):
    """The same command after the kill, up to the beginning of stage 3."""
    folder = finished.folder.with_name("resumed")
    shutil.copytree(finished.stopped, folder)
    begun, said = len(fits), io.StringIO()

    def stop(self, epoch, logs=None):
        if fits[-1].stage == "joint":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plateau, "on_epoch_begin", stop)
        with contextlib.redirect_stdout(said):
            with pytest.raises(KeyboardInterrupt):
                paper.main(settings(people, folder))
    return SimpleNamespace(
        folder=folder, fits=fits[begun:], said=said.getvalue()
    )


def test_stage_2_moves_the_regression_network_and_nothing_else(finished):
    """No batch statistic of the frozen network either."""
    _, stage, _ = finished.fits
    moved = {
        path: np.any(stage.before[path] != stage.after[path])
        for path in stage.before
    }
    ours = {path for path in moved if path.startswith(f"{msr_net.NAME}_")}
    assert any(path.endswith("moving_variance") for path in set(moved) - ours)
    assert {path for path in moved if moved[path]} == ours


def test_stages_1_and_3_move_everything(finished):
    for stage in (finished.fits[0], finished.fits[2]):
        for path, value in stage.before.items():
            assert np.any(stage.after[path] != value), path


def test_a_stage_begins_with_the_best_weights_of_the_one_before(finished):
    first, second, third = finished.fits
    for stage, before in ((second, MSS), (third, REGRESSION)):
        best = weights(keras.saving.load_model(best_of(finished, before)))
        for path, value in best.items():
            np.testing.assert_array_equal(stage.before[path], value, path)
    assert first.before.keys() < second.before.keys()
    assert second.before.keys() == third.before.keys()


def best_of(finished, stage):
    return finished.folder / stage / "best.keras"


def test_stage_2_alone_begins_like_among_others_near_stage_1(
    finished, fits, config, monkeypatch
):
    """Its first step sees maps that differ little from those of stage 1."""

    def stop(self, epoch, logs=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(Plateau, "on_epoch_begin", stop)
    shutil.copytree(finished.folder / MSS, Path(config.output) / MSS)
    with pytest.raises(KeyboardInterrupt):
        paper.main(replace(config, stage="msr"))
    alone, among = fits[-1], finished.fits[1]
    assert alone.before.keys() == among.before.keys()
    for path, value in among.before.items():
        np.testing.assert_array_equal(alone.before[path], value, path)
    data = open_dataset(config.data)
    (images, _), *_ = pipeline.load(data, "val", config.image_size, 4)
    found = alone.model(images, training=True)[-1]
    before = load_model(best_of(finished, MSS))(images)
    change = keras.ops.convert_to_numpy(found) - before
    assert 0 < np.std(change) < 0.05


def test_a_run_killed_in_stage_2_goes_on_there(finished, resumed):
    done = [(fit.stage, fit.done) for fit in resumed.fits]
    assert done == [("msr", 1), ("joint", 0)]
    for path in (finished.stopped / MSS).rglob("*.*"):
        if path.is_file() and path.name not in ("run.json", ".lock"):
            again = resumed.folder / path.relative_to(finished.stopped)
            assert again.read_bytes() == path.read_bytes(), path
    for words in (
        "full, stage 1 of 3: mss, 4 epochs",
        "1-mss already has 4 epochs: nothing to train",
        "full, stage 2 of 3: msr, 2 epochs",
        "2-msr after epoch 1 of 2",
        "full, stage 3 of 3: joint, 2 epochs",
    ):
        assert words in resumed.said


def test_a_killed_stage_ends_as_if_nothing_had_been(finished, resumed):
    """Bit for bit, the optimizer and the beginning of stage 3 included."""
    whole, again = finished.fits[1], resumed.fits[0]
    for path, value in whole.after.items():
        np.testing.assert_array_equal(again.after[path], value, path)
    for one, other in zip(whole.optimizer, again.optimizer, strict=True):
        np.testing.assert_array_equal(one, other)
    whole, again = finished.fits[2], resumed.fits[1]
    for path, value in whole.before.items():
        np.testing.assert_array_equal(again.before[path], value, path)


def test_the_log_has_the_usual_names_and_the_terms(finished):
    for stage in (MSS, REGRESSION, JOINT):
        log = pd.read_csv(finished.folder / stage / "history.csv")
        names = ["loss", "pckh", "peak", "keypoint", "structure"]
        assert {*names, *(f"val_{name}" for name in names)} == set(
            log.columns
        ) - {"epoch", "learning_rate", "seconds"}
        for split in ("", "val_"):
            terms = log[f"{split}keypoint"] + log[f"{split}structure"]
            np.testing.assert_allclose(terms, log[f"{split}loss"], rtol=1e-5)


def test_the_settings_say_what_a_stage_made_of_them(finished):
    """Joints are masked in the last stage only."""
    found = [
        json.loads((finished.folder / stage / "run.json").read_text())[
            "settings"
        ]
        for stage in (MSS, REGRESSION, JOINT)
    ]
    assert [s["masking"]["value"] for s in found] == [0, 0, 0.5]
    assert [s["masking"]["from"] for s in found] == [
        *2 * ["joint stage of full only"],
        "default",
    ]
    assert [s["epochs"]["value"] for s in found] == [4, 2, 2]
    assert [s["epochs"]["from"] for s in found] == [
        *("2/4 of 8", "1/4 of 8", "1/4 of 8")
    ]
    assert [s["stage"]["from"] for s in found] == [
        *("1 of 3", "2 of 3", "3 of 3")
    ]


@pytest.mark.parametrize("method", ["msr", "structure"])
def test_only_the_full_method_masks(people, tmp_path, method):
    config = replace(settings(people, tmp_path), method=method)
    run = paper.paper().start(config)
    stages = paper.stages(run.config)
    for number in range(len(stages)):
        assert training.staged(run, stages, number).config.masking == 0


def test_an_export_serves_the_finest_maps_joints(finished, people, tmp_path):
    """As `predict_people` finds them, and the command."""
    data = open_dataset(people)
    raw = tf.data.TFRecordDataset(data.shards("val"))
    pictures = [records.parse(record, 16) for record in raw]
    found = annotations.read_subjects(data, "val")
    sides = found.scale * geometry.PERSON_PIXELS / 1.25
    boxes = np.c_[found.center - (sides[:, None] - 1) / 2, sides, sides]
    folder = finished.folder / "saved_model"
    model = load_model(best_of(finished, JOINT))
    # The regression's maps come behind those of the single stack.
    (output,) = model.outputs
    assert tuple(output.shape) == (None, 2, 16, 32, 16)
    wanted = top_down.predict_people(model, data, "val", batch_size=4)
    served = tf.saved_model.load(str(folder)).signatures["encoded"](
        encoded=tf.constant([picture.encoded for picture in pictures]),
        boxes=tf.constant(boxes, tf.float32),
    )
    # Crops differ by rounding, which may move the top of a flat map.
    assert np.median(np.abs(served["joints"] - wanted.joints)) < 0.1
    np.testing.assert_allclose(served["scores"], wanted.scores, atol=0.02)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(pictures[0].encoded)
    pose = predict.main(
        predict.Config((photo,), model=folder, box=tuple(boxes[0]))
    )
    np.testing.assert_allclose(pose.joints[0], served["joints"][0], atol=0.1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"alpha": -0.1}, "alpha must not be negative, got -0.1"),
        ({"alpha": float("nan")}, "alpha must not be negative, got nan"),
        ({"momentum": 1.0}, "momentum"),
        ({"seeds": 0, "compare": True}, "seeds must be at least 1, got 0"),
        ({"epochs": 6}, "divisible by 4 .* got 6"),
        ({"stage": "refine"}, "stage must be one of all, mss, .* got 'refine'"),
        (
            {"stage": "msr", "method": "mss"},
            "stage must be one of all, mss, got 'msr'",
        ),
        (
            {"method": "hrnet"},
            "method must be one of hourglass, .* got 'hrnet'",
        ),
        ({"masking": 1.5}, "masking must be in 0 ... 1, got 1.5"),
        ({"masking_size": 0.0}, "masking_size must be above 0"),
    ],
)
def test_impossible_settings_are_named(config, change, named):
    with pytest.raises(ValueError, match=named):
        paper.main(replace(config, **change))


@pytest.mark.parametrize(
    ("flags", "code", "named"),
    [
        (["--alpha", "-1"], 1, ["error: alpha must not be negative, got -1.0"]),
        (["--stage", "refine"], 2, ["refine", "mss", "msr", "joint"]),
    ],
)
def test_the_command_refuses_them(flags, code, named, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["paper", *flags])
    with pytest.raises(SystemExit) as exit:
        console.run(paper.main, paper.Config, paper.__doc__)
    assert exit.value.code == code
    said = capsys.readouterr().err
    for words in named:
        assert words in said


def test_a_stage_needs_the_one_before(config):
    missing = Path(config.output) / REGRESSION / "best.keras"
    with pytest.raises(FileNotFoundError) as error:
        paper.main(replace(config, stage="joint"))
    assert str(error.value) == f"{missing} is missing: train that stage first"
    left = [path.name for path in Path(config.output).iterdir()]
    assert left == [".lock"]


def test_a_stage_needs_all_epochs_of_the_one_before(config, finished):
    shutil.copytree(finished.stopped, config.output)
    with pytest.raises(ValueError, match="2-msr has 1 of its 2 epochs"):
        paper.main(replace(config, stage="joint"))


def test_a_stage_of_other_beginnings_is_not_continued(config, finished):
    """Stage 1 was trained anew; stage 2 began with what it had been."""
    shutil.copytree(finished.stopped, config.output)
    first = Path(config.output) / MSS
    best = shutil.copyfile(first / "untrained.keras", first / names.BEST)
    newest = names.newest_checkpoint(first)
    newest.state["sha256"][names.BEST] = files.checksum(best)
    (newest.folder / names.STATE).write_text(json.dumps(newest.state))
    files.seal(newest.folder, [names.STATE, names.WEIGHTS])
    with pytest.raises(
        ValueError, match="2-msr .* weights that it started from have changed"
    ):
        paper.main(replace(config, stage="msr"))


def test_a_skeleton_without_limbs_is_named(config, tmp_path):
    joints = [f"dot{k}" for k in range(16)]
    dots = {"name": "dots", "joints": joints}
    folder = tmp_path / "dots"
    shutil.copytree(config.data, folder)
    path = folder / DESCRIPTION
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"skeleton": dots})
    )
    with pytest.raises(ValueError, match="limbs .* skeleton dots has none"):
        paper.main(replace(config, data=folder))


def test_a_comparison_trains_no_stage_twice(config, monkeypatch):
    """Nine stages of five methods; five of them begin with another's."""
    trained = []

    def fit(model, run, extra=()):
        """As the real one, but for the training."""
        folder, config = Path(run.config.output), run.config
        names.claim(folder, run)
        done = len(names.checkpoints(folder)) and int(
            names.checkpoints(folder)[-1].name[-4:]
        )
        if done < config.epochs:
            trained.append((config.method, config.stage, config.epochs - done))
        what = f"{config.method} {config.stage} {config.epochs}"
        for name in (names.BEST, names.UNTRAINED):
            (folder / name).write_text(what)
        table = pd.DataFrame({"epoch": range(config.epochs)})
        table.to_csv(folder / names.HISTORY)
        newest = folder / names.CHECKPOINT / f"epoch-{config.epochs:04d}"
        newest.mkdir(parents=True, exist_ok=True)
        state = {"epoch": config.epochs, "history": []}
        (newest / names.STATE).write_text(json.dumps(state))
        return table

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(flow.Paper, "compiled", lambda self, run: (None, []))
    monkeypatch.setattr(flow, "is_finished", lambda run: True)
    monkeypatch.setattr(flow, "compare", lambda *_: pd.DataFrame())
    monkeypatch.setattr(flow, "describe_comparison", str)
    monkeypatch.setattr(keras.backend, "clear_session", lambda: None)  # slow
    for _ in range(2):  # the second time nothing is left to train
        paper.main(replace(config, compare=True))
    assert trained == [
        ("hourglass", "mss", 8),
        ("mss", "mss", 4),  # the control; then stage 1 of msr, too
        ("mss", "mss", 4),
        ("msr", "msr", 2),
        ("msr", "joint", 2),
        ("structure", "mss", 4),  # of full, too
        ("structure", "msr", 2),  # of full, too
        ("structure", "joint", 2),
        ("full", "joint", 2),
    ]
