"""How one picture is grouped: joints, a limb's field, its pairs, people."""

import matplotlib
import numpy as np
from keras import ops
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from keras_pose import drawing, people
from keras_pose.data import annotations, pipeline
from keras_pose.report.charts import INK, PAGE_WIDTH

FEW, CROWDED = (3, 5), 0.5
"""Fewest and most people of the picture that is shown, and its least crowd
index."""
DPI = 96
ZOOM = 3
"""Pixels of a drawing / those of the input."""
REFUSED, WEAK, CHOSEN = "#b9bec6", "#ff5a6e", "#ffffff"
"""Of pairs that the field refuses, that are not chosen, and that are."""
DIM = 0.65
"""Brightness of the picture behind what is drawn on it."""
SURE = 0.3
"""Least length of a field's vector with an arrow."""
REFUSALS = 64
"""Most pairs that are refused and drawn."""
WRITTEN = 6
"""Most pairs that are not chosen with their scores."""
STEP = 2
"""Cells between arrows."""


def choose_picture(dataset, split):
    """Index of the first picture of a split with `FEW` labelled people, who are
    crowded; of the one with the most people if there is none."""
    everybody = annotations.read_people(dataset, split)
    counted = (everybody.flags > 0).any(axis=1) & ~everybody.crowd
    count = np.bincount(
        everybody.picture[counted], minlength=len(everybody.pictures)
    )
    index = people.crowd_indices(everybody)
    few = (count >= FEW[0]) & (count <= FEW[1]) & (index >= CROWDED)
    name = everybody.pictures[few.argmax() if few.any() else count.argmax()]
    subjects = annotations.read_subjects(dataset, split)
    return subjects.sources.index(name)


