"""Squared error of heatmaps, on linear outputs or under a sigmoid."""

import keras
from keras import ops

from keras_pose.losses.heatmap_loss import HeatmapLoss


@keras.saving.register_keras_serializable("keras_pose")
class HeatmapMSE(HeatmapLoss):
    """(p - y)^2 (Newell et al. 2016, section 3.3; HSM, eq. 4)."""

    def __init__(self, name="mse", **kwargs):
        super().__init__(name=name, **kwargs)

    def pixel_loss(self, maps, target):
        """Squared error of the raw values."""
        return ops.square(maps - target)


@keras.saving.register_keras_serializable("keras_pose")
class HeatmapMSESigmoid(HeatmapLoss):
    """(sigmoid(p) - y)^2: HSM's controlled comparison.

    HSM changes two things against its baseline, the sigmoid and the weight on
    hard pixels. This loss changes only the first.
    """

    activation = "sigmoid"

    def __init__(self, name="mse_sigmoid", **kwargs):
        super().__init__(name=name, **kwargs)

    def pixel_loss(self, maps, target):
        """Squared error of the probabilities."""
        return ops.square(ops.sigmoid(maps) - target)
