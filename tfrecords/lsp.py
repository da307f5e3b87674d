"""Converts Leeds Sports Poses (LSP) and its extended training set (LSPET).

S. Johnson and M. Everingham, "Clustered pose and nonlinear appearance models
for human pose estimation", BMVC 2010 (LSP: 2,000 people); "Learning effective
human pose estimation from inaccurate annotation", CVPR 2011 (LSPET: 10,000).
http://sam.johnson.io/research/lsp.html and lspet.html; for research, the
photographs belong to their owners on Flickr.

SOURCE is the unpacked archive: joints.mat and the folder images. The shape of
`joints` tells the two apart: 3 x 14 x N is LSP, whose third row means
*occluded*; 14 x 3 x N is LSPET, whose third row means *labelled*.

Run      python -m tfrecords.lsp --source lsp --output records/lsp
         python -m tfrecords.lsp --source lspet --output records/lspet

Expect   LSP 900 train, 100 val and 1,000 test people; LSPET 9,000, 500 and 500
         (5,000, 500 and 500 of a file that ends at image 6,000).

Test is LSP's own, images 1001 to 2000. Neither archive has a validation split,
and LSPET has no test split: the default is ours. All 1,000 published training
people in one split are --splits train=1-1000 val=1001-2000, where the epoch is
chosen on the test people.

The source has no boxes: centre and scale come from the labelled joints.
"""

import re
from dataclasses import dataclass

import numpy as np

from keras_pose.console import run
from keras_pose.skeletons import LSP
from tfrecords import crops, matlab

FIRST_PIXEL = 0.0
"""Coordinate of the first pixel's centre. The archives do not say. In LSPET's
first 6,000 images 75,000 labelled joints reach down to x = 0.22, y = -1.17 and
never come closer to the far borders than width - 1.21 and height - 1.06, and
unlabelled joints hold exact zeros: this is counting from 0, although the file
is MATLAB's."""

LSP_SPLITS = ("train=1-900", "val=901-1000", "test=1001-2000")
"""The last 100 of the published training people are for validation."""
LSPET_HELD_OUT = {"val": range(5001, 5501), "test": range(5501, 6001)}
"""The rest is train: a copy that ends at image 6,000 has the same val and
test."""


@dataclass(frozen=True, kw_only=True)
class Config(crops.Config):
    """LSP or LSPET, from the folder that holds joints.mat and images."""

    splits: tuple[str, ...] = ()
    """NAME=FIRST-LAST, image numbers from 1. Default: LSP
    train=1-900 val=901-1000 test=1001-2000, LSPET val=5001-5500 test=5501-6000
    and the others as train."""


def main(config):
    """Writes the shards; returns what dataset.json says."""
    path, images = config.source / "joints.mat", config.source / "images"
    joints, flags, digits = read_joints(path)
    if config.splits or digits == 4:
        splits = parse_splits(config.splits or LSP_SPLITS, len(joints))
    else:
        splits = lspet_splits(len(joints))
    tasks, unplaced = {}, []
    for split, numbers in splits.items():
        tasks[split] = []
        for number in numbers:
            name = f"im{number:0{digits}d}.jpg"
            try:
                person = crops.person_from_joints(
                    joints[number - 1], flags[number - 1], name
                )
            except ValueError as error:
                unplaced.append(str(error))
                continue
            photograph = crops.photograph(images, name, path)
            tasks[split].append((photograph, (person,)))
    return crops.save(
        config,
        tasks,
        skeleton=LSP.name,
        title="LSP" if digits == 4 else "LSPET",
        protocol="pck-torso",
        sources=[path],
        unplaced=unplaced,
    )


def read_joints(path):
    """joints (N, 14, 2) from 0, COCO flags (N, 14), digits in image names."""
    table = matlab.read(path, "joints")
    shape = np.shape(table)
    if table.dtype.kind not in "fiub":
        raise ValueError(f"{path}: joints must be numbers, got {table.dtype}")
    if len(shape) == 3 and shape[:2] == (3, 14):
        x, y, occluded = table
        flags = np.where(occluded > 0, 1, 2)
        digits = 4
    elif len(shape) == 3 and shape[:2] == (14, 3):
        x, y, labelled = np.moveaxis(table, 1, 0)
        flags = np.where(labelled > 0, 2, 0)  # nothing says occluded
        digits = 5
    else:
        raise ValueError(
            f"{path}: joints must be 3 x 14 x N (LSP) or 14 x 3 x N (LSPET), "
            f"got {' x '.join(map(str, shape))}: another data set?"
        )
    return np.stack([x.T, y.T], axis=-1) - FIRST_PIXEL, flags.T, digits


def parse_splits(words, people):
    """{"train": range(1, 1001)} from ("train=1-1000",): numbers from 1.

    Raises:
        ValueError: not NAME=FIRST-LAST, out of range, or overlapping.
    """
    splits, taken = {}, set()
    for word in words:
        match = re.fullmatch(r"(\w+)=(\d+)-(\d+)", word)
        if not match or match[1] in splits:
            raise ValueError(
                f"splits must be NAME=FIRST-LAST, each name once, got {word!r}"
            )
        first, last = int(match[2]), int(match[3])
        if not 1 <= first <= last <= people:
            raise ValueError(f"{word}: the file holds people 1-{people}")
        numbers = range(first, last + 1)
        if not taken.isdisjoint(numbers):
            raise ValueError(
                f"splits must not share people, got {word}, which overlaps "
                "another"
            )
        taken.update(numbers)
        splits[match[1]] = numbers
    return splits


def lspet_splits(people):
    """{"train": [1, 2 ...], "val": ..., "test": ...} of the first `people`."""
    taken = {number for split in LSPET_HELD_OUT.values() for number in split}
    everyone = range(1, people + 1)
    splits = {"train": [n for n in everyone if n not in taken]}
    for split, numbers in LSPET_HELD_OUT.items():
        splits[split] = [n for n in numbers if n in everyone]
    return {split: numbers for split, numbers in splits.items() if numbers}


if __name__ == "__main__":
    run(main, Config, __doc__)
