"""OKS by its formula and against pycocotools; rescoring and NMS by hand."""

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval, Params

from keras_pose.metrics import oks
from keras_pose.skeletons import COCO, MPII, Skeleton


def test_deviations_are_those_of_pycocotools():
    np.testing.assert_allclose(
        oks.sigmas(COCO), Params("keypoints").kpt_oks_sigmas
    )


def test_joints_that_coco_has_not_measured_have_the_mean_of_those_it_has():
    found = dict(zip(MPII.joints, oks.sigmas(MPII), strict=True))
    measured = oks.sigmas(COCO)
    assert found["pelvis"] == oks.DEFAULT_SIGMA
    assert oks.DEFAULT_SIGMA == pytest.approx(measured.mean(), abs=5e-4)
    assert found["left_knee"] == oks.SIGMAS["knee"]
    default = ["pelvis", "thorax", "upper_neck", "head_top"]
    assert oks.default_sigmas(MPII) == default
    assert oks.default_sigmas(COCO) == []


def test_a_skeleton_brings_its_own_sigmas():
    paws = Skeleton("paws", ("left_paw", "right_paw"), sigmas=(0.1, 0.2))
    assert oks.sigmas(paws).tolist() == [0.1, 0.2]
    assert oks.default_sigmas(paws) == []


def test_oks_by_hand():
    """Area 100 and sigma 0.05: k = 0.1, so 1 pixel gives exp(-1 / 2)."""
    truth = np.array([[3.0, 5.0], [10.0, 2.0], [7.0, 7.0]])
    points = truth + [[0.0, 1.0], [0.6, 0.8], [99.0, 0.0]]
    labelled = np.array([True, True, False])
    found = oks.similarity(points, truth, labelled, 100.0, np.full(3, 0.05))
    assert found == pytest.approx(np.exp(-0.5))
    # The third joint far off: two thirds remain of one that is exact.
    points[:2] = truth[:2]
    found = oks.similarity(points, truth, np.ones(3), 100.0, np.full(3, 0.05))
    assert found == pytest.approx(2 / 3)


def test_nothing_labelled_is_not_a_number():
    points = np.zeros((2, 3, 2))
    labelled = np.array([[0, 0, 0], [0, 1, 0]], bool)
    found = oks.similarity(points, points, labelled, np.ones(2), np.ones(3))
    np.testing.assert_array_equal(found, [np.nan, 1])


def test_random_poses_are_as_alike_as_pycocotools_says():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 100, (5, 17, 2))
    flags = rng.integers(0, 3, (5, 17))
    areas = rng.uniform(200, 5000, 5)
    points = truth[[0, 1, 2, 3, 4, 0, 1]] + rng.normal(0, 4, (7, 17, 2))
    scores = np.linspace(1, 0, 7)  # pycocotools sorts by them
    scorer = COCOeval(iouType="keypoints")
    scorer._gts[1, 1] = [
        {
            "keypoints": np.column_stack([t, f]).ravel().tolist(),
            "bbox": [0, 0, 100, 100],
            "area": area,
        }
        for t, f, area in zip(truth, flags, areas, strict=True)
    ]
    scorer._dts[1, 1] = [
        {
            "keypoints": np.column_stack([p, np.ones(17)]).ravel().tolist(),
            "score": score,
        }
        for p, score in zip(points, scores, strict=True)
    ]
    found = oks.similarity(
        points[:, None], truth, flags > 0, areas, oks.sigmas(COCO)
    )
    assert found.shape == (7, 5)
    assert found.max() > 0.5
    np.testing.assert_allclose(found, scorer.computeOks(1, 1), rtol=1e-9)


def test_a_score_is_the_boxs_times_the_mean_of_certain_joints():
    joints = [[0.8, 0.4, 0.2, 0.1], [0.2, 0.2, 0.1, 0.0], [1.0, 1.0, 1.0, 1.0]]
    found = oks.rescore(np.array([0.5, 0.9, 0.7]), np.array(joints))
    # 0.2 is not above 0.2: (0.8 + 0.4) / 2 x 0.5; nothing; 1 x 0.7.
    np.testing.assert_allclose(found, [0.3, 0.0, 0.7])


def line(*x):
    """Poses of two joints at x and at x + 50."""
    return np.array([[[a, 0.0], [a + 50.0, 0.0]] for a in x])


def test_of_one_person_the_best_pose_is_kept():
    """Area 100, sigma 0.05: poses d apart are exp(-d^2 / 2) alike.

    0.4 apart is 0.923, one person; 0.5 apart 0.882, two.
    """
    kept = oks.suppress(
        line(0.0, 0.4, 0.9, 30.0),
        scores=[0.5, 0.9, 0.7, 0.8],
        areas=[100.0] * 4,
        sigmas=[0.05, 0.05],
    )
    assert kept.tolist() == [1, 3, 2]


def test_who_is_suppressed_suppresses_nobody():
    """A chain: 0.4 apart each, but the ends 0.8 apart are two people."""
    settings = {"areas": [100.0] * 3, "sigmas": [0.05, 0.05]}
    kept = oks.suppress(line(0.0, 0.4, 0.8), [0.9, 0.8, 0.7], **settings)
    assert kept.tolist() == [0, 2]
    kept = oks.suppress(line(0.0, 0.4, 0.8), [0.8, 0.9, 0.7], **settings)
    assert kept.tolist() == [1]


def test_two_poses_are_compared_by_the_mean_of_their_areas():
    """0.4 apart in areas 25 and 175 as in 100 and 100; in 25 twice 0.726."""
    sigmas = [0.05, 0.05]
    poses = line(0.0, 0.4)
    assert len(oks.suppress(poses, [1, 0.5], [25.0, 175.0], sigmas)) == 1
    assert len(oks.suppress(poses, [1, 0.5], [25.0, 25.0], sigmas)) == 2
