"""Step time of the 2-stack hourglass, and the time to its first step.

Backends run in processes of their own, in turns, on the same random pictures;
the peer is the same network in eager PyTorch, if torch is installed: ratios are
to its step. On a busy machine the processor seconds of a step are steadier than
those of the clock.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --size 128 --filters 64 --batch 16

Rows "loss" time forward and gradient of the loss alone against MSE's.
"""

import functools
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import pandas as pd

from benchmarks import machine
from keras_pose.console import run

LOSS_ROUNDS = 100


@dataclass(frozen=True)
class Config:
    """Sizes of the network and of the measurement."""

    size: int = 256
    """Side of the input, pixels."""
    filters: int = 256
    """Channels of the features."""
    batch: int = 4
    """Pictures per step."""
    steps: int = 8
    """Timed steps; the median counts."""
    warm: int = 2
    """Steps before the clock starts."""
    rounds: int = 2
    """Turns of every backend; the medians count."""
    part: str = ""
    """Used by the benchmark itself: one measurement in this process."""


def batch_of(config):
    """Random pictures and joints, the same for every peer."""
    import numpy as np

    rng = np.random.default_rng(0)
    shape = (config.batch, config.size, config.size, 3)
    images = rng.integers(0, 256, shape, "uint8")
    labels = rng.uniform(0, config.size, (config.batch, 16, 3))
    labels[..., 2] = 2
    return images, labels.astype("float32")


def keras_step(config, defaults=False):
    """Median step and seconds from import to the first step's end."""
    start = time.perf_counter()
    import keras

    from keras_pose.losses import HSM
    from keras_pose.models import normalization
    from keras_pose.models.heads import PoseMaps
    from keras_pose.models.hourglass import stacked_hourglass
    from keras_pose.training import optimizers

    if defaults:
        normalization.BatchNormalization = functools.partial(
            keras.layers.BatchNormalization,
            momentum=normalization.MOMENTUM,
            epsilon=normalization.EPSILON,
        )
    else:
        from keras_pose.data import runtime

        runtime.prepare(0)
    images = keras.Input((config.size, config.size, 3), dtype="uint8")
    maps = stacked_hourglass(images, 16, filters=config.filters, bias=-4.0)
    model = keras.Model(images, PoseMaps()(maps))
    if defaults:
        model.compile("adam", HSM())
    else:
        model.compile(
            optimizers.Adam(),
            HSM(),
            jit_compile=keras.backend.backend() == "jax",
        )
        model.optimizer.build(model.trainable_variables)
    images, labels = batch_of(config)
    ends = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            ends.append(now())

    count = config.warm + config.steps
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensors((images, labels)).repeat()
        arguments = {"x": data, "steps_per_epoch": count}
    else:
        import numpy as np

        repeated = [np.concatenate([a] * count) for a in (images, labels)]
        arguments = dict(
            zip("xy", repeated, strict=True), batch_size=config.batch
        )
    model.fit(
        **arguments, epochs=1, verbose=0, shuffle=False, callbacks=[Clock()]
    )
    return _result(ends, config.warm, start)


