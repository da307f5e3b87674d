"""CrowdPose and PoseTrack18: joints, areas, tracks, and what is ignored."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.crowd_skeletons import CROWDPOSE, POSETRACK
from keras_pose.data import annotations, dataset, ignore, records
from tfrecords import crowdpose, posetrack

EARS = ("left_ear", "right_ear")
TRACKED = [*POSETRACK.joints[:3], *EARS, *POSETRACK.joints[3:]]
"""The order of the files."""


def parsed(folder, joints):
    data = dataset.open_dataset(folder)
    (split,) = data.splits
    rows = tf.data.TFRecordDataset(data.shards(split))
    return data, [records.parse(row, joints) for row in rows]


def person(number, box, keypoints, **more):
    row = {"id": number, "image_id": 7, "category_id": 1, "iscrowd": 0}
    return row | {"bbox": box, "keypoints": keypoints} | more


def write(path, joints, images, people):
    path.parent.mkdir(parents=True, exist_ok=True)
    category = {"id": 1, "name": "person", "keypoints": joints}
    content = {"categories": [category], "images": images}
    path.write_text(json.dumps(content | {"annotations": people}))


@pytest.fixture
def crowd(tmp_path, photograph):
    def convert(joints=CROWDPOSE.joints):
        photograph(tmp_path / "source/images/a.jpg", 60, 40)
        images = [{"id": 7, "file_name": "a.jpg", "width": 60, "height": 40}]
        labelled = [5, 6, 2, 9, 8, 1] + [0] * 36
        people = [
            person(1, [2, 4, 20, 30], labelled),
            person(2, [40, 10, 10, 20], [0] * 42),
        ]
        path = tmp_path / "source/json/crowdpose_val.json"
        write(path, list(joints), images, people)
        crowdpose.main(
            crowdpose.Config(
                source=tmp_path / "source",
                output=tmp_path / "out",
                annotations=("val=json/crowdpose_val.json",),
                workers=1,
            )
        )
        return tmp_path / "out"

    return convert


def test_crowdpose_has_areas_and_ignores_boxes_without_joints(crowd):
    data, (picture,) = parsed(crowd(), 14)
    assert data.skeleton == CROWDPOSE and data.most_people == 2
    first, second = picture.counted
    assert first.flags.tolist() == [2, 1] + [0] * 12
    assert first.area == pytest.approx(0.53 * 20 * 30)
    assert not second.flags.any()
    expected = np.zeros((40, 60))
    expected[10:30, 40:50] = 255
    np.testing.assert_array_equal(ignore.decode(picture.ignore), expected)
    people = annotations.read_people(data, "val")
    assert people.area[0] == pytest.approx(318)


def test_another_file_is_not_taken_for_crowdpose(crowd):
    with pytest.raises(ValueError, match="not of CrowdPose: expected the jo"):
        crowd(CROWDPOSE.joints[::-1])


@pytest.fixture
def tracked(tmp_path, photograph):
    def convert(image=(), **change):
        folder = tmp_path / "source"
        name = "images/val/c1/000012.jpg"
        photograph(folder / name, 60, 40)
        row = {
            "id": 7,
            "file_name": name,
            "ignore_regions_x": [[40, 50, 50, 40]],
            "ignore_regions_y": [[10, 10, 30, 30]],
        } | dict(image)
        unseen = {"id": 8, "file_name": name[:-5] + "3.jpg"}
        keypoints = [5, 6, 1] + [0] * 9 + [9, 8, 1] + [0] * 36
        someone = person(
            1, [2, 4, 20, 30], keypoints, track_id=3, bbox_head=[2, 4, 6, 8]
        )
        path = folder / "annotations/val/c1.json"
        images = [row, unseen | {"is_labeled": False}]
        write(path, TRACKED, images, [someone | change])
        posetrack.main(
            posetrack.Config(source=folder, output=tmp_path / "out", workers=1)
        )
        return tmp_path / "out"

    return convert


def test_posetrack_has_tracks_clips_frames_and_ignored_regions(tracked):
    data, (picture,) = parsed(tracked(), 15)
    assert data.skeleton == POSETRACK
    assert (picture.clip, picture.frame) == ("c1", 12)
    (someone,) = picture.counted
    assert someone.track == 3
    # the right ear, the joint after the left one, is not taken
    assert someone.flags.tolist() == [2] + [0] * 14
    assert someone.area == pytest.approx(0.53 * 20 * 30)
    assert someone.head_size == pytest.approx(0.6 * 10)
    expected = np.zeros((40, 60))
    expected[10:30, 40:50] = 255
    np.testing.assert_array_equal(ignore.decode(picture.ignore), expected)
    people = annotations.read_people(data, "val")
    assert people.track.tolist() == [3, -1]
    assert people.crowd.tolist() == [False, True]


REGION = {"ignore_regions_x": [[1, 9]], "ignore_regions_y": [[1, 9]]}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"image": REGION}, "000012.jpg: a polygon must be .* three points"),
        ({"image": {"ignore_regions_x": [[1]]}}, "as many x as y"),
        ({"image": {"file_name": "images/val/c1/a.jpg"}}, "NUMBER.jpg, got"),
        ({"track_id": "b"}, "'track_id' cannot be 'b'"),
        ({"bbox": [1, 2, float("nan"), 4]}, "'bbox' cannot be .1, 2, nan"),
        ({"keypoints": [1, 2, 1]}, "expected 51 numbers of keypoints, got 3"),
    ],
)
def test_what_cannot_be_of_posetrack_is_named(tracked, change, named):
    with pytest.raises(ValueError, match=named):
        tracked(**change)


def test_posetrack_without_annotations_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected .json files in tr"):
        posetrack.main(posetrack.Config(source=tmp_path, output=tmp_path / "o"))
