"""Step time of the 2-stack hourglass, and the time to its first step.

Backends run in processes of their own, one after the other, on the same random
pictures; the peer is the same network in eager PyTorch, if torch is installed.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --size 128 --filters 64 --batch 16

Rows "loss" time forward and gradient of the loss alone against MSE's.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import tyro

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
    from keras_pose.models.heads import PoseMaps
    from keras_pose.models.hourglass import stacked_hourglass

    if not defaults:
        from keras_pose.data import runtime

        runtime.prepare(0)
    images = keras.Input((config.size, config.size, 3), dtype="uint8")
    maps = stacked_hourglass(images, 16, filters=config.filters, bias=-4.0)
    model = keras.Model(images, PoseMaps()(maps))
    if defaults:
        model.compile("adam", HSM())
    else:
        model.compile(
            "adam", HSM(), jit_compile=keras.backend.backend() == "jax"
        )
        model.optimizer.build(model.trainable_variables)
    images, labels = batch_of(config)
    ends = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            ends.append(time.perf_counter())

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
    from torch import nn
    from torch.nn import functional

    class Residual(nn.Module):
        def __init__(self, a, b):
            super().__init__()
            h = b // 2
            widths = ((a, h, 1), (h, h, 3), (h, b, 1))
            self.body = nn.Sequential(
                *[
                    layer
                    for i, o, k in widths
                    for layer in (
                        nn.BatchNorm2d(i),
                        nn.ReLU(),
                        nn.Conv2d(i, o, k, padding=k // 2),
                    )
                ]
            )
            self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

        def forward(self, x):
            return self.body(x) + self.skip(x)

    class Hourglass(nn.Module):
        def __init__(self, f, depth):
            super().__init__()
            self.side, self.down, self.up = (Residual(f, f) for _ in range(3))
            inner = Hourglass(f, depth - 1) if depth > 1 else Residual(f, f)
            self.inner = inner

        def forward(self, x):
            low = self.up(self.inner(self.down(functional.max_pool2d(x, 2))))
            return self.side(x) + functional.interpolate(low, scale_factor=2)

    class Network(nn.Module):
        def __init__(self, f, joints=16, stacks=2):
            super().__init__()
            self.stem = nn.Sequential(
                nn.Conv2d(3, f // 4, 7, 2, 3),
                nn.BatchNorm2d(f // 4),
                nn.ReLU(),
                Residual(f // 4, f // 2),
                nn.MaxPool2d(2),
                Residual(f // 2, f // 2),
                Residual(f // 2, f),
            )
            self.stacks = nn.ModuleList()
            for _ in range(stacks):
                self.stacks.append(
                    nn.ModuleList(
                        [
                            nn.Sequential(
                                Hourglass(f, 4),
                                Residual(f, f),
                                nn.Conv2d(f, f, 1),
                                nn.BatchNorm2d(f),
                                nn.ReLU(),
                            ),
                            nn.Conv2d(f, joints, 1),
                            nn.Conv2d(f, f, 1),
                            nn.Conv2d(joints, f, 1),
                        ]
                    )
                )

        def forward(self, x):
            x, maps = self.stem(x / 255 - 0.5), []
            for body, out, back, maps_back in self.stacks:
                y = body(x)
                maps.append(out(y))
                x = x + back(y) + maps_back(maps[-1])
            return torch.stack(maps, 1)

    images, labels = batch_of(config)
    images = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    cells = (torch.from_numpy(labels)[..., :2] + 0.5) / 4 - 0.5
    model = Network(config.filters)
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
        ends.append(time.perf_counter())
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


def _result(ends, warm, start):
    steps = [b - a for a, b in zip(ends, ends[1:], strict=False)][warm - 1 :]
    return {"first": ends[0] - start, "step": statistics.median(steps)}


PARTS = {
    "tensorflow": keras_step,
    "tensorflow, Keras defaults": lambda c: keras_step(c, defaults=True),
    "jax": keras_step,
    "torch": keras_step,
    "eager PyTorch, no Keras": torch_step,
    "losses": loss_costs,
}
NEEDS = {"jax": "jax", "torch": "torch", "eager PyTorch, no Keras": "torch"}


def measure(part, config):
    """One part in a process of its own; None if it cannot run here."""
    needed = NEEDS.get(part)
    if needed and importlib.util.find_spec(needed) is None:
        return None
    backend = part if part in ("jax", "torch") else "tensorflow"
    sizes = [
        f"--{name}={getattr(config, name)}"
        for name in ("size", "filters", "batch", "steps", "warm")
    ]
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.train_step",
            *sizes,
            f"--part={part}",
        ],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        print(f"{part}: failed: {process.stderr.splitlines()[-1:]}")
        return None
    return json.loads(process.stdout.splitlines()[-1])


def main(config):
    """Prints a row per backend, and ratios to the first."""
    if config.part:
        print(json.dumps(PARTS[config.part](config)))
        return
    print(
        f"2-stack hourglass, {config.filters} features, input {config.size}, "
        f"batch {config.batch}, {os.cpu_count()} cores"
    )
    print(f"{'':28}{'step':>9}{'ratio':>8}{'to the first step':>20}")
    base = None
    for part in PARTS:
        if part == "losses":
            continue
        found = measure(part, config)
        if found is None:
            print(f"{part:28}{'not here':>9}")
            continue
        base = base or found
        print(
            f"{part:28}{found['step']:8.3f}s{found['step'] / base['step']:8.2f}"
            f"{found['first']:18.1f} s"
        )
    costs = measure("losses", config)
    if costs:
        print("\nloss and its gradient alone")
        for name, cost in costs.items():
            print(f"{name:28}{cost:7.1f}ms{cost / costs['MSE']:8.2f}")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
