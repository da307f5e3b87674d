"""Surroundings of a drawn person: background, obstacles, camera."""

import cv2
import numpy as np

from tfrecords.drawn import clothes
from tfrecords.drawn.canvas import panel, tube

SCENERY = np.array(
    [
        (168, 200, 226),  # sky
        (196, 194, 188),  # concrete
        (214, 196, 160),  # sand
        (104, 132, 74),  # grass
        (150, 88, 66),  # brick
        (134, 104, 72),  # wood
        (232, 226, 210),  # plaster
        (92, 100, 110),  # slate
        (76, 116, 138),  # water
        (52, 78, 58),  # fir
    ]
)


def bar(canvas, rng, size, depth):
    """A distractor that resembles a limb: a pole, a branch, a pipe."""
    start = rng.uniform(-0.1, 1.1, 2) * size
    paint = clothes.cloth(rng)
    if rng.random() < 0.3:
        paint = clothes.plain(clothes.SKIN[rng.integers(len(clothes.SKIN))])
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


def lamp(rng, steepest=0.75):
    """(3,) float32 unit vector towards a lamp; steepest: towards the viewer."""
    light = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.9, 0), steepest])
    return (light / np.linalg.norm(light)).astype("float32")


def obstacle(canvas, rng, center, unit, depth):
    """An object of the size of a body part in front of the point `center`."""
    kind = rng.random()
    color = clothes.random_colors(rng, 1)[0]
    if kind < 0.3:  # a pole or a branch across
        angle = rng.uniform(0, np.pi)
        step = np.array([np.cos(angle), np.sin(angle)]) * unit
        ends = (center - rng.uniform(0.2, 1) * step, center + 0.5 * step)
        paint = clothes.cloth(rng)
        start, end = (np.array([*point, depth]) for point in ends)
        tube(
            canvas,
            start,
            end,
            unit * rng.uniform(0.02, 0.045, 2),
            lambda along, around: paint(along / unit, around),
        )
    elif kind < 0.65:  # a box, a sign, a case
        half = unit * rng.uniform(0.05, 0.13, 2)
        angle = rng.normal(0, 0.3)
        box(canvas, center, half, angle, depth, color)
    else:  # a bush, a ball, a bag
        paint = clothes.cloth(rng)
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


def box(canvas, center, half, angle, depth, color):
    """A panel with a darker rim and a band across."""
    cos, sin = np.cos(angle), np.sin(angle)
    axes = np.array([[cos, sin], [-sin, cos]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    panel(canvas, center + corners * half @ axes, depth, 0.6 * color)
    inner = corners * (half - 0.14 * half.min()) @ axes
    panel(canvas, center + inner, depth + 1, color)
    band = corners * (half * (0.8, 0.12)) @ axes
    panel(canvas, center + band, depth + 2, 0.75 * color)


def background(rng, size, line=None):
    """A wall or the sky, a floor, objects, noise: (H, W, 3) float32 RGB.

    Args:
        rng: numpy generator.
        size: (H, W) in pixels.
        line: first row of the floor; None: a random one, or no floor.
    """
    height, width = size
    high, low, near, far = muted(rng, 4).astype("float32")
    share = np.linspace(0, 1, height, dtype="float32")[:, None, None]
    picture = np.tile(high + share * (low - high), (1, width, 1))
    if line is None:
        line = height
        if rng.random() < 0.8:  # a floor that ends at a wall or the sky
            line = int(rng.uniform(0.5, 0.88) * height)
    for _ in range(rng.integers(3, 12)):
        thing(rng, picture)
    share = np.linspace(0, 1, height - line, dtype="float32")[:, None, None]
    picture[line:] = far + share * (near - far)
    for _ in range(rng.integers(0, 5)):
        thing(rng, picture)
    for cells, strength in ((5, 12), (20, 7), (90, 6)):
        noise = rng.normal(0, strength, (cells, cells, 1))
        noise = noise + rng.normal(0, 0.25 * strength, (cells, cells, 3))
        picture += cv2.resize(
            noise.astype("float32"),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.2, 1.3))


def muted(rng, count):
    """(count, 3) colours of walls and nature, rarely others."""
    colors = SCENERY[rng.integers(len(SCENERY), size=count)]
    colors = colors * rng.uniform(0.65, 1.2, (count, 1))
    mix = rng.beta(0.6, 2, (count, 1))
    return colors + mix * (clothes.random_colors(rng, count) - colors)


def thing(rng, picture):
    """A house, a shelf, a tree, a crate: polygons, discs or a grid."""
    size = np.array(picture.shape[1::-1])  # width, height
    color, other = muted(rng, 2)
    center = rng.uniform(0, 1, 2)
    reach = rng.uniform(0.05, 0.22) * np.exp(rng.normal(0, 0.4, 2))
    reach *= size.min() / size
    kind = rng.random()
    if kind < 0.2:  # leaves, clouds
        for _ in range(rng.integers(4, 14)):
            at = np.rint(size * (center + rng.normal(0, 0.5, 2) * reach))
            radius = int(size.min() * rng.uniform(0.02, 0.07))
            shade = color * rng.uniform(0.75, 1.15)
            cv2.circle(picture, at.astype(int).tolist(), radius, shade, -1)
        return
    if kind < 0.4:  # anything with corners
        turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        corners = np.stack([np.cos(turns), np.sin(turns)], 1)
        points = np.rint(size * (center + corners * reach)).astype("int32")
        cv2.fillPoly(picture, [points], color.tolist())
        return
    low, high = np.rint(size * (center + np.outer((-1, 1), reach))).astype(int)
    cv2.rectangle(picture, low.tolist(), high.tolist(), color.tolist(), -1)
    if kind < 0.8:  # windows, books, planks
        cells = rng.integers(1, 6, 2)
        step = (high - low) / cells
        gap = rng.uniform(0.08, 0.3)
        for column in range(cells[0]):
            for row in range(cells[1]):
                corner = low + step * (column, row)
                inner = np.rint(
                    [corner + gap * step, corner + (1 - gap) * step]
                )
                first, last = inner.astype(int).tolist()
                cv2.rectangle(picture, first, last, other.tolist(), -1)


def shadow(picture, body):
    """Darkens the floor below the body."""
    low, high = body.box
    center = (low[0] + high[0]) / 2, high[1] - 0.02 * body.unit
    axes = 0.5 * (high[0] - low[0]), 0.07 * body.unit
    small = 2  # the mask is smooth: a quarter of the pixels is enough
    mask = np.zeros([side // small for side in picture.shape[:2]], "float32")
    center, axes = (
        tuple(int(round(v / small)) for v in pair) for pair in (center, axes)
    )
    cv2.ellipse(mask, center, axes, 0, 0, 360, 0.45, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.02 * len(picture) / small + 1)
    picture *= 1 - cv2.resize(mask, picture.shape[1::-1])[..., None]


def photograph(rng, picture, grain_rng=None):
    """The picture with camera effects: contrast, colour cast, blur, grain.

    The frames of a clip have equal effects of the same `rng`, and grain of
    different `grain_rng`.
    """
    seen = picture.astype("float32")
    seen = 128 + (seen - 128) * rng.uniform(0.75, 1.1)
    seen = seen * rng.uniform(0.9, 1.1, 3).astype("float32") + rng.uniform(
        -18, 18
    )
    if rng.random() < 0.4:
        seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 0.8))
    grain = (grain_rng or rng).standard_normal(picture.shape[:2], "float32")
    grain *= rng.uniform(0, 7)
    return np.clip(np.rint(seen + grain[..., None]), 0, 255).astype("uint8")
