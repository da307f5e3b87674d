"""Boxes, points and affine matrices.

Pixel convention of the whole suite: pixel centres lie on whole numbers, so an
image W pixels wide spans -0.5 ... W - 0.5, its centre is (W - 1) / 2, and a
flip maps x to W - 1 - x. Points are x then y,
sizes are (height, width), angles are radians, clockwise as seen on the screen.

`xp` is the array module: numpy, `keras.ops` or `tensorflow.experimental.numpy`.
"""

import numpy as np

PERSON_PIXELS = 200
"""Height in pixels of a person of scale 1 (MPII's definition of scale)."""
PADDING = 1.25
"""Side of the square around a person / longer side of the box."""
LEAST_TORSO = 0.1
"""Least length of a torso / side of the square around the person."""


def crop_matrix(center, side, angle, size, flip=False, xp=np):
    """Matrix from a picture's pixels to those of an upright person crop.

    The square of `side` source pixels around `center` fills the crop's height;
    the crop's width follows from its aspect ratio.

    Args:
        center: (..., 2) x, y in source pixels.
        side: (...) source pixels that fill the crop's height.
        angle: (...) rotation of the person in the crop, radians, clockwise.
        size: (height, width) of the crop in pixels.
        flip: (...) bool or 0/1, mirror the crop left to right.
        xp: array module.

    Returns:
        (..., 2, 3): [x', y'] = matrix @ [x, y, 1].
    """
    height, width = size
    zoom = height / side
    cos, sin = xp.cos(angle) * zoom, xp.sin(angle) * zoom
    sign = 1.0 - 2.0 * flip  # mirrored last, about the crop's centre
    x, y = center[..., 0], center[..., 1]
    rows = [
        [sign * cos, -sign * sin, (width - 1) / 2 - sign * (cos * x - sin * y)],
        [sin, cos, (height - 1) / 2 - (sin * x + cos * y)],
    ]
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def move(points, matrix, xp=np):
    """Applies matrices (..., 2, 3) to points (..., K, 2)."""
    turned = xp.matmul(points, xp.swapaxes(matrix[..., :2], -1, -2))
    return turned + matrix[..., None, :, 2]


def invert(matrix, xp=np):
    """The inverse transform: (..., 2, 3) -> (..., 2, 3)."""
    (a, b, x), (c, d, y) = (
        [matrix[..., row, column] for column in range(3)] for row in range(2)
    )
    area = a * d - b * c
    rows = [
        [d / area, -b / area, (b * y - d * x) / area],
        [-c / area, a / area, (c * x - a * y) / area],
    ]
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def pixel_sides(matrix, xp=np):
    """Sides (...) of a square pixel after matrices (..., 2, 3)."""
    (a, b), (c, d) = (
        [matrix[..., row, column] for column in (0, 1)] for row in (0, 1)
    )
    return xp.sqrt(xp.absolute(a * d - b * c))


def compose(second, first, xp=np):
    """The matrix (..., 2, 3) that applies `first`, then `second`."""
    linear = xp.matmul(second[..., :2], first[..., :2])
    shift = xp.matmul(second[..., :2], first[..., 2:]) + second[..., 2:]
    return xp.concatenate([linear, shift], axis=-1)


def resize_matrix(source, target):
    """Matrix (2, 3) of a resize from (height, width) `source` to `target`."""
    y, x = target[0] / source[0], target[1] / source[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])


def box_to_center_scale(box, padding=PADDING, aspect=1.0, xp=np):
    """Centre (..., 2) and scale (...) of boxes (..., 4) x, y, w, h.

    The box is extended until width / height is `aspect`, that of the network's
    input, and enlarged by the factor `padding` (Simple Baselines, section 4.1).
    The scale is that of the height; for a square, of the longer side.
    """
    box = xp.array(box)
    center = box[..., :2] + (box[..., 2:] - 1) / 2
    height = xp.maximum(box[..., 3], box[..., 2] / aspect)
    return center, height * padding / PERSON_PIXELS


def refit(box, before, aspect, xp=np):
    """Factor (...) on the side of squares around boxes (..., 4) x, y, w, h.

    Converts squares fitted to the width / height `before`, as by
    `box_to_center_scale`, to `aspect`; 1 where a box is unknown.
    """
    width, height = box[..., 2], box[..., 3]
    sides = [xp.maximum(height, width / each) for each in (before, aspect)]
    return xp.where(sides[0] > 0, sides[1] / sides[0], xp.ones_like(width))


def torso_lengths(joints, diagonals, square, known=None, box=None, xp=np):
    """Lengths (...) of the diagonals of people's torsos.

    That of the first diagonal; where an end of it is not known, of the second;
    else a third of the box's diagonal. Where there is no box either, it is
    taken for the square without its padding. At least LEAST_TORSO of the
    square, where the torso is seen from its side or its joints are confused.

    Args:
        joints: (..., K, 2).
        diagonals: two pairs of indices, see `skeletons.Skeleton.diagonals`.
        square: (...) sides of the squares around the people.
        known: (..., K) bool; None: all are.
        box: (..., 4) x, y, width, height, NaN where unknown; None: no boxes.
        xp: array module.
    """
    length = square * (2**0.5 / PADDING / 3)
    if box is not None:
        third = xp.sqrt(box[..., 2] ** 2 + box[..., 3] ** 2) / 3
        length = xp.where(third > 0, third, length)
    for a, b in diagonals[::-1]:
        apart = joints[..., a, :] - joints[..., b, :]
        apart = xp.sqrt(xp.sum(apart**2, axis=-1))
        if known is not None:
            apart = xp.where(known[..., a] & known[..., b], apart, length)
        length = apart
    return xp.maximum(length, LEAST_TORSO * square)
