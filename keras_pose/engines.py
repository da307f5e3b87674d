"""Opens a trained model of any format as one function.

.keras files, folders of models, hf://user/model and SavedModels run in
TensorFlow; .tflite, .onnx and .xml files in LiteRT, ONNX Runtime and OpenVINO,
which need the extras of these names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_pose import everybody, provenance, serving, skeletons, untrusted
from keras_pose.converters import KEY, need
from keras_pose.models import model as models
from keras_pose.skeletons import Skeleton


@dataclass(frozen=True)
class Engine:
    """A model that runs.

    Both functions return a dict of numpy arrays: joints (N, K, 2) x, y in the
    photographs' pixels, scores (N, K), missing (N, K) and, if the model
    predicts it, occluded (N, K).
    """

    locate: Callable
    """(image (H, W, 3) uint8, boxes (N, 4) float32): people of a photograph."""
    each: Callable
    """(images (N, H, W, 3), boxes (N, 4)): one of each photograph."""
    skeleton: Skeleton
    provenance: dict
    """What is known of the model, see `keras_pose.provenance`."""
    find: Callable | None = None
    """image (H, W, 3) -> `people.Poses` of everybody: the only function of a
    model that needs no boxes."""


def open_model(model, flip=False):
    """Opens a model as an `Engine`.

    Args:
        model: path of a model or of an export; hf://user/model; or a Keras
            model of this suite.
        flip: average with the mirrored picture; an export must have been made
            so.

    Raises:
        FileNotFoundError, ValueError: one line that names the file.
    """
    if isinstance(model, keras.Model):
        return _serve(model, flip)
    path = Path(model)
    if path.suffix in OPENERS:
        return _open_file(path, flip)
    if not path.is_dir() or (path / provenance.CONFIG).is_file():
        return _serve(models.load_model(model), flip)
    return _open_saved_model(path, flip)


def _serve(model, flip):
    server = serving.serve(model, flip=flip)
    facts = provenance.of(model)
    # A bound method of a tf.function does not keep the server alive.
    if server.codec.finds_everybody:
        return _finder(
            lambda image: server.image(image), server.skeleton, facts
        )
    return Engine(
        _of_one(lambda *inputs: server.images_people(*inputs)),
        _in_numpy(lambda *inputs: server.images(*inputs)),
        server.skeleton,
        facts,
    )


def _finder(function, skeleton, facts):
    """An `Engine` of a function from a photograph to everybody in it."""
    return Engine(
        None,
        None,
        skeleton,
        facts,
        lambda image: everybody.poses_of(function(image)),
    )


def _open_saved_model(path, flip):
    """`open_model` of a SavedModel."""
    description = path / provenance.DESCRIPTION
    if not description.is_file():
        raise ValueError(
            f"{path} is neither a model nor an export: it has no "
            f"{provenance.CONFIG} and no {description.name}. Write one with "
            "python -m keras_pose.export"
        )
    skeleton, facts, whole = _read(
        untrusted.read_json(description), description, flip, path
    )
    if not (path / "saved_model.pb").is_file():
        names = sorted(entry.name for entry in path.iterdir())
        raise ValueError(
            f"{path} is no SavedModel: expected one of the exports in it, "
            f"{', '.join(names[:9])}"
        )
    try:
        loaded = tf.saved_model.load(str(path)).signatures
        names = [name.decode() for name in loaded["names"]()["names"].numpy()]
        signature = loaded["image" if whole else "images"]
        people = loaded.get("images_people")  # none: an earlier version
    except Exception as error:  # TensorFlow raises anything on a damaged one
        raise ValueError(
            f"{path} cannot be used: {untrusted.first_line(error)}"
        ) from None
    if tuple(names) != skeleton.joints:
        raise ValueError(
            f"{path}: its graph finds {', '.join(names)}, but "
            f"{description.name} lists {', '.join(skeleton.joints)}"
        )

    if whole:
        return _finder(lambda image: signature(image=image), skeleton, facts)

    def find(images, boxes):
        return signature(images=images, boxes=boxes)

    def find_people(images, boxes, index):
        if people:
            return people(images=images, boxes=boxes, photo_index=index)
        return find(tf.tile(images, (len(boxes), 1, 1, 1)), boxes)

    return Engine(_of_one(find_people), _in_numpy(find), skeleton, facts)


def _in_numpy(function):
    """A function of arrays that returns a dict of arrays."""

    def call(*inputs):
        found = function(*map(tf.constant, inputs))
        return {name: value.numpy() for name, value in found.items()}

    return call


def _of_one(function):
    """A function of photographs, boxes and index as one of a photograph."""
    call = _in_numpy(function)
    return lambda image, boxes: call(
        image[None], boxes, np.zeros(len(boxes), "int32")
    )


def _open_file(path, flip):
    """`open_model` of a file of another runtime."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected an export")
    extra, opened = OPENERS[path.suffix]
    need(extra, {RUNTIMES[extra]})
    try:
        one, description = opened(path)
    except Exception as error:  # a runtime raises anything on a damaged file
        raise ValueError(
            f"{path} cannot be used: {untrusted.first_line(error)}"
        ) from None
    if not description:
        raise ValueError(
            f"{path} is not from an export: it does not say what it finds"
        )
    content = untrusted.parse_json(description.encode(), path)
    skeleton, facts, whole = _read(content, path, flip, path)

    def run(**inputs):
        try:
            return one(**inputs)
        except Exception as error:  # some damage is found only now
            raise ValueError(
                f"{path} cannot be used: {untrusted.first_line(error)}"
            ) from None

    if whole:
        return _finder(lambda image: run(image=image), skeleton, facts)

    def each(images, boxes):
        pairs = zip(images, np.asarray(boxes, "float32"), strict=True)
        found = [run(image=image, box=box) for image, box in pairs]
        return {n: np.stack([every[n] for every in found]) for n in found[0]}

    return Engine(
        lambda image, boxes: each([image] * len(boxes), boxes),
        each,
        skeleton,
        facts,
    )


