"""Crops around a joint: where they lie, what their labels say, which errors."""

import cv2
import numpy as np
import pytest

from keras_pose.codecs import Displacements
from keras_pose.data import augment, joint_crops, pipeline, records
from keras_pose.data.augment import Augmentation
from keras_pose.geometry import torso_lengths
from keras_pose.losses import JointRegression
from keras_pose.metrics import PosePCK
from keras_pose.skeletons import LSP, MPII, Skeleton
from keras_pose.training.fit import _around
from keras_pose.training.folder import Run, read_run
from reproductions import deep_pose

SIZE = (64, 96)
RNG = np.random.default_rng(0)
JOINTS = RNG.uniform(30, 90, (4, 14, 2))
PLAIN = Augmentation(rotation=0, zoom=0, flip_chance=0, color=0)
NONE = np.zeros((14, 2, 2))


def draws(mean=(0.0, 0.0), covariance=NONE, **settings):
    means = np.broadcast_to(mean, (14, 2))
    return joint_crops.JointCrops(LSP.diagonals, means, covariance, **settings)


@pytest.fixture
def people(tmp_path, save):
    """Four people; the third has no left shoulder, and all joints are on
    different places."""
    black = np.zeros((120, 120, 3), "uint8")
    encoded = cv2.imencode(".jpg", black)[1].tobytes()
    flags = np.full((4, 14), 2)
    flags[2, LSP.index("left_shoulder")] = 0
    pictures = [
        records.Picture(
            encoded,
            (120, 120),
            (records.Person(j, f, np.array([60.0, 60]), 0.5, 20.0),),
            "photo.jpg",
            np.eye(2, 3),
        )
        for j, f in zip(JOINTS, flags, strict=True)
    ]
    return save(tmp_path, pictures, "train", "lsp")


def first_batch(people, around, epoch=0, augmentation=PLAIN, repeat=30):
    rows = np.repeat(np.arange(4), repeat)
    batches = pipeline.load(
        people, "train", SIZE, len(rows), training=True, seed=3,
        first_epoch=epoch, augmentation=augmentation, people=rows,
        around=around,
    )  # fmt: skip
    return next(iter(batches))[1].numpy()


def test_the_joint_of_a_crop_lies_where_the_error_says(people):
    """delta = (0.1, -0.2) torsos from the joint: it lies -delta / sigma sides
    from the middle; on another joint's row nothing is trained."""
    labels = first_batch(people, draws((0.1, -0.2), sigma=2.0))
    assert labels.shape == (120, 1, 14, 5)
    own = labels[:, 0, :, 4]
    assert (own.sum(axis=1) == 1).all() and (own.sum(axis=0) > 0).all()
    codec = Displacements(LSP, SIZE, 2.0)
    target, known = codec.target(labels, None)
    np.testing.assert_array_equal(known, own)
    noise = 4 * joint_crops.LEAST
    # a side is the height, 64; the width is 96
    expected = np.array([-0.1 / 2 * 64 / 96, 0.2 / 2])
    found = np.asarray(target)[:, 0][own > 0]
    np.testing.assert_allclose(found, [expected] * 120, atol=noise)
    elsewhere = np.asarray(target)[:, 0][own == 0]
    assert not elsewhere.any()
    cost = JointRegression(codec, "l2")(labels, np.zeros((120, 1, 14, 2)))
    assert float(cost) == pytest.approx(np.sum(expected**2), rel=0.1)


def test_errors_are_drawn_from_their_distribution(people):
    covariance = np.array([[0.04, 0.01], [0.01, 0.02]])
    around = draws((0.3, 0.0), np.repeat(covariance[None], 14, 0))
    labels = first_batch(people, around, repeat=500)
    codec = Displacements(LSP, SIZE, 2.0)
    target, known = codec.target(labels, None)
    found = -np.asarray(target)[:, 0][np.asarray(known) > 0] * 2 * (1.5, 1)
    np.testing.assert_allclose(found.mean(axis=0), (0.3, 0), atol=0.02)
    np.testing.assert_allclose(np.cov(found.T), covariance, atol=0.004)


