"""From an annotated photograph to a record: the crop that holds one person.

A crop covers the strongest augmentation and is bounded in pixels, so training
never decodes a full photograph. The settings that all converters share are here
too.
"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from keras_pose import geometry, untrusted
from keras_pose.data import photograph as photographs
from keras_pose.data.records import (
    Person,
    Picture,
    jpeg_damage,
    jpeg_size,
    too_large,
)
from tfrecords import shards

CONTEXT = 2.0
"""Side of the crop / side of the square around the person. The strongest
augmentation of any paper, as square as it is high, zooms out by 2^0.5 and turns
by 45 degrees, which needs another 2^0.5 (Newell's code: scale 2^(+-0.5),
rotation up to 60 degrees). Stronger flags, or an input wider than high, show
black beside the crop; training says so (`Augmentation.context`)."""

LARGEST_SQUARE = 100
"""Largest side of a person's square / longer side of the photograph."""

JPEG_QUALITY = 90
"""Of crops, 0 to 100. A whole photograph keeps its own bytes."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Source and output."""

    source: Path
    """Folder or file of the annotations."""
    output: Path
    """Folder for the shards and dataset.json."""
    person_pixels: int = 256
    """Largest side of the stored square around a person, pixels."""
    whole_images: bool = False
    """Keep each person's whole photograph instead of a crop."""
    allow_missing: bool = False
    """Leave out people whose image is missing or unusable."""
    workers: int | None = None
    """Processes; one per core if not given."""


def save(config, tasks, *, make=None, unplaced=(), **description):
    """Writes the crops of `tasks`.

    Args:
        config: a `Config`.
        tasks: {split: [(path, people)]}, the first arguments of `cut`; source
            and size may follow.
        make: another function that makes a `Picture` of a task.
        unplaced: names of annotated people without centre and scale; they are
            left out, printed and listed in dataset.json.
        **description: passed on to `shards.save`.
    """
    folders = {path.parent for items in tasks.values() for path, *_ in items}
    if folders and not any(map(os.path.isdir, folders)):
        names = ", ".join(sorted(map(str, folders)))
        raise FileNotFoundError(f"no such folder of images: {names}")
    if unplaced:
        print(f"{len(unplaced):,} people cannot be placed:")
        print(*unplaced, sep="\n")
    whole = config.whole_images or make is not None
    make = make or partial(
        _make,
        person_pixels=config.person_pixels,
        whole_images=config.whole_images,
    )
    return shards.save(
        config.output,
        tasks,
        make,
        workers=config.workers,
        allow_missing=config.allow_missing,
        unplaced=list(unplaced),
        context=None if whole else CONTEXT,
        **description,
    )


def _make(task, **settings):
    path, people, *known = task
    known = dict(zip(("source", "size"), known, strict=False))
    return cut(path, people, **settings, **known)


def cut(path, people, person_pixels, whole_images=False, source="", size=None):
    """Reads a photograph and makes the record of one person in it.

    Args:
        path: JPEG file or, with a size, any photograph.
        people: `records.Person`s in the photograph's pixels, the subject first;
            the others are kept if any part of them lies in the crop.
        person_pixels: the subject's square, with a side of 200 * scale pixels,
            is reduced to this side; never enlarged.
        whole_images: keep the photograph as it is.
        source: what identifies the photograph; by default the file's name.
        size: (height, width) that the annotators saw, see `read_photograph`;
            None: the stored pixels of a JPEG, whatever its EXIF says.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a whole JPEG, or people that do not belong to it.
    """
    path = Path(path)
    encoded, image = read_photograph(path, size) if size else read_jpeg(path)
    size = image.shape[:2]
    for person in people:
        _check(person, path, size)
    left, top, right, bottom = _window(people[0], size)
    side = people[0].scale * geometry.PERSON_PIXELS
    zoom = min(1, person_pixels / side)
    if whole_images:
        left, top, right, bottom, zoom = 0, 0, size[1], size[0], 1
    height, width = bottom - top, right - left
    target = max(1, round(height * zoom)), max(1, round(width * zoom))
    matrix = geometry.resize_matrix((height, width), target)
    matrix[:, 2] -= matrix[:, :2] @ [left, top]
    if target != size or encoded is None:
        encoded = encode(image[top:bottom, left:right], target)
    subject, *others = (person.moved(matrix) for person in people)
    return Picture(
        encoded=encoded,
        size=target,
        people=(subject, *(p for p in others if _is_inside(p, target))),
        source=source or path.name,
        matrix=geometry.invert(matrix),
    )


def person_from_joints(joints, flags, name):
    """A person with known joints only: centre and scale from their padded box.

    Args:
        joints: (K, 2) in pixels.
        flags: (K,) COCO's v.
        name: of the person, for errors.

    Raises:
        ValueError: the labelled joints span no box.
    """
    labelled = joints[flags > 0]
    if len(np.unique(labelled, axis=0)) < 2:
        raise ValueError(f"{name}: fewer than 2 labelled joints")
    corner = labelled.min(axis=0)
    box = (*corner, *(labelled.max(axis=0) - corner + 1))
    center, scale = geometry.box_to_center_scale(box)
    return Person(joints, flags, center, scale, box=box, name=name)


