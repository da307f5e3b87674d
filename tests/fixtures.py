"""Oracles: networks whose joints are dots of known colours."""

import contextlib
import gc
import hashlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import context

from keras_pose import files
from keras_pose.codecs import Heatmaps
from keras_pose.data import dataset as datasets
from keras_pose.data import records
from keras_pose.models import hourglass, msr_net
from keras_pose.models.heads import PoseMaps
from keras_pose.skeletons import MPII

LEVELS = [
    (r, g, b) for r in (0, 128, 255) for g in (0, 128, 255) for b in (0, 255)
]
COLORS = np.array(LEVELS[1:17])
"""RGB of the 16 MPII joints: any two and black are at least 127 apart."""


LONG = (
    "test_papers",
    "test_multi_scale_structure_aware",
    "test_export",
    "test_fit",
    "test_any_skeleton",
    "test_import_weights",
    "test_fields",
    "test_report",
    "test_pipeline",
    "test_main",
    "test_shards",
    "test_multi_scale_stacked_hourglass",
    "test_deep_pose",
    "test_hrnet",
    "test_portable",
    "test_hooks",
    "test_estimator",
    "test_resnet",
    "test_synthetic",
    "test_initial_weights",
    "test_documentation",
)
"""Files that begin first, the longest in front, so that of several processes
none waits long for the others in the end."""

if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core as it is
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def pytest_collection_modifyitems(items):
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


def pytest_collection_finish():
    """What is imported by now stays: else Python would look for garbage in it,
    a million objects, again and again, and `clear_session` each time. Networks
    and graphs are many objects, too, which are soon freed by themselves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    if keras.backend.backend() == "tensorflow":
        _call_operations()


def _call_operations():
    """A single operation runs without a graph around it.

    TensorFlow wraps each kind, for every shape and name of a variable, into a
    graph that all its optimizers look at: half a millisecond before the first
    call, and the operations of a test run once or twice.
    """
    context.ensure_initialized()
    pywrap_tfe.TFE_ContextSetRunEagerOpAsFunction(
        context.context()._handle, False
    )


@pytest.fixture(scope="session")
def eagerly():
    """`with eagerly():` no graph is built: it would take longer than the few
    steps of a test. Training in graphs is proved by test_fit.py."""

    @contextlib.contextmanager
    def run():
        before = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(before)

    return run


@pytest.fixture(scope="session")
def two_layers():
    """Stands in for `stacked_hourglass` where any network will do."""

    def build(images, joints, *, stacks, filters, bias, **_):
        x = layers.Rescaling(1 / 255)(images)
        x = layers.Conv2D(filters, 4, 4, activation="relu")(x)
        start = keras.initializers.Constant(bias)
        return [
            layers.Conv2D(joints, 1, bias_initializer=start)(x)
            for _ in range(stacks)
        ]

    return build


@pytest.fixture(scope="session")
def without_hourglasses():
    """`with without_hourglasses():` networks have stems and heads alone."""

    def read_scales(x, joints, filters, bias, scales, name, deviation=None):
        maps = []
        for step in reversed(range(scales)):
            low = layers.AveragePooling2D(2**step)(x)
            part = f"{name}_maps{step}"
            read = hourglass.read_maps(low, joints, bias, part, deviation)
            maps.append(read)
        return maps, x

    @contextlib.contextmanager
    def run():
        with pytest.MonkeyPatch.context() as patch:
            for module in (hourglass, msr_net):
                patch.setattr(module, "read_scales", read_scales)
            yield

    return run


@pytest.fixture(scope="session")
def without_values():
    """`with without_values():` networks have shapes alone, which is quicker."""

    @contextlib.contextmanager
    def run():
        try:
            with keras.StatelessScope(initialize_variables=False):
                yield
        finally:
            keras.backend.clear_session(free_memory=False)  # forgets those

    return run


@pytest.fixture(scope="session")
def gradient():
    """(function, array) -> the slope of the function's sum, by the backend."""

    def slope(function, values):
        if keras.backend.backend() == "tensorflow":
            x = tf.Variable(values)
            with tf.GradientTape() as tape:
                total = ops.sum(function(x))
            return tape.gradient(total, x).numpy()
        if keras.backend.backend() == "jax":
            jax = pytest.importorskip("jax")
            total = jax.grad(lambda x: ops.sum(function(x)))
            return np.asarray(total(values))
        torch = pytest.importorskip("torch")
        x = torch.tensor(values, requires_grad=True)
        ops.sum(function(x)).backward()
        return x.grad.numpy()

    return slope


@pytest.fixture
def few_blocks(monkeypatch):
    """ResNets have every layer of theirs but for the blocks that repeat: of
    each stage there is the first, of the first stage two."""
    library = sys.modules[keras.applications.ResNet50.__module__]
    stack = library.stack_residual_blocks_v1

    def begin(x, filters, blocks, **settings):
        return stack(x, filters, 2 if filters == 64 else 1, **settings)

    monkeypatch.setattr(library, "stack_residual_blocks_v1", begin)


