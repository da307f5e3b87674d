"""Displacements: a later stage of a cascade looks again around each joint.

A. Toshev, C. Szegedy, "DeepPose: Human Pose Estimation via Deep Neural
Networks", CVPR 2014, section 3.2. For each joint the stage sees a crop of the
photograph around the point of the stage before; the side of the crop is sigma
times the diagonal of the torso, as that stage found it.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_pose import geometry, untrusted
from keras_pose.codecs.coordinates import Coordinates

FALL = 0.1
"""Displacement / torso at which a joint's score is 1 / e (ours)."""


@keras.saving.register_keras_serializable("keras_pose")
@dataclass(frozen=True)
class Displacements(Coordinates):
    """Outputs (B, S, K, 2) of a network that sees a crop around one joint.

    As `Coordinates`, but of the K pairs only that of the crop's own joint is
    trained and used. In labels of five columns the last is 1 for this joint and
    0 for the others; in labels of four, all joints count.

    Raises:
        ValueError: the skeleton has no torso, or sigma is not positive.
    """

    sigma: float = 2.0
    """Side of the crops / diagonal of the torso (FLIC: 1, LSP: 2)."""

    refines = True
    score_is = (
        f"exp(-d / {FALL:g} t), d its step in the last stage, t the torso's "
        "diagonal"
    )

    def __post_init__(self):
        super().__post_init__()
        _ = self.skeleton.diagonals  # raises
        if not untrusted.is_number(self.sigma) or not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")

    def target(self, labels, outputs):
        """As `Coordinates`, known for the joint that the crop is around."""
        target, known = super().target(labels, outputs)
        if labels.shape[-1] > 4:
            known = known * ops.cast(labels[:, 0, :, 4] > 0, "float32")
            target = target * known[:, None, :, None]
        return target, known

    def sides(self, points, squares):
        """Sides (N,) of the crops around the joints of people.

        Args:
            points: (N, K, 2) of the stage before, in pixels of the photographs.
            squares: (N,) sides of the squares around the people.
        """
        return self.sigma * geometry.torso_lengths(
            ops.convert_to_tensor(points, "float32"),
            self.skeleton.diagonals,
            ops.convert_to_tensor(squares, "float32"),
            xp=ops,
        )

    def step(self, seen, points, backs, sides):
        """The joints after this stage.

        Args:
            seen: (N, K, K, 3): `Coordinates.seen` of the crop around each
                joint.
            points: (N, K, 2) of the stage before, in pixels of the photographs.
            backs: (N, K, 2, 3) from the pixels of the crops to those.
            sides: (N,) of the crops.

        Returns:
            points (N, K, 2), and scores (N, K) from 0 to 1.
        """
        own = ops.convert_to_tensor(np.eye(self.count, dtype="float32"))
        own = own[..., None]  # pair k of the crop around k
        own = ops.sum(ops.cast(seen, "float32") * own, axis=2)
        backs = ops.convert_to_tensor(backs, "float32")
        inside = self.to_pixels(own[..., None, :2])
        points = ops.convert_to_tensor(points, "float32")
        moved = geometry.move(inside, backs, xp=ops)[..., 0, :]
        length = ops.norm(moved - points, axis=-1)
        torso = ops.convert_to_tensor(sides, "float32")[:, None] / self.sigma
        return moved, ops.exp(-length / (FALL * torso))
