"""Stage by stage, in the report: what each output of a network finds."""

import html

import numpy as np
import pandas as pd

from keras_pose import codecs, drawing, geometry
from keras_pose.evaluation import failures
from keras_pose.inference import top_down
from keras_pose.models import heads
from keras_pose.report import page, pictures

SHOWN = 3
"""Joints of different people whose maps are shown."""


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
    if len(heads.stages_of(model)) < 2:
        return ""
    skeleton, people = result.skeleton, result.people
    poses = top_down.predict_stages(
        model, dataset, split, batch_size=batch_size
    )
    scores = pd.DataFrame(
        {
            name: result.protocol.table(each, people, skeleton).iloc[:, 0]
            for name, each in poses.items()
        }
    ).T
    text = (
        "<p>One network, scored at each of its stages or outputs: "
        f"{html.escape(result.table.columns[0])} in per cent. The last row is "
        "the result.</p>"
        + page.heat(scores[[*result.protocol.columns(skeleton), "Mean"]])
    )
    reaches = [
        failures.reaches(each.joints, result.labels, skeleton, result.judge)
        for each in poses.values()
    ]
    mended = most_mended(reaches[0], reaches[-1])
    is_map = isinstance(heads.codec_of(model), codecs.Heatmaps)
    if not mended or not is_map:
        return text
    return (
        text + "<p>The maps of the joints that the later stages mend the most: "
        "wrong at first, right in the end. The ring is the truth, the dot the "
        "highest place of the map.</p>"
        + _maps(dataset, split, model, result, mended)
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


def _maps(dataset, split, model, result, mended):
    """A row of pictures for each of these joints."""
    skeleton, size = result.skeleton, model.input_shape[1:3]
    chosen = np.array(sorted(person for person, _ in mended))
    poses = top_down.predict_stages(
        model, dataset, split, batch_size=len(chosen), people=chosen
    )
    images, back = pictures.crops(dataset, split, chosen, size)
    zoom = max(1, round(pictures.PICTURE / size[0]))
    into = geometry.compose(
        geometry.resize_matrix(size, [zoom * side for side in size])[None],
        geometry.invert(back),
    )
    rows = ""
    for person, joint in mended:
        n = int(np.flatnonzero(chosen == person)[0])
        image = drawing.enlarge(images[n], zoom)
        truth = result.labels[person : person + 1, joint : joint + 1, :2]
        truth = geometry.move(truth, into[n : n + 1])[0, 0]
        tiles = {}
        for (name, each), (codec, *_) in zip(
            poses.items(), heads.stages_of(model).values(), strict=True
        ):
            maps = np.zeros_like(each.maps[n])
            maps[..., joint] = each.maps[n][..., joint]
            found = each.joints[n : n + 1, joint : joint + 1]
            found = geometry.move(found, into[n : n + 1])[0, 0]
            tiles[name] = drawing.draw_point(
                drawing.draw_heatmaps(image, maps, codec), found, truth
            )
        joint = html.escape(skeleton.joints[joint].replace("_", " "))
        rows += f"<h3>{joint.capitalize()}</h3>{page.tiles(tiles)}"
    return rows
