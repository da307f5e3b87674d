"""Settings, optimizers, the shared loop around `model.fit`, its callbacks."""

from keras_pose.training import optimizers
from keras_pose.training.config import Config
from keras_pose.training.fit import Run, fit

__all__ = ["Config", "Run", "fit", "optimizers"]
