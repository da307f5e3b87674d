"""A file is whole or not there, and a folder has one writer."""

import errno
import os
import stat
import time

import filelock
import pytest

from keras_pose import files


def write(path, text):
    with files.whole(path) as temporary:
        temporary.write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_new_file_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "deep" / "a.csv"
    for text in ("old", "new"):
        with files.whole(path) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == ".csv"
    assert path.read_text() == "new"
    assert names(path.parent) == ["a.csv"]


def test_a_folder_appears_with_all_its_files(tmp_path):
    with files.whole(tmp_path / "epoch") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "a").write_text("a")
        assert not (tmp_path / "epoch").exists()
    assert (tmp_path / "epoch" / "inner" / "a").read_text() == "a"
    assert names(tmp_path) == ["epoch"]


def test_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """What a power cut could otherwise lose: the file, and its entry."""
    calls = []

    def fsync(number):
        status = os.fstat(number)
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        calls.append((kind, status.st_ino))

    replace = os.replace
    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr(
        "os.replace", lambda a, b: calls.append("rename") or replace(a, b)
    )
    with files.whole(tmp_path / "epoch") as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("a")
    folder = tmp_path / "epoch"
    assert calls == [
        ("file", (folder / "a").stat().st_ino),
        ("folder", folder.stat().st_ino),
        "rename",
        ("folder", tmp_path.stat().st_ino),
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space .*, .* MB are free"),
        (OSError(errno.EROFS, "x"), "Read-only file system$"),
        (
            OSError(errno.EACCES, "x", "/secret"),
            r"Permission denied \(/secret\)$",
        ),
        (OSError("cannot identify"), "cannot identify$"),
    ],
)
def test_an_error_keeps_the_old_file_and_names_it(tmp_path, error, words):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(OSError, match=f"a.csv cannot be written: {words}"):
        with files.whole(path) as temporary:
            temporary.write_text("ha")
            raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.csv"]


def test_a_library_s_own_error_on_a_full_disk_is_a_full_disk(
    tmp_path, monkeypatch
):
    def save(path):
        with files.whole(path):
            raise RuntimeError("Can't decrement id ref count")

    with pytest.raises(RuntimeError, match="ref count"):
        save(tmp_path / "a.h5")
    monkeypatch.setattr(files, "_free", lambda path: 0)
    with pytest.raises(OSError, match="a.h5 cannot be written: No space"):
        save(tmp_path / "a.h5")
    assert names(tmp_path) == []


def test_the_inner_file_that_cannot_be_written_is_the_one_named(tmp_path):
    with pytest.raises(OSError, match="^[^ ]*b.csv cannot be written: No spa"):
        with files.whole(tmp_path / "a.csv") as temporary:
            temporary.write_text("a")
            with files.whole(tmp_path / "b.csv"):
                raise OSError(28, "full")
    assert names(tmp_path) == []


def test_a_link_is_followed_and_a_mode_is_kept(tmp_path):
    path, link = tmp_path / "private.csv", tmp_path / "link.csv"
    path.write_text("old")
    path.chmod(0o600)
    link.symlink_to(path.name)
    write(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_pipe_is_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="pipe cannot .* a file nor a folder"):
        write(path, "text")
    assert path.is_fifo()


def test_nobody_can_guess_where_a_file_is_written(tmp_path):
    places = []
    for _ in range(2):
        with files.whole(tmp_path / "a.csv") as temporary:
            temporary.write_text("text")
            assert stat.S_IMODE(temporary.parent.stat().st_mode) == 0o700
            places.append(temporary.parent.name)
    assert len(set(places)) == 2


def test_what_a_kill_left_a_day_ago_is_removed(tmp_path):
    old, young = (tmp_path / f"{files.WRITING}{n}" for n in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
    ago = time.time() - 2 * files.DAY
    os.utime(old, (ago, ago))
    write(tmp_path / "a.csv", "text")
    assert names(tmp_path) == [young.name, "a.csv"]


def test_another_writer_may_finish_while_old_folders_are_looked_for(
    tmp_path, monkeypatch
):
    gone = tmp_path / f"{files.WRITING}gone"
    gone.mkdir()
    left = files._left

    def finished(folder):
        entries = left(folder)
        gone.rmdir()
        return entries

    monkeypatch.setattr(files, "_left", finished)
    write(tmp_path / "a.csv", "text")
    assert names(tmp_path) == ["a.csv"]


def test_a_folder_has_one_writer_who_is_named(tmp_path, locked_by_another):
    with locked_by_another(tmp_path) as other:
        named = f"process {other.pid} on .*, since 20..-..-.. .*--output"
        with pytest.raises(OSError, match=named):
            with files.locked(tmp_path):
                pass
    (tmp_path / f"{files.WRITING}killed").mkdir()
    with files.locked(tmp_path), files.locked(tmp_path):
        assert names(tmp_path) == [files.LOCK]


def test_a_seal_names_what_changed(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    assert files.damaged(tmp_path, ["a"]) is None
    files.seal(tmp_path, ["a", "b"])
    assert files.damaged(tmp_path, ["a"]) == []
    assert files.damaged(tmp_path, ["a", "c"]) == ["c"]
    (tmp_path / "a").write_text("")
    (tmp_path / "b").unlink()
    assert files.damaged(tmp_path) == ["a", "b"]
    (tmp_path / files.SUMS).write_bytes(b"\xff\xfe")
    assert files.damaged(tmp_path, ["a"]) == ["a"]


def test_a_seal_is_what_sha256sum_reads(tmp_path):
    """Of "abc": FIPS 180-2, appendix B.1."""
    (tmp_path / "a.txt").write_text("abc")
    files.seal(tmp_path, ["a.txt"])
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (tmp_path / files.SUMS).read_text() == f"{digest}  a.txt\n"


def test_a_disk_without_locks_is_written_to_and_it_is_said(
    tmp_path, monkeypatch, capsys
):
    def acquire(self):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with files.locked(tmp_path):
        write(tmp_path / "a.csv", "text")
    assert "has no locks" in capsys.readouterr().out
    assert (tmp_path / "a.csv").read_text() == "text"
