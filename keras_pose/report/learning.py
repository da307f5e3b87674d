"""How a run learned, in the report: curves and joint weights."""

import html

import numpy as np

from keras_pose.report import charts, page
from keras_pose.report import history as runs
from keras_pose.training.folder import HISTORY

EVEN = 1e-4
"""Joint weights that differ from even ones by less do so by rounding."""


def curves(history):
    """The metric and the loss, or a notice that there are none."""
    if history is None:
        return page.notice(f"There are no curves: the folder has no {HISTORY}.")
    metric = runs.metric_of(history)
    if metric is None:
        return page.notice(f"There are no curves: {HISTORY} has no metric.")
    chart = charts.draw_history(history, metric)
    return page.chart(chart, "The metric and the loss per epoch")


def joint_weights(path):
    """The joint weights of each hourglass per epoch."""
    table = runs.read_weights(path)
    last = table[table["epoch"] == table["epoch"].max()]
    joints = last["joint"].nunique()
    end = last[last["stack"] == last["stack"].max()].set_index("joint")
    uneven = np.abs(table["weight"] * joints - 1).max()
    if uneven < EVEN:
        return page.notice("All joints had the same weight in every hourglass.")
    if uneven < 100 * EVEN:
        return page.notice(
            f"The joint weights stayed within {100 * uneven:.1f} % of even. "
            "If most joints of a sample are wrong, their mean loss is above "
            "half of the largest, and the paper's rule changes no weights."
        )
    if table["stack"].max() == 1:  # whose weights the paper's rule leaves even
        raise ValueError(f"{path} is damaged: one hourglass, uneven weights")
    share = end["weight"] * joints
    hard, easy = (
        html.escape(f"{str(name).replace('_', ' ')} ({share[name]:.2f})")
        for name in (share.idxmax(), share.idxmin())
    )
    text = (
        "<p>Each hourglass gives more weight to the joints that were hard for "
        "the previous one (the first has even weights). In the last epoch the "
        f"last hourglass gave the most weight to the {hard} and the least to "
        f"the {easy}; 1 is the even weight.</p>"
    )
    figure = charts.draw_joint_weights(table)
    return text + page.chart(figure, "Joint weights by hourglass and epoch")
