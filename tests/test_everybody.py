"""A model that finds everybody as a file: from a photograph to its people."""

import json

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_pose import (
    agreement,
    engines,
    estimator,
    everybody,
    export,
    portable,
    predict,
)
from keras_pose.codecs import Fields
from keras_pose.inference import bottom_up, looks
from keras_pose.models.heads import PoseMaps
from keras_pose.models.model import PoseModel
from keras_pose.skeletons import Skeleton
from tests import test_formats

KITE = Skeleton(
    "kite",
    ("top", "left", "right", "tail"),
    (("top", "left"), ("top", "right"), ("top", "tail")),
)
CODEC = Fields(KITE, stride=4, sigma=1.0, people=6)
SIZE = 96, 128
HALF = 0.5**0.5
SIZES = {0: (100, 150), 1: (200, 90), 2: (111, 203), 5: (480, 640)}
"""People in a photograph: its height and width, the network's shape or not."""


@pytest.fixture(scope="module")
def model():
    """Reads the top in red, the left in green, the right in blue, and no tail.
    All limbs go down at 45 degrees, so that their fields are the same
    everywhere."""
    images = keras.Input((*SIZE, 3), dtype="uint8")
    cells = layers.AveragePooling2D(4)(layers.Rescaling(1 / 255)(images))
    read = layers.Conv2D(CODEC.channels, 1)
    model = PoseModel(
        images, PoseMaps(CODEC, name="maps")([read(cells)]), name="kite"
    )
    model.jit_compile = False
    kernel = np.zeros((1, 1, 3, CODEC.channels), "float32")
    kernel[0, 0, :, :3] = np.eye(3)
    bias = np.zeros(CODEC.channels, "float32")
    bias[5:9] = -HALF, HALF, HALF, HALF
    read.set_weights([kernel, bias])
    return model


def draw(people, size, seed=0):
    """A photograph (H, W, 3) of people beside each other, and the first three
    of their joints (N, 3, 2): the left is as far below the top as beside it."""
    height, width = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image, joints = np.zeros((height, width, 3)), np.zeros((people, 3, 2))
    for number in range(people):
        apart = min(width / people, height) / 4
        top = np.array([width * (number + 0.5) / people, 0.4 * height])
        top += rng.uniform(-0.1, 0.1, 2) * apart
        joints[number] = top + apart * np.array([(0, 0), (-1, 1), (1, 1)])
        for part, (u, v) in enumerate(joints[number]):
            away = (x - u) ** 2 + (y - v) ** 2
            blob = np.exp(-away / (2 * (0.15 * apart) ** 2))
            image[..., part] = np.maximum(image[..., part], 255 * blob)
    return image.round().astype("uint8"), joints


PHOTOS = {people: draw(people, size) for people, size in SIZES.items()}


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("kite") / "best.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def folder(saved):
    """The export of the command, beside the model."""
    export.main(export.Config(saved))
    return saved.with_name("saved_model")


@pytest.fixture(scope="module")
def served(folder):
    return tf.saved_model.load(str(folder)).signatures


@pytest.fixture(scope="module")
def finder(model):
    return everybody.Finder(model)


@pytest.fixture(scope="module")
def estimators(saved, folder):
    """Of the .keras file, and of its export."""
    return [estimator.Estimator(path) for path in (saved, folder)]


def values_of(found):
    return {name: np.asarray(value) for name, value in found.items()}


def assert_same(poses, found, atol=0.01):
    """`Poses` and what a file returns for the photograph, in the same order."""
    people = everybody.poses_of(found)
    assert len(poses) == len(people)
    np.testing.assert_allclose(people.joints, poses.joints, atol=atol)
    np.testing.assert_allclose(people.scores, poses.scores, atol=1e-4)
    np.testing.assert_allclose(people.score, poses.score, atol=1e-4)
    rest = {k: v[len(poses) :] for k, v in found.items() if v.ndim}
    assert not any(value.any() for value in rest.values())


@pytest.mark.parametrize("people", SIZES)
def test_everybody_is_found_where_he_is_drawn(estimators, people):
    """The photograph is fitted, whatever its shape: within half a cell."""
    photo, joints = PHOTOS[people]
    cell = 4 * max(photo.shape[0] / SIZE[0], photo.shape[1] / SIZE[1])
    for model in estimators:
        poses = model.predict_photo(photo)
        assert len(poses) == people
        order = np.argsort(poses.joints[:, 0, 0])
        apart = np.abs(poses.joints[order, :3] - joints).max(initial=0)
        assert apart < cell / 2
        assert (poses.missing == [False, False, False, True]).all()
        assert np.isnan(poses.joints[:, 3]).all()


