"""A crowd on the ground as a camera sees it: who stands where, how large.

Places on the ground are metres: x to the right of the camera's axis, and away
from the camera. The camera looks straight ahead; one that is higher than a
person sees the person from above.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from tfrecords.drawn import clothes, figure, pose, scene
from tfrecords.drawn.canvas import FINE, Canvas

STATURE = (1.7, 0.1)
"""Mean and deviation of a person's height, metres."""
NEAREST, FARTHEST = (0.5, 0.85), 0.22
"""Height of an average person at the front and at the back of the crowd,
shares of the picture's height."""
DISTANT = (0.07, 0.15)
"""The same for the people far behind the crowd."""
WALL = 0.05
"""The same where the floor ends."""
THICK = 0.04
"""How much further than `figure.MARGIN` torso and head reach forwards and
backwards, statures."""
ROOM = 0.45
"""Least distance between the places of two people, metres."""
FAMILIES = tuple(name for name in pose.LEGS if name != "sit")
"""Poses that need no chair."""
BORDER = 0.03
"""Share of the picture's width by which places may lie outside."""
TRIES = 12
"""Places that are tried for a person before the crowd is given up."""


@dataclass(frozen=True)
class Camera:
    """A level camera above a plane."""

    size: tuple
    """(H, W) of the picture."""
    focal: float
    """Pixels of a metre at one metre's distance."""
    height: float
    """Metres above the ground."""
    horizon: float
    """Row of the horizon."""
    pan: float = 0.0
    """Pixels that the picture has moved to the right, as in a turn."""

    def scale(self, away):
        """Pixels of a metre, this far away."""
        return self.focal / away

    def away(self, share):
        """Metres to an average person of this share of the picture's height."""
        return self.focal * STATURE[0] / (share * self.size[0])

    @property
    def near(self):
        """Metres to the front of the crowd: feet at the picture's bottom."""
        bottom = (self.size[0] - 1 - self.horizon) / self.height
        return self.focal / bottom

    @property
    def far(self):
        """Metres to the back of the crowd."""
        return self.away(FARTHEST)

    def point(self, x, away):
        """(3,) x, y, z of a place on the ground, pixels.

        z is -focal * log(away): two places that are near each other differ by
        as many pixels as their distance has, at any distance.
        """
        scale = self.scale(away)
        column = (self.size[1] - 1) / 2 + x * scale - self.pan
        row = self.horizon + self.height * scale
        return np.array([column, row, -self.focal * np.log(away)])

    def x(self, column, away):
        """The inverse of `point`: metres to the right."""
        middle = (self.size[1] - 1) / 2
        return (column - middle + self.pan) / self.scale(away)


def random_camera(rng, size):
    """A camera between the height of a child's eyes and a balcony."""
    height, width = size
    above = rng.uniform(1.1, 2.4)
    nearest = rng.uniform(*NEAREST) * height / STATURE[0]
    # the horizon stays in the picture, so that the distant people do
    horizon = max(height - 1 - above * nearest, 0.06 * height)
    focal = rng.uniform(0.9, 1.6) * max(height, width)
    return Camera(size, focal, above, horizon)


@dataclass(frozen=True)
class Actor:
    """Somebody, apart from pose and place."""

    stature: float
    """Metres."""
    build: float
    look: clothes.Look


@dataclass(frozen=True)
class Stance:
    """A pose on level ground, seen from the camera's direction."""

    points: np.ndarray
    """(P, 3) joints, and what reaches further than they: x to the right, y up,
    z towards the camera; statures, the pelvis at x = z = 0, the ground at y =
    0."""
    frames: dict
    """Axes of the body's parts, as in `figure.Body`, in the same frame."""


def random_actor(rng):
    """A person with random height, build and clothes."""
    mean, deviation = STATURE
    stature = np.clip(rng.normal(mean, deviation), 1.45, 2)
    build = figure.random_build(rng)
    return Actor(float(stature), build, clothes.random_look(rng))


