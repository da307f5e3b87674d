"""A photograph as it comes from a camera: decoded, upright, cropped to a box.

What is here runs inside a SavedModel: TensorFlow operations only, nothing that
asks for XLA. Crops come from the same window, decoder and matrix as those of
evaluation. All coordinates are those of the upright picture, as every viewer
shows it: EXIF orientation is one more factor of the matrix.
"""

import math

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry
from keras_pose.data import crop as crops

JPEG = b"\xff\xd8\xff"
"""What a JPEG begins with."""
EXIF_BYTES = 2**16
"""A JPEG segment is no longer; EXIF is the first one (EXIF 2.3, 4.5.4)."""
EXIF = b"Exif\0\0"
"""What that segment begins with."""
ORIENTATION = 0x0112
"""EXIF tag: how to turn the stored picture upright, 1 ... 8."""


def decode(encoded):
    """One JPEG, PNG, GIF or BMP to an upright (H, W, 3) uint8 RGB picture.

    Grey becomes three equal channels, an alpha channel is dropped, 16 bits
    become 8, of an animation the first frame counts.

    Args:
        encoded: () string tensor: the file's bytes.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image = tf.ensure_shape(image, (None, None, 3))
    transposed, mirrored, inverted = _turns(encoded)
    flipped = tf.boolean_mask([0, 1], [inverted, mirrored])
    image = tf.cond(
        transposed, lambda: tf.transpose(image, (1, 0, 2)), lambda: image
    )
    return tf.reverse(image, flipped)


def crop_encoded(encoded, box, size):
    """The person in a box as the network sees it, from the bytes of a file.

    The box's longer side, padded by `geometry.box_to_center_scale`, fills the
    crop's height; in a crop that is higher than wide a wide box fills the width
    instead. A box that is the whole picture is not padded: then the whole
    picture is seen. What lies outside the picture is black.

    Args:
        encoded: () string, as for `decode`.
        box: (4,) float32 x, y, width, height in pixels of the upright picture;
            an assertion in the graph refuses one without area or beside it.
        size: (height, width) of the crop.

    Returns:
        crop (height, width, 3) uint8, and the matrix (2, 3) that takes its
        pixels to the picture's.
    """

    def from_jpeg():
        stored = tf.io.extract_jpeg_shape(encoded)[:2]
        shape, to_stored = _stored(stored, encoded)
        back = _back(box, shape, size)
        inside = geometry.compose(to_stored, back, xp=tnp)
        shrink, window, inside = crops.find_window(
            inside[None], stored[None], size
        )
        pixels = crops.decode_window(encoded, shrink[0], window[0])
        return _sample(pixels, inside[0], size), back

    is_jpeg = tf.strings.substr(encoded, 0, len(JPEG)) == JPEG
    return tf.cond(is_jpeg, from_jpeg, lambda: crop(decode(encoded), box, size))


def crop(image, box, size):
    """`crop_encoded` of an upright picture (H, W, 3) uint8."""
    back = _back(box, tf.shape(image)[:2], size)
    return _sample(image, back, size), back


def _back(box, shape, size):
    """Matrix (2, 3) from a crop's pixels to those of an upright picture."""
    height, width = size
    edge = tf.cast(tf.reverse(shape, [0]), tf.float32)
    good = tf.reduce_all(
        tf.math.is_finite(box)
        & tf.concat([box[:2] < edge, box[2:] > 0], 0)
        & tf.concat([box[:2] + box[2:] > 0, [True, True]], 0)
    )
    wanted = "a box x, y, width, height with an area, over the picture, wanted"
    said = [wanted, "got", box, "height and width of the picture", shape]
    with tf.control_dependencies([tf.debugging.Assert(good, said, 4)]):
        center, scale = geometry.box_to_center_scale(
            box, aspect=min(1, width / height), xp=tnp
        )
    whole = tf.reduce_all(box == tf.concat([[0.0, 0.0], edge], 0))
    fits = tf.maximum(edge[1], edge[0] * height / width)
    side = tf.where(whole, fits, scale * geometry.PERSON_PIXELS)
    matrix = geometry.crop_matrix(
        center, side, tf.zeros(()), (float(height), float(width)), xp=tnp
    )
    return geometry.invert(matrix, xp=tnp)


