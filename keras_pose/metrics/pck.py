"""PCK and related metrics: the share of joints close to the ground truth.

PCK    Y. Yang, D. Ramanan, "Articulated Human Detection with Flexible
       Mixtures of Parts", TPAMI 2013: within a fraction of the person's size.
PCKh   M. Andriluka et al., "2D Human Pose Estimation: New Benchmark and State
       of the Art Analysis", CVPR 2014, http://human-pose.mpi-inf.mpg.de:
       within a fraction of the head size, 0.6 x the diagonal of the head box.
PDJ    B. Sapp, B. Taskar, "MODEC", CVPR 2013: within a fraction of the torso.
       FLIC's tables call this PCK@0.2 and list only elbows and wrists; the
       torso is defined as in https://github.com/bensapp/MODEC, left shoulder to
       right hip.
AUC    mean of PCKh over the thresholds 0, 0.01 ... 0.5.

A joint counts if it is labelled (flag above 0), occluded or not, and if its
person has the length that the protocol divides by.
"""

from dataclasses import dataclass

import keras
from keras import ops

from keras_pose import choices
from keras_pose.codecs.codec import HasCodec
from keras_pose.metrics.shares import Shares, mean_score, scores
from keras_pose.skeletons import (
    LEFT_SHOULDER_RIGHT_HIP,
    RIGHT_SHOULDER_LEFT_HIP,
    SKELETONS,
    without_side,
)

ELBOWS_AND_WRISTS = ("elbow", "wrist")
COLUMNS = {
    # With LSP's two joints of the head the columns average to the mean that
    # papers report (CPM: 97.8 92.5 87.0 83.9 91.5 90.8 89.9 -> 90.5).
    "Head": ("head_top", "neck", "nose", "eye", "ear"),
    "Shoulder": ("shoulder",),
    "Elbow": ("elbow",),
    "Wrist": ("wrist",),
    "Hip": ("hip",),
    "Knee": ("knee",),
    "Ankle": ("ankle",),
}
"""Columns of the usual tables: joints without their side. MPII's upper neck is
in no column, but in the mean."""
AUC_THRESHOLDS = tuple(step / 100 for step in range(51))
"""Fractions that the area under the curve averages, 0 and 0.5 included."""


@dataclass(frozen=True)
class PCK(Shares):
    """A protocol: distance <= threshold x length of the person."""

    title: str
    """Name in tables."""
    length: str | tuple[str, str]
    """"head" (column 3 of the labels), "box" (longer side of the box around the
    labelled joints) or the two joints that span the torso; a skeleton's own
    torso replaces left shoulder and right hip."""
    threshold: float
    """Fraction of the length."""
    left_out: tuple[str, ...] = ()
    """Joints that are scored but are not part of the mean."""
    mean: str = "counted"
    """"counted": all counted joints have the same weight (official); "joints":
    all types of joint have the same weight."""

    curve = AUC_THRESHOLDS

    def family(self):
        """All protocols of this kind."""
        return PROTOCOLS.values()

    @property
    def needs(self):
        """What a person needs to be counted, for messages."""
        known = {"head": "a head size", "box": "two labelled joints"}
        if self.length in known:
            return known[self.length]
        return "both ends of the torso labelled"

    def meaning(self, skeleton):
        """What it measures, in words."""
        words = {
            "head": "head sizes",
            "box": f"times the {skeleton.kind}'s longer side",
        }
        named = isinstance(self.length, str)
        length = words[self.length] if named else "torso lengths"
        return f"joints within {self.threshold:g} {length} of the truth"

    def parts(self, skeleton):
        """Names of what is scored, P = K joints."""
        return skeleton.joints

    def in_mean(self, skeleton):
        """(P,) bool: which parts are in the mean."""
        return tuple(joint not in self.left_out for joint in skeleton.joints)

    def columns(self, skeleton):
        """Column of the usual tables -> indices of the joints it averages.

        If most joints are in none of these columns: a column for each joint
        that has both sides.
        """
        inside = self.in_mean(skeleton)
        groups = columns(skeleton.joints, COLUMNS)
        if 2 * sum(map(len, groups.values())) < len(skeleton.joints):
            # Not a human body: left and right together, "Front paw".
            groups = {
                name.replace("_", " ").capitalize(): indices
                for name, indices in skeleton.groups.items()
                if len(indices) > 1
            }
        return {k: v for k, v in groups.items() if any(inside[i] for i in v)}

    def lengths(self, labels, skeleton):
        """(N, K, 4) -> (N,): pixels to divide by, NaN where unknown."""
        if self.length == "head":
            if labels.shape[-1] < 4:
                raise ValueError(
                    "the head size is column 3 of the labels (N, K, 4), "
                    f"got shape {tuple(labels.shape)}"
                )
            lengths = labels[:, 0, 3]
        elif self.length == "box":
            labelled = labels[:, :, 2:3] > 0
            points = labels[:, :, :2]
            low = ops.min(ops.where(labelled, points, float("inf")), axis=1)
            high = ops.max(ops.where(labelled, points, float("-inf")), axis=1)
            lengths = ops.max(high - low, axis=-1)
        else:
            ends = self.length
            if ends == LEFT_SHOULDER_RIGHT_HIP:
                ends = skeleton.torso or ends
            a, b = (labels[:, skeleton.index(j)] for j in ends)
            lengths = ops.where(
                (a[:, 2] > 0) & (b[:, 2] > 0),
                ops.norm(a[:, :2] - b[:, :2], axis=-1),
                float("nan"),
            )
        return ops.where(lengths > 0, lengths, float("nan"))

    def hits(self, labels, points, skeleton, thresholds=None):
        """Which joints are correct.

        Args:
            labels: (N, K, 4) x, y in pixels, flag, head size in pixels.
            points: (N, K, 2) predictions in the same pixels; NaN is a miss.
            skeleton: the order of the K joints.
            thresholds: T fractions; by default the protocol's own.

        Returns:
            correct (T, N, K) and counted (N, K), bool. Correct joints are
            always counted.
        """
        labels, points = same_type(labels, points)
        length = self.lengths(labels, skeleton)[:, None]
        counted = (labels[:, :, 2] > 0) & (length > 0)
        distance = ops.norm(points - labels[:, :, :2], axis=-1)
        reach = fractions(thresholds, self.threshold, distance) * length
        return counted & (distance <= reach), counted


