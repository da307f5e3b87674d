"""Squared error of everybody's maps and part affinity fields."""

import keras
from keras import ops

from keras_pose.codecs import Fields
from keras_pose.codecs.codec import HasCodec
from keras_pose.losses.pose_loss import PoseLoss


@keras.saving.register_keras_serializable("keras_pose")
class FieldsMSE(HasCodec, PoseLoss):
    """Sum of w (p - t)^2 / 2 over stages and cells (OpenPose, eqs. 3 to 5).

    labels (B, M, K, 3 or more), outputs (B, S, h, w, C) -> the terms "maps"
    (the background's among them) and "fields", (B, 1) each. The sample weights
    are w: 0 where people may be that nobody has labelled.

    Args:
        codec: `codecs.Fields`: what the outputs mean.
        without_maps: number of the first stages that have fields only
            (`models.openpose.chained`).
        masked: whether the sample weights count; False: all cells do.
    """

    def __init__(
        self, codec, without_maps=0, masked=True, name="fields_mse", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        if not isinstance(codec, Fields):
            raise ValueError(f"{name}: codec must be Fields, got {codec!r}")
        self.codec = codec
        self.without_maps = without_maps
        self.masked = masked

    @property
    def codecs(self):
        """A list of its codec."""
        return [self.codec]

    def terms(self, labels, outputs, weight=None):
        """{"maps": (B, 1), "fields": (B, 1)}; `weight` as in `reduced_terms`.

        Raises:
            ValueError: no stage has maps, or a weight of another size.
        """
        stages = outputs.shape[1]
        if not 0 <= self.without_maps < stages:
            raise ValueError(
                f"{self.name}: without_maps must be 0 to {stages - 1}, one "
                f"less than the stages, got {self.without_maps}"
            )
        outputs = self.codec.values(ops.cast(outputs, "float32"))
        target, _ = self.codec.target(labels, outputs)
        cost = ops.square(outputs - target) / 2
        if weight is not None and self.masked:
            weight = self._of_cells(weight, tuple(outputs.shape[2:4]))
            cost = cost * weight[:, None, :, :, None]
        fields = self.codec.limb_channels
        parts = {
            "maps": cost[:, self.without_maps :, ..., :-fields],
            "fields": cost[..., -fields:],
        }
        return {
            name: ops.sum(part, axis=(1, 2, 3, 4))[:, None]
            for name, part in parts.items()
        }

    def reduced_terms(self, labels, outputs, sample_weight=None):
        """{name: number}, whose sum is the loss.

        Args:
            labels: (B, M, K, 3 or more).
            outputs: (B, S, h, w, C).
            sample_weight: (B, h, w) of cells, or (B, H, W) of pixels, of which
                the least counts in a cell; (B,) of pictures; None: all 1.
        """
        terms = self.terms(labels, outputs, sample_weight)
        reduce = ops.sum if self.reduction == "sum" else ops.mean
        return {name: reduce(cost) for name, cost in terms.items()}

    def _of_cells(self, weight, size):
        """Weights (B, h, w), or (B, 1, 1), of those of `reduced_terms`."""
        weight = ops.cast(weight, "float32")
        shape = tuple(weight.shape[1:])
        pixels = tuple(side * self.codec.stride for side in size)
        if not shape:
            return weight[:, None, None]
        if shape == size:
            return weight
        if shape != pixels:
            raise ValueError(
                f"{self.name}: weights of {size[0]} x {size[1]} cells or "
                f"{pixels[0]} x {pixels[1]} pixels wanted, got "
                f"{' x '.join(map(str, shape))}"
            )
        rows, columns = size
        side = self.codec.stride
        cells = ops.reshape(weight, (-1, rows, side, columns, side))
        return ops.min(cells, axis=(2, 4))

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "without_maps": self.without_maps,
            "masked": self.masked,
        }
