"""Adaptive joint weights: hourglasses emphasise the previous one's hard joints.

Anonymous, "Multi-Scale Stacked Hourglass Network for Human Pose Estimation",
paper under double-blind review, section 4, eqs. (3) to (6), algorithm 1. The
rule is AdaBoost.R2's (H. Drucker, "Improving Regressors using Boosting
Techniques", ICML 1997) with joints for training examples and hourglasses for
regressors:

    w_1 = 1 / N
    L_j = sum over joints of w_ji L_ji          alpha_j = L_j / (1 - L_j)
    w_j+1,i = w_ji alpha_j^(1 - L_ji), divided by the sum over joints

Drucker requires losses in 0 ... 1: L_ji is divided by the sample's largest.
L_j is clipped to 0.001 ... 0.499, because above 0.5 alpha exceeds 1 and the
rule reverses: easy joints would gain weight. (The sentence after eq. 6 says
this, in contradiction to the section's introduction and the rule itself. The
paper's sums of squares exceed 1, which makes alpha negative.) No gradient flows
through the weights.
"""

import keras
import numpy as np
from keras import ops

from keras_pose.losses.heatmap_loss import by_stage
from keras_pose.losses.pose_loss import PerOutput

LOWEST, HIGHEST = 1e-3, 0.499
"""Bounds of a sample's weighted loss: alpha stays in 0.001 ... 0.996."""


def next_weights(weights, losses):
    """AdaBoost.R2's step: weights (B, K) of the next hourglass, sum 1.

    Args:
        weights: (B, K) of this hourglass, sum 1.
        losses: (B, K) of this hourglass, not negative, of any unit.
    """
    weights, losses = map(ops.convert_to_tensor, (weights, losses))
    losses = ops.stop_gradient(losses)
    largest = ops.max(losses, axis=-1, keepdims=True)
    losses = losses / ops.maximum(largest, keras.config.epsilon())
    mean = ops.sum(weights * losses, axis=-1, keepdims=True)
    mean = ops.clip(mean, LOWEST, HIGHEST)
    weights = weights * ops.power(mean / (1 - mean), 1 - losses)
    return weights / ops.sum(weights, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("keras_pose")
class JointWeighted(PerOutput):
    """Sum over all hourglasses of the weighted losses of the joints, eq. (3).

    labels (B, P, K, 3 or more) and maps (B, S, h, w, K), or a list of them, one
    for each scale, coarse to fine -> (B, K). It is N times eq. (3): with even
    weights it is the unweighted loss of each joint, and its mean over joints
    is that of the network.

    Args:
        losses: a `HeatmapLoss` for each scale, coarse to fine.
        adaptive: False: every joint has weight 1 / N in every hourglass.
    """

    def __init__(self, losses, adaptive=True, name="joint_weighted", **kwargs):
        super().__init__(losses, name=name, **kwargs)
        self.adaptive = adaptive

    def terms(self, labels, outputs):
        """The weighted losses of each hourglass, stack1 first."""
        losses, weights = self.parts(labels, outputs)
        return by_stage(losses * weights * losses.shape[-1])

    def parts(self, labels, outputs):
        """Losses and weights of all hourglasses, (B, T, K) each."""
        losses = [
            loss.call(labels, maps[:, stack : stack + 1])
            for loss, maps in self.paired(outputs)
            for stack in range(maps.shape[1])
        ]
        weights = [ops.ones_like(losses[0]) / losses[0].shape[-1]]
        for before in losses[:-1]:
            last = weights[-1]
            weights.append(
                next_weights(last, before) if self.adaptive else last
            )
        return ops.stack(losses, axis=1), ops.stack(weights, axis=1)

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {"adaptive": self.adaptive}


@keras.saving.register_keras_serializable("keras_pose")
class JointWeights(keras.metrics.Metric):
    """Mean weight of each joint in each hourglass of a `JointWeighted`.

    labels and all outputs -> `mean` (T, K). `result`, which Keras logs, is
    empty, because these are too many numbers for the training log.

    Args:
        loss: the `JointWeighted`.
        stacks: T, number of hourglasses.
    """

    def __init__(self, loss, stacks, name="joint_weights", **kwargs):
        super().__init__(name=name, **kwargs)
        self.loss = loss
        self.stacks = stacks
        self.total = self.add_weight(
            shape=(stacks, loss.codecs[0].count),
            initializer="zeros",
            name="total",
        )
        self.people = self.add_weight(initializer="zeros", name="people")

    def update_state(self, labels, outputs, sample_weight=None):
        """Adds a batch."""
        _, weights = self.loss.parts(labels, outputs)
        self.total.assign_add(ops.sum(weights, axis=0))
        self.people.assign_add(ops.cast(ops.shape(weights)[0], self.dtype))

    def mean(self):
        """(T, K) numpy; NaN before the first batch."""
        total = ops.convert_to_numpy(self.total)
        with np.errstate(invalid="ignore"):
            return total / ops.convert_to_numpy(self.people)

    def result(self):
        """Nothing to log."""
        return {}

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "loss": keras.losses.serialize(self.loss),
            "stacks": self.stacks,
        }

    @classmethod
    def from_config(cls, config):
        """Deserialises the loss."""
        loss = keras.losses.deserialize(config["loss"])
        return cls(**config | {"loss": loss})
