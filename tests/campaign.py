"""Feeds damaged and hostile input to the commands, and counts what they do.

    python -m tests.campaign --seed 0 --minutes 10
    python -m tests.campaign --part photographs

Files are flipped, cut, emptied and filled with other values; photographs come
in every form; boxes, bytes and flags are drawn. A case ends well if the command
refuses it in one line that names the file (refused), or if what comes out is
what the sound file gives, or can be (survived). It is wrong if something else
comes out, if there is a traceback or a sentence without the file's name, or if
the process dies; hung after 60 seconds. Exits with 1 if any case is wrong or
hung. Cases depend on the seed alone, how many there are on the time.
"""

import collections
import contextlib
import io
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from keras_pose.console import run

SECONDS = 60
"""That a case may take."""
START = 240
"""That making the sound files may take in addition."""
MEMORY = 8 * 2**30
"""Bytes of address space that a case may add to the process'."""
SHOWN = 20
"""Bad cases of a part that are printed."""
OUTCOMES = ("refused", "survived", "wrong", "hung")


@dataclass(frozen=True)
class Config:
    """Which cases, and for how long."""

    seed: int = 0
    """Of what is damaged, and how."""
    minutes: float = 10.0
    """Of all parts together."""
    part: (
        Literal[
            "annotations",
            "boxes",
            "checkpoints",
            "crowds",
            "exports",
            "flags",
            "models",
            "photographs",
            "records",
            "runs",
            "served",
        ]
        | None
    ) = None
    """One of them; all if not given."""


def main(config):
    """Prints a table; raises if anything is wrong."""
    from tests import campaign_parts

    names = [config.part] if config.part else list(campaign_parts.PARTS)
    totals = {}
    for name in names:
        seconds = 60 * config.minutes / len(names)
        found, bad, peak = play(name, config.seed, seconds)
        totals[name] = found
        counts = ", ".join(f"{found[o]:,} {o}" for o in OUTCOMES)
        print(f"{name}: {counts}; {peak / 2**20:,.0f} MiB", flush=True)
        for line in bad[:SHOWN]:
            print(f"  {line}", flush=True)
    total = sum(totals.values(), collections.Counter())
    columns = "".join(f"{outcome:>10}" for outcome in OUTCOMES)
    print(f"\n{'part':<14}{'tried':>8}{columns}")
    for name, found in (totals | {"all": total}).items():
        row = "".join(f"{found[outcome]:>10,}" for outcome in OUTCOMES)
        print(f"{name:<14}{found.total():>8,}{row}")
    if total["wrong"] + total["hung"]:
        raise ValueError("cases are wrong, or hang: see above")
    return totals


def play(name, seed, seconds, most=None):
    """Cases of one part in a process of their own.

    Returns:
        Counter of OUTCOMES, sentences on the bad ones, most bytes in memory.
    """
    found, bad, peak = collections.Counter(), [], 0
    end, first = time.monotonic() + seconds, 0
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            ours, theirs = context.Pipe()
            settings = (name, seed, first, end - time.monotonic(), most, folder)
            child = context.Process(target=_cases, args=(theirs, *settings))
            child.start()
            theirs.close()
            case, outcome = "sound files", None
            try:
                while ours.poll(SECONDS + START * (case == "sound files")):
                    kind, *said = ours.recv()
                    if kind == "begin":
                        first, case = said
                        first += 1
                    elif kind == "memory":
                        peak = max(peak, said[0])
                    else:
                        found[kind] += 1
                        if kind == "wrong":
                            bad.append(f"wrong: {case}: {said[0]}")
                outcome = "hung"
                child.kill()
            except EOFError:
                child.join()
                outcome = "wrong" if child.exitcode else None
            child.join()
            if outcome is None:
                break
            found[outcome] += 1
            bad.append(f"{outcome}: {case}: exit code {child.exitcode}")
    return found, bad, peak


