"""The comparison of fine-tuning with training from nothing."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_pose import comparison
from keras_pose.data.annotations import read_subjects
from keras_pose.report import trade_offs
from keras_pose.skeletons import MPII
from reproductions import fine_tuning, flow

NOTHING = (None, "none", 1.0)
GIVEN = Path("runs/hsm_loss")
VARIANTS = {
    "from-nothing": NOTHING,
    "fine-tuned": (GIVEN, "none", 1.0),
    "fine-tuned-frozen-backbone": (GIVEN, "backbone", 1.0),
}


@pytest.fixture
def trained(monkeypatch):
    """The configs of all runs, which are not made."""
    configs = []

    def reproduce(paper, config, siblings):
        configs.append(config.resolved()[0])

    monkeypatch.setattr(flow.Paper, "reproduce", reproduce)
    monkeypatch.setattr(flow.keras.backend, "clear_session", lambda: None)
    monkeypatch.setattr(flow, "open_data", lambda *_: None)
    for name in ("compare", "score_name", "held_out", "describe_comparison"):
        monkeypatch.setattr(flow, name, lambda *_: None)
    return configs


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_all_variants_have_the_same_people_and_the_same_budget(
    trained, tmp_path, rate
):
    config = fine_tuning.Config(
        preset="laptop",
        output=tmp_path,
        initial_weights=GIVEN,
        taken_rate=rate,
        seeds=3,
    )
    fine_tuning.main(config)
    expected = VARIANTS
    if rate != 1:
        expected = VARIANTS | {"fine-tuned-rate-x-0.1": (GIVEN, "none", rate)}
    assert {
        each.output.name: (
            each.initial_weights,
            each.freeze,
            each.taken_rate,
            each.seed,
        )
        for each in trained
    } == {
        f"{name}-seed{seed}": (*settings, seed)
        for name, settings in expected.items()
        for seed in range(3)
    }
    for each in trained:
        own = ("output", "initial_weights", "freeze", "taken_rate", "seed")
        same = {name: getattr(trained[0], name) for name in own}
        assert replace(each, **same) == trained[0]
        assert (each.train_people, each.epochs) == (200, 48)


def test_without_weights_there_is_nothing_to_compare():
    with pytest.raises(ValueError, match="give --initial-weights, for"):
        fine_tuning.main(fine_tuning.Config())


CURVE = fine_tuning.Config(
    preset="laptop",
    photographs=(60, 120),
    starts=("plain=runs/a", "rich=runs/b"),
    batch_size=20,
    steps=24,
    seeds=2,
)
FIRST = "From nothing"
TABLE = pd.DataFrame(
    [
        (60, FIRST, FIRST, 2, 20.5, 1.5, np.nan, np.nan, np.nan),
        (60, "plain", FIRST, 2, 22.5, 1.5, 2.0, 1.0, 3.0),
    ],
    columns=[
        *("people", "variant", "against", "seeds", "Mean", "Mean ±"),
        *comparison.DIFFERENCE,
    ],
)
LINES = {"from-nothing": None, "plain": Path("runs/a"), "rich": Path("runs/b")}


def test_a_curve_has_every_size_start_and_seed_for_as_many_steps(
    trained, tmp_path, monkeypatch
):
    opened = SimpleNamespace(protocol="pck-torso")
    monkeypatch.setattr(flow, "open_data", lambda *_: opened)
    monkeypatch.setattr(flow, "held_out", lambda *_: "test")
    monkeypatch.setattr(fine_tuning, "tabulate_curve", lambda *_: TABLE)
    fine_tuning.main(replace(CURVE, output=tmp_path))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "curve.csv"), TABLE)
    assert (tmp_path / "curve.png").is_file()
    assert {
        each.output.name: (
            each.initial_weights,
            each.train_people,
            each.epochs,
            each.seed,
        )
        for each in trained
    } == {
        # 24 steps are 8 epochs of 3 steps, or 4 of 6
        f"{name}-{people}-seed{seed}": (path, people, 480 // people, seed)
        for name, path in LINES.items()
        for people in (60, 120)
        for seed in range(2)
    }
    # the rate drops after 38/48 and 43/48 of the epochs
    assert {each.drop_epochs for each in trained} == {(6, 7), (3, 4)}
    # all seeds of the first come before the second: each run stands alone
    assert [each.seed for each in trained] == [0] * 6 + [1] * 6
    for each in trained:
        assert (each.photographs, each.starts) == ((), ())
        own = ("output", "initial_weights", "train_people", "epochs", "seed")
        own = (*own, "drop_epochs")
        same = {name: getattr(trained[0], name) for name in own}
        assert replace(each, **same) == trained[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"starts": ()}, "a curve needs both"),
        ({"photographs": ()}, "a curve needs both"),
        ({"starts": ("runs/a",)}, "must be NAME=PATH with a name.*runs/a"),
        ({"starts": ("a=b", "a=c")}, "must be NAME=PATH with a name of its"),
        ({"photographs": (19,)}, "at least one batch of 20, got 19"),
        ({"seeds": 0}, "seeds and steps must be at least 1, got 0 and 24"),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        fine_tuning.main(replace(CURVE, output=tmp_path, **change))


def test_each_start_is_compared_with_nothing_and_with_the_one_before(
    wrists_data, tmp_path
):
    """Of three joints of each person, 0, 1 and 3 are right: by hand."""
    data, _ = wrists_data(head_sizes=(20.0, 20.0, 20.0))
    joints = read_subjects(data, "val").joints
    runs = {}
    for name, wrong in zip(
        ("From nothing 60", "plain 60", "rich 60"),
        (
            ("left_wrist", "right_wrist", "head_top"),
            ("left_wrist", "right_wrist"),
            (),
        ),
        strict=True,
    ):
        found = joints.copy()
        for joint in wrong:
            found[:, MPII.index(joint)] += 500
        folder = tmp_path / name
        folder.mkdir()
        np.savez(folder / "predictions.npz", joints=found)
        runs[name] = [folder]
    lines = {"From nothing": None, "plain": "a", "rich": "b"}
    table = fine_tuning.tabulate_curve((60,), lines, runs, data, "val")
    assert table["people"].tolist() == [60] * 4
    columns = ["variant", "against"]
    assert table[columns].to_numpy().tolist() == [
        ["From nothing", "From nothing"],
        ["plain", "From nothing"],
        ["rich", "From nothing"],
        ["rich", "plain"],
    ]
    found = table[["Mean", "Mean difference", "from", "to"]].astype(float)
    np.testing.assert_allclose(found.iloc[0, 0], 0, atol=1e-9)
    np.testing.assert_allclose(found.iloc[1], [100 / 3] * 4)
    np.testing.assert_allclose(found.iloc[2], [100] * 4)
    np.testing.assert_allclose(found.iloc[3], [100, *[200 / 3] * 3])


def test_a_curve_shows_the_mean_of_each_size_with_a_deviation_each_way():
    table = pd.DataFrame(
        [
            (200, "From nothing", 20.0, 1.0),
            (2000, "From nothing", 30.0, 2.0),
            (200, "rich", 25.0, np.nan),  # one seed
            (2000, "rich", 32.0, np.nan),
        ],
        columns=["people", "variant", "Mean", "Mean ±"],
    )
    (axes,) = trade_offs.draw_lines(table, "variant", "people", "people").axes
    assert axes.get_title("left") == "Mean of the joints"
    assert list(axes.get_xticks()) == [200, 2000]
    nothing, rich = axes.containers
    assert nothing.get_label() == "From nothing" and rich.get_label() == "rich"
    line, _, (bars,) = nothing.lines
    np.testing.assert_array_equal(line.get_ydata(), [20, 30])
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [[19, 21], [28, 32]]
    # the same sizes, drawn beside each other
    x = np.stack(
        [container.lines[0].get_xdata() for container in (nothing, rich)]
    )
    assert (x[0] < x[1]).all()
    middle = np.sqrt(x.astype(float).prod(0))
    np.testing.assert_allclose(middle, [200, 2000])
