"""The three kinds of file: a zip archive, an older stream, safetensors.

Each function takes a file's bytes and returns what the file describes, with
`Tensor` where a tensor is, and the `Arrays` that read these. Errors do not name
the file; `read` does.
"""

import io
import math
import operator
import re
import struct
import zipfile
import zlib
from itertools import accumulate

import safetensors

from keras_pose.models.torch_weights import pickles
from keras_pose.models.torch_weights.tensors import (
    Arrays,
    Storage,
    Tensor,
    brief,
)

MEMBERS = 2**16
"""Files in an archive: one per tensor, and few more."""
ENTRY = b"PK\1\2"
"""What each file's entry in the directory of an archive begins with."""
HEADER = 2**24
"""Bytes of the header of a safetensors file; a tensor needs about 100."""
PROTOCOL = 1001
"""Of the older stream."""
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Names in a safetensors file."""
DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,  # what a newer zip or another compression is
    RuntimeError,  # encrypted
    ValueError,
    EOFError,
    OverflowError,
    OSError,
    struct.error,
)
"""What `zipfile` raises."""


def read_archive(content):
    """Zip of `<any>/data.pkl`, `<any>/data/<key>` and perhaps `byteorder`."""
    members = _members(content)
    tops = [n[: -len("data.pkl")] for n in members if _is_pickle(n)]
    if len(tops) != 1:
        raise ValueError(
            f"an archive of PyTorch must have one data.pkl, got {len(tops)} "
            f"among {len(members):,} files"
        )
    (top,) = tops

    def find(name):
        if name not in members:
            raise ValueError(f"{brief(name)} must be in the archive")
        return _unpacked(content, *members[name])

    order = b"little"
    if f"{top}byteorder" in members:
        order = bytes(find(f"{top}byteorder"))
    if order not in (b"little", b"big"):
        raise ValueError(
            f"byteorder must be little or big, got {brief(str(order))}"
        )
    described, _ = pickles.load(find(f"{top}data.pkl"))
    arrays = Arrays(
        lambda key: find(f"{top}data/{key}" if isinstance(key, str) else key),
        len(content),
        order == b"big",
    )
    return described, arrays


def _is_pickle(name):
    return re.fullmatch(r"([^/]*/)?data\.pkl", name) is not None


def _members(content):
    """Name -> (archive, entry) of the files in a zip archive."""
    # Also of a large archive that is all directory: before that is read.
    if content.count(ENTRY) > MEMBERS:
        raise ValueError(f"an archive must have at most {MEMBERS:,} files")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except DAMAGE as error:
        raise ValueError(
            f"the archive is damaged or not complete ({brief(str(error))})"
        ) from None
    entries = archive.infolist()
    members = {entry.filename: (archive, entry) for entry in entries}
    if len(members) != len(entries):
        raise ValueError("each file of an archive must have its own name")
    return members


def _unpacked(content, archive, entry):
    """Bytes of a file in an archive, not copied; PyTorch packs nothing."""
    name = brief(entry.filename)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} must be stored, got a packed file")
    try:
        archive.open(entry).close()  # compares both of its headers
    except DAMAGE as error:
        raise ValueError(f"{name} is damaged ({brief(str(error))})") from None
    begin = entry.header_offset
    names, extra = struct.unpack_from("<HH", content, begin + 26)
    begin += 30 + names + extra
    found = memoryview(content)[begin : begin + entry.file_size]
    if len(found) != entry.file_size or zlib.crc32(found) != entry.CRC:
        raise ValueError(f"{name} is damaged: its checksum is another")
    return found


def read_stream(content):
    """Pickles one behind the other, then the numbers: before PyTorch 1.6."""
    magic, end = pickles.load(content)
    if magic != pickles.MAGIC:
        raise ValueError(
            "it must begin with PyTorch's magic number, got another pickle"
        )
    protocol, end = pickles.load(content, end)
    if protocol != PROTOCOL:
        raise ValueError(f"protocol must be {PROTOCOL}, got {brief(protocol)}")
    facts, end = pickles.load(content, end)
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        # Writers on others did not agree on the order of bytes in the counts.
        raise ValueError("it must have been written on a little-endian machine")
    storages = {}
    described, end = pickles.load(content, end, storages)
    keys, end = pickles.load(content, end)
    if not isinstance(keys, list):
        raise ValueError("the keys of the storages must be a list")
    places, view = {}, memoryview(content)
    for key in keys:
        if not isinstance(key, (str, int)) or key not in storages:
            raise ValueError(f"storage {brief(key)} must belong to a tensor")
        size = storages[key].itemsize
        count = int.from_bytes(content[end : end + 8], "little")
        begin, end = end + 8, end + 8 + count * size
        if end > len(content):
            raise ValueError(
                f"it is not complete: storage {brief(key)} must end at byte "
                f"{end:,}, but the file has {len(content):,}"
            )
        places[key] = view[begin:end]

    def find(key):
        if key not in places:
            raise ValueError(f"storage {brief(key)} must be in the file")
        return places[key]

    return described, Arrays(find, len(content))


def read_safetensors(content):
    """A header of JSON, then the numbers; the library checks both."""
    header = int.from_bytes(content[:8], "little")
    if header > HEADER:
        raise ValueError(
            f"header must have at most {HEADER:,} bytes, got {header:,}"
        )
    try:
        entries = dict(safetensors.deserialize(content))
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"safetensors: it is damaged or not complete ({brief(str(error))})"
        ) from None
    described = {}
    for name, entry in entries.items():
        size = tuple(entry["shape"])
        steps = accumulate(size[:0:-1], operator.mul, initial=1)
        dtype = DTYPES.get(entry["dtype"], entry["dtype"])
        storage = Storage(name, dtype, math.prod(size))
        described[name] = Tensor(
            storage, 0, size, tuple(steps)[::-1][: len(size)]
        )
    arrays = Arrays(lambda name: entries[name]["data"], len(content))
    return described, arrays
