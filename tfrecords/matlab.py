"""MATLAB files, with errors that say what is wrong with them."""

import io
import zlib
from pathlib import Path

from scipy.io import loadmat

from keras_pose import untrusted

HEADER = 128
"""Bytes of text, version and order at the beginning of a file."""
COMPRESSED = 15
"""Type of an element that is packed: MAT-File Format, table 1-1."""
CHUNK = 2**20
"""Bytes unpacked at a time."""


def read(path, variable, squeeze=False):
    """One variable of a .mat file; structs come as objects with attributes.

    Args:
        path: the file.
        variable: name in the file.
        squeeze: drop axes of length 1, so that a 1 x 1 struct is an object.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a .mat file, or one without the variable.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: wanted a MATLAB file")
    content = untrusted.read_file(path)
    _check_unpacked(content, path)
    try:
        content = loadmat(
            io.BytesIO(content), squeeze_me=squeeze, struct_as_record=False
        )
    except Exception as error:  # scipy raises anything on a damaged file
        raise ValueError(f"{path} is not a readable .mat: {error}") from None
    if variable not in content:
        found = ", ".join(k for k in content if not k.startswith("__"))
        raise ValueError(
            f"{path} is of another data set: wanted {variable}, it has "
            f"{found or 'nothing'}"
        )
    return content[variable]


def _check_unpacked(content, path):
    """ValueError if a file's packed elements hold more than FILE_BYTES."""
    order = {b"IM": "little", b"MI": "big"}.get(content[HEADER - 2 : HEADER])
    at, total = HEADER, 0
    while order and at + 8 <= len(content):
        kind, size = (
            int.from_bytes(content[at + n : at + n + 4], order) for n in (0, 4)
        )
        packed = content[at + 8 : at + 8 + size]
        unpacker = zlib.decompressobj()
        while kind == COMPRESSED and packed and not unpacker.eof:
            try:
                total += len(unpacker.decompress(packed, CHUNK))
            except zlib.error:  # `loadmat` says what is wrong
                return
            packed = unpacker.unconsumed_tail
            if total > untrusted.FILE_BYTES:
                raise ValueError(
                    f"{path} unpacks to more than {untrusted.FILE_BYTES:,} "
                    "bytes"
                )
        at += 8 + size
