"""Textured surroundings by formula: noise, stripes and gradients.

A pattern is (H, W) float32, 0 to 1; a surface is (H, W, 3) float32 RGB.
"""

import cv2
import numpy as np

from tfrecords.drawn import scene

COARSEST = 2
"""Cells of the first octave of noise; each octave has twice as many."""


def octaves(rng, size):
    """Noise of several octaves: clouds, foliage, gravel, grain of wood.

    An octave's amplitude falls with its frequency as f**-a, a from 0.2 (gravel)
    to 1.2 (clouds). Photographs are rougher than clouds: nearly equal octaves.
    """
    height, width = size
    fall = 2 ** -rng.uniform(0.2, 1.2)
    stretch = 2.0 ** rng.normal(0, 0.8)  # wider or higher than the cells
    noise, cells, strength = np.zeros(size, "float32"), COARSEST, 1.0
    while cells <= max(size) / 2:
        rows, columns = (
            int(np.clip(round(cells * factor), 2, side))
            for factor, side in zip((stretch, 1 / stretch), size, strict=True)
        )
        octave = rng.standard_normal((rows, columns), "float32")
        noise += strength * cv2.resize(
            octave, (width, height), interpolation=cv2.INTER_CUBIC
        )
        cells, strength = 2 * cells, strength * fall
    return _spread(noise)


def stripes(rng, size):
    """Straight or wavy stripes of any direction: planks, fences, ploughland."""
    along = _direction(rng, size) * rng.uniform(3, 25)
    waves = rng.uniform(0, 1.5) * octaves(rng, size)
    wave = np.sin(2 * np.pi * (along + waves))
    return 1 / (1 + np.exp(-rng.uniform(1, 12) * (wave - rng.normal(0, 0.4))))


def gradient(rng, size):
    """From one side to the other, or from a point to everywhere."""
    if rng.random() < 0.6:
        return _spread(_direction(rng, size))
    height, width = size
    x, y = rng.uniform(0, 1, 2) * (width, height)
    rows = np.arange(height, dtype="float32")[:, None] - y
    columns = np.arange(width, dtype="float32")[None] - x
    return _spread(np.sqrt(rows**2 + columns**2))


PATTERNS = {octaves: 0.5, stripes: 0.25, gradient: 0.25}
"""How often each is the main pattern of a surface."""


def surface(rng, size):
    """Two colours mixed by one pattern, and shaded by another."""
    colors = scene.muted(rng, 2).astype("float32")
    main = rng.choice(list(PATTERNS), p=list(PATTERNS.values()))
    mix = main(rng, size)[..., None]
    picture = colors[0] + mix * (colors[1] - colors[0])
    depth = rng.uniform(0, 0.6)
    return picture * (1 - depth / 2 + depth * octaves(rng, size)[..., None])


def background(rng, size):
    """A far surface, often a ground, patches and objects, out of focus."""
    picture = surface(rng, size)
    height, width = size
    if rng.random() < 0.65:  # the ground may rise to one side
        rows = np.arange(height, dtype="float32")[:, None] / height
        columns = np.arange(width, dtype="float32")[None] / width - 0.5
        edge = rows - rng.uniform(0.35, 0.9) - rng.normal(0, 0.1) * columns
        picture = np.where((edge > 0)[..., None], surface(rng, size), picture)
    for _ in range(rng.integers(0, 3)):
        shape = octaves(rng, size) > rng.uniform(0.55, 0.8)
        picture = np.where(shape[..., None], surface(rng, size), picture)
    for _ in range(rng.integers(0, 8)):
        scene.thing(rng, picture)
    return cv2.GaussianBlur(picture, (0, 0), np.exp(rng.uniform(-1.5, 1.1)))


def _direction(rng, size):
    """(H, W) share of the longer side along a random direction."""
    angle = rng.uniform(0, np.pi)
    rows = np.arange(size[0], dtype="float32")[:, None] / max(size)
    columns = np.arange(size[1], dtype="float32")[None] / max(size)
    return np.cos(angle) * columns + np.sin(angle) * rows


def _spread(values):
    """From 0 at the least to 1 at the largest."""
    low, high = values.min(), values.max()
    return (values - low) / max(high - low, 1e-6)
