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
