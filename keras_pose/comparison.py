"""Compares several runs on the same people: a table and three charts.

As a command it draws the curves of runs, or of their history.csv files:

    python -m keras_pose.comparison --output curves.png
        --runs "MSE=runs/mse-seed*" "HSM=runs/hsm-seed*"
"""

import glob
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import keras
import numpy as np
import pandas as pd

from keras_pose import files, metrics
from keras_pose.console import run
from keras_pose.data import annotations
from keras_pose.evaluation import crowds, precision
from keras_pose.evaluation.failures import hits
from keras_pose.people import Poses, crowd_indices
from keras_pose.report import charts, pictures
from keras_pose.report.history import metric_of, read_history

PICTURES = ("curves.png", "side_by_side.png", "worst.png")
"""What `compare` draws, like figures 3, 4 and 5 of the HSM paper."""
RESAMPLES = 2000
"""Bootstrap samples of an interval; its ends vary by 3 % of its half-width."""
DIFFERENCE = ("Mean difference", "from", "to")
"""Columns of a comparison: difference from the baseline, 95 % interval."""


@dataclass(frozen=True)
class Config:
    """Runs whose curves are drawn."""

    runs: tuple[str, ...]
    """NAME=PATH, the baseline first: folders of runs, or files like their
    history.csv. A PATH with * matches the seeds of one variant."""
    output: Path = Path("curves.png")
    """The figure: .png or .svg."""


def main(config):
    """Draws the curves; returns the histories."""
    histories = {}
    for word in config.runs:
        name, _, pattern = word.rpartition("=")
        paths = sorted(glob.glob(pattern))
        if not paths:
            raise FileNotFoundError(
                f"{pattern} matches nothing: expected folders of runs, or "
                "their history.csv"
            )
        read = [(path, read_history(path)) for path in paths]
        for path, history in read:
            if history is None or metric_of(history) is None:
                raise ValueError(
                    f"{path}: expected a history.csv with a score of an epoch, "
                    "got none"
                )
        name = name or Path(paths[0]).stem
        histories.setdefault(name, []).extend(history for _, history in read)
    scores = {metric_of(h) for seeds in histories.values() for h in seeds}
    if len(scores) > 1:
        raise ValueError(
            f"the runs are scored by {' and '.join(sorted(scores))}; curves "
            "need a single score"
        )
    charts.save(charts.draw_curves(histories, scores.pop()), config.output)
    seeds = {name: len(history) for name, history in histories.items()}
    print(f"Wrote {config.output}: {seeds} (variant: seeds)")
    return histories


def compare(runs, dataset, split, output, metric):
    """Writes comparison.csv and `PICTURES`.

    The last two show the predictions of the first variant (the baseline) and
    of the best other variant, first seed each, on the people where they differ
    most and where both fail.

    Args:
        runs: {variant: [run folders, one per seed]}, the baseline first; each
            holds history.csv and the predictions.npz of `split`.
        dataset: the opened data set.
        split: name of the split that was predicted.
        output: folder to write to.
        metric: name of the score's column in history.csv.

    Returns:
        DataFrame, a row per variant, per cent: mean and sample deviation over
        the seeds of every column of the usual tables, and of the mean at other
        thresholds (PCKh@0.1, AUC); `DIFFERENCE` of the means from the
        baseline's with its `paired_intervals`; and the numbers of counted and
        of all people.
    """
    output = Path(output)
    table = tabulate(runs, dataset, split)
    with files.whole(output / "comparison.csv") as temporary:
        table.to_csv(temporary)
    histories = {
        variant: [read_history(folder) for folder in folders]
        for variant, folders in runs.items()
    }
    curves, *sheets = PICTURES
    charts.save(charts.draw_curves(histories, metric), output / curves)
    baseline = next(iter(runs))
    others = [variant for variant in runs if variant != baseline]
    if others:
        best = max(others, key=table["Mean"].get)
        predictions = {v: predicted(runs[v][0]) for v in (baseline, best)}
        sides = pictures.compare_people(dataset, split, predictions)
        for name, figure in zip(sheets, sides, strict=True):
            charts.save(figure, output / name)
    return table


