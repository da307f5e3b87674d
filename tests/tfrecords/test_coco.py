"""COCO: who is a subject, where boxes are, and what the truth keeps."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import dataset, records
from tfrecords import coco

KEYPOINTS = [0] * 15 + [40, 30, 2, 60, 31, 1] + [0] * 30
"""Left shoulder at (40, 30) visible, right at (60, 31) occluded."""


def annotation(number, image, box, keypoints=KEYPOINTS, **other):
    flags = np.array(keypoints[2::3])
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((flags > 0).sum()),
        "area": 77.5,
        "bbox": box,
        "keypoints": keypoints,
        "segmentation": [[1, 2, 3]],
    } | other


PEOPLE = [
    annotation(11, 7, [30, 20, 40, 60]),
    annotation(12, 7, [80, 20, 20, 60], [0] * 51),
    annotation(13, 7, [0, 0, 120, 90], [0] * 51, iscrowd=1),
    annotation(14, 9, [20, 20, 60, 40]),
    annotation(15, 9, [20, 20, 60, 40], category_id=2),
]


@pytest.fixture
def source(tmp_path, photograph):
    """Writes a folder as COCO's, of the two photographs a.jpg and b.jpg."""

    def make(people=PEOPLE, split="val2017"):
        folder = tmp_path / "coco"
        for name in ("a.jpg", "b.jpg"):
            photograph(folder / split / name, 120, 90)
        images = [
            {"id": 9, "file_name": "b.jpg", "width": 120, "height": 90},
            {"id": 7, "file_name": "a.jpg", "width": 120, "height": 90},
        ]
        path = folder / "annotations" / f"person_keypoints_{split}.json"
        path.parent.mkdir(exist_ok=True)
        content = {"images": images, "annotations": people, "info": {}}
        path.write_text(json.dumps(content))
        return folder

    return make


VAL = ("val=annotations/person_keypoints_val2017.json",)


def convert(folder, output, annotations=VAL, **settings):
    return coco.main(
        coco.Config(
            source=folder,
            output=output,
            annotations=annotations,
            workers=1,
            **settings,
        )
    )


def pictures(folder, split):
    paths = dataset.open_dataset(folder).shards(split)
    return [records.parse(r, 17) for r in tf.data.TFRecordDataset(paths)]


def truth_of(folder, split):
    path = folder / f"truth-{split}.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def test_people_with_keypoints_are_subjects_and_others_stand_beside(
    source, tmp_path, capsys
):
    found = convert(source(), tmp_path / "out")
    assert found["skeleton"] == "coco"
    assert found["protocol"] == "pck-bbox"
    second, first = pictures(tmp_path / "out", "val")
    assert [p.name for p in first.people] == ["a.jpg#11", "a.jpg#12"]
    assert [p.name for p in second.people] == ["b.jpg#14"]
    subject, beside = first.people
    assert subject.flags.tolist() == [0] * 5 + [2, 1] + [0] * 10
    assert not beside.flags.any()
    # Counted from 0 already: nothing is moved but by the crop's corner.
    np.testing.assert_allclose(
        subject.joints[5:7] + first.matrix[:, 2], [[40, 30], [60, 31]]
    )
    printed = capsys.readouterr().out
    assert "2 photographs, 4 annotations, 1 of them crowds; 2 people" in printed
    assert "6,352 expected" in printed


@pytest.mark.parametrize("aspect, high, wide", [(0.75, 60, 80), (1, 60, 60)])
def test_a_box_is_fitted_into_the_aspect_and_padded(
    source, tmp_path, aspect, high, wide
):
    """40 x 60 is narrower than 3:4; 60 x 40 has to become 60 x 80."""
    convert(source(), tmp_path / "out", aspect=aspect)
    second, first = pictures(tmp_path / "out", "val")
    assert first.people[0].scale == pytest.approx(high * 1.25 / 200)
    assert second.people[0].scale == pytest.approx(wide * 1.25 / 200)
    # The pixels 30 ... 69 and 20 ... 79 of a box have their middle here:
    np.testing.assert_allclose(
        first.people[0].center + first.matrix[:, 2], [49.5, 49.5]
    )


