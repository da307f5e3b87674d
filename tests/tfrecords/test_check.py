"""What check finds: everything that is not as it was written."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose import drawing
from keras_pose.data import dataset, reading, records
from keras_pose.skeletons import LSP
from tfrecords import check, shards


def picture(number, **changes):
    """A green picture of 60 x 40 pixels; ankle left of it, wrist right."""
    image = np.full((40, 60, 3), (0, 100, 0), "uint8")
    joints = np.stack([np.linspace(10, 50, 14), np.full(14, 20.0)], axis=-1)
    flags = np.array([1] * 4 + [2] * 10)
    person = records.Person(
        joints, flags, np.array([30.0, 20]), 0.3, name=f"{number}.jpg"
    )
    return replace(
        records.Picture(
            cv2.imencode(".jpg", image)[1].tobytes(),
            (40, 60),
            (person,),
            f"{number}.jpg",
            np.eye(3)[:2],
        ),
        **changes,
    )


def spoiled(number):
    """Two of these records contradict themselves."""
    if number == 1:
        return picture(number, encoded=picture(number).encoded[:300])
    return picture(number, size=(60, 40) if number == 2 else (40, 60))


def save(folder, make=picture, **tasks):
    return shards.save(
        folder,
        tasks,
        make,
        skeleton="lsp",
        protocol="pck-torso",
        command="test",
        workers=1,
    )


def run(folder, **settings):
    return check.main(check.Config(folder, **settings))


def test_a_sound_data_set_is_counted_and_drawn(tmp_path, capsys):
    save(tmp_path, train=list(range(12)), val=[1, 2])
    found = run(tmp_path, people=7)
    assert found["train"] == {
        "people": 12,
        "joints": {"visible": 120, "occluded": 48, "unlabelled": 0},
    }
    assert "val: 2 people; joints: 20 visible, 8 occ" in capsys.readouterr().out
    drawn = cv2.imread(str(tmp_path / "contact_sheet.png"))
    gaps = 6 * drawing.GAP
    assert drawn.shape == (check.TILE, 7 * check.TILE + gaps, 3)


def test_joints_are_drawn_where_they_are():
    """The square of 60 pixels fills the tile of 192: joint k sits at 3.2 times
    its distance from the centre."""
    item = picture(0)
    image = cv2.imdecode(np.frombuffer(item.encoded, "uint8"), 1)
    tile = check.draw_tile(item, image, LSP)
    x = round((50 - 30) * check.TILE / 60 + (check.TILE - 1) / 2)
    y = (check.TILE - 1) // 2
    head = np.array(drawing.MIDDLE)
    assert np.abs(tile[y + 1, x].astype(int) - head).max() < 30
    assert tuple(tile[5, 5]) == (60, 60, 60)  # beside the picture


def test_a_changed_byte_is_found(tmp_path, capsys):
    save(tmp_path, train=list(range(4)))
    (path,) = dataset.open_dataset(tmp_path).shards("train")
    with open(path, "r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(ValueError, match="the first: .*wrong checksum"):
        run(tmp_path)
    assert "train-00000-of-00001.tfrecord: record 0:" in capsys.readouterr().out


def test_a_truncated_shard_is_found(tmp_path, capsys):
    save(tmp_path, train=list(range(4)))
    (path,) = dataset.open_dataset(tmp_path).shards("train")
    with open(path, "r+b") as file:
        file.seek(-10, 2)
        file.truncate()
    with pytest.raises(ValueError, match="failures"):
        run(tmp_path)
    out = capsys.readouterr().out
    assert "tfrecord: record 3:" in out
    assert "train: 3 people" in out


def test_a_data_set_without_an_index_is_sound(tmp_path):
    save(tmp_path, train=[1])
    (tmp_path / "train.index").unlink()
    assert run(tmp_path)["train"]["people"] == 1


def test_a_damaged_index_is_found(tmp_path):
    save(tmp_path, train=[1], val=[2])
    path = tmp_path / "val.index"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="1 failures.*val.index is damaged"):
        run(tmp_path)


def test_an_index_that_says_something_else_is_found(tmp_path):
    save(tmp_path, train=list(range(4)))
    data = dataset.open_dataset(tmp_path)
    index = reading.open_split(data, "train")
    index.columns["center"][2, 0] += 1
    described = data.description["splits"]["train"]["shards"]
    reading.save(tmp_path / "train.index", index, described)
    with pytest.raises(ValueError, match="train.index differs from its shards"):
        run(tmp_path)


def test_a_lost_shard_is_found(tmp_path):
    description = save(tmp_path, train=[1], val=[2])
    name = description["splits"]["val"]["shards"][0]["file"]
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=f"{name}: the file is missing"):
        run(tmp_path)


def test_records_that_contradict_themselves_are_named(
    tmp_path, capsys, monkeypatch
):
    with monkeypatch.context() as patch:  # else it is not converted at all
        patch.setattr(records, "unusable", lambda *_: "")
        save(tmp_path, spoiled, train=list(range(4)))
    with pytest.raises(ValueError, match="3 failures"):
        run(tmp_path)
    out = capsys.readouterr().out
    assert "record 1: 1.jpg: the JPEG is truncated" in out
    assert "record 2: 2.jpg: expected size (60, 40), got (40, 60)" in out


def test_records_of_another_skeleton_are_found(tmp_path):
    description = save(tmp_path, train=[1])
    dataset.write_description(tmp_path, description | {"skeleton": "mpii"})
    with pytest.raises(ValueError, match="record 0: "):
        run(tmp_path)


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no dataset.json"):
        run(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        run(tmp_path / "nowhere")


def test_unknown_flags_are_found():
    record = records.write(picture(0))
    example = tf.train.Example.FromString(record)
    flags = example.features.feature["people/flags"].int64_list.value
    flags[0] = 3
    described = {"skeleton": "lsp", "max_side": 60}
    data = dataset.Dataset(None, described)
    with pytest.raises(ValueError, match="0.jpg: unknown flags"):
        check.inspect(example.SerializeToString(), data)
