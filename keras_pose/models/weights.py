"""Weights in files, by layer; the network of the file is not built."""

import zipfile
from pathlib import Path

import h5py
import numpy as np

from keras_pose import untrusted
from keras_pose.models.model import WEIGHTS, check_members


def read(path):
    """Reads the weights in a .keras file or in the .h5 file of a checkpoint.

    Returns:
        {layer: list of its weights in Keras' order}: these files do not name
        the weights of a layer. Other sources may give {weight: array} instead
        of a list; the names are those of Keras: kernel, bias, gamma, beta,
        moving_mean, moving_variance.

    Raises:
        ValueError: the file is damaged, hostile or holds no such weights.
    """
    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            check_members(path)
            with zipfile.ZipFile(path) as file:
                if file.testzip():
                    raise ValueError(f"{file.testzip()} in it is damaged")
                with file.open(WEIGHTS) as member, h5py.File(member) as weights:
                    return _layers(weights)
        if not h5py.is_hdf5(path):
            raise ValueError("it is damaged or not a .keras file")
        with h5py.File(path) as weights:
            untrusted.check_hdf5(weights, path.name)
            return _layers(weights)
    except Exception as error:  # h5py raises anything on a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
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
        raise ValueError("it holds no weights of layers")
    return layers
