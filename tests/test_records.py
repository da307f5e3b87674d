"""A record comes back as it was written."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import records

RNG = np.random.default_rng(0)


def person(**changes):
    one = records.Person(
        joints=RNG.uniform(0, 50, (16, 2)).astype("float32"),
        flags=np.arange(16) % 3,
        center=np.array([20.0, 30.0]),
        scale=0.5,
        head_size=7.0,
        box=(1.0, 2.0, 30.0, 40.0),
        name="photo.jpg#1",
    )
    return dataclasses.replace(one, **changes)


def picture(*people):
    matrix = np.array([[2.0, 0, 5], [0, 2.0, 7]])
    return records.Picture(b"bytes", (60, 80), people, "photo.jpg", matrix)


def test_a_picture_with_two_people_comes_back():
    other = person(name="photo.jpg#2", scale=0.75, head_size=records.UNKNOWN)
    written = picture(person(), other)
    found = records.parse(records.write(written), 16)
    assert (found.encoded, found.size) == (b"bytes", (60, 80))
    assert found.source == "photo.jpg"
    np.testing.assert_array_equal(found.matrix, written.matrix)
    for one, two in zip(found.people, written.people, strict=True):
        np.testing.assert_array_equal(one.flags, two.flags)
        known = two.flags > 0
        np.testing.assert_array_equal(one.joints[known], two.joints[known])
        assert (one.joints[~known] == 0).all()
        np.testing.assert_array_equal(one.center, two.center)
        np.testing.assert_array_equal(one.box, two.box)
        assert (one.name, one.scale) == (two.name, two.scale)
    assert found.people[0].head_size == 7
    assert np.isnan(found.people[1].head_size)


def test_a_batch_is_padded_with_people_of_zeros():
    rows = [
        records.write(picture(person())),
        records.write(picture(person(scale=0.25), person(scale=0.75))),
    ]
    found = records.read(tf.constant(rows), 16)
    assert found["joints"].shape == (2, 2, 16, 2)
    assert found["encoded"].shape == (2,)
    np.testing.assert_array_equal(found["scale"], [[0.5, 0], [0.25, 0.75]])


def test_what_is_not_labelled_may_be_anything():
    joints = np.full((16, 2), np.nan)
    unlabelled = person(joints=joints, flags=np.zeros(16, int))
    found = records.parse(records.write(picture(unlabelled)), 16)
    assert (found.people[0].joints == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_labelled_joint_must_be_finite(value):
    joints = np.zeros((16, 2))
    joints[1, 0] = value  # flag 1: occluded, yet labelled
    with pytest.raises(ValueError, match="photo.jpg: .*NaN or infinite"):
        records.write(picture(person(joints=joints)))


def test_flags_are_0_1_or_2():
    with pytest.raises(ValueError, match="flags must be 0, 1 or 2"):
        records.write(picture(person(flags=np.full(16, 3))))


def test_a_record_needs_a_person():
    with pytest.raises(ValueError, match="at least one person"):
        records.write(picture())


def test_a_person_moves_with_the_picture():
    # Twice as large, 5 to the right and 7 down.
    moved = person().moved(np.array([[2.0, 0, 5], [0, 2.0, 7]]))
    np.testing.assert_allclose(moved.center, (45, 67))
    np.testing.assert_allclose(moved.box, (7, 11, 60, 80))
    assert moved.scale == 1 and moved.head_size == 14


@pytest.mark.parametrize(
    "encoded, damage",
    [
        (b"", "empty"),
        (b"\x89PNG", "not a JPEG"),
        (b"\xff\xd8 thumb \xff\xd9 \xff\xda pixels", "truncated"),
        (b"\xff\xd8 thumb \xff\xd9 \xff\xda pixels \xff\xd9 note", ""),
    ],
    ids=["empty", "png", "truncated", "whole"],
)
def test_damage_of_a_jpeg(encoded, damage):
    found = records.jpeg_damage(encoded)
    assert damage in found and bool(damage) == bool(found)