def test_an_epoch_depends_on_its_number_alone(people):
    """So a resumed run sees the same crops, and each epoch others."""
    around = draws((0.1, 0.1), np.repeat(np.eye(2)[None] * 0.01, 14, 0))
    mirrored = Augmentation(rotation=30, zoom=0.2, color=0)
    one, again = (
        first_batch(people, around, 1, mirrored, repeat=2) for _ in range(2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - first_batch(people, around, 2, mirrored, 2)).max() > 1
    both = pipeline.load(
        people, "train", SIZE, 8, training=True, seed=3, around=around,
        people=np.arange(4).repeat(2), augmentation=mirrored,
    )  # fmt: skip
    second = [labels.numpy() for _, labels in both.take(2)][1]
    np.testing.assert_array_equal(one, second)


def test_a_mirrored_crop_is_one_of_the_other_side(people):
    always = Augmentation(rotation=0, zoom=0, flip_chance=1, color=0)
    plain = first_batch(people, draws((0.2, 0.1)), repeat=5)
    mirrored = first_batch(people, draws((0.2, 0.1)), 0, always, repeat=5)
    flip = np.array(LSP.mirror)
    np.testing.assert_array_equal(mirrored[..., 4], plain[:, :, flip, 4])
    own = plain[..., 4] > 0
    x, y = plain[own][:, 0], plain[own][:, 1]
    found = mirrored[mirrored[..., 4] > 0]
    np.testing.assert_allclose(found[:, 0], 95 - x, atol=1e-2)
    np.testing.assert_allclose(found[:, 1], y, atol=1e-2)


def test_a_score_counts_only_the_joint_of_the_crop():
    labels = np.zeros((1, 1, 14, 5), "float32")
    labels[..., 2], labels[..., 3], labels[0, 0, 5, 4] = 2, 20, 1
    codec = Displacements(LSP, SIZE)
    metric = PosePCK(codec, "pckh")
    outputs = np.full((1, 1, 14, 2), 9.0)
    outputs[0, 0, 5] = codec.to_box(np.zeros(2))
    metric.update_state(labels, outputs)
    assert float(metric.result()) == 1
    assert np.asarray(metric.counted).sum() == 1


def test_the_torso_and_what_stands_for_it():
    joints = np.zeros((1, 14, 2))
    joints[0, LSP.index("right_hip")] = 30, 40
    joints[0, LSP.index("right_shoulder")] = 0, 20
    known = np.ones((1, 14), bool)
    box, square = np.array([[0.0, 0, 60, 80]]), np.array([100.0])

    def length(*missing, box=box, square=square):
        seen = known.copy()
        seen[0, [LSP.index(joint) for joint in missing]] = False
        return torso_lengths(joints, LSP.diagonals, square, seen, box)[0]

    assert length() == 50
    assert length("right_hip") == 20
    assert length("right_hip", "left_hip") == pytest.approx(100 / 3)
    nothing = np.full((1, 4), np.nan)
    third = 2**0.5 * 100 / 1.25 / 3
    absent = length("right_hip", "left_hip", box=nothing)
    assert absent == pytest.approx(third)
    assert length("right_hip", square=np.array([300.0])) == 30


def test_shifts_stay_within_their_limit():
    moved = Augmentation(shift=0.1)
    found = augment.draw(moved, 5000, 0, 0)["shift"].numpy()
    assert found.shape == (5000, 2)
    assert 0.099 < np.abs(found).max() <= 0.1
    assert np.abs(found.mean()) < 0.005
    square = (256, 256)
    wider = moved.context(square) - Augmentation().context(square)
    assert wider == pytest.approx(0.2)


def test_errors_are_measured_once_and_kept_with_the_run(tmp_path, people):
    calls = []

    def measure():
        calls.append(0)
        return {"mean": np.zeros((14, 2)).tolist(), "covariance": NONE.tolist()}

    config = deep_pose.Config(preset="laptop").resolved()[0]
    run = Run("title", config, {}, people, "pck", errors=measure)
    description = {"settings": {"epochs": {"value": 1}}}
    for _ in range(2):  # the second is a run that is continued
        around = _around(run, tmp_path, description)
        assert around.crops == config.crops and around.sigma == config.sigma
        assert read_run(tmp_path)["errors"] == description["errors"]
    assert len(calls) == 1


NO_TORSO = Skeleton("hand", ("wrist", "thumb"))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Displacements(NO_TORSO), "hand has no torso: .* lacks left_h"),
        (lambda: Displacements(MPII, SIZE, -1.0), "sigma must be positive"),
        (lambda: draws(crops=0), "crops must be positive, got 0"),
        (lambda: draws(np.nan), "errors must be finite"),
        (lambda: deep_pose.Config(sigma=0.0).resolved(), "sigma must be pos"),
        (
            lambda: deep_pose.Config(weights="imagenet").resolved(),
            "weights imagenet are for --backbone resnet",
        ),
    ],
)
def test_bad_settings_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()


def test_a_skeleton_without_a_torso_is_refused_before_training():
    class Data:
        skeleton = NO_TORSO

    deep_pose.check(deep_pose.Config(stages=1), Data)
    with pytest.raises(ValueError, match="hand has no torso"):
        deep_pose.check(deep_pose.Config(), Data)


def test_shorter_cascades_are_trained_once():
    config = deep_pose.Config(preset="laptop", epochs=30)
    variants = deep_pose.variants(config)
    assert [one["epochs"] for one in variants.values()] == [10, 20, 30]
    first, second, third = deep_pose.stages(config)
    assert first.changes["stages"][0] == 1 and third.changes["stages"][0] == 3
    assert second.changes["shift"][0] == 0
