"""What lies beside the shards: dataset.json, read and checked in one place."""

import json
from dataclasses import dataclass
from pathlib import Path

from keras_pose import files, skeletons
from keras_pose.skeletons import Skeleton

DESCRIPTION = "dataset.json"
FORMAT = 1


@dataclass(frozen=True)
class Dataset:
    """An opened folder of shards."""

    folder: Path
    description: dict
    """dataset.json as written by `tfrecords.shards`."""

    @property
    def skeleton(self) -> Skeleton:
        """The order of the joints."""
        return skeletons.find(self.description["skeleton"])

    @property
    def protocol(self) -> str:
        """Name of the metric the field reports on it: `metrics.PROTOCOLS`."""
        return self.description["protocol"]

    @property
    def protocols(self) -> tuple:
        """That one, and OKS where everybody in the photographs is annotated."""
        also = ("oks",) if "truth" in self.description else ()
        return (self.protocol, *also)

    @property
    def max_side(self) -> int:
        """No picture in the records is wider or higher, in pixels."""
        return self.description["max_side"]

    @property
    def context(self) -> float | None:
        """Side of the stored crops / the subject's square; None: unknown, or
        the photographs are whole."""
        return self.description.get("context")

    @property
    def aspect(self) -> float | None:
        """Width / height that the subjects' boxes were fitted into; another
        network's is fitted when records are read. None: they were not."""
        return self.description.get("aspect")

    @property
    def splits(self) -> tuple:
        """Names of the splits."""
        return tuple(self.description["splits"])

    def people(self, split) -> int:
        """How many records (subjects) a split holds."""
        return self._split(split)["people"]

    def shards(self, split) -> list[str]:
        """Paths of a split's shards, in order; all of them are there."""
        names = [shard["file"] for shard in self._split(split)["shards"]]
        paths = [self.folder / name for name in names]
        for path in paths:
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing: {DESCRIPTION} lists it. Convert again."
                )
        return [str(path) for path in paths]

    def _split(self, split):
        if split not in self.description["splits"]:
            known = ", ".join(self.splits)
            raise ValueError(
                f"{self.folder} has no split {split!r}: it has {known}"
            )
        found = self.description["splits"][split]
        if not found["people"]:
            raise ValueError(f"{self.folder}: split {split!r} holds no people")
        return found


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
            f"{folder} {what}. Make it with python -m tfrecords.mpii, coco, "
            "lsp, flic or synthetic (each answers --help)."
        )
    try:
        description = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    is_object = isinstance(description, dict)
    found = description.get("format") if is_object else description
    if found != FORMAT:
        raise ValueError(f"{path}: format {FORMAT} wanted, got {found!r}")
    try:
        skeletons.find(description.get("skeleton"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Dataset(folder, description)


def write_description(folder, description):
    """Writes dataset.json whole or not at all."""
    text = json.dumps({"format": FORMAT} | description, indent=2)
    with files.whole(Path(folder) / DESCRIPTION) as temporary:
        temporary.write_text(text)
