"""Converts a table of joints, a row each, to records.

Columns of the .csv (or .tsv; separated by commas, semicolons or tabs), in any
order, in a first line of names:

image    file of the photograph, relative to --images
person   which one of the picture's subjects; optional: there is one each
joint    name
x, y     pixels of the upright photograph from 0, the centre of the first pixel
flag     0 not labelled, 1 occluded, 2 visible; optional: 2
split    train, val or test; optional, the same for all rows of a picture

A joint without a row is not labelled. --joints is the order of the joints, by
default that of their first appearance. --columns file=image point=joint renames
columns, --ignore skips others.

Run      python -m tfrecords.csv --source hands.csv --images photographs
             --output records/hands --kind hand --val 0.1

The table has no boxes: they are those of the labelled joints, and areas those
of the boxes. Without a column split, shares of the pictures (--val, --test) or
--lists make the splits.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from keras_pose import untrusted
from keras_pose.console import run
from tfrecords import crops, keypoints

WANTED = "image", "joint", "x", "y"
OPTIONAL = "person", "flag", "split"
SEPARATORS = ",;\t"


@dataclass(frozen=True, kw_only=True)
class Config(keypoints.AnySkeleton):
    """A table with a row per joint."""

    images: Path | None = None
    """Folder of the photographs; default: that of the table."""
    joints: tuple[str, ...] = ()
    """Names of the joints in their order."""
    columns: tuple[str, ...] = ()
    """OTHER=NAME: columns with other names."""
    ignore: tuple[str, ...] = ()
    """Columns to skip."""


def main(config):
    """Writes the shards and the truth; returns what dataset.json says."""
    truths, joints = read(config)
    name = config.kind or "subject"
    skeleton = keypoints.skeleton_of(config, name, joints)
    folder = config.images or config.source.parent
    return keypoints.convert(config, skeleton, truths, folder, [config.source])


def read(config):
    """{split: truth} of a table, and the names of its joints.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a column or value is missing or wrong; names the line.
    """
    path, pictures, joints = config.source, {}, list(config.joints)
    for line, row in _rows(config):
        where = f"{path}, line {line}"
        if row["joint"] not in joints:
            if config.joints:
                raise ValueError(
                    f"{where}: no joint of --joints is called "
                    f"{row['joint']!r:.100}"
                )
            joints.append(row["joint"])
        split, people = pictures.setdefault(row["image"], (row["split"], {}))
        if split != row["split"]:
            raise ValueError(
                f"{where}: {row['image']} is in the splits {split} and "
                f"{row['split']}"
            )
        person = people.setdefault(row["person"], {})
        if row["joint"] in person:
            raise ValueError(
                f"{where}: {row['joint']} of person {row['person']!r} in "
                f"{row['image']} is there already"
            )
        try:
            x, y = (float(row[name]) for name in "xy")
            flag = float(row["flag"])
            good = all(map(untrusted.is_number, (x, y))) and flag in (0, 1, 2)
        except ValueError:
            good = False
        if not good:
            got = ", ".join(repr(row[name]) for name in ("x", "y", "flag"))
            raise ValueError(
                f"{where}: x and y must be numbers and flag 0, 1 or 2, got "
                f"{got:.100}"
            )
        person[row["joint"]] = x, y, int(flag)
    if not pictures:
        raise ValueError(f"{path} must have a row per joint, got none")
    truths = {}
    for number, (image, (split, people)) in enumerate(pictures.items()):
        crops.photograph(config.images or path.parent, image, path)
        truth = truths.setdefault(split, keypoints.empty())
        truth["images"].append({"id": number, "file_name": image})
        for person in people.values():
            table = [person.get(joint, (0, 0, 0)) for joint in joints]
            keypoints.add(truth, number, sum(map(list, table), []))
    return truths, joints


def _rows(config):
    """(line, {column: text}) of each row, with all columns."""
    path = config.source
    text = untrusted.read_file(path).decode("utf-8-sig", errors="replace")
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    table = csv.DictReader(io.StringIO(text), delimiter=separator)
    renamed = dict(word.split("=", 1) for word in config.columns if "=" in word)
    header = table.fieldnames or []
    known = [*WANTED, *OPTIONAL]
    names = [renamed.get(name.strip(), name.strip()) for name in header]
    absent = [name for name in renamed if name not in header]
    absent += [name for name in config.ignore if name not in header]
    missing = [name for name in WANTED if name not in names]
    strange = [
        name
        for name in names
        if name not in known and name not in config.ignore
    ]
    twice = [name for name in names if names.count(name) > 1]
    columns = f"columns are {', '.join(known)}; --columns renames others"
    for what, problem in (
        (absent, "has no column {!r}"),
        (missing, "has no column {!r}"),
        (strange, "has an unknown column {!r}"),
        (twice, "has several columns {!r}"),
    ):
        if what:
            raise ValueError(
                f"{path} {problem.format(what[0])}, it has "
                f"{', '.join(header) or 'none'}: {columns}, --ignore skips them"
            )
    table.fieldnames = names
    defaults = {"person": "1", "flag": "2", "split": keypoints.TRAIN}
    for row in table:
        if None in row or None in row.values():
            raise ValueError(
                f"{path}, line {table.line_num}: expected {len(names)} values"
            )
        values = {name: row[name].strip() for name in names}
        for name in values:
            if not values[name] and name in (*WANTED, *OPTIONAL):
                raise ValueError(
                    f"{path}, line {table.line_num}: {name} is empty"
                )
        yield table.line_num, defaults | values


if __name__ == "__main__":
    run(main, Config, __doc__)
