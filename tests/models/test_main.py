"""The model table: the published figures, counted again."""

import pandas as pd
import pytest
from keras import layers

from keras_pose.models import __main__ as table

COUNTED = [
    row
    for row in table.ROWS
    # large networks take seconds to build: the others by hand below
    if row.parameters
    and "Integral" not in row.name
    and not (row.large and "ResNet" in row.name and row.size == (256, 256))
    and not ("Direct" in row.name and (row.large or row.joints != 16))
    and row.name not in ("Hourglass, 4 stacks", "Hourglass, 8 stacks")
    and not ("CPN" in row.name and row.size == (384, 288))
]


@pytest.mark.parametrize(
    "row", COUNTED, ids=lambda row: f"{row.name} {row.size}"
)
def test_counts_are_the_published_ones(row):
    trainable, gmacs = table.count(row)
    assert trainable == row.parameters
    assert row.gmacs is None or gmacs == pytest.approx(row.gmacs, abs=6e-4)


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_the_published_figures_of_both_sizes_are_of_one_network(depth):
    """At 256 x 256 it has 4/3 of the positions, and a joint less to read from
    256 features: whoever counts one right counts the other right."""
    (narrow, wide) = (table.BASELINES[size][depth] for size in table.BASELINES)
    assert narrow[0] - wide[0] == 256 + 1
    joint = 64 * 48 * 256 / 1e9
    assert wide[1] == pytest.approx((narrow[1] - joint) * 4 / 3, abs=1.2e-3)


def test_each_further_hourglass_costs_as_much_as_the_second():
    """A graph of 8 stacks is in test_mss_net.py."""
    (one, first), (two, second) = (table.HOURGLASSES[n] for n in (1, 2))
    for stacks, (count, gmacs) in table.HOURGLASSES.items():
        assert count == one + (stacks - 1) * (two - one)
        wanted = first + (stacks - 1) * (second - first)
        assert gmacs == pytest.approx(wanted, abs=stacks * 1e-3)


def test_a_larger_picture_changes_the_work_of_cpn_and_not_its_size():
    small, large = (
        table.PYRAMIDS[50, size] for size in ((256, 192), (384, 288))
    )
    assert large[0] == small[0]
    assert large[1] == pytest.approx(small[1] * 1.5**2, abs=2e-3)


def test_heads_of_regression_on_the_backbone_of_simple_baselines_by_hand():
    """Three 4x4 transposed convolutions to 256 channels with their norms, and
    the maps; or 2048 numbers and 1 for each of 2 K coordinates."""
    head = 16 * 256 * (2048 + 2 * 256) + 3 * 2 * 256 + 16 * 257
    baselines = table.BASELINES[(256, 256), 16]
    for (_, joints), depths in table.DIRECT.items():
        for depth, count in depths.items():
            backbone = baselines[depth][0] - head
            assert count == backbone + 2 * joints * (2048 + 1)
    assert table.DIRECT[(224, 224), 14][50] == 23_565_404
    (integral,) = [
        row for row in table.ROWS if "Integral regression, " in row.name
    ]
    same = table.BASELINES[(256, 192), 17][50][0]
    assert integral.parameters == same
    assert integral.build.func is table.deconvolved


def test_published_weights_are_listed_by_their_test(tmp_path, capsys):
    path = tmp_path / "weights.csv"
    table.main(table.Config(weights=True, output=path))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    start = lines.index(
        "hrnet: leoxiaobin/deep-high-resolution-net.pytorch (MIT)"
    )
    assert lines[start + 1 : start + 3] == [
        "  COCO val, AP; flip test shifted by 1 cell, decoding quarter, "
        "boxes detected (person AP 56.4)",
        "    HRNet-W32  256x192  74.4  pose_hrnet_w32_256x192",
    ]
    assert "    2 stacks   256x256  87.3  bearpaw_hg2-15e342d9" in lines
    assert "    HRNet-W48  256x256     -  pose_hrnet_w48_256x256" in lines
    names = [row.name for row in table.published.PUBLISHED]
    assert [line.split()[-1] for line in lines if line[:4] == "    "] == names
    assert pd.read_csv(path)["score"].max() == 90.5


def test_the_table_has_ours_beside_the_published(monkeypatch, tmp_path, capsys):
    rows = [
        table.Row(
            "one",
            lambda images, joints: layers.Conv2D(joints, 1)(images),
            size=(8, 12),
            joints=1000,
            parameters=4000,
            gmacs=0.0003,  # 8 * 12 * 3 * 1000 / 10^9, rounded
        ),
        table.Row("two", lambda images, _: [layers.ReLU()(images)]),
        table.Row("three", None, large=True),
    ]
    monkeypatch.setattr(table, "ROWS", rows)
    path = tmp_path / "table.csv"
    table.main(table.Config(fast=True, output=path))
    lines = {
        line.split()[0]: line.split()[1:]
        for line in capsys.readouterr().out.splitlines()
        if line
    }
    assert lines["one"] == "8 x 12 1000 4,000 4,000 0.000 0.000".split()
    assert lines["two"] == "256 x 256 16 0 - 0.000 -".split()
    assert "three" not in lines
    found = pd.read_csv(path, index_col="network")
    assert found.loc["one", "GMACs"] == pytest.approx(8 * 12 * 3000 / 1e9)


def test_every_row_has_a_name_of_its_own():
    names = [(row.name, row.size) for row in table.ROWS]
    assert len(set(names)) == len(names)
