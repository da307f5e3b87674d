"""The body of a drawn person: solids around the joints, with clothes."""

from dataclasses import dataclass, replace

import numpy as np

from keras_pose.skeletons import MPII
from tfrecords.drawn.canvas import ball, project, tube
from tfrecords.drawn.clothes import plain
from tfrecords.drawn.pose import FOOT, HAND, HEAD, TORSO

# Distance from a joint to just above the surface of the body around it:
# surfaces nearer to the viewer than this hide the joint.
RADII = {
    "ankle": 0.066,  # so that the foot does not hide the ankle
    "knee": 0.054,
    "hip": 0.09,
    "pelvis": 0.1,
    "thorax": 0.09,
    "upper_neck": 0.12,  # so that the chin does not hide it
    "head_top": 0.08,
    "wrist": 0.036,
    "elbow": 0.044,
    "shoulder": 0.064,
}

SHOE = (0.031, 0.031, 0.024)
"""Half the height of a shoe from heel to toe, shares of the stature."""
CREASE = 0.3  # darkening of the folds of a knee or elbow
MARGIN = 0.04  # from the outermost joints to the edge of the body
CURLED = 0.7  # smallest extent of a person, shares of the stature

_GROUP = {i: name for name, group in MPII.groups.items() for i in group}
GROUPS = tuple(_GROUP[i] for i in range(len(MPII.joints)))
"""Name of each joint without its side."""


@dataclass(frozen=True)
class Body:
    """A posed person in the picture."""

    joints: np.ndarray
    """(16, 3) x, y, z in pixels of the picture."""
    frames: dict
    """Axes of pelvis, chest, head, hands and feet: (3, 3), columns left, up,
    forwards in picture coordinates, each of length 1."""
    unit: float
    """Stature in pixels."""
    build: float
    """Width of the body: 1 is average."""
    scales: float | np.ndarray = 1.0
    """(16,) enlargement of each joint by a perspective."""

    def joint(self, name):
        """(3,) one joint by its name."""
        return self.joints[MPII.index(name)]

    @property
    def radii(self):
        """(16,) `RADII` of this body in pixels of depth."""
        radii = np.array([RADII[g] for g in GROUPS])
        return self.unit * self.build * radii * self.scales**2

    @property
    def box(self):
        """Corners (2, 2) of the box around the whole body, pixels."""
        return np.stack(corners(self.joints, self.unit * self.scales))

    @property
    def side(self):
        """The longer side of the box, at least `CURLED` statures, pixels."""
        low, high = self.box
        return max((high - low).max(), CURLED * self.unit)

    def seen(self, eye):
        """This body, which is in space, as an `Eye` or None sees it."""
        joints, scales = project(self.joints, eye)
        return replace(self, joints=joints, scales=scales)


def outline(joints, unit, size):
    """Which joints are in a picture, and the box of the body's part there.

    Args:
        joints: (..., K, 3) as in `Body`.
        unit: (..., K) or (..., 1) stature, pixels.
        size: (height, width) of the picture, pixels.

    Returns:
        (..., K) bool, and the boxes (..., 4) x, y, width, height.
    """
    # pixel centres lie on whole numbers: the picture spans -0.5 ... width - 0.5
    end = np.array(size[::-1]) - 0.5
    points = joints[..., :2]
    inside = ((points >= -0.5) & (points < end)).all(-1)
    low, high = (np.clip(v, 0, end - 0.5) for v in corners(joints, unit))
    return inside, np.concatenate([low, high - low + 1], axis=-1)


def corners(joints, unit):
    """Corners (..., 2) of the box around whole bodies (..., K, 3), pixels."""
    points, margin = joints[..., :2], MARGIN * np.asarray(unit)[..., None]
    return (points - margin).min(-2), (points + margin).max(-2)


def random_build(rng):
    """Random width of a body, 1 on average."""
    return float(np.clip(rng.normal(1, 0.1), 0.8, 1.3))


