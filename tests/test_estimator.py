"""Three lines of Python: photographs of every kind, people in boxes."""

import io
import json
import pathlib
import resource
import struct

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_pose
from keras_pose import engines, estimator, predict
from keras_pose.skeletons import MPII
from tfrecords import crops


@pytest.fixture(scope="module")
def path(oracle_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "best.keras"
    oracle_model.save(path)
    return path


@pytest.fixture(scope="module")
def model(path):
    return keras_pose.load_model(path)


@pytest.fixture(scope="module")
def picture(oracle):
    """192 x 128 pixels, and the joints in it."""
    return oracle.draw(oracle.cells(), (16, 24), 8)


@pytest.fixture
def photo(picture, png, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(png(picture[0]))
    return path


def test_a_path_bytes_and_pixels_give_the_same_joints(model, photo, picture):
    image, joints = picture
    kinds = photo, str(photo), photo.read_bytes(), image
    for kind in kinds:
        people = model.predict_photo(kind)
        np.testing.assert_allclose(people.joints, [joints], atol=1e-3)
        np.testing.assert_allclose(people.scores, np.ones((1, 16)), atol=0.02)
        assert people.missing.tolist() == [[False] * 16]
        assert people.box.tolist() == [[0, 0, 192, 128]]
    assert model.skeleton == MPII
    assert model.provenance == {}


def cmyk(color=(0, 255, 255, 0)):
    """The bytes of a JPEG of ink, as a printer's: cyan, magenta, yellow, black;
    and where its header of the picture begins."""
    pixels = np.tile(np.array(color, "uint8"), (16, 24, 1))
    file = io.BytesIO()
    Image.fromarray(pixels, "CMYK").save(file, "JPEG", quality=95)
    return file.getvalue(), file.getvalue().index(b"\xff\xc0")


@pytest.mark.parametrize(
    ("ink", "rgb"),
    [((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 128), (127, 127, 127))],
)
def test_ink_becomes_light(ink, rgb):
    encoded, _ = cmyk(ink)
    assert estimator.decode(encoded)[8, 12].tolist() == list(rgb)
    assert crops.decode_jpeg(encoded)[8, 12].tolist() == list(rgb[::-1])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 255])
def test_ink_of_another_number_of_colours_is_refused(tmp_path, count):
    """The header says so many components, and the segment of its length."""
    encoded, at = cmyk()
    parts = b"".join(bytes([k + 1, 0x11, 0]) for k in range(count))
    frame = struct.pack(">HBHHB", 8 + len(parts), 8, 16, 24, count) + parts
    end = at + 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")
    path = tmp_path / "ink.jpg"
    for forged in (
        encoded[: at + 9] + bytes([count]) + encoded[at + 10 :],
        encoded[: at + 2] + frame + encoded[end:],
    ):
        path.write_bytes(forged)
        for read in (estimator.read, crops.read_jpeg):
            with pytest.raises(ValueError, match="ink.jpg.* (JPEG|damaged)"):
                read(path)


