"""Settings, optimizers, the shared loop around `model.fit`, its callbacks."""

from keras_pose.training import optimizers
from keras_pose.training.config import (
    LAPTOP,
    PAPER,
    Comparison,
    Config,
    Hourglasses,
    ResNets,
)
from keras_pose.training.fit import fit
from keras_pose.training.folder import Run
from keras_pose.training.stages import Stage, staged

__all__ = [
    "LAPTOP",
    "PAPER",
    "Comparison",
    "Config",
    "Hourglasses",
    "ResNets",
    "Run",
    "Stage",
    "fit",
    "optimizers",
    "staged",
]
