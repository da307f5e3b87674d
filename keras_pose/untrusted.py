"""Checks of untrusted input: file types, names and sizes.

Data sets, annotations, photographs and model files may be damaged or malicious.
Their readers check names and sizes here before they use them; docs/trust.md
lists the guarantees.
"""

import errno
import json
import math
import os
import stat
import zlib
from pathlib import Path, PurePath

FILE_BYTES = 2**30
"""Largest file that is read at once, also unpacked; COCO's largest file of
keypoints has 240 MB."""
DEPTH = 32
"""Deepest nesting of HDF5 groups; Keras' own files have less than ten."""
LARGEST = 1e300
"""Largest number in a file: it must fit into a float."""
EXPANSION = 10
"""Largest ratio of unpacked to packed bytes, beyond SLACK: weights and
coordinates hardly compress."""
SLACK = 2**20
"""Bytes that any file may unpack to."""
FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
"""Without O_NONBLOCK, opening a pipe without a writer blocks forever."""
OURS = errno.ENOENT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR
"""Errors that are not about the content: no such file, or no resources."""


def inside(folder, name):
    """Path of a file in a folder, by a name from an untrusted file.

    Args:
        folder: may itself be a link.
        name: such as "photo.jpg" or "2017/photo.jpg".

    Raises:
        ValueError: the name is absolute, leaves the folder by ".." or by a
            link, or is not a file name.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"expected a file name, got {name!r}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"expected a file name of text, got {name!r}"
        ) from None
    parts = PurePath(name).parts
    if not parts or ".." in parts or PurePath(name).anchor:
        raise ValueError(f"the name {name!r} leads out of {folder}")
    path = os.fspath(folder)
    for part in parts:
        path = os.path.join(path, part)
        if os.path.islink(path):
            home = os.path.realpath(folder)
            target = os.path.realpath(path)
            if os.path.commonpath([home, target]) != home:
                raise ValueError(f"{path} is a link that leads out of {folder}")
    return Path(path)


def is_name(name):
    """Whether `name` can be part of a file name."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and PurePath(name).parts == (name,)
        and name != ".."
    )


def read_file(path, first=None):
    """The bytes of a regular file; never blocks on a pipe.

    `first`: how many to read, of a file of any size; None: all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not readable: a folder, device, pipe or loop of links, no
            permission, a name that is too long, or too large.
    """
    try:
        number = os.open(path, FLAGS)
        with open(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise ValueError(f"{path} cannot be read: not a regular file")
            size = os.fstat(number).st_size
            if size > FILE_BYTES and first is None:
                raise ValueError(
                    f"{path} must have at most {FILE_BYTES:,} bytes, got "
                    f"{size:,}"
                )
            return file.read(first)
    except OSError as error:
        if error.errno in OURS:
            raise
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def read_json(path):
    """The content of a JSON file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, or is not JSON; names the file.
    """
    return parse_json(read_file(path), path)


def parse_json(content, path):
    """Parses the bytes `content` of a JSON file; errors name `path`."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def unzip_gzip(content, path):
    """Unpacks the `content` of a .gz file to at most FILE_BYTES.

    Raises:
        ValueError: damaged, or too large; names `path`.
    """
    unpacked, left = b"", content
    try:
        while left:
            unpacker = zlib.decompressobj(wbits=31)
            room = FILE_BYTES + 1 - len(unpacked)
            unpacked += unpacker.decompress(left, room)
            if len(unpacked) > FILE_BYTES:
                raise ValueError(
                    f"{path} unpacks to more than {FILE_BYTES:,} bytes"
                )
            if not unpacker.eof:
                raise ValueError(f"{path} is truncated")
            left = unpacker.unused_data
    except zlib.error as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    return unpacked


def check_unpacked(path, unpacked, packed):
    """ValueError if `packed` bytes unpack to too many."""
    if unpacked > EXPANSION * packed + SLACK:
        raise ValueError(
            f"{path} unpacks from {packed:,} bytes to {unpacked:,}, more than "
            f"{EXPANSION} times as many"
        )


def check_hdf5(group, path, depth=0):
    """Raises if an open HDF5 file refers to other files or unpacks to too much.

    Args:
        group: an `h5py.File` or a group of one.
        path: of the file, for errors.
        depth: of the group in the file.

    Raises:
        ValueError: a link, data in another file, groups that are too deep, or
            a data set that unpacks to too many bytes.
    """
    if depth > DEPTH:
        raise ValueError(f"{path}: groups are more than {DEPTH} deep")
    for name in group:
        link = type(group.get(name, getlink=True)).__name__
        if link != "HardLink":
            raise ValueError(f"{path}: {name} is a link ({link})")
        member = group[name]
        if hasattr(member, "keys"):
            check_hdf5(member, path, depth + 1)
        elif hasattr(member, "shape"):
            if member.external or member.is_virtual:
                raise ValueError(f"{path}: {name} is stored in another file")
            size = math.prod(member.shape or ()) * member.dtype.itemsize
            stored = member.id.get_storage_size()
            check_unpacked(f"{path}: {name}", size, stored)


def is_number(value, low=-LARGEST, high=LARGEST):
    """Whether `value` is a number (not a bool) in low ... high."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and low <= value <= high
    )


def is_count(value, low=0, high=2**53):
    """Whether `value` is a whole number in low ... high."""
    return isinstance(value, int) and is_number(value, low, high)


def first_line(error):
    """The first line of an error's message, or else its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def shown(text):
    """Text for a terminal: escapes line breaks and control characters."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in str(text)
    )
