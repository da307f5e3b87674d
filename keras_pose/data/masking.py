"""Keypoint masking: covers a joint with background, or copies it beside itself.

Ke, Chang, Qi, Lyu, "Multi-Scale Structure-Aware Network for Human Pose
Estimation", ECCV 2018, https://arxiv.org/abs/1803.09894, section 3.4. The paper
states neither the size nor the share of the patches, nor what is background.
Here:

* a patch is a square of constant size relative to the person;
* background is a square of the photograph that touches no joint or limb of any
  labelled person;
* only visible joints are covered or copied: an occluded joint is covered
  already, and its patch shows what covers it.

This module decides where; `crop.cut_out` copies within the crop.
"""

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry

VISIBLE = 2
"""COCO's flag v of a visible joint."""
BODY = 0.05
"""Half the width of the body around a limb or joint / side of the person's
square: half the width of a thigh. Patches also keep at least half a patch away,
so that no copy lies on the patch of another joint."""
NEARBY = 2.0
"""Largest distance beyond that clearance to copy a joint, in patch sides."""


def place(chances, joints, flags, limbs, back, picture, size):
    """Source and target of the patch to copy in each crop.

    A crop is not changed if it was not chosen, if it shows no visible joint of
    the subject, or if none of the drawn spots is background (there is little
    background in a crop that the person fills).

    Args:
        chances: dict of zoom and the masking numbers of `augment.draw`, for B
            crops.
        joints: (B, P, K, 2) x, y of all people in pixels of the crop, the
            subject first.
        flags: (B, P, K) COCO's v.
        limbs: (L, 2) joint indices.
        back: (B, 2, 3), crop -> picture.
        picture: (B, 2) int32, height and width of the pictures.
        size: (height, width) of the crops.

    Returns:
        dict of source (B, 2), target (B, 2): x, y of a patch's middle pixel,
        and side (B,): odd number of pixels, 0 where nothing is copied; float32.
    """
    height, width = size
    limit = tf.constant([width - 1.0, height - 1.0])
    person = height / chances["zoom"]
    side = 2.0 * tf.floor(chances["patch"] * person / 2.0) + 1.0
    side = tf.maximum(side, 3.0)
    half = (side[:, None, None] - 1.0) / 2.0
    room = side / 2.0 + tf.maximum(side / 2.0, BODY * person)
    joints = tf.where(flags[..., None] > 0, tf.round(joints), 0.0)

    def whole(points):
        """Which patches around (B, N, 2) lie within the photograph."""
        inside = (points >= half) & (points <= limit - half)
        signs = tf.constant([(-1, -1), (-1, 1), (1, -1), (1, 1)], tf.float32)
        corners = points[:, :, None] + signs * half[..., None]
        seen = geometry.move(corners, back[:, None], xp=tnp)
        last = tf.cast(picture[:, None, None, ::-1] - 1, tf.float32)
        seen = tf.reduce_all((seen >= 0) & (seen <= last), axis=2)
        return tf.reduce_all(inside & seen, axis=-1)

    covers = chances["covers"][:, None] > 0
    subject = joints[:, 0]
    shown = tf.reduce_all((subject >= 0) & (subject <= limit), axis=-1)
    usable = tf.where(covers, shown, whole(subject))
    usable &= flags[:, 0] == VISIBLE
    joint = _choose(subject, usable, chances["pick"])
    anywhere = half + chances["spots"] * (limit - 2.0 * half)
    reach = (room + NEARBY * side)[:, None, None]
    near = joint[:, None] + (2.0 * chances["spots"] - 1.0) * reach
    spots = tf.round(tf.where(covers[..., None], anywhere, near))
    background = whole(spots) & ~touches(spots, room, joints, flags, limbs)
    first = tf.argmax(tf.cast(background, tf.int32), axis=1)
    spot = tf.gather(spots, first, batch_dims=1)
    masked = tf.reduce_any(usable, axis=1) & tf.reduce_any(background, axis=1)
    masked &= chances["patch"] > 0
    return {
        "source": tf.where(covers, spot, joint),
        "target": tf.where(covers, joint, spot),
        "side": tf.where(masked, side, 0.0),
    }


def _choose(points, usable, pick):
    """One of the usable points (B, N, 2) -> (B, 2); `pick` (B,) in 0 ... 1."""
    number = tf.cumsum(tf.cast(usable, tf.float32), axis=1)
    chosen = number > tf.floor(pick * number[:, -1])[:, None]
    index = tf.argmax(tf.cast(chosen, tf.int32), axis=1)
    return tf.gather(points, index, batch_dims=1)


def touches(spots, room, joints, flags, limbs):
    """Which squares (B, N) around spots touch a joint or limb of anyone.

    Separating axes: a square and a line are disjoint if their projections on x,
    on y or across the line are. A joint is a line of length 0.

    Args:
        spots: (B, N, 2) x, y of the squares' middles.
        room: (B,) half the side of a square.
        joints: (B, P, K, 2).
        flags: (B, P, K); joints of flag 0 and their limbs are ignored.
        limbs: (L, 2) joint indices.
    """
    ends = list(limbs) + [(k, k) for k in range(joints.shape[2])]
    ends = tf.constant(ends)
    known = tf.reduce_all(tf.gather(flags, ends, axis=2) > 0, axis=-1)
    start, stop = tf.unstack(tf.gather(joints, ends, axis=2), axis=3)
    lines = tf.shape(joints)[1] * ends.shape[0]
    known = tf.reshape(known, (-1, 1, lines))
    middle = tf.reshape((start + stop) / 2.0, (-1, 1, lines, 2))
    along = tf.reshape((stop - start) / 2.0, (-1, 1, lines, 2))
    gap = spots[:, :, None] - middle
    room = room[:, None, None]
    apart = tf.abs(gap) >= room[..., None] + tf.abs(along)
    across = tf.abs(gap[..., 0] * along[..., 1] - gap[..., 1] * along[..., 0])
    apart = tf.reduce_any(apart, axis=-1)
    apart |= across > room * tf.reduce_sum(tf.abs(along), axis=-1)
    return tf.reduce_any(known & ~apart, axis=-1)
