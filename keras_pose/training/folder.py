"""The folder of a run: what its files are called, and whose it is.

run.json says with which settings, data and first weights a run was trained. A
folder is continued by a run of the same ones, and by no other. A checkpoint
says that, too, and is sealed: one that a power cut or a disk has damaged is
not read, and the one before it counts.
"""

import dataclasses
import importlib.metadata
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import pandas as pd
from rich.console import Console
from rich.table import Table

from keras_pose import console, files
from keras_pose.data.dataset import DESCRIPTION, Dataset
from keras_pose.training.config import Config

BEST, UNTRAINED, WEIGHTS = "best.keras", "untrained.keras", "model.weights.h5"
RUN, HISTORY, STATE = "run.json", "history.csv", "state.json"
RESULTS, REPORT = "results.json", "report.html"
JOINT_WEIGHTS = "joint_weights.csv"
CHECKPOINT, TENSORBOARD, SAVED = "checkpoint", "tensorboard", "saved_model"
FILES = (BEST, UNTRAINED, HISTORY, JOINT_WEIGHTS, RESULTS, REPORT)
"""What lies in the folder itself; run.json apart, which tells of the last
command and may change."""
FREE = {"epochs", "output", "restart", "data", "preset"}
"""Settings that may differ when a run is continued; the data is compared by its
content."""
NETWORKS = 2
"""Raised where the same settings come to mean another network: since 2, strided
convolutions pad as Torch's. A run of another number is not continued."""
OLDER = "is of another version, in which these settings meant another network"


@dataclass(frozen=True)
class Run:
    """A run that is ready to build its model."""

    paper: str
    """Title, for the report."""
    config: Config
    """Resolved: no None that a preset fills."""
    origin: dict
    """Where each setting came from, as `Config.resolved` says."""
    data: Dataset
    """Opened."""
    metric: str
    """What the data set's score is called in logs: "pckh" or "pck"."""
    starts_from: Path | None = None
    """Folder of the run whose best weights this one begins with."""
    siblings: Path | None = None
    """Folder of a comparison: a run in it that equals this one is not trained
    again."""


@dataclass(frozen=True)
class Checkpoint:
    """What a stopped run goes on from."""

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
    """Writes run.json, or checks that the folder's run is this one.

    A folder that holds no epoch yet takes those of an equal run among the
    siblings, if one has all its epochs.

    Returns:
        what run.json says, and the `Checkpoint` to go on from, or None.

    Raises:
        ValueError: the folder's run is another one; says where they differ. Or
            no checkpoint in it is whole.
    """
    description = describe(folder, run)
    values = {n: entry["value"] for n, entry in description["settings"].items()}
    show(run.origin, values, f"{folder}")
    newest = newest_checkpoint(folder)
    if newest:
        before = newest.state.get("run") or read_run(folder)
        changes = differences(before, description)
        if changes:
            raise ValueError(
                f"{folder} holds a run with other settings "
                f"({'; '.join(changes)}): choose another --output or --restart"
            )
    elif run.siblings and not run.config.restart:
        _take_twin(folder, run.siblings, description)
        newest = newest_checkpoint(folder)
    if newest and newest.epoch > run.config.epochs:
        description = before  # the epochs that it has stay said
    with files.whole(folder / RUN) as temporary:
        temporary.write_text(json.dumps(description, indent=2))
    return description, newest


def read_run(folder):
    """What run.json says of the run in a folder.

    Raises:
        ValueError: it is not there, or damaged.
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
    """The newest `Checkpoint` that is whole, None if there never was one.

    Says which ones are damaged.

    Raises:
        ValueError: there are only damaged ones.
    """
    there = checkpoints(folder)
    for path in reversed(there):
        # those of earlier versions have no seal
        wrong = files.damaged(path, [STATE, WEIGHTS])
        try:
            if not wrong:
                state = json.loads((path / STATE).read_text())
                state["epoch"], state["history"]  # is it a state at all?
                return Checkpoint(path, state)
        except (OSError, ValueError, TypeError, KeyError):
            wrong = [STATE]
        print(f"{path / wrong[0]} is damaged: using the previous checkpoint")
    if there:
        raise ValueError(
            f"{folder / CHECKPOINT}: every checkpoint is damaged; choose "
            "another --output or --restart"
        )
    return None


def describe(folder, run):
    """What run.json says of a `Run` in a folder: a dict."""
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
    if run.starts_from:
        start = run.starts_from / BEST
        description["starts_from"] = os.path.relpath(start, folder)
        description["starts_from_sha256"] = files.checksum(start)
    return description


def differences(before, now):
    """Sentences on where two run.json are not of one run; none if they are.

    A setting that there was not yet had the value that is now its default; one
    that all papers share, the shared default, whatever a paper now has.
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
                # those of a preset keep their shares of --epochs
                epochs = " ".join(map(str, old["value"]))
                change += f", keep them with --drop-epochs {epochs}"
            changes.append(change)
    if before["data_sha256"] != now["data_sha256"]:
        changes.append(f"data: {before['data']} before, {now['data']} now")
    start = "starts_from_sha256"
    if before.get(start) != now.get(start):
        changes.append("the weights that it started from have changed")
    return changes