def _open_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    return interpreter.get_signature_runner(), _described(path)


def _described(path):
    """The description in a .tflite file; None without one."""
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    model = schema.Model.GetRootAs(content)
    for number in range(model.MetadataLength()):
        entry = model.Metadata(number)
        if entry.Name() == KEY.encode():
            buffer = model.Buffers(entry.Buffer())
            start = buffer.Offset()  # if not 0: behind the model, as of int8
            if start:
                return content[start : start + buffer.Size()].decode()
            return buffer.DataAsNumpy().tobytes().decode()
    return None


def _open_onnx(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def one(**inputs):
        found = session.run(names, inputs)
        return dict(zip(names, found, strict=True))

    return one, session.get_modelmeta().custom_metadata_map.get(KEY)


def _open_openvino(path):
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path))
    where = [KEY, "description"]
    has = model.has_rt_info(where)
    description = model.get_rt_info(where).astype(str) if has else None
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    names = [output.any_name for output in compiled.outputs]

    def one(**inputs):
        found = compiled(inputs)
        return {name: np.array(found[name]) for name in names}

    return one, description


OPENERS = {
    ".tflite": ("litert", _open_litert),
    ".onnx": ("onnx", _open_onnx),
    ".xml": ("openvino", _open_openvino),
}
"""Suffix -> extra that it needs, and function."""
RUNTIMES = {
    "litert": "ai_edge_litert",
    "onnx": "onnxruntime",
    "openvino": "openvino",
}
"""Module that runs the files of an extra."""


def _read(description, place, flip, path):
    """The skeleton and the provenance of an export's description, and whether
    it finds everybody.

    Args:
        description: the content of serving.json.
        place: where it is from, for errors.
        flip: whether the export must average with the mirrored picture.
        path: of the export.
    """
    try:
        skeleton = skeletons.find(description["skeleton"])
        has_flip = description["flip"]
        facts = description.get("provenance", {})  # none: an earlier version
        provenance.to_json(facts)
        whole = description.get("finds_everybody", False)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{place} is not from an export: problem with {error}"
        ) from None
    if flip and not has_flip:
        raise ValueError(
            f"{path} was exported without --flip: export again with it, or "
            "give the .keras file"
        )
    return skeleton, facts, whole
