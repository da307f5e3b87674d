"""Annotations of any skeleton: categories, sides, splits, sizes."""

import gzip
import json

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import dataset, records
from tfrecords import coco, crops, keypoints

CAT = "nose", "L_Paw", "R_Paw"
CATEGORIES = [
    {"id": 3, "name": "thing", "keypoints": []},
    {"id": 7, "name": "cat", "keypoints": [*CAT], "skeleton": [[1, 2], [1, 3]]},
]
POINTS = 10.0, 20.0, 2, 30.0, 25.0, 1, 0, 0, 0


@pytest.fixture
def cats(tmp_path, photograph):
    """Writes a .json as a tool exports it, with `count` pictures of a cat."""

    def make(count=4, categories=CATEGORIES, **changes):
        names = [f"a{number}.jpg" for number in range(count)]
        for name in names:
            photograph(tmp_path / "set" / "images" / name, 60, 40)
        content = {
            "images": [
                {"id": i, "file_name": name, "width": 60, "height": 40}
                for i, name in enumerate(names)
            ],
            "annotations": [
                {
                    "id": 10 + i,
                    "image_id": i,
                    "category_id": 7,
                    "keypoints": [*POINTS],
                }
                | changes
                for i in range(count)
            ],
            "categories": categories,
        }
        path = tmp_path / "set" / "cats.json"
        path.write_text(json.dumps(content))
        return path

    return make


def convert(path, output, **settings):
    return coco.main(
        coco.Config(source=path, output=output, workers=1, **settings)
    )


def pictures(folder, split, joints=3):
    paths = dataset.open_dataset(folder).shards(split)
    return [records.parse(r, joints) for r in tf.data.TFRecordDataset(paths)]


def test_the_skeleton_is_that_of_the_category(cats, tmp_path, capsys):
    found = convert(cats(), tmp_path / "out", val=0.25, torso="nose,L_Paw")
    data = dataset.open_dataset(tmp_path / "out")
    skeleton = data.skeleton
    assert skeleton.joints == CAT
    assert skeleton.limbs == (("nose", "L_Paw"), ("nose", "R_Paw"))
    assert skeleton.mirror == (0, 2, 1)
    assert (skeleton.kind, skeleton.torso) == ("cat", ("nose", "L_Paw"))
    assert data.protocol == "pck-torso"
    assert {k: v["people"] for k, v in found["splits"].items()} == {
        "train": 3,
        "val": 1,
    }
    picture = pictures(tmp_path / "out", "val")[0]
    (subject,) = picture.people
    assert subject.flags.tolist() == [2, 1, 0]
    np.testing.assert_allclose(
        subject.joints[:2] + picture.matrix[:, 2], [[10, 20], [30, 25]]
    )
    # No box in the file: that of the pixels 10 ... 30 and 20 ... 25.
    truth = gzip.decompress((tmp_path / "out/truth-val.json.gz").read_bytes())
    (row,) = json.loads(truth)["annotations"]
    assert row["bbox"] == [10, 20, 21, 6]
    assert (row["area"], row["num_keypoints"]) == (126, 2)
    printed = capsys.readouterr().out
    assert "not known: OKS deviations (--sigmas)" in printed


def test_one_of_several_categories_is_chosen(cats, tmp_path):
    other = {"id": 8, "name": "bird", "keypoints": ["beak"]}
    path = cats(categories=[*CATEGORIES, other])
    with pytest.raises(ValueError, match="choose --category, one of cat, bird"):
        convert(path, tmp_path / "out")
    convert(path, tmp_path / "out", category=("cat",))
    assert dataset.open_dataset(tmp_path / "out").skeleton.name == "cat"
    for names, match in (
        (("dog",), "--category dog: .* are cat, bird"),
        (("all",), "keypoints of bird are others than those of cat"),
    ):
        with pytest.raises(ValueError, match=match):
            convert(path, tmp_path / "out", category=names)


