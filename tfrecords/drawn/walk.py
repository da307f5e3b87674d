"""Clips of drawn people who walk on crossing paths, or stand and move.

Heights, clothes, light and background stay; poses are interpolated between key
poses, which `pose.LIMITS` allows: they bound each angle apart from the others.
"""

from dataclasses import dataclass, replace

import numpy as np

from tfrecords.drawn import crowd, pose
from tfrecords.drawn.canvas import FINE

FRAME_RATE = 10
"""Frames per second."""
SPEED = (0.9, 1.5)
"""Of people who walk, metres per second."""
STRIDE = 0.8
"""Two steps, statures."""
GESTURE = 0.7
"""Seconds between the key poses of people who stand."""
STANDING = 0.25
"""Share of people who do not walk, apart from the two who cross."""
PANNED, PAN = 0.6, 0.2
"""Share of clips in which the camera turns, and how far at most, picture
widths."""
TRIES = 60
"""Paths that are tried for a person, and crowds for a clip."""
INSIDE = 8
"""Joints in the picture of somebody who is certainly in it."""


def smoothstep(share):
    """0 ... 1 to 0 ... 1, without speed at both ends."""
    return share * share * (3 - 2 * share)


def interpolate(keys, time):
    """The pose at a time between key poses, one at each whole number.

    Args:
        keys: list of dicts of angles; after the last one comes the first.
        time: in keys.
    """
    index = int(np.floor(time))
    share = smoothstep(time - index)
    first, second = (keys[i % len(keys)] for i in (index, index + 1))
    return {name: a + share * (second[name] - a) for name, a in first.items()}


def random_gait(rng):
    """Four key poses of two steps: each foot in front, and each passing."""
    upright = pose.random_angles(rng, ("stand",))
    length = rng.uniform(0.8, 1.15)
    swing, elbow = rng.uniform(12, 35), rng.uniform(8, 50)
    legs = {"spread": 2.0, "turn": 4.0}
    arm = {"side": rng.uniform(4, 12), "twist": 0.0, "elbow": elbow}
    keys = []
    for lead, other in (("left", "right"), ("right", "left")):
        for front, back, lift in (
            ({"hip": 26, "knee": 5}, {"hip": -19, "knee": 14}, swing),
            ({"hip": 3, "knee": 6}, {"hip": 18, "knee": 55}, 0.0),
        ):
            key = dict(upright)
            for side, leg, turn in ((lead, front, -1), (other, back, 1)):
                leg = {name: length * angle for name, angle in leg.items()}
                leg |= {"point": 12.0 if turn > 0 else -4.0}
                limb = legs | leg | arm | {"raise": turn * lift}
                key |= {f"{side}_{name}": v for name, v in limb.items()}
            keys.append(key)
    return keys


def random_gestures(rng, seconds):
    """Key poses of a person who moves the arms and the head."""
    keys = []
    for _ in range(2 + int(seconds / GESTURE)):
        angles = pose.random_angles(rng, ("stand",))
        if keys:  # the feet stay
            legs = {"hip", "spread", "turn", "knee", "point"}
            still = (f"{s}_{n}" for s in ("left", "right") for n in legs)
            angles |= {name: keys[0][name] for name in still}
        keys.append(angles)
    return keys


@dataclass(frozen=True)
class Path:
    """A straight way over the ground."""

    place: np.ndarray
    """(2,) x, away in the middle of the clip, metres."""
    velocity: np.ndarray
    """(2,) metres per second."""

    def places(self, seconds):
        """(T, 2) at seconds (T,) from the middle of the clip."""
        return self.place + np.outer(seconds, self.velocity)

    @property
    def yaw(self):
        """Degrees around the vertical; 0 comes towards the camera."""
        x, away = self.velocity
        return float(np.rad2deg(np.arctan2(x, -away)))


@dataclass(frozen=True)
class Clip:
    """Everything about T frames."""

    cameras: list
    """(T,) `crowd.Camera`."""
    actors: list
    """(N,) `crowd.Actor`; the first `labelled` ones are the crowd."""
    stances: list
    """(T,) lists of N `crowd.Stance`."""
    places: np.ndarray
    """(T, N, 2) x, away."""
    labelled: int
    stage: crowd.Stage
    boxes: list
    """of `crowd.Box`."""

    def cast(self, frame):
        """list of N (`crowd.Actor`, `crowd.Stance`)."""
        return list(zip(self.actors, self.stances[frame], strict=True))


