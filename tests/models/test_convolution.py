"""Convolutions pad as Torch does and begin with its values."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.models.convolution import convolution


def built(size, kernel, strides, filters=1, channels=1):
    images = keras.Input((*size, channels))
    model = keras.Model(
        images, convolution(images, filters, kernel, "c", strides)
    )
    return model, model.get_layer("c")


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("strides", [1, 2])
def test_every_side_is_padded_by_half_the_kernel(kernel, strides):
    """Output (i, j) is the kernel laid with its middle on pixel (2 i, 2 j)."""
    model, layer = built((8, 12), kernel, strides)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 12)).astype("float32")
    weights = rng.normal(size=(kernel, kernel)).astype("float32")
    layer.set_weights([weights[..., None, None], np.array([0.5])])
    padded = np.pad(x, kernel // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape)
    expected = np.einsum("yxij,ij->yx", windows, weights) + 0.5
    found = ops.convert_to_numpy(model(x[None, ..., None]))[0, ..., 0]
    assert found.shape == (8 // strides, 12 // strides)
    np.testing.assert_allclose(
        found, expected[::strides, ::strides], rtol=1e-4, atol=1e-4
    )


def test_first_values_are_uniform_in_one_over_the_root_of_the_inputs():
    _, layer = built((8, 12), 3, 1, filters=64, channels=16)
    limit = 1 / np.sqrt(9 * 16)
    for weight in layer.weights:
        values = ops.convert_to_numpy(weight)
        assert np.abs(values).max() <= limit
        # a uniform distribution's deviation; 5 deviations of the estimate
        error = 5 * 0.45 / np.sqrt(values.size)
        assert values.std() == pytest.approx(limit / np.sqrt(3), rel=error)
