"""From annotations in COCO's form, of any skeleton, to records and truth.

`tfrecords.coco`, `csv` and `yolo` read their files into this form: a dict of
images (id, file_name, height, width) and annotations (id, image_id, iscrowd,
num_keypoints, area, bbox, keypoints) for each split.
"""

import gzip
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from keras_pose import console, files, geometry, skeletons, untrusted
from keras_pose.data.records import UNKNOWN, Person
from keras_pose.skeletons import Skeleton
from tfrecords import crops, mpii

TRAIN, VALIDATION, TEST = "train", "val", "test"
SHARE = 0.1
"""Of the pictures, for validation, where nothing else is said."""
DETECTED = "detected"
"""The split of a detector's boxes in the photographs of val."""


@dataclass(frozen=True, kw_only=True)
class AnySkeleton(crops.Config):
    """Any skeleton."""

    mirror: tuple[str, ...] = ()
    """Joints that a mirrored picture swaps, A,B each, where their names do not
    say it (left_eye and right_eye, L-eye and R-eye do); a name alone has no
    mirror image."""
    limbs: tuple[str, ...] = ()
    """Joints that a line connects in drawings, A,B each."""
    torso: str | None = None
    """A,B: joints whose distance is the length of PCK; scores are pck-torso."""
    head: str | None = None
    """A,B: head top and neck; scores are PCKh. 0.75 times their distance is the
    head size, as in MPII."""
    sigmas: tuple[float, ...] = ()
    """OKS deviation of each joint, in their order."""
    kind: str | None = None
    """The kind of subject, for reports: person, hand, dog."""
    protocol: (
        Literal["pck-bbox", "pck-torso", "pckh", "pckh-0.1", "pdj"] | None
    ) = None
    """Table to report."""
    val: float | None = None
    """Share of the pictures of train for the split val. Default: 0.1 if the
    source has one split only."""
    test: float = 0.0
    """Share of the pictures of train for the split test."""
    lists: tuple[str, ...] = ()
    """SPLIT=FILE: a text file with a picture per line, as the annotations name
    it; all others are train."""
    split_seed: int = 0
    """Seed of the shares."""
    aspect: float = 0.75
    """Width / height of the narrowest network input that the crops cover;
    boxes are fitted to a network's own when records are read."""


def skeleton_of(config, name, joints, limbs=(), pairs=None):
    """The `Skeleton` of named joints, with what the flags say of it.

    Prints what is not known.

    Args:
        config: an `AnySkeleton`.
        name: of the skeleton; also its kind, if nothing else is said.
        joints: names.
        limbs: pairs of names; --limbs replaces them.
        pairs: mirror pairs of names, if the source has them; --mirror replaces
            them.

    Raises:
        ValueError: unknown or repeated names, or a joint of one side whose
            other side is missing.
    """
    given = {
        "pairs": pairs,
        "torso": config.torso and _names(config.torso, "torso", joints, (2,)),
        "sigmas": config.sigmas or None,
    }
    if config.limbs:
        limbs = [_names(w, "limbs", joints, (2,)) for w in config.limbs]
    kind = config.kind or name
    try:
        skeleton = Skeleton(name, joints, limbs, kind=kind, **given)
    except ValueError as error:
        raise ValueError(f"{config.source}: {error}") from None
    if config.mirror:
        skeleton = replace(skeleton, pairs=_pairs(config.mirror, skeleton))
    known = (
        s for s in skeletons.SKELETONS.values() if s.joints == skeleton.joints
    )
    known = next(known, None)
    changed = (*given.values(), config.mirror, config.limbs, config.kind)
    if known and not any(changed):
        skeleton = known
    _check_sides(skeleton)
    if skeleton != known:
        _print_unknown(skeleton, config)
    return skeleton


def _names(words, flag, joints, counts):
    """("a", "b") of "a,b", which must be joints."""
    names = tuple(word.strip() for word in words.split(","))
    unknown = [name for name in names if name not in joints]
    if unknown or len(names) not in counts:
        problem = f"no joint is called {unknown[0]!r}" if unknown else "not so"
        raise ValueError(
            f"--{flag} {words}: {problem}; expected A,B of {', '.join(joints)}"
        )
    return names


def _pairs(words, skeleton):
    """All mirror pairs: those of --mirror, and by name those of the others."""
    named = [_names(word, "mirror", skeleton.joints, (1, 2)) for word in words]
    said = set(sum(named, ()))
    by_name = {
        tuple(
            sorted((joint, skeleton.joints[other]), key=skeleton.joints.index)
        )
        for joint, other in zip(skeleton.joints, skeleton.mirror, strict=True)
        if skeleton.joints[other] != joint
    }
    by_name = {pair for pair in by_name if said.isdisjoint(pair)}
    _check_sides(
        replace(
            skeleton,
            pairs=None,
            joints=tuple(j for j in skeleton.joints if j not in said),
            limbs=(),
            sigmas=None,
            torso=None,
        )
        if len(said) < len(skeleton.joints)
        else skeleton
    )
    pairs = [names for names in named if len(names) == 2]
    return (*pairs, *sorted(by_name, key=lambda p: skeleton.joints.index(p[0])))


