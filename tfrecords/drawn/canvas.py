"""A picture with a depth buffer: shaded solids; nearer ones hide farther ones.

Points are x, y, z in pixels of the finished picture, z towards the viewer. The
canvas is twice as large and downsampled at the end, which smooths every edge.
With an `Eye` they are points in space, of which the picture is a perspective.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

FINE = 2  # canvas pixels per picture pixel, each way
AMBIENT = 0.58  # light in the shade
DIFFUSE = 0.6  # light on a surface that faces the lamp
RIM = 0.35  # how much darker a solid's silhouette is than its middle


@dataclass(frozen=True)
class Eye:
    """Where a perspective is seen from. It leaves the plane z = 0 as it is.

    The projective map (x, y, z) * D / (D - z), around the point below the eye:
    lines stay lines, also in depth, and nearer points keep the larger z.
    """

    below: np.ndarray
    """(2,) x, y of the picture's point that the camera is aimed at."""
    distance: float
    """D, pixels from the eye to that point."""


@dataclass(frozen=True)
class Canvas:
    """The drawing at `FINE` times the picture's size."""

    colors: np.ndarray
    """(FINE * H, FINE * W, 3) float32 RGB, 0 to 255."""
    depths: np.ndarray
    """(FINE * H, FINE * W) float32, -inf for background."""
    light: np.ndarray
    """(3,) unit vector towards the lamp."""
    owners: np.ndarray | None = None
    """(FINE * H, FINE * W) uint8 number of the person in each pixel; 0 is
    anything else."""
    number: int = 0
    """Number of the person that is being painted; 0 is anything else."""
    eye: Eye | None = None
    """None: seen from far away, without perspective."""
    ambient: float | np.ndarray = AMBIENT
    """Light in the shade, also (3,) of red, green and blue."""
    diffuse: float | np.ndarray = DIFFUSE
    """Light on a surface that faces the lamp, also (3,)."""

    def __post_init__(self):
        if self.owners is None:
            owners = np.zeros(self.depths.shape, "uint8")
            object.__setattr__(self, "owners", owners)

    def of(self, number):
        """This canvas, on which the person `number` (1 to 255) is painted."""
        return replace(self, number=number)

    def direction(self, start, end):
        """(2,) of length 1, from one point (3,) to another in the picture."""
        start, end = (project(point, self.eye)[0] for point in (start, end))
        line = (end - start)[:2]
        return line / max(np.hypot(*line), 1e-6)

    def picture(self):
        """The finished picture, (H, W, 3) uint8 RGB."""
        height, width = self.depths.shape
        size = (width // FINE, height // FINE)
        small = cv2.resize(self.colors, size, interpolation=cv2.INTER_AREA)
        return np.clip(np.rint(small), 0, 255).astype("uint8")

    def hidden(self, points, radii):
        """Whether something hides each point of a solid: (K,) bool.

        That is a surface nearer than the part's own, or one of anything but
        the person `number` nearer than the point itself.

        Args:
            points: (K, 3) x, y, z inside the picture, as from `project`.
            radii: (K,) depth from the point to the surface of its own part.
        """
        rows, columns = (
            np.clip(np.rint(fine(points[:, axis])), 0, end - 1).astype(int)
            for axis, end in zip((1, 0), self.depths.shape, strict=True)
        )
        other = self.owners[rows, columns] != self.number
        surface = points[:, 2] + np.where(other, 0, radii)
        return self.depths[rows, columns] > surface


def project(points, eye):
    """Points (..., 3) as an `Eye` or None sees them, and their enlargement.

    A length l at a point is l * enlargement (..., or 1.0) pixels in the
    picture; a step d towards the viewer is d * enlargement**2 in depth.
    """
    if eye is None:
        return points, 1.0
    scales = eye.distance / (eye.distance - points[..., 2])
    below = np.array([*eye.below, 0.0])
    return below + (points - below) * scales[..., None], scales


def fine(values):
    """Picture coordinates on the canvas: pixel centres on whole numbers."""
    return FINE * np.asarray(values, "float32") + (FINE - 1) / 2


def _window(canvas, low, high):
    """Slices of the canvas that hold the fine box, and its rows and columns."""
    height, width = canvas.depths.shape
    left, top = np.clip(np.floor(low), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(high) + 1, 0, (width, height)).astype(int)
    rows = np.arange(top, bottom, dtype="float32")[:, None]
    columns = np.arange(left, right, dtype="float32")[None]
    return (slice(top, bottom), slice(left, right)), rows, columns


def _put(canvas, window, inside, depth, normal, color):
    """Shades and stores the pixels of `inside`."""
    lit = np.clip(normal @ canvas.light, 0, 1)[:, None]
    shade = canvas.ambient + canvas.diffuse * lit
    shade *= 1 - RIM * (1 - normal[:, 2:]) ** 2
    _store(canvas, window, inside, depth, color * shade)


def _store(canvas, window, inside, depth, color):
    canvas.colors[window][inside] = color
    canvas.depths[window][inside] = depth
    canvas.owners[window][inside] = canvas.number


def tube(canvas, start, end, widths, paint, bulges=None, slants=None, cap=1):
    """A solid around the line from `start` to `end` (3,), with round ends.

    Args:
        widths: half the visible width, at even steps along the line, pixels.
        paint: (along, around) -> (n, 3) RGB; along in pixels from the start,
            around -1 ... 1 from edge to edge.
        bulges: height of the middle towards the viewer, as `widths`.
        slants: how much nearer the edge at around = 1 is than the middle.
        cap: length of the round ends / the width there.
    """
    widths = FINE * np.asarray(widths, "float32")
    bulges = widths if bulges is None else FINE * np.asarray(bulges, "float32")
    steps = np.linspace(0, 1, len(widths), dtype="float32")
    places = steps
    if canvas.eye is not None:
        sides = float(np.hypot(*(end - start)[:2]))
        (start, near), (end, far) = (
            project(point, canvas.eye) for point in (start, end)
        )
        # even steps in space are not even in the picture: nearer ones are long
        grown = 1 / ((1 - steps) / near + steps / far)
        places = steps * grown / far
        widths, bulges = widths * grown, bulges * grown**2
        if slants is not None:
            slants = slants * grown**2
    first, last = fine(start), fine(end)
    line = (last - first)[:2]
    length = max(float(np.hypot(*line)), 1e-3)
    line = line / length
    reach = widths.max()
    ends = np.stack([first[:2], last[:2]])
    window, rows, columns = _window(
        canvas, ends.min(0) - reach, ends.max(0) + reach
    )
    if not rows.size or not columns.size:
        return
    x, y = columns - first[0], rows - first[1]
    along = x * line[0] + y * line[1]
    across = y * line[0] - x * line[1]
    share = np.clip(along / length, 0, 1)

    def profile(values, at):
        return np.interp(at, places, values).astype("float32")

    width = (
        widths[0] + share * (widths[1] - widths[0])
        if len(widths) == 2
        else profile(widths, share)
    )
    over = along - share * length
    inside = (across**2 + (over / cap) ** 2) < width**2
    share, width = share[inside], width[inside]
    across, over = across[inside] / width, over[inside] / (cap * width)
    facing = np.sqrt(np.maximum(1 - across**2 - over**2, 0))
    depth = first[2] + share * (last[2] - first[2])
    depth += facing * profile(bulges, share)
    if slants is not None:
        depth += across * profile(FINE * np.asarray(slants), share)
    # depths are stored in picture pixels: undo `fine` for z
    depth = (depth - (FINE - 1) / 2) / FINE
    nearer = depth > canvas.depths[window][inside]
    if not nearer.any():
        return
    inside[inside] = nearer
    along, share = along[inside] / FINE, share[nearer]
    if canvas.eye is not None:  # the fabric's own measure
        along = profile(steps, share) * sides
    across, over, facing = across[nearer], over[nearer], facing[nearer]
    normal = np.stack(
        [
            over * line[0] - across * line[1],
            over * line[1] + across * line[0],
            facing,
        ],
        axis=1,
    )
    _put(canvas, window, inside, depth[nearer], normal, paint(along, across))


def ball(canvas, center, frame, radii, paint):
    """An ellipsoid.

    Args:
        center: (3,) pixels.
        frame: (3, 3) its own axes as columns, in picture coordinates.
        radii: (3,) half its length along each of its axes, pixels.
        paint: (n, 3) unit vectors in its own frame -> (n, 3) RGB.
    """
    center, scale = project(center, canvas.eye)
    radii = radii * scale
    spread = (frame * np.square(radii)) @ frame.T
    seen = np.linalg.inv(spread[:2, :2])
    slant = spread[2, :2] @ seen
    bulge = np.sqrt(spread[2, 2] - slant @ spread[:2, 2])
    reach = np.sqrt(np.diag(spread)[:2])
    window, rows, columns = _window(
        canvas, fine(center[:2] - reach), fine(center[:2] + reach)
    )
    if not rows.size or not columns.size:
        return
    x = (columns - fine(center[0])) / FINE
    y = (rows - fine(center[1])) / FINE
    part = x**2 * seen[0, 0] + 2 * x * y * seen[0, 1] + y**2 * seen[1, 1]
    depth = slant[0] * x + slant[1] * y
    depth = depth + bulge * np.sqrt(np.maximum(1 - part, 0))
    inside = (part < 1) & (scale * depth + center[2] > canvas.depths[window])
    if not inside.any():
        return
    x, y = (np.broadcast_to(v, inside.shape)[inside] for v in (x, y))
    depth = depth[inside]
    own = np.stack([x, y, depth], axis=1) @ frame / radii
    normal = (own / radii) @ frame.T
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    depth = scale * depth + center[2]
    _put(canvas, window, inside, depth, normal, paint(own))


def panel(canvas, corners, depth, color):
    """A flat convex piece (N, 2) at one depth, lit from edge to edge."""
    corners = fine(corners)
    window, rows, columns = _window(canvas, corners.min(0), corners.max(0))
    if not rows.size or not columns.size:
        return
    mask = np.zeros((rows.size, columns.size), "uint8")
    moved = corners - (columns[0, 0], rows[0, 0])
    fixed = np.rint(moved * 16).astype("int32")  # 4 bits behind the point
    cv2.fillConvexPoly(mask, fixed, 1, shift=4)
    inside = (mask > 0) & (depth > canvas.depths[window])
    down = np.broadcast_to(rows, inside.shape)[inside] - rows[0, 0]
    shade = 1.05 - 0.3 * down / max(rows.size, 1)
    _store(canvas, window, inside, depth, color * shade[:, None])
