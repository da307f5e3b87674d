"""keras-pose: lists and runs every command, and imports none to do so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_pose
from keras_pose import __main__ as command

ROOT = Path(__file__).parents[1]
SCRIPT = "import sys\nfrom keras_pose.__main__ import main\nsys.exit(main())\n"
"""As pip writes it for the entry point."""


@pytest.fixture
def run(monkeypatch):
    """Runs the command line in this process; returns what it would become."""

    def become(*words):
        started = []
        monkeypatch.setattr(sys, "argv", ["keras-pose", *words])
        monkeypatch.setattr(os, "execv", lambda *given: started.append(given))
        command.main()
        ((path, argv),) = started
        assert path == argv[0] == sys.executable
        return argv[1:]

    return become


def test_every_module_that_is_a_command_has_a_name():
    leads = re.compile("^if __name__ ==", re.MULTILINE)
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for top in ("keras_pose", "reproductions", "tfrecords")
        for path in (ROOT / top).rglob("*.py")
        if leads.search(path.read_text())
    } - {"keras_pose.__main__"}
    modules = {name.removesuffix(".__main__") for name in modules}
    commands = command.find_commands()
    assert set(commands.values()) == modules
    assert len(commands) == len(modules) > 25
    assert commands["train hsm_loss"] == "reproductions.hsm_loss"
    assert commands["convert mpii"] == "tfrecords.mpii"
    assert commands["predict"] == "keras_pose.predict"
    assert commands["models"] == "keras_pose.models"
    assert commands["check"] == "tfrecords.check"


def test_help_has_a_line_for_each_command():
    lines = command.usage().splitlines()
    for name in command.find_commands():
        (line,) = (line for line in lines if line.startswith(f"  {name} "))
        assert len(line.split(name, 1)[1].strip()) > 15, line
    verb = command.usage(["convert"])
    assert "  convert mpii " in verb and "  train " not in verb


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            ("train", "hsm_loss", "--beta", "1"),
            ["reproductions.hsm_loss", "--beta", "1"],
        ),
        (("train", "hsm-loss"), ["reproductions.hsm_loss"]),
        (("predict", "a b.jpg"), ["keras_pose.predict", "a b.jpg"]),
        (("predict", "--help"), ["keras_pose.predict", "--help"]),
        (("convert", "mpii", "-h"), ["tfrecords.mpii", "-h"]),
        (("import-weights",), ["keras_pose.import_weights"]),
        (("report", "train"), ["keras_pose.report", "train"]),
    ],
)
def test_a_name_becomes_python_m_with_its_flags(run, words, wanted):
    assert run(*words) == ["-m", *wanted]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("predct",), "'predct', did you mean predict?"),
        (("train", "hsm_los"), "'train hsm_los', did you mean train hsm_loss?"),
        (("hsm-loss",), "'hsm-loss', did you mean train hsm_loss?"),
        (("train", "mpii"), "'train mpii', did you mean convert mpii?"),
        (("xyzzy", "--flag"), "'xyzzy'; keras-pose --help lists all"),
        (("--flag",), "'--flag'; keras-pose --help lists all"),
    ],
)
def test_an_unknown_name_is_one_line_with_the_closest(run, capsys, words, hint):
    with pytest.raises(SystemExit) as exit:
        run(*words)
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: there is no command {hint}")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_without_a_name_it_lists_all(monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["keras-pose", *words])
    command.main()
    assert capsys.readouterr().out.startswith("usage: keras-pose COMMAND")


def test_it_tells_the_version(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["keras-pose", "--version"])
    command.main()
    assert capsys.readouterr().out == f"{keras_pose.__version__}\n"


@pytest.fixture
def script(tmp_path):
    """The console script, in a path of its own."""
    setup = (ROOT / "setup.py").read_text()
    assert '"keras-pose = keras_pose.__main__:main"' in setup
    path = tmp_path / "keras-pose"
    path.write_text(SCRIPT)

    def start(*words, flags=()):
        return subprocess.run(
            [sys.executable, *flags, str(path), *words],
            cwd=ROOT, capture_output=True, text=True, timeout=300,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    return start


def test_the_list_imports_nothing_slow(script):
    process = script("--help", flags=("-X", "importtime"))
    assert process.stdout.startswith("usage: keras-pose COMMAND")
    lines = process.stderr.split("\n")
    imported = {line.split("|")[-1].strip() for line in lines}
    assert "keras_pose.imports" in imported  # so the names are read right
    slow = {"keras.src", "tensorflow.python", "numpy", "tyro", "cv2"}
    assert not imported & slow


def test_the_exit_code_is_that_of_the_command(script):
    process = script("predict", "--no-such-flag")
    assert process.returncode == 2
    assert "python -m keras_pose.predict" in process.stdout + process.stderr
