"""A model says what it was trained on, wherever its file goes."""

import json
import zipfile
import zlib
from pathlib import Path

import keras
import pytest

from keras_pose import provenance
from keras_pose.codecs import Heatmaps
from keras_pose.data.dataset import Dataset
from keras_pose.models import model as models
from keras_pose.models.heads import PoseMaps

FACTS = {
    "trained_on": ["COCO keypoints", "MPII Human Pose"],
    "score": {"protocol": "AP", "value": 74.4},
    "seeds": [1, 2.5, None, True],
    "class_name": "not a class",
}


def build(strides=(4,), kind=models.PoseModel):
    """A network of 24 x 40 pixels with an output for each stride."""
    keras.backend.clear_session()  # layers have the same names each time
    images = keras.Input((24, 40, 3), dtype="uint8")
    values = keras.layers.Rescaling(1 / 255)(images)
    outputs = [
        PoseMaps(Heatmaps("lsp", stride))(
            [keras.layers.Conv2D(14, stride, stride)(values)]
        )
        for stride in strides
    ]
    return kind(images, outputs if len(outputs) > 1 else outputs[0])


@pytest.fixture
def saved(tmp_path):
    """Writes a model with these facts; returns its path."""

    def write(facts, name="model.keras", **settings):
        model = build(**settings)
        model.provenance = facts
        model.save(tmp_path / name)
        return tmp_path / name

    return write


