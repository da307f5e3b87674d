"""TensorFlow's process-wide settings."""

import logging
import os

import keras
import tensorflow as tf

from keras_pose import cores

THREADS = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
"""Environment variables that set TensorFlow's number of threads."""
SMALL = 128 * 128
"""Largest input, pixels, for which operations are not split."""


def has_gpu():
    """Whether there is a GPU; asks TensorFlow if the backend cannot say."""
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except AttributeError:  # Keras on PyTorch knows no devices
        return bool(tf.config.list_physical_devices("GPU"))
    except (RuntimeError, ValueError):  # JAX raises for a platform it lacks
        return False


def prepare(seed, image_size):
    """Makes runs repeatable, and gives each of two cores its operations.

    On a CPU all operations are deterministic, so a resumed run equals an
    uninterrupted one bit for bit; on a GPU that costs too much speed.

    Args:
        seed: of all random numbers.
        image_size: (height, width) of the network's input, pixels.
    """
    share_cores(image_size)  # first: looking for a GPU starts TensorFlow
    keras.utils.set_random_seed(seed)
    # A comparison traces many networks: the warning does not apply.
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)
    if not has_gpu():
        tf.config.experimental.enable_op_determinism()


def _is_no_retracing(record):
    return "triggered tf.function retracing" not in record.getMessage()


def share_cores(image_size):
    """Runs each operation on one of two cores instead of splitting it.

    TensorFlow splits every operation over all cores. For the small operations
    of an hourglass at 128 x 128 that costs more than it saves: without it a
    step takes 0.85 of the time and 0.75 of the CPU time
    (benchmarks/train_step.py). At 256 x 256 splitting pays. For more cores the
    graph has too few parallel operations.

    Args:
        image_size: (height, width) of the network's input, pixels.
    """
    if image_size[0] * image_size[1] > SMALL:
        return
    if cores.count() != 2 or any(name in os.environ for name in THREADS):
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(2)
    except RuntimeError:  # TensorFlow has started already
        pass
