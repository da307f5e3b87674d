"""Keras' optimizers, with one TensorFlow operation for each weight.

Keras' update is ten to fifteen small operations. For 400 weights, these are
6,000 in the training graph, half of what is traced before the first step. On
JAX and PyTorch, and for options that TensorFlow's operations lack, these
classes behave as Keras' own.
"""

import keras
from keras import ops


class Optimizer:
    """What the optimizers of this module have in common.

    With one device, gradients are not summed over devices: TensorFlow registers
    the gradient of that sum whenever a step is traced, and keeps it, with the
    whole training graph, until the process ends: hundreds of megabytes for each
    training.

    Layers may have a learning rate of their own. (A factor on their gradients
    would not give it: Adam and RMSprop divide a gradient by its usual size.)

    Args:
        factors: {layer: factor on the rate of its weights}; others have 1.
    """

    def __init__(self, *args, factors=None, **settings):
        super().__init__(*args, **settings)
        self.factors = dict(factors or {})

    def get_config(self):
        """With `factors`."""
        return super().get_config() | {"factors": dict(self.factors)}

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Overrides Keras: updates the weights of each factor together."""
        groups = {}
        for grad, weight in zip(grads, trainable_variables, strict=True):
            layer = weight.path.rpartition("/")[0]
            factor = self.factors.get(layer, 1.0)
            groups.setdefault(factor, []).append((grad, weight))
        for factor, pairs in groups.items():
            rate = learning_rate if factor == 1 else factor * learning_rate
            super()._backend_update_step(*zip(*pairs, strict=True), rate)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Overrides Keras on TensorFlow: a list of (gradient, variable)."""
        import tensorflow as tf

        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return grads_and_vars
        return super()._all_reduce_sum_gradients(grads_and_vars)


@keras.saving.register_keras_serializable("keras_pose")
class Adam(Optimizer, keras.optimizers.Adam):
    """D. Kingma, J. Ba, "Adam", ICLR 2015, https://arxiv.org/abs/1412.6980."""

    def apply(self, grads, trainable_variables=None):
        """Computes the values that all updates share once."""
        step = ops.cast(self.iterations + 1, "float32")
        self._shared = _tensors(
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
        )
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight, as Keras does."""
        fused = _operations(variable)
        if fused is None or self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        fused.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            lr=learning_rate,
            grad=gradient,
            **self._shared,
        )


@keras.saving.register_keras_serializable("keras_pose")
class RMSprop(Optimizer, keras.optimizers.RMSprop):
    """T. Hinton's lecture 6e, as in Keras: epsilon is under the root.

    Torch adds it outside the root: its 1e-8 is epsilon = 1e-16 here.
    """

    def build(self, var_list):
        """Keeps momenta even at momentum 0: TensorFlow's operation needs
        them."""
        if not self.built:
            super().build(var_list)
            if not self._momentums and keras.backend.backend() == "tensorflow":
                self._momentums = self.add_optimizer_variables(
                    var_list, "momentum"
                )

    def apply(self, grads, trainable_variables=None):
        """Computes the values that all updates share once."""
        self._shared = _tensors(
            rho=self.rho, momentum=self.momentum, epsilon=self.epsilon
        )
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight, as Keras does."""
        fused = _operations(variable)
        if fused is None or self.centered:
            return super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        fused.ResourceApplyRMSProp(
            var=variable.handle,
            ms=self._velocities[index].value.handle,
            mom=self._momentums[index].value.handle,
            lr=learning_rate,
            grad=gradient,
            **self._shared,
        )


@keras.saving.register_keras_serializable("keras_pose")
class SGD(Optimizer, keras.optimizers.SGD):
    """Stochastic gradient descent, with optional momentum."""

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight, as Keras does."""
        fused = _operations(variable)
        if fused is None or not self.momentum:
            return super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        fused.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[index].value.handle,
            lr=learning_rate,
            grad=gradient,
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )


@keras.saving.register_keras_serializable("keras_pose")
class Adagrad(Optimizer, keras.optimizers.Adagrad):
    """J. Duchi et al., "Adaptive Subgradient Methods", JMLR 2011."""


def adam(config, **settings):
    """Adam of a `Config`."""
    clip = config.clip_norm
    return Adam(config.learning_rate, global_clipnorm=clip, **settings)


def torch_rmsprop(config):
    """RMSprop of a `Config` with Torch's constants; see `RMSprop`."""
    return RMSprop(
        config.learning_rate,
        rho=0.99,
        epsilon=1e-16,
        global_clipnorm=config.clip_norm,
    )


def scale_rates(optimizer, factors):
    """Gives layers their own rates: {layer: factor}, see `Optimizer`.

    Raises:
        ValueError: the optimizer is not one of this module.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # float16
    if not isinstance(optimizer, Optimizer):
        raise ValueError(
            "layers have their own rates with an optimizer of "
            f"keras_pose.training.optimizers, got {type(optimizer).__name__}"
        )
    optimizer.factors = dict(factors)


def _tensors(**values):
    return {
        name: ops.convert_to_tensor(value, "float32")
        for name, value in values.items()
    }


def _operations(variable):
    """TensorFlow's operations for its own float32 variables, else None."""
    if keras.backend.backend() != "tensorflow" or variable.dtype != "float32":
        return None
    import tensorflow as tf

    return tf.raw_ops
