"""Everybody in whole pictures: found, scored, reported, and what is refused."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_pose import estimator, evaluate, metrics, predict, serving
from keras_pose.codecs import Fields, Heatmaps
from keras_pose.data import annotations, pipeline
from keras_pose.data.dataset import open_dataset
from keras_pose.evaluation import crowds as matching
from keras_pose.inference import bottom_up
from keras_pose.models.heads import PoseMaps
from keras_pose.models.model import PoseModel
from keras_pose.people import People, Poses
from keras_pose.report import several
from keras_pose.skeletons import MPII
from reproductions import flow, openpose
from tfrecords import crowds

SIZE = 192, 320
CODEC = Fields(MPII, stride=4, sigma=1.75, width=2.0, people=5)


@keras.saving.register_keras_serializable("keras_pose_tests")
class Rendered(layers.Layer):
    """Gives the same maps for every picture."""

    def build(self, shape):
        shape = SIZE[0] // 4, SIZE[1] // 4, CODEC.channels
        self.maps = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="maps"
        )

    def call(self, images):
        batch = ops.cast(images[:, :1, :1, :1], "float32") * 0
        return batch + self.maps


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A drawn picture of some people, of another shape than the network's."""
    folder = tmp_path_factory.mktemp("crowd")
    crowds.main(
        crowds.Config(
            str(folder), 0, 1, 0, size=(96, 128), people=(3, 3),
            crowd_index=(0.0, 0.1), unlabelled=0.0, workers=1, seed=1,
        )
    )  # fmt: skip
    return open_dataset(folder)


@pytest.fixture(scope="module")
def model(data):
    """Knows the truth of that picture."""
    images = keras.Input((*SIZE, 3), dtype="uint8")
    layer = Rendered()
    model = PoseModel(images, PoseMaps(CODEC, name="maps")([layer(images)]))
    model.jit_compile = False
    ((_, labels),) = pipeline.load(data, "val", SIZE, 1)
    blank = np.zeros((1, 1, *layer.maps.shape), "float32")
    target, _ = CODEC.target(labels.numpy(), blank)
    layer.maps.assign(target[0, 0])
    return model


@pytest.fixture(scope="module")
def poses(data, model):
    return bottom_up.predict(model, data, "val", batch_size=4, scales=1)


@pytest.fixture(scope="module")
def people(data):
    return annotations.read_people(data, "val")


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "best.keras"
    model.save(path)
    return path


def test_everybody_is_found_in_pixels_of_the_photograph(poses, people):
    """Twice the size in the network: within half a pixel, unless joints of two
    people share a cell."""
    found = matching.match(poses, people, MPII)
    assert len(poses) == found.counted.sum() == len(people) > 1
    assert (poses.person == -1).all() and not found.extra.any()
    apart = np.linalg.norm(poses.joints - people.joints[found.person], axis=-1)
    labelled = people.flags[found.person] > 0
    known = labelled & ~poses.missing
    assert known.sum() > 0.9 * labelled.sum()
    assert np.median(apart[known]) < 0.5
    assert np.isnan(poses.joints[poses.missing]).all()


def test_the_command_scores_and_writes(saved, data, tmp_path, people, capsys):
    config = evaluate.Config(
        saved, data.folder, output=tmp_path / "out", batch_size=2
    )
    table = evaluate.main(config)["oks"]
    printed = capsys.readouterr().out
    assert "3 people with labelled joints" in printed
    assert table.loc["AP"].iloc[0] > 90
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(rows) == 3
    assert {row["file_name"] for row in rows} == set(people.pictures)
    assert all(np.isfinite(row["keypoints"]).all() for row in rows)


def test_nobody_found_is_a_precision_of_0(data, people, tmp_path):
    images = keras.Input((*SIZE, 3), dtype="uint8")
    model = PoseModel(
        images, PoseMaps(CODEC, name="maps")([Rendered()(images)])
    )
    model.jit_compile = False
    model.save(tmp_path / "empty.keras")
    config = evaluate.Config(tmp_path / "empty.keras", data.folder)
    table = evaluate.main(config)["oks"]
    assert table.loc["AP"].iloc[0] == 0
    assert json.loads((tmp_path / "predictions.json").read_text()) == []
    nobody = bottom_up.predict(model, data, "val", batch_size=1)
    assert len(nobody) == 0
    found = matching.match(nobody, people, MPII)
    assert not found.found.any() and found.counted.all()


