"""Drawn crowds: labels and masks are what the picture's buffers hold."""

import dataclasses

import numpy as np
import pytest

from keras_pose.people import crowd_index
from keras_pose.skeletons import MPII
from tfrecords import crowds
from tfrecords.drawn import clothes, crowd, figure, pose
from tfrecords.drawn.canvas import FINE, Canvas, panel

LOOK = clothes.random_look(np.random.default_rng(0))
CAMERA = crowd.Camera((120, 160), focal=200.0, height=1.5, horizon=30.0)


def empty(height, width):
    """A grey canvas of (height, width), lit from the viewer."""
    shape = FINE * height, FINE * width
    return Canvas(
        np.full((*shape, 3), 128, "float32"),
        np.full(shape, -np.inf, "float32"),
        np.array([0, 0, 1], "float32"),
    )


def standing(yaw=0.0, build=1.0, **angles):
    """The `Stance` of a person with arms out."""
    names = set(pose.LIMITS)
    upright = dict.fromkeys(
        [f"{s}_{n}" for s in ("left", "right") for n in names] + [*names], 0.0
    )
    arms = {"left_side": 60.0, "right_side": 60.0}
    return crowd.take_stance(upright | arms | angles, yaw, build)


def member(stature=1.7, **angles):
    return crowd.Actor(stature, 1.0, LOOK), standing(**angles)


def painted(places, cast=None, size=CAMERA.size):
    """The canvas and bodies of people at these places."""
    canvas, bodies = empty(*size), []
    cast = cast or [member()] * len(places)
    for number, ((actor, stance), place) in enumerate(
        zip(cast, places, strict=True), 1
    ):
        bodies.append(crowd.stand(CAMERA, actor, stance, *place))
        figure.paint_person(canvas.of(number), bodies[-1], actor.look)
    return canvas, bodies


def boxes_of(bodies):
    return np.array([(*b.box[0], *(b.box[1] - b.box[0])) for b in bodies])


def test_the_crowd_index_is_that_of_the_example():
    """(1, 1) ... (4, 4) in the box 1 ... 4, and the same two to the right."""
    one = np.arange(1.0, 5)[:, None].repeat(2, axis=1)
    joints = np.stack([one, one + (2, 0)])
    box = np.array([(1, 1, 3, 3), (3, 1, 3, 3)])
    flags = np.full((2, 4), 2)
    assert crowd_index(joints, flags, box) == 2 / 4
    # not labelled: (4, 4) of the first is in the box of the second
    flags[0, 3] = 0
    assert crowd_index(joints, flags, box) == (2 / 3 + 1 / 4) / 2
    # somebody without labels changes nothing
    joints, box = joints[[0, 1, 1]], box[[0, 1, 1]]
    flags = np.stack([*flags, np.zeros(4, int)])
    assert crowd_index(joints, flags, box) == (2 / 3 + 1 / 4) / 2


def test_without_people_or_labels_the_crowd_index_is_0():
    nothing = np.zeros((0, 4, 2)), np.zeros((0, 4)), np.zeros((0, 4))
    assert crowd_index(*nothing) == 0
    assert (
        crowd_index(np.ones((2, 4, 2)), np.zeros((2, 4)), np.ones((2, 4))) == 0
    )


def test_twice_as_far_is_half_as_large_and_half_as_far_below_the_horizon():
    (actor, stance), places = member(stature=2.0), ((1.0, 4.0), (1.0, 8.0))
    near, far = (crowd.stand(CAMERA, actor, stance, *p) for p in places)
    assert near.unit == 2.0 * 200 / 4 and far.unit == 2.0 * 200 / 8
    for place, column, row in zip(
        places, (79.5 + 50, 79.5 + 25), (30 + 75, 30 + 37.5), strict=True
    ):
        point = CAMERA.point(*place)
        np.testing.assert_allclose(point[:2], (column, row))
        assert CAMERA.x(column, place[1]) == place[0]


def test_depth_differs_by_the_pixels_of_a_short_way():
    """10 cm at 5 m and 200 pixels: 4 pixels."""
    near, far = (CAMERA.point(0, 5 + step)[2] for step in (-0.05, 0.05))
    assert near - far == pytest.approx(4.0, rel=1e-3)


@pytest.mark.parametrize("angles", [{}, {"left_hip": 60, "left_knee": 90}])
def test_the_lowest_pixel_of_a_person_is_on_the_ground(angles):
    low = crowd.Camera((120, 160), 200.0, height=0.85, horizon=30.0)
    actor, stance = member(**angles)
    body = crowd.stand(low, actor, stance, 0.0, 5.0)
    canvas = empty(120, 160)
    figure.paint_person(canvas.of(1), body, LOOK)
    rows = np.flatnonzero((canvas.owners == 1).any(axis=1)) / FINE
    assert rows[-1] == pytest.approx(low.point(0, 5)[1], abs=1)


