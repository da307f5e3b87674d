"""Converts the MPII Human Pose training annotations to records.

M. Andriluka, L. Pishchulin, P. Gehler, B. Schiele, "2D human pose estimation:
new benchmark and state of the art analysis", CVPR 2014.
http://human-pose.mpi-inf.mpg.de (simplified BSD licence for the annotations).

SOURCE is one of
- mpii_human_pose_v1_u12_1.mat, the original: 28,883 annotated training people;
- mpii_annotations.json (or .json.gz), the format of S.-E. Wei's code for
  Convolutional Pose Machines: 25,204 of these people with J. Tompson's choice
  of validation people. Code for MPII in PyTorch points to it
  (https://github.com/bearpaw/pytorch-pose: data/mpii/mpii_annotations.json).

Run      python -m tfrecords.mpii --source mpii_annotations.json
             --images images --output records/mpii
         python -m tfrecords.mpii --source mpii_human_pose_v1_u12_1.mat
             --people mpii_annotations.json --images images
             --output records/mpii --test

--test adds a split of the test photographs' people, whose joints are not
published: keras_pose.evaluate --split test has nothing to score, and writes
predictions.mat in the layout of MPII's server.

Expect   22,246 train and 2,958 val people, on 17,408 photographs.

Joints at (0, 0) in the json are not labelled. The 375 labelled joints at or
above the picture's border (head tops mostly) count, as they do in Tompson's
list of missing joints. The json has no head box: its diagonal follows from head
top and upper neck, which were made from that box.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from keras_pose import untrusted
from keras_pose.console import run
from keras_pose.data.records import UNKNOWN, Person
from keras_pose.skeletons import MPII
from tfrecords import crops, matlab

FIRST_PIXEL = 1
"""Both formats count pixels from 1, as MATLAB does."""

CENTER_SHIFT = 15
"""Pixels per unit of scale by which the centre moves down, and"""
SCALE_PADDING = 1.25
"""factor of the scale, so that feet and hands are not cropped: A. Newell, K.
Yang, J. Deng, "Stacked hourglass networks for human pose estimation", ECCV
2016, in the authors' code."""

HEAD_BOX_PART = 0.6
"""PCKh's head size / diagonal of the head box: MPII's evaluation code."""

NECK_TO_HEAD_PART = 0.8
"""Distance from upper neck to head top / diagonal of the head box. Measured:
the median over Tompson's people, of whom 98.8 % lie within 0.01."""

EXPECTED = {"train": 22_246, "val": 2_958}
"""People with Tompson's split."""

WRONG = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)
"""Errors of a file with another structure."""

SPLIT_SEED = 0
"""Of the random splits. Photographs are drawn: none is in both splits."""


@dataclass(frozen=True, kw_only=True)
class Config(crops.Config):
    """MPII, from the original .mat or from mpii_annotations.json(.gz)."""

    images: Path | None = None
    """Folder of the photographs; default: `images` beside the annotations."""
    val_split: Literal["tompson2958", "random5pct", "480"] = "tompson2958"
    """Validation people: Tompson's 2,958, 5 percent or 480 drawn at random."""
    people: Path | None = None
    """For a .mat: mpii_annotations.json(.gz), which lists the people to take
    and Tompson's among them."""
    test: bool = False
    """Add the people of the .mat's test photographs, without joints, as the
    split test."""
    head_boxes: Path | None = None
    """For a json: Tompson's detections_our_format.mat, the exact head boxes of
    the 2,958 people (26 of them have no labelled head)."""


@dataclass(frozen=True)
class Annotation:
    """One annotated person, the subject, and others in the photograph."""

    image: str
    person: Person
    """In the photograph's pixels, counted from 0, not padded yet."""
    others: tuple
    validation: bool | None = None
    """Tompson's choice; None if the source does not contain it."""


def main(config):
    """Writes the shards; returns what dataset.json says."""
    sources, tested = [config.source], []
    if config.source.suffix == ".mat":
        everyone, unplaced, tested = read_mat(config.source)
        if config.people:
            everyone = choose(everyone, read_json(config.people))
            sources.append(config.people)
    else:
        everyone, unplaced = read_json(config.source), []
    if config.head_boxes:
        everyone = with_head_boxes(everyone, config.head_boxes)
        sources.append(config.head_boxes)
    splits = split(everyone, config.val_split)
    if config.test:
        if not tested:
            raise ValueError(
                f"--test: {config.source} has no people of test photographs; "
                "the original mpii_human_pose_v1_u12_1.mat has"
            )
        splits["test"] = tested
    images = config.images or config.source.parent / "images"
    for name, chosen in splits.items():
        line = f"{name}: {len(chosen):,} people annotated"
        if config.val_split == "tompson2958" and name in EXPECTED:
            line += f", {EXPECTED[name]:,} expected"
        print(line)
    tasks = {
        name: [
            (
                crops.photograph(images, a.image, config.source),
                tuple(map(placed, (a.person, *a.others))),
            )
            for a in chosen
        ]
        for name, chosen in splits.items()
    }
    return crops.save(
        config,
        tasks,
        skeleton=MPII.name,
        title="MPII Human Pose",
        protocol="pckh",
        sources=sources,
        val_split=config.val_split,
        unplaced=unplaced,
    )