def test_the_report_has_the_precision_and_pictures(data, model, poses):
    sections = several.show(data, "val", model, poses)
    assert "people missed" in sections["Average precision"]
    assert sections["From maps to people"].count("<img") == 1
    assert sections["Pictures"].count("<img") == 4  # worst and typical
    assert "3 people, 0 missed, 0 poses of nobody" in sections["Pictures"]


def test_a_photograph_needs_no_box(saved, data, people, tmp_path, capsys):
    """What the pixels show does not matter to this network."""
    photo = tmp_path / "photo.png"
    image = np.random.default_rng(0).integers(0, 255, (48, 80, 3), "uint8")
    predict.drawing.save(image, photo)
    config = predict.Config(
        (photo,), saved, output=tmp_path / "a.png", json=tmp_path / "a.json"
    )
    poses = predict.main(config)
    printed = capsys.readouterr().out
    assert len(poses) == 3 and "person 3 of 3" in printed
    assert "No box" not in printed
    assert len(json.loads(config.json.read_text())) == 3
    drawn = predict.estimator.read(config.output)
    assert (drawn != image).any()
    with pytest.raises(ValueError, match="leave out --box and --boxes"):
        predict.main(dataclasses.replace(config, box=(0, 0, 9, 9)))
    finder = estimator.Estimator(saved)
    with pytest.raises(ValueError, match="finds everybody and takes no boxes"):
        finder.predict_photo(image, boxes=[(0, 0, 9, 9)])
    (frame,) = finder.predict_frames([image], [None])
    np.testing.assert_array_equal(frame.joints, poses.joints)


def person_at(x, y):
    """Flags and joints of a person of 100 x 100 pixels."""
    places = np.stack(np.meshgrid(range(4), range(4)), -1).reshape(-1, 2)
    return places * 25.0 + (x, y)


@pytest.fixture
def three():
    """People in two pictures; the third is alone."""
    return People(
        joints=np.stack([person_at(200 * i, 0) for i in range(3)]),
        flags=np.full((3, 16), 2),
        picture=np.array([0, 0, 1]),
        pictures=["a.jpg", "b.jpg"],
        names=["1", "2", "3"],
        box=np.array([[0, 0, 75, 75.0]] * 3),
        area=np.full(3, 1e4),
        crowd=np.zeros(3, bool),
    )


def test_a_person_is_found_once(three):
    twice = np.repeat(three.joints[:1], 2, axis=0)
    poses = Poses(
        twice,
        np.array([[0.5] * 16, [0.9] * 16]),
        picture=np.array([0, 0]),
        person=np.full(2, -1),
    )
    found = matching.match(poses, three, MPII)
    assert found.person.tolist() == [-1, 0]  # the best pose first
    assert found.extra.tolist() == [True, False]


def test_missed_extra_and_confused_people_are_counted(three):
    people, truth = three, three.joints
    swapped = truth[0].copy()
    swapped[:3] = truth[1, :3]  # three joints of the second person
    stranger = person_at(0, 300)
    poses = Poses(
        np.stack([swapped, stranger, truth[0]]),
        np.ones((3, 16)),
        picture=np.array([0, 0, 1]),
        person=np.full(3, -1),
    )
    found = matching.match(poses, people, MPII)
    assert found.person.tolist() == [0, -1, -1]
    assert found.found.tolist() == [True, False, False]
    assert found.extra.tolist() == [False, True, True]
    assert found.confused.tolist() == [3, 0, 0]
    assert found.merged.tolist() == [True, False, False]
    people = dataclasses.replace(people, crowd=np.array([False, False, True]))
    people.box[2] = 0, 0, 75, 75
    found = matching.match(poses, people, MPII)
    assert found.counted.tolist() == [True, True, False]
    assert found.extra.tolist() == [False, True, False]  # in the crowd
    assert found.entered.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("joints", "merged"), [(2, False), (3, True), (8, True), (14, False)]
)
def test_a_pose_with_three_joints_of_each_of_two_people_merges_them(
    three, joints, merged
):
    pose = three.joints[0].copy()
    pose[:joints] = three.joints[1, :joints]
    poses = Poses(
        pose[None], np.ones((1, 16)), np.array([-1]), picture=np.array([0])
    )
    found = matching.match(poses, three, MPII)
    assert found.merged.tolist() == [merged]


