"""Light and motion of a drawn photograph."""

from dataclasses import dataclass

import cv2
import numpy as np

from tfrecords.drawn import scene

BRIGHT = 1.15
"""Light on a surface that faces the lamp, for a usual exposure."""
TINT = 0.12
"""Deviation of the lamp's and the shade's red, green and blue."""


@dataclass(frozen=True)
class Light:
    """A lamp and the light of the surroundings."""

    lamp: np.ndarray
    """(3,) unit vector towards the lamp."""
    ambient: np.ndarray
    """(3,) red, green, blue of the light in the shade."""
    diffuse: np.ndarray
    """(3,) what the lamp adds on a surface that faces it."""

    def on(self, picture, falloff):
        """A background (H, W, 3) in this light, which fades to one side.

        falloff: (H, W), 0 where the light is full, 1 in the dark.
        """
        # a wall is turned by some 45 degrees from the lamp
        light = self.ambient + 0.7 * self.diffuse
        return picture * (light * (1 - falloff[..., None]))


def random_light(rng):
    """From dusk to glare, soft or hard, from any side but the back."""
    shade = rng.uniform(0.2, 0.9)
    power = BRIGHT * 2.0 ** np.clip(rng.normal(-0.1, 0.45), -1.3, 0.5)
    tints = np.exp(rng.normal(0, TINT, (2, 3)))
    ambient, diffuse = power * tints * [[shade], [1 - shade]]
    return Light(
        scene.lamp(rng, rng.uniform(0, 1.2)),
        ambient.astype("float32"),
        diffuse.astype("float32"),
    )


def streak(rng, length):
    """Kernel of a straight motion by `length` pixels: odd square, sum 1.

    It is its own mirror image at the middle, where a label stays.
    """
    reach = int(np.ceil(length / 2))
    angle = rng.uniform(0, np.pi)
    half = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), "float32")
    for share in np.linspace(-1, 1, 4 * reach + 3):
        column, row = reach + share * half
        left, top = int(column), int(row)
        for y, x in ((top, left), (top + 1, left), (top, left + 1),
                     (top + 1, left + 1)):  # fmt: skip
            weight = (1 - abs(row - y)) * (1 - abs(column - x))
            if weight > 0:
                kernel[y, x] += weight
    return kernel / kernel.sum()


def move_people(canvas, backdrop, kernel):
    """Blurs what people own, over the `backdrop` (as `canvas.colors`)."""
    own = (canvas.owners > 0).astype("float32")[..., None]
    moved = cv2.filter2D(
        canvas.colors * own, -1, kernel, borderType=cv2.BORDER_REPLICATE
    )
    cover = cv2.filter2D(own, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    canvas.colors[:] = moved + (1 - cover[..., None]) * backdrop
