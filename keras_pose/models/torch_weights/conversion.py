"""Tensors of PyTorch as weights of layers in Keras."""

import re

import numpy as np

from keras_pose.models.torch_weights import fields

KERAS = {"weight": "kernel", "bias": "bias"}
"""Weights of convolutions, by their names in PyTorch."""
KERAS_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
"""Of batch normalisation."""
DEPTHWISE = r"model_(?!0_)\d+_0|cpm_trunk_\d_0"
"""Convolutions of each channel alone."""
POINTS = "head_points"
"""Layer that makes coordinates."""
LAST_NORMS = r"global_net_predict_\d_5|refine_net_final_predict_2"
"""Normalisations that make maps."""


def layers_of(source, found, stages=None):
    """Tensors as weights of layers in Keras.

    Args:
        source: `sources.Source`.
        found: `Checkpoint.tensors`.
        stages: number of stages of part affinity fields to keep; None: all.

    Returns:
        {layer: {weight: float32 array}}, the channels of fields in the order of
        `COCO18`; and {name: rule} of the tensors that were left out.

    Raises:
        ValueError: a tensor has no place in the source's network, is not of
            floating point numbers, or holds one that is not finite; or there
            are not that many stages.
    """
    shapes = {name: array.shape for name, array in found.items()}
    used, ignored = source.sort(shapes)
    modules = {}
    for name in used:
        path, _, kind = name.rpartition(".")
        modules.setdefault(path, {})[kind] = _checked(name, found[name])
    layers, paths = {}, {}
    for path, arrays in modules.items():
        layer = source.layer(re.sub(source.before, "", path))
        if layer in layers:
            raise ValueError(f"{path} is {layer}, and so is another tensor")
        paths[layer] = path
        names = KERAS_NORM if "running_mean" in arrays else KERAS
        layers[layer] = {
            names[kind]: _transposed(array) for kind, array in arrays.items()
        }
        if re.fullmatch(DEPTHWISE, layer):
            kernel_shape(layers, layer)  # (3, 3, 1, C), in Keras (3, 3, C, 1)
            kernel = layers[layer]["kernel"].swapaxes(2, 3)
            layers[layer]["kernel"] = kernel
    for layer in fields.later(source, layers, stages):
        names = (f"{paths[layer]}.{kind}" for kind in modules[paths[layer]])
        ignored |= dict.fromkeys(names, f"stages after the first {stages}")
        del layers[layer]
    if source.bgr:  # the graph here takes RGB
        kernel_shape(layers, source.stem)  # it is a convolution
        first = layers[source.stem]
        first["kernel"] = first["kernel"][:, :, ::-1]
    if source.limbs:
        fields.reorder(layers, source.limbs)
    for layer in filter(re.compile(LAST_NORMS).fullmatch, layers):
        for name in layers[layer].keys() & {"gamma", "beta"}:
            layers[layer][name] = layers[layer][name] / source.peak  # here 1
    if source.center:
        points = layers[POINTS]
        points["bias"] = points["bias"] - np.float32(source.center)
    return layers, ignored


def _checked(name, array):
    if array.dtype.kind != "f":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
    array = array.astype("float32")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    if name.endswith("running_var") and (array < 0).any():
        raise ValueError(f"{name} must not be negative, got {array.min():g}")
    return array


def _transposed(array):
    """As Keras has it: a (transposed) convolution's height and width first."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def kernel_shape(layers, name, rank=4):
    """Of the kernel of a convolution, or of rank 2: of a dense layer."""
    kernel = layers.get(name, {}).get("kernel")
    if kernel is None or kernel.ndim != rank:
        kind = {4: "a convolution", 2: "a dense layer"}[rank]
        raise ValueError(f"the weights lack {name}, {kind}")
    return kernel.shape
