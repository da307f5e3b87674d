"""Joints to maps and back, at sizes that are not square."""

import numpy as np
import pytest
from keras import ops

from keras_pose import heatmaps

SIZE = (8, 12)


def encode(*points, sigma=1.0):
    return heatmaps.encode(np.array([points], "float32"), SIZE, sigma)


def decode(maps, *args, **settings):
    found = heatmaps.decode(maps, *args, **settings)
    return [ops.convert_to_numpy(part) for part in found]


def test_cells_by_hand():
    # Stride 4: cell 0 covers pixels 0 ... 3, whose middle is 1.5.
    assert heatmaps.to_cells(1.5, 4) == 0
    assert heatmaps.to_cells(9.5, 4) == 2
    assert heatmaps.to_pixels(2, 4) == 9.5
    assert heatmaps.to_cells(8, 4, "corner") == 2
    assert heatmaps.to_pixels(2, 4, "corner") == 8


@pytest.mark.parametrize("alignment", heatmaps.ALIGNMENTS)
def test_pixels_undo_cells(alignment):
    cells = heatmaps.to_cells(np.array([0.0, 3.7, 11.0]), 4, alignment)
    pixels = heatmaps.to_pixels(cells, 4, alignment)
    np.testing.assert_allclose(pixels, [0.0, 3.7, 11.0])


def test_center_alignment_commutes_with_a_flip_and_corner_does_not():
    pixels, width, stride = np.array([0.0, 5.3, 30.0, 47.0]), 48, 4
    for alignment, shift in (("center", 0), ("corner", 0.75)):
        cells = heatmaps.to_cells(pixels, stride, alignment)
        flipped = heatmaps.to_cells(width - 1 - pixels, stride, alignment)
        mirrored = width / stride - 1 - cells
        # "corner" is off by (stride - 1) / stride: the one-pixel shift.
        np.testing.assert_allclose(flipped - mirrored, shift)


def test_a_flipped_image_has_the_flipped_map():
    pixels = np.array([[[13.2, 9.1]]], "float32")
    flipped = np.array([[[47 - 13.2, 9.1]]], "float32")
    maps, others = (
        ops.convert_to_numpy(heatmaps.encode(heatmaps.to_cells(p, 4), SIZE))
        for p in (pixels, flipped)
    )
    np.testing.assert_allclose(others, maps[:, :, ::-1], atol=1e-6)


def test_encode_by_hand():
    maps = ops.convert_to_numpy(encode((3, 5), sigma=2.0))
    assert maps.shape == (1, 8, 12, 1)
    assert maps[0, 5, 3, 0] == 1  # row 5, column 3
    # Two cells right and one up: exp(-(4 + 1) / (2 * 4)).
    np.testing.assert_allclose(maps[0, 4, 5, 0], np.exp(-5 / 8), rtol=1e-6)


def test_a_joint_far_outside_has_an_empty_map():
    assert ops.convert_to_numpy(encode((-40, 5))).max() < 1e-30


@pytest.mark.parametrize("method", heatmaps.DECODINGS)
def test_decode_undoes_encode(method):
    points = np.array([[[3, 4], [8, 3]]], "float32")  # no border in the blur
    found, scores = decode(encode(*points[0]), method)
    np.testing.assert_allclose(found, points, atol=1e-3)
    np.testing.assert_allclose(scores, 1, rtol=1e-6)


def test_quarter_steps_towards_the_higher_neighbour():
    found, _ = decode(encode((3.3, 4.8), (4, 3)))
    np.testing.assert_allclose(found[0], [(3.25, 4.75), (4, 3)])


def test_quarter_stays_put_at_the_border():
    found, _ = decode(encode((0.2, 0.3), (11.2, 7.1)))
    np.testing.assert_allclose(found[0], [(0, 0), (11, 7)])


def test_argmax_gives_whole_cells():
    found, scores = decode(encode((3.3, 4.8)), "argmax")
    np.testing.assert_array_equal(found[0], [(3, 5)])
    np.testing.assert_allclose(scores, np.exp(-(0.09 + 0.04) / 2), rtol=1e-5)


@pytest.mark.parametrize("sigma", [1.0, 1.5])
def test_dark_finds_positions_between_cells(sigma):
    points = np.array([(5.3, 3.8), (6.49, 4.1), (4.75, 3.25)])
    maps = heatmaps.encode(np.array([points], "float32"), (16, 20), sigma)
    found, _ = decode(maps, "dark", sigma=sigma)
    # The blur of a Gaussian is a Gaussian: its logarithm is a parabola.
    np.testing.assert_allclose(found[0], points, atol=0.02)


def test_dark_does_not_leave_a_flat_map():
    found, _ = decode(np.zeros((1, *SIZE, 1), "float32"), "dark")
    np.testing.assert_allclose(found, 0)


def test_soft_is_the_centre_of_mass():
    maps = np.zeros((1, *SIZE, 1), "float32")
    maps[0, 3, 4:6, 0] = 3, 1  # a quarter of the mass one cell to the right
    maps[0, 3, 7, 0] = 1  # beyond the window of 5
    maps[0, 2, 4, 0] = -5  # only what is positive counts
    found, scores = decode(maps, "soft")
    np.testing.assert_allclose(found[0, 0], (4.25, 3), rtol=1e-6)
    assert scores[0, 0] == 3


def test_soft_at_the_corner_counts_no_cell_twice():
    maps = np.zeros((1, *SIZE, 1), "float32")
    maps[0, 0, 0:2, 0] = 3, 1
    found, _ = decode(maps, "soft")
    np.testing.assert_allclose(found[0, 0], (0.25, 0), rtol=1e-6)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: encode((1, 1), sigma=0), "sigma must be positive, got 0"),
        (lambda: heatmaps.to_cells(1, 4, "middle"), "center, corner, got"),
        (lambda: decode(encode((1, 1)), "best"), "one of quarter, argmax"),
    ],
    ids=["sigma", "alignment", "decoding"],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
