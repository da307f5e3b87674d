"""The report's head: sizes by hand."""

import keras
import numpy as np
import pytest

from keras_pose.models.macs import macs, parameters
from keras_pose.models.resnet_fcn import fcn_head


def head(channels=8, joints=3, **settings):
    features = keras.Input((2, 3, channels))
    return keras.Model(features, fcn_head(features, joints, **settings))


def test_the_parameters_and_macs_by_hand():
    c, k, f, h = 8, 3, 6, 3
    model = head(c, k, filters=f)
    first = [c * h, 9 * h * h, h * f]  # 1x1, 3x3, 1x1
    later = [f * h, 9 * h * h, h * f]
    norms = 3 * 2 * (h + h + f) + 2 * 2 * f
    kernels = sum(first) + 2 * sum(later) + 2 * f * f + f * k
    assert parameters(model) == kernels + norms + k
    pixels = 2 * 3  # the first 1x1 of a block runs before the upsampling
    expected = 0
    for one, three, last in (first, later, later):
        expected += pixels * one + 4 * pixels * (three + last)
        pixels *= 4
    assert macs(model) == expected + pixels * (2 * f * f + f * k)


def test_on_resnet_50_it_has_a_tenth_of_the_parameters_of_the_deconvolutions():
    """By hand, 256 filters and 17 joints: 1.0 against 10.5 million."""
    first = 2048 * 128 + 9 * 128 * 128 + 128 * 256
    later = 256 * 128 + 9 * 128 * 128 + 128 * 256
    norms = 3 * 2 * (128 + 128 + 256) + 2 * 2 * 256
    expected = first + 2 * later + norms + 2 * 256**2 + 256 * 17 + 17
    assert parameters(head(2048, 17)) == expected == 1_007_889


@pytest.mark.parametrize("stride", [2, 4, 8, 16, 32])
def test_maps_have_the_output_stride(stride):
    model = head(output_stride=stride, filters=4)
    assert model.output.shape == (None, 64 // stride, 96 // stride, 3)


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_maps_are_as_smooth_as_the_last_upsampling(upsampling):
    """Repeated pixels, or a ramp between two of them."""
    layer = head(upsampling=upsampling).get_layer("block1_upsample")
    found = np.asarray(layer(np.array([0.0, 4.0]).reshape(1, 1, 2, 1)))
    ramp = {"nearest": [0, 0, 4, 4], "bilinear": [0, 1, 3, 4]}[upsampling]
    np.testing.assert_allclose(found[0, 0, :, 0], ramp)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {"output_stride": 3},
            "output_stride must be one of 2, 4, 8, 16, 32, got 3",
        ),
        ({"filters": 5}, "filters must be even, got 5"),
        ({"upsampling": "cubic"}, "upsampling must be one of .* got 'cubic'"),
    ],
)
def test_impossible_heads_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        head(**settings)
