"""Squared error of heatmaps."""

import keras
from keras import ops

from keras_pose.losses.heatmap_loss import HeatmapLoss


@keras.saving.register_keras_serializable("keras_pose")
class HeatmapMSE(HeatmapLoss):
    """(p - y)^2 (Newell et al. 2016, section 3.3; HSM, eq. 4).

    If the outputs are logits, p is their sigmoid. This is the control of HSM,
    which changes two things in its baseline: it adds the sigmoid and the weight
    on hard pixels. Here only the sigmoid is added.
    """

    def __init__(self, codec, name="mse", **kwargs):
        super().__init__(codec, name=name, **kwargs)

    def pixel_loss(self, values, target):
        """Squared error of the heights."""
        return ops.square(values - target)
