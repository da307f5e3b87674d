"""Cascades: an oracle's second look is exact, in crops of the photograph."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_pose import export, geometry
from keras_pose.codecs import Coordinates, Displacements
from keras_pose.data import records
from keras_pose.inference import errors, top_down
from keras_pose.models import cascade, heads
from keras_pose.models import model as models
from keras_pose.skeletons import Skeleton

SIDES = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
FIVE = Skeleton("five", (*SIDES, "head"))
SIZE = (64, 96)
ERROR = (0.06, -0.04)
"""What stage 1 adds to the truth, in sides of its crop."""
PHOTO = np.array([[2.0, 0, 10], [0, 2, 20]])
"""From pixels of the record to those of the photograph."""
JOINTS = np.array([(70.3, 40.6)] * 2 + [(60.2, 70.1)] * 2 + [(75.4, 15.2)])
"""Pixels of the record, 120 high and 110 wide; both shoulders are one red blob,
so that mirrored they are the same, both hips a green one, the head is blue."""


@keras.saving.register_keras_serializable("keras_pose_tests")
class Centroids(keras.layers.Layer):
    """Knows where the red, green and blue blobs are: images (B, H, W, 3) ->
    (B, 5, 2) in sides of the crop, with an error; the middle where none is."""

    def __init__(self, error=(0.0, 0.0), **kwargs):
        super().__init__(**kwargs)
        self.error = error

    def call(self, images):
        # without what a JPEG adds to black
        x = ops.relu(ops.cast(images, "float32") - 20)
        height, width = x.shape[1:3]
        across = (ops.arange(width, dtype="float32") + 0.5) / width - 0.5
        along = (ops.arange(height, dtype="float32") + 0.5) / height - 0.5
        mass = ops.maximum(ops.sum(x, axis=(1, 2)), 1e-3)
        means = [
            ops.einsum("bhwc,w->bc", x, across) / mass,
            ops.einsum("bhwc,h->bc", x, along) / mass,
        ]
        found = ops.stack(means, axis=-1)  # of the three colours
        found = ops.take(found, np.array([0, 0, 1, 1, 2]), axis=1)
        return found + ops.convert_to_tensor(self.error, "float32")

    def get_config(self):
        return super().get_config() | {"error": self.error}


@keras.saving.register_keras_serializable("keras_pose_tests")
class Contrast(keras.layers.Layer):
    """Says 0.5 where the middle is black and white, 0 where it is grey."""

    def call(self, images):
        x = ops.cast(images[:, 28:36, 44:52], "float32") / 255
        seen = ops.max(x, axis=(1, 2, 3)) - ops.min(x, axis=(1, 2, 3))
        return ops.tile(seen[:, None, None] / 2, (1, 5, 2))

    def compute_output_shape(self, shape):
        return (shape[0], 5, 2)


def build(*networks, sigma=1.5):
    """A cascade of a layer for each stage."""
    images = keras.Input((*SIZE, 3), dtype="uint8")
    outputs = []
    for number, network in enumerate(networks):
        codec = Coordinates(FIVE, SIZE)
        if number:
            codec = Displacements(FIVE, SIZE, sigma)
        head = heads.PoseMaps(codec, name=f"stage{number + 1}")
        outputs.append(head([network(images)]))
    outputs = outputs if len(outputs) > 1 else outputs[0]
    model = models.PoseModel(images, outputs, name="cascade")
    model.jit_compile = False
    return model


def blobs(shape=(120, 110), deviation=3.0):
    """The picture of a record."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = np.zeros((*shape, 3))
    for channel, (u, v) in enumerate(JOINTS[[0, 2, 4]]):
        apart = (x - u) ** 2 + (y - v) ** 2
        picture[..., channel] = 255 * np.exp(-apart / (2 * deviation**2))
    return picture.round().astype("uint8")


