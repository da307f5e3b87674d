"""The model table: the published figures, counted again."""

import pandas as pd
import pytest
from keras import layers

from keras_pose.models import __main__ as table

QUICK = ("Hourglass, 4 stacks", "Simple Baselines, ResNet-50")


@pytest.mark.parametrize(
    "row",
    [row for row in table.ROWS if row.name in QUICK],
    ids=lambda row: f"{row.name} {row.size}",
)
def test_counts_are_the_published_ones(row):
    check(row)


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [row for row in table.ROWS if row.parameters and row.name not in QUICK],
    ids=lambda row: f"{row.name} {row.size}",
)
def test_counts_of_the_large_ones_are_the_published(row):
    check(row)


def check(row):
    trainable, gmacs = table.count(row)
    assert trainable == row.parameters
    assert gmacs == pytest.approx(row.gmacs, abs=6e-4)


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
