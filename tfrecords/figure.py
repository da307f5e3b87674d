"""A drawn person: a pose within the limits of the joints, and its body.

The person's own frame has x to their left, y up and z to where they look;
lengths are shares of their stature. Angles are degrees, zero for somebody who
stands with arms hanging, positive forwards, outwards and for a bent joint.
"""

from dataclasses import dataclass

import numpy as np

from keras_pose.skeletons import MPII
from tfrecords.canvas import ball, tube
from tfrecords.clothes import plain

# Shares of the stature, rounded from the usual tables of segment lengths
# (Drillis and Contini); heads are a little large, as in children and drawings.
SHANK, THIGH, FOOT = 0.235, 0.235, 0.125
HIP = 0.055  # from the pelvis to each hip, sideways
TORSO = 0.25  # pelvis to thorax
SHOULDER = 0.105  # thorax to each shoulder, sideways
UPPER_ARM, FOREARM, HAND = 0.165, 0.145, 0.085
NECK, HEAD = 0.055, 0.165  # thorax to upper neck to head top

# From a joint to a little above the surface of the body around it: what lies
# nearer to the viewer than this hides the joint.
RADII = {
    "ankle": 0.066,  # nor does the foot hide the ankle
    "knee": 0.054,
    "hip": 0.09,
    "pelvis": 0.1,
    "thorax": 0.09,
    "upper_neck": 0.12,  # the chin hides it from nobody
    "head_top": 0.08,
    "wrist": 0.036,
    "elbow": 0.044,
    "shoulder": 0.064,
}

CREASE = 0.3  # how much darker the folds of a knee or elbow are
MARGIN = 0.04  # from the outermost joints to the edge of the body
CURLED = 0.7  # least extent of a person that counts, shares of the stature

_GROUP = {i: name for name, found in MPII.groups.items() for i in found}
GROUPS = tuple(_GROUP[i] for i in range(len(MPII.joints)))
"""Name of each joint without its side."""

LIMITS = {
    "hip": (-30, 125),
    "spread": (-12, 60),
    "turn": (-25, 40),
    "knee": (0, 150),
    "point": (-20, 45),
    "raise": (-55, 175),
    "side": (-20, 170),
    "twist": (-60, 80),
    "elbow": (0, 150),
    "bend": (-20, 80),
    "lean": (-25, 25),
    "wind": (-35, 35),
    "nod": (-25, 40),
    "look": (-60, 60),
    "tilt": (-25, 25),
}
"""Lowest and highest angle of each degree of freedom."""

_FREE = {"spread": (-3, 14), "turn": (-8, 18), "point": (-12, 25)}
LEGS = {
    # name: (how often, one leg, the other leg, bend of the torso)
    "stand": (7, {"hip": (-8, 14), "knee": (0, 14)}, None, (-6, 12)),
    "walk": (
        6,
        {"hip": (12, 42), "knee": (0, 25)},
        {"hip": (-25, -5), "knee": (5, 45)},
        (0, 12),
    ),
    "run": (
        3,
        {"hip": (40, 90), "knee": (45, 115)},
        {"hip": (-25, 5), "knee": (15, 105)},
        (5, 28),
    ),
    "kick": (
        2,
        {"hip": (45, 115), "knee": (0, 45)},
        {"hip": (-10, 10), "knee": (0, 20)},
        (-15, 20),
    ),
    "lunge": (
        2,
        {"hip": (45, 95), "knee": (55, 105)},
        {"hip": (-22, 0), "knee": (5, 60)},
        (-5, 25),
    ),
    "star": (
        2,
        {"hip": (-5, 25), "spread": (18, 48), "knee": (0, 30)},
        None,
        (-8, 15),
    ),
    "sit": (4, {"hip": (70, 105), "knee": (55, 115)}, None, (-12, 22)),
    "squat": (2, {"hip": (75, 122), "knee": (85, 145)}, None, (10, 45)),
    "kneel": (
        1,
        {"hip": (75, 100), "knee": (75, 105)},
        {"hip": (-12, 12), "knee": (75, 105)},
        (-8, 20),
    ),
    "bow": (1, {"hip": (-5, 25), "knee": (0, 30)}, None, (30, 78)),
}
ARMS = {
    "hang": (6, {"raise": (-15, 22), "side": (3, 18), "elbow": (5, 40)}),
    "swing": (4, {"raise": (-50, 50), "side": (2, 20), "elbow": (20, 105)}),
    "hip": (
        2,
        {
            "raise": (-35, -10),
            "side": (25, 45),
            "twist": (40, 70),
            "elbow": (80, 115),
        },
    ),
    "out": (3, {"raise": (-15, 30), "side": (50, 100), "elbow": (0, 60)}),
    "front": (4, {"raise": (30, 100), "side": (-5, 30), "elbow": (0, 110)}),
    "up": (4, {"raise": (120, 172), "side": (0, 35), "elbow": (0, 70)}),
    "face": (2, {"raise": (45, 85), "side": (0, 30), "elbow": (110, 145)}),
    "cross": (
        2,
        {
            "raise": (15, 45),
            "side": (0, 20),
            "twist": (-60, -35),
            "elbow": (75, 110),
        },
    ),
}


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
    """How wide the body is: 1 is average."""

    def joint(self, name):
        """(3,) one joint by its name."""
        return self.joints[MPII.index(name)]

    @property
    def radii(self):
        """(16,) `RADII` of this body in pixels."""
        return self.unit * self.build * np.array([RADII[g] for g in GROUPS])

    @property
    def box(self):
        """Corners (2, 2) of the box around the whole body, pixels."""
        points, margin = self.joints[:, :2], MARGIN * self.unit
        return np.stack([points.min(0) - margin, points.max(0) + margin])

    @property
    def side(self):
        """Pixels; the longer side of the box, not much less when curled up."""
        low, high = self.box
        return max((high - low).max(), CURLED * self.unit)


