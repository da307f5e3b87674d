"""Synthetic (drawn) people: a data set that needs no download.

Stylised people with MPII's 16 joints on cluttered backgrounds, behind objects,
truncated by the border, sometimes beside another person. The labels are exact:
a joint's flag is 2 if it is visible, 1 if another part of the body, an object
or the other person covers it, and 0 if it lies outside the picture. Head size,
centre and scale are defined as in MPII. The drawings depend only on the seed,
not on the number of workers.

Two options make the people harder: `--occlusion heavy` puts more and larger
objects and a nearer second person in front; `--box-shift` and `--box-zoom` add
errors to centre, scale and box in the records of every split, like those of an
inaccurate detector, and leave picture and joints unchanged. Such a crop may
extend beyond the picture, which is about 1/3 larger than a person's square.

`--variety rich` draws more of what photographs have: people who crouch, lie,
hang head down; a near camera (perspective), also from above or below; motion
blur; light of any brightness, colour and side; textured surroundings (octaves
of noise, stripes, gradients). Its labels are as exact: joints are projected by
the camera that projects the body, and blur leaves them in the middle of the
motion. `plain` draws what it always drew.

Run      python -m tfrecords.synthetic --output data/synthetic

Expect   1,500 / 100 / 200 people in train, val and test, in under a minute;
         23 % of the labelled joints are occluded, 43 % with --occlusion heavy
"""

import shlex
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Literal

import cv2
import numpy as np

from keras_pose.data.records import Person, Picture
from keras_pose.geometry import PERSON_PIXELS
from keras_pose.provenance import DRAWN
from keras_pose.skeletons import MPII
from tfrecords import shards
from tfrecords.drawn import clothes, exposure, figure, pose, scene, textures
from tfrecords.drawn.canvas import FINE, Canvas, Eye

PADDING = 1.25  # room around a person's box, as around MPII's
FILL = (0.66, 0.84)  # side of the padded person over that of the picture
TRUNCATED = 0.2  # share of people that extend beyond the border
QUALITY = 92  # of the JPEG
DETECTOR = 1  # last part of the seed of box errors, apart from the drawing

_OFTEN = {"wrist": 3, "ankle": 3, "knee": 2, "elbow": 2, "hip": 1}
COVER = np.array([_OFTEN.get(group, 0.3) for group in figure.GROUPS])
"""(16,) relative frequency of an object in front of each joint."""
NOTED = 4  # fewest labelled joints of a neighbour that is recorded

# Of rich variety. The eye is as far away, in statures: between these two if
# one person is there, or two.
NEAREST, FARTHEST = (1.4, 3.2), 10.0
LENS = 0.6  # least distance from the eye to a joint, in statures
FRONT = 100  # depth of what is before everybody, sides of the picture
MOVING, SHAKEN = 0.25, 0.2  # shares with motion blur of people, of all


@dataclass(frozen=True)
class Occlusion:
    """What occludes the people."""

    covered: float
    """Share of people behind objects."""
    things: tuple[int, int]
    """Number of objects: from the first, below the second."""
    size: float
    """Size of the objects; 1 is about the size of a body part."""
    accompanied: float
    """Share of people with a second person beside them."""
    nearer: float
    """Share of these second people that are nearer to the viewer."""
    away: tuple[float, float]
    """Sideways distance of the second person, in statures."""


OCCLUSIONS = {
    "usual": Occlusion(0.55, (1, 3), 1.0, 0.25, 0.38, (0.28, 0.6)),
    "heavy": Occlusion(0.95, (2, 4), 1.4, 0.5, 0.75, (0.25, 0.5)),
}
"""By the value of --occlusion; "usual" is about as much as in MPII."""


