"""Part affinity fields: unit vectors along limbs, which say whose joints are.

Z. Cao, T. Simon, S.-E. Wei, Y. Sheikh, "Realtime Multi-Person 2D Pose
Estimation using Part Affinity Fields", CVPR 2017,
https://arxiv.org/abs/1611.08050, eqs. (8) to (11).

The paper's band ends at the joints. Then the cells that are nearest to the ends
of a limb often lie outside, and its own rule, that more than 80 percent of the
samples agree, rejects true limbs. Here the band goes on beyond both ends by its
width.
"""

import numpy as np
from keras import ops

SAMPLES = 10
"""Points on a candidate limb, both ends among them."""
AGREES = 0.05
"""Least product of field and direction of a point that agrees (the authors'
code, as the next one)."""
SHARE = 0.8
"""A limb has a larger share of points that agree."""
SLACK = 1e-4
"""Cells on the border of a band belong to it, however they are rounded."""


def encode(points, labelled, limbs, size, width=1.0):
    """The fields of people's limbs.

    Args:
        points: (B, M, K, 2) x, y of M people's joints, cells.
        labelled: (B, M, K), 1 or 0.
        limbs: L pairs of joint indices (from, to).
        size: (height, width) of the fields.
        width: W, half the width of a limb's band, cells.

    Returns:
        (B, h, w, 2 L) x and y for each limb: in its band (within W of the line,
        and not more than W beyond an end) the unit vector from its first joint
        to its second, elsewhere 0; the mean where bands of several people meet.
        A limb of length 0, or with an end that is not labelled, has no band.
    """
    starts, ends = (np.array(limbs)[:, end] for end in (0, 1))
    known = ops.take(labelled, starts, axis=2) * ops.take(labelled, ends, 2)
    start = ops.take(points, starts, axis=2)
    along = ops.take(points, ends, axis=2) - start
    length = _length(along)
    known = ops.cast(known, "float32") * ops.cast(length > 0, "float32")
    unit = along / ops.maximum(length, SLACK)[..., None]
    height, columns = size
    # (B, M, L, h, w): the distances are sums of one term of x and one of y
    x = ops.arange(columns, dtype="float32") - start[..., 0:1]
    y = ops.arange(height, dtype="float32") - start[..., 1:2]
    x, y = x[..., None, :], y[..., :, None]
    ux, uy = unit[..., 0, None, None], unit[..., 1, None, None]
    forward, across = ux * x + uy * y, ux * y - uy * x
    reach = width + SLACK
    inside = (
        (ops.abs(across) <= reach)
        & (forward >= -reach)
        & (forward <= length[..., None, None] + reach)
    )
    band = ops.cast(inside, "float32") * known[..., None, None]
    total = ops.einsum("bmlhw,bmlc->bhwlc", band, unit)
    covering = ops.transpose(ops.sum(band, axis=1), (0, 2, 3, 1))[..., None]
    fields = total / ops.maximum(covering, 1.0)
    return ops.reshape(fields, (-1, height, columns, 2 * len(limbs)))


def limb_scores(fields, points, found, limbs, tallest=None):
    """How well each pair of candidate joints agrees with the fields.

    Args:
        fields: (B, h, w, 2 L) x and y for each limb.
        points: (B, K, P, 2) x, y of P candidates of each joint, cells.
        found: (B, K, P) bool: which candidates there are.
        limbs: L pairs of joint indices (from, to).
        tallest: H, a height in cells: limbs longer than H / 2 lose
            1 - H / (2 length); None: none does.

    Returns:
        (B, L, P, P): for each pair (from, to) the mean product of the field, in
        the nearest cells of `SAMPLES` points, and the direction; 0 if it is
        negative, if the points that agree are no larger share than `SHARE`, or
        if there is no such candidate.
    """
    height, width = ops.shape(fields)[1:3]
    number = len(limbs)
    starts, ends = (
        ops.take(points, np.array(limbs)[:, end], axis=1) for end in (0, 1)
    )
    starts, ends = starts[:, :, :, None], ends[:, :, None]
    along = ends - starts
    length = _length(along)
    unit = along / ops.maximum(length, SLACK)[..., None]
    steps = ops.linspace(0.0, 1.0, SAMPLES)[:, None]
    places = starts[..., None, :] + along[..., None, :] * steps
    cells = ops.cast(ops.floor(places + 0.5), "int32")
    x = ops.clip(cells[..., 0], 0, width - 1)
    y = ops.clip(cells[..., 1], 0, height - 1)
    pictures = ops.arange(ops.shape(fields)[0], dtype="int32")
    index = y * width + x
    index = index + (pictures * height * width)[:, None, None, None, None]
    limb = ops.arange(number, dtype="int32")[:, None, None, None]
    vectors = ops.take(
        ops.reshape(fields, (-1, 2)), index * number + limb, axis=0
    )
    products = (
        vectors[..., 0] * unit[..., 0, None]
        + vectors[..., 1] * unit[..., 1, None]
    )
    share = ops.mean(ops.cast(products > AGREES, "float32"), axis=-1)
    score = ops.mean(products, axis=-1)
    if tallest is not None:
        longest = 0.5 * ops.cast(tallest, "float32")
        score = score + ops.minimum(
            longest / ops.maximum(length, SLACK) - 1, 0.0
        )
    starts, ends = (
        ops.take(found, np.array(limbs)[:, end], axis=1) for end in (0, 1)
    )
    known = starts[:, :, :, None] & ends[:, :, None]
    # 8 of 10 is not more than 0.8, however it is rounded
    valid = known & (share > SHARE + SLACK) & (score > 0)
    return ops.where(valid, score, 0.0)


def _length(vectors):
    return ops.sqrt(ops.sum(ops.square(vectors), axis=-1))
