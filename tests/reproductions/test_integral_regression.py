"""What the methods compare, and settings that a method has not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reproductions import integral_regression as paper

LAPTOP = paper.Config(preset="laptop")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"method": "direct", "debias": True}, "debias .*_maps, got direct"),
        ({"method": "heatmaps", "beta": 2.0}, "beta .*_maps, got heatmaps"),
        ({"method": "argmax"}, "method must be one of .*got 'argmax'"),
        ({"norm": "l3"}, "norm must be one of .*got 'l3'"),
    ],
)
def test_what_a_method_has_not_is_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        replace(LAPTOP, **settings).resolved()


def test_both_comparisons_share_the_networks_of_stride_4():
    methods = paper.variants(LAPTOP)
    sizes = paper.variants(replace(LAPTOP, vary="size"))
    assert [*sizes][2::3] == [
        "Heatmaps (H1), stride 16",
        "Integral (I*), stride 16",
    ]
    configs = [
        [replace(LAPTOP, **{"vary": "method"} | each) for each in one.values()]
        for one in (methods, sizes)
    ]
    assert sum(each in configs[0] for each in configs[1]) == 2


def test_the_claim_is_drawn_over_the_size_of_the_maps():
    config = replace(LAPTOP, vary="size")
    names = list(paper.variants(config))
    table = pd.DataFrame(
        {
            "Mean": [60.0, 58, 40, 61, 59, 57],
            "Mean ±": [1, 2, 1, 1, 1, np.nan],  # of one seed
            "PCKh@0.1": [10.0, 5, 1, 11, 9, 8],
            "PCKh@0.1 ±": 1.0,
        },
        index=names,
    )
    figure = paper.draw_sizes(config, table)
    strict, mean = figure.axes
    for axes, heights in ((strict, [1, 5, 10]), (mean, [40, 58, 60])):
        line = axes.get_lines()[0]  # of heatmaps
        assert np.round(line.get_xdata(orig=False)).tolist() == [
            8,
            16,
            32,
        ]  # 128 / stride
        assert line.get_ydata().tolist() == heights
    assert paper.draw_sizes(LAPTOP, table) is None
