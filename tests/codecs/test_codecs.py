"""Oracles: what a codec draws it finds, mirrored, zoomed and merged, too.

All sizes are not square: a width taken for a height shows.
"""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose import codecs
from keras_pose.codecs import gaussians
from keras_pose.skeletons import LSP, Skeleton

SIZE = (64, 96)
DOG = Skeleton("dog", ("nose", "front_left_paw", "front_right_paw", "left_ear"))
PLACES = np.array([[[23.5, 30.0], [70.2, 21.7], [40.1, 44.9], [52.6, 18.3]]])
ALL = [
    *(codecs.Heatmaps(DOG, 4, a) for a in gaussians.ALIGNMENTS),
    codecs.Heatmaps(DOG, 8, sigma=1.5),
    codecs.Heatmaps(DOG, 4, sigma=2.0, logits=True),
    codecs.Heatmaps(DOG, 4, occluded_amplitude=-1),
    codecs.Heatmaps(DOG, 4, background=True),
    codecs.Expectation(DOG, SIZE),
    codecs.Expectation(DOG, SIZE, beta=2.0),
    codecs.Expectation(DOG, SIZE, alignment="corner"),
    codecs.Expectation(DOG, SIZE, alignment="udp"),
    codecs.Coordinates(DOG, SIZE),
]


def name(codec):
    given = {k: v for k, v in codec.get_config().items() if k != "skeleton"}
    return "-".join(map(str, (type(codec).__name__, *given.values())))


every = pytest.mark.parametrize("codec", ALL, ids=name)


def labels_of(points, flags=2):
    flags = np.broadcast_to(flags, points.shape[:-1])[..., None]
    return np.concatenate([points, flags], -1)[:, None].astype("float32")