def _check_sides(skeleton):
    """ValueError if joints have a side whose other side is missing.

    Where no joint has both sides, it is a subject of one side: a left hand.
    """
    joints, alone = skeleton.joints, skeleton.one_sided
    has_both = any(
        other != number for number, other in enumerate(skeleton.mirror)
    )
    if alone and has_both:
        raise ValueError(
            f"{alone[0]} has a side, but there is no "
            f"{skeletons.opposite(alone[0])} among {', '.join(joints)}. Say "
            f"which joint is its mirror image, --mirror {alone[0]},NAME, or "
            f"that it has none: --mirror {alone[0]}"
        )


def _print_unknown(skeleton, config):
    """Says what the skeleton is, and what no flag and no name says."""
    joints = skeleton.joints
    swapped = {
        tuple(sorted((number, other)))
        for number, other in enumerate(skeleton.mirror)
        if other != number
    }
    pairs = ", ".join(f"{joints[a]} - {joints[b]}" for a, b in sorted(swapped))
    print(
        f"{skeleton.name}: {len(joints)} joints, {len(skeleton.limbs)} limbs; "
        f"mirrored: {pairs or 'none swap (--mirror A,B names pairs)'}"
    )
    missing = []
    if not skeleton.limbs:
        missing.append("limbs (--limbs A,B: nothing connects the joints drawn)")
    if not (has_torso(skeleton) or config.head):
        missing.append(
            "torso (--torso A,B) and head (--head A,B): PCK takes the longer "
            "side of the box"
        )
    if not skeleton.sigmas:
        missing.append(
            "OKS deviations (--sigmas): COCO's where joints are called like "
            "its own, else their mean"
        )
    for what in missing:
        print(f"not known: {what}")


def protocol_of(config, skeleton):
    """The protocol that the flags ask for.

    Raises:
        ValueError: it needs a torso or a head that nothing names.
    """
    measured = "pck-torso" if config.torso else "pck-bbox"
    protocol = config.protocol or ("pckh" if config.head else measured)
    needed = "head" if protocol.startswith("pckh") else "torso"
    known = config.head if needed == "head" else has_torso(skeleton)
    if protocol != "pck-bbox" and not known:
        raise ValueError(f"--protocol {protocol} needs --{needed} A,B")
    return protocol


def has_torso(skeleton):
    """Whether the torso is stated or follows from the names."""
    ends = set(skeletons.LEFT_SHOULDER_RIGHT_HIP)
    return bool(skeleton.torso) or ends <= set(skeleton.joints)


def divide(truths, config, given=False):
    """Takes pictures out of train, for the splits of --lists, --val and --test.

    A picture's rank depends on its name and on the seed alone, not on its place
    in the file. Pictures with and without labelled joints are divided apart.

    Args:
        truths: {split: truth}.
        config: an `AnySkeleton`.
        given: whether the source says itself what its splits are.

    Returns:
        {split: truth}.

    Raises:
        ValueError: a share that is none, a split twice, or an unknown picture.
    """
    chosen = _listed(truths, config)
    default = 0.0 if given or chosen or set(truths) != {TRAIN} else SHARE
    shares = {
        VALIDATION: default if config.val is None else config.val,
        TEST: config.test,
    }
    if not all(share >= 0 for share in shares.values()) or not (
        sum(shares.values()) < 1
    ):
        raise ValueError(
            "--val and --test are shares of the pictures, below 1 together, "
            f"got {shares[VALIDATION]:g} and {shares[TEST]:g}"
        )
    shares = {split: share for split, share in shares.items() if share}
    for split in shares:
        if TRAIN not in truths or split in truths or split in chosen.values():
            raise ValueError(
                f"--{split} takes pictures from train, but the splits are "
                f"{', '.join([*truths, *chosen.values()])} already"
            )
    if not shares and not chosen:
        return truths
    truth = truths[TRAIN]
    labelled = {
        row["image_id"]
        for row in truth["annotations"]
        if any(row["keypoints"][2::3])
    }
    for has_labels in (True, False):
        names = [
            row["file_name"]
            for row in truth["images"]
            if (row["id"] in labelled) == has_labels
            and row["file_name"] not in chosen
        ]
        ranked = sorted(names, key=lambda name: _rank(name, config.split_seed))
        for split, share in shares.items():
            count = round(share * len(names))
            count = max(count, 1) if has_labels else count
            for name in ranked[:count]:
                chosen[name] = split
            ranked = ranked[count:]
    splits = dict.fromkeys([TRAIN, *sorted(set(chosen.values()))])
    divided = {
        split: pick(
            truth, lambda row, s=split: chosen.get(row["file_name"], TRAIN) == s
        )
        for split in splits
    }
    if config.val is None and VALIDATION in shares:
        print(
            f"{VALIDATION}: {len(divided[VALIDATION]['images']):,} of "
            f"{len(truth['images']):,} pictures, drawn at random (--val)"
        )
    return divided | {s: t for s, t in truths.items() if s != TRAIN}