PROTOCOLS = {
    "pckh": PCK("PCKh@0.5", "head", 0.5, ("pelvis", "thorax")),
    "pckh-joints": PCK(
        "PCKh@0.5, mean of joints", "head", 0.5, ("pelvis", "thorax"), "joints"
    ),
    "pckh-0.1": PCK("PCKh@0.1", "head", 0.1, ("pelvis", "thorax")),
    # The MSRA repositories print this as "Mean@0.1": step 11 of their curve.
    "pckh-msra-0.1": PCK(
        "PCKh@0.11 (MSRA's @0.1)", "head", 0.11, ("pelvis", "thorax")
    ),
    "pck-torso": PCK("PCK@0.2", LEFT_SHOULDER_RIGHT_HIP, 0.2),
    "pck-rsho-lhip": PCK(
        "PCK@0.2, right shoulder to left hip", RIGHT_SHOULDER_LEFT_HIP, 0.2
    ),
    "pck-bbox": PCK("PCK@0.2, longer side of the box", "box", 0.2),
    "pdj": PCK("PDJ@0.2", LEFT_SHOULDER_RIGHT_HIP, 0.2),
    "flic": PCK(
        "PCK@0.2 of elbows and wrists",
        LEFT_SHOULDER_RIGHT_HIP,
        0.2,
        left_out=tuple(
            dict.fromkeys(
                joint
                for skeleton in SKELETONS.values()
                for joint in skeleton.joints
                if not joint.endswith(ELBOWS_AND_WRISTS)
            )
        ),
    ),
}
"""Protocols that score joints by name, with the usual thresholds."""


@keras.saving.register_keras_serializable("keras_pose")
class PosePCK(HasCodec, keras.metrics.Metric):
    """The data set's metric during training, from outputs.

    labels (B, P, K, 4) and outputs -> share of the subjects' joints from 0 to
    1. The result is decoded as in a single-crop test and compared in input
    pixels. A crop scales joints and lengths equally, so the score equals that
    in pixels of the photograph.

    Args:
        codec: what the result, the last output, means.
        protocol: a name in `PROTOCOLS`.
    """

    def __init__(self, codec, protocol="pckh", name="pck", **kwargs):
        super().__init__(name=name, **kwargs)
        choices.check("protocol", protocol, PROTOCOLS)
        self.codec = codec
        self.protocol = protocol
        self.correct, self.counted = (
            self.add_weight(shape=(codec.count,), initializer="zeros", name=n)
            for n in ("correct", "counted")
        )

    def update_state(self, labels, outputs, sample_weight=None):
        """Adds a batch; `sample_weight` (B,) weights people."""
        seen = ops.stop_gradient(ops.cast(self.codec.seen(outputs), "float32"))
        points, heights, _ = self.codec.joints(seen)
        # The argmax of NaN depends on the backend: such joints are misses.
        finite = ops.isfinite(heights)[..., None]
        points = ops.where(finite, points, float("nan"))
        labels = ops.cast(labels, "float32")[:, 0]
        correct, counted = PROTOCOLS[self.protocol].hits(
            labels, points, self.codec.skeleton
        )
        if labels.shape[-1] > 4:  # only the joint that the crop is around
            own = labels[..., 4] > 0
            correct, counted = correct & own, counted & own
        weight = 1.0
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        for state, hits in (
            (self.correct, correct[0]),
            (self.counted, counted),
        ):
            hits = ops.cast(hits, self.dtype) * weight
            state.assign_add(ops.sum(hits, axis=0))

    def result(self):
        """The protocol's mean over all batches; 0 before the first."""
        protocol = PROTOCOLS[self.protocol]
        in_mean = protocol.in_mean(self.codec.skeleton)
        return mean_score(
            ops.convert_to_tensor(self.correct),
            ops.convert_to_tensor(self.counted),
            in_mean,
            protocol.mean,
        )

    def per_joint(self):
        """(K,) share per joint, in the order of the skeleton."""
        return scores(
            ops.convert_to_tensor(self.correct),
            ops.convert_to_tensor(self.counted),
        )

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {"protocol": self.protocol}


def columns(parts, names_of):
    """Column -> indices of its `parts`, left and right together.

    `names_of`: {column: names of its parts without their side}.
    """
    bare = [without_side(part) for part in parts]
    groups = {
        column: tuple(i for i, name in enumerate(bare) if name in names)
        for column, names in names_of.items()
    }
    return {column: indices for column, indices in groups.items() if indices}


def same_type(labels, points):
    """Both as tensors of the labels' float type: float64 stays exact."""
    labels = ops.convert_to_tensor(labels)
    if "float" not in keras.backend.standardize_dtype(labels.dtype):
        labels = ops.cast(labels, "float32")
    return labels, ops.cast(points, labels.dtype)


def fractions(thresholds, default, like):
    """(T, 1, 1) thresholds in the type of `like`."""
    thresholds = (default,) if thresholds is None else tuple(thresholds)
    values = ops.convert_to_tensor(thresholds, dtype=like.dtype)
    return ops.reshape(values, (-1, 1, 1))
