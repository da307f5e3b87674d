"""Weights in files, by layer; the network of the file is not built."""

import zipfile
from pathlib import Path

import h5py
import numpy as np

from keras_pose import provenance, untrusted
from keras_pose.models import torch_weights
from keras_pose.models.model import WEIGHTS, check_members
from keras_pose.models.torch_weights import conversion, sources


def read(path):
    """Reads the weights in a file.

    Args:
        path: of a .keras file, of the .h5 file of a checkpoint, or of published
            weights of PyTorch's (.safetensors, .pth ...), which may be those of
            a backbone alone.

    Returns:
        {layer: list of its weights in Keras' order}, because Keras' files do
        not name the weights of a layer; of PyTorch's {layer: {weight: array}}.
        And what is known of them, see `keras_pose.provenance`.

    Raises:
        ValueError: the file is damaged, hostile or holds no such weights.
    """
    path = Path(path)
    kind = path.suffix.lower()
    try:
        if kind == ".keras":
            check_members(path)
            with zipfile.ZipFile(path) as file:
                damaged = file.testzip()
                if damaged:
                    raise ValueError(f"{damaged} in it is damaged")
                with file.open(WEIGHTS) as member, h5py.File(member) as weights:
                    return _layers(weights), provenance.read(path)
        if kind == ".h5":
            if not h5py.is_hdf5(path):
                raise ValueError("it is damaged or not an .h5 file")
            with h5py.File(path) as weights:
                untrusted.check_hdf5(weights, path.name)
                whole = (path.parent / provenance.CONFIG).is_file()
                facts = provenance.read(path.parent) if whole else {}
                return _layers(weights), facts
        found = torch_weights.read(path)
        source = sources.recognise(found.tensors, None)
        layers, _ = conversion.layers_of(source, found.tensors)
        return layers, {"source": source.name, "code": source.code}
    except Exception as error:  # h5py raises anything on a damaged file
        reason = untrusted.first_line(error)
        reason = reason.removeprefix(f"{path}: ")
        raise ValueError(f"{path} cannot be used: {reason}") from None


def _layers(weights):
    """The layers of an open HDF5 file of Keras', without those of no weights.

    Raises:
        ValueError: there are none, or a weight is not made of finite numbers.
    """
    layers = {}
    for group in weights.get("layers", {}).values():
        stored = group.get("vars", ())
        if not len(stored):
            continue
        name = stored.attrs["name"]
        arrays = [stored[f"{number}"][()] for number in range(len(stored))]
        for array in arrays:
            if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
                raise ValueError(
                    f"the weights of layer {name!r:.100} must be finite numbers"
                )
        layers[name] = arrays
    if not layers:
        raise ValueError("it must hold weights of layers, got none")
    return layers
