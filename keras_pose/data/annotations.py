"""The people of a split: its subjects, and all who are annotated."""

import collections
import functools
import hashlib
from dataclasses import replace

import numpy as np

from keras_pose import geometry, untrusted
from keras_pose.data import ignore, reading, records
from keras_pose.people import People, index_pictures
from keras_pose.untrusted import is_count, is_number


def read_subjects(dataset, split):
    """`People` of a split's records, in order; no shard is read.

    Subjects that are a detector's boxes have its scores and no joints.
    """
    index = reading.open_split(dataset, split)
    columns = index.columns
    matrix = columns["matrix"].astype("float64")
    zoom = np.sqrt(np.abs(np.linalg.det(matrix[:, :, :2])))
    moved = geometry.move(columns["joints"], matrix)
    corner = geometry.move(columns["box"][:, None, :2], matrix)[:, 0]
    extent = columns["box"][:, 2:] * zoom[:, None]
    picture, pictures = index_pictures(index.sources)
    subjects = People(
        joints=np.where(columns["flags"][..., None] > 0, moved, 0),
        flags=columns["flags"],
        picture=picture,
        pictures=pictures,
        names=index.names,
        center=geometry.move(columns["center"][:, None], matrix)[:, 0],
        scale=columns["scale"] * zoom,
        head_size=columns["head_size"] * zoom,
        box=np.concatenate([corner, extent], axis=-1),
    )
    truth = read_truth(dataset, split)
    if truth is None:
        return subjects
    names = [row["file_name"] for row in truth["images"]]
    numbers = {name: number for number, name in enumerate(names)}
    _check_known(dataset, split, index.sources, numbers, "photograph")
    picture = np.array([numbers[source] for source in index.sources], int)
    ids = [row["id"] for row in truth["images"]]
    subjects = replace(subjects, picture=picture, pictures=names, image_ids=ids)
    if "boxes" in truth:
        scores = {row["name"]: row["score"] for row in truth["boxes"]}
        _check_known(dataset, split, index.names, scores, "box")
        score = np.array([scores[name] for name in index.names])
        subjects = replace(subjects, score=score)
    return subjects


def read_people(dataset, split):
    """`People` that a split is scored against: all annotated people.

    The subjects of the records come first, in their order; boxes of a detector
    and whole pictures are left out. Records of whole pictures without a file of
    truth are read: each part of a mask is a crowd.
    """
    subjects = read_subjects(dataset, split)
    truth = read_truth(dataset, split)
    if truth is None and dataset.whole_pictures:
        return _read_pictures(dataset, split, subjects.pictures)
    if truth is None:
        return subjects
    names = {row["id"]: row["file_name"] for row in truth["images"]}
    rows = {
        f"{names[row['image_id']]}#{row['id']}": row
        for row in truth["annotations"]
    }
    numbers = {number: i for i, number in enumerate(subjects.image_ids)}
    whole = "boxes" in truth or dataset.whole_pictures
    first = [] if whole else subjects.names
    _check_known(dataset, split, first, rows, "person")
    order = [*dict.fromkeys([*first, *rows])]  # each person once
    joints = len(dataset.skeleton.joints)
    keypoints = [rows[name]["keypoints"] for name in order]
    keypoints = np.array(keypoints, float).reshape(-1, joints, 3)
    unknown = np.full(len(order) - len(first), np.nan)
    return People(
        joints=keypoints[..., :2],
        flags=keypoints[..., 2].astype(int),
        picture=np.array([numbers[rows[n]["image_id"]] for n in order], int),
        pictures=subjects.pictures,
        names=order,
        image_ids=subjects.image_ids,
        scale=np.concatenate([subjects.scale[: len(first)], unknown]),
        box=np.array([rows[n]["bbox"] for n in order], float).reshape(-1, 4),
        area=np.array([rows[n]["area"] for n in order], float),
        crowd=np.array([bool(rows[n]["iscrowd"]) for n in order]),
    )


def _read_pictures(dataset, split, pictures):
    """`People` in records of whole pictures, and what is masked in them."""
    index = reading.open_split(dataset, split)
    joints = len(dataset.skeleton.joints)
    rows = []  # (picture, person, is a crowd)
    for number in range(len(index)):
        (record,) = index.read([number])
        found = records.parse(record, joints)
        for people, crowd in (
            (found.counted, False),
            (ignore.people(found.ignore, joints), True),
        ):
            rows += [(number, p.moved(found.matrix), crowd) for p in people]
    numbers, people, crowd = zip(*rows, strict=True) if rows else ((), (), ())
    flags = np.array([p.flags for p in people], int).reshape(-1, joints)
    places = np.array([p.joints for p in people], float)
    names = ("scale", "head_size", "area", "track")
    columns = {n: np.array([getattr(p, n) for p in people]) for n in names}
    return People(
        joints=np.where(flags[..., None] > 0, places.reshape(-1, joints, 2), 0),
        flags=flags,
        picture=np.array(numbers, int),
        pictures=pictures,
        names=[person.name for person in people],
        center=np.reshape([p.center for p in people], (-1, 2)),
        box=np.array([p.box for p in people], float).reshape(-1, 4),
        crowd=np.array(crowd, bool),
        **columns,
    )


