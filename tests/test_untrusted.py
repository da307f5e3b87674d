"""What comes from outside is asked for its size and its place first."""

import contextlib
import gzip
import io
import os
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_pose import untrusted
from keras_pose.models import model as models

ROOT = Path(__file__).parents[1]
CODE = [
    path
    for top in ("keras_pose", "tfrecords", "reproductions", "benchmarks")
    for path in sorted((ROOT / top).rglob("*.py"))
]


@pytest.fixture
def folder(tmp_path):
    """Holds a file, a folder, links inside and links that lead out."""
    folder = tmp_path / "images"
    (folder / "2017").mkdir(parents=True)
    (folder / "2017" / "a.jpg").write_bytes(b"a")
    (folder / "near.jpg").symlink_to("2017/a.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "far.jpg").symlink_to("../secret.jpg")
    (folder / "up").symlink_to("..")
    return folder


@pytest.mark.parametrize(
    "name", ["2017/a.jpg", "near.jpg", "loop.jpg", "absent.jpg", "..jpg", "a b"]
)
def test_a_name_in_the_folder_is_a_path(folder, name):
    assert untrusted.inside(folder, name) == folder / name


@pytest.mark.parametrize(
    "name",
    ["../secret.jpg", "2017/../../secret.jpg", "..", "/etc/hosts", "far.jpg"]
    + ["up/secret.jpg", "", ".", "a\0b", "\udcff.jpg", 7, None],
)
def test_a_name_that_leads_out_is_none(folder, name):
    with pytest.raises(ValueError, match="leads out of|expected a file name"):
        untrusted.inside(folder, name)


def test_the_folder_of_names_may_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    for name in ("2017/a.jpg", "near.jpg"):
        path = untrusted.inside(tmp_path / "link", name)
        assert untrusted.read_file(path) == b"a"


@contextlib.contextmanager
def as_nobody():
    """This process is not root, who may read everything."""
    groups, group = os.getgroups(), os.getegid()
    if os.geteuid():
        yield
        return
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def test_a_file_without_permission_cannot_be_read(folder, monkeypatch):
    (folder / "2017" / "b.jpg").write_bytes(b"b")
    (folder / "2017" / "a.jpg").chmod(0)
    # first: nobody may pass the folders above it
    monkeypatch.chdir(folder / "2017")
    with as_nobody():
        assert untrusted.read_file("b.jpg") == b"b"
        with pytest.raises(ValueError) as error:
            untrusted.read_file("a.jpg")
    assert str(error.value) == "a.jpg cannot be read: Permission denied"


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[" * 100_000, b"1" * 5000, b""]
)
def test_what_is_no_json_is_named(tmp_path, content):
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="dataset.json is not JSON: "):
        untrusted.read_json(path)


def test_a_file_is_not_unpacked_beyond_its_limit(monkeypatch):
    monkeypatch.setattr(untrusted, "FILE_BYTES", 1000)
    packed = gzip.compress(bytes(500)) + gzip.compress(bytes(500))
    assert untrusted.unzip_gzip(packed, "a.gz") == bytes(1000)
    with pytest.raises(ValueError, match="a.gz unpacks to more than 1,000"):
        untrusted.unzip_gzip(packed + gzip.compress(b"1"), "a.gz")
    with pytest.raises(ValueError, match="a.gz is truncated"):
        untrusted.unzip_gzip(packed[:-3], "a.gz")
    with pytest.raises(ValueError, match="a.gz is damaged"):
        untrusted.unzip_gzip(b"text", "a.gz")


def link(file):
    file["vars"] = h5py.ExternalLink("/etc/hosts", "/")


def external(file):
    file.create_dataset("vars", (9,), "u1", external=[("/etc/hosts", 0, 9)])


def bomb(file):
    file.create_dataset("vars", (2**28,), "f4", chunks=True, fillvalue=0)


def circle(file):
    file["vars"] = file["/"]


HDF5 = {
    link: "vars is a link",
    external: "vars is stored in another file",
    bomb: "vars unpacks from 0 bytes to 1,073,741,824",
    circle: "more than 32 deep",
}


@pytest.mark.parametrize("make", HDF5, ids=lambda make: make.__name__)
def test_a_hdf5_file_reaches_no_other_and_is_as_large(tmp_path, make):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        make(file)
    with h5py.File(path) as file, pytest.raises(ValueError, match=HDF5[make]):
        untrusted.check_hdf5(file, path)


@pytest.fixture
def members(oracle_model, tmp_path):
    """Of a sound .keras file."""
    path = tmp_path / "sound.keras"
    oracle_model.save(path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_a_model_with_code_of_its_own_is_not_loaded(tmp_path):
    """Keras pickles a Lambda's function into the file."""
    path = tmp_path / "lambda.keras"
    images = keras.Input((4,))
    layer = keras.layers.Lambda(lambda x: x + 1)
    keras.Model(images, layer(images)).save(path)
    with pytest.raises(
        ValueError, match="lambda.keras cannot be used: .*ambda"
    ):
        models.load_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"../evil": b"x"}, "wanted in it, got .*evil"),
        ({"model.weights.npz": b"x"}, "wanted in it"),
        ({"model.weights.h5": bytes(2**24)}, "unpacks from .* bytes to 16,"),
        ({"model.weights.h5": b"x"}, "cannot be used: "),
        ({"config.json": b"{}"}, "cannot be used: "),
    ],
    ids=["elsewhere", "another", "bomb", "weights", "config"],
)
def test_a_model_file_of_another_kind_is_refused(
    tmp_path, members, changes, message
):
    path = tmp_path / "best.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in (members | changes).items():
            file.writestr(name, content)
    with pytest.raises(ValueError, match=f"best.keras .*{message}"):
        models.load_model(path)


def test_a_changed_byte_of_the_weights_is_found(tmp_path, members):
    path = tmp_path / "best.keras"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, member in members.items():
            file.writestr(name, member)
    spoilt = bytearray(content.getvalue())
    weights = np.float32(16).tobytes()  # one of the oracle's
    spoilt[content.getvalue().index(weights) + 1] ^= 1
    path.write_bytes(spoilt)
    with pytest.raises(ValueError, match="best.keras cannot be used: .*CRC"):
        models.load_model(path)


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_that_is_read_is_executed(path):
    words = (
        r"allow_pickle=True|read_pickle|pickle\.loads?\b|[^.\w](eval|exec)\("
        r"|safe_mode=False|unsafe_deserialization|yaml\.load|shell=True"
        r"|os\.system"
    )
    assert not re.search(words, path.read_text())
