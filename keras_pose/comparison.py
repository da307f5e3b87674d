"""Several runs on the same people side by side: a table and three figures."""

from pathlib import Path

import numpy as np
import pandas as pd

from keras_pose import figures, files
from keras_pose.data.pipeline import read_people
from keras_pose.evaluate import evaluate
from keras_pose.report import compare_people, read_history


def compare(runs, dataset, split, output, metric):
    """Writes comparison.csv and the figures 3, 4 and 5 of the HSM paper.

    Figure 3: curves. Figures 4 and 5: people as the first seeds of the first
    variant (the baseline) and of the best other variant see them.

    Args:
        runs: {variant: [run folders, one per seed]}, the baseline first; each
            holds history.csv and the predictions.npz of `split`.
        dataset: the opened data set.
        split: whose people were predicted.
        output: folder to write to.
        metric: name of the score's column in history.csv.

    Returns:
        DataFrame, a row per variant, per cent: mean and sample deviation over
        the seeds of every column of the field's tables.
    """
    output = Path(output)
    people = read_people(dataset, split)
    rows, scores = [], {}
    for variant, folders in runs.items():
        columns = [
            evaluate(
                predicted(folder), people, dataset.skeleton, dataset.protocol
            )
            for folder in folders
        ]
        found = pd.DataFrame([table.iloc[:, 0] for table in columns])
        scores[variant] = found["Mean"].mean()
        rows.append(summary(found, variant))
    table = pd.DataFrame(rows).set_index("variant")
    with files.whole(output / "comparison.csv") as temporary:
        table.to_csv(temporary)
    histories = {
        variant: [read_history(folder) for folder in folders]
        for variant, folders in runs.items()
    }
    figures.save(figures.draw_curves(histories, metric), output / "figure3.png")
    baseline = next(iter(runs))
    others = [variant for variant in runs if variant != baseline]
    if others:
        best = max(others, key=scores.get)
        predictions = {v: predicted(runs[v][0]) for v in (baseline, best)}
        sides = compare_people(dataset, split, predictions)
        for number, figure in zip((4, 5), sides, strict=True):
            figures.save(figure, output / f"figure{number}.png")
    return table


def summary(found, variant):
    """One row: mean ± sample deviation of each column over the seeds."""
    row = {"variant": variant, "seeds": len(found)}
    for column in found.columns[found.columns.str.match("[A-Z]")]:
        values = found[column]
        deviation = values.std(ddof=1) if len(values) > 1 else np.nan
        row[column] = values.mean()
        row[f"{column} ±"] = deviation
    return row


def predicted(folder):
    """(N, K, 2) joints that a run predicted, photograph pixels."""
    path = Path(folder) / "predictions.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: make it with python -m keras_pose.evaluate "
            f"--model {path.with_name('best.keras')}"
        )
    with np.load(path) as arrays:
        return arrays["joints"]
