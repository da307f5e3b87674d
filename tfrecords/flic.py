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

from keras_pose.console import run
from keras_pose.data.records import Person
from keras_pose.skeletons import FLIC
from tfrecords import crops

FIRST_PIXEL = 1
"""The h5 files hold the coordinates of FLIC's MATLAB file."""

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
            (images / frame, (p, *(o for o in frames[frame] if o is not p)))
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
        protocol="flic",
        sources=paths.values(),
    )


def read_people(path):
    """(frame, `Person` in its pixels) of each person, in the file's order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: wanted FLIC's annotations")
    names = ("imgname", "part", "visible", "center", "scale", "index")
    try:
        with h5py.File(path) as file:
            missing = [name for name in names if name not in file]
            columns = [file[name][:] for name in names if name in file]
    except OSError as error:
        raise ValueError(f"{path} is not a readable h5: {error}") from None
    if missing or columns[1].shape[1:] != (len(FLIC.joints), 2):
        raise ValueError(
            f"{path} is of another data set: wanted {', '.join(names)}, with "
            f"part of N x {len(FLIC.joints)} x 2"
        )
    people = []
    for frame, joints, visible, center, scale, index in zip(
        *columns, strict=True
    ):
        frame = frame.decode()
        person = Person(
            joints=joints - FIRST_PIXEL,
            flags=np.where(visible > 0, 2, 1),
            center=center.astype(float) - FIRST_PIXEL,
            scale=float(scale),
            name=f"{frame}#{index}",
        )
        people.append((frame, person))
    return people


if __name__ == "__main__":
    run(main, Config, __doc__)
