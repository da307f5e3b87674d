"""Ablation of grouping: fields or midpoints, greedy or optimal, by crowd index.

    python -m keras_pose.grouping_ablation --model runs/openpose/best.keras
        --data runs/data/crowds

Two claims of OpenPose (Z. Cao et al., CVPR 2017): fields tell people apart in
crowds where the midpoints of limbs do not (section 2.3), and matching each limb
greedily loses nothing (section 2.4). Each way to group decodes the same maps:
the rendered truth, which needs no training and bounds what any network can
reach, and, with --model, those of a trained network. A network has learned
either fields or midpoints (reproductions.openpose --limbs), so that its maps
are grouped in two ways only.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from keras_pose import codecs, console, drawing, files, people
from keras_pose.data import annotations, pipeline
from keras_pose.data import dataset as data
from keras_pose.evaluation import assignment, crowds, precision
from keras_pose.inference import bottom_up, looks
from keras_pose.models import heads
from keras_pose.models import model as models
from keras_pose.report import grouping as report

COUNTS = ["poses", "found", "poses of nobody", "poses of two people"]
TABLE, PICTURE = "grouping.csv", "grouping.jpg"


@dataclass(frozen=True)
class Config:
    """What is grouped."""

    data: Path
    """Folder of records of whole pictures."""
    split: str = "test"
    """Split to score on."""
    model: Path | None = None
    """A trained network, whose maps are grouped, too, and whose sizes the
    rendered truth has."""
    image_size: tuple[int, int] = (192, 256)
    """Without --model: height and width of the input, pixels; the maps have
    stride 4, as those of the laptop preset of reproductions.openpose."""
    batch_size: int = 8
    """Pictures per step."""
    output: Path = Path("runs") / "grouping-ablation"
    """Folder of the table, and of grouping.jpg: how the truth of one picture is
    grouped."""


def main(config):
    """Groups, scores, prints and writes both files; returns the table."""
    dataset = data.open_dataset(config.data)
    dataset.check_pictures(whole=True)
    skeleton = dataset.skeleton
    model, size = None, config.image_size
    if config.model is None:
        codec = codecs.Fields(
            skeleton,
            stride=4,
            sigma=1.25,
            width=1.5,
            people=max(1, dataset.most_people),
        )
    else:
        model = models.load_model(config.model)
        codec, size = heads.codec_of(model), model.input_shape[1:3]
        if not codec.finds_everybody:
            raise ValueError(
                f"{config.model} sees one person in a box: --model must be of "
                "reproductions.openpose"
            )
    everybody = annotations.read_people(dataset, config.split)
    index = people.crowd_indices(everybody)
    both = [assignment.convert(codec, kind) for kind in assignment.OPTIMAL]
    parts = [("truth", None, both)]
    if model is not None:
        parts.append(("network", model, [codec]))
    tables = []
    for maps, network, greedy in parts:
        ways = {
            f"{type(one).__name__.lower()}, {how}": each
            for one in greedy
            for how, each in (
                ("greedy", one),
                (
                    "optimal",
                    assignment.convert(one, assignment.OPTIMAL[type(one)]),
                ),
            )
        }
        found = group(
            ways, network, dataset, config.split, size, config.batch_size
        )
        judged = {
            way: [precision.judge(poses, everybody, skeleton)]
            for way, poses in found.items()
        }
        table = precision.compare(judged, index)
        table.insert(0, "maps", maps)
        table[COUNTS] = np.nan
        whole = table["crowd index"] == "all"  # a row for each way
        table.loc[whole, COUNTS] = [
            count(poses, everybody, skeleton) for poses in found.values()
        ]
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    table[COUNTS] = table[COUNTS].astype("Int64")
    with files.whole(config.output / TABLE) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")
    print(describe(table, dataset, config.split))
    picture = report.draw_split(
        both[0],
        dataset,
        config.split,
        size,
        lambda _, labels: render(both[0], labels, size),
    )
    drawing.save(picture, config.output / PICTURE)
    print(f"Wrote {config.output / TABLE} and {PICTURE}.")
    return table


def count(poses, everybody, skeleton):
    """The `COUNTS` of poses in all pictures."""
    matches = crowds.match(poses, everybody, skeleton)
    counted = matches.found, matches.extra, matches.merged
    return len(poses), *(int(each.sum()) for each in counted)


def group(ways, model, dataset, split, size, batch_size):
    """Everybody as each way to group finds them in the same maps.

    Args:
        ways: {way: `codecs.Fields`, or of a class derived from it}.
        model: that makes the maps; None: they are the rendered truth of each
            codec.
        dataset: `data.dataset.Dataset` of whole pictures.
        split: name of the split.
        size: (height, width) of the input.
        batch_size: pictures per step.

    Returns:
        {way: `people.Poses`}.
    """
    pictures = pipeline.load(dataset, split, size, batch_size)
    backs = pipeline.views(dataset, split, size, batch_size)
    numbers = annotations.read_subjects(dataset, split).picture
    found = {way: [] for way in ways}
    with console.progress(
        total=len(numbers), desc="group", unit=" pictures"
    ) as bar:
        for (images, labels), (_, matrices) in zip(
            pictures, backs, strict=True
        ):
            rows = numbers[bar.n : bar.n + len(images)]
            seen = None
            if model is not None:
                seen = looks.look(model, images, False, batch_size)
            for way, codec in ways.items():
                maps = render(codec, labels, size) if model is None else seen
                found[way].append(decode(codec, maps, matrices, rows))
            bar.update(len(images))
    return {
        way: bottom_up.as_poses(*map(np.concatenate, zip(*parts, strict=True)))
        for way, parts in found.items()
    }


def decode(codec, seen, matrices, pictures):
    """`bottom_up.poses_of`, not traced: the optimal matching is no operation
    of a graph."""
    found = codec.joints(seen)
    values = found.points, found.scores, found.person_scores
    values = map(keras.ops.convert_to_numpy, values)
    return bottom_up.placed(*values, matrices, pictures)


def render(codec, labels, size):
    """`seen` (B, h, w, ...) of a network that outputs the target.

    Args:
        codec: `codecs.Fields`.
        labels: (B, M, K, 4).
        size: (height, width) of the input.
    """
    cells = [side // codec.stride for side in size]
    blank = np.zeros((len(labels), 1, *cells, codec.channels), "float32")
    target, _ = codec.target(labels, blank)
    return codec.kept(target[:, 0])


def describe(table, dataset, split):
    """The table as text."""
    lines = [table.round(2).to_string(index=False, na_rep="")]
    lines.append(
        f"\nOKS-AP, per cent, of split {split} of {dataset.folder}; AP from "
        "... to: 95 % interval of a bootstrap over pictures; difference: from "
        "the first way of the same maps, from ... to: of a paired one."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
