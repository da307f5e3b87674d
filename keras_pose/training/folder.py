"""The folder of a run: names of its files, and checks before it is continued.

run.json holds the settings, data and initial weights of a run. Only a run with
the same ones continues the folder. A checkpoint holds them, too, and has
checksums: a damaged one is not read, and the previous one is used.
"""

import dataclasses
import functools
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import pandas as pd

from keras_pose import console, files
from keras_pose.data.dataset import DESCRIPTION, Dataset
from keras_pose.training import config, initial
from keras_pose.training.config import Config

BEST, UNTRAINED, WEIGHTS = "best.keras", "untrained.keras", "model.weights.h5"
RUN, HISTORY, STATE = "run.json", "history.csv", "state.json"
RESULTS, REPORT = "results.json", "report.html"
JOINT_WEIGHTS = "joint_weights.csv"
CHECKPOINT, TENSORBOARD, SAVED = "checkpoint", "tensorboard", "saved_model"
FILES = (BEST, UNTRAINED, HISTORY, JOINT_WEIGHTS, RESULTS, REPORT)
"""Files in the folder itself, except run.json, which each command rewrites."""
FREE = {"epochs", "output", "restart", "data", "preset", "initial_weights"}
FREE |= {"callbacks"}
"""Settings that may differ when a run is continued; data and initial weights
are compared by their checksums."""
START = "starts_from_sha256"
"""Checksum in run.json of the weights that it started from."""
INITIAL, ERRORS = "initial", "errors"
"""What run.json says of `initial.Taken` layers, and what `Run.errors` found."""
NETWORKS = 2
"""Increased when the same settings come to mean another network: since 2,
strided convolutions pad as in Torch. Runs of another number are refused."""
RESTORED = "the command that trained that stage restores it"
OLDER = "is of another version, in which these settings meant another network"