def _sample(image, inside, size):
    """The crop (height, width, 3) that `inside`, crop -> image, reads.

    Bilinear, 0 beside the image, the pixels of `crops.warp`. But `inside`
    does not rotate, at most it transposes: so only the part of the image that
    the crop shows is touched, its rows are read first and then its columns.

    As far as the JPEG decoder did not, the image is shrunk first: halved as
    often as the crop would skip every other pixel.
    """
    transposed = tf.abs(inside[0, 1]) > tf.abs(inside[0, 0])
    lengths = tf.where(transposed, size[::-1], size)
    shape = tf.shape(image)
    # On each axis, rows first: step and start of the crop's lines.
    steps = tf.reduce_sum(inside[::-1, :2], axis=1)
    halvings = tf.floor(tf.math.log(tf.abs(steps[0])) / math.log(2.0) + 1e-4)
    ratio = 2 ** tf.cast(tf.maximum(halvings, 0.0), tf.int32)
    part = 1 / tf.cast(ratio, tf.float32)
    begins, ends, places = [], [], []
    for axis in (0, 1):
        line = tf.range(tf.cast(lengths[axis], tf.float32))
        line = steps[axis] * line + inside[1 - axis, 2]
        # Pixel centres: x of the image lies at (x + 0.5) / ratio - 0.5.
        line = (line + 0.5) * part - 0.5
        limit = tf.cast(-(-shape[axis] // ratio), tf.float32)
        first = tf.floor(tf.reduce_min(line))
        first = tf.clip_by_value(first, 0.0, limit - 1)
        last = tf.floor(tf.reduce_max(line)) + 2
        last = tf.clip_by_value(last, first + 1, limit)
        begins.append(tf.cast(first, tf.int32) * ratio)
        ends.append(tf.cast(last, tf.int32) * ratio)
        places.append(line - first)
    image = image[begins[0] : ends[0], begins[1] : ends[1]]
    image = tf.cond(ratio > 1, lambda: _mean(image, ratio), lambda: image)
    pixels = _read(_read(image, places[0], 0), places[1], 1)
    pixels = tf.cast(tf.clip_by_value(pixels + 0.5, 0.0, 255.0), tf.uint8)
    pixels = tf.cond(
        transposed, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels
    )
    return tf.ensure_shape(pixels, (*size, 3))


def _read(image, places, axis):
    """Lines of an image (H, W, 3) at `places` (N,) of an axis, float32.

    Between two lines their mean; beyond the first and the last there is 0.
    """
    first = tf.floor(places)
    share = places - first
    limit = tf.shape(image)[axis]
    total = 0.0
    for beside, weight in ((0, 1 - share), (1, share)):
        line = tf.cast(first, tf.int32) + beside
        weight = tf.where((line >= 0) & (line < limit), weight, 0.0)
        weight = weight[:, None] if axis == 0 else tf.repeat(weight, 3)
        line = tf.clip_by_value(line, 0, limit - 1)
        value = tf.gather(image, line, axis=axis)
        rows = tf.shape(value)[0]  # a matrix is multiplied faster
        value = tf.cast(tf.reshape(value, (rows, -1)), tf.float32)
        total += weight * value
    return tf.reshape(total, (rows, -1, 3))


def _mean(image, ratio):
    """Means of blocks of ratio x ratio pixels; the edge is repeated."""
    height, width = tf.unstack(tf.shape(image)[:2])
    rows, columns = -(-height // ratio), -(-width // ratio)
    below = tf.repeat(image[-1:], rows * ratio - height, axis=0)
    image = tf.concat([image, below], axis=0)
    right = tf.repeat(image[:, -1:], columns * ratio - width, axis=1)
    image = tf.concat([image, right], axis=1)
    # One axis at a time, the first over long lines: a quarter of the time.
    lines = tf.reshape(image, (rows, ratio, columns * ratio * 3))
    lines = tf.reduce_sum(tf.cast(lines, tf.float32), axis=1)
    cells = tf.reshape(lines, (rows * columns, ratio, 3))
    mean = tf.reduce_sum(cells, axis=1) / tf.cast(ratio**2, tf.float32)
    return tf.cast(tf.reshape(mean, (rows, columns, 3)) + 0.5, tf.uint8)


def _stored(stored, encoded):
    """How a stored picture of (height, width) `stored` looks upright.

    Returns:
        (height, width) upright, and the matrix (2, 3) from pixels of the
        upright picture to stored ones.
    """
    transposed, mirrored, inverted = _turns(encoded)
    upright = tf.where(transposed, tf.reverse(stored, [0]), stored)
    last = tf.cast(tf.reverse(upright, [0]) - 1, tf.float32)
    back = tf.stack([mirrored, inverted])
    matrix = tf.concat(
        [
            tf.linalg.diag(tf.where(back, -1.0, 1.0)),
            tf.where(back, last, 0.0)[:, None],
        ],
        axis=1,
    )
    return upright, tf.where(transposed, tf.reverse(matrix, [0]), matrix)


def _turns(encoded):
    """What makes a stored picture upright, three () bool.

    In this order: transpose, mirror left to right, turn upside down.
    """
    turn = _orientation(encoded)
    return (
        turn > 4,
        tf.reduce_any(turn == [2, 3, 6, 7]),
        tf.reduce_any(turn == [3, 4, 7, 8]),
    )


def _orientation(encoded):
    """EXIF orientation 1 ... 8 of encoded bytes; 1 where there is none."""
    head = tf.strings.substr(encoded, 0, EXIF_BYTES)
    parts = tf.strings.split([head], EXIF, maxsplit=1).flat_values
    return tf.cond(
        tf.size(parts) > 1, lambda: _tagged(parts[1]), lambda: tf.constant(1)
    )


def _tagged(encoded):
    """The same of TIFF's bytes: what follows EXIF's mark."""
    data = tf.io.decode_raw(tf.strings.join([encoded, bytes(16)]), tf.uint8)
    data = tf.cast(data, tf.int32)
    last = tf.size(data) - 1

    def number(at, size, little):
        """Integer of `size` bytes at each of the places `at`, any shape."""
        index = at[..., None] + tf.range(size)
        digits = tf.gather(data, tf.clip_by_value(index, 0, last))
        digits = tf.where(little, tf.reverse(digits, [-1]), digits)
        return tf.reduce_sum(digits * 256 ** tf.range(size - 1, -1, -1), -1)

    little = data[0] == ord("I")
    directory = number(tf.constant(4), 4, little)
    count = tf.clip_by_value(number(directory, 2, little), 0, 512)
    entries = directory + 2 + 12 * tf.range(count)
    here = number(entries, 2, little) == ORIENTATION
    values = tf.boolean_mask(number(entries + 8, 2, little), here)
    value = tf.concat([values, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)
