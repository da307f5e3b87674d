"""keras_pose: human pose estimation papers, reproduced in Keras 3."""

import importlib
import os

from keras_pose import imports

__version__ = "0.1.0"

# TensorFlow reads this when it is imported. By itself it uses oneDNN only
# where the CPU has AVX512-VNNI or AMX. On others a step takes 1.4 times as long
# without (benchmarks/train_step.py).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__all__ = ["load_model"]

REGISTERED = "losses", "metrics", "models.model", "training.optimizers"
"""Modules whose classes saved models name; they import the others."""


def _register():
    """Imports the classes, since Keras finds only imported ones."""
    for name in REGISTERED:
        importlib.import_module(f"{__name__}.{name}")


def load_model(path, flip=False):
    """Loads a model that finds the joints of people in photographs.

        model = keras_pose.load_model("best.keras")
        people = model.predict_photo("photo.jpg", boxes=[(120, 40, 200, 460)])
        print(people.joints, people.scores, people.missing)

    Args:
        path: of a .keras file, or of the folder of a published model or an
            export; or hf://user/model. `keras_pose.models.model.load_model`
            returns its network as a Keras model.
        flip: average with the mirrored picture: better, twice the time.

    Returns:
        an `estimator.Estimator`: `predict_photo(photo, boxes)` takes a path,
        bytes or pixels, and boxes (N, 4) or None.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, or no model of this suite.
    """
    from keras_pose.estimator import Estimator  # TensorFlow, if it is used

    return Estimator(path, flip)


if not imports.install():  # commands answer --help without Keras
    _register()
