"""The examples of the README run, and what it names is there."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from keras_pose.codecs import Heatmaps
from reproductions import flow, hsm_loss

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE
)


CONTRACTS = re.findall(
    r"^```python\n(.*?)^```",
    (ROOT / "CONTRIBUTING.md").read_text(),
    re.DOTALL | re.MULTILINE,
)
"""The last one is a paper; the others lead from one to the next."""


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example):
    # a failing statement raises: that is the check
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert len(names) > 1


def test_the_contracts_lead_from_labels_to_a_table(capsys):
    names = {}
    for example in CONTRACTS[:-1]:
        exec(compile(example, "CONTRIBUTING.md", "exec"), names)
    np.testing.assert_allclose(
        names["points"], names["labels"][0, ..., :2], atol=0.05
    )
    logged = names["history"].history
    total = logged["stack1"][0] + logged["stack2"][0]
    assert logged["loss"][0] == pytest.approx(total, rel=1e-5)
    assert names["table"].loc["Mean"].iloc[0] == 100
    assert names["stages"][1].share == 3


def test_a_new_loss_is_a_paper_of_40_lines(
    tmp_path, two_layers, eagerly, monkeypatch
):
    """Trained beside HSM by one command; both files together are the block."""
    names = {"__name__": "huber"}
    exec(compile(CONTRACTS[-1], "CONTRIBUTING.md", "exec"), names)
    lines = [line for line in CONTRACTS[-1].splitlines() if line]
    assert len(lines) <= 50
    loss = names["Huber"](Heatmaps("mpii"))
    np.testing.assert_allclose(
        loss.pixel_loss(np.array([0.2, 1.5]), 0.0), [0.02, 0.625], rtol=1e-6
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)
    alone = partial(flow.synthetic.Config, workers=1)
    monkeypatch.setattr(flow.synthetic, "Config", alone)  # starts no processes
    monkeypatch.setattr(flow, "SMOKE", {"train": 8, "val": 4, "test": 0})
    for part in ("export", "write_report"):  # those of any run
        monkeypatch.setattr(flow, part, lambda *_, **__: None)
    config = names["Config"](
        smoke=True,
        compare=True,
        preset="laptop",
        image_size=(64, 64),
        filters=8,
        batch_size=4,
    )
    with eagerly():
        table = names["main"](config)
    assert [*table.index] == ["HSM", "Huber"]


def test_a_crop_leads_back_to_the_middle_of_the_box():
    names = {}
    exec(EXAMPLES[-1], names)
    # pixel (96, 128) lies half a pixel beyond the middle (95.5, 127.5)
    zoom = 250 / 256
    x, y = names["back"][0]
    assert x == pytest.approx(139.5 + 0.5 * zoom)
    assert y == pytest.approx(149.5 + 0.5 * zoom)


def test_what_the_readme_names_exists():
    for path in re.findall(
        r"`((?:keras_pose|tfrecords|reproductions)/[\w/.]+)`", README
    ):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"python -m ([\w.]+)", README):
        path = ROOT / name.replace(".", "/")
        module, package = path.with_suffix(".py"), path / "__main__.py"
        assert module.exists() or package.exists(), name
    for path in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / path).exists(), path
