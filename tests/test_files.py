"""A file is whole or not there."""

import pytest

from keras_pose import files


def test_the_new_file_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "deep" / "a.csv"
    for text in ("old", "new"):
        with files.whole(path) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == ".csv"
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["a.csv"]


def test_a_full_disk_keeps_the_old_file_and_names_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="a.csv cannot be written.*No space"):
        with files.whole(path) as temporary:
            temporary.write_text("ha")
            raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_a_read_only_folder_is_named(tmp_path, monkeypatch):
    def read_only(self, **_):
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", read_only)
    with pytest.raises(OSError, match="a.csv cannot be written.*Read-only"):
        with files.whole(tmp_path / "out" / "a.csv") as temporary:
            temporary.write_text("never")
