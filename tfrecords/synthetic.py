"""Drawn people: the data set that needs no download.

Stylised people of MPII's 16 joints before cluttered backgrounds, behind things,
cut off by the border, at times beside somebody else. Each picture knows the
exact truth: a joint's flag is 2 where it can be seen, 1 where another part of
the body, an object or the other person covers it, and 0 where it lies outside
the picture. Head size, centre and scale are MPII's. What is
drawn depends on the seed only, not on the number of workers.

Run      python -m tfrecords.synthetic --output data/synthetic
Expect   1,600 people to train on, 200 to validate on, in well under a minute
"""

from dataclasses import dataclass

import cv2
import numpy as np

from keras_pose.data.records import Person, Picture
from keras_pose.geometry import PERSON_PIXELS
from keras_pose.skeletons import MPII
from tfrecords import figure, shards
from tfrecords.canvas import FINE, Canvas, panel, tube

PADDING = 1.25  # room around a person's box, as around MPII's
FILL = (0.66, 0.84)  # side of the padded person over that of the picture
TRUNCATED = 0.22  # how many people reach beyond the border
COVERED = 0.55  # how many stand behind something
ACCOMPANIED = 0.3  # how many have somebody beside them
QUALITY = 92  # of the JPEG

_GROUPS = {
    index: name for name, found in MPII.groups.items() for index in found
}
_RADII = np.array([figure.RADII[_GROUPS[i]] for i in range(len(MPII.joints))])


@dataclass(frozen=True)
class Config:
    """What to draw."""

    output: str
    """Folder for the shards and dataset.json."""
    train: int = 1600
    """People in the training split."""
    val: int = 200
    """People in the validation split."""
    test: int = 0
    """People in the test split."""
    size: int = 160
    """Side of the pictures in pixels; a person's square is about 3/4 of it."""
    seed: int = 0
    """Another seed, other people."""
    workers: int | None = None
    """Processes that draw; one per core if not given."""


def draw(seed, size=160):
    """Draws one picture.

    Args:
        seed: what `numpy.random.default_rng` takes.
        size: side of the picture in pixels.

    Returns:
        (size, size, 3) uint8 RGB, and the list of its `Person`, subject first.
    """
    rng = np.random.default_rng(seed)
    light = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.9, 0), 0.75])
    canvas = Canvas(
        colors=_background(rng, size * FINE),
        depths=np.full((size * FINE,) * 2, -np.inf, "float32"),
        light=(light / np.linalg.norm(light)).astype("float32"),
    )
    for _ in range(rng.integers(0, 7)):
        _bar(canvas, rng, size, depth=-4 * size)
    subject = _place(rng, size)
    bodies = [subject]
    if rng.random() < ACCOMPANIED:
        bodies.append(_neighbour(rng, subject))
    for body in bodies:
        figure.paint_person(canvas, body, figure.random_look(rng))
    if rng.random() < COVERED:
        for _ in range(rng.integers(1, 3)):
            _obstacle(canvas, rng, subject)
    people = [
        truth(canvas, body, f"{seed}#{index}")
        for index, body in enumerate(bodies)
    ]
    keep = people[:1] + [p for p in people[1:] if (p.flags > 0).sum() >= 4]
    return _photograph(rng, canvas.picture()), keep


