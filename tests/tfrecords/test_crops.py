"""A crop shows what augmentation may ask for and knows the way back."""

import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest

from keras_pose import geometry
from keras_pose.data.records import Person
from keras_pose.skeletons import Skeleton
from tfrecords import crops

ARM = Skeleton("arm", ("elbow", "wrist"))


def person(x, y, side, joints=None, name="someone"):
    """A person with the square of `side` pixels around x, y."""
    joints = np.array(joints or [[x, y], [x + 1, y + 1]], float)
    return Person(
        joints=joints,
        flags=np.full(len(joints), 2),
        center=np.array([x, y], float),
        scale=side / geometry.PERSON_PIXELS,
        name=name,
    )


def test_a_crop_is_twice_the_square_and_clipped(tmp_path, photograph):
    path = photograph(tmp_path / "a.jpg", 240, 180)
    # 2 x 40 pixels around column 100 and row 20: rows -20 ... 59, 60 remain.
    picture = crops.cut(path, [person(100, 20, 40)], person_pixels=256)
    assert picture.size == (60, 80)
    assert picture.source == "a.jpg"
    image = cv2.imdecode(np.frombuffer(picture.encoded, "uint8"), 1)
    assert image.shape == (60, 80, 3)
    left, top = picture.matrix[:, 2]
    assert left in (60, 61) and top == 0
    # Blue counts columns and green rows: they tell where a pixel came from.
    assert abs(int(image[30, 40, 0]) - (left + 40)) <= 3
    assert abs(int(image[30, 40, 1]) - 30) <= 3


def test_a_large_person_is_brought_down_and_the_matrix_leads_back(
    tmp_path, photograph
):
    path = photograph(tmp_path / "a.jpg", 240, 200)
    joints = [[30.0, 50.0], [111.0, 77.5]]
    picture = crops.cut(path, [person(100, 90, 80, joints)], person_pixels=20)
    assert picture.size == (40, 40)  # CONTEXT * person_pixels
    found = picture.people[0]
    assert found.scale * geometry.PERSON_PIXELS == pytest.approx(20)
    back = geometry.move(found.joints, picture.matrix)
    np.testing.assert_allclose(back, joints, atol=1e-9)
    image = cv2.imdecode(np.frombuffer(picture.encoded, "uint8"), 1)
    x, y = geometry.move(np.array([[20.0, 10.0]]), picture.matrix)[0]
    assert abs(int(image[10, 20, 0]) - x) <= 3
    assert abs(int(image[10, 20, 1]) - y) <= 3


def test_a_crop_holds_every_augmented_view():
    """Zoomed out by 2^0.5, turned by 45 degrees: corners lie in the window."""
    subject = person(1000, 1000, 100)
    left, top, right, bottom = crops._window(subject, (2000, 2000))
    view = geometry.crop_matrix(
        subject.center, 100 * 2**0.5, np.pi / 4, (64, 64)
    )
    edge = 63.0
    corners = np.array([[0, 0], [edge, 0], [0, edge], [edge, edge]])
    x, y = geometry.move(corners, geometry.invert(view)).T
    assert left <= x.min() and x.max() <= right - 1
    assert top <= y.min() and y.max() <= bottom - 1


@pytest.mark.parametrize("x", np.arange(100, 101, 0.125))
@pytest.mark.parametrize("side", [20.0, 31.9, 32.3, 47.77])
def test_no_crop_exceeds_its_bound(tmp_path, photograph, x, side):
    path = photograph(tmp_path / "a.jpg", 300, 300)
    picture = crops.cut(path, [person(x, 150, side)], person_pixels=32)
    assert max(picture.size) <= crops.CONTEXT * 32


def test_others_are_kept_if_they_show(tmp_path, photograph):
    path = photograph(tmp_path / "a.jpg", 300, 100)
    others = [
        person(290, 50, 20, name="far"),
        person(75, 50, 20, name="near"),
        person(200, 50, 90, [[60.0, 10.0], [200.0, 50.0]], name="an arm"),
    ]
    picture = crops.cut(path, [person(50, 50, 40), *others], 256)
    assert [p.name for p in picture.people] == ["someone", "near", "an arm"]


def test_a_whole_photograph_keeps_its_own_bytes(tmp_path, photograph):
    path = photograph(tmp_path / "a.jpg", 120, 80)
    picture = crops.cut(path, [person(50, 50, 10)], 256, whole_images=True)
    assert picture.encoded == path.read_bytes()
    assert picture.size == (80, 120)
    np.testing.assert_array_equal(picture.matrix, np.eye(3)[:2])


