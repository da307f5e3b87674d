"""Reads MATLAB files, and checks their structure first."""

import io
import math
import struct
import zlib
from pathlib import Path

from scipy.io import loadmat

from keras_pose import untrusted

HEADER = 128
"""Bytes of the header: text, version and byte order."""
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
"""Types of elements: MAT-File Format, table 1-1."""
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
SIZES |= {16: 1, 17: 2, 18: 4}
"""Bytes of a value by type."""
CELL, STRUCT, TEXT, NUMBERS, COMPLEX = 1, 2, 4, range(6, 16), 0x800
"""Classes of matrices (table 1-3), and the flag of an imaginary part."""
DEPTH = 32
"""Deepest nesting of structs; MPII's are 6 deep."""


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
        raise FileNotFoundError(f"{path} is missing: expected a MATLAB file")
    content = untrusted.read_file(path)
    try:
        _check(content)
        content = loadmat(
            io.BytesIO(content), squeeze_me=squeeze, struct_as_record=False
        )
    except Exception as error:  # scipy raises anything on a damaged file
        raise ValueError(f"{path} is not a readable .mat: {error}") from None
    if variable not in content:
        names = ", ".join(k for k in content if not k.startswith("__"))
        raise ValueError(
            f"{path} is of another data set: expected {variable}, got "
            f"{names or 'nothing'}"
        )
    return content[variable]


def _check(content):
    """Raises unless a file follows the format: scipy may crash on others.

    Raises:
        ValueError: an element is longer than its parent, has another type or
            number of values than declared, or unpacks to more than FILE_BYTES.
    """
    order = {b"\0\1IM": "<", b"\1\0MI": ">"}.get(content[HEADER - 4 : HEADER])
    if order is None:
        raise ValueError("it is not in MATLAB's format 5 (save -v7)")
    at, room = HEADER, untrusted.FILE_BYTES
    while at < len(content):
        kind, start, size, after = _element(content, at, len(content), order)
        if kind == COMPRESSED:
            packed = content[start : start + size]
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(packed, room)
            room -= len(unpacked)
            if unpacker.unconsumed_tail:
                raise ValueError(
                    f"it unpacks to more than {untrusted.FILE_BYTES:,} bytes"
                )
            kind, start, size, _ = _element(unpacked, 0, len(unpacked), order)
            _check_matrix(unpacked, kind, start, size, order)
            after = at + 8 + len(packed)
        else:
            _check_matrix(content, kind, start, size, order)
        at = after


def _element(data, at, end, order):
    """Type, start, size in bytes and end, padding included, of an element."""
    if at + 8 > end:
        raise ValueError(f"it ends inside an element, at byte {at:,}")
    kind, size = struct.unpack_from(f"{order}II", data, at)
    if kind >> 16:  # a small one: size and type share four bytes
        kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
    else:
        start = at + 8
        after = min(start + -(-size // 8) * 8, max(end, start + size))
    if start + size > end or (start == at + 4 and size > 4):
        raise ValueError(
            f"an element is longer than its parent, at byte {at:,}"
        )
    return kind, start, size, after


def _check_matrix(data, kind, start, size, order, depth=0):
    """`_check` for a matrix in `size` bytes from `start`."""
    if kind != MATRIX or depth > DEPTH:
        raise ValueError(f"expected a matrix, at byte {start:,}")
    if not size:
        return
    at, end = start, start + size
    parts = []
    for expected in (UINT32, INT32, INT8):  # flags, dimensions, name
        kind, first, length, at = _element(data, at, end, order)
        if kind != expected:
            raise ValueError(
                f"expected type {expected}, got {kind}, at {first:,}"
            )
        parts.append((first, length))
    (flags_at, flags_size), (dims_at, dims_size), _ = parts
    if flags_size != 8 or dims_size < 8 or dims_size % 4:
        raise ValueError(f"flags or dimensions are damaged, at byte {start:,}")
    (flags,) = struct.unpack_from(f"{order}I", data, flags_at)
    dims = struct.unpack_from(f"{order}{dims_size // 4}i", data, dims_at)
    count, kind = math.prod(dims), flags & 0xFF
    if min(dims) < 0 or count > size:  # a value has at least one byte
        raise ValueError(f"impossible dimensions {dims}, at byte {start:,}")
    inner = count
    if kind == STRUCT:
        of, first, length, at = _element(data, at, end, order)
        (each,) = struct.unpack_from(f"{order}i", data, first)
        names, _, total, at = _element(data, at, end, order)
        if (of, length, names) != (INT32, 4, INT8) or each < 1 or total % each:
            raise ValueError(f"names of fields are damaged, at byte {start:,}")
        inner = count * (total // each)
    elif kind in NUMBERS or kind == TEXT:
        inner = 0
        for _ in range(1 + bool(flags & COMPLEX)):
            of, _, length, at = _element(data, at, end, order)
            if of not in SIZES:
                raise ValueError(
                    f"values of unknown type {of}, at byte {start:,}"
                )
            if kind in NUMBERS and length != count * SIZES[of]:
                raise ValueError(f"expected {count} values, at byte {start:,}")
    elif kind != CELL:
        raise ValueError(f"unknown class {kind} of matrix, at byte {start:,}")
    for _ in range(inner):
        of, first, length, at = _element(data, at, end, order)
        _check_matrix(data, of, first, length, order, depth + 1)
    if at < end:
        raise ValueError(f"more than {dims} values, at byte {start:,}")