def tabulate(runs, dataset, split):
    """The table of `compare`; writes nothing. Arguments as there."""
    people = annotations.read_subjects(dataset, split)
    skeleton, protocol = dataset.skeleton, metrics.find(dataset.protocol)
    rows, correct = [], []
    for variant, folders in runs.items():
        joints = [predicted(folder) for folder in folders]
        tables = [
            protocol.table(
                Poses(points, np.ones(points.shape[:2])), people, skeleton
            )
            for points in joints
        ]
        scores = pd.DataFrame([table.iloc[:, 0] for table in tables])
        for other in tables[0].columns[1:].difference(metrics.shares.COUNTS):
            scores[other] = [table.loc["Mean", other] for table in tables]
        judged = [hits(j, people, skeleton, dataset.protocol) for j in joints]
        correct.append(np.mean([right for right, _ in judged], axis=0))
        counted = judged[0][1]
        rows.append(summary(scores, variant))
    table = pd.DataFrame(rows).set_index("variant")
    scores = table["Mean"]
    table[DIFFERENCE[0]] = scores - scores.iloc[0]
    low, high = paired_intervals(
        np.stack(correct),
        counted,
        np.array(protocol.in_mean(skeleton)),
        protocol.mean,
    )
    table[DIFFERENCE[1]], table[DIFFERENCE[2]] = 100 * low, 100 * high
    table.loc[table.index[0], [*DIFFERENCE]] = np.nan  # the baseline's own
    table["counted"] = tables[0]["people"].iloc[-1]
    table["people"] = len(people.names)
    return table


def compare_crowds(runs, dataset, split, output, metric):
    """Writes comparison.csv, crowds.csv and curves.png of runs that find
    everybody.

    Args:
        runs, dataset, split, output, metric: as of `compare`.

    Returns:
        DataFrame, a row per variant, per cent: mean and sample deviation over
        the seeds of AP, of the people found, of the small ones found (the
        quarter with the least area), of the masked places with a pose in them,
        and of poses that show nobody and that merge two people, both for 100
        people; `DIFFERENCE` of AP from the baseline's with its interval
        (`precision.compare`, as crowds.csv by crowd index); and the numbers of
        pictures and of people counted.
    """
    output = Path(output)
    people = annotations.read_people(dataset, split)
    rows, judged = [], {}
    for variant, folders in runs.items():
        poses = [predicted_crowds(folder, people) for folder in folders]
        judged[variant] = [
            precision.judge(each, people, dataset.skeleton) for each in poses
        ]
        scores = [
            {"AP": 100 * precision.average_precision(verdict)[0]}
            | count_people(each, people, dataset.skeleton)
            for each, verdict in zip(poses, judged[variant], strict=True)
        ]
        rows.append(summary(pd.DataFrame(scores), variant))
    table = pd.DataFrame(rows).set_index("variant")
    bins = precision.compare(judged, crowd_indices(people))
    whole = bins[bins["crowd index"] == "all"].set_index("way")
    for name, column in zip(
        DIFFERENCE, ("difference", "from", "to"), strict=True
    ):
        table[name] = whole[column]
    for name in ("pictures", "people"):
        table[name] = whole[name]
    for name, each in (("comparison", table), ("crowds", bins)):
        with files.whole(output / f"{name}.csv") as temporary:
            each.to_csv(temporary, index=each is table)
    histories = {
        variant: [read_history(folder) for folder in folders]
        for variant, folders in runs.items()
    }
    charts.save(charts.draw_curves(histories, metric), output / PICTURES[0])
    return table


def count_people(poses, people, skeleton):
    """{name: per cent} of `compare_crowds`; NaN where there is nothing to
    count."""
    matches = crowds.match(poses, people, skeleton)
    counted = matches.counted
    small = counted & (people.area <= np.quantile(people.area[counted], 0.25))
    shares = {
        "Found": matches.found[counted],
        "Small found": matches.found[small],
        "Masked entered": matches.entered[people.crowd],
    }
    shares = {
        name: 100 * values.mean() if len(values) else np.nan
        for name, values in shares.items()
    }
    return shares | {
        "Nobody": 100 * matches.extra.sum() / counted.sum(),
        "Merged": 100 * matches.merged.sum() / counted.sum(),
    }


