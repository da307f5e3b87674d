"""What the methods compare, and settings that a method has not."""

from dataclasses import replace

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
