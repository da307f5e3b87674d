"""TensorFlow's process-wide switches, set in this one place."""

import keras
import tensorflow as tf


def has_gpu():
    """Whether there is a GPU; asks TensorFlow if the backend cannot say."""
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except AttributeError:  # Keras on PyTorch knows no devices
        return bool(tf.config.list_physical_devices("GPU"))
    except (RuntimeError, ValueError):  # JAX raises for a platform it lacks
        return False


def prepare(seed):
    """Makes runs repeatable.

    Off the GPU every operation is deterministic, so that a resumed run equals
    an uninterrupted one bit for bit; on a GPU that costs too much speed.
    """
    keras.utils.set_random_seed(seed)
    if not has_gpu():
        tf.config.experimental.enable_op_determinism()
