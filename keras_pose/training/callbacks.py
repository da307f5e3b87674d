"""Callbacks of training: logs, guards, checkpoints and exact resume."""

import json
import math
import shutil
import time
import warnings
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from keras_pose import files
from keras_pose.training import folder as names

FADED = 0.05
"""Mean height of the predicted peaks below which the maps count as empty."""
FADED_EPOCHS = 3
"""Epochs in a row after the warm-up before empty maps are reported."""


class EpochLine(keras.callbacks.Callback):
    """Prints one line per epoch, for a file instead of Keras' bar.

    Args:
        metric: name of the data set's score.
        epochs: of the whole run.
    """

    def __init__(self, metric, epochs):
        super().__init__()
        self.epochs = epochs
        self.names = ("loss", "val_loss", f"val_{metric}")

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """`epoch` counts from 0; the rate is that before the plateau."""
        words = [
            f"epoch {epoch + 1} of {self.epochs}",
            f"{time.perf_counter() - self.start:.0f} s",
            *(f"{n} {logs[n]:.4g}" for n in self.names if n in (logs or {})),
            f"rate {float(self.model.optimizer.learning_rate):.3g}",
        ]
        print(", ".join(words), flush=True)


class Guard(keras.callbacks.Callback):
    """Stops a run whose loss or weights are not finite; warns of empty maps."""

    def __init__(self, warmup_epochs):
        super().__init__()
        self.warmup_epochs = warmup_epochs
        self.faded = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Stores checksums of the weights, to see whether they change."""
        self.before = [checksum for checksum, _ in self._weights()]

    def on_train_batch_end(self, batch, logs=None):
        """Raises if the loss is not finite: it never recovers."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss became {loss} at step {batch + 1}. Try a lower "
                "--learning-rate, a longer --warmup-epochs, --clip-norm 1, or "
                "leave out --mixed-precision, with --restart or another "
                "--output"
            )

    def on_epoch_end(self, epoch, logs=None):
        """Checks the weights and the height of the maps."""
        after, finite = zip(*self._weights(), strict=True)
        if not all(finite):
            raise ValueError(
                "a weight is no longer finite: try a lower --learning-rate or "
                "--clip-norm 1"
            )
        still = [
            v.path
            for v, a, b in zip(
                self.model.trainable_variables, after, self.before, strict=True
            )
            if a == b
        ]
        if still:
            warnings.warn(
                f"{len(still)} of {len(after)} weights got no gradient in "
                f"epoch {epoch + 1}, first {still[0]}: is the loss connected "
                "to them, or has it vanished?",
                stacklevel=2,
            )
        peak = (logs or {}).get("val_peak", (logs or {}).get("peak", 1.0))
        self.faded = self.faded + 1 if peak < FADED else 0
        if epoch >= self.warmup_epochs and self.faded == FADED_EPOCHS:
            warnings.warn(
                f"the heatmaps are empty (mean peak {peak:.3f} for "
                f"{FADED_EPOCHS} epochs): the network predicts background "
                "everywhere. Try a higher --learning-rate, a larger --sigma, "
                "or the squared error as the loss",
                stacklevel=2,
            )

    def _weights(self):
        """Each weight's checksum, and whether it is finite."""
        for variable in self.model.trainable_variables:
            value = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
            yield zlib.crc32(value), bool(np.isfinite(value).all())


class JointWeightLog(keras.callbacks.Callback):
    """Writes joint_weights.csv: mean weight by epoch, hourglass and joint.

    Means are over the people of the training split.

    Args:
        folder: of the run.
        metric: a `losses.JointWeights` that the model is compiled with.
        joints: their names.
    """

    def __init__(self, folder, metric, joints):
        super().__init__()
        self.path = Path(folder) / names.JOINT_WEIGHTS
        self.metric = metric
        self.joints = joints

    def on_train_batch_end(self, batch, logs=None):
        """Takes the mean at the last step, before validation resets it."""
        if batch + 1 == self.params["steps"]:
            self.mean = self.metric.mean()

    def on_epoch_end(self, epoch, logs=None):
        """Appends to the earlier epochs; replaces an interrupted one."""
        stacks, joints = self.mean.shape
        rows = pd.DataFrame(
            {
                "epoch": epoch + 1,
                "stack": np.repeat(np.arange(stacks) + 1, joints),
                "joint": np.tile(self.joints, stacks),
                "weight": self.mean.ravel().round(6),
            }
        )
        if epoch:
            before = pd.read_csv(self.path)
            rows = pd.concat([before[before["epoch"] <= epoch], rows])
        with files.whole(self.path) as temporary:
            rows.to_csv(temporary, index=False)


