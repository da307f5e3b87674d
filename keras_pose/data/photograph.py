"""A photograph as it comes from a camera: decoded, upright, cropped to a box.

All of it runs inside a SavedModel: TensorFlow operations only, without XLA.
Crops use the same window, decoder and matrix as in evaluation. All coordinates
are those of the upright picture: EXIF orientation is a factor of the matrix.
"""

import math

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry
from keras_pose.data import crop as crops
from keras_pose.data.records import PIXELS

BOX_RATIO = 100
"""Largest ratio of a box's longer side to the picture's. In the crop of a
larger box, the picture covers only a few pixels."""
STRIP = 2**24
"""Values of a picture that are averaged at a time: 64 MiB."""
TOO_LARGE = f"a picture must have at most {PIXELS:,} pixels"
PNG, GIF = b"\x89PNG", b"GIF8"
"""First bytes of these formats, and"""
JPEG = b"\xff\xd8\xff"
"""of a JPEG."""
EXIF_BYTES = 2**16
"""Largest JPEG segment; EXIF is the first one (EXIF 2.3, 4.5.4)."""
EXIF = b"Exif\0\0"
"""First bytes of that segment."""
ORIENTATION = 0x0112
"""EXIF tag: how to turn the stored picture upright, 1 ... 8."""


def decode(encoded):
    """Decodes a JPEG, PNG, GIF or BMP to upright (H, W, 3) uint8 RGB.

    Grey becomes three equal channels, an alpha channel is dropped, 16 bits
    become 8, and only the first frame of an animation is used.

    Args:
        encoded: () string tensor: the file's bytes; an assertion in the graph
            refuses more than PIXELS before decoding.
    """
    is_jpeg = _begins(encoded, JPEG)
    size = tf.cond(
        is_jpeg,
        lambda: tf.io.extract_jpeg_shape(encoded)[:2],
        lambda: size_of(encoded),
    )
    with tf.control_dependencies([_check_pixels(size)]):
        encoded = tf.identity(encoded)
    image = tf.cond(
        is_jpeg,  # as `crops.decode_window` does
        lambda: tf.io.decode_jpeg(encoded, 3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, 3, expand_animations=False),
    )
    image = tf.ensure_shape(image, (None, None, 3))
    transposed, mirrored, inverted = _turns(encoded)
    flipped = tf.boolean_mask([0, 1], [inverted, mirrored])
    image = tf.cond(
        transposed, lambda: tf.transpose(image, (1, 0, 2)), lambda: image
    )
    return tf.reverse(image, flipped)


def check_frames(encoded):
    """ValueError if the frames of a GIF have too many pixels.

    All frames are decoded at once, and each may be larger than the header says.
    Other formats pass.
    """
    if not encoded.startswith(GIF):
        return

    def after_palette(at, flags):
        return at + (3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0)

    data = encoded + bytes(16)
    at, pixels = after_palette(13, data[10]), 0
    while at < len(encoded) and data[at] in b"!,":
        if data[at] == b","[0]:  # a frame: place, width, height, flags
            width, height = (
                data[at + n] + 256 * data[at + n + 1] for n in (5, 7)
            )
            pixels += width * height
            at = after_palette(at + 10, data[at + 9]) + 1
        else:
            at += 2
        while at < len(encoded) and data[at]:  # blocks, each with its length
            at += 1 + data[at]
        at += 1
    if pixels > PIXELS:
        raise ValueError(TOO_LARGE)


def crop_encoded(encoded, box, size):
    """Crops the person in a box for the network, from the bytes of a file.

    The box's longer side, padded by `geometry.box_to_center_scale`, fills the
    crop's height; in a crop that is higher than wide a wide box fills the width
    instead. A box that is the whole picture is not padded. Pixels outside the
    picture are black.

    Args:
        encoded: () string, as for `decode`, but no GIF: its frames may be
            larger than its header says.
        box: (4,) float32 x, y, width, height in pixels of the upright picture;
            an assertion in the graph refuses one without area or outside.
        size: (height, width) of the crop.

    Returns:
        crop (height, width, 3) uint8, and the matrix (2, 3) that takes its
        pixels to the picture's.
    """

    def from_jpeg():
        stored = tf.io.extract_jpeg_shape(encoded)[:2]
        with tf.control_dependencies([_check_pixels(stored)]):
            stored = tf.identity(stored)
        shape, to_stored = upright(stored, encoded)
        back = _back(box, shape, size)
        inside = geometry.compose(to_stored, back, xp=tnp)
        shrink, window, inside = crops.find_window(
            inside[None], stored[None], size
        )
        pixels = crops.decode_window(encoded, shrink[0], window[0])
        return _sample(pixels, inside[0], size), back

    def from_others():
        message = "expected a JPEG, PNG or BMP, got a GIF"
        good = ~_begins(encoded, GIF)
        with tf.control_dependencies([tf.debugging.Assert(good, [message])]):
            return crop(decode(encoded), box, size)

    return tf.cond(_begins(encoded, JPEG), from_jpeg, from_others)


def crop(image, box, size):
    """`crop_encoded` of an upright picture (H, W, 3) uint8."""
    back = _back(box, tf.shape(image)[:2], size)
    return _sample(image, back, size), back


def crop_around(image, points, side, size):
    """`crop`s of an upright picture around points (K, 2), also outside of it.

    `side` () of its pixels fill their height. Returns crops (K, height, width,
    3) and their matrices (K, 2, 3) to the picture.
    """
    zeros = tf.zeros_like(points[:, 0])
    matrix = geometry.crop_matrix(
        points, zeros + side, zeros, tuple(map(float, size)), xp=tnp
    )
    backs = geometry.invert(matrix, xp=tnp)
    cut = tf.map_fn(
        lambda back: _sample(image, back, size),
        backs,
        fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8),
    )
    return cut, backs