def _cases(line, name, seed, first, seconds, most, folder):
    """Runs in the child: one case after the other, told to the parent."""
    from tests import campaign_parts

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What the libraries below Python say of each damaged picture.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stdout = io.StringIO()
    folder = Path(folder) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    part = campaign_parts.PARTS[name](folder)
    here = int(Path("/proc/self/statm").read_text().split()[0])
    limit = here * resource.getpagesize() + MEMORY
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    end, number = time.monotonic() + seconds, first
    while time.monotonic() < end and (most is None or number < most):
        rng = np.random.default_rng([seed, number])
        line.send(("begin", number, f"{name} {number}, not made yet"))
        case = part.draw(rng, number)
        line.send(("begin", number, case.name))
        line.send(judge(case))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        line.send(("memory", peak))
        number += 1


@dataclass(frozen=True)
class Case:
    """One input, and what may come of it."""

    name: str
    """What was done."""
    call: object
    """Function without arguments: what a command's `main` would do."""
    says: str | tuple = ""
    """What the sentence has to contain, one of: the name of the file."""
    check: object = None
    """Function of what `call` returns: "" or what is wrong with it."""
    may_refuse: bool = True
    """False of sound input."""


@dataclass
class Nothing:
    """A command without flags."""


def judge(case):
    """("refused",), ("survived",) or ("wrong", why) of a case."""
    result, out, err = [], io.StringIO(), io.StringIO()
    code, argv = 0, sys.argv
    sys.argv = argv[:1]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            run(lambda _: result.append(case.call()), Nothing, "A case.")
    except SystemExit as exit:
        code = exit.code
    except BaseException as error:  # a traceback: what must not be
        return "wrong", f"{type(error).__name__}: {error}"
    finally:
        sys.argv = argv
    lines = [x for x in err.getvalue().splitlines() if x.startswith("error: ")]
    if not code:
        wrong = case.check(result[0]) if case.check else ""
        return ("wrong", wrong) if wrong else ("survived",)
    if code not in (1, 2) or code == 1 and len(lines) != 1:
        return "wrong", f"exit code {code}: {err.getvalue()[-500:]!r}"
    said = lines[0] if lines else err.getvalue()
    names = (case.says,) if isinstance(case.says, str) else case.says
    if "KERAS_POSE_TRACEBACK" in said or not any(n in said for n in names):
        return "wrong", said
    return ("refused",) if case.may_refuse else ("wrong", said)


def damage(rng, content):
    """Bytes of a file, flipped, cut or filled in some way, and the way."""
    content = bytearray(content or b"\0")
    ways = ["flip", "flips", "cut", "empty", "zeros", "twice", "insert"]
    way = str(rng.choice(ways, p=[0.4, 0.15, 0.2, 0.02, 0.1, 0.03, 0.1]))
    at = int(rng.integers(max(1, len(content))))
    if way in ("flip", "flips"):
        count = 1 if way == "flip" else 9
        for place in rng.integers(len(content), size=count):
            content[place] ^= 1 << int(rng.integers(8))
    elif way == "cut":
        del content[at:]
    elif way == "empty":
        content.clear()
    elif way == "zeros":
        size = min(int(rng.integers(1, 64)), len(content) - at)
        content[at : at + size] = bytes(size)
    elif way == "twice":
        content *= 2
    else:
        content[at:at] = rng.bytes(int(rng.integers(1, 32)))
    return bytes(content), f"{way} at {at}"


STRANGE = (
    None, True, -1, 0, 1, 2, 1e9, 10**30, -0.5, 1e16, 1e308, float("nan"),
    float("inf"), "", "x", "../../secret.jpg", "/etc/hostname", "a\0b",
    "\ud800", "<img src=x onerror=alert(1)>", "x" * 300, [], [1], [[1]], {},
    {"a": 1}, [None] * 16, [[0, 0]] * 15, [[0, 0, 0]] * 17,
)  # fmt: skip
"""Values in the place of others in a JSON file."""


def distort(rng, value):
    """A JSON value with one member replaced, removed or doubled, and where."""
    where = []

    def change(value):
        inner = isinstance(value, (dict, list)) and len(value)
        if not inner or where and rng.random() < 0.15:
            return STRANGE[rng.integers(len(STRANGE))]
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[rng.integers(len(keys))]
        where.append(str(key))
        value = value.copy()
        way = rng.random()
        if way < 0.1:
            del value[key]
        elif way < 0.15 and isinstance(value, list):
            value.append(value[key])
        else:
            value[key] = change(value[key])
        return value

    changed = change(value)
    return changed, ".".join(where)


if __name__ == "__main__":
    run(main, Config, __doc__)
