"""Labels of a crop: the joints of the subject and of its neighbours."""

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry


def place(record, matrix, flip, mirror, neighbours, size, own=None):
    """The labels that `pipeline.load` returns.

    Args:
        record: dict of B records, see `records.read`.
        matrix: (B, 2, 3), picture -> crop.
        flip: (B,), above 0 where the crop is mirrored.
        mirror: K indices, the joints of a mirrored person.
        neighbours: most other people.
        size: (height, width) of the crop.
        own: (B, K), the last column, if any.

    Returns:
        (B, 1 + neighbours, K, 4 or 5) float32.
    """
    shown = slice(None) if neighbours else slice(1)
    joints = geometry.move(record["joints"][:, shown], matrix[:, None], xp=tnp)
    flags = record["flags"][:, shown]
    if neighbours:
        chosen = _nearest(joints, flags, neighbours, size)
        lacking = 1 + neighbours - tf.shape(chosen)[1]
        flags = tf.gather(flags, chosen, batch_dims=1)
        flags = tf.pad(flags, [[0, 0], [0, lacking], [0, 0]])
        joints = tf.gather(joints, chosen, batch_dims=1)
        joints = tf.pad(joints, [[0, 0], [0, lacking], [0, 0], [0, 0]])
    flags = flags[..., None]
    joints = tf.where(flags > 0, joints, 0.0)
    zoom = tf.sqrt(tf.abs(tf.linalg.det(matrix[:, :, :2])))
    head = (record["head_size"][:, 0] * zoom)[:, None, None, None]
    ones = tf.ones_like(joints[..., :1])
    columns = [joints, tf.cast(flags, tf.float32), ones * head]
    if own is not None:
        columns.append(ones * own[:, None, :, None])
    labels = tf.concat(columns, axis=-1)
    swapped = tf.gather(labels, mirror, axis=2)
    labels = tf.where(flip[:, None, None, None] > 0, swapped, labels)
    shape = None, 1 + neighbours, len(mirror), len(columns) + 1
    return tf.ensure_shape(labels, shape)


def _nearest(joints, flags, neighbours, size):
    """Indices (B, at most 1 + neighbours) of the subject and of the others by
    the distance of their nearest labelled joint from the middle of the crop."""
    middle = tf.constant([(size[1] - 1) / 2, (size[0] - 1) / 2], tf.float32)
    apart = tf.norm(joints - middle, axis=-1)
    apart = tf.reduce_min(tf.where(flags > 0, apart, np.inf), axis=-1)
    first = tf.fill(tf.shape(apart[:, :1]), -np.inf)
    apart = tf.concat([first, apart[:, 1:]], axis=1)
    return tf.argsort(apart, axis=1, stable=True)[:, : 1 + neighbours]