def check_finished(folder):
    """Raises unless `folder` holds a run with all its epochs."""
    best = folder / BEST
    if not best.is_file():
        raise FileNotFoundError(f"{best} is missing: train that stage first")
    description = read_run(folder)
    if is_older(description):
        raise ValueError(f"{folder} {OLDER}: train it again with --restart")
    wanted = description["settings"]["epochs"]["value"]
    done = len(pd.read_csv(folder / HISTORY))
    if done < wanted:
        raise ValueError(
            f"{folder} has {done} of its {wanted} epochs: finish that stage "
            "first"
        )


def is_older(description):
    """Whether a run.json is of a version with other networks."""
    return description.get("networks", 1) != NETWORKS


def forget(folder):
    """Removes what a run wrote, and nothing else that lies in the folder.

    run.json goes last: what is left after a kill is still refused to others. A
    link to a folder stays, its checkpoints do not.

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
    """Folders of checkpoints, those that were begun first first.

    epoch-0007 was written after 7 epochs, epoch-0007-step-000123 after 123
    further steps.
    """
    return sorted(
        (Path(folder) / CHECKPOINT).glob("epoch-*"),
        key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)],
    )


def seal(folder):
    """Says that a run is finished: keeps the checksums of what it wrote.

    Without report, tables, predictions and export, which other commands may
    write anew.
    """
    names = [n for n in FILES if n != REPORT and (folder / n).is_file()]
    files.seal(folder, names)


def is_sealed(folder):
    """Whether a finished run is there, with a report, as it was written."""
    wrong = files.damaged(folder, [BEST, HISTORY, RESULTS])
    report = folder / REPORT
    if wrong is None or wrong or not report.is_file():
        return False
    return report.read_bytes().rstrip().endswith(b"</html>")


def show(origin, settings, title):
    """Prints every setting, its value and where it came from."""
    table = Table("setting", "value", "from", title=title)
    for name, value in settings.items():
        style = None if origin[name] == "default" else "bold"
        table.add_row(name, str(value), origin[name], style=style)
    Console().print(table)


def _take_twin(folder, siblings, description):
    """Copies what the longest equal run, that is finished, has trained."""
    wanted, twins = description["settings"]["epochs"]["value"], []
    for path in Path(siblings).rglob(RUN):
        try:
            before = read_run(path.parent)
        except ValueError:
            continue
        same = path.parent != folder and before["paper"] == description["paper"]
        equal = same and not differences(before, description)
        epochs = before["settings"]["epochs"]["value"]
        if equal and epochs <= wanted and _is_finished(path.parent):
            twins.append((epochs, path.parent))
    for epochs, twin in sorted(twins)[-1:]:
        print(f"{folder}: copied the first {epochs} epochs from {twin}")
        for name in (BEST, UNTRAINED, HISTORY, JOINT_WEIGHTS):
            if (twin / name).is_file():
                with files.whole(folder / name) as temporary:
                    shutil.copyfile(twin / name, temporary)
        # last: with a checkpoint in it, the folder is that of a run
        newest = newest_checkpoint(twin).folder
        with files.whole(folder / CHECKPOINT / newest.name) as temporary:
            shutil.copytree(newest, temporary)


def _is_finished(folder):
    try:
        check_finished(folder)
        return newest_checkpoint(folder) is not None
    except (ValueError, FileNotFoundError):
        return False


def _versions():
    """What the run stood on; TensorFlow has several distributions."""
    owners = importlib.metadata.packages_distributions()
    return {
        name: importlib.metadata.version(owners[name][0])
        for name in ("keras", "tensorflow", "numpy")
    } | {
        "python": sys.version.split()[0],
        "backend": keras.backend.backend(),
    }


def _plain(value):
    """A setting as JSON has it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