@dataclass(frozen=True)
class Config:
    """What to draw."""

    output: str
    """Folder for the shards and dataset.json."""
    train: int = 1500
    """People in the training split."""
    val: int = 100
    """People in the validation split."""
    test: int = 200
    """People in the test split."""
    size: int = 160
    """Side of the pictures in pixels; a person's square is about 3/4 of it."""
    seed: int = 0
    """Seed of the drawings."""
    occlusion: Literal["usual", "heavy"] = "usual"
    """Amount of occlusion."""
    box_shift: float = 0.0
    """Standard deviation of the recorded centre per axis, in sides of a
    person's square; about 0.1 for a mediocre detector."""
    box_zoom: float = 0.0
    """Standard deviation of the recorded scale, in octaves; about 0.25 for that
    detector."""
    variety: Literal["plain", "rich"] = "plain"
    """rich: also people who crouch, lie or stand on their heads, perspective,
    motion blur, light and textures."""
    workers: int | None = None
    """Number of processes; by default one per core."""


def draw(seed, size=160, occlusion="usual", variety="plain"):
    """Draws one picture.

    Args:
        seed: an argument of `numpy.random.default_rng`.
        size: side of the picture in pixels.
        occlusion: a name in `OCCLUSIONS`.
        variety: plain or rich.

    Returns:
        (size, size, 3) uint8 RGB, and the list of its `Person`, subject first.
    """
    rng = np.random.default_rng(seed)
    paint = {"plain": _paint, "rich": _paint_rich}[variety]
    canvases, bodies, picture = paint(rng, size, OCCLUSIONS[occlusion])
    people = [
        truth(canvas, body, f"{seed}#{index}")
        for index, (canvas, body) in enumerate(
            zip(canvases, bodies, strict=True)
        )
    ]
    keep = people[:1] + [p for p in people[1:] if (p.flags > 0).sum() >= NOTED]
    return scene.photograph(rng, picture), keep


def _paint(rng, size, before):
    """Each person's canvas and `figure.Body`, and the picture of all."""
    subject, _ = _place(
        rng, size, pose.random_angles(rng), pose.random_view(rng)
    )
    bodies = [subject]
    if rng.random() < before.accompanied:
        angles = pose.random_angles(rng)
        view = pose.random_view(rng, lying=0)
        bodies.append(_neighbour(rng, subject, before, angles, view))
    picture = scene.background(rng, (size, size))
    for body in bodies:
        scene.shadow(picture, body)
    canvas = _empty(picture, scene.lamp(rng))
    for _ in range(rng.integers(0, 5)):
        scene.bar(canvas, rng, size, depth=-4 * size)
    for body in bodies:
        figure.paint_person(canvas, body, clothes.random_look(rng))
    _cover(canvas, rng, subject, before, 4 * size)
    return [canvas] * len(bodies), bodies, canvas.picture()


def _paint_rich(rng, size, before):
    """As `_paint`, with more poses, views, light, surroundings and motion."""
    accompanied = rng.random() < before.accompanied
    nearest = NEAREST[accompanied]
    distance = nearest * (FARTHEST / nearest) ** rng.random()
    subject, eye = _place(rng, size, *_random_act(rng), distance=distance)
    bodies = [subject]
    if accompanied:
        act = _random_act(rng)
        bodies.append(_neighbour(rng, subject, before, *act, apart=1.2))
    light = exposure.random_light(rng)
    picture = textures.background(rng, (size, size))
    if rng.random() < 0.5:
        for body in bodies:
            scene.shadow(picture, body.seen(eye))
    falloff = rng.uniform(0, 0.4) * textures.gradient(rng, (size, size))
    canvas = _empty(
        light.on(picture, falloff),
        light.lamp,
        ambient=light.ambient,
        diffuse=light.diffuse,
    )
    for _ in range(rng.integers(0, 4)):
        scene.bar(canvas, rng, size, depth=-FRONT * size)
    backdrop = canvas.colors.copy()
    owned = [
        replace(canvas, number=number, eye=eye)
        for number in range(1, len(bodies) + 1)
    ]
    for own, body in zip(owned, bodies, strict=True):
        figure.paint_person(own, body, clothes.random_look(rng))
    if rng.random() < MOVING:
        length = rng.uniform(0.02, 0.1) * subject.unit
        kernel = exposure.streak(rng, FINE * length)
        exposure.move_people(canvas, backdrop, kernel)
    _cover(canvas, rng, subject.seen(eye), before, FRONT * size)
    picture = canvas.picture()
    if rng.random() < SHAKEN:
        kernel = exposure.streak(rng, rng.uniform(0.005, 0.025) * size)
        picture = cv2.filter2D(picture, -1, kernel)
    return owned, bodies, picture


