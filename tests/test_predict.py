"""Photographs of one's own: pixels, names, drawings, and what is refused."""

import functools
import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose import drawing, estimator, predict
from keras_pose.data import photograph, runtime
from keras_pose.inference import journal
from keras_pose.models.model import PoseModel
from keras_pose.people import Poses
from keras_pose.skeletons import MPII


@pytest.fixture(scope="module")
def model(oracle_model, tmp_path_factory):
    """The oracle as a .keras file: one that has seen drawn people only."""
    path = tmp_path_factory.mktemp("model") / "best.keras"
    drawn = PoseModel(oracle_model.input, oracle_model.output, name="oracle")
    drawn.provenance = {"trained_on": ["drawn people"]}
    drawn.save(path)
    return path


@pytest.fixture(scope="module", autouse=True)
def opened_once():
    """Whatever opens without an error: it takes a second or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            estimator, "Estimator", functools.cache(estimator.Estimator)
        )
        yield


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
    assert header["trained_on"] == ["drawn people"]
    assert header["warning"].startswith("this model was trained on drawn peop")
    drawn, before = cv2.imread(str(output)), cv2.imread(str(path))
    assert drawn.shape == before.shape
    assert (drawn != before).any()
    said = capsys.readouterr().out
    assert "the whole picture" in said
    assert "left_wrist" in said
    (note,) = (line for line in said.splitlines() if line[:5] == "Note:")
    assert note.startswith("Note: this model was trained on drawn people only")


def test_an_export_and_its_model_agree(model, oracle_export, photo):
    path, _ = photo
    box = (20.0, 10.0, 100.0, 110.0)
    one, other = (
        predict.main(predict.Config((path,), model=source, box=box))
        for source in (model, oracle_export)
    )
    assert one.box.tolist() == [list(box)]
    np.testing.assert_allclose(one.joints, other.joints, atol=1e-3)


def test_threads_are_shared_by_the_models_size(
    model, oracle_export, photo, monkeypatch
):
    path, _ = photo
    told = []
    monkeypatch.setattr(runtime, "share_cores", told.append)
    for source in (model, oracle_export):
        predict.main(predict.Config((path,), model=source))
    assert told == [(64, 96)] * 2  # the oracle's


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


def test_several_people_of_a_photograph(model, oracle, png, tmp_path, capsys):
    """Two of the oracle's people beside each other, and a box around each,
    whose crop is a quarter higher than it."""
    picture, joints = oracle.draw(oracle.cells(), (16, 24), 8)
    path = tmp_path / "photo.png"
    path.write_bytes(png(np.concatenate([picture, picture], axis=1)))
    shifts = 0.0, 192.0
    lines = [f"photo.png,{44.8 + x},12.8,102.4,102.4,0.5" for x in shifts]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("\n".join(["file,x,y,width,height,score", *lines]))
    written = tmp_path / "out.json"
    found = predict.main(
        predict.Config((path,), model=model, boxes=boxes, json=written)
    )
    expected = [joints + np.array([x, 0]) for x in shifts]
    np.testing.assert_allclose(found.joints, expected, atol=1e-3)
    # the score of the box times that of the joints
    np.testing.assert_allclose(found.score, 0.5 * found.scores.mean(1))
    first, second = json.loads(written.read_text())
    assert first["bbox"] == [44.8, 12.8, 102.4, 102.4]
    assert second["bbox"] == [236.8, 12.8, 102.4, 102.4]
    assert first["file_name"] == second["file_name"] == str(path)
    assert "person 2 of 2" in capsys.readouterr().out


def test_what_cannot_be_read_is_said_at_the_end_and_costs_nothing_else(
    oracle_export, photo, tmp_path
):
    path, joints = photo
    (tmp_path / "a.jpg").write_text("no photograph")
    written, drawn = tmp_path / "all.json", tmp_path / "drawn"
    config = predict.Config(
        (tmp_path,), model=oracle_export, json=written, output=drawn
    )
    with pytest.raises(
        ValueError, match=r"1 of 2 photographs: .*a\.jpg is not"
    ):
        predict.main(config)
    (person,) = json.loads(written.read_text())
    assert person["file_name"] == str(path)
    assert [file.name for file in drawn.iterdir()] == ["photo.png"]
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_stopped_run_goes_on(oracle_export, photo, tmp_path, monkeypatch):
    """Stopped at the third of four; a line that was cut short is done again."""
    path, joints = photo
    names = [tmp_path / f"{name}.png" for name in "abcd"]
    for name in names:
        name.write_bytes(path.read_bytes())
    written, real = tmp_path / "all.json", predict.predict
    config = predict.Config(tuple(names), model=oracle_export, json=written)

    def seen_by(config, stop=None):
        seen = []

        def one(model, path, *rest):
            if path.name == stop:
                raise KeyboardInterrupt
            seen.append(path.stem)
            return real(model, path, *rest)

        monkeypatch.setattr(predict, "predict", one)
        try:
            predict.main(config)
        except KeyboardInterrupt:
            pass
        return seen

    assert seen_by(config, "c.png") == ["a", "b"]
    journal = tmp_path / "all.json.unfinished"
    journal.write_text(journal.read_text()[:-5])
    assert seen_by(config, "d.png") == ["b", "c"]
    assert not written.exists()
    other = replace(config, box=None, flip=False, model=Path(config.model))
    assert seen_by(other) == ["d"]
    assert len(json.loads(written.read_text())) == 4
    assert not journal.exists()
    assert seen_by(config) == ["a", "b", "c", "d"]  # it was finished


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "swapped"])
def test_a_damaged_journal_costs_what_it_held_and_no_more(tmp_path, damage):
    """After a power cut; swapped: with that of other boxes."""
    path = Path("a.png")
    config = predict.Config((path,), Path("m"), json=tmp_path / "all.json")
    other = replace(config, box=(1, 2, 30, 40), json=tmp_path / "other.json")
    for one in (config, other):
        kept = journal.Journal(one)
        assert kept.read() == {}
        kept.add(path, [{"score": 1.0}])
        kept.add("b.png", [])
    kept = journal.Journal(config)
    content = kept.path.read_bytes()
    kept.path.write_bytes(
        {
            "empty": b"",
            "cut": content[:-4],
            "zeros": content[:-10] + bytes(10),
            "swapped": journal.Journal(other).path.read_bytes(),
        }[damage]
    )
    # A line of zeros has no end: it is like one that was cut.
    left = {"a.png": [{"score": 1.0}]} if damage in ("cut", "zeros") else {}
    assert kept.read() == left
    kept.add("b.png", [])
    assert journal.Journal(config).read() == left | {"b.png": []}


def test_another_model_does_not_go_on(model, oracle_export, photo, tmp_path):
    path, _ = photo
    journals = [
        journal.Journal(
            predict.Config((path,), source, json=tmp_path / "a.json")
        )
        for source in (oracle_export, model)
    ]
    assert journals[0].read() == {}
    journals[0].add(path, [{"score": 1}])
    assert journals[0].read() == {str(path): [{"score": 1}]}
    assert journals[1].read() == {}


def test_missing_joints_are_said_and_drawn_hollow(
    oracle_export, oracle, png, tmp_path, capsys
):
    picture, _ = oracle.draw(oracle.cells()[:10], (16, 24), 8)
    path = tmp_path / "photo.png"
    path.write_bytes(png(picture))
    found = predict.main(predict.Config((path,), model=oracle_export))
    assert found.missing.tolist() == [[False] * 10 + [True] * 6]
    printed = capsys.readouterr().out
    assert printed.count("missing") == 6
    assert "Note:" not in printed  # nothing is known of this model


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
    two = (path, tmp_path / "elsewhere" / path.name)
    two[1].parent.mkdir()
    two[1].write_bytes(path.read_bytes())
    boxes = tmp_path / "boxes.csv"
    cases = {
        "without --boxes; got --boxes too": {
            "photos": (path,),
            "box": (1, 1, 5, 5),
            "boxes": boxes,
        },
        "without --flip": {"photos": (path,), "flip": True},
        "one photograph, without --boxes; got 2 photographs": {
            "photos": two,
            "box": (1, 1, 5, 5),
        },
        "two photographs": {"photos": two, "output": tmp_path / "drawn"},
        "a .png, a .jpg": {"photos": (path,), "output": Path("drawn.txt")},
        "photographs or a --video, got neither": {"photos": ()},
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


@pytest.mark.parametrize(
    "outputs",
    [
        {"output": "photo.jpg"},
        {"output": "link.jpg"},
        {"output": "."},
        {"json": "photo.jpg"},
        {"json": "link.jpg"},
        {"json": "best.keras"},
        {"output": "drawn.png", "json": "drawn.png"},
    ],
    ids=str,
)
def test_nothing_that_is_read_is_written_over(tmp_path, monkeypatch, outputs):
    """Refused before the model is opened: it is no model here."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "photo.png", "best.keras"):
        Path(name).write_text("as it was")
    Path("link.jpg").symlink_to("photo.jpg")
    photo = "photo.png" if outputs.get("output") == "." else "photo.jpg"
    outputs = {name: Path(path) for name, path in outputs.items()}
    config = predict.Config((Path(photo),), Path("best.keras"), **outputs)
    with pytest.raises(ValueError, match="would be overwritten"):
        predict.main(config)
    assert Path(photo).read_text() == "as it was"


