"""Mean height of the predicted peaks: near 0 if a network has collapsed."""

import keras
from keras import ops

from keras_pose.codecs.codec import HasCodec


@keras.saving.register_keras_serializable("keras_pose")
class PeakHeight(HasCodec, keras.metrics.Metric):
    """Mean over people and joints of the height of the highest peak.

    Outputs -> 1 for perfect Gaussians. A network that predicts background
    everywhere has a low loss and a peak near 0.

    Args:
        codec: what the result, the last output, means.
    """

    def __init__(self, codec, name="peak", **kwargs):
        super().__init__(name=name, **kwargs)
        self.codec = codec
        self.total = self.add_weight(name="total", initializer="zeros")
        self.number = self.add_weight(name="number", initializer="zeros")

    def update_state(self, labels, outputs, sample_weight=None):
        """Adds a batch; labels are not used."""
        seen = self.codec.seen(outputs)
        _, scores, _ = self.codec.joints(seen, "argmax")
        self.total.assign_add(ops.sum(scores))
        self.number.assign_add(ops.cast(ops.size(scores), "float32"))

    def result(self):
        """0 before the first batch."""
        return self.total / ops.maximum(self.number, 1.0)
