"""The weights that a training starts from, taken layer by layer."""

from dataclasses import dataclass
from pathlib import Path

import keras

from keras_pose import files, untrusted
from keras_pose.training import optimizers

NORMALISATION = keras.layers.BatchNormalization
LISTED = 8
"""Most layers that are printed; run.json lists all."""


def find(path, best, weights):
    """The file with the weights of a .keras file, a run or a checkpoint.

    Args:
        path: of the file or folder.
        best: name of the file in the folder of a run.
        weights: name of the file in that of a checkpoint.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the checkpoint is damaged.
    """
    path = Path(path)
    if path.is_file():
        return path
    for name in (best, weights):
        if (path / name).is_file():
            if name == weights and files.damaged(path, [name]):
                raise ValueError(f"initial weights: {path / name} is damaged")
            return path / name
    lack = f"has no {best}" if path.is_dir() else "does not exist"
    raise FileNotFoundError(
        "initial weights: expected a .keras file, the folder of a run or of "
        f"its checkpoint, got {path}, which {lack}"
    )


@dataclass(frozen=True)
class Taken:
    """Which layers were taken; only layers with weights count."""

    layers: list
    """Names of the model's layers that were taken."""
    left: dict
    """{layer of the model: why it was not}; they keep their initial values."""
    unused: list
    """Names of the layers of the source that were not."""

    def describe(self, path):
        """The lines that a run prints: the source is `path`."""
        count = len(self.layers) + len(self.left)
        lines = [f"{path}: took {len(self.layers)} of {count} layers"]
        for name, why in [*self.left.items()][:LISTED]:
            lines.append(f"  {name} not taken: {why}")
        if len(self.left) > LISTED:
            lines.append(f"  and {len(self.left) - LISTED} more: see run.json")
        if self.unused:
            lines.append(f"  layers of the file not used: {len(self.unused)}")
        return "\n".join(lines)


def take(model, given, path):
    """Sets the layers of a model to the weights that fit.

    A layer fits if the source has one of the same name with the same weights
    in the same shapes: all its weights are taken, or none.

    Args:
        model: a functional Keras model.
        given: {layer: {weight: array}, or a list of arrays in Keras' order}.
        path: of the source, for the error.

    Returns:
        `Taken`

    Raises:
        ValueError: no layer fits.
    """
    own = {layer.name: layer for layer in model.layers if layer.weights}
    left = {}
    for name, layer in own.items():
        weights = {weight.name: weight for weight in layer.weights}
        arrays = given.get(name)
        if isinstance(arrays, list):
            more = map(str, range(len(weights), len(arrays)))
            arrays = dict(zip([*weights, *more], arrays, strict=False))
        why = _misfit(weights, arrays)
        if why:
            left[name] = why
        else:
            layer.set_weights([arrays[name] for name in weights])
    layers = [name for name in own if name not in left]
    if not layers:
        name, why = next(iter(left.items()))
        raise ValueError(
            f"{path}: none of its {len(given)} layers fits one of the "
            f"network's {len(own)} by name and shape; {name}: {why}"
        )
    return Taken(layers, left, [name for name in given if name not in layers])


def _misfit(wanted, got):
    """Why the weights of a layer are not those wanted; "" if they are.

    Both are {weight: array or variable}; `got` is None without such a layer.
    """
    if got is None:
        return "not in the file"
    for name in dict.fromkeys([*wanted, *got]):
        here, there = (
            " x ".join(map(str, weights[name].shape)) or "one number"
            if name in weights
            else "absent"
            for weights in (wanted, got)
        )
        if here != there:
            name = untrusted.shown(name)
            return f"{name} is {here}, in the file {there}"
    return ""


def take_all(model, given, path):
    """`take`, where the model must have every layer of the source.

    Raises:
        ValueError: a layer of the source is missing in `model` or differs.
    """
    taken = take(model, given, path)
    if taken.unused:
        name = taken.unused[0]
        why = taken.left.get(name, "not in the network")
        raise ValueError(f"{path} is of another architecture: {name}: {why}")


def heads(model):
    """Names of the last layers with weights before each output of a model.

    Behind a convolution that makes maps there may be their normalisation: the
    convolution is part of the head, too.
    """
    found, seen, tensors = set(), set(), [*model.outputs]
    while tensors:
        operation = tensors.pop()._keras_history.operation
        if operation.name in seen:
            continue
        seen.add(operation.name)
        has_weights = bool(getattr(operation, "weights", ()))
        if has_weights:
            found.add(operation.name)
        if not has_weights or isinstance(operation, NORMALISATION):
            tensors += keras.tree.flatten(operation.input)
    return found


def slow_down(model, layers, freeze="none", rate=1.0):
    """Trains layers that were taken at another rate, or not at all.

    Args:
        model: compiled with one of `optimizers`, which is not built yet.
        layers: names of the layers that were taken.
        freeze: "none", or "backbone": all of them but `heads` are not trained,
            and their normalisations keep their statistics.
        rate: factor on the learning rate of the layers.
    """
    if freeze == "backbone":
        for name in set(layers) - heads(model):
            model.get_layer(name).trainable = False
    if rate != 1:
        optimizers.scale_rates(model.optimizer, dict.fromkeys(layers, rate))
