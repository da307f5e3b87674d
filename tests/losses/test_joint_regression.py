"""Regression of joints: every value by hand, in sides of the crop."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import Coordinates, Expectation, Heatmaps
from keras_pose.losses import HeatmapMSE, JointRegression
from keras_pose.models.heads import PoseMaps
from keras_pose.models.model import PoseModel
from keras_pose.skeletons import Skeleton

DOG = Skeleton("dog", ("nose", "tail", "ear"))
SIZE = (64, 96)
COORDINATES = Coordinates(DOG, SIZE)
OFF = np.array([[[0.25, -0.5], [9.0, 9.0], [2.0, 0.0]]])
"""Errors of the three joints in x and y; the second has no label."""
COSTS = {
    "l1": [0.75, 0, 2],
    "l2": [0.0625 + 0.25, 0, 4],
    "smooth_l1": [(0.0625 + 0.25) / 2, 0, 1.5],  # 2 - 0.5
}


def labels_of(points, flags=(2, 0, 1)):
    """(B, 1, 3, 3)."""
    points = np.asarray(points, "float32")
    flags = np.broadcast_to(np.array(flags)[:, None], (*points.shape[:-1], 1))
    return np.concatenate([points, flags], axis=-1)[:, None].astype("float32")


LABELS = labels_of([[[20.0, 30], [50, 20], [70, 40]]])


@pytest.mark.parametrize("norm", COSTS)
def test_a_joint_costs_the_norm_of_its_error(norm):
    loss = JointRegression(COORDINATES, norm)
    truth = COORDINATES.to_box(LABELS[:, 0, :, :2])
    outputs = ops.stack([truth, truth + OFF], axis=1)  # two stages
    # a mean over 3 joints of 3 times the cost is the sum over joints
    (found,) = ops.convert_to_numpy(loss.call(LABELS, outputs))
    np.testing.assert_allclose(found, 3 * np.array(COSTS[norm]), rtol=1e-5)
    right = ops.stack([truth, truth], axis=1)
    people = ops.concatenate([outputs, right])
    both = loss(np.repeat(LABELS, 2, axis=0), people)
    assert float(both) == pytest.approx(sum(COSTS[norm]) / 2)


def test_a_pixel_is_a_share_of_the_side_that_it_lies_on():
    """4 pixels to the right of 96, 4 pixels down of 64."""
    codec = Expectation(DOG, SIZE)
    loss = JointRegression(codec)
    cells = np.array([[5, 3], [9, 9], [17, 11]])
    maps = np.zeros((1, 1, 16, 24, 3), "float32")
    for joint, (x, y) in enumerate(cells):
        maps[0, 0, y, x, joint] = 60
    labels = labels_of(4 * cells[None] + 1.5)
    assert float(loss(labels, maps)) == pytest.approx(0, abs=1e-6)
    found = loss.terms(labels, np.roll(maps, (1, 1), (2, 3)))["coordinates"]
    each = 3 * (4 / 96 + 4 / 64)
    np.testing.assert_allclose(found, [[each, 0, each]], rtol=1e-4)


def test_maps_of_an_expectation_may_be_gaussians_too():
    """I1: the terms add up; empty maps miss half the square of a Gaussian."""
    gaussians = HeatmapMSE(Heatmaps(DOG, 4, sigma=1.5), unlabelled="ignore")
    loss = JointRegression(Expectation(DOG, SIZE), maps=gaussians)
    middle = labels_of([[[47.5, 31.5]] * 3])  # where an even map points
    maps = np.zeros((1, 1, 16, 24, 3), "float32")
    terms = loss.reduced_terms(middle, maps)
    assert [*terms] == ["coordinates", "maps"]
    assert float(terms["coordinates"]) == pytest.approx(0, abs=1e-5)
    # the squares of a Gaussian sum to pi sigma^2; two of three are labelled
    expected = np.pi * 1.5**2 / 2 * 2 / 3
    assert float(terms["maps"]) == pytest.approx(expected, rel=1e-4)
    total = float(loss(middle, maps))
    assert total == pytest.approx(float(sum(terms.values())))


def test_half_precision_outputs_cost_what_single_ones_do():
    loss = JointRegression(Expectation(DOG, SIZE))
    maps = np.zeros((1, 1, 16, 24, 3), "float32")
    maps[..., 3, 5, :] = 40.0  # exp(40) is beyond float16
    half = ops.cast(maps, "float16")
    assert loss.call(LABELS, half).dtype == loss.call(LABELS, maps).dtype
    np.testing.assert_array_equal(
        loss.call(LABELS, half), loss.call(LABELS, maps)
    )


@pytest.mark.parametrize("maps", [None, HeatmapMSE(Heatmaps(DOG, 4))])
def test_a_saved_loss_is_the_same(maps):
    loss = JointRegression(Expectation(DOG, SIZE), "l2", maps)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    outputs = np.random.default_rng(0).normal(size=(1, 1, 16, 24, 3))
    assert float(again(LABELS, outputs)) == float(loss(LABELS, outputs))


def test_a_model_logs_both_terms_and_learns():
    codec = Expectation(DOG, SIZE)
    images = keras.Input((*SIZE, 3), dtype="uint8")
    pixels = keras.layers.Rescaling(1 / 255)(images)
    maps = keras.layers.Conv2D(3, 4, 4, kernel_initializer="zeros")(pixels)
    model = PoseModel(images, PoseMaps(codec)([maps]))
    loss = JointRegression(codec, maps=HeatmapMSE(Heatmaps(DOG, 4)))
    model.compile(keras.optimizers.SGD(1e-3), loss)
    picture = np.zeros((1, *SIZE, 3), "uint8")
    picture[0, 28:32, 20:24] = picture[0, 40:44, 68:72] = 255
    history = model.fit(picture, LABELS, epochs=3, verbose=0).history
    assert {*history} == {"loss", "coordinates", "maps"}
    assert history["loss"][2] < history["loss"][0]
    total = np.add(history["coordinates"], history["maps"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"norm": "l3"}, "norm must be one of l1, l2, smooth_l1, got 'l3'"),
        ({"codec": Heatmaps(DOG)}, "Expectation or Coordinates, got Heatmaps"),
        ({"maps": "mse"}, "maps must be a HeatmapLoss, got mse"),
    ],
)
def test_what_cannot_be_is_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        JointRegression(**{"codec": COORDINATES} | settings)
