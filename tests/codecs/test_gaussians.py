"""Joints to maps and back, at sizes that are not square."""

import math

import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import gaussians

SIZE = (8, 12)


def encode(*points, sigma=1.0):
    return gaussians.encode(np.array([points], "float32"), SIZE, sigma)


def decode(maps, *args, **settings):
    found = gaussians.decode(maps, *args, **settings)
    return [ops.convert_to_numpy(part) for part in found]


def test_cells_by_hand():
    # Stride 4: cell 0 covers pixels 0 ... 3, whose middle is 1.5.
    assert gaussians.to_cells(1.5, 4) == 0
    assert gaussians.to_cells(9.5, 4) == 2
    assert gaussians.to_pixels(2, 4) == 9.5
    assert gaussians.to_cells(8, 4, "corner") == 2
    assert gaussians.to_pixels(2, 4, "corner") == 8


@pytest.mark.parametrize("alignment", gaussians.ALIGNMENTS)
def test_pixels_undo_cells(alignment):
    points = np.array([[0.0, 3.7], [11.0, 46.1]])
    cells = gaussians.to_cells(points, 4, alignment, SIZE)
    pixels = gaussians.to_pixels(cells, 4, alignment, SIZE)
    np.testing.assert_allclose(pixels, points)


def test_udp_puts_the_first_and_last_cells_on_the_first_and_last_pixels():
    """Also of tensors, which inference has, and of maps that are not square."""
    for as_is in (np.array, ops.convert_to_tensor):
        corners = as_is(np.array([[0, 0], [47, 31]], "float32"))
        cells = gaussians.to_cells(corners, 4, "udp", SIZE)
        np.testing.assert_allclose(cells, [[0, 0], [11, 7]], rtol=1e-6)
    with pytest.raises(
        ValueError, match="udp needs the .* of the map, got None"
    ):
        gaussians.to_cells(corners, 4, "udp")


def test_center_alignment_commutes_with_a_flip_and_corner_does_not():
    pixels, width, stride = np.array([0.0, 5.3, 30.0, 47.0]), 48, 4
    for alignment, shift in (("center", 0), ("corner", 0.75)):
        cells = gaussians.to_cells(pixels, stride, alignment)
        flipped = gaussians.to_cells(width - 1 - pixels, stride, alignment)
        mirrored = width / stride - 1 - cells
        # "corner" is off by (stride - 1) / stride: the one-pixel shift.
        np.testing.assert_allclose(flipped - mirrored, shift)


def test_a_flipped_image_has_the_flipped_map():
    pixels = np.array([[[13.2, 9.1]]], "float32")
    flipped = np.array([[[47 - 13.2, 9.1]]], "float32")
    maps, others = (
        ops.convert_to_numpy(gaussians.encode(gaussians.to_cells(p, 4), SIZE))
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


@pytest.mark.parametrize("method", sorted({*gaussians.DECODINGS} - {"second"}))
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
    maps = gaussians.encode(np.array([points], "float32"), (16, 20), sigma)
    found, _ = decode(maps, "dark", sigma=sigma)
    # The blur of a Gaussian is a Gaussian: its logarithm is a parabola.
    np.testing.assert_allclose(found[0], points, atol=0.02)


def test_second_steps_towards_the_second_highest_cell_of_the_blurred_map():
    """The blur is wider than the distance of neighbours, so that the middle of
    a group is highest: of three cells of 1, 1 and 1.1 the second, next the
    third. Of two, (11, 15) and (15, 18), the middle (13, 16.5) is between two
    cells; that on the side of the higher one is highest, next the other."""
    maps = np.zeros((1, 30, 40, 2), "float32")
    maps[0, 12, 20:23, 0] = 1, 1, 1.1
    maps[0, 15, 11, 1], maps[0, 18, 15, 1] = 1, 0.99
    found, scores = decode(maps, "second")
    wanted = [(21.25, 12), (13, 16.25)]
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)
    np.testing.assert_allclose(scores[0], (1.1, 1), rtol=1e-6)


def test_second_of_an_empty_map_lies_between_its_first_two_cells():
    found, scores = decode(np.zeros((1, *SIZE, 1), "float32"), "second")
    np.testing.assert_array_equal(found, [[(0.25, 0)]])
    assert scores == 0


def test_dark_does_not_leave_a_flat_map():
    found, _ = decode(np.zeros((1, *SIZE, 1), "float32"), "dark")
    np.testing.assert_allclose(found, 0)


def test_soft_by_hand():
    """Weighted by exp(-d^2 / 2), compared with a Gaussian weighted so, too."""
    maps = np.zeros((1, *SIZE, 1), "float32")
    maps[0, 3, 4:6, 0] = 3, 1
    maps[0, 3, 7, 0] = 2.9  # farther than 2 sigma
    maps[0, 2, 4, 0] = -5  # only what is positive counts
    found, scores = decode(maps, "soft")
    mean = math.exp(-0.5) / (3 + math.exp(-0.5))
    squares = 2 * (math.exp(-1) + 4 * math.exp(-4))
    variance = squares / (1 + 2 * (math.exp(-1) + math.exp(-4)))
    np.testing.assert_allclose(found[0, 0], (4 + mean / variance, 3), rtol=1e-6)
    assert scores[0, 0] == 3


def test_soft_at_the_border_reads_no_other_row():
    maps = np.array(encode((0, 4)))
    spoilt = maps.copy()
    spoilt[0, :, -3:] = 0.9  # in memory, left of x = 0 in the row below
    found, wanted = (decode(m, "soft")[0] for m in (spoilt, maps))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("sigma", "at_border"), [(1.0, 0.08), (1.5, 0.04), (2.0, 0.03), (3.0, 0.02)]
)
def test_soft_misses_a_gaussian_by_no_more_than_it_says(sigma, at_border):
    """The figures of the docstring of `decode`, over positions in a cell."""
    height, width = 20, 26
    rng = np.random.default_rng(0)
    window = np.ceil(2 * sigma) + 0.5
    last = np.array([width, height]) - 0.5
    for low, high, limit in (
        (window, last - window - 0.5, 0.001),
        (-0.5, last, at_border),
    ):
        points = rng.uniform(low, high, (20, 500, 2)).astype("float32")
        maps = gaussians.encode(points, (height, width), sigma)
        errors = {
            method: np.abs(decode(maps, method, sigma=sigma)[0] - points).max()
            for method in ("soft", "quarter")
        }
        assert errors["soft"] < limit < 0.2 < errors["quarter"]


def test_soft_of_a_flipped_map_is_flipped():
    maps = np.random.default_rng(0).uniform(0, 1, (3, *SIZE, 5))
    found, _ = decode(maps, "soft", sigma=1.5)
    mirrored, _ = decode(maps[:, :, ::-1], "soft", sigma=1.5)
    np.testing.assert_allclose(mirrored, (11, 0) + found * (-1, 1), atol=1e-5)


def test_soft_goes_no_farther_than_sigma():
    maps = np.full((1, *SIZE, 1), 1.0, "float32")  # argmax: the first cell
    assert decode(maps, "soft", sigma=3.0)[0].max() <= 3
    np.testing.assert_allclose(decode(0 * maps, "soft", sigma=3.0)[0], 0)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: encode((1, 1), sigma=0), "sigma must be positive, got 0"),
        (lambda: decode(encode((1, 1)), sigma=0), "sigma must be .* got 0"),
        (lambda: gaussians.to_cells(1, 4, "middle"), "corner, udp, got"),
        (lambda: decode(encode((1, 1)), "best"), "one of quarter, argmax"),
    ],
    ids=["sigma", "sigma decoded", "alignment", "decoding"],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
