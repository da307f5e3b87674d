"""Curves and bars of the papers and the report, from values computed elsewhere.

Charts are matplotlib figures; `save` writes one to a file, `svg` makes it part
of a page with a light or dark theme.
"""

import io
import re

import matplotlib
import matplotlib.colors
import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from keras_pose import files
from keras_pose.report.history import SMOOTHING, smooth_stages, stage_borders

INK, FAINT = "#1c2128", "#d5dae0"
"""Text and grid lines; `svg` replaces these two by the page's colours."""
LINES = ("#7d8590", "#e07b2f", "#3987cf", "#2d9f73", "#a46fd0", "#d24f68",
         "#a8842c", "#38a9b8")  # fmt: skip
"""One per variant, the baseline first; readable on white and on black."""
PAGE_WIDTH = 10.0  # inches
COMPARABLE = "each variant minimises its own loss: levels are not comparable"


def draw_curves(histories, metric, window=SMOOTHING):
    """HSM figure 3: accuracy and loss on train and validation, per variant.

    A line is the mean over the seeds, with a band of one standard deviation.
    For long runs (see `smooth_stages`) it is smoothed by a 1-D convolution,
    with the unsmoothed mean faintly behind it. Lines end with each stage;
    dotted lines mark where the next stage begins.

    Args:
        histories: {variant: [history.csv as a DataFrame, one per seed]}, the
            baseline first; columns epoch, loss, `metric`, both also with the
            prefix val_, and stage if a run has several.
        metric: name of the metric's column.
        window: width of the convolution, epochs.
    """
    figure = Figure(figsize=(PAGE_WIDTH, 6.6), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True)
    panels = {
        f"{_title(metric)} in training": metric,
        f"{_title(metric)} on held-out data": f"val_{metric}",
        "Loss in training": "loss",
        "Loss on held-out data": "val_loss",
    }
    everything = [seed for seeds in histories.values() for seed in seeds]
    for axes, letter, (title, column) in zip(
        grid.flat, "abcd", panels.items(), strict=True
    ):
        style(axes, f"({letter}) {title}")
        several = len(histories) > 1
        for (label, seeds), color in zip(
            histories.items(), cycle(histories), strict=True
        ):
            _draw_seeds(axes, seeds, column, label, color, window)
        if not axes.lines:
            middle = {"transform": axes.transAxes, "ha": "center"}
            axes.text(0.5, 0.5, "not recorded", color=INK, **middle)
        elif "loss" in column:
            axes.set_yscale("log")
            _plain_log(axes)
            if several:
                axes.set_title(COMPARABLE, loc="right", fontsize=7, y=-0.22)
        else:
            axes.set_ylim(bottom=0)
        _mark_stages(axes, everything, named="loss" not in column)
    for axes in grid[1]:
        _whole_epochs(axes)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        _legend(figure, handles, labels)
    return figure


def draw_history(history, metric):
    """One run: the metric and the loss, in training and on held-out people."""
    figure = Figure(figsize=(PAGE_WIDTH, 3.3), layout="constrained")
    for axes, column, title in zip(
        figure.subplots(1, 2), (metric, "loss"), (_title(metric), "Loss"),
        strict=True,
    ):  # fmt: skip
        style(axes, title)
        _whole_epochs(axes)
        pairs = {"training": column, "held-out data": f"val_{column}"}
        for (label, name), color in zip(
            pairs.items(), (LINES[0], LINES[1]), strict=True
        ):
            if name not in history or history[name].isna().all():
                continue
            seen = history.dropna(subset=[name])
            parts = np.split(np.arange(len(seen)), stage_borders(_stages(seen)))
            for part in map(seen.iloc.__getitem__, parts):
                axes.plot(
                    part["epoch"], part[name], color=color, label=label,
                    marker=_dots(len(seen)), markersize=3, linewidth=1.8,
                )  # fmt: skip
                label = None
        if column == "loss":
            axes.set_yscale("log")
            _plain_log(axes)
        else:
            axes.set_ylim(bottom=0)
        _mark_stages(axes, [history], named=column != "loss")
    _legend(figure, *figure.axes[0].get_legend_handles_labels())
    return figure


