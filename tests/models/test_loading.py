"""A model is loaded from a file, a folder or the Hugging Face Hub."""

import json
import os
import shutil
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_pose import estimator, files, provenance
from keras_pose.losses import HeatmapMSE
from keras_pose.metrics import PosePCK
from keras_pose.models import model as models
from keras_pose.training import optimizers

HASH = 40 * "1"
FACTS = {"trained_on": ["LSPET"]}


@pytest.fixture(scope="module")
def model(oracle):
    """The oracle as a compiled `PoseModel`."""
    plain = oracle.build()
    model = models.PoseModel(plain.input, plain.output)
    model.provenance = FACTS
    codec = model.codec
    model.compile(
        optimizers.Adam(1e-3), HeatmapMSE(codec), [PosePCK(codec, "pckh")]
    )
    return model


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "saved", zipped=False)
    return tmp_path / "saved"


@pytest.fixture(scope="module")
def picture(oracle):
    return oracle.draw(oracle.cells(), (16, 24), 4)[0][None]


def check_same(loaded, model, picture):
    np.testing.assert_array_equal(
        loaded(picture, training=False), model(picture, training=False)
    )
    assert loaded.provenance == FACTS
    assert not loaded.compiled


def test_a_folder_is_loaded_like_a_file(model, folder, picture):
    for place in (folder, str(folder)):
        check_same(models.load_model(place), model, picture)


def test_a_folder_may_hold_other_files(model, folder, picture):
    (folder / "README.md").write_text("# A card")
    (folder / ".gitattributes").write_text("*.h5 filter=lfs")
    (folder / "assets").rmdir()
    check_same(models.load_model(folder), model, picture)


def remove(folder):
    (folder / "metadata.json").unlink()


def hide(folder):
    (folder / "config.json").rename(folder / "there.json")
    (folder / "config.json").symlink_to("absent.json")


def pipe(folder):
    (folder / "model.weights.h5").unlink()
    os.mkfifo(folder / "model.weights.h5")


def bring(folder):
    (folder / "assets" / "vocabulary.txt").write_text("a")


def break_json(folder):
    (folder / "config.json").write_text("{")


def break_weights(folder):
    (folder / "model.weights.h5").write_bytes(b"x" * 99)


def link(folder):
    with h5py.File(folder / "model.weights.h5", "a") as file:
        file["other"] = h5py.ExternalLink("/etc/hosts", "/")


def swell(folder):
    with h5py.File(folder / "model.weights.h5", "a") as file:
        file.create_dataset("other", (2**28,), "f4", chunks=True, fillvalue=0)


def lie(folder):
    config = json.loads((folder / "config.json").read_text())
    config["config"]["provenance"] = 7
    (folder / "config.json").write_text(json.dumps(config))


HOSTILE = {
    remove: "metadata.json, model.weights.h5 wanted in it, got assets, conf",
    hide: "wanted in it, got assets, config.json",
    pipe: "wanted in it, got assets",
    bring: "assets must be an empty folder",
    break_json: "config.json is not JSON",
    break_weights: "file signature not found",
    link: "other is a link",
    swell: "unpacks from 0 bytes to 1,073,741,824",
    lie: "provenance must be an object, got 7",
}


@pytest.mark.parametrize("harm", HOSTILE, ids=lambda harm: harm.__name__)
def test_a_damaged_or_hostile_folder_is_one_error(folder, harm):
    harm(folder)
    with pytest.raises(ValueError, match=HOSTILE[harm]) as error:
        models.load_model(folder)
    assert str(error.value).startswith(f"{folder} cannot be used: ")
    assert len(str(error.value).splitlines()) == 1


def test_a_changed_number_is_found_where_there_are_checksums(folder, model):
    files.seal(folder, [*models.MEMBERS])
    assert models.load_model(folder).provenance == FACTS
    with h5py.File(folder / "model.weights.h5", "a") as file:
        file["layers/conv2d/vars/1"][0] += 1
    with pytest.raises(ValueError, match="model.weights.h5 must have the chec"):
        models.load_model(folder)
    (folder / files.SUMS).unlink()
    again = models.load_model(folder).get_weights()
    assert sum((a != b).sum() for a, b in zip(
        again, model.get_weights(), strict=True)) == 1  # fmt: skip