def test_the_truth_keeps_everybody_who_matters_to_a_score(source, tmp_path):
    found = convert(source(), tmp_path / "out")
    truth = truth_of(tmp_path / "out", "val")
    rows = {row["id"]: row for row in truth["annotations"]}
    assert sorted(rows) == [11, 12, 13, 14]  # no number 15: a bicycle
    assert rows[13]["iscrowd"] == 1
    assert [rows[n]["num_keypoints"] for n in (11, 12)] == [2, 0]
    assert rows[11]["area"] == 77.5
    assert "segmentation" not in rows[11]
    assert {r["file_name"]: r["id"] for r in truth["images"]} == {
        "a.jpg": 7,
        "b.jpg": 9,
    }
    again = convert(source(), tmp_path / "again")
    assert again["truth"] == found["truth"]  # checksums


def test_a_detectors_boxes_are_one_more_split(source, tmp_path, capsys):
    folder = source()
    boxes = [
        {"image_id": 9, "category_id": 1, "bbox": [5, 6, 30, 40], "score": 0.9},
        {"image_id": 9, "category_id": 2, "bbox": [5, 6, 30, 40], "score": 0.8},
        {"image_id": 8, "category_id": 1, "bbox": [5, 6, 30, 40], "score": 0.7},
        {"image_id": 9, "category_id": 1, "bbox": [5, 6, 0, 40], "score": 0.6},
        {"image_id": 7, "category_id": 1, "bbox": [9, 9, 33, 40], "score": 0.5},
    ]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(boxes))
    found = convert(folder, tmp_path / "out", boxes=path)
    assert {k: v["people"] for k, v in found["splits"].items()} == {
        "val": 2,
        "detected": 2,
    }
    assert found["sources"].keys() == {
        "person_keypoints_val2017.json",
        "boxes.json",
    }
    first, second = pictures(tmp_path / "out", "detected")
    assert [p.name for p in first.people] == ["b.jpg#1"]
    assert [p.name for p in second.people] == ["a.jpg#5"]
    assert not first.people[0].flags.any()
    # 33 x 40 fits into 33 x 44.
    assert second.people[0].scale == pytest.approx(44 * 1.25 / 200)
    truth = truth_of(tmp_path / "out", "detected")
    assert truth["boxes"] == [
        {"name": "b.jpg#1", "score": 0.9},
        {"name": "a.jpg#5", "score": 0.5},
    ]
    assert len(truth["annotations"]) == 4
    assert "boxes" not in truth_of(tmp_path / "out", "val")
    assert "5 boxes, of which 2" in capsys.readouterr().out


def test_a_person_whose_box_has_no_extent_is_named(source, tmp_path):
    people = [*PEOPLE, annotation(16, 9, [3, 4, 0, 5])]
    found = convert(source(people), tmp_path / "out")
    assert found["splits"]["val"]["people"] == 2
    assert found["unplaced"] == ["b.jpg#16: bbox [3, 4, 0, 5]"]


