"""Converts Frames Labeled In Cinema (FLIC) to records.

B. Sapp, B. Taskar, "MODEC: multimodal decomposable models for human pose
estimation", CVPR 2013. https://bensapp.github.io/flic-dataset.html; frames of
films, for research only.

SOURCE is the folder with train_personcentric.h5 and valid_personcentric.h5 (A.
Newell's annotation files: left and right are the person's own) and the folder
`images` of the archive FLIC.

Run      python -m tfrecords.flic --source flic --output records/flic

Expect   3,987 train and 1,016 val people, 11 joints, all labelled.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from keras_pose import untrusted
from keras_pose.console import run
from keras_pose.data.records import Person
from keras_pose.skeletons import FLIC
from tfrecords import crops

FIRST_PIXEL = 1
"""The h5 files hold the coordinates of FLIC's MATLAB file, from 1."""

FILES = {
    "train": "train_personcentric.h5",
    "val": "valid_personcentric.h5",
}
EXPECTED = {"train": 3_987, "val": 1_016}


@dataclass(frozen=True, kw_only=True)
class Config(crops.Config):
    """FLIC, from its h5 annotations and frames."""

    images: Path | None = None
    """Folder of the frames; default: `images` in the source."""


def main(config):
    """Writes the shards; returns what dataset.json says."""
    images = config.images or config.source / "images"
    paths = {split: config.source / name for split, name in FILES.items()}
    tasks = {}
    for split, path in paths.items():
        people = read_people(path)
        frames = defaultdict(list)
        for frame, person in people:
            frames[frame].append(person)
        tasks[split] = [
            (
                crops.photograph(images, frame, path),
                (p, *(o for o in frames[frame] if o is not p)),
            )
            for frame, p in people
        ]
        print(
            f"{split}: {len(people):,} people annotated, "
            f"{EXPECTED[split]:,} expected"
        )
    return crops.save(
        config,
        tasks,
        skeleton=FLIC.name,
        title="FLIC",
        protocol="flic",
        sources=[*paths.values()],
    )


def read_people(path):
    """(frame, `Person` in its pixels) of each person, in the file's order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: expected FLIC's annotations"
        )
    shapes = {
        "imgname": (),
        "part": (len(FLIC.joints), 2),
        "visible": (len(FLIC.joints),),
        "center": (2,),
        "scale": (),
        "index": (),
    }
    try:
        with h5py.File(path) as file:
            untrusted.check_hdf5(file, path)
            columns = {n: file[n][:] for n in shapes if n in file}
    except Exception as error:  # h5py raises anything on a damaged file
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path} is not a readable h5: {reason}") from None
    count = len(columns.get("imgname", ()))
    for name, shape in shapes.items():
        column = columns.get(name)
        kind = "SO" if name == "imgname" else "fiub"
        if (
            column is None
            or column.shape != (count, *shape)
            or column.dtype.kind not in kind
        ):
            raise ValueError(
                f"{path} is of another data set: expected {', '.join(shapes)}, "
                f"with part of N x {len(FLIC.joints)} x 2; problem with {name}"
            )
    people = []
    for frame, joints, visible, center, scale, index in zip(
        *(columns[name] for name in shapes), strict=True
    ):
        frame = _text(frame, path)
        person = Person(
            joints=joints - FIRST_PIXEL,
            flags=np.where(visible > 0, 2, 1),
            center=center.astype(float) - FIRST_PIXEL,
            scale=float(scale),
            name=f"{frame}#{index}",
        )
        people.append((frame, person))
    return people


def _text(name, path):
    try:
        return name.decode()
    except (AttributeError, UnicodeDecodeError):
        raise ValueError(
            f"{path}: expected the name of a frame, got {name!r:.100}"
        ) from None


if __name__ == "__main__":
    run(main, Config, __doc__)
