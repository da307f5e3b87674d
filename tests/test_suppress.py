"""Of poses that are one person one is kept: by hand, and by picture."""

import numpy as np
import pytest

from keras_pose.inference import suppress
from keras_pose.metrics import oks
from keras_pose.people import Poses
from keras_pose.skeletons import COCO


def test_a_score_is_the_boxs_times_the_mean_of_certain_joints():
    joints = [[0.8, 0.4, 0.2, 0.1], [0.2, 0.2, 0.1, 0.0], [1.0, 1.0, 1.0, 1.0]]
    found = suppress.rescore(np.array([0.5, 0.9, 0.7]), np.array(joints))
    # 0.2 is not above 0.2: (0.8 + 0.4) / 2 x 0.5; nothing; 1 x 0.7.
    np.testing.assert_allclose(found, [0.3, 0.0, 0.7])


def line(*x):
    """Poses of two joints at x and at x + 50."""
    return np.array([[[a, 0.0], [a + 50.0, 0.0]] for a in x])


def test_of_one_person_the_best_pose_is_kept():
    """Area 100, sigma 0.05: poses d apart are exp(-d^2 / 2) alike.

    0.4 apart is 0.923, one person; 0.5 apart 0.882, two.
    """
    kept = suppress.suppress(
        line(0.0, 0.4, 0.9, 30.0),
        scores=[0.5, 0.9, 0.7, 0.8],
        areas=[100.0] * 4,
        sigmas=[0.05, 0.05],
    )
    assert kept.tolist() == [1, 3, 2]


def test_who_is_suppressed_suppresses_nobody():
    """A chain: 0.4 apart each, but the ends 0.8 apart are two people."""
    settings = {"areas": [100.0] * 3, "sigmas": [0.05, 0.05]}
    kept = suppress.suppress(line(0.0, 0.4, 0.8), [0.9, 0.8, 0.7], **settings)
    assert kept.tolist() == [0, 2]
    kept = suppress.suppress(line(0.0, 0.4, 0.8), [0.8, 0.9, 0.7], **settings)
    assert kept.tolist() == [1]


def test_two_poses_are_compared_by_the_mean_of_their_areas():
    """0.4 apart in areas 25 and 175 as in 100 and 100; in 25 twice 0.726."""
    sigmas = [0.05, 0.05]
    poses = line(0.0, 0.4)
    assert len(suppress.suppress(poses, [1, 0.5], [25.0, 175.0], sigmas)) == 1
    assert len(suppress.suppress(poses, [1, 0.5], [25.0, 25.0], sigmas)) == 2


POSE = np.random.default_rng(0).uniform(10, 90, (17, 2)).round()


def poses_of(joints, picture, area, score=None):
    number = len(joints)
    return Poses(
        np.array(joints),
        np.ones((number, 17)),
        person=np.full(number, -1),
        picture=np.array(picture),
        score=None if score is None else np.array(score),
        area=np.full(number, area),
    )


def test_people_seen_twice_are_dropped_picture_by_picture():
    """The first is the third again, with a worse score."""
    joints = [POSE, POSE, POSE + 0.25, POSE + 40]
    score = [0.25, 0.3, 0.45, 0.4]
    poses = poses_of(joints, [1, 0, 1, 1], 200 * 150.0, score)
    found = suppress.suppress_poses(poses, COCO)
    assert found.picture.tolist() == [0, 1, 1]
    assert found.score.tolist() == [0.3, 0.45, 0.4]
    np.testing.assert_array_equal(found.joints[1], POSE + 0.25)
    # of equals the first is kept
    equals = poses_of(joints, [1, 0, 1, 1], 200 * 150.0)
    found = suppress.suppress_poses(equals, COCO)
    np.testing.assert_array_equal(found.joints[1], POSE)


@pytest.mark.parametrize(("height", "number"), [(100, 1), (40, 2)])
def test_poses_are_compared_by_the_area_of_the_crop(height, number):
    """Crops of 100 x 75 and 40 x 30 pixels: OKS 0.92 falls below 0.9."""
    far = 2 * oks.sigmas(COCO) * np.sqrt(-2 * 100 * 75 * np.log(0.92))
    away = POSE + np.column_stack([0.6 * far, -0.8 * far])
    poses = poses_of([POSE, away], [0, 0], 0.75 * height**2)
    assert len(suppress.suppress_poses(poses, COCO)) == number
