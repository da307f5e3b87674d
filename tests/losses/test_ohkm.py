"""Losses of CPN: the hardest joints, occluded joints, named terms."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import Heatmaps
from keras_pose.losses import HSM, OHKM, HeatmapMSE, PerOutput, StructureAware
from keras_pose.skeletons import Skeleton

FIVE = Skeleton("five", ("a", "b", "c", "d", "e"))
CODEC = Heatmaps(FIVE, stride=4, sigma=1.0)
CELLS = 3 * 4
"""Of the maps; no joint is on them, so that all targets are empty."""


def far(flags):
    """Labels (B, 1, 5, 4) of these flags: no Gaussian reaches a cell's value.

    A joint 2.9 cells left of the map is known, yet its target is small: the
    maps below are large enough to neglect it.
    """
    flags = np.asarray(flags, "float32")
    labels = np.full((*flags.shape, 4), 9.0, "float32")
    labels[..., :2] = 1.5 - 4 * 2.9, 5.5
    labels[..., 2] = flags
    return labels[:, None]


def constant(*values):
    """Maps (B, 1, 3, 4, 5) of one value per joint."""
    values = np.asarray(values, "float32")
    return np.tile(values[:, None, None, None], (1, 1, 3, 4, 1))


def mse(**settings):
    return HeatmapMSE(CODEC, **{"unlabelled": "ignore"} | settings)


def costs(loss, labels, maps):
    return ops.convert_to_numpy(loss.call(labels, maps))


def test_the_hardest_joints_by_hand():
    """Errors 10, 20 ... squared: the largest two of five, divided by two."""
    labels = far([[2, 2, 1, 2, 2], [2, 2, 2, 2, 2]])
    maps = constant([10, 40, 30, 20, 0], [-70, 10, 20, 10, 50])
    loss = OHKM(mse(pixels="mean"), top=2)
    wanted = np.array([[0, 1600, 900, 0, 0], [4900, 0, 0, 0, 2500]]) * 5 / 2
    np.testing.assert_allclose(costs(loss, labels, maps), wanted, rtol=1e-3)
    mean = ((1600 + 900) / 2 + (4900 + 2500) / 2) / 2
    assert float(loss(labels, maps)) == pytest.approx(mean, rel=1e-3)


def test_joints_without_a_label_have_no_loss_and_the_divisor_stays():
    labels = far([[0, 2, 0, 0, 1]])
    maps = constant([90, 10, 90, 90, 20])
    loss = OHKM(mse(pixels="mean"), top=3)
    wanted = (100 + 400) / 3
    assert float(loss(labels, maps)) == pytest.approx(wanted, rel=1e-3)


def test_with_all_joints_it_is_the_inner_loss():
    labels = far([[2, 2, 0, 1, 2]])
    maps = constant([10, 40, 30, 20, 5])
    inner = mse()
    found = costs(OHKM(inner, top=5), labels, maps)
    np.testing.assert_allclose(found, costs(inner, labels, maps), rtol=1e-6)


def test_equal_losses_are_as_many_as_wanted():
    loss = OHKM(mse(pixels="mean"), top=2)
    found = costs(loss, far([[2] * 5]), constant([7] * 5))
    assert (found > 0).sum() == 2


def test_every_stage_has_its_own_hardest_joints():
    maps = np.concatenate(
        [constant([9, 1, 1, 1, 1]), constant([1, 1, 1, 1, 8])]
    )
    maps = maps.transpose(1, 0, 2, 3, 4)  # one person, two stages
    terms = OHKM(mse(), top=1).terms(far([[2] * 5]), maps)
    assert list(terms) == ["stack1", "stack2"]
    chosen = [int(np.argmax(cost)) for cost in terms.values()]
    assert chosen == [0, 4]


def test_the_gradient_is_that_of_the_hardest_joints_k_over_top_times(gradient):
    """A gradient is 2 / (K n) times the error, of squared norm 4 L / (K^2 n):
    without OHKM the share of joints in it is that in the losses L."""
    labels = far([[2, 2, 1, 2, 2]])
    errors = np.array([10.0, 40, 30, 20, 1])
    maps = constant(errors)
    inner = mse(pixels="mean")

    def norms(loss):
        """Squared, of the gradient by the map of each joint."""
        slopes = gradient(lambda x: loss(labels, x), maps)
        return np.sum(np.square(slopes), axis=(0, 1, 2, 3))

    every = norms(inner)
    np.testing.assert_allclose(every, 4 * errors**2 / (25 * CELLS), rtol=1e-2)
    hardest = [1, 2]
    share = every[hardest].sum() / every.sum()
    assert share == pytest.approx((1600 + 900) / 3001, rel=1e-3)
    mined = norms(OHKM(inner, top=2))
    wanted = np.zeros(5)
    wanted[hardest] = (5 / 2) ** 2 * every[hardest]
    np.testing.assert_allclose(mined, wanted, rtol=1e-5)


def test_an_occluded_joint_may_have_an_empty_target():
    """Its Gaussian in the middle of a cell: the peak 1, and the sum by hand."""
    labels = np.zeros((1, 1, 5, 4), "float32")
    labels[..., :2] = 1.5 + 4 * 2, 1.5 + 4  # cell 2 of row 1
    labels[0, 0, :, 2] = 2, 1, 0, 1, 2
    empty = np.zeros((1, 1, 3, 4, 5), "float32")
    y, x = np.mgrid[:3, :4]
    energy = np.exp(-((x - 2) ** 2) - (y - 1) ** 2).sum()
    for occluded, wanted in (
        ("visible", [1, 1, 0, 1, 1]),
        ("empty", [1, 0, 0, 0, 1]),
    ):
        found = costs(mse(occluded=occluded), labels, empty)
        np.testing.assert_allclose(found[0], energy / 2 * np.array(wanted))
    # An empty map counts: a network that finds the joint has an error.
    found = costs(mse(occluded="empty", pixels="mean"), labels, empty + 3)
    np.testing.assert_allclose(found[0, [1, 3]], 9, rtol=1e-6)
    assert found[0, 2] == 0  # no label


def test_the_background_of_an_empty_target_is_full():
    codec = Heatmaps(FIVE, stride=4, background=True)
    labels = np.zeros((1, 1, 5, 4), "float32")
    labels[..., :3] = 9.5, 5.5, 1
    loss = HeatmapMSE(codec, occluded="empty", pixels="mean")
    maps = np.zeros((1, 1, 3, 4, 6), "float32")
    maps[..., 5] = 1
    np.testing.assert_array_equal(costs(loss, labels, maps), 0)


def test_the_structure_term_has_the_same_targets():
    body = Skeleton("arm", ("left_a", "left_b"), (("left_a", "left_b"),))
    labels = np.zeros((1, 1, 2, 4), "float32")
    labels[..., :3] = 9.5, 5.5, 1
    loss = StructureAware(Heatmaps(body, stride=4), occluded="empty")
    maps = np.zeros((1, 1, 3, 4, 2), "float32")
    np.testing.assert_array_equal(costs(loss, labels, maps), 0)
    assert float(StructureAware(Heatmaps(body, stride=4))(labels, maps)) > 0


def test_losses_of_outputs_have_names_and_factors():
    labels = far([[2] * 5])
    maps = [constant([v] * 5) for v in (10, 20, 30)]
    inner = mse(pixels="mean")
    loss = PerOutput([inner] * 3, ["global", "global", "refine"], [0.5, 0.5, 1])
    terms = {k: float(v) for k, v in loss.reduced_terms(labels, maps).items()}
    assert terms == pytest.approx({"global": 250, "refine": 900}, rel=1e-3)
    plain = PerOutput([inner] * 3).reduced_terms(labels, maps)
    assert float(plain["stack1"]) == pytest.approx(1400, rel=1e-3)


def test_a_saved_loss_is_the_same_loss():
    inner = mse(pixels="mean", occluded="empty")
    loss = PerOutput([inner, OHKM(inner, 3)], ["global", "refine"], [0.5, 1.0])
    other = keras.losses.deserialize(keras.losses.serialize(loss))
    assert other.get_config() == loss.get_config()
    assert other.losses[1].top == 3
    assert other.losses[1].inner.occluded == "empty"


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: OHKM(mse(), 6), "top must be 1 to 5, the number of .* got 6"),
        (lambda: OHKM(mse(), 0), "top must be 1 to 5"),
        (
            lambda: OHKM(HeatmapMSE(CODEC), 2),
            "ohkm needs .* unlabelled ignore, got mse with unlabelled zero",
        ),
        (lambda: OHKM(PerOutput([mse()]), 2), "needs a HeatmapLoss"),
        (
            lambda: mse(occluded="gone"),
            "occluded must be one of visible, empty",
        ),
        (lambda: PerOutput([mse()], ["a", "b"]), "1 losses need as many names"),
        (lambda: PerOutput([mse()] * 2, None, [1]), "as many factors, got 1"),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_any_heatmap_loss_can_be_mined():
    logits = Heatmaps(FIVE, stride=4, logits=True)
    inner = HSM(logits, unlabelled="ignore")
    labels, maps = far([[2] * 5]), constant([-9, 3, -9, -9, 2])
    found = costs(OHKM(inner, 2), labels, maps)[0]
    assert np.flatnonzero(found).tolist() == [1, 4]
    wanted = costs(inner, labels, maps)[0] * 5 / 2
    np.testing.assert_allclose(found[[1, 4]], wanted[[1, 4]], rtol=1e-5)
