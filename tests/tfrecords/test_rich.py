"""Drawn people of rich variety: the labels follow the camera and the motion."""

import numpy as np
import pytest

from keras_pose.skeletons import MPII
from tfrecords import synthetic
from tfrecords.drawn import exposure, figure, pose, textures
from tfrecords.drawn.canvas import FINE, Canvas, Eye, ball, fine, project, tube

EYE = Eye(np.array([40.0, 30.0]), 100.0)


def empty(height, width, eye=None):
    """A black canvas of (height, width), lit from the viewer."""
    shape = (FINE * height, FINE * width)
    return Canvas(
        np.zeros((*shape, 3), "float32"),
        np.full(shape, -np.inf, "float32"),
        np.array([0, 0, 1], "float32"),
        eye=eye,
    )


def white(*places):
    """A paint."""
    return np.full((len(places[0]), 3), 200.0)


def drawn(seed, size=96):
    """Canvases and bodies of a rich picture."""
    rng = np.random.default_rng(seed)
    before = synthetic.OCCLUSIONS["usual"]
    return synthetic._paint_rich(rng, size, before)[:2]


def test_at_half_the_distance_everything_is_twice_as_large():
    points = np.array([[50.0, 20, 0], [50, 20, 50], [50, 20, -100]])
    found, scales = project(points, EYE)
    np.testing.assert_allclose(scales, [1, 2, 0.5])
    np.testing.assert_allclose(
        found, [[50, 20, 0], [60, 10, 100], [45, 25, -50]]
    )
    same, one = project(points, None)
    assert same is points and one == 1


def test_the_middle_of_a_tube_in_space_is_on_the_tube_in_the_picture():
    """Where it is in the picture and in depth, and how wide it is there."""
    canvas = empty(60, 90, EYE)
    start, end = np.array([[30.0, 20, -60], [50, 50, 40]])
    tube(canvas, start, end, (4, 4, 4), white)
    (x, y, z), scale = project((start + end) / 2, EYE)
    row, column = (int(np.rint(fine(v))) for v in (y, x))
    surface = z + 4 * scale**2
    assert canvas.depths[row, column] == pytest.approx(surface, abs=0.5)
    # as long across the line as the widths say
    along = (project(end, EYE)[0] - project(start, EYE)[0])[:2]
    across = np.array([-along[1], along[0]]) / np.hypot(*along)
    for distance, inside in ((0.9, True), (1.1, False)):
        for side in (-1, 1):
            x2, y2 = np.array([x, y]) + side * distance * 4 * scale * across
            row, column = (int(np.rint(fine(v))) for v in (y2, x2))
            assert np.isfinite(canvas.depths[row, column]) == inside


def test_a_ball_that_is_nearer_is_larger():
    areas = []
    for depth in (0.0, 50.0):
        canvas = empty(60, 90, EYE)
        center = np.array([40.0, 30.0, depth])
        ball(canvas, center, np.eye(3), np.full(3, 6.0), white)
        areas.append(np.isfinite(canvas.depths).sum())
    assert areas[1] / areas[0] == pytest.approx(4, rel=0.03)


def test_a_near_joint_has_more_room_and_more_depth_around_it():
    joints = np.zeros((16, 3)) + [*EYE.below, 0]
    joints[3, 2] = 50.0
    body = figure.Body(joints, {}, 10.0, 1.0)
    seen = body.seen(EYE)
    np.testing.assert_allclose(seen.radii[3], 4 * body.radii[3])
    np.testing.assert_allclose(seen.radii[4], body.radii[4])
    margin = 2 * figure.MARGIN * 10
    np.testing.assert_allclose(
        seen.box, [EYE.below - margin, EYE.below + margin]
    )


def test_joints_that_are_called_visible_lie_on_their_person():
    """Perspective, second people and objects included."""
    visible, own = 0, 0
    for seed in range(25):
        for canvas, body in zip(*drawn(seed), strict=True):
            person = synthetic.truth(canvas, body)
            points = fine(person.joints[person.flags == 2])
            columns, rows = np.rint(points).astype(int).T
            height, width = canvas.owners.shape
            rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
            visible += len(points)
            own += (canvas.owners[rows, columns] == canvas.number).sum()
    assert visible > 200
    assert own / visible > 0.98  # the top of a head may be a pixel outside


def test_people_are_as_large_as_in_plain_pictures_whatever_the_perspective():
    for seed in range(25):
        (canvas, *_), (body, *_) = drawn(seed)
        side = synthetic.PADDING * body.seen(canvas.eye).side / 96
        low, high = synthetic.FILL
        assert low - 1e-6 <= side <= high + 1e-6


def test_heads_are_below_the_pelvis_and_bodies_lie_more_often_than_plain():
    rng = np.random.default_rng(0)
    ups = {
        kind: np.array([draw(rng)[:, 1] for _ in range(600)])
        for kind, draw in (
            ("plain", pose.random_view),
            ("rich", pose.random_attitude),
        )
    }
    down = {kind: (up[:, 1] < -0.5).mean() for kind, up in ups.items()}
    level = {kind: (abs(up[:, 1]) < 0.5).mean() for kind, up in ups.items()}
    assert down["plain"] < 0.03 and 0.1 < down["rich"] < 0.3
    assert level["plain"] < 0.1 and 0.2 < level["rich"] < 0.5


