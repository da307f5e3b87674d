"""LSP and LSPET: two files that look alike and mean different things."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.io import savemat

from keras_pose.data import dataset, records
from tfrecords import lsp

ROW = np.arange(14.0)
JOINTS = np.stack([20 + 2 * ROW, 30 + 3 * ROW], axis=-1)  # (14, 2)


@pytest.fixture
def source(tmp_path, photograph):
    """Makes a folder: third rows per person, the file's layout, image names."""

    def make(third, digits):
        third = np.array(third, float)
        people = np.stack(
            [np.column_stack([JOINTS + n, row]) for n, row in enumerate(third)]
        )  # (N, 14, 3)
        order = (2, 1, 0) if digits == 4 else (1, 2, 0)
        folder = tmp_path / "source"
        for number in range(1, len(third) + 1):
            name = f"im{number:0{digits}d}.jpg"
            photograph(folder / "images" / name, 90, 120)
        savemat(folder / "joints.mat", {"joints": people.transpose(order)})
        return folder

    return make


def convert(source, output, *splits, **settings):
    config = lsp.Config(
        source=source, output=output, splits=splits, workers=1, **settings
    )
    return lsp.main(config)


def pictures(folder, split):
    paths = dataset.open_dataset(folder).shards(split)
    return [records.parse(r, 14) for r in tf.data.TFRecordDataset(paths)]


def test_the_third_row_of_lsp_means_occluded(source, tmp_path):
    folder = source([[1, 0] + [0] * 12] * 2, digits=4)
    found = convert(folder, tmp_path / "out", "train=1-1", "test=2-2")
    assert found["splits"]["train"]["joints"] == {
        "visible": 13,
        "occluded": 1,
        "unlabelled": 0,
    }
    (picture,) = pictures(tmp_path / "out", "test")
    assert picture.source == "im0002.jpg"
    subject = picture.people[0]
    assert subject.flags.tolist() == [1] + [2] * 13
    # The crop is not scaled: the matrix shifts it into the photograph.
    np.testing.assert_allclose(
        subject.joints + picture.matrix[:, 2], JOINTS + 1, atol=1e-4
    )


def test_the_third_row_of_lspet_means_labelled(source, tmp_path):
    folder = source([[1] * 12 + [0, 0]], digits=5)
    found = convert(folder, tmp_path / "out")
    assert found["skeleton"] == "lsp"
    assert found["protocol"] == "pck-torso"
    assert found["splits"]["train"]["joints"] == {
        "visible": 12,
        "occluded": 0,
        "unlabelled": 2,
    }
    (picture,) = pictures(tmp_path / "out", "train")
    assert picture.source == "im00001.jpg"
    # Labelled: joints 0-11, rows 30 ... 63: 34 pixels high, padded by 1.25.
    assert picture.people[0].scale == pytest.approx(34 * 1.25 / 200)


def test_people_without_two_labelled_joints_are_named(source, tmp_path, capsys):
    folder = source([[1] * 14, [1] + [0] * 13], digits=5)
    found = convert(folder, tmp_path / "out")
    assert found["splits"]["train"]["people"] == 1
    assert found["unplaced"] == ["im00002.jpg: fewer than 2 labelled joints"]
    assert "1 people cannot be placed:\nim00002.jpg" in capsys.readouterr().out


def test_infinite_joints_are_named(source, tmp_path):
    folder = source([[1] * 14] * 2, digits=5)
    joints, flags, _ = lsp.read_joints(folder / "joints.mat")
    joints[1, 3, 0] = np.inf
    table = np.concatenate([joints, flags[..., None]], axis=-1)
    savemat(folder / "joints.mat", {"joints": table.transpose(1, 2, 0)})
    with pytest.raises(ValueError, match="im00002.jpg: .*NaN or infinite"):
        convert(folder, tmp_path / "out")