def draw_joint_weights(table):
    """The joint weights of each hourglass over time, a panel per hourglass.

    Rows are joints, left and right together, columns epochs. The colour is the
    weight relative to even weights on a logarithmic scale. The first hourglass
    has even weights and no panel.

    Args:
        table: DataFrame with epoch, stack (from 1), joint, weight.
    """
    bare = table["joint"].str.replace("^(left|right)_", "", regex=True)
    joints = table["joint"].nunique()
    share = table.assign(
        joint=bare.str.replace("_", " "), share=table["weight"] * joints
    )
    stacks = range(2, table["stack"].max() + 1)
    names = share["joint"].unique()
    across = min(len(stacks), 4)
    rows = -(-len(stacks) // across)
    figure = Figure(
        figsize=(PAGE_WIDTH, rows * (0.9 + 0.22 * len(names))),
        layout="constrained",
    )
    panels = {
        stack: share[share["stack"] == stack].pivot_table(
            "share", "joint", "epoch", sort=False
        )
        for stack in stacks
    }
    limit = max(
        1.1,
        *(np.exp(np.abs(np.log(p)).max(axis=None)) for p in panels.values()),
    )
    scale = matplotlib.colors.LogNorm(1 / limit, limit)
    grid = figure.subplots(rows, across, sharey=True, squeeze=False)
    for axes in grid.flat[len(stacks) :]:
        axes.set_axis_off()
    for axes, (stack, panel) in zip(grid.flat, panels.items(), strict=False):
        style(axes, f"Hourglass {stack}")
        axes.grid(visible=False)
        first, last = panel.columns[0] - 0.5, panel.columns[-1] + 0.5
        drawn = axes.imshow(
            panel, norm=scale, cmap="PuOr_r", aspect="auto",
            interpolation="nearest", extent=(first, last, len(panel), 0),
        )  # fmt: skip
        axes.set_yticks(
            np.arange(len(panel)) + 0.5, panel.index, parse_math=False
        )
        _whole_epochs(axes)
    bar = figure.colorbar(drawn, ax=grid, fraction=0.03, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(which="both", colors=INK, length=0, labelsize=8)
    ticks = [1 / limit, 1 / np.sqrt(limit), 1, np.sqrt(limit), limit]
    bar.set_ticks(ticks, labels=[f"{tick:.2f}" for tick in ticks], minor=False)
    bar.minorticks_off()
    bar.set_label("weight / even weight", color=INK, fontsize=8.5)
    return figure


def draw_missing(curves, thresholds):
    """Precision and recall of missing joints against the threshold.

    HSM, section VII, names the threshold as future work.

    Args:
        curves: {what counts as missing: DataFrame with threshold, precision,
            recall, f1}.
        thresholds: the chosen threshold of each curve.
    """
    figure = Figure(figsize=(PAGE_WIDTH, 3.4), layout="constrained")
    grid = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, curve), chosen in zip(
        grid, curves.items(), thresholds, strict=True
    ):
        style(axes, f"{name}: best F1 at {chosen:.2f}")
        for column, color in zip(
            ("precision", "recall", "f1"), LINES[1:4], strict=True
        ):
            axes.plot(
                curve["threshold"], curve[column], color=color, linewidth=1.8,
                label=column.upper() if column == "f1" else column,
            )  # fmt: skip
        axes.axvline(chosen, color=INK, linewidth=1, linestyle=(0, (2, 3)))
        axes.set(ylim=(0, 1.02))
        axes.set_xlabel("threshold: missing below this score", color=INK)
    _legend(figure, *grid[0].get_legend_handles_labels())
    return figure


def draw_visibility(table):
    """Accuracy of each type of joint, visible and occluded.

    Args:
        table: DataFrame, one row per type of joint, columns visible and
            occluded as fractions (NaN where there are none).
    """
    table = table.iloc[::-1]
    height = 0.9 + 0.33 * len(table)
    figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    axes = figure.subplots()
    style(axes, "")
    rows = np.arange(len(table))
    both = table[["visible", "occluded"]]
    axes.hlines(
        rows, both.min(axis=1), both.max(axis=1), color=FAINT, linewidth=5
    )
    for column, color in (("occluded", LINES[1]), ("visible", LINES[2])):
        axes.scatter(
            table[column], rows, s=52, color=color, label=column, zorder=3
        )
    axes.set_yticks(rows, table.index, parse_math=False)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.7, len(table) - 0.3))
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    axes.grid(axis="y", visible=False)
    _legend(figure, *axes.get_legend_handles_labels())
    return figure


def draw_stability(table):
    """A metric against the error of the box, one curve per model.

    Args:
        table: DataFrame with model, error ("scale" or "shift"), amount and, in
            the last column, the metric in per cent.
    """
    figure = Figure(figsize=(PAGE_WIDTH, 3.6), layout="constrained")
    metric, models = table.columns[-1], table["model"].unique()
    panels = {
        "scale": ("(a) Box too small or too large", "side / correct side"),
        "shift": ("(b) Box shifted from the person", "shift / side"),
    }
    for axes, (error, (title, label)) in zip(
        figure.subplots(1, 2, sharey=True), panels.items(), strict=True
    ):
        style(axes, title)
        rows = table[table["error"] == error]
        for model, color in zip(models, cycle(models), strict=True):
            curve = rows[rows["model"] == model].sort_values("amount")
            axes.plot(
                curve["amount"], curve[metric], color=color, label=model,
                marker="o", markersize=4, linewidth=1.8,
            )  # fmt: skip
        correct = 1.0 if error == "scale" else 0.0
        axes.axvline(correct, color=INK, linewidth=1, linestyle=(0, (2, 3)))
        axes.set_xlabel(label, color=INK)
    axes.set_ylim(bottom=0)
    figure.axes[0].set_ylabel(f"{metric}, per cent", color=INK)
    _legend(figure, *axes.get_legend_handles_labels())
    return figure


