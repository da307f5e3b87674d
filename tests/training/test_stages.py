"""The folder of a cascade: whatever of it is damaged, both stages go on."""

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_pose import training
from keras_pose.data.dataset import DESCRIPTION
from keras_pose.training import callbacks, folder, stages
from reproductions import deep_pose
from tests.training import test_callbacks as damages

EPOCHS = 3
"""Of each stage; the second is the best."""
BEST = (2.0, 12.0)
"""Every weight of the stages' best networks: 10 x stage + epoch."""
CHECKPOINTS = [
    f"checkpoint/epoch-{epoch:04d}/{name}"
    for epoch in (2, 3)
    for name in ("state.json", "model.weights.h5", "SHA256SUMS")
]
NAMES = ["run.json", "history.csv", "best.keras", *CHECKPOINTS]


def go_on(place, model, restart=False):
    """Both stages, as `fit` has them, where an epoch sets every weight."""
    config, origin = deep_pose.Config(
        output=place, preset="laptop", stages=2, epochs=2 * EPOCHS
    ).resolved()
    data = SimpleNamespace(folder=place.parent)
    run = training.Run("Cascade", config, origin, data, "pck")
    for number in (0, 1):
        one = stages.staged(run, deep_pose.stages(config), number)
        if one.starts_from:
            folder.check_finished(one.starts_from)
        elif restart:
            folder.forget(one.config.output)
        path = one.config.output
        description, checkpoint = folder.claim(path, one)
        plateau = damages.plateau(model, 0)
        record = callbacks.Record(
            path, "val_pck", plateau, description, checkpoint
        )
        if checkpoint:
            record.resume(model)
        record.set_model(model)
        for epoch in range(checkpoint.epoch if checkpoint else 0, EPOCHS):
            damages.fill(model, 10 * number + epoch + 1)
            record.on_epoch_begin(epoch)
            score = (0.4, 0.6, 0.5)[epoch]
            record.on_epoch_end(epoch, {"val_pck": score, "val_loss": 1.0})


def bests(place, model):
    """A weight of each stage's best network."""
    found = []
    for path in (place / "1-stage1", place):
        model.load_weights(path / folder.BEST)
        found.append(float(model.get_weights()[1][0]))
    return tuple(found)


@pytest.fixture(scope="module")
def model():
    return damages.dense()


@pytest.fixture(scope="module")
def kept(tmp_path_factory, model):
    place = tmp_path_factory.mktemp("data") / "cascade"
    (place.parent / DESCRIPTION).write_text("{}")
    go_on(place, model)
    return place


@pytest.fixture
def place(kept, monkeypatch):
    monkeypatch.setattr(folder.config, "show", lambda *_: None)  # takes longer
    path = kept.with_name("damaged")
    shutil.copytree(kept, path)
    yield path
    shutil.rmtree(path)


def test_every_file_of_a_cascade_is_damaged_below(kept, model):
    files = {p for p in kept.rglob("*") if p.is_file()}
    assert files == {kept / s / n for s in ("", "1-stage1") for n in NAMES}
    assert bests(kept, model) == BEST


@pytest.mark.parametrize("damage", ["empty", "cut", "swap"])
@pytest.mark.parametrize("stage", ["1-stage1", "."])
@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_damaged_the_cascade_is_the_same(
    place, model, name, stage, damage
):
    if damage == "swap":  # with that of the other stage
        other = "." if stage == "1-stage1" else "1-stage1"
        shutil.copyfile(place / other / name, place / stage / name)
    else:
        getattr(damages, damage)(place / stage / name)
    go_on(place, model)
    assert bests(place, model) == BEST
    for path in (place, place / "1-stage1"):
        history = pd.read_csv(path / folder.HISTORY)
        np.testing.assert_array_equal(history["epoch"], [1, 2, 3])
        assert folder.newest_checkpoint(path).epoch == EPOCHS
        assert folder.read_run(path)["settings"]["epochs"]["value"] == EPOCHS


def test_a_stage_goes_on_whose_start_was_lost_and_replaced(
    place, model, capsys
):
    """By another network, as no checkpoint has the best one: the stage keeps
    what it has learned, and says what it had started from."""
    first = place / "1-stage1"
    before = folder.read_run(place)[folder.START]
    assert before == folder.files.checksum(first / folder.BEST)
    shutil.rmtree(first / "checkpoint" / "epoch-0002")
    damages.empty(first / folder.BEST)
    for _ in range(2):
        go_on(place, model)
        assert bests(place, model) == (3.0, 12.0)
        assert folder.read_run(place)[folder.START] == before
    assert capsys.readouterr().out.count("replaced by the network") == 1
    damages.cut(first / folder.BEST)  # lost again
    go_on(place, model)
    assert folder.read_run(place)[folder.START] == before


def test_a_stage_does_not_go_on_after_another_was_trained_before_it(
    place, model
):
    with pytest.raises(ValueError, match="it started from have changed"):
        go_on(place, model, restart=True)
