"""Clothes of drawn people: fabrics and random outfits.

A paint is a function (along, around) -> (n, 3) RGB, 0 to 255: `along` is the
distance from the start of a limb in statures, `around` -1 to 1 from edge to
edge.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SKIN = np.array(
    [
        (255, 224, 196),
        (244, 204, 170),
        (232, 184, 145),
        (214, 160, 118),
        (188, 132, 92),
        (152, 102, 70),
        (116, 76, 52),
        (84, 54, 40),
    ]
)
HAIR = np.array(
    [
        (28, 22, 20),
        (52, 36, 26),
        (92, 60, 36),
        (138, 92, 50),
        (196, 154, 88),
        (224, 200, 140),
        (150, 66, 34),
        (150, 148, 146),
    ]
)


def cloth(rng):
    """(along, around) -> RGB of a random fabric; along in statures."""
    main, second = random_colors(rng, 2)
    if rng.random() < 0.5:  # two shades of one colour
        second = np.clip(main * rng.choice([0.6, 1.5]), 0, 255)
    kind = rng.choice(
        ["plain", "hoops", "stripes", "checks", "spots", "mottled"],
        p=[0.42, 0.15, 0.1, 0.12, 0.08, 0.13],
    )
    period = rng.uniform(0.035, 0.075)
    phase = rng.uniform(0, 6, 3)

    def paint(along, around):
        # around the limb in statures; the fabric wraps around the solid
        wrapped = 0.07 * np.arcsin(np.clip(around, -1, 1))
        a = 2 * np.pi * along / period + phase[0]
        b = 2 * np.pi * wrapped / period + phase[1]
        if kind == "hoops":
            mix = np.sin(a) > 0.2
        elif kind == "stripes":
            mix = np.sin(1.6 * b) > 0.3
        elif kind == "checks":
            mix = ((np.sin(a) > 0) * 1.0 + (np.sin(b) > 0)) / 2
        elif kind == "spots":
            mix = np.sin(a) * np.sin(b) > 0.55
        elif kind == "mottled":
            wave = np.sin(0.6 * a + 1.3 * b) + np.sin(1.1 * a - 0.7 * b)
            mix = np.clip(0.5 + 0.4 * wave + 0.2 * np.sin(2.3 * b), 0, 1)
        else:
            mix = np.zeros_like(a)
        folds = np.sin(90 * along + 5 * around + phase[2])
        folds = 1 + 0.05 * folds * np.sin(37 * along - 4 * around)
        mix = np.asarray(mix, "float32")[:, None]
        return (main + mix * (second - main)) * folds[:, None]

    return paint


def random_colors(rng, count):
    """(count, 3) RGB, 0 to 255: random hues, rarely saturated."""
    hue = rng.uniform(0, 1, (count, 1)) + [0, 1 / 3, 2 / 3]
    pure = 0.5 + 0.5 * np.cos(2 * np.pi * hue)
    value = rng.uniform(40, 250, (count, 1))
    grey = rng.beta(1.3, 1.5, (count, 1))
    return value * (grey + (1 - grey) * pure)


def plain(color):
    """(along, around) -> one RGB colour with slight variations."""

    def paint(along, around):
        uneven = 1 + 0.03 * np.sin(60 * along + 4 * around)
        return np.asarray(color) * uneven[:, None]

    return paint


def until(share, first, second):
    """One paint up to `share` statures along, another one beyond."""

    def paint(along, around):
        mixed = first(along, around)
        beyond = along > share
        mixed[beyond] = second(along[beyond], around[beyond])
        return mixed

    return paint


FRONTS = ("print", "zip", "tie", "open", "plain")


@dataclass(frozen=True)
class Look:
    """Colours and paints of a person's parts."""

    skin: np.ndarray
    hair: np.ndarray
    hair_length: float
    """Length below the head in statures; 0 is short, negative is bald."""
    hat: np.ndarray | None
    front: str
    """Front of the shirt: print, zip, tie, open or plain."""
    accent: np.ndarray
    """Colour of the front and of the bag on the back."""
    bag: bool
    shirt: Callable
    upper_arm: Callable
    forearm: Callable
    trousers: Callable
    thigh: Callable
    shank: Callable
    shoe: Callable


def random_look(rng):
    """Clothes, skin and hair; sleeves and trousers are long or short."""
    skin = SKIN[rng.integers(len(SKIN))] * rng.uniform(0.92, 1.05)
    bare = plain(skin)
    shirt, trousers = cloth(rng), cloth(rng)
    short_sleeve = until(rng.uniform(0.06, 0.13), shirt, bare)
    shorts = until(rng.uniform(0.1, 0.22), trousers, bare)
    sleeves = [(shirt, shirt), (short_sleeve, bare), (bare, bare)]
    upper_arm, forearm = sleeves[rng.choice(3, p=[0.45, 0.42, 0.13])]
    legs = [(trousers, trousers), (shorts, bare)]
    thigh, shank = legs[rng.choice(2, p=[0.65, 0.35])]
    lengths = [-1, 0, rng.uniform(0.04, 0.13)]
    return Look(
        skin=skin,
        hair=HAIR[rng.integers(len(HAIR))] * rng.uniform(0.85, 1.1),
        hair_length=rng.choice(lengths, p=[0.07, 0.58, 0.35]),
        hat=random_colors(rng, 1)[0] if rng.random() < 0.16 else None,
        front=FRONTS[rng.choice(len(FRONTS), p=[0.26, 0.16, 0.14, 0.32, 0.12])],
        accent=random_colors(rng, 1)[0],
        bag=rng.random() < 0.12,
        shirt=shirt,
        upper_arm=upper_arm,
        forearm=forearm,
        trousers=trousers,
        thigh=thigh,
        shank=shank,
        shoe=plain(random_colors(rng, 1)[0] * rng.choice([0.5, 1])),
    )
