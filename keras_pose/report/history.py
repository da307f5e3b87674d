"""Reads history.csv and the other files of a run."""

from pathlib import Path

import numpy as np
import pandas as pd

from keras_pose import untrusted
from keras_pose.training.folder import HISTORY, RUN

SMOOTHING = 5
"""Width of the curves' 1-D convolution, epochs (HSM figure 3: not stated)."""
LONG = 5
"""Stages shorter than this many windows are not smoothed: their ends, which
average half a window, would differ from the tables."""
SCORES = ("pckh", "pck", "fit")
"""Names of the metric in history.csv: the data set's, or that of fields."""


def read_history(folder, later=()):
    """history.csv of a run, appended to that of the run it started from.

    Args:
        folder: of the run; run.json names the previous run, if there is one.
            Or a file like history.csv.
        later: folders of the runs that started from this one.

    Returns:
        DataFrame with consecutive epochs and, if there is more than one run, a
        column stage (from 1); None if there is no epoch.
    """
    folder = Path(folder)
    path = folder if folder.is_file() else folder / HISTORY
    if not path.is_file():
        return None
    history = read_table(path, ("epoch",))
    if (folder / RUN).is_file():
        later = (*later, folder.resolve())
        start = read_json(folder / RUN).get("starts_from")
        previous = (folder / start).resolve().parent if start else None
        if previous in later:
            raise ValueError(f"{folder / RUN}: the run starts from itself")
        earlier = read_history(previous, later) if start else None
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


def read_table(path, numbers=()):
    """A .csv file as a DataFrame whose columns `numbers` are numbers.

    Raises:
        ValueError: it is no table, or lacks one; names the file.
    """
    try:
        table = pd.read_csv(path)
        wrong = [
            name
            for name in numbers
            if table[name].dtype.kind not in "iuf"
            or not np.isfinite(table[name]).all()
        ]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if wrong:
        raise ValueError(
            f"{path} is damaged: {wrong[0]} holds other than numbers"
        )
    return table


def read_weights(path):
    """joint_weights.csv as a DataFrame with epoch, stack, joint and weight.

    Raises:
        ValueError: a weight is not positive, there is no column joint, or the
            hourglasses are not 1, 2 and so on.
    """
    table = read_table(path, ("epoch", "stack", "weight"))
    if not len(table) or not (table["weight"] > 0).all():
        raise ValueError(f"{path} is damaged: expected positive weights")
    if "joint" not in table:
        raise ValueError(f"{path} is damaged: it has no column joint")
    stacks = sorted(set(table["stack"].tolist()))
    if stacks != [*range(1, len(stacks) + 1)]:
        raise ValueError(f"{path} is damaged: it has hourglasses {stacks}")
    return table.astype({"stack": int, "joint": str})


def read_run(folder):
    """What run.json says of a run, as far as the page shows it.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it holds something else.
    """
    path = folder / RUN
    said = read_json(path)
    settings, versions = (said.get(k, {}) for k in ("settings", "versions"))
    good = isinstance(settings, dict) and isinstance(versions, dict)
    if not good or not all(
        isinstance(entry, dict) and {"value", "from"} <= entry.keys()
        for entry in settings.values()
    ):
        raise ValueError(
            f"{path}: settings with value and from, and versions wanted"
        )
    return said


def read_json(path):
    """The object in a JSON file of a run.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no JSON, or no object.
    """
    try:
        found = untrusted.read_json(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path.parent} is not the folder of a training run: it has no "
            f"{path.name}"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: an object wanted, got {found!r:.100}")
    return found


def smooth(values, window=SMOOTHING):
    """Moving average by a 1-D convolution; at the ends over fewer values.

    An even window is widened by one, so that the curve does not shift.
    """
    values = np.asarray(values, "float64")
    if window < 1:
        raise ValueError(f"window must be at least 1 epoch, got {window}")
    half = window // 2
    kernel, inside = np.ones(2 * half + 1), slice(half, half + len(values))
    number = np.convolve(np.ones_like(values), kernel)
    return (np.convolve(values, kernel) / number)[inside]


def smooth_stages(values, stages, window=SMOOTHING):
    """The curves of a run's stages in order, each smoothed on its own.

    Args:
        values: (E,) one per epoch.
        stages: (E,) the stage that each epoch belongs to, rising.
        window: width of the convolution, epochs.

    Returns:
        list of (S,) arrays, one per stage: smoothed, or unchanged if the stage
        lasts fewer than `LONG` windows.
    """
    parts = np.split(np.asarray(values, "float64"), stage_borders(stages))
    return [
        smooth(part, window) if len(part) >= LONG * window else part
        for part in parts
    ]


def stage_borders(stages):
    """Indices of the epochs where stages begin, without the first stage."""
    return np.flatnonzero(np.diff(stages)) + 1
