"""The folder of a run: what its files are called, and whose it is.

run.json says with which settings, data and first weights a run was trained. A
folder is continued by a run of the same ones, and by no other.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
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


def claim(folder, run):
    """Writes run.json, or checks that the folder's run is this one.

    A folder that holds no epoch yet takes those of an equal run among the
    siblings, if one has all its epochs.

    Raises:
        ValueError: the folder's run is another one; says where they differ.
    """
    said = describe(folder, run)
    settings = {n: entry["value"] for n, entry in said["settings"].items()}
    show(run.origin, settings, f"{folder}")
    path = folder / RUN
    if path.exists() and checkpoints(folder):
        found = differences(json.loads(path.read_text()), said)
        if found:
            raise ValueError(
                f"{folder} holds a run with other settings "
                f"({'; '.join(found)}): choose another --output or --restart"
            )
    elif run.siblings and not run.config.restart:
        _take_twin(folder, run.siblings, said)
    with files.whole(path) as temporary:
        temporary.write_text(json.dumps(said, indent=2))


def describe(folder, run):
    """What run.json says of a `Run` in a folder: a dict."""
    config, data = run.config, run.data
    content = (data.folder / DESCRIPTION).read_bytes()
    said = {
        "paper": run.paper,
        "settings": {
            field.name: {
                "value": _plain(getattr(config, field.name)),
                "from": run.origin[field.name],
            }
            for field in dataclasses.fields(config)
        },
        "data": str(data.folder),
        "data_sha256": hashlib.sha256(content).hexdigest(),
        "command": console.command_line(),
        "networks": NETWORKS,
        "versions": _versions(),
    }
    if run.starts_from:
        begins = run.starts_from / BEST
        said["starts_from"] = os.path.relpath(begins, folder)
        digest = hashlib.sha256(begins.read_bytes())
        said["starts_from_sha256"] = digest.hexdigest()
    return said


def differences(before, now):
    """Sentences on where two run.json are not of one run; none if they are.

    A setting that there was not yet had the value that is now its default; one
    that all papers share, the shared default, whatever a paper now has.
    """
    shared = {
        field.name: {"value": _plain(field.default)}
        for field in dataclasses.fields(Config)
    }
    found = []
    if is_older(before):
        found.append(f"it {OLDER}")
    for name, here in now["settings"].items():
        unknown = here if here["from"] == "default" else {"value": None}
        unknown = shared.get(name, unknown)
        there = before["settings"].get(name, unknown)
        if name not in FREE and there["value"] != here["value"]:
            said = f"{name}: {there['value']} there, {here['value']} here"
            if name == "drop_epochs" and there["value"]:
                # those of a preset keep their shares of --epochs
                epochs = " ".join(map(str, there["value"]))
                said += f", --drop-epochs {epochs} keeps those"
            found.append(said)
    if before["data_sha256"] != now["data_sha256"]:
        found.append(f"data: {before['data']} there, {now['data']} here")
    begins = "starts_from_sha256"
    if before.get(begins) != now.get(begins):
        found.append("it began with other weights than there are now")
    return found


def check_finished(folder):
    """Raises unless `folder` holds a run with all its epochs."""
    best = folder / BEST
    if not best.is_file():
        raise FileNotFoundError(f"{best} is not there: train that stage first")
    said = json.loads((folder / RUN).read_text())
    if is_older(said):
        raise ValueError(f"{folder} {OLDER}: --restart trains it anew")
    wanted = said["settings"]["epochs"]["value"]
    done = len(pd.read_csv(folder / HISTORY))
    if done < wanted:
        raise ValueError(
            f"{folder} has {done} of its {wanted} epochs: finish that stage "
            "first"
        )


def is_older(said):
    """Whether a run.json is of a version with other networks."""
    return said.get("networks", 1) != NETWORKS


def forget(folder):
    """Removes what a run wrote, and nothing else that lies in the folder."""
    for name in (CHECKPOINT, TENSORBOARD, SAVED):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (BEST, UNTRAINED, HISTORY, RUN, JOINT_WEIGHTS):
        (folder / name).unlink(missing_ok=True)


def checkpoints(folder):
    """Folders of finished epochs, oldest first."""
    return sorted((Path(folder) / CHECKPOINT).glob("epoch-*"))


def show(origin, settings, title):
    """Prints every setting, its value and where it came from."""
    table = Table("setting", "value", "from", title=title)
    for name, value in settings.items():
        style = None if origin[name] == "default" else "bold"
        table.add_row(name, str(value), origin[name], style=style)
    Console().print(table)


def _take_twin(folder, siblings, said):
    """Copies what the longest equal run, that is finished, has trained."""
    wanted, twins = said["settings"]["epochs"]["value"], []
    for path in Path(siblings).rglob(RUN):
        before = json.loads(path.read_text())
        same = path.parent != folder and before["paper"] == said["paper"]
        equal = same and not differences(before, said)
        epochs = before["settings"]["epochs"]["value"]
        if equal and epochs <= wanted and _is_finished(path.parent):
            twins.append((epochs, path.parent))
    for epochs, twin in sorted(twins)[-1:]:
        print(f"{folder}: its first {epochs} epochs are those of {twin}")
        for name in (BEST, UNTRAINED, HISTORY, JOINT_WEIGHTS):
            if (twin / name).is_file():
                with files.whole(folder / name) as temporary:
                    shutil.copyfile(twin / name, temporary)
        # last: with a checkpoint in it, the folder is that of a run
        temporary = folder / CHECKPOINT / "writing"
        shutil.rmtree(temporary, ignore_errors=True)
        newest = checkpoints(twin)[-1]
        shutil.copytree(newest, temporary)
        os.replace(temporary, folder / CHECKPOINT / newest.name)


def _is_finished(folder):
    try:
        check_finished(folder)
    except (ValueError, FileNotFoundError):
        return False
    return bool(checkpoints(folder))


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
