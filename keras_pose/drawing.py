"""Draws skeletons, misses and heatmaps onto pictures.

This module only draws; the values are computed elsewhere. Pictures are numpy
arrays (H, W, 3) uint8 RGB.
"""

from pathlib import Path

import cv2
import numpy as np

from keras_pose import files, geometry
from keras_pose.skeletons import side

LEFT, RIGHT, MIDDLE = (255, 138, 41), (64, 168, 255), (243, 240, 228)
"""RGB of the person's own left, right and middle; colour-blind safe."""
PEOPLE = (
    *((255, 138, 41), (64, 168, 255), (72, 200, 120), (240, 90, 170)),
    *((250, 220, 70), (160, 120, 255), (0, 205, 205), (200, 140, 90)),
)
"""RGB of the people in a picture with several, in turn."""
OUTLINE = (18, 20, 24)
WRONG = (235, 50, 75)
IGNORED = (150, 60, 220)
SUBPIXEL_BITS = 4  # cv2 draws at 1/16 pixel
SUFFIXES = (".png", ".jpg", ".jpeg")
LARGEST = 4096
"""Largest side of a drawing, pixels; larger pictures are drawn smaller."""
GAP = 4
"""Pixels between the tiles of a sheet."""


def colors(skeleton):
    """RGB of each joint by its side, (K, 3) uint8."""
    sides = {"left": LEFT, "right": RIGHT, "": MIDDLE}
    return np.array([sides[side(joint)] for joint in skeleton.joints], "uint8")