def truth(canvas, body, name=""):
    """The `Person` that a drawn body is, with what hides its joints."""
    height, width = (side // FINE for side in canvas.depths.shape)
    points = body.joints[:, :2]
    # pixel centres lie on whole numbers: the picture spans -0.5 ... width - 0.5
    inside = ((points >= -0.5) & (points < (width - 0.5, height - 0.5))).all(1)
    hidden = canvas.hidden(body.joints, _RADII * body.unit * body.build)
    low, high = _extent(body)
    side = PADDING * (high - low).max()
    low, high = (np.clip(v, 0, (width - 1, height - 1)) for v in (low, high))
    return Person(
        joints=points.astype("float32"),
        flags=np.where(inside, np.where(hidden, 1, 2), 0),
        center=(low + high) / 2,
        scale=float(side / PERSON_PIXELS),
        head_size=figure.head_size(body),
        box=(*low.tolist(), *(high - low + 1).tolist()),
        name=name,
    )


def _extent(body):
    """Corners of the box around the whole body, pixels."""
    points, margin = body.joints[:, :2], 0.04 * body.unit
    return points.min(0) - margin, points.max(0) + margin


def _place(rng, size):
    """A person of random pose, as large as `FILL` says, near the middle."""
    angles = figure.random_angles(rng)
    joints, frames = figure.seen(angles, figure.random_view(rng))
    low, high = joints[:, :2].min(0) - 0.04, joints[:, :2].max(0) + 0.04
    # somebody curled up is not blown up to the size of a standing person
    extent = max((high - low).max(), 0.7)
    unit = rng.uniform(*FILL) * size / (PADDING * extent)
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
    return figure.Body(joints, frames, unit, figure.random_build(rng))


def _neighbour(rng, subject):
    """Somebody beside the subject, in front of them or behind."""
    angles = figure.random_angles(rng)
    joints, frames = figure.seen(angles, figure.random_view(rng))
    nearer = rng.choice([-1, 1], p=[0.62, 0.38])
    unit = subject.unit * rng.uniform(0.85, 1.1) * (1 + 0.06 * nearer)
    away = rng.choice([-1, 1]) * rng.uniform(0.28, 0.6) * subject.unit
    shift = (away, rng.normal(0, 0.06) * subject.unit, 2 * nearer * unit)
    joints = unit * joints + subject.joint("pelvis") + shift
    return figure.Body(joints, frames, unit, figure.random_build(rng))


def _bar(canvas, rng, size, depth):
    """Something like a limb that is none: a pole, a branch, a pipe."""
    start = rng.uniform(-0.1, 1.1, 2) * size
    paint = figure.cloth(rng)
    if rng.random() < 0.3:
        paint = figure.plain(figure.SKIN[rng.integers(len(figure.SKIN))])
    angle = rng.uniform(0, 2 * np.pi)
    width = rng.uniform(0.015, 0.045) * size
    for _ in range(rng.integers(1, 3)):
        step = np.array([np.cos(angle), np.sin(angle)])
        end = start + rng.uniform(0.1, 0.45) * size * step
        tube(
            canvas,
            np.array([*start, depth]),
            np.array([*end, depth]),
            width * rng.uniform(0.7, 1.1, 2),
            lambda along, around: paint(along / size, around),
        )
        start, angle = end, angle + rng.normal(0, 1)


def _obstacle(canvas, rng, subject):
    """A thing in front of the subject, most often over a hand or a foot."""
    unit = subject.unit
    depth = 4 * unit
    often = {"wrist": 3, "ankle": 3, "knee": 2, "elbow": 2, "hip": 1}
    share = np.array([often.get(_GROUPS[i], 0.3) for i in range(len(_RADII))])
    joint = rng.choice(len(share), p=share / share.sum())
    center = subject.joints[joint, :2] + rng.normal(0, 0.03, 2) * unit
    kind = rng.random()
    color = figure.random_colors(rng, 1)[0]
    if kind < 0.3:  # a pole or a branch across
        angle = rng.uniform(0, np.pi)
        step = np.array([np.cos(angle), np.sin(angle)]) * unit
        ends = (center - rng.uniform(0.2, 1) * step, center + 0.5 * step)
        paint = figure.cloth(rng)
        tube(
            canvas,
            *(np.array([*end, depth]) for end in ends),
            unit * rng.uniform(0.02, 0.045, 2),
            lambda along, around: paint(along / unit, around),
        )
    elif kind < 0.65:  # a box, a sign, a case
        half = unit * rng.uniform(0.05, 0.13, 2)
        angle = rng.normal(0, 0.3)
        _box(canvas, center, half, angle, depth, color)
    else:  # a bush, a ball, a bag
        paint = figure.cloth(rng)
        for _ in range(rng.integers(1, 5)):
            at = center + rng.normal(0, 0.045, 2) * unit
            end = at + rng.normal(0, 0.04, 2) * unit
            tube(
                canvas,
                np.array([*at, depth]),
                np.array([*end, depth]),
                unit * rng.uniform(0.035, 0.075, 2),
                lambda along, around: paint(along / unit, around),
            )


def _box(canvas, center, half, angle, depth, color):
    """A panel with a darker rim and a band across."""
    cos, sin = np.cos(angle), np.sin(angle)
    axes = np.array([[cos, sin], [-sin, cos]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    panel(canvas, center + corners * half @ axes, depth, 0.6 * color)
    inner = corners * (half - 0.14 * half.min()) @ axes
    panel(canvas, center + inner, depth + 1, color)
    band = corners * (half * (0.8, 0.12)) @ axes
    panel(canvas, center + band, depth + 2, 0.75 * color)


def _background(rng, size):
    """(size, size, 3) float32: walls, floors, things and noise."""
    low, high = figure.random_colors(rng, 2)
    share = np.linspace(0, 1, size, dtype="float32")[:, None, None]
    picture = np.tile(low + share * (high - low), (1, size, 1))
    picture = picture.astype("float32")
    if rng.random() < 0.7:  # a floor that ends at a wall or the sky
        line = int(rng.uniform(0.5, 0.9) * size)
        near = np.linspace(0.75, 1.15, size - line, dtype="float32")
        picture[line:] = figure.random_colors(rng, 1)[0] * near[:, None, None]
    for _ in range(rng.integers(3, 13)):
        _thing(rng, picture)
    for cells, strength in ((6, 14), (24, 10), (80, 7)):
        noise = rng.normal(0, strength, (cells, cells, 1))
        noise = noise + rng.normal(0, 0.4 * strength, (cells, cells, 3))
        picture += cv2.resize(
            noise.astype("float32"),
            (size, size),
            interpolation=cv2.INTER_LINEAR,
        )
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 3))


def _thing(rng, picture):
    """A window, a hill, a crate: a polygon, perhaps with stripes."""
    size = len(picture)
    center = rng.uniform(0, 1, 2)
    reach = rng.uniform(0.04, 0.25) * np.exp(rng.normal(0, 0.4, 2))
    if rng.random() < 0.5:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    else:
        turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        corners = np.stack([np.cos(turns), np.sin(turns)], 1)
    points = np.rint(size * (center + corners * reach)).astype("int32")
    color = figure.random_colors(rng, 1)[0]
    cv2.fillPoly(picture, [points], color.tolist())
    if rng.random() < 0.3:
        for share in np.linspace(0.1, 0.9, rng.integers(2, 7)):
            ends = points[0] + share * (points[1:3] - points[0])
            ends = np.rint(ends).astype("int32")
            cv2.polylines(
                picture, [ends], False, (0.7 * color).tolist(), FINE * 2
            )


def _photograph(rng, picture):
    """The picture as a camera sees it: contrast, cast, blur and grain."""
    seen = picture.astype("float32")
    seen = 128 + (seen - 128) * rng.uniform(0.75, 1.1)
    seen = seen * rng.uniform(0.9, 1.1, 3) + rng.uniform(-18, 18)
    if rng.random() < 0.4:
        seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 0.8))
    grain = rng.normal(0, 1, picture.shape[:2]) * rng.uniform(0, 7)
    return np.clip(np.rint(seen + grain[..., None]), 0, 255).astype("uint8")


def make(task):
    """(seed, split, index, size) -> `Picture`; splits share no seed."""
    seed, split, index, size = task
    image, people = draw((seed, split, index), size)
    _, encoded = cv2.imencode(
        ".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    return Picture(
        encoded=encoded.tobytes(),
        size=image.shape[:2],
        people=tuple(people),
        source=f"drawn-{seed}-{split}-{index}",
        matrix=np.eye(2, 3),
    )


def main(config):
    """Draws all splits; returns the folder."""
    counts = {"train": config.train, "val": config.val, "test": config.test}
    if min(counts.values()) < 0 or not sum(counts.values()):
        raise ValueError(f"at least one person wanted, got {counts}")
    if config.size < 32:
        raise ValueError(f"size must be at least 32, got {config.size}")
    tasks = {
        split: [(config.seed, place, i, config.size) for i in range(count)]
        for place, (split, count) in enumerate(counts.items())
        if count
    }
    shards.save(
        config.output,
        tasks,
        make,
        skeleton=MPII.name,
        protocol="pckh",
        max_side=config.size,
        workers=config.workers,
    )
    return config.output


if __name__ == "__main__":
    from keras_pose.console import run

    run(main, Config, __doc__)
