"""Photographs of one's own: pixels, names, drawings, and what is refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_pose import predict
from keras_pose.skeletons import MPII


@pytest.fixture(scope="module")
def model(oracle_model, tmp_path_factory):
    """The oracle as a .keras file."""
    path = tmp_path_factory.mktemp("model") / "best.keras"
    oracle_model.save(path)
    return path


@pytest.fixture
def photo(oracle, png, tmp_path):
    """A PNG, 192 x 128, that the oracle reads exactly, and its joints."""
    picture, joints = oracle.draw(oracle.cells(), (16, 24), 8)
    path = tmp_path / "photo.png"
    path.write_bytes(png(picture))
    return path, joints


def test_joints_by_name_in_pixels_of_the_photograph(
    model, photo, tmp_path, capsys
):
    path, joints = photo
    output, written = tmp_path / "out" / "drawn.png", tmp_path / "out.json"
    predict.main(
        predict.Config((path,), model=model, output=output, json=written)
    )
    (person,) = json.loads(written.read_text())
    assert person["file_name"] == person["image_id"] == str(path)
    assert (person["category_id"], person["bbox"]) == (1, [0, 0, 192, 128])
    keypoints = np.reshape(person["keypoints"], (16, 3))
    assert max(len(str(number)) for number in person["keypoints"]) <= 7
    np.testing.assert_allclose(keypoints[:, :2], joints, atol=1e-3)
    np.testing.assert_allclose(keypoints[:, 2], 1, atol=0.02)
    assert person["missing"] == [False] * 16
    assert person["score"] == pytest.approx(keypoints[:, 2].mean(), abs=1e-3)
    header = json.loads((tmp_path / "out-header.json").read_text())
    assert header["skeleton"] == "mpii"
    assert header["joints"] == list(MPII.joints)
    assert "first pixel" in header["pixels"]
    drawn, before = cv2.imread(str(output)), cv2.imread(str(path))
    assert drawn.shape == before.shape
    assert (drawn != before).any()
    said = capsys.readouterr().out
    assert "the whole picture" in said
    assert "left_wrist" in said


def test_an_export_and_its_model_agree(model, oracle_export, photo):
    path, _ = photo
    box = (20.0, 10.0, 100.0, 110.0)
    one, other = (
        predict.main(predict.Config((path,), model=source, box=box))
        for source in (model, oracle_export)
    )
    assert one.box.tolist() == [list(box)]
    np.testing.assert_allclose(one.joints, other.joints, atol=1e-3)


def test_a_phones_photograph_is_upright(
    oracle_export, oracle, with_exif, tmp_path
):
    """Stored lying on its side; answered and drawn as it is shown."""
    picture, joints = oracle.draw(oracle.cells(), (16, 24), 16)
    stored = np.rot90(picture)  # a quarter turn back, which 6 undoes
    jpeg = cv2.imencode(".jpg", stored[..., ::-1])[1].tobytes()
    path, output = tmp_path / "phone.jpg", tmp_path / "drawn.png"
    path.write_bytes(with_exif(jpeg, 6))
    found = predict.main(
        predict.Config((path,), model=oracle_export, output=output)
    )
    assert found.box.tolist() == [[0, 0, 384, 256]]
    np.testing.assert_allclose(found.joints, [joints], atol=4.1)
    assert cv2.imread(str(output)).shape == (256, 384, 3)


def test_several_photographs(oracle_export, photo, tmp_path):
    path, joints = photo
    other = tmp_path / "other.png"
    other.write_bytes(path.read_bytes())
    folder = tmp_path / "drawn"
    found = predict.main(
        predict.Config((path, other), model=oracle_export, output=folder)
    )
    assert found.picture.tolist() == [0, 1]
    np.testing.assert_allclose(found.joints, [joints] * 2, atol=1e-3)
    names = sorted(drawn.name for drawn in folder.iterdir())
    assert names == ["other.png", "photo.png"]


def test_missing_joints_are_said_and_drawn_hollow(
    oracle_export, oracle, png, tmp_path, capsys
):
    picture, _ = oracle.draw(oracle.cells()[:10], (16, 24), 8)
    path = tmp_path / "photo.png"
    path.write_bytes(png(picture))
    found = predict.main(predict.Config((path,), model=oracle_export))
    assert found.missing.tolist() == [[False] * 10 + [True] * 6]
    assert capsys.readouterr().out.count("missing") == 6


BAD_BOXES = {
    "four numbers": (float("nan"), 0, 5, 5),
    "an area": (3, 3, 0, 5),
    "outside": (192, 0, 5, 5),
}


@pytest.mark.parametrize("what", BAD_BOXES)
def test_a_bad_box_is_refused(oracle_export, photo, what):
    path, _ = photo
    config = predict.Config((path,), model=oracle_export, box=BAD_BOXES[what])
    with pytest.raises(ValueError, match=rf"photo\.png.*{what}.*got"):
        predict.main(config)


def test_what_is_no_photograph_is_refused(oracle_export, photo, png, tmp_path):
    path, _ = photo
    jpeg = cv2.imencode(".jpg", cv2.imread(str(path)))[1].tobytes()
    bad = {
        "text.jpg": (b"hello", "not an image"),
        "empty.jpg": (b"", "not an image"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "not an image"),
        "one.png": (png(np.zeros((1, 1, 3), "uint8")), "8 x 8 .*got 1 x 1"),
    }
    for name, (content, message) in bad.items():
        (tmp_path / name).write_bytes(content)
        config = predict.Config((tmp_path / name,), model=oracle_export)
        with pytest.raises(ValueError, match=f"{name}.*{message}"):
            predict.main(config)
    config = predict.Config((tmp_path / "absent.jpg",), model=oracle_export)
    with pytest.raises(FileNotFoundError, match="absent.jpg"):
        predict.main(config)


def test_models_of_another_kind_are_refused(photo, tmp_path):
    path, _ = photo
    (tmp_path / "text.keras").write_text("hello")
    (tmp_path / "folder").mkdir()
    for name in ("text.keras", "folder", "absent.keras"):
        config = predict.Config((path,), model=tmp_path / name)
        with pytest.raises((ValueError, FileNotFoundError), match=name):
            predict.main(config)


def test_settings_that_cannot_be_met_are_refused(
    oracle_export, photo, tmp_path
):
    path, _ = photo
    two = (path, Path("elsewhere") / path.name)
    cases = {
        "without --flip": {"photos": (path,), "flip": True},
        "one photograph": {"photos": two, "box": (1, 1, 5, 5)},
        "two photographs": {"photos": two, "output": tmp_path / "drawn"},
        "a .png, a .jpg": {"photos": (path,), "output": Path("drawn.txt")},
        "no photograph": {"photos": ()},
    }
    for message, settings in cases.items():
        with pytest.raises(ValueError, match=message):
            predict.main(predict.Config(model=oracle_export, **settings))
    assert not (tmp_path / "drawn").exists()


def test_flip_reaches_the_model(model, photo):
    """The oracle goes by colour: mirrored sides take half of each height."""
    path, _ = photo
    found = predict.main(predict.Config((path,), model=model, flip=True))
    (scores,) = found.scores
    assert scores[MPII.index("pelvis")] == pytest.approx(1, abs=0.02)
    assert scores[MPII.index("left_wrist")] == pytest.approx(0.5, abs=0.02)
