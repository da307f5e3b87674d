"""Whole shards or none, the same bytes whatever happened on the way."""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_pose import files
from keras_pose.data import dataset, reading, records
from tfrecords import shards

SETTINGS = {"skeleton": "lsp", "protocol": "pck-torso", "command": "test"}

SLOW = '''
"""A converter that leaves a mark for each picture and takes its time."""
import time
from pathlib import Path
import numpy as np
from keras_pose.data import records
from tfrecords import shards

PAUSE = 0.005

def make(task):
    marks, number = task
    with open(marks, "a") as file:
        file.write("x")
    time.sleep(PAUSE)
    person = records.Person(
        np.full((14, 2), number), np.full(14, 2), np.ones(2), 1.0
    )
    jpeg = bytes.fromhex("ffd8 ffc0 0008 08 0008 000c 00")
    jpeg += bytes(989) + bytes.fromhex("ffd9")
    return records.Picture(
        jpeg, (8, 12), (person,), f"{number}.jpg", np.eye(3)[:2]
    )

def main(output, marks, workers):
    tasks = {"train": [(marks, n) for n in range(600)], "val": [(marks, 600)]}
    return shards.save(
        output, tasks, make, skeleton="lsp", protocol="pck-torso",
        command="test", workers=workers,
    )
'''


WHOLE = bytes.fromhex("ffd8 ffc0 0008 08 0008 000c 00 ffd9")
"""What is stored unless it ends too early: 12 x 8 pixels, says its header."""


def picture(number, missing=(), unusable=(), encoded=WHOLE):
    """A record whose picture is not decoded here; joints at its number."""
    if number in missing:
        raise FileNotFoundError(2, "No such file", f"{number}.jpg")
    if number in unusable:
        raise ValueError(f"{number}.jpg: truncated")
    flags = np.array([0] + [1] * 3 + [2] * 10)
    person = records.Person(np.full((14, 2), number), flags, np.ones(2), 1.0)
    return records.Picture(
        encoded, (8, 12), (person,), f"{number}.jpg", np.eye(3)[:2]
    )


def numbers(folder, split):
    """The numbers of the pictures in a split's shards, in order."""
    paths = dataset.open_dataset(folder).shards(split)
    return [
        int(records.parse(r, 14).source.removesuffix(".jpg"))
        for r in tf.data.TFRecordDataset(paths)
    ]