def _rank(name, seed):
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def _listed(truths, config):
    """{name of a picture: split} of --lists."""
    chosen = {}
    if not config.lists:
        return chosen
    names = {
        row["file_name"] for row in truths.get(TRAIN, {}).get("images", ())
    }
    short = {}
    for name in names:
        short.setdefault(Path(name).name, []).append(name)
    for split, path in parse_splits(config.lists, "lists").items():
        text = untrusted.read_file(path).decode("utf-8-sig", errors="replace")
        for line in text.split("\n"):
            name = line.strip()
            name = name if name in names else short.get(name, [name])[0]
            if not name:
                continue
            if (
                name not in names
                or len(short[Path(name).name]) > 1
                and (line.strip() != name)
            ):
                raise ValueError(
                    f"{path} names {line.strip()!r}, which is not one picture "
                    "of the annotations"
                )
            if chosen.setdefault(name, split) != split:
                raise ValueError(f"{path}: {name} is in {chosen[name]} already")
    return chosen


def parse_splits(words, flag):
    """{"val": "val.json"} from ("val=val.json",).

    Raises:
        ValueError: not SPLIT=FILE, or a split twice.
    """
    paths = {}
    for word in words:
        split, sign, name = word.partition("=")
        if not (split.isidentifier() and sign and name) or split in paths:
            raise ValueError(
                f"{flag} must be SPLIT=FILE, each split once, got {word!r}"
            )
        if split == DETECTED:
            raise ValueError(f"{word!r}: {DETECTED} is the split of --boxes")
        paths[split] = name
    return paths


def pick(truth, is_chosen):
    """The truth of some pictures: is_chosen(image row) -> bool."""
    images = [row for row in truth["images"] if is_chosen(row)]
    kept = {row["id"] for row in images}
    rows = [row for row in truth["annotations"] if row["image_id"] in kept]
    return truth | {"images": images, "annotations": rows}


def measure(truth, folder):
    """Fills in the size of each picture that exists; upright."""
    rows = [
        row
        for row in truth["images"]
        if not (row.get("width") and row.get("height"))
    ]
    if not rows:
        return
    for row in console.progress(rows, desc="sizes", unit=" pictures"):
        with suppress(FileNotFoundError, ValueError):  # `crops.cut` names it
            size = crops.upright_size(folder / row["file_name"])
            row["height"], row["width"] = size


def subjects(truth, folder, config, skeleton):
    """The tasks of a split: a photograph and its people for each subject.

    Args:
        truth: of the split.
        folder: of the photographs.
        config: an `AnySkeleton`.
        skeleton: the order of the joints.

    Returns:
        [(path, people, source, size)], the subject first, and names of people
        with keypoints whose boxes have no extent.
    """
    images = {row["id"]: row for row in truth["images"]}
    together = {image: [] for image in images}
    head = config.head and _names(config.head, "head", skeleton.joints, (2,))
    head = head and [skeleton.index(joint) for joint in head]
    unplaced = []
    for row in truth["annotations"]:
        if row["iscrowd"]:
            continue
        name = f"{images[row['image_id']]['file_name']}#{row['id']}"
        if has_extent(row["bbox"]):
            person = person_of(row, name, config.aspect, head)
            together[row["image_id"]].append(person)
        elif any(row["keypoints"][2::3]):
            unplaced.append(f"{name}: bbox {row['bbox']}")
    tasks = [
        (
            *place(images[image], folder, skeleton),
            (person, *(p for p in people if p is not person)),
        )
        for image, people in together.items()
        for person in people
        if person.flags.any()
    ]
    return [(p, people, s, z) for p, s, z, people in tasks], unplaced


def place(row, folder, skeleton):
    """(path, source, size) of a row of images.

    COCO's own photographs are annotated as they are stored.
    """
    size = row.get("height"), row.get("width")
    size = size if all(size) and skeleton != skeletons.COCO else None
    return folder / row["file_name"], row["file_name"], size


def has_extent(box):
    """Whether x, y, width, height are finite, with an area."""
    return np.isfinite(box).all() and box[2] > 0 and box[3] > 0