def turn(axis, degrees):
    """Rotation matrix (3, 3) around x, y or z."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    return matrix


def random_angles(rng):
    """Angles of a plausible pose: {"bend": ..., "left_knee": ..., ...}.

    Every angle lies within `LIMITS`; the legs and arms are drawn from families
    (`LEGS`, `ARMS`), sides at random. Arms through the body are drawn again.
    """
    name = _pick(rng, {name: row[0] for name, row in LEGS.items()})
    _, one, other, bend = LEGS[name]
    legs = [one, one if other is None else other]
    rng.shuffle(legs)
    angles = {"bend": _draw(rng, "bend", bend)}
    for joint, spread in (("lean", 8), ("wind", 12), ("tilt", 8), ("look", 28)):
        angles[joint] = _draw(rng, joint, (-spread, spread))
    angles["nod"] = _draw(rng, "nod", (-12, 22))
    for side, leg in zip(("left", "right"), legs, strict=True):
        for joint, limits in (_FREE | leg).items():
            angles[f"{side}_{joint}"] = _draw(rng, joint, limits)
    for _ in range(12):
        angles |= _random_arms(rng)
        if _arms_are_free(pose(angles)[0]):
            break
    return angles


def _random_arms(rng):
    often = {name: row[0] for name, row in ARMS.items()}
    same = rng.random() < 0.45
    family = _pick(rng, often)
    angles = {}
    for side in ("left", "right"):
        row = {"twist": (-25, 25)} | ARMS[family][1]
        for joint, limits in row.items():
            angles[f"{side}_{joint}"] = _draw(rng, joint, limits)
        family = family if same else _pick(rng, often)
    return angles


def _pick(rng, often):
    share = np.array(list(often.values()), float)
    return list(often)[rng.choice(len(often), p=share / share.sum())]


def _draw(rng, joint, limits):
    """An angle between the family's limits, blurred, inside the body's."""
    low, high = limits
    blur = rng.normal(0, 0.1 * (high - low))
    return float(np.clip(rng.uniform(low, high) + blur, *LIMITS[joint]))


def _arms_are_free(joints):
    """No wrist or elbow inside the torso or the head."""
    at = dict(zip(MPII.joints, joints, strict=True))
    ends = [(at["pelvis"], at["thorax"], 0.1)]
    ends += [(at["upper_neck"], at["head_top"], 0.075)]
    for start, end, radius in ends:
        line = end - start
        for name in ("wrist", "elbow"):
            for side in ("left", "right"):
                point = at[f"{side}_{name}"] - start
                share = np.clip(point @ line / (line @ line), 0, 1)
                if np.linalg.norm(point - share * line) < radius:
                    return False
    return True


def pose(angles):
    """Joints (16, 3) in the person's frame, pelvis at 0, and their frames."""
    at, frames = {}, {}
    pelvis = np.eye(3)
    spine = turn("x", 0.5 * angles["bend"])
    chest = (
        turn("z", angles["lean"])
        @ turn("y", angles["wind"])
        @ turn("x", angles["bend"])
    )
    left, up, forwards = np.eye(3)
    at["pelvis"] = np.zeros(3)
    # a bent back is round: its lower half leans half as much
    at["thorax"] = 0.4 * TORSO * spine @ up + 0.6 * TORSO * chest @ up
    neck = chest @ turn("x", 0.5 * angles["nod"] + 6)
    at["upper_neck"] = at["thorax"] + NECK * neck @ up
    head = (
        chest
        @ turn("y", angles["look"])
        @ turn("z", angles["tilt"])
        @ turn("x", angles["nod"])
    )
    at["head_top"] = at["upper_neck"] + HEAD * head @ up
    frames |= {"pelvis": pelvis, "chest": chest, "head": head}
    for side, sign in (("left", 1), ("right", -1)):
        get = {
            name: angles[f"{side}_{name}"]
            for name in ("hip", "spread", "turn", "knee", "point")
            + ("raise", "side", "twist", "elbow")
        }
        thigh = (
            turn("x", -get["hip"])
            @ turn("z", sign * get["spread"])
            @ turn("y", sign * get["turn"])
        )
        shank = thigh @ turn("x", get["knee"])
        at[f"{side}_hip"] = sign * HIP * left
        at[f"{side}_knee"] = at[f"{side}_hip"] - THIGH * thigh @ up
        at[f"{side}_ankle"] = at[f"{side}_knee"] - SHANK * shank @ up
        upper = (
            chest
            @ turn("x", -get["raise"])
            @ turn("z", sign * get["side"])
            @ turn("y", -sign * get["twist"])
        )
        lower = upper @ turn("x", -get["elbow"])
        lifted = 0.035 * (1 - (upper @ up) @ (chest @ up)) / 2  # shrug
        shoulder = sign * SHOULDER * left + (lifted - 0.012) * up
        at[f"{side}_shoulder"] = at["thorax"] + chest @ shoulder
        at[f"{side}_elbow"] = at[f"{side}_shoulder"] - UPPER_ARM * upper @ up
        at[f"{side}_wrist"] = at[f"{side}_elbow"] - FOREARM * lower @ up
        frames[f"{side}_hand"] = lower
        frames[f"{side}_foot"] = shank @ turn("x", get["point"])
    return np.stack([at[name] for name in MPII.joints]), frames


