"""Reads a data set back: is every shard what its writer meant it to be?

Checks the checksums of every shard and of COCO's truth, decodes every record,
compares the index of each split with what its shards hold, counts people and
joints per split against dataset.json, and draws a contact sheet: people as a
network sees them, in the square that their centre and scale give. Left limbs
are orange, right limbs blue, others white; hollow joints are occluded.

Run      python -m tfrecords.check --data records/mpii
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from keras_pose import drawing, files, geometry
from keras_pose.console import progress, run
from keras_pose.data import dataset, reading, records
from tfrecords import crops

TILE, COLUMNS = 192, 8
"""Side of a person on the contact sheet in pixels, and people per row."""

SHOWN = 20
"""Failures that are printed one by one."""


@dataclass(frozen=True)
class Config:
    """Reads every shard of a data set."""

    data: Path
    """Folder with shards and dataset.json."""
    output: Path | None = None
    """The contact sheet; default: contact_sheet.png in the data's folder."""
    people: int = 48
    """How many people the contact sheet shows, evenly spaced."""


def main(config):
    """Prints counts and writes the sheet; returns {split: counts}.

    Raises:
        ValueError: something is not as dataset.json says.
    """
    data = dataset.open_dataset(config.data)
    splits = data.description["splits"]
    total = sum(entry["people"] for entry in splits.values())
    step = max(1, -(-total // max(1, config.people)))
    failures, tiles, found, seen = [], [], {}, 0
    with progress(total=total, unit=" people") as bar:
        for split, entry in splits.items():
            joints, people = np.zeros(3, int), 0  # by flag
            earlier = len(failures)
            for shard in entry["shards"]:
                for picture in _pictures(data, shard, failures):
                    joints += np.bincount(
                        picture[0].people[0].flags, minlength=3
                    )
                    if seen % step == 0:
                        tiles.append(draw_tile(*picture, data.skeleton))
                    people, seen = people + 1, seen + 1
                    bar.update()
            unlabelled, occluded, visible = joints.tolist()
            found[split] = {
                "people": people,
                "joints": {
                    "visible": visible,
                    "occluded": occluded,
                    "unlabelled": unlabelled,
                },
            }
            wanted = {key: entry[key] for key in found[split]}
            if wanted != found[split]:
                failures.append(f"{split}: wanted {wanted}, got {found[split]}")
            if len(failures) == earlier:
                failures += _wrong_index(data, split)
    for truth in data.description.get("truth", {}).values():
        path = data.folder / truth["file"]
        if not path.is_file():
            failures.append(f"{path}: the file is missing")
        elif files.checksum(path) != truth["sha256"]:
            failures.append(f"{path}: wrong checksum")
    for split, counts in found.items():
        text = ", ".join(f"{n:,} {k}" for k, n in counts["joints"].items())
        print(f"{split}: {counts['people']:,} people; joints: {text}")
    if tiles:
        path = config.output or config.data / "contact_sheet.png"
        drawing.save(drawing.sheet(tiles, COLUMNS), path)
        print(f"contact sheet: {path}")
    if failures:
        print(*failures[:SHOWN], sep="\n")
        raise ValueError(
            f"{config.data}: {len(failures):,} failures, first {failures[0]}"
        )
    print("all records are sound")
    print("next: train with --data", config.data)
    return found


def _pictures(data, shard, failures):
    """Yields (Picture, its pixels) of one shard; appends what is wrong."""
    path = data.folder / shard["file"]
    if not path.is_file():
        failures.append(f"{path}: the file is missing")
        return
    if files.checksum(path) != shard["sha256"]:
        failures.append(f"{path}: wrong checksum")
    index = -1
    try:
        for index, record in enumerate(tf.data.TFRecordDataset(str(path))):
            try:
                yield inspect(record, data)
            except (ValueError, tf.errors.OpError) as error:
                first = str(error).splitlines()[0]
                failures.append(f"{path}: record {index}: {first}")
    except tf.errors.OpError as error:  # the rest of the file is unreadable
        failures.append(f"{path}: record {index + 1}: {error.message}")
        return
    if index + 1 != shard["records"]:
        failures.append(
            f"{path}: {shard['records']} records wanted, got {index + 1}"
        )


def _wrong_index(data, split):
    """What is wrong with the index of a split whose shards are sound."""
    path = reading.path_of(data.folder, split)
    shards = data.description["splits"][split]["shards"]
    if not path.is_file() or not shards:  # an older data set, or nobody
        return []
    paths, joints = data.shards(split), len(data.skeleton.joints)
    index = reading.load(path, paths, shards, joints)
    again = "it is made again where it is deleted"
    if index is None:
        return [f"{path}: is damaged or of other shards; {again}"]
    held = reading.build(paths, shards, joints)
    same = (index.names, index.sources) == (held.names, held.sources) and all(
        np.array_equal(index.columns[name], column, equal_nan=True)
        for name, column in held.columns.items()
    )
    return [] if same else [f"{path}: the shards hold others; {again}"]


def inspect(record, data):
    """One serialized record as a `Picture` and its pixels (H, W, 3), BGR.

    Raises:
        ValueError: the record contradicts itself or dataset.json.
    """
    picture = records.parse(record, len(data.skeleton.joints))
    who = picture.source
    try:
        image = crops.decode_jpeg(picture.encoded)
    except ValueError as error:
        raise ValueError(f"{who}: {error}") from None
    if image.shape[:2] != picture.size:
        raise ValueError(
            f"{who}: size {picture.size} wanted, got {image.shape[:2]}"
        )
    if max(picture.size) > data.max_side:
        raise ValueError(
            f"{who}: sides up to {data.max_side} wanted, got {picture.size}"
        )
    if not picture.people:
        raise ValueError(f"{who}: nobody in it")
    for person in picture.people:
        if not np.isin(person.flags, (0, 1, 2)).all():
            raise ValueError(f"{who}: unknown flags {person.flags}")
        place = [*person.joints[person.flags > 0].ravel(), *person.center]
        if not np.isfinite(place).all() or not 0 < person.scale < np.inf:
            raise ValueError(f"{who}: joints, centre or scale not finite")
    return picture, image


def draw_tile(picture, image, skeleton):
    """The subject in its square with limbs and joints drawn (TILE, TILE, 3).

    Args:
        picture: the `records.Picture`.
        image: its pixels (H, W, 3), BGR.
        skeleton: whose joints these are.

    Returns:
        (TILE, TILE, 3) uint8 RGB.
    """
    person = picture.people[0]
    side = person.scale * geometry.PERSON_PIXELS
    matrix = geometry.crop_matrix(
        person.center.astype(float), side, 0.0, (TILE, TILE)
    )
    tile = cv2.warpAffine(
        image[..., ::-1], matrix, (TILE, TILE), borderValue=(60,) * 3
    )
    joints = geometry.move(person.joints.astype(float), matrix)
    tile = drawing.draw_skeleton(tile, joints, skeleton, person.flags)
    name = person.name or picture.source
    for shift, color in ((1, (0, 0, 0)), (0, (255, 255, 255))):
        start = (3 + shift, TILE - 5 + shift)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(tile, name, start, font, 0.35, color, 1, cv2.LINE_AA)
    return tile


if __name__ == "__main__":
    run(main, Config, __doc__)
