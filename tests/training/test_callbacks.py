"""Warm-up, the plateau that waits for it, and the guards."""

import os
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from keras_pose.training import folder
from keras_pose.training.callbacks import Guard, JointWeightLog, Record
from keras_pose.training.schedule import Plateau, WarmUp


@pytest.fixture
def model():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.8), "mse")
    return model


def test_the_rate_rises_by_the_same_amount_each_step(model):
    warm = WarmUp(0.8, epochs=2, steps=2)
    warm.set_model(model)
    rates = []
    for epoch in range(3):
        warm.on_epoch_begin(epoch)
        for step in range(2):
            warm.on_train_batch_begin(step)
            rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_a_resumed_warm_up_begins_in_the_middle(model):
    warm = WarmUp(0.8, epochs=2, steps=2)
    warm.set_model(model)
    warm.on_epoch_begin(1)
    warm.on_train_batch_begin(0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.6)


def test_a_warm_up_that_stopped_within_an_epoch_goes_on_there(model):
    """Two of the four steps of the first epoch were done; then the second."""
    warm = WarmUp(0.8, epochs=2, steps=4, skipped=2)
    warm.set_model(model)
    rates = []
    for epoch, steps in ((0, 2), (1, 4)):
        warm.on_epoch_begin(epoch)
        for step in range(steps):
            warm.on_train_batch_begin(step)
            rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.3, 0.4, 0.5, 0.6, 0.7, 0.8])


def test_the_rest_keeps_the_rate_that_a_plateau_lowered(model):
    warm = WarmUp(0.8, epochs=1, steps=2)
    warm.set_model(model)
    model.optimizer.learning_rate = 0.1
    warm.on_epoch_begin(1)
    warm.on_train_batch_begin(0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)


def plateau(model, warmup_epochs):
    callback = Plateau(
        warmup_epochs, monitor="val_loss", factor=0.5, patience=2
    )
    callback.set_model(model)
    callback.on_train_begin()
    return callback


@pytest.mark.parametrize(("warmup", "rate"), [(0, 0.4), (3, 0.8)])
def test_the_plateau_sleeps_until_the_warm_up_is_over(model, warmup, rate):
    callback = plateau(model, warmup)
    for epoch in range(3):
        callback.on_epoch_end(epoch, {"val_loss": 1.0})
    assert float(model.optimizer.learning_rate) == pytest.approx(rate)


def test_a_restored_plateau_goes_on_counting(model):
    first = plateau(model, 0)
    for epoch in range(2):
        first.on_epoch_end(epoch, {"val_loss": 1.0})
    second = plateau(model, 0)
    second.restore(first.state())
    second.on_epoch_end(2, {"val_loss": 1.0})
    assert float(model.optimizer.learning_rate) == pytest.approx(0.4)


def test_a_continued_run_waits_for_its_plateau_no_longer_than_a_whole_one(
    tmp_path, model
):
    """The rate halves after two epochs without progress, one before the end."""
    before = plateau(model, 0)
    for epoch in range(2):
        before.on_epoch_end(epoch, {"val_loss": 1.0})
    kept = folder.Checkpoint(tmp_path, {"epoch": 2, "plateau": before.state()})
    after = plateau(model, 0)
    record = Record(tmp_path, "val_loss", after, checkpoint=kept)
    record.set_model(model)
    for callback in (after, record):  # as `fit` has them
        callback.on_train_begin()
    after.on_epoch_end(2, {"val_loss": 1.0})
    assert float(model.optimizer.learning_rate) == pytest.approx(0.4)


def test_a_loss_that_is_not_a_number_stops_the_run(model):
    guard = Guard(0)
    guard.set_model(model)
    with pytest.raises(ValueError, match="nan at step 8.*--learning-rate"):
        guard.on_train_batch_end(7, {"loss": float("nan")})


def test_empty_maps_are_reported_after_the_warm_up(model, recwarn):
    guard = Guard(1)
    guard.set_model(model)
    for epoch in range(3):
        guard.on_epoch_begin(epoch)
        kernel, bias = model.get_weights()
        model.set_weights([kernel + 1, bias + 1])
        guard.on_epoch_end(epoch, {"val_peak": 0.01})
        said = [w for w in recwarn if "heatmaps are empty" in str(w.message)]
        assert len(said) == (epoch == 2)


