"""What opens, and the one sentence about what does not."""

import json

import pytest

from keras_pose.data import dataset

SHARD = {
    "file": "train-0.tfrecord",
    "records": 2,
    "bytes": 100,
    "sha256": 64 * "0",
}
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
        ("[]", "format must be 1, got"),
        (json.dumps({"format": 2}), "format must be 1, got 2"),
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


SPLITS = GOOD["splits"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_side": 1e9}, "max_side must be 1 to 65,535 pixels, got 100"),
        ({"max_side": True}, "max_side must .* got True"),
        ({"protocol": 3}, "protocol must be a string, got 3"),
        ({"skeleton": {"name": "a", "joints": "nose"}}, "lists of joints"),
        ({"skeleton": {"name": "a", "joints": [["nose"]]}}, "names are words"),
        ({"skeleton": {"name": "a", "joints": ["x\ny"]}}, "names are words"),
        ({"skeleton": {"name": "a", "joints": ["x"] * 1001}}, "most 1000 joi"),
        ({"skeleton": ["lsp"]}, r"one of mpii.* got \['lsp'\]"),
        (
            {"context": float("inf")},
            "context must be a number from 0.01 to 100",
        ),
        ({"aspect": "0.75"}, "aspect must be .* to 100, got '0.75"),
        ({"splits": []}, r"splits must be an object, got \[\]"),
        ({"splits": {"../val": SPLITS["val"]}}, r"name of a split.*'../val'"),
        ({"splits": {"val": 3}}, "split 'val': expected an object, got 3"),
        ({"splits": {"val": {"people": 1}}}, "split 'val': shards is missing"),
        (
            {"splits": {"train": SPLITS["train"] | {"people": 10**9}}},
            "'train': 1,000,000,000 people, but shards hold 2",
        ),
        ({"truth": {"test": {}}}, "truth of a split must be one of train, val"),
        ({"truth": {"val": {}}}, "truth of 'val': file is missing"),
    ],
)
def test_a_description_that_cannot_be_is_refused(tmp_path, changes, message):
    dataset.write_description(tmp_path, GOOD | changes)
    with pytest.raises(ValueError, match=f"dataset.json: .*{message}"):
        dataset.open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": None}, "file must be a string, got None"),
        ({"sha256": "?"}, "sha256 must be a SHA-256 of 64 digits"),
        ({"bytes": -1}, "bytes must be a whole number of at least 0"),
        ({"records": 0}, "records must be a whole number of at least 1"),
        ({"records": 7}, "100 bytes of 'train-0.tfrecord' cannot hold 7"),
    ],
)
def test_a_shard_that_cannot_be_is_refused(tmp_path, changes, message):
    train = {"people": 2, "shards": [SHARD | changes]}
    dataset.write_description(tmp_path, GOOD | {"splits": {"train": train}})
    with pytest.raises(ValueError, match=f"split 'train'.*{message}"):
        dataset.open_dataset(tmp_path)


def test_a_shard_stays_in_its_folder(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(100))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    for name, reason in {
        "../secret": "leads out of",
        str(tmp_path / "secret"): "leads out of",
        "link": "is a link that leads out of",
        "": "expected a file name",
    }.items():
        train = {"people": 2, "shards": [SHARD | {"file": name}]}
        dataset.write_description(folder, GOOD | {"splits": {"train": train}})
        with pytest.raises(ValueError, match=reason):
            dataset.open_dataset(folder).shards("train")


def test_the_folder_itself_may_be_a_link(opened, tmp_path):
    (tmp_path / "train-0.tfrecord").touch()
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    linked = dataset.open_dataset(link)
    assert linked.shards("train") == [str(link / "train-0.tfrecord")]