def _random_act(rng):
    """Angles and attitude of somebody who moves in any way."""
    families = (*pose.LEGS, *pose.ACTS)
    return pose.random_angles(rng, families), pose.random_attitude(rng)


def _empty(picture, light, **more):
    """A `Canvas` with this background (H, W, 3)."""
    height, width = picture.shape[:2]
    return Canvas(
        colors=cv2.resize(picture, (FINE * width, FINE * height)),
        depths=np.full((FINE * height, FINE * width), -np.inf, "float32"),
        light=light,
        **more,
    )


def _cover(canvas, rng, subject, before, depth):
    """Objects in front of some joints."""
    if rng.random() >= before.covered:
        return
    for _ in range(rng.integers(*before.things)):
        joint = rng.choice(len(COVER), p=COVER / COVER.sum())
        point = subject.joints[joint, :2]
        point = point + rng.normal(0, 0.03, 2) * subject.unit
        reach = before.size * subject.unit
        scene.obstacle(canvas, rng, point, reach, depth)


def truth(canvas, body, name=""):
    """The `Person` of a drawn body; occluded joints are flagged."""
    size = [side // FINE for side in canvas.depths.shape]
    seen = body.seen(canvas.eye)
    units = seen.unit * seen.scales
    inside, box = figure.outline(seen.joints, units, size)
    hidden = canvas.hidden(seen.joints, seen.radii)
    return Person(
        joints=seen.joints[:, :2].astype("float32"),
        flags=np.where(inside, np.where(hidden, 1, 2), 0),
        center=box[:2] + (box[2:] - 1) / 2,
        scale=float(PADDING * seen.side / PERSON_PIXELS),
        head_size=figure.head_size(body, canvas.eye),
        box=tuple(box.tolist()),
        name=name,
    )


def _place(rng, size, angles, view, distance=None):
    """A person near the middle, sized by `FILL`, and the `Eye`.

    distance: from the eye to the pelvis, in statures; None: very far, no eye.
    """
    joints, frames = pose.seen(angles, view)
    eye = None
    if distance is not None:
        distance = max(distance, joints[:, 2].max() + LENS)
        eye = Eye(np.zeros(2), distance)
    outline = figure.Body(joints, frames, 1, 1).seen(eye)
    low, high = outline.box
    unit = rng.uniform(*FILL) * size / (PADDING * outline.side)
    room = np.maximum(size - 1 - unit * (high - low), 0) / 2
    shift = rng.uniform(-1, 1, 2) * np.minimum(room, 0.1 * size)
    if rng.random() < TRUNCATED:
        cut = rng.uniform(0.03, 0.35, 2) * unit * (high - low)
        away = rng.choice([-1, 1], 2, p=[0.35, 0.65])
        axis = rng.integers(2)
        shift[axis] = (away * (room + cut))[axis]
    middle = (size - 1) / 2 + shift - unit * (low + high) / 2
    joints = unit * joints
    joints[:, :2] += middle
    body = figure.Body(joints, frames, unit, figure.random_build(rng))
    return body, eye and Eye(middle, unit * distance)


def _neighbour(rng, subject, occlusion, angles, view, apart=2):
    """A second person, `apart` statures nearer or farther, to one side."""
    joints, frames = pose.seen(angles, view)
    nearer = rng.choice([-1, 1], p=[1 - occlusion.nearer, occlusion.nearer])
    unit = subject.unit * rng.uniform(0.85, 1.1) * (1 + 0.06 * nearer)
    away = rng.choice([-1, 1]) * rng.uniform(*occlusion.away) * subject.unit
    shift = (away, rng.normal(0, 0.06) * subject.unit, apart * nearer * unit)
    joints = unit * joints + subject.joint("pelvis") + shift
    return figure.Body(joints, frames, unit, figure.random_build(rng))


def careless(person, shift, zoom, rng):
    """The person with the centre, scale and box of an inaccurate detector.

    Args:
        person: `Person`.
        shift: deviation of the centre per axis, sides of the person's square.
        zoom: deviation of the scale, octaves.
        rng: numpy generator; draws three numbers.
    """
    *moved, octaves = rng.standard_normal(3) * (shift, shift, zoom)
    step = np.array(moved) * person.scale * PERSON_PIXELS
    factor = 2.0**octaves
    corner, extent = np.split(np.array(person.box), 2)
    corner = corner + step + (1 - factor) * extent / 2
    return replace(
        person,
        center=person.center + step,
        scale=person.scale * factor,
        box=(*corner.tolist(), *(factor * extent).tolist()),
    )


def make(task, occlusion="usual", box_shift=0.0, box_zoom=0.0, variety="plain"):
    """(seed, split, index, size) -> `Picture`; no two splits share a seed."""
    seed, split, index, size = task
    image, people = draw((seed, split, index), size, occlusion, variety)
    rng = np.random.default_rng((seed, split, index, DETECTOR))
    people = [careless(p, box_shift, box_zoom, rng) for p in people]
    return to_picture(image, people, f"drawn-{seed}-{split}-{index}")


def to_picture(image, people, source):
    """The `Picture` of a drawing (H, W, 3) uint8 RGB and its people."""
    _, encoded = cv2.imencode(
        ".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    return Picture(
        encoded=encoded.tobytes(),
        size=image.shape[:2],
        people=tuple(people),
        source=source,
        matrix=np.eye(2, 3),
    )


def main(config):
    """Draws all splits; returns the folder."""
    counts = {"train": config.train, "val": config.val, "test": config.test}
    if min(counts.values()) < 0 or not sum(counts.values()):
        raise ValueError(f"expected at least one person, got {counts}")
    if config.size < 32:
        raise ValueError(f"size must be at least 32, got {config.size}")
    for name in ("box_shift", "box_zoom"):
        if not 0 <= getattr(config, name) < np.inf:
            raise ValueError(
                f"{name} must be 0 or more, got {getattr(config, name)}"
            )
    tasks = {
        split: [(config.seed, place, i, config.size) for i in range(count)]
        for place, (split, count) in enumerate(counts.items())
        if count
    }
    save(
        config,
        tasks,
        partial(
            make,
            occlusion=config.occlusion,
            box_shift=config.box_shift,
            box_zoom=config.box_zoom,
            variety=config.variety,
        ),
        max_side=config.size,
    )
    return config.output


def save(config, tasks, make, max_side, module="tfrecords.synthetic", **extra):
    """`shards.save` of drawn people by the command `module`."""
    shards.save(
        config.output,
        tasks,
        make,
        skeleton=MPII.name,
        protocol="pckh",
        title=DRAWN,
        drawn=True,
        max_side=max_side,
        workers=config.workers,
        command=command_of(config, module),
        **extra,
    )


def command_of(config, module="tfrecords.synthetic"):
    """The command that draws these people again, also where a training drew
    them: flags that are not the defaults. (The workers change nothing.)"""
    words = ["python", "-m", module]
    for setting in fields(config):
        value = getattr(config, setting.name)
        if value != setting.default and setting.name != "workers":
            values = value if isinstance(value, tuple) else (value,)
            flag = f"--{setting.name.replace('_', '-')}"
            words += [flag, *map(str, values)]
    return shlex.join(words)


if __name__ == "__main__":
    from keras_pose.console import run

    run(main, Config, __doc__)