def test_files_bytes_of_any_sizes_share_a_batch(served, estimators, png):
    """The joints of predict, of nobody as of several people."""
    files = [png(photo) for photo, _ in PHOTOS.values()]
    found = values_of(served["encoded"](encoded=tf.constant(files)))
    assert {name: value.shape for name, value in found.items()} == {
        "joints": (4, 6, 4, 2),
        "scores": (4, 6, 4),
        "person_scores": (4, 6),
        "count": (4,),
    }
    np.testing.assert_array_equal(found["count"], list(SIZES))
    tails = found["joints"][:, :, 3], found["scores"][:, :, 3]
    assert not any(tail.any() for tail in tails)  # never found: 0, not NaN
    for number, file in enumerate(files):
        one = {name: value[number] for name, value in found.items()}
        for model in estimators:
            assert_same(model.predict_photo(file), one)


def test_pixels_give_what_files_do(served, png):
    photo, _ = PHOTOS[2]
    one = values_of(served["image"](image=tf.constant(photo)))
    several = served["images"](images=tf.constant(np.stack([photo, photo])))
    files = served["serving_default"](encoded=tf.constant([png(photo)]))
    assert one["count"] == 2
    for name, value in one.items():
        np.testing.assert_array_equal(files[name][0], value)
        for number in (0, 1):
            np.testing.assert_array_equal(several[name][number], value)


def test_a_large_jpeg_gives_what_predict_finds(served, estimators, tmp_path):
    photo, joints = draw(3, (1200, 1610), seed=1)
    path = tmp_path / "photo.jpg"
    path.write_bytes(cv2.imencode(".jpg", photo[..., ::-1])[1].tobytes())
    found = values_of(
        served["encoded"](encoded=tf.io.read_file(f"{path}")[None])
    )
    found = {name: value[0] for name, value in found.items()}
    assert found["count"] == len(joints)
    for model in estimators:
        assert_same(model.predict_photo(path), found)


@pytest.mark.parametrize("what", ["no image", "empty", "cut off", "a GIF"])
def test_bad_bytes_are_refused_and_the_next_are_served(served, png, what):
    good = png(PHOTOS[1][0])
    bad = {
        "no image": b"hello",
        "empty": b"",
        "cut off": good[: len(good) // 2],
        "a GIF": b"GIF89a" + bytes(30),
    }[what]
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["encoded"](encoded=tf.constant([good, bad]))
    assert served["encoded"](encoded=tf.constant([good]))["count"] == [1]


def test_a_picture_without_pixels_is_refused(served):
    nothing = tf.zeros((1, 0, 9, 3), tf.uint8)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="must have pixels"
    ):
        served["images"](images=nothing)
    dark = served["images"](images=tf.zeros((1, 1, 1, 3), tf.uint8))
    assert dark["count"] == [0]


def test_the_folder_says_what_it_needs(folder, png, tmp_path, monkeypatch):
    """The example of serving.json, as it stands."""
    said = json.loads((folder / "serving.json").read_text())
    assert said["finds_everybody"] and said["people"] == 6
    assert said["joints"] == list(KITE.joints)
    assert said["input"] == {"height": 96, "width": 128}
    assert "0, 0 with score 0" in said["not_found"]
    (tmp_path / "photo.jpg").write_bytes(png(PHOTOS[2][0]))
    (tmp_path / "saved_model").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec("\n".join(said["example"]), names)
    assert names["people"] == 2


def test_predict_takes_the_export_as_the_model(saved, folder, tmp_path, png):
    photo = tmp_path / "photo.png"
    photo.write_bytes(png(PHOTOS[5][0]))
    rows = []
    for model in (saved, folder):
        config = predict.Config((photo,), model, json=tmp_path / "out.json")
        predict.main(config)
        rows.append(json.loads(config.json.read_text()))
    assert len(rows[0]) == len(rows[1]) == 5
    for one, other in zip(*rows, strict=True):
        np.testing.assert_allclose(
            one["keypoints"], other["keypoints"], atol=0.01
        )
    with pytest.raises(ValueError, match="exported without --flip"):
        engines.open_model(folder, flip=True)


