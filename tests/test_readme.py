"""The examples of the README run, and what it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE
)


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example):
    # a failing statement raises: that is the check
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert len(names) > 1


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
