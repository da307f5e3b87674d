"""Records of whole pictures: who is in them, and what is ignored."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.codecs import COCO18, Fields
from keras_pose.data import annotations, dataset, pipeline, records
from keras_pose.losses import FieldsMSE
from keras_pose.skeletons import COCO
from tfrecords import check, coco, pictures

KEYPOINTS = [0] * 15 + [40, 30, 2, 60, 31, 1] + [0] * 30
"""Left shoulder at (40, 30) visible, right at (60, 31) occluded."""
NONE = [0] * 51


def annotation(number, image, box, keypoints, segmentation, iscrowd=0):
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": iscrowd,
        "num_keypoints": sum(flag > 0 for flag in keypoints[2::3]),
        "area": 77.5,
        "bbox": box,
        "keypoints": keypoints,
        "segmentation": segmentation,
    }


CROWD = {"counts": [90 * 100, 90 * 20], "size": [90, 120]}
"""The last 20 columns."""
PEOPLE = [
    annotation(11, 7, [30, 20, 40, 60], KEYPOINTS, [[30, 20, 70, 20, 50, 80]]),
    annotation(12, 7, [80, 40, 10, 20], NONE, []),
    annotation(13, 7, [100, 0, 20, 90], NONE, CROWD, iscrowd=1),
]
IMAGES = [
    {"id": 9, "file_name": "empty.jpg", "width": 120, "height": 90},
    {"id": 7, "file_name": "full.jpg", "width": 120, "height": 90},
]


@pytest.fixture
def converted(tmp_path, photograph):
    """Converts COCO's annotations; returns the folder."""

    def convert(people=PEOPLE, **settings):
        folder = tmp_path / "coco"
        for row in IMAGES:
            photograph(folder / "val2017" / row["file_name"], 120, 90)
        path = folder / "annotations" / "person_keypoints_val2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"images": IMAGES, "annotations": people}))
        settings = {"one_per_picture": True, "workers": 1} | settings
        coco.main(
            coco.Config(
                source=folder,
                output=tmp_path / "out",
                annotations=("val=annotations/person_keypoints_val2017.json",),
                **settings,
            )
        )
        return tmp_path / "out"

    return convert


def read(folder):
    paths = dataset.open_dataset(folder).shards("val")
    return [records.parse(r, 17) for r in tf.data.TFRecordDataset(paths)]


def mask_of(picture):
    pixels = np.frombuffer(picture.ignore, "uint8")
    return cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED)


def test_a_record_is_a_picture_and_everybody_in_it(converted):
    folder = converted()
    empty, full = read(folder)
    assert (empty.source, empty.size) == ("empty.jpg", (90, 120))
    assert empty.is_whole and not empty.ignore
    (frame,) = empty.people
    assert frame.center.tolist() == [59.5, 44.5]
    assert frame.scale * 200 == pytest.approx(120)
    assert [p.name for p in full.people[1:]] == ["full.jpg#11", "full.jpg#12"]
    first, second = full.counted
    assert first.flags.tolist() == [0] * 5 + [2, 1] + [0] * 10
    assert (first.area, first.track) == (77.5, -1)
    assert not second.flags.any()
    np.testing.assert_array_equal(first.joints[5:7], [[40, 30], [60, 31]])
    described = dataset.open_dataset(folder)
    assert described.whole_pictures and described.context is None
    counts = check.main(check.Config(folder))
    joints = {"visible": 1, "occluded": 1, "unlabelled": 32}
    assert counts == {
        "val": {"people": 2, "pictures": 2, "most": 2, "joints": joints}
    }
    assert described.people("val") == 2 and described.most_people == 2


def test_crowds_and_people_without_labels_are_ignored(converted):
    """The crowd by its runs, who has no outline by his box."""
    _, full = read(converted())
    expected = np.zeros((90, 120), "uint8")
    expected[:, 100:] = 255
    expected[40:60, 80:90] = 255
    np.testing.assert_array_equal(mask_of(full), expected)


def test_a_large_picture_is_reduced_with_all_that_is_in_it(converted):
    _, full = read(converted(picture_pixels=60))
    assert full.size == (45, 60)
    # pixel centres: (40 + 0.5) / 2 - 0.5
    np.testing.assert_allclose(
        full.people[1].joints[5:7], [[19.75, 14.75], [29.75, 15.25]]
    )
    assert full.people[1].area == 77.5 / 4
    expected = np.zeros((45, 60), "uint8")
    expected[:, 50:] = 255
    expected[20:30, 40:45] = 255
    np.testing.assert_array_equal(mask_of(full), expected)


