"""People, the ground truth of a split, and Poses, the predictions.

Flat numpy arrays in pixels of the photographs, a row per person or pose.
Evaluation, report, prediction files and drawing take these two.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

MISSING_THRESHOLD = 0.2
"""Joints with a lower score are reported as missing (ours; the report's curve
of precision and recall helps to choose)."""


@dataclass(frozen=True)
class People:
    """N annotated people in P photographs."""

    joints: np.ndarray
    """(N, K, 2) x, y; 0 where the flag is 0."""
    flags: np.ndarray
    """(N, K) COCO's v: 0 not labelled, 1 labelled but occluded, 2 visible."""
    picture: np.ndarray
    """(N,) index of each person's photograph."""
    pictures: list
    """(P,) file names of all photographs, including those without people."""
    names: list
    """(N,) name of each person in the source."""
    image_ids: list | None = None
    """(P,) the source's ids of the photographs, if it has any."""
    center: np.ndarray | None = None
    """(N, 2) x, y of the centre; NaN where unknown, as in all fields below."""
    scale: np.ndarray | None = None
    """(N,) side of the square around the person / 200 pixels."""
    head_size: np.ndarray | None = None
    """(N,) pixels; 0.6 times the diagonal of MPII's head box."""
    box: np.ndarray | None = None
    """(N, 4) x, y, width, height."""
    area: np.ndarray | None = None
    """(N,) pixels that the person covers."""
    crowd: np.ndarray | None = None
    """(N,) bool: a group, not one person; poses found there are ignored."""
    score: np.ndarray | None = None
    """(N,) the detector's score of the box; 1 if annotated."""
    track: np.ndarray | None = None
    """(N,) number of each person in a clip; -1 where unknown."""

    def __post_init__(self):
        number = len(self.joints)
        for name, shape, value in (
            ("center", (number, 2), np.nan),
            ("scale", (number,), np.nan),
            ("head_size", (number,), np.nan),
            ("box", (number, 4), np.nan),
            ("area", (number,), np.nan),
            ("crowd", (number,), False),
            ("score", (number,), 1.0),
            ("track", (number,), -1),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(shape, value))

    def __len__(self):
        return len(self.joints)

    @property
    def sources(self):
        """(N,) file name of each person's photograph."""
        return [self.pictures[number] for number in self.picture]

    @property
    def labels(self):
        """(N, K, 4) float64: x, y, flag, head size."""
        shape = self.flags.shape
        heads = np.broadcast_to(np.asarray(self.head_size)[:, None], shape)
        parts = self.joints, self.flags, heads
        return np.dstack(parts).astype("float64")

    def take(self, rows):
        """These people, with all photographs."""
        return _take(self, rows, {"pictures", "image_ids"})


@dataclass(frozen=True)
class Poses:
    """N predicted poses."""

    joints: np.ndarray
    """(N, K, 2) float64 x, y; NaN for a joint without a prediction."""
    scores: np.ndarray
    """(N, K) score of each joint, 0 ... 1: with heatmaps, the peak's height."""
    person: np.ndarray | None = None
    """(N,) index into `People` of the person in the box, -1 where unknown;
    None: all people in order."""
    picture: np.ndarray | None = None
    """(N,) index of each pose's photograph in `People.pictures`."""
    score: np.ndarray | None = None
    """(N,) score of the whole pose; None: the mean over its joints."""
    box: np.ndarray | None = None
    """(N, 4) x, y, width, height of the input box; NaN where unknown."""
    area: np.ndarray | None = None
    """(N,) area of the crop, pixels."""
    occluded: np.ndarray | None = None
    """(N, K) bool, predicted as occluded; None: not predicted."""
    missing: np.ndarray | None = None
    """(N, K) bool, reported as not in the picture; None: not determined."""
    maps: np.ndarray | None = None
    """(N, h, w, K) float32 heights of the Gaussians, if kept."""
    crops: np.ndarray | None = None
    """(N,) number of crops of each person, if it differs."""

    def __post_init__(self):
        number = len(self.joints)
        if self.person is None:
            object.__setattr__(self, "person", np.arange(number))
        if self.score is None:
            score = np.asarray(self.scores).mean(axis=1)
            object.__setattr__(self, "score", score)
        if self.box is None:
            object.__setattr__(self, "box", np.full((number, 4), np.nan))

    def __len__(self):
        return len(self.joints)

    def take(self, rows):
        """These poses, in this order."""
        return _take(self, rows, set())

    def doubts(self, row):
        """{"missing" or "occluded": (K,) bool} of one pose, if predicted."""
        values = {n: getattr(self, n) for n in ("missing", "occluded")}
        return {n: v[row] for n, v in values.items() if v is not None}

    def of_people(self, count):
        """(count, K, 2) joints of each person; NaN without a pose."""
        joints = np.full((count, *self.joints.shape[1:]), np.nan)
        known = self.person >= 0
        joints[self.person[known]] = self.joints[known]
        return joints


