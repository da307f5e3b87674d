"""history.csv and the other files of a run, read back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from keras_pose.training.folder import HISTORY, RUN

SMOOTHING = 5
"""Epochs that the curves' 1-D convolution spans (HSM figure 3: unsaid)."""
LONG = 5
"""Windows that a stage of training must last to be smoothed: of a shorter one
the ends, which average half a window, would differ from the tables."""
SCORES = ("pckh", "pck")
"""What history.csv calls the data set's metric, among losses and others."""


def read_history(folder):
    """history.csv of a run, behind that of the run whose weights it began with.

    Args:
        folder: of the run; run.json names the one before, if there is one. Or
            a file like history.csv by itself.

    Returns:
        DataFrame, epochs counted through, with a column stage (from 1) where
        there is more than one run; None if there is no epoch.
    """
    folder = Path(folder)
    path = folder if folder.is_file() else folder / HISTORY
    if not path.is_file():
        return None
    history = pd.read_csv(path)
    if (folder / RUN).is_file():
        begins = read_json(folder / RUN).get("starts_from")
        earlier = read_history((folder / begins).parent) if begins else None
        if earlier is not None:
            if "stage" not in earlier:
                earlier["stage"] = 1
            history["epoch"] += earlier["epoch"].max()
            history["stage"] = earlier["stage"].max() + 1
            history = pd.concat([earlier, history], ignore_index=True)
    return history if len(history) else None


def metric_of(history):
    """The column of the data set's metric, or None."""
    return next((name for name in SCORES if name in history), None)


def read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path.parent} is not the folder of a training run: it has no "
            f"{path.name}"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def smooth(values, window=SMOOTHING):
    """Moving average by a 1-D convolution; the ends average what there is.

    An even window is one wider, so that the curve does not shift.
    """
    values = np.asarray(values, "float64")
    if window < 1:
        raise ValueError(f"window must be at least 1 epoch, got {window}")
    half = window // 2
    kernel, inside = np.ones(2 * half + 1), slice(half, half + len(values))
    number = np.convolve(np.ones_like(values), kernel)
    return (np.convolve(values, kernel) / number)[inside]


def smooth_stages(values, stages, window=SMOOTHING):
    """The curves of a run's stages, one after the other, each on its own.

    Args:
        values: (E,) one per epoch.
        stages: (E,) the stage that each epoch belongs to, rising.
        window: epochs that the convolution spans.

    Returns:
        list of (S,) arrays, one per stage: smoothed, or as it was where the
        stage lasts fewer than `LONG` windows.
    """
    parts = np.split(np.asarray(values, "float64"), stage_borders(stages))
    return [
        smooth(part, window) if len(part) >= LONG * window else part
        for part in parts
    ]


def stage_borders(stages):
    """Where stages begin, the first one apart: indices of epochs."""
    return np.flatnonzero(np.diff(stages)) + 1
