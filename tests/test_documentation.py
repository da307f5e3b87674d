"""The examples of the documentation run, and what it names is there."""

import re
import sys
import types
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_pose.codecs import Heatmaps
from reproductions import flow, hsm_loss

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "reproductions" / "README.md",
    ]
)
TRAINED = "docs/adding-a-paper.md"
"""Its block is a paper, which a test of its own trains."""
TOGETHER = ("CONTRIBUTING.md",)
"""Pages whose blocks lead from one to the next."""


def named(path):
    return str(path.relative_to(ROOT))


def examples(path):
    """The blocks of Python that a page promises to run."""
    return re.findall(
        r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE
    )


ALONE = [
    pytest.param(page, number, id=f"{named(page)}-{number}")
    for page in PAGES
    if named(page) not in (TRAINED, *TOGETHER)
    for number in range(len(examples(page)))
]


def test_there_are_examples():
    assert len(ALONE) >= 6
    assert len(examples(ROOT / TRAINED)) == 1


@pytest.mark.parametrize(("page", "number"), ALONE)
def test_an_example_runs(page, number, tmp_path, monkeypatch, oracle_model):
    """Beside a model and a photograph, which docs/predicting.md names."""
    if named(page) == "docs/predicting.md":
        oracle_model.save(tmp_path / "best.keras")
        picture = np.zeros((520, 400, 3), "uint8")
        cv2.imwrite(str(tmp_path / "photo.jpg"), picture)
    # a failing statement raises: that is the check
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)  # as if in a file
    before = len(vars(module))
    exec(compile(examples(page)[number], named(page), "exec"), vars(module))
    assert len(vars(module)) > before + 1


def test_the_contracts_lead_from_labels_to_a_table(capsys):
    names = {}
    for example in examples(ROOT / "CONTRIBUTING.md"):
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
    (example,) = examples(ROOT / TRAINED)
    exec(compile(example, TRAINED, "exec"), names)
    lines = [line for line in example.splitlines() if line]
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
    exec(examples(ROOT / "docs" / "pieces.md")[-1], names)
    # pixel (96, 128) lies half a pixel beyond the middle (95.5, 127.5)
    zoom = 250 / 256
    x, y = names["back"][0]
    assert x == pytest.approx(139.5 + 0.5 * zoom)
    assert y == pytest.approx(149.5 + 0.5 * zoom)


def test_the_readme_fits_on_a_few_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_picture_loads_fast():
    assert (ROOT / "docs" / "predicted.png").stat().st_size < 200_000


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_page_names_exists(page):
    text = page.read_text()
    if page.stem != "CHANGELOG":  # it also names what is gone
        for path in re.findall(
            r"`((?:keras_pose|tfrecords|reproductions)/[\w/.]+)`", text
        ):
            assert (ROOT / path).exists(), path
    for name in re.findall(r"python -m ([\w.]*\w)", text):
        if name.split(".")[0] in ("keras_pose", "reproductions", "tfrecords"):
            path = ROOT / name.replace(".", "/")
            module, package = path.with_suffix(".py"), path / "__main__.py"
            assert module.exists() or package.exists(), name


def anchor(heading):
    """What GitHub makes of a heading: "Drawn `people`" is #drawn-people."""
    bare = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", bare).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, part = link.partition("#")
        if ":" in path or page.parent.name == "api":
            continue  # another host; pages that the build of the site writes
        target = page.parent / path if path else page
        assert target.exists(), link
        if part:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            assert part in map(anchor, headings), link
