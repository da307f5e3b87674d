"""Squared error of heatmaps."""

import keras
from keras import ops

from keras_pose.losses.heatmap_loss import HeatmapLoss


@keras.saving.register_keras_serializable("keras_pose")
class HeatmapMSE(HeatmapLoss):
    """(p - y)^2 (Newell et al. 2016, section 3.3; HSM, eq. 4).

    Where the codec says that outputs are logits, p is their sigmoid: HSM's
    controlled comparison. HSM changes two things against its baseline, the
    sigmoid and the weight on hard pixels; this changes the first alone.
    """

    def __init__(self, codec, name="mse", **kwargs):
        super().__init__(codec, name=name, **kwargs)

    def pixel_loss(self, values, target):
        """Squared error of the heights."""
        return ops.square(values - target)
