"""YOLO's pose format: data.yaml, labels, and where the photographs are."""

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import dataset, records
from tfrecords import yolo

YAML = """# a comment
path: ../datasets/foxes # not here
train: images/train
val: images/val

kpt_shape: [3, 3]
flip_idx: [0, 2,
  1]
names:
  0: tree
  1: "red fox"
download: |
  a: program
    of several lines
"""
LABEL = "1 0.5 0.5 0.5 0.25 0.25 0.5 2 0.75 0.5 1 0 0 0"
"""Of 80 x 60 pixels: a box of 40 x 15 about (40, 30); (20, 30), (60, 30)."""


@pytest.fixture
def foxes(tmp_path, photograph):
    """Writes a folder with a photograph each in train and val."""

    def make(yaml=YAML, label=LABEL):
        folder = tmp_path / "foxes"
        for split in ("train", "val"):
            photograph(folder / "images" / split / "a.jpg", 80, 60)
            path = folder / "labels" / split / "a.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{label}\n")
        if yaml:
            (folder / "data.yaml").write_text(yaml)
        return folder

    return make


def convert(folder, output, **settings):
    settings = {"category": "red fox"} | settings
    return yolo.main(
        yolo.Config(source=folder, output=output, workers=1, **settings)
    )


def test_shares_of_the_picture_become_pixels(foxes, tmp_path):
    joints = ("tail", "east", "west")
    found = convert(foxes(), tmp_path / "out", joints=joints)
    assert {k: v["people"] for k, v in found["splits"].items()} == {
        "train": 1,
        "val": 1,
    }
    data = dataset.open_dataset(tmp_path / "out")
    assert data.skeleton.joints == joints
    assert data.skeleton.pairs == (("east", "west"),)
    assert data.skeleton.kind == "red fox"
    ((picture,),) = [
        [records.parse(r, 3) for r in tf.data.TFRecordDataset(paths)]
        for paths in [data.shards("val")]
    ]
    assert picture.source == "images/val/a.jpg"
    (subject,) = picture.people
    corner = picture.matrix[:, 2]
    np.testing.assert_allclose(
        subject.joints[:2] + corner, [[20, 30], [60, 30]]
    )
    assert subject.flags.tolist() == [2, 1, 0]
    box = np.array(subject.box) + [*corner, 0, 0]
    np.testing.assert_allclose(box, [20, 22.5, 40, 15])


def test_labels_without_flags_and_without_yaml_are_read(foxes, tmp_path):
    folder = foxes(yaml="", label="0 0.5 0.5 1 1 0.5 0.5 0 0 0.75 0.25")
    convert(folder, tmp_path / "out", category=None, joints=("a", "b", "c"))
    data = dataset.open_dataset(tmp_path / "out")
    paths = data.shards("train")
    (picture,) = [records.parse(r, 3) for r in tf.data.TFRecordDataset(paths)]
    assert picture.people[0].flags.tolist() == [2, 0, 2]


def test_a_photograph_is_measured_upright(foxes, tmp_path, turned):
    folder = foxes()
    for split in ("train", "val"):
        turned(folder / "images" / split / "a.jpg", 60, 80)
    convert(folder, tmp_path / "out", joints=("a", "b", "c"))
    paths = dataset.open_dataset(tmp_path / "out").shards("train")
    (picture,) = [records.parse(r, 3) for r in tf.data.TFRecordDataset(paths)]
    first = picture.people[0].joints[0] + picture.matrix[:, 2]
    np.testing.assert_allclose(first, [20, 30])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[3, 3]", "[3, 4]", "kpt_shape must be .joints, 2 or 3., got .3, 4"),
        ("[3, 3]", "[2, 3]", "kpt_shape says 2 joints, but 3 have names"),
        ("[0, 2,\n  1]", "[0, 1]", "flip_idx must list .* of the 3 joints"),
        ("[0, 2,\n  1]", "[1, 2, 0]", "flip_idx must .* lead back"),
        ('1: "red fox"', "2: cow", "--category red fox: classes are tree, cow"),
        ("val: images/val", "val images/val", "data.yaml, line 4: expected"),
        ("images/val", "../../../etc", "'etc' is not a folder or list"),
        ("images/val", "images/no", "'images/no' is not a folder or list"),
    ],
)
def test_a_bad_data_yaml_is_named(foxes, tmp_path, old, new, message):
    assert old in YAML
    folder = foxes(YAML.replace(old, new))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert(folder, tmp_path / "out", joints=("a", "b", "c"))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("1 0.5 0.5 0.5 0.25 0.25 0.5", "a.txt, line 1: expected 14 .* got 7"),
        (LABEL.replace("0.25", "x"), "a.txt, line 1: expected numbers"),
        (LABEL.replace("0.25", "nan"), "a.txt, line 1: expected numbers"),
        (LABEL.replace(" 1 ", " 3 "), "a.txt, line 1: flags must be 0, 1 or 2"),
        ("0" + LABEL[1:], "has no labels of class 1"),
    ],
)
def test_a_bad_label_is_named(foxes, tmp_path, label, message):
    with pytest.raises(ValueError, match=message):
        convert(foxes(label=label), tmp_path / "out", joints=("a", "b", "c"))


def test_several_classes_need_a_choice(foxes, tmp_path):
    with pytest.raises(ValueError, match="choose --category, one of tree, red"):
        convert(foxes(), tmp_path / "out", category=None)


def test_yaml_is_read_as_far_as_it_is_wanted(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text(
        YAML + "train:\n- a\n- 'b c'\nkpt_names:\n  0:\n    - nose\n"
        "map: {0: person, 1: [x, y]}\nnothing:\n"
    )
    read = yolo.read_yaml(path)
    assert read["flip_idx"] == [0, 2, 1]
    assert read["names"] == {0: "tree", 1: "red fox"}
    assert read["train"] == ["a", "b c"]
    assert read["kpt_names"] == {0: ["nose"]}
    assert read["map"] == {0: "person", 1: ["x", "y"]}
    assert read["path"] == "../datasets/foxes"
    assert read["download"] is read["nothing"] is None
