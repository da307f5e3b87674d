"""The HSM loss: values by hand, slopes that stay finite, honest refusals."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import Expectation, Heatmaps, gaussians
from keras_pose.losses import HSM, HeatmapMSE
from keras_pose.skeletons import Skeleton


def dots(joints, **settings):
    """What maps of so many joints mean; logits unless told otherwise."""
    names = tuple(f"joint{k}" for k in range(joints))
    return Heatmaps(Skeleton("dots", names), **{"logits": True} | settings)


ONE, TWO = dots(1), dots(2)
LINEAR = dots(2, logits=False)
LOSSES = [
    HSM(TWO, 1, 2),
    HSM(TWO, 0.5, 1.5, "saturating"),
    HeatmapMSE(LINEAR),
    HeatmapMSE(TWO, name="mse_sigmoid"),
]
EMPTY = np.array([[[[0.0, 0.0, 0]]]], "float32")


def logit(probability):
    return math.log(probability / (1 - probability))


def one_pixel(loss, probability):
    """Loss of one map of one pixel whose target is 0."""
    maps = np.full((1, 1, 1, 1, 1), logit(probability), "float32")
    return float(ops.convert_to_numpy(loss.call(EMPTY, maps))[0, 0])


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 1.5, 2, 2.5, 3, 1.7])
@pytest.mark.parametrize("beta", [0.5, 1, 3])
def test_a_pixel_costs_what_equation_1_says(beta, gamma):
    expected = (math.exp(beta * 0.3) - 1) * 0.3**gamma
    loss = HSM(ONE, beta, gamma, pixels="mean")
    assert one_pixel(loss, 0.3) == pytest.approx(expected, rel=1e-5)


def test_the_saturating_form_costs_less_than_the_power():
    expected = (1 - math.exp(-2 * 0.3)) * 0.3**2
    loss = HSM(ONE, 2, 2, "saturating", pixels="mean")
    assert one_pixel(loss, 0.3) == pytest.approx(expected, rel=1e-5)


def test_a_small_beta_is_beta_times_the_next_power():
    loss = HSM(ONE, 1e-6, 2, pixels="mean")
    assert one_pixel(loss, 0.3) == pytest.approx(1e-6 * 0.3**3, rel=1e-4)


def test_hard_pixels_weigh_more_than_under_mse():
    hsm, mse = HSM(ONE, 1, 2, pixels="mean"), HeatmapMSE(ONE, pixels="mean")
    hard = one_pixel(hsm, 0.9) / one_pixel(mse, 0.9)
    easy = one_pixel(hsm, 0.1) / one_pixel(mse, 0.1)
    assert hard / easy == pytest.approx(math.expm1(0.9) / math.expm1(0.1), 1e-4)


@pytest.fixture
def by_map(gradient):
    """(loss, maps (N,) of one pixel each) -> slopes (N,) of an empty target."""

    def slopes(loss, maps):
        empty = np.zeros((1, 1, len(maps), 3), "float32")

        def cost(x):
            return loss.call(empty, ops.reshape(x, (1, 1, 1, 1, -1)))

        return gradient(cost, maps)

    return slopes


@pytest.mark.parametrize("form", ["expm1", "saturating"])
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 1.5, 2, 2.5, 1.7])
@pytest.mark.parametrize("beta", [0.5, 2, 3, 60])
def test_the_slope_is_that_of_equation_1(beta, gamma, form, by_map):
    loss = HSM(dots(4), beta, gamma, form, pixels="mean")
    maps = np.array([-7, -2, 0.5, 3], "float32")
    s = 1 / (1 + np.exp(-maps.astype("float64")))  # also the error
    sign = 1 if form == "expm1" else -1
    weight = sign * np.expm1(sign * beta * s)
    by_error = beta * np.exp(sign * beta * s) * s**gamma
    by_error += weight * gamma * s ** (gamma - 1)
    np.testing.assert_allclose(
        by_map(loss, maps), by_error * s * (1 - s), rtol=2e-5, atol=1e-12
    )


@pytest.mark.parametrize("form", ["expm1", "saturating"])
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 1.5, 2, 2.5, 1.7])
def test_the_slope_at_a_perfect_pixel_is_finite(gamma, form, by_map):
    maps = np.array([-200, -88, -50], "float32")  # sigmoid: 0 and almost 0
    slope = by_map(HSM(dots(3), 1, gamma, form), maps)
    np.testing.assert_allclose(slope, 0, atol=1e-20)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_the_truth_costs_nothing(loss):
    labels = np.array([[[[13.0, 21.0, 2], [5.0, 6.0, 1]]]], "float32")
    cells = gaussians.to_cells(labels[:, 0, :, :2], 4)
    target = ops.convert_to_numpy(gaussians.encode(cells, (8, 12)))
    if loss.codec.logits:
        target = np.clip(target.astype("float64"), 1e-9, 1 - 1e-7)
        target = np.log(target / (1 - target)).astype("float32")
    maps = np.stack([target, target], axis=1)
    cost = ops.convert_to_numpy(loss.call(labels, maps))
    np.testing.assert_allclose(cost, 0, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_joints_without_a_label_can_be_left_out(loss):
    labels = np.array([[[[13.0, 21.0, 0], [500.0, 6.0, 2]]]], "float32")
    maps = np.full((1, 2, 8, 12, 2), 1.5, "float32")
    ignoring = type(loss)(loss.codec, unlabelled="ignore")
    counting = ops.convert_to_numpy(loss.call(labels, maps))
    ignored = ops.convert_to_numpy(ignoring.call(labels, maps))
    # the first has no label, the Gaussian of the second is off the map
    np.testing.assert_array_equal(ignored, 0)
    assert (counting > 0).all()


@pytest.mark.parametrize("flag", [1, 2])
def test_an_occluded_joint_counts_like_a_visible_one(flag):
    labels = np.array([[[[13.0, 21.0, flag]]]], "float32")
    maps = np.zeros((1, 1, 8, 12, 1), "float32")
    codec = dots(1, logits=False)
    cost = HeatmapMSE(codec, pixels="half_sum").call(labels, maps)
    # squares of a Gaussian of sigma 1 sum to pi over the plane
    assert float(ops.convert_to_numpy(cost)[0, 0]) == pytest.approx(
        math.pi / 2, rel=1e-3
    )


def test_half_sum_and_reduction_sum_are_equation_4():
    labels = np.zeros((3, 1, 2, 3), "float32")
    maps = np.full((3, 2, 8, 12, 2), 0.5, "float32")
    loss = HeatmapMSE(LINEAR, pixels="half_sum", reduction="sum")
    # stages 2, batch 3, joints 2, pixels 96, each 0.25, halved
    expected = 0.5 * 2 * 3 * 2 * 96 * 0.25
    assert float(loss(labels, maps)) == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_the_settings_survive_a_round_trip(loss):
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is type(loss)
    assert copy.get_config() == loss.get_config()


def test_the_literal_form_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="maximise the error"):
        HSM(ONE, form="literal")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"beta": 0}, "beta"),
        ({"beta": -1}, "beta"),
        ({"beta": 100}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"gamma": -0.5}, "gamma"),
        ({"gamma": float("inf")}, "gamma"),
        ({"form": "log"}, "expm1, saturating"),
        ({"unlabelled": "skip"}, "zero, ignore"),
        ({"pixels": "max"}, "half_sum, mean"),
        ({"reduction": "none"}, "sum_over_batch_size, sum, got 'none'"),
        (
            {"codec": LINEAR},
            "hsm applies a sigmoid: its codec needs logits, got Heat",
        ),
        ({"codec": Expectation()}, "codec must be Heatmaps, got Expectation"),
    ],
)
def test_values_out_of_range_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        HSM(**{"codec": ONE} | settings)


def test_each_stage_is_a_term_and_people_can_weigh_differently():
    rng = np.random.default_rng(0)
    labels = rng.uniform(4, 28, (3, 1, 2, 3)).astype("float32")
    labels[..., 2] = 2
    maps = rng.normal(0, 1, (3, 2, 8, 12, 2)).astype("float32")
    weights = np.array([1.0, 0.0, 2.0], "float32")
    for pixels in ("half_sum", "mean"):
        loss = HSM(TWO, 1, 2, pixels=pixels)
        terms = loss.reduced_terms(labels, maps, weights)
        assert list(terms) == ["stack1", "stack2"]
        each = np.array(loss.call(labels, maps)).mean(axis=1)
        # Keras' mean is over the people, whatever they weigh
        expected = (each * weights).sum() / 3
        np.testing.assert_allclose(sum(terms.values()), expected, rtol=1e-5)
        found = loss(labels, maps, weights)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        first = HSM(TWO, 1, 2, pixels=pixels)(labels, maps[:, :1], weights)
        share = 2 if pixels == "mean" else 1  # of two stages
        np.testing.assert_allclose(terms["stack1"], first / share, rtol=1e-5)