def test_a_split_is_scored_against_everybody(converted):
    data = dataset.open_dataset(converted())
    people = annotations.read_people(data, "val")
    assert people.names == [f"full.jpg#{n}" for n in (11, 12, 13)]
    assert people.pictures == ["empty.jpg", "full.jpg"]
    assert people.crowd.tolist() == [False, False, True]
    assert annotations.read_subjects(data, "val").names == [
        *("empty.jpg", "full.jpg")
    ]


def test_a_batch_has_all_people_and_the_weights_of_cells(converted):
    """120 x 90 pixels in 64 x 48: 8 / 15 of the size."""
    data = dataset.open_dataset(converted())
    (batch,) = pipeline.load(
        data, "val", (48, 64), 2, neighbours=3, mask_stride=4
    )
    images, labels, use = (x.numpy() for x in batch)
    assert images.shape == (2, 48, 64, 3)
    assert labels.shape == (2, 4, 17, 4)
    assert not labels[0, :, :, 2].any() and not labels[1, 0, :, 2].any()
    np.testing.assert_allclose(
        labels[1, 1, 5:7, :2],
        [[40.5 * 8 / 15 - 0.5, 30.5 * 8 / 15 - 0.5],
         [60.5 * 8 / 15 - 0.5, 31.5 * 8 / 15 - 0.5]],
        atol=1e-4,
    )  # fmt: skip
    assert use.dtype == "uint8" and use[0].all()
    expected = np.ones((12, 16))
    expected[:, 13:] = 0  # columns from 53.3 on, cells of 4
    expected[5:8, 10:12] = 0  # x from 42.7 to 48, y from 21.3 to 32
    np.testing.assert_array_equal(use[1], expected)


def test_the_loss_takes_a_batch_as_it_is(converted):
    data = dataset.open_dataset(converted())
    (batch,) = pipeline.load(
        data, "val", (48, 64), 2, neighbours=3, mask_stride=4
    )
    codec = Fields(COCO, stride=4, parts=COCO18)
    outputs = np.zeros((2, 1, 12, 16, codec.channels), "float32")
    target, _ = codec.target(batch[1], outputs)
    wrong = np.array(target)
    wrong[1, :, :, 13:] += 1
    assert float(FieldsMSE(codec)(batch[1], wrong, batch[2])) == 0


def test_training_turns_the_mask_with_the_picture(converted):
    """The last columns are ignored: mirrored, the first."""
    crowd = [PEOPLE[2]]
    data = dataset.open_dataset(converted(crowd))
    flips = pipeline.augment.Augmentation(
        rotation=0.0, zoom=0.0, flip_chance=1.0, color=0.0
    )
    batches = pipeline.load(
        data, "val", (48, 64), 2, training=True, augmentation=flips,
        neighbours=1, mask_stride=4,
    )  # fmt: skip
    _, _, use = next(iter(batches))
    expected = np.ones((12, 16))
    expected[:, :3] = 0  # the columns up to 10.7
    ignored = [row for row in use.numpy() if not row.all()]
    np.testing.assert_array_equal(ignored, [expected])


def test_records_of_before_have_none_of_it():
    """Nothing is written that is not known."""
    person = records.Person(
        np.zeros((3, 2)), np.array([2, 0, 0]), np.zeros(2), 1.0
    )
    picture = records.Picture(b"x", (4, 6), (person,), "a.jpg", np.eye(2, 3))
    written = records.write(picture)
    features = tf.train.Example.FromString(written).features.feature
    assert not {"people/area", "people/track", "image/ignore"} & set(features)
    found = records.parse(written, 3)
    assert np.isnan(found.people[0].area) and found.people[0].track == -1
    assert (found.ignore, found.clip, found.frame) == (b"", "", -1)


