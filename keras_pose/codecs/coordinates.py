"""Coordinates: two numbers for each joint, its position in the crop.

A. Toshev, C. Szegedy, "DeepPose: Human Pose Estimation via Deep Neural
Networks", CVPR 2014, eq. (1): relative to the centre of the box, in units of
its sides, so that a joint in the box lies within -0.5 ... 0.5.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_pose.codecs.codec import Codec, last_stage


@dataclass(frozen=True)
class Points(Codec):
    """A point for each joint: base of the codecs without Gaussians.

    `seen`, what inference keeps, is (B, K, 3): x and y relative to the centre
    of the crop, in its sides, and a score.
    """

    size: tuple[int, int] = (256, 256)
    """Height and width of the network's input, pixels."""

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "size", tuple(map(int, self.size)))
        if len(self.size) != 2 or not min(self.size) > 0:
            raise ValueError(
                f"size must be a positive height and width, got {self.size}"
            )

    @property
    def _sides(self):
        """(width, height) of the input, as x and y."""
        return ops.convert_to_tensor(self.size[::-1], "float32")

    def to_box(self, points):
        """Input pixels (..., 2) relative to the centre, in sides."""
        points = ops.cast(points, "float32")
        return (points - (self._sides - 1) / 2) / self._sides

    def to_pixels(self, points):
        """The inverse of `to_box`."""
        return points * self._sides + (self._sides - 1) / 2

    def target(self, labels, outputs):
        """Positions of the joints, and which are known.

        Args:
            labels: (B, P, K, 3 or more) x, y in input pixels, flag, the subject
                first.
            outputs: not used.

        Returns:
            target (B, 1, K, 2) relative to the centre, in sides, and known
            (B, K), 1 or 0.
        """
        labels = ops.cast(labels, "float32")[:, 0]
        known = ops.cast(labels[..., 2] > 0, "float32")
        points = self.to_box(labels[..., :2])
        return (points * known[..., None])[:, None], known

    def mirror(self, seen, shift=None):
        """Undoes the mirroring of the pictures: (B, K, 3) -> (B, K, 3).

        Raises:
            ValueError: a `shift`, which is for maps.
        """
        if shift is not None:
            raise ValueError(
                "a flip shift is for maps: of coordinates it must be None, got "
                f"{shift}"
            )
        seen = ops.take(seen, np.array(self.skeleton.mirror), axis=1)
        return seen * ops.convert_to_tensor([-1.0, 1.0, 1.0])

    def merge(self, views, zooms, size):
        """Mean of views (B, K, 3) in the frame of zoom 1; see `Heatmaps`."""
        total = 0.0
        for seen, zoom in zip(views, zooms, strict=True):
            factors = ops.convert_to_tensor([zoom, zoom, 1.0], "float32")
            total = total + seen * factors
        return total / len(views)

    def joints(self, seen, decoding=None):
        """Positions of the joints; there is nothing to decode.

        Returns:
            points (B, K, 2) x, y in input pixels, scores (B, K), and None:
            occlusion is not predicted.
        """
        return self.to_pixels(seen[..., :2]), seen[..., 2], None


@keras.saving.register_keras_serializable("keras_pose")
@dataclass(frozen=True)
class Coordinates(Points):
    """Outputs (B, S, K, 2 or 3) of S stages; the last stage is the result.

    x and y relative to the centre of the input, in its sides, and a score,
    which is 1 if the network has none.
    """

    score_is = "a number that the network predicts, or 1"

    def values(self, outputs):
        """Outputs in the form of the target: (B, S, K, 2)."""
        return outputs[..., :2]

    def seen(self, outputs):
        """What inference keeps: (B, K, 3)."""
        last = last_stage(outputs)
        if last.shape[-1] == 3:
            return last
        return ops.concatenate([last, ops.ones_like(last[..., :1])], axis=-1)
