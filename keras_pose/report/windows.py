"""What a fine model adds: coarse map, window and fine map of some joints."""

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from keras_pose.models import efficient_localization as networks
from keras_pose.models import heads, windows
from keras_pose.report.charts import INK

COUNT = 3
"""Joints in the figure."""
TRUTH, COARSE, FOUND = "white", "#ff9f1c", "#2ec4b6"
COLUMNS = "coarse map and window", "window", "fine map"


def draw_windows(model, image, labels):
    """A row for each of some labelled joints of one person.

    Args:
        model: `models.PoseModel` with a fine model.
        image: (H, W, 3) uint8: its input.
        labels: (K, 3 or more) x, y in pixels of the input, and flag.

    Returns:
        a matplotlib figure: the truth is a white cross, the coarse peak an
        orange one, the result a green one.
    """
    layers = [networks.COARSE, networks.CORNERS, networks.FINE_MAPS]
    outputs = [model.get_layer(name).output for name in layers]
    outputs.append(model.outputs[-1])
    parts = keras.Model(model.input, outputs)
    coarse, (corners, _), fine, last = keras.tree.map_structure(
        keras.ops.convert_to_numpy, parts(image[None], training=False)
    )
    codec, window = heads.codec_of(model), model.get_layer(networks.CORNERS)
    stride, side = window.stride, window.window
    found, _, _ = codec.joints(codec.seen(last), "argmax")
    found = keras.ops.convert_to_numpy(found)[0]
    labelled = np.flatnonzero(labels[:, 2] > 0)
    places = np.linspace(0, len(labelled) - 1, min(COUNT, len(labelled)))
    shown = labelled[places.round().astype(int)]
    height, width = image.shape[:2]
    picture = (-0.5, width - 0.5, height - 0.5, -0.5)
    figure = Figure(figsize=(7.5, 2.6 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), len(COLUMNS), squeeze=False)
    for line, (row, joint) in enumerate(zip(grid, shown, strict=True)):
        x, y = corners[0, joint] * windows.STEP - 0.5
        cut = (x, x + side, y + side, y)
        map_ = coarse[0, ..., joint]
        peak = np.unravel_index(map_.argmax(), map_.shape)[::-1]
        points = {
            TRUTH: labels[joint, :2],
            COARSE: np.array(peak) * stride + (stride - 1) / 2,
            FOUND: found[joint],
        }
        for axes, title in zip(row, COLUMNS, strict=True):
            axes.set_axis_off()
            axes.imshow(image, extent=picture)
            if axes is row[0]:
                axes.imshow(map_, extent=picture, alpha=0.6, cmap="magma")
                axes.add_patch(
                    Rectangle((x, y), side, side, fill=False, color=COARSE)
                )
            else:
                axes.set_xlim(cut[:2])
                axes.set_ylim(cut[2:])
            if axes is row[2]:
                values = fine[0, ..., joint]
                axes.imshow(values, extent=cut, alpha=0.6, cmap="magma")
            for color, point in points.items():
                axes.plot(*point, "+", color=color, markersize=9, clip_on=True)
            if not line:
                axes.set_title(title, fontsize=9, color=INK)
        name = codec.skeleton.joints[joint].replace("_", " ")
        row[0].text(0.02, 0.02, name, transform=row[0].transAxes, color=TRUTH)
    return figure
