"""Charts that compare systems: score by threshold, and score by cost."""

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from keras_pose import metrics
from keras_pose.evaluation import failures
from keras_pose.report import charts


def threshold_curves(joints, people, dataset):
    """The mean score at every threshold of the protocol's curve.

    Returns:
        thresholds (T,), and {system: (T,) per cent, the mean of its seeds}.
    """
    skeleton = dataset.skeleton
    protocol = failures.joint_protocol(dataset.protocol)
    inside = np.array(protocol.in_mean(skeleton))
    curves = {}
    for name, seeds in joints.items():
        shares = []
        for points in seeds:
            correct, counted = protocol.hits(
                people.labels, points, skeleton, protocol.curve
            )
            correct = np.asarray(correct, "float64").sum(axis=1)
            counted = np.asarray(counted, "float64").sum(axis=0)
            shares.append(
                metrics.mean_score(correct, counted, inside, protocol.mean)
            )
        curves[name] = 100 * np.mean(np.asarray(shares), axis=0)
    return np.array(protocol.curve), curves


def draw_thresholds(joints, people, dataset):
    """A line per system: the share of correct joints by threshold."""
    thresholds, curves = threshold_curves(joints, people, dataset)
    figure = Figure(figsize=(charts.PAGE_WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    charts.style(axes, "")
    for (name, curve), color in zip(
        curves.items(), charts.cycle(curves), strict=True
    ):
        axes.plot(thresholds, curve, color=color, linewidth=2, label=name)
    length = failures.joint_protocol(dataset.protocol).length
    unit = {"head": "head sizes", "box": "longer sides of the box"}
    unit = unit.get(length if isinstance(length, str) else "", "torso lengths")
    axes.set_xlabel(f"distance from the truth, {unit}", color=charts.INK)
    axes.set_ylabel("joints within it, per cent", color=charts.INK)
    axes.set_ylim(bottom=0)
    lines, names = axes.get_legend_handles_labels()
    order = np.argsort([-curve[-1] for curve in curves.values()])
    figure.legend(
        [lines[i] for i in order], [names[i] for i in order],
        loc="outside right upper", frameon=False, labelcolor=charts.INK,
        fontsize=9,
    )  # fmt: skip
    return figure


def draw_costs(table, intervals, title):
    """Two panels: the score against GMACs, and against time per person."""
    figure = Figure(figsize=(charts.PAGE_WIDTH, 4.2), layout="constrained")
    panels = {
        "GMACs": "multiply-accumulates per person, 10⁹",
        "ms per person": "photograph to joints, ms per person",
    }
    colors = charts.cycle(table.index)
    for axes, (column, label) in zip(
        figure.subplots(1, 2, sharey=True), panels.items(), strict=True
    ):
        charts.style(axes, "")
        axes.set_xscale("log")
        for (name, row), color in zip(table.iterrows(), colors, strict=True):
            low, high = intervals[name]
            axes.plot([row[column]] * 2, (low, high), color=color, linewidth=2)
            axes.plot(
                row[column], row["Mean"], "o", color=color, label=name,
                markersize=8,
            )  # fmt: skip
        axes.margins(x=0.15, y=0.1)
        axes.set_xlabel(label, color=charts.INK)
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    figure.axes[0].set_ylabel(f"{title}, per cent", color=charts.INK)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper left", ncols=4,
        frameon=False, labelcolor=charts.INK, fontsize=9,
    )  # fmt: skip
    return figure


def draw_lines(table, group, x, label):
    """A panel per threshold: a line per group, with deviations over the seeds.

    Args:
        table: of `comparison.compare`, and the columns `group` and `x`.
        group: column with the names of the lines.
        x: column of the horizontal axis, on a scale of doublings.
        label: of that axis.
    """
    strict = [name for name in table.columns if name.endswith("@0.1")]
    columns = [*strict, "Mean"]
    figure = Figure(figsize=(charts.PAGE_WIDTH, 4.0), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    groups = table.groupby(group, sort=False)
    for axes, column in zip(panels, columns, strict=True):
        charts.style(axes, "Mean of the joints" if column == "Mean" else column)
        for number, ((name, rows), color) in enumerate(
            zip(groups, charts.cycle(groups), strict=True)
        ):
            rows = rows.sort_values(x)
            aside = 1.02 ** (number - (len(groups) - 1) / 2)  # bars stay apart
            axes.errorbar(
                rows[x] * aside, rows[column], rows[f"{column} ±"].fillna(0),
                fmt="-o", color=color, label=name, linewidth=2, capsize=3,
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(table[x].unique()))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(label, color=charts.INK)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("per cent", color=charts.INK)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper right",
        ncols=4, frameon=False, labelcolor=charts.INK, fontsize=9,
    )  # fmt: skip
    return figure
