"""Drawn people: the truth about each joint is the truth of the drawing."""

import dataclasses
import shlex

import numpy as np
import pytest

from keras_pose.data import records
from keras_pose.data.dataset import open_dataset
from keras_pose.skeletons import MPII
from tfrecords import shards, synthetic
from tfrecords.drawn import clothes, figure, pose
from tfrecords.drawn.canvas import FINE, Canvas, panel, tube

SIDED = (
    "hip",
    "spread",
    "turn",
    "knee",
    "point",
    "raise",
    "side",
    "twist",
    "elbow",
)
STANDING = dict.fromkeys(
    ("bend", "lean", "wind", "nod", "look", "tilt")
    + tuple(f"{side}_{name}" for side in ("left", "right") for name in SIDED),
    0.0,
)
GREY = 128.0


def empty(height, width):
    """A grey canvas of (height, width), lit from the viewer."""
    shape = (FINE * height, FINE * width)
    return Canvas(
        np.full((*shape, 3), GREY, "float32"),
        np.full(shape, -np.inf, "float32"),
        np.array([0, 0, 1], "float32"),
    )


def body(yaw=0, at=(60, 60), **angles):
    """Somebody who stands, 100 pixels high, pelvis at the point `at`."""
    turned = pose.turn("y", yaw)
    joints, frames = pose.seen(STANDING | angles, turned)
    return figure.Body(100 * joints + [*at, 0], frames, 100.0, 1.0)


def painted(*bodies, size=(120, 130)):
    """A canvas with these people in it."""
    canvas = empty(*size)
    look = clothes.random_look(np.random.default_rng(0))
    for somebody in bodies:
        figure.paint_person(canvas, somebody, look)
    return canvas


def flags(canvas, somebody):
    """{joint name: flag}"""
    found = synthetic.truth(canvas, somebody).flags
    return dict(zip(MPII.joints, found.tolist(), strict=True))


def at(joints):
    """{joint name: point}"""
    return dict(zip(MPII.joints, joints, strict=True))


def test_the_nearer_solid_hides_the_farther_whatever_the_order():
    red, blue = ([200.0, 0, 0], 4.0), ([0, 0, 200.0], -4.0)
    for order in ((red, blue), (blue, red)):
        canvas = empty(8, 12)
        for color, depth in order:
            tube(
                canvas,
                np.array([2, 4, depth]),
                np.array([9, 4, depth]),
                (2, 2),
                lambda along, around, c=color: np.tile(c, (len(along), 1)),
            )
        picture = canvas.picture()
        assert picture.shape == (8, 12, 3)
        assert picture[4, 5, 0] > 150 and picture[4, 5, 2] == 0
        np.testing.assert_array_equal(picture[0], GREY)


def test_somebody_who_stands_with_arms_out_shows_every_joint():
    arms = {"left_side": 60.0, "right_side": 60.0}
    somebody = body(**arms)
    assert set(flags(painted(somebody), somebody).values()) == {2}


def test_every_visible_joint_lies_on_the_person_and_not_beside():
    somebody = body(left_side=60.0, right_side=60.0)
    picture = painted(somebody).picture().astype(int)
    columns, rows = np.rint(somebody.joints[:, :2]).astype(int).T
    off = np.abs(picture[rows, columns] - GREY).max(-1)
    assert (off > 8).all()
    np.testing.assert_array_equal(picture[:, 0], GREY)


def test_a_panel_before_the_left_wrist_hides_it_alone():
    somebody = body(left_side=60.0, right_side=60.0)
    canvas = painted(somebody)
    corners = np.array([[-4, -4], [4, -4], [4, 4], [-4, 4]])
    wrist = somebody.joint("left_wrist")[:2]
    panel(canvas, wrist + corners, 200, np.array([250.0, 0, 0]))
    hidden = [k for k, v in flags(canvas, somebody).items() if v == 1]
    assert hidden == ["left_wrist"]
    column, row = np.rint(wrist).astype(int)
    assert canvas.picture()[row, column].tolist()[1:] == [0, 0]