def is_detected(dataset, split):
    """Whether the subjects of a split are boxes of a detector."""
    return "boxes" in (read_truth(dataset, split) or {})


def read_truth(dataset, split):
    """The file of annotations beside the records; None if there is none.

    Returns:
        dict of COCO's images, annotations and categories and, for a detector's
        boxes, boxes: [{"name", "score"}].

    Raises:
        ValueError: the file is not the one that dataset.json lists.
    """
    described = (dataset.description.get("truth") or {}).get(split)
    if described is None:
        return None
    path = untrusted.inside(dataset.folder, described["file"])
    changed = path.stat().st_mtime_ns if path.is_file() else None
    return _read(
        path, described["sha256"], changed, len(dataset.skeleton.joints)
    )


@functools.lru_cache(maxsize=2)
def _read(path, sha256, changed, joints):
    """The JSON of a file with this checksum; `changed` renews the cache."""
    content = untrusted.read_file(path) if changed else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        state = "not the file that dataset.json lists" if content else "missing"
        raise ValueError(f"{path} is {state}. Convert again.")
    content = untrusted.unzip_gzip(content, path)
    truth = untrusted.parse_json(content, path)
    try:
        check_truth(truth, joints)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return truth


def check_truth(truth, joints):
    """Raises unless annotations are like COCO's.

    Args:
        truth: dict of images, annotations and, for a detector, boxes.
        joints: number of joints K of each person.

    Raises:
        ValueError: a value is missing, has another type or is not finite; says
            where. The caller names the file.
    """
    _check_rows(truth, "images", IMAGE)
    _check_rows(truth, "annotations", ANNOTATION)
    counts = collections.Counter(row["id"] for row in truth["images"])
    for image, count in counts.items():
        if count > 1:
            raise ValueError(
                f"each image must have its own id, got {image} {count} times"
            )
    for row in truth["annotations"]:
        who = f"annotation {row['id']}"
        if len(row["keypoints"]) != 3 * joints:
            raise ValueError(
                f"{who}: expected {3 * joints} numbers of keypoints, got "
                f"{len(row['keypoints'])}"
            )
        wrong = sorted(set(row["keypoints"][2::3]) - {0, 1, 2})
        if wrong:
            raise ValueError(f"{who}: flags must be 0, 1 or 2, got {wrong[0]}")
        if row["image_id"] not in counts:
            raise ValueError(
                f"{who}: expected the id of an image, got {row['image_id']}"
            )
    if "boxes" in truth:
        _check_rows(truth, "boxes", BOX)


def _check_rows(truth, name, members):
    """ValueError unless `truth[name]` is a list of objects with `members`."""
    rows = truth.get(name) if isinstance(truth, dict) else None
    if not isinstance(rows, list):
        raise ValueError(
            f"expected a list of {name}, got {type(rows).__name__}"
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(
                f"{name} {number} (from 0): expected an object, got "
                f"{row!r:.100}"
            )
        for key, is_good in members.items():
            if key not in row:
                raise ValueError(f"{name} {number} (from 0) has no {key!r}")
            if not is_good(row[key]):
                raise ValueError(
                    f"{name} {number} (from 0): {key!r} cannot be "
                    f"{row[key]!r:.100}"
                )


def _check_known(dataset, split, names, known, what):
    """ValueError unless `known` holds all names in the records."""
    for name in names:
        if name not in known:
            raise ValueError(
                f"{dataset.folder}: split {split!r} has a record of {what} "
                f"{name!r}, which is not in its annotations. Convert again."
            )


def _numbers(values, count=None):
    return (
        isinstance(values, list)
        and len(values) == (count or len(values))
        and all(map(is_number, values))
    )


def _is_text(value):
    return isinstance(value, str)


IMAGE = {"id": is_count, "file_name": _is_text}
ANNOTATION = {
    "id": is_count,
    "image_id": is_count,
    "iscrowd": lambda value: value in (0, 1),
    "area": lambda value: is_number(value, 0),
    "bbox": lambda value: _numbers(value, 4),
    "keypoints": _numbers,
}
BOX = {"name": _is_text, "score": is_number}
"""Required values of each row, as {key: test}."""
