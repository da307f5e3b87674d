"""Batch normalisation in one operation, with Torch's constants.

S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015,
https://arxiv.org/abs/1502.03167.
"""

import keras
from keras import layers, ops

MOMENTUM = 0.9
EPSILON = 1e-5
"""Torch's values, which all the papers' networks were trained with (Torch calls
this momentum 0.1). Keras' own are 0.99 and 1e-3."""


@keras.saving.register_keras_serializable("keras_pose")
class BatchNormalization(layers.BatchNormalization):
    """Keras' layer with two differences; variables and settings are Keras'.

    On TensorFlow it uses the fused operation: Keras computes the moments and
    the normalisation separately, in eight passes over the features instead of
    three, and likewise in the gradient. The moving variance has Bessel's
    correction, n / (n - 1) for n = B h w numbers per channel, as in Torch; the
    variance that normalises a training batch has none, as in Torch.

    (B, h, w, C) -> (B, h, w, C).
    """

    def __init__(self, momentum=MOMENTUM, epsilon=EPSILON, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        """As Keras' layer."""
        learns = bool(training) and self.trainable
        if _fuses(inputs, mask) and self.scale and self.center:
            return self._fused(inputs, learns)
        kept = self.moving_variance * self.momentum
        outputs = super().call(inputs, training=training, mask=mask)
        if learns:
            count = ops.cast(ops.size(inputs[..., 0]), kept.dtype)
            added = self.moving_variance - kept
            bessel = count / ops.maximum(count - 1, 1)
            self.moving_variance.assign(kept + added * bessel)
        return outputs

    def _fused(self, inputs, learns):
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=self.moving_mean,
            variance=self.moving_variance,
            epsilon=self.epsilon,
            exponential_avg_factor=1 - self.momentum if learns else 1.0,
            is_training=learns,
        )
        if learns:
            self.moving_mean.assign(mean)
            self.moving_variance.assign(variance)
        return outputs


def _fuses(inputs, mask):
    """Whether TensorFlow's operation supports these inputs."""
    return (
        keras.backend.backend() == "tensorflow"
        and mask is None
        and len(inputs.shape) == 4
    )


def norm_relu(x, name):
    """Batch normalisation, then ReLU."""
    x = BatchNormalization(name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
