"""A published folder: what it holds, what its card says, what it replaces."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_pose import files, publish
from keras_pose.codecs import Heatmaps
from keras_pose.models import model as models
from keras_pose.models.heads import PoseMaps
from keras_pose.skeletons import LSP

DRAWN = {"trained_on": ["drawn people"], "data": "drawn people", "paper": "HSM"}
RUN = {
    "paper": "Hard Sample Mining Loss",
    "settings": {"epochs": {"value": 12, "from": "flag"}},
    "data": "records/drawn",
    "command": "python -m reproductions.hsm_loss --beta 1",
    "versions": {"keras": "3.15.1"},
}
RESULTS = {
    "split": "test",
    "chosen_on": "val",
    "people": 200,
    "counted": 190,
    "protocol": "pckh",
    "untrained": 0.01,
    "trained": 0.7257,
    "oks": {"AP": 0.5},
}


@pytest.fixture(scope="module")
def network():
    """(facts) -> a network of 24 x 40 pixels that carries them."""
    images = keras.Input((24, 40, 3), dtype="uint8")
    values = keras.layers.Rescaling(1 / 255)(images)
    maps = keras.layers.Conv2D(14, 4, 4)(values)
    coarse = keras.layers.Conv2D(14, 8, 8)(values)
    outputs = [
        PoseMaps(Heatmaps(LSP, 8))([coarse]),
        PoseMaps(Heatmaps(LSP, 4))([maps]),
    ]
    model = models.PoseModel(images, outputs, name="network")

    def carry(facts):
        model.provenance = facts
        return model

    return carry


@pytest.fixture
def saved(network, tmp_path):
    """(facts) -> path of the file."""

    def write(facts, name="model.keras"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        network(facts).save(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def run(saved):
    """best.keras in the folder of a finished run."""
    path = saved(DRAWN, "run/best.keras")
    for name, content in (("run.json", RUN), ("results.json", RESULTS)):
        (path.parent / name).write_text(json.dumps(content))
    files.seal(path.parent, ["best.keras", "results.json"])
    return path


def card(path, output, **settings):
    """The card of a published model."""
    publish.main(publish.Config(path, output, **settings))
    return (output / "README.md").read_text()


def section(text, title):
    return text.partition(f"\n## {title}\n\n")[2].partition("\n## ")[0].strip()


def test_a_published_folder_is_the_result_of_the_model(
    saved, network, tmp_path, capsys
):
    output = tmp_path / "out" / "pose"
    text = card(saved(DRAWN), output, name="me/pose")
    assert sorted(path.name for path in output.iterdir()) == sorted(
        ["README.md", "SHA256SUMS", *models.MEMBERS]
    )
    assert files.damaged(output) == []
    loaded = models.load_model(output)
    assert loaded.provenance == DRAWN
    seen = np.random.default_rng(0).integers(0, 256, (1, 24, 40, 3), "uint8")
    np.testing.assert_array_equal(
        loaded(seen, training=False), network(DRAWN)(seen, training=False)[-1]
    )
    printed = capsys.readouterr().out
    assert f"Next: hf upload me/pose {output} .\n" in printed
    assert "licence is unknown: --licence names it" in printed
    assert 'model = load_model("hf://me/pose")' in section(text, "Load")


def test_the_card_has_a_header_that_the_hub_reads(saved, tmp_path):
    text = card(saved({}), tmp_path / "a", licence="Apache-2.0")
    header = text.split("---\n")[1].splitlines()
    assert header == [
        "library_name: keras",
        "license: apache-2.0",
        "pipeline_tag: keypoint-detection",
        "tags:",
        "- keras",
        "- pose-estimation",
        '- "person"',
    ]
    assert "\n# a\n" in text
    text = card(saved({}), tmp_path / "b", licence='Ours: "x"\n- y')
    assert 'license: other\nlicense_name: "Ours: \\"x\\"\\n- y"\n' in text
    assert "license: unknown\n" in card(saved({}), tmp_path / "c")


def test_the_card_of_a_run_has_its_command_and_score(run, tmp_path):
    text = card(run, tmp_path / "out", licence="mit")
    trained = section(text, "Trained on")
    assert trained.startswith("drawn people.\n")
    assert "\n    python -m reproductions.hsm_loss --beta 1\n" in trained
    assert "Epochs: 12; keras 3.15.1." in trained
    score = section(text, "Score")
    assert score.startswith(
        "PCKh@0.5 (`pckh`): **72.6**, on 190 of 200 of the split test, on "
        "which it was not trained."
    )
    assert "without a flip test" in score
    assert score.endswith("`oks`: AP 0.5")
    assert "> **This model was trained on drawn people only: " in text
    assert section(text, "Licence").startswith("mit.")
    joints = section(text, "Joints")
    rows = [f"| {k} | {joint} |" for k, joint in enumerate(LSP.joints)]
    assert "\n".join(rows) in joints
    assert "neck to head_top" in joints
    assert "(B, 24, 40, 3) uint8" in section(text, "Input and output")


def test_a_score_of_another_model_is_not_in_the_card(run, saved, tmp_path):
    saved({"trained_on": ["LSPET"]}, "run/best.keras")
    text = card(run, tmp_path / "out")
    assert section(text, "Score") == "Unknown."
    assert "drawn" not in text
    copied = tmp_path / "copied.keras"
    shutil.copyfile(run, copied)
    text = card(copied, tmp_path / "other")
    assert section(text, "Trained on") == "LSPET.\n\nCommand: unknown."


def test_what_is_not_known_is_said_to_be_unknown(saved, tmp_path):
    text = card(saved({}), tmp_path / "out")
    assert section(text, "Trained on") == "Unknown.\n\nCommand: unknown."
    assert section(text, "Score") == "Unknown."
    assert section(text, "Licence").startswith("Unknown. The terms")
    assert "- What it was trained on is not recorded." in text


def test_an_imported_model_says_where_it_is_from(saved, tmp_path):
    facts = {
        "network": "HRNet-W32",
        "code": "leo/hrnet",
        "file": "w32.pth",
        "sha256": "ab12",
        "trained_on": ["COCO"],
        "licence": "MIT",
        "published": [{"name": "w32", "score": "COCO val, AP 74.4"}],
    }
    text = card(saved(facts), tmp_path / "out")
    assert "\nHRNet-W32: finds the 14 joints of one person" in text
    assert section(text, "Trained on") == (
        "COCO.\n\nWeights of: leo/hrnet\n\nFile: w32.pth\n\n"
        "SHA-256 of the file: ab12"
    )
    assert section(text, "Score") == (
        "Not measured here. Published for the original weights:\n\n"
        "- w32: COCO val, AP 74.4"
    )
    assert "Of the original code: MIT." in section(text, "Licence")
    del facts["trained_on"]
    score = section(card(saved(facts), tmp_path / "other"), "Score")
    assert score.startswith("Not measured here. Which published file this is")


def test_a_hostile_provenance_adds_no_markup(saved, tmp_path):
    facts = {
        "trained_on": ["<script>", "# one\n# two", 7],
        "data": "[a](http://b) **c** | `d`",
        "command": "x\n```\n# title",
        "published": [7, {}, {"name": {}, "score": "\x1b[31m"}],
        "started_from": {"a": {"b": []}},
    }
    text = card(saved(facts), tmp_path / "out")
    body = section(text, "Trained on") + section(text, "Score")
    assert "<script" not in body
    assert "\x1b" not in text
    assert "\n# " not in body
    assert "```" not in body
    assert r"\[a\](http://b) \*\*c\*\* \| 'd'" in body


def test_only_its_own_unchanged_folder_is_replaced(saved, tmp_path):
    path, output = saved({}), tmp_path / "out"
    output.mkdir()
    card(path, output)
    assert "license: mit" in card(path, output, licence="mit")
    (output / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"was changed .*\(notes.txt\)"):
        card(path, output)
    (output / "notes.txt").unlink()
    (output / "README.md").write_text("# completed by hand")
    with pytest.raises(ValueError, match=r"was changed .*\(README.md\)"):
        card(path, output)
    assert (output / "README.md").read_text() == "# completed by hand"


def test_what_is_no_folder_of_its_own_is_refused(saved, tmp_path):
    path = saved({})
    (tmp_path / "file").write_text("x")
    for output in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match="not written by keras_pose.publi"):
            card(path, output)
    with pytest.raises(ValueError, match="--output must be a folder"):
        card(path, tmp_path / "new.keras")
    for name in ("pose", "a/b/c", "a b/c", "a/b\n"):
        with pytest.raises(ValueError, match="name must be USER/MODEL, got"):
            card(path, tmp_path / "out", name=name)
    with pytest.raises(FileNotFoundError, match="absent does not exist"):
        card(tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_published_folder_is_published_again(saved, tmp_path):
    card(saved(DRAWN), tmp_path / "first")
    text = card(tmp_path / "first", tmp_path / "second", licence="mit")
    assert section(text, "Trained on").startswith("drawn people.")
    first, second = (
        (tmp_path / name / "config.json").read_text()
        for name in ("first", "second")
    )
    assert json.loads(first)["config"]["provenance"] == DRAWN
    assert json.loads(second)["config"]["provenance"] == DRAWN
    assert Path(tmp_path / "second" / "model.weights.h5").is_file()