def torch_step(config):
    """The same graph in eager PyTorch, with the same loss."""
    start = time.perf_counter()
    import torch

    from benchmarks.torch_hourglass import StackedHourglass

    images, labels = batch_of(config)
    images = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    cells = (torch.from_numpy(labels)[..., :2] + 0.5) / 4 - 0.5
    model = StackedHourglass(config.filters)
    optimizer = torch.optim.Adam(model.parameters())
    side = torch.arange(config.size // 4, dtype=torch.float32)
    ends = []
    for _ in range(config.warm + config.steps):
        columns = torch.exp(-((side - cells[..., 0:1]) ** 2) / 2)
        rows = torch.exp(-((side - cells[..., 1:2]) ** 2) / 2)
        target = torch.einsum("bkh,bkw->bkhw", rows, columns)[:, None]
        error = (torch.sigmoid(model(images)) - target).abs()
        loss = (torch.expm1(error) * error * error).sum((1, 3, 4)).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ends.append(now())
    return _result(ends, config.warm, start)


def loss_costs(config):
    """Milliseconds of loss and gradient, by loss, as training runs them."""
    import tensorflow as tf

    from keras_pose.data import runtime
    from keras_pose.losses import HSM, HeatmapMSE, HeatmapMSESigmoid

    runtime.prepare(0)
    _, labels = batch_of(config)
    side = config.size // 4
    maps = tf.Variable(tf.random.normal((config.batch, 2, side, side, 16)))
    steps = {}
    for name, loss in {
        "MSE": HeatmapMSE(),
        "MSE + sigmoid": HeatmapMSESigmoid(),
        "HSM gamma=2": HSM(1, 2),
        "HSM gamma=1.5": HSM(1, 1.5),
        "HSM gamma=1.7 (pow)": HSM(1, 1.7),
    }.items():

        @tf.function
        def step(loss=loss):
            with tf.GradientTape() as tape:
                value = loss(labels, maps)
            return tape.gradient(value, maps)

        step()
        steps[name] = step
    times = {name: [] for name in steps}
    for _ in range(LOSS_ROUNDS):  # in turn: what disturbs one disturbs all
        for name, step in steps.items():
            start = time.perf_counter()
            step().numpy()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def now():
    """Seconds of the clock, and of the processor in this process."""
    return time.perf_counter(), time.process_time()


def _result(ends, warm, start):
    clock, processor = (
        [b - a for a, b in zip(times, times[1:], strict=False)][warm - 1 :]
        for times in zip(*ends, strict=True)
    )
    return {
        "step": statistics.median(clock),
        "processor": statistics.median(processor),
        "first": ends[0][0] - start,
    }


PEER = "eager PyTorch, no Keras"
WITHOUT = "TensorFlow, Keras' norm and Adam, no oneDNN"
PARTS = {
    "TensorFlow, as the suite trains": keras_step,
    WITHOUT: lambda c: keras_step(c, defaults=True),
    "JAX": keras_step,
    "Keras on PyTorch": keras_step,
    PEER: torch_step,
}
NEEDS = {"JAX": "jax", "Keras on PyTorch": "torch", PEER: "torch"}
LOSSES = "losses"


def measure(part, config):
    """One part in a process of its own; None if it cannot run here."""
    sizes = [
        f"--{name}={getattr(config, name)}"
        for name in ("size", "filters", "batch", "steps", "warm")
    ]
    settings = {"KERAS_BACKEND": NEEDS.get(part, "tensorflow")}
    if part == WITHOUT:
        settings["TF_ENABLE_ONEDNN_OPTS"] = "0"
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.train_step",
            *sizes,
            f"--part={part}",
        ],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    if process.returncode:
        print(f"{part}: failed: {process.stderr.splitlines()[-1:]}")
        return None
    return json.loads(process.stdout.splitlines()[-1])


def main(config):
    """Prints a row per backend, and ratios to eager PyTorch."""
    if config.part:
        part = loss_costs if config.part == LOSSES else PARTS[config.part]
        print(json.dumps(part(config)))
        return
    print(machine.describe())
    print(
        f"2-stack hourglass, {config.filters} features, input {config.size}, "
        f"batch {config.batch}"
    )
    found = {part: [] for part in PARTS}
    for part in [*PARTS] * config.rounds:
        needed = NEEDS.get(part)
        if needed is None or importlib.util.find_spec(needed):
            found[part].append(measure(part, config))
    rows = pd.DataFrame(
        {
            part: pd.DataFrame(filter(None, turns)).median()
            for part, turns in found.items()
            if any(turns)
        }
    ).T
    if PEER in rows.index:
        rows.insert(1, "ratio", rows["step"] / rows.loc[PEER, "step"])
    rows = rows.rename(
        columns={
            "step": "step, s",
            "ratio": "to PyTorch",
            "processor": "processor, s",
            "first": "to the first step, s",
        }
    )
    print(rows.round(3).to_string())
    costs = measure(LOSSES, config)
    if costs:
        print("\nloss and its gradient alone")
        for name, cost in costs.items():
            print(f"{name:28}{cost:7.1f}ms{cost / costs['MSE']:8.2f}")


if __name__ == "__main__":
    run(main, Config, __doc__)