def contents(folder):
    """Of the folder's files, apart from that of the lock."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name != files.LOCK
    }


def test_records_come_back_in_order_with_their_counts(tmp_path):
    note = tmp_path / "joints.mat"
    note.write_bytes(b"abc")
    tasks = {"train": list(range(300)), "val": [7, 5]}
    output = tmp_path / "out"
    description = shards.save(
        output, tasks, picture, sources=[note], workers=1, **SETTINGS
    )
    assert numbers(output, "train") == list(range(300))
    assert numbers(output, "val") == [7, 5]
    train = description["splits"]["train"]
    assert train["people"] == 300
    assert train["joints"] == {
        "visible": 3000,
        "occluded": 900,
        "unlabelled": 300,
    }
    assert [s["records"] for s in train["shards"]] == [128, 128, 44]
    assert train["shards"][2]["file"] == "train-00002-of-00003.tfrecord"
    assert description["max_side"] == 12
    assert description["missing"] == 0
    # SHA-256 of "abc", FIPS 180-2 appendix B.1
    assert description["sources"]["joints.mat"].startswith("ba7816bf8f01cfea")
    saved = json.loads((output / "dataset.json").read_text())
    assert saved == {"format": 1} | description
    assert not (output / "unfinished").exists()


def test_the_index_is_what_reading_the_shards_would_make(tmp_path):
    tasks = {"train": list(range(300)), "val": [7]}
    shards.save(tmp_path, tasks, picture, workers=1, **SETTINGS)
    path = tmp_path / "train.index"
    written = path.read_bytes()
    path.unlink()
    data = dataset.open_dataset(tmp_path)
    index = reading.open_split(data, "train")
    assert path.read_bytes() == written
    assert index.sources == [f"{n}.jpg" for n in range(300)]
    paths = data.shards("train")
    raw = [r.numpy() for r in tf.data.TFRecordDataset(paths)]
    rows = np.array([299, 0, 128, 127])
    assert index.read(rows).tolist() == [raw[row] for row in rows]
    flags = np.array([0] + [1] * 3 + [2] * 10)
    joints = np.where(flags[:, None], np.arange(300)[:, None, None], 0)
    np.testing.assert_array_equal(index.columns["flags"], [flags] * 300)
    np.testing.assert_array_equal(
        index.columns["joints"], np.broadcast_to(joints, (300, 14, 2))
    )


def test_shards_in_each_others_place_are_named_when_they_are_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(shards, "TASKS_PER_SHARD", 3)
    tasks = {"train": list(range(9))}  # all of one length
    shards.save(tmp_path, tasks, picture, workers=1, **SETTINGS)
    data = dataset.open_dataset(tmp_path)
    first, middle, last = map(Path, data.shards("train"))
    first.rename(tmp_path / "kept")
    last.rename(first)
    (tmp_path / "kept").rename(last)
    index = reading.open_split(data, "train")
    assert len(index.read(np.array([3, 5]))) == 2
    for row, path in ((1, first), (7, last)):
        with pytest.raises(ValueError, match=f"{path}: record 1 .* is corrupt"):
            index.read(np.array([3, row]))


def test_a_picture_that_no_reader_would_take_is_listed(tmp_path):
    make = partial(picture, encoded=WHOLE[:-2])
    with pytest.raises(ValueError, match=r"unusable, first \(4.jpg\): .*trunc"):
        shards.save(tmp_path, {"train": [4]}, make, workers=1, **SETTINGS)


def test_a_name_that_is_no_text_is_listed(tmp_path):
    """A file system's bytes beyond UTF-8, or half of a character in JSON."""
    shards._write_list(tmp_path / "list", [("missing", "\udcff\ud800.jpg")])
    listed = (tmp_path / "list").read_text()
    assert listed == "missing: \\udcff\\ud800.jpg\n"


def test_missing_and_unusable_images_are_listed_and_refused(tmp_path):
    make = partial(picture, missing=(3, 4), unusable=(8,))
    run = partial(
        shards.save,
        tmp_path,
        {"train": list(range(10))},
        make,
        workers=1,
        **SETTINGS,
    )
    with pytest.raises(FileNotFoundError, match="2 images are missing.*1 peop"):
        run()
    assert (tmp_path / "missing.txt").read_text().splitlines() == [
        "missing: 3.jpg",
        "missing: 4.jpg",
        "unusable: 8.jpg: truncated",
    ]
    assert not (tmp_path / "dataset.json").exists()
    description = run(allow_missing=True)
    assert description["missing"] == 3
    assert numbers(tmp_path, "train") == [0, 1, 2, 5, 6, 7, 9]


def test_a_split_that_lost_everyone_says_so_when_it_is_read(tmp_path):
    make = partial(picture, missing=(1, 2))
    tasks = {"train": [1, 2], "val": [3]}
    shards.save(
        tmp_path, tasks, make, allow_missing=True, workers=1, **SETTINGS
    )
    with pytest.raises(ValueError, match="'train' holds no people"):
        dataset.open_dataset(tmp_path).people("train")
    assert numbers(tmp_path, "val") == [3]


def test_nobody_left_is_an_error_even_if_missing_images_are_allowed(tmp_path):
    make = partial(picture, missing=(1,))
    with pytest.raises(FileNotFoundError, match="nothing is left"):
        shards.save(
            tmp_path,
            {"val": [1]},
            make,
            allow_missing=True,
            workers=1,
            **SETTINGS,
        )