def take_stance(angles, yaw, build):
    """The `Stance` of these angles; the lowest shoe or knee is on the ground.

    Args:
        angles: as from `pose.random_angles`.
        yaw: degrees around the vertical.
        build: of the `Actor`.
    """
    joints, frames = pose.assemble(angles)
    at = dict(zip(figure.MPII.joints, joints, strict=True))
    lowest, points = [], [*joints]
    for side in ("left", "right"):
        ends = figure.shoe(at[f"{side}_ankle"], frames[f"{side}_foot"])
        for end, width in zip(ends, figure.SHOE[1:], strict=True):
            lowest.append(end[1] - width * build)
        lowest.append(at[f"{side}_knee"][1] - figure.RADII["knee"] * build)
        hand = pose.HAND * frames[f"{side}_hand"][:, 1]
        points += [*ends, at[f"{side}_wrist"] - hand]
    middle = (at["upper_neck"] + at["head_top"]) / 2
    solids = {"pelvis": at["pelvis"], "chest": at["thorax"], "head": middle}
    for name, point in solids.items():
        thick = THICK * frames[name][:, 2]
        points += [point - thick, point + thick]
    view = pose.turn("y", yaw)
    points = (points - np.array([0, min(lowest), 0])) @ view.T
    return Stance(points, {name: view @ axes for name, axes in frames.items()})


def random_stance(rng, build):
    """A random pose on both feet, one foot or the knees."""
    angles = pose.random_angles(rng, FAMILIES)
    return take_stance(angles, pose.random_yaw(rng), build)


def place_points(camera, points, statures, places):
    """The points of people who stand on the ground.

    Args:
        camera: `Camera`.
        points: (N, P, 3) of their stances.
        statures: (N,) metres.
        places: (N, 2) x, away.

    Returns:
        (N, P, 3) in the picture, and the rotations (N, 3, 3) from the frames
        of the stances to the picture's.
    """
    away = places[:, 1]
    # the camera looks down at the middle of a person
    down = np.arctan2(camera.height - statures / 2, away)
    cos, sin, zero, one = np.cos(down), np.sin(down), 0 * down, 0 * down + 1
    views = [[one, zero, zero], [zero, -cos, sin], [zero, sin, cos]]
    views = np.moveaxis(np.array(views), -1, 0)
    feet = camera.point(places[:, 0], away).T[:, None]
    units = (camera.scale(away) * statures)[:, None, None]
    return units * (points @ views.swapaxes(1, 2)) + feet, views


def stand(camera, actor, stance, x, away):
    """The `figure.Body` of an actor at a place on the ground."""
    (points,), (view,) = place_points(
        camera,
        stance.points[None],
        np.array([actor.stature]),
        np.array([[x, away]]),
    )
    frames = {name: view @ axes for name, axes in stance.frames.items()}
    unit = camera.scale(away) * actor.stature
    joints = points[: len(figure.MPII.joints)]
    return figure.Body(joints, frames, unit, actor.build)


def outline(camera, cast, places):
    """Joints of people on the ground, before they are painted.

    Args:
        camera: `Camera`.
        cast: list of N (`Actor`, `Stance`).
        places: (N, 2) x, away.

    Returns:
        (N, 16, 3) joints, (N, 16) bool: which are in the picture, and the
        boxes (N, 4) of the whole bodies there, x, y, width, height.
    """
    statures = np.array([actor.stature for actor, _ in cast])
    points = np.stack([stance.points for _, stance in cast])
    points, _ = place_points(camera, points, statures, places)
    units = camera.scale(places[:, 1]) * statures
    inside, boxes = figure.outline(points, units[:, None], camera.size)
    joints = len(figure.MPII.joints)
    return points[:, :joints], inside[:, :joints], boxes


def random_places(rng, camera, count):
    """(count, 2) x, away of people in one group or all over the picture.

    Returns None if they did not find room.
    """
    near, far = camera.near, camera.far
    height, width = camera.size
    reach = np.array([-BORDER, 1 + BORDER]) * width
    tries = TRIES * count
    if rng.random() < 0.35:  # all over the picture
        away = near * (far / near) ** rng.random(tries)
        x = camera.x(rng.uniform(*reach, tries), away)
    else:
        away = near * (far / near) ** rng.random()
        x = camera.x(rng.uniform(0.2, 0.8) * width, away)
        spread = np.exp(rng.uniform(np.log(0.3), np.log(3)))
        x, away = (
            middle + spread * rng.standard_normal(tries) for middle in (x, away)
        )
    columns = camera.point(x, np.maximum(away, near))[0]
    inside = (near <= away) & (away <= far)
    inside &= (reach[0] <= columns) & (columns <= reach[1])
    free = np.stack([x, away], axis=1)[inside]
    places = []
    while len(places) < count and len(free):
        places.append(free[0])
        free = free[np.hypot(*(free - free[0]).T) > ROOM]
    return np.reshape(places, (-1, 2)) if len(places) == count else None


