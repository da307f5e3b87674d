"""Crops of a picture in memory: which pixels they show, and reading them.

TensorFlow operations that run in any graph. `plain` crops have only those that
the converters to LiteRT, ONNX and OpenVINO take: no branch, loop or assertion.
"""

import math

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry

BOX_RATIO = 100
"""Largest ratio of a box's longer side to the picture's. In the crop of a
larger box, the picture covers only a few pixels."""
STRIP = 2**24
"""Values of a picture that are averaged at a time: 64 MiB."""


def edge_of(shape):
    """(width, height) float32 of a picture of (height, width) int32."""
    return tf.cast(tf.stack([shape[1], shape[0]]), tf.float32)


def can_hold(box, shape):
    """Whether a box can hold a person of the picture: () bool.

    Its four values are finite, it has an area and lies over the picture, and
    its longer side has 1 pixel to BOX_RATIO times the picture's.
    """
    edge = edge_of(shape)
    longer, most = tf.maximum(box[2], box[3]), BOX_RATIO * tf.reduce_max(edge)
    over = (box[:2] < edge) & (box[:2] + box[2:] > 0)
    return tf.reduce_all(over & (box[2:] > 0) & (longer <= most)) & (
        longer >= 1
    )


def place(box, shape, size):
    """Matrix (2, 3) from a crop's pixels to those of an upright picture.

    Args:
        box: (4,) float32 x, y, width, height; exactly 0, 0, W, H is not padded.
        shape: (2,) int32 height and width of the picture.
        size: (height, width) of the crop.
    """
    height, width = size
    edge = edge_of(shape)
    center, scale = geometry.box_to_center_scale(
        box, aspect=min(1, width / height), xp=tnp
    )
    whole = tf.reduce_all(tf.equal(box, tf.concat([[0.0, 0.0], edge], 0)))
    fits = tf.maximum(edge[1], edge[0] * (height / width))
    side = tf.where(whole, fits, scale * geometry.PERSON_PIXELS)
    return _place(center, side, size)


def place_around(points, side, size):
    """Matrices (K, 2, 3) as of `place`, of squares around points (K, 2).

    `side` () pixels of the picture fill the crops' height.
    """
    return _place(points, tf.zeros_like(points[:, 0]) + side, size)


def _place(center, side, size):
    matrix = geometry.crop_matrix(
        center, side, tf.zeros_like(side), tuple(map(float, size)), xp=tnp
    )
    return geometry.invert(matrix, xp=tnp)


