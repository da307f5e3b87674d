"""Every reproduction cites its source and runs from data to export."""

import dataclasses
import importlib
import pkgutil
import re

import numpy as np
import pytest

import reproductions

NAMES = sorted(
    {m.name for m in pkgutil.iter_modules(reproductions.__path__)} - {"flow"}
)


@pytest.mark.parametrize("name", NAMES)
def test_paper_trains_reports_and_exports(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paper = importlib.import_module(f"reproductions.{name}")
    for part in ("New here", "Run ", "Reported", "Measured", "Departs"):
        assert part in paper.__doc__
    assert f"python -m reproductions.{name}" in paper.__doc__
    assert re.search(r'"[A-Z].+"', paper.__doc__), "the paper's title"
    fields = {field.name for field in dataclasses.fields(paper.Config)}
    small = {"stacks": 1, "filters": 8, "batch_size": 8, "width": 1 / 16}
    config = dataclasses.replace(
        paper.Config(),
        smoke=True,
        image_size=(64, 64),
        **{k: v for k, v in small.items() if k in fields},
    )
    history = paper.main(config)
    assert np.isfinite(history["loss"]).all()
    (run,) = [p for p in (tmp_path / "runs").iterdir() if p.name != "data"]
    written = {path.name for path in run.iterdir()}
    assert written >= {
        *("best.keras", "history.csv", "report.html", "results.json"),
        *("run.json", "saved_model", "table.csv", "predictions.npz"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_help_text(name):
    paper = importlib.import_module(f"reproductions.{name}")
    for preset in paper.Config.PRESETS.values():
        fields = {f.name: f for f in dataclasses.fields(paper.Config)}
        assert preset.keys() <= fields.keys()
        assert all(fields[key].default is None for key in preset)
