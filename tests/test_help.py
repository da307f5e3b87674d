"""Every command answers --help at once, and refuses a flag it does not know."""

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from keras_pose import console, training

ROOT = Path(__file__).parents[1]
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for top in ("keras_pose", "reproductions", "tfrecords", "benchmarks")
    for path in (ROOT / top).rglob("*.py")
    if "__main__" in path.read_text()
    and path.stem not in ("console", "imports", "__init__")
    and path != ROOT / "keras_pose" / "__main__.py"  # test_commands.py
)
ONE_PROCESS = """
import contextlib, importlib.util, io, runpy, sys
here = sys.modules["__main__"]
for name in sys.argv[1:]:
    for flag in ("--help", "--no-such-flag"):
        sys.argv = ["-m"]  # as `python -m` does while it looks for the module
        sys.orig_argv = ["python", "-m", name, flag]
        importlib.util.find_spec(name)
        sys.argv = [name, flag]
        out, err = io.StringIO(), io.StringIO()
        code = None
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            except SystemExit as exit:
                code = exit.code
        text = out.getvalue() + err.getvalue()
        heavy = {"keras.src", "tensorflow.python"} & set(sys.modules)
        print(name, flag, code, len(text), "Traceback" in text, heavy or "",
              text.splitlines()[0], sep="\\t", file=sys.__stdout__)
"""


def test_commands_are_found():
    assert "reproductions.hsm_loss" in COMMANDS
    assert "tfrecords.mpii" in COMMANDS
    assert "keras_pose.evaluate" in COMMANDS
    assert "benchmarks.train_step" in COMMANDS


def test_every_command_answers_without_importing_keras_or_tensorflow():
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ONE_PROCESS, *COMMANDS],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    rows = [
        line.split("\t") for line in process.stdout.splitlines() if "\t" in line
    ]
    assert len(rows) == 2 * len(COMMANDS), process.stderr[-2000:]
    for name, flag, code, length, traceback, heavy, first in rows:
        assert code == ("0" if flag == "--help" else "2"), (name, flag, code)
        assert int(length) > 200, f"{name} {flag} says next to nothing"
        assert traceback == "False", name
        assert heavy == "", f"{name} {flag} imports {heavy}"
        if flag == "--help":
            typed = name.removesuffix(".__main__")
            assert first.startswith(f"usage: python -m {typed} [-h]"), first


def test_a_command_as_it_is_typed_imports_nothing_slow_for_help():
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "reproductions.hsm_loss"]
        + ["--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    imported = {
        line.split("|")[-1].strip() for line in process.stderr.split("\n")
    }
    assert "tyro" in imported  # so the names are read right
    assert not imported & {"keras.src", "tensorflow.python", "pandas._libs"}
    assert process.stdout.startswith("usage: python -m reproductions.hsm_loss ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_ends_bad_input_in_one_line(name):
    text = (ROOT / (name.replace(".", "/") + ".py")).read_text()
    assert "run(main, Config, __doc__)" in text


def test_hints_of_a_training_name_flags_that_every_paper_has():
    """The flags of converters, in the same sentences, are named here."""
    shared = {f.name for f in dataclasses.fields(training.Config)}
    others = {"whole_images", "help"}
    hints = 0
    for path in sorted((ROOT / "keras_pose" / "training").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) or "warn(" in ast.unparse(node)[:15]:
                text = ast.unparse(node)
                for flag in re.findall(r"--([a-z][a-z-]+)", text):
                    hints += 1
                    name = flag.replace("-", "_")
                    own = path.stem == "config" and name == "weights"  # ResNets
                    assert name in shared | others or own, (path.name, flag)
    assert hints > 10


@dataclasses.dataclass(frozen=True)
class Shared:
    """Rates and rounds."""

    rounds: int | None = None
    """How often
    it goes round."""
    size: tuple[int, int] | None = None
    """Height and width."""
    rate: float = 0.5
    """How fast."""


@dataclasses.dataclass(frozen=True)
class Own(Shared):
    """What one command has of its own."""

    kind: Literal["plain", "fancy"] = "plain"
    """Which it is."""
    rate: float = 0.25
    """How fast this one goes."""

    PRESETS: ClassVar[dict] = {
        "paper": {"rounds": 200, "size": (256, 192)},
        "laptop": {"rounds": 20, "size": (64, 48)},
    }


@pytest.fixture
def helped(monkeypatch, capsys):
    """What --help of `Own` prints."""
    monkeypatch.setattr(sys, "argv", ["own", "--help"])
    with pytest.raises(SystemExit) as exit:
        console.parse(Own, "Title.\n\nNew    one\nRun    two\n")
    assert exit.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def groups(helped):
    """The same after the docstring, a line each: its options, and the group."""
    text = re.sub("[│╭╮╰╯]|[─-]{3,}", " ", helped.partition("two")[2])
    own, _, shared = " ".join(text.split()).partition(
        "rates and rounds options "
    )
    return own, shared


def test_help_shows_the_values_of_presets(groups):
    _, shared = groups
    rounds = "--rounds INT How often it goes round. (paper: 200, laptop: 20)"
    assert rounds in shared
    assert "Height and width. (paper: 256 192, laptop: 64 48)" in shared


def test_help_groups_flags_by_the_class_that_declares_them(groups):
    own, shared = groups
    assert own.startswith("options -h, --help")
    assert "--kind {plain,fancy} Which it is. (default: plain)" in own
    assert "--rate FLOAT How fast this one goes. (default: 0.25)" in shared
    assert "--rate" not in own


def test_help_keeps_the_lines_of_the_docstring(helped):
    lines = [line.strip() for line in helped.splitlines()]
    assert "New    one" in lines
    assert "Run    two" in lines


def test_flags_are_read_into_the_config(monkeypatch):
    flags = ["--size", "3", "5", "--kind", "fancy", "--rounds", "7"]
    monkeypatch.setattr(sys, "argv", ["own", *flags])
    read = Own(**console.parse(Own, "Title."))
    assert read == Own(size=(3, 5), kind="fancy", rounds=7, rate=0.25)


def test_an_empty_value_is_refused(monkeypatch, capsys):
    """As a path it would be the working folder."""
    monkeypatch.setattr(sys, "argv", ["own", "--kind", ""])
    with pytest.raises(SystemExit) as exit:
        console.parse(Own, "Title.")
    assert exit.value.code == 2
    assert "error: expected a value, got an empty" in capsys.readouterr().err


def test_a_choice_that_is_none_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["own", "--kind", "odd"])
    with pytest.raises(SystemExit) as exit:
        console.parse(Own, "Title.")
    assert exit.value.code == 2
    assert "plain" in capsys.readouterr().err
