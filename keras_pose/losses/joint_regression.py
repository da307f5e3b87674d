"""Error of coordinates: regression of the joints.

X. Sun et al., "Integral Human Pose Regression", ECCV 2018, sections 2 and 3,
https://arxiv.org/abs/1711.08229; code by the authors:
https://github.com/JimmySuen/integral-human-pose
"""

import keras
from keras import ops

from keras_pose import choices
from keras_pose.codecs.codec import HasCodec
from keras_pose.codecs.coordinates import Points
from keras_pose.losses.heatmap_loss import HeatmapLoss
from keras_pose.losses.pose_loss import PoseLoss


def _smooth(error):
    return ops.where(error < 1, ops.square(error) / 2, error - 0.5)


NORMS = {"l1": lambda error: error, "l2": ops.square, "smooth_l1": _smooth}
"""Functions of the absolute error of a coordinate."""


@keras.saving.register_keras_serializable("keras_pose")
class JointRegression(HasCodec, PoseLoss):
    """labels (B, P, K, 3 or more) and outputs of S stages -> (B, K).

    Sum over stages, joints and both coordinates, mean over people, as in the
    authors' code: with the default reduction, which is a mean over joints, each
    joint costs K times its error. Errors are in sides of the crop, as
    `codecs.Points.target` is: on a square crop a pixel of 256 costs 1 / 256
    (l1). A joint without a label has weight 0.

    Args:
        codec: `codecs.Expectation` or `codecs.Coordinates`.
        norm: "l1" (authors' code), "l2": the square, or "smooth_l1": half the
            square of an error below 1, linear beyond (mmpose's code).
        maps: a `HeatmapLoss` of the same outputs, added with weight 1 as the
            term "maps": then the maps of an expectation are also Gaussians
            (I1 of the paper). None: coordinates alone.
    """

    def __init__(
        self, codec, norm="l1", maps=None, name="joint_regression", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        if not isinstance(codec, Points):
            raise ValueError(
                f"{name}: codec must be Expectation or Coordinates, got "
                f"{codec!r}"
            )
        choices.check("norm", norm, NORMS)
        if maps is not None and not isinstance(maps, HeatmapLoss):
            raise ValueError(f"{name}: maps must be a HeatmapLoss, got {maps}")
        self.codec = codec
        self.norm = norm
        self.maps = maps

    @property
    def codecs(self):
        """A list of its codec."""
        return [self.codec]

    def terms(self, labels, outputs):
        """{"coordinates": (B, K)}, and "maps" if they are supervised."""
        outputs = ops.cast(outputs, "float32")
        target, known = self.codec.target(labels, outputs)
        error = ops.abs(self.codec.values(outputs) - target)
        costs = ops.sum(NORMS[self.norm](error), axis=(1, 3))
        terms = {"coordinates": costs * known * self.codec.count}
        if self.maps is not None:
            terms["maps"] = self.maps.call(labels, outputs)
        return terms

    def get_config(self):
        """Everything `__init__` takes."""
        maps = self.maps and keras.losses.serialize(self.maps)
        return super().get_config() | {"norm": self.norm, "maps": maps}

    @classmethod
    def from_config(cls, config):
        """Deserialises the codec and the loss of the maps."""
        maps = config.get("maps") and keras.losses.deserialize(config["maps"])
        return super().from_config(config | {"maps": maps})