def save(figure, path):
    """Writes a chart as PNG or SVG, completely or not at all."""
    settings = {"svg.fonttype": "none"}
    with files.whole(path) as temporary, matplotlib.rc_context(settings):
        figure.savefig(temporary, dpi=160, facecolor="white")


def svg(figure, title):
    """A chart as inline SVG; text and grid use the page's --ink and --line.

    `title` is the text for screen readers.
    """
    text = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": title}
    with matplotlib.rc_context(settings):
        figure.savefig(
            text, format="svg", transparent=True, metadata={"Date": None}
        )
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' id="[a-z]+_\d+"', "", drawing)  # not unique on a page
    drawing = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", drawing)
    drawing = re.sub(r' (?:width|height)="[\d.]+pt"', "", drawing, count=2)
    drawing = drawing.replace(INK, "var(--ink)").replace(FAINT, "var(--line)")
    label = title.replace('"', "'")
    return drawing.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _draw_seeds(axes, seeds, column, label, color, window):
    """Mean over the seeds with a band; if smoothed, also the raw mean."""
    seeds = [seed.set_index("epoch") for seed in seeds if column in seed]
    if not seeds:
        return
    table = pd.concat([seed[column] for seed in seeds], axis=1)
    table = table.dropna(how="all")
    if table.empty:
        return
    longest = max(seeds, key=len)
    stages = _stages(longest.loc[table.index])
    mean, spread = table.mean(axis=1), table.std(axis=1).fillna(0)
    epochs = np.split(table.index, stage_borders(stages))
    curves = (
        smooth_stages(values, stages, window) for values in (mean, spread)
    )
    for at, middle, band in zip(epochs, *curves, strict=True):
        raw = mean[at]
        if not np.array_equal(raw, middle):
            axes.plot(at, raw, color=color, linewidth=0.8, alpha=0.35)
        axes.plot(
            at, middle, color=color, linewidth=1.9, label=label,
            marker=_dots(len(table)), markersize=3,
        )  # fmt: skip
        label = None  # once in the legend
        if len(seeds) > 1:
            axes.fill_between(
                at, middle - band, middle + band, color=color, alpha=0.16,
                linewidth=0,
            )  # fmt: skip


def _stages(history):
    """(E,) the stage of each epoch; a single stage if there is no column."""
    if "stage" in history:
        return history["stage"].to_numpy()
    return np.ones(len(history))


def _mark_stages(axes, histories, named):
    """A dotted line where a stage begins, if all runs that have it begin it at
    the same epoch; with its number at the bottom if `named`."""
    starts = {
        (_stages(history)[i], history["epoch"].iloc[i] - 0.5)
        for history in histories
        for i in stage_borders(_stages(history))
    }
    times = [stage for stage, _ in starts].count
    for stage, at in filter(lambda start: times(start[0]) == 1, sorted(starts)):
        axes.axvline(at, color=INK, linewidth=1, linestyle=(0, (1, 3)))
        if named:
            axes.annotate(
                f"stage {stage:g}", (at, 0), (3, 3), fontsize=7, color=INK,
                xycoords=axes.get_xaxis_transform(), textcoords="offset points",
            )  # fmt: skip


def _dots(epochs):
    """A marker for each epoch of a short run: the measured values."""
    return "o" if epochs < 40 else None


def _title(metric):
    """A metric's name in a title: "PCKh"."""
    return metric.upper().replace("PCKH", "PCKh").replace("_", " ")


def cycle(variants):
    """As many line colours as variants."""
    return [LINES[i % len(LINES)] for i in range(len(variants))]


def style(axes, title):
    """The same plain frame for every chart."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
    axes.spines[:].set_visible(False)
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=8.5)
    axes.margins(x=0.02)


def _whole_epochs(axes):
    """The axis of epochs, with whole numbers only."""
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))


def _legend(figure, handles, labels):
    """One legend above all panels, on the left: phones show that part."""
    columns = min(len(labels), 4) or 1  # filled one after the other
    rows = [k for c in range(columns) for k in range(len(labels))[c::columns]]
    figure.legend(
        [handles[k] for k in rows], [labels[k] for k in rows], ncols=columns,
        loc="outside upper left", fontsize=9, frameon=False, labelcolor=INK,
    )  # fmt: skip


def _plain_log(axes):
    """Few ticks with plain numbers on a logarithmic axis."""
    low, high = axes.get_ylim()
    several = high > 20 * low
    ticks = matplotlib.ticker.LogLocator(subs=(1, 2, 5)) if several else None
    axes.yaxis.set_major_locator(ticks or matplotlib.ticker.MaxNLocator(6))
    axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
