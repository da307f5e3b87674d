"""Warm-up, the plateau that waits for it, and the guards."""

from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

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
        again = Record(tmp_path, "val_pck", plateau(model, 0))
        assert again.resume(model) == epoch + 1
        for weight in model.trainable_variables:
            np.testing.assert_array_equal(weight, epoch + 1)
        assert int(model.optimizer.iterations) == 10 * (epoch + 1)
