"""A comparison says who was counted and how sure a difference is."""

import numpy as np
import pandas as pd
import pytest

from keras_pose import comparison
from keras_pose.data.annotations import read_subjects
from keras_pose.report import charts
from keras_pose.skeletons import MPII

EVERY = np.ones(3, bool)


def hits(people, seed=0):
    """Which of 3 joints are right and counted, (N, 3): 70 % and 80 %."""
    rng = np.random.default_rng(seed)
    counted = (rng.random((people, 3)) < 0.8).astype("float64")
    return (rng.random((people, 3)) < 0.7) * counted, counted


def test_an_interval_is_that_of_the_ratio_of_two_sums():
    """Of 900 people nearly normal, with the variance of a ratio's linear part.

    The mean is sum(d) / sum(c) over people with d more joints right of c.
    """
    before, counted = hits(900)
    after = np.where(np.random.default_rng(1).random((900, 3)) < 0.2, 1, before)
    after *= counted
    low, high = comparison.paired_intervals(
        np.stack([before, after]), counted, EVERY
    )
    assert (low[0], high[0]) == (0, 0)
    d, c = (after - before).sum(axis=1), counted.sum(axis=1)
    ratio = d.sum() / c.sum()
    error = np.sqrt(((d - ratio * c) ** 2).sum()) / c.sum()
    expected = ratio - 1.96 * error, ratio + 1.96 * error
    np.testing.assert_allclose((low[1], high[1]), expected, atol=error / 4)


def test_what_all_people_gain_alike_is_certain():
    """Person by person the third joint is gained: 1/3, whoever is drawn."""
    before = np.column_stack([hits(40)[0][:, :2], np.zeros(40)])
    after = np.column_stack([before[:, :2], np.ones(40)])
    low, high = comparison.paired_intervals(
        np.stack([before, after]), np.ones((40, 3)), EVERY
    )
    np.testing.assert_allclose([low[1], high[1]], 1 / 3)


def test_people_and_joints_that_are_not_counted_change_nothing():
    correct, counted = hits(50)
    better = counted * (correct + np.eye(50, 3) > 0)
    both = np.stack([correct, better])
    expected = comparison.paired_intervals(both, counted, EVERY)
    both = np.pad(both, [(0, 0), (0, 30), (0, 1)])
    both[1, :, 3] = 1  # a fourth joint, which is not part of the mean
    found = comparison.paired_intervals(
        both, np.pad(counted, [(0, 30), (0, 1)]), np.append(EVERY, False)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.fixture
def runs(wrists_data, tmp_path):
    """Three people, one without a head size, as two variants see them.

    The baseline misses one of three joints, by all people and seeds; the other
    misses it with one of its two seeds.
    """
    dataset, joints = wrists_data(head_sizes=(20.0, float("nan"), 20.0))
    people = read_subjects(dataset, "val")
    wrong = people.joints.copy()
    wrong[:, MPII.index("left_wrist")] += 500
    seen = {"MSE": [wrong, wrong], "HSM": [wrong, people.joints]}
    found = {}
    for variant, seeds in seen.items():
        for seed, predicted in enumerate(seeds):
            folder = tmp_path / f"{variant}-seed{seed}"
            folder.mkdir()
            np.savez(folder / "predictions.npz", joints=predicted)
            pd.DataFrame(
                {"epoch": [1, 2], "loss": [2.0, 1.0], "pckh": [0.1, 0.2 + seed]}
            ).to_csv(folder / "history.csv", index=False)
            found.setdefault(variant, []).append(folder)
    return dataset, found


def test_a_comparison_says_who_was_counted_and_how_much_is_gained(
    runs, tmp_path
):
    dataset, folders = runs
    table = comparison.compare(
        folders, dataset, "val", tmp_path / "out", "pckh"
    )
    assert table["Mean"].round(4).tolist() == [66.6667, 83.3333]
    assert table["Mean ±"].round(4).tolist() == [0, 23.5702]  # 67 and 100
    gain = table.loc["HSM", [*comparison.DIFFERENCE]].astype(float)
    assert gain.round(4).tolist() == [16.6667] * 3  # by each person
    assert table.loc["MSE", [*comparison.DIFFERENCE]].isna().all()
    assert table[["counted", "people"]].values.tolist() == [[2, 3]] * 2
    assert "2 of 3 people counted" in comparison.describe(table)
    written = pd.read_csv(tmp_path / "out" / "comparison.csv", index_col=0)
    pd.testing.assert_frame_equal(written, table, check_dtype=False)
    for name in ("curves", "side_by_side", "worst"):
        assert (tmp_path / "out" / f"{name}.png").is_file()


def test_the_command_draws_the_curves_of_folders_and_files(
    runs, tmp_path, monkeypatch, capsys
):
    drawn = {}
    monkeypatch.setattr(
        charts, "draw_curves", lambda *asked: drawn.update(asked=asked)
    )
    monkeypatch.setattr(charts, "save", lambda figure, path: None)
    words = f"MSE={tmp_path}/MSE-seed*", f"{tmp_path}/HSM-seed1/history.csv"
    comparison.main(comparison.Config(words))
    histories, metric = drawn["asked"]
    assert metric == "pckh"
    assert {name: len(found) for name, found in histories.items()} == {
        "MSE": 2, "history": 1
    }  # fmt: skip
    assert histories["history"][0]["pckh"].tolist() == [0.1, 1.2]
    assert "curves.png" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match=r"HSX-\* matches nothing"):
        comparison.main(comparison.Config((f"{tmp_path}/HSX-*",)))


def test_curves_of_two_scores_are_not_drawn_together(runs, tmp_path):
    other = tmp_path / "HSM-seed0" / "history.csv"
    other.write_text(other.read_text().replace("pckh", "pck"))
    words = f"MSE={tmp_path}/MSE-seed*", f"HSM={tmp_path}/HSM-seed0"
    with pytest.raises(ValueError, match="scored by pck and pckh"):
        comparison.main(comparison.Config(words))
    other.write_text("epoch,loss\n1,2.0\n")
    with pytest.raises(
        ValueError, match="HSM-seed0: expected a history.csv with a score"
    ):
        comparison.main(comparison.Config(words))
