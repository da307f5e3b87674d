"""Step time of the 2-stack hourglass, and the time to its first step.

Each backend trains in a process of its own, on the same random pictures. They
step in turns: while one steps, the others rest. The peer is the same network in
eager PyTorch, if torch is installed: ratios are to its step. On a busy machine
the processor seconds of a step are steadier than those of the clock.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --size 128 --filters 64 --batch 16

Rows "loss" time forward and gradient of the loss alone against MSE's.
"""

import functools
import importlib.util
import statistics
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks import machine, turns
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
    steps: int = 5
    """Steps in a turn."""
    warm: int = 5
    """Steps before the first turn."""
    rounds: int = 6
    """Turns of every backend; the medians of all their steps count."""


def batch_of(config):
    """Random pictures and joints, the same for every peer."""
    rng = np.random.default_rng(0)
    shape = (config.batch, config.size, config.size, 3)
    images = rng.integers(0, 256, shape, "uint8")
    labels = rng.uniform(0, config.size, (config.batch, 1, 16, 3))
    labels[..., 2] = 2
    return images, labels.astype("float32")


class Turns:
    """Where a training says that a step is done, and waits for its turn."""

    def __init__(self, config, connection):
        self.start = time.perf_counter()
        self.config = config
        self.connection = connection
        self.left = config.rounds
        self.times = []

    @property
    def count(self):
        """Steps in all."""
        return self.config.warm + self.config.rounds * self.config.steps

    def step_done(self):
        """After `warm` steps and each turn: sends the times, and rests."""
        self.times.append(turns.now())
        if self.start is not None:
            if len(self.times) < self.config.warm:
                return
            self.connection.send(self.times[0][0] - self.start)
            self.start = None
        elif len(self.times) <= self.config.steps:
            return
        else:
            self.connection.send(np.diff(self.times, axis=0))
            self.left -= 1
        if self.left:
            self.connection.recv()
        self.times = [turns.now()]


def keras_steps(config, done, defaults=False):
    """Trains as the suite does, or as Keras does by itself."""
    import keras

    from keras_pose.codecs import Heatmaps
    from keras_pose.losses import HSM
    from keras_pose.models import normalization
    from keras_pose.models.heads import PoseMaps
    from keras_pose.models.hourglass import stacked_hourglass
    from keras_pose.models.model import PoseModel
    from keras_pose.training import optimizers

    if defaults:
        normalization.BatchNormalization = functools.partial(
            keras.layers.BatchNormalization,
            momentum=normalization.MOMENTUM,
            epsilon=normalization.EPSILON,
        )
    else:
        from keras_pose.data import runtime

        runtime.prepare(0, (config.size, config.size))
    images = keras.Input((config.size, config.size, 3), dtype="uint8")
    maps = stacked_hourglass(images, 16, filters=config.filters, bias=-4.0)
    codec = Heatmaps("mpii", logits=True)
    maps = PoseMaps(codec)(maps)
    if defaults:
        model = keras.Model(images, maps)
        model.compile("adam", HSM(codec))
    else:
        model = PoseModel(images, maps)
        model.compile(
            optimizers.Adam(),
            HSM(codec),
            jit_compile=keras.backend.backend() == "jax",
        )
        model.optimizer.build(model.trainable_variables)
    images, labels = batch_of(config)

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            done.step_done()

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensors((images, labels)).repeat()
        arguments = {"x": data, "steps_per_epoch": done.count}
    else:
        repeated = [np.concatenate([a] * done.count) for a in (images, labels)]
        arguments = dict(
            zip("xy", repeated, strict=True), batch_size=config.batch
        )
    model.fit(
        **arguments, epochs=1, verbose=0, shuffle=False, callbacks=[Clock()]
    )


