"""AP of chosen pictures equals pycocotools'; intervals over pictures."""

from dataclasses import replace

import numpy as np
import pytest

from keras_pose import metrics
from keras_pose.evaluation import precision
from keras_pose.people import People, Poses
from keras_pose.skeletons import MPII


def crowd_of(pictures, seed=0):
    """People of 60 x 60 pixels, and poses: near ones, strangers, doubles."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, pictures)
    picture = np.repeat(np.arange(pictures), counts)
    number = len(picture)
    corner = 100.0 * np.stack([np.arange(number), picture], axis=-1)
    joints = corner[:, None] + rng.uniform(0, 60, (number, 16, 2))
    crowd = rng.random(number) < 0.1
    people = People(
        joints=joints,
        flags=np.where(crowd[:, None], 0, 2) * np.ones((1, 16), int),
        picture=picture,
        pictures=[f"{n}.jpg" for n in range(pictures)],
        names=[str(n) for n in range(number)],
        box=np.concatenate([corner, np.full((number, 2), 60.0)], axis=1),
        area=np.full(number, 2000.0),
        crowd=crowd,
    )
    rows = np.concatenate([np.arange(number), rng.integers(number, size=9)])
    noise = rng.choice([0.5, 2, 5, 9, 40], (len(rows), 1, 1))
    found = joints[rows] + noise * rng.normal(size=(len(rows), 16, 2))
    poses = Poses(
        found,
        np.ones((len(rows), 16)),
        np.full(len(rows), -1),
        picture=picture[rows],
        score=rng.random(len(rows)).round(2),  # some are equal
    )
    return people, poses


def coco(people, poses):
    table = metrics.find("oks").table(poses, people, MPII)
    return table.loc["AP"].iloc[0] / 100


def repeated(people, poses, times):
    """The pictures as often as wanted, as pictures of their own."""
    parts = np.repeat(np.arange(len(times)), times)
    who, which, own, other = [], [], [], []
    for new, old in enumerate(parts):
        rows, found = (
            np.flatnonzero(each.picture == old) for each in (people, poses)
        )
        who, which = [*who, *rows], [*which, *found]
        own, other = own + [new] * len(rows), other + [new] * len(found)
    names = [f"{n}.jpg" for n in range(len(parts))]
    people = replace(people.take(who), picture=np.array(own), pictures=names)
    return people, replace(poses.take(which), picture=np.array(other))


def test_of_all_pictures_it_is_cocos():
    for seed in range(3):
        people, poses = crowd_of(7, seed)
        judged = precision.judge(poses, people, MPII)
        (value,) = precision.average_precision(judged)
        assert 0.05 < value < 0.95
        assert value == pytest.approx(coco(people, poses), abs=1e-12)


def test_a_picture_that_counts_twice_is_as_good_as_its_copy():
    people, poses = crowd_of(7)
    judged = precision.judge(poses, people, MPII)
    times = np.array([[2, 0, 1, 3, 1, 0, 0], [0, 1, 0, 0, 4, 1, 1]])
    values = precision.average_precision(judged, times)
    expected = [coco(*repeated(people, poses, row)) for row in times]
    assert expected[0] != expected[1]
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_nobody_found_is_0_and_nobody_there_is_no_number():
    people, poses = crowd_of(4)
    judged = precision.judge(poses.take([]), people, MPII)
    assert precision.average_precision(judged) == 0
    assert np.isnan(precision.average_precision(judged, np.zeros((1, 4))))


def test_equal_ways_differ_by_nothing_and_worse_ones_surely():
    people, poses = crowd_of(30)
    shifted = replace(poses, joints=poses.joints + 300)
    ways = {
        name: [precision.judge(each, people, MPII)]
        for name, each in (("one", poses), ("same", poses), ("off", shifted))
    }
    index = np.linspace(0, 1.2, 30)
    table = precision.compare(ways, index)
    parts = table[table["way"] == "one"]
    assert parts["pictures"].tolist() == [30, 8, 7, 7, 8]
    first, *others = parts["people"]
    assert first == sum(others) == (~people.crowd).sum()
    table = table.set_index("way")
    columns = ["difference", "from", "to"]
    assert table.loc["one", columns].isna().all(axis=None)
    assert (table.loc["same", columns] == 0).all(axis=None)
    assert (table.loc["off", "AP"] == 0).all()
    assert (table.loc["off", "to"] < -10).all()
    assert (table["AP from"] <= table["AP"] + 1e-9).all()
    assert (table["AP"] <= table["AP to"] + 1e-9).all()


def test_seeds_are_averaged():
    people, poses = crowd_of(6)
    nobody = poses.take([])
    both = [precision.judge(each, people, MPII) for each in (poses, nobody)]
    alone, mean = (
        precision.compare({"way": each}, np.zeros(6)).iloc[0]["AP"]
        for each in (both[:1], both)
    )
    assert mean == pytest.approx(alone / 2)
