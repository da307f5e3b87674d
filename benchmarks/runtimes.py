"""Exported files opened by their runtimes alone: start-up to the first joints.

`benchmarks.inference` calls `main` in a new process for each. Nothing of
keras_pose is imported, as in a program that only uses an export.
"""

import time

import numpy as np

SHAPE = (172, 272)
"""Height and width of the first photograph."""


def open_torch(path):
    """The same network with new weights; an image to maps of a crop."""
    import cv2
    import torch

    from benchmarks import torch_hourglass

    filters, joints, size = np.load(path)["sizes"]
    network = torch_hourglass.StackedHourglass(int(filters), int(joints)).eval()

    def locate(image, box):
        crop = cv2.resize(image, (int(size), int(size)))
        pixels = torch.from_numpy(crop).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            return network(pixels).numpy()

    return locate


def open_saved_model(path):
    """(image (H, W, 3) uint8, box (4,)) -> joints (K, 2), as the others."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    image_and_box = loaded.signatures["image"]

    def locate(image, box, loaded=loaded):  # kept alive with its signature
        found = image_and_box(image=tf.constant(image), box=tf.constant(box))
        return found["joints"].numpy()

    return locate


def open_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(path).get_signature_runner()
    return lambda image, box: run(image=image, box=box)["joints"]


def open_onnx(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options)
    return lambda image, box: session.run(
        ["joints"], {"image": image, "box": box}
    )[0]


def open_openvino(path):
    import openvino

    compiled = openvino.Core().compile_model(
        path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda image, box: np.array(
        compiled({"image": image, "box": box})["joints"]
    )


OPEN = {
    "torch": open_torch,
    "saved_model": open_saved_model,
    "litert": open_litert,
    "onnx": open_onnx,
    "openvino": open_openvino,
}


def main(kind, path):
    """Prints seconds, and of the processor, from the start to the joints."""
    height, width = SHAPE
    box = np.float32([0, 0, width, height])
    start = time.perf_counter()
    OPEN[kind](path)(np.zeros((*SHAPE, 3), "uint8"), box)
    print(time.perf_counter() - start, time.process_time())