def draw_skeleton(image, joints, skeleton, flags=None, color=None):
    """A copy of the picture with limbs and joints coloured by side.

    Line widths scale with the person, so photographs and crops look alike.

    Args:
        image: (H, W, 3) uint8 RGB.
        joints: (K, 2) x, y in the picture's pixels; NaN is not drawn.
        skeleton: names the joints.
        flags: (K,) 0 is not drawn, 1 (occluded or missing) is hollow with thin
            limbs, 2 is filled. None fills all.
        color: RGB of all limbs and joints instead.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    joints = np.asarray(joints, "float64")
    if joints.shape != (len(skeleton.joints), 2):
        raise ValueError(
            f"joints of {skeleton.name} must be {len(skeleton.joints)} x 2, "
            f"got {' x '.join(map(str, joints.shape))}"
        )
    flags = np.full(len(joints), 2) if flags is None else np.asarray(flags)
    shown = (flags > 0) & np.isfinite(joints).all(axis=1)
    drawn = np.ascontiguousarray(image).copy()
    if not shown.any():
        return drawn
    extent = np.linalg.norm(np.ptp(joints[shown], axis=0))
    thick = max(1, round(0.016 * min(extent, max(image.shape[:2]))))
    edge = max(1, round(thick / 3))
    limit = 1e6  # far outside any picture, inside cv2's integers
    shifted = np.clip(np.nan_to_num(joints), -limit, limit) * 2**SUBPIXEL_BITS
    points = [tuple(map(int, point)) for point in shifted.round()]
    paint = colors(skeleton).tolist()
    paint = [color] * len(paint) if color else paint
    options = {"lineType": cv2.LINE_AA, "shift": SUBPIXEL_BITS}
    limbs = [(a, b) for a, b in skeleton.limb_indices if shown[a] and shown[b]]
    for under in (True, False):
        for a, b in limbs:
            sure = min(flags[a], flags[b]) > 1
            width = thick if sure else max(1, 2 * thick // 3)
            side = next((i for i in (a, b) if paint[i] != list(MIDDLE)), a)
            color = OUTLINE if under else paint[side]
            width += 2 * edge if under else 0
            cv2.line(drawn, points[a], points[b], color, width, **options)
    radius = thick * 2**SUBPIXEL_BITS
    background = np.ascontiguousarray(image)
    for k in np.flatnonzero(shown):
        hollow = flags[k] < 2
        size = radius * 5 // 4 if hollow else radius
        around = size + edge * 2**SUBPIXEL_BITS
        cv2.circle(drawn, points[k], around, OUTLINE, -1, **options)
        cv2.circle(drawn, points[k], size, paint[k], -1, **options)
        if hollow:  # the picture shows through the ring
            _cut_hole(drawn, background, points[k], size * 2 // 3)
    return drawn


def draw_people(image, joints, skeleton, flags=None):
    """A copy of the picture with people, each in a colour.

    Args:
        image: (H, W, 3) uint8 RGB.
        joints: (N, K, 2) x, y; NaN is not drawn.
        skeleton: names the joints.
        flags: (N, K), see `draw_skeleton`.
    """
    for number, points in enumerate(joints):
        color = PEOPLE[number % len(PEOPLE)]
        own = None if flags is None else flags[number]
        image = draw_skeleton(image, points, skeleton, own, color)
    return image


def draw_poses(image, poses, skeleton, by_person=False):
    """Draws all `people.Poses` of a picture (H, W, 3) uint8 RGB.

    The colours are those of the sides, or of each person. Missing and occluded
    joints are hollow. A picture with a side of more than
    LARGEST pixels is drawn smaller.
    """
    joints, size = poses.joints, image.shape[:2]
    target = size_of_drawing(size)
    if target != size:
        image = cv2.resize(image, target[::-1], interpolation=cv2.INTER_AREA)
        joints = geometry.move(joints, geometry.resize_matrix(size, target))
    flags = np.full(joints.shape[:2], 2)
    for row in range(len(joints)):
        doubted = np.any([*poses.doubts(row).values()], axis=0)
        flags[row] = np.where(doubted, 1, 2)
    if by_person:
        return draw_people(image, joints, skeleton, flags)
    for points, own in zip(joints, flags, strict=True):
        image = draw_skeleton(image, points, skeleton, own)
    return image


def size_of_drawing(size):
    """(height, width) at which `draw_poses` draws a picture of `size`."""
    if max(size) <= LARGEST:
        return tuple(size)
    return tuple(max(1, side * LARGEST // max(size)) for side in size)


def _cut_hole(drawn, background, point, radius):
    """Puts the background back in a circle; both in 1/16 pixels."""
    options = {"lineType": cv2.LINE_AA, "shift": SUBPIXEL_BITS}
    hole = np.zeros(drawn.shape[:2], "uint8")
    cv2.circle(hole, point, radius, 255, -1, **options)
    reach = (radius >> SUBPIXEL_BITS) + 6  # more than its soft edge
    part = tuple(
        slice(max(0, middle - reach), max(0, middle + reach))
        for middle in (point[1] >> SUBPIXEL_BITS, point[0] >> SUBPIXEL_BITS)
    )
    weight = hole[part][..., None] / 255
    mixed = drawn[part] * (1 - weight) + background[part] * weight
    drawn[part] = np.rint(mixed)


def draw_mask(image, mask):
    """The picture (H, W, 3) uint8 RGB, violet where a mask (H, W) is not 0."""
    tinted = (image // 2 + np.array(IGNORED) // 2).astype("uint8")
    return np.where(mask[..., None] > 0, tinted, image)


def draw_misses(image, joints, truth, wrong):
    """A copy of the picture with a line from each wrong joint to the truth.

    image is (H, W, 3) uint8 RGB, joints and truth are (K, 2) in its pixels,
    wrong is (K,) bool.
    """
    drawn = np.ascontiguousarray(image).copy()
    width = max(1, round(image.shape[0] / 150))
    ends = np.nan_to_num(np.stack([joints, truth], axis=1))
    ends = np.clip(ends, -1e6, 1e6) * 2**SUBPIXEL_BITS
    for start, end in ends[np.asarray(wrong)].round().astype(int):
        cv2.line(
            drawn, start.tolist(), end.tolist(), WRONG, width,
            lineType=cv2.LINE_AA, shift=SUBPIXEL_BITS,
        )  # fmt: skip
    return drawn


def draw_point(image, point, truth):
    """A copy of the picture with a ring at the truth and a dot at the point.

    image is (H, W, 3) uint8 RGB, point and truth are (2,) in its pixels.
    """
    drawn = np.ascontiguousarray(image).copy()
    size = max(3, image.shape[0] // 50) * 2**SUBPIXEL_BITS
    options = {"lineType": cv2.LINE_AA, "shift": SUBPIXEL_BITS}
    ends = np.clip(np.nan_to_num([truth, point]), -1e6, 1e6) * 2**SUBPIXEL_BITS
    ring, dot = (tuple(map(int, end)) for end in ends.round())
    for color, width in ((OUTLINE, 4), (MIDDLE, 2)):
        cv2.circle(drawn, ring, 2 * size, color, width, **options)
    cv2.circle(drawn, dot, size + 2**SUBPIXEL_BITS, OUTLINE, -1, **options)
    cv2.circle(drawn, dot, size, MIDDLE, -1, **options)
    return drawn


def draw_heatmaps(image, maps, codec):
    """The dimmed picture with every joint's heatmap in its side's colour.

    Where left and right maps overlap, their colours mix to gray.

    Args:
        image: (H, W, 3) uint8 RGB: the network's input at any resolution.
        maps: (h, w, K) probabilities 0 ... 1 of that input.
        codec: `codecs.Heatmaps` of the maps.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    zoom = height / (maps.shape[0] * codec.stride)
    corners = codec.to_pixels(
        np.array([[0.0, 0.0], [1.0, 1.0]]), maps.shape[:2]
    )
    (x, y), (right, low) = (corners + 0.5) * zoom - 0.5
    matrix = np.array([[right - x, 0, x], [0, low - y, y]])
    maps = np.clip(np.asarray(maps, "float32"), 0, 1)
    # Relative to each map's peak, dimmed by the peak's root: the second peak of
    # an uncertain joint stays visible, the haze of a sigmoid does not.
    peaks = np.maximum(maps.max(axis=(0, 1)), 1e-6)
    maps = (maps / peaks) ** 2 * np.sqrt(peaks)
    cover = maps.max(axis=2)
    weight = (maps + 1e-3) ** 6  # the highest map determines the colour
    weight /= weight.sum(axis=2, keepdims=True)
    tint = weight @ colors(codec.skeleton).astype("float32")
    layers = np.dstack([tint * cover[..., None], cover])
    layers = cv2.warpAffine(layers, matrix, (width, height))
    cover = layers[..., 3:]
    tint = layers[..., :3] / np.maximum(cover, 1e-6)
    gray = image.mean(axis=2, keepdims=True)
    dim = 0.45 * (0.5 * image + 0.5 * gray)
    alpha = 0.95 * cover
    return np.rint(dim * (1 - alpha) + tint * alpha).astype("uint8")


