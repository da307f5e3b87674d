"""Tensors of a file as numpy arrays, after every number was checked."""

import math
from dataclasses import dataclass

import numpy as np

from keras_pose import untrusted

RANK = 32
"""Axes that a tensor may have; numpy has 64 at most."""
LARGEST = 2**48
"""Elements along the axes of an empty tensor."""
DTYPES = (
    *("float64", "float32", "float16", "bfloat16"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
)


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """Numbers in a row: `count` of them, found in the file under `key`.

    `view` is None, or of files before PyTorch 0.4 (key, first, count) of the
    part that is meant. Nothing is checked yet.
    """

    key: object
    dtype: str
    count: int
    view: tuple | None = None

    @property
    def itemsize(self):
        """Bytes of a number; ValueError if the type is unknown."""
        if self.dtype not in DTYPES:
            raise ValueError(
                f"type must be one of {', '.join(DTYPES)}, "
                f"got {brief(self.dtype)}"
            )
        return 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A view of a storage, all in elements; nothing is checked yet."""

    storage: Storage
    offset: int
    size: tuple
    stride: tuple


class Arrays:
    """Makes arrays of the tensors of one file; each storage is read once."""

    def __init__(self, find, size, big_endian=False):
        """
        Args:
            find: bytes of the storage with a key; raises ValueError if there
                is none.
            size: of the file, bytes: its storages cannot be larger together.
            big_endian: order of the bytes in a number.
        """
        self.find = find
        self.left = size
        self.order = ">" if big_endian else "<"
        self.storages = {}

    def read(self, name, tensor):
        """Array of a `Tensor`: no copy, so it cannot be written to.

        bfloat16, which numpy does not have, becomes float32.

        Raises:
            ValueError: names the tensor, and what of it is wrong.
        """
        try:
            return self._view(tensor)
        except ValueError as error:
            raise ValueError(f"tensor {brief(name)}: {error}") from None

    def _view(self, tensor):
        storage, size, stride = tensor.storage, tensor.size, tensor.stride
        if not isinstance(storage, Storage):
            raise ValueError(
                "its storage must be one of PyTorch's, got "
                f"{type(storage).__name__}"
            )
        for values, what in ((size, "size"), (stride, "stride")):
            if not isinstance(values, tuple) or len(values) > RANK:
                got = type(values).__name__
                if isinstance(values, tuple):
                    got = f"{len(values):,}"
                raise ValueError(
                    f"{what} must be at most {RANK} numbers, got {got}"
                )
            for value in values:
                _check_count(value, what)
        if len(size) != len(stride):
            raise ValueError(
                f"stride must have {len(size)} numbers, got {len(stride)}"
            )
        _check_count(tensor.offset, "offset")
        values = self._storage(storage)
        last = tensor.offset - 1
        if math.prod(size):
            last += 1 + sum(
                (n - 1) * s for n, s in zip(size, stride, strict=True)
            )
        if last >= len(values):
            raise ValueError(
                f"it must lie in the {len(values):,} elements of its storage, "
                f"got element {last:,}"
            )
        if math.prod(size) > len(values):
            raise ValueError(
                f"it must have at most the {len(values):,} elements of its "
                f"storage, got {math.prod(size):,}"
            )
        if not math.prod(size):
            if math.prod(max(n, 1) for n in size) > LARGEST:
                raise ValueError(f"size must be below {LARGEST:,} elements")
            return np.zeros(size, values.dtype)
        steps = [
            s * values.itemsize if n > 1 else values.itemsize
            for n, s in zip(size, stride, strict=True)
        ]
        begin = tensor.offset * values.itemsize
        return np.ndarray(size, values.dtype, values, begin, steps)

    def _storage(self, storage):
        """All numbers of a storage (N,), or of the part that is meant."""
        key, view = storage.key, storage.view
        if key not in self.storages:
            _check_count(storage.count, "the count of its storage")
            content = self.find(key)
            if len(content) != storage.count * storage.itemsize:
                raise ValueError(
                    f"storage {brief(key)} must have {storage.count:,} numbers "
                    f"of {storage.itemsize} bytes, got {len(content):,} bytes"
                )
            self.left -= len(content)
            if self.left < 0:
                raise ValueError("its storages must be smaller than the file")
            values = _decode(content, storage.dtype, self.order)
            values.flags.writeable = False
            self.storages[key] = storage.dtype, values
        dtype, values = self.storages[key]
        if (dtype, len(values)) != (storage.dtype, storage.count):
            raise ValueError(
                f"storage {brief(key)} must be {brief(storage.count)} times "
                f"{storage.dtype}, got {len(values):,} times {dtype}"
            )
        if view is None:
            return values
        if not isinstance(view, tuple) or len(view) != 3:
            raise ValueError("part of a storage must be key, offset and count")
        _, first, count = view
        _check_count(first, "first element of the part")
        _check_count(count, "count of the part")
        if first + count > len(values):
            raise ValueError(
                f"part of storage {brief(key)} must end before its "
                f"{len(values):,} elements do, got {first + count:,}"
            )
        return values[first : first + count]


def _decode(content, dtype, order):
    """Bytes of a storage as an array (N,) in this machine's byte order."""
    if dtype == "bool":
        return np.frombuffer(content, np.uint8) != 0
    if dtype == "bfloat16":  # the upper half of a float32
        upper = np.frombuffer(content, f"{order}u2").astype(np.uint32)
        return (upper << 16).view(np.float32)
    stored = np.dtype(dtype).newbyteorder(order)
    return np.frombuffer(content, stored).astype(dtype, copy=False)


def _check_count(value, what):
    """ValueError unless `value` is a whole number of 0 ... 2**63 - 1."""
    if not untrusted.is_count(value, high=2**63 - 1):
        raise ValueError(f"{what} must be 0 or more, got {brief(value)}")


def brief(value):
    """A value for an error: short, of one line, whatever it is."""
    if isinstance(value, str):
        return repr(value[:80])
    plain = isinstance(value, (int, float, type(None)))
    return repr(value) if plain else f"a {type(value).__name__}"