def test_a_folder_with_code_of_its_own_is_not_loaded(tmp_path):
    images = keras.Input((4,))
    layer = keras.layers.Lambda(lambda x: x + 1)
    network = keras.Model(images, layer(images))
    network.save(tmp_path / "saved", zipped=False)
    with pytest.raises(ValueError, match="saved cannot be used: .*ambda"):
        models.load_model(tmp_path / "saved")


def test_a_folder_without_a_model_says_what_is_wanted(tmp_path):
    with pytest.raises(ValueError, match="wanted in it, got nothing"):
        models.load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent does not exist: exp"):
        models.load_model(tmp_path / "absent")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("PoseMaps", "PoseFields", "the class PoseFields, which neither K"),
        ("Heatmaps", "Whiskers", "the class Whiskers, which neither Keras"),
        ("PoseModel", "GraphModel", "the class GraphModel, which neither"),
        ('"Concatenate"', '"Glue"', "the class keras.layers.Glue, which"),
        ('"mpii"', '"horse"', "skeleton must be one of mpii, lsp, coco, flic"),
        ('"stride": 4', '"pace": 4', "unexpected keyword argument 'pace'"),
    ],
)
def test_what_a_file_needs_and_is_not_there_is_named(
    folder, before, after, message
):
    path = folder / "config.json"
    config = path.read_text()
    assert before in config
    path.write_text(config.replace(before, after))
    with pytest.raises(ValueError, match=message) as error:
        models.load_model(folder)
    assert str(error.value).startswith(f"{folder} cannot be used: ")
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_prediction_takes_a_folder(folder):
    model = estimator.Estimator(folder)
    assert (model.skeleton.name, model.provenance) == ("mpii", FACTS)


def test_what_belongs_beside_a_model_of_the_hub_needs_a_place():
    assert models.folder_of("runs/a/best.keras") == Path("runs/a")
    assert models.folder_of(Path("runs/a/published")) == Path("runs/a")
    for path in ("hf://user/model", Path("hf://user/model")):
        with pytest.raises(ValueError, match="^hf://user/model has no fol"):
            models.folder_of(path)


def test_a_model_is_named_after_its_folder():
    for path, name in (
        ("runs/hsm/best.keras", "hsm"),
        ("published/hsm", "hsm"),
        ("hf://user/model", "model"),
    ):
        assert models.name_of(path) == models.name_of(Path(path)) == name


def test_without_the_library_of_the_hub_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = r"hf://user/model needs huggingface_hub: pip install .*\[hub\]"
    for path in ("hf://user/model", Path("hf://user/model")):
        with pytest.raises(ValueError, match=message):
            models.load_model(path)


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A cache of the hub, as it lies on the disk, with one model in it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    place = tmp_path / "hub" / "models--user--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(HASH)
    (place / "blobs").mkdir()
    snapshot = place / "snapshots" / HASH
    snapshot.mkdir(parents=True)
    for name in models.MEMBERS:
        shutil.move(folder / name, place / "blobs" / name)
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place.parent))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def test_a_model_of_the_hub_is_loaded_from_its_cache(hub, model, picture):
    for path in ("hf://user/model", Path("hf://user/model")):
        check_same(models.load_model(path), model, picture)
    assert provenance.read(hub) == FACTS


def test_a_model_of_the_hub_is_checked_like_a_folder(hub):
    swell(hub)
    for path in ("hf://user/model", Path("hf://user/model")):
        with pytest.raises(
            ValueError, match="^hf://user/model cannot be used: .*from 0"
        ):
            models.load_model(path)


@pytest.mark.parametrize("name", ["user/other", "../other", "a/b/c", "a b/c"])
def test_a_name_that_the_hub_does_not_have_is_one_error(hub, name):
    with pytest.raises(ValueError, match="cannot be downloaded: ") as error:
        models.load_model(f"hf://{name}")
    assert len(str(error.value).splitlines()) == 1
