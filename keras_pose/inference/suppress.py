"""Poses that are one person: which of them stays.

Rescoring and OKS-NMS of B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human
Pose Estimation and Tracking", ECCV 2018, https://arxiv.org/abs/1804.06208, in
the form of the authors' code,
https://github.com/microsoft/human-pose-estimation.pytorch.
"""

import numpy as np

from keras_pose import metrics

CERTAIN = 0.2
"""Joints above this score make up a pose's score (Simple Baselines' code)."""
SAME_PERSON = 0.9
"""Poses more alike than this are one person (Simple Baselines' code)."""


def rescore(box_scores, joint_scores, certain=CERTAIN):
    """Scores (N,) of poses: the box's times the mean of the certain joints'.

    Args:
        box_scores: (N,) the detector's; 1 for an annotated box.
        joint_scores: (N, K) heights of the joints' peaks.
        certain: the mean is of joints above this; 0 if there are none.
    """
    chosen = np.asarray(joint_scores) > certain
    total = np.where(chosen, joint_scores, 0).sum(axis=-1)
    return box_scores * total / np.maximum(chosen.sum(axis=-1), 1)


def suppress(points, scores, areas, sigmas, threshold=SAME_PERSON):
    """OKS-NMS: of poses that are one person only the best is kept.

    Args:
        points: (N, K, 2) x, y of the poses in one picture.
        scores: (N,).
        areas: (N,) pixels; two poses are compared by the mean of theirs.
        sigmas: (K,).
        threshold: more alike than this is one person.

    Returns:
        indices of those kept, best first.
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
    left = np.argsort(-np.asarray(scores), kind="stable")
    kept = []
    while left.size:
        kept.append(left[0])
        left = left[1:][alone[left[0], left[1:]]]
    return np.array(kept, int)


def suppress_poses(poses, skeleton):
    """`people.Poses` of all pictures, those left of `suppress` in each.

    Compared by the area of the crop, as in the authors' code; picture by
    picture, best first.
    """
    sigmas = metrics.oks.sigmas(skeleton)
    order = np.argsort(poses.picture, kind="stable")
    borders = np.flatnonzero(np.diff(poses.picture[order])) + 1
    kept = [
        group[
            suppress(
                *(poses.joints[group], poses.score[group], poses.area[group]),
                sigmas,
            )
        ]
        for group in np.split(order, borders)
    ]
    return poses.take(np.concatenate(kept))