def random_clip(rng, size, frames, people, unlabelled):
    """A random `Clip`; the paths of the first two people cross in the picture.

    Args:
        rng: numpy generator.
        size: (H, W) in pixels.
        frames: number of frames T.
        people: fewest and most people of the crowd. Fewer come if they find no
            room.
        unlabelled: share of all people that are far behind the crowd.

    Raises:
        ValueError: no such clip was found.
    """
    seconds = (np.arange(frames) - (frames - 1) / 2) / FRAME_RATE
    for _ in range(TRIES):
        camera = crowd.random_camera(rng, size)
        count = rng.integers(people[0], people[1] + 1)
        paths = _random_paths(rng, camera, count, seconds)
        if len(paths) < people[0]:
            continue
        labelled = len(paths)
        behind = rng.poisson(labelled * unlabelled / (1 - unlabelled))
        for place in crowd.distant_places(rng, camera, min(behind, 40)):
            paths.append(Path(place, _random_velocity(rng)))
        pan = _random_pan(rng, size[1], frames)
        cameras = [replace(camera, pan=float(p)) for p in pan]
        actors = [crowd.random_actor(rng) for _ in paths]
        moves = [
            _stances(rng, path, actor, seconds)
            for path, actor in zip(paths, actors, strict=True)
        ]
        stances = [list(row) for row in zip(*moves, strict=True)]
        places = np.stack([path.places(seconds) for path in paths], axis=1)
        margin = int(np.ceil(PAN * size[1] / 2)) + 1
        clip = Clip(
            cameras=cameras,
            actors=actors,
            stances=stances,
            places=places,
            labelled=labelled,
            stage=crowd.random_stage(rng, camera, margin),
            boxes=crowd.random_boxes(rng, camera, places.reshape(-1, 2)),
        )
        if all(_is_visited(clip, frame) for frame in range(frames)):
            return clip
    raise ValueError(
        f"no clip of {frames} frames with {people[0]} to {people[1]} people "
        "had somebody in every frame"
    )


def _is_visited(clip, frame):
    """Whether two people, or the only one, are in the picture."""
    number = clip.labelled
    cast, places = clip.cast(frame)[:number], clip.places[frame, :number]
    _, inside, _ = crowd.outline(clip.cameras[frame], cast, places)
    return (inside.sum(axis=1) >= INSIDE).sum() >= min(2, number)


def _random_velocity(rng, heading=None, spread=25.0):
    """(2,) metres per second, to a heading +- spread degrees (0: right)."""
    if heading is None:
        heading, spread = rng.choice([0, 180]), 50.0
    angle = np.deg2rad(heading + rng.normal(0, spread))
    return rng.uniform(*SPEED) * np.array([np.cos(angle), np.sin(angle)])


def _random_paths(rng, camera, count, seconds):
    """Up to `count` `Path`s on which nobody walks into others."""
    near, far = camera.near, camera.far
    width = camera.size[1]
    paths = []
    for _ in range(TRIES * count):
        if len(paths) == count:
            break
        away = near * (far / near) ** rng.random()
        if len(paths) == 1:  # meets the first one in the same column
            away = paths[0].place[1] + rng.choice([-1, 1]) * rng.uniform(0.5, 1)
            column = camera.point(*paths[0].place)[0]
            velocity = _random_velocity(rng, 180)
        elif not paths:
            column = rng.uniform(0.35, 0.65) * width
            velocity = _random_velocity(rng, 0)
        else:
            column = rng.uniform(0, width)
            still = rng.random() < STANDING
            velocity = np.zeros(2) if still else _random_velocity(rng)
        away = np.clip(away, near, far)
        path = Path(np.array([camera.x(column, away), away]), velocity)
        places = path.places(seconds)
        free = all(
            np.hypot(*(places - other.places(seconds)).T).min() > crowd.ROOM
            for other in paths
        )
        if free and near * 0.9 < places[:, 1].min():
            paths.append(path)
    return paths


def _random_pan(rng, width, frames):
    """(T,) pixels of the camera's turn: none, or smooth to one side.

    Whole pixels of the canvas, so that people and background move alike.
    """
    turn = rng.uniform(-PAN, PAN) * width * (rng.random() < PANNED)
    share = np.arange(frames) / max(frames - 1, 1)
    return np.rint(FINE * turn * (smoothstep(share) - 0.5)) / FINE


def _stances(rng, path, actor, seconds):
    """(T,) `crowd.Stance` of somebody on a path."""
    speed = float(np.hypot(*path.velocity))
    if speed:
        keys = random_gait(rng)
        step = STRIDE * actor.stature / len(keys)
        times, yaw = speed * seconds / step + rng.uniform(0, 4), path.yaw
    else:
        keys = random_gestures(rng, float(np.ptp(seconds)))
        times, yaw = (seconds - seconds[0]) / GESTURE, pose.random_yaw(rng)
    return [
        crowd.take_stance(interpolate(keys, time), yaw, actor.build)
        for time in times
    ]