def test_a_camera_that_was_turned_does_not_move_joints(
    tmp_path, photograph, with_exif
):
    path = photograph(tmp_path / "a.jpg", 120, 80)
    path.write_bytes(with_exif(path.read_bytes(), 6))
    _, image = crops.read_jpeg(path)
    assert image.shape == (80, 120, 3)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda data: b"", "empty"),
        (lambda data: b"\x89PNG" + data, "not a JPEG.*PNG"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:2] + bytes(50) + b"\xff\xd9", "damaged"),
    ],
)
def test_a_damaged_image_is_named(tmp_path, photograph, spoil, message):
    path = photograph(tmp_path / "a.jpg", 120, 80)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=f"a.jpg: .*{message}"):
        crops.cut(path, [person(50, 50, 10)], 256)


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        crops.cut(tmp_path / "b.jpg", [person(5, 5, 1)], 256)
    assert error.value.filename.endswith("b.jpg")


def test_what_is_no_file_is_listed_as_a_damaged_image_is(
    tmp_path, photograph, no_file
):
    """With --allow-missing the others are converted; no pipe is waited for."""
    good = photograph(tmp_path / "a.jpg", 120, 80)
    tasks = {
        "train": [(good, (person(50, 50, 10),)), (no_file, (person(5, 5, 1),))]
    }
    settings = {"skeleton": ARM, "protocol": "pck-bbox"}
    config = crops.Config(source=tmp_path, output=tmp_path / "out", workers=1)
    with pytest.raises(
        ValueError, match="1 people are unusable, first .*bad.jpg"
    ):
        crops.save(config, tasks, **settings)
    config = replace(config, allow_missing=True)
    found = crops.save(config, tasks, **settings)
    assert found["splits"]["train"]["people"] == found["missing"] == 1
    listed = (tmp_path / "out" / "missing.txt").read_text()
    assert (
        listed.startswith("unusable: ") and "bad.jpg cannot be read" in listed
    )


def test_a_bomb_is_not_decoded(tmp_path, photograph):
    path = photograph(tmp_path / "a.jpg", 120, 80)
    jpeg = path.read_bytes()
    at = jpeg.index(b"\xff\xc0") + 5
    path.write_bytes(
        jpeg[:at] + struct.pack(">HH", 30_000, 40_000) + jpeg[at + 4 :]
    )
    with pytest.raises(
        ValueError, match="a.jpg: 40000 x 30000 pixels are more than"
    ):
        crops.cut(path, [person(50, 50, 10)], 256)


@pytest.mark.parametrize(
    "who, message",
    [
        (person(50, 50, 1e5), "someone: scale 500 gives a square more"),
        (person(1e9, 50, 40), "someone: centre .* lies far outside"),
        (person(500, 50, 40), "someone: .*outside the picture of 120 x 80"),
        (person(50, 50, 0), "someone: .*positive scale"),
        (person(50, np.nan, 9, [[1.0, 2.0]]), "someone: centre"),
        (person(50, 50, 9, [[1.0, np.inf]]), "someone: .*NaN or infinite"),
    ],
    ids=["huge", "far", "outside", "no area", "no place", "infinite joint"],
)
def test_a_person_that_does_not_fit_the_picture_is_named(
    tmp_path, photograph, who, message
):
    path = photograph(tmp_path / "a.jpg", 120, 80)
    with pytest.raises(ValueError, match=message):
        crops.cut(path, [who], 256)


def test_a_picture_of_one_pixel_is_a_picture(tmp_path, photograph):
    path = photograph(tmp_path / "a.jpg", 1, 1)
    picture = crops.cut(path, [person(0, 0, 50)], person_pixels=10)
    assert picture.size == (1, 1)
    assert picture.people[0].center == pytest.approx([0, 0])


def test_joints_alone_place_a_person():
    joints = np.array([[10.0, 20.0], [49.0, 99.0], [-300.0, 0.0]])
    found = crops.person_from_joints(joints, np.array([2, 1, 0]), "im1.jpg")
    assert found.box == (10, 20, 40, 80)
    np.testing.assert_allclose(found.center, [29.5, 59.5])
    assert found.scale == pytest.approx(80 * 1.25 / 200)
    with pytest.raises(ValueError, match="im1.jpg: fewer than 2"):
        crops.person_from_joints(joints, np.array([2, 0, 0]), "im1.jpg")
