"""Structure-aware loss: errors of joints and of groups of connected joints.

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
from keras_pose.skeletons import side

NORMS = ("squared", "l2")


@keras.saving.register_keras_serializable("keras_pose")
class StructureAware(HeatmapLoss):
    """Mean error of the N joints + alpha x mean error of the groups of joints.

    labels (B, P, K, 3 or more) and maps (B, S, h, w, K) -> (B, K), whose mean
    over joints is eq. (2) of one scale. As printed, (2) uses the index i twice
    and lacks 1/N before the second sum; here both terms are means.

    A group is a pair or a triplet of connected joints (`pairs`, `triplets`).
    Its map, in the paper "the combination of the heatmaps", is the sum of its
    members' maps, and its error the sum of their errors. Where two neighbours
    have errors at the same pixels, it costs more than both alone:
    |e1 + e2|^2 = |e1|^2 + |e2|^2 + 2 <e1, e2>. The sum of a swapped pair is
    correct: only the keypoint term separates the two. A group with an
    unlabelled member is dropped for any `unlabelled` (with "ignore" also a
    group with a member off the map).

    Args:
        codec: `codecs.Heatmaps`, whose skeleton has limbs.
        alpha: weight of the structure term, at least 0 (not stated).
        norm: "squared": squared error over `pixels`; "l2": the norm as printed,
            the root of the sum of squares of each map, mean over stages.
        unlabelled: for the keypoint term (not stated in the paper).
        pixels: reduction of squared errors, see `HeatmapLoss`.
    """

    def __init__(
        self,
        codec,
        alpha=0.5,
        norm="squared",
        pixels="mean",
        name="structure_aware",
        **kwargs,
    ):
        super().__init__(codec, pixels=pixels, name=name, **kwargs)
        if not (alpha >= 0 and math.isfinite(alpha)):
            raise ValueError(
                f"alpha must be finite and not negative, got {alpha}"
            )
        choices.check("norm", norm, NORMS)
        if norm == "l2" and pixels != "mean":
            raise ValueError(
                "norm l2 sums the pixels of each map and averages the stages: "
                f"it needs pixels mean, got {pixels!r}"
            )
        skeleton = codec.skeleton
        groups = pairs(skeleton) + triplets(skeleton)
        if alpha and not groups:
            raise ValueError(
                "the structure term needs limbs that connect joints within a "
                f"side of the body; skeleton {skeleton.name} has none"
            )
        self.alpha = float(alpha)
        self.norm = norm
        self.membership = np.zeros((codec.count, len(groups)), "float32")
        """(K, G): 1 where joint k is in group g."""
        for number, group in enumerate(groups):
            self.membership[list(group), number] = 1

    def terms(self, labels, outputs):
        """The keypoint term, and alpha times the structure term."""
        terms = {"keypoint": self.keypoint_term(labels, outputs)}
        if self.alpha:
            structure = self.alpha * self.structure_term(labels, outputs)
            joints = terms["keypoint"].shape[1]
            terms["structure"] = ops.repeat(structure[:, None], joints, axis=1)
        return terms

    def keypoint_term(self, labels, maps):
        """Error of each joint's map, (B, K)."""
        return ops.sum(self.stage_costs(labels, maps), axis=1)

    def structure_term(self, labels, maps):
        """Mean error of the groups that count, (B,); 0 if none counts."""
        target, known = self.target(labels, maps)
        joints = self.codec.count  # a background belongs to no group
        if self.unlabelled != "ignore":
            known = ops.cast(labels[:, 0, :, 2] > 0, "float32")
        error = self.codec.values(ops.cast(maps, "float32")) - target
        error = ops.matmul(error[..., :joints], self.membership)
        cost = ops.sum(self.over_pixels(ops.square(error)), axis=1)
        missing = ops.matmul(1 - known[:, :joints], self.membership)
        counts = ops.cast(missing == 0, "float32")
        number = ops.maximum(ops.sum(counts, axis=-1), 1.0)
        return ops.sum(cost * counts, axis=-1) / number

    def pixel_loss(self, values, target):
        """Squared error of the heights."""
        return ops.square(values - target)

    def over_pixels(self, cost):
        """Squared errors (B, S, h, w, N) to cost of maps (B, S, N)."""
        if self.norm == "squared":
            return super().over_pixels(cost)
        return _root(ops.sum(cost, axis=(2, 3))) / cost.shape[1]

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {"alpha": self.alpha, "norm": self.norm}


def pairs(skeleton):
    """Connected joints as pairs of joint indices.

    The list of section 3.3, derived for any skeleton: limbs within one side of
    the body (shoulder-elbow, elbow-wrist, hip-knee, knee-ankle), the two hips,
    and head-thorax: each free end of the midline with the joint where the sides
    branch off.
    """
    connected = [(a, b) for a, b in skeleton.limbs if side(a) == side(b) != ""]
    hips = ("left_hip", "right_hip")
    if set(hips) <= set(skeleton.joints):
        connected.append(hips)
    near = skeleton.neighbours
    for joint in skeleton.joints:
        if not side(joint) and len(near[joint]) == 1:
            connected += _branching(joint, near)
    return tuple((skeleton.index(a), skeleton.index(b)) for a, b in connected)


def triplets(skeleton):
    """Elbows and knees between their neighbours, as joint indices.

    (a, centre, b) for every joint with exactly two limbs, both within its own
    side of the body (section 3.3).
    """
    return tuple(
        (
            skeleton.index(near[0]),
            skeleton.index(joint),
            skeleton.index(near[1]),
        )
        for joint, near in skeleton.neighbours.items()
        if side(joint) and [side(n) for n in near] == [side(joint)] * 2
    )


def _branching(end, near):
    """[(end, joint)]: the first joint inwards with sided limbs; or []."""
    passed, joint = [], end
    while not any(side(n) for n in near[joint]):
        passed.append(joint)
        onward = [n for n in near[joint] if n not in passed]
        if not onward:
            return []
        joint = onward[0]
    return [(end, joint)] if passed else []


def _root(x):
    """Square root with slope 0, not infinite, at 0; x >= 0, any shape."""
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, 1.0)), 0.0)
