"""TensorFlow's process-wide switches, set in this one place."""

import logging
import os

import keras
import tensorflow as tf

from keras_pose import cores

THREADS = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
"""Variables by which a user tells TensorFlow how many threads it has."""
SMALL = 128 * 128
"""Pixels of an input up to which operations are not worth splitting."""


def has_gpu():
    """Whether there is a GPU; asks TensorFlow if the backend cannot say."""
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except AttributeError:  # Keras on PyTorch knows no devices
        return bool(tf.config.list_physical_devices("GPU"))
    except (RuntimeError, ValueError):  # JAX raises for a platform it lacks
        return False


def prepare(seed, image_size):
    """Makes runs repeatable, and shares two cores out.

    Off the GPU every operation is deterministic, so that a resumed run equals
    an uninterrupted one bit for bit; on a GPU that costs too much speed.

    Args:
        seed: of everything random.
        image_size: (height, width) of the network's input, pixels.
    """
    if image_size[0] * image_size[1] <= SMALL:
        _share_cores()  # first: looking for a GPU starts TensorFlow
    keras.utils.set_random_seed(seed)
    # A comparison traces network after network: that is no mistake.
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)
    if not has_gpu():
        tf.config.experimental.enable_op_determinism()


def _is_no_retracing(record):
    return "triggered tf.function retracing" not in record.getMessage()


def _share_cores():
    """Of two cores each takes an operation of its own, not half of each.

    TensorFlow splits every operation over all cores. Of the small ones of a
    hourglass at 128 x 128 the splitting costs more than it brings: a step takes
    0.85 of the time and 0.75 of the processor's without
    (benchmarks/train_step.py). At 256 x 256 it pays. With more cores the graph
    has too little to do at a time.
    """
    if cores.count() != 2 or any(name in os.environ for name in THREADS):
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(2)
    except RuntimeError:  # it computes already: that of an earlier run, or ours
        pass
