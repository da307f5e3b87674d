"""Every distribution by its formula, drawn from seed and epoch only."""

import math

import numpy as np
import pytest
import tensorflow as tf

from keras_pose import geometry
from keras_pose.data.augment import NONE, Augmentation, draw

MANY = 20_000


def numbers(*args):
    return {name: value.numpy() for name, value in draw(*args).items()}


def assert_share(found, share):
    """Within four deviations of a binomial share of MANY."""
    assert abs(found.mean() - share) < 4 * np.sqrt(share * (1 - share) / MANY)


def assert_spread(values, formula):
    """No empirical quantile is off by more than 1.95 / sqrt(N) (Kolmogorov:
    one in a thousand); `formula` is the distribution function."""
    values = np.sort(values)
    shares = (np.arange(len(values)) + 0.5) / len(values)
    assert np.abs(formula(values) - shares).max() < 1.95 / len(values) ** 0.5


def test_the_distribution_is_newells():
    found = numbers(Augmentation(), MANY, 0, 0)
    octaves = np.log2(found["zoom"])
    degrees = np.degrees(found["angle"])
    turned = degrees != 0
    assert_share(turned, 0.6)
    assert_share(found["flip"], 0.5)
    # Two deviations are the limit for both, where 4.55 % are clipped; the
    # deviation of what is left is 0.98 of the normal one.
    for values, deviation in ((octaves, 0.25), (degrees[turned], 30)):
        assert np.abs(values).max() == pytest.approx(2 * deviation, rel=1e-5)
        clipped = np.isclose(np.abs(values), 2 * deviation, rtol=1e-5)
        assert abs(clipped.mean() - 0.0455) < 0.01
        assert abs(values.mean()) < 0.03 * deviation
        assert abs(values[~clipped].std() / deviation - 0.88) < 0.03
    assert 0.6 <= found["gain"].min() < 0.61
    assert 1.39 < found["gain"].max() <= 1.4
    alone = [octaves, degrees, found["flip"], turned, *found["gain"].T]
    assert np.abs(np.corrcoef(alone) - np.eye(7)).max() < 0.03


def test_normal_is_that_of_simple_baselines():
    """1 + n clipped at one deviation, where 31.7 % lie; 60 % are turned."""
    normal = Augmentation(40.0, zoom=0.3, distribution="normal", color=0)
    found = numbers(normal, MANY, 5, 2)
    zoom, degrees = found["zoom"], np.degrees(found["angle"])
    assert zoom.min() == pytest.approx(0.7) and zoom.max() == pytest.approx(1.3)
    inside = np.abs(zoom - 1) < 0.2999
    assert_share(~inside, math.erfc(0.5**0.5))
    normal = np.vectorize(lambda x: 0.5 + 0.5 * math.erf(x / 0.3 / 2**0.5))
    low = normal(-0.3)
    assert_spread(zoom[inside] - 1, lambda x: (normal(x) - low) / (1 - 2 * low))
    assert_share(degrees != 0, 0.6)
    assert np.abs(degrees).max() == pytest.approx(80, rel=1e-5)
    assert (found["gain"] == 1).all()


def test_uniform_fills_both_ranges_evenly():
    uniform = Augmentation(30.0, 1.0, 0.25, "uniform")
    found = numbers(uniform, MANY, 1, 4)
    zoom, degrees = found["zoom"], np.degrees(found["angle"])
    assert 0.75 <= zoom.min() < 0.751 and 1.249 < zoom.max() <= 1.25
    assert -30 <= degrees.min() < -29.9 and 29.9 < degrees.max() <= 30
    assert_spread(zoom, lambda x: (x - 0.75) / 0.5)
    assert_spread(degrees, lambda x: (x + 30) / 60)
    assert abs(np.corrcoef(zoom, degrees)[0, 1]) < 0.03
    # What else is drawn does not depend on the distribution.
    usual = numbers(Augmentation(), MANY, 1, 4)
    for name in ("flip", "gain"):
        np.testing.assert_array_equal(found[name], usual[name])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.4, 1.0])
def test_a_chance_is_the_share_of_the_samples(share):
    a = Augmentation(rotation_chance=share, flip_chance=share)
    found = numbers(a, MANY, 2, 3)
    for changed in (found["angle"] != 0, found["flip"] > 0):
        if share in (0, 1):
            assert (changed == share).all()
        else:
            assert_share(changed, share)


@pytest.mark.parametrize("color", [0.0, 0.2, 1.0])
def test_gains_lie_within_color(color):
    gains = numbers(Augmentation(color=color), MANY, 0, 1)["gain"]
    if not color:
        assert (gains == 1).all()
    else:
        assert_spread(gains.ravel(), lambda x: (x - 1 + color) / (2 * color))


