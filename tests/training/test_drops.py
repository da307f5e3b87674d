"""A rate that drops after given epochs or a number of times."""

import json
from dataclasses import replace

import keras
import pytest

from keras_pose.training.schedule import Drops, Plateau
from reproductions import hsm_loss, multi_scale_stacked_hourglass
from tfrecords import synthetic


def test_the_rate_drops_after_each_of_the_epochs():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    drops = Drops(0.8, epochs=(2, 3), factor=0.1)
    drops.set_model(model)
    rates = []
    for epoch in (0, 1, 2, 3, 4, 2):  # the last: as if resumed there
        drops.on_epoch_begin(epoch)
        rates.append(float(model.optimizer.learning_rate))
    assert rates == pytest.approx([0.8, 0.8, 0.08, 0.008, 0.008, 0.08])


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    synthetic.main(synthetic.Config(str(folder), 4, 4, 0, size=64, workers=1))
    return folder


@pytest.fixture
def config(people, tmp_path, monkeypatch, two_layers):
    monkeypatch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)
    return hsm_loss.Config(
        data=people,
        output=tmp_path / "run",
        epochs=1,
        batch_size=4,
        image_size=(64, 64),
        stacks=1,
        filters=8,
        learning_rate=0.01,
        warmup_epochs=0,
        drop_epochs=(1,),
        drop_factor=0.5,
    )


def test_a_run_that_goes_on_drops_where_it_should(config, eagerly):
    with eagerly():
        hsm_loss.paper().train(config)
    path = config.output / "run.json"
    run = json.loads(path.read_text())
    del run["settings"]["masking"]  # as if made before there was one
    path.write_text(json.dumps(run))
    with eagerly():
        _, history = hsm_loss.paper().train(replace(config, epochs=2))
    assert list(history["learning_rate"]) == pytest.approx([0.01, 0.005])
    with pytest.raises(ValueError, match="masking: 0.0 before, 0.5 now"):
        hsm_loss.paper().train(replace(config, masking=0.5))


def test_a_plateau_lowers_the_rate_once_if_told_so(
    config, monkeypatch, eagerly
):
    usual = Plateau.on_epoch_end

    def flat(self, epoch, logs=None):
        usual(self, epoch, {"val_loss": 1.0})

    monkeypatch.setattr(Plateau, "on_epoch_end", flat)
    settings = {"drop_epochs": (), "patience": 1, "plateau_factor": 0.2}
    config = replace(config, epochs=4, plateau_drops=1, **settings)
    with eagerly():
        _, history = hsm_loss.paper().train(config)
    rates = [0.01, 0.002, 0.002, 0.002]
    assert list(history["learning_rate"]) == pytest.approx(rates)


@pytest.mark.parametrize(
    ("epochs", "drops"),
    [(None, (150, 175, 200)), (44, (30, 35, 40)), (6, (4, 5)), (1, (1,))],
)
def test_drops_keep_their_shares_of_other_epochs(epochs, drops):
    settings = {"preset": "paper", "epochs": epochs}
    config, origin = multi_scale_stacked_hourglass.Config(**settings).resolved()
    assert config.drop_epochs == drops
    assert origin["drop_epochs"] == "preset paper"
    told = replace(config, epochs=6, drop_epochs=(150,))
    assert told.resolved()[0].drop_epochs == (150,)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"drop_epochs": (0, 2)}, r"positive and increasing, got \(0, 2\)"),
        ({"drop_epochs": (3, 2)}, r"positive and increasing, got \(3, 2\)"),
        ({"drop_factor": 1.0}, "drop_factor must lie between 0 and 1, got 1"),
        ({"plateau_drops": 0}, "plateau_drops must be at least 1, got 0"),
    ],
)
def test_impossible_drops_are_named(config, change, named):
    with pytest.raises(ValueError, match=named):
        replace(config, preset="laptop", **change).resolved()
