"""The notebook runs from its first cell to its last."""

import json
from pathlib import Path

import matplotlib
import numpy as np

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]
FEW = """
PEOPLE = {"train": 8, "val": 4, "test": 6}
EPOCHS = 1
SIZE = (64, 128)
FILTERS, STACKS, BATCH = 8, 1, 4
"""
"""Instead of the cell that is tagged as parameters."""


def test_the_notebook_runs(tmp_path, monkeypatch, eagerly):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names, chosen = {}, 0
    with eagerly():
        for number, cell in enumerate(CELLS):
            if cell["cell_type"] != "code":
                continue
            source = "".join(cell["source"])
            if "parameters" in cell["metadata"].get("tags", ()):
                source, chosen = FEW, chosen + 1
            exec(compile(source, f"cell {number}", "exec"), names)
    assert chosen == 1
    assert names["table"].loc["Mean", "people"] == 6
    assert names["found"].shape == (5, 16, 2)
    # the crops of the pictures that are shown hold the people: most true
    # joints lie inside of 128 x 64 pixels
    inside = (names["true"] > 0) & (names["true"] < [128, 64])
    assert np.mean(inside) > 0.8


def test_the_notebook_is_committed_without_outputs():
    assert all(not c.get("outputs") for c in CELLS)
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
