"""One person joint by joint, in the report: what was asked for, what came."""

import html

import numpy as np

from keras_pose import codecs, drawing, geometry
from keras_pose.codecs import gaussians
from keras_pose.evaluation import failures
from keras_pose.inference import top_down
from keras_pose.models import heads
from keras_pose.report import page, pictures

RULE = 4
"""Pixels between a target and a prediction."""


def show_joints(dataset, split, model, result, batch_size):
    """Target, predicted map and point of each joint of a typical person.

    Args:
        dataset: an opened data set.
        split: whose people are scored.
        model: ends in `PoseMaps`.
        result: predictions and labels, see `write.write_report`.
        batch_size: people per step.

    Returns:
        HTML; empty if the network has no heatmaps, or no one enough joints.
    """
    codec, skeleton = heads.codec_of(model), dataset.skeleton
    scored = np.array(result.judge.in_mean(skeleton))
    ranked = failures.rank(result.reach[:, scored])
    if not isinstance(codec, codecs.Heatmaps) or not len(ranked):
        return ""
    typical = ranked[int(0.4 * len(ranked)) : int(0.6 * len(ranked)) + 1]
    visible = (result.people.flags[typical] == 2).sum(axis=1)
    i = int(typical[visible.argmax()])
    size, one = model.input_shape[1:3], np.array([i])
    images, back = pictures.crops(dataset, split, one, size)
    (maps,) = top_down.probabilities(model, images, batch_size=batch_size)
    truth = geometry.move(result.labels[one, :, :2], geometry.invert(back))
    target = gaussians.encode(
        codec.to_cells(truth.astype("float32"), maps.shape[:2]),
        maps.shape[:2],
        codec.sigma,
    )
    target = np.asarray(target)[0]
    large, back = pictures.large_crops(dataset, split, one, size)
    into = geometry.invert(back)
    truth, found = (
        geometry.move(points[one].astype("float64"), into)[0]
        for points in (result.labels[:, :, :2], result.joints)
    )
    cards = {}
    for joint in np.flatnonzero(result.people.flags[i] > 0):
        shown = [
            pictures.draw_joint(large[0], each[..., joint], joint, codec)
            for each in (target, maps)
        ]
        shown[1] = drawing.draw_point(shown[1], found[joint], truth[joint])
        rule = np.full((len(large[0]), RULE, 3), 128, "uint8")
        label = f"{skeleton.joints[joint].replace('_', ' ')}: score "
        label += f"{result.scores[i, joint]:.2f}"
        label += ", wrong" if result.reach[i, joint] > 1 else ""
        cards[label] = np.hstack([shown[0], rule, shown[1]])
    name = html.escape(pictures.name_of(result.people, i, dataset))
    return (
        f"<p>One {html.escape(skeleton.kind)} with a typical result: {name}. "
        "On the left of each pair is the map that the network should give, a "
        "Gaussian at the joint; on the right the map that it gives, scaled to "
        "its own peak (low peaks are dimmer). The "
        "ring is the true place, the dot the point that is read from the map. "
        f"A joint's score is {html.escape(codec.score_is)}.</p>"
        + page.tiles(cards, "pairs")
    )