def test_an_exports_own_files_are_not_written_over(oracle_export, photo):
    path, _ = photo
    config = predict.Config(
        (path,), oracle_export, json=oracle_export / "serving.json"
    )
    with pytest.raises(ValueError, match="serving.json would be overwritten"):
        predict.main(config)


def header(kind, width, height):
    """The beginning of a picture of this size, without any pixels."""
    if kind == "png":
        size = struct.pack(">II", width, height)
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + size
    if kind == "jpg":
        frame = struct.pack(">HBHHBBBB", 11, 8, height, width, 1, 1, 0x11, 0)
        scan = bytes.fromhex("ffda 0008 01 01 00 00 3f 00")
        return b"\xff\xd8\xff\xc0" + frame + scan + b"\xff\xd9"
    screen = struct.pack("<HH", 16, 16) if kind == "frames" else b""
    screen = screen or struct.pack("<HH", width, height)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return b"GIF89a" + screen + bytes(3) + frame + b"\x02\x00;"


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "frames"])
def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, kind):
    """30,000 x 30,000 pixels in 33 bytes: its header is enough."""
    path = tmp_path / "bomb.jpg"
    path.write_bytes(header(kind, 30_000, 30_000))
    with pytest.raises(ValueError, match="bomb.jpg: .* 200,000,000 pixels"):
        estimator.read(path)
    path.write_bytes(header(kind, 16_000, 12_000))  # few enough, but not there
    with pytest.raises(ValueError, match="bomb.jpg is not an image"):
        estimator.read(path)


