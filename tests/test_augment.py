"""Newell's distribution, drawn as a function of seed and epoch only."""

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data.augment import NONE, Augmentation, draw

MANY = 20_000


def numbers(*args):
    return {name: value.numpy() for name, value in draw(*args).items()}


def test_the_distribution_is_newells():
    found = numbers(Augmentation(), MANY, 0, 0)
    octaves = np.log2(found["zoom"])
    degrees = np.degrees(found["angle"])
    turned = degrees != 0
    assert abs(turned.mean() - 0.6) < 0.02
    assert abs(found["flip"].mean() - 0.5) < 0.02
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


def test_what_is_drawn_depends_on_seed_and_epoch_only():
    one = numbers(Augmentation(), 5, 3, 7)
    tf.random.set_seed(1)
    inside = tf.function(lambda epoch: draw(Augmentation(), 5, 3, epoch))
    again = inside(tf.constant(7, tf.int64))
    for name, value in one.items():
        np.testing.assert_array_equal(value, again[name])
        for seed, epoch in ((3, 8), (4, 7), (7, 3)):
            other = numbers(Augmentation(), 5, seed, epoch)
            if name != "flip":
                assert not np.array_equal(value, other[name])


def test_none_changes_nothing():
    found = numbers(NONE, 9, 0, 0)
    assert (found["zoom"] == 1).all() and (found["gain"] == 1).all()
    assert (found["angle"] == 0).all() and (found["flip"] == 0).all()


@pytest.mark.parametrize(
    "name, value", [("flip_chance", 1.5), ("color", -0.1), ("rotation", -30)]
)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must .* got {value}"):
        Augmentation(**{name: value})