def torch_steps(config, done):
    """The same graph in eager PyTorch, with the same loss."""
    import torch

    from benchmarks.torch_hourglass import StackedHourglass

    images, labels = batch_of(config)
    images = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    cells = (torch.from_numpy(labels)[:, 0, :, :2] + 0.5) / 4 - 0.5
    model = StackedHourglass(config.filters)
    optimizer = torch.optim.Adam(model.parameters())
    side = torch.arange(config.size // 4, dtype=torch.float32)
    for _ in range(done.count):
        columns = torch.exp(-((side - cells[..., 0:1]) ** 2) / 2)
        rows = torch.exp(-((side - cells[..., 1:2]) ** 2) / 2)
        target = torch.einsum("bkh,bkw->bkhw", rows, columns)[:, None]
        error = (torch.sigmoid(model(images)) - target).abs()
        loss = (torch.expm1(error) * error * error).sum((1, 3, 4)).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done.step_done()


def loss_costs(config, connection):
    """Milliseconds of loss and gradient, by loss, as training runs them."""
    import tensorflow as tf

    from keras_pose.codecs import Heatmaps
    from keras_pose.data import runtime
    from keras_pose.losses import HSM, HeatmapMSE

    linear, sigmoid = Heatmaps("mpii"), Heatmaps("mpii", logits=True)
    runtime.prepare(0, (config.size, config.size))
    _, labels = batch_of(config)
    side = config.size // 4
    maps = tf.Variable(tf.random.normal((config.batch, 2, side, side, 16)))
    steps = {}
    for name, loss in {
        "MSE": HeatmapMSE(linear),
        "MSE + sigmoid": HeatmapMSE(sigmoid),
        "HSM gamma=2": HSM(sigmoid, 1, 2),
        "HSM gamma=1.5": HSM(sigmoid, 1, 1.5),
        "HSM gamma=1.7 (pow)": HSM(sigmoid, 1, 1.7),
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
    connection.send({n: statistics.median(found) for n, found in times.items()})


PEER = "eager PyTorch, no Keras"
PARTS = {
    "TensorFlow, as the suite trains": (keras_steps, {}),
    "TensorFlow, Keras' norm and Adam, no oneDNN": (
        functools.partial(keras_steps, defaults=True),
        {"TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
    "JAX": (keras_steps, {"KERAS_BACKEND": "jax"}),
    "Keras on PyTorch": (keras_steps, {"KERAS_BACKEND": "torch"}),
    PEER: (torch_steps, {}),
}
NEEDS = {"JAX": "jax", "Keras on PyTorch": "torch", PEER: "torch"}


def work(part, config, connection):
    """One of `PARTS`, in the process that this is called in."""
    PARTS[part][0](config, Turns(config, connection))


def measure(config):
    """A row per backend that can run here."""
    peers, first = {}, {}
    for part in PARTS:
        if part in NEEDS and not importlib.util.find_spec(NEEDS[part]):
            continue
        peer = turns.start(work, part, config, settings=PARTS[part][1])
        try:
            first[part] = peer.recv()
            peers[part] = peer
        except EOFError:
            print(f"{part}: failed")
    found = {part: [] for part in peers}
    for _ in range(config.rounds):
        for part, peer in peers.items():
            peer.send(None)
            found[part].append(peer.recv())
    medians = {p: np.median(np.concatenate(t), 0) for p, t in found.items()}
    rows = pd.DataFrame(medians, index=["step, s", "processor, s"]).T
    if PEER in rows.index:
        ratios = rows / rows.loc[PEER]
        rows.insert(1, "to PyTorch", ratios["step, s"])
        rows.insert(3, "to PyTorch's", ratios["processor, s"])
    rows["to the first step, s"] = first
    return rows


def main(config):
    """Prints a row per backend, and ratios to eager PyTorch."""
    print(machine.describe())
    print(
        f"2-stack hourglass, {config.filters} features, input {config.size}, "
        f"batch {config.batch}"
    )
    print(measure(config).round(3).to_string())
    costs = turns.start(loss_costs, config).recv()
    print("\nloss and its gradient alone")
    for name, cost in costs.items():
        print(f"{name:28}{cost:7.1f}ms{cost / costs['MSE']:8.2f}")


if __name__ == "__main__":
    run(main, Config, __doc__)