@pytest.mark.parametrize("side", [14_000, 20_000, 65_500])
@pytest.mark.parametrize("before", [b"", b"\0\x12", b"\xff\x01"])
def test_ink_of_another_size_takes_no_memory(tmp_path, side, before):
    """Also behind bytes that a decoder skips; a process has 3 GiB more."""
    encoded, at = cmyk()
    size = struct.pack(">HH", side, side)
    path = tmp_path / "ink.jpg"
    path.write_bytes(
        encoded[:at] + before + encoded[at : at + 5] + size + encoded[at + 9 :]
    )
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 3 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
    try:
        for read in (estimator.read, crops.read_jpeg):
            with pytest.raises(ValueError, match="ink.jpg"):
                read(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_it_is_what_the_command_writes(model, path, photo, tmp_path):
    """To the three digits in the file; the box is not the whole picture."""
    written = tmp_path / "out.json"
    box = 20.0, 10.0, 100.0, 110.0
    predict.main(predict.Config((photo,), path, box=box, json=written))
    (result,) = json.loads(written.read_text())
    people = model.predict_photo(photo, [box])
    keypoints = np.reshape(result["keypoints"], (1, 16, 3))
    np.testing.assert_allclose(people.joints, keypoints[..., :2], atol=6e-4)
    np.testing.assert_allclose(people.scores, keypoints[..., 2], atol=6e-4)
    assert people.missing.tolist() == [result["missing"]]
    assert people.box.tolist() == [result["bbox"]]
    assert people.score[0] == pytest.approx(result["score"])


def test_several_people_in_the_order_of_their_boxes(model, oracle):
    """20 beside each other: more than at once; a crop is a quarter higher."""
    images, joints, boxes = [], [], []
    for number in range(20):
        image, points = oracle.draw(oracle.cells(number), (16, 24), 8)
        images.append(image)
        joints.append(points + np.array([192 * number, 0]))
        boxes.append((44.8 + 192 * number, 12.8, 102.4, 102.4, number / 20))
    people = model.predict_photo(np.concatenate(images, axis=1), boxes)
    np.testing.assert_allclose(people.joints, joints, atol=2e-3)
    expected = np.arange(20) / 20 * people.scores.mean(axis=1)
    np.testing.assert_allclose(people.score, expected, rtol=1e-6)
    four = np.array(boxes)[3:5, :4]
    some = model.predict_photo(np.concatenate(images, axis=1), four)
    np.testing.assert_allclose(some.joints, joints[3:5], atol=2e-3)


@pytest.mark.parametrize("nobody", [[], np.zeros((0, 4)), np.zeros((0, 5))])
def test_no_box_is_nobody(model, photo, nobody):
    people = model.predict_photo(photo, nobody)
    assert len(people) == 0
    assert people.joints.shape == (0, 16, 2)
    assert people.missing.shape == people.scores.shape == (0, 16)


def test_later_calls_neither_build_nor_trace(model, photo, oracle, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("built again")

    sizes = (16, 24), (20, 30)
    pictures = [oracle.draw(oracle.cells(), size, 8)[0] for size in sizes]
    for kind in (photo, pictures[0]):
        model.predict_photo(kind)
    monkeypatch.setattr(engines.serving, "Server", refuse)
    monkeypatch.setattr(engines.models, "load_model", refuse)
    # Python runs it only while a graph is traced.
    monkeypatch.setattr(engines.serving.photograph, "crop", refuse)
    whole = 0, 0, 99, 99
    for kind in (photo, photo.read_bytes(), *pictures):
        model.predict_photo(kind, [whole] * 3)


def test_an_export_gives_the_same_joints(oracle_export, photo, picture):
    model = keras_pose.load_model(oracle_export)
    image, joints = picture
    for kind in (photo, image):
        people = model.predict_photo(kind)
        np.testing.assert_allclose(people.joints, [joints], atol=1e-3)


def test_a_network_in_memory_serves_as_well(oracle_model, picture):
    people = estimator.Estimator(oracle_model).predict_photo(picture[0])
    np.testing.assert_allclose(people.joints, [picture[1]], atol=1e-3)


def test_pictures_of_one_size_are_predicted_together(model, oracle):
    drawn = [oracle.draw(oracle.cells(n), (16, 24), 8) for n in range(3)]
    images, joints = zip(*drawn, strict=True)
    first, second, third = model.predict_frames(images, [None, [], None])
    np.testing.assert_allclose(first.joints, [joints[0]], atol=1e-3)
    assert len(second) == 0
    np.testing.assert_allclose(third.joints, [joints[2]], atol=1e-3)


def test_large_pictures_are_held_one_at_a_time():
    assert estimator.at_once((1080, 1920)) == 16
    assert estimator.at_once((2160, 3840)) == 2**25 // (2160 * 3840) == 4
    assert estimator.at_once((8000, 12_000)) == 1


GRAY = cv2.cvtColor(np.zeros((64, 96, 3), "uint8"), cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (GRAY, r"\(H, W, 3\) uint8 pixels, got \(64, 96\) uint8"),
        (np.zeros((9, 9, 3)), r"got \(9, 9, 3\) float64"),
        (tf.zeros((9, 9, 3)), r"got \(9, 9, 3\) .*float32"),
        (7, "got 7"),
        (None, "got None"),
        (np.zeros((9, 5, 3), "uint8"), "the photograph must have at least 8 x"),
        (b"hello", "the photograph is not an image that can be read"),
    ],
    ids=str,
)
def test_what_is_no_photograph_is_refused_with_what_came(model, kind, message):
    with pytest.raises(ValueError, match=message):
        model.predict_photo(kind)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ((1, 2, 3, 4), r"photo.png: boxes must be \(N, 4\).*got \(1, 2, 3, 4"),
        (np.zeros((2, 6)), r"got \(2, 6\) float64"),
        ([(1, 2, 3)], r"got \[\(1, 2, 3\)\]"),
        ("people.csv", "got 'people.csv'"),
        ([(1, 2, 3, 4), (9, 9, 0, 5)], "photo.png: the box must have an area"),
    ],
    ids=str,
)
def test_what_is_no_box_is_refused_with_what_came(model, photo, boxes, message):
    with pytest.raises(ValueError, match=message):
        model.predict_photo(photo, boxes)
