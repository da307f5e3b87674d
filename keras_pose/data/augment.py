"""What chance does to a training sample; `pipeline` applies it in one warp.

Newell, Yang, Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV
2016, https://arxiv.org/abs/1603.06937, section 3.1, and the authors' released
code. All numbers of an epoch are drawn here at once, as a function of the seed
and the epoch only, so that neither threads nor a resumed run change a sample.
"""

from dataclasses import dataclass

import tensorflow as tf

SPOTS = 32
"""Places per sample that are tried as background for keypoint masking."""


@dataclass(frozen=True)
class Augmentation:
    """Newell's distribution; the strongest sample is what a crop must cover."""

    scale: float = 0.25
    """Standard deviation of the binary logarithm of the zoom."""
    scale_limit: float = 0.5
    """The logarithm is clipped here: zoom in 0.71 ... 1.41."""
    rotation: float = 30.0
    """Standard deviation of the angle, degrees."""
    rotation_limit: float = 60.0
    """The angle is clipped here, degrees."""
    rotation_chance: float = 0.6
    """Share of samples that are turned at all: 0.4 in Newell's code, 0.6 in the
    PyTorch ports that later papers trained with."""
    flip_chance: float = 0.5
    """Share of samples that are mirrored."""
    color: float = 0.4
    """Each channel is multiplied by a gain in 1 - color ... 1 + color. Newell's
    code has 0.6 ... 1.4: a gain per channel imitates another white balance and
    exposure, the two ways in which photographs of one scene differ most."""
    masking: float = 0.0
    """Share of samples with a covered or copied joint, see `masking`."""
    masking_size: float = 0.15
    """Side of the copied patch / side of the square around the person."""

    def __post_init__(self):
        for name in ("rotation_chance", "flip_chance", "color", "masking"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in 0 ... 1, got {value}")
        for name in ("scale", "scale_limit", "rotation", "rotation_limit"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        if not 0 < self.masking_size <= 1:
            raise ValueError(
                "masking_size must be above 0 and at most 1, "
                f"got {self.masking_size}"
            )

    @classmethod
    def told(cls, settings):
        """Of what has rotation, zoom, masking and masking_size as flags.

        Zoom and rotation are deviations, clipped at twice that.
        """
        return cls(
            scale=settings.zoom,
            scale_limit=2 * settings.zoom,
            rotation=settings.rotation,
            rotation_limit=2 * settings.rotation,
            masking=settings.masking,
            masking_size=settings.masking_size,
        )


NONE = Augmentation(scale=0.0, rotation=0.0, flip_chance=0.0, color=0.0)
"""The crop as it is tested."""


def draw(augmentation, count, seed, epoch):
    """The chances of `count` samples in one epoch.

    Args:
        augmentation: `Augmentation`.
        count: number of samples N.
        seed: int.
        epoch: int or () int tensor.

    Returns:
        dict of zoom (N,): factor on the side of the crop, angle (N,): radians,
        flip (N,): 0 or 1, gain (N, 3): factor on red, green, blue; float32.
        With masking also patch (N,): side of the patch / side of the person's
        square, 0 for none, covers (N,): 1 for background over a joint, 0 for a
        joint on background, and in 0 ... 1 pick (N,): which joint, and spots
        (N, SPOTS, 2): where background may be, x and y.
    """
    a = augmentation
    seed = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    streams = tf.random.split(seed, 2)
    normal = tf.random.stateless_normal((2, count), streams[0])
    chance = tf.random.stateless_uniform((5, count), streams[1])
    octaves = tf.clip_by_value(
        normal[0] * a.scale, -a.scale_limit, a.scale_limit
    )
    degrees = tf.clip_by_value(
        normal[1] * a.rotation, -a.rotation_limit, a.rotation_limit
    )
    turned = tf.cast(chance[0] < a.rotation_chance, tf.float32)
    chances = {
        "zoom": 2.0**octaves,
        "angle": degrees * turned * (3.141592653589793 / 180),
        "flip": tf.cast(chance[1] < a.flip_chance, tf.float32),
        "gain": 1.0 + a.color * (2.0 * tf.transpose(chance[2:]) - 1.0),
    }
    if a.masking > 0:
        # Of a stream of its own: all else is as without masking.
        stream = tf.random.fold_in(seed, 2)
        chance = tf.random.stateless_uniform((3 + 2 * SPOTS, count), stream)
        spots = tf.reshape(tf.transpose(chance[3:]), (count, SPOTS, 2))
        masked = tf.cast(chance[0] < a.masking, tf.float32)
        chances |= {
            "patch": a.masking_size * masked,
            "covers": tf.cast(chance[1] < 0.5, tf.float32),
            "pick": chance[2],
            "spots": spots,
        }
    return chances
