"""Opens a split through its index: positions of records and their subjects.

The index of a split, a file beside its shards, holds the position and checksum
of every record and what an evaluation needs of all people. If it is missing,
damaged or of other shards, the shards are read once, checked against
dataset.json, and the index is written again (not in a read-only folder).

Opening reads the index and the sizes of the shards. A record is checked when it
is read; `python -m tfrecords.check` reads and checks all.
"""

import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tqdm import tqdm

from keras_pose import files
from keras_pose.data import records
from keras_pose.data.records import NUMBERS

FRAME = 12, 4
"""Bytes of a TFRecord before (length, its checksum) and after (checksum)."""
PLACES = {
    "shard": "int32",
    "start": "int64",
    "length": "int64",
    "checksum": "int64",
}
"""Types of the columns of an index about the record itself."""
UNTUNED = tf.data.Options()
"""Of every `tf.data.Dataset`: all its numbers of threads are given, none is to
be tuned. TensorFlow's tuner sleeps for 10, 20, 40 ms ... a minute, and an
iterator that ends sometimes waits until it wakes: up to as long as it lived."""
UNTUNED.autotune.enabled = False


@dataclass(frozen=True)
class Index:
    """The N records of a split, in order."""

    paths: list
    """The shards."""
    columns: dict
    """shard (N,): index of the path; start, length (N,) bytes; checksum (N,):
    zlib.crc32 of the record; and of its subject, in the record's own pixels,
    joints (N, K, 2), flags (N, K) and NUMBERS (N, ...)."""
    names: list
    """Name of each subject in the source."""
    sources: list
    """File name of each subject's photograph."""

    def __len__(self):
        return len(self.columns["shard"])

    def read(self, rows):
        """The bytes of some records (B,), checked.

        Raises:
            ValueError: a record is corrupt; names it.
        """
        shard, start, length, checksum = (
            self.columns[name][rows].tolist()
            for name in ("shard", "start", "length", "checksum")
        )
        read = []
        for i, number in enumerate(shard):
            path = self.paths[number]
            try:
                read.append(read_record(path, start[i], length[i], checksum[i]))
            except ValueError as error:
                first = np.searchsorted(self.columns["shard"], number)
                raise ValueError(
                    f"{path}: record {rows[i] - first} (from 0) {error}"
                ) from None
        return np.array(read, object)


def read_record(path, start, length, checksum):
    """The bytes of one record; ValueError, without its name, if it differs."""
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        record = file.read(length)
    if zlib.crc32(record) != checksum:
        raise ValueError("is corrupt: its checksum differs. Convert again.")
    return record


_opened = {}


def open_split(dataset, split):
    """The `Index` of a split of a `dataset.Dataset`; read once per process.

    Raises:
        FileNotFoundError: a shard is missing.
        ValueError: the size of a shard is not that in dataset.json or, if the
            index must be made, a shard is changed or holds an unusable record;
            names the file and the record.
    """
    paths = dataset.shards(split)
    described = dataset.description["splits"][split]["shards"]
    for path, shard in zip(paths, described, strict=True):
        size = os.path.getsize(path)
        if size != shard["bytes"]:
            raise ValueError(_what_is_wrong(path, size, shard))
    joints = len(dataset.skeleton.joints)
    key = str(dataset.folder.resolve()), split, joints, json.dumps(described)
    if key not in _opened:
        path = path_of(dataset.folder, split)
        index = load(path, paths, described, joints)
        if index is None:
            index = build(paths, described, joints)
            try:
                save(path, index, described)
            except OSError:  # a read-only folder: built every time
                pass
        _opened[key] = index
    return _opened[key]


def path_of(folder, split):
    """Path of the index of a split."""
    return folder / f"{split}.index"


