"""Pictures of people in the report, and of several models side by side."""

import html

import numpy as np
from matplotlib.figure import Figure

from keras_pose import codecs, drawing, geometry
from keras_pose.data import annotations, pipeline
from keras_pose.evaluation import failures
from keras_pose.inference import top_down
from keras_pose.models import heads
from keras_pose.report import page
from keras_pose.report.charts import INK, PAGE_WIDTH
from keras_pose.skeletons import side

PICTURE = 320
"""Approximate height in pixels of the pictures of people."""
AT_ONCE = 32
"""Crops that are cut at once."""
NEIGHBOURS = 4
"""Most models, truth included, with which two people fit side by side."""
SHOWN = {"Worst": 6, "Typical": 4, "Best": 4}
"""Number of people in each section of the page."""


def compare_people(dataset, split, predictions, count=6, size=(256, 256)):
    """HSM figures 4 and 5 as matplotlib drawing.

    Figure 4 shows the people on whom the models differ most, whichever is
    better; figure 5 those on whom even the better model does badly.

    Args:
        dataset: an opened data set.
        split: whose people these are.
        predictions: {label: (N, K, 2) joints in pixels of the photographs},
            baseline first.
        count: people per figure.
        size: (height, width) of the pictures.
    """
    people = annotations.read_subjects(dataset, split)
    labels = people.labels
    protocol = failures.joint_protocol(dataset.protocol)
    scored = np.flatnonzero(protocol.in_mean(dataset.skeleton))
    reach = {
        label: failures.reaches(joints, labels, dataset.skeleton, protocol)
        for label, joints in predictions.items()
    }
    reach = {label: r[:, scored] for label, r in reach.items()}
    right = {label: (r <= 1).sum(1) for label, r in reach.items()}
    counted = {label: (~np.isnan(r)).sum(1) for label, r in reach.items()}
    whole = failures.rank(next(iter(reach.values())))
    gap = np.ptp(np.stack([*right.values()]), axis=0)
    differ = whole[np.argsort(-gap[whole], kind="stable")][:count]
    bad = failures.rank(np.fmin.reduce([*reach.values()]))[:count]
    drawn = []
    for chosen in (differ, bad):
        images, back = crops(dataset, split, chosen, size)
        to_crop = geometry.invert(back)
        notes = {
            label: [
                f"{right[label][i]} of {counted[label][i]} correct"
                for i in chosen
            ]
            for label in predictions
        }
        drawn.append(
            draw_side_by_side(
                images,
                {
                    label: geometry.move(joints[chosen], to_crop)
                    for label, joints in predictions.items()
                },
                geometry.move(labels[chosen, :, :2], to_crop),
                people.flags[chosen],
                dataset.skeleton,
                notes,
            )
        )
    return drawn


