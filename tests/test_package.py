"""What a user gets from pip: the three packages, the licence, the ranges."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETUP = (ROOT / "setup.py").read_text()
PINS = dict(
    line.split("==")
    for name in (
        "requirements.txt",
        "requirements-export.txt",
        "docs/requirements.txt",
    )
    for line in (ROOT / name).read_text().splitlines()
    if "==" in line
)


def version(text):
    return tuple(int(part) for part in text.split("."))


def test_every_range_has_a_pin_inside_it():
    ranges = re.findall(r'"([a-z0-9-]+)(>=[^"]+)"', SETUP)
    assert len(ranges) > 10
    for name, limits in ranges:
        pin = version(PINS[name])
        for sign, limit in re.findall(r"(>=|<)([\d.]+)", limits):
            inside = (
                pin >= version(limit) if sign == ">=" else pin < version(limit)
            )
            assert inside, f"{name} {PINS[name]} is outside {limits}"


def test_every_import_is_required():
    names = {
        "ai_edge_litert": "ai-edge-litert",
        "cv2": "opencv-python-headless",
        "google": "protobuf",
        "huggingface_hub": "huggingface-hub",
        "litert_quantizer": "litert-quantizer",
    }
    found = set()
    for top in ("keras_pose", "reproductions", "tfrecords"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add(node.module.split(".")[0])
    outside = found - set(sys.stdlib_module_names)
    outside -= {"keras_pose", "reproductions", "tfrecords"}
    for name in outside:
        assert f'"{names.get(name, name)}>=' in SETUP, name


def test_the_formatter_is_set_to_80_columns():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["ruff"]["line-length"] == 80
