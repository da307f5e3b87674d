"""The slopes by hand, and a small run from end to end."""

import pandas as pd
import pytest

from benchmarks import people_in_picture as benchmark
from keras_pose.models import hourglass


def test_a_slope_is_that_per_person_to_the_time_of_the_first():
    """2 + 3 n for n people: 3 more for each, of 5 for one."""
    people = [1, 2, 4]
    table = pd.DataFrame(
        {"flat": 7.0, "linear": [2 + 3 * n for n in people]}, index=people
    )
    slopes = benchmark.slopes(table)
    assert slopes["flat"] == pytest.approx(0, abs=1e-12)
    assert slopes["linear"] == pytest.approx(0.6)


def test_it_measures_pictures_with_so_many_people(
    capsys, monkeypatch, two_layers
):
    monkeypatch.setattr(hourglass, "stacked_hourglass", two_layers)
    config = benchmark.Config(
        people=(1, 2), size=(128, 192), crop=64, filters=4, rounds=1
    )
    slopes = benchmark.main(config)
    printed = capsys.readouterr().out
    assert slopes.notna().all()
    assert {*slopes.index} == {
        (clock, job)
        for clock in ("CPU ms", "ms")
        for job in ("network", "grouping", "top-down")
    }
    assert "of so many: {1: 1, 2: 2}" in printed


def test_a_line_needs_two_numbers_of_people():
    with pytest.raises(ValueError, match=r"at least two numbers, got \(3, 3\)"):
        benchmark.main(benchmark.Config(people=(3, 3)))