@pytest.mark.parametrize("family", pose.ACTS)
def test_acts_keep_the_limits_of_the_joints(family):
    rng = np.random.default_rng(0)
    for _ in range(20):
        angles = pose.random_angles(rng, (family,))
        for name, angle in angles.items():
            low, high = pose.LIMITS[name.split("_")[-1]]
            assert low <= angle <= high, name


def test_a_crouching_person_is_low():
    """The pelvis is nearer to the ankles than a thigh and a half."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        joints, _ = pose.assemble(pose.random_angles(rng, ("crouch",)))
        pelvis, ankle = (
            joints[MPII.index(name)] for name in ("pelvis", "left_ankle")
        )
        assert np.linalg.norm(pelvis - ankle) < 1.5 * pose.THIGH


def test_a_streak_is_as_long_as_it_says_and_does_not_move_anything():
    rng = np.random.default_rng(0)
    for length in (5.0, 14.0):
        kernel = exposure.streak(rng, length)
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)
        reach = len(kernel) // 2
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        # an even spread over a length has the variance length**2 / 12; the
        # share between two pixels adds at most 1/4 each way
        spread = (kernel * (x**2 + y**2)).sum()
        assert length**2 / 12 < spread < (length + 1) ** 2 / 12 + 0.5


def test_people_move_and_the_background_does_not():
    canvas = empty(20, 30)
    canvas.colors[:] = 10.0
    backdrop = canvas.colors.copy()
    tube(
        canvas.of(1),
        np.array([14.0, 5, 0]),
        np.array([14.0, 15, 0]),
        (2, 2),
        white,
    )
    before = canvas.colors.copy()
    kernel = np.full((1, 9), 1 / 9, "float32")  # to the side
    exposure.move_people(canvas, backdrop, kernel)
    own = canvas.owners > 0
    assert (canvas.colors[own].mean(0) < before[own].mean(0) - 20).all()
    np.testing.assert_allclose(canvas.colors[:, :10], 10, rtol=1e-5)
    # what the person loses inside, the surroundings gain
    np.testing.assert_allclose(
        canvas.colors.sum((0, 1)), before.sum((0, 1)), rtol=1e-4
    )


def test_light_has_a_colour_that_solids_and_background_share():
    light = exposure.Light(
        np.array([0, 0, 1.0]), np.array([0.5, 0.1, 0]), np.array([0.5, 0.1, 0])
    )
    canvas = empty(20, 30)
    canvas = Canvas(
        canvas.colors, canvas.depths, np.array([0, 0, 1], "float32"),
        ambient=light.ambient, diffuse=light.diffuse,
    )  # fmt: skip
    center = np.array([15.0, 10.0, 0.0])
    ball(canvas, center, np.eye(3), np.full(3, 6.0), white)
    # the middle of the ball faces the lamp: 0.5 + 0.5, 0.1 + 0.1, 0
    np.testing.assert_allclose(
        canvas.picture()[10, 15], (200, 40, 0), atol=1.01
    )
    falloff = np.zeros((4, 6))
    falloff[0] = 0.5
    lit = light.on(np.full((4, 6, 3), 100.0), falloff)
    np.testing.assert_allclose(lit[1, 0], (85, 17, 0))
    np.testing.assert_allclose(lit[0, 0], lit[1, 0] / 2)


@pytest.mark.parametrize(
    "pattern", textures.PATTERNS, ids=lambda pattern: pattern.__name__
)
def test_a_pattern_fills_its_size_from_0_to_1(pattern):
    for seed in range(5):
        found = pattern(np.random.default_rng(seed), (24, 40))
        assert found.shape == (24, 40)
        assert found.min() >= 0 and found.max() <= 1
        assert found.max() - found.min() > 0.2


def test_clouds_are_smoother_than_gravel(monkeypatch):
    """Steps from pixel to pixel, by the fall of the octaves' amplitude."""

    class Chance:
        def __init__(self, fall):
            self.fall, self.rng = fall, np.random.default_rng(0)

        def uniform(self, low, high):
            return self.fall

        def normal(self, mean, deviation):
            return mean

        def standard_normal(self, *asked):
            return self.rng.standard_normal(*asked)

    gravel, clouds = (textures.octaves(Chance(a), (48, 64)) for a in (0.2, 1.2))
    steps = [np.abs(np.diff(v, axis=1)).mean() for v in (gravel, clouds)]
    assert steps[0] > 2 * steps[1]


def test_same_seed_same_picture_and_it_is_not_the_plain_one():
    image, people = synthetic.draw(5, size=64, variety="rich")
    again, same = synthetic.draw(5, size=64, variety="rich")
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image, again)
    for person, twin in zip(people, same, strict=True):
        np.testing.assert_array_equal(person.joints, twin.joints)
    plain, _ = synthetic.draw(5, size=64)
    assert (image != plain).mean() > 0.5


def test_people_have_finite_truth_and_are_rarely_in_the_dark():
    levels = []
    for seed in range(30):
        image, people = synthetic.draw(seed, size=64, variety="rich")
        levels.append(image.mean())
        for person in people:
            assert np.isfinite(person.joints).all()
            assert np.isfinite([*person.center, person.scale]).all()
            inside = (np.abs(person.joints - 31.5) <= 32).all(1)
            np.testing.assert_array_equal(inside, person.flags > 0)
            assert person.head_size > 2
    assert np.quantile(levels, 0.1) > 30 and np.quantile(levels, 0.9) < 225
