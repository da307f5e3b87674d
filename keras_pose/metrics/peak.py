"""How high the predicted peaks are: near 0 when a network has collapsed."""

import keras
from keras import ops

from keras_pose import choices
from keras_pose.codecs.heatmaps import ACTIVATIONS


@keras.saving.register_keras_serializable("keras_pose")
class PeakHeight(keras.metrics.Metric):
    """Mean over people and joints of the highest value of the last map.

    Maps (B, S, h, w, K); 1 for perfect Gaussians. A network that predicts
    background everywhere has a low loss and a peak near 0.

    Args:
        activation: of `PoseMaps`: "sigmoid", "linear" or "absolute".
    """

    def __init__(self, activation="sigmoid", name="peak", **kwargs):
        super().__init__(name=name, **kwargs)
        choices.check("activation", activation, ACTIVATIONS)
        self.activation = activation
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, labels, maps, sample_weight=None):
        """Labels are not looked at."""
        maps = ops.cast(maps[:, -1], "float32")
        if self.activation == "absolute":
            maps = ops.abs(maps)
        peaks = ops.max(maps, axis=(1, 2))
        if self.activation == "sigmoid":
            peaks = ops.sigmoid(peaks)
        self.total.assign_add(ops.sum(peaks))
        self.count.assign_add(ops.cast(ops.size(peaks), "float32"))

    def result(self):
        """0 before the first batch."""
        return self.total / ops.maximum(self.count, 1.0)

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {"activation": self.activation}
