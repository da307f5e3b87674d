"""Converts keypoints in COCO's form: COCO's people, or your own annotations.

Any file with images, annotations and categories, as CVAT, Label Studio and most
tools export it: names of the joints, limbs and their number are those of the
category. Several categories with keypoints: --category chooses.

Run      python -m tfrecords.coco --source hands/annotations/hands.json
             --images hands/images --output records/hands --val 0.1

SOURCE is the .json. Without --images, the photographs are looked for beside it,
and in `images`. Mirror pairs follow from the names of the joints (left_eye and
right_eye, L-eye and R-eye) or are given by --mirror; --limbs, --torso, --head
and --sigmas say what the file does not. Splits are shares of the pictures
(--val, --test), lists of pictures (--lists val=val.txt), or files: SOURCE is a
folder and --annotations train=a.json val=b.json.

COCO itself: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV
2014, https://arxiv.org/abs/1405.0312. https://cocodataset.org/#download: the
archives 2017 Train images, 2017 Val images and 2017 Train/Val annotations
(annotations CC BY 4.0; the photographs belong to their owners on Flickr).
SOURCE is the folder that holds `annotations`, `train2017` and `val2017`.

Run      python -m tfrecords.coco --source coco --output records/coco
             --person-pixels 384
         python -m tfrecords.coco --source coco --output records/coco
             --boxes COCO_val2017_detections_AP_H_56_person.json
         python -m tfrecords.coco --source coco --output records/test-dev
             --annotations test=annotations/image_info_test-dev2017.json
             --images coco/test2017
             --boxes COCO_test-dev2017_detections_AP_H_609_person.json
         python -m tfrecords.coco --source coco --output records/pictures
             --one-per-picture

Expect   149,813 train and 6,352 val people with keypoints; the files list
         118,287 and 5,000 photographs, as logs of code based on that of Simple
         Baselines state.

A subject is a person with at least one labelled keypoint. People without any
are stored beside the subjects in the records, with no joint labelled. Crowds
(`iscrowd`: one box and one mask for many people) are left out of the records.
truth-SPLIT.json.gz keeps all annotations with their areas: OKS-AP ignores some.

--boxes adds a split, `detected`, of the photographs of val: each box is a
subject without labelled joints. Published results on COCO use such boxes. A
split without annotations (test-dev) consists of its boxes: it can be predicted,
and there is nothing to score.

Boxes become centre and scale as in Simple Baselines (B. Xiao, H. Wu, Y. Wei,
ECCV 2018, https://arxiv.org/abs/1804.06208): made wider or higher until they
have the network's --aspect, then 25 percent larger. The authors' code also
takes one pixel off the width and height of annotated boxes; this one does not.
A box that is not in the file is that of the labelled keypoints; an area, that
of the box.

Pixels. COCO's keypoints are indices of pixels, from 0: centres of pixels lie on
whole numbers, and keypoints are taken as they are, here and in results. Boxes
are measured from the picture's corner, half a pixel before its first centre:
the middle of x ... x + w is x + (w - 1) / 2. COCO's photographs are taken as
they are stored; others are turned upright, as tools show them, if they then
have the width and height of the file.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose import untrusted
from keras_pose.console import run
from keras_pose.data import annotations
from keras_pose.skeletons import COCO
from tfrecords import crops, keypoints, pictures
from tfrecords.keypoints import DETECTED, TRAIN, VALIDATION

EXPECTED = {
    "person_keypoints_train2017.json": 149_813,
    "person_keypoints_val2017.json": 6_352,
}
"""People with keypoints in the published files."""
ANNOTATIONS = (
    "train=annotations/person_keypoints_train2017.json",
    "val=annotations/person_keypoints_val2017.json",
)
"""Of COCO."""
PREFIXES = "person_keypoints_", "image_info_"
"""Of a file; the rest of its name is the folder of photographs."""
PERSON = {"id": 1, "name": "person", "keypoints": list(COCO.joints)}
"""COCO's category of people: that of a file without categories."""
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
class Config(keypoints.AnySkeleton):
    """Keypoints in COCO's form, from a .json or from COCO's folder."""

    annotations: tuple[str, ...] = ()
    """SPLIT=FILE; files are relative to SOURCE. Default: those of COCO 2017,
    train and val."""
    images: Path | None = None
    """Folder of all photographs. Default: SOURCE/NAME for
    person_keypoints_NAME.json, images/NAME, images, or that of the .json."""
    category: tuple[str, ...] = ()
    """Name of the category to convert; several, if they have the same keypoints
    (all: every one that has any). Default: the only one with keypoints."""
    boxes: Path | None = None
    """A detector's boxes in the photographs of val, in COCO's format of results
    (image_id, category_id, bbox, score): they become the split detected. In
    photographs without annotations: they become their split."""
    one_per_picture: bool = False
    """A record for each photograph, also those without people, with everybody
    in it, and a mask of crowds and of people without labelled joints."""
    picture_pixels: int = 640
    """With --one-per-picture: largest side of the stored photograph."""


