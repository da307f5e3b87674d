"""People, the truth about a split, and Poses, what was found in it.

Flat numpy arrays in the pixels of the photographs, a row per person or pose.
Evaluation, report, files of predictions and drawings take these two.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

MISSING_THRESHOLD = 0.2
"""Scores below it say that the joint is not in the picture (ours; the report's
curve of precision and recall helps to choose)."""


@dataclass(frozen=True)
class People:
    """N annotated people in P photographs."""

    joints: np.ndarray
    """(N, K, 2) x, y; 0 where the flag is 0."""
    flags: np.ndarray
    """(N, K) COCO's v: 0 not labelled, 1 labelled but occluded, 2 visible."""
    picture: np.ndarray
    """(N,) index of each one's photograph."""
    pictures: list
    """(P,) file names of all photographs, also of those that show nobody."""
    names: list
    """(N,) who each person is in the source."""
    image_ids: list | None = None
    """(P,) the source's numbers of the photographs; None: it has none."""
    center: np.ndarray | None = None
    """(N, 2) x, y of the middle; NaN where unknown, like all below."""
    scale: np.ndarray | None = None
    """(N,) side of the square around the person / 200 pixels."""
    head_size: np.ndarray | None = None
    """(N,) pixels; 0.6 times the diagonal of MPII's head box."""
    box: np.ndarray | None = None
    """(N, 4) x, y, width, height."""
    area: np.ndarray | None = None
    """(N,) pixels that the person covers."""
    crowd: np.ndarray | None = None
    """(N,) bool: not one person; whoever is found there does no harm."""
    score: np.ndarray | None = None
    """(N,) of the detector whose boxes these are; 1 where annotated."""

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
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(shape, value))

    def __len__(self):
        return len(self.joints)

    @property
    def sources(self):
        """(N,) file name of each one's photograph."""
        return [self.pictures[number] for number in self.picture]

    @property
    def labels(self):
        """(N, K, 4) float64: x, y, flag, head size."""
        shape = self.flags.shape
        heads = np.broadcast_to(np.asarray(self.head_size)[:, None], shape)
        parts = self.joints, self.flags, heads
        return np.dstack(parts).astype("float64")

    def take(self, rows):
        """These of the people; the photographs stay."""
        return _take(self, rows, {"pictures", "image_ids"})


@dataclass(frozen=True)
class Poses:
    """N poses that were found."""

    joints: np.ndarray
    """(N, K, 2) float64 x, y; NaN for a joint that was not found."""
    scores: np.ndarray
    """(N, K) of each joint, 0 ... 1: of heatmaps the height of the peak."""
    person: np.ndarray | None = None
    """(N,) index into `People` of whom was looked at, -1 where unknown; None:
    all of them in order."""
    picture: np.ndarray | None = None
    """(N,) index of each one's photograph in `People.pictures`."""
    score: np.ndarray | None = None
    """(N,) of the whole pose; None: the mean of its joints."""
    box: np.ndarray | None = None
    """(N, 4) x, y, width, height of what was looked at; NaN where unknown."""
    area: np.ndarray | None = None
    """(N,) pixels of the crop that was looked at."""
    occluded: np.ndarray | None = None
    """(N, K) bool, thought occluded; None: the model does not say."""
    missing: np.ndarray | None = None
    """(N, K) bool, thought not to be in the picture; None: it was not asked."""
    maps: np.ndarray | None = None
    """(N, h, w, K) float32 heights of the Gaussians, if they were kept."""
    crops: np.ndarray | None = None
    """(N,) how often each was looked at, if that differs."""

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
        """These of the poses, in this order."""
        return _take(self, rows, set())

    def of_people(self, count):
        """(count, K, 2) joints of each person; NaN where nobody looked."""
        found = np.full((count, *self.joints.shape[1:]), np.nan)
        known = self.person >= 0
        found[self.person[known]] = self.joints[known]
        return found


def join(poses):
    """Several `Poses` as one, each of a photograph of its own."""
    columns = {}
    for field in fields(Poses):
        parts = [getattr(pose, field.name) for pose in poses]
        if all(part is not None for part in parts):
            columns[field.name] = np.concatenate(parts)
    counts = [len(pose) for pose in poses]
    picture = np.repeat(np.arange(len(poses)), counts)
    return Poses(**columns | {"picture": picture})


def nobody(pictures, skeleton):
    """`People` of photographs of which nothing is known."""
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


def _take(rows_of, rows, whole):
    """A dataclass of columns with some of its rows."""
    columns = {}
    for field in fields(rows_of):
        column = getattr(rows_of, field.name)
        if column is None or field.name in whole:
            continue
        is_list = isinstance(column, list)
        columns[field.name] = (
            [column[row] for row in rows] if is_list else column[rows]
        )
    return replace(rows_of, **columns)
