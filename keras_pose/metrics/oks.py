"""OKS: how alike two poses are, and what COCO's tables are made of.

M. R. Ronchi, P. Perona, "Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation", ICCV 2017, and https://cocodataset.org/#keypoints-eval:

    OKS = mean over labelled joints of exp(-d^2 / (2 s^2 k^2)),

d pixels apart, s^2 the person's area in pixels, k twice the deviation sigma of
this kind of joint among annotators. Rescoring and OKS-NMS of predictions: B.
Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and Tracking",
ECCV 2018, https://arxiv.org/abs/1804.06208, in the form of the authors' code,
https://github.com/microsoft/human-pose-estimation.pytorch. Average precision
itself is pycocotools' (`keras_pose.coco_results`).
"""

import numpy as np

from keras_pose.skeletons import without_side

SIGMAS = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}
"""Deviation of COCO's annotators / square root of the person's area."""
DEFAULT_SIGMA = 0.067
"""Of a joint for which there is neither: the mean of COCO's 17 joints."""
CERTAIN = 0.2
"""Joints above this score make up a pose's score (Simple Baselines' code)."""
SAME_PERSON = 0.9
"""Poses more alike than this are one person (Simple Baselines' code)."""


def sigmas(skeleton):
    """(K,) deviations: the skeleton's own, or by its joints' names COCO's.

    A joint that COCO has not measured has `DEFAULT_SIGMA`.
    """
    if skeleton.sigmas is not None:
        return np.array(skeleton.sigmas)
    return np.array(
        [SIGMAS.get(without_side(j), DEFAULT_SIGMA) for j in skeleton.joints]
    )


def default_sigmas(skeleton):
    """Names of the joints that have `DEFAULT_SIGMA`, to be told the reader."""
    if skeleton.sigmas is not None:
        return []
    return [j for j in skeleton.joints if without_side(j) not in SIGMAS]


def similarity(points, truth, labelled, area, sigmas):
    """OKS (...) of poses; NaN without a labelled joint.

    Args:
        points: (..., K, 2) x, y in pixels.
        truth: (..., K, 2) in the same pixels.
        labelled: (..., K) bool, which joints count.
        area: (...) pixels that the person covers.
        sigmas: (K,).
    """
    squares = np.square(np.subtract(points, truth)).sum(axis=-1)
    reach = np.asarray(area)[..., None] * np.square(2 * np.asarray(sigmas))
    alike = np.exp(-squares / (2 * reach)) * labelled
    with np.errstate(invalid="ignore"):  # 0 / 0: nothing is labelled
        return alike.sum(axis=-1) / np.sum(labelled, axis=-1)


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
    alike = similarity(
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
