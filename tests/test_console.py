"""What a file keeps of a command: few lines, each whole."""

import os
import signal
import sys
import time
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from keras_pose import console
from keras_pose.training.callbacks import EpochLine


class Terminal:
    """A stream that says it is one."""

    def isatty(self):
        return True


def test_a_bar_in_a_file_ends_in_one_line(capsys):
    with console.progress(total=48, desc="predict val", unit=" people") as bar:
        for _ in range(24):
            bar.update(2)
    text = capsys.readouterr().err
    assert text.startswith("predict val: 48 of 48 people in 00:0")
    assert text.count("\n") == 1
    assert "\r" not in text


def test_a_long_bar_in_a_file_has_a_line_for_each_tenth(monkeypatch, capsys):
    monkeypatch.setattr(console, "SECONDS", 0)
    assert list(console.progress(range(1000))) == list(range(1000))
    lines = capsys.readouterr().err.splitlines()
    done = [int(line.split()[0]) for line in lines]
    assert done == [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]


def test_lines_keep_their_distance_in_time(monkeypatch, capsys):
    seconds = [0]
    monkeypatch.setattr("tqdm.std.time", lambda: seconds[0])
    for _ in console.progress(range(100)):
        seconds[0] += 1
    lines = capsys.readouterr().err.splitlines()
    done = [int(line.split()[0]) for line in lines]
    assert len(done) == 4  # three times 30 of the 100 seconds, and the end
    assert (np.diff([0, *done[:3]]) >= console.SECONDS).all()


def test_a_disabled_bar_says_nothing(capsys):
    assert list(console.progress([1, 2], disable=True)) == [1, 2]
    assert capsys.readouterr().err == ""


def test_only_a_stream_that_someone_watches_is_a_terminal(capsys):
    assert console.is_terminal(Terminal())
    assert not console.is_terminal(sys.stderr)
    assert not console.is_terminal(None)  # closed, as under pythonw


@pytest.fixture
def epochs(capsys):
    """What three epochs of a tiny model print."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(
        keras.optimizers.SGD(0.25), "mse", metrics=["mae"], run_eagerly=True
    )
    x, y = np.ones((4, 2)), np.ones((4, 1))
    model.fit(
        x,
        y,
        validation_data=(x, y),
        epochs=3,
        verbose=0,
        callbacks=[EpochLine("mae", 3)],
    )
    return capsys.readouterr().out.splitlines()


def test_an_epoch_is_a_line_of_a_log(epochs):
    assert len(epochs) == 3
    for number, line in enumerate(epochs, 1):
        names = [part.split()[0] for part in line.split(", ")]
        assert line.startswith(f"epoch {number} of 3, ")
        assert names[2:] == ["loss", "val_loss", "val_mae", "rate"]
        assert line.endswith(", rate 0.25")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str
)
def test_a_signal_stops_a_command_with_its_code_and_a_line(
    monkeypatch, capsys, handlers, number, code
):
    @dataclass(frozen=True)
    class Config:
        """Settings."""

        seed: int = 0
        """A number."""

    monkeypatch.setattr("sys.argv", ["work.py", "--seed", "3"])
    with pytest.raises(SystemExit) as stopped:
        console.run(
            lambda config: os.kill(os.getpid(), number) or time.sleep(9),
            Config,
            "Works.",
        )
    assert stopped.value.code == code
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("stopped; the same command continues: python ")
    assert said.endswith("--seed 3")


def test_the_second_signal_does_not_wait(handlers):
    with pytest.raises(KeyboardInterrupt):
        with console.finishing() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)
            assert stop.wanted
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(9)
            pytest.fail("it went on")


def test_a_signal_that_came_at_the_end_still_stops(handlers):
    with pytest.raises(console.Terminated):
        with console.finishing():
            os.kill(os.getpid(), signal.SIGTERM)


def test_signals_are_as_before_afterwards(handlers):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with console.finishing():
        pass
    assert before == [
        signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)
    ]


def test_a_signal_that_is_ignored_stays_ignored(handlers):
    """Of a job in the background, as `nohup` starts it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with console.finishing() as stop:
        os.kill(os.getpid(), signal.SIGINT)
    assert not stop.wanted


@dataclass
class Nothing:
    """A command without flags."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\nname\x1b[2J"), r"error: a name\x1b[2J"),
        (
            OSError(13, "Permission denied", "/a.json"),
            "/a.json: Permission den",
        ),
        (
            KeyError("history"),
            "error: KeyError: 'history' (KERAS_POSE_TRACEBACK",
        ),
        (
            RecursionError("too deep\nstack"),
            "error: RecursionError: too deep (",
        ),
        (MemoryError(), "error: MemoryError: no message (KERAS"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_error_is_one_line(monkeypatch, capsys, error, line):
    def main(_):
        raise error

    monkeypatch.setattr(sys, "argv", ["command"])
    monkeypatch.delenv(console.TRACEBACK, raising=False)
    with pytest.raises(SystemExit, match="1"):
        console.run(main, Nothing, "Fails.")
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    monkeypatch.setenv(console.TRACEBACK, "1")
    with pytest.raises(type(error)):
        console.run(main, Nothing, "Fails.")
