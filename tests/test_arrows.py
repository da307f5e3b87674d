"""Imports point one way: see the arrows in CONTRIBUTING.md."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "keras_pose": {"keras_pose"},
    "tfrecords": {"tfrecords", "keras_pose"},
    "reproductions": {"keras_pose", "tfrecords", "reproductions"},
}
FILES = [
    path.relative_to(ROOT)
    for top in MAY_IMPORT
    for path in sorted((ROOT / top).rglob("*.py"))
]
HEIGHTS = (
    {"choices", "cores", "imports", "untrusted"},
    {
        *("files", "geometry", "people", "photographs", "provenance"),
        *("skeletons", "console"),
    },
    {"crowd_skeletons", "drawing", "videos", "codecs", "data"},
    {"models", "losses", "metrics"},
    {"training"},
    {"inference", "evaluation"},
    {"portable"},
    {"everybody"},
    {"converters", "report", "serving"},
    {"agreement", "demo", "engines"},
    {"estimator"},
    {"predict_video"},
    {
        *("comparison", "conditional", "evaluate", "export"),
        *("grouping_ablation", "import_weights", "predict", "publish"),
        *("samples", "stability"),
    },
)
"""From leaves over engines to commands, which no other file imports: imports go
down, or stay in one package."""
LINES = {
    "hsm_loss": 120,
    "simple_baselines": 120,
    "resnet_fcn": 140,
    "multi_scale_structure_aware": 210,
    "multi_scale_stacked_hourglass": 210,
}
"""Most lines of the papers that others are modelled on."""
APART = ("codecs", "models", "losses", "metrics", "data")
LOWEST = {"choices", "cores", "untrusted"}
LEAVES = (
    *LOWEST,
    *("files", "geometry", "imports", "people", "photographs"),
    *("provenance", "skeletons"),
)
TENSORFLOW = (
    "keras_pose/data",
    "tfrecords",
    "keras_pose/agreement.py",
    "keras_pose/converters.py",
    "keras_pose/engines.py",
    "keras_pose/everybody.py",
    "keras_pose/export.py",
    "keras_pose/portable.py",
    "keras_pose/serving.py",
    "keras_pose/estimator.py",
    "keras_pose/models/normalization.py",  # one fused operation each, with
    "keras_pose/training/optimizers.py",  # Keras' own for other backends
)


def imported(path):
    """Dotted names of everything a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_follow_the_arrows(path):
    names = imported(path)
    tops = {name.split(".")[0] for name in names} & set(MAY_IMPORT)
    assert tops <= MAY_IMPORT[path.parts[0]]
    inner = {
        name.split(".")[1] for name in names if name.startswith("keras_pose.")
    }
    place = path.with_suffix("").parts[1] if len(path.parts) > 1 else ""
    if path.parts[0] == "keras_pose" and place in APART:
        command = {"console"} if path.stem == "__main__" else set()
        meaning = set() if place == "data" else {"codecs"}
        assert inner <= {place, *LEAVES} | meaning | command
    if path.parts[0] == "keras_pose" and place in LEAVES:
        assert inner <= LOWEST - {place}
    if path.parts[0] == "keras_pose" and place == "training":
        assert not inner & {"models", "losses"}
    if path.parts[0] == "tfrecords":
        assert inner <= {
            "crowd_skeletons",
            "data",
            "console",
            "drawing",
            "videos",
            *LEAVES,
        }
    # flow is below all papers, lecture above them
    if path.parts[0] == "reproductions" and path.stem not in (
        "flow",
        "lecture",
    ):
        assert "tfrecords" not in tops
        papers = {n for n in names if n.startswith("reproductions.")}
        # one that only brings a loss builds on the paper of its network
        assert len(papers - {"reproductions.flow"}) <= 1


def test_imports_inside_the_library_go_down():
    height = {name: h for h, names in enumerate(HEIGHTS) for name in names}
    for path in FILES:
        place = path.with_suffix("").parts[1]
        if path.parts[0] != "keras_pose" or place == "__init__":
            continue
        inner = {
            name.split(".")[1]
            for name in imported(path)
            if name.startswith("keras_pose.")
        }
        up = {n for n in inner - {place} if height[n] >= height[place]}
        assert not up, path


def test_a_command_is_a_loose_file_that_runs():
    for path in FILES:
        if path.parts[0] == "keras_pose" and len(path.parts) == 2:
            runs = "run(main, Config, __doc__)" in (ROOT / path).read_text()
            assert runs == (path.stem in HEIGHTS[-1]), path


def test_no_file_of_the_library_is_longer_than_400_lines():
    for path in FILES:
        if path.parts[0] == "keras_pose":
            lines = len((ROOT / path).read_text().splitlines())
            assert lines <= 400, path


@pytest.mark.parametrize("paper", LINES)
def test_a_paper_stays_short(paper):
    text = (ROOT / "reproductions" / f"{paper}.py").read_text()
    assert len(text.splitlines()) <= LINES[paper]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_only_data_converters_and_export_know_tensorflow(path):
    allowed = str(path).startswith(TENSORFLOW)
    used = any(n.split(".")[0] == "tensorflow" for n in imported(path))
    assert allowed or not used