def test_the_areas_are_the_pixels_of_the_buffer():
    canvas, bodies = painted([(-0.4, 5.0), (0.4, 6.0)])
    people, ignore = crowds.read_truth(canvas, bodies, boxes_of(bodies), 2)
    assert not ignore.any()
    for somebody in people:
        number = somebody.track + 1
        rows, columns = np.nonzero(canvas.owners == number)
        assert somebody.area == len(rows) / FINE**2
        x, y, width, height = somebody.visible_box
        assert (x, y) == (columns.min() // FINE, rows.min() // FINE)
        assert x + width - 1 == columns.max() // FINE
        assert y + height - 1 == rows.max() // FINE
    # every pixel that differs from the background is somebody's
    picture = canvas.colors != 128
    np.testing.assert_array_equal(canvas.owners > 0, picture.any(axis=-1))


def test_somebody_behind_a_twin_is_not_visible_and_not_labelled():
    """The camera is as high as the middle of both, so the far one is
    covered."""
    level = crowd.Camera((120, 160), 200.0, height=0.85, horizon=60.0)
    stance = standing(left_side=0.0, right_side=0.0)
    bodies = [
        crowd.stand(level, crowd.Actor(1.7, build, LOOK), stance, 0.0, away)
        for build, away in ((1.3, 4.0), (0.8, 8.0))
    ]
    for order in ((0, 1), (1, 0)):
        canvas = empty(120, 160)
        for number in order:
            own = canvas.of(number + 1)
            figure.paint_person(own, bodies[number], LOOK)
        assert not (canvas.owners == 2).any()
        far = bodies[1]
        assert canvas.of(2).hidden(far.joints, far.radii).all()
        people, ignore = crowds.read_truth(canvas, bodies, boxes_of(bodies), 2)
        assert [somebody.track for somebody in people] == [0]
        assert not ignore.any()


def test_an_occluded_joint_is_one_in_a_pixel_of_another():
    canvas, bodies = painted([(0.0, 5.0), (0.45, 6.0)])
    people, _ = crowds.read_truth(canvas, bodies, boxes_of(bodies), 2)
    far = next(p.person for p in people if p.track == 1)
    columns, rows = np.rint(FINE * far.joints + (FINE - 1) / 2).T.astype(int)
    owner = canvas.owners[rows, columns]
    assert {1, 2} <= set(owner)  # some lie on the edge of the body
    assert (far.flags[owner == 1] == 1).all()
    assert (far.flags[owner == 2] == 2).any()


def test_a_thing_in_front_belongs_to_nobody():
    canvas, bodies = painted([(0.0, 5.0)])
    before = canvas.owners.copy()
    corners = np.array([[70, 20], [90, 20], [90, 60], [70, 60]])
    panel(canvas, corners, 0.0, np.array([250.0, 0, 0]))
    assert (before[60:100, 150:170] == 1).any()
    assert not canvas.owners[60:100, 150:170].any()


def test_people_who_are_not_labelled_are_ignored_to_the_pixel():
    canvas, bodies = painted([(-0.6, 5.0), (0.6, 5.0)])
    people, ignore = crowds.read_truth(canvas, bodies, boxes_of(bodies), 1)
    assert [somebody.track for somebody in people] == [0]
    touched = (canvas.owners == 2).reshape(120, FINE, 160, FINE).any((1, 3))
    np.testing.assert_array_equal(ignore, np.where(touched, 255, 0))


def test_the_box_holds_shoes_and_hands_in_any_direction():
    """Alone, without a bag, a cap or long hair."""
    for yaw in (0, 90, 200):
        look = dataclasses.replace(LOOK, bag=False, hat=None, hair_length=0)
        cast = [(crowd.Actor(1.7, 1.0, look), standing(yaw, left_hip=40))]
        canvas, bodies = painted([(0.0, 5.0)], cast)
        _, inside, ((x, y, width, height),) = crowd.outline(
            CAMERA, cast, np.array([[0.0, 5.0]])
        )
        assert inside.all()
        rows, columns = np.nonzero(canvas.owners)
        reach = np.array([columns.min(), rows.min()]) // FINE - (x, y)
        assert (reach >= -1).all() and (reach < 4).all()
        reach = np.array([columns.max(), rows.max()]) // FINE + 1
        reach = (x + width, y + height) - reach
        assert (reach >= -1).all() and (reach < 4).all()


@pytest.mark.parametrize("number", [0, 4, 9])
def test_a_picture_has_the_crowd_index_that_it_should_have(number):
    bounds = number / 10, (number + 1) / 10
    drawn = crowds.draw((3, 0, number), (72, 96), bounds=bounds)
    assert drawn.image.shape == (72, 96, 3)
    people = [somebody.person for somebody in drawn.people]
    found = crowd_index(
        *(np.stack([getattr(p, n) for p in people]) for n in
          ("joints", "flags", "box"))
    )  # fmt: skip
    assert bounds[0] <= found < bounds[1]
    assert drawn.index == found
    again = crowds.draw((3, 0, number), (72, 96), bounds=bounds)
    np.testing.assert_array_equal(again.image, drawn.image)
    np.testing.assert_array_equal(again.owners, drawn.owners)
    other = crowds.draw((4, 0, number), (72, 96), bounds=bounds)
    assert (other.image != drawn.image).mean() > 0.5


def test_everybody_labelled_shows_three_joints():
    for number in range(4):
        drawn = crowds.draw((number,), (72, 96), people=(6, 8))
        assert len(MPII.joints) == 16
        for somebody in drawn.people:
            assert (somebody.person.flags == 2).sum() >= 3
            mask = drawn.mask(somebody.track)
            assert mask.shape == (72, 96)
            assert mask.any()


def test_distant_people_are_ignored_and_smaller_than_all_others():
    ignored = 0
    for number in range(6):
        drawn = crowds.draw((number,), (96, 128), (2, 2), unlabelled=0.5)
        ignored += (drawn.ignore > 0).sum()
        assert len(drawn.people) <= 2
    assert ignored > 0
    for number in range(20):
        rng = np.random.default_rng(number)
        camera = crowd.random_camera(rng, (96, 128))
        places = crowd.distant_places(rng, camera, 5)
        assert (places[:, 1] > camera.far).all()
        assert camera.near < camera.far


def test_a_crowd_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="1 to 1 people .* from 0.5 to 0.6"):
        crowds.draw((0,), (24, 32), people=(1, 1), bounds=(0.5, 0.6))
