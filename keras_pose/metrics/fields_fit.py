"""How much of everybody's maps and fields a network predicts."""

import keras
from keras import ops

from keras_pose.codecs.codec import HasCodec


@keras.saving.register_keras_serializable("keras_pose")
class FieldsFit(HasCodec, keras.metrics.Metric):
    """1 - squared error / squares of the target, over cells that count.

    labels (B, M, K, 3 or more) and outputs (B, S, h, w, C) -> 1 for perfect
    maps and fields of the last stage, 0 for empty ones, below 0 for worse. It
    needs no grouping, so that it costs little in training; the background's
    map, which is almost 1 everywhere, does not count.

    Args:
        codec: `codecs.Fields`.
    """

    def __init__(self, codec, name="fit", **kwargs):
        super().__init__(name=name, **kwargs)
        self.codec = codec
        self.error = self.add_weight(name="error", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, labels, outputs, sample_weight=None):
        """Adds a batch; the weights are (B, h, w), of cells."""
        target, _ = self.codec.target(labels, outputs)
        target = self.codec.kept(target[:, -1])
        seen = self.codec.seen(outputs)
        weight = 1.0
        if sample_weight is not None:
            weight = ops.cast(sample_weight, "float32")[..., None]
        error = ops.square(ops.cast(seen, "float32") - target)
        self.error.assign_add(ops.sum(weight * error))
        self.total.assign_add(ops.sum(weight * ops.square(target)))

    def result(self):
        """0 before the first batch."""
        return ops.where(
            self.total > 0,
            1 - self.error / ops.maximum(self.total, 1e-7),
            0.0,
        )
