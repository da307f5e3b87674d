"""Gaussians on heatmaps: encoding, decoding, and the alignment of cells.

Cell c of a map of stride s covers input pixels s*c ... s*c + s - 1, so a pixel
x lies at cell (x + 0.5) / s - 0.5 (`alignment="center"`). Then flipping the
image flips the map, and averaging the two needs no one-pixel shift. "corner"
(x / s) and "udp" (the first cell on the first pixel, the last one on the last:
x (w - 1) / (W - 1), J. Huang et al., "The Devil is in the Details", CVPR 2020)
are for weights trained that way.
"""

import math

import numpy as np
from keras import ops

from keras_pose import choices

ALIGNMENTS = ("center", "corner", "udp")
QUARTER_PIXEL = 0.25
"""Step to the higher neighbour, cells (Newell et al. 2016, released code)."""
TINY = 1e-10
"""Least height whose logarithm is taken."""
SECOND_BLUR = 3.5, 10
"""Deviation and radius, cells, of the blur before the decoding "second" (Chen
et al., CVPR 2018, code: OpenCV's kernel of 21)."""


def to_cells(points, stride, alignment="center", size=None):
    """Input pixels to heatmap cells.

    Args:
        points: (..., 2) x, y.
        stride: input pixels per cell.
        alignment: one of `ALIGNMENTS`.
        size: (height, width) of the map, required by "udp".
    """
    slope, start = _line(points, stride, alignment, size)
    return (points - start) / slope


def to_pixels(cells, stride, alignment="center", size=None):
    """Heatmap cells to input pixels; the arguments are those of `to_cells`."""
    slope, start = _line(cells, stride, alignment, size)
    return cells * slope + start


def _line(points, stride, alignment, size):
    """Slope and start of pixel = slope x cell + start, for `points`."""
    choices.check("alignment", alignment, ALIGNMENTS)
    if alignment == "center":
        return stride, (stride - 1) / 2
    if alignment == "corner":
        return stride, 0.0
    if size is None:
        raise ValueError("udp needs the (height, width) of the map, got None")
    slope = [(stride * n - 1) / max(n - 1, 1) for n in size[::-1]]
    if isinstance(points, np.ndarray):
        return np.array(slope), 0.0
    return ops.convert_to_tensor(slope, "float32"), 0.0


def encode(points, size, sigma=1.0):
    """Gaussians of peak 1 (not densities) at sub-cell positions.

    Args:
        points: (B, K, 2) x, y in cells.
        size: (height, width) of the maps.
        sigma: width in cells.

    Returns:
        (B, H, W, K) float32.
    """
    _check_sigma(sigma)
    height, width = size
    x, y = points[..., 0:1], points[..., 1:2]
    dx = ops.arange(width, dtype="float32") - x
    dy = ops.arange(height, dtype="float32") - y
    columns = ops.exp(-ops.square(dx) / (2 * sigma**2))
    rows = ops.exp(-ops.square(dy) / (2 * sigma**2))
    return ops.einsum("bkh,bkw->bhwk", rows, columns)


def decode(maps, method="quarter", sigma=1.0):
    """Position and height of the highest peak of each map.

    Args:
        maps: (B, H, W, K), larger is more certain.
        method: one of `DECODINGS`: "quarter" (argmax and a quarter cell towards
            the higher neighbour on each axis, Newell), "argmax", "dark"
            (second-order Taylor step on the logarithm, Zhang et al., CVPR 2020;
            the maps must not be negative), "second" (of the blurred map, argmax
            and a quarter cell towards the second highest cell, CPN's code; the
            score is that of the map as it is) or "soft" (the centre of mass of
            the window within 2 sigma of the argmax, with bias correction). On a
            Gaussian of sigma 1 or more, the error of "soft" per coordinate is
            below 0.001 cells; where the border cuts the window, at most 0.08
            cells (sigma 1), 0.04 (1.5), 0.03 (2), 0.02 (3).
        sigma: width of the Gaussians in cells, for "dark" and "soft".

    Returns:
        points (B, K, 2) x, y in cells, scores (B, K).
    """
    choices.check("decoding", method, DECODINGS)
    _check_sigma(sigma)
    maps = ops.cast(maps, "float32")
    _, height, width, joints = maps.shape
    flat = ops.reshape(
        ops.transpose(maps, (0, 3, 1, 2)), (-1, joints, height * width)
    )
    best, scores = highest(flat)
    peaks = ops.mod(best, width), ops.floor_divide(best, width)
    step = DECODINGS[method](flat, *peaks, (height, width), sigma)
    cells = ops.cast(ops.stack(peaks, axis=-1), "float32")
    return cells + step, scores