def paint_person(canvas, body, look):
    """Draws the person; nearer parts hide farther parts."""
    unit, wide = body.unit, body.build

    def limb(start, end, widths, paint, bends=None):
        """A limb with folds where it bends, at its "start" or "end"."""
        widths = unit * np.asarray(widths) * wide
        if bends:
            seen = np.hypot(*(end - start)[:2]) / unit
            paint = _creased(paint, seen if bends == "end" else 0)
        tube(canvas, start, end, widths, _per_stature(paint, unit))

    _paint_torso(canvas, body, look)
    bare = plain(look.skin)
    for side in ("left", "right"):
        hip, knee, ankle, shoulder, elbow, wrist = (
            body.joint(f"{side}_{name}")
            for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
        )
        limb(hip, knee, (0.068, 0.066, 0.056, 0.043), look.thigh, "end")
        limb(knee, ankle, (0.042, 0.048, 0.037, 0.026), look.shank, "start")
        heel, toe = shoe(ankle, body.frames[f"{side}_foot"] * unit)
        limb(heel, toe, SHOE, look.shoe)
        limb(shoulder, elbow, (0.046, 0.043, 0.032), look.upper_arm, "end")
        limb(elbow, wrist, (0.031, 0.034, 0.021), look.forearm, "start")
        hand = -body.frames[f"{side}_hand"][:, 1] * unit
        limb(
            wrist + 0.01 * hand, wrist + 0.3 * HAND * hand, (0.022, 0.027), bare
        )
        limb(
            wrist + 0.3 * HAND * hand,
            wrist + 0.8 * HAND * hand,
            (0.026, 0.016),
            bare,
        )
    thorax, neck = body.joint("thorax"), body.joint("upper_neck")
    limb(thorax, neck + 0.3 * (neck - thorax), (0.045, 0.036, 0.036), bare)
    _paint_head(canvas, body, look)


def shoe(ankle, foot):
    """Ends of the solid `SHOE` below an ankle (3,); foot: its frame (3, 3)."""
    heel = ankle - 0.018 * foot[:, 1] - 0.012 * foot[:, 2]
    return heel, heel + FOOT * 0.75 * foot[:, 2] - 0.022 * foot[:, 1]


def _creased(paint, where):
    """The paint, darker in the folds of a knee or an elbow."""

    def creased(along, around):
        fold = CREASE * np.exp(-(((along - where) / 0.014) ** 2))
        return paint(along, around) * (1 - fold)[:, None]

    return creased


def _per_stature(paint, unit):
    return lambda along, around: paint(along / unit, around)


def _paint_torso(canvas, body, look):
    """Top of the trousers, chest and shoulders as solids of oval section."""
    unit = body.unit
    pelvis, thorax = body.joint("pelvis"), body.joint("thorax")
    up = (thorax - pelvis) / (TORSO * unit)
    paint = _per_stature(look.shirt, unit)

    def oval(start, end, widths, depths, frame, paint, cap):
        """A tube with a section of widths to the side, depths forwards."""
        line = canvas.direction(start, end)
        across = np.array([-line[1], line[0]])
        side = np.outer(np.multiply(widths, unit * body.build), frame[:, 0])
        front = np.outer(np.multiply(depths, unit * body.build), frame[:, 2])
        seen = np.hypot(side[:, :2] @ across, front[:, :2] @ across)
        slants = (side[:, :2] @ across) * side[:, 2]
        slants = (slants + (front[:, :2] @ across) * front[:, 2]) / seen
        bulges = np.hypot(side[:, 2], front[:, 2])
        bulges = np.sqrt(np.maximum(bulges**2 - slants**2, 1))
        tube(canvas, start, end, seen, paint, bulges, slants, cap)

    oval(
        pelvis - 0.035 * unit * up,
        pelvis + 0.05 * unit * up,
        (0.085, 0.105, 0.1, 0.09),
        (0.06, 0.076, 0.074, 0.066),
        body.frames["pelvis"],
        _per_stature(look.trousers, unit),
        0.6,
    )
    chest = body.frames["chest"]
    line = canvas.direction(pelvis, thorax)
    # the chest's direction as seen around the axis: 0 towards the viewer
    facing = np.arctan2(chest[:2, 2] @ (-line[1], line[0]), chest[2, 2])

    def shirt(along, around):
        """The fabric with the front of the shirt."""
        color = paint(along, around)
        angle = np.arcsin(np.clip(around, -1, 1)) - facing
        aside = np.where(np.cos(angle) > 0, np.abs(np.sin(angle)), 9)
        height = along / unit  # 0 at the belt, 0.24 at the throat
        if look.front == "open":
            color[aside < 0.25 + 0.8 * height] = look.accent
        elif look.front == "zip":
            color[aside < 0.1] = look.accent
        elif look.front == "tie":
            color[(aside < 0.2 - 0.4 * height) & (height > 0.04)] = look.accent
        elif look.front == "print":
            spot = (aside / 0.5) ** 2 + ((height - 0.15) / 0.05) ** 2
            color[spot < 1] = look.accent
        return color

    oval(
        pelvis + 0.02 * unit * up,
        thorax + 0.012 * unit * up,
        (0.096, 0.086, 0.09, 0.102, 0.108, 0.1, 0.05),
        (0.07, 0.066, 0.07, 0.078, 0.08, 0.068, 0.045),
        chest,
        shirt,
        0.35,
    )
    for side in ("left", "right"):
        widths = unit * body.build * np.array((0.05, 0.048, 0.045))
        inner = thorax + 0.025 * (pelvis - thorax)
        tube(canvas, inner, body.joint(f"{side}_shoulder"), widths, paint)
    # the neckline shows the skin of the throat, at the front only
    at = thorax + 0.02 * (pelvis - thorax) + 0.042 * unit * chest[:, 2]
    size = np.array([0.036, 0.052, 0.026]) * unit * body.build
    ball(canvas, at, chest, size, lambda own: _flat(own, look.skin))
    if look.bag:
        at = thorax + 0.35 * (pelvis - thorax) - 0.085 * unit * chest[:, 2]
        size = np.array([0.085, 0.1, 0.055]) * unit
        ball(canvas, at, chest, size, lambda own: _flat(own, look.accent))