def test_maps_that_rise_are_not_reported(model, recwarn):
    guard = Guard(0)
    guard.set_model(model)
    for epoch, peak in enumerate((0.01, 0.02, 0.3, 0.01)):
        guard.on_epoch_begin(epoch)
        kernel, bias = model.get_weights()
        model.set_weights([kernel + 1, bias + 1])
        guard.on_epoch_end(epoch, {"val_peak": peak})
    assert not [w for w in recwarn if "empty" in str(w.message)]


def test_a_weight_that_does_not_move_is_named(model):
    guard = Guard(0)
    guard.set_model(model)
    guard.on_epoch_begin(0)
    kernel, bias = model.get_weights()
    model.set_weights([kernel + 1, bias])
    with pytest.warns(UserWarning, match="1 of 2 weights .*bias"):
        guard.on_epoch_end(0, {})


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder of a run of three epochs, the second of which is the best.

    Every weight is the number of its epoch.
    """
    place = tmp_path_factory.mktemp("kept")
    model = dense()
    record = Record(place, "val_pck", plateau(model, 0), run={"a": 1})
    record.set_model(model)
    for epoch, score in enumerate((0.4, 0.6, 0.5)):
        fill(model, epoch + 1)
        (place / "joint_weights.csv").write_text(f"{epoch + 1}")
        record.on_epoch_begin(epoch)
        record.on_epoch_end(epoch, {"val_pck": score, "val_loss": 1.0})
    return place


def dense():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="d")(inputs))
    model.compile(keras.optimizers.SGD(0.8, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def fill(model, number):
    for variable in [*model.variables, *model.optimizer.variables]:
        variable.assign(np.full(variable.shape, number, variable.dtype))


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def turn(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(path):
    path.unlink()


def swap(path):
    """With the file of the same name of the epoch before, or another file."""
    other = path.parents[1] / "epoch-0002" / path.name
    if not other.is_file() or other == path:
        other = path.with_name("history.csv")
    if not other.is_file():
        other = path.parents[2] / "history.csv"
    path.write_bytes(other.read_bytes())


LAST = "checkpoint/epoch-0003"


@pytest.mark.parametrize("damage", [empty, cut, turn, swap, remove])
@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        ("history.csv", 3),
        ("joint_weights.csv", 3),
        ("best.keras", 3),
        (f"{LAST}/state.json", 2),
        (f"{LAST}/model.weights.h5", 2),
        (f"{LAST}/joint_weights.csv", 2),
        (f"{LAST}/SHA256SUMS", 2),
        ("checkpoint/epoch-0002/state.json", 3),
        ("checkpoint/epoch-0002/model.weights.h5", 3),
    ],
)
def test_whatever_is_damaged_the_run_goes_on(
    kept, tmp_path, name, epoch, damage
):
    place = tmp_path / "run"
    shutil.copytree(kept, place)
    damage(place / name)
    checkpoint = folder.newest_checkpoint(place)
    assert checkpoint.epoch == epoch
    model = dense()
    record = Record(place, "val_pck", plateau(model, 0), checkpoint=checkpoint)
    record.resume(model)
    for variable in [*model.variables, *model.optimizer.variables]:
        np.testing.assert_array_equal(variable, epoch, variable.path)
    assert list(pd.read_csv(place / "history.csv")["epoch"]) == [
        number + 1 for number in range(epoch)
    ]
    assert (place / "joint_weights.csv").read_text() == str(epoch)
    best = keras.saving.load_model(place / "best.keras")
    np.testing.assert_array_equal(best.get_weights()[1], [2.0])
    assert record.best == 0.6


def test_a_best_model_that_no_checkpoint_has_is_replaced_and_it_is_said(
    kept, tmp_path, capsys
):
    place = tmp_path / "run"
    shutil.copytree(kept, place)
    shutil.rmtree(place / "checkpoint" / "epoch-0002")
    empty(place / "best.keras")
    for _ in range(2):  # the newest checkpoint knows of it the second time
        record = Record(
            place,
            "val_pck",
            plateau(dense(), 0),
            checkpoint=folder.newest_checkpoint(place),
        )
        record.resume(dense())
        assert record.best == 0.5
    said = capsys.readouterr().out
    assert said.count("replaced by the network of epoch 3") == 1
    assert "(val_pck 0.5; the best of all epochs was 0.6)" in said


def test_the_checkpoint_is_there_before_the_best_model(
    tmp_path, model, monkeypatch
):
    """A kill between them: then the checkpoint can replace it."""
    record = Record(tmp_path, "val_pck", plateau(model, 0))
    record.set_model(model)
    model.optimizer.build(model.trainable_variables)
    fill(model, 7)
    moved = []
    replace = os.replace

    def killed(source, target):
        moved.append(target.name)
        if target.name == "best.keras":
            raise KeyboardInterrupt
        replace(source, target)

    record.on_epoch_begin(0)
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            record.on_epoch_end(0, {"val_pck": 0.5})
    assert moved[-2:] == ["epoch-0001", "best.keras"]
    again = Record(
        tmp_path,
        "val_pck",
        plateau(model, 0),
        checkpoint=folder.newest_checkpoint(tmp_path),
    )
    again.resume(model)
    best = keras.saving.load_model(tmp_path / "best.keras")
    np.testing.assert_array_equal(best.get_weights()[1], [7.0])


def test_joint_weights_are_kept_for_every_epoch_that_counts(tmp_path):
    """After a stop within epoch 2 that epoch is run again."""
    weights = SimpleNamespace()
    log = JointWeightLog(tmp_path, weights, ("left_hip", "right_hip"))
    log.set_params({"steps": 3})

    def epoch(number, second):
        mean = np.array([[0.5, 0.5], second])
        for batch in range(3):
            now = mean if batch == 2 else np.zeros((2, 2))
            weights.mean = lambda now=now: now
            log.on_train_batch_end(batch)
        log.on_epoch_end(number - 1)

    epoch(1, [0.6, 0.4])
    epoch(2, [0.9, 0.1])
    epoch(2, [0.7, 0.3])
    table = pd.read_csv(tmp_path / "joint_weights.csv")
    assert list(table.columns) == ["epoch", "stack", "joint", "weight"]
    assert list(table["epoch"]) == [1] * 4 + [2] * 4
    assert list(table["stack"]) == [1, 1, 2, 2] * 2
    assert list(table["joint"]) == ["left_hip", "right_hip"] * 4
    assert list(table["weight"]) == [0.5, 0.5, 0.6, 0.4, 0.5, 0.5, 0.7, 0.3]


def test_a_checkpoint_has_the_weights_of_its_epoch_best_or_not(tmp_path, model):
    """The best epoch's come out of best.keras, optimizer included."""
    record = Record(tmp_path, "val_pck", plateau(model, 0))
    record.set_model(model)
    model.optimizer.build(model.trainable_variables)
    for epoch, score in enumerate((0.5, 0.4, 0.6)):
        for weight in model.trainable_variables:
            weight.assign(np.full(weight.shape, epoch + 1.0))
        model.optimizer.iterations.assign(10 * (epoch + 1))
        record.on_epoch_begin(epoch)
        record.on_epoch_end(epoch, {"val_pck": score})
        for weight in [*model.variables, *model.optimizer.variables]:
            weight.assign(np.zeros(weight.shape, weight.dtype))
        newest = folder.newest_checkpoint(tmp_path)
        assert newest.epoch == epoch + 1
        again = Record(
            tmp_path, "val_pck", plateau(model, 0), checkpoint=newest
        )
        again.resume(model)
        for weight in model.trainable_variables:
            np.testing.assert_array_equal(weight, epoch + 1)
        assert int(model.optimizer.iterations) == 10 * (epoch + 1)


def test_a_resumed_dropout_goes_on_with_its_random_numbers(tmp_path):
    """Their state is no weight, and is not in Keras' files."""

    def built():
        inputs = keras.Input((99,))
        outputs = keras.layers.Dropout(0.5, seed=3)(inputs)
        model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
        model.compile("sgd", "mse")
        return model

    def drop(model):
        return np.array(model.layers[1](np.ones((1, 99)), training=True))

    model = built()
    first = drop(model)
    record = Record(tmp_path, "val_pck", plateau(model, 0))
    record.set_model(model)
    record.on_epoch_begin(0)
    record.on_epoch_end(0, {"val_pck": 0.5})
    expected = drop(model)
    assert np.any(first != expected)
    again, newest = built(), folder.newest_checkpoint(tmp_path)
    Record(tmp_path, "val_pck", plateau(again, 0), checkpoint=newest).resume(
        again
    )
    np.testing.assert_array_equal(drop(again), expected)