def read_jpeg(path):
    """The bytes of a JPEG file and its pixels (H, W, 3) uint8, BGR.

    The EXIF orientation is ignored, as in the annotators' tools and TensorFlow.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as `decode_jpeg`, with the path; or not readable: a folder,
            a pipe, a loop of links, no permission.
    """
    encoded = untrusted.read_file(path)
    try:
        return encoded, decode_jpeg(encoded)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_photograph(path, size):
    """A photograph as its annotators saw it, of (height, width) `size`.

    It is turned upright, as EXIF says and viewers and most tools show it; where
    only the stored pixels have this size, they are taken.

    Args:
        path: of a JPEG, PNG, GIF or BMP.
        size: (height, width).

    Returns:
        the bytes of a JPEG, None if it must be encoded again, and its pixels
        (H, W, 3) uint8, BGR.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as `read_jpeg`, or of another size.
    """
    encoded = untrusted.read_file(path)
    stored = None
    if encoded.startswith(photographs.JPEG):
        encoded, stored = read_jpeg(path)
    image = _upright(encoded, path)
    if stored is not None and (
        np.array_equal(stored, image)
        or (image.shape[:2] != tuple(size) == stored.shape[:2])
    ):
        image = stored
    if image.shape[:2] != tuple(size):
        raise ValueError(
            f"{path} has {image.shape[1]} x {image.shape[0]} pixels, but its "
            f"annotations are of {size[1]} x {size[0]}: a resized copy?"
        )
    return encoded if image is stored else None, image


def _upright(encoded, path):
    """Upright pixels (H, W, 3) uint8, BGR, of any photograph."""
    try:
        photographs.check_frames(encoded)
        return photographs.decode(tf.constant(encoded)).numpy()[..., ::-1]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except tf.errors.OpError as error:
        reason = "expected a complete JPEG, PNG, GIF or BMP"
        if photographs.TOO_LARGE in error.message:
            reason = photographs.TOO_LARGE
        raise ValueError(f"{path}: {reason}") from None


def upright_size(path):
    """(height, width) of an upright photograph, from its header.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a photograph.
    """
    encoded = untrusted.read_file(path)
    stored = jpeg_size(encoded)
    if stored is None:
        stored = tuple(photographs.size_of(tf.constant(encoded)).numpy())
    if not min(stored):  # a BMP, or none of these
        return _upright(encoded, path).shape[:2]
    size, _ = photographs.upright(tf.constant(stored), tf.constant(encoded))
    return tuple(size.numpy().tolist())


def decode_jpeg(encoded):
    """The pixels (H, W, 3) uint8, BGR, of a JPEG that training can read.

    Uses the decoder of the input pipeline: OpenCV fills damaged parts with grey
    without an error.

    Raises:
        ValueError: empty, truncated, damaged inside, too large or not a JPEG.
    """
    damage = jpeg_damage(encoded)
    damage = damage or too_large(jpeg_size(encoded) or (0, 0))
    if damage:
        raise ValueError(damage)
    try:
        image = tf.io.decode_jpeg(
            encoded, channels=3, dct_method="INTEGER_ACCURATE"
        )
    except tf.errors.InvalidArgumentError:
        raise ValueError("the JPEG is damaged") from None
    return image.numpy()[..., ::-1]


def _check(person, path, size):
    who = person.name or path.name
    if not np.isfinite(person.joints[person.flags > 0]).all():
        raise ValueError(f"{who}: a labelled joint is NaN or infinite")
    place = [*person.center, person.scale]
    if not np.isfinite(place).all() or person.scale <= 0:
        raise ValueError(
            f"{who}: centre must be finite, with a positive scale, got {place}"
        )
    if person.scale * geometry.PERSON_PIXELS > LARGEST_SQUARE * max(size):
        raise ValueError(
            f"{who}: scale {person.scale:g} gives a square more than "
            f"{LARGEST_SQUARE} times the picture, {size[1]} x {size[0]} pixels"
        )
    if not np.abs(person.center).max() < LARGEST_SQUARE * max(size):
        raise ValueError(
            f"{who}: centre {person.center} lies far outside the picture"
        )


def _window(person, size):
    """left, top, right, bottom of the part of the photograph to keep."""
    side = CONTEXT * person.scale * geometry.PERSON_PIXELS
    start = np.round(person.center - side / 2 + 0.5).astype(int)
    left, top = np.maximum(start, 0).tolist()
    right, bottom = np.minimum(start + round(side), size[::-1]).tolist()
    if left >= right or top >= bottom:
        raise ValueError(
            f"{person.name}: centre {person.center} and scale {person.scale} "
            f"lie outside the picture of {size[1]} x {size[0]} pixels"
        )
    return left, top, right, bottom


def encode(image, target):
    """The JPEG of an image, reduced to `target` (height, width)."""
    if image.shape[:2] != target:
        image = cv2.resize(image, target[::-1], interpolation=cv2.INTER_AREA)
    flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


def _is_inside(person, size):
    """Whether the person's centre or a labelled joint lies in the picture."""
    points = np.vstack([person.joints[person.flags > 0], person.center[None]])
    inside = (points >= -0.5) & (points < np.array(size[::-1]) - 0.5)
    return inside.all(axis=1).any()


def photograph(folder, name, source):
    """Path of a photograph that the annotations `source` name.

    Raises:
        ValueError: the name leads out of the folder.
    """
    try:
        return untrusted.inside(folder, name)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