def test_a_gif_is_read_as_its_first_frame(tmp_path):
    """1 x 1, then 9 x 8: the colour table has black and white."""

    def frame(width, height):
        place = struct.pack("<HHHHB", 0, 0, width, height, 0)
        # Codes of 3 bits: clear 4, then each pixel a 1 and a clear, end 5.
        codes = [4] + [1, 4] * (width * height) + [5]
        bits = sum(code << 3 * n for n, code in enumerate(codes))
        data = bits.to_bytes(len(codes) * 3 // 8 + 1, "little")
        blocks = b"".join(
            bytes([len(data[i : i + 255])]) + data[i : i + 255]
            for i in range(0, len(data), 255)
        )
        return b"," + place + b"\x02" + blocks + b"\x00"

    screen = struct.pack("<HHBBB", 9, 8, 0x80, 0, 0)
    path = tmp_path / "animated.gif"
    path.write_bytes(
        b"GIF89a" + screen + bytes(3) + b"\xff" * 3 + frame(9, 8) * 2 + b";"
    )
    image = estimator.read(path)
    assert image.shape == (8, 9, 3) and (image == 255).all()


def test_what_is_no_file_is_refused_and_not_waited_for(no_file):
    with pytest.raises(ValueError, match="bad.jpg cannot be read: "):
        estimator.read(no_file)


@pytest.mark.parametrize(
    "box", [(0, 0, 19_300, 1), (-9e4, 0, 1e5, 5), (3, 3, 0.5, 0.9)]
)
def test_a_box_of_another_order_than_the_picture_is_refused(box):
    image = np.zeros((128, 192, 3), "uint8")
    with pytest.raises(ValueError, match="longer side of 1 to 19,200 pixels"):
        estimator.check_boxes([box], image.shape[:2], "photo.jpg")
    crop = (48, 32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 100 "):
        photograph.crop(tf.constant(image), tf.constant(box, tf.float32), crop)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((130, 192), (-9000.0, -5000.0, 19_000, 10_100)),
        ((1, 9000), (0, 0, 9e5, 3)),
    ],
)
def test_a_box_far_larger_shows_the_picture_in_a_few_pixels(size, box):
    image = np.full((*size, 3), 255, "uint8")
    crop, back = photograph.crop(tf.constant(image), tf.constant(box), (64, 96))
    assert 1 <= np.any(crop, axis=2).sum() <= 9
    assert np.isfinite(back).all()


def test_a_large_photograph_is_drawn_smaller(monkeypatch):
    """150 x 90 pixels at 100 x 60: the joint at 1.5 (x + 0.5) - 0.5."""
    monkeypatch.setattr(drawing, "LARGEST", 100)
    joints = np.full((1, 16, 2), np.nan)
    joints[0, 0] = 1.5 * (np.array([40, 20]) + 0.5) - 0.5
    pose = Poses(joints, np.ones((1, 16)), missing=np.zeros((1, 16), bool))
    image = np.zeros((90, 150, 3), "uint8")
    drawn = drawing.draw_poses(image, pose, MPII)
    assert drawn.shape == (60, 100, 3)
    y, x = np.argwhere(drawn.any(axis=2)).mean(axis=0)
    assert (x, y) == (40, 20)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "'skeleton'"),
        ("[", "not JSON"),
        ('{"skeleton": "lsp"}', "'flip'"),
        ('{"skeleton": "lsp", "flip": false, "provenance": 7}', "an object"),
    ],
)
def test_an_export_without_its_description_is_refused(
    tmp_path, content, message
):
    (tmp_path / "serving.json").write_text(content)
    with pytest.raises(ValueError, match=f"serving.json is .*{message}"):
        estimator.Estimator(tmp_path)


def test_an_export_whose_joints_were_renamed_is_refused(
    oracle_export, tmp_path
):
    folder = tmp_path / "saved_model"
    shutil.copytree(oracle_export, folder)
    path = folder / "serving.json"
    said = json.loads(path.read_text())
    joints = ["nose", *MPII.joints[1:]]
    said["skeleton"] = {"name": "mpii", "joints": joints}
    path.write_text(json.dumps(said))
    with pytest.raises(ValueError, match="finds right_ankle.* lists nose"):
        estimator.Estimator(folder)