def placed(person):
    """The person with Newell's centre and scale."""
    return replace(
        person,
        center=person.center + [0, CENTER_SHIFT * person.scale],
        scale=person.scale * SCALE_PADDING,
    )


def split(everyone, name):
    """{"train": [...], "val": [...]} of annotations; no photograph in both.

    Raises:
        ValueError: Tompson's split is asked for but not known.
    """
    if name == "tompson2958":
        if any(a.validation is None for a in everyone):
            raise ValueError(
                "a .mat does not list Tompson's 2,958 people: add --people "
                "mpii_annotations.json, or choose another --val-split"
            )
        chosen = {a.image for a in everyone if a.validation}
    else:
        count = 480 if name == "480" else round(0.05 * len(everyone))
        chosen = _draw(everyone, count)
    return {
        "train": [a for a in everyone if a.image not in chosen],
        "val": [a for a in everyone if a.image in chosen],
    }


def _draw(everyone, count):
    """Photographs, drawn at random, that show exactly `count` people."""
    images, people = np.unique([a.image for a in everyone], return_counts=True)
    chosen, left = set(), count
    for index in np.random.default_rng(SPLIT_SEED).permutation(len(images)):
        if people[index] <= left:
            chosen.add(images[index])
            left -= people[index]
    return chosen


def read_json(path):
    """Annotations of mpii_annotations.json(.gz), in the file's order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: expected MPII annotations")
    content = untrusted.read_file(path)
    if path.suffix == ".gz":
        content = untrusted.unzip_gzip(content, path)
    rows = untrusted.parse_json(content, path)
    if not rows:
        raise ValueError(f"{path} must list people, got {rows!r:.100}")
    people = []
    try:
        for row in rows:
            people.append(_annotation(row))
    except WRONG as error:
        raise ValueError(
            f"{path} is damaged or of another data set: expected joint_self, "
            f"objpos, isValidation and so on, problem in entry {len(people)} "
            f"(from 0) with {error}"
        ) from None
    return people


def _annotation(row):
    """One entry of the json."""
    if not isinstance(row["img_paths"], str):
        raise ValueError(f"img_paths: expected a name, got {row['img_paths']}")
    others = int(row["numOtherPeople"])
    name = f"{row['img_paths']}#{row['people_index']:.0f}"
    columns = ["joint_others", "objpos_other", "scale_provided_other"]
    shapes = [(others, 16, 3), (others, 2), (others,)]
    if others:  # one other person comes without the outer list
        columns = [
            np.reshape(row[c], s) for c, s in zip(columns, shapes, strict=True)
        ]
    else:
        columns = [()] * 3
    return Annotation(
        image=row["img_paths"],
        person=_person(
            row["joint_self"], row["objpos"], row["scale_provided"], name
        ),
        others=tuple(_person(*other) for other in zip(*columns, strict=True)),
        validation=bool(row["isValidation"]),
    )


def _person(table, position, scale, name=""):
    """A person of the json: joints (16, 3) of x, y and 1 for visible.

    (0, 0) means that a joint is not labelled.
    """
    table, position = np.array(table, float), np.array(position, float)
    if table.shape != (len(MPII.joints), 3) or position.shape != (2,):
        raise ValueError(
            f"expected {len(MPII.joints)} x 3 joints and a position x, y, got "
            f"{table.shape} and {position.shape}"
        )
    joints = table[:, :2]
    flags = np.where(table[:, 2] > 0, 2, 1)
    flags[(joints == 0).all(axis=1)] = 0
    neck, head = MPII.index("upper_neck"), MPII.index("head_top")
    length = np.linalg.norm(joints[head] - joints[neck])
    diagonal = length / NECK_TO_HEAD_PART
    labelled = flags[neck] and flags[head]
    return Person(
        joints=joints - FIRST_PIXEL,
        flags=flags,
        center=position - FIRST_PIXEL,
        scale=float(scale),
        head_size=HEAD_BOX_PART * diagonal if labelled else UNKNOWN,
        name=name,
    )


def with_head_boxes(everyone, path):
    """The same people, with head sizes from the boxes for Tompson's."""
    boxes = matlab.read(path, "headboxes_src")
    if np.shape(boxes)[:-1] != (2, 2) or boxes.dtype.kind not in "fiu":
        raise ValueError(
            f"{path}: expected 2 x 2 x N numbers, got {np.shape(boxes)}"
        )
    boxes = np.moveaxis(boxes, -1, 0)
    chosen = [a for a in everyone if a.validation]
    if len(boxes) != len(chosen):
        raise ValueError(
            f"{path}: expected {len(chosen):,} head boxes, got {len(boxes):,}"
        )
    sizes = iter(
        HEAD_BOX_PART * np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    )
    return [
        replace(a, person=replace(a.person, head_size=float(next(sizes))))
        if a.validation
        else a
        for a in everyone
    ]


