"""Simple Baselines: the published size, sizes by hand, Torch's geometry."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.models.macs import parameters
from keras_pose.models.simple_baselines import (
    deconvolution_head,
    output_stride,
)


def head(channels=8, joints=3, **settings):
    features = keras.Input((2, 3, channels))
    return keras.Model(
        features, deconvolution_head(features, joints, **settings)
    )


@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("deconvolutions", [0, 2, 3])
def test_the_parameters_by_hand(kernel, deconvolutions):
    f, k = 6, 3
    model = head(8, k, deconvolutions=deconvolutions, filters=f, kernel=kernel)
    inputs = [8, f, f][:deconvolutions]
    expected = sum(kernel**2 * i * f + 2 * f for i in inputs)
    last = f if deconvolutions else 8
    assert parameters(model) == expected + last * k + k


@pytest.mark.parametrize(("deconvolutions", "stride"), [(2, 8), (3, 4)])
def test_every_deconvolution_doubles_the_maps(deconvolutions, stride):
    model = head(deconvolutions=deconvolutions, filters=4)
    assert output_stride(deconvolutions) == stride
    assert model.output.shape == (None, 64 // stride, 96 // stride, 3)


@pytest.mark.parametrize(
    ("kernel", "padding", "extra"), [(4, 1, 0), (3, 1, 1), (2, 0, 0)]
)
def test_a_deconvolution_lies_where_torchs_does(kernel, padding, extra):
    """Pixel i of the input goes to 2 i - padding + 0 ... kernel - 1."""
    model = head(1, 1, deconvolutions=1, filters=1, kernel=kernel)
    layer = model.get_layer("deconvolution1")
    weights = np.arange(1, kernel**2 + 1).reshape(kernel, kernel)
    layer.kernel.assign(weights[:, :, None, None])
    x = np.zeros((1, 2, 3, 1), "float32")
    y, u = 1, 1
    x[0, y, u] = 1.0
    before = model.get_layer("deconvolution1_norm").input
    found = keras.Model(model.input, before)(x)
    found = ops.convert_to_numpy(found)[0, :, :, 0]
    # Torch's size: 2 (n - 1) + kernel - 2 padding + output padding = 2 n
    assert [2 * (n - 1) + kernel - 2 * padding + extra for n in (2, 3)] == [
        *found.shape
    ]
    expected = np.zeros((8, 10))
    top, left = 2 * y - padding + 2, 2 * u - padding + 2
    expected[top : top + kernel, left : left + kernel] = weights
    np.testing.assert_array_equal(found, expected[2:6, 2:8])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"deconvolutions": 6}, "deconvolutions must be 0 to 5, got 6"),
        ({"filters": 0}, "filters"),
        ({"kernel": 5}, "kernel must be one of .* got 5"),
    ],
)
def test_impossible_heads_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        head(**settings)
