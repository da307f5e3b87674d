"""PCP: the share of limbs with both ends close to the ground truth.

V. Ferrari, M. Marin-Jimenez, A. Zisserman, "Progressive Search Space Reduction
for Human Pose Estimation", CVPR 2008; its strict and loose definitions:
L. Pishchulin et al., "Articulated People Detection and Pose Estimation:
Reshaping the Future", CVPR 2012.
"""

from dataclasses import dataclass

from keras import ops

from keras_pose.metrics.pck import columns, fractions, same_type
from keras_pose.metrics.shares import Shares

_SHOULDERS = ("left_shoulder", "right_shoulder")
_HIPS = ("left_hip", "right_hip")
COLUMNS = {
    "Torso": ("torso",),
    "Upper leg": ("upper_leg",),
    "Lower leg": ("lower_leg",),
    "Upper arm": ("upper_arm",),
    "Forearm": ("forearm",),
    "Head": ("head",),
}
"""Columns of the usual tables: limbs without their side."""
_NECKS = ("upper_neck", "neck")
"""Names of the lower end of the head in MPII and in LSP."""


def limbs(skeleton):
    """The 10 limbs as name -> (joints of one end, joints of the other).

    An end is the middle of its joints: the torso goes from the middle of the
    shoulders to the middle of the hips, as in the published LSP evaluations.
    """
    ends = {"torso": (_SHOULDERS, _HIPS)}
    for limb, a, b in (
        ("upper_leg", "hip", "knee"),
        ("lower_leg", "knee", "ankle"),
        ("upper_arm", "shoulder", "elbow"),
        ("forearm", "elbow", "wrist"),
    ):
        for side in ("left", "right"):
            ends[f"{side}_{limb}"] = ((f"{side}_{a}",), (f"{side}_{b}",))
    neck = [joint for joint in _NECKS if joint in skeleton.joints]
    ends["head"] = (tuple(neck) or _NECKS[:1], ("head_top",))
    return ends


@dataclass(frozen=True)
class PCP(Shares):
    """A protocol: ends within threshold x the true length of the limb."""

    title: str
    """Name in tables."""
    strict: bool
    """Whether both ends must be close, or only their mean distance small."""
    threshold: float = 0.5
    """Fraction of the limb's length."""
    mean: str = "counted"
    """As in `PCK`: the total is weighted by limbs."""

    def family(self):
        """All protocols of this kind."""
        return PROTOCOLS.values()

    @property
    def needs(self):
        """What a person needs to be counted, for messages."""
        return "a limb with both ends labelled"

    def meaning(self, skeleton):
        """What it measures, in words."""
        return f"limbs within {self.threshold:g} limb lengths of the truth"

    def parts(self, skeleton):
        """Names of what is scored, P = 10 limbs."""
        return tuple(limbs(skeleton))

    def in_mean(self, skeleton):
        """(P,) bool: which parts are in the mean."""
        return (True,) * len(limbs(skeleton))

    def columns(self, skeleton):
        """Column of the usual tables -> indices of the limbs it averages."""
        return columns(limbs(skeleton), COLUMNS)

    def hits(self, labels, points, skeleton, thresholds=None):
        """Which limbs are correct; shapes as in `PCK.hits`, limbs for joints.

        A limb counts if all joints that span it are labelled.
        """
        labels, points = same_type(labels, points)
        # An end with one joint is the middle of that joint and itself.
        spans = ops.convert_to_tensor(
            [
                [
                    [skeleton.index(end[0]), skeleton.index(end[-1])]
                    for end in ends
                ]
                for ends in limbs(skeleton).values()
            ],
            dtype="int32",
        )
        flags = ops.take(labels[:, :, 2], spans, axis=1)
        true = ops.mean(ops.take(labels[:, :, :2], spans, axis=1), axis=3)
        predicted = ops.mean(ops.take(points, spans, axis=1), axis=3)
        length = ops.norm(true[:, :, 0] - true[:, :, 1], axis=-1)
        counted = ops.all(flags > 0, axis=(2, 3)) & (length > 0)
        distance = ops.norm(predicted - true, axis=-1)
        pick = ops.max if self.strict else ops.mean
        reach = fractions(thresholds, self.threshold, distance) * length
        return counted & (pick(distance, axis=-1) <= reach), counted


PROTOCOLS = {
    "pcp-strict": PCP("PCP@0.5, strict", strict=True),
    "pcp-loose": PCP("PCP@0.5, loose", strict=False),
}
"""Protocols that score limbs, by name."""
