"""Random augmentation of training samples; `pipeline` applies it in one warp.

Newell, Yang, Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV
2016, https://arxiv.org/abs/1603.06937, section 3.1, and the authors' released
code; settings select what other papers do. All random numbers of an epoch are
drawn at once, as a function of seed and epoch only, so that neither threads nor
resuming change a sample.
"""

import math
from dataclasses import dataclass, fields

import tensorflow as tf

from keras_pose import choices
from keras_pose.data.half_body import UPPER_CHANCE

SPOTS = 32
"""Positions per sample that keypoint masking tries as background."""


DISTRIBUTIONS = {"octaves": (2, 2), "normal": (1, 2), "uniform": (1, 1)}
"""How zoom and rotation are drawn, and their limits in units of `zoom` and
`rotation`. The zoom multiplies the side of the square that the crop shows,
which is 200 pixels times the person's scale: at 1.25 the person appears
1 / 1.25 as large.

octaves   zoom 2^n, n normal with deviation `zoom`, clipped at twice that;
          rotation normal with deviation `rotation`, clipped at twice that
          (Newell's code)
normal    zoom 1 + n, n clipped at its deviation `zoom`; rotation as above
          (Simple Baselines' code)
uniform   zoom in 1 - `zoom` ... 1 + `zoom`; rotation up to +-`rotation`
"""


@dataclass(frozen=True)
class Augmentation:
    """Settings of the augmentation; the defaults are Newell's."""

    rotation: float = 30.0
    """Degrees, see DISTRIBUTIONS."""
    rotation_chance: float = 0.6
    """Share of samples that are rotated: 0.4 in Newell's code, 0.6 in the
    PyTorch ports that later papers used."""
    zoom: float = 0.25
    """Octaves or a share of the side, see DISTRIBUTIONS."""
    distribution: str = "octaves"
    """One of DISTRIBUTIONS."""
    flip_chance: float = 0.5
    """Share of samples that are mirrored."""
    color: float = 0.4
    """Each channel is multiplied by a gain in 1 - color ... 1 + color. Newell's
    code has 0.6 ... 1.4: gains per channel imitate changes of white balance and
    exposure, in which photographs of one scene differ most."""
    masking: float = 0.0
    """Share of samples with a covered or copied joint, see `masking`."""
    masking_size: float = 0.15
    """Side of the copied patch / side of the square around the person."""
    half_body: float = 0.0
    """Share of samples that show half of the body, see `half_body`."""
    shift: float = 0.0
    """Largest shift of the crop in x and in y / side of the person's square."""

    def __post_init__(self):
        chances = "rotation_chance", "flip_chance", "masking", "half_body"
        for name in (*chances, "color"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in 0 ... 1, got {value}")
        choices.check("distribution", self.distribution, DISTRIBUTIONS)
        for name in ("rotation", "zoom", "shift"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"{name} must be 0 or more and finite, got {value}"
                )
        if self.distribution != "octaves" and not self.zoom < 1:
            raise ValueError(
                f"zoom must be below 1 (distribution {self.distribution}), "
                f"got {self.zoom}"
            )
        if not 0 < self.masking_size <= 1:
            raise ValueError(
                "masking_size must be above 0 and at most 1, "
                f"got {self.masking_size}"
            )

    @classmethod
    def from_config(cls, settings):
        """From a command's settings, which have attributes of these names."""
        return cls(**{f.name: getattr(settings, f.name) for f in fields(cls)})

    def context(self, size):
        """Extent of the strongest augmentation / side of the person's square.

        Args:
            size: (height, width) of the crops; their height shows the square.

        Returns:
            the side of the upright square around everything that the largest
            zoom and rotation can show, in sides of the person's square.
        """
        most = DISTRIBUTIONS[self.distribution]
        zoom = most[0] * self.zoom
        side = 2**zoom if self.distribution == "octaves" else 1 + zoom
        rotation = self.rotation if self.rotation_chance else 0.0
        turn = math.radians(most[1] * rotation)
        aspect = size[1] / size[0]
        reach = []
        for along, across in ((1, aspect), (aspect, 1)):
            angle = min(turn, math.atan2(across, along))  # of the diagonal
            reach.append(along * math.cos(angle) + across * math.sin(angle))
        return side * max(reach) + 2 * self.shift


NONE = Augmentation(rotation=0.0, zoom=0.0, flip_chance=0.0, color=0.0)
"""No augmentation: the crop as in a test."""


def draw(augmentation, count, seed, epoch):
    """The random numbers of `count` samples in one epoch.

    Args:
        augmentation: `Augmentation`.
        count: number of samples N.
        seed: int.
        epoch: int or () int tensor.

    Returns:
        dict of zoom (N,): factor on the side of the crop, angle (N,): radians,
        flip (N,): 0 or 1, gain (N, 3): factor on red, green, blue; float32.
        With masking also patch (N,): side of the patch / side of the person's
        square, 0 for none; covers (N,): 1 for background over a joint, 0 for a
        joint on background; and, in 0 ... 1, pick (N,): which joint, and spots
        (N, SPOTS, 2): x and y of candidates for background. With half-body
        augmentation also half (N,): 1 for half of the body, and upper (N,): 1
        for its upper half. With shifts also shift (N, 2): x and y / side of
        the person's square.
    """
    a = augmentation
    seed = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    streams = tf.random.split(seed, 2)
    chance = tf.random.stateless_uniform((5, count), streams[1])
    if a.distribution == "uniform":
        spread = tf.random.stateless_uniform((2, count), streams[0], -1.0, 1.0)
    else:
        spread = tf.random.stateless_normal((2, count), streams[0])
    # Clipped last: in another order a graph rounds differently, and a resumed
    # run would continue with other samples.
    zoom, degrees = (
        tf.clip_by_value(numbers * unit, -limit * unit, limit * unit)
        for numbers, unit, limit in zip(
            (spread[0], spread[1]),
            (a.zoom, a.rotation),
            DISTRIBUTIONS[a.distribution],
            strict=True,
        )
    )
    turned = tf.cast(chance[0] < a.rotation_chance, tf.float32)
    chances = {
        "zoom": 2.0**zoom if a.distribution == "octaves" else 1.0 + zoom,
        "angle": degrees * turned * (3.141592653589793 / 180),
        "flip": tf.cast(chance[1] < a.flip_chance, tf.float32),
        "gain": 1.0 + a.color * (2.0 * tf.transpose(chance[2:]) - 1.0),
    }
    if a.masking > 0:
        # A separate stream: the other numbers are the same without masking.
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
    if a.half_body > 0:
        stream = tf.random.fold_in(seed, 3)
        chance = tf.random.stateless_uniform((2, count), stream)
        chances |= {
            "half": tf.cast(chance[0] < a.half_body, tf.float32),
            "upper": tf.cast(chance[1] < UPPER_CHANCE, tf.float32),
        }
    if a.shift > 0:
        stream = tf.random.fold_in(seed, 4)
        spread = tf.random.stateless_uniform((count, 2), stream, -1.0, 1.0)
        chances["shift"] = a.shift * spread
    return chances
