"""Converts COCO's person keypoints, and a detector's boxes, to records.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014,
https://arxiv.org/abs/1405.0312. https://cocodataset.org/#download: the
archives 2017 Train images, 2017 Val images and 2017 Train/Val annotations
(annotations CC BY 4.0; the photographs belong to their owners on Flickr).

SOURCE is the folder that holds `annotations`, `train2017` and `val2017`.

Run      python -m tfrecords.coco --source coco --output records/coco
             --person-pixels 384
         python -m tfrecords.coco --source coco --output records/coco
             --boxes COCO_val2017_detections_AP_H_56_person.json

Expect   149,813 train and 6,352 val people with keypoints; the files list
         118,287 and 5,000 photographs, as logs of code based on that of Simple
         Baselines state.

A subject is a person with at least one labelled keypoint. People without any
are stored beside the subjects in the records, with no joint labelled. Crowds
(`iscrowd`: one box and one mask for many people) are left out of the records.
truth-SPLIT.json.gz keeps all annotations with their areas: OKS-AP ignores some.

--boxes adds a split, `detected`, of the photographs of val: each box is a
subject without labelled joints. Published results on COCO use such boxes.

Boxes become centre and scale as in Simple Baselines (B. Xiao, H. Wu, Y. Wei,
ECCV 2018, https://arxiv.org/abs/1804.06208): made wider or higher until they
have the network's --aspect, then 25 percent larger. The authors' code also
takes one pixel off the width and height of annotated boxes; this one does not.

Pixels. COCO's keypoints are indices of pixels, from 0: centres of pixels lie on
whole numbers, and keypoints are taken as they are, here and in results. Boxes
are measured from the picture's corner, half a pixel before its first centre:
the middle of x ... x + w is x + (w - 1) / 2.
"""

import gzip
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose import files, geometry, untrusted
from keras_pose.console import run
from keras_pose.data import annotations
from keras_pose.data.records import Person
from keras_pose.skeletons import COCO
from tfrecords import crops

EXPECTED = {
    "person_keypoints_train2017.json": 149_813,
    "person_keypoints_val2017.json": 6_352,
}
"""People with keypoints in the published files."""
PREFIX = "person_keypoints_"
"""Prefix of a file; the rest of its name is the folder of photographs."""
PERSON = 1
"""COCO's category of people."""
VALIDATION, DETECTED = "val", "detected"
"""The split of the detector's photographs, and the split of its boxes."""
KEPT = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": (
        "id",
        "image_id",
        "category_id",
        "iscrowd",
        "num_keypoints",
        "area",
        "bbox",
        "keypoints",
    ),
}
"""Values that the truth keeps: no outlines, no links."""


@dataclass(frozen=True, kw_only=True)
class Config(crops.Config):
    """COCO, from the folder of annotations, train2017 and val2017."""

    annotations: tuple[str, ...] = (
        "train=annotations/person_keypoints_train2017.json",
        "val=annotations/person_keypoints_val2017.json",
    )
    """SPLIT=FILE; files are relative to SOURCE."""
    images: Path | None = None
    """Folder of all photographs. Default: SOURCE/NAME for
    person_keypoints_NAME.json."""
    boxes: Path | None = None
    """A detector's boxes in the photographs of val, in COCO's format of results
    (image_id, category_id, bbox, score): they become the split detected."""
    aspect: float = 0.75
    """Width / height of the narrowest network input that the crops cover;
    boxes are fitted to a network's own when records are read."""


def main(config):
    """Writes the shards and the truth; returns what dataset.json says."""
    if not config.aspect > 0:
        raise ValueError(f"aspect must be positive, got {config.aspect}")
    paths = parse_annotations(config.annotations, config.source)
    if config.boxes and VALIDATION not in paths:
        raise ValueError(
            f"--boxes are of the photographs of {VALIDATION}, but the splits "
            f"are {', '.join(paths)}"
        )
    tasks, truths, unplaced, sources = {}, {}, [], [*paths.values()]
    for split, path in paths.items():
        truth = read(path)
        folder = config.images or config.source / path.stem.removeprefix(PREFIX)
        for row in truth["images"]:
            crops.photograph(folder, row["file_name"], path)
        tasks[split], lost = subjects(truth, folder, config.aspect)
        unplaced += lost
        print(_counts(split, truth, len(tasks[split]), EXPECTED.get(path.name)))
        truths[split] = _seen(truth, folder)
        if config.boxes and split == VALIDATION:
            boxes = read_boxes(config.boxes)
            sources.append(config.boxes)
            tasks[DETECTED], used = detections(
                boxes, truth, folder, config.aspect
            )
            print(
                f"{DETECTED}: {len(boxes):,} boxes, of which {len(used):,} "
                f"are people with an extent in photographs of {VALIDATION}"
            )
            truths[DETECTED] = truths[split] | {"boxes": used}
    packed = {split: _pack(truth) for split, truth in truths.items()}
    described = {
        split: {
            "file": f"truth-{split}.json.gz",
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for split, content in packed.items()
    }
    description = crops.save(
        config,
        tasks,
        skeleton=COCO.name,
        title="COCO keypoints",
        protocol="pck-bbox",
        sources=sources,
        unplaced=unplaced,
        aspect=config.aspect,
        truth=described,
    )
    for split, content in packed.items():
        with files.whole(config.output / described[split]["file"]) as temporary:
            temporary.write_bytes(content)
    return description


def parse_annotations(words, source):
    """{"val": path} from ("val=annotations/person_keypoints_val2017.json",).

    Raises:
        ValueError: not SPLIT=FILE, or a split twice.
    """
    paths = {}
    for word in words:
        split, sign, name = word.partition("=")
        if not (split.isidentifier() and sign and name) or split in paths:
            raise ValueError(
                f"annotations must be SPLIT=FILE, each split once, got {word!r}"
            )
        if split == DETECTED:
            raise ValueError(f"{word!r}: {DETECTED} is the split of --boxes")
        paths[split] = Path(source) / name
    return paths


def read(path):
    """Reads a file of person keypoints; keeps KEPT only.

    Returns:
        dict of COCO's images, annotations (of people) and categories.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON, or of another kind.
    """
    content = _json(path)
    try:
        people = [
            row
            for row in content["annotations"]
            if row["category_id"] == PERSON
        ]
        rows = {"images": content["images"], "annotations": people}
        truth = {
            name: [{key: row[key] for key in KEPT[name]} for row in entries]
            for name, entries in rows.items()
        }
        annotations.check_truth(truth, len(COCO.joints))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a file of person keypoints ({PREFIX}*.json): "
            f"problem with {error}"
        ) from None
    return truth | {"categories": [{"id": PERSON, "name": "person"}]}


