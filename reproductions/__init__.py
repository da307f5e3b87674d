"""What every paper's `main` begins and ends with."""

from dataclasses import replace
from pathlib import Path

import keras

from keras_pose import training
from keras_pose.data import runtime
from keras_pose.data.dataset import open_dataset


def start(config, paper):
    """Fills in the preset, seeds everything and opens the data."""
    config, origin = config.resolved()
    if config.output is None:
        name = f"{paper}-smoke" if config.smoke else paper
        config = replace(config, output=Path("runs") / name)
    runtime.prepare(config.seed)
    if config.mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_float16")
    data = open_dataset(config.data)
    metric = "pckh" if data.protocol.startswith("pckh") else "pck"
    return training.Run(config, origin, data, metric)


def finish(run):
    pass
