"""Photograph to joints, one at a time: exports beside eager PyTorch.

    python -m benchmarks.inference
    python -m benchmarks.inference --size 128 --filters 64

All take the bytes of a JPEG and a box and return joints in pixels: reading,
crop, normalisation, the same 2-stack hourglass with the same weights, and the
quarter-cell decoding. The peer reads and crops with OpenCV, and so does ONNX
Runtime with the network as PyTorch exports it; LiteRT, ONNX Runtime and
OpenVINO, where installed, read with OpenCV, which shrinks a large photograph
as the SavedModel does, and crop inside. "Integers" is pose_int8.onnx. Each
lives in a process of its own; they are called in turns, the others rest, and
the second call of each turn counts.
TensorFlow splits every operation over the cores; one peer is told not to.

In the end each file is opened by its runtime alone, in turns: size, and time
from after the interpreter's start to the first joints (PyTorch: to the maps).
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks import machine, runtimes, turns
from keras_pose import converters, export, geometry, portable
from keras_pose.console import run

PHOTOGRAPHS = {
    "272 x 172": (272, 172),
    "1280 x 720": (720, 1280),
    "4000 x 3000": (3000, 4000),
}
"""Height and width: as in LSP, a film's, a camera's."""
JOINTS = 16
WARM = 3
"""Calls before the clock starts."""
STARTS = 3
"""Times that each runtime is started."""
START = """\
import sys
from benchmarks import runtimes
runtimes.main(*sys.argv[1:])
"""
WEIGHTS = "weights.npz"
REDUCED = (
    cv2.IMREAD_REDUCED_COLOR_2,
    cv2.IMREAD_REDUCED_COLOR_4,
    cv2.IMREAD_REDUCED_COLOR_8,
)


@dataclass(frozen=True)
class Config:
    """Sizes of the network and of the measurement."""

    size: int = 256
    """Side of the network's input, pixels."""
    filters: int = 256
    """Channels of its features."""
    rounds: int = 20
    """Calls of each on each photograph, in turns."""


def draw_photograph(height, width):
    """Bytes of a JPEG of clouds of two sizes."""
    rng = np.random.default_rng(0)
    image = np.zeros((height, width, 3), "float32")
    for cells in (8, 64):
        noise = rng.uniform(0, 128, (cells, cells, 3)).astype("float32")
        image += cv2.resize(noise, (width, height))
    return cv2.imencode(".jpg", image.astype("uint8"))[1].tobytes()


def box_in(height, width):
    """x, y, width, height of somebody in the middle."""
    return np.float32([0.3 * width, 0.2 * height, 0.4 * width, 0.6 * height])


def torch_network(config, folder):
    """The network in PyTorch, with weights that it keeps for the others."""
    import torch

    from benchmarks import torch_hourglass

    torch.manual_seed(0)
    network = torch_hourglass.StackedHourglass(config.filters, JOINTS).eval()
    np.savez(
        folder / WEIGHTS,
        sizes=[config.filters, JOINTS, config.size],
        **{
            f"{name}/{i}": weight
            for name, module in torch_hourglass.layers(network)
            for i, weight in enumerate(torch_hourglass.weights(module))
        },
    )
    return network


def torch_pose(config, folder):
    """Makes a network, and returns (jpeg, box) -> joints."""
    import torch

    network = torch_network(config, folder)

    def maps(pixels):
        with torch.inference_mode():
            return network(torch.from_numpy(pixels)).numpy()

    return opencv_pose(maps, config)


def torch_in_onnx_pose(config, folder):
    """`torch_pose` of the same network as PyTorch's own exporter writes it."""
    import onnxruntime
    import torch

    path = folder / "torch.onnx"
    network = torch_network(config, folder)
    images = torch.zeros(1, 3, config.size, config.size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other exporter needs onnxscript
        torch.onnx.export(network, (images,), path, dynamo=False)
    session = onnxruntime.InferenceSession(path)
    (taken,) = session.get_inputs()
    return opencv_pose(
        lambda pixels: session.run(None, {taken.name: pixels})[0], config
    )


def opencv_pose(maps, config):
    """(jpeg, box) -> joints, with OpenCV's crop and numpy's decoding.

    Args:
        maps: function of pixels (1, 3, H, W) float32, 0 to 255, to the maps
            (1, S, K, h, w) before the sigmoid.
        config: `Config`.
    """
    size = (config.size, config.size)

    def pose(jpeg, box):
        image = cv2.imdecode(np.frombuffer(jpeg, "uint8"), cv2.IMREAD_COLOR)
        center, scale = geometry.box_to_center_scale(box)
        side = geometry.PERSON_PIXELS * scale
        matrix = geometry.crop_matrix(center, side, 0.0, size)
        crop = cv2.warpAffine(image, matrix[:2], size, flags=cv2.INTER_LINEAR)
        pixels = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).astype("float32")
        last = maps(np.ascontiguousarray(pixels.transpose(2, 0, 1))[None])[
            0, -1
        ]
        _, height, width = last.shape
        y, x = np.divmod(last.reshape(JOINTS, -1).argmax(axis=1), width)
        padded = np.pad(last, ((0, 0), (1, 1), (1, 1)))
        k = np.arange(JOINTS)
        dx = padded[k, y + 1, x + 2] - padded[k, y + 1, x]
        dy = padded[k, y + 2, x + 1] - padded[k, y, x + 1]
        dx *= (x > 0) & (x < width - 1)
        dy *= (y > 0) & (y < height - 1)
        cells = np.stack([x, y], axis=1) + 0.25 * np.sign([dx, dy]).T
        return geometry.move((cells + 0.5) * 4 - 0.5, geometry.invert(matrix))

    return pose