class Record(keras.callbacks.Callback):
    """Keeps the run: history.csv, best.keras, and the checkpoints to resume.

    Keras' own BackupAndRestore restores weights, optimizer and epoch, but no
    callback (plateau, best so far), and writes its two files one after the
    other, so a kill between them mixes two epochs. Here an epoch's weights and
    state are one folder with checksums that is renamed into place, and the
    previous one is kept.

    Args:
        folder: of the run.
        monitor: validation metric, larger is better; its best model is kept.
        plateau: a `Plateau` whose state the checkpoint keeps.
        run: the contents of run.json, for the checkpoint.
        checkpoint: the `folder.Checkpoint` to resume from.
        stop: a `console.Stop`: once it is set, training stops after the step
            and writes a checkpoint in the middle of the epoch.
    """

    def __init__(
        self, folder, monitor, plateau, run=None, checkpoint=None, stop=None
    ):
        super().__init__()
        self.folder = Path(folder)
        self.monitor = monitor
        self.plateau = plateau
        self.run = run
        self.checkpoint = checkpoint
        self.stop = stop
        state = checkpoint.state if checkpoint else {}
        self.rows = state.get("history", [])
        self.best = state.get("best")
        self.digests = state.get("sha256", {})
        self.lost = state.get("lost", [])  # checksums of replaced best.keras
        self.skipped = 0

    def resume(self, model):
        """Loads the checkpoint into `model`, and restores damaged files.

        history.csv and joint_weights.csv become those of the checkpoint; a
        best.keras with another checksum is replaced.
        """
        checkpoint = self.checkpoint
        files.sweep(checkpoint.folder.parent)
        paths = names.checkpoints(self.folder)
        for damaged in paths[paths.index(checkpoint.folder) + 1 :]:
            shutil.rmtree(damaged)
        self._write_history()
        kept = checkpoint.folder / names.JOINT_WEIGHTS
        if kept.is_file():
            with files.whole(self.folder / names.JOINT_WEIGHTS) as temporary:
                shutil.copyfile(kept, temporary)
        best = self.folder / names.BEST
        if self.best is not None and not self.knows(best):
            self._mend_best(model)
        self._load(model, checkpoint.folder)
        # A checkpoint of an earlier version has none.
        if "seeds" in checkpoint.state:
            values = checkpoint.state["seeds"]
            for seed, value in zip(_seeds(model), values, strict=True):
                seed.assign(value)

    def knows(self, path):
        """Whether a file of the run has the checksum in the checkpoint."""
        if path.name not in self.digests:  # of an earlier version
            return path.is_file()
        return files.is_whole(path, self.digests[path.name])

    def on_train_begin(self, logs=None):
        """Restores the plateau after its own reset: this callback is last."""
        if self.checkpoint:
            self.plateau.restore(self.checkpoint.state["plateau"])

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock; in a resumed epoch, with the time so far."""
        self.start = time.perf_counter()
        self.skipped = self.checkpoint.step if self.checkpoint else 0
        if self.skipped:
            state = self.checkpoint.state
            self.start -= state["seconds"]
            for variable, value in zip(
                self._metrics(), state["metrics"], strict=True
            ):
                variable.assign(np.array(value, variable.dtype))
        self.checkpoint = None

    def on_train_batch_end(self, batch, logs=None):
        """Stops after this step if a signal came."""
        last = batch + 1 == self.params["steps"]  # on_epoch_end stops then
        if self.stop and self.stop.wanted and not last:
            middle = {
                "step": self.skipped + batch + 1,
                "seconds": time.perf_counter() - self.start,
                "metrics": [
                    keras.ops.convert_to_numpy(variable).tolist()
                    for variable in self._metrics()
                ],
            }
            self._save(len(self.rows), None, middle)
            self.stop.now()

    def on_epoch_end(self, epoch, logs=None):
        """Writes history, best model and checkpoint, each atomically."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        rate = logs.pop("learning_rate", None)
        if rate is None:
            rate = float(self.model.optimizer.learning_rate)
        self.rows.append(
            {"epoch": epoch + 1, "learning_rate": rate}
            | logs
            | {"seconds": round(time.perf_counter() - self.start, 2)}
        )
        self._write_history()
        score = logs.get(self.monitor)
        if score is not None and (self.best is None or score > self.best):
            self.best = score
            # The checkpoint comes first: it can replace this file.
            with files.whole(self.folder / names.BEST) as temporary:
                self.model.save(temporary)
                self.digests[names.BEST] = files.checksum(temporary)
                self._save(epoch + 1, temporary)
        else:
            self._save(epoch + 1)
        if self.stop and self.stop.wanted:
            self.stop.now()

    def _save(self, finished, best=None, middle=None):
        """Writes a checkpoint, and keeps only the one before it."""
        folder = self.folder / names.CHECKPOINT
        name = f"epoch-{finished:04d}"
        if middle:
            name += f"-step-{middle['step']:06d}"
        state = {
            "epoch": finished,
            "best": self.best,
            "plateau": self.plateau.state(),
            "history": self.rows,
            "run": self.run,
            "sha256": self.digests,
            "lost": self.lost,
            "seeds": [
                keras.ops.convert_to_numpy(v).tolist()
                for v in _seeds(self.model)
            ],
        }
        with files.whole(folder / name) as temporary:
            temporary.mkdir()
            if best:  # it holds the same file, which takes a second to write
                with zipfile.ZipFile(best) as archive:
                    archive.extract(names.WEIGHTS, temporary)
            else:
                self.model.save_weights(temporary / names.WEIGHTS)
            log = self.folder / names.JOINT_WEIGHTS
            if log.is_file():
                shutil.copyfile(log, temporary / names.JOINT_WEIGHTS)
            _seal(temporary, state | (middle or {}))
        for old in names.checkpoints(self.folder)[:-2]:
            shutil.rmtree(old)

    def _write_history(self):
        with files.whole(self.folder / names.HISTORY) as temporary:
            pd.DataFrame(self.rows).to_csv(temporary, index=False)

    def _metrics(self):
        """Variables of the metrics, always in the same order."""
        return [v for metric in self.model.metrics for v in metric.variables]

    def _mend_best(self, model):
        """Makes best.keras from the best checkpoint; updates the newest."""
        best = self.folder / names.BEST
        scores = {row["epoch"]: row[self.monitor] for row in self.rows}
        usable = {
            int(path.name[len("epoch-") :]): path
            for path in names.checkpoints(self.folder)
            if "step" not in path.name and not files.damaged(path)
        }
        if not usable:
            raise ValueError(
                f"{best} is missing or damaged, and so is every checkpoint "
                "that could replace it: choose another --output or --restart"
            )
        epoch = max(usable, key=lambda epoch: (scores.get(epoch, -1.0), epoch))
        print(
            f"{best} is missing or damaged: replaced by the network of epoch "
            f"{epoch} ({self.monitor} {scores[epoch]:.4g}; the best of all "
            f"epochs was {self.best:.4g})"
        )
        self._load(model, usable[epoch])
        self.best = scores[epoch]
        if names.BEST in self.digests:  # a later stage may have started from it
            self.lost = [*self.lost, self.digests[names.BEST]]
        with files.whole(best) as temporary:
            model.save(temporary)
        self.digests[names.BEST] = files.checksum(best)
        newest = self.checkpoint
        with files.whole(newest.folder) as temporary:
            shutil.copytree(newest.folder, temporary)
            changes = {"best": self.best, "sha256": self.digests}
            _seal(temporary, newest.state | changes | {"lost": self.lost})

    def _load(self, model, checkpoint):
        try:
            model.load_weights(checkpoint / names.WEIGHTS)
        except (ValueError, OSError, KeyError, RuntimeError) as error:
            raise ValueError(
                f"{checkpoint} is a checkpoint of another architecture, or "
                f"damaged ({str(error).splitlines()[0]}): choose another "
                "--output or --restart"
            ) from None


def _seeds(model):
    """States of the layers' random numbers, which are no weights: dropout."""
    for layer in model.layers:
        weights = {id(weight) for weight in layer.weights}
        yield from (v for v in layer.variables if id(v) not in weights)


def _seal(folder, state):
    """Writes the state of a checkpoint, and the checksums of all its files."""
    (folder / names.STATE).write_text(json.dumps(state))
    kept = (names.WEIGHTS, names.STATE, names.JOINT_WEIGHTS)
    files.seal(folder, [name for name in kept if (folder / name).is_file()])
