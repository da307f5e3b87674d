"""Full and read-only disks: one sentence, and the same command goes on."""

import ast
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from reproductions import hsm_loss
from tfrecords import shards, synthetic

ROOT = Path(__file__).parents[1]
WRITES = {"write_text", "write_bytes", "to_csv", "savefig", "imwrite"}
WRITES |= {"VideoWriter"}
"""Calls that write a file."""
PREPARED = {
    ("keras_pose/files.py", "locked"),
    ("keras_pose/training/callbacks.py", "_seal"),
    ("keras_pose/export.py", "export"),
    ("keras_pose/export.py", "_write"),
    ("keras_pose/export.py", "write_page"),
    ("keras_pose/demo/page.py", "copy"),
    ("keras_pose/converters.py", "to_litert"),
    ("keras_pose/report/charts.py", "svg"),
    ("keras_pose/inference/journal.py", "add"),
}
"""Functions whose files lie in a folder that is whole later, or in memory, or
where a line that was cut short does not count."""


def mount(path, *options):
    """Whether a disk could be mounted: only root may."""
    options = ",".join(options)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path):
    """A folder on a disk of its own, and a function that changes the disk."""
    path = tmp_path / "disk"
    path.mkdir()
    if not mount(path, "size=64k"):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield path, partial(mount, path, "remount")
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def convert(folder, people):
    synthetic.main(synthetic.Config(folder, people, 4, 0, size=64, workers=1))


def test_a_conversion_goes_on_once_there_is_room(disk, tmp_path, monkeypatch):
    """The disk has room for some of the shards, which are kept."""
    monkeypatch.setattr(shards, "TASKS_PER_SHARD", 8)
    folder, change = disk
    full = r"train-0000\d.* cannot be written: .*[Nn]o space left on device"
    for _ in range(2):
        with pytest.raises(OSError, match=full):
            convert(folder / "out", 48)
    kept = [path.name for path in (folder / "out").rglob("*.tfrecord")]
    assert 0 < len(kept) < 6
    assert not list(folder.rglob("dataset.json"))
    change("size=16m")
    convert(folder / "out", 48)
    convert(tmp_path / "other", 48)
    written = list((tmp_path / "other").glob("*.tfrecord"))
    assert len(written) == 7  # one of them for val
    for path in written:
        assert (folder / "out" / path.name).read_bytes() == path.read_bytes()


def test_a_training_goes_on_once_there_is_room(
    disk, tmp_path, monkeypatch, two_layers, eagerly
):
    folder, change = disk
    convert(tmp_path / "people", 8)
    monkeypatch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)
    config = hsm_loss.Config(
        data=tmp_path / "people",
        output=folder / "run",
        epochs=1,
        batch_size=4,
        image_size=(64, 64),
        filters=8,
        drop_epochs=(),
    )

    def train(config):
        with eagerly():
            return hsm_loss.paper().train(config)

    with pytest.raises(OSError, match="cannot be written: No space left .* MB"):
        train(config)
    change("size=16m")
    train(config)
    used = shutil.disk_usage(folder).used
    change(f"size={used + 8192}")
    with pytest.raises(OSError, match="cannot be written: No space left .* MB"):
        train(replace(config, epochs=2))
    change("size=16m")
    _, history = train(replace(config, epochs=2))
    assert list(history["epoch"]) == [1, 2]


def test_a_read_only_disk_is_named(disk, tmp_path):
    folder, change = disk
    convert(tmp_path / "people", 4)
    change("ro")
    config = hsm_loss.Config(
        data=tmp_path / "people", output=folder / "run", smoke=True
    )
    for write in (
        partial(convert, folder / "out", 4),
        partial(hsm_loss.paper().reproduce, config),
    ):
        with pytest.raises(
            OSError, match=f"^{folder}/.* cannot be written: Read-only file"
        ):
            write()


def unprepared(node, path, safe=False, function=None):
    """(function, call) of each write that is not of `files.whole`."""
    if isinstance(node, ast.FunctionDef):
        function = node.name
    if isinstance(node, ast.With):
        names = [ast.unparse(item.context_expr) for item in node.items]
        safe = safe or any("whole(" in name for name in names)
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        modes = [ast.unparse(arg) for arg in node.args[1:2]]
        opened = name == "open" and any("w" in m or "a" in m for m in modes)
        if (name in WRITES and node.args or opened) and not safe:
            yield function, ast.unparse(node)
    for child in ast.iter_child_nodes(node):
        yield from unprepared(child, path, safe, function)


def test_every_file_is_written_whole():
    """Then its errors are sentences, and a kill leaves the old one."""
    for top in ("keras_pose", "reproductions", "tfrecords"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            for function, call in unprepared(ast.parse(path.read_text()), path):
                assert (name, function) in PREPARED, (name, function, call)
