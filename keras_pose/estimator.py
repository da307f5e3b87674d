"""A model that finds the joints of people in photographs of any kind.

`keras_pose.load_model` returns one:

    import keras_pose

    model = keras_pose.load_model("best.keras")
    people = model.predict_photo("photo.jpg", boxes=[(120, 40, 200, 460)])
    print(people.joints, people.scores, people.missing)
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_pose import engines, photographs, untrusted
from keras_pose.data import photograph, sampling
from keras_pose.inference import suppress
from keras_pose.people import Poses

SMALLEST = 8
"""Least side of a photograph, pixels."""
BATCH = 16
"""Most people at once."""
PIXELS = 2**25
"""Most pixels of pictures at once, if it is more than one picture."""


class Estimator:
    """Finds the joints of people in boxes, with a model that is built once.

    A model that finds everybody needs no boxes.

    Args:
        model: path of a .keras file, of the folder of a published model or of
            an export (a SavedModel, .tflite, .onnx or .xml); hf://user/model;
            or a `models.model.PoseModel`.
        flip: average with the mirrored picture; an export needs it as well.

    Attributes:
        skeleton: the `skeletons.Skeleton`, whose `joints` are their names.
        provenance: what is known of the model, see `keras_pose.provenance`.
        finds_everybody: whether it takes no boxes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, or no model of this suite.
    """

    def __init__(self, model, flip=False):
        self.engine = engines.open_model(model, flip)
        self.skeleton = self.engine.skeleton
        self.provenance = self.engine.provenance
        self.finds_everybody = self.engine.find is not None

    def predict_photo(self, photo, boxes=None):
        """Finds the joints of people in a photograph.

        Args:
            photo: path of a JPEG, PNG, GIF or BMP, whose EXIF orientation is
                applied; its bytes; or upright pixels (H, W, 3) uint8 RGB.
            boxes: (N, 4) x, y, width, height in pixels of the upright
                photograph, or (N, 5) with the detector's score of each box.
                None: one person, who fills the picture; or everybody.

        Returns:
            `people.Poses` of the N people: joints (N, K, 2) x, y in pixels,
            (0, 0) being the centre of the first pixel, NaN for those that a
            model that finds everybody has not found; scores (N, K); missing
            (N, K) bool; score (N,) of each person; box (N, 4); and occluded
            (N, K) bool if the model predicts it, else None.

        Raises:
            FileNotFoundError: no such photograph.
            ValueError: it cannot be read, or a box cannot hold a person.
        """
        if isinstance(photo, (str, Path)):
            return self.locate(read(photo), boxes, photo)
        if isinstance(photo, bytes):
            return self.locate(decode(photo), boxes)
        image = np.asarray(photo)
        if image.dtype != "uint8" or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                "a photograph must be a path, bytes or (H, W, 3) uint8 pixels, "
                f"got {_described(photo)}"
            )
        _check_size(image, "the photograph")
        return self.locate(image, boxes)

    def locate(self, image, boxes=None, path="the photograph"):
        """`predict_photo` of upright pixels; `path` is what errors name."""
        if self.finds_everybody:
            if boxes is not None:
                raise ValueError(
                    f"{path}: the model finds everybody and takes no boxes"
                )
            return self.engine.find(image)
        rows = check_boxes(boxes, image.shape[:2], path)
        parts = []
        for start in range(0, len(rows), BATCH):
            few = rows[start : start + BATCH, :4].astype("float32")
            parts.append(self.engine.locate(image, few))
        return self._poses(parts, rows)

    def predict_frames(self, images, boxes):
        """Finds the joints of people in several pictures of one size.

        Args:
            images: list of upright pictures (H, W, 3) uint8 RGB.
            boxes: list of the boxes in each, as in `predict_photo`.

        Returns:
            list of the `people.Poses` in each picture.
        """
        if self.finds_everybody:
            return [
                self.locate(image, some, f"picture {number}")
                for number, (image, some) in enumerate(
                    zip(images, boxes, strict=True)
                )
            ]
        rows = [
            check_boxes(some, image.shape[:2], f"picture {number}")
            for number, (image, some) in enumerate(
                zip(images, boxes, strict=True)
            )
        ]
        counts = [len(some) for some in rows]
        owners = np.repeat(np.arange(len(images)), counts)
        rows = np.concatenate(rows)
        step = at_once(images[0].shape[:2])
        parts = []
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            few = np.stack([images[owner] for owner in owners[some]])
            inputs = few, rows[some, :4].astype("float32")
            parts.append(self.engine.each(*inputs))
        poses = self._poses(parts, rows)
        numbers = np.split(np.arange(len(rows)), np.cumsum(counts)[:-1])
        return [poses.take(some) for some in numbers]

    def _poses(self, parts, rows):
        """`Poses` of the outputs of several calls for boxes (N, 5)."""
        count = len(self.skeleton.joints)
        outputs = {
            "joints": np.zeros((0, count, 2), "float32"),
            "scores": np.zeros((0, count), "float32"),
            "missing": np.zeros((0, count), bool),
        }
        if parts:
            outputs = {
                name: np.concatenate([part[name] for part in parts])
                for name in parts[0]
            }
        return Poses(
            **outputs,
            person=np.full(len(rows), -1),
            score=suppress.rescore(rows[:, 4], outputs["scores"]),
            box=rows[:, :4],
        )


def at_once(size):
    """How many pictures of (height, width) are held at once."""
    return min(BATCH, max(1, PIXELS // (size[0] * size[1])))


def read(path):
    """A photograph's upright pixels (H, W, 3) uint8 RGB; a GIF's first frame.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, a damaged, truncated or tiny one, or one of
            more than `records.PIXELS`.
    """
    try:
        encoded = untrusted.read_file(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: expected a photograph"
        ) from None
    return decode(encoded, path)


def decode(encoded, path="the photograph"):
    """As `read`, of bytes; `path` is what errors name."""
    try:
        photograph.check_frames(encoded)
        image = photograph.decode(tf.constant(encoded)).numpy()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except tf.errors.OpError as error:
        if photograph.TOO_LARGE in error.message:
            raise ValueError(f"{path}: {photograph.TOO_LARGE}") from None
        kind = next(
            (k for k, is_so in photographs.KINDS.items() if is_so(encoded)),
            None,
        )
        raise ValueError(
            f"{path} is {kind}: convert it to JPEG or PNG"
            if kind
            else f"{path} is not an image that can be read: expected a "
            "complete JPEG, PNG, GIF or BMP"
        ) from None
    _check_size(image, path)
    return image


def check_boxes(boxes, size, path):
    """Boxes as (N, 5) float64: x, y, width, height, score.

    Args:
        boxes: (N, 4) or (N, 5); None: one, the whole picture.
        size: (height, width) of the picture.
        path: what errors name.

    Raises:
        ValueError: another shape, or a box that cannot hold a person.
    """
    if boxes is None:
        boxes = [(0, 0, *size[::-1])]
    try:
        rows = np.asarray(boxes, "float64")
    except (TypeError, ValueError):
        rows = np.zeros(())
    if not rows.size:
        rows = rows.reshape(0, 5)
    if rows.ndim != 2 or rows.shape[1] not in (4, 5):
        raise ValueError(
            f"{path}: boxes must be (N, 4) x, y, width, height, or (N, 5) with "
            f"a score, got {_described(boxes)}"
        )
    for row in rows:
        check_box(row[:4], size, path)
    return np.hstack([rows, np.ones((len(rows), 1))])[:, :5]


def check_box(box, size, path):
    """ValueError if a box cannot hold a person of a picture (height, width)."""
    height, width = size
    x, y, w, h = box
    what = f"x, y, width, height, got {' '.join(f'{v:g}' for v in box)}"
    if not np.isfinite(box).all():
        raise ValueError(f"{path}: the box must be four numbers {what}")
    if w <= 0 or h <= 0:
        raise ValueError(f"{path}: the box must have an area: {what}")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ValueError(
            f"{path}: the box lies outside the picture, which is "
            f"{width} x {height}: {what}"
        )
    most = sampling.BOX_RATIO * max(width, height)
    if not 1 <= max(w, h) <= most:
        raise ValueError(
            f"{path}: the box must have a longer side of 1 to {most:,} pixels: "
            f"{what}"
        )


def _check_size(image, path):
    if min(image.shape[:2]) < SMALLEST:
        raise ValueError(
            f"{path} must have at least {SMALLEST} x {SMALLEST} pixels, got "
            f"{image.shape[1]} x {image.shape[0]}"
        )


def _described(value):
    """The shape and kind of an array, or the type of what is none."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{tuple(value.shape)} {value.dtype}"
    return f"{value!r:.80}"
