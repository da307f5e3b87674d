"""Weights of PyTorch as numpy arrays, without PyTorch and without executing.

Reads .safetensors, and .pth (.pt, .pth.tar, .bin) of any version since 0.2: the
zip archive of today and the older stream, which most published weights of
pose networks are. The content decides, not the name. Files may be damaged or
hostile: every size is checked, and a pickle is read, not run (`pickles.py`).
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from keras_pose import untrusted
from keras_pose.models.torch_weights import containers, pickles
from keras_pose.models.torch_weights.tensors import Tensor, brief

PLACES = ("state_dict", "best_state_dict", "network", "model")
"""Where weights lie in a file, the usual one first."""
PREFIXES = ("model.module.", "module.", "model.")
"""Of all names, by the class that held the network."""
UNUSED = (
    "num_batches_tracked",  # how many batches the statistics are made of
    "n_averaged",
    "linspace_x",  # integral regression: 0, 1, 2 ...
    "linspace_y",
)
"""Last part of names that no network computes with."""
PREPROCESSOR = "data_preprocessor."
"""mmpose: the pixels' mean and deviation."""
HINT = (
    "where PyTorch is installed, safetensors.torch.save_file(state_dict, "
    "'weights.safetensors') makes a file that can be read"
)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file and what else it holds."""

    tensors: dict[str, np.ndarray]
    """By name, without `prefix`; they cannot be written to. bfloat16 has
    become float32, other types stay."""
    place: str
    """Key under which they were found, "" for the file itself."""
    prefix: str
    """What all names began with: "module." or another of PREFIXES, or ""."""
    ignored: tuple[str, ...]
    """Entries of the file and names of tensors that are not in `tensors`."""
    sha256: str
    """Of the file."""


def read(path):
    """Reads the weights in a file of PyTorch's or a safetensors file.

    Args:
        path: of the file, at most `untrusted.FILE_BYTES` large.

    Returns:
        Checkpoint

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, hostile or holds no weights; names the file.
    """
    content = untrusted.read_file(path)
    try:
        described, arrays = _container(content)(content)
        place, prefix, found, ignored = find_weights(described)
        tensors = {
            name: arrays.read(prefix + name, tensor)
            for name, tensor in found.items()
        }
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    sha256 = hashlib.sha256(content).hexdigest()
    return Checkpoint(tensors, place, prefix, ignored, sha256)


def find_weights(described):
    """Finds the weights in what a file describes.

    They are the mapping with the most tensors among the file itself and its
    entries, of equal ones the first of PLACES.

    Returns:
        Key of the mapping ("" for the file), what all names began with,
        tensors by the rest of their names, and what was ignored.

    Raises:
        ValueError: there are none.
    """
    if isinstance(described, pickles.Name):
        raise ValueError(
            f"weights must be by name, got what {brief(described.text)} makes: "
            f"{HINT}"
        )
    if not isinstance(described, dict):
        raise ValueError(f"weights must be by name, got {brief(described)}")
    mappings = {"": described}
    for key, value in described.items():
        if isinstance(key, str) and key and isinstance(value, dict):
            mappings[key] = value
    # Each once: a hostile file names a large mapping a million times.
    distinct = {id(mapping): mapping for mapping in mappings.values()}
    found = {key: _tensors(mapping) for key, mapping in distinct.items()}
    usual = {place: -rank for rank, place in enumerate(("", *PLACES))}
    place = max(
        mappings,
        key=lambda key: (
            len(found[id(mappings[key])]),
            usual.get(key, -len(usual)),
        ),
    )
    tensors = found[id(mappings[place])]
    unused = {name for name in tensors if _is_unused(name)}
    names = [name for name in tensors if name not in unused]
    if not names:
        listed = ", ".join(brief(key) for key in list(described)[:6])
        raise ValueError(
            "weights must be by name, in the file or an entry of it, got only "
            + (listed or "an empty dictionary")
        )
    for name in names:
        if not name.isprintable():
            raise ValueError(f"a name must be printable, got {brief(name)}")
    ignored = [key for key in described if place and key != place]
    ignored += [key for key in mappings[place] if key not in tensors]
    prefixes = (p for p in PREFIXES if all(n.startswith(p) for n in names))
    prefix = next(prefixes, "")
    weights = {name[len(prefix) :]: tensors[name] for name in names}
    ignored += sorted(unused)
    return place, prefix, weights, tuple(map(_shown, ignored))


def _shown(key):
    """A key as text that a terminal may see."""
    return untrusted.shown(key if isinstance(key, str) else brief(key))


def _is_unused(name):
    """Whether no network computes with a tensor of this name."""
    last = name.rpartition(".")[2]
    return last in UNUSED or name.startswith(PREPROCESSOR)


def _tensors(mapping):
    """The tensors of a mapping, by name."""
    return {
        name: value
        for name, value in mapping.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _container(content):
    """Function of `containers` that reads such bytes."""
    begin = content[:1024].lstrip()
    if not begin:
        raise ValueError("it must hold weights, got an empty file")
    if content.startswith(b"PK"):
        return containers.read_archive
    if content[8:9] == b"{":
        return containers.read_safetensors
    if begin.startswith(b"<"):
        raise ValueError(
            "it must hold weights, got a web page: the download failed, or "
            "the place wants a click first"
        )
    if begin.startswith(b"version https://git-lfs"):
        raise ValueError(
            "it must hold weights, got a pointer of Git LFS: `git lfs pull` "
            "downloads the file"
        )
    if content[257:262] == b"ustar":
        raise ValueError(
            "it must be a zip archive or a stream of pickles, got a tar "
            f"archive: {HINT}"
        )
    if content.startswith((b"\x80", b"L%d" % pickles.MAGIC)):  # 1: text
        return containers.read_stream
    raise ValueError(
        "it must be a file of PyTorch or safetensors, got one that begins with "
        f"{content[:8].hex(' ')}"
    )
