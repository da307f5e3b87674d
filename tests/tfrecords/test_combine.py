"""Several sets as one: joints by name, pictures by set, bytes as they are."""

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import annotations, dataset, records
from keras_pose.skeletons import Skeleton
from tfrecords import check, combine, shards

ONE = Skeleton("one", ("nose", "left_hip", "right_shoulder", "left_shoulder"))
TWO = Skeleton("two", ("right_hip", "left_shoulder", "snout", "tail"))


def joints_of(number):
    return np.arange(8.0).reshape(4, 2) + 10 + number


class Maker:
    """A picklable task: record `number` of a set, with a photograph's bytes."""

    def __init__(self, encoded, size, head=float("nan"), flags=(2, 1, 2, 2)):
        self.settings = encoded, size, head, flags

    def __call__(self, number):
        encoded, size, head, flags = self.settings
        person = records.Person(
            joints=joints_of(number),
            flags=np.array(flags),
            center=np.array([30.0, 20.0]),
            scale=0.2,
            head_size=head,
            box=(5, 6, 40, 30),
            name=f"{number}.jpg#1",
        )
        return records.Picture(
            encoded, size, (person,), f"{number}.jpg", np.eye(2, 3)
        )


@pytest.fixture
def sets(tmp_path, photograph):
    """Writes the sets one and two, of photographs with the same names."""
    encoded = photograph(tmp_path / "a.jpg", 60, 40).read_bytes()

    def make(protocols=("pckh", "pck-bbox"), heads=(9.0, np.nan), **more):
        paths = []
        for number, skeleton in enumerate((ONE, TWO)):
            path = tmp_path / skeleton.name
            shards.save(
                path,
                {"train": [0, 1, 2], "val": [3, 4]},
                Maker(encoded, (40, 60), heads[number], **more),
                skeleton=skeleton,
                protocol=protocols[number],
                workers=1,
                aspect=(0.75, None)[number],
                context=2.0,
            )
            paths.append(path)
        return tuple(paths)

    return make


def combined(paths, output, **settings):
    config = combine.Config(data=paths, output=output, workers=1, **settings)
    return combine.main(config)


def pictures(folder, split, joints=4):
    paths = dataset.open_dataset(folder).shards(split)
    return [records.parse(r, joints) for r in tf.data.TFRecordDataset(paths)]


def test_joints_are_matched_by_name_and_the_rest_is_unlabelled(
    sets, tmp_path, capsys
):
    paths = sets()
    found = combined(paths, tmp_path / "out", same=("snout=nose",))
    assert {k: v["people"] for k, v in found["splits"].items()} == {
        "train": 6,
        "val": 4,
    }
    first, *_, last = pictures(tmp_path / "out", "train")
    np.testing.assert_array_equal(first.people[0].joints, joints_of(0))
    assert first.people[0].flags.tolist() == [2, 1, 2, 2]
    # nose is two's snout (2), left_shoulder its left_shoulder (1, occluded)
    assert last.people[0].flags.tolist() == [2, 0, 0, 1]
    np.testing.assert_array_equal(
        last.people[0].joints[[0, 3]], joints_of(2)[[2, 1]]
    )
    printed = capsys.readouterr().out
    assert "two: 2 of 4 joints; not labelled: left_hip, right_" in printed
    assert "left out: right_hip, tail (--same right_hip=JOINT)" in printed
    check.main(check.Config(tmp_path / "out"))


def test_photographs_keep_their_bytes_and_the_names_of_their_set(
    sets, tmp_path
):
    paths = sets()
    combined(paths, tmp_path / "out")
    people = annotations.read_people(
        dataset.open_dataset(tmp_path / "out"), "val"
    )
    assert people.pictures == [
        f"{name}/{n}.jpg" for name in ("one", "two") for n in (3, 4)
    ]
    assert people.names[-1] == "two/4.jpg#1"
    (old, *_), (new, *_) = (
        pictures(folder, "train") for folder in (paths[0], tmp_path / "out")
    )
    assert new.encoded == old.encoded
    np.testing.assert_array_equal(new.matrix, old.matrix)


def test_splits_are_put_together_as_asked_for(sets, tmp_path):
    paths = sets()
    words = ("train=one:train,one:val,two:train", "val=two:val")
    found = combined(paths, tmp_path / "out", skeleton="two", splits=words)
    assert {k: v["people"] for k, v in found["splits"].items()} == {
        "train": 8,
        "val": 2,
    }
    assert dataset.open_dataset(tmp_path / "out").skeleton == TWO


@pytest.mark.parametrize(
    ("protocols", "heads", "expected"),
    [
        (("pckh", "pck-bbox"), (9.0, np.nan), "pck-bbox"),
        (("pckh", "pck-bbox"), (9.0, 8.0), "pckh"),
        # one has no right hip: its torso is never known
        (("pckh", "pck-torso"), (9.0, np.nan), "pck-bbox"),
    ],
)
def test_the_table_can_score_people_of_every_set(
    sets, tmp_path, protocols, heads, expected
):
    found = combined(sets(protocols, heads), tmp_path / "out")
    assert found["protocol"] == expected
    # boxes of one set alone are fitted to an aspect
    assert (found["context"], found["aspect"]) == (2.0, None)


def test_people_of_whom_nothing_is_left_are_left_out(sets, tmp_path, capsys):
    paths = sets(flags=(2, 0, 0, 0))  # of two: the right hip
    found = combined(paths, tmp_path / "out")
    assert found["splits"]["train"]["people"] == 3
    assert "3 left out, none of whose joints is in one" in (
        capsys.readouterr().out
    )


def test_a_stopped_combination_goes_on(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "TASKS_PER_SHARD", 2)
    paths, copied = sets(), []

    def counted(task, copy=combine.copy):
        copied.append(task)
        if len(copied) == 5:
            raise KeyboardInterrupt
        return copy(task)

    counted.__reduce_ex__ = lambda _: "counted"
    monkeypatch.setattr(shards, "_fingerprint", lambda _, chunk: str(chunk))
    monkeypatch.setattr(combine, "copy", counted)
    with pytest.raises(KeyboardInterrupt):
        combined(paths, tmp_path / "out")
    found = combined(paths, tmp_path / "out")
    assert found["splits"]["train"]["people"] == 6
    assert len(copied) == 5 + 10 - 4  # two finished shards of two are kept


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"skeleton": "hand"}, "--skeleton must be one of mpii, .*got 'hand'"),
        ({"same": ("snout=beak",)}, "--same snout=beak: expected OTHER=JOINT"),
        ({"same": ("tail=nose", "snout=nose")}, "snout and tail of two both"),
        ({"splits": ("train",)}, "splits must be SPLIT=SET:SPLIT"),
        ({"splits": ("train=one:dev",)}, "'one:dev' is none of one:train"),
        (
            {"splits": ("train=one:val", "val=one:val")},
            "one:val is in train and in val",
        ),
        ({"skeleton": "flic", "same": ("nose=left_eye",)}, None),
    ],
)
def test_a_bad_request_is_refused(sets, tmp_path, settings, message):
    if message is None:  # and a good one is not
        assert combined(sets(), tmp_path / "out", **settings)
        return
    with pytest.raises(ValueError, match=message):
        combined(sets(), tmp_path / "out", **settings)


def test_two_sets_of_one_name_and_a_set_as_output_are_refused(sets, tmp_path):
    one, two = sets()
    with pytest.raises(ValueError, match="both called one"):
        combined((one, one), tmp_path / "out")
    with pytest.raises(ValueError, match="is the set two"):
        combined((one, two), two)
