"""Callbacks of one's own: called for each run, refused before it trains."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import keras
import pandas as pd
import pytest

from keras_pose import training
from keras_pose.training import hooks
from reproductions import hsm_loss, lecture
from tfrecords import synthetic

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()


class Watch(keras.callbacks.Callback):
    """Notes the epochs, and adds a number to the logs."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(epoch)
        logs["answer"] = 42.0


class Impatient(keras.callbacks.Callback):
    """Ends the training after an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


CALLS = []


def watch(config, folder):
    CALLS.append((config, folder))
    return [Watch(CALLS)]


def stop(config, folder):
    return (Impatient(),)


def number(config, folder):
    return 7


def strings(config, folder):
    return [keras.callbacks.Callback(), "callback"]


def alone(config):
    return []


CONSTANT = 7
OWN = __name__


@pytest.fixture(autouse=True)
def this_module(monkeypatch):
    """Under its name, and without earlier calls."""
    monkeypatch.setitem(sys.modules, "own_hooks", sys.modules[OWN])
    CALLS.clear()


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    synthetic.main(synthetic.Config(str(folder), 8, 4, 0, size=64, workers=1))
    return folder


@pytest.fixture
def config(people, tmp_path):
    return hsm_loss.Config(
        data=people,
        output=tmp_path / "run",
        epochs=1,
        batch_size=4,
        image_size=(64, 96),
        filters=8,
        drop_epochs=(),
        preset="laptop",
    )


@pytest.fixture
def train(monkeypatch, two_layers, eagerly):
    """Trains a config; returns its history."""
    monkeypatch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)

    def run(config):
        with eagerly():
            return hsm_loss.paper().train(config)[1]

    return run


def test_a_run_calls_the_function_and_its_callbacks(config, train):
    train(replace(config, callbacks="own_hooks:watch"))
    (given, folder), *epochs = CALLS
    assert folder == config.output
    assert isinstance(given, hsm_loss.Config)
    assert (given.epochs, given.learning_rate) == (1, 4e-3)  # the preset's
    assert epochs == [0]
    history = pd.read_csv(folder / "history.csv")
    assert list(history["answer"]) == [42.0]


def test_a_run_goes_on_with_other_callbacks_or_the_same(config, train):
    train(config)
    longer = replace(config, epochs=3, callbacks="own_hooks:watch")
    history = train(longer)
    assert list(history["epoch"]) == [1, 2, 3]
    assert CALLS[1:] == [1, 2]
    CALLS.clear()
    train(longer)  # it is finished
    assert CALLS == []


def test_a_callback_may_end_the_training(config, train):
    early = replace(config, epochs=3, callbacks="own_hooks:stop")
    assert list(train(early)["epoch"]) == [1]
    assert list(train(replace(early, callbacks=None))["epoch"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_hooks", "must be module:function, got own_hooks"),
        ("own_hooks:", "must be module:function"),
        (":watch", "must be module:function"),
        ("no_such_module:watch", "cannot be imported: No module named 'no_su"),
        ("own_hooks:wacth", "must have a function wacth, got nothing of that"),
        ("own_hooks:CONSTANT", "must have a function CONSTANT, got int"),
        ("own_hooks:alone", r"take a config and a folder, got alone\(config\)"),
    ],
)
@pytest.mark.parametrize("command", ["paper", "lecture"])
def test_a_wrong_name_is_refused_before_anything_is_written(
    config, name, message, command
):
    with pytest.raises(ValueError, match=f"^callbacks .*{message}") as error:
        if command == "paper":
            hsm_loss.paper().start(replace(config, callbacks=name, data=None))
        else:
            lecture.main(lecture.Config(callbacks=name, output=config.output))
    assert "\n" not in str(error.value)
    assert not config.output.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("number", "got 7$"), ("strings", "got 'callback' in it$")],
)
def test_another_result_is_refused_before_the_first_step(
    config, train, name, message
):
    config = replace(config, callbacks=f"own_hooks:{name}")
    message = (
        f"own_hooks:{name} must return a list of Keras callbacks, {message}"
    )
    with pytest.raises(ValueError, match=message):
        train(config)
    assert not (config.output / "history.csv").exists()


def test_a_module_that_breaks_is_named_with_its_reason(tmp_path, monkeypatch):
    (tmp_path / "broken_hooks.py").write_text("import no_such_tracker\n")
    monkeypatch.syspath_prepend(tmp_path)
    reason = "broken_hooks:f: the module cannot be imported: No module named "
    with pytest.raises(ValueError, match=reason + "'no_such_tracker'"):
        hooks.find("broken_hooks:f")


def test_every_training_command_has_the_flag():
    assert "callbacks" in training.Config.__dataclass_fields__
    assert "callbacks" in lecture.Config.__dataclass_fields__
    one = lecture.Config(callbacks="own_hooks:watch")
    for name in lecture.SYSTEMS:
        assert lecture.system_run(name, one)[1].callbacks == "own_hooks:watch"


def test_the_documented_example_works(config, train, tmp_path, monkeypatch):
    code = re.search("```python\n(.*?)```", PAGE, re.DOTALL)[1]
    (tmp_path / "my_hooks.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    train(replace(config, callbacks="my_hooks:lines"))
    (line,) = (config.output / "lines.jsonl").read_text().splitlines()
    assert '"epoch": 1' in line and '"val_pckh"' in line


def test_the_columns_of_history_keep_their_names(config, train):
    """Changing one breaks what others read: docs/hooks.md lists them."""
    train(config)
    columns = list(pd.read_csv(config.output / "history.csv").columns)
    scored = ["loss", "pckh", "peak", "stack1", "stack2"]
    assert columns == [
        *("epoch", "learning_rate"),
        *scored,
        *(f"val_{name}" for name in scored),
        "seconds",
    ]
    table = PAGE.partition("## history.csv")[2]
    for name in ("epoch", "learning_rate", *scored, "val_", "seconds"):
        assert f"`{name}`" in table, name