def seen(angles, view):
    """The pose as the camera sees it: x right, y down, z near; per stature.

    Args:
        angles: as from `random_angles`.
        view: (3, 3) rotation from the person's frame to the viewer's.

    Returns:
        (16, 3) joints around the pelvis, and the frames.
    """
    joints, frames = pose(angles)
    screen = np.diag([1.0, -1.0, 1.0]) @ view
    return joints @ screen.T, {k: screen @ v for k, v in frames.items()}


def random_build(rng):
    """How wide somebody is, 1 on average."""
    return float(np.clip(rng.normal(1, 0.1), 0.8, 1.3))


def random_view(rng, lying=0.07):
    """How the camera sees somebody: (3, 3); `lying` of all people lie."""
    # people look at cameras: more than half are seen from the front
    facing = rng.choice([0, 180, rng.uniform(-180, 180)], p=[0.5, 0.17, 0.33])
    yaw = facing + rng.normal(0, 25)
    roll = rng.normal(0, 6)
    if rng.random() < lying:
        roll += rng.choice([-1, 1]) * rng.uniform(50, 110)
    return turn("z", roll) @ turn("x", rng.normal(6, 9)) @ turn("y", yaw)


def paint_person(canvas, body, look):
    """Draws the person; what is nearer hides what is farther."""
    unit, wide = body.unit, body.build

    def limb(start, end, widths, paint, bends=None):
        """A limb that bends at its "start" or "end": folds gather there."""
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
        foot = body.frames[f"{side}_foot"] * unit
        heel = ankle - 0.018 * foot[:, 1] - 0.012 * foot[:, 2]
        toe = heel + FOOT * 0.75 * foot[:, 2] - 0.022 * foot[:, 1]
        limb(heel, toe, (0.031, 0.031, 0.024), look.shoe)
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


def _creased(paint, where):
    """The paint, darker in the folds of a knee or an elbow."""

    def creased(along, around):
        fold = CREASE * np.exp(-(((along - where) / 0.014) ** 2))
        return paint(along, around) * (1 - fold)[:, None]

    return creased


def _per_stature(paint, unit):
    return lambda along, around: paint(along / unit, around)


def _paint_torso(canvas, body, look):
    """Trousers' top, chest and shoulders as solids of oval section."""
    unit = body.unit
    pelvis, thorax = body.joint("pelvis"), body.joint("thorax")
    up = (thorax - pelvis) / (TORSO * unit)
    paint = _per_stature(look.shirt, unit)

    def oval(start, end, widths, depths, frame, paint, cap):
        """A tube with a section of widths to the side, depths forwards."""
        line = (end - start)[:2]
        line = line / max(np.hypot(*line), 1e-6)
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
    line = (thorax - pelvis)[:2]
    line = line / max(np.hypot(*line), 1e-6)
    # the chest's direction as seen around the axis: 0 towards the viewer
    facing = np.arctan2(chest[:2, 2] @ (-line[1], line[0]), chest[2, 2])

    def shirt(along, around):
        """The fabric, with what it has where the chest is."""
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
    """Skull with face in front, hair behind, perhaps a hat or long hair."""
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


def head_size(body):
    """MPII's measure of the head: 0.6 of the diagonal of its box, pixels."""
    _, radii = head_solid(body)
    frame = body.frames["head"]
    half = np.sqrt(((frame[:2] * radii) ** 2).sum(axis=1))
    return 0.6 * 2 * float(np.hypot(*half))