def main(config):
    """Writes the shards and the truth; returns what dataset.json says."""
    if not config.aspect > 0:
        raise ValueError(f"aspect must be positive, got {config.aspect}")
    if config.boxes and config.one_per_picture:
        raise ValueError("expected --boxes or --one-per-picture, got both")
    paths = sources_of(config)
    read_files = {split: read(p, config.category) for split, p in paths.items()}
    named = _same_category(read_files, paths)
    truths = {split: truth for split, (truth, _) in read_files.items()}
    folders = {s: folder_of(config, p, truths[s]) for s, p in paths.items()}
    for split, truth in truths.items():
        for row in truth["images"]:
            crops.photograph(folders[split], row["file_name"], paths[split])
    keypoints.check_apart(truths, folders)
    truths = keypoints.divide(truths, config, given=len(paths) > 1)
    for split in truths:
        folders.setdefault(split, folders.get(TRAIN))
        paths.setdefault(split, paths.get(TRAIN))
    unlabelled = [s for s, t in truths.items() if not t["annotations"]]
    boxed = [s for s in truths if s == VALIDATION or s in unlabelled]
    if config.boxes and not boxed:
        raise ValueError(
            f"--boxes are of the photographs of {VALIDATION}, but the splits "
            f"are {', '.join(paths)}"
        )
    if unlabelled and not config.boxes:
        raise ValueError(
            f"{paths[unlabelled[0]]} has no annotations: add a detector's "
            "--boxes, which are then the people of its photographs"
        )
    skeleton = keypoints.skeleton_of(
        config, named["name"], named["keypoints"], _limbs(named)
    )
    tasks, unplaced = {}, []
    boxes = read_boxes(config.boxes) if config.boxes else []
    ids = {row["id"] for row in named["chosen"]}
    for split, truth in list(truths.items()):
        if skeleton != COCO:
            keypoints.measure(truth, folders[split])
        if split not in unlabelled:
            tasks[split], lost = keypoints.subjects(
                truth, folders[split], config, skeleton
            )
            unplaced += lost
            expected = EXPECTED.get(paths[split].name)
            people = f"{len(tasks[split]):,} {skeleton.kinds}"
            print(_counts(split, truth, people, expected))
            if config.one_per_picture:
                tasks[split] = pictures.tasks(
                    truth, _json(paths[split]), folders[split], skeleton
                )
        if config.boxes and split in boxed:
            name = split if split in unlabelled else DETECTED
            folders[name] = folders[split]
            tasks[name], used = detections(
                boxes, truth, folders[split], config.aspect, skeleton, ids
            )
            print(
                f"{name}: {len(boxes):,} boxes, of which {len(used):,} "
                f"are {skeleton.kinds} with an extent in photographs of {split}"
            )
            truths[name] = truth | {"boxes": used}
    sources = [*dict.fromkeys(paths.values())]
    return keypoints.save(
        config,
        skeleton,
        tasks,
        truths,
        folders,
        title="COCO keypoints" if skeleton == COCO else None,
        sources=[*sources, config.boxes] if config.boxes else sources,
        unplaced=unplaced,
        protocol=keypoints.protocol_of(config, skeleton),
        **pictures.settings(config.picture_pixels)
        if config.one_per_picture
        else {"aspect": config.aspect},
    )


def sources_of(config):
    """{split: path} of the annotations."""
    if config.source.is_dir() or config.annotations:
        words = config.annotations or ANNOTATIONS
        splits = keypoints.parse_splits(words, "annotations")
        folder = config.source
        if not folder.is_dir():
            raise ValueError(
                f"--annotations are files in the folder SOURCE, but {folder} "
                "is not a folder"
            )
        paths = {split: folder / name for split, name in splits.items()}
        absent = not any(path.is_file() for path in paths.values())
        if absent and not config.annotations:
            raise FileNotFoundError(
                f"{folder} has no {ANNOTATIONS[0].partition('=')[2]}: of "
                "another data set, give the .json itself as --source, or "
                "--annotations train=FILE val=FILE"
            )
        return paths
    return {TRAIN: config.source}


