"""Measures how the score depends on errors of the person's box.

    python -m keras_pose.stability --data DIR --split val --output stability
        --models runs/a/best.keras runs/b/best.keras

L. Ke et al., "Multi-Scale Structure-Aware Network for Human Pose Estimation",
ECCV 2018, https://arxiv.org/abs/1803.09894, claims without measuring it that
hourglass models depend on the scale of the box, and that slight errors of a
detector change the pose abruptly. This command measures it: the data set's
metric against errors of the box's side and centre, one curve per model, in
stability.csv and stability.png.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from keras_pose import files, metrics
from keras_pose.console import run
from keras_pose.data import annotations
from keras_pose.data.dataset import open_dataset
from keras_pose.inference import top_down
from keras_pose.models import model as models
from keras_pose.people import Poses
from keras_pose.report import charts

DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""The score of a shift is the mean over left, right, up and down."""


@dataclass(frozen=True)
class Config:
    """Settings of one comparison."""

    models: tuple[str, ...]
    """Models, as of keras_pose.evaluate, .keras files being named after their
    folders; or name=model."""
    data: Path
    """Folder of records with a dataset.json."""
    output: Path
    """Folder of stability.csv and stability.png."""
    split: str = "val"
    """Split to score."""
    people: int | None = None
    """Largest number of people, evenly spaced; all by default."""
    scales: tuple[float, ...] = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)
    """Side of the box / the correct side."""
    shifts: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)
    """Error of the centre, in sides of the person's square."""
    flip: bool = False
    """Average with the mirrored picture; takes twice the time."""
    batch_size: int = 32
    """Crops per step."""


def measure(
    model, dataset, split, scales, shifts, *, batch_size, who=None, flip=False
):
    """The data set's metric under each error of the box.

    Args:
        model: ends in `PoseMaps`; of the data set's skeleton.
        dataset: `data.dataset.Dataset`.
        split: name of the split.
        scales: side of the box / the correct side.
        shifts: error of the centre in sides of the person's square.
        batch_size: crops per step.
        who: indices of the people; all by default.
        flip: average with the mirrored images.

    Returns:
        DataFrame: error ("scale" or "shift"), amount, and the metric's title,
        per cent.
    """
    boxes = [(scale, 0.0, 0.0) for scale in scales]
    boxes += [(1.0, x * by, y * by) for by in shifts for x, y in DIRECTIONS]
    people = annotations.read_subjects(dataset, split).take(who)
    protocol = metrics.find(dataset.protocol)
    protocol.countable(people, dataset.skeleton)
    settings = {"batch_size": batch_size, "people": who, "flip": flip}
    joints, heights = top_down.predict_boxes(
        model, dataset, split, boxes, **settings
    )
    tables = [
        protocol.table(Poses(*pose), people, dataset.skeleton)
        for pose in zip(joints, heights, strict=True)
    ]
    scores = np.array([table.loc["Mean"].iloc[0] for table in tables])
    shifted = scores[len(scales) :].reshape(-1, len(DIRECTIONS))
    title = protocol.title
    return pd.DataFrame(
        {
            "error": ["scale"] * len(scales) + ["shift"] * len(shifts),
            "amount": [*scales, *shifts],
            title: [*scores[: len(scales)], *shifted.mean(axis=1)],
        }
    )


def main(config):
    """Measures, prints and writes; returns the table, a row per value."""
    paths = named(config.models)
    if not config.scales or not config.shifts:
        raise ValueError(
            "--scales and --shifts need at least one number each, got "
            f"{len(config.scales)} and {len(config.shifts)}"
        )
    if not min(config.scales) > 0:
        raise ValueError(f"scales must be positive, got {min(config.scales)}")
    dataset = open_dataset(config.data)
    who = spread(dataset.people(config.split), config.people)
    networks = {name: models.load_model(paths[name]) for name in paths}
    tables = {}
    for name, model in networks.items():
        print(f"{name}:")
        tables[name] = measure(
            model,
            dataset,
            config.split,
            config.scales,
            config.shifts,
            batch_size=config.batch_size,
            who=who,
            flip=config.flip,
        )
    table = pd.concat(tables, names=["model"]).reset_index("model")
    title = table.columns[-1]
    for error, rows in table.groupby("error"):
        wide = rows.pivot(index="model", columns="amount", values=title)
        print(f"\n{title} in per cent, {error} of the box:")
        print(wide.loc[list(paths)].to_string(float_format="%.2f"))
    with files.whole(config.output / "stability.csv") as temporary:
        table.to_csv(temporary, index=False)
    charts.save(charts.draw_stability(table), config.output / "stability.png")
    people = annotations.read_subjects(dataset, config.split).take(who)
    protocol = metrics.find(dataset.protocol)
    counted = protocol.countable(people, dataset.skeleton).any(axis=1)
    print(
        f"\n{len(who):,} people of split {config.split}, {counted.sum():,} "
        "counted."
    )
    print(f"Wrote stability.csv and stability.png to {config.output}.")
    first = next(iter(paths.values()))
    print(
        f"Next: python -m keras_pose.conditional --model {first} "
        f"--data {config.data}"
    )
    return table


def named(words):
    """{name: path} of "path" (see `models.name_of`) and "name=path"."""
    paths = {}
    for word in words:
        name, _, path = word.rpartition("=")
        path = Path(path)
        name = name or models.name_of(path)
        if name in paths:
            raise ValueError(
                f"two models are called {name}: {paths[name]} and {path}; "
                f"write other={path}"
            )
        paths[name] = path
    if not paths:
        raise ValueError("--models needs at least one model, got none")
    return paths


def spread(count, most=None):
    """Indices of at most `most` of `count` people, evenly spaced."""
    if most is not None and most < 1:
        raise ValueError(f"people must be 1 or more, got {most}")
    kept = min(count, most or count)
    return np.arange(kept) * count // kept


if __name__ == "__main__":
    run(main, Config, __doc__)