def _paint_head(canvas, body, look):
    """Skull with face and hair, sometimes with a hat or long hair."""
    unit, frame = body.unit, body.frames["head"]
    up, ahead = frame[:, 1], frame[:, 2]
    center, radii = head_solid(body)
    hairline = 0.5
    shadow = look.skin * 0.78

    def head(own):
        x, y, z = own.T
        color = np.repeat(look.skin[None].astype(float), len(own), 0)
        front = z > 0
        cheek = front & (y < -0.1) & (y > -0.4) & (np.abs(x) > 0.35)
        color[cheek] = look.skin * (1.0, 0.9, 0.88)
        hairy = y > hairline - 0.25 * np.abs(x) * (z < 0.75)
        hairy |= (z < 0.05) & (y > -0.1)
        hairy |= (z < -0.25) & (y > -0.65)
        if look.hair_length >= 0:
            color[hairy] = (
                look.hair * (1 + 0.07 * np.sin(22 * x[hairy]))[:, None]
            )
        if look.hat is not None:
            color[y > 0.38] = look.hat
        nose = front & (np.abs(x) < 0.12) & (y < 0.05) & (y > -0.28)
        color[nose] = shadow
        mouth = front & (np.abs(x) < 0.33) & (np.abs(y + 0.5) < 0.07)
        color[mouth] = (170, 70, 66)
        for side in (-1, 1):
            away = (x - side * 0.36) ** 2 / 0.04 + (y - 0.13) ** 2 / 0.016
            color[front & (away < 1)] = (250, 250, 250)
            away = (x - side * 0.36) ** 2 / 0.012 + (y - 0.13) ** 2 / 0.014
            color[front & (away < 1)] = (40, 28, 24)
            brow = (np.abs(x - side * 0.36) < 0.22) & (np.abs(y - 0.33) < 0.05)
            if look.hat is None:
                color[front & brow] = look.hair * 0.8
        return color

    ball(canvas, center, frame, radii, head)
    for side in (-1, 1):
        ear = (
            center + side * 1.0 * radii[0] * frame[:, 0] - 0.05 * radii[1] * up
        )
        size = np.array([0.014, 0.024, 0.016]) * unit
        ball(canvas, ear, frame, size, lambda own: _flat(own, shadow))
    if look.hair_length > 0:
        top = center - 0.45 * radii[2] * ahead + 0.2 * radii[1] * up
        down = np.array([0, 1, 0]) * 0.6 - 0.4 * up
        end = (
            center
            - 0.75 * radii[2] * ahead
            + ((0.075 + look.hair_length) * unit * down)
        )
        widths = unit * np.array([0.058, 0.064, 0.056, 0.04])
        tube(
            canvas,
            top,
            end,
            widths,
            _per_stature(plain(look.hair), unit),
            bulges=0.6 * widths,
        )
    if look.hat is not None:
        brim = center + 0.42 * radii[1] * up + 0.9 * radii[2] * ahead
        size = np.array([0.055, 0.009, 0.055]) * unit
        ball(canvas, brim, frame, size, lambda own: _flat(own, look.hat * 0.8))


def _flat(own, color):
    return np.repeat(np.asarray(color, float)[None], len(own), 0)


def head_solid(body):
    """Centre (3,) and radii (3,) of the skull with hair, pixels."""
    neck, top = body.joint("upper_neck"), body.joint("head_top")
    ahead = body.frames["head"][:, 2]
    center = neck + 0.51 * (top - neck) + 0.014 * body.unit * ahead
    radii = HEAD * body.unit * np.array([0.39, 0.52, 0.46])
    return center, radii


def head_size(body, eye=None):
    """MPII's measure of the head: 0.6 of the diagonal of its box, pixels."""
    center, radii = head_solid(body)
    radii = radii * project(center, eye)[1]
    frame = body.frames["head"]
    half = np.sqrt(((frame[:2] * radii) ** 2).sum(axis=1))
    return 0.6 * 2 * float(np.hypot(*half))
