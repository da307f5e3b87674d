"""Heatmaps: a map for each joint, with a Gaussian where the joint is."""

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_pose import choices, heatmaps
from keras_pose.skeletons import SKELETONS

ACTIVATIONS = ("linear", "sigmoid", "absolute")


@keras.saving.register_keras_serializable("keras_pose")
@dataclass(frozen=True)
class Heatmaps:
    """Outputs (B, S, h, w, K) of S stages; the last stage is the result.

    What inference keeps of it, `seen`, is (B, h, w, C): the heights of the
    Gaussians, and behind them, where a sign has a meaning, the raw maps.
    """

    skeleton: str = "mpii"
    """Name of the skeleton whose K joints the channels are."""
    stride: int = 4
    """Input pixels per cell."""
    alignment: str = "center"
    """"center" or "corner", see `keras_pose.heatmaps`."""
    activation: str = "sigmoid"
    """What makes heights of outputs: "sigmoid" (they are logits), "linear", or
    "absolute" (a negative peak is that of an occluded joint)."""
    sigma: float = 1.0
    """Width of the Gaussians, cells."""

    def __post_init__(self):
        choices.check("skeleton", self.skeleton, SKELETONS)
        choices.check("alignment", self.alignment, heatmaps.ALIGNMENTS)
        choices.check("activation", self.activation, ACTIVATIONS)
        if not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")

    @property
    def channels(self):
        """K, the number of joints."""
        return len(SKELETONS[self.skeleton].joints)

    @property
    def tells_occlusion(self):
        """Whether `joints` says which joints are occluded."""
        return self.activation == "absolute"

    def heights(self, outputs):
        """Outputs (..., K) to heights of Gaussians, of the same shape."""
        if self.activation == "sigmoid":
            return ops.sigmoid(outputs)
        return ops.abs(outputs) if self.tells_occlusion else outputs

    def seen(self, outputs):
        """Outputs (B, S, h, w, K) to (B, h, w, C), C = K or 2 K.

        Views are averaged like this: with their signs, two that disagree would
        cancel, and with them the joint.
        """
        last = outputs[:, -1]
        if not self.tells_occlusion:
            return self.heights(last)
        return ops.concatenate([self.heights(last), last], axis=-1)

    def mirror(self, seen):
        """(B, h, w, C) of mirrored pictures as that of the pictures.

        With corner alignment the two do not meet: a joint at x / s is seen at
        (W - 1 - x) / s, and mirrored back it lies 1 - 1 / s of a cell too far
        left. The maps are moved by exactly that, between the cells; the field's
        whole cell leaves a bias of 1 / s. With center alignment nothing is to
        be moved.
        """
        mirror = np.array(SKELETONS[self.skeleton].mirror)
        first = np.arange(0, seen.shape[-1], len(mirror))
        mirror = (first[:, None] + mirror).ravel()
        seen = ops.take(ops.flip(seen, axis=2), mirror, axis=-1)
        if self.alignment == "corner":
            step = 1 - 1 / self.stride
            left = ops.concatenate([seen[:, :, :1], seen[:, :, :-1]], axis=2)
            seen = step * left + (1 - step) * seen
        return seen

    def merge(self, views, zooms, size):
        """Mean of views (B, h, w, C) in the frame of zoom 1.

        A cell is averaged over the views that show it: a small crop says
        nothing about what lies beside it.

        Args:
            views: what was seen of crops of the same people.
            zooms: of each view, factor on the side of the crop.
            size: (height, width) of the network's input, pixels.
        """
        if len(views) == 1:
            return views[0]
        total, coverage = 0.0, 0.0
        for seen, zoom in zip(views, zooms, strict=True):
            rows, columns = (
                self._resampling(cells, pixels, zoom)
                for cells, pixels in zip(seen.shape[1:3], size, strict=True)
            )
            total = total + ops.einsum("bhwk,yh,xw->byxk", seen, rows, columns)
            shown = rows.sum(axis=1)[:, None] * columns.sum(axis=1)
            coverage = coverage + shown[:, :, None]
        return total / np.maximum(coverage, keras.config.epsilon())

    def joints(self, seen, decoding="quarter"):
        """Where the joints are.

        Args:
            seen: (B, h, w, C).
            decoding: one of `heatmaps.DECODINGS`.

        Returns:
            points (B, K, 2) x, y in input pixels; scores (B, K), heights of the
            peaks; occluded (B, K) bool, or None where the codec does not tell.
        """
        maps = seen[..., : self.channels]
        cells, scores = heatmaps.decode(maps, decoding, self.sigma)
        points = heatmaps.to_pixels(cells, self.stride, self.alignment)
        if not self.tells_occlusion:
            return points, scores, None
        signed = _at_peaks(maps, seen[..., self.channels :])
        return points, scores, signed < 0

    def get_config(self):
        """Everything `__init__` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config):
        """As `get_config` says."""
        return cls(**config)

    def _resampling(self, cells, pixels, zoom):
        """(cells, cells) weights: line i reads a zoomed view where cell i lies.

        Views differ in zoom about the middle of the crop alone, so one bilinear
        matrix per axis does for every person.
        """
        middle = heatmaps.to_cells(
            (pixels - 1) / 2, self.stride, self.alignment
        )
        at = middle + (np.arange(cells) - middle) / zoom
        distance = np.abs(at[:, None] - np.arange(cells))
        return np.maximum(0, 1 - distance).astype("float32")


def _at_peaks(maps, values):
    """Values (B, h, w, K) where the maps (B, h, w, K) are highest: (B, K)."""
    cells = maps.shape[1] * maps.shape[2]
    maps, values = (
        ops.reshape(x, (-1, cells, maps.shape[-1])) for x in (maps, values)
    )
    peaks = ops.argmax(maps, axis=1)[:, None]
    return ops.take_along_axis(values, peaks, axis=1)[:, 0]