def test_the_numbers_of_measured_runs_stay():
    """As drawn when there was no other distribution than Newell's."""
    found = numbers(Augmentation(), 4, 3, 7)
    wanted = {
        "zoom": [0.70710677, 0.87522024, 1.11114037, 0.93232471],
        "angle": [0.16755880, 0.0, -0.68100232, -0.52887255],
        "flip": [1, 1, 0, 1],
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6)
    gains = [[0.92128742, 1.19571459, 0.71926939], [1.29204261, 1.28211176]]
    np.testing.assert_allclose(found["gain"][0], gains[0], rtol=1e-6)
    np.testing.assert_allclose(found["gain"][1, :2], gains[1], rtol=1e-6)


@pytest.mark.parametrize("distribution", ["octaves", "normal", "uniform"])
def test_what_is_drawn_depends_on_seed_and_epoch_only(distribution):
    a = Augmentation(distribution=distribution)
    one = numbers(a, 5, 3, 7)
    tf.random.set_seed(1)
    inside = tf.function(lambda epoch: draw(a, 5, 3, epoch))
    again = inside(tf.constant(7, tf.int64))
    for name, value in one.items():
        np.testing.assert_array_equal(value, again[name])
        for seed, epoch in ((3, 8), (4, 7), (7, 3)):
            other = numbers(a, 5, seed, epoch)
            if name != "flip":
                assert not np.array_equal(value, other[name])


def test_none_changes_nothing():
    found = numbers(NONE, 9, 0, 0)
    assert (found["zoom"] == 1).all() and (found["gain"] == 1).all()
    assert (found["angle"] == 0).all() and (found["flip"] == 0).all()


@pytest.mark.parametrize(
    "settings, sides",
    [
        # Newell's: 2^0.5 as wide, and the diagonal of that at 45 degrees.
        (dict(), 2.0),
        # 1.25 (cos 30 + sin 30): the limit comes before the diagonal.
        (dict(zoom=0.25, distribution="uniform"), 1.25 * (3**0.5 + 1) / 2),
        # On COCO up to 80 degrees: the diagonal of 3 : 4 is 5.
        (dict(rotation=40, zoom=0.3, distribution="normal"), 1.3 * 1.25),
        (dict(rotation=0, zoom=1.0), 4.0),
        (dict(rotation_chance=0, zoom=0.0), 1.0),
    ],
    ids=["octaves", "uniform", "normal", "not rotated", "rotated never"],
)
def test_the_strongest_sample_shows_that_many_sides(settings, sides):
    a = Augmentation(**settings)
    size = (64, 48) if a.distribution == "normal" else (64, 64)
    assert a.context(size) == pytest.approx(sides)


@pytest.mark.parametrize("size", [(48, 64), (64, 48)])
@pytest.mark.parametrize("distribution", ["octaves", "normal", "uniform"])
def test_no_sample_shows_more_than_the_strongest(distribution, size):
    a = Augmentation(20.0, 1.0, 0.3, distribution)
    found = numbers(a, MANY, 0, 0)
    height, width = size
    center = np.zeros((MANY, 2))
    views = geometry.crop_matrix(center, found["zoom"], found["angle"], size)
    edge = np.array([-0.5, 0.5]) * np.array([[width], [height]])
    middle = (width - 1) / 2, (height - 1) / 2
    corners = np.stack(np.meshgrid(*edge), -1).reshape(4, 2) + middle
    seen = geometry.move(corners, geometry.invert(views))
    most = 2 * np.abs(seen).max()
    assert 0.97 * a.context(size) < most < a.context(size) * (1 + 1e-6)


@pytest.mark.parametrize(
    "name, value",
    [
        ("flip_chance", 1.5),
        ("color", -0.1),
        ("color", np.nan),
        ("rotation", -30),
        ("zoom", np.nan),
        ("rotation_chance", 2),
    ],
)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must .* got {value}"):
        Augmentation(**{name: value})


def test_an_unknown_distribution_is_refused():
    known = "distribution must be one of octaves, normal, uniform, got 'flat'"
    with pytest.raises(ValueError, match=known):
        Augmentation(distribution="flat")


def test_a_zoom_to_nothing_is_refused():
    assert Augmentation(zoom=1.0).zoom == 1  # octaves
    with pytest.raises(ValueError, match="zoom must be below 1 .* got 1.0"):
        Augmentation(zoom=1.0, distribution="uniform")