def build_model(config, folder):
    """The same network in Keras, with the same weights."""
    import keras

    from keras_pose.codecs import Heatmaps
    from keras_pose.models.heads import PoseMaps
    from keras_pose.models.hourglass import stacked_hourglass

    images = keras.Input((config.size, config.size, 3), dtype="uint8")
    maps = stacked_hourglass(images, JOINTS, filters=config.filters)
    model = keras.Model(images, PoseMaps(Heatmaps())(maps))
    with np.load(folder / WEIGHTS) as weights:
        for layer in model.layers:
            count = len(layer.weights)
            layer.set_weights(
                [weights[f"{layer.name}/{i}"] for i in range(count)]
            )
    return model


def served_pose(config, folder):
    """Exports the same network and returns (jpeg, box) -> joints."""
    import tensorflow as tf

    model = build_model(config, folder)
    exported = folder / f"saved_model-{os.getpid()}"
    export.export(model, exported)
    loaded = tf.saved_model.load(str(exported))
    encoded = loaded.signatures["encoded"]

    def pose(jpeg, box, loaded=loaded):  # kept alive with its signature
        found = encoded(
            encoded=tf.constant([jpeg]), boxes=tf.constant(box[None])
        )
        return found["joints"][0].numpy()

    return pose


def converted_pose(kind, config, folder):
    """`served_pose` of a file of another runtime."""
    locator = portable.Locator(build_model(config, folder))
    path = folder / f"pose{converters.SUFFIXES[kind]}"
    converters.CONVERTERS[kind](locator, path, {})
    return located_pose(kind, path, config.size)


def integer_pose(kind, config, folder):
    """`served_pose` of the .onnx file in integers, whose time does not depend
    on the ranges: these are of one photograph."""
    source = folder / f"pose{converters.SUFFIXES['onnx']}"
    path = source.with_stem(f"pose_int8_{kind}")
    shape = PHOTOGRAPHS["272 x 172"]
    box = box_in(*shape)
    people = [read(draw_photograph(*shape), box, config.size)]
    name = build_model(config, folder).name
    converters.to_int8("onnx", source, path, name, people)
    return located_pose(kind, path, config.size)


def located_pose(kind, path, side):
    """(jpeg, box) -> joints, by the runtime of that kind."""
    locate = runtimes.OPEN[kind](str(path))

    def pose(jpeg, box):
        image, small = read(jpeg, box, side)
        shrink = box[2] / small[2]
        return shrink * locate(image, small) + (shrink - 1) / 2

    return pose


def read(jpeg, box, side):
    """A photograph as docs/exporting.md reads a large one.

    Args:
        jpeg: the file's bytes.
        box: (4,) x, y, width, height.
        side: of the network's input, pixels.

    Returns:
        The picture (H, W, 3) uint8, RGB, which the JPEG decoder has shrunk by
        2, 4 or 8 if the crop has as many pixels for each of the input's, and
        the box in it.
    """
    flag, shrink = cv2.IMREAD_COLOR, 1
    for reduced in REDUCED:
        if geometry.PADDING * max(box[2:]) >= 2 * shrink * side:
            flag, shrink = reduced, 2 * shrink
    image = cv2.imdecode(np.frombuffer(jpeg, "uint8"), flag)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), box / shrink


