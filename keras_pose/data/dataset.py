"""The description of a data set: reads, checks and writes dataset.json."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from keras_pose import choices, files, skeletons, untrusted
from keras_pose.data.records import PEOPLE
from keras_pose.skeletons import Skeleton
from keras_pose.untrusted import is_count, is_number

DESCRIPTION = "dataset.json"
FORMAT = 1
LONGEST = 65_535
"""Largest side of a JPEG, pixels."""
DRAWING = "tfrecords.synthetic"
"""Converter whose data sets do not say themselves that they are drawn, if they
are of an earlier version."""
FEWEST_BYTES = 16
"""Size of an empty TFRecord: length and checksums."""


@dataclass(frozen=True)
class Dataset:
    """An opened folder of shards."""

    folder: Path
    description: dict
    """Contents of dataset.json, as `tfrecords.shards` writes it."""

    @property
    def skeleton(self) -> Skeleton:
        """The order of the joints."""
        return skeletons.find(self.description["skeleton"])

    @property
    def protocol(self) -> str:
        """The metric commonly reported on this data: `metrics.PROTOCOLS`."""
        return self.description["protocol"]

    @property
    def protocols(self) -> tuple:
        """`protocol`, and OKS if all people in photographs are annotated; OKS
        alone if the pictures are whole."""
        if self.whole_pictures:  # nothing says who is whom
            return ("oks",)
        also = ("oks",) if "truth" in self.description else ()
        return (self.protocol, *also)

    @property
    def max_side(self) -> int:
        """Largest side of the pictures in the records, pixels."""
        return self.description["max_side"]

    @property
    def context(self) -> float | None:
        """Side of the stored crops / side of the subject's square; None if
        unknown or the photographs are whole."""
        return self.description.get("context")

    @property
    def aspect(self) -> float | None:
        """Width / height that the subjects' boxes were fitted to; refitted to
        the network's when records are read. None: not fitted."""
        return self.description.get("aspect")

    @property
    def whole_pictures(self) -> bool:
        """Whether a record is a picture and all people in it, not a person."""
        return bool(self.description.get("whole_pictures"))

    def check_pictures(self, whole):
        """ValueError unless records are whole pictures, or people."""
        if whole and not self.whole_pictures:
            raise ValueError(
                f"{self.folder} has a record for each person, but a model that "
                "finds everybody needs whole pictures (tfrecords.crowds, or "
                "tfrecords.coco --one-per-picture)"
            )
        if self.whole_pictures and not whole:
            raise ValueError(
                f"{self.folder} has records of whole pictures, but a model of "
                "single people needs one for each person"
            )

    @property
    def title(self) -> str:
        """What people call the data set; without a title, the folder's name."""
        return self.description.get("title") or self.folder.resolve().name

    @property
    def converter(self) -> str | None:
        """Module that made it, such as "tfrecords.mpii"; None if unknown."""
        command = self.description.get("command") or ""
        match = re.search(r"\btfrecords\.\w+", command)
        return match and match[0]

    @property
    def is_drawn(self) -> bool:
        """Whether its people are drawn, as far as is known."""
        known = self.description.get("drawn")
        return self.converter == DRAWING if known is None else known

    @property
    def splits(self) -> tuple:
        """Names of the splits."""
        return tuple(self.description["splits"])

    @property
    def unit(self) -> str:
        """What a record is: people or pictures."""
        return unit_of(self.description)

    @property
    def subjects(self) -> str:
        """What to call its records: people, hands, pictures."""
        return "pictures" if self.whole_pictures else self.skeleton.kinds

    @property
    def most_people(self) -> int:
        """Most people in a whole picture of any split; 0: they are not whole.

        Labels of all splits have room for as many.
        """
        entries = self.description["splits"].values()
        return max(entry.get("most", 0) for entry in entries)

    def people(self, split) -> int:
        """Number of records in a split: subjects, or whole pictures."""
        return self._split(split)[self.unit]

    def is_labelled(self, split) -> bool:
        """Whether a split has labelled joints, as far as dataset.json says."""
        counts = self._split(split).get("joints")
        if not isinstance(counts, dict):
            return True
        return bool(counts.get("visible") or counts.get("occluded"))

    def shards(self, split) -> list[str]:
        """Paths of a split's shards, in order; raises if one is missing."""
        names = [shard["file"] for shard in self._split(split)["shards"]]
        return [str(self.find(name)) for name in names]

    def find(self, name) -> Path:
        """Path of a file that dataset.json lists.

        Raises:
            FileNotFoundError: it is missing.
            ValueError: the name leads out of the folder.
        """
        path = untrusted.inside(self.folder, name)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: {DESCRIPTION} lists it. Convert again."
            )
        return path

    def _split(self, split):
        if split not in self.description["splits"]:
            known = ", ".join(self.splits)
            raise ValueError(
                f"{self.folder} has no split {split!r}: it has {known}"
            )
        entry = self.description["splits"][split]
        if not entry[self.unit]:
            raise ValueError(
                f"{self.folder}: split {split!r} holds no {self.subjects}"
            )
        return entry


