"""Settings, optimizers, the shared loop around `model.fit`, its callbacks."""

from keras_pose.training.config import Config
from keras_pose.training.fit import Run, fit
from keras_pose.training.optimizers import SGD, Adam, RMSprop

__all__ = ["SGD", "Adam", "Config", "RMSprop", "Run", "fit"]
