"""Random poses within the limits of the joints, and the joints' positions.

The person's frame has x to their left, y up and z forwards; lengths are shares
of their stature. Angles are degrees, zero for a standing person with hanging
arms, positive forwards, outwards and for a bent joint.
"""

import numpy as np

from keras_pose.skeletons import MPII

# Shares of the stature, rounded from the usual tables of segment lengths
# (Drillis and Contini); heads are a little large, as in children and drawings.
SHANK, THIGH, FOOT = 0.235, 0.235, 0.125
HIP = 0.055  # from the pelvis to each hip, sideways
TORSO = 0.25  # pelvis to thorax
SHOULDER = 0.105  # thorax to each shoulder, sideways
UPPER_ARM, FOREARM, HAND = 0.165, 0.145, 0.085
NECK, HEAD = 0.055, 0.165  # thorax to upper neck to head top

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
    # name: (relative frequency, one leg, the other leg, bend of the torso)
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
ACTS = {
    "crouch": (4, {"hip": (85, 125), "knee": (100, 150)}, None, (10, 70)),
    "curl": (2, {"hip": (80, 125), "knee": (80, 150)}, None, (35, 80)),
    "stretch": (4, {"hip": (-25, 25), "knee": (0, 35)}, None, (-20, 12)),
    "stride": (
        3,
        {"hip": (60, 120), "knee": (0, 60)},
        {"hip": (-30, 0), "knee": (0, 90)},
        (-10, 40),
    ),
    "split": (
        2,
        {"hip": (0, 90), "spread": (40, 60), "knee": (0, 25)},
        None,
        (-10, 60),
    ),
    "tuck": (
        2,
        {"hip": (50, 125), "knee": (60, 150)},
        {"hip": (-10, 90), "knee": (0, 120)},
        (0, 60),
    ),
}
"""As `LEGS`: of sports and play, on the ground and in the air."""
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


def turn(axis, degrees):
    """Rotation matrix (3, 3) around x, y or z."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    return matrix


def random_angles(rng, families=tuple(LEGS)):
    """Angles of a plausible pose: {"bend": ..., "left_knee": ..., ...}.

    Every angle lies within `LIMITS`; legs and arms are drawn from families
    (`LEGS` and `ACTS`, of which `families` are taken, and `ARMS`) with random
    sides. Arms through the body are drawn again.
    """
    known = LEGS | ACTS
    name = _pick(rng, {name: known[name][0] for name in families})
    _, one, other, bend = known[name]
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
        if _arms_are_free(assemble(angles)[0]):
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
    """A random angle within the family's limits, blurred, within `LIMITS`."""
    low, high = limits
    blur = rng.normal(0, 0.1 * (high - low))
    return float(np.clip(rng.uniform(low, high) + blur, *LIMITS[joint]))


def _arms_are_free(joints):
    """Whether no wrist or elbow lies inside the torso or the head."""
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


def assemble(angles):
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
    joints, frames = assemble(angles)
    screen = np.diag([1.0, -1.0, 1.0]) @ view
    return joints @ screen.T, {k: screen @ v for k, v in frames.items()}


def random_view(rng, lying=0.07):
    """A random camera rotation (3, 3); a share `lying` of people lie down."""
    yaw = random_yaw(rng)
    roll = rng.normal(0, 6)
    if rng.random() < lying:
        roll += rng.choice([-1, 1]) * rng.uniform(50, 110)
    return turn("z", roll) @ turn("x", rng.normal(6, 9)) @ turn("y", yaw)


ATTITUDES = {"upright": 0.5, "lying": 0.25, "head_down": 0.15, "any": 0.1}
"""How a person of `random_attitude` is turned, and how often."""


def random_attitude(rng):
    """(3, 3) from the person's frame to the viewer's, for any attitude.

    People lie on the back, the front or a side, heads in any direction; others
    are head down or in the air. The camera looks straight, up or down at them.
    """
    attitude = _pick(rng, ATTITUDES)
    body = turn("y", random_yaw(rng))
    if attitude == "any":
        first, second = (turn(axis, rng.uniform(-180, 180)) for axis in "xz")
        body = second @ first @ body
    elif attitude == "lying":
        body = turn("x", rng.choice([-90, 90]) + rng.normal(0, 12)) @ body
        body = turn("y", rng.uniform(-180, 180)) @ body
    elif attitude == "head_down":
        body = turn("z", 180 + rng.normal(0, 25)) @ body
    looks_down = rng.normal(6, 9)
    if rng.random() < 0.35:
        looks_down = rng.uniform(-35, 75)
    return turn("z", rng.normal(0, 8)) @ turn("x", looks_down) @ body


def random_yaw(rng):
    """Degrees that a person has turned around the vertical; 0 looks at us."""
    # people look at cameras: more than half are seen from the front
    facing = rng.choice([0, 180, rng.uniform(-180, 180)], p=[0.5, 0.17, 0.33])
    return facing + rng.normal(0, 25)
