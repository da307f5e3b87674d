"""Who is found in whole pictures, who is not, and whose joints are confused."""

from dataclasses import dataclass

import numpy as np

from keras_pose.metrics import oks

SAME = 0.5
"""Least OKS of a pose and the person that it shows; of one joint, the least
similarity of a joint that is right."""


MERGED = 3
"""Least joints of each of two people in a pose that merges them: as many as a
person needs."""


@dataclass(frozen=True)
class Matches:
    """What became of N people and M poses; crowds are left out."""

    person: np.ndarray
    """(M,) index of the person that a pose shows, -1 if nobody."""
    counted: np.ndarray
    """(N,) bool: has labelled joints and an area, so has to be found."""
    found: np.ndarray
    """(N,) bool: counted, and a pose shows the person."""
    extra: np.ndarray
    """(M,) bool: shows nobody, and lies in no crowd."""
    entered: np.ndarray
    """(N,) bool: a crowd, and a pose that shows nobody else lies in it."""
    confused: np.ndarray
    """(M,) number of joints that are another person's."""
    merged: np.ndarray
    """(M,) bool: has joints of two people, at least `MERGED` of each."""


def match(poses, people, skeleton):
    """Matches poses and people, in each picture the best pose first.

    Args:
        poses: `people.Poses`, each with its picture; joints that were not found
            are NaN.
        people: `people.People` of the same pictures.
        skeleton: names the joints.

    Returns:
        `Matches`.
    """
    sigmas = oks.sigmas(skeleton)
    labelled = (people.flags > 0) & ~people.crowd[:, None]
    labelled &= people.area[:, None] > 0
    counted = labelled.any(axis=1)
    person = np.full(len(poses), -1)
    extra = np.zeros(len(poses), bool)
    confused = np.zeros(len(poses), int)
    merged = np.zeros(len(poses), bool)
    entered = np.zeros(len(people), bool)
    for picture in np.unique(poses.picture):
        here = np.flatnonzero(counted & (people.picture == picture))
        masked = np.flatnonzero(people.crowd & (people.picture == picture))
        rows = np.flatnonzero(poses.picture == picture)
        rows = rows[np.argsort(-poses.score[rows], kind="stable")]
        alike = _alike(poses.joints[rows], people, here, sigmas)
        alike *= labelled[here]
        total = alike.sum(axis=2) / labelled[here].sum(axis=1)
        merged[rows] = _merges(alike)
        for row, joints, each in zip(rows, alike, total, strict=True):
            if len(here) and each.max() >= SAME:
                best = each.argmax()
                person[row] = here[best]
                total[:, best] = -1  # each person once
                right = joints >= SAME
                wrong = right.any(axis=0) & ~right[best] & labelled[here[best]]
                confused[row] = wrong.sum()
            else:
                inside = _inside(poses.joints[row], people.box[masked])
                entered[masked] |= inside
                extra[row] = not inside.any()
    found = np.isin(np.arange(len(people)), person)
    return Matches(person, counted, found, extra, entered, confused, merged)


def _merges(alike):
    """(M,) bool `Matches.merged` of similarities (M, N, K); each joint is that
    of the most similar person."""
    nearest = alike == alike.max(axis=1, keepdims=True, initial=0)
    own = (nearest & (alike >= SAME)).sum(axis=2)
    return (own >= MERGED).sum(axis=1) > 1


def _alike(joints, people, rows, sigmas):
    """(M, N, K) similarity of joints (M, K, 2) to people's; 0 for NaN."""
    truth, area = people.joints[rows], people.area[rows]
    squares = np.square(joints[:, None] - truth).sum(axis=-1)
    reach = 2 * area[:, None] * np.square(2 * sigmas)
    return np.nan_to_num(np.exp(-squares / reach))


def _inside(joints, boxes):
    """(C,) bool: most joints that were found (K, 2) lie in a box (C, 4)."""
    known = joints[np.isfinite(joints).all(axis=1)]
    away = known[:, None] - boxes[:, :2]
    inside = ((away >= 0) & (away <= boxes[:, 2:])).all(axis=-1)
    return inside.mean(axis=0) > 0.5
