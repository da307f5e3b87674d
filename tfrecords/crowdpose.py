"""Converts CrowdPose: crowded photographs, 14 joints per person.

J. Li et al., "CrowdPose: Efficient Crowded Scenes Pose Estimation and a New
Benchmark", CVPR 2019, https://arxiv.org/abs/1812.00324. The authors' page,
https://github.com/Jeff-sjtu/CrowdPose, links photographs and annotations.
SOURCE is the folder that holds `images` and `json` with the files
crowdpose_train.json, crowdpose_val.json and crowdpose_test.json.

Run      python -m tfrecords.crowdpose --source crowdpose
             --output records/crowdpose

A record is a whole picture with everybody in it (docs/several-people.md). There
are no outlines: the boxes of crowds and of people without labelled joints are
ignored. The area of a person is 0.53 times that of the box, as in the authors'
evaluation. The crowd index follows from the labels (`people.crowd_indices`).
"""

from dataclasses import dataclass
from pathlib import Path

from keras_pose.console import run
from keras_pose.crowd_skeletons import CROWDPOSE
from tfrecords import coco, crops, keypoints, pictures

ANNOTATIONS = tuple(
    f"{split}=json/crowdpose_{split}.json" for split in ("train", "val", "test")
)


@dataclass(frozen=True, kw_only=True)
class Config(crops.Config):
    """CrowdPose's folder."""

    annotations: tuple[str, ...] = ANNOTATIONS
    """SPLIT=FILE; files are relative to SOURCE."""
    images: Path | None = None
    """Folder of the photographs. Default: images, in SOURCE."""
    picture_pixels: int = 640
    """Largest side of the stored photographs."""


def main(config):
    """Writes the shards and the truth; returns what dataset.json says."""
    paths = {
        split: config.source / name
        for split, name in keypoints.parse_splits(
            config.annotations, "annotations"
        ).items()
    }
    folder = config.images or config.source / "images"
    truths = {split: read(path) for split, path in paths.items()}
    folders = dict.fromkeys(truths, folder)
    for split, truth in truths.items():
        for row in truth["images"]:
            crops.photograph(folder, row["file_name"], paths[split])
    keypoints.check_apart(truths, folders)
    return keypoints.save(
        config,
        CROWDPOSE,
        {
            split: pictures.tasks(truth, truth, folder, CROWDPOSE)
            for split, truth in truths.items()
        },
        truths,
        folders,
        protocol="pck-torso",
        title="CrowdPose",
        sources=[*paths.values()],
        **pictures.settings(config.picture_pixels),
    )


def read(path):
    """The annotations of a file, with areas.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not of CrowdPose's form, or of other joints.
    """
    truth, named = coco.read(path)
    joints = named["keypoints"] if named else []
    if tuple(joints) != CROWDPOSE.joints:
        raise ValueError(
            f"{path} is not of CrowdPose: expected the joints "
            f"{', '.join(CROWDPOSE.joints)}, got {', '.join(map(str, joints))}"
        )
    for row in truth["annotations"]:
        row["area"] = pictures.box_area(row["bbox"])
    return truth


if __name__ == "__main__":
    run(main, Config, __doc__)
