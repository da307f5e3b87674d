"""The lecture's page: the same budget for all, and numbers that are theirs."""

import html
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_pose import comparison, metrics
from keras_pose.data import annotations
from keras_pose.report import systems as page
from keras_pose.skeletons import MPII
from reproductions import deep_pose, flow, lecture

DATA = SimpleNamespace(skeleton=MPII, protocol="pckh")


@pytest.fixture
def seconds(monkeypatch):
    """{module of a paper: seconds per step}; counts what was timed."""
    each = {"hsm_loss": 0.21, "hrnet": 2.1}
    timed = []

    def cost(paper, config):
        timed.append(paper.name)
        return {
            "parameters": 1000,
            "GMACs": 0.5,
            "seconds per step": each[paper.name],
            "shares": 1,
        }

    monkeypatch.setattr(flow.Paper, "cost", cost)
    return timed


def config_of(tmp_path, **changes):
    return lecture.Config(
        output=tmp_path / "lecture",
        systems=("Stacked Hourglass", "HRNet"),
        minutes=0.5,
        preset="laptop",
        **changes,
    )


def test_epochs_are_what_fits_into_the_minutes(tmp_path, seconds):
    """100 people are 6 steps of 16: 1.26 s and 12.6 s of 30."""
    config = config_of(tmp_path)
    costs = lecture.plan(config, 100)
    assert [costs[name]["epochs"] for name in config.systems] == [23, 2]
    minutes = [costs[name]["minutes"] for name in config.systems]
    np.testing.assert_allclose(minutes, [23 * 1.26 / 60, 2 * 12.6 / 60])
    slow = lecture.plan(replace(config, output=tmp_path / "more"), 10_000)
    assert slow["HRNet"]["epochs"] == 1  # at least


def test_a_plan_is_kept_and_grows(tmp_path, seconds):
    config = config_of(tmp_path)
    first = lecture.plan(replace(config, systems=config.systems[:1]), 100)
    both = lecture.plan(config, 100)
    assert both["Stacked Hourglass"] == first["Stacked Hourglass"]
    assert seconds == ["hsm_loss", "hrnet"]  # each timed once
    with pytest.raises(ValueError, match=r"plan.json is of 0.5 minutes, not "):
        lecture.plan(replace(config, minutes=5), 100)
    with pytest.raises(ValueError, match=r"is of 100 people, not of 99"):
        lecture.plan(config, 99)


def test_a_restart_forgets_the_plan_and_reaches_every_system(tmp_path, seconds):
    config = config_of(tmp_path)
    lecture.plan(config, 100)
    again = replace(config, minutes=5, restart=True)
    assert lecture.plan(again, 99)["HRNet"]["minutes"] > 0.5
    assert seconds == ["hsm_loss", "hrnet"] * 2
    assert lecture.system_run("HRNet", again)[1].restart


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"systems": ("HRNet", "YOLO")},
            "systems must be some of DeepPose.*YOLO",
        ),
        ({"systems": ()}, "got none"),
        ({"minutes": 0}, "minutes must be positive, got 0"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"preset": "phone"}, "preset must be"),
    ],
)
def test_a_bad_setting_is_named_before_anything_runs(
    tmp_path, changes, message
):
    with pytest.raises(ValueError, match=message):
        lecture.main(replace(config_of(tmp_path), **changes))
    assert not (tmp_path / "lecture").exists()


@pytest.fixture
def told(wrists_data, monkeypatch, seconds, tmp_path):
    """Runs whose predictions are made up: (data, joints of each run)."""
    data, seen = wrists_data(head_sizes=(40.0,) * 8)
    right = np.zeros((8, 16, 2))
    for name, point in seen.items():
        right[:, MPII.index(name)] = point
    joints = {}

    def train_all(plans, output, seeds):
        runs = {}
        for n, name in enumerate(plans):
            runs[name] = []
            for seed in range(seeds):
                place = output / f"{n}-{seed}"
                place.mkdir(parents=True)
                # One wrist of each person n is wrong, one more per seed.
                points = right.copy()
                points[: 4 * n + seed, MPII.index("left_wrist")] += 60
                np.savez(place / "predictions.npz", joints=points)
                table = {"epoch": [1], "loss": [1.0], "pckh": [0.5]}
                table |= {"val_loss": [1.0], "val_pckh": [0.5]}
                pd.DataFrame(table).to_csv(place / "history.csv", index=False)
                joints[name, seed] = points
                runs[name].append(place)
        return runs

    monkeypatch.setattr(flow, "train_all", train_all)
    monkeypatch.setattr(flow, "open_data", lambda *_: data)
    monkeypatch.setattr(flow, "held_out", lambda _: "val")
    monkeypatch.setattr(type(data), "people", lambda *_: 8)
    monkeypatch.setattr(lecture.models, "load_model", lambda _: None)
    monkeypatch.setattr(lecture, "latency", lambda *_: 12.0)
    return data, joints