def test_a_panel_behind_hides_nothing():
    somebody = body(left_side=60.0, right_side=60.0)
    canvas = painted(somebody)
    corners = np.array([[0, 0], [120, 0], [120, 110], [0, 110]])
    panel(canvas, corners, -200, np.array([250.0, 0, 0]))
    assert set(flags(canvas, somebody).values()) == {2}


def test_from_the_side_the_far_shoulder_and_hip_are_covered():
    somebody = body(yaw=90, right_raise=90.0, left_raise=-30.0)
    found = flags(painted(somebody), somebody)
    assert found["left_shoulder"] == found["left_hip"] == 1
    assert found["right_shoulder"] == found["right_hip"] == 2
    assert found["right_wrist"] == found["right_elbow"] == 2


def test_a_person_in_front_hides_the_one_behind():
    far = body()
    near = dataclasses.replace(far, joints=far.joints + [0, 0, 200])
    canvas = painted(near, far)
    assert set(flags(canvas, far).values()) == {1}
    alone = flags(painted(near), near)
    assert flags(canvas, near) == alone


def test_joints_outside_the_picture_are_not_labelled():
    somebody = body(at=(60, 100))  # knees 23.5 below, ankles 47
    found = flags(painted(somebody), somebody)
    below = {"left_knee", "right_knee", "left_ankle", "right_ankle"}
    assert {name for name, flag in found.items() if flag == 0} == below


def test_left_is_on_the_right_of_who_faces_us_and_on_the_left_from_behind():
    for yaw, sign in ((0, 1), (180, -1)):
        found = at(body(yaw=yaw).joints)
        for name in ("shoulder", "hip", "knee", "ankle", "wrist"):
            across = found[f"left_{name}"][0] - found[f"right_{name}"][0]
            assert sign * across > 0


def test_a_face_is_seen_from_the_front_only():
    look = clothes.random_look(np.random.default_rng(0))
    look = dataclasses.replace(
        look, skin=np.array([240.0, 200, 170]), hair=np.zeros(3), hat=None
    )
    light = {}
    for yaw in (0, 180):
        canvas, somebody = empty(120, 130), body(yaw=yaw)
        figure.paint_person(canvas, somebody, look)
        column, row = figure.head_solid(somebody)[0][:2].astype(int)
        light[yaw] = canvas.picture()[row - 1 : row + 5, column].mean()
    assert light[0] > 120 > 40 > light[180]


def test_a_mirrored_pose_is_the_mirror_image():
    rng = np.random.default_rng(3)
    angles = pose.random_angles(rng)
    swap = {"left": "right", "right": "left"}
    mirrored = {
        "_".join(swap.get(word, word) for word in name.split("_")): angle
        for name, angle in angles.items()
    }
    for name in ("lean", "wind", "look", "tilt"):
        mirrored[name] = -angles[name]
    there = pose.assemble(angles)[0][list(MPII.mirror)] * [-1, 1, 1]
    np.testing.assert_allclose(pose.assemble(mirrored)[0], there, atol=1e-12)


def test_knees_bend_backwards_and_elbows_forwards():
    found = at(
        pose.assemble(STANDING | {"left_knee": 90.0, "left_elbow": 90.0})[0]
    )
    shank = found["left_ankle"] - found["left_knee"]
    np.testing.assert_allclose(shank, [0, 0, -pose.SHANK], atol=1e-12)
    forearm = found["left_wrist"] - found["left_elbow"]
    np.testing.assert_allclose(forearm, [0, 0, pose.FOREARM], atol=1e-12)