def test_the_flip_test_is_that_of_evaluation(model):
    fitted, _ = everybody.Finder(model).fit(PHOTOS[2][0])
    mirrored = everybody.Finder(model, flip=True)
    found = mirrored.seen(fitted[None])
    wanted = looks.look(model, fitted[None].numpy(), True, 1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    once = looks.look(model, fitted[None].numpy(), False, 1)
    assert np.abs(wanted - once).max() > 0.1


def test_a_photograph_is_fitted_between_black_borders(finder):
    """60 x 40 is 96 x 64: 32 columns of 128 are left on each side."""
    image = np.full((60, 40, 3), 255, "uint8")
    for plain in (False, True):
        fitted, matrix = finder.fit(image, plain)
        inside = fitted.numpy()[..., 0]
        assert inside[1:-1, 33:95].min() == 255 and inside[:, 32:96].min() > 127
        assert not inside[:, :31].any() and not inside[:, 97:].any()
        # corners of pixels: -0.5 of the photograph is 31.5 of the input
        corners = np.array([[31.5, -0.5], [95.5, 95.5]])
        moved = corners @ matrix[:, :2].numpy().T + matrix[:, 2]
        np.testing.assert_allclose(
            moved, [[-0.5, -0.5], [39.5, 59.5]], atol=1e-4
        )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"decoding": "dark"}, "--decoding is for the person in a box"),
        ({"missing_threshold": 0.3}, "--missing-threshold is for the person"),
        ({"half": True, "format": ("onnx",)}, "--half, --int8 and --web are"),
    ],
)
def test_settings_of_the_person_in_a_box_are_refused(
    saved, tmp_path, settings, named, monkeypatch
):
    monkeypatch.setattr(export.converters, "need", lambda *_: None)
    config = export.Config(saved, output=tmp_path / "out", **settings)
    with pytest.raises(ValueError, match=named):
        export.main(config)
    assert not (tmp_path / "out").exists()


def test_a_locator_needs_a_model_of_the_person_in_a_box(model):
    with pytest.raises(ValueError, match="kite finds everybody: expected"):
        portable.Locator(model)


class Found:
    """Stands in for a finder: a person in each drawn picture."""

    skeleton = KITE

    def image(self, picture):
        joints = np.zeros((6, 4, 2), "float32")
        joints[0] = [(1, 2), (3, 4), picture.shape[:2], (0, 0)]
        scores = np.zeros((6, 4), "float32")
        scores[0, :3] = 0.5
        return {
            "joints": joints,
            "scores": scores,
            "person_scores": scores[:, 0],
            "count": np.int32(1),
        }


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda p: p, None),
        (lambda p: p | {"joints": p["joints"] + 0.02}, "100.0 % of the joints"),
        (
            lambda p: p | {"scores": p["scores"] + 0.002},
            "scores by up to 0.0020",
        ),
        (lambda p: p | {"count": 0}, "of the 16 drawn people .* up to inf"),
        (lambda p: p | {"count": 2}, "differ, by up to inf"),
    ],
    ids=["the same", "joints", "scores", "nobody", "one more"],
)
def test_a_file_must_find_the_models_people(change, named):
    finder = Found()

    def find(image):
        found = change(finder.image(image))
        if found["count"] == 2:
            found["scores"][1] = 0.5
        return everybody.poses_of(found)

    if named is None:
        assert agreement.compare_everybody(find, finder) == (0, 0, 16)
    else:
        with pytest.raises(ValueError, match=named):
            agreement.compare_everybody(find, finder)


@pytest.mark.parametrize("kind", test_formats.FILES)
def test_every_format_finds_everybody(finder, kind, tmp_path):
    test_formats.skip_without(kind)

    def check(path):
        find = engines.open_model(path).find
        for photo, joints in PHOTOS.values():
            wanted = values_of(finder.image(tf.constant(photo)))
            assert wanted["count"] == len(joints)
            assert_same(find(photo), wanted)

    path = export.convert(finder, kind, tmp_path, check)
    photo, joints = PHOTOS[5]
    poses = estimator.Estimator(path).predict_photo(photo)
    assert len(poses) == len(joints)


def test_a_graph_groups_as_single_operations_do():
    """Also a batch that is filled up, of which only the first count."""
    rng = np.random.default_rng(0)
    labels = np.zeros((3, 2, 4, 3), "float32")
    for number in (0, 1):
        joints = draw(2, SIZE, number)[1]
        labels[number, :, :3, :2], labels[number, :, :3, 2] = joints, 2
    blank = np.zeros((3, 1, SIZE[0] // 4, SIZE[1] // 4, CODEC.channels))
    target, _ = CODEC.target(labels, blank.astype("float32"))
    seen = ops.convert_to_numpy(CODEC.seen(target))
    seen = seen + rng.normal(0, 0.02, seen.shape).astype("float32")
    eye = np.repeat(np.eye(2, 3)[None], 2, axis=0)
    joints, scores, score, picture = bottom_up.poses_of(
        CODEC, seen, eye, [7, 9]
    )
    assert picture.tolist() == [7, 7, 9, 9]
    wanted = CODEC.joints(seen)
    for found, values in (
        (joints, wanted.points),
        (scores, wanted.scores),
        (score, wanted.person_scores),
    ):
        values = ops.convert_to_numpy(values)[:2, :2]
        np.testing.assert_array_equal(found, values.reshape(found.shape))