def folder_of(config, path, truth):
    """The folder of the photographs of a file: the first that has one."""
    if config.images:
        return config.images
    source = config.source if config.source.is_dir() else path.parent
    roots = [source, source.parent] if source == path.parent else [source]
    name = path.stem
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    folders = [
        root / part
        for root in roots
        for part in (name, Path("images", name), "images", "")
    ]
    names = [row["file_name"] for row in truth["images"][:100]]
    for folder in folders:
        if any(os.path.isfile(folder / name) for name in names):
            return folder
    return folders[0]


def read(path, category=()):
    """Reads a file of keypoints in COCO's form; keeps KEPT only.

    Args:
        path: of the .json.
        category: names of the categories to take, see `choose`.

    Returns:
        dict of COCO's images, annotations and categories, and what `choose`
        returns; None for a file without annotations and without keypoints.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON, or of another kind.
    """
    content = _json(path)
    try:
        if not isinstance(content, dict):
            raise ValueError(f"expected an object, got {content!r:.100}")
        rows = content.get("annotations") or []
        categories = content.get("categories", [PERSON])
        named = choose(categories, category, not rows)
        ids = {row["id"] for row in named["chosen"]} if named else ()
        joints = len(named["keypoints"]) if named else 0
        people = [
            keypoints.complete(row)
            for number, row in enumerate(rows)
            if _category(row, number) in ids and _check(row, number, named)
        ]
        rows = {"images": content["images"], "annotations": people}
        truth = {
            name: [
                {key: row[key] for key in KEPT[name] if key in row}
                for row in entries
            ]
            for name, entries in rows.items()
        }
        annotations.check_truth(truth, joints)
        _check_once(truth["images"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a file of keypoints in COCO's form: problem with "
            f"{error}"
        ) from None
    chosen = (named or {"chosen": [PERSON]})["chosen"]
    categories = [{k: row[k] for k in ("id", "name")} for row in chosen]
    return truth | {"categories": categories}, named


def _category(row, number):
    """The category of an annotation."""
    if not isinstance(row, dict) or "category_id" not in row:
        raise ValueError(f"annotations {number} (from 0) has no 'category_id'")
    return row["category_id"]


def _check(row, number, named):
    """True; ValueError unless there are as many keypoints as joints."""
    joints = len(named["keypoints"])
    values = row.get("keypoints")
    who = f"annotations {number} (from 0), id {row.get('id')!r:.100}"
    if not isinstance(values, list):
        raise ValueError(
            f"{who}: expected a list of 'keypoints', got {values!r:.100}"
        )
    if len(values) != 3 * joints:
        raise ValueError(
            f"{who}: expected {3 * joints} numbers of keypoints, x, y and flag "
            f"of the {joints} of {named['name']}, got {len(values)}"
        )
    if not all(map(untrusted.is_number, values)):
        raise ValueError(
            f"{who}: 'keypoints' must be numbers, got {values!r:.100}"
        )
    box = row.get("bbox")
    if box is not None and (
        not isinstance(box, list)
        or len(box) != 4
        or not all(map(untrusted.is_number, box))
    ):
        raise ValueError(f"{who}: 'bbox' must be 4 numbers, got {box!r:.100}")
    return True


def _check_once(images):
    """ValueError if two images have the same file."""
    names = set()
    for row in images:
        if row["file_name"] in names:
            raise ValueError(f"two images are called {row['file_name']!r:.100}")
        names.add(row["file_name"])


def choose(categories, wanted, is_optional=False):
    """The categories with keypoints that are wanted.

    Args:
        categories: of the file.
        wanted: names, ("all",), or () for the only one.
        is_optional: whether None is returned if none has keypoints.

    Returns:
        {"name", "keypoints", "skeleton", "chosen": rows}.

    Raises:
        ValueError: none has keypoints, several have, or theirs differ.
    """
    rows = categories if isinstance(categories, list) else []
    if not all(isinstance(row, dict) and "id" in row for row in rows):
        raise ValueError(
            "categories: expected objects with an id and a name, got "
            f"{rows!r:.100}"
        )
    known = {str(row.get("name")): row for row in rows}
    able = {name: row for name, row in known.items() if row.get("keypoints")}
    if is_optional and not able:
        return None
    if not able:
        named = ", ".join(known) or "none"
        raise ValueError(
            f"categories: none has 'keypoints', the names of the joints (there "
            f"is {named}); COCO's own files of keypoints are called "
            f"{PREFIXES[0]}*.json"
        )
    wanted = tuple(able) if wanted == ("all",) else wanted
    for name in wanted:
        if name not in able:
            raise ValueError(
                f"--category {name}: categories with keypoints are "
                f"{', '.join(able)}"
            )
    if not wanted and len(able) > 1:
        raise ValueError(
            f"categories: several have keypoints; choose --category, one of "
            f"{', '.join(able)} (or all, if their keypoints are the same)"
        )
    chosen = [able[name] for name in wanted or able]
    for row in chosen:
        if row["keypoints"] != chosen[0]["keypoints"]:
            raise ValueError(
                f"--category {' '.join(wanted)}: the keypoints of "
                f"{row['name']} are others than those of {chosen[0]['name']}"
            )
    if not isinstance(chosen[0]["keypoints"], list):
        raise ValueError(
            "categories: 'keypoints' must be a list of names, got "
            f"{chosen[0]['keypoints']!r:.100}"
        )
    name = str(chosen[0]["name"]) if len(chosen) == 1 else "animal"
    return {
        "name": name,
        "keypoints": chosen[0]["keypoints"],
        "skeleton": chosen[0].get("skeleton") or [],
        "chosen": chosen,
    }


def _same_category(read_files, paths):
    """The category of all files, which must have the same keypoints."""
    named = {s: named for s, (_, named) in read_files.items() if named}
    if not named:
        print("no file says which keypoints: COCO's 17 of a person")
        return PERSON | {"chosen": [PERSON], "skeleton": []}
    first = next(iter(named))
    for split, category in named.items():
        if category["keypoints"] != named[first]["keypoints"]:
            raise ValueError(
                f"{paths[split]} has other keypoints than {paths[first]}: "
                f"{', '.join(map(str, category['keypoints']))}"
            )
    return named[first]


def _limbs(named):
    """Pairs of names, from numbers that count from 1.

    Limbs only matter to drawings: where they do not fit the joints (CrowdPose
    lists COCO's for its 14), the file is used without them.
    """
    joints, limbs = named["keypoints"], named["skeleton"]
    for limb in limbs if isinstance(limbs, list) else [limbs]:
        if not (
            isinstance(limb, list)
            and len(limb) == 2
            and all(untrusted.is_count(n, 1, len(joints)) for n in limb)
        ):
            print(
                f"category {named['name']}: its 'skeleton' is left out, it has "
                f"{limb!r:.100}, not pairs of numbers from 1 to {len(joints)}"
            )
            return []
    return [(joints[a - 1], joints[b - 1]) for a, b in limbs]


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
                "category_id": _identity(row["category_id"]),
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


def _identity(value):
    """The id of a category; ValueError for what cannot be one."""
    if not isinstance(value, (int, str)):
        raise ValueError(f"category_id {value!r:.100}")
    return value


def _finite(value):
    if not untrusted.is_number(value):
        raise ValueError(f"score must be a number, got {value!r:.100}")
    return value


def _json(path):
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: expected COCO's JSON")
    return untrusted.read_json(path)


def detections(boxes, truth, folder, aspect, skeleton, ids):
    """The tasks of a detector's boxes in the photographs of `truth`.

    Args:
        boxes: of `read_boxes`; other categories, boxes without extent and in
            other photographs are left out.
        truth: of `read`.
        folder: of the photographs.
        aspect: width / height that boxes are fitted to at first.
        skeleton: the order of the joints.
        ids: of the categories.

    Returns:
        [(path, people, source, size)], one person without labelled joints
        each, and [{"name", "score"}] of the same, as the truth of the split
        keeps them.
    """
    images = {row["id"]: row for row in truth["images"]}
    tasks, scores = [], []
    nothing = {"keypoints": [0] * 3 * len(skeleton.joints)}
    for number, row in enumerate(boxes, start=1):
        image = images.get(row["image_id"])
        if (
            image
            and row["category_id"] in ids
            and keypoints.has_extent(row["bbox"])
        ):
            name = f"{image['file_name']}#{number}"
            person = keypoints.person_of(row | nothing, name, aspect)
            path, source, size = keypoints.place(image, folder, skeleton)
            tasks.append((path, (person,), source, size))
            scores.append({"name": name, "score": row["score"]})
    return tasks, scores


def _counts(split, truth, people, expected):
    """The line about a split's annotations."""
    rows = truth["annotations"]
    crowds = sum(bool(row["iscrowd"]) for row in rows)
    line = f"{split}: {len(truth['images']):,} photographs, {len(rows):,} "
    line += f"annotations, {crowds:,} of them crowds; {people} with "
    line += "keypoints"
    return line + (f", {expected:,} expected" if expected else "")


if __name__ == "__main__":
    run(main, Config, __doc__)