def test_the_page_says_what_was_measured(told, tmp_path):
    """Of 3 x 8 joints none and 1, then 4 and 5, are wrong."""
    config = config_of(tmp_path, seeds=2)
    table = lecture.main(config)
    np.testing.assert_allclose(
        table["Mean"], [100 * (1 - 0.5 / 24), 100 * (1 - 4.5 / 24)]
    )
    text = (config.output / "lecture.html").read_text()
    rows = re.findall("<tr.*?</tr>", text)
    row = next(r for r in rows if "Hourglass" in r and "2016" in r)
    for value in ("<b>97.9</b> ± 2.9", "1,000", "<td>0.5</td>", "<td>12</td>"):
        assert value in row, value
    assert "class=best" in row and "class=best" not in rows[2]
    assert html.escape(lecture.SYSTEMS["HRNet"].idea) in text
    assert "python -m reproductions.lecture --data" in text
    assert "8 of" not in text and "drawn, not photographed" not in text
    written = pd.read_csv(config.output / "comparison.csv", index_col=0)
    assert list(written["year"]) == [2016, 2019]


def test_an_interval_of_a_mean_holds_it(told, tmp_path):
    """Every person has the same three joints: sd of a mean of 8 people."""
    data, _ = told
    people = annotations.read_subjects(data, "val")
    labels = people.labels[..., :2]
    wrong = labels.copy()
    wrong[:4, MPII.index("left_wrist")] += 999
    found = comparison.mean_intervals(
        {"a": [labels], "b": [wrong]}, people, data
    )
    np.testing.assert_allclose(found["a"], 100)
    low, high = found["b"]
    middle = 100 * 20 / 24
    error = 100 / 3 * np.sqrt(0.25 / 8)
    assert abs((low + high) / 2 - middle) < error / 2
    assert abs((high - low) / 2 - 1.96 * error) < error / 2


def test_the_people_shown_are_easy_divisive_and_hard(told):
    data, _ = told
    people = annotations.read_subjects(data, "val")
    right = people.labels[..., :2]
    wrists = [MPII.index(f"{side}_wrist") for side in ("left", "right")]
    a, b = right.copy(), right.copy()
    a[2:4, wrists] += 999  # the systems differ on 2 and 3
    for joints in (a, b):
        joints[5:7] += 999  # both fail on 5 and 6
    chosen = page.chosen_people({"a": [a], "b": [b]}, people, data)
    assert [sorted(each) for each in chosen.values()] == [
        [0, 1],
        [2, 3],
        [5, 6],
    ]


def test_curves_end_at_the_protocol_s_own_threshold(told, tmp_path):
    data, _ = told
    people = annotations.read_subjects(data, "val")
    off = people.labels[..., :2] + np.array([23.9, 0])  # of heads of 80
    thresholds, curves = page.trade_offs.threshold_curves(
        {"off": [off]}, people, data
    )
    np.testing.assert_array_equal(thresholds, metrics.AUC_THRESHOLDS)
    np.testing.assert_allclose(curves["off"], 100 * (thresholds >= 0.3))


def test_epochs_of_stages_are_divided_among_them(tmp_path, monkeypatch):
    """Five shares of 6 steps of 0.2 s: 30 s are 5 times 5 epochs."""
    cost = {"parameters": 1, "GMACs": 1.0, "seconds per step": 0.2, "shares": 5}
    monkeypatch.setattr(flow.Paper, "cost", lambda *_: dict(cost))
    config = replace(
        config_of(tmp_path), systems=("Efficient localization",), minutes=0.5
    )
    (found,) = lecture.plan(config, 50).values()
    assert found["epochs"] == 25


def test_a_cascade_costs_all_its_stages_and_crops(tmp_path, monkeypatch):
    """AlexNets of an eighth of the channels; one crop for each of 16 joints."""
    monkeypatch.setattr(flow, "open_data", lambda *_: DATA)
    monkeypatch.setattr(flow, "seconds_per_step", lambda *_: 0.5)
    costs = []
    for stages in (1, 2):
        config = lecture.SYSTEMS["DeepPose"].module.Config(
            preset="laptop", width=0.125, stages=stages, epochs=2
        )
        costs.append(deep_pose.paper().cost(config))
    one, two = costs
    assert two["parameters"] == 2 * one["parameters"]
    np.testing.assert_allclose(two["GMACs"], 17 * one["GMACs"])
    assert (one["shares"], two["shares"]) == (1, 2)