def _back(box, shape, size):
    """Matrix (2, 3) from a crop's pixels to those of an upright picture."""
    height, width = size
    edge = tf.cast(tf.reverse(shape, [0]), tf.float32)
    longer, most = tf.reduce_max(box[2:]), BOX_RATIO * tf.reduce_max(edge)
    good = tf.reduce_all(
        tf.math.is_finite(box)
        & tf.concat([box[:2] < edge, box[2:] > 0], 0)
        & tf.concat([box[:2] + box[2:] > 0, [longer <= most, longer >= 1]], 0)
    )
    expected = (
        "expected a box x, y, width, height with an area, over the picture and "
        f"at most {BOX_RATIO} times as large"
    )
    words = [expected, "got", box, "height and width of the picture", shape]
    with tf.control_dependencies([tf.debugging.Assert(good, words, 4)]):
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

    Bilinear, 0 outside the image, equal to `crops.warp`. As `inside` does not
    rotate, at most transpose, only the part of the image that the crop shows is
    read, rows first and then columns.

    Where the JPEG decoder did not shrink the image enough, it is halved first,
    as often as the crop would skip every other pixel.
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

    Interpolates between two lines; 0 beyond the first and the last.
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
    """Means of blocks of ratio x ratio pixels; the edge is repeated.

    In strips, so that a large picture is never float32 as a whole.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    line = tf.cast(width, tf.int64) * tf.cast(ratio, tf.int64) * 3
    rows = ratio * tf.cast(tf.maximum(STRIP // line, 1), tf.int32)
    count = -(-height // rows)

    def average(i, means):
        # One axis at a time, long lines first: takes a quarter of the time.
        strip = image[i * rows : (i + 1) * rows]
        strip = tf.reshape(strip, (1, -1, width * 3))
        lines = tf.reshape(_sum_blocks(strip, ratio), (-1, width, 3))
        mean = _sum_blocks(lines, ratio) / tf.cast(ratio**2, tf.float32)
        return i + 1, means.write(i, tf.cast(mean + 0.5, tf.uint8))

    means = tf.TensorArray(
        tf.uint8, count, infer_shape=False, element_shape=(None, None, 3)
    )
    loop = tf.while_loop(lambda i, _: i < count, average, (0, means))
    return loop[1].concat()


def _sum_blocks(values, ratio):
    """Sums of `ratio` lines of (A, N, C), float32; repeats the last line."""
    outer, count, inner = tf.unstack(tf.shape(values))
    blocks = count // ratio
    body = tf.reshape(values[:, : blocks * ratio], (-1, ratio, inner))
    body = tf.reduce_sum(tf.cast(body, tf.float32), axis=1)
    body = tf.reshape(body, (outer, blocks, inner))

    def add_rest():
        rest = tf.cast(values[:, blocks * ratio :], tf.float32)
        lacks = tf.cast((blocks + 1) * ratio - count, tf.float32)
        rest = tf.reduce_sum(rest, 1, keepdims=True) + lacks * rest[:, -1:]
        return tf.concat([body, rest], axis=1)

    return tf.cond(count > blocks * ratio, add_rest, lambda: body)


def _begins(encoded, with_these):
    return tf.strings.substr(encoded, 0, len(with_these)) == with_these


def _check_pixels(size):
    """Assertion that a picture of (height, width) is not too large."""
    pixels = tf.reduce_prod(tf.cast(size, tf.int64))
    words = [TOO_LARGE, "got height and width", size]
    return tf.debugging.Assert(pixels <= PIXELS, words)


def size_of(encoded):
    """(height, width) int32 in the header of a PNG or GIF; 0, 0 of others.

    A BMP has no more pixels than bytes.
    """
    head = tf.strings.substr(encoded, 0, 24)
    head = tf.strings.substr(tf.strings.join([head, bytes(24)]), 0, 24)
    data = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)

    def number(start, count, little=True):
        digits = data[start : start + count]
        digits = tf.reverse(digits, [0]) if little else digits
        powers = tf.constant([256**k for k in range(count - 1, -1, -1)])
        value = tf.reduce_sum(digits * tf.cast(powers, tf.int64))
        return tf.cast(tf.minimum(value, 2**31 - 1), tf.int32)

    sizes = {
        PNG: (number(20, 4, False), number(16, 4, False)),
        GIF: (number(8, 2), number(6, 2)),
    }
    result = tf.zeros(2, tf.int32)
    for mark, size in sizes.items():
        result = tf.where(_begins(encoded, mark), tf.stack(size), result)
    return result


def upright(stored, encoded):
    """Upright size of a picture of (height, width) `stored`, and its matrix.

    Returns:
        (height, width) upright, and the matrix (2, 3) from pixels of the
        upright picture to stored ones.
    """
    transposed, mirrored, inverted = _turns(encoded)
    turned = tf.where(transposed, tf.reverse(stored, [0]), stored)
    last = tf.cast(tf.reverse(turned, [0]) - 1, tf.float32)
    back = tf.stack([mirrored, inverted])
    matrix = tf.concat(
        [
            tf.linalg.diag(tf.where(back, -1.0, 1.0)),
            tf.where(back, last, 0.0)[:, None],
        ],
        axis=1,
    )
    return turned, tf.where(transposed, tf.reverse(matrix, [0]), matrix)


def _turns(encoded):
    """The steps that make a stored picture upright, three () bool.

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
    """EXIF orientation of TIFF bytes, which follow EXIF's mark."""
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
    matches = number(entries, 2, little) == ORIENTATION
    values = tf.boolean_mask(number(entries + 8, 2, little), matches)
    value = tf.concat([values, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)