def open_dataset(folder) -> Dataset:
    """Opens a folder written by one of `python -m tfrecords.*`.

    Raises:
        FileNotFoundError: no such folder, or no dataset.json in it.
        ValueError: dataset.json is of another format or skeleton.
    """
    folder = Path(folder)
    path = folder / DESCRIPTION
    if not path.is_file():
        is_folder = folder.is_dir()
        what = f"has no {DESCRIPTION}" if is_folder else "is not a folder"
        raise FileNotFoundError(
            f"{folder} {what}. Make it with python -m tfrecords.coco, csv or "
            "yolo (your own annotations), mpii, lsp, flic or coco (published "
            "ones), synthetic or crowds (drawn people) or combine (several "
            "sets); each answers --help."
        )
    description = untrusted.read_json(path)
    is_object = isinstance(description, dict)
    got = description.get("format") if is_object else description
    if got != FORMAT or isinstance(got, bool):
        raise ValueError(f"{path}: format must be {FORMAT}, got {got!r:.100}")
    try:
        skeletons.find(description.get("skeleton"))
        _check(description)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Dataset(folder, description)


def _check(description):
    """Raises unless every value has its type and range."""
    _want(description, WANTED)
    given = {k for k in OPTIONAL if description.get(k) is not None}
    _want(description, {name: OPTIONAL[name] for name in given})
    unit = unit_of(description)
    members = SPLIT if unit == "people" else SPLIT | PICTURES
    for split, entry in description["splits"].items():
        if not untrusted.is_name(split):
            raise ValueError(f"expected a name of a split, got {split!r:.100}")
        where = f"split {split!r}: "
        _want(entry, members, where)
        for number, shard in enumerate(entry["shards"]):
            _want(shard, SHARD, f"{where}shard {number} (from 0): ")
            if shard["records"] * FEWEST_BYTES > shard["bytes"]:
                raise ValueError(
                    f"{where}{shard['bytes']:,} bytes of {shard['file']!r} "
                    f"cannot hold {shard['records']:,} records"
                )
        held = sum(shard["records"] for shard in entry["shards"])
        if held != entry[unit]:
            raise ValueError(
                f"{where}{entry[unit]:,} {unit}, but shards hold {held:,}"
            )
    for split, entry in (description.get("truth") or {}).items():
        choices.check("truth of a split", split, description["splits"])
        _want(entry, FILE, f"truth of {split!r}: ")


def _want(entry, members, where=""):
    """ValueError unless an object has `members` {name: (test, words)}."""
    if not isinstance(entry, dict):
        raise ValueError(f"{where}expected an object, got {entry!r:.100}")
    for name, (is_good, words) in members.items():
        if name not in entry:
            raise ValueError(f"{where}{name} is missing: expected {words}")
        if not is_good(entry[name]):
            got = f"{entry[name]!r:.100}"
            raise ValueError(f"{where}{name} must be {words}, got {got}")


def _is(kind):
    return lambda value: isinstance(value, kind)


TEXT, OBJECT, COUNT = (
    (_is(str), "a string"),
    (_is(dict), "an object"),
    (is_count, "a whole number of at least 0"),
)
RATIO = (lambda value: is_number(value, 0.01, 100), "a number from 0.01 to 100")
FILE = {
    "file": TEXT,  # `Dataset.find` refuses paths out of the folder
    "sha256": (
        lambda value: re.fullmatch("[0-9a-f]{64}", str(value)),
        "a SHA-256 of 64 digits",
    ),
}
SHARD = FILE | {
    "bytes": COUNT,
    "records": (
        lambda value: is_count(value, 1),
        "a whole number of at least 1",
    ),
}
SPLIT = {"people": COUNT, "shards": (_is(list), "a list")}
PICTURES = {
    "pictures": COUNT,
    "most": (
        lambda value: is_count(value, 0, PEOPLE),
        f"0 to {PEOPLE:,} people",
    ),
}
WANTED = {
    "protocol": TEXT,
    "max_side": (
        lambda value: is_count(value, 1, LONGEST),
        f"1 to {LONGEST:,} pixels",
    ),
    "splits": OBJECT,
}
OPTIONAL = {
    "context": RATIO,
    "aspect": RATIO,
    "command": TEXT,
    "truth": OBJECT,
    "title": TEXT,
    "drawn": (_is(bool), "true or false"),
    "whole_pictures": (_is(bool), "true or false"),
}
"""Required and optional values of dataset.json: {name: (test, words)}."""


def unit_of(description):
    """What a record is by dataset.json: people or pictures."""
    return "pictures" if description.get("whole_pictures") else "people"


def describe_split(entry, kinds):
    """Counts of a split as text: "2 pictures, 3 people, at most 2 in one;
    joints: 5 visible, 1 occluded, 42 unlabelled"; `kinds` as of a skeleton."""
    text = f"{entry['people']:,} {kinds}"
    if "pictures" in entry:
        text = f"{entry['pictures']:,} pictures, {text}"
        text += f", at most {entry['most']} in one"
    joints = ", ".join(f"{n:,} {k}" for k, n in entry["joints"].items())
    return f"{text}; joints: {joints}"


def write_description(folder, description):
    """Writes dataset.json atomically."""
    text = json.dumps({"format": FORMAT} | description, indent=2)
    with files.whole(Path(folder) / DESCRIPTION) as temporary:
        temporary.write_text(text)