def test_the_fit_of_fields_is_the_share_of_their_squares():
    labels = np.zeros((1, 2, 16, 4), "float32")
    labels[0, 1, :, :2], labels[0, 1, :, 2] = person_at(40, 60), 2
    blank = np.zeros((1, 2, 48, 64, CODEC.channels), "float32")
    target = ops.convert_to_numpy(CODEC.target(labels, blank)[0])
    metric = metrics.FieldsFit(CODEC)
    assert float(metric.result()) == 0
    for factor, expected in ((1.0, 1.0), (0.0, 0.0), (0.5, 0.75), (3.0, -3.0)):
        metric.reset_state()
        metric.update_state(labels, np.repeat(factor * target, 2, axis=1))
        assert float(metric.result()) == pytest.approx(expected, abs=1e-5)
    half = metrics.FieldsFit(dataclasses.replace(CODEC, logits=True))
    joints = len(CODEC.parts.joints)
    logits = np.arctanh(0.5 * target)  # tanh is 0.5 of each field
    logits[..., : joints + 1] = 0  # and each map is 0.5
    half.update_state(labels, logits)
    maps, fields = target[..., :joints], target[..., joints + 1 :]
    error = np.square(0.5 - maps).sum() + 0.25 * np.square(fields).sum()
    squares = np.square(maps).sum() + np.square(fields).sum()
    assert float(half.result()) == pytest.approx(1 - error / squares, rel=1e-5)
    metric.reset_state()
    use = np.zeros((1, 48, 64), "uint8")
    metric.update_state(labels, 9 * target, use)  # nothing counts
    assert float(metric.result()) == 0


def test_records_and_protocols_of_the_other_kind_are_refused(saved, data):
    config = evaluate.Config(saved, data.folder, protocol="pckh")
    with pytest.raises(ValueError, match="by --protocol oks, got pckh"):
        evaluate.main(config)
    for settings in ({"scales": 6}, {"decoding": "dark"}):
        with pytest.raises(ValueError, match="is for the person in a box"):
            evaluate.main(evaluate.Config(saved, data.folder, **settings))
    with pytest.raises(ValueError, match="but a model of single people needs"):
        data.check_pictures(whole=False)
    people = dataclasses.replace(
        data, description=data.description | {"whole_pictures": False}
    )
    with pytest.raises(ValueError, match="has a record for each person"):
        people.check_pictures(whole=True)
    images = keras.Input((64, 96, 3), dtype="uint8")
    maps = layers.Conv2D(16, 4, 4)(layers.Rescaling(1.0)(images))
    single = PoseModel(images, PoseMaps(Heatmaps(MPII))([maps]))
    with pytest.raises(ValueError, match="but a model of single people needs"):
        bottom_up.predict(single, data, "val", batch_size=1)


def test_more_people_than_there_is_room_for_are_refused(data):
    few = dataclasses.replace(CODEC, people=2)
    with pytest.raises(
        ValueError, match="pictures with 3 people: people must be at least 3"
    ):
        flow.check_room(data, few)
    flow.check_room(data, CODEC)


def test_an_export_finds_the_crowd_as_the_evaluation_does(
    model, saved, poses, png
):
    """The oracle gives the crowd's maps for every picture of its size."""
    photo = np.random.default_rng(0).integers(0, 255, (96, 128, 3), "uint8")
    found = serving.FinderServer(model).encoded(tf.constant([png(photo)] * 2))
    assert found["count"].numpy().tolist() == [3, 3]
    joints = found["joints"][1, :3].numpy()
    joints = np.where(found["scores"][1, :3, :, None] > 0, joints, np.nan)
    np.testing.assert_allclose(joints, poses.joints, atol=0.01)
    np.testing.assert_allclose(
        found["person_scores"][1, :3], poses.score, atol=1e-4
    )
    predicted = estimator.Estimator(saved).predict_photo(png(photo))
    np.testing.assert_allclose(predicted.joints, joints, atol=0.01)


def test_the_codes_optimizer_has_four_times_the_rate_in_later_stages():
    config, _ = openpose.Config(preset="paper", weights="none").resolved()
    optimizer = openpose.build_optimizer(config)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 5e-4)
    small = dataclasses.replace(config, image_size=(64, 96), filters=4)
    model = openpose.build_model(small, MPII)
    names = {layer.name for layer in model.layers if layer.weights}
    later = {n for n in names if n.startswith("stage") and n[5] != "1"}
    assert optimizer.factors == dict.fromkeys(later, 4.0)
    optimizer.build(model.trainable_variables)
    decayed = [
        v.path for v in model.trainable_variables
        if optimizer._use_weight_decay(v)
    ]  # fmt: skip
    assert decayed and all(path.endswith("kernel") for path in decayed)


def test_weights_of_vgg_need_a_vgg():
    config = openpose.Config(preset="laptop", weights="imagenet")
    with pytest.raises(ValueError, match="--trunk hourglass needs --weights"):
        config.resolved()
