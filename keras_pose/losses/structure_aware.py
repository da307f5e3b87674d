"""Structure-aware loss: joints, and the joints they hang on, must be right.

L. Ke, M.-C. Chang, H. Qi, S. Lyu, "Multi-Scale Structure-Aware Network for
Human Pose Estimation", ECCV 2018, section 3.3, eq. (2).
https://arxiv.org/abs/1803.09894
"""

import math

import keras
import numpy as np
from keras import ops

from keras_pose import choices
from keras_pose.losses.heatmap_loss import HeatmapLoss
from keras_pose.skeletons import SKELETONS

NORMS = ("squared", "l2")
TERMS = ("keypoint", "structure")


@keras.saving.register_keras_serializable("keras_pose")
class StructureAware(HeatmapLoss):
    """Mean error of the N joints + alpha x mean error of the groups of joints.

    labels (B, K, 3 or more) and maps (B, S, h, w, K) -> (B, K), whose mean over
    joints is eq. (2) of one scale. As printed, (2) uses the index i twice and
    lacks 1/N before the second sum: read as a mean in both terms.

    A group is a pair or a triplet of connected joints (`Skeleton.pairs`,
    `Skeleton.triplets`). Its map, in the paper "the combination of the
    heatmaps", is their sum. So its error is the sum of its members' errors, and
    where two neighbours err at the same pixels it costs more than both alone:
    |e1 + e2|^2 = |e1|^2 + |e2|^2 + 2 <e1, e2>. A pair that is
    swapped is right as a sum: the keypoint term tells the two apart. A group
    with an unlabelled member is dropped, whatever `unlabelled` says (under
    "ignore" also one with a member off the map).

    Args:
        alpha: weight of the structure term, at least 0 (paper: not given).
        skeleton: name of the skeleton whose joints the channels are.
        norm: "squared": squared error over `pixels`; "l2": the norm as printed,
            the root of the sum of squares of each map, mean over stacks.
        unlabelled: of the keypoint term (paper: unsaid).
        pixels: what becomes of squared errors, see `HeatmapLoss`.
    """

    def __init__(
        self,
        alpha=0.5,
        skeleton="mpii",
        norm="squared",
        pixels="mean",
        name="structure_aware",
        **kwargs,
    ):
        super().__init__(pixels=pixels, name=name, **kwargs)
        if not (alpha >= 0 and math.isfinite(alpha)):
            raise ValueError(
                f"alpha must be finite and not negative, got {alpha}"
            )
        choices.check("norm", norm, NORMS)
        if norm == "l2" and pixels != "mean":
            raise ValueError(
                "norm l2 sums the pixels of each map itself and averages the "
                f"stacks: it needs pixels mean, got {pixels!r}"
            )
        choices.check("skeleton", skeleton, SKELETONS)
        chosen = SKELETONS[skeleton]
        groups = chosen.pairs + chosen.triplets
        if not (chosen.limbs and groups):
            raise ValueError(
                "the structure term needs limbs that connect joints within a "
                f"side of the body, skeleton {skeleton} has none"
            )
        self.alpha = float(alpha)
        self.skeleton = skeleton
        self.norm = norm
        self.membership = np.zeros((len(chosen.joints), len(groups)), "float32")
        """(K, G): 1 where joint k is in group g."""
        for number, group in enumerate(groups):
            self.membership[list(group), number] = 1

    def call(self, labels, maps):
        """One number per sample and joint."""
        keypoint = self.keypoint_term(labels, maps)
        if self.alpha == 0:
            return keypoint
        return (
            keypoint + self.alpha * self.structure_term(labels, maps)[:, None]
        )

    def keypoint_term(self, labels, maps):
        """Error of each joint's map, (B, K)."""
        return super().call(labels, maps)

    def structure_term(self, labels, maps):
        """Mean error of the groups that count, (B,); 0 if none does."""
        if maps.shape[-1] != len(self.membership):
            raise ValueError(
                f"skeleton {self.skeleton} has {len(self.membership)} joints, "
                f"got maps of shape {tuple(maps.shape)}"
            )
        target, known = self.target(labels, maps)
        error = ops.cast(maps, "float32") - target
        error = ops.matmul(error, self.membership)
        cost = self.over_pixels(ops.square(error))
        missing = ops.matmul(1 - known, self.membership)
        counts = ops.cast(missing == 0, "float32")
        number = ops.maximum(ops.sum(counts, axis=-1), 1.0)
        return ops.sum(cost * counts, axis=-1) / number

    def pixel_loss(self, maps, target):
        """Squared error of the raw values."""
        return ops.square(maps - target)

    def over_pixels(self, cost):
        """Squared errors (B, S, h, w, N) to cost of maps (B, N)."""
        if self.norm == "squared":
            return super().over_pixels(cost)
        return ops.mean(_root(ops.sum(cost, axis=(2, 3))), axis=1)

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "alpha": self.alpha,
            "skeleton": self.skeleton,
            "norm": self.norm,
        }


@keras.saving.register_keras_serializable("keras_pose")
class LossTerm(keras.metrics.Mean):
    """One term of a `StructureAware` loss, averaged over people and joints.

    The loss is the sum of the two: keypoint + loss.alpha x structure.

    Args:
        loss: the `StructureAware` of the same output.
        term: "keypoint" or "structure".
        name: the term by default.
    """

    def __init__(self, loss, term, name=None, **kwargs):
        choices.check("term", term, TERMS)
        super().__init__(name=name or term, **kwargs)
        self.loss = loss
        self.term = term

    def update_state(self, labels, maps, sample_weight=None):
        """Adds a batch; `sample_weight` (B,) weighs people."""
        value = getattr(self.loss, f"{self.term}_term")(labels, maps)
        super().update_state(value, sample_weight)

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "loss": keras.losses.serialize(self.loss),
            "term": self.term,
        }

    @classmethod
    def from_config(cls, config):
        """The loss comes as its settings."""
        loss = keras.losses.deserialize(config["loss"])
        return cls(**config | {"loss": loss})


def _root(x):
    """Square root whose slope at 0 is 0, not infinite; x >= 0, any shape."""
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, 1.0)), 0.0)
