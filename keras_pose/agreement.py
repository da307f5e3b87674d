"""Whether an exported file finds the joints that the model finds.

Float files are compared on drawn people, joint by joint. Half precision moves
single joints far where the network is not sure, 8-bit integers more of them: a
file may lose a point of a metric, on the drawn people with the model's joints
for the truth, or of integers on people of a data set.
"""

import numpy as np
import tensorflow as tf

from keras_pose import drawing, everybody, geometry, metrics
from keras_pose.data import annotations, photograph, reading, records
from keras_pose.people import Poses

PEOPLE = 16
"""Drawn people on whom files are compared."""
SAME = 0.01
"""Pixels within which joints are the same."""
SCORES = 1e-3
"""Largest difference of a score."""
POINTS = 1.0
"""Per cent of the joints that may differ: where two cells of a map are equally
high up to rounding, either is right. 8-bit integers may lose as much of the
metric of a data set."""
HALF_SAME = 1 / 20
"""Share of a box's longer side within which joints of half precision are the
same, about half a head as in PCKh@0.5; and at least one in two lies within"""
HALF_STEP = 0.5
"""pixels, the distance of float16's neighbours from 512 to 1024."""
HALF_SCORES = 0.02
"""Largest difference of a score: float16 moves weights by 2^-11 of their value
at most, and those of 40 layers that all add up by that much."""
CALIBRATED, JUDGED = 64, 500
"""People of a data set who set the ranges of integers, and who judge."""


def draw_people(skeleton, count=PEOPLE, crowded=False):
    """Skeletons in front of clouds: the same ones at each call.

    Args:
        skeleton: whose joints are drawn.
        count: of photographs.
        crowded: whether they show 1 to 4 people, and not one.

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
        image = image + rng.integers(0, 40, image.shape).astype("uint8")
        for _ in range(1 + seed % 4 if crowded else 1):
            side = rng.uniform(0.4, 1.0) * min(height, width)
            middle = rng.uniform(0.2, 0.8, 2) * (width, height)
            places = rng.uniform(-0.5, 0.5, (len(skeleton.joints), 2))
            joints = middle + places * (0.6 * side, side)
            image = drawing.draw_skeleton(image, joints, skeleton)
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
        Joints of half precision are judged as those of 8-bit integers, with
        the model's own joints for the truth.

    Raises:
        ValueError: it finds something else; says how far off.
    """
    wanted, found = [], []
    people = draw_people(locator.skeleton)
    for image, box in people:
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
        {name: np.stack([one[name] for one in each]) for name in each[0]}
        for each in (wanted, found)
    )
    apart = np.linalg.norm(found["joints"] - wanted["joints"], axis=-1)
    sides = np.array([[max(box[2:])] for _, box in people])
    near = HALF_SAME * sides if half else SAME
    least = HALF_SCORES if half else SCORES
    differ = np.mean(~(apart <= near))  # NaN must count as a difference
    scores = np.abs(found["scores"] - wanted["scores"])
    same = 100 * differ <= POINTS and (scores <= least).all()
    if not same or half and not np.median(apart) <= HALF_STEP:
        raise ValueError(
            f"{100 * differ:.1f} % of the joints of drawn people differ, by up "
            f"to {apart.max():.2f} pixels (median {np.median(apart):.2f}), and "
            f"scores by up to {scores.max():.4f}; expected at most "
            f"{POINTS:.0f} % and {least:g}. Maps without clear peaks, as of an "
            "untrained network, are one reason"
        )
    return float(apart.max()), float(differ)


def compare_everybody(find, finder):
    """`compare` of a file that finds everybody.

    Args:
        find: of an `engines.Engine`.
        finder: the model's `everybody.Finder`.

    Returns:
        (largest distance of a joint in pixels, share of joints that differ,
        number of people that were found in the drawn pictures).

    Raises:
        ValueError: it finds others; says how far off.
    """
    apart, scores, people = [], [], 0
    for image, _ in draw_people(finder.skeleton, crowded=True):
        pair = find(image), everybody.poses_of(finder.image(image))
        people += len(pair[1])
        most = max(map(len, pair))
        joints, heights = (
            [
                np.concatenate(
                    [values, np.full((most - len(values), *rest), no)]
                )
                for values in each
                for rest in [values.shape[1:]]
            ]
            for each, no in (
                ([poses.joints for poses in pair], np.nan),
                ([poses.scores for poses in pair], 0.0),
            )
        )
        found = np.maximum(*heights) > 0  # by the file or by the model
        apart.append(np.linalg.norm(joints[0] - joints[1], axis=-1)[found])
        scores.append(np.abs(heights[0] - heights[1])[found])
    apart, scores = np.concatenate(apart), np.concatenate(scores)
    differ = np.mean(~(apart <= SAME)) if len(apart) else 0.0
    farthest = np.max(np.nan_to_num(apart, nan=np.inf), initial=0.0)
    highest = np.max(scores, initial=0.0)
    if not (100 * differ <= POINTS and highest <= SCORES):
        raise ValueError(
            f"{100 * differ:.1f} % of the joints of the {people} drawn people "
            f"that the model finds differ, by up to {farthest:.2f} pixels, and "
            f"scores by up to {highest:.4f}; expected at most {POINTS:.0f} % "
            f"and {SCORES:g}"
        )
    return float(farthest), float(differ), people


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
