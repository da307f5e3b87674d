"""Heatmaps: a map for each joint, with a Gaussian where the joint is."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_pose import choices
from keras_pose.codecs import gaussians
from keras_pose.codecs.codec import Codec, last_stage, swap_sides

REACH = 3
"""Sigmas beyond which a Gaussian (below 0.012) does not reach the map."""


@dataclass(frozen=True)
class Maps(Codec):
    """A map (h, w) for each joint: the geometry of map codecs."""

    stride: int = 4
    """Input pixels per cell."""
    alignment: str = "center"
    """"center", "corner" or "udp", see `codecs.gaussians`."""

    def __post_init__(self):
        super().__post_init__()
        choices.check("alignment", self.alignment, gaussians.ALIGNMENTS)
        if not self.stride > 0:
            raise ValueError(f"stride must be positive, got {self.stride}")

    def to_cells(self, points, size):
        """Input pixels (..., 2) in cells of maps of `size` (height, width)."""
        return gaussians.to_cells(points, self.stride, self.alignment, size)

    def to_pixels(self, cells, size):
        """Cells (..., 2) in input pixels; the inverse of `to_cells`."""
        return gaussians.to_pixels(cells, self.stride, self.alignment, size)

    def mirror(self, seen, shift=None):
        """Undoes the mirroring of the pictures: (B, h, w, C) -> (B, h, w, C).

        With corner alignment the two maps do not coincide: a joint at x / s is
        seen at (W - 1 - x) / s, and after mirroring back it lies 1 - 1 / s of a
        cell too far left. The maps are shifted by exactly that, interpolating
        between cells; the usual shift by a whole cell leaves a bias of 1 / s.
        The other alignments need no shift.

        Args:
            seen: of mirrored pictures.
            shift: 0 ... 1 cells to the right, in place of the exact one.
        """
        seen = self._swap_sides(ops.flip(seen, axis=2))
        if shift is None:
            shift = 1 - 1 / self.stride if self.alignment == "corner" else 0
        if shift:
            left = ops.concatenate([seen[:, :, :1], seen[:, :, :-1]], axis=2)
            seen = shift * left + (1 - shift) * seen
        return seen

    def _swap_sides(self, seen):
        """The channels of a mirrored picture with left and right swapped."""
        return swap_sides(seen, self.skeleton)

    def merge(self, views, zooms, size):
        """Mean of views (B, h, w, C) in the frame of zoom 1.

        A cell is averaged over the views that show it: a small crop does not
        show what lies outside.

        Args:
            views: `seen` of crops of the same people.
            zooms: of each view, factor on the side of the crop.
            size: (height, width) of the network's input, pixels.
        """
        if len(views) == 1:
            return views[0]
        total, coverage = 0.0, 0.0
        for seen, zoom in zip(views, zooms, strict=True):
            rows, columns = self._resampling(seen.shape[1:3], size, zoom)
            total = total + ops.einsum("bhwk,yh,xw->byxk", seen, rows, columns)
            shown = rows.sum(axis=1)[:, None] * columns.sum(axis=1)
            coverage = coverage + shown[:, :, None]
        return total / np.maximum(coverage, keras.config.epsilon())

    def _resampling(self, cells, size, zoom):
        """Weights (n, n) of each axis: row i samples a view at cell i.

        Views differ only by a zoom about the centre of the crop, so one
        bilinear matrix per axis serves all people.
        """
        middle = self.to_cells((np.array(size[::-1]) - 1) / 2, cells)
        for count, around in zip(cells, middle[::-1], strict=True):
            at = around + (np.arange(count) - around) / zoom
            distance = np.abs(at[:, None] - np.arange(count))
            yield np.maximum(0, 1 - distance).astype("float32")


@keras.saving.register_keras_serializable("keras_pose")
@dataclass(frozen=True)
class Heatmaps(Maps):
    """Outputs (B, S, h, w, C) of S stages; the last stage is the result.

    C is K, or K + 1 with a background. `seen`, what inference keeps, is
    (B, h, w, K): heights of Gaussians, followed by the K raw maps if their sign
    has a meaning. A background is not kept.
    """

    sigma: float = 1.0
    """Width of the Gaussians, cells."""
    logits: bool = False
    """Whether the outputs are logits of the heights (0 ... 1), or heights."""
    occluded_amplitude: int = 1
    """Peak of an occluded joint's Gaussian (flag 1), 1 or -1. With -1 the sign
    of a map says whether its joint is occluded, and its absolute value where
    the joint is (MSSH, eq. 1)."""
    background: bool = False
    """Whether there is a last map for the background: 1 - the maximum of the
    others (S.-E. Wei et al., "Convolutional Pose Machines", CVPR 2016)."""

    def __post_init__(self):
        super().__post_init__()
        if not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")
        amplitude = self.occluded_amplitude
        choices.check("occluded_amplitude", amplitude, (1, -1))
        if self.logits and amplitude < 0:
            raise ValueError(
                "occluded_amplitude -1 needs maps that can be negative; maps "
                "of logits are 0 ... 1"
            )

    @property
    def channels(self):
        """C, the number of maps."""
        return self.count + self.background

    @property
    def tells_occlusion(self):
        """Whether `joints` predicts which joints are occluded."""
        return self.occluded_amplitude < 0

    def values(self, outputs):
        """Outputs (any shape) in the form of the target."""
        return ops.sigmoid(outputs) if self.logits else outputs

    def target(self, labels, outputs, everybody=False):
        """Target maps, and which of them are known.

        Args:
            labels: (B, P, K, 3 or more) x, y in input pixels, flag, the subject
                first.
            outputs: (B, S, h, w, C).
            everybody: draw the joints of all P people, not the subject's only;
                Gaussians that meet are added, up to 1 (code of CPM).

        Returns:
            target (B, 1, h, w, C): a Gaussian of peak 1 for each labelled
            joint, occluded or not (see `occluded_amplitude`); and known (B, C),
            1 if the subject's joint is labelled and its Gaussian reaches the
            map, else 0. A background is always known.
        """
        if outputs.shape[-1] != self.channels:
            raise ValueError(
                f"expected {self.channels} maps for the {self.count} joints of "
                f"{self.skeleton.name}, got outputs {tuple(outputs.shape)}"
            )
        labels = ops.cast(labels, "float32")
        size = outputs.shape[2:4]
        target, known = self._drawn(labels[:, 0], size)
        for person in range(1, labels.shape[1] if everybody else 1):
            target = target + self._drawn(labels[:, person], size)[0]
        if everybody:
            target = ops.clip(target, -1.0, 1.0)
        if self.background:
            highest = ops.max(ops.abs(target), axis=-1, keepdims=True)
            target = ops.concatenate([target, 1 - highest], axis=-1)
            known = ops.pad(known, ((0, 0), (0, 1)), constant_values=1.0)
        return target[:, None], known

    def _drawn(self, labels, size):
        """Gaussians (B, h, w, K) of one person's joints, and known (B, K)."""
        cells = self.to_cells(labels[..., :2], size)
        labelled = ops.cast(labels[..., 2] > 0, "float32")
        peaks = ops.where(labels[..., 2] == 1, self.occluded_amplitude, 1.0)
        target = gaussians.encode(cells, size, self.sigma)
        target = target * (peaks * labelled)[:, None, None, :]
        reach = REACH * self.sigma
        last = ops.convert_to_tensor([n - 1.0 + reach for n in size[::-1]])
        inside = ops.all((cells > -reach) & (cells < last), axis=-1)
        return target, labelled * ops.cast(inside, "float32")

    def seen(self, outputs):
        """What inference keeps: (B, h, w, K), or with signs (B, h, w, 2 K).

        Absolute values are averaged over views: with signs, two views that
        disagree on the occlusion would cancel.
        """
        last = last_stage(outputs)[..., : self.count]
        if not self.tells_occlusion:
            return self.values(last)
        return ops.concatenate([ops.abs(last), last], axis=-1)

    def joints(self, seen, decoding="quarter"):
        """Decodes the positions of the joints.

        Args:
            seen: (B, h, w, K or 2 K).
            decoding: one of `gaussians.DECODINGS`.

        Returns:
            points (B, K, 2) x, y in input pixels; scores (B, K), heights of the
            peaks; occluded (B, K) bool, or None if it is not predicted.
        """
        maps = seen[..., : self.count]
        cells, scores = gaussians.decode(maps, decoding, self.sigma)
        points = self.to_pixels(cells, seen.shape[1:3])
        if not self.tells_occlusion:
            return points, scores, None
        signed = _at_peaks(maps, seen[..., self.count :])
        return points, scores, signed < 0

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`; earlier files name an activation."""
        config = dict(config)
        activation = config.pop("activation", None)
        if activation is not None:
            config["logits"] = activation == "sigmoid"
            config["occluded_amplitude"] = -1 if activation == "absolute" else 1
        return cls(**config)


def _at_peaks(maps, values):
    """Values (B, h, w, K) where the maps (B, h, w, K) are highest: (B, K)."""
    cells, joints = maps.shape[1] * maps.shape[2], maps.shape[3]
    maps, values = (
        ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, joints, cells))
        for x in (maps, values)
    )
    peaks, _ = gaussians.highest(maps)
    return ops.take_along_axis(values, peaks[..., None], axis=2)[..., 0]
