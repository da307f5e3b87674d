"""Settings, optimizers, the shared loop around `model.fit`, its callbacks."""

from keras_pose.training import optimizers
from keras_pose.training.config import LAPTOP, PAPER, Config
from keras_pose.training.fit import Run, fit

__all__ = ["LAPTOP", "PAPER", "Config", "Run", "fit", "optimizers"]