def perfect(codec, points, flags=2):
    """Outputs (1, 2, ...) of two stages: nothing, then the truth."""
    labels = labels_of(points, flags)
    if isinstance(codec, codecs.Coordinates):
        target, _ = codec.target(labels, None)
        truth = np.array(target)
    elif isinstance(codec, codecs.Expectation):
        grid = 4, codec.alignment, (16, 24)
        cells = gaussians.to_cells(labels[:, 0, :, :2], *grid)
        maps = gaussians.encode(cells, (16, 24), 1.0)
        # the softmax of a logarithm is the Gaussian, divided by its sum
        truth = np.log(np.maximum(maps, 1e-30))[:, None] / codec.beta
    else:
        side = codec.stride
        shape = (1, 1, SIZE[0] // side, SIZE[1] // side, codec.channels)
        target, known = codec.target(labels, np.zeros(shape))
        assert np.array(known).all()
        truth = np.array(target)
        if codec.logits:
            truth = np.clip(truth.astype("float64"), 1e-9, 1 - 1e-7)
            truth = np.log(truth / (1 - truth))
    truth = np.asarray(truth).astype("float32")
    return ops.convert_to_tensor(np.concatenate([0 * truth, truth], axis=1))


def located(codec, seen):
    points, scores, _ = codec.joints(seen, "soft")
    return ops.convert_to_numpy(points), ops.convert_to_numpy(scores)


@every
def test_the_target_is_where_the_joints_are(codec):
    seen = codec.seen(perfect(codec, PLACES))
    points, scores = located(codec, seen)
    # 0.01 cells of `soft`, with logits 0.03: their heights end at 1 - 1e-7
    np.testing.assert_allclose(points, PLACES, atol=0.15)
    assert scores.shape == (1, 4)
    assert scores.min() > 0.77  # half a cell off on both axes: exp(-1 / 4)
    # a list of outputs: the last one is the result
    again = codec.seen([None, perfect(codec, PLACES)])
    np.testing.assert_array_equal(again, seen)


@every
def test_a_mirrored_picture_has_the_same_joints(codec):
    """What a perfect network sees of it, mirrored back."""
    mirrored = PLACES[:, DOG.mirror].copy()
    mirrored[..., 0] = SIZE[1] - 1 - mirrored[..., 0]
    once = codec.seen(perfect(codec, PLACES))
    back = codec.mirror(codec.seen(perfect(codec, mirrored)))
    assert tuple(back.shape) == tuple(once.shape)
    atol = 0.15 if getattr(codec, "alignment", "") != "corner" else 0.5
    np.testing.assert_allclose(located(codec, back)[0], PLACES, atol=atol)
    mean = (once + back) / 2
    np.testing.assert_allclose(located(codec, mean)[0], PLACES, atol=atol)


def test_a_mirrored_map_is_shifted_as_far_as_is_wanted():
    seen = np.zeros((1, 1, 5, 4), "float32")
    seen[0, 0, 1, 0] = 1  # the nose, in column 3 after mirroring
    rows = {
        (None, "corner"): [0, 0, 0, 0.25, 0.75],
        (None, "center"): [0, 0, 0, 1, 0],
        (0, "corner"): [0, 0, 0, 1, 0],
        (0.5, "corner"): [0, 0, 0, 0.5, 0.5],
        (1, "corner"): [0, 0, 0, 0, 1],
        (1, "udp"): [0, 0, 0, 0, 1],
    }
    for (shift, alignment), row in rows.items():
        back = codecs.Heatmaps(DOG, 4, alignment).mirror(seen, shift)
        back = ops.convert_to_numpy(back)
        np.testing.assert_allclose(back[0, 0, :, 0], row, err_msg=alignment)
        assert not back[..., 1:].any()
    with pytest.raises(ValueError, match="flip shift is for maps: .* got 1"):
        codecs.Coordinates(DOG, SIZE).mirror(seen[0], 1)


@every
@pytest.mark.parametrize("zooms", [(1.0,), (0.8, 1.0), (1.0, 1.25)], ids=str)
def test_zoomed_views_are_merged_in_one_frame(codec, zooms):
    """A crop of `zoom` times the side shows a joint so much nearer the middle;
    the Gaussians there are as wide, so that merged ones are not exact."""
    middle = (np.array(SIZE[::-1]) - 1) / 2
    views = [
        codec.seen(perfect(codec, middle + (PLACES - middle) / zoom))
        for zoom in zooms
    ]
    merged = codec.merge(views, zooms, SIZE)
    points, _ = located(codec, merged)
    stride = getattr(codec, "stride", 4) if len(zooms) > 1 else 1
    np.testing.assert_allclose(points, PLACES, atol=0.15 * stride)


@every
def test_settings_survive_a_file(codec):
    described = keras.saving.serialize_keras_object(codec)
    assert keras.saving.deserialize_keras_object(described) == codec


@every
def test_an_unlabelled_joint_is_not_known(codec):
    labels = labels_of(PLACES, [2, 0, 1, 2])
    _, known = codec.target(labels, perfect(codec, PLACES))
    expected = [1, 0, 1, 1] + [1] * (known.shape[1] - 4)  # and background
    np.testing.assert_array_equal(known, [expected])


def test_a_background_is_one_where_no_joint_is():
    codec = codecs.Heatmaps(DOG, 4, background=True)
    assert (codec.count, codec.channels) == (4, 5)
    labels = labels_of(PLACES, [2, 2, 1, 0])
    maps, _ = codec.target(labels, np.zeros((1, 1, 16, 24, 5)))
    joints, background = np.array(maps)[0, 0, ..., :4], maps[0, 0, ..., 4]
    np.testing.assert_allclose(background, 1 - joints.max(axis=-1), atol=1e-6)
    column, row = np.round((PLACES[0, 3] - 1.5) / 4).astype(int)
    assert background[row, column] > 0.99  # nobody knows where that ear is


def test_a_channel_behind_the_joints_is_no_sign_of_occlusion():
    """One or K of them: the field's networks have both."""
    codec = codecs.Heatmaps(DOG, 4, background=True)
    seen = codec.seen(perfect(codec, PLACES))
    assert seen.shape[-1] == 4
    assert codec.joints(seen)[2] is None and not codec.tells_occlusion
    nose = Skeleton("nose", ("nose",))  # K + 1 is 2 K here
    codec = codecs.Heatmaps(nose, 4, background=True)
    seen = codec.seen(perfect(codec, PLACES[:, :1]))
    assert seen.shape[-1] == 1
    assert codec.joints(seen)[2] is None


def test_a_sign_says_who_is_occluded():
    codec = codecs.Heatmaps(DOG, 4, occluded_amplitude=-1)
    seen = codec.seen(perfect(codec, PLACES, [2, 1, 2, 1]))
    points, scores, occluded = codec.joints(seen, "soft")
    np.testing.assert_array_equal(occluded, [[False, True, False, True]])
    np.testing.assert_allclose(points, PLACES, atol=0.05)
    assert np.array(scores).min() > 0.77


@pytest.mark.parametrize("height", [4.0, 8.0])
@pytest.mark.parametrize("place", [(2, 3), (20, 9)], ids=str)
def test_the_bias_to_the_middle_is_as_the_formula_says(height, place):
    """A map of zeros but for one cell: N - 1 cells weigh 1, one e^(beta h).

    The mean of all cells is the middle M, so
    J = (M N + (e^(beta h) - 1) place) / (N - 1 + e^(beta h)).
    """
    beta, (rows, columns) = 0.5, (16, 24)
    maps = np.zeros((1, 1, rows, columns, 4), "float32")
    maps[0, 0, place[1], place[0]] = height
    weight, cells = np.exp(beta * height), rows * columns
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2])
    total = cells * middle + (weight - 1) * np.array(place)
    biased = 4 * total / (cells - 1 + weight) + 1.5
    exact = 4 * np.array(place) + 1.5
    for debias, expected in ((False, biased), (True, exact)):
        codec = codecs.Expectation(DOG, SIZE, beta=beta, debias=debias)
        points, _ = located(codec, codec.seen(maps))
        np.testing.assert_allclose(points[0], [expected] * 4, atol=0.02)
    assert np.abs(biased - exact).max() > 8  # pixels of 96


