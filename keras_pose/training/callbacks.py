"""What training logs, guards and keeps, and the exact resume."""

import json
import math
import os
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
    """Prints an epoch in a line: what a file keeps of Keras' bar.

    Args:
        metric: name of the metric that the run is about.
    """

    def __init__(self, metric):
        super().__init__()
        self.names = ("loss", "val_loss", f"val_{metric}")

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """`epoch` counts from 0; a plateau that follows lowers the rate."""
        words = [
            f"epoch {epoch + 1} of {self.params['epochs']}",
            f"{time.perf_counter() - self.start:.0f} s",
            *(f"{n} {logs[n]:.4g}" for n in self.names if n in (logs or {})),
            f"rate {float(self.model.optimizer.learning_rate):.3g}",
        ]
        print(", ".join(words), flush=True)


class Guard(keras.callbacks.Callback):
    """Stops a run whose loss or weights break; reports maps that stay empty."""

    def __init__(self, warmup_epochs):
        super().__init__()
        self.warmup_epochs = warmup_epochs
        self.faded = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers the weights, to see whether the gradient moves them."""
        self.before = [checksum for checksum, _ in self._weights()]

    def on_train_batch_end(self, batch, logs=None):
        """A loss that is not a number never recovers."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss became {loss} at step {batch + 1}. Try a lower "
                "--learning-rate, a longer --warmup-epochs, --clip-norm 1, or "
                "leave out --mixed-precision, with --restart or another "
                "--output"
            )

    def on_epoch_end(self, epoch, logs=None):
        """Looks at the gradient's effect and at the height of the maps."""
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
                "everywhere. Try a higher --learning-rate, a bias start nearer "
                "to 0, a larger sigma, or --loss mse",
                stacklevel=2,
            )

    def _weights(self):
        """Each weight's checksum, and whether it is finite."""
        for variable in self.model.trainable_variables:
            value = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
            yield zlib.crc32(value), bool(np.isfinite(value).all())


class JointWeightLog(keras.callbacks.Callback):
    """Writes joint_weights.csv: mean weight by epoch, hourglass and joint.

    Over the people that were trained on.

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
        """After the last; the validation that follows counts anew."""
        if batch + 1 == self.params["steps"]:
            self.mean = self.metric.mean()

    def on_epoch_end(self, epoch, logs=None):
        """Behind the epochs before; a stopped one may be there already."""
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
    """Keeps the run: history.csv, best.keras, and the checkpoint to resume.

    Keras' own BackupAndRestore brings back weights, optimizer and epoch, but no
    callback (plateau, best so far), and writes its two files one after the
    other, so a kill between them mixes two epochs. Here an epoch's weights and
    state are one folder that is renamed into place.

    Args:
        folder: of the run.
        monitor: validation metric, larger is better; its best model is kept.
        plateau: a `Plateau` whose state belongs to the checkpoint.
    """

    def __init__(self, folder, monitor, plateau):
        super().__init__()
        self.folder = Path(folder)
        self.monitor = monitor
        self.plateau = plateau
        self.rows = []
        self.best = None
        self.plateau_state = None

    def resume(self, model):
        """Loads the newest checkpoint into `model`: finished epochs, or 0."""
        finished = names.checkpoints(self.folder)
        if not finished:
            return 0
        newest = finished[-1]
        state = json.loads((newest / names.STATE).read_text())
        try:
            model.load_weights(newest / names.WEIGHTS)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(
                f"{newest} is a checkpoint of another architecture, or damaged "
                f"({str(error).splitlines()[0]}): choose another --output or "
                "--restart"
            ) from None
        self.rows = state["history"]
        self.best = state["best"]
        self.plateau_state = state["plateau"]
        return state["epoch"]

    def on_train_begin(self, logs=None):
        """After the plateau's own reset: this callback comes last."""
        if self.plateau_state:
            self.plateau.restore(self.plateau_state)

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.start = time.perf_counter()
        self.rate = None

    def on_epoch_end(self, epoch, logs=None):
        """Writes everything; each file whole or not at all."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        rate = logs.pop("learning_rate", None)
        if rate is None:
            rate = float(self.model.optimizer.learning_rate)
        self.rows.append(
            {"epoch": epoch + 1, "learning_rate": rate}
            | logs
            | {"seconds": round(time.perf_counter() - self.start, 2)}
        )
        with files.whole(self.folder / names.HISTORY) as temporary:
            pd.DataFrame(self.rows).to_csv(temporary, index=False)
        score = logs.get(self.monitor)
        is_best = score is not None and (self.best is None or score > self.best)
        if is_best:
            self.best = score
            with files.whole(self.folder / names.BEST) as temporary:
                self.model.save(temporary)
        self._save(epoch + 1, is_best)

    def _save(self, finished, is_best):
        folder = self.folder / names.CHECKPOINT
        temporary = folder / "writing"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        if is_best:  # it holds the same file, which takes a second to write
            with zipfile.ZipFile(self.folder / names.BEST) as best:
                best.extract(names.WEIGHTS, temporary)
        else:
            self.model.save_weights(temporary / names.WEIGHTS)
        state = {
            "epoch": finished,
            "best": self.best,
            "plateau": self.plateau.state(),
            "history": self.rows,
        }
        (temporary / names.STATE).write_text(json.dumps(state))
        earlier = names.checkpoints(self.folder)
        os.replace(temporary, folder / f"epoch-{finished:04d}")
        for old in earlier:
            shutil.rmtree(old)