def load(path, paths, described, joints):
    """The `Index` in a file; None if missing, damaged or of other shards.

    Args:
        path: of the index.
        paths: of the shards.
        described: the shards in dataset.json.
        joints: number of joints K of the data set's skeleton.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, content = content[:32], content[32:]
    if hashlib.sha256(content).digest() != digest:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if any(i.compress_type for i in file.infolist()):
                return None  # ours are not compressed: no decompression bombs
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            columns = dict(arrays)
        words = json.loads(columns.pop("words").tobytes())
        names, sources = words["names"], words["sources"]
        if words["shards"] != described:
            return None
        _check_columns(columns, described, joints, (names, sources))
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile):
        return None
    return Index(paths, columns, names, sources)


def _check_columns(columns, described, joints, words):
    """ValueError unless an index fits these shards and joints."""
    count = sum(part["records"] for part in described)
    shapes = NUMBERS | {"joints": (joints, 2), "flags": (joints,)}
    shapes |= dict.fromkeys(PLACES, ())
    types = dict.fromkeys(NUMBERS, "float32") | PLACES
    types |= {"joints": "float32", "flags": "int32"}
    for name, shape in shapes.items():
        column = columns[name]
        if column.shape != (count, *shape) or column.dtype != types[name]:
            raise ValueError(
                f"{name} must be {types[name]} {(count, *shape)}, got "
                f"{column.dtype} {column.shape}"
            )
    if not all(
        len(row) == count and all(isinstance(word, str) for word in row)
        for row in words
    ):
        raise ValueError(f"each of the {count:,} records must have its names")
    if not count:
        return
    shard, start, length = (columns[k] for k in ("shard", "start", "length"))
    order = np.repeat(
        np.arange(len(described)), [s["records"] for s in described]
    )
    sizes = np.array([part["bytes"] for part in described])[order]
    if not (
        np.array_equal(shard, order)
        and (start >= 0).all()
        and ((length >= 0) & (length <= sizes - start)).all()
    ):
        raise ValueError("a record must lie in its shard, got one beside it")


def save(path, index, described):
    """Writes an `Index` atomically, after its own SHA-256."""
    words = {
        "shards": described,
        "names": index.names,
        "sources": index.sources,
    }
    words = np.frombuffer(json.dumps(words).encode(), "uint8")
    content = io.BytesIO()
    np.savez(content, words=words, **index.columns)
    content = content.getvalue()
    with files.whole(path) as temporary:
        temporary.write_bytes(hashlib.sha256(content).digest() + content)


def build(paths, described, joints):
    """Reads shards, checks them against dataset.json and makes the `Index`.

    Raises:
        ValueError: a shard is changed, or a record is unusable; names the file
            and the record.
    """
    parts = []
    bar = tqdm(
        total=sum(shard["records"] for shard in described),
        desc="reading all shards once",
        unit=" people",
        leave=False,
        disable=None,
    )
    with bar:
        for path, shard in zip(paths, described, strict=True):
            with open(path, "rb") as file:
                content = file.read()
            if hashlib.sha256(content).hexdigest() != shard["sha256"]:
                raise ValueError(_what_is_wrong(path, len(content), shard))
            rows = _looks(path, content, joints)
            if len(rows) != shard["records"]:
                raise ValueError(
                    f"{path}: expected {shard['records']} records, got "
                    f"{len(rows)}. Convert again."
                )
            parts.append(gather(rows))
            bar.update(shard["records"])
    return join(paths, parts)


def _looks(path, content, joints):
    """What `look` returns of each record of a shard."""
    rows, end = [], 0
    while end < len(content):
        start = end + FRAME[0]
        length = int.from_bytes(content[end : end + 8], "little")
        try:
            rows.append(look(content[start : start + length], start, joints))
        except ValueError as error:
            raise ValueError(
                f"{path}: record {len(rows)} (from 0) {error}"
            ) from None
        end = start + length + FRAME[1]
    return rows


def gather(rows):
    """The `Index` of one shard without its path, from rows of `look`."""
    columns = {
        name: np.array([row[name] for row in rows])
        for name in rows[0]
        if name not in ("name", "source")
    }
    columns["shard"] = np.zeros(len(rows), "int32")
    names, sources = ([row[k] for row in rows] for k in ("name", "source"))
    return Index([], columns, names, sources)


def join(paths, parts):
    """The `Index` of a split, from those of its shards (`gather`)."""
    columns = {
        name: np.concatenate([part.columns[name] for part in parts])
        for name in parts[0].columns
    }
    counts = [len(part) for part in parts]
    columns["shard"] = np.repeat(np.arange(len(parts), dtype="int32"), counts)
    names = [name for part in parts for name in part.names]
    sources = [source for part in parts for source in part.sources]
    return Index(paths, columns, names, sources)


def look(record, start, joints):
    """One row of an index.

    Args:
        record: the bytes of a record.
        start: their offset in the shard.
        joints: number of joints K of the data set's skeleton.

    Returns:
        dict of the columns of `Index`, except shard, and of name and source.

    Raises:
        ValueError: the record is unusable; the caller names it.
    """
    if len(record) > records.RECORD_BYTES:
        most = records.RECORD_BYTES
        raise ValueError(
            f"must have at most {most:,} bytes, got {len(record):,}"
        )
    try:
        feature = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        raise ValueError("is not a tf.train.Example") from None
    source = records.first(feature["image/source"].bytes_list.value)
    if not source:
        raise ValueError("is not of this suite: it has no image/source")
    wrong = records.unusable(feature, joints)
    if wrong:
        raise ValueError(f"({source.decode()}){wrong}")
    row = {
        "start": start,
        "length": len(record),
        "checksum": zlib.crc32(record),
        "flags": np.array(
            feature["people/flags"].int64_list.value[:joints], "int32"
        ),
        "name": records.first(feature["people/name"].bytes_list.value).decode(),
        "source": source.decode(),
    }
    for name, shape in (NUMBERS | {"joints": (joints, 2)}).items():
        values = feature[records.key_of(name)].float_list.value[
            : math.prod(shape)
        ]
        row[name] = np.array(values, "float32").reshape(shape)
    return row


def _what_is_wrong(path, size, shard):
    """The error about a shard whose size or checksum differs."""
    number = 0
    try:
        for _ in tf.data.TFRecordDataset(path).with_options(UNTUNED):
            number += 1
    except tf.errors.DataLossError:
        return (
            f"{path}: record {number} (from 0) is corrupt or truncated; "
            f"expected {shard['bytes']:,} bytes, got {size:,}. Convert again."
        )
    if number != shard["records"]:
        return (
            f"{path} ends after record {number - 1} (from 0), "
            f"expected {shard['records']} records. Convert again."
        )
    return f"{path} is not the file that dataset.json lists. Convert again."
