"""What opens, and the one sentence about what does not."""

import json

import pytest

from keras_pose.data import dataset

SHARD = {"file": "train-0.tfrecord", "records": 2, "bytes": 1, "sha256": "?"}
GOOD = {
    "skeleton": "lsp",
    "protocol": "pck-torso",
    "max_side": 512,
    "splits": {
        "train": {"people": 2, "shards": [SHARD]},
        "val": {"people": 0, "shards": []},
    },
}


@pytest.fixture
def opened(tmp_path):
    dataset.write_description(tmp_path, GOOD)
    return dataset.open_dataset(tmp_path)


def test_what_was_written_is_read(opened, tmp_path):
    (tmp_path / "train-0.tfrecord").touch()
    assert opened.skeleton.name == "lsp"
    assert (opened.protocol, opened.max_side) == ("pck-torso", 512)
    assert opened.splits == ("train", "val")
    assert opened.people("train") == 2
    assert opened.shards("train") == [str(tmp_path / "train-0.tfrecord")]
    assert [path.name for path in tmp_path.glob("*.json*")] == ["dataset.json"]


def test_a_missing_shard_is_named(opened):
    with pytest.raises(FileNotFoundError, match="train-0.tfrecord is missing"):
        opened.shards("train")


def test_a_split_without_people_is_refused(opened):
    with pytest.raises(ValueError, match="'val' holds no people"):
        opened.people("val")


def test_an_unknown_split_names_those_there_are(opened):
    with pytest.raises(ValueError, match="no split 'test': it has train, val"):
        opened.people("test")


def test_no_folder_and_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder. Make it"):
        dataset.open_dataset(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="has no dataset.json"):
        dataset.open_dataset(tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "is not JSON"),
        ("[]", "format 1 wanted, got"),
        (json.dumps({"format": 2}), "format 1 wanted, got 2"),
        (
            json.dumps({"format": 1, "skeleton": "cat"}),
            "one of mpii, lsp, coco, flic, got 'cat'",
        ),
    ],
    ids=["junk", "list", "format", "skeleton"],
)
def test_another_file_is_refused(tmp_path, text, message):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        dataset.open_dataset(tmp_path)