def read_boxes(path):
    """A detector's boxes: a list of image_id, category_id, bbox, score.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON, or of another kind.
    """
    content = _json(path)
    try:
        return [
            {
                "image_id": int(row["image_id"]),
                "category_id": row["category_id"],
                "bbox": np.array(row["bbox"], float).reshape(4).tolist(),
                "score": _finite(row["score"]),
            }
            for row in content
        ]
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a list of a detector's boxes (image_id, "
            f"category_id, bbox, score): problem with {error}"
        ) from None


def _finite(value):
    if not untrusted.is_number(value):
        raise ValueError(f"score must be a number, got {value!r:.100}")
    return value


def _json(path):
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: expected COCO's JSON")
    return untrusted.read_json(path)


def subjects(truth, folder, aspect):
    """The tasks of a split: a photograph and its people for each subject.

    Args:
        truth: of `read`.
        folder: of the photographs.
        aspect: width / height that boxes are fitted to at first.

    Returns:
        [(path, people)], the subject first, and names of people with keypoints
        whose boxes have no extent.
    """
    names = {row["id"]: row["file_name"] for row in truth["images"]}
    together = {image: [] for image in names}
    unplaced = []
    for row in truth["annotations"]:
        if row["iscrowd"]:
            continue
        name = f"{names[row['image_id']]}#{row['id']}"
        if _has_extent(row["bbox"]):
            together[row["image_id"]].append(_person(row, name, aspect))
        elif any(row["keypoints"][2::3]):
            unplaced.append(f"{name}: bbox {row['bbox']}")
    tasks = [
        (
            folder / names[image],
            (person, *(p for p in people if p is not person)),
        )
        for image, people in together.items()
        for person in people
        if person.flags.any()
    ]
    return tasks, unplaced


def detections(boxes, truth, folder, aspect):
    """The tasks of a detector's boxes in the photographs of `truth`.

    Args:
        boxes: of `read_boxes`; other categories, boxes without extent and in
            other photographs are left out.
        truth: of `read`.
        folder: of the photographs.
        aspect: width / height that boxes are fitted to at first.

    Returns:
        [(path, people)], one person without labelled joints each, and
        [{"name", "score"}] of the same, as the truth of the split keeps them.
    """
    names = {row["id"]: row["file_name"] for row in truth["images"]}
    tasks, scores = [], []
    for number, row in enumerate(boxes, start=1):
        image = names.get(row["image_id"])
        if image and row["category_id"] == PERSON and _has_extent(row["bbox"]):
            name = f"{image}#{number}"
            nothing = {"keypoints": [0] * 3 * len(COCO.joints)}
            person = _person(row | nothing, name, aspect)
            tasks.append((folder / image, (person,)))
            scores.append({"name": name, "score": row["score"]})
    return tasks, scores


def _has_extent(box):
    return np.isfinite(box).all() and box[2] > 0 and box[3] > 0


def _person(row, name, aspect):
    """An annotation or a box as a `Person` in the photograph's pixels."""
    table = np.reshape(row["keypoints"], (-1, 3))
    center, scale = geometry.box_to_center_scale(row["bbox"], aspect=aspect)
    return Person(
        joints=table[:, :2].astype(float),
        flags=table[:, 2].astype(int),
        center=center,
        scale=float(scale),
        box=tuple(row["bbox"]),
        name=name,
    )


def _counts(split, truth, people, expected):
    """The line about a split's annotations."""
    rows = truth["annotations"]
    crowds = sum(bool(row["iscrowd"]) for row in rows)
    line = f"{split}: {len(truth['images']):,} photographs, {len(rows):,} "
    line += f"annotations, {crowds:,} of them crowds; {people:,} people with "
    line += "keypoints"
    return line + (f", {expected:,} expected" if expected else "")


def _seen(truth, folder):
    """The truth of the photographs that exist."""
    images = [
        row
        for row in truth["images"]
        if os.path.isfile(folder / row["file_name"])
    ]
    seen = {row["id"] for row in images}
    people = [row for row in truth["annotations"] if row["image_id"] in seen]
    return truth | {"images": images, "annotations": people}


def _pack(truth):
    """The bytes of a truth's file, the same for the same truth."""
    return gzip.compress(json.dumps(truth).encode(), mtime=0)


if __name__ == "__main__":
    run(main, Config, __doc__)