PEERS = {
    "PyTorch": (torch_pose, {}),  # its weights are the others', too
    "SavedModel": (served_pose, {}),
    "SavedModel, not split": (served_pose, {"TF_NUM_INTRAOP_THREADS": "1"}),
}
"""What makes (jpeg, box) -> joints, and in which environment."""
TITLES = {"litert": "LiteRT", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}
INTEGERS = {
    "ONNX Runtime, integers": "onnx",
    "OpenVINO, integers": "openvino",
}
"""Runtimes of pose_int8.onnx."""


def find_peers():
    """PEERS, and those of the runtimes that are installed."""
    peers = dict(PEERS)
    for kind, title in TITLES.items():
        absent = [
            name
            for name in sorted(converters.NEEDED[kind])
            if importlib.util.find_spec(name) is None
        ]
        if absent:
            print(f"{title} is left out: {', '.join(absent)} not installed")
        else:
            peers[title] = (partial(converted_pose, kind), {})
    if TITLES["onnx"] in peers:
        peers["ONNX Runtime, PyTorch's network"] = (torch_in_onnx_pose, {})
    for title, kind in INTEGERS.items():
        if {TITLES["onnx"], TITLES[kind]} <= peers.keys():
            peers[title] = (partial(integer_pose, kind), {})
    return peers


def measure_starts(folder, titles):
    """Table of the files' sizes and their runtimes' start-up."""
    places = {
        "PyTorch": ("torch", WEIGHTS),
        "SavedModel": ("saved_model", "saved_model-*"),
    }
    for kind, title in TITLES.items():
        places[title] = (kind, f"pose{converters.SUFFIXES[kind]}")
    chosen = {
        title: (kind, next(folder.glob(pattern)))
        for title, (kind, pattern) in places.items()
        if title in titles
    }
    found = {title: [] for title in chosen}
    for _ in range(STARTS):
        for title, (kind, path) in chosen.items():
            done = subprocess.run(
                [sys.executable, "-c", START, kind, str(path)],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            found[title].append([float(x) for x in done.stdout.split()[-2:]])
    table = pd.DataFrame(
        {title: np.median(times, axis=0) for title, times in found.items()},
        index=["start s", "start CPU s"],
    ).T
    ratios = table / table.loc["PyTorch"]
    table = table.join(ratios.add_suffix(" to PyTorch's"))
    table["MB"] = [_megabytes(path) for _, path in chosen.values()]
    return table


def _megabytes(path):
    """Of a folder, or of a file and an OpenVINO file's weights beside it."""
    files = [path, *path.rglob("*")]
    if path.suffix == ".xml":
        files.append(path.with_suffix(".bin"))
    return sum(each.stat().st_size for each in files if each.is_file()) / 1e6


def serve(make, config, folder, connection):
    """A process that answers (jpeg, box) with joints, seconds and CPU time."""
    pose = make(config, folder)
    connection.send(None)
    while True:
        try:
            jpeg, box = connection.recv()
        except EOFError:  # the benchmark is done
            return
        pose(jpeg, box)  # not timed: threads of the one before may still spin
        start = np.array(turns.now())
        joints = pose(jpeg, box)
        connection.send((joints, *(turns.now() - start)))


def main(config):
    """Prints a row per photograph, and the start-up."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    print(machine.describe())
    print(f"2-stack hourglass, {config.filters} features, input {config.size}")
    with tempfile.TemporaryDirectory() as folder:
        peers = {}
        for name, (make, settings) in find_peers().items():
            peers[name] = turns.start(
                serve, make, config, Path(folder), settings=settings
            )
            peers[name].recv()  # it is ready
        print(measure_calls(config, peers).round(2).to_string())
        print(measure_starts(Path(folder), peers).round(2).to_string())


def measure_calls(config, peers):
    """Table of a row for each photograph and peer."""
    rows = {}
    for title, shape in PHOTOGRAPHS.items():
        jpeg, box = draw_photograph(*shape), box_in(*shape)
        found = {name: [] for name in peers}
        for _ in range(WARM + config.rounds):
            for name, connection in peers.items():
                connection.send((jpeg, box))
                found[name].append(connection.recv())
        times = pd.DataFrame(
            {
                name: np.median([c[1:] for c in calls[WARM:]], axis=0)
                for name, calls in found.items()
            },
            index=["ms", "CPU ms"],
        ).T
        ratios = times / times.loc["PyTorch"]
        times = (1000 * times).join(ratios.add_suffix(" to PyTorch's"))
        joints = {name: calls[0][0] for name, calls in found.items()}
        far = {name: j - joints["PyTorch"] for name, j in joints.items()}
        times["median px apart"] = {
            name: np.median(np.abs(f).max(axis=1)) for name, f in far.items()
        }
        rows[title] = times
    return pd.concat(rows)


if __name__ == "__main__":
    run(main, Config, __doc__)
