"""Suppresses duplicate poses of the same person.

Rescoring and OKS-NMS of B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human
Pose Estimation and Tracking", ECCV 2018, https://arxiv.org/abs/1804.06208, as
in the authors' code,
https://github.com/microsoft/human-pose-estimation.pytorch.
"""

import numpy as np

from keras_pose import metrics

CERTAIN = 0.2
"""A pose's score uses joints above this score (Simple Baselines' code)."""
SAME_PERSON = 0.9
"""Poses with a higher OKS are one person (Simple Baselines' code)."""


def rescore(box_scores, joint_scores, certain=CERTAIN):
    """Scores (N,) of poses: the box's score times the mean of certain joints.

    Args:
        box_scores: (N,) the detector's; 1 for an annotated box.
        joint_scores: (N, K) heights of the joints' peaks.
        certain: the mean is over joints above this; 0 if there are none.
    """
    chosen = np.asarray(joint_scores) > certain
    total = np.where(chosen, joint_scores, 0).sum(axis=-1)
    return box_scores * total / np.maximum(chosen.sum(axis=-1), 1)


def suppress(points, scores, areas, sigmas, threshold=SAME_PERSON):
    """OKS-NMS: keeps only the best of several poses of one person.

    Args:
        points: (N, K, 2) x, y of the poses in one picture.
        scores: (N,).
        areas: (N,) pixels; two poses are compared with the mean of theirs.
        sigmas: (K,).
        threshold: poses with a higher OKS are one person.

    Returns:
        indices of the poses kept, best first.
    """
    points, areas = np.asarray(points), np.asarray(areas)
    alike = metrics.oks.similarity(
        points[:, None],
        points[None],
        np.ones(points.shape[1], bool),
        (areas[:, None] + areas) / 2,
        sigmas,
    )
    alone = alike <= threshold
    rest = np.argsort(-np.asarray(scores), kind="stable")
    kept = []
    while rest.size:
        kept.append(rest[0])
        rest = rest[1:][alone[rest[0], rest[1:]]]
    return np.array(kept, int)


def suppress_poses(poses, skeleton):
    """`suppress` in each picture: `people.Poses` -> `people.Poses`.

    Poses are compared with the area of the crop, as in the authors' code. The
    result is ordered by picture, best first.
    """
    sigmas = metrics.oks.sigmas(skeleton)
    order = np.argsort(poses.picture, kind="stable")
    borders = np.flatnonzero(np.diff(poses.picture[order])) + 1
    kept = []
    for group in np.split(order, borders):
        chosen = poses.take(group)
        best = suppress(chosen.joints, chosen.score, chosen.area, sigmas)
        kept.append(group[best])
    return poses.take(np.concatenate(kept))