def show_people(dataset, split, model, result, batch_size):
    """Worst, typical and best people: truth, prediction, heatmaps."""
    skeleton = dataset.skeleton
    scored = np.array(result.judge.in_mean(skeleton))
    ranked = failures.rank(result.reach[:, scored])
    if not len(ranked):
        return page.notice("No one has enough labelled joints to be shown.")
    middle = max(0, (len(ranked) - SHOWN["Typical"]) // 2)
    picks = {
        "Worst": ranked[: SHOWN["Worst"]],
        "Typical": ranked[middle:][: SHOWN["Typical"]],
        "Best": ranked[::-1][: SHOWN["Best"]],
    }
    chosen = np.unique(np.concatenate([*picks.values()]))
    size = model.input_shape[1:3]
    codec, maps = heads.codec_of(model), None
    if isinstance(codec, codecs.Heatmaps):
        images, _ = crops(dataset, split, chosen, size)
        maps = top_down.probabilities(model, images, batch_size=batch_size)
    images, back = large_crops(dataset, split, chosen, size)
    to_picture = geometry.invert(back)
    truth = geometry.move(result.labels[chosen, :, :2], to_picture)
    predicted = geometry.move(result.joints[chosen], to_picture)
    cards = {}
    for n, i in enumerate(chosen):
        wrong = result.reach[i] > 1
        missing = result.scores[i] < result.threshold
        pictures = {
            "truth": drawing.draw_skeleton(
                images[n], truth[n], skeleton, result.people.flags[i]
            ),
            "prediction": drawing.draw_skeleton(
                drawing.draw_misses(images[n], predicted[n], truth[n], wrong),
                predicted[n],
                skeleton,
                flags=np.where(missing, 1, 2),
            ),
        }
        if maps is not None:
            pictures["heatmaps"] = drawing.draw_heatmaps(
                images[n], maps[n], codec
            )
        reach = np.where(scored, result.reach[i], np.nan)
        line = _in_words(reach, skeleton)
        name = name_of(result.people, i, dataset)
        cards[i] = page.person(pictures, line, name)
    hollow = " (prediction: missing)" if result.threshold else ""
    return (
        f"<p>Sorted by the share of correct joints. {of_sides(skeleton)}Hollow "
        f"joints are occluded{hollow}. A <b class=wrong>red</b> line leads "
        "from a wrong joint to its true position."
        + (
            " Each heatmap is scaled to its own peak; low peaks are dimmer."
            if maps is not None
            else ""
        )
        + "</p>"
    ) + "".join(
        page.people(title, [cards[i] for i in members])
        for title, members in picks.items()
    )


def of_sides(skeleton):
    """What the colours mean, in HTML; empty if no joint has a side."""
    if not any(map(side, skeleton.joints)):
        return ""
    return (
        "<b class=left>Orange</b> is the "
        f"{html.escape(skeleton.kind)}'s own left, <b class=right>blue</b> the "
        "right. "
    )


def name_of(people, i, dataset):
    """Where to find person `i` again: the photograph, or the drawing's seed."""
    name = people.names[i] or people.sources[i]
    if dataset.is_drawn:
        return f"drawn with seed {name.removesuffix('#0')}"
    return name


def _in_words(reach, skeleton):
    """One person's result in words; reach (K,) is NaN where not counted."""
    right, counted = (reach <= 1).sum(), (~np.isnan(reach)).sum()
    line = f"{right} of {counted} correct"
    if right < counted:
        far = int(np.nanargmax(reach))
        joint = skeleton.joints[far].replace("_", " ")
        line += f"; largest error: {joint}"
    return line


def crops(dataset, split, chosen, size):
    """Crops (M, H, W, 3) of people, and (M, 2, 3) crop -> photograph."""
    images, back = zip(
        *(
            pipeline.view(dataset, split, size, chosen[start : start + AT_ONCE])
            for start in range(0, len(chosen), AT_ONCE)
        ),
        strict=True,
    )
    return np.concatenate(images), np.concatenate(back).astype("float64")


def large_crops(dataset, split, chosen, size):
    """`crops` as large as the page shows them, for a network's input `size`.

    They are cut from the photograph, and sharper than what the network sees.
    """
    zoom = max(1, round(PICTURE / size[0]))
    return crops(dataset, split, chosen, (zoom * size[0], zoom * size[1]))


def draw_joint(image, values, joint, codec):
    """The dimmed picture (H, W, 3) with the map (h, w) of one joint."""
    maps = np.zeros((*values.shape, len(codec.skeleton.joints)), "float32")
    maps[..., joint] = values
    return drawing.draw_heatmaps(image, maps, codec)


def draw_side_by_side(images, predictions, truth, flags, skeleton, notes=None):
    """HSM figures 4 and 5: several models' predictions for the same people.

    Args:
        images: N pictures (H, W, 3) uint8 RGB of one size.
        predictions: {label: (N, K, 2) joints in the pixels of `images`}.
        truth: (N, K, 2) in the same pixels, drawn as the last column.
        flags: (N, K) of the truth.
        skeleton: whose joints these are.
        notes: {label: N short texts below the pictures}, optional.
    """
    labels = [*predictions, "truth"]
    crowded = len(images) > 3 and len(labels) <= NEIGHBOURS
    across = 2 if crowded else 1  # people per row
    rows = -(-len(images) // across)
    height, width = images[0].shape[:2]
    inches = PAGE_WIDTH / (2 * min(len(labels), NEIGHBOURS))
    line = 0.15 if notes else 0.04
    figure = Figure(
        figsize=(
            inches * across * len(labels),
            rows * (inches * height / width + line) + 0.3,
        ),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    grid = figure.subplots(rows, across * len(labels), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for person, image in enumerate(images):
        row, block = divmod(person, across)
        for column, label in enumerate(labels):
            axes = grid[row, block * len(labels) + column]
            joints, shown = truth[person], flags[person]
            if label != "truth":
                joints, shown = predictions[label][person], None
            axes.imshow(drawing.draw_skeleton(image, joints, skeleton, shown))
            if not row:
                axes.set_title(label, fontsize=9, color=INK)
            note = (notes or {}).get(label)
            if note:
                below = {"transform": axes.transAxes, "ha": "center"}
                below |= {"va": "top", "fontsize": 7, "color": INK}
                axes.text(0.5, -0.03, note[person], **below)
    return figure