def distant_places(rng, camera, count):
    """(count, 2) x, away of small people behind the crowd."""
    away = camera.away(rng.uniform(*DISTANT, count))
    columns = rng.uniform(0, camera.size[1], count)
    return np.stack([camera.x(columns, away), away], axis=1)


@dataclass(frozen=True)
class Box:
    """A case, a sign, a bin that stands on the ground."""

    x: float
    away: float
    size: np.ndarray
    """(2,) width and height, metres."""
    color: np.ndarray

    def paint(self, canvas, camera):
        foot = camera.point(self.x, self.away)
        half = self.size * camera.scale(self.away) / 2
        center = foot[:2] - (0, half[1])
        scene.box(canvas, center, half, 0.0, foot[2], self.color)


def random_boxes(rng, camera, places):
    """Up to three things that stand between people at `places` (N, 2)."""
    boxes = []
    for _ in range(rng.binomial(3, 0.2)):
        away = camera.near * (camera.far / camera.near) ** rng.random()
        x = camera.x(rng.uniform(0, camera.size[1]), away)
        size = rng.uniform((0.25, 0.3), (0.7, 1.0))
        color = clothes.random_colors(rng, 1)[0]
        if (np.hypot(*(places - (x, away)).T) > ROOM).all():
            boxes.append(Box(x, away, size, color))
    return boxes


@dataclass(frozen=True)
class Stage:
    """What is behind the people: constant in a clip."""

    colors: np.ndarray
    """(FINE * H, FINE * (W + 2 * margin), 3) float32 RGB."""
    margin: int
    """Columns of the picture to the left and right that a pan shows."""
    light: np.ndarray
    """(3,) unit vector towards the lamp."""

    def canvas(self, camera, places):
        """A `Canvas` as the panned camera sees it, with people's shadows.

        Args:
            camera: `Camera`.
            places: (N, 2) x, away of the people.
        """
        height, width = camera.size
        start = round(FINE * (self.margin + camera.pan))
        colors = self.colors[:, start : start + FINE * width].copy()
        colors *= 1 - _shadows(camera, places)[..., None]
        depths = np.full(colors.shape[:2], -np.inf, "float32")
        return Canvas(colors, depths, self.light)


def random_stage(rng, camera, margin=0):
    """A random `Stage` with the floor up to the camera's horizon."""
    height, width = camera.size
    end = camera.horizon + camera.height * camera.scale(camera.away(WALL))
    size = height, width + 2 * margin
    picture = scene.background(rng, size, int(np.clip(end, 0, height)))
    if rng.random() < 0.6:
        _pave(rng, camera, picture, margin)
    return Stage(
        colors=cv2.resize(picture, (FINE * size[1], FINE * height)),
        margin=margin,
        light=scene.lamp(rng),
    )


def _pave(rng, camera, picture, margin):
    """Lays slabs on the floor; they blur in the distance."""
    slab = rng.uniform(0.6, 1.6)  # metres
    rows = np.arange(len(picture), dtype="float32")[:, None]
    away = camera.height * camera.focal / np.maximum(rows - camera.horizon, 0.5)
    columns = np.arange(picture.shape[1], dtype="float32") - margin
    x = camera.x(columns[None], away)
    odd = (np.floor(x / slab) + np.floor(away / slab)) % 2
    # a slab's depth in pixels: below two, the eye sees their mean
    seen = slab * camera.height * camera.focal / away**2
    strength = rng.uniform(0.06, 0.2) * np.clip(seen / 4 - 0.5, 0, 1)
    picture *= 1 - (strength * odd)[..., None]


def _shadows(camera, places):
    """(FINE * H, FINE * W) float32 darkness of the ground at places (N, 2)."""
    small = 2  # the mask is smooth: a quarter of the pixels is enough
    height, width = (side // small for side in camera.size)
    mask = np.zeros((height, width), "float32")
    for x, away in places:
        center = camera.point(x, away)[:2]
        # a disc on the ground, as flat as the camera sees it
        across = 0.28 * camera.scale(away)
        along = across * np.clip(camera.height / away, 0.15, 1)
        center, axes = (
            tuple(round(float(v) / small * 16) for v in pair)
            for pair in (center, (across, along))
        )
        cv2.ellipse(mask, center, axes, 0, 0, 360, 0.5, -1, shift=4)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.012 * width + 0.5)
    return cv2.resize(mask, (FINE * camera.size[1], FINE * camera.size[0]))