def below_a_gaussian(height, sigma):
    """Integral of e^(h g) - 1 over the plane, g a Gaussian of peak 1.

    With u = h g it is 2 pi sigma^2 times the integral of (e^u - 1) / u from 0
    to h, the series h^n / (n n!).
    """
    terms = (height**n / (n * math.factorial(n)) for n in range(1, 100))
    return 2 * math.pi * sigma**2 * sum(terms)


@pytest.mark.parametrize("height", [2.0, 6.0, 10.0])
@pytest.mark.parametrize("side", [16, 32, 64])
def test_a_gaussian_is_pulled_to_the_middle_as_far_as_the_integral_says(
    height, side
):
    """N cells weigh 1, the Gaussian its integral: the joint lies the share N /
    (N + integral) of the way to the middle; debiased, on its place."""
    rows, columns = side, side * 3 // 2
    size, sigma = (4 * rows, 4 * columns), 2.0
    place = np.array([columns * 5 // 8, rows * 3 // 8])
    maps = gaussians.encode(np.tile(place, (1, 4, 1)), (rows, columns), sigma)
    maps = height * ops.convert_to_numpy(maps)[:, None]
    middle = (np.array([columns, rows]) - 1) / 2
    cells = rows * columns
    share = cells / (cells + below_a_gaussian(height, sigma))
    wanted = 4 * (place + share * (middle - place)) + 1.5
    for debias, expected in ((False, wanted), (True, 4 * place + 1.5)):
        codec = codecs.Expectation(DOG, size, debias=debias)
        points, _ = located(codec, codec.seen(maps))
        np.testing.assert_allclose(points[0], [expected] * 4, atol=0.1)


def test_a_map_without_a_peak_is_the_middle_also_when_debiased():
    for debias in (False, True):
        codec = codecs.Expectation(DOG, SIZE, debias=debias)
        points, scores = located(codec, codec.seen(np.zeros((1, 1, 8, 12, 4))))
        np.testing.assert_allclose(points, [[[47.5, 31.5]] * 4], atol=1e-4)
        np.testing.assert_allclose(scores, 25 / 96, rtol=1e-4)


def test_two_equal_peaks_meet_in_the_middle_between_them():
    """The trap of the paper: nobody is there."""
    codec = codecs.Expectation(DOG, SIZE)
    maps = np.zeros((1, 1, 16, 24, 4), "float32")
    maps[0, 0, 5, 3] = maps[0, 0, 9, 17] = 40
    points, scores = located(codec, codec.seen(maps))
    np.testing.assert_allclose(points, [[[41.5, 29.5]] * 4], atol=1e-3)
    np.testing.assert_allclose(scores, 0, atol=1e-4)


def test_coordinates_are_in_sides_of_the_box():
    codec = codecs.Coordinates(LSP, SIZE)
    corners = np.zeros((1, 14, 2))
    corners[0, 0], corners[0, 1] = (-0.5, -0.5), (95.5, 63.5)
    target, _ = codec.target(labels_of(corners), None)
    np.testing.assert_allclose(target[0, 0, :2], [[-0.5] * 2, [0.5] * 2])
    outputs = np.tile(np.float32([0.25, 0.0, 0.7]), (1, 1, 14, 1))
    seen = codec.seen(ops.convert_to_tensor(outputs))
    points, scores, occluded = codec.joints(seen)
    np.testing.assert_allclose(points[0, 0], [47.5 + 24, 31.5])
    np.testing.assert_allclose(scores, 0.7)
    assert occluded is None


@pytest.mark.parametrize(
    ("codec", "settings", "named"),
    [
        (codecs.Heatmaps, {"skeleton": "cat"}, "one of mpii, .* got 'cat'"),
        (codecs.Heatmaps, {"alignment": "middle"}, "center, corner, udp"),
        (codecs.Heatmaps, {"stride": 0}, "stride must be positive, got 0"),
        (codecs.Heatmaps, {"sigma": 0}, "sigma must be positive, got 0"),
        (codecs.Heatmaps, {"occluded_amplitude": 0.5}, "1, -1, got 0.5"),
        (
            codecs.Heatmaps,
            {"occluded_amplitude": -1, "logits": True},
            "-1 needs maps that can be negative",
        ),
        (codecs.Expectation, {"beta": 0}, "beta must be positive, got 0"),
        (codecs.Expectation, {"alignment": "left"}, "center, corner, udp"),
        (codecs.Expectation, {"background": "no"}, "one of cells, one, got"),
        (codecs.Coordinates, {"size": (0, 64)}, "height and width, got"),
    ],
)
def test_what_cannot_be_is_refused(codec, settings, named):
    with pytest.raises(ValueError, match=named):
        codec(**settings)


def test_outputs_of_another_number_of_joints_are_refused():
    codec = codecs.Heatmaps(DOG, 4, background=True)
    with pytest.raises(
        ValueError, match=r"expected 5 maps for the 4 .*24, 4\)"
    ):
        codec.target(labels_of(PLACES), np.zeros((1, 1, 16, 24, 4)))


def test_everybodys_gaussians_are_added_up_to_one():
    codec = codecs.Heatmaps(DOG, 4)
    near = PLACES + (6, 0)  # 1.5 cells
    labels = np.concatenate([labels_of(PLACES), labels_of(near)], axis=1)
    labels[0, 1, 2, 2] = 0  # the other's third joint is not labelled
    maps = np.zeros((1, 1, 16, 24, 4), "float32")
    alone, known = codec.target(labels[:, :1], maps)
    other, _ = codec.target(labels[:, 1:], maps)
    same, _ = codec.target(labels, maps)
    both, known_too = codec.target(labels, maps, everybody=True)
    alone, other, same, both = map(
        ops.convert_to_numpy, (alone, other, same, both)
    )
    np.testing.assert_array_equal(same, alone)
    np.testing.assert_allclose(both, np.minimum(alone + other, 1), atol=1e-6)
    assert (alone + other).max() > 1.1
    np.testing.assert_array_equal(both[..., 2], alone[..., 2])
    np.testing.assert_array_equal(
        *map(ops.convert_to_numpy, (known, known_too))
    )
