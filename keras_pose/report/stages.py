"""Inside a network, in the report: its stages, and what a mean of a map is."""

import html

import numpy as np
import pandas as pd

from keras_pose import codecs, drawing, geometry
from keras_pose.evaluation import failures
from keras_pose.inference import top_down
from keras_pose.inference.looks import repeat_last
from keras_pose.models import heads
from keras_pose.report import page, pictures

SHOWN = 3
"""Joints of different people whose maps are shown."""
SEARCHED = 500
"""People among whom `show_means` looks for them."""


def show_stages(dataset, split, model, result, batch_size):
    """The score of every stage, and maps of joints that the last ones mend.

    Args:
        dataset: an opened data set.
        split: whose people are scored.
        model: with all its outputs (`models.load_whole`).
        result: people, protocol and judge, see `write.write_report`.
        batch_size: people per step.

    Returns:
        HTML; empty if the network has a single stage.
    """
    stages = heads.supervised_stages(model)
    if len(stages) < 2:
        return ""
    skeleton = result.skeleton
    poses = top_down.predict_stages(
        model, dataset, split, batch_size=batch_size
    )
    scores = pd.DataFrame(
        {
            name: result.protocol.table(each, result.people, skeleton).iloc[
                :, 0
            ]
            for name, each in poses.items()
        }
    ).T
    text = (
        "<p>One network, scored at each of its stages or outputs: "
        f"{html.escape(result.table.columns[0])} in per cent. The last row is "
        "the result.</p>"
        + page.heat(scores[[*result.protocol.columns(skeleton), "Mean"]])
    )
    first, *_, last = (
        failures.reaches(each.joints, result.labels, skeleton, result.judge)
        for each in poses.values()
    )
    mended = most_mended(first, last)
    if not mended or not isinstance(heads.codec_of(model), codecs.Heatmaps):
        return text
    chosen = np.array(sorted(person for person, _ in mended))
    crops = pictures.crops(dataset, split, chosen, model.input_shape[1:3])
    large, _ = pictures.large_crops(dataset, split, chosen, crops[0].shape[1:3])
    outputs = _outputs(model, crops[0], batch_size)
    seen = {
        name: (codec, codec.seen(outputs[number][:, stage : stage + 1]))
        for name, (codec, number, stage) in stages.items()
    }
    rows = ""
    for person, joint in mended:
        n = int(np.flatnonzero(chosen == person)[0])
        found = {
            name: (codec, maps[n, ..., joint], codec.joints(maps)[0][n, joint])
            for name, (codec, maps) in seen.items()
        }
        truth = result.labels[person, joint, :2]
        place = large[n], crops[1][n : n + 1]
        rows += _row(joint, *place, crops[0].shape[1:3], truth, found)
    return (
        text + "<p>The maps of the joints that the later stages mend the most: "
        "wrong at first, right in the end. The ring is the truth, the dot what "
        f"the stage decides on.</p>{rows}"
    )


def most_mended(first, last):
    """[(person, joint)] that are wrong at first and right in the end.

    Args:
        first: (N, K) error of the first stage, in units of what is allowed
            (`failures.reaches`); NaN where not counted.
        last: (N, K) of the last stage.

    Returns:
        at most `SHOWN`, one per person, the largest first error first.
    """
    gain = np.where((first > 1) & (last <= 1), np.nan_to_num(first), 0)
    joints = gain.argmax(axis=1)
    gains = gain.max(axis=1)
    order = np.argsort(-gains, kind="stable")[:SHOWN]
    return [(int(i), int(joints[i])) for i in order if gains[i] > 0]


def show_means(dataset, split, model, result, batch_size):
    """Joints that the highest place of a map finds and its mean misses.

    Args and returns as of `show_stages`; empty if joints are not means, or if
    there is no such joint.
    """
    codec = heads.codec_of(model)
    if not isinstance(codec, codecs.Expectation):
        return ""
    chosen = np.arange(min(SEARCHED, len(result.labels)))
    crops = pictures.crops(dataset, split, chosen, model.input_shape[1:3])
    outputs = _outputs(model, crops[0], batch_size)[-1]
    maps = np.asarray(codec.maps(outputs))
    grid = codec.grid(maps.shape[1:3])
    highest = np.asarray(grid.joints(maps, "argmax")[0])
    mean = np.asarray(codec.joints(codec.seen(outputs))[0])
    off, near = (
        failures.reaches(
            geometry.move(points.astype("float64"), crops[1]),
            result.labels[chosen],
            result.skeleton,
            result.judge,
        )
        for points in (mean, highest)
    )
    rows, size = "", crops[0].shape[1:3]
    for n, joint in most_mended(off, near):
        found = {
            "highest place": (grid, maps[n, ..., joint], highest[n, joint]),
            "mean": (grid, maps[n, ..., joint], mean[n, joint]),
        }
        (image,), _ = pictures.large_crops(
            dataset, split, chosen[n : n + 1], size
        )
        place = image, crops[1][n : n + 1]
        rows += _row(joint, *place, size, result.labels[n, joint, :2], found)
    return rows and (
        "<p>A joint is the mean place of its map's probability. Where the map "
        "has two places to choose from, the mean lies between them, on "
        "neither. The ring is the truth, the dot the place named below.</p>"
        + rows
    )


def _outputs(model, images, batch_size):
    """All outputs (N, S, ...) of the images (N, H, W, 3), a list."""
    parts = []
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        # Of one size: another would be traced again.
        outputs = model.predict_on_batch(repeat_last(some, batch_size))
        outputs = outputs if len(model.outputs) > 1 else [outputs]
        parts.append([values[: len(some)] for values in outputs])
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _row(joint, image, back, size, truth, found):
    """A heading and one joint's pictures.

    Args:
        joint: its index.
        image: (h, w, 3) one person, as large as the page shows it.
        back: (1, 2, 3) from the network's input to the photograph.
        size: (height, width) of the input.
        truth: (2,) in the photograph.
        found: {label: (codec of the map, map (h, w), point (2,) in the input)}.
    """
    enlarge = geometry.resize_matrix(size, image.shape[:2])[None]
    ring = geometry.move(truth[None, None], geometry.invert(back))
    ring = geometry.move(ring, enlarge)[0, 0]
    tiles = {}
    for label, (codec, values, point) in found.items():
        point = np.asarray(point, "float64")[None, None]
        tiles[label] = drawing.draw_point(
            pictures.draw_joint(image, values, joint, codec),
            geometry.move(point, enlarge)[0, 0],
            ring,
        )
    name = codec.skeleton.joints[joint].replace("_", " ").capitalize()
    return f"<h3>{html.escape(name)}</h3>{page.tiles(tiles)}"