def sample(image, inside, size, plain=False):
    """The crop (height, width, 3) uint8 that `inside`, crop -> image, reads.

    Bilinear, 0 outside the image, equal to `crops.warp`. As `inside` does not
    rotate, at most transpose, only the part of the image that the crop shows is
    read, rows first and then columns.

    Where the JPEG decoder did not shrink the image enough, it is halved first,
    as often as the crop would skip every other pixel.

    Args:
        image: (H, W, 3) uint8.
        inside: (2, 3) float32.
        size: (height, width) of the crop.
        plain: for all converters; does not transpose, and takes 12 bytes of
            memory for each pixel of the image that the crop shows.
    """
    lengths, transposed = size, False
    if not plain:
        transposed = tf.abs(inside[0, 1]) > tf.abs(inside[0, 0])
        lengths = tf.where(transposed, size[::-1], size)
    shape = tf.shape(image)
    # On each axis, rows first: step and start of the crop's lines.
    steps = [inside[row, 0] + inside[row, 1] for row in (1, 0)]
    halvings = tf.floor(tf.math.log(tf.abs(steps[0])) / math.log(2.0) + 1e-4)
    times = tf.floor(tf.pow(2.0, tf.maximum(halvings, 0.0)) + 0.5)
    ratio = tf.cast(times, tf.int32)
    begins, ends, places = [], [], []
    for axis in (0, 1):
        line = tf.range(tf.cast(lengths[axis], tf.float32))
        line = steps[axis] * line + inside[1 - axis, 2]
        # Pixel centres: x of the image lies at (x + 0.5) / ratio - 0.5.
        line = (line + 0.5) / times - 0.5
        limit = tf.cast((shape[axis] + ratio - 1) // ratio, tf.float32)
        first = tf.floor(tf.reduce_min(line))
        first = tf.clip_by_value(first, 0.0, limit - 1)
        last = tf.floor(tf.reduce_max(line)) + 2
        last = tf.clip_by_value(last, first + 1, limit)
        begins.append(tf.cast(first, tf.int32) * ratio)
        ends.append(tf.cast(last, tf.int32) * ratio)
        places.append(line - first)
    ends = [tf.minimum(ends[axis], shape[axis]) for axis in (0, 1)]
    image = image[begins[0] : ends[0], begins[1] : ends[1]]
    if plain:
        image = _average(image, ratio)
    else:
        image = tf.cond(ratio > 1, lambda: _mean(image, ratio), lambda: image)
    pixels = _read(_read(image, places[0], 0), places[1], 1)
    pixels = tf.cast(tf.clip_by_value(pixels + 0.5, 0.0, 255.0), tf.uint8)
    if not plain:
        pixels = tf.cond(
            transposed,
            lambda: tf.transpose(pixels, (1, 0, 2)),
            lambda: pixels,
        )
    return tf.reshape(pixels, (*size, 3))


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
        weight = tf.tile(weight[:, None], (1, 1 if axis == 0 else 3))
        weight = weight if axis == 0 else tf.reshape(weight, (-1,))
        line = tf.clip_by_value(line, 0, limit - 1)
        value = tf.gather(image, line, axis=axis)
        rows = tf.shape(value)[0]  # a matrix is multiplied faster
        value = tf.cast(tf.reshape(value, (rows, -1)), tf.float32)
        total += weight * value
    return tf.reshape(total, (rows, -1, 3))


def _mean(image, ratio):
    """`_average` in strips: a large picture is never float32 as a whole."""
    height, width = tf.unstack(tf.shape(image)[:2])
    line = tf.cast(width, tf.int64) * tf.cast(ratio, tf.int64) * 3
    rows = ratio * tf.cast(tf.maximum(STRIP // line, 1), tf.int32)
    count = (height + rows - 1) // rows

    def average(i, means):
        strip = image[i * rows : (i + 1) * rows]
        return i + 1, means.write(i, _average(strip, ratio))

    means = tf.TensorArray(
        tf.uint8, count, infer_shape=False, element_shape=(None, None, 3)
    )
    loop = tf.while_loop(lambda i, _: i < count, average, (0, means))
    return loop[1].concat()


def _average(image, ratio):
    """Means (h, w, 3) uint8 of blocks of ratio x ratio pixels.

    The last row and column are repeated to whole blocks.
    """
    # One axis at a time, long lines first: takes a quarter of the time.
    height, width = tf.unstack(tf.shape(image)[:2])
    lines = _sum_blocks(tf.reshape(image, (1, height, width * 3)), ratio)
    lines = tf.reshape(lines, (-1, width, 3))
    area = tf.square(tf.cast(ratio, tf.float32))
    return tf.cast(_sum_blocks(lines, ratio) / area + 0.5, tf.uint8)


def _sum_blocks(values, ratio):
    """Sums of `ratio` lines of (A, N, C), float32; repeats the last line."""
    outer, count, inner = tf.unstack(tf.shape(values))
    blocks = (count + ratio - 1) // ratio
    # A single block of fewer lines repeats the last by a product.
    lines = tf.minimum(ratio, count)
    # The first lines of all blocks, then the second ...: long rows to add.
    index = tf.range(lines)[:, None] + ratio * tf.range(blocks)
    index = tf.minimum(tf.reshape(index, (-1,)), count - 1)
    body = tf.gather(values, index, axis=1)
    body = tf.reshape(body, tf.stack([outer, lines, blocks * inner]))
    body = tf.reduce_sum(tf.cast(body, tf.float32), axis=1)
    body = tf.reshape(body, tf.stack([outer, blocks, inner]))
    lacks = tf.cast(ratio - lines, tf.float32)
    return body + lacks * tf.cast(values[:, count - 1 :], tf.float32)
