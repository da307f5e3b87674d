"""Pixels of crops: which window of a picture to decode, and how to warp it.

The pipeline warps with OpenCV; `warp` does the same in TensorFlow operations,
for an exported model.
"""

import math

import cv2
import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry

REDUCTIONS = (1, 2, 4, 8)
"""Factors by which a JPEG decoder can shrink a picture."""


def find_window(back, picture, size):
    """The window of each picture that a crop shows, and how far to shrink it.

    Args:
        back: (B, 2, 3), crop -> picture.
        picture: (B, 2) int32, height and width of the pictures.
        size: (height, width) of the crop.

    Returns:
        shrink (B,): index into REDUCTIONS; window (B, 4): top, left, height
        and width in pixels of the shrunken picture; inside (B, 2, 3): crop ->
        window.
    """
    height, width = size
    step = tf.sqrt(tf.abs(tf.linalg.det(back[:, :, :2])))
    halvings = tf.floor(tf.math.log(step) / math.log(2.0) + 1e-4)
    halvings = tf.clip_by_value(halvings, 0.0, len(REDUCTIONS) - 1.0)
    ratio = 2.0**halvings
    # Pixel centres: x of the picture lies at (x + 0.5) / ratio - 0.5.
    small = tf.eye(2, 3) / ratio[:, None, None]
    small += tf.reshape(0.5 / ratio - 0.5, (-1, 1, 1)) * [[0.0, 0.0, 1.0]]
    inside = geometry.compose(small, back, xp=tnp)
    corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
    seen = geometry.move(tf.constant(corners, tf.float32), inside, xp=tnp)
    limit = tf.math.ceil(tf.cast(picture[:, ::-1], tf.float32) / ratio[:, None])
    # The decoder interpolates the colour of a window's outermost columns.
    first = tf.floor(tf.reduce_min(seen, axis=1)) - 1.0
    last = tf.floor(tf.reduce_max(seen, axis=1)) + 3.0
    first = tf.clip_by_value(first, 0.0, limit - 1.0)
    last = tf.clip_by_value(last, first + 1.0, limit)
    inside -= first[:, :, None] * [[0.0, 0.0, 1.0]]
    window = tf.concat([first[:, ::-1], (last - first)[:, ::-1]], axis=-1)
    return tf.cast(halvings, tf.int32), tf.cast(window, tf.int32), inside


def decode_window(encoded, shrink, window):
    """A part of a JPEG (h, w, 3) uint8, as `find_window` says; in any graph."""
    branches = [
        lambda ratio=ratio: tf.io.decode_and_crop_jpeg(
            encoded,
            window,
            channels=3,
            ratio=ratio,
            dct_method="INTEGER_ACCURATE",  # as fast, and as other decoders
        )
        for ratio in REDUCTIONS
    ]
    return tf.switch_case(shrink, branches)


def decode_windows(encoded, shrink, window):
    """The pixels (N, 3) of all windows (B, 4), one window after the other.

    Uses one thread: batches are made in parallel.
    """
    count = tf.shape(window)[0]

    def decode(i, decoded):
        pixels = decode_window(encoded[i], shrink[i], window[i])
        return i + 1, decoded.write(i, tf.reshape(pixels, (-1, 3)))

    empty = tf.TensorArray(
        tf.uint8, count, infer_shape=False, element_shape=(None, 3)
    )
    _, decoded = tf.while_loop(lambda i, _: i < count, decode, (0, empty))
    return decoded.concat()


def cut_out(size, pixels, shape, matrix, gain, source=(), target=(), side=()):
    """Warps windows to crops, bilinearly, with 0 outside the picture.

    Args:
        size: (height, width) of the crops.
        pixels: (N, 3) uint8: the windows one after the other, row by row.
        shape: (B, 2) int, height and width of each window.
        matrix: (B, 2, 3), crop -> window.
        gain: (B, 3) factor on each channel.
        source, target, side: values of `masking.place`, if any: the square
            around source is copied to target.

    Returns:
        (B, height, width, 3) uint8.
    """
    height, width = size
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crops = np.empty((len(shape), height, width, 3), "uint8")
    ends = np.cumsum(np.prod(shape, axis=1))
    for i, window in enumerate(np.split(pixels, ends[:-1])):
        window = window.reshape(*shape[i], 3)
        # OpenCV warps four channels faster than three, even with conversion.
        window = cv2.cvtColor(window, cv2.COLOR_RGB2RGBA)
        crop = cv2.warpAffine(window, matrix[i], (width, height), flags=flags)
        crop = cv2.cvtColor(crop, cv2.COLOR_RGBA2RGB)
        cv2.transform(crop, np.diag(gain[i]), dst=crops[i])
    for crop, *patch in zip(crops, source, target, side, strict=False):
        _copy_patch(crop, *patch)
    return crops


def _copy_patch(crop, source, target, side):
    """Copies a square of `side` pixels inside the crop to another position.

    It moves by whole pixels, so nothing is resampled; pixels outside the crop
    are left out. Side 0 copies nothing.
    """
    first = np.maximum(target - side // 2, 0).astype(int)
    last = np.minimum(target + side // 2 + 1, crop.shape[1::-1]).astype(int)
    if side and (first < last).all():
        (x, y), (right, low) = first, last
        dx, dy = (source - target).astype(int)
        seen = crop[y + dy : low + dy, x + dx : right + dx]
        crop[y:low, x:right] = seen.copy()


def warp(pixels, shape, matrix, gain, size):
    """`cut_out` in TensorFlow operations, for an exported model.

    Values differ from those of `cut_out` by one grey level at most: `cut_out`
    rounds before it multiplies with the gain.

    Args:
        pixels: (B, N, 3) uint8: each window row by row, then anything.
        shape: (B, 2) int32, height and width of each window.
        matrix: (B, 2, 3), crop -> window.
        gain: (B, 3) factor on each channel.
        size: (height, width) of the crops.

    Returns:
        (B, height, width, 3) uint8.
    """
    height, width = size
    batch = tf.shape(pixels)[0]
    x, y = tf.meshgrid(tf.range(float(width)), tf.range(float(height)))
    m = matrix[:, :, :, None, None]
    x, y = (m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] for i in range(2))
    left, top = tf.floor(x), tf.floor(y)
    right, low = x - left, y - top  # weights of these neighbours
    limit = shape[:, :, None, None]
    total = 0.0
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = tf.cast(left, tf.int32) + dx, tf.cast(top, tf.int32) + dy
        known = (column >= 0) & (column < limit[:, 1])
        known &= (row >= 0) & (row < limit[:, 0])
        weight = (right if dx else 1 - right) * (low if dy else 1 - low)
        index = tf.where(known, row * limit[:, 1] + column, 0)
        index = tf.reshape(index, (batch, height * width))
        value = tf.gather(pixels, index, axis=1, batch_dims=1)
        value = tf.reshape(value, (batch, height, width, 3))
        weight = tf.where(known, weight, 0.0)[..., None]
        total += weight * tf.cast(value, tf.float32)
    total *= gain[:, None, None, :]
    return tf.cast(tf.clip_by_value(total + 0.5, 0.0, 255.0), tf.uint8)