def person_of(row, name, aspect, head=None):
    """An annotation or a box as a `Person` in the photograph's pixels.

    head: indices of head top and neck.
    """
    table = np.reshape(row["keypoints"], (-1, 3))
    center, scale = geometry.box_to_center_scale(row["bbox"], aspect=aspect)
    size = UNKNOWN
    if head and table[head, 2].all():
        apart = np.linalg.norm(table[head[0], :2] - table[head[1], :2])
        size = float(mpii.HEAD_BOX_PART / mpii.NECK_TO_HEAD_PART * apart)
    return Person(
        joints=table[:, :2].astype(float),
        flags=table[:, 2].astype(int),
        center=center,
        scale=float(scale),
        head_size=size,
        box=tuple(row["bbox"]),
        name=name,
    )


def complete(row):
    """An annotation with what a tool may leave out, in place.

    The area is that of the box; the box is that of the labelled joints, of
    which the count is never taken from the file.
    """
    table = np.reshape(row["keypoints"], (-1, 3))
    labelled = table[table[:, 2] > 0, :2]
    if row.get("bbox") is None:
        row["bbox"] = [0.0, 0.0, 0.0, 0.0]
        if len(labelled) > 1:
            low, high = labelled.min(axis=0), labelled.max(axis=0)
            row["bbox"] = [*low.tolist(), *(high - low + 1).tolist()]
    row["iscrowd"] = int(row.get("iscrowd") or 0)
    row["num_keypoints"] = len(labelled)
    row["area"] = row.get("area") or max(0, row["bbox"][2] * row["bbox"][3])
    return row


def check_apart(truths, folders):
    """ValueError if a picture is in two splits."""
    splits = {}
    for split, truth in truths.items():
        for row in truth["images"]:
            path = os.path.join(folders[split], row["file_name"])
            if splits.setdefault(path, split) != split:
                raise ValueError(
                    f"{path} is in two splits, {splits[path]} and {split}: a "
                    "network would be scored on what it was trained on"
                )


def save(config, skeleton, tasks, truths, folders, **description):
    """Writes the records of all splits, and their truth beside them.

    Args:
        config: an `AnySkeleton`.
        skeleton: the order of the joints.
        tasks: {split: tasks of `subjects`}.
        truths: {split: truth}; of detected splits with boxes.
        folders: {split: folder of the photographs}.
        **description: passed on to `crops.save`.
    """
    seen = {split: _seen(t, folders[split]) for split, t in truths.items()}
    packed = {split: _pack(truth) for split, truth in seen.items()}
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
        skeleton=skeleton,
        truth=described,
        **description,
    )
    for split, content in packed.items():
        with files.whole(config.output / described[split]["file"]) as temporary:
            temporary.write_bytes(content)
    return description


def _seen(truth, folder):
    """The truth of the photographs that exist."""
    return pick(truth, lambda row: os.path.isfile(folder / row["file_name"]))


def _pack(truth):
    """The bytes of a truth's file, the same for the same truth."""
    return gzip.compress(json.dumps(truth).encode(), mtime=0)


def empty():
    """A truth without pictures."""
    return {"images": [], "annotations": [], "categories": []}


def add(truth, image, values, box=None):
    """Adds an annotation: keypoints x, y, flag, and x, y, width, height."""
    row = {
        "id": len(truth["annotations"]) + 1,
        "image_id": image,
        "category_id": 1,
        "keypoints": values,
        "bbox": box,
    }
    truth["annotations"].append(complete(row))


def convert(config, skeleton, truths, folder, sources):
    """Divides, measures and writes the annotations of one folder.

    Args:
        config: an `AnySkeleton`.
        skeleton: the order of the joints.
        truths: {split: truth}.
        folder: of the photographs.
        sources: paths of the annotations.

    Returns:
        what dataset.json says.
    """
    folders = dict.fromkeys(truths, folder)
    check_apart(truths, folders)
    truths = divide(truths, config, given=set(truths) != {TRAIN})
    tasks, unplaced = {}, []
    for split, truth in truths.items():
        truth["categories"] = [{"id": 1, "name": skeleton.name}]
        measure(truth, folder)
        tasks[split], lost = subjects(truth, folder, config, skeleton)
        unplaced += lost
        print(
            f"{split}: {len(truth['images']):,} pictures, "
            f"{len(tasks[split]):,} {skeleton.kinds} with labelled joints"
        )
    folders = dict.fromkeys(truths, folder)
    return save(
        config,
        skeleton,
        tasks,
        truths,
        folders,
        sources=sources,
        unplaced=unplaced,
        protocol=protocol_of(config, skeleton),
        aspect=config.aspect,
    )