@pytest.fixture
def forked(monkeypatch):
    """`forked(module)`: its worker processes are forks of one process that has
    TensorFlow, which each new one would import for seconds."""

    def patch(module):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([module.__name__])
        monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)
        monkeypatch.setattr(module, "get_context", lambda _: context, False)

    return patch


@pytest.fixture(scope="session")
def locked_by_another():
    """`with locked_by_another(folder) as process:` a process, killed in the
    end, holds the lock. It has files.py alone, without Keras."""
    code = (
        "import runpy, sys, time\n"
        "files = runpy.run_path(sys.argv[1])\n"
        "with files['locked'](sys.argv[2]):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)"
    )

    @contextlib.contextmanager
    def run(folder):
        command = [sys.executable, "-c", code, files.__file__, str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout.readline() == b"locked\n"
            yield process
        finally:
            process.kill()
            process.communicate()

    return run


class Oracle:
    """Knows which colour each joint has, so that every answer is known."""

    size = (64, 96)
    stride = 4

    def build(self):
        """Maps are 1 where a whole cell has the joint's colour, 0 beside it."""
        images = keras.Input((*self.size, 3), dtype="uint8")
        x = layers.Rescaling(1 / 255)(images)
        x = layers.Concatenate()([x, layers.Multiply()([x, x])])
        near = layers.Conv2D(16, 1, activation="relu")  # 1 - 8 distance**2
        maps = layers.AveragePooling2D(self.stride)(near(x))
        colors = COLORS / 255
        kernel = np.concatenate([16 * colors.T, np.full((3, 16), -8.0)])
        near.set_weights(
            [kernel[None, None], 1 - 8 * np.sum(colors**2, axis=1)]
        )
        head = PoseMaps(Heatmaps("mpii", self.stride))
        model = keras.Model(images, head([maps]), name="oracle")
        model.jit_compile = False  # compiling takes longer than the test
        return model

    def draw(self, cells, shape, block):
        """A black picture with joint k in cell `cells[k]` = (column, row).

        Returns:
            picture (H, W, 3) uint8 RGB of `shape` cells of `block` pixels, and
            joints (K, 2) x, y in its pixels.
        """
        picture = np.zeros((*shape, 3), "uint8")
        picture[cells[:, 1], cells[:, 0]] = COLORS[: len(cells)]
        picture = picture.repeat(block, axis=0).repeat(block, axis=1)
        return picture, (cells + 0.5) * block - 0.5

    def cells(self, seed=0, shape=(16, 24)):
        """16 different cells, none at the border."""
        inner = (shape[0] - 2) * (shape[1] - 2)
        order = np.random.default_rng(seed).permutation(inner)[:16]
        rows, columns = np.divmod(order, shape[1] - 2)
        return np.stack([columns + 1, rows + 1], axis=-1)


@pytest.fixture
def handlers():
    """Signals as a terminal has them; a background job ignores Ctrl-C."""
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def notes():
    """Finds the lines of a log that TensorFlow's C++ wrote."""
    own = re.compile(r"[IWE]\d{4} |.*(absl::|rebuild TensorFlow)")
    return lambda log: [line for line in log.splitlines() if own.match(line)]


@pytest.fixture(scope="session")
def oracle():
    return Oracle()


@pytest.fixture(scope="session")
def colors():
    return COLORS


@pytest.fixture(scope="session")
def oracle_model(oracle):
    return oracle.build()


@pytest.fixture(scope="session")
def oracle_export(oracle_model, tmp_path_factory):
    """Folder of its SavedModel."""
    from keras_pose import export  # TensorFlow, which other tests do without

    folder = tmp_path_factory.mktemp("oracle") / "saved_model"
    return export.export(oracle_model, folder)


@pytest.fixture(params=["folder", "pipe", "loop", "long name", "in a file"])
def no_file(request, tmp_path):
    """Path of what is there, or not, and can never be read."""
    path = tmp_path / "bad.jpg"
    if request.param == "folder":
        path.mkdir()
    elif request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "loop":
        path.symlink_to(path)
    elif request.param == "long name":
        path = tmp_path / f"{100 * 'bad'}.jpg"
    else:
        path.write_bytes(b"no folder")
        path = path / "bad.jpg"
    return path


@pytest.fixture
def png():
    """Bytes of a PNG of an RGB, RGBA or grey array."""

    def encode(picture):
        if picture.ndim == 3:
            order = [2, 1, 0, 3][: picture.shape[2]]
            picture = picture[..., order]
        return cv2.imencode(".png", picture)[1].tobytes()

    return encode


@pytest.fixture
def with_exif():
    """Bytes of a JPEG with an EXIF orientation, "little" or "big" endian."""

    def insert(jpeg, orientation, order="little"):
        def number(value, size):
            return value.to_bytes(size, order)

        entries = [
            number(0x010F, 2) + number(2, 2) + number(4, 4) + b"abc\0",
            number(0x0112, 2)
            + number(3, 2)
            + number(1, 4)
            + number(orientation, 2)
            + bytes(2),
        ]
        tiff = (b"II" if order == "little" else b"MM") + number(42, 2)
        tiff += number(8, 4) + number(len(entries), 2) + b"".join(entries)
        segment = b"Exif\0\0" + tiff + bytes(4)
        length = (len(segment) + 2).to_bytes(2, "big")
        return jpeg[:2] + b"\xff\xe1" + length + segment + jpeg[2:]

    return insert


@keras.saving.register_keras_serializable("keras_pose_tests")
class Wrists(keras.layers.Layer):
    """Sees two red blobs, the wrists, and a green one, the top of the head.

    As in a person who faces the camera, the left wrist is the one on the right
    half of the picture: mirrored, it is the other one, as for a real network.
    Images (B, H, W, 3) -> maps (B, h, w, 16): colour averaged over each cell
    ("center") or taken at the cell's corner.
    """

    def __init__(self, alignment="center", stride=4, **kwargs):
        super().__init__(**kwargs)
        self.alignment = alignment
        self.stride = stride

    def call(self, images):
        x = ops.cast(images, "float32") / 255
        if self.alignment == "center":
            x = ops.average_pool(x, self.stride, strides=self.stride)
        else:
            x = x[:, :: self.stride, :: self.stride]
        width = x.shape[2]
        right = ops.cast(2 * ops.arange(width) >= width, "float32")
        seen = {
            "left_wrist": x[..., 0] * right,
            "right_wrist": x[..., 0] * (1 - right),
            "head_top": x[..., 1],
        }
        nothing = ops.zeros_like(x[..., 0])
        return ops.stack([seen.get(j, nothing) for j in MPII.joints], -1)

    def get_config(self):
        return super().get_config() | {
            "alignment": self.alignment,
            "stride": self.stride,
        }


@pytest.fixture
def wrists_model():
    """Builds the model of `Wrists` for images of 64 x 96 pixels."""

    def build(alignment="center", skeleton="mpii"):
        images = keras.Input((64, 96, 3), dtype="uint8")
        maps = Wrists(alignment)(images)
        if skeleton == "lsp":
            maps = maps[..., :14]
        head = PoseMaps(Heatmaps(skeleton, 4, alignment))
        model = keras.Model(images, head([maps]), name="wrists")
        model.jit_compile = False  # compiling takes longer than the test
        return model

    return build


@pytest.fixture(scope="session")
def save():
    """Writes a data set of one shard: of pictures, or serialized records."""

    def write(
        folder,
        pictures,
        split="train",
        skeleton="mpii",
        empty=(),
        protocol="pckh",
    ):
        path = folder / f"{split}-00000-of-00001.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as file:
            for picture in pictures:
                raw = isinstance(picture, bytes)
                file.write(picture if raw else records.write(picture))
        sides = [max(p.size) for p in pictures if not isinstance(p, bytes)]
        content = path.read_bytes()
        shard = {
            "file": path.name,
            "records": len(pictures),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        nobody = {"people": 0, "shards": []}
        splits = {split: {"people": len(pictures), "shards": [shard]}}
        datasets.write_description(
            folder,
            {
                "skeleton": skeleton,
                "protocol": protocol,
                "max_side": max(sides, default=512),
                "splits": splits | dict.fromkeys(empty, nobody),
            },
        )
        return datasets.open_dataset(folder)

    return write


@pytest.fixture
def wrists_data(tmp_path, save):
    """Writes a data set of such blobs; returns it and the joints.

    joints {name: (x, y)} are in pixels of photographs twice as large as the
    pictures in the records and moved by (10, 20). `center` is that of the boxes
    in the records, one for all or one each.
    """

    def write(head_sizes=(40.0, 40.0), skeleton=MPII, center=(80.0, 60.0)):
        seen = {
            "left_wrist": (100.3, 50.7),
            "right_wrist": (55.6, 62.2),
            "head_top": (80.1, 30.4),
        }
        y, x = np.mgrid[:120, :160]
        picture = np.zeros((120, 160, 3))
        joints = np.zeros((len(skeleton.joints), 2))
        for name, (u, v) in seen.items():
            blob = np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 6**2))
            picture[..., int(name == "head_top")] += 255 * blob
            joints[skeleton.index(name)] = u, v
        flags = 2 * (joints.sum(axis=1) > 0)
        flags[skeleton.index("left_wrist")] = 1
        encoded = cv2.imencode(
            ".jpg",
            picture.round().clip(0, 255).astype("uint8")[..., ::-1],
            [cv2.IMWRITE_JPEG_QUALITY, 100],
        )[1].tobytes()
        people = (
            records.Person(
                joints,
                flags,
                np.broadcast_to(center, (len(head_sizes), 2))[number],
                0.5,
                head_size,
                name=f"photo.jpg#{number + 1}",
            )
            for number, head_size in enumerate(head_sizes)
        )
        matrix = np.array([[2.0, 0, 10], [0, 2, 20]])
        pictures = [
            records.Picture(encoded, (120, 160), (person,), "photo.jpg", matrix)
            for person in people
        ]
        data = save(tmp_path, pictures, "val", skeleton.name, empty=["test"])
        moved = {
            name: (2 * u + 10, 2 * v + 20) for name, (u, v) in seen.items()
        }
        return data, moved

    return write