def test_missing_photographs_are_listed_and_nobody_is_asked_for_them(
    source, tmp_path
):
    folder = source()
    (folder / "val2017" / "b.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="1 images are missing"):
        convert(folder, tmp_path / "out")
    assert not list((tmp_path / "out").glob("truth*"))
    found = convert(folder, tmp_path / "out", allow_missing=True)
    assert found["missing"] == 1
    assert "b.jpg" in (tmp_path / "out" / "missing.txt").read_text()
    truth = truth_of(tmp_path / "out", "val")
    assert [row["id"] for row in truth["images"]] == [7]
    assert [row["id"] for row in truth["annotations"]] == [11, 12, 13]


def test_wrong_files_and_words_are_refused(source, tmp_path):
    folder, output = source(), tmp_path / "out"

    def refused(kind, match, **settings):
        with pytest.raises(kind, match=match):
            convert(folder, output, **settings)

    refused(
        FileNotFoundError, "nowhere.json is", annotations=["val=nowhere.json"]
    )
    refused(ValueError, "SPLIT=FILE", annotations=["val"])
    refused(ValueError, "SPLIT=FILE", annotations=["val=a", "val=b"])
    refused(ValueError, "the split of --boxes", annotations=["detected=a"])
    refused(ValueError, "aspect must be positive", aspect=0.0)
    refused(
        ValueError,
        "splits are train",
        annotations=[VAL[0].replace("val=", "train=")],
        val=0.0,
        boxes=tmp_path / "boxes.json",
    )
    path = tmp_path / "other.json"
    for content, match in (
        ("{", "not JSON"),
        ("[]", "not a file of keypoints in COCO's form"),
        (json.dumps({"images": [], "annotations": [{}]}), "'category_id'"),
        (
            json.dumps(
                {"images": [], "annotations": [annotation(1, 7, [0] * 4)]}
            ),
            "annotation 1: expected the id of an image, got 7",
        ),
        (
            json.dumps(
                {
                    "images": [],
                    "annotations": [annotation(1, 7, [0] * 4, [0] * 3)],
                }
            ),
            "id 1: expected 51 numbers of keypoints, .* of person, got 3",
        ),
    ):
        path.write_text(content)
        refused(ValueError, match, annotations=[f"val={path}"])
    box = {"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1, "category_id": [1]}
    for content in ([{"bbox": [1, 2, 3]}], [box]):
        path.write_text(json.dumps(content))
        refused(ValueError, "not a list of a detector's boxes", boxes=path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_name": "../../secret.jpg"}, "'../../secret.jpg' leads out of"),
        ({"file_name": "/secret.jpg"}, "'/secret.jpg' leads out of"),
        ({"file_name": None}, "images 0 .*'file_name' cannot be None"),
        ({"id": 7}, "each image must have its own id, got 7 2 times"),
    ],
)
def test_a_photograph_that_cannot_be_is_refused(
    source, tmp_path, changes, message
):
    folder = source()
    path = folder / VAL[0].removeprefix("val=")
    content = json.loads(path.read_text())
    content["images"][0] |= changes
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"val2017.json.*{message}"):
        convert(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1, 2, 3]}, "annotations 0 .*'bbox' must be 4 numbers"),
        ({"area": "big"}, "'area' cannot be 'big'"),
        ({"keypoints": ["x"] * 51}, "'keypoints' must be numbers"),
        ({"keypoints": [float("inf")] * 51}, "'keypoints' must be numbers"),
        (
            {"keypoints": [3] * 51},
            "annotation 11: flags must be 0, 1 or 2, got 3",
        ),
        ({"iscrowd": 2}, "'iscrowd' cannot be 2"),
        ({"keypoints": None}, "id 11: expected a list of 'keypoints'"),
        ({"category_id": [1]}, "unhashable"),
    ],
)
def test_an_annotation_that_cannot_be_is_refused(
    source, tmp_path, changes, message
):
    folder = source([PEOPLE[0] | changes])
    with pytest.raises(ValueError, match=f"val2017.json.*{message}"):
        convert(folder, tmp_path / "out")


SHARED = Path(__file__).parents[2] / "../shared/data/coco"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs COCO's subset")


@shared
def test_the_subset_of_coco_has_the_people_it_should(tmp_path):
    found = convert(SHARED, tmp_path / "out", coco.Config.annotations)
    people = {k: v["people"] for k, v in found["splits"].items()}
    assert people == {"train": 57, "val": 46}
    rows = truth_of(tmp_path / "out", "val")["annotations"]
    assert len(rows) == 127
    assert sum(row["iscrowd"] for row in rows) == 4
    (first,) = [r for r in rows if r["id"] == 200887]
    assert first["area"] == 17376.91885


@shared
def test_boxes_of_a_detector_lie_on_the_people_of_coco(tmp_path):
    """Of the 12 people each has a detected box that overlaps well."""
    folder = SHARED / "crowd"
    convert(
        folder,
        tmp_path / "out",
        ["val=test_coco.json"],
        images=folder,
        boxes=folder / "test_coco_det_AP_H_56.json",
    )
    people, boxes = (
        [(p.source, *geometry_of(p)) for p in pictures(tmp_path / "out", split)]
        for split in ("val", "detected")
    )
    assert (len(people), len(boxes)) == (12, 118)
    for source, center, scale in people:
        away = [
            max(np.abs(center - c).max() / (200 * scale), abs(s / scale - 1))
            for name, c, s in boxes
            if name == source
        ]
        assert min(away) < 0.15


def geometry_of(picture):
    """Centre and scale of a record's subject in the photograph."""
    subject, matrix = picture.people[0], picture.matrix
    center = matrix[:, :2] @ subject.center + matrix[:, 2]
    return center, subject.scale * matrix[0, 0]
