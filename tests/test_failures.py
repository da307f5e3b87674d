"""Failures are told apart by numbers that can be checked by hand."""

import numpy as np
import pytest

from keras_pose.evaluation import failures
from keras_pose.metrics import PROTOCOLS
from keras_pose.skeletons import LSP, MPII

PCKH = PROTOCOLS["pckh"]


def person(head=20.0, flag=2):
    """Joint k at (10 k, 5): neighbours are 10 px apart, half a head."""
    joints = np.stack([10.0 * np.arange(16), np.full(16, 5.0)], axis=-1)
    return np.dstack(
        [joints[None], np.full((1, 16), flag), np.full((1, 16), head)]
    )


def test_a_joint_half_a_head_away_has_reach_one():
    labels = person()
    found = labels[..., :2].copy()
    found[0, 3] += (6, 8)
    found[0, 4] += (0, 30)
    labels[0, 5, 2] = 0
    reach = failures.reaches(found, labels, MPII, PCKH)
    assert reach[0, 3] == 1 and reach[0, 4] == 3 and reach[0, 0] == 0
    assert np.isnan(reach[0, 5])


def test_without_a_head_size_nothing_counts():
    labels = person(head=np.nan)
    reach = failures.reaches(labels[..., :2], labels, MPII, PCKH)
    assert np.isnan(reach).all()


def test_a_prediction_that_is_no_number_is_infinitely_far():
    labels = person()
    found = np.full((1, 16, 2), np.nan)
    assert np.isinf(failures.reaches(found, labels, MPII, PCKH)).all()


def test_limbs_are_no_joints():
    assert failures.joint_protocol("pcp-strict") is PROTOCOLS["pck-torso"]
    assert failures.joint_protocol("pckh") is PCKH


def test_rank_goes_from_worst_to_best_and_leaves_out_the_unlabelled():
    nan = np.nan
    reach = np.array(
        [
            [0.1, 0.2, 0.3, 0.4],  # all right
            [0.1, 3.0, 3.0, 0.1],  # half
            [0.1, 9.0, 3.0, nan],  # a third
            [nan, nan, nan, 0.0],  # too few to judge
            [0.1, 9.0, 9.0, 0.1],  # half, and farther off than person 1
        ]
    )
    assert failures.rank(reach).tolist() == [2, 4, 1, 0]
    assert failures.rank(np.full((2, 4), nan)).size == 0


def test_visible_and_occluded_joints_are_scored_apart():
    reach = np.full((2, 14), 0.5)
    flags = np.full((2, 14), 2)
    ankles = LSP.groups["ankle"]
    flags[:, ankles[0]] = 1
    reach[0, ankles[0]] = 4.0
    reach[1, ankles[1]] = np.nan
    table = failures.by_visibility(reach, flags, LSP)
    ankle = table.loc["ankle"]
    assert (ankle["visible"], ankle["visible_joints"]) == (1.0, 1)
    assert (ankle["occluded"], ankle["occluded_joints"]) == (0.5, 2)
    assert np.isnan(table.loc["head top", "occluded"])
    assert table.loc["all joints", "visible_joints"] == 2 * 14 - 3


def test_each_wrong_joint_is_of_one_kind():
    labels = person()
    found = labels[..., :2].copy()
    left, right = MPII.index("left_ankle"), MPII.index("right_ankle")
    found[0, right] = labels[0, left, :2]  # swapped
    found[0, MPII.index("left_wrist")] = labels[0, MPII.index("thorax"), :2]
    found[0, MPII.index("left_knee")] += (0, 15)  # 1.5 times what is allowed
    found[0, MPII.index("left_hip")] += (0, 99)
    kinds = failures.kinds_of_miss(found, labels, MPII, PCKH)
    assert kinds.to_dict() == dict(
        zip(failures.KINDS, (1, 1, 1, 1), strict=True)
    )


def test_missing_joint_curve_by_hand():
    scores = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.5]])
    flags = np.array([[0, 2, 0], [1, 2, 2]])
    curve = failures.missing_joint_curve(scores, flags)
    np.testing.assert_allclose(curve["threshold"], [0.2, 0.3, 0.4, 0.5, 0.5])
    np.testing.assert_allclose(
        curve["precision"], [1, 1 / 2, 2 / 3, 1 / 2, 1 / 3]
    )
    np.testing.assert_allclose(curve["recall"], [1 / 2, 1 / 2, 1, 1, 1])
    best = failures.best_threshold(curve)
    assert best["threshold"] == 0.4
    np.testing.assert_allclose(best["f1"], 2 * (2 / 3) / (2 / 3 + 1))
    both = failures.missing_joint_curve(scores, flags, missing=(0, 1))
    np.testing.assert_allclose(
        both["precision"], [1, 1 / 2, 2 / 3, 3 / 4, 1 / 2]
    )


def test_the_chosen_threshold_calls_missing_what_the_curve_counted():
    generator = np.random.default_rng(0)
    scores = generator.random((8, 12)).round(2)
    flags = generator.integers(0, 3, (8, 12))
    best = failures.best_threshold(failures.missing_joint_curve(scores, flags))
    called = scores < best["threshold"]
    np.testing.assert_allclose(best["precision"], (flags == 0)[called].mean())
    np.testing.assert_allclose(best["recall"], called[flags == 0].mean())


def test_a_curve_needs_a_missing_joint_and_equal_sizes():
    with pytest.raises(ValueError, match="no joint has"):
        failures.missing_joint_curve(np.zeros((1, 3)), np.full((1, 3), 2))
    with pytest.raises(ValueError, match="got 3 and 4"):
        failures.missing_joint_curve(np.zeros((1, 3)), np.zeros((1, 4)))