def draw_split(codec, dataset, split, size, see):
    """`draw_grouping` of a picture of a split, see `choose_picture`.

    Args:
        codec: `codecs.Fields`.
        dataset: `data.dataset.Dataset` of whole pictures.
        split: name of the split.
        size: (height, width) of the input.
        see: (images (1, H, W, 3), labels (1, M, K, 4)) -> what the codec has
            `seen`: that of a network, or the rendered truth.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    row = choose_picture(dataset, split)
    pictures = pipeline.load(dataset, split, size, 1, people=[row])
    images, labels = map(np.asarray, next(iter(pictures)))
    figure = draw_grouping(codec, images[0], see(images, labels))
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def draw_grouping(codec, image, seen, limb=None):
    """Four panels: from maps to people.

    Args:
        codec: `codecs.Fields`.
        image: (H, W, 3) uint8, the network's input.
        seen: (1, h, w, C), what it saw, see the codec.
        limb: index of the limb in the middle panels; None: of one whose chosen
            pairs are long and point in many directions.

    Returns:
        a matplotlib figure.
    """
    seen = ops.convert_to_numpy(seen)
    cells, heights = codec.candidate_joints(seen)
    pairs = codec.limb_scores(seen, cells, heights > 0)
    partner, score = (
        ops.convert_to_numpy(each)[0] for each in codec.match(pairs)
    )
    size = seen.shape[1:3]
    points = ops.convert_to_numpy(codec.to_pixels(cells, size))[0]
    heights, pairs = (ops.convert_to_numpy(e)[0] for e in (heights, pairs))
    if limb is None:
        limb = _choose_limb(points, codec.limbs, partner, score)
    start, end = codec.limbs[limb]
    names = [codec.parts.joints[k].replace("_", " ") for k in (start, end)]
    height, width = image.shape[:2]
    figure = Figure(
        figsize=(PAGE_WIDTH, PAGE_WIDTH * height / width + 0.6),
        layout="constrained",
    )
    panels = figure.subplots(2, 2)
    has_fields = codec.limb_channels == 2 * len(codec.limbs)
    what = "field of" if has_fields else "middle of"
    titles = (
        "1  Peaks of the maps: every joint of everybody",
        f"2  The {what} a limb: {names[0]} to {names[1]}",
        "3  Its pairs: what the field says of each",
        "4  Limbs that share a joint are one person",
    )
    everybody = codec.joints(seen)
    joints, found = (
        ops.convert_to_numpy(each)[0]
        for each in (everybody.points, everybody.scores)
    )
    joints = np.where(found[..., None] > 0, joints, np.nan)
    joints = joints[: int(everybody.count[0])]
    large = drawing.enlarge(image, ZOOM)
    moved = (joints + 0.5) * ZOOM - 0.5
    drawn = drawing.draw_people(large, moved, codec.skeleton)
    gray = 0.5 * large + 0.5 * large.mean(axis=2, keepdims=True)
    dim = (DIM * gray).astype("uint8")
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    for axes, title, back in zip(
        panels.flat, titles, (dim, dim, dim, drawn), strict=True
    ):
        axes.set_axis_off()
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.imshow(back, extent=extent, interpolation="antialiased")
        axes.set_xlim(extent[:2])
        axes.set_ylim(extent[2:])
    _draw_peaks(panels[0, 0], codec.parts, points, heights)
    _, limbs = codec.split(seen[0])
    if has_fields:
        _draw_field(panels[0, 1], codec, limbs, limb, extent)
    else:
        panels[0, 1].imshow(
            limbs[..., limb], extent=extent, alpha=0.7, cmap="magma"
        )
    ends = points[start], points[end]
    there = heights[start] > 0, heights[end] > 0
    _draw_pairs(
        panels[1, 0], ends, there, pairs[limb], partner[limb], score[limb]
    )
    return figure


def _choose_limb(points, limbs, partner, score):
    """Index of the limb whose chosen pairs are long and sure, and do not all
    point to one side: sum of the lengths - 0.9 times the length of the sum."""
    totals = []
    for number, (start, end) in enumerate(limbs):
        along = points[end][partner[number]] - points[start]
        along = along * np.square(score[number])[:, None]
        length = np.linalg.norm(along, axis=-1).sum()
        totals.append(length - 0.9 * np.linalg.norm(along.sum(axis=0)))
    return int(np.argmax(totals))


def _draw_peaks(axes, parts, points, heights):
    """Candidates, coloured by their side, as large as they are high."""
    colors = drawing.colors(parts) / 255
    for color, places, height in zip(colors, points, heights, strict=True):
        there = height > 0
        axes.scatter(
            *places[there].T, s=4 + 22 * height[there], color=color,
            edgecolors="black", linewidths=0.5,
        )  # fmt: skip


def _draw_field(axes, codec, fields, limb, extent):
    """The direction as hue, the length as opacity, and arrows."""
    x, y = fields[..., 2 * limb], fields[..., 2 * limb + 1]
    length = np.clip(np.hypot(x, y), 0, 1)
    hue = _hue(np.arctan2(y, x))
    axes.imshow(
        np.dstack([hue, 0.85 * length]), extent=extent, interpolation="nearest"
    )
    rows, columns = np.mgrid[: x.shape[0] : STEP, : x.shape[1] : STEP]
    shown = length[rows, columns] > SURE
    rows, columns = rows[shown], columns[shown]
    places = np.stack([columns, rows], axis=-1).astype("float32")
    places = ops.convert_to_numpy(codec.to_pixels(places, x.shape))
    reach = 1.6 * STEP * codec.stride
    axes.quiver(
        *places.T, x[rows, columns] * reach, y[rows, columns] * reach,
        angles="xy", scale_units="xy", scale=1, pivot="mid", color="white",
        width=0.004, headwidth=4, headlength=4, headaxislength=3.6,
    )  # fmt: skip
    wheel = axes.inset_axes([0.01, 0.02, 0.15, 0.2], projection="polar")
    angles = np.linspace(0, 2 * np.pi, 49)
    wheel.set_theta_direction(-1)  # y goes down, as in pictures
    wheel.bar(
        (angles[:-1] + angles[1:]) / 2, 1, width=angles[1], bottom=0.6,
        color=_hue((angles[:-1] + angles[1:]) / 2),
    )  # fmt: skip
    wheel.set_axis_off()


def _hue(angles):
    """RGB of directions, opposite ones far apart."""
    turn = (np.asarray(angles) / (2 * np.pi)) % 1
    ones = np.ones_like(turn)
    return matplotlib.colors.hsv_to_rgb(
        np.stack([turn, 0.8 * ones, ones], axis=-1)
    )


def _draw_pairs(axes, ends, there, pairs, partner, score):
    """All pairs of candidates, the chosen ones thick; those that the field
    refuses only if there are few."""
    refused = (pairs == 0) & there[0][:, None] & there[1]
    rows, columns = np.nonzero(refused)
    if len(rows) <= REFUSALS:
        lines = np.stack([ends[0][rows], ends[1][columns]], axis=1)
        axes.add_collection(
            LineCollection(lines, colors=REFUSED, linewidths=0.6, alpha=0.5)
        )
    rows, columns = np.nonzero(pairs > 0)
    chosen = (score[rows] > 0) & (partner[rows] == columns)
    for color, which, wide in ((WEAK, ~chosen, 1.2), (CHOSEN, chosen, 3.0)):
        values = pairs[rows, columns][which]
        lines = np.stack(
            [ends[0][rows[which]], ends[1][columns[which]]], axis=1
        )
        paint = np.tile(matplotlib.colors.to_rgba(color), (len(lines), 1))
        paint[:, 3] = np.clip(values, 0.25, 1)
        axes.add_collection(
            LineCollection(
                lines, colors=paint, linewidths=wide, capstyle="round"
            )
        )
        if color == WEAK and len(lines) > WRITTEN:
            continue
        for line, value in zip(lines, values, strict=True):
            axes.annotate(
                f"{value:.2f}", line.mean(axis=0), color=color, fontsize=7,
                xytext=(6, 0), textcoords="offset points", va="center",
                path_effects=[withStroke(linewidth=1.8, foreground="black")],
            )  # fmt: skip
    used = set(rows), set(columns)
    for points, who, color in zip(
        ends, used, (drawing.PEOPLE[4], drawing.PEOPLE[6]), strict=True
    ):
        places = points[sorted(who)].reshape(-1, 2)
        axes.scatter(
            *places.T, s=20, color=np.array(color) / 255, edgecolors="black",
            linewidths=0.5, zorder=3,
        )  # fmt: skip
