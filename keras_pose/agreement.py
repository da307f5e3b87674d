"""Whether an exported file finds the joints that the model finds.

Float files are compared on drawn people, joint by joint. 8-bit integers move
single joints far where the network is not sure, so that a file of them is
judged by its score on people of a data set.
"""

import numpy as np
import tensorflow as tf

from keras_pose import drawing, geometry, metrics
from keras_pose.data import annotations, photograph, reading, records
from keras_pose.people import Poses

PEOPLE = 16
"""Drawn people on whom files are compared."""
SAME = 0.01
"""Pixels within which joints are the same, and"""
HALF_SAME = 0.5
"""of weights of half precision."""
DIFFER = 0.01
"""Largest share of the joints that may differ: where two cells of a map are
equally high up to rounding, either is right; and"""
HALF_DIFFER = 0.05
"""of weights of half precision."""
SCORES = 1e-3
"""Largest difference of a score, and"""
HALF_SCORES = 0.02
"""of weights of half precision."""
POINTS = 1.0
"""Per cent that 8-bit integers may lose."""
CALIBRATED, JUDGED = 64, 500
"""People of a data set who set the ranges of integers, and who judge."""


def draw_people(skeleton, count=PEOPLE):
    """Skeletons in front of clouds: the same ones at each call.

    Returns:
        list of pairs: photograph (H, W, 3) uint8, and box (4,) float32. Boxes
        lie inside of the photograph, reach beyond it, or are all of it.
    """
    people = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        height, width = rng.integers(90, 700, 2)
        cells = rng.integers(0, 160, (9, 8, 3)).astype("uint8")
        image = drawing.enlarge(cells, 1 + max(height, width) // 8)
        image = np.ascontiguousarray(image[:height, :width])
        noise = rng.integers(0, 40, image.shape).astype("uint8")
        side = rng.uniform(0.4, 1.0) * min(height, width)
        middle = rng.uniform(0.2, 0.8, 2) * (width, height)
        joints = middle + rng.uniform(-0.5, 0.5, (len(skeleton.joints), 2)) * (
            0.6 * side,
            side,
        )
        image = drawing.draw_skeleton(image + noise, joints, skeleton)
        box = [*(middle - side / 2), side, side]
        if seed % 4 == 0:
            box = [0, 0, width, height]
        people.append((image, np.array(box, "float32")))
    return people


def compare(locate, locator, half=False):
    """Compares a file with the model that it was made of.

    Args:
        locate: of an `engines.Engine`.
        locator: the model's `portable.Locator`.
        half: whether the file's weights have half precision.

    Returns:
        (largest distance of a joint in pixels, share of joints that differ).

    Raises:
        ValueError: it finds something else; says how far off.
    """
    wanted, found = [], []
    for image, box in draw_people(locator.skeleton):
        wanted.append(
            {k: v.numpy() for k, v in locator.image(image, box).items()}
        )
        found.append({k: v[0] for k, v in locate(image, box[None]).items()})
    if {*wanted[0]} != {*found[0]}:
        raise ValueError(
            f"its outputs are {', '.join(sorted(found[0]))}, expected "
            f"{', '.join(sorted(wanted[0]))}"
        )
    wanted, found = (
        {name: np.stack([each[name] for each in people]) for name in people[0]}
        for people in (wanted, found)
    )
    apart = np.linalg.norm(found["joints"] - wanted["joints"], axis=-1)
    # NaN must count as a difference.
    differ = np.mean(~(apart <= (HALF_SAME if half else SAME)))
    scores = np.abs(found["scores"] - wanted["scores"])
    least, most = (HALF_SCORES, HALF_DIFFER) if half else (SCORES, DIFFER)
    if differ > most or not (scores <= least).all():
        raise ValueError(
            f"{100 * differ:.1f} % of the joints of drawn people differ, by up "
            f"to {apart.max():.2f} pixels, and scores by up to "
            f"{scores.max():.4f}; expected at most {100 * most:.0f} % "
            f"and {least:g}. Maps without clear peaks, as of an untrained "
            "network, are one reason"
        )
    return float(apart.max()), float(differ)


def read_people(dataset, split, size, most):
    """Photographs and boxes of some people of a data set, evenly spread.

    Args:
        size: (height, width) of the network's input.
        most: number of people.

    Returns:
        list of pairs as of `draw_people`, in the pixels of the records; the
        matrices (N, 2, 3) to those of the photographs; and their `People`.
    """
    index = reading.open_split(dataset, split)
    if not len(index):
        raise ValueError(f"{dataset.folder} has nobody in the split {split}")
    rows = np.unique(np.linspace(0, len(index) - 1, most).round().astype(int))
    sides = index.columns["scale"] * geometry.PERSON_PIXELS / geometry.PADDING
    aspect = min(1, size[1] / size[0])
    pairs = []
    for row, record in zip(rows, index.read(rows), strict=True):
        picture = records.parse(record, len(dataset.skeleton.joints))
        image = photograph.decode(tf.constant(picture.encoded)).numpy()
        extent = sides[row] * np.array([aspect, 1.0])
        corner = index.columns["center"][row] - (extent - 1) / 2
        pairs.append((image, np.array([*corner, *extent], "float32")))
    people = annotations.read_subjects(dataset, split).take(rows)
    return pairs, index.columns["matrix"][rows], people


def score(locate, pairs, matrices, people, dataset):
    """Score in per cent, and its name, of the data set's first protocol.

    Args:
        locate: function of an image and boxes, see `engines.Engine`.
        pairs, matrices, people: of `read_people`.
    """
    found = [locate(image, box[None]) for image, box in pairs]
    joints, scores = (
        np.concatenate([each[name] for each in found])
        for name in ("joints", "scores")
    )
    protocol = metrics.find(dataset.protocols[0])
    poses = Poses(geometry.move(joints.astype("float64"), matrices), scores)
    table = protocol.table(poses, people, dataset.skeleton)
    return 100 * next(iter(protocol.measures(table).values())), protocol.title
