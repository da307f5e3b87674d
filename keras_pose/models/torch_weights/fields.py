"""Part affinity fields in published weights: our limbs' order, and stages."""

import re

import numpy as np

from keras_pose.codecs import COCO18

MAKES = r"stage\d+_fields|(initial_stage|refinement_stages_\d+)_pafs_1_0"
"""Layers that make fields."""
SEES = {
    r"stage(?!1_)\d+_(fields|maps)_1": 0,
    r"refinement_stages_\d+_trunk_0_initial_0": -2 * len(COCO18.limbs),
}
"""Those that see them, and where they begin in the input."""


def count_stages(layers):
    """Number of stages of fields."""
    return sum(bool(re.fullmatch(MAKES, name)) for name in layers)


def later(source, layers, stages):
    """The layers behind the first `stages`, by name; None: keep all.

    Raises:
        ValueError: no fields, or not that many stages.
    """
    if stages is None:
        return []
    if not source.limbs:
        raise ValueError(
            "only OpenPose's networks can be cut to their first stages, these "
            f"weights are of {source.name}"
        )
    count = count_stages(layers)
    if not 1 <= stages <= count:
        raise ValueError(
            f"stages must be 1 to {count}, which the weights have, got {stages}"
        )
    names = tuple(
        name
        for stage in range(stages + 1, count + 1)
        for name in (f"stage{stage}_", f"refinement_stages_{stage - 2}_")
    )
    return [layer for layer in layers if layer.startswith(names)]


def reorder(layers, limbs):
    """Turns channels of fields, made and seen, into the order of `COCO18`.

    Args:
        layers: {layer: {weight: array}}, which changes.
        limbs: as of `sources.Source`.

    Raises:
        ValueError: too few channels for these limbs.
    """
    order = np.array(
        [
            2 * limbs.index(limb) + axis
            for limb in COCO18.limb_indices
            for axis in (0, 1)
        ]
    )
    for layer, arrays in layers.items():
        places = [n for p, n in SEES.items() if re.fullmatch(p, layer)]
        for name, array in arrays.items():
            if re.fullmatch(MAKES, layer):
                arrays[name] = _reordered(layer, array, -1, 0, order)
            elif places and array.ndim == 4:
                arrays[name] = _reordered(layer, array, 2, places[0], order)


def _reordered(layer, array, axis, first, order):
    """The channels of fields, which begin at `first`, in another order."""
    channels = np.arange(array.shape[axis])
    if len(channels) < len(order):
        raise ValueError(
            f"{layer} must have {len(order)} channels of part affinity fields, "
            f"got {len(channels)} channels"
        )
    fields = channels[first:][: len(order)]
    fields[:] = fields[order]
    return array.take(channels, axis)
