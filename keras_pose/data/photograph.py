"""A photograph as it comes from a camera: decoded, upright, cropped to a box.

All of it runs inside a SavedModel: TensorFlow operations only, without XLA.
Crops use the same window, decoder and matrix as in evaluation. All coordinates
are those of the upright picture: EXIF orientation is a factor of the matrix.
"""

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry
from keras_pose.data import crop as crops
from keras_pose.data import sampling
from keras_pose.data.records import PIXELS

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


def decode_still(encoded):
    """`decode`; an assertion in the graph refuses a GIF: its frames may be
    larger than its header says."""
    message = "expected a JPEG, PNG or BMP, got a GIF"
    good = tf.debugging.Assert(~_begins(encoded, GIF), [message])
    with tf.control_dependencies([good]):
        return decode(tf.identity(encoded))


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


def crop_encoded(encoded, box, size, from_others=None):
    """Crops the person in a box for the network, from the bytes of a file.

    The box's longer side, padded by `geometry.box_to_center_scale`, fills the
    crop's height; in a crop that is higher than wide a wide box fills the width
    instead. A box that is the whole picture is not padded. Pixels outside the
    picture are black.

    Args:
        encoded: () string, as for `decode_still`.
        box: (4,) float32 x, y, width, height in pixels of the upright picture;
            an assertion in the graph refuses one without area or outside.
        size: (height, width) of the crop.
        from_others: what returns the same of a file that is no JPEG, for a
            graph that has traced it; None: `crop` of `decode_still`.

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
        return sampling.sample(pixels, inside[0], size), back

    def from_decoded():
        return crop(decode_still(encoded), box, size)

    others = from_others or from_decoded
    return tf.cond(_begins(encoded, JPEG), from_jpeg, others)


def crop(image, box, size):
    """`crop_encoded` of an upright picture (H, W, 3) uint8."""
    back = _back(box, tf.shape(image)[:2], size)
    return sampling.sample(image, back, size), back


def _back(box, shape, size):
    """`sampling.place` of a box; an assertion refuses one without a person."""
    expected = (
        "expected a box x, y, width, height with an area, over the picture and "
        f"at most {sampling.BOX_RATIO} times as large"
    )
    words = [expected, "got", box, "height and width of the picture", shape]
    good = tf.debugging.Assert(sampling.can_hold(box, shape), words, 4)
    with tf.control_dependencies([good]):
        box = tf.identity(box)
    return sampling.place(box, shape, size)


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
