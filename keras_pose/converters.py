"""Converters to the files of other runtimes: LiteRT, ONNX, OpenVINO.

Each takes a `portable.Network` and writes its function `image`, with a
description inside the file. A file may be wrong although nothing was raised:
compare it with the model (`keras_pose.agreement`).
"""

import importlib
import json
import logging
import re

import numpy as np
import tensorflow as tf

SUFFIXES = {"litert": ".tflite", "onnx": ".onnx", "openvino": ".xml"}
"""Of each format's file; OpenVINO's has a .bin beside it."""
KEY = "keras_pose"
"""Name of the description in a file."""
OPSET = 18
"""Of ONNX."""
LARGE = 1024
"""Values of an array from which on `half` stores it as float16."""
NEEDED = {
    "onnx": {"onnx", "onnxruntime", "tf2onnx"},
    "openvino": {"openvino"},
    "litert": {"ai_edge_litert"},
    "int8": {"litert_quantizer"},
}
"""Modules that each extra brings; ONNX Runtime quantises by itself."""
WEIGHTED = {"Conv", "Gemm", "MatMul"}
"""Operations of ONNX that compute in 8-bit integers."""


def need(extra, modules=None):
    """Raises ValueError unless the modules of an extra can be imported."""
    for name in sorted(modules or NEEDED[extra]):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ValueError(
                f"{name} cannot be imported ({error}): pip install "
                f"'keras_pose[{extra}]'"
            ) from None


def to_litert(locator, path, description, half=False):
    """Writes a .tflite file, with LiteRT's own operations only."""
    module = tf.Module()  # without one the file has no names of inputs
    module.image = locator.image
    graph = locator.image.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(_described(converter.convert(), description))


def _described(content, description):
    """The bytes of a .tflite file with a description among its metadata."""
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    model = schema.ModelT.InitFromPackedBuf(content)
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = KEY, len(model.buffers)
    buffer.data = np.frombuffer(json.dumps(description).encode(), "uint8")
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def to_onnx(locator, path, description, half=False):
    """Writes an .onnx file."""
    need("onnx")
    import onnx
    import tf2onnx
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    patch_tf2onnx()  # for numpy 2
    signature = locator.image.input_signature
    model, _ = tf2onnx.convert.from_function(
        locator.image, signature, opset=OPSET
    )
    _join_biases(model.graph)
    if half:
        _halve(model.graph)
    onnx.helper.set_model_props(model, {KEY: json.dumps(description)})
    onnx.save(model, str(path))


def _join_biases(graph):
    """Adds up the biases of a convolution that has two.

    Keras adds maps of a single cell as a bias, and tf2onnx gives that to a
    convolution which has one already.
    """
    import onnx

    for node in [n for n in graph.node if n.op_type == "Conv"]:
        biases = node.input[2:]
        if len(biases) > 1:
            total = f"{node.output[0]}_biases"
            added = onnx.helper.make_node("Add", biases, [total])
            graph.node.insert([*graph.node].index(node), added)
            node.input[2:] = [total]


def _halve(graph):
    """Stores large float32 arrays as float16, cast when the file is read."""
    import onnx

    casts = []
    for array in graph.initializer:
        values = onnx.numpy_helper.to_array(array)
        if values.dtype == np.float32 and values.size >= LARGE:
            name = array.name
            half = onnx.numpy_helper.from_array(
                values.astype("float16"), f"{name}_half"
            )
            array.CopyFrom(half)
            casts.append(
                onnx.helper.make_node(
                    "Cast", [half.name], [name], to=onnx.TensorProto.FLOAT
                )
            )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def to_openvino(locator, path, description, half=False):
    """Writes an .xml file and a .bin beside it."""
    need("openvino")
    import openvino

    model = openvino.convert_model(locator.image.get_concrete_function())
    model.set_rt_info(json.dumps(description), [KEY, "description"])
    openvino.save_model(model, str(path), compress_to_fp16=half)


CONVERTERS = {"litert": to_litert, "onnx": to_onnx, "openvino": to_openvino}


def _litert_int8(source, path, name, inputs):
    """As `to_int8`, with LiteRT's quantiser."""
    from litert_quantizer import qtyping, quantizer

    quantizer = quantizer.Quantizer(str(source))
    quantizer.add_static_config(
        f"{re.escape(name)}.*", qtyping.TFLOperationName.ALL_SUPPORTED, 8, 8
    )
    ranges = quantizer.calibrate({"serving_default": inputs}, num_threads=2)
    quantizer.quantize(ranges).export_model(str(path), overwrite=True)


def _onnx_int8(source, path, name, inputs):
    """As `to_int8`, with ONNX Runtime's quantiser: a scale for each channel."""
    import onnx
    from onnxruntime import quantization

    nodes = [
        node.name
        for node in onnx.load(str(source)).graph.node
        if node.op_type in WEIGHTED
        and any(each.startswith(name) for each in (*node.input, *node.output))
    ]
    logging.disable(logging.WARNING)  # it would rather fuse norms: they are
    try:
        quantization.quantize_static(
            str(source),
            str(path),
            _Reader(inputs),
            nodes_to_quantize=nodes,
            per_channel=True,
        )
    finally:
        logging.disable(logging.NOTSET)


class _Reader(list):
    """Inputs as ONNX Runtime's quantiser reads them: the next one, or None."""

    def get_next(self):
        return self.pop() if self else None


QUANTISERS = {"litert": _litert_int8, "onnx": _onnx_int8}


def to_int8(kind, source, path, name, people):
    """Writes a file whose network computes in 8-bit integers.

    Crop and decoding stay float32: pixels of a photograph do not fit 8 bits.

    Args:
        kind: of `QUANTISERS`.
        source: a float32 file of that kind; its description is kept.
        path: of the file to write.
        name: of the Keras model: the scope of what is quantised.
        people: list of pairs of a photograph and a box, which set the ranges.
    """
    inputs = [{"image": image, "box": box} for image, box in people]
    QUANTISERS[kind](source, path, name, inputs)