def highest(values):
    """Indices and values (...) of the highest of values (..., N).

    Of equal ones the first, on every backend, which `top_k` does not promise.
    `argmax` does, but on TensorFlow it looks at bits, which no converter to
    another format takes. Where a value is NaN, the index is the last.
    """
    top = ops.max(values, axis=-1)
    count = values.shape[-1]
    at_top = ops.equal(values, ops.expand_dims(top, -1))
    index = ops.where(at_top, ops.arange(count, dtype="int32"), count - 1)
    return ops.min(index, axis=-1), top


def peaks(maps, count, threshold=0.1):
    """The highest local maxima of each map.

    A cell is one if none of its 8 neighbours is higher; of equal neighbours,
    the first in reading order. It is refined by the parabola through the
    logarithms of three cells on each axis, which is exact for a Gaussian;
    not at the border.

    Args:
        maps: (B, h, w, K), larger is more certain.
        count: P, number of maxima; at most one for each cell.
        threshold: a maximum is higher than this.

    Returns:
        points (B, K, P, 2) x, y in cells; scores (B, K, P), the values of the
        cells, the highest first, 0 where there are fewer maxima.
    """
    maps = ops.transpose(ops.cast(maps, "float32"), (0, 3, 1, 2))
    _, joints, height, width = ops.shape(maps)
    edge = ((0, 0), (0, 0), (1, 1), (1, 1))
    padded = ops.pad(maps, edge, constant_values=-np.inf)

    def shifted(dx, dy):
        rows = padded[:, :, 1 + dy : 1 + dy + height]
        return rows[..., 1 + dx : 1 + dx + width]

    highest = maps > threshold
    for dx, dy in ((-1, -1), (0, -1), (1, -1), (-1, 0)):
        before, after = shifted(dx, dy), shifted(-dx, -dy)
        highest = highest & (maps > before) & (maps >= after)

    def flat(values):
        return ops.reshape(values, (-1, joints, height * width))

    if None not in maps.shape[2:]:  # else there must be as many cells
        count = min(count, height * width)
    scores, best = ops.top_k(flat(ops.where(highest, maps, 0.0)), count)
    best = ops.cast(best, "int32")
    cells = ops.mod(best, width), ops.floor_divide(best, width)
    steps = []
    for cell, last, (dx, dy) in zip(
        cells, (width - 1, height - 1), ((1, 0), (0, 1)), strict=True
    ):
        low, middle, high = (
            ops.log(ops.maximum(values, TINY))
            for values in (shifted(-dx, -dy), maps, shifted(dx, dy))
        )
        curvature = 2 * middle - low - high
        step = (high - low) / 2 / ops.maximum(curvature, TINY)
        step = ops.take_along_axis(flat(step), best, axis=-1)
        inside = (cell > 0) & (cell < last) & (scores > 0)
        steps.append(ops.where(inside, ops.clip(step, -0.5, 0.5), 0.0))
    points = ops.cast(ops.stack(cells, -1), "float32") + ops.stack(steps, -1)
    return points, scores


def _at(flat, column, row, size):
    """Values (B, K) of flat maps; the border is repeated outside."""
    height, width = size
    x, y = ops.clip(column, 0, width - 1), ops.clip(row, 0, height - 1)
    index = ops.expand_dims(y * width + x, -1)
    return ops.squeeze(ops.take_along_axis(flat, index, axis=-1), -1)


def _no_step(flat, column, row, size, sigma):
    """Stays at the peak's cell."""
    return 0.0


def _quarter_step(flat, column, row, size, sigma):
    """A quarter cell to the higher neighbour, (B, K, 2); 0 at the border."""
    height, width = size

    def slope(dx, dy):
        ahead = _at(flat, column + dx, row + dy, size)
        return ops.sign(ahead - _at(flat, column - dx, row - dy, size))

    inside = [
        ops.logical_and(column > 0, column < width - 1),
        ops.logical_and(row > 0, row < height - 1),
    ]
    inside = ops.cast(ops.stack(inside, -1), "float32")
    return QUARTER_PIXEL * ops.stack([slope(1, 0), slope(0, 1)], -1) * inside


def _second_step(flat, column, row, size, sigma):
    """To the blurred peak, a quarter cell to its second highest, (B, K, 2)."""
    blurred = _blurred(flat, size, *SECOND_BLUR)
    best, _ = highest(blurred)
    taken = ops.equal(
        ops.arange(size[0] * size[1], dtype="int32"), best[..., None]
    )
    other, _ = highest(ops.where(taken, -np.inf, blurred))

    def cell(index):
        x, y = ops.mod(index, size[1]), ops.floor_divide(index, size[1])
        return ops.cast(ops.stack([x, y], -1), "float32")

    first = cell(best)
    ahead = cell(other) - first
    length = ops.sqrt(ops.sum(ops.square(ahead), -1, keepdims=True))
    start = ops.cast(ops.stack([column, row], -1), "float32")
    last = ops.convert_to_tensor([n - 1.0 for n in size[::-1]])
    found = first + QUARTER_PIXEL * ahead / length
    return ops.clip(found, 0.0, last) - start