@dataclass(frozen=True)
class Run:
    """A run that is ready to build its model."""

    paper: str
    """Title, for the report."""
    config: Config
    """Resolved: presets are filled in."""
    origin: dict
    """Where each setting came from, see `Config.resolved`."""
    data: Dataset
    """Opened."""
    metric: str
    """Name of the data set's score in logs: "pckh" or "pck"."""
    starts_from: Path | None = None
    """Folder of the run whose best weights this one starts from."""
    siblings: Path | None = None
    """Folder of a comparison: the epochs of an equal run in it are copied."""
    read_weights: Callable | None = None
    """path -> weights to start from, as `initial.take` wants them, and what is
    known of them, see `keras_pose.provenance`."""
    errors: Callable | None = None
    """() -> errors of a cascade's stage before, see `inference.errors`."""

    def start(self):
        """The file of the weights that it starts from, or None."""
        if self.starts_from:
            return self.starts_from / BEST
        given = self.config.initial_weights
        return given and initial.find(given, BEST, WEIGHTS)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint to resume from."""

    folder: Path
    state: dict
    """As `callbacks.Record` wrote it."""

    @property
    def epoch(self):
        """Finished epochs."""
        return self.state["epoch"]

    @property
    def step(self):
        """Steps done of the epoch after those."""
        return self.state.get("step", 0)


def claim(folder, run):
    """Writes run.json, or checks that the folder holds this run.

    If the folder has no epoch yet, the epochs of a finished equal run among the
    siblings are copied.

    Returns:
        the contents of run.json, and the `Checkpoint` to resume from, or None.

    Raises:
        ValueError: the folder holds another run (the message lists the
            differences), or all its checkpoints are damaged.
    """
    newest = newest_checkpoint(folder)
    before = newest and (newest.state.get("run") or read_run(folder))
    description = describe(folder, run, before)
    values = {n: entry["value"] for n, entry in description["settings"].items()}
    config.show(run.origin, values, f"{folder}")
    if newest:
        changes = differences(before, description)
        if changes:
            raise ValueError(
                f"{folder} holds a run with other settings "
                f"({'; '.join(changes)}): choose another --output or --restart"
            )
    elif run.siblings and not run.config.restart:
        _take_twin(folder, run.siblings, description)
        newest = newest_checkpoint(folder)
        before = newest and newest.state.get("run")
    if newest and newest.epoch > run.config.epochs:
        description = before  # keeps the number of epochs trained
    kept = {INITIAL, ERRORS} & (before or {}).keys()
    description |= {name: before[name] for name in kept}
    write_run(folder, description)
    return description, newest


def write_run(folder, description):
    """Writes run.json."""
    with files.whole(folder / RUN) as temporary:
        temporary.write_text(json.dumps(description, indent=2))


def read_run(folder):
    """The contents of run.json in a folder.

    Raises:
        ValueError: it is missing or damaged.
    """
    path = Path(folder) / RUN
    try:
        description = json.loads(path.read_text())
        description["settings"]["epochs"]["value"] / 1
    except (OSError, ValueError, TypeError, KeyError):
        raise ValueError(
            f"{path} is missing or damaged, so the settings of the run are "
            "unknown: choose another --output or --restart"
        ) from None
    return description


def newest_checkpoint(folder):
    """The newest undamaged `Checkpoint`, None if there is no checkpoint.

    Prints which ones are damaged.

    Raises:
        ValueError: all checkpoints are damaged.
    """
    paths = checkpoints(folder)
    for path in reversed(paths):
        wrong = files.damaged(path, [STATE, WEIGHTS])
        try:
            if not wrong:
                state = json.loads((path / STATE).read_text())
                state["epoch"], state["history"]  # KeyError if damaged
                # only those of earlier versions have no checksums
                if wrong is not None or "run" not in state:
                    return Checkpoint(path, state)
                wrong = [files.SUMS]
        except (OSError, ValueError, TypeError, KeyError):
            wrong = [STATE]
        print(f"{path / wrong[0]} is damaged: using the previous checkpoint")
    if paths:
        raise ValueError(
            f"{folder / CHECKPOINT}: every checkpoint is damaged; choose "
            "another --output or --restart"
        )
    return None


def describe(folder, run, before=None):
    """The contents of run.json for a `Run` in a folder: a dict.

    `before` is that of the run that is continued, if there is one: it does not
    need its initial weights any more.
    """
    config, data = run.config, run.data
    description = {
        "paper": run.paper,
        "settings": {
            field.name: {
                "value": _plain(getattr(config, field.name)),
                "from": run.origin[field.name],
            }
            for field in dataclasses.fields(config)
        },
        "data": str(data.folder),
        "data_sha256": files.checksum(data.folder / DESCRIPTION),
        "command": console.command_line(),
        "networks": NETWORKS,
        "versions": _versions(),
    }
    given = config.initial_weights
    known = before and _setting(before, "initial_weights") == str(given)
    if given and known and not Path(given).exists():
        description[START] = before[START]
    elif start := run.start():
        description[START] = files.checksum(start)
    if run.starts_from:
        description["starts_from"] = os.path.relpath(start, folder)
        stage = before and newest_checkpoint(run.starts_from)
        if stage and before.get(START) in stage.state.get("lost", []):
            description[START] = before[START]  # since replaced
    return description


def differences(before, now):
    """Differences of two run.json, as text; empty if they are of one run.

    A setting that is missing in the older one counts as its default; one that
    all papers share counts as the shared default.
    """
    shared = {
        field.name: {"value": _plain(field.default)}
        for field in dataclasses.fields(Config)
    }
    changes = []
    if is_older(before):
        changes.append(f"it {OLDER}")
    for name, new in now["settings"].items():
        unknown = new if new["from"] == "default" else {"value": None}
        unknown = shared.get(name, unknown)
        old = before["settings"].get(name, unknown)
        if name not in FREE and old["value"] != new["value"]:
            change = f"{name}: {old['value']} before, {new['value']} now"
            if name == "drop_epochs" and old["value"]:
                # a preset gives them as shares of --epochs
                epochs = " ".join(map(str, old["value"]))
                change += f", keep them with --drop-epochs {epochs}"
            changes.append(change)
    if before["data_sha256"] != now["data_sha256"]:
        old, new = before["data"], now["data"]
        said = (
            f"{old} before, {new} now" if old != new else f"{new} has changed"
        )
        changes.append(f"data: {said}")
    if before.get(START) != now.get(START):
        old, new = (_setting(run, "initial_weights") for run in (before, now))
        changes.append(
            "the weights that it started from have changed"
            if old == new
            else f"initial_weights: {old} before, {new} now"
        )
    return changes


def _setting(run, name):
    """The value of a setting in a run.json; None if it has none."""
    return run["settings"].get(name, {}).get("value")


def check_finished(folder):
    """Raises unless `folder` holds a whole run with all its epochs."""
    best = folder / BEST
    if not best.is_file():
        raise FileNotFoundError(f"{best} is missing: train that stage first")
    description = read_run(folder)
    if is_older(description):
        raise ValueError(f"{folder} {OLDER}: train it again with --restart")
    epochs = description["settings"]["epochs"]["value"]
    try:
        done = len(pd.read_csv(folder / HISTORY))
    except (OSError, ValueError):
        raise ValueError(
            f"{folder / HISTORY} is missing or damaged: {RESTORED}"
        ) from None
    newest = newest_checkpoint(folder)
    digest = newest and newest.state.get("sha256", {}).get(BEST)
    if digest and not files.is_whole(best, digest):
        raise ValueError(f"{best} is not what this run wrote: {RESTORED}")
    if done < epochs:
        raise ValueError(
            f"{folder} has {done} of its {epochs} epochs: finish that stage "
            "first"
        )


def is_older(description):
    """Whether a run.json is from a version with other networks."""
    return description.get("networks", 1) != NETWORKS


def forget(folder):
    """Removes the files of a run, and no others.

    run.json goes last: after a kill, the rest still belongs to this run. A link
    to a folder stays, its checkpoints are removed.

    Raises:
        OSError: something cannot be removed.
    """
    for path in checkpoints(folder):
        shutil.rmtree(path)
    for name in (TENSORBOARD, SAVED):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    for name in (*FILES, files.SUMS, RUN):
        (folder / name).unlink(missing_ok=True)


def checkpoints(folder):
    """Folders of checkpoints, oldest first.

    epoch-0007 was written after 7 epochs, epoch-0007-step-000123 after 123
    further steps.
    """
    return sorted(
        (Path(folder) / CHECKPOINT).glob("epoch-*"),
        key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)],
    )


def seal(folder):
    """Marks a run as finished: writes the checksums of its files.

    Not of the report, tables, predictions and export: other commands may
    rewrite these.
    """
    names = [n for n in FILES if n != REPORT and (folder / n).is_file()]
    files.seal(folder, names)


def is_sealed(folder):
    """Whether the folder holds a finished, unchanged run with its report."""
    wrong = files.damaged(folder, [BEST, HISTORY, RESULTS])
    report = folder / REPORT
    if wrong is None or wrong or not report.is_file():
        return False
    return report.read_bytes().rstrip().endswith(b"</html>")


def _take_twin(folder, siblings, description):
    """Copies the epochs of the longest finished equal run."""
    most, twins = description["settings"]["epochs"]["value"], []
    for path in Path(siblings).rglob(RUN):
        try:
            before = read_run(path.parent)
        except ValueError:
            continue
        same = path.parent != folder and before["paper"] == description["paper"]
        equal = same and not differences(before, description)
        epochs = before["settings"]["epochs"]["value"]
        if equal and epochs <= most and _is_finished(path.parent):
            twins.append((epochs, path.parent))
    for epochs, twin in sorted(twins)[-1:]:
        print(f"{folder}: copied the first {epochs} epochs from {twin}")
        for name in (BEST, UNTRAINED, HISTORY, JOINT_WEIGHTS):
            if (twin / name).is_file():
                with files.whole(folder / name) as temporary:
                    shutil.copyfile(twin / name, temporary)
        # last: the checkpoint marks the folder as that of a run
        newest = newest_checkpoint(twin).folder
        with files.whole(folder / CHECKPOINT / newest.name) as temporary:
            shutil.copytree(newest, temporary)


def _is_finished(folder):
    try:
        check_finished(folder)
        return newest_checkpoint(folder) is not None
    except (ValueError, FileNotFoundError):
        return False


@functools.cache  # it reads the files of every package
def _versions():
    """Versions of packages; TensorFlow has several distributions."""
    owners = importlib.metadata.packages_distributions()
    return {
        name: importlib.metadata.version(owners[name][0])
        for name in ("keras", "tensorflow", "numpy")
    } | {"python": platform.python_version(), "backend": keras.config.backend()}


def _plain(value):
    """A setting as JSON stores it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
