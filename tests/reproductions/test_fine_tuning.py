"""The comparison of fine-tuning with training from nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

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
