"""Grouping: candidate joints and limbs of a picture become people.

Z. Cao et al., CVPR 2017 (see `part_affinity`), section 2.4, read as one
sentence: the candidates of each limb are matched, the best score first and
each end once, and people are the connected components. If the limbs are a tree,
a component has no joint twice. Limbs that close a circle may join two
components that have a joint in common: such a limb is dropped.

All shapes are fixed: K joints with P candidates each, L limbs, M people.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from keras_pose.codecs.gaussians import highest


class Everybody(NamedTuple):
    """The people in B pictures; rows behind `count` are 0."""

    points: object
    """(B, M, K, 2) x, y of the joints; 0 for one that was not found."""
    scores: object
    """(B, M, K) score of each joint; 0 for one that was not found."""
    occluded: object
    """None: occlusion is not predicted."""
    person_scores: object
    """(B, M) score of each person, the highest first."""
    count: object
    """(B,) number of people."""


def match(scores):
    """Greedy matching: the best pair first, each end once.

    Args:
        scores: (B, L, P, P); pairs of score 0 are no pairs.

    Returns:
        partner (B, L, P) int32, of each first end, 0 if it has none; and the
        pair's score (B, L, P), 0 if it has none.
    """
    _, limbs, rows, columns = scores.shape
    row, column = ops.arange(rows), ops.arange(columns)

    def pairs_are_left(left, *_):
        return ops.any(left > 0)

    def take_best(left, partner, score):
        flat = ops.reshape(left, (-1, limbs, rows * columns))
        best, value = (x[..., None] for x in highest(flat))
        i, j = ops.floor_divide(best, columns), ops.mod(best, columns)
        in_row, in_column = row == i, column == j
        new = in_row & (value > 0)
        used = in_row[..., :, None] | in_column[..., None, :]
        return (
            ops.where(used, 0.0, left),
            ops.where(new, j, partner),
            ops.where(new, value, score),
        )

    score = ops.zeros_like(scores[..., 0])
    start = scores, ops.cast(score, "int32"), score
    steps = min(rows, columns)
    _, partner, score = ops.while_loop(
        pairs_are_left, take_best, start, maximum_iterations=steps
    )
    return partner, score


def connect(partner, score, limbs, joints):
    """Connected components of the chosen limbs.

    Args:
        partner: (B, L, P), of `match`.
        score: (B, L, P), of `match`.
        limbs: L pairs of joint indices (from, to); those that close a circle
            join two components only if they have no joint in common.
        joints: K.

    Returns:
        component (B, K, P) int32: the index in K * P of one of its candidates;
        and (B, K, P), the scores of the limbs that joined something, each at
        one of its ends.
    """
    candidates = score.shape[2]
    own = ops.arange(joints * candidates, dtype="int32")
    own = ops.reshape(own, (joints, candidates))
    starts, ends = (
        ops.convert_to_tensor(np.array(limbs)[:, end], "int32")
        for end in (0, 1)
    )
    columns = ops.arange(candidates, dtype="int32")
    every = ops.arange(joints, dtype="int32")[:, None]

    def join(number, state):
        component, gained = state
        start = ops.take(starts, number)
        first = ops.take(component, start, axis=1)
        second = ops.take(component, ops.take(ends, number), axis=1)
        chosen = ops.take(partner, number, axis=1)[..., None] == columns
        second = ops.sum(ops.where(chosen, second[:, None], 0), axis=-1)
        value = ops.take(score, number, axis=1)
        # Two pairs of a limb never meet: the joints of their ends differ, and
        # a component that has both of them is joined to none.
        in_first, in_second = (
            component[:, None] == ids[:, :, None, None]
            for ids in (first, second)
        )
        common = ops.any(in_first, -1) & ops.any(in_second, -1)
        joined = (value > 0) & ~ops.any(common, -1)
        change = ops.where(joined, first - second, 0)[:, :, None, None]
        component = component + ops.sum(ops.where(in_second, change, 0), axis=1)
        value = ops.where(joined, value, 0.0)[:, None]
        return component, gained + ops.where(every == start, value, 0.0)

    none = ops.zeros_like(score[:, :1]) + ops.zeros((joints, 1))
    state = own + ops.cast(none, "int32"), none
    # One traced step: a copy for each limb takes long to build.
    return ops.fori_loop(0, len(limbs), join, state)


def collect(points, scores, component, gained, people, least=(3, 0.2)):
    """The people of the components.

    Args:
        points: (B, K, P, 2) candidates.
        scores: (B, K, P), 0 where there is none.
        component: (B, K, P), of `connect`.
        gained: (B, K, P), of `connect`.
        people: M, the most people that are kept.
        least: a person has so many joints, and this score: the sum of the
            scores of joints and limbs / the number of joints.

    Returns:
        `Everybody`, the points in the units of the candidates.
    """
    joints, candidates = scores.shape[1:]
    number = joints * candidates
    found = ops.cast(scores > 0, "float32")
    ids = ops.reshape(component, (-1, 1, number))
    members = ops.cast(
        ids == ops.arange(number, dtype="int32")[:, None], "float32"
    )

    def total(values):
        flat = ops.reshape(values, (-1, number))
        return ops.einsum("brn,bn->br", members, flat)

    counted = total(found)
    score = total(scores + gained) / ops.maximum(counted, 1.0)
    kept = (counted >= least[0]) & (score >= least[1])
    people = min(people, number)
    score, best = ops.top_k(ops.where(kept, score, 0.0), people)
    kept = ops.cast(score > 0, "float32")
    best = ops.cast(best, "int32")[:, :, None, None]
    chosen = ops.cast(component[:, None] == best, "float32") * found[:, None]
    chosen = chosen * kept[:, :, None, None]
    return Everybody(
        points=ops.einsum("bmkp,bkpc->bmkc", chosen, points),
        scores=ops.einsum("bmkp,bkp->bmk", chosen, scores),
        occluded=None,
        person_scores=score,
        count=ops.cast(ops.sum(kept, axis=-1), "int32"),
    )