def test_a_split_without_people_is_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="'val' holds no people"):
        shards.save(tmp_path / "out", {"val": []}, picture, **SETTINGS)
    assert not (tmp_path / "out").exists()


def test_a_new_conversion_replaces_the_old_one(tmp_path):
    shards.save(
        tmp_path, {"train": list(range(300))}, picture, workers=1, **SETTINGS
    )
    shards.save(tmp_path, {"val": [1]}, picture, workers=1, **SETTINGS)
    assert sorted(contents(tmp_path)) == [
        "dataset.json",
        "val-00000-of-00001.tfrecord",
        "val.index",
    ]


def test_a_full_disk_leaves_nothing_to_read_and_a_rerun_completes(tmp_path):
    run = partial(
        shards.save,
        tmp_path / "out",
        {"train": list(range(300))},
        picture,
        workers=1,
        **SETTINGS,
    )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="train-00000.* cannot be written"):
            run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(tmp_path / "out") == {}
    run()
    assert numbers(tmp_path / "out", "train") == list(range(300))


def test_files_of_others_stay(tmp_path):
    foreign = [
        "notes-1-of-2.tfrecord",
        "train-1-of-2.tfrecord",
        "book.index",
        "unfinished/thesis.txt",
    ]
    for name in foreign:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    for _ in range(2):
        shards.save(tmp_path, {"val": [1]}, picture, workers=1, **SETTINGS)
    for name in foreign:
        assert (tmp_path / name).read_text() == "mine"


def test_two_conversions_do_not_share_a_folder(tmp_path, locked_by_another):
    convert = partial(
        shards.save, tmp_path, {"val": [1]}, picture, workers=1, **SETTINGS
    )
    with locked_by_another(tmp_path) as other:
        with pytest.raises(OSError, match=f"process {other.pid} on"):
            convert()
    convert()
    assert numbers(tmp_path, "val") == [1]


def test_an_output_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def read_only(path, *_):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(os, "mkdir", read_only)
    with pytest.raises(
        OSError, match="out cannot be written: Read-only file sys"
    ):
        shards.save(tmp_path / "out", {"val": [1]}, picture, **SETTINGS)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=str)
def test_interrupted_anywhere_the_same_command_completes(
    tmp_path, monkeypatch, how, notes
):
    """Two workers are stopped; one worker finishes; bytes are as of one run."""
    (tmp_path / "slow_converter.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    output, marks = tmp_path / "out", tmp_path / "marks"
    call = f"slow_converter.main({str(output)!r}, {str(marks)!r}, 2)"
    paths = os.pathsep.join([str(tmp_path), os.getcwd()])
    process = subprocess.Popen(
        [sys.executable, "-c", f"import slow_converter; {call}"],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        start_new_session=True,
        # a shell's background job ignores Ctrl-C, and so would its children
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    unfinished = output / "unfinished"
    deadline = time.monotonic() + 120
    while not list(unfinished.glob("*.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # a terminal tells the whole group
    else:
        process.kill()  # the parent alone: its workers must not live on
    assert process.wait(60) != 0
    _, log = process.communicate(timeout=60)
    assert not notes(log.decode())  # of the parent and of both workers
    time.sleep(0.3)
    made = len(marks.read_text())
    time.sleep(0.3)
    assert len(marks.read_text()) == made < 601
    assert contents(output) == {}
    with pytest.raises(FileNotFoundError, match="has no dataset.json"):
        dataset.open_dataset(output)

    slow = importlib.import_module("slow_converter")
    slow.PAUSE = 0
    kept = len(list(unfinished.glob("*.json")))
    slow.main(str(output), str(marks), 1)
    rest = len(marks.read_text()) - made
    assert 601 - 128 * kept <= rest <= 601 - 128 * (kept - 1)
    slow.main(str(tmp_path / "whole"), str(marks), 1)
    assert contents(output) == contents(tmp_path / "whole")
    sys.modules.pop("slow_converter")
