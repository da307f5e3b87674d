"""A photograph as it comes from a camera: decoded, upright, cropped to a box.

What is here runs inside a SavedModel: TensorFlow operations only, nothing that
asks for XLA. Evaluation crops with the same matrix and the same warp.
"""

import math

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry
from keras_pose.data import pipeline

EXIF_BYTES = 2**16
"""A JPEG segment is no longer; EXIF is the first one (EXIF 2.3, 4.5.4)."""
ORIENTATION = 0x0112
"""EXIF tag: how to turn the stored picture upright, 1 ... 8."""


def decode(encoded):
    """One JPEG, PNG, GIF or BMP to an upright (H, W, 3) uint8 RGB picture.

    EXIF orientation is applied: coordinates are those of the picture as every
    viewer shows it. Grey becomes three equal channels, an alpha channel is
    dropped, 16 bits become 8, of an animation the first frame counts.

    Args:
        encoded: () string tensor: the file's bytes.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image = tf.ensure_shape(image, (None, None, 3))
    turn = _orientation(encoded)
    image = tf.cond(
        turn > 4, lambda: tf.transpose(image, (1, 0, 2)), lambda: image
    )
    mirrored = tf.reduce_any(turn == [2, 3, 6, 7])
    image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
    upside_down = tf.reduce_any(turn == [3, 4, 7, 8])
    return tf.cond(upside_down, lambda: tf.reverse(image, [0]), lambda: image)


def crop(image, box, size):
    """The person in a box as the network sees it.

    The box's longer side, padded by `geometry.box_to_center_scale`, fills the
    crop's height. A box that is the whole picture is not padded: then the whole
    picture is seen. What lies outside the picture is black.

    Args:
        image: (H, W, 3) uint8.
        box: (4,) float32 x, y, width, height in the picture's pixels.
        size: (height, width) of the crop.

    Returns:
        crop (height, width, 3) uint8, and the matrix (2, 3) that takes its
        pixels to the picture's.
    """
    height, width = size
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    whole = tf.reduce_all(box == tf.stack([0.0, 0.0, shape[1], shape[0]]))
    center, scale = geometry.box_to_center_scale(box, xp=tnp)
    fits = tf.maximum(shape[0], shape[1] * height / width)
    side = tf.where(whole, fits, scale * geometry.PERSON_PIXELS)
    to_crop = geometry.crop_matrix(
        center, side, tf.zeros(()), (float(height), float(width)), xp=tnp
    )
    back = geometry.invert(to_crop, xp=tnp)
    image, ratio = _shrink(image, side / height)
    # Pixel centres: x of the photograph lies at (x + 0.5) / ratio - 0.5.
    middle = tf.reshape(0.5 / ratio - 0.5, (1, 1)) * [[0.0, 0.0, 1.0]]
    small = tf.eye(2, 3) / ratio + middle
    pixels = pipeline.warp(
        tf.reshape(image, (1, -1, 3)),
        tf.shape(image)[None, :2],
        geometry.compose(small, back, xp=tnp)[None],
        tf.ones((1, 3)),
        size,
    )
    return pixels[0], back


def _shrink(image, step):
    """The picture halved as often as the crop would skip every other pixel.

    The pipeline asks the JPEG decoder for the same; here it is the mean of
    blocks, and any power of two, since a camera's pictures are larger.

    Returns:
        (h, w, 3) uint8, and how many pixels of `image` one of it covers.
    """
    halvings = tf.floor(tf.math.log(step) / math.log(2.0) + 1e-4)
    ratio = 2 ** tf.cast(tf.maximum(halvings, 0.0), tf.int32)

    def mean():
        height, width = tf.unstack(tf.shape(image)[:2])
        rows, columns = -(-height // ratio), -(-width // ratio)
        y = tf.minimum(tf.range(rows * ratio), height - 1)
        x = tf.minimum(tf.range(columns * ratio), width - 1)
        blocks = tf.gather(tf.gather(image, y), x, axis=1)
        blocks = tf.reshape(blocks, (rows, ratio, columns, ratio, 3))
        total = tf.reduce_mean(tf.cast(blocks, tf.float32), (1, 3))
        return tf.cast(total + 0.5, tf.uint8)

    return tf.cond(ratio > 1, mean, lambda: image), tf.cast(ratio, tf.float32)


def _orientation(encoded):
    """EXIF orientation 1 ... 8 of encoded bytes; 1 where there is none."""
    data = tf.io.decode_raw(tf.strings.substr(encoded, 0, EXIF_BYTES), tf.uint8)
    data = tf.pad(tf.cast(data, tf.int32), [[0, 16]])
    last = tf.size(data) - 1

    def number(at, size, little):
        """Integer of `size` bytes at each of the places `at`, any shape."""
        index = at[..., None] + tf.range(size)
        digits = tf.gather(data, tf.clip_by_value(index, 0, last))
        digits = tf.where(little, tf.reverse(digits, [-1]), digits)
        return tf.reduce_sum(digits * 256 ** tf.range(size - 1, -1, -1), -1)

    found = tf.ones(tf.shape(data) - 5, tf.bool)
    for offset, byte in enumerate(b"Exif\0\0"):
        found &= data[offset : last - 4 + offset] == byte
    start = tf.cast(tf.argmax(found), tf.int32) + 6
    little = data[tf.minimum(start, last)] == ord("I")
    directory = start + number(start + 4, 4, little)
    count = tf.clip_by_value(number(directory, 2, little), 0, 512)
    entries = directory + 2 + 12 * tf.range(count)
    here = number(entries, 2, little) == ORIENTATION
    values = tf.boolean_mask(number(entries + 8, 2, little), here)
    value = tf.concat([values, [1]], 0)[0]
    known = tf.reduce_any(found) & (value >= 1) & (value <= 8)
    return tf.where(known, value, 1)
