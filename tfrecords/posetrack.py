"""Converts PoseTrack18: frames of videos, people with a number in each clip.

M. Andriluka et al., "PoseTrack: A Benchmark for Human Pose Estimation and
Tracking", CVPR 2018, https://arxiv.org/abs/1710.10000. https://posetrack.net
has the frames and the annotations of 2018. SOURCE is the folder that holds
`images` and `annotations/train` and `annotations/val`, one .json per clip.

Run      python -m tfrecords.posetrack --source posetrack18
             --output records/posetrack18

A record is a frame with everybody in it (docs/several-people.md), its clip and
its number; people have the number of their track. Joints are the 15 that are
scored: nobody labelled ears. The files do not say what is occluded: labelled
joints are visible. Ignored are the regions of the files, and the boxes of
people without labelled joints; frames that are not annotated are left out. Head
size is 0.6 times the diagonal of the head's box, area 0.53 times the box.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from keras_pose import untrusted
from keras_pose.console import run
from keras_pose.crowd_skeletons import POSETRACK
from keras_pose.data import annotations
from tfrecords import crops, keypoints, mpii, pictures

SPLITS = ("train", "val")
REGIONS = "ignore_regions_x", "ignore_regions_y"


@dataclass(frozen=True, kw_only=True)
class Config(crops.Config):
    """PoseTrack18's folder."""

    picture_pixels: int = 640
    """Largest side of the stored frames."""


def main(config):
    """Writes the shards; returns what dataset.json says."""
    tasks, sources = {}, {}
    for split in SPLITS:
        folder = config.source / "annotations" / split
        for path in sorted(folder.glob("*.json")):
            truth = read(path)
            for row in truth["images"]:
                crops.photograph(config.source, row["file_name"], path)
            frames = pictures.tasks(truth, truth, config.source, POSETRACK)
            tasks.setdefault(split, []).extend(
                (*task, path.stem, row["frame"])
                for task, row in zip(frames, truth["images"], strict=True)
            )
            sources[f"{split}/{path.name}"] = path
    if not tasks:
        raise FileNotFoundError(
            f"{config.source}/annotations: expected .json files in train or val"
        )
    return crops.save(
        config,
        tasks,
        make=partial(make, pixels=config.picture_pixels),
        skeleton=POSETRACK,
        protocol="pckh",
        title="PoseTrack18",
        sources=sources,
        **pictures.DESCRIPTION,
    )


def make(task, pixels):
    """The record of a frame: a task of `pictures.make`, clip and number."""
    *task, clip, frame = task
    return replace(pictures.make(task, pixels), clip=clip, frame=frame)


def read(path):
    """The annotated frames of a clip in COCO's form.

    Returns:
        dict of images with frame and ignored (shapes), and of annotations with
        POSETRACK's joints, area, head_size and track.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not of PoseTrack18's form.
    """
    content = untrusted.read_json(path)
    try:
        joints = content["categories"][0]["keypoints"]
        order = [joints.index(joint) for joint in POSETRACK.joints]
        images = [
            {
                "id": row["id"],
                "file_name": row["file_name"],
                "width": row.get("width"),
                "height": row.get("height"),
                "frame": _frame(row["file_name"]),
                "ignored": _regions(row),
            }
            for row in content["images"]
            if row.get("is_labeled", True)
        ]
        people = [
            _person(row, joints, order)
            for row in content.get("annotations") or []
        ]
        truth = {"images": images, "annotations": people}
        annotations.check_truth(truth, len(order))
    except (
        *(AttributeError, IndexError, KeyError, TypeError, ValueError),
    ) as error:
        raise ValueError(
            f"{path} is not a clip of PoseTrack18: problem with {error}"
        ) from None
    return truth


def _frame(name):
    """The number of a frame: 12 for images/val/clip/000012.jpg."""
    stem = name.rpartition("/")[2].partition(".")[0]
    if not stem.isdecimal():
        raise ValueError(
            f"a frame must be called NUMBER.jpg, got {name!r:.100}"
        )
    return int(stem)


def _regions(row):
    """The ignored polygons of an image, as COCO's shapes."""
    columns = [row.get(name) or [] for name in REGIONS]
    if [*map(len, columns[0])] != [*map(len, columns[1])]:
        raise ValueError(
            f"{row['file_name']}: as many x as y in each ignored region wanted"
        )
    return [
        [[value for point in zip(*polygon, strict=True) for value in point]]
        for polygon in zip(*columns, strict=True)
    ]


def _person(row, joints, order):
    """An annotation with POSETRACK's joints; labelled ones are visible."""
    who = f"annotation {row['id']!r:.100}"
    values = row["keypoints"]
    if len(values) != 3 * len(joints):
        raise ValueError(
            f"{who}: expected {3 * len(joints)} numbers of keypoints, got "
            f"{len(values)}"
        )
    table = np.reshape(values, (-1, 3)).astype(float)[order]
    table[:, 2] = np.where(table[:, 2] > 0, 2, 0)
    track = row["track_id"]
    if not untrusted.is_count(track):
        raise ValueError(f"{who}: 'track_id' cannot be {track!r:.100}")
    person = {key: row.get(key) for key in ("id", "image_id", "bbox")}
    person["keypoints"] = table.ravel().tolist()
    person = keypoints.complete(person)
    person["area"] = pictures.box_area(person["bbox"])
    person["track"] = track
    if row.get("bbox_head"):
        _, _, width, height = box = row["bbox_head"]
        size = mpii.HEAD_BOX_PART * math.hypot(width, height)
        if not untrusted.is_number(size, 0):
            raise ValueError(
                f"{who}: 'bbox_head' must be 4 numbers, got {box!r:.100}"
            )
        person["head_size"] = size
    return person


if __name__ == "__main__":
    run(main, Config, __doc__)
