"""A table of joints: its columns, lines and splits."""

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import dataset, records
from tfrecords import csv

HEADER = "image,person,joint,x,y,flag"
ROWS = """b.jpg,1,nose,10,20,2
b.jpg,1,left_ear,30.5,25,1
b.jpg,2,nose,40,8,2
b.jpg,2,left_ear,55,30,2
b.jpg,2,right_ear,52,31,2
a.jpg,x,nose,11,12,0
a.jpg,x,right_ear,21,18,2
a.jpg,x,left_ear,31,12,2"""


@pytest.fixture
def convert(tmp_path, photograph):
    """Converts a table of the photographs a.jpg and b.jpg."""
    for name in ("a.jpg", "b.jpg"):
        photograph(tmp_path / name, 60, 40)

    def make(text, **settings):
        path = tmp_path / "joints.csv"
        path.write_text(text)
        settings = {"val": 0.0} | settings
        return csv.main(
            csv.Config(
                source=path, output=tmp_path / "out", workers=1, **settings
            )
        )

    return make


def test_rows_become_people(convert, tmp_path, capsys):
    convert(f"{HEADER}\n{ROWS}\n", kind="cat")
    assert "train: 3 cats; joints: 6 visible, 1 occ" in capsys.readouterr().out
    data = dataset.open_dataset(tmp_path / "out")
    assert data.skeleton.joints == ("nose", "left_ear", "right_ear")
    assert data.skeleton.kind == "cat"
    first, second, alone = [
        records.parse(r, 3)
        for r in tf.data.TFRecordDataset(data.shards("train"))
    ]
    assert [p.people[0].flags.tolist() for p in (first, second, alone)] == [
        [2, 1, 0],
        [2, 2, 2],
        [0, 2, 2],
    ]
    assert len(first.people) == 2
    np.testing.assert_allclose(
        first.people[0].joints[:2] + first.matrix[:, 2], [[10, 20], [30.5, 25]]
    )


def test_other_names_separators_and_splits_are_read(convert, tmp_path):
    lines = ["file;point;x;y;split;who"]
    lines += [f"a.jpg;{j};{x};{x};train;me" for j, x in (("a", 5), ("b", 30))]
    lines += [f"b.jpg;{j};{x};{x};val;me" for j, x in (("a", 6), ("b", 31))]
    found = convert(
        "\ufeff" + "\r\n".join(lines),
        columns=("file=image", "point=joint"),
        ignore=("who",),
        joints=("b", "a"),
        val=None,
    )
    assert {k: v["people"] for k, v in found["splits"].items()} == {
        "train": 1,
        "val": 1,
    }
    assert dataset.open_dataset(tmp_path / "out").skeleton.joints == ("b", "a")


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("image,joint,x", {}, "has no column 'y'"),
        (f"{HEADER},visible\n", {}, "has an unknown column 'visible'"),
        ("image,joint,x,y,x\n", {}, "has several columns 'x'"),
        (HEADER, {"ignore": ("me",)}, "has no column 'me'"),
        (HEADER, {}, "joints.csv must have a row per joint, got none"),
        (f"{HEADER}\na.jpg,1,nose,1,2", {}, "line 2: expected 6 values"),
        (
            f"{HEADER}\na.jpg,1,\0nose,1,2,2",
            {"joints": ("\0nose",)},
            "joints.csv: a skeleton's names are words, got '.x00nose'",
        ),
        (f"{HEADER}\na.jpg,1,nose,1,2,2,3", {}, "line 2: expected 6 values"),
        (f"{HEADER}\na.jpg,1,nose,,2,2", {}, "line 2: x is empty"),
        (f"{HEADER}\na.jpg,1,nose,1,z,2", {}, "line 2: .* got '1', 'z', '2'"),
        (f"{HEADER}\na.jpg,1,nose,1,2,3", {}, "line 2: .*flag 0, 1 or 2"),
        (f"{HEADER}\na.jpg,1,nose,nan,2,2", {}, "line 2: .* got 'nan'"),
        (f"{HEADER}\n../a.jpg,1,nose,1,2,2", {}, "'../a.jpg' leads out of"),
        (
            f"{HEADER}\n{ROWS}\nb.jpg,1,nose,3,4,2",
            {},
            "line 10: nose of person '1' in b.jpg is there already",
        ),
        (f"{HEADER}\n{ROWS}", {"joints": ("nose",)}, "line 3: no joint of"),
        (
            "image,joint,x,y,split\na.jpg,n,1,2,val\na.jpg,m,1,2,train",
            {},
            "line 3: a.jpg is in the splits val and train",
        ),
    ],
)
def test_a_bad_line_is_named(convert, text, settings, message):
    with pytest.raises(ValueError, match=message):
        convert(text, **settings)
