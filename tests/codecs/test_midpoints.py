"""Midpoints of limbs: by hand, and where they fail and fields do not."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import Fields, Midpoints
from keras_pose.skeletons import MPII, Skeleton

PAIR = Skeleton("pair", ("a", "b"), (("a", "b"),))
CODEC = Midpoints(PAIR, stride=1, sigma=1.0, candidates=4)
CELLS = 10, 30


def seen_of(codec, labels):
    outputs = np.zeros((1, 1, *CELLS, codec.channels), "float32")
    return codec.seen(codec.target(labels, outputs)[0])


def scores_of(codec, labels, cells):
    """(P, P) scores of the limb's candidates (2, P, 2)."""
    cells = np.array(cells, "float32")[None]
    found = np.ones(cells.shape[:3], bool)
    scores = codec.limb_scores(seen_of(codec, labels), cells, found)
    return ops.convert_to_numpy(scores)[0, 0]


def standing(*columns):
    """Labels of people whose a is above their b, 6 cells apart."""
    labels = np.zeros((1, len(columns), 2, 3), "float32")
    labels[0, :, 0, 0] = labels[0, :, 1, 0] = columns
    labels[0, :, 0, 1], labels[0, :, 1, 1], labels[..., 2] = 2, 8, 2
    return labels


def test_the_map_is_a_gaussian_in_the_middle_of_a_limb():
    labels = standing(4, 20)
    labels[0, 1, 1, 2] = 0  # without an end there is no limb
    outputs = np.zeros((1, 1, *CELLS, CODEC.channels), "float32")
    target = ops.convert_to_numpy(CODEC.target(labels, outputs)[0])[0, 0]
    assert target.shape == (*CELLS, 4)  # two joints, background, one limb
    limb = target[..., 3]
    assert limb[5, 4] == pytest.approx(1)
    assert limb[5, 6] == pytest.approx(np.exp(-2), rel=1e-5)
    assert limb[:, 16:].max() < 1e-6


def test_a_pair_has_the_value_at_its_middle():
    """The middle of (4, 2) and (6, 8) is (5, 5), a cell beside the peak."""
    scores = scores_of(
        CODEC, standing(4), [[(4, 2), (25, 2)], [(4, 8), (6, 8)]]
    )
    expected = [[1, np.exp(-0.5)], [0, 0]]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_between_cells_the_value_is_bilinear():
    """A quarter of a cell right of the peak and half a cell below, where maps
    are 1, exp(-1/2) in the next cells and exp(-1) across."""
    near, across = np.exp(-0.5), np.exp(-1)
    scores = scores_of(CODEC, standing(4), [[(4, 2)], [(4.5, 9)]])
    expected = 0.5 * (0.75 + 0.25 * near) + 0.5 * (0.75 * near + 0.25 * across)
    assert scores.item() == pytest.approx(expected, rel=1e-5)


def test_a_value_below_the_threshold_is_no_limb():
    """Two cells beside the peak: exp(-2) = 0.135."""
    places = [[(4, 2)], [(8, 8)]]
    for threshold, expected in ((0.1, np.exp(-2)), (0.2, 0)):
        codec = replace(CODEC, threshold=threshold)
        scores = scores_of(codec, standing(4), places)
        assert scores.item() == pytest.approx(expected, rel=1e-5)


def test_the_middle_between_two_people_is_a_third_ones():
    """Of three in a row the outer ones' joints score as high as anybody's own;
    the field along that line is another person's, or nobody's."""
    labels = standing(5, 15, 25)
    cells = [[(x, y) for x in (5, 15, 25)] for y in (2, 8)]
    middles = scores_of(CODEC, labels, cells)
    np.testing.assert_allclose(np.diag(middles), 1, rtol=1e-5)
    assert middles[0, 2] == middles[2, 0] == pytest.approx(1)
    fields = Fields(PAIR, stride=1, sigma=1.0, candidates=4)
    along = scores_of(fields, labels, cells)
    np.testing.assert_allclose(np.diag(along), 1, rtol=1e-5)
    assert along[0, 2] == along[2, 0] == 0


def test_a_mirrored_picture_has_the_same_middles():
    rng = np.random.default_rng(0)
    labels = rng.uniform(2, 28, (1, 2, 16, 3)).astype("float32")
    labels[..., 2] = 2
    codec = Midpoints(MPII, stride=1, sigma=1.0)
    mirrored = labels[:, :, MPII.mirror].copy()
    mirrored[..., 0] = CELLS[1] - 1 - mirrored[..., 0]
    back = codec.mirror(seen_of(codec, mirrored))
    np.testing.assert_allclose(back, seen_of(codec, labels), atol=1e-5)


def test_it_survives_a_file():
    codec = Midpoints(MPII, sigma=1.5, people=7)
    config = keras.saving.serialize_keras_object(codec)
    assert keras.saving.deserialize_keras_object(config) == codec
    assert codec.channels == 16 + 1 + 15
