"""keras_pose: human pose estimation papers, reproduced in Keras 3."""

import importlib
import os

from keras_pose import imports

__version__ = "0.1.0"

# TensorFlow reads this when it is imported. By itself it uses oneDNN only
# where the CPU has AVX512-VNNI or AMX. On others a step takes 1.4 times as long
# without (benchmarks/train_step.py).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

REGISTERED = "losses", "metrics", "models.model", "training.optimizers"
"""Modules whose classes saved models name; they import the others."""


def _register():
    """Imports the classes, since Keras finds only imported ones."""
    for name in REGISTERED:
        importlib.import_module(f"{__name__}.{name}")


if not imports.install():  # commands answer --help without Keras
    _register()