def choose(everyone, listed):
    """Those of a .mat's people that the json lists, with its split.

    A person is identified by photograph and objpos, which are unique.
    """
    validation = {_place(a): a.validation for a in listed}
    chosen = [
        replace(a, validation=validation[_place(a)])
        for a in everyone
        if _place(a) in validation
    ]
    if len(chosen) != len(listed):
        raise ValueError(
            f"the json lists {len(listed):,} people, the .mat has only "
            f"{len(chosen):,} of them: are both of MPII?"
        )
    return chosen


def _place(annotation):
    return annotation.image, *np.round(annotation.person.center).tolist()


def read_mat(path):
    """What the original .mat says of people.

    Returns:
        `Annotation`s of people with joints, names of those without position,
        and `Annotation`s of people in the test photographs.

    Only training images have joints. Any field of these structs may be missing
    or empty: a person without joints is not annotated, one without position or
    scale is left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file.
    """
    release = matlab.read(path, "RELEASE", squeeze=True)
    try:
        return _read_release(release, path)
    except WRONG as error:
        known = str(error).startswith(str(path))
        raise ValueError(
            error if known else f"{path} is damaged: problem with {error}"
        ) from None


def _read_release(release, path):
    annotations = _each(release, "annolist")
    training = _each(release, "img_train")
    if not len(annotations) or len(annotations) != len(training):
        raise ValueError(
            f"{path} is of another data set: expected RELEASE.annolist and "
            f"img_train of equal length, got {len(annotations)} and "
            f"{len(training)}"
        )
    everyone, unplaced, tested = [], [], []
    for annotation, is_training in zip(annotations, training, strict=True):
        image = str(annotation.image.name)
        people = []
        for index, row in enumerate(_each(annotation, "annorect"), start=1):
            points = [
                point
                for group in _each(row, "annopoints")
                for point in _each(group, "point")
            ]
            if bool(points) != bool(is_training):
                continue
            person = _person_from_mat(row, points, f"{image}#{index}")
            if person is not None:
                people.append(person)
            elif is_training:
                unplaced.append(f"{image}#{index}: no objpos or scale")
        chosen = everyone if is_training else tested
        chosen += [
            Annotation(
                image, person, tuple(p for p in people if p is not person)
            )
            for person in people
        ]
    if not everyone:
        raise ValueError(f"{path}: no training image has annotated people")
    return everyone, unplaced, tested


def _person_from_mat(row, points, name):
    """A person of the .mat, None without position or scale."""
    place = [_number(p, k) for p in _each(row, "objpos") for k in ("x", "y")]
    scale = _number(row, "scale")
    if len(place) != 2 or not np.isfinite([*place, scale]).all():
        return None
    joints = np.zeros((len(MPII.joints), 2))
    flags = np.zeros(len(MPII.joints), int)
    for point in points:
        joint, x, y = (_number(point, key) for key in ("id", "x", "y"))
        if joint not in range(len(joints)):
            raise ValueError(f"{name}: joint id must be 0 to 15, got {joint}")
        joint = int(joint)
        joints[joint] = x, y
        # Neck and head top, made from the head box, come without is_visible.
        flags[joint] = 1 if _number(point, "is_visible") == 0 else 2
    x1, y1, x2, y2 = (_number(row, key) for key in ("x1", "y1", "x2", "y2"))
    return Person(
        joints=joints - FIRST_PIXEL,
        flags=flags,
        center=np.array(place) - FIRST_PIXEL,
        scale=scale,
        head_size=float(HEAD_BOX_PART * np.hypot(x2 - x1, y2 - y1)),
        name=name,
    )


def _each(struct, field):
    """A field as an array of its elements, empty if it is missing."""
    return np.atleast_1d(getattr(struct, field, ()))


def _number(struct, field):
    """A number or numeric string as a float; NaN if missing or empty."""
    value = np.atleast_1d(getattr(struct, field, ()))
    return float(value[0]) if value.size and value[0] != "" else UNKNOWN


if __name__ == "__main__":
    run(main, Config, __doc__)