def enlarge(image, zoom):
    """A picture (H, W, 3) enlarged `zoom` times, to draw thin lines on."""
    return cv2.resize(
        image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC
    )


def sheet(tiles, columns):
    """One picture of equally sized tiles (h, w, 3), `columns` per row."""
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[:2]
    grid = np.zeros((rows * columns, height + GAP, width + GAP, 3), "uint8")
    grid[: len(tiles), :height, :width] = tiles
    grid = grid.reshape(rows, columns, *grid.shape[1:]).swapaxes(1, 2)
    grid = grid.reshape(rows * (height + GAP), columns * (width + GAP), 3)
    return grid[:-GAP, :-GAP]


def save(image, path):
    """Writes a picture as PNG or JPEG, completely or not at all."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected one of {', '.join(SUFFIXES)}")
    with files.whole(path, durable=False) as temporary:
        temporary.write_bytes(encode(image, suffix))


def encode(image, suffix=".png"):
    """A picture (H, W, 3) uint8 RGB as the bytes of a .png or .jpg."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88] if suffix == ".jpg" else []
    image = np.ascontiguousarray(image[..., ::-1])
    done, encoded = cv2.imencode(suffix, image, quality)
    if not done:
        raise ValueError(f"cannot write pictures as {suffix}")
    return encoded.tobytes()
