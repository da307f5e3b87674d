"""PCP strict and loose, against limbs measured by hand."""

import numpy as np
import pytest

from keras_pose.metrics import PROTOCOLS, mean_score
from keras_pose.metrics.pcp import limbs
from keras_pose.skeletons import COCO, LSP, MPII

STRICT, LOOSE = PROTOCOLS["pcp-strict"], PROTOCOLS["pcp-loose"]
NAMES = STRICT.parts(LSP)


def person(skeleton=LSP):
    """One person, labels (1, K, 4): a forearm of 10 pixels, the rest longer."""
    rng = np.random.default_rng(0)
    labels = np.zeros((1, len(skeleton.joints), 4))
    labels[0, :, :2] = rng.uniform(100, 900, labels.shape[1:2] + (2,))
    labels[0, :, 2] = 2
    labels[0, skeleton.index("left_elbow"), :2] = 0, 0
    labels[0, skeleton.index("left_wrist"), :2] = 10, 0
    return labels


def hits(protocol, labels, points, skeleton=LSP):
    """{limb: found} of the limbs that count."""
    correct, counted = protocol.hits(labels, points, skeleton)
    return {
        name: bool(hit)
        for name, hit, seen in zip(
            protocol.parts(skeleton),
            np.array(correct)[0, 0],
            np.array(counted)[0],
            strict=True,
        )
        if seen
    }


def test_there_are_ten_limbs_in_the_columns_of_the_literature():
    assert len(NAMES) == 10
    columns = STRICT.columns(LSP)
    assert list(columns) == [
        "Torso",
        "Upper leg",
        "Lower leg",
        "Upper arm",
        "Forearm",
        "Head",
    ]
    assert [len(indices) for indices in columns.values()] == [1, 2, 2, 2, 2, 1]
    assert limbs(MPII)["head"] == (("upper_neck",), ("head_top",))


@pytest.mark.parametrize(
    ("elbow_off", "wrist_off", "strict", "loose"),
    (
        (5, 5, True, True),  # exactly half of the limb
        (0, 6, False, True),  # one end too far, 3 on average
        (4, 7, False, False),  # 5.5 on average
    ),
)
def test_strict_wants_both_ends_loose_their_mean(
    elbow_off, wrist_off, strict, loose
):
    labels = person()
    points = labels[..., :2].copy()
    points[0, LSP.index("left_elbow"), 1] += elbow_off
    points[0, LSP.index("left_wrist"), 1] += wrist_off
    assert hits(STRICT, labels, points)["left_forearm"] == strict
    assert hits(LOOSE, labels, points)["left_forearm"] == loose


def test_the_torso_goes_from_mid_shoulders_to_mid_hips():
    labels = person()
    points = labels[..., :2].copy()
    shoulders = [LSP.index(f"{s}_shoulder") for s in ("left", "right")]
    points[0, shoulders] = points[0, shoulders[::-1]]  # the middle stays
    found = hits(STRICT, labels, points)
    assert found["torso"]
    assert not found["left_upper_arm"] and not found["right_upper_arm"]


def test_a_limb_counts_when_all_that_spans_it_is_labelled():
    labels = person()
    labels[0, LSP.index("right_hip"), 2] = 0
    labels[0, LSP.index("left_ankle"), 2] = 1  # occluded: counts
    found = hits(STRICT, labels, labels[..., :2])
    assert set(NAMES) - set(found) == {"torso", "right_upper_leg"}
    assert all(found.values())


def test_nan_spoils_only_the_limbs_it_belongs_to():
    labels = person()
    points = labels[..., :2].copy()
    points[0, LSP.index("right_knee")] = np.nan
    found = hits(STRICT, labels, points)
    assert {name for name, hit in found.items() if not hit} == {
        "right_upper_leg",
        "right_lower_leg",
    }


def test_the_total_is_weighted_by_limbs():
    counted = np.array([4.0, 4, 4, 1, 1, 1, 1, 1, 1, 2])
    correct = np.array([4.0, 0, 4, 1, 0, 1, 0, 1, 0, 1])
    inside = STRICT.in_mean(LSP)
    total = mean_score(correct, counted, inside, STRICT.mean)
    np.testing.assert_allclose(float(total), 12 / 20)


def test_a_skeleton_without_a_head_is_refused_by_name():
    labels = person(COCO)
    with pytest.raises(ValueError, match="coco has no upper_neck"):
        STRICT.hits(labels, labels[..., :2], COCO)
