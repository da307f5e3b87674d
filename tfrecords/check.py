"""Checks a converted data set.

Checks the checksums of every shard and of COCO's ground truth, decodes every
record, compares the index of each split with its shards, compares the counts of
people and joints per split with dataset.json, and draws a contact sheet: people
as a network sees them, in the square given by their centre and scale, or whole
pictures with everybody in them, where violet is ignored. Left limbs are orange,
right limbs blue, others white; hollow joints are occluded.

Run      python -m tfrecords.check --data records/mpii
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from keras_pose import drawing, files, geometry
from keras_pose.console import progress, run
from keras_pose.data import dataset, ignore, reading, records
from tfrecords import crops

TILE, COLUMNS = 192, 8
"""Side of a tile on the contact sheet in pixels, and tiles per row."""
WHOLE = 256, 6
"""The same of whole pictures."""

SHOWN = 20
"""Failures that are printed; the rest are counted."""


@dataclass(frozen=True)
class Config:
    """What to check."""

    data: Path
    """Folder with shards and dataset.json."""
    output: Path | None = None
    """Contact sheet; by default contact_sheet.png in the data's folder."""
    people: int = 48
    """Number of people, or of whole pictures, on the contact sheet, evenly
    spaced."""


def main(config):
    """Prints counts and writes the sheet; returns {split: counts}.

    Raises:
        ValueError: something differs from dataset.json.
    """
    data = dataset.open_dataset(config.data)
    splits = data.description["splits"]
    total = sum(entry[data.unit] for entry in splits.values())
    side, columns = WHOLE if data.whole_pictures else (TILE, COLUMNS)
    step = max(1, -(-total // max(1, config.people)))
    failures, tiles, counts, seen = [], [], {}, 0
    with progress(total=total, unit=f" {data.subjects}") as bar:
        for split, entry in splits.items():
            joints, people = np.zeros(3, int), []  # by flag, by picture
            earlier = len(failures)
            for shard in entry["shards"]:
                for picture in _pictures(data, shard, failures):
                    for person in picture[0].counted:
                        joints += np.bincount(person.flags, minlength=3)
                    if seen % step == 0:
                        tiles.append(draw_tile(*picture, data.skeleton, side))
                    people.append(len(picture[0].counted))
                    seen += 1
                    bar.update()
            unlabelled, occluded, visible = joints.tolist()
            counts[split] = {"people": sum(people)}
            if data.whole_pictures:
                most = max(people, default=0)
                counts[split] |= {"pictures": len(people), "most": most}
            counts[split] |= {
                "joints": {
                    "visible": visible,
                    "occluded": occluded,
                    "unlabelled": unlabelled,
                },
            }
            expected = {key: entry.get(key) for key in counts[split]}
            if expected != counts[split]:
                failures.append(
                    f"{split}: expected {expected}, got {counts[split]}"
                )
            if len(failures) == earlier:
                failures += _wrong_index(data, split)
    for truth in (data.description.get("truth") or {}).values():
        path = _found(data, truth["file"], failures)
        if path and files.checksum(path) != truth["sha256"]:
            failures.append(f"{path}: wrong checksum")
    for split, count in counts.items():
        text = dataset.describe_split(count, data.skeleton.kinds)
        print(f"{split}: {text}")
    if tiles:
        path = config.output or config.data / "contact_sheet.png"
        drawing.save(drawing.sheet(tiles, columns), path)
        print(f"Wrote the contact sheet {path}.")
    if failures:
        print(*failures[:SHOWN], sep="\n")
        raise ValueError(
            f"{config.data}: {len(failures):,} failures, the first: "
            f"{failures[0]}"
        )
    print("All records are valid.")
    print(f"Next: train with --data {config.data}")
    return counts


def _pictures(data, shard, failures):
    """Yields (Picture, pixels) of one shard; appends errors to `failures`."""
    path = _found(data, shard["file"], failures)
    if path is None:
        return
    if files.checksum(path) != shard["sha256"]:
        failures.append(f"{path}: wrong checksum")
    index = -1
    read = tf.data.TFRecordDataset(str(path)).with_options(reading.UNTUNED)
    try:
        for index, record in enumerate(read):
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
            f"{path}: expected {shard['records']} records, got {index + 1}"
        )


def _found(data, name, failures):
    """Path of a file of the data set, or None: what is wrong is appended."""
    try:
        return data.find(name)
    except FileNotFoundError:
        failures.append(f"{data.folder / name}: the file is missing")
    except ValueError as error:
        failures.append(str(error))


def _wrong_index(data, split):
    """Errors of the index of a split with valid shards."""
    path = reading.path_of(data.folder, split)
    shards = data.description["splits"][split]["shards"]
    if not path.is_file() or not shards:  # an older or empty data set
        return []
    paths, joints = data.shards(split), len(data.skeleton.joints)
    index = reading.load(path, paths, shards, joints)
    hint = "delete it to rebuild it"
    if index is None:
        return [f"{path} is damaged or belongs to other shards; {hint}"]
    built = reading.build(paths, shards, joints)
    same = (index.names, index.sources) == (built.names, built.sources) and all(
        np.array_equal(index.columns[name], column, equal_nan=True)
        for name, column in built.columns.items()
    )
    return [] if same else [f"{path} differs from its shards; {hint}"]


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
            f"{who}: expected size {picture.size}, got {image.shape[:2]}"
        )
    if max(picture.size) > data.max_side:
        raise ValueError(
            f"{who}: expected sides up to {data.max_side}, got {picture.size}"
        )
    if not picture.people:
        raise ValueError(f"{who}: the record has no people")
    for person in picture.people:
        if not np.isin(person.flags, (0, 1, 2)).all():
            raise ValueError(f"{who}: unknown flags {person.flags}")
        place = [*person.joints[person.flags > 0].ravel(), *person.center]
        if not np.isfinite(place).all() or not 0 < person.scale < np.inf:
            raise ValueError(f"{who}: joints, centre or scale are not finite")
    return picture, image


def draw_tile(picture, image, skeleton, size=TILE):
    """The subject in its square with limbs and joints drawn; of a whole picture
    everybody, and the mask.

    Args:
        picture: the `records.Picture`.
        image: its pixels (H, W, 3), BGR.
        skeleton: names the joints.
        size: side of the tile, pixels.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    subject = picture.people[0]
    side = subject.scale * geometry.PERSON_PIXELS
    matrix = geometry.crop_matrix(
        subject.center.astype(float), side, 0.0, (size, size)
    )
    image = image[..., ::-1]
    if picture.ignore:
        image = drawing.draw_mask(image, ignore.decode(picture.ignore))
    tile = cv2.warpAffine(image, matrix, (size, size), borderValue=(60,) * 3)
    for person in picture.counted:
        joints = geometry.move(person.joints.astype(float), matrix)
        tile = drawing.draw_skeleton(tile, joints, skeleton, person.flags)
    name = subject.name or picture.source
    for shift, color in ((1, (0, 0, 0)), (0, (255, 255, 255))):
        start = (3 + shift, size - 5 + shift)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(tile, name, start, font, 0.35, color, 1, cv2.LINE_AA)
    return tile


if __name__ == "__main__":
    run(main, Config, __doc__)
