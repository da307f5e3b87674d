"""AlexNet: the normalisation by hand, its sizes, and settings it refuses."""

import keras
import numpy as np
import pytest

from keras_pose.models import alexnet, cascade


def test_a_channel_is_divided_by_the_activity_beside_it():
    x = np.array([1.0, -2, 3, 0.5], "float32").reshape(1, 1, 1, 4)
    layer = alexnet.LocalResponseNorm(count=3, k=2.0, alpha=0.1, beta=0.75)
    sums = np.array([1 + 4, 1 + 4 + 9, 4 + 9 + 0.25, 9 + 0.25])
    expected = x[0, 0, 0] / (2 + 0.1 * sums) ** 0.75
    np.testing.assert_allclose(layer(x)[0, 0, 0], expected, rtol=1e-6)
    # pixels of 0 ... 1 instead of 0 ... 255: the same but for the scale
    large = alexnet.LocalResponseNorm(alpha=1e-4)(255 * x)
    np.testing.assert_allclose(
        alexnet.LocalResponseNorm()(x) * 255, large, rtol=1e-5
    )


def test_cells_of_the_paper():
    with keras.StatelessScope(initialize_variables=False):
        images = keras.Input((220, 220, 3), dtype="uint8")
        model = keras.Model(images, alexnet.alexnet(images, 14))
    sides = [
        model.get_layer(name).output.shape[1]
        for name in ("conv1", "conv1_pool", "conv2_pool", "conv5_pool")
    ]
    assert sides == [55, 27, 13, 6]
    assert model.output_shape == (None, 14, 2)
    keras.backend.clear_session()


@pytest.mark.parametrize(
    ("size", "settings", "named"),
    [
        ((63, 90), {}, "at least 64 x 64, got 63 x 90"),
        ((64, 64), {"norm": "none"}, "norm must be one of .*'none'"),
        ((64, 64), {"groups": 3}, "groups must be one of .*3"),
    ],
)
def test_what_makes_no_network_is_refused(size, settings, named):
    images = keras.Input((*size, 3), dtype="uint8")
    with pytest.raises(ValueError, match=named):
        alexnet.alexnet(images, 5, **settings)


def test_a_renamed_network_is_the_same_function():
    images = keras.Input((64, 96, 3), dtype="uint8")
    points = alexnet.alexnet(images, 3, width=1 / 32)
    again = cascade.renamed(images, points, "stage2")
    both = keras.Model(images, [points, again])  # names do not collide
    assert both.get_layer("stage2_conv1") is not both.get_layer("conv1")
    x = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), "uint8")
    one, two = both(x)
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert np.ptp(one) > 0