def join(poses):
    """Joins several `Poses`, each of a different photograph."""
    columns = {}
    for field in fields(Poses):
        parts = [getattr(pose, field.name) for pose in poses]
        if all(part is not None for part in parts):
            columns[field.name] = np.concatenate(parts)
    counts = [len(pose) for pose in poses]
    picture = np.repeat(np.arange(len(poses)), counts)
    return Poses(**columns | {"picture": picture})


def nobody(pictures, skeleton):
    """Empty `People` for photographs without annotations."""
    shape = 0, len(skeleton.joints)
    empty = np.zeros(0, int)
    return People(
        np.zeros((*shape, 2)), np.zeros(shape, int), empty, [*pictures], []
    )


def index_pictures(sources):
    """Indices (N,) into the names, and the names in order of appearance."""
    numbers = {}
    for source in sources:
        numbers.setdefault(source, len(numbers))
    picture = np.array([numbers[source] for source in sources], int)
    return picture, list(numbers)


def crowd_index(joints, flags, box):
    """How much the people of one picture are in each other's way, from 0.

    The mean over the people of the labelled joints of others in their box
    (borders included) / their own labelled joints: Li et al., CrowdPose (CVPR
    2019), section 3. People without labelled joints do not count.

    Args:
        joints: (N, K, 2) x, y.
        flags: (N, K) COCO's v; 0 is not labelled.
        box: (N, 4) x, y, width, height.
    """
    labelled = np.asarray(flags) > 0
    own = labelled.sum(axis=1)
    low, extent = np.split(np.asarray(box, float)[:, None, None], 2, axis=-1)
    # (N, N, K): joint of the second person in the box of the first
    away = np.asarray(joints, float)[None] - low
    inside = ((away >= 0) & (away <= extent)).all(axis=-1) & labelled[None]
    others = inside.sum(axis=2)
    np.fill_diagonal(others, 0)
    counted = own > 0
    if not counted.any():
        return 0.0
    return float((others.sum(axis=1)[counted] / own[counted]).mean())


def crowd_indices(people):
    """(P,) `crowd_index` of each photograph of `People`; crowds do not
    count."""
    alone = ~np.asarray(people.crowd)
    return np.array(
        [
            crowd_index(
                people.joints[rows], people.flags[rows], people.box[rows]
            )
            for number in range(len(people.pictures))
            for rows in [alone & (people.picture == number)]
        ]
    )


def _take(table, rows, whole):
    """Some rows of a dataclass of columns; the fields in `whole` are kept."""
    columns = {}
    for field in fields(table):
        column = getattr(table, field.name)
        if column is None or field.name in whole:
            continue
        is_list = isinstance(column, list)
        columns[field.name] = (
            [column[row] for row in rows] if is_list else column[rows]
        )
    return replace(table, **columns)