def other_joints(*joints):
    return [{"id": 7, "name": "cat", "keypoints": joints}]


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"categories": []}, {}, "cats.json .*none has 'keypoints'"),
        ({"keypoints": [1, 2, 2]}, {}, "id 10: expected 9 numbers .* got 3"),
        (
            {"keypoints": ["x"] * 9},
            {},
            "id 10: 'keypoints' must be numbers, got ..x'",
        ),
        ({"bbox": [1]}, {}, r"id 10: 'bbox' must be 4 numbers, got \[1\]"),
        ({}, {"mirror": ("nose,tail",)}, "no joint is called 'tail'"),
        ({}, {"mirror": ("nose,L_Paw,R_Paw",)}, "expected A,B of nose"),
        ({}, {"torso": "nose"}, "--torso nose: not so; expected A,B"),
        ({}, {"protocol": "pckh"}, "--protocol pckh needs --head A,B"),
        ({}, {"protocol": "pdj"}, "--protocol pdj needs --torso A,B"),
        ({}, {"sigmas": (0.1,)}, "one positive sigma for each of its 3"),
        ({}, {"val": 1.5}, "shares of the pictures, below 1"),
        ({}, {"lists": ("val=x", "val=y")}, "lists must be SPLIT=FILE"),
        (
            {"categories": other_joints("L_a", "R_a", "L_b")},
            {},
            "L_b has a side, but there is no R_b .*--mirror L_b,NAME",
        ),
        (
            {"categories": other_joints("a", "a", "b")},
            {},
            "skeleton cat names a more than once",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    cats, tmp_path, changes, settings, message
):
    with pytest.raises(ValueError, match=message):
        convert(cats(**changes), tmp_path / "out", **settings)


def test_a_joint_of_one_side_may_be_said_to_have_no_mirror_image(
    cats, tmp_path
):
    path = cats(categories=other_joints("L_a", "R_a", "L_b"))
    convert(path, tmp_path / "out", mirror=("L_b",))
    skeleton = dataset.open_dataset(tmp_path / "out").skeleton
    assert skeleton.pairs == (("L_a", "R_a"),)
    assert skeleton.mirror == (1, 0, 2)


def test_limbs_of_other_joints_are_left_out(cats, tmp_path, capsys):
    categories = other_joints(*CAT)
    categories[0]["skeleton"] = [[1, 2], [4, 1]]
    path = cats(categories=categories)
    convert(path, tmp_path / "out")
    assert dataset.open_dataset(tmp_path / "out").skeleton.limbs == ()
    assert "it has [4, 1], not pairs of numbers from 1 to 3" in (
        capsys.readouterr().out
    )


def test_a_subject_of_one_side_needs_no_pairs(cats, tmp_path):
    path = cats(categories=other_joints("L_a", "L_b", "tip"))
    convert(path, tmp_path / "out")
    assert dataset.open_dataset(tmp_path / "out").skeleton.mirror == (0, 1, 2)


def names_of(truths):
    return {
        split: {row["file_name"] for row in truth["images"]}
        for split, truth in truths.items()
    }


def settings(**changes):
    return coco.Config(source="a", output="b", **changes)


def many(order):
    """20 pictures with two subjects each, in an order."""
    truth = keypoints.empty()
    for number in order:
        row = {"id": number, "file_name": f"{number}.jpg"}
        truth["images"].append(row)
        for _ in range(2):
            keypoints.add(truth, number, [*POINTS])
    return {"train": truth}


def test_shares_are_of_pictures_whatever_the_order_of_the_file():
    shares = {"val": 0.2, "test": 0.1}
    first = keypoints.divide(many(range(20)), settings(**shares))
    again = keypoints.divide(many(range(19, -1, -1)), settings(**shares))
    other = keypoints.divide(many(range(20)), settings(split_seed=1, **shares))
    assert names_of(first) == names_of(again) != names_of(other)
    counts = {s: len(names) for s, names in names_of(first).items()}
    assert counts == {"train": 14, "val": 4, "test": 2}
    assert len(set.union(*names_of(first).values())) == 20
    for truth in first.values():
        seen = {row["id"] for row in truth["images"]}
        held = [row["image_id"] for row in truth["annotations"]]
        assert sorted(held) == sorted([*seen, *seen])