def encode(picture, kind=".jpg"):
    settings = [
        *(cv2.IMWRITE_JPEG_QUALITY, 100),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    settings = settings if kind == ".jpg" else []
    return cv2.imencode(kind, picture[..., ::-1], settings)[1].tobytes()


@pytest.fixture
def people(tmp_path, save):
    """A data set of the picture; its people's squares are around `center`."""

    def write(picture, center, side=90.0, flags=(2, 1, 2, 2, 2), joints=JOINTS):
        person = records.Person(
            joints, np.array(flags), np.array(center), side / 200
        )
        shape = picture.shape[:2]
        record = records.Picture(
            encode(picture), shape, (person,), "photo.jpg", PHOTO
        )
        return save(tmp_path, [record], "val", FIVE.described())

    return write


TRUTH = geometry.move(JOINTS, PHOTO)


@pytest.mark.parametrize(
    ("center", "flip"), [((60.0, 45.0), True), ((88.0, 40.0), False)]
)
def test_the_second_look_of_an_oracle_is_exact(people, center, flip):
    """The second square leaves the picture on the right."""
    model = build(Centroids(ERROR), Centroids())
    data = people(blobs(), center)
    settings = {"batch_size": 4, "flip": flip}
    (first,) = top_down.predict_people(
        models.last_output(model, "stage1"), data, "val", **settings
    ).joints
    off = np.array(ERROR) * (180 * 96 / 64, 180)  # of the crop, 64 x 96
    if flip:
        off[0] = 0  # that of the mirrored crop is the opposite
    np.testing.assert_allclose(first - TRUTH, [off] * 5, atol=0.3)
    poses = top_down.predict_people(model, data, "val", **settings)
    np.testing.assert_allclose(poses.joints[0], TRUTH, atol=0.06)
    # the step is the error: 0.1 of the torso costs a factor e
    torso = np.linalg.norm(first[0] - first[3])
    steps = np.linalg.norm(poses.joints[0] - first, axis=-1)
    np.testing.assert_allclose(
        poses.scores[0], np.exp(-steps / (0.1 * torso)), rtol=1e-3
    )


def test_boxes_of_a_caller_do_not_move_what_is_found(people):
    model = build(Centroids(ERROR), Centroids(ERROR), Centroids())
    data = people(blobs(), (60.0, 45.0))
    boxes = [(1.0, 0.0, 0.0), (1.2, 0.05, -0.1)]
    joints, _ = top_down.predict_boxes(model, data, "val", boxes, batch_size=3)
    np.testing.assert_allclose(joints[:, 0], [TRUTH] * 2, atol=0.06)


def test_later_crops_show_what_stage_1_cannot_see(people):
    """Black and white squares of 2 x 2 pixels are grey at stage 1: a pixel of
    its crop is 8 x 8 of them."""
    squares = np.indices((512, 512)) // 2
    fine = 255 * (squares.sum(axis=0) % 2).astype("uint8")
    fine = np.repeat(fine[..., None], 3, axis=2)
    joints = np.array([(256.0, 236)] * 2 + [(256, 266)] * 2 + [(256, 256)])
    data = people(fine, (255.5, 255.5), side=512.0, joints=joints)
    model = build(Contrast(), Contrast())
    both = [
        top_down.predict_people(one, data, "val", batch_size=5).joints[0]
        for one in (models.last_output(model, "stage1"), model)
    ]
    middle = geometry.move(np.array([[255.5, 255.5]]), PHOTO)
    np.testing.assert_allclose(both[0], np.repeat(middle, 5, axis=0), atol=9)
    # all points are one: the torso is taken for a tenth of the square
    side = 1.5 * 0.1 * 1024
    step = (both[1] - both[0]) / (side * 96 / 64, side)
    np.testing.assert_allclose(step, 0.5, atol=0.05)


def test_a_saved_cascade_serves_what_evaluation_finds(people, tmp_path):
    model = build(Centroids(ERROR), Centroids((0.02, 0.01)))
    model.save(tmp_path / "cascade.keras")
    loaded = models.load_model(tmp_path / "cascade.keras")
    picture, center, side = blobs(), (88.0, 40.0), 90.0
    data = people(picture, center, side)
    (expected,) = geometry.move(
        top_down.predict_people(loaded, data, "val", batch_size=8).joints,
        geometry.invert(PHOTO),
    )
    folder = export.export(loaded, tmp_path / "saved_model")
    served = tf.saved_model.load(str(folder)).signatures
    long = side / geometry.PADDING
    box = [*(np.array(center) - (long - 1) / 2), long, long]
    boxes = tf.constant([box] * 2, tf.float32)
    files = tf.constant([encode(picture), encode(picture, ".png")])
    found = served["encoded"](encoded=files, boxes=boxes)
    images = tf.constant(np.stack([picture] * 2))
    again = served["images"](images=images, boxes=boxes)
    for each in (*found["joints"], *again["joints"]):
        np.testing.assert_allclose(each, expected, atol=0.05)
    assert found["scores"].shape == (2, 5)


def test_the_errors_of_a_stage_are_in_lengths_of_the_torso(people):
    data = people(blobs(), (60.0, 45.0), flags=(2, 2, 2, 2, 0))
    model = build(Centroids(ERROR))
    found = errors.measure_errors(model, data, "val", 4)
    torso = np.linalg.norm(TRUTH[0] - TRUTH[3])
    off = np.array(ERROR) * (270, 180) / torso
    # a joint of one label has the errors of all
    np.testing.assert_allclose(found["mean"], [off] * 5, atol=0.3 / torso)
    assert np.max(np.abs(found["covariance"])) < (0.3 / torso) ** 2


def test_stages_that_make_no_cascade_are_refused(tmp_path):
    images = keras.Input((*SIZE, 3), dtype="uint8")
    head = heads.PoseMaps(Displacements(FIVE, SIZE))
    alone = models.PoseModel(images, head([Centroids()(images)]))
    with pytest.raises(ValueError, match="is no cascade: expected a first"):
        cascade.stages_of(alone)
    alone.save(tmp_path / "alone.keras")
    with pytest.raises(ValueError, match="alone.keras cannot be used: .* no c"):
        models.load_model(tmp_path / "alone.keras")
