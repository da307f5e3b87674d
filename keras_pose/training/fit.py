"""The one training loop: `model.fit` with what every paper needs around it."""

import dataclasses
import hashlib
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
from keras_pose.data import pipeline
from keras_pose.data.augment import Augmentation
from keras_pose.data.dataset import DESCRIPTION, Dataset
from keras_pose.training import callbacks
from keras_pose.training.config import Config


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


SMOKE_STEPS = 2
UNTRAINED = "untrained.keras"
FREE = {"epochs", "output", "restart", "data", "preset"}
"""Settings that may differ when a run is continued; the data is compared by its
content."""
NETWORKS = 2
"""Raised where the same settings come to mean another network: since 2, strided
convolutions pad as Torch's. A run of another number is not continued."""
OLDER = "is of another version, in which these settings meant another network"


def fit(model, run, extra=()):
    """Trains a compiled model and keeps everything in `config.output`.

    A run that was stopped at any moment, even by kill -9, continues from its
    last finished epoch: weights, optimizer, rate, plateau, best so far and the
    order of the people. On a CPU the result is that of an uninterrupted run bit
    for bit. A longer `epochs` continues a finished run; where a preset lowers
    the rate at shares of them, `drop_epochs` has to repeat the earlier ones.

    Args:
        model: `models.model.PoseModel`, compiled with a metric of the name
            `run.metric`.
        run: a `Run`; its data has splits train and val.
        extra: more callbacks; they write their files before the epoch counts
            as done.

    Returns:
        the history of all epochs, earlier ones included: a DataFrame.

    Raises:
        ValueError: the folder holds another run; no split train or val; too
            few people; a loss that is not finite; the run to start from lacks
            epochs.
        FileNotFoundError: the run to start from has no weights.
    """
    config, data = run.config, run.data
    folder = Path(config.output)
    _check_splits(data)
    if run.starts_from:
        _check_finished(run.starts_from)
    if config.restart and folder.exists():
        _forget(folder)
    _claim(folder, run)
    people = data.people("train")
    steps = SMOKE_STEPS if config.smoke else people // config.batch_size
    if steps == 0:
        raise ValueError(
            f"{data.folder}: {people} people in split train do not fill one "
            f"batch of {config.batch_size}: choose a smaller --batch-size"
        )
    model.optimizer.build(model.trainable_variables)  # else traced twice
    lowest = 0.0
    if config.plateau_drops:
        lowest = config.plateau_factor**config.plateau_drops
    plateau = callbacks.Plateau(
        config.warmup_epochs,
        monitor="val_loss",
        factor=config.plateau_factor,
        patience=config.patience,
        min_lr=config.learning_rate * lowest,
        verbose=1,
    )
    lower = plateau
    if config.drop_epochs:
        lower = callbacks.Drops(
            config.learning_rate, config.drop_epochs, config.drop_factor
        )
    record = callbacks.Record(folder, f"val_{run.metric}", plateau)
    done = record.resume(model)
    if done == 0:
        with files.whole(folder / UNTRAINED) as temporary:
            if run.starts_from:  # the untrained network is the first run's
                shutil.copyfile(run.starts_from / UNTRAINED, temporary)
                take_weights(model, run.starts_from / callbacks.BEST)
            else:
                model.save(temporary)
    if done >= config.epochs:
        print(f"{folder} has its {done} epochs: nothing to train")
    elif done:
        print(f"continuing {folder} after epoch {done} of {config.epochs}")
    size, batch = config.image_size, config.batch_size
    augmentation = Augmentation.told(config)
    shown = augmentation.context(size)
    if data.context and shown > 1.001 * data.context:
        print(
            f"{data.folder} holds {data.context:.3g} times the side of a "
            f"person's square, the strongest samples show {shown:.3g} times: "
            "the rest is black. A smaller --zoom or --rotation shows less; "
            "records of --whole-images hold all there is"
        )
    train = pipeline.load(
        data,
        "train",
        size,
        batch,
        training=True,
        seed=config.seed,
        first_epoch=done,
        augmentation=augmentation,
    )
    held_out = pipeline.load(data, "val", size, batch)
    watched = console.is_terminal(sys.stdout)
    if done < config.epochs:
        model.fit(
            train,
            epochs=config.epochs,
            initial_epoch=done,
            steps_per_epoch=steps,
            validation_data=held_out,
            shuffle=False,  # the pipeline does it
            verbose=1 if watched else 0,  # Keras' bar
            callbacks=[
                *[callbacks.EpochLine(run.metric)] * (not watched),
                callbacks.WarmUp(
                    config.learning_rate, config.warmup_epochs, steps
                ),
                lower,
                callbacks.Guard(config.warmup_epochs),
                keras.callbacks.TensorBoard(
                    folder / "tensorboard", write_graph=False, profile_batch=0
                ),
                *extra,
                record,
            ],
        )
    return pd.DataFrame(record.rows)


