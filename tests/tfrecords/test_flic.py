"""FLIC from its h5 annotations."""

import cv2
import h5py
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import dataset, pipeline, records
from tfrecords import flic

JOINTS = np.stack([60 + 4.0 * np.arange(11), 41 + 5.0 * np.arange(11)], -1)


def write(path, frames, **changes):
    count = len(frames)
    columns = {
        "imgname": np.array(frames, "S"),
        "part": np.stack([JOINTS + n for n in range(count)]),
        "visible": np.ones((count, 11)),
        "center": np.full((count, 2), [81.0, 71.0], "float32"),
        "scale": np.full(count, 0.5),
        "index": np.arange(count) + 140,
    } | changes
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[name] = column


@pytest.fixture
def source(tmp_path, photograph):
    folder = tmp_path / "flic"
    folder.mkdir()
    write(folder / "train_personcentric.h5", ["a.jpg", "b.jpg", "b.jpg"])
    write(folder / "valid_personcentric.h5", ["c.jpg"])
    for name in "abc":
        photograph(folder / "images" / f"{name}.jpg", 160, 140)
    return folder


def convert(source, tmp_path):
    config = flic.Config(source=source, output=tmp_path / "out", workers=1)
    return flic.main(config)


def test_flic_keeps_its_own_places_and_who_shares_a_frame(
    source, tmp_path, capsys
):
    found = convert(source, tmp_path)
    assert found["skeleton"] == "flic"
    assert found["protocol"] == "flic"
    assert found["splits"]["train"]["joints"]["visible"] == 33
    assert "val: 1 people annotated, 1,016 expected" in capsys.readouterr().out
    paths = dataset.open_dataset(tmp_path / "out").shards("train")
    first, second, third = [
        records.parse(r, 11) for r in tf.data.TFRecordDataset(paths)
    ]
    assert [p.name for p in first.people] == ["a.jpg#140"]
    assert [p.name for p in second.people] == ["b.jpg#141", "b.jpg#142"]
    assert [p.name for p in third.people] == ["b.jpg#142", "b.jpg#141"]
    subject = third.people[0].moved(third.matrix)
    np.testing.assert_allclose(subject.joints, JOINTS + 2 - 1, atol=1e-4)
    np.testing.assert_allclose(subject.center, [80, 70], atol=1e-4)


def test_a_frame_damaged_inside_is_left_out_and_training_reads_the_rest(
    source, tmp_path, damage_inside
):
    """Both ends are whole: OpenCV shows grey, training stops at some crops."""
    frame = source / "images" / "b.jpg"
    damage_inside(frame)
    assert cv2.imread(str(frame)) is not None
    config = flic.Config(
        source=source,
        output=tmp_path / "out",
        whole_images=True,
        allow_missing=True,
        workers=1,
    )
    found = flic.main(config)
    assert found["missing"] == 2  # both people of the frame
    written = (tmp_path / "out" / "missing.txt").read_text()
    assert written == f"unusable: {frame}: the JPEG is damaged\n"
    data = dataset.open_dataset(tmp_path / "out")
    (images, _), *more = pipeline.load(data, "train", (32, 48), 2)
    assert images.shape == (1, 32, 48, 3) and not more


def test_nan_joints_are_named(source, tmp_path):
    part = JOINTS[None].copy()
    part[0, 3] = np.nan
    write(source / "valid_personcentric.h5", ["c.jpg"], part=part)
    with pytest.raises(ValueError, match="c.jpg#140: .*NaN"):
        convert(source, tmp_path)


def test_wrong_folders_and_files_are_refused(source, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="train_personcentric.h5 is mis"
    ):
        convert(tmp_path, tmp_path)
    path = source / "valid_personcentric.h5"
    write(path, ["c.jpg"], part=np.ones((1, 16, 2)))
    with pytest.raises(ValueError, match="valid.*another data set"):
        convert(source, tmp_path)
    path.write_bytes(b"no h5")
    with pytest.raises(ValueError, match="valid.*not a readable h5"):
        convert(source, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": np.zeros((2, 2))}, "problem with center"),
        ({"scale": np.array(["a"], "S")}, "problem with scale"),
        ({"imgname": np.array([b"\xff"])}, "expected the name of a frame"),
        ({"scale": h5py.ExternalLink("/etc/hosts", "/")}, "scale is a link"),
        ({"imgname": np.array(["../c.jpg"], "S")}, "'../c.jpg' leads out of"),
    ],
)
def test_a_file_that_cannot_be_is_refused(source, tmp_path, changes, message):
    write(source / "valid_personcentric.h5", ["c.jpg"], **changes)
    with pytest.raises(ValueError, match=f"valid_personcentric.h5.*{message}"):
        convert(source, tmp_path)