def test_limbs_keep_their_lengths_and_joints_their_limits():
    lengths = {
        ("hip", "knee"): pose.THIGH,
        ("knee", "ankle"): pose.SHANK,
        ("shoulder", "elbow"): pose.UPPER_ARM,
        ("elbow", "wrist"): pose.FOREARM,
    }
    rng = np.random.default_rng(0)
    for _ in range(100):
        angles = pose.random_angles(rng)
        for name, angle in angles.items():
            low, high = pose.LIMITS[name.split("_")[-1]]
            assert low <= angle <= high, name
        found = at(pose.seen(angles, pose.random_view(rng))[0])
        for side in ("left", "right"):
            for (a, b), length in lengths.items():
                limb = found[f"{side}_{a}"] - found[f"{side}_{b}"]
                assert np.linalg.norm(limb) == pytest.approx(length)
        head = found["head_top"] - found["upper_neck"]
        assert np.linalg.norm(head) == pytest.approx(pose.HEAD)


def test_head_size_is_six_tenths_of_the_diagonal_of_the_head():
    # 0.39 and 0.52 of the head's 16.5 pixels each way: a diagonal of 1.3
    assert figure.head_size(body()) == pytest.approx(0.6 * 1.3 * 16.5)


def test_scale_is_the_padded_side_over_200():
    somebody = body(yaw=90)
    low, high = somebody.box
    person = synthetic.truth(painted(somebody, size=(130, 140)), somebody)
    assert person.scale == pytest.approx(1.25 * (high - low)[1] / 200)
    np.testing.assert_allclose(person.center, (low + high) / 2)
    np.testing.assert_allclose(person.box[:2], low)


def test_same_seed_same_picture_another_seed_another():
    image, people = synthetic.draw(5, size=64)
    again, same = synthetic.draw(5, size=64)
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image, again)
    for person, twin in zip(people, same, strict=True):
        np.testing.assert_array_equal(person.joints, twin.joints)
    assert (synthetic.draw(6, size=64)[0] != image).mean() > 0.5


def test_people_have_finite_truth_and_some_have_company():
    company, seen = 0, []
    for seed in range(40):
        _, people = synthetic.draw(seed, size=96)
        company += len(people) > 1
        seen.append(people[0].flags)
        for person in people:
            assert np.isfinite(person.joints).all()
            assert np.isfinite([*person.center, person.scale]).all()
            inside = (np.abs(person.joints - 47.5) <= 48).all(1)
            np.testing.assert_array_equal(inside, person.flags > 0)
            assert 5 < person.head_size < 20
    assert 4 <= company <= 24
    # MPII flags 23 % of its labelled joints as occluded
    occluded = np.mean(np.ravel(seen) == 1)
    assert 0.12 < occluded < 0.35


def test_heavy_occlusion_hides_more_joints_and_brings_people_nearer():
    flags, nearer = {}, {}
    for kind in ("usual", "heavy"):
        drawn = [synthetic.draw(s, 96, kind)[1] for s in range(60)]
        flags[kind] = np.concatenate([people[0].flags for people in drawn])
        nearer[kind] = sum(
            len(people) > 1
            and (people[1].flags == 1).mean() < (people[0].flags == 1).mean()
            for people in drawn
        )
    share = {k: (f == 1).sum() / (f > 0).sum() for k, f in flags.items()}
    assert 0.35 < share["heavy"] < 0.5
    assert share["heavy"] > 1.5 * share["usual"]
    assert nearer["heavy"] > 2 * nearer["usual"]


def test_a_careless_detector_moves_the_box_by_hand():
    person = records.Person(
        joints=np.zeros((16, 2)),
        flags=np.full(16, 2),
        center=np.array([20.0, 30.0]),
        scale=0.5,  # a square of 100 pixels
        box=(10.0, 25.0, 20.0, 10.0),
    )

    class Chance:
        def standard_normal(self, count):
            return np.array([1.0, -2.0, 1.0])[:count]

    found = synthetic.careless(person, shift=0.1, zoom=1.0, rng=Chance())
    np.testing.assert_allclose(found.center, [20 + 10, 30 - 20])
    assert found.scale == 1.0
    # twice as large around a middle that moved as the centre did
    np.testing.assert_allclose(found.box, (10, 0, 40, 20))


