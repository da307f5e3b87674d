"""Training samples of a later stage of a cascade: crops around one joint.

A. Toshev, C. Szegedy, "DeepPose", CVPR 2014, section 3.2: the crop is around
the true joint, moved by an error drawn from the normal distribution of the
errors that the stage before makes at this joint. Its side is sigma times the
torso of the truth.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry

LEAST = 1e-3
"""Least deviation of the errors, torsos: it makes a covariance invertible."""


@dataclass(frozen=True, eq=False)  # arrays: equal to itself alone
class JointCrops:
    """How the crops of K joints are drawn.

    Raises:
        ValueError: sigma or the number of crops is not positive, or the errors
            are not those of K joints.
    """

    diagonals: tuple
    """Of the torso: `skeletons.Skeleton.diagonals`."""
    mean: np.ndarray
    """(K, 2) mean error x, y at each joint / length of the torso."""
    covariance: np.ndarray
    """(K, 2, 2) of the same errors."""
    sigma: float = 2.0
    """Side of the crops / length of the torso."""
    crops: int = 1
    """Of each person and epoch, each around a joint drawn at random."""

    def __post_init__(self):
        for name in ("mean", "covariance"):
            value = np.asarray(getattr(self, name), "float64")
            object.__setattr__(self, name, value)
        joints = len(self.mean)
        shapes = self.mean.shape, self.covariance.shape
        good = shapes == ((joints, 2), (joints, 2, 2))
        if not good or not all(np.isfinite(x).all() for x in self.errors):
            raise ValueError(
                "errors must be finite means (K, 2) and covariances (K, 2, 2), "
                f"got shapes {shapes[0]} and {shapes[1]}"
            )
        for name in ("sigma", "crops"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")

    @property
    def errors(self):
        """The mean (K, 2), and a factor (K, 2, 2): mean + factor @ n, n of two
        normal numbers, is an error."""
        noise = LEAST**2 * np.eye(2)
        return self.mean, np.linalg.cholesky(self.covariance + noise)


def repeated(rows, around):
    """The people `rows`, each as often as there are crops of it."""
    return np.repeat(rows, around.crops)


def draw(count, seed, epoch):
    """The random numbers of `count` samples in one epoch, as `augment.draw`.

    Returns:
        dict of joint (N,), 0 ... 1: which of the labelled joints; and normal
        (N, 2).
    """
    seed = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    streams = tf.random.split(tf.random.fold_in(seed, 5), 2)
    return {
        "joint": tf.random.stateless_uniform((count,), streams[0]),
        "normal": tf.random.stateless_normal((count, 2), streams[1]),
    }


def focus(around, chances, joints, flags, box, side):
    """Where the crops of B people look.

    Args:
        around: `JointCrops`.
        chances: dict of the numbers of `draw`.
        joints: (B, K, 2) x, y of the subjects in pixels of the picture.
        flags: (B, K) COCO's v.
        box: (B, 4) of the people, NaN where unknown.
        side: (B,) of the squares around them.

    Returns:
        center (B, 2) of the crops; zoom (B,), the factor on the side; and own
        (B, K), 1 at the joint that the crop is around, else 0. A person without
        labels has the first joint, which is not trained.
    """
    labelled = flags > 0
    count = tf.reduce_sum(tf.cast(labelled, tf.float32), 1)
    pick = tf.minimum(tf.floor(chances["joint"] * count), count - 1)
    order = tf.cumsum(tf.cast(labelled, tf.float32), axis=1)
    own = labelled & (order == pick[:, None] + 1)
    chosen = tf.argmax(own, axis=1)
    mean, factor = (
        tf.gather(tf.constant(value, tf.float32), chosen)
        for value in around.errors
    )
    torso = geometry.torso_lengths(
        joints, around.diagonals, side, labelled, box, xp=tnp
    )
    error = mean + tf.linalg.matvec(factor, chances["normal"])
    joint = tf.gather(joints, chosen, batch_dims=1)
    center = joint + torso[:, None] * error
    return center, around.sigma * torso / side, tf.cast(own, tf.float32)
