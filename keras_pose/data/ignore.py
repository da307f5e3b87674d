"""Ignored places of pictures, as weights of what a loss may count there."""

import cv2
import numpy as np
import tensorflow as tf

from keras_pose import geometry
from keras_pose.data import records

HALF = 127
"""A pixel of a mask above this is ignored: 255 is."""


def weights(masks, matrices, size, stride):
    """Which cells of crops count.

    Args:
        masks: (B,) PNGs of the pictures, see `records.Picture.ignore`.
        matrices: (B, 2, 3), crop -> picture.
        size: (height, width) of the crops, divisible by the stride.
        stride: pixels per cell.

    Returns:
        (B, height / stride, width / stride) uint8: 0 where any pixel of a cell
        is ignored, else 1, also beside the picture.

    Raises:
        ValueError: a mask is damaged.
    """
    height, width = size
    use = np.ones((len(masks), height // stride, width // stride), "uint8")
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    for row, mask, matrix in zip(use, masks, matrices, strict=True):
        if not mask:
            continue
        pixels = decode(mask)
        crop = cv2.warpAffine(pixels, matrix, (width, height), flags=flags)
        cells = crop.reshape(height // stride, stride, -1, stride)
        row[:] = cells.max(axis=(1, 3)) <= HALF
    return use


def decode(mask):
    """(H, W) uint8 pixels of a `records.Picture.ignore`.

    Raises:
        ValueError: it is damaged.
    """
    pixels = cv2.imdecode(np.frombuffer(mask, "uint8"), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise ValueError("the PNG of a record's ignored places is damaged")
    return pixels


def people(mask, joints):
    """A `records.Person` without labels for each part of a mask.

    Args:
        mask: PNG as in `records.Picture.ignore`.
        joints: number of joints K.
    """
    if not mask:
        return []
    parts = np.uint8(decode(mask) > HALF)
    _, _, boxes, centers = cv2.connectedComponentsWithStats(parts)
    return [
        records.Person(
            joints=np.zeros((joints, 2)),
            flags=np.zeros(joints, int),
            center=center,
            scale=float(max(box[2:4])) / geometry.PERSON_PIXELS,
            box=tuple(box[:4].tolist()),
            area=float(box[4]),
        )
        for box, center in zip(boxes[1:], centers[1:], strict=True)
    ]


def in_graph(record, matrices, size, stride):
    """`weights` of a batch of `records.read`, in a tf.data graph."""
    use = tf.numpy_function(
        lambda *arrays: weights(*arrays, size, stride),
        [record["ignore"], matrices],
        tf.uint8,
        stateful=False,  # else deterministic runs are not parallel
    )
    cells = [side // stride for side in size]
    return tf.ensure_shape(use, (*matrices.shape[:1], *cells))
