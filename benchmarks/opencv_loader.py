"""The loader that `input_pipeline.py` is compared with, as the field writes it.

One Python function per person: read the whole JPEG, `cv2.warpAffine` to the
crop, colour noise, one Gaussian after the other into a float32 array. Worker
processes fill batches in shared memory, so that no picture is pickled.
"""

import multiprocessing
import time
from dataclasses import dataclass

import cv2
import numpy as np

SIGMA = 1.0
"""Width of the Gaussians, heatmap pixels."""
STRIDE = 4
"""Pixels of the crop per heatmap pixel."""


@dataclass(frozen=True)
class Sample:
    """One person in one picture file, and what chance does to them."""

    path: str
    matrix: np.ndarray
    """(2, 3), picture -> crop."""
    gain: np.ndarray
    """(3,) factor on red, green, blue."""
    joints: np.ndarray
    """(K, 2) x, y in the picture."""
    order: np.ndarray
    """(K,) which joint stands where, after a flip."""


def load(sample, size, image, targets):
    """Fills image (H, W, 3), targets (K, H / 4, W / 4); returns joints."""
    height, width = size
    picture = cv2.imread(sample.path)
    crop = cv2.warpAffine(picture, sample.matrix, (width, height))
    crop = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).astype("float32")
    image[:] = np.clip(crop * sample.gain + 0.5, 0, 255)
    joints = sample.joints @ sample.matrix[:, :2].T + sample.matrix[:, 2]
    joints = joints[sample.order]
    for target, joint in zip(targets, joints, strict=True):
        draw(target, (joint + 0.5) / STRIDE - 0.5)
    return joints


def draw(target, point):
    """A Gaussian in the 7 x 7 window around `point`, as in Simple Baselines."""
    target[:] = 0
    radius = int(3 * SIGMA)
    height, width = target.shape
    column, row = np.round(point).astype(int)
    left, right = max(column - radius, 0), min(column + radius + 1, width)
    top, bottom = max(row - radius, 0), min(row + radius + 1, height)
    if left >= right or top >= bottom:
        return
    x = np.arange(left, right) - point[0]
    y = np.arange(top, bottom)[:, None] - point[1]
    target[top:bottom, left:right] = np.exp(-(x**2 + y**2) / (2 * SIGMA**2))


class Loader:
    """Batches made by `workers` processes; as many are under way as fit."""

    def __init__(self, batches, size, workers):
        context = multiprocessing.get_context("spawn")
        count, joints = len(batches[0]), len(batches[0][0].joints)
        height, width = size
        shapes = (
            (count, height, width, 3),
            (count, joints, height // STRIDE, width // STRIDE),
        )
        slots = [
            (
                context.RawArray("B", int(np.prod(shapes[0]))),
                context.RawArray("f", int(np.prod(shapes[1]))),
            )
            for _ in range(2 * workers)
        ]
        self._pool = context.Pool(
            workers, _start, (batches, size, slots, shapes)
        )
        self._slots = len(slots)
        self._batches = len(batches)

    def run(self, first, count):
        """Makes `count` batches; returns when the last one is there.

        Returns:
            CPU seconds of the worker processes.
        """
        waiting, seconds = [], 0.0
        for number in range(first, first + count):
            if len(waiting) == self._slots:
                seconds += waiting.pop(0).get()
            task = number % self._batches, number % self._slots
            waiting.append(self._pool.apply_async(_make, task))
        return seconds + sum(result.get() for result in waiting)

    def close(self):
        self._pool.terminate()
        self._pool.join()


def _start(batches, size, slots, shapes):
    global _state
    cv2.setNumThreads(0)  # the processes are the parallelism
    arrays = [
        (
            np.frombuffer(images, "uint8").reshape(shapes[0]),
            np.frombuffer(targets, "float32").reshape(shapes[1]),
        )
        for images, targets in slots
    ]
    _state = batches, size, arrays


def _make(number, slot):
    start = time.process_time()
    batches, size, arrays = _state
    images, targets = arrays[slot]
    for index, sample in enumerate(batches[number]):
        load(sample, size, images[index], targets[index])
    return time.process_time() - start