def paired_intervals(correct, counted, in_mean, how="counted"):
    """95 % intervals of differences from the first variant, over people.

    A paired bootstrap (B. Efron, R. Tibshirani, "An Introduction to the
    Bootstrap", 1993, percentile intervals): `RESAMPLES` times as many people
    are drawn with replacement as are counted, the same for all variants. The
    interval covers the choice of people, not the choice of seeds.

    Args:
        correct: (V, N, P) share of the seeds with which a part was right.
        counted: (N, P) 1 where a part is counted, else 0.
        in_mean: (P,) bool, parts of the mean.
        how: `PCK.mean`.

    Returns:
        (V,) lower and (V,) upper ends; 0 for the first variant.
    """
    who = counted[:, in_mean].any(axis=1)
    number = who.sum()
    drawn = np.random.default_rng(0).integers(number, size=(RESAMPLES, number))
    drawn += number * np.arange(RESAMPLES)[:, None]
    times = np.bincount(drawn.ravel(), minlength=drawn.size)
    times = times.reshape(drawn.shape).astype("float64")
    # The means are linear in `correct`, so the difference is averaged directly.
    differences = times @ (correct - correct[0])[:, who]
    means = metrics.mean_score(differences, times @ counted[who], in_mean, how)
    return np.quantile(
        keras.ops.convert_to_numpy(means), (0.025, 0.975), axis=1
    )


def mean_intervals(joints, people, dataset):
    """95 % intervals of each variant's mean score, per cent, over people.

    Args:
        joints: {variant: [(N, K, 2) predictions, one per seed]}.
        people: the N `people.People`.
        dataset: names skeleton and protocol.

    Returns:
        {variant: (low, high)}, of the bootstrap of `paired_intervals`.
    """
    skeleton, protocol = dataset.skeleton, metrics.find(dataset.protocol)
    judged = [
        [hits(j, people, skeleton, dataset.protocol) for j in seeds]
        for seeds in joints.values()
    ]
    counted = judged[0][0][1]
    correct = [
        np.mean([right for right, _ in seeds], axis=0) for seeds in judged
    ]
    ends = paired_intervals(
        np.stack([np.zeros_like(counted), *correct]),  # from nothing
        counted,
        np.array(protocol.in_mean(skeleton)),
        protocol.mean,
    )
    ends = 100 * np.stack(ends, axis=1)[1:]
    return dict(zip(joints, ends, strict=True))


def describe(table):
    """A `compare` table as text, with the number of people counted."""
    counted, people = table[["counted", "people"]].iloc[0]
    return (
        table.drop(columns=["counted", "people"]).round(2).to_string()
        + f"\n\n{counted:,} of {people:,} people counted. ±: sample deviation "
        f"over the seeds. {DIFFERENCE[0]}: from the first row; from ... to: "
        "95 % interval of a paired bootstrap over these people."
    )


def describe_crowds(table):
    """A `compare_crowds` table as text."""
    pictures, people = table[["pictures", "people"]].iloc[0]
    return (
        table.drop(columns=["pictures", "people"]).round(2).to_string()
        + f"\n\nOKS-AP of {people:,} people in {pictures:,} pictures; Found, "
        "Small found: of the people, and of the quarter with the least area; "
        "Masked entered: masked places with a pose in them; Nobody, Merged: "
        "poses of nobody and of two people for 100 people. "
        f"±: sample deviation over the seeds. {DIFFERENCE[0]}: of AP, from "
        "the first row; from ... to: 95 % interval of a paired bootstrap over "
        "these pictures."
    )


def summary(scores, variant):
    """One row: mean ± sample deviation of each column over the seeds."""
    row = {"variant": variant, "seeds": len(scores)}
    for column in scores.columns[scores.columns.str.match("[A-Z]")]:
        values = scores[column]
        deviation = values.std(ddof=1) if len(values) > 1 else np.nan
        row[column] = values.mean()
        row[f"{column} ±"] = deviation
    return row


def predicted(folder):
    """(N, K, 2) joints that a run predicted, in pixels of the photographs."""
    return _read_predictions(folder, "joints")[0]


def predicted_crowds(folder, people):
    """`people.Poses` of everybody that a run found in the pictures of
    `people.People`."""
    names = "joints", "scores", "score", "sources"
    joints, scores, score, sources = _read_predictions(folder, *names)
    numbers = {name: n for n, name in enumerate(people.pictures)}
    picture = np.array([numbers[source] for source in sources], int)
    nobody = np.full(len(joints), -1)
    return Poses(joints, scores, nobody, picture=picture, score=score)


def _read_predictions(folder, *names):
    """Arrays of the predictions.npz of a run."""
    path = Path(folder) / "predictions.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: make it with python -m keras_pose.evaluate "
            f"--model {path.with_name('best.keras')}"
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except (EOFError, KeyError, OSError, ValueError, BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


if __name__ == "__main__":
    run(main, Config, __doc__)
