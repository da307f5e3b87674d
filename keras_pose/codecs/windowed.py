"""Heatmaps in windows: fine maps where coarse ones have found a joint.

J. Tompson et al., "Efficient Object Localization Using Convolutional Networks",
CVPR 2015. The fine map of a joint covers a window of the picture. Put into its
place, it is a heatmap of the whole picture, which can be mirrored and averaged
like any other, even if the views have other windows.
"""

from dataclasses import dataclass

import keras
from keras import ops

from keras_pose.codecs import gaussians
from keras_pose.codecs.codec import last_stage
from keras_pose.codecs.heatmaps import Heatmaps


@keras.saving.register_keras_serializable("keras_pose")
@dataclass(frozen=True)
class WindowedHeatmaps(Heatmaps):
    """Outputs (B, S, h, w, 2 K) of S stages; the last stage is the result.

    K maps of the picture, 0 outside of a window, followed by K maps of the
    window's weight: the height of the coarse peak, 0 outside. `seen`, what
    inference keeps, is (B, h, w, 2 K): the maps times their weights, and the
    weights. So a joint's score is low if either model is not sure of it.
    """

    stride: int = 2
    sigma: float = 1.5

    score_is = "the product of the heights of its coarse and its fine peak"

    def __post_init__(self):
        super().__post_init__()
        if self.logits or self.background or self.tells_occlusion:
            raise ValueError(
                "maps in windows have neither logits nor a background nor a "
                f"sign of occlusion, got logits {self.logits}, background "
                f"{self.background}, occluded_amplitude "
                f"{self.occluded_amplitude}"
            )

    @property
    def channels(self):
        """2 K."""
        return 2 * self.count

    def values(self, outputs):
        """Outputs in the form of the target: the maps."""
        return outputs[..., : self.count]

    def target(self, labels, outputs, everybody=False):
        """As of `Heatmaps`, in the windows of the last stage.

        Returns:
            target (B, 1, h, w, K), 0 outside of the window, where the maps are
            0, too; and known (B, K), 0 also if the joint's cell is outside.
        """
        target, known = super().target(labels, outputs, everybody)
        shown = ops.cast(self._weights(last_stage(outputs)) > 0, "float32")
        size = shown.shape[1:3]
        points = ops.cast(labels, "float32")[:, 0, :, :2]
        cells = ops.round(self.to_cells(points, size))
        columns, rows = (
            ops.cast(
                cells[..., axis, None] == ops.arange(count * 1.0), "float32"
            )
            for axis, count in ((0, size[1]), (1, size[0]))
        )
        inside = ops.einsum("byxk,bky,bkx->bk", shown, rows, columns)
        return target * shown[:, None], known * inside

    def seen(self, outputs):
        """What inference keeps: (B, h, w, 2 K)."""
        last = last_stage(outputs)
        weights = self._weights(last)
        return ops.concatenate([self.values(last) * weights, weights], axis=-1)

    def joints(self, seen, decoding="argmax"):
        """As of `Heatmaps`; a joint lies in a window of one of the views."""
        maps = self.values(seen)
        least = ops.min(maps, axis=(1, 2), keepdims=True) - 1
        maps = ops.where(self._weights(seen) > 0, maps, least)
        cells, scores = gaussians.decode(maps, decoding, self.sigma)
        return self.to_pixels(cells, seen.shape[1:3]), scores, None

    def _weights(self, maps):
        return maps[..., self.count :]
