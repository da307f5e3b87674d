"""Every command answers --help, and refuses a flag it does not know."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for top in ("keras_pose", "reproductions", "tfrecords")
    for path in (ROOT / top).rglob("*.py")
    if "__main__" in path.read_text()
    and path.stem not in ("console", "fit", "__init__")
)
ONE_PROCESS = """
import contextlib, importlib, io, runpy, sys
for name in sys.argv[1:]:
    for flag in ("--help", "--no-such-flag"):
        sys.argv = [name, flag]
        out, err = io.StringIO(), io.StringIO()
        code = None
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_module(name, run_name="__main__")
            except SystemExit as exit:
                code = exit.code
        text = out.getvalue() + err.getvalue()
        print(name, flag, code, len(text), "Traceback" in text, sep="\\t")
"""


def test_commands_are_found():
    assert "reproductions.hsm_loss" in COMMANDS
    assert "tfrecords.mpii" in COMMANDS
    assert "keras_pose.evaluate" in COMMANDS


def test_every_command_answers_help_and_refuses_nonsense():
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ONE_PROCESS, *COMMANDS],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    rows = [
        line.split("\t") for line in process.stdout.splitlines() if "\t" in line
    ]
    assert len(rows) == 2 * len(COMMANDS), process.stderr[-2000:]
    for name, flag, code, length, traceback in rows:
        assert code == ("0" if flag == "--help" else "2"), (name, flag, code)
        assert int(length) > 200, f"{name} {flag} says next to nothing"
        assert traceback == "False", name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_ends_bad_input_in_one_line(name):
    text = (ROOT / (name.replace(".", "/") + ".py")).read_text()
    assert "run(main, Config, __doc__)" in text