def test_lists_say_which_pictures_are_held_out(tmp_path):
    path = tmp_path / "val.txt"
    path.write_text("3.jpg\n5.jpg\n\n")
    truths = keypoints.divide(many(range(20)), settings(lists=(f"val={path}",)))
    assert names_of(truths)["val"] == {"3.jpg", "5.jpg"}
    assert len(names_of(truths)["train"]) == 18
    path.write_text("77.jpg")
    with pytest.raises(ValueError, match="val.txt names '77.jpg'"):
        keypoints.divide(many(range(20)), settings(lists=(f"val={path}",)))


def test_no_picture_is_in_two_splits(cats, tmp_path):
    path = cats()
    with pytest.raises(ValueError, match="a0.jpg is in two splits, train and"):
        convert(
            path.parent,
            tmp_path / "out",
            annotations=("train=cats.json", "val=cats.json"),
        )


def test_a_photograph_is_turned_upright_as_its_annotators_saw_it(
    cats, tmp_path, turned
):
    """Stored 40 x 60 with a turn: shown 60 x 40, as the .json says."""
    path = cats(1)
    photograph = turned(tmp_path / "set" / "images" / "a0.jpg", 40, 60)
    assert crops.upright_size(photograph) == (40, 60)
    convert(path, tmp_path / "out", val=0.0, whole_images=True)
    (picture,) = pictures(tmp_path / "out", "train")
    assert picture.size == (40, 60)
    image = crops.decode_jpeg(picture.encoded)
    # stored at x 4, y 50; turned right it is at x 59 - 50, y 4
    assert abs(image[4, 9].astype(int) - [4, 50, 0]).max() <= 8
    # only the stored pixels have this size: they are taken
    encoded, _ = crops.read_photograph(photograph, (60, 40))
    assert encoded == photograph.read_bytes()
    with pytest.raises(ValueError, match="60 x 40 pixels, .* are of 7 x 9"):
        crops.read_photograph(photograph, (9, 7))


def test_a_png_in_a_folder_of_the_annotations_is_converted(cats, tmp_path):
    path = cats(1)
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = "b/a.png"
    del content["images"][0]["width"]
    path.write_text(json.dumps(content))
    image = np.zeros((40, 60, 3), "uint8")
    image[20, 10] = 255
    (path.parent / "images" / "b").mkdir()
    encoded = tf.io.encode_png(image).numpy()
    (path.parent / "images" / "b" / "a.png").write_bytes(encoded)
    convert(path, tmp_path / "out", val=0.0)
    (picture,) = pictures(tmp_path / "out", "train")
    assert picture.source == "b/a.png"
    assert picture.people[0].name == "b/a.png#10"
    x, y = picture.people[0].joints[0].round().astype(int)
    assert crops.decode_jpeg(picture.encoded)[y, x].min() > 100


def test_the_head_is_as_large_as_mpiis(cats, tmp_path):
    convert(cats(1), tmp_path / "out", head="nose,L_Paw", val=0.0)
    data = dataset.open_dataset(tmp_path / "out")
    assert data.protocol == "pckh"
    (picture,) = pictures(tmp_path / "out", "train")
    assert picture.people[0].head_size == pytest.approx(
        0.6 / 0.8 * np.hypot(20, 5)
    )


def test_photographs_without_annotations_are_a_split_of_boxes(cats, tmp_path):
    path = cats(2)
    content = json.loads(path.read_text())
    del content["annotations"], content["categories"][1]["keypoints"]
    path.write_text(json.dumps(content))
    words = ("test=cats.json",)
    with pytest.raises(ValueError, match="has no annotations: add a detector"):
        convert(path.parent, tmp_path / "out", annotations=words)
    boxes = tmp_path / "boxes.json"
    row = {"image_id": 1, "category_id": 1, "bbox": [5, 6, 30, 20]}
    boxes.write_text(json.dumps([row | {"score": 0.75}]))
    convert(path.parent, tmp_path / "out", annotations=words, boxes=boxes)
    data = dataset.open_dataset(tmp_path / "out")
    assert data.skeleton.name == "coco"
    assert not data.is_labelled("test")
    (picture,) = pictures(tmp_path / "out", "test", 17)
    assert picture.people[0].name == "a1.jpg#1"