def rewrite(path, facts):
    """Puts other facts into a .keras file, whatever they are."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["provenance"] = facts
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def test_a_model_keeps_its_provenance_in_its_file(saved):
    path = saved(FACTS)
    assert models.load_model(path).provenance == FACTS
    assert provenance.read(path) == FACTS
    with zipfile.ZipFile(path) as file:
        assert set(file.namelist()) == models.MEMBERS


def test_plain_keras_keeps_the_provenance_too(saved, tmp_path):
    again = keras.saving.load_model(saved(FACTS), compile=False)
    assert again.provenance == FACTS
    again.save(tmp_path / "folder", zipped=False)
    assert provenance.read(tmp_path / "folder") == FACTS


def test_a_file_says_how_large_its_input_is(saved, tmp_path):
    path = saved({})
    assert provenance.read_input_size(path) == (24, 40)
    with zipfile.ZipFile(path) as file:
        file.extractall(tmp_path / "folder")
    assert provenance.read_input_size(tmp_path / "folder") == (24, 40)
    (tmp_path / provenance.DESCRIPTION).write_text(
        '{"input": {"height": 256, "width": 192}}'
    )
    assert provenance.read_input_size(tmp_path) == (256, 192)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"input": 256}',
        '{"input": {"height": 256}}',
        '{"input": {"height": 256, "width": "192"}}',
        '{"input": {"height": 256, "width": 0}}',
        '{"input": {"height": 256, "width": 1e999}}',
    ],
)
def test_a_file_that_does_not_say_its_size_is_no_error(tmp_path, text):
    (tmp_path / provenance.DESCRIPTION).write_text(text)
    assert provenance.read_input_size(tmp_path) is None
    (tmp_path / provenance.DESCRIPTION).unlink()
    (tmp_path / provenance.CONFIG).write_text(text)
    assert provenance.read_input_size(tmp_path) is None
    assert provenance.read_input_size(tmp_path / "absent") is None
    assert provenance.read_input_size("hf://user/model") is None
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"PK\5\6" + bytes(18))  # an archive of nothing
    assert provenance.read_input_size(broken) is None


def test_a_config_that_cannot_be_unpacked_is_left_to_who_opens_it(tmp_path):
    """Damaged bytes in it, or far more than the file has."""
    damaged, bomb = tmp_path / "damaged.keras", tmp_path / "bomb.keras"
    for path, content in ((damaged, b"{}" * 50), (bomb, bytes(2**28))):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(provenance.CONFIG, content)
    content = bytearray(damaged.read_bytes())
    start = content.index(provenance.CONFIG.encode()) + len(provenance.CONFIG)
    content[start : start + 4] = b"\xff" * 4
    damaged.write_bytes(content)
    with pytest.raises(zlib.error), zipfile.ZipFile(damaged) as file:
        file.read(provenance.CONFIG)
    assert provenance.read_input_size(damaged) is None
    assert provenance.read_input_size(bomb) is None
    with pytest.raises(ValueError, match="unpack"):
        provenance.read(bomb)


def test_a_model_that_says_nothing_has_an_empty_provenance(tmp_path):
    for kind in (models.PoseModel, keras.Model):
        build(kind=kind).save(tmp_path / "model.keras")
        with zipfile.ZipFile(tmp_path / "model.keras") as file:
            assert b"provenance" not in file.read("config.json")
        assert provenance.of(models.load_model(tmp_path / "model.keras")) == {}
        assert provenance.read(tmp_path / "model.keras") == {}


def test_what_is_no_model_says_nothing(tmp_path):
    assert provenance.read(tmp_path) == {}
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no zip")
    assert provenance.read(path) == {}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", "")
    assert provenance.read(path) == {}
    for text in ("[]", '{"config": 7}'):
        (tmp_path / "config.json").write_text(text)
        assert provenance.read(tmp_path) == {}
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        provenance.read(tmp_path)


def test_the_last_output_has_the_provenance_of_all(saved):
    model = models.load_model(saved(FACTS, strides=(8, 4)))
    assert model.output_shape == (None, 1, 6, 10, 14)
    assert model.provenance == FACTS


def test_a_provenance_is_changed_as_a_whole():
    model = build()
    model.provenance["trained_on"] = ["COCO keypoints"]
    assert model.provenance == {}


def test_networks_of_different_provenance_are_the_same(saved, tmp_path):
    first, second = tmp_path / "first.keras", tmp_path / "second.keras"
    model = build()
    model.save(first)
    model.provenance = FACTS
    model.save(second)
    assert models.same_network(first, second)
    assert not models.same_network(first, saved(FACTS, strides=(8,)))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ("COCO", "provenance must be an object, got 'COCO'"),
        (None, "provenance must be an object, got None"),
        ([{}], "provenance must be an object, got .\\{"),
        ({"x": "y" * 2**17}, "must have at most 65,536 characters, got 131,"),
        ({"x": float("nan")}, "provenance must be JSON: Out of range"),
    ],
    ids=["text", "nothing", "list", "huge", "nan"],
)
def test_a_hostile_provenance_is_one_error(saved, facts, message):
    path = saved(FACTS)
    rewrite(path, facts)
    with pytest.raises(ValueError, match=f"model.keras .*{message}") as error:
        models.load_model(path)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(ValueError, match=message):
        provenance.read(path)


def test_a_provenance_of_objects_is_refused():
    with pytest.raises(ValueError, match="JSON: Object of type PosixPath"):
        build().provenance = {"data": Path("data")}


def described(**description):
    return Dataset(Path("data/mine"), description)


def test_a_data_set_knows_whether_its_people_are_drawn():
    new = described(title="rendered hands", drawn=True)
    assert (new.title, new.is_drawn) == ("rendered hands", True)
    command = "python -m tfrecords.{} --output data/mine"
    old = described(command=command.format("synthetic"))
    assert (old.title, old.is_drawn) == ("mine", True)
    assert old.converter == "tfrecords.synthetic"
    mpii = described(command=command.format("mpii"))
    assert (mpii.converter, mpii.is_drawn) == ("tfrecords.mpii", False)
    assert (described().converter, described().is_drawn) == (None, False)


DRAWN = described(title="rendered hands", drawn=True)
PHOTOGRAPHS = described(title="LSPET")


def test_training_adds_its_data_to_what_is_known():
    first = provenance.trained({}, DRAWN, paper="HSM")
    assert first == {
        "trained_on": ["drawn people"],
        "data": "rendered hands",
        "paper": "HSM",
    }
    assert provenance.is_drawn_only(first)
    tuned = provenance.trained(first, PHOTOGRAPHS, paper="HSM")
    assert tuned["trained_on"] == ["drawn people", "LSPET"]
    assert tuned["started_from"] == first
    assert not provenance.is_drawn_only(tuned)
    back = provenance.trained(tuned, DRAWN, same=True)
    assert back["trained_on"] == ["LSPET", "drawn people"]
    assert back["started_from"] == first


def test_predictions_of_photographs_warn_of_a_model_that_saw_none():
    first = provenance.trained({}, DRAWN)
    notes = provenance.notes(first)
    assert notes["trained_on"] == ["drawn people"]
    assert "not to be relied on" in notes["warning"]
    assert provenance.notes(first, drawn=True).keys() == {"trained_on"}
    tuned = provenance.trained(first, PHOTOGRAPHS)
    assert provenance.notes(tuned).keys() == {"trained_on"}
    assert provenance.notes({}) == {"trained_on": "unknown"}


@pytest.mark.parametrize(
    "names", [None, [], "drawn people", ["LSPET"], [["drawn people"]], {}]
)
def test_only_what_names_drawn_people_alone_is_drawn_only(names):
    assert not provenance.is_drawn_only({"trained_on": names})
    assert not provenance.is_drawn_only({})
