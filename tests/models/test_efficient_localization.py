"""Tompson et al.: local contrast, windows and both models, by hand."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose.models import efficient_localization as networks
from keras_pose.models import macs
from keras_pose.models.local_contrast import HalfSize, LocalContrast
from keras_pose.models.windows import (
    CutWindows,
    JointMaps,
    PlaceWindows,
    WindowConv2D,
    WindowCorners,
)

SIZE = (32, 48)


def images(seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, (2, *size, 3)).astype("float32")


def normalised(x):
    return ops.convert_to_numpy(LocalContrast()(x))


@pytest.mark.parametrize(
    ("side", "filters", "joints", "coarse", "fine"),
    [
        (256, 128, 14, (18_615_054, 41.19), (3_314_446, 23.82)),
        (256, 128, 16, (18_615_568, 41.20), (3_314_960, 27.23)),
        (128, 32, 14, (1_259_214, 0.77), (217_102, 1.60)),
    ],
)
def test_parameters_and_multiply_accumulates_by_hand(
    side, filters, joints, coarse, fine
):
    f, wide = filters, 4 * filters
    bank = 25 * 3 * f + f + 2 * (25 * f * f + f) + 81 * f * wide + wide
    head = (wide + 1) * 256 + 257 * 256 + 257 * joints
    windows = 4 * 2 * (25 * f * f + f) + (f + 1) * 256 + 257 * joints
    assert (3 * bank + head, windows) == (coarse[0], fine[0])
    cells = 16 * 25 * 3 * f + 4 * 25 * f**2 + 25 * f**2 + 81 * f * wide
    cells = cells * (1 + 1 / 4 + 1 / 16) + (wide + 256 + joints) * 256
    coarse_macs = cells * (side // 4) ** 2
    cells = 36**2 + 2 * 18**2 + 9**2  # of the windows of 72 pixels
    fine_macs = joints * (cells * 2 * 25 * f * f + 36**2 * (f + 1) * 256)
    assert coarse_macs / 1e9 == pytest.approx(coarse[1], abs=6e-3)
    assert fine_macs / 1e9 == pytest.approx(fine[1], abs=6e-3)
    size = (side, side)
    with keras.StatelessScope(initialize_variables=False):
        pictures = keras.Input((*size, 3), dtype="uint8")
        maps, features = networks.coarse_model(
            pictures, joints, filters=filters
        )
        placed = networks.fine_model(maps, features, size, filters=filters)
        models = (
            keras.Model(pictures, maps),
            keras.Model([maps, *features.values()], placed),
        )
    keras.backend.clear_session()
    assert [macs.parameters(m) for m in models] == [coarse[0], fine[0]]
    assert [macs.macs(m) for m in models] == [coarse_macs, fine_macs]


def test_a_picture_without_contrast_is_0():
    gray = np.full((1, *SIZE, 3), 0.7, "float32")
    np.testing.assert_allclose(normalised(gray), 0, atol=5e-3)


def test_contrast_and_brightness_do_not_matter():
    x = images()
    expected = normalised(x)
    assert 0.3 < expected.std() < 3
    np.testing.assert_allclose(normalised(0.1 * x + 5), expected, atol=1e-3)


def test_a_step_edge_by_hand():
    """Sums over the window of each pixel, at a border and at a corner, too."""
    x = np.zeros((1, *SIZE, 3), "float32")
    x[:, :, 20:] = 1.0
    x[:, :, 20:, 2] = 0.4
    found = normalised(x)[0]

    def mean(values, row, column):
        total = weights = 0.0
        for i in range(max(row - 4, 0), min(row + 5, SIZE[0])):
            for j in range(max(column - 4, 0), min(column + 5, SIZE[1])):
                apart = (i - row) ** 2 + (j - column) ** 2
                weight = np.exp(-apart / (2 * 2.25**2))
                total += weight * values[i, j].mean()
                weights += weight
        return total / weights

    places = [(r, c) for r in range(SIZE[0]) for c in range(SIZE[1])]
    means = np.array([mean(x[0], *p) for p in places]).reshape(*SIZE, 1)
    v = x[0] - means
    s = np.sqrt([mean(v**2, *p) for p in places]).reshape(*SIZE, 1)
    expected = v / np.maximum(np.maximum(s, s.mean()), 1e-4)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found[10, 20, 0] > 1 > -0.5 > found[10, 19, 0]


def test_half_a_picture_lies_between_its_pixels():
    x = images()
    half = ops.convert_to_numpy(HalfSize()(x))
    assert half.shape == (2, 16, 24, 3)
    line = np.array([1, 3, 3, 1]) / 8
    by_hand = np.einsum("i,j,bijc->bc", line, line, x[:, 5:9, 11:15])
    np.testing.assert_allclose(half[:, 3, 6], by_hand, atol=1e-6)
    flipped = ops.convert_to_numpy(HalfSize()(x[:, :, ::-1].copy()))
    np.testing.assert_allclose(flipped[:, :, ::-1], half, atol=1e-6)
    np.testing.assert_allclose(HalfSize()(np.ones_like(x)), 1, atol=1e-6)


def peaks(*cells, size=(8, 12)):
    maps = np.zeros((1, *size, len(cells)), "float32")
    for joint, (x, y) in enumerate(cells):
        maps[0, y, x, joint] = 0.5 + joint
    return maps


def test_a_window_lies_around_the_peak_on_the_nearest_common_cell():
    """Of 24 pixels: a peak in cell 5 lies on pixel 21.5, its window begins at
    10, nearest to 8; one in cell 6, on pixel 25.5, at 16 (14)."""
    corners, heights = WindowCorners(24, 4)(peaks((5, 6), (0, 7), (11, 0)))
    np.testing.assert_array_equal(corners[0], [[1, 2], [-1, 2], [4, -1]])
    np.testing.assert_array_equal(heights[0], [0.5, 1.5, 2.5])


def test_windows_are_cut_and_0_outside_of_the_picture():
    features = np.arange(1, 8 * 12 * 2 + 1, dtype="float32")
    features = np.stack([features, features + 1000]).reshape(2, 8, 12, 2)
    corners = np.array([[[1, 1], [-1, -1]], [[2, 0], [1, 0]]], "int32")
    cut = ops.convert_to_numpy(CutWindows(16, 4)(features, corners))
    assert cut.shape == (2, 2, 4, 4, 2)
    np.testing.assert_array_equal(cut[0, 0], features[0, 2:6, 2:6])
    np.testing.assert_array_equal(cut[0, 1, 2:, 2:], features[0, :2, :2])
    assert not cut[0, 1, :2].any() and not cut[0, 1, :, :2].any()
    np.testing.assert_array_equal(cut[1, 0], features[1, :4, 4:8])


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_all_features_are_cut_at_the_same_pixels(stride):
    """With cells of 16 pixels: a peak on pixel 7.5 has its window of 72 from
    -24, all of this small picture, one on 39.5 from 8: 5/6 of the columns."""
    features = np.ones((1, 32 // stride, 48 // stride, 1), "float32")
    maps = peaks((0, 0), (2, 0), (0, 1), (2, 1), size=(2, 3))
    corners, _ = WindowCorners(72, 16)(maps)
    cut = ops.convert_to_numpy(CutWindows(72, stride)(features, corners))
    assert cut.shape == (1, 4, 72 // stride, 72 // stride, 1)
    shares = cut.sum(axis=(2, 3, 4))[0] / features.sum()
    np.testing.assert_allclose(shares, [1, 5 / 6, 1, 5 / 6], atol=1e-6)


def test_fine_maps_are_placed_where_their_windows_are():
    maps = np.random.default_rng(0).normal(size=(1, 8, 8, 2)).astype("float32")
    corners = np.array([[[1, 0], [5, 3]]], "int32")
    heights = np.array([[0.5, -3.0]], "float32")
    placed = ops.convert_to_numpy(PlaceWindows(SIZE)(maps, corners, heights))
    assert placed.shape == (1, 16, 24, 4)
    expected = np.zeros((16, 24, 4), "float32")
    expected[:8, 4:12, 0] = maps[0, ..., 0]
    expected[12:, 20:, 1] = maps[0, :4, :4, 1]
    expected[:8, 4:12, 2] = 0.5
    expected[12:, 20:, 3] = 1e-3  # a window counts although its peak is low
    np.testing.assert_allclose(placed[0], expected, atol=1e-6)


def test_one_convolution_for_the_windows_of_all_joints():
    x = images().reshape(2, 4, 8, 48, 3)
    one = layers.Conv2D(5, 3, padding="same", activation="relu")
    shared = WindowConv2D(5, 3, padding="same", activation="relu")
    one.build((None, 8, 48, 3))
    shared.build(x.shape)
    shared.set_weights(one.get_weights())
    found = ops.convert_to_numpy(shared(x))
    assert found.shape == (2, 4, 8, 48, 5)
    np.testing.assert_allclose(found[1, 2], one(x[1, 2:3])[0], atol=1e-5)


def test_each_joint_has_a_1x1_convolution_of_its_own():
    x = images().reshape(2, 4, 8, 48, 3)
    layer = JointMaps()
    layer.build(x.shape)
    kernel = np.random.default_rng(1).normal(size=(4, 3))
    layer.set_weights([kernel, np.arange(4.0)])
    found = ops.convert_to_numpy(layer(x))
    expected = np.stack([x[:, k] @ kernel[k] + k for k in range(4)], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture(scope="module")
def small():
    """Both models with windows of 16 pixels: (images, coarse maps, features,
    fine maps) -> a model of all outputs."""
    keras.utils.set_random_seed(0)
    pictures = keras.Input((*SIZE, 3), dtype="uint8")
    maps, features = networks.coarse_model(pictures, 3, filters=4)
    placed = networks.fine_model(maps, features, SIZE, window=16, filters=4)
    return keras.Model(pictures, [maps, *features.values(), placed])


def test_shapes_of_both_models(small):
    maps, *features, placed = small.output_shape
    assert maps == (None, 8, 12, 3)
    assert [f[1:3] for f in features] == [(16, 24), (8, 12), (8, 12), (4, 6)]
    assert placed == (None, 16, 24, 6)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="uses its gradients"
)
def test_the_fine_error_reaches_features_and_not_the_coarse_maps(small):
    import tensorflow as tf

    pixels = (255 * images()).astype("uint8")
    with tf.GradientTape() as tape:
        *_, placed = small(pixels)
        loss = ops.sum(ops.square(placed[..., :3]))
        loss = loss + ops.sum(placed[..., 3:])  # the weights have none
    variables = small.trainable_variables
    gradients = tape.gradient(loss, variables)
    reached = {
        v.path.split("/")[0]
        for v, g in zip(variables, gradients, strict=True)
        if g is not None and np.any(g)
    }
    features = {f"bank{level}_{layer}" for level in (0, 1) for layer in (0, 1)}
    fine = {v.path.split("/")[0] for v in variables if v.path[:4] == "fine"}
    assert reached == features | fine


@pytest.mark.parametrize(
    ("dropout", "shares"),
    [("none", None), ("standard", False), ("spatial", True)],
)
def test_spatial_dropout_drops_whole_channels(dropout, shares):
    pictures = keras.Input((*SIZE, 3), dtype="uint8")
    maps, _ = networks.coarse_model(pictures, 3, filters=4, dropout=dropout)
    model = keras.Model(pictures, maps)
    dropped = [x for x in model.layers if "Dropout" in type(x).__name__]
    assert len(dropped) == (0 if dropout == "none" else 3)
    for layer in dropped:
        x = layer(np.ones((2, 8, 12, 16), "float32"), training=True)
        x = ops.convert_to_numpy(x)
        kept = (x == 2).mean(axis=(1, 2))
        assert set(np.unique(x)) == {0, 2}
        assert set(np.unique(kept)) == {0, 1} if shares else 0 < kept.min()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": 5}, "pooling must be one of 4, 8, 16, got 5"),
        ({"pooling": 8}, r"divisible by 32 .*pooling is 8\), got 48 x 32"),
        ({"dropout": "some"}, "dropout must be one of none, standard, spatial"),
        ({"rate": 1.0}, "rate must be 0 to below 1, got 1.0"),
        ({"filters": 0}, "filters must be at least 1, got 0"),
    ],
)
def test_settings_that_make_no_coarse_model(settings, message):
    pictures = keras.Input((48, 32, 3), dtype="uint8")
    with pytest.raises(ValueError, match=message):
        networks.coarse_model(pictures, 3, **settings)


@pytest.mark.parametrize("window", [0, 36, -8])
def test_a_window_that_is_no_multiple_of_the_coarsest_cell(window):
    message = f"window must be divisible by 8 pixels, .*, got {window}"
    with pytest.raises(ValueError, match=message):
        WindowCorners(window)


@pytest.mark.parametrize("pooling", [8, 16])
def test_more_pooling_adds_convolutions_and_keeps_the_windows(pooling):
    size = (64, 128)
    pictures = keras.Input((*size, 3), dtype="uint8")
    maps, features = networks.coarse_model(
        pictures, 3, pooling=pooling, filters=4
    )
    assert maps.shape[1:] == (size[0] // pooling, size[1] // pooling, 3)
    assert [stride for _, stride in features] == [2, 4, 4, 8]
    model = keras.Model(pictures, maps)
    names = [x.name for x in model.layers if isinstance(x, layers.Conv2D)]
    fives = {8: 4, 16: 5}[pooling]
    assert len(names) == 3 * (fives + 1) + 3