def _dark_step(flat, column, row, size, sigma):
    """To the maximum of the parabola through the smoothed log, (B, K, 2)."""
    flat = _log_smoothed(flat, size, sigma)

    def at(dx, dy):
        return _at(flat, column + dx, row + dy, size)

    gx, gy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    xx = at(1, 0) - 2 * at(0, 0) + at(-1, 0)
    yy = at(0, 1) - 2 * at(0, 0) + at(0, -1)
    xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    area = xx * yy - xy * xy
    curved = ops.logical_and(area > 1e-9, xx < 0)
    safe = ops.where(curved, area, 1.0)
    step = ops.stack(
        [(xy * gy - yy * gx) / safe, (xy * gx - xx * gy) / safe], -1
    )
    return ops.where(curved[..., None], ops.clip(step, -1.0, 1.0), 0.0)


def _soft_step(flat, column, row, size, sigma):
    """To the centre of mass around the peak, (B, K, 2)."""
    offsets = _center_of_mass(flat, column, row, size, sigma)
    return ops.where(ops.max(flat, axis=-1)[..., None] > 0, offsets, 0.0)


DECODINGS = {
    "quarter": _quarter_step,
    "argmax": _no_step,
    "dark": _dark_step,
    "second": _second_step,
    "soft": _soft_step,
}
"""Functions that refine the argmax, by name."""


def _center_of_mass(flat, column, row, size, sigma):
    """Offset (B, K, 2) of the centre from the peak's cell, cells.

    The mean of a window is biased, because the window is centred on the peak's
    cell or cut by the border. It is therefore compared with the mean of a
    Gaussian at the centre of that cell in the same window: shifting this
    Gaussian a little shifts its mean by variance / sigma^2 of the shift. The
    same Gaussian weights both means, so that values far from the peak hardly
    count.
    """
    joints, (height, width) = flat.shape[1], size
    radius = math.ceil(2 * sigma)
    side = 2 * radius + 1
    step = ops.arange(-radius, radius + 1)
    distance = ops.cast(step, "float32")
    gaussian = ops.exp(-ops.square(distance) / (2 * sigma**2))
    x, y = column[..., None] + step, row[..., None] + step
    index = ops.clip(y, 0, height - 1)[..., None] * width
    index = index + ops.clip(x, 0, width - 1)[..., None, :]
    index = ops.reshape(index, (-1, joints, side * side))
    window = ops.maximum(ops.take_along_axis(flat, index, axis=-1), 0.0)
    window = ops.reshape(window, (-1, joints, side, side))
    across = ops.where((x >= 0) & (x < width), gaussian, 0.0)
    down = ops.where((y >= 0) & (y < height), gaussian, 0.0)

    def center(mass):
        """Mean and variance of one line (B, K, side) of a window."""
        mass = mass / ops.maximum(ops.sum(mass, -1, keepdims=True), 1e-30)
        mean = ops.sum(mass * distance, -1)
        return mean, ops.sum(mass * ops.square(distance), -1) - mean**2

    offsets = []
    for weights, line in (
        (across, ops.einsum("bkyx,bky->bkx", window, down)),
        (down, ops.einsum("bkyx,bkx->bky", window, across)),
    ):
        mean, _ = center(line * weights)
        usual, variance = center(ops.square(weights))
        offset = (mean - usual) * sigma**2 / ops.maximum(variance, 1e-6)
        offsets.append(offset)
    farthest = max(1.0, sigma)
    return ops.clip(ops.stack(offsets, -1), -farthest, farthest)


def _log_smoothed(flat, size, sigma):
    """Logarithm of the maps (B, K, H * W) after a Gaussian blur."""
    blurred = _blurred(flat, size, sigma, math.ceil(2 * sigma))
    return ops.log(ops.maximum(blurred, TINY))


def _blurred(flat, size, sigma, radius):
    """The maps (B, K, H * W), empty outside, after a Gaussian blur."""
    taps = [
        math.exp(-(d**2) / (2 * sigma**2)) for d in range(-radius, radius + 1)
    ]
    kernel = ops.convert_to_tensor([t / sum(taps) for t in taps], "float32")
    image = ops.reshape(flat, (-1, *size, 1))
    for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
        image = ops.conv(image, ops.reshape(kernel, shape), padding="same")
    return ops.reshape(image, ops.shape(flat))


def _check_sigma(sigma):
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
