"""Columns of people and poses: rows taken, and who is whose."""

import numpy as np

from keras_pose.people import People, Poses, index_pictures, join, nobody
from keras_pose.skeletons import MPII


def people():
    picture, pictures = index_pictures(["b.jpg", "a.jpg", "b.jpg"])
    return People(
        joints=np.arange(96.0).reshape(3, 16, 2),
        flags=np.full((3, 16), 2),
        picture=picture,
        pictures=pictures,
        names=["b.jpg#1", "a.jpg#1", "b.jpg#2"],
        image_ids=[7, 9],
        head_size=np.array([7.0, np.nan, 5.0]),
    )


def test_rows_are_taken_and_the_photographs_stay():
    found = people().take([2, 1])
    assert found.names == ["b.jpg#2", "a.jpg#1"]
    assert found.sources == ["b.jpg", "a.jpg"]
    assert (found.pictures, found.image_ids) == (["b.jpg", "a.jpg"], [7, 9])
    np.testing.assert_array_equal(found.joints[0], people().joints[2])
    assert len(found) == 2


def test_what_is_not_given_is_unknown():
    found = people()
    assert np.isnan(found.box).all() and np.isnan(found.area).all()
    assert found.crowd.tolist() == [False] * 3
    assert found.score.tolist() == [1.0] * 3


def test_labels_carry_the_head_size_in_every_row():
    labels = people().labels
    assert labels.shape == (3, 16, 4)
    assert (labels[0, :, 3] == 7).all() and np.isnan(labels[1, :, 3]).all()


def test_poses_know_whose_they_are():
    joints = np.random.default_rng(0).uniform(0, 9, (3, 16, 2))
    poses = Poses(joints, np.full((3, 16), 0.5), person=np.array([2, -1, 0]))
    found = poses.of_people(4)
    np.testing.assert_array_equal(found[[2, 0]], joints[[0, 2]])
    assert np.isnan(found[[1, 3]]).all()
    assert poses.score.tolist() == [0.5] * 3
    np.testing.assert_array_equal(poses.take([1]).joints, joints[1:2])
    assert poses.take([1]).maps is None


def test_poses_of_several_photographs_are_joined():
    one = Poses(np.zeros((1, 16, 2)), np.ones((1, 16)))
    two = Poses(np.ones((2, 16, 2)), np.ones((2, 16)))
    found = join([one, two])
    assert found.picture.tolist() == [0, 1, 1]
    assert found.joints[:, 0, 0].tolist() == [0, 1, 1]
    strangers = nobody(["x.jpg", "y.jpg"], MPII)
    assert (len(strangers), strangers.pictures) == (0, ["x.jpg", "y.jpg"])