def test_box_errors_change_neither_picture_nor_joints():
    task = (0, 0, 7, 96)
    exact, again = synthetic.make(task), synthetic.make(task, box_shift=0.0)
    assert records.write(exact) == records.write(again)
    spoilt = synthetic.make(task, box_shift=0.1, box_zoom=0.25)
    assert spoilt.encoded == exact.encoded
    for person, true in zip(spoilt.people, exact.people, strict=True):
        np.testing.assert_array_equal(person.joints, true.joints)
        np.testing.assert_array_equal(person.flags, true.flags)
        assert person.head_size == true.head_size
        assert person.scale != true.scale
    twin = synthetic.make(task, box_shift=0.1, box_zoom=0.25)
    assert records.write(spoilt) == records.write(twin)


def test_box_errors_have_the_deviations_asked_for():
    rng = np.random.default_rng(0)
    person = synthetic.make((0, 0, 0, 64)).people[0]
    many = [synthetic.careless(person, 0.1, 0.25, rng) for _ in range(4000)]
    side = 200 * person.scale
    steps = np.array([p.center - person.center for p in many]) / side
    octaves = np.log2([p.scale / person.scale for p in many])
    np.testing.assert_allclose(steps.std(0), 0.1, rtol=0.05)
    assert octaves.std() == pytest.approx(0.25, rel=0.05)
    assert abs(octaves.mean()) < 0.02 and (abs(steps.mean(0)) < 0.01).all()


@pytest.mark.parametrize("variety", ["plain", "rich"])
def test_the_records_do_not_depend_on_the_number_of_workers(
    tmp_path, forked, variety
):
    forked(shards)  # test_shards.py has new processes
    for workers in (1, 2):
        config = synthetic.Config(
            str(tmp_path / str(workers)), 3, 2, 0, size=48, variety=variety,
            workers=workers,
        )  # fmt: skip
        assert synthetic.main(config) == config.output
    one, two = (open_dataset(tmp_path / name) for name in ("1", "2"))
    assert one.splits == ("train", "val")  # no test split without people
    assert one.people("train") == 3 and one.people("val") == 2
    assert one.description["splits"] == two.description["splits"]
    assert one.skeleton == MPII and one.protocol == "pckh"
    assert one.max_side == 48


def test_a_record_holds_the_picture_and_its_people():
    picture = synthetic.make((0, 0, 1, 64))
    back = records.parse(records.write(picture), len(MPII.joints))
    assert back.size == (64, 64)
    assert len(back.people) == len(picture.people)
    np.testing.assert_array_equal(back.matrix, np.eye(2, 3))
    assert back.people[0].scale == pytest.approx(picture.people[0].scale)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train": 0, "val": 0, "test": 0}, "at least one person"),
        ({"train": -1}, "at least one person"),
        ({"size": 8}, "at least 32, got 8"),
        ({"box_shift": -0.1}, "box_shift must be 0 or more, got -0.1"),
        ({"box_zoom": np.nan}, "box_zoom must be 0 or more, got nan"),
    ],
)
def test_bad_settings_are_refused(tmp_path, change, message):
    config = synthetic.Config(str(tmp_path / "out"), **change)
    with pytest.raises(ValueError, match=message):
        synthetic.main(config)
    assert not (tmp_path / "out").exists()


def test_the_command_of_a_data_set_draws_it_again():
    """Whoever drew it: also a training whose command says nothing of people."""
    config = synthetic.Config(
        "my data", train=8, box_shift=0.1, variety="rich", workers=2
    )
    command = shlex.split(synthetic.command_of(config))
    assert command[:3] == ["python", "-m", "tfrecords.synthetic"]
    assert command[3:] == [
        *("--output", "my data"),
        *("--train", "8"),
        *("--box-shift", "0.1"),
        *("--variety", "rich"),
    ]
