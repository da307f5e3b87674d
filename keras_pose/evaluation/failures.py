"""Where and how a model fails: the numbers of the report.

A *reach* is a joint's distance from the ground truth divided by the distance
that the protocol allows: up to 1 is correct, NaN is not counted.
"""

import keras
import numpy as np
import pandas as pd

from keras_pose import metrics

NEARLY = 2.0
"""A miss up to this reach is nearly right."""
KINDS = ("nearly right", "left for right", "another joint", "elsewhere")


def joint_protocol(name):
    """The protocol for single joints: PCP scores only limbs."""
    protocol = metrics.PROTOCOLS[name]
    return (
        protocol
        if isinstance(protocol, metrics.PCK)
        else metrics.PROTOCOLS["pck-torso"]
    )


def hits(joints, people, skeleton, protocol):
    """Which parts are correct (N, P) and counted (N, P), as float64 0 or 1.

    joints (N, K, 2) and people (`people.People`) are in the same pixels; the
    protocol is a name in `metrics.PROTOCOLS`.
    """
    correct, counted = metrics.PROTOCOLS[protocol].hits(
        people.labels, np.asarray(joints, "float64"), skeleton
    )
    return [
        keras.ops.convert_to_numpy(values).astype("float64")
        for values in (correct[0], counted)
    ]


def reaches(joints, labels, skeleton, protocol):
    """Error of each joint in units of the distance that `protocol` allows.

    Args:
        joints: (N, K, 2) predictions.
        labels: (N, K, 4) x, y in the same pixels, flag, head size.
        skeleton: the order of the joints.
        protocol: a `metrics.PCK`.

    Returns:
        (N, K): up to 1 is correct; NaN where a joint is not counted; infinite
        where the prediction is NaN.
    """
    lengths = keras.ops.convert_to_numpy(protocol.lengths(labels, skeleton))
    distances = np.linalg.norm(joints - labels[..., :2], axis=-1)
    reach = distances / (protocol.threshold * lengths[:, None])
    counted = (labels[..., 2] > 0) & (lengths[:, None] > 0)
    return np.where(counted, np.where(np.isnan(reach), np.inf, reach), np.nan)


def rank(reach, least=0.5):
    """People from worst to best: by share of correct joints, then by error.

    Args:
        reach: (N, K) of the joints to rank by.
        least: people with fewer counted joints than this share of the largest
            number are left out.

    Returns:
        indices of people; empty if no one has enough joints.
    """
    counted = ~np.isnan(reach)
    number = counted.sum(axis=1)
    right = (reach <= 1).sum(axis=1) / np.maximum(number, 1)
    far = np.where(counted, np.minimum(reach, 2 * NEARLY), 0).sum(axis=1)
    order = np.lexsort((-far / np.maximum(number, 1), right))
    return order[number[order] >= max(1, least * number.max(initial=0))]


def by_visibility(reach, flags, skeleton):
    """Score of each type of joint, visible and occluded.

    Args:
        reach: (N, K).
        flags: (N, K) COCO's 0, 1, 2.
        skeleton: the order of the joints.

    Returns:
        DataFrame, a row per type of joint ("ankle") and one for all: visible
        and occluded are shares of correct joints (NaN where there are none),
        visible_joints and occluded_joints their numbers.
    """
    groups = skeleton.groups | {"all joints": tuple(range(reach.shape[1]))}
    rows = {}
    for name, members in groups.items():
        part, state_flags = reach[:, members], flags[:, members]
        row = {}
        for flag, state in ((2, "visible"), (1, "occluded")):
            chosen = part[(state_flags == flag) & ~np.isnan(part)]
            row[state] = (chosen <= 1).mean() if chosen.size else np.nan
            row[f"{state}_joints"] = chosen.size
        rows[name.replace("_", " ")] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def kinds_of_miss(joints, labels, skeleton, protocol):
    """What lies at the position of each wrong joint.

    Nearly right: within `NEARLY` times the allowed distance. Otherwise the
    joint's mirror image, or another joint of the person, lies within the
    allowed distance of the prediction; or none does.

    Returns:
        Series, the number of joints of each of `KINDS`.
    """
    reach = reaches(joints, labels, skeleton, protocol)
    lengths = keras.ops.convert_to_numpy(protocol.lengths(labels, skeleton))
    gaps = joints[:, :, None] - labels[:, None, :, :2]  # to every joint's truth
    near = np.linalg.norm(gaps, axis=-1)
    near = near <= protocol.threshold * lengths[:, None, None]
    near &= labels[:, None, :, 2] > 0
    index = np.arange(len(skeleton.joints))
    mirror = np.array(skeleton.mirror)
    paired = mirror != index
    swapped = near[:, index, mirror] & paired
    near[:, index, index] = False
    wrong = reach > 1
    nearly = wrong & (reach <= NEARLY)
    swapped &= wrong & ~nearly
    other = wrong & ~nearly & ~swapped & near.any(axis=2)
    elsewhere = wrong & ~nearly & ~swapped & ~other
    counts = [kind.sum() for kind in (nearly, swapped, other, elsewhere)]
    return pd.Series(counts, index=KINDS)


def missing_joint_curve(scores, flags, missing=(0,)):
    """Precision and recall of missing joints against the threshold.

    HSM, section VII, names this threshold as future work: a joint should be
    reported as missing instead of placed somewhere.

    Args:
        scores: (N, K) of each joint, larger is more certain.
        flags: (N, K) COCO's 0 (not labelled), 1 (occluded), 2 (visible).
        missing: which flags count as missing.

    Returns:
        DataFrame by increasing threshold: a joint is reported as missing if its
        score is *below* it. precision, recall, f1; one row per distinct score
        that reports at least one joint as missing.
    """
    scores, flags = np.ravel(scores), np.ravel(flags)
    if scores.shape != flags.shape:
        raise ValueError(
            f"expected one flag per score, got {scores.size} and {flags.size}"
        )
    truly = np.isin(flags, missing)
    if not truly.any():
        raise ValueError(f"no joint has one of the flags {missing}")
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    true_positives = np.cumsum(truly[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    called, hits = last + 1, true_positives[last]
    above = np.append(ordered[last[1:]], np.nextafter(ordered[-1], np.inf))
    precision, recall = hits / called, hits / truly.sum()
    f1 = 2 * hits / (called + truly.sum())
    return pd.DataFrame(
        {
            "threshold": above,
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }
    )


def best_threshold(curve):
    """The row of `missing_joint_curve` with the highest F1."""
    return curve.loc[curve["f1"].idxmax()]
