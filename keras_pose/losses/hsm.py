"""Hard Sample Mining loss.

T. Hu, "Hard Sample Mining Loss for Human Pose Estimation", eqs. (1) and (2).
"""

import math

import keras
from keras import ops

from keras_pose.losses.heatmap_loss import HeatmapLoss

FORMS = ("expm1", "saturating")
MAX_BETA = 80.0
"""exp(beta) must stay finite in float32, whose largest exponent is 88."""
LARGEST_TANH = 2.0
"""Above this, 1 - tanh loses digits to rounding (`grown`)."""
TINY = 1e-12
"""Stands in for an error of 0, whose negative powers are infinite."""


@keras.saving.register_keras_serializable("keras_pose")
class HSM(HeatmapLoss):
    """(e^(beta D) - 1) D^gamma of D = |sigmoid(p) - y|, per pixel.

    As printed, eq. (1) is (1 - e^(beta D)) D^gamma. For beta > 0 that is never
    positive, and minimising it would maximise the error; the prose wants hard
    pixels augmented by an exponential weight on the squared error. Hence the
    sign used here; `form="saturating"`, (1 - e^(-beta D)) D^gamma, is the other
    possible repair.

    Args:
        beta: steepness of the weight on hard pixels, 0 < beta <= 80.
        gamma: power of the error, at least 0.
        form: "expm1" or "saturating".
    """

    activation = "sigmoid"

    def __init__(self, beta=1.0, gamma=2.0, form="expm1", name="hsm", **kwargs):
        super().__init__(name=name, **kwargs)
        if form == "literal":
            raise ValueError(
                "form 'literal', (1 - e^(beta D)) D^gamma, is never positive "
                "for beta > 0: minimising it would maximise the error. Use "
                "expm1 (the sign mended) or saturating"
            )
        if form not in FORMS:
            raise ValueError(f"form: one of {', '.join(FORMS)}, got {form!r}")
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

    def pixel_loss(self, maps, target):
        """The weight times the power of the error.

        The slope is written out: automatic differentiation of the same takes a
        third longer. Rounding apart, they agree.
        """
        beta, gamma = self.beta, self.gamma
        sign = 1.0 if self.form == "expm1" else -1.0

        @ops.custom_gradient
        def cost(maps):
            height = ops.sigmoid(maps)
            difference = height - target
            error = ops.abs(difference)
            exponent = error if beta == 1 else beta * error
            weight = grown(exponent, sign, beta)
            if gamma == 2:
                lower, signed = error, difference
            else:
                lower = power(error, gamma - 1)
                signed = ops.sign(difference) * lower

            def slope(*upstream, **given):
                above = given["upstream"] if given else upstream[0]
                if sign > 0:
                    steep = exponent + weight * (exponent + gamma)
                else:  # the same would cancel where the weight is almost 1
                    steep = exponent * (1 - weight) + gamma * weight
                return above * signed * steep * (height - height * height)

            return weight * (lower * error), slope

        return cost(maps)

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "beta": self.beta,
            "gamma": self.gamma,
            "form": self.form,
        }


def grown(x, sign, largest):
    """e^x - 1, or 1 - e^-x with `sign` -1, for 0 <= x <= largest.

    As exact near 0 as `ops.expm1`, which takes TensorFlow four times as long as
    an exponential on a CPU: the same is 2 t / (1 - sign t) of t = tanh(x / 2),
    where sign t does not come near 1.
    """
    if sign > 0 and largest > LARGEST_TANH:
        return ops.expm1(x)
    t = ops.tanh(x / 2)
    return 2 * t / (1 - t if sign > 0 else 1 + t)


def power(x, exponent):
    """x ** exponent for x >= 0: products and a root where they suffice.

    A general power costs several times a product. Powers below 0 are infinite
    at 0, there x is taken as `TINY`.
    """
    whole, half = divmod(exponent, 1)
    if half not in (0, 0.5) or not 0 <= whole <= 4:
        return ops.power(ops.maximum(x, TINY), exponent)
    factors = [x] * int(whole) + [ops.sqrt(x)] * (half > 0)
    product = factors.pop() if factors else ops.ones_like(x)
    for factor in factors:
        product = product * factor
    return product
