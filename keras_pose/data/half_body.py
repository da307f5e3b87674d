"""Half-body augmentation: the crop shows the upper or the lower body alone.

In the released code of K. Sun et al., "Deep High-Resolution Representation
Learning for Human Pose Estimation", CVPR 2019, for COCO. It imitates people of
whom the photograph, or a detector's box, shows only a half.
"""

import tensorflow as tf

LOWER = ("pelvis", "hip", "knee", "ankle")
"""Names, without side, of the joints of the lower body."""
LEAST = 8
"""People with more labelled joints than this may be halved."""
FEW = 2
"""A half with no more labelled joints than this is not shown; the other is."""
UPPER_CHANCE = 0.69
"""Share of upper bodies: that of normal numbers below 0.5 (authors' code)."""
MARGIN = 1.5
"""Side of the crop / side of the box around the half's joints."""


def is_upper(skeleton):
    """For each joint whether it belongs to the upper body, a list of bool.

    Raises:
        ValueError: the skeleton has joints of only one half.
    """
    lower = {joint for name in LOWER for joint in skeleton.groups.get(name, ())}
    if len(lower) in (0, len(skeleton.joints)):
        raise ValueError(
            f"half_body needs joints of an upper and of a lower body "
            f"({', '.join(LOWER)}), but skeleton {skeleton.name} has "
            f"{', '.join(skeleton.joints)}"
        )
    return [joint not in lower for joint in range(len(skeleton.joints))]


def focus(chances, joints, flags, upper, center, side, aspect):
    """Where the crops of B people look, and how large they are there.

    Args:
        chances: dict of the half-body numbers of `augment.draw`.
        joints: (B, K, 2) x, y of the subjects in pixels of the picture.
        flags: (B, K) COCO's v.
        upper: (K,) of `is_upper`.
        center: (B, 2) x, y of the people.
        side: (B,) of their squares.
        aspect: width / height of the crop.

    Returns:
        center (B, 2) and zoom (B,), the factor on the side: the middle of the
        half's labelled joints and what shows all of them, at most the whole
        side; `center` and 1 for people who are not halved.
    """
    labelled = flags > 0
    halves = labelled & upper, labelled & tf.logical_not(upper)
    above, below = (tf.reduce_sum(tf.cast(h, tf.int32), 1) for h in halves)
    wanted = (chances["upper"] > 0) & (above > FEW)
    shows_upper = wanted | (below <= FEW)
    shown = tf.where(shows_upper[:, None], *halves)[..., None]
    count = tf.reduce_sum(tf.cast(shown, tf.float32), 1)
    middle = tf.reduce_sum(tf.where(shown, joints, 0.0), 1)
    middle = tf.math.divide_no_nan(middle, count)
    last = tf.reduce_max(tf.where(shown, joints, -joints.dtype.max), 1)
    first = tf.reduce_min(tf.where(shown, joints, joints.dtype.max), 1)
    extent = last - first
    needed = MARGIN * tf.maximum(extent[:, 1], extent[:, 0] / aspect)
    halved = (chances["half"] > 0) & (above + below > LEAST) & (needed > 0)
    zoom = tf.where(halved, tf.minimum(needed / side, 1.0), 1.0)
    return tf.where(halved[:, None], middle, center), zoom
