"""Hard Sample Mining loss.

T. Hu, "Hard Sample Mining Loss for Human Pose Estimation", eqs. (1) and (2).
"""

import math

import keras
from keras import ops

from keras_pose import choices
from keras_pose.losses.heatmap_loss import HeatmapLoss

FORMS = ("expm1", "saturating")
MAX_BETA = 80.0
"""exp(beta) must stay finite in float32, whose largest exponent is 88."""
TINY = 1e-12
"""Stands in for an error of 0, where powers below 1 have infinite slopes."""


@keras.saving.register_keras_serializable("keras_pose")
class HSM(HeatmapLoss):
    """(e^(beta D) - 1) D^gamma of D = |sigmoid(p) - y|, per pixel.

    As printed, eq. (1) is (1 - e^(beta D)) D^gamma. For beta > 0 this is never
    positive, and minimising it would maximise the error; the text describes an
    exponential weight on the squared error that emphasises hard pixels. Hence
    the sign used here; `form="saturating"`, (1 - e^(-beta D)) D^gamma, is the
    other possible correction.

    Args:
        codec: `codecs.Heatmaps` of logits.
        beta: steepness of the weight on hard pixels, 0 < beta <= 80.
        gamma: power of the error, at least 0.
        form: "expm1" or "saturating".
    """

    def __init__(
        self, codec, beta=1.0, gamma=2.0, form="expm1", name="hsm", **kwargs
    ):
        super().__init__(codec, name=name, **kwargs)
        if not codec.logits:
            raise ValueError(
                f"hsm applies a sigmoid: its codec needs logits, got {codec}"
            )
        if form == "literal":
            raise ValueError(
                "form 'literal', (1 - e^(beta D)) D^gamma, is never positive "
                "for beta > 0: minimising it would maximise the error. Use "
                "expm1 (corrected sign) or saturating"
            )
        choices.check("form", form, FORMS)
        if not 0 < beta <= MAX_BETA:
            raise ValueError(
                f"beta must be above 0 and at most {MAX_BETA:g}, got {beta}"
            )
        if not (gamma >= 0 and math.isfinite(gamma)):
            raise ValueError(
                f"gamma must be finite and not negative, got {gamma}"
            )
        self.beta = float(beta)
        self.gamma = float(gamma)
        self.form = form

    def pixel_loss(self, values, target):
        """Eq. (1) of the error of eq. (2)."""
        error = ops.abs(values - target)
        if self.gamma < 1:
            error = ops.maximum(error, TINY)
        sign = 1.0 if self.form == "expm1" else -1.0
        weight = sign * ops.expm1(sign * self.beta * error)
        return weight * ops.power(error, self.gamma)

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "beta": self.beta,
            "gamma": self.gamma,
            "form": self.form,
        }