def test_a_missing_image_is_listed(source, tmp_path):
    folder = source([[1] * 14] * 3, digits=5)
    (folder / "images" / "im00002.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="1 images are missing"):
        convert(folder, tmp_path / "out")
    found = convert(folder, tmp_path / "out", allow_missing=True)
    assert found["missing"] == 1
    assert "im00002.jpg" in (tmp_path / "out" / "missing.txt").read_text()


@pytest.mark.parametrize(
    "words, message",
    [
        (["train=0-5"], "people 1-9"),
        (["train=1-10"], "people 1-9"),
        (["train=5-4"], "people 1-9"),
        (["train"], "NAME=FIRST-LAST"),
        (["train=1-2", "train=3-4"], "NAME=FIRST-LAST"),
        (["train=1-5", "val=5-9"], "overlaps"),
    ],
)
def test_bad_splits_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        lsp.parse_splits(words, 9)


def test_splits_count_from_one_and_include_the_last():
    found = lsp.parse_splits(["train=1-3", "val=4-4"], 9)
    assert {k: list(v) for k, v in found.items()} == {
        "train": [1, 2, 3],
        "val": [4],
    }


def test_lsp_by_default_keeps_its_test_people_and_has_a_validation_split(
    source, tmp_path, monkeypatch
):
    folder = source([[0] * 14] * 2, digits=4)
    joints, flags, digits = lsp.read_joints(folder / "joints.mat")
    with pytest.raises(ValueError, match="train=1-900: .* people 1-2"):
        convert(folder, tmp_path / "out")
    everyone = np.repeat(joints, 1000, axis=0), np.repeat(flags, 1000, axis=0)
    asked = {}
    monkeypatch.setattr(lsp, "read_joints", lambda _: (*everyone, digits))
    monkeypatch.setattr(
        lsp.crops, "save", lambda _, tasks, **__: asked.update(tasks)
    )
    convert(folder, tmp_path / "out")
    assert {k: len(v) for k, v in asked.items()} == {
        "train": 900, "val": 100, "test": 1000
    }  # fmt: skip
    names = [path.name for path, _ in asked["test"]]
    assert (names[0], names[-1]) == ("im1001.jpg", "im2000.jpg")


@pytest.mark.parametrize(
    ("people", "counts"),
    [
        (10_000, {"train": 9_000, "val": 500, "test": 500}),
        (6_000, {"train": 5_000, "val": 500, "test": 500}),
        (5_300, {"train": 5_000, "val": 300}),
        (9, {"train": 9}),
    ],
)
def test_lspet_holds_out_the_same_people_whether_whole_or_not(people, counts):
    splits = lsp.lspet_splits(people)
    assert {split: len(numbers) for split, numbers in splits.items()} == counts
    assert sorted(sum(splits.values(), [])) == [*range(1, people + 1)]
    assert splits["train"][:5000] == [*range(1, min(people, 5000) + 1)]
    if "test" in splits:
        assert (splits["test"][0], splits["test"][-1]) == (5501, 6000)


def test_wrong_folders_and_files_are_refused(tmp_path, source):
    with pytest.raises(FileNotFoundError, match="joints.mat is missing"):
        convert(tmp_path, tmp_path / "out")
    path = tmp_path / "joints.mat"
    path.write_bytes(b"not MATLAB")
    with pytest.raises(ValueError, match="joints.mat is not a readable"):
        convert(tmp_path, tmp_path / "out")
    savemat(path, {"RELEASE": 1.0})
    with pytest.raises(ValueError, match="expected joints, got RELEASE"):
        convert(tmp_path, tmp_path / "out")
    savemat(path, {"joints": np.zeros((16, 3, 5))})
    with pytest.raises(ValueError, match="got 16 x 3 x 5"):
        convert(tmp_path, tmp_path / "out")
    folder = source([[1] * 14], digits=5)
    for image in (folder / "images").iterdir():
        image.unlink()
    (folder / "images").rmdir()
    with pytest.raises(FileNotFoundError, match="no such folder of images"):
        convert(folder, tmp_path / "out")


SHARED = Path(__file__).parents[2] / "../shared/data/lspet/joints.mat"


@pytest.mark.skipif(not SHARED.is_file(), reason="needs LSPET's joints.mat")
def test_lspet_has_the_published_number_of_complete_people():
    joints, flags, digits = lsp.read_joints(SHARED)
    assert digits == 5
    assert joints.shape == (6000, 14, 2)
    assert (flags > 0).all(axis=1).sum() == 2373
    assert np.all((flags > 0).sum(axis=1) >= 2)