def take_weights(model, path):
    """Gives layers the weights that layers of their names have in a .keras.

    Raises:
        ValueError: a layer of the file is not in `model`, or of another shape.
    """
    for layer in keras.saving.load_model(path, compile=False).layers:
        if not layer.weights:
            continue
        try:
            model.get_layer(layer.name).set_weights(layer.get_weights())
        except ValueError as error:
            raise ValueError(
                f"{path} is of another architecture: {error}"
            ) from None


def show(origin, settings, title):
    """Prints every setting, its value and where it came from."""
    table = Table("setting", "value", "from", title=title)
    for name, value in settings.items():
        style = None if origin[name] == "default" else "bold"
        table.add_row(name, str(value), origin[name], style=style)
    Console().print(table)


def _check_splits(data):
    """Raises unless there are people to train on and people to validate on."""
    splits = data.description["splits"]
    people = {split: found["people"] for split, found in splits.items()}
    if all(people.get(split) for split in ("train", "val")):
        return
    there = ", ".join(f"{split} ({n:,})" for split, n in people.items())
    command = data.description.get("command", "")
    found = re.search(r"tfrecords\.\w+", command)
    converter = found[0] if found else "tfrecords.lsp, mpii, coco, flic"
    raise ValueError(
        f"{data.folder}: training needs people in the splits train and val, "
        f"which chooses the best epoch; it has {there}. Convert again: "
        f"python -m {converter} --help says how to make splits"
    )


def _check_finished(folder):
    """Raises unless `folder` holds a run with all its epochs."""
    best = folder / callbacks.BEST
    if not best.is_file():
        raise FileNotFoundError(f"{best} is not there: train that stage first")
    said = json.loads((folder / "run.json").read_text())
    if _is_older(said):
        raise ValueError(f"{folder} {OLDER}: --restart trains it anew")
    wanted = said["settings"]["epochs"]["value"]
    done = len(pd.read_csv(folder / "history.csv"))
    if done < wanted:
        raise ValueError(
            f"{folder} has {done} of its {wanted} epochs: finish that stage "
            "first"
        )


def _claim(folder, run):
    """Writes run.json, or checks that the folder's run is this one."""
    config, origin, data = run.config, run.origin, run.data
    settings = {
        field.name: _plain(getattr(config, field.name))
        for field in dataclasses.fields(config)
    }
    show(origin, settings, f"{folder}")
    content = (data.folder / DESCRIPTION).read_bytes()
    said = {
        "paper": run.paper,
        "settings": {
            name: {"value": value, "from": origin[name]}
            for name, value in settings.items()
        },
        "data": str(data.folder),
        "data_sha256": hashlib.sha256(content).hexdigest(),
        "command": console.command_line(),
        "networks": NETWORKS,
        "versions": _versions(),
    }
    if run.starts_from:
        begins = run.starts_from / callbacks.BEST
        said["starts_from"] = os.path.relpath(begins, folder)
        digest = hashlib.sha256(begins.read_bytes())
        said["starts_from_sha256"] = digest.hexdigest()
    path = folder / "run.json"
    if path.exists() and callbacks.checkpoints(folder):
        _compare(folder, json.loads(path.read_text()), said)
    with files.whole(path) as temporary:
        temporary.write_text(json.dumps(said, indent=2))


def _compare(folder, before, now):
    """ValueError if `folder` was trained with other settings or data.

    A setting that there was not yet had the value that is now its default; one
    that all papers share, the shared default, whatever a paper now has.
    """
    shared = {
        field.name: {"value": _plain(field.default)}
        for field in dataclasses.fields(Config)
    }
    differences = []
    if _is_older(before):
        differences.append(f"it {OLDER}")
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
            differences.append(said)
    if before["data_sha256"] != now["data_sha256"]:
        differences.append(f"data: {before['data']} there, {now['data']} here")
    begins = "starts_from_sha256"
    if before.get(begins) != now.get(begins):
        differences.append("it began with other weights than there are now")
    if differences:
        raise ValueError(
            f"{folder} holds a run with other settings "
            f"({'; '.join(differences)}): choose another --output or --restart"
        )


def _is_older(said):
    """Whether a run.json is of a version with other networks."""
    return said.get("networks", 1) != NETWORKS


def _forget(folder):
    """Removes what a run wrote, and nothing else that lies in the folder."""
    for name in ("checkpoint", "tensorboard", "saved_model"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (
        callbacks.BEST,
        UNTRAINED,
        "history.csv",
        "run.json",
        callbacks.JOINT_WEIGHTS,
    ):
        (folder / name).unlink(missing_ok=True)


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