def test_frames_and_tracks_come_back_beside_old_records():
    old = records.Person(np.zeros((3, 2)), np.zeros(3, int), np.zeros(2), 1.0)
    new = records.Person(
        np.zeros((3, 2)), np.zeros(3, int), np.zeros(2), 1.0, area=5.0, track=3
    )
    matrix = np.eye(2, 3)
    pair = [
        records.Picture(b"x", (4, 6), (old, old), "a.jpg", matrix),
        records.Picture(
            b"x", (4, 6), (new,), "b.jpg", matrix, clip="walk", frame=7
        ),
    ]
    batch = records.read(tf.constant([records.write(p) for p in pair]), 3)
    np.testing.assert_array_equal(
        batch["area"], [[np.nan, np.nan], [5, np.nan]]
    )
    np.testing.assert_array_equal(batch["track"], [[-1, -1], [3, -1]])
    assert batch["clip"].numpy().tolist() == [b"", b"walk"]
    assert batch["frame"].numpy().tolist() == [-1, 7]


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        (
            "people/area",
            [1.0, 2.0, 3.0, 4.0],
            "3 numbers in people/area, got 4",
        ),
        ("people/area", [1.0, -2.0, 3.0], "people/area is negative"),
        ("people/area", [1.0, 2.0, float("inf")], "negative or infinite"),
        ("people/track", [1], "3 numbers in people/track, got 1"),
        ("image/clip", [b"a", b"b"], "1 value in image/clip, got 2"),
        ("image/ignore", [b"not a PNG"], "a PNG of .90, 120., got None"),
    ],
)
def test_what_a_record_cannot_hold_is_named(converted, name, value, named):
    path = dataset.open_dataset(converted()).shards("val")[0]
    record = list(tf.data.TFRecordDataset(path))[1].numpy()
    example = tf.train.Example.FromString(record)
    feature = example.features.feature
    assert records.unusable(feature, 17) == ""
    kind = {float: "float_list", int: "int64_list", bytes: "bytes_list"}
    values = getattr(feature[name], kind[type(value[0])]).value
    del values[:]
    values.extend(value)
    assert re.search(named, records.unusable(feature, 17))


def test_polygons_are_drawn_and_meet():
    """Rectangles of 2 x 3 and 4 x 1 pixels."""
    shape = [[1, 1, 3, 1, 3, 4, 1, 4], [2, 3, 6, 3, 6, 4, 2, 4]]
    expected = np.zeros((5, 8))
    expected[1:4, 1:3] = 1
    expected[3, 2:6] = 1
    np.testing.assert_array_equal(pictures.drawn(shape, (5, 8)), expected)
    outside = [[-1e9, 1, 1e9, 1, 1e9, 3, -1e9, 3]]
    drawn = pictures.drawn(outside, (5, 8))
    assert drawn.sum() == 16 and drawn[1:3].all()


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ({"counts": [3, 4], "size": [5, 8]}, "runs of all 5 x 8 pixels"),
        ({"counts": "abc", "size": [5, 8]}, "runs of all"),
        ({"counts": [40], "size": [8, 5]}, "runs of all"),
        ([[1, 2, 3, 4]], "three points or more"),
        ([[1, 2, 3, 4, 5]], "three points or more"),
        ([[1, 2, 3, 4, 5, "6"]], "three points or more"),
        ("outline", "three points or more"),
    ],
)
def test_an_outline_that_is_none_is_named(shape, named):
    with pytest.raises(ValueError, match=named):
        pictures.drawn(shape, (5, 8))


def test_boxes_of_a_detector_are_no_pictures(converted, tmp_path):
    with pytest.raises(ValueError, match="or --one-per-picture, got both"):
        converted(boxes=tmp_path / "boxes.json")


SHARED = Path(__file__).parents[2] / "../shared/data/coco"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs COCO's subset")
def test_the_subset_of_coco_has_the_pictures_it_should(tmp_path):
    """50 pictures a split, with 57 and 46 labelled people."""
    found = coco.main(
        coco.Config(
            source=SHARED,
            output=tmp_path / "out",
            one_per_picture=True,
            picture_pixels=160,
            allow_missing=True,
            workers=1,
        )
    )
    data = dataset.open_dataset(tmp_path / "out")
    for split, people in (("train", 57), ("val", 46)):
        folder = SHARED / f"{split}2017"
        there = [p for p in folder.iterdir() if p.suffix == ".jpg"]
        assert found["splits"][split]["pictures"] == len(there)
        whole = [
            records.parse(row, 17)
            for row in tf.data.TFRecordDataset(data.shards(split))
        ]
        labelled = [p for w in whole for p in w.counted if p.flags.any()]
        assert len(labelled) == people
        assert all(w.is_whole and max(w.size) <= 160 for w in whole)
        # a mask where somebody is not labelled, and only there
        truth = annotations.read_truth(data, split)
        names = {row["id"]: row["file_name"] for row in truth["images"]}
        unlabelled = {
            names[row["image_id"]]
            for row in truth["annotations"]
            if row["iscrowd"] or not row["num_keypoints"]
        }
        assert {w.source for w in whole if w.ignore} == unlabelled
        assert len(unlabelled) > 5
