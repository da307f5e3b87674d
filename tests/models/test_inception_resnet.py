"""Inception-resnet blocks: parameters by hand, and what B halves."""

import math

import keras
import numpy as np
import pytest

from keras_pose.models.inception_resnet import (
    inception_resnet_a,
    inception_resnet_b,
)

BLOCKS = (inception_resnet_a, inception_resnet_b)


def network(block, size=(8, 12), channels=8, filters=8):
    x = keras.Input((*size, channels))
    return keras.Model(x, block(x, filters, "block"))


def parameters(channels, filters):
    """Figure 4: a norm has two per channel, a convolution a bias per map."""

    def convolution(a, b, kernel):
        return kernel * kernel * a * b + b

    a, h, q = channels, filters // 2, filters // 4
    short = convolution(a, h, 1) + 2 * h + convolution(h, h, 3)
    deep = convolution(a, q, 1) + 2 * (2 * q + convolution(q, q, 3))
    out = 2 * (h + q) + convolution(h + q, filters, 1)
    skip = convolution(a, filters, 1) if a != filters else 0
    return 2 * a + short + deep + out + skip


def test_the_parameters_of_the_papers_width_by_hand():
    short = 32_896 + 256 + 147_584  # 1x1, norm, 3x3
    deep = 16_448 + 2 * (128 + 36_928)
    out = 384 + 49_408
    assert parameters(256, 256) == 512 + short + deep + out == 321_600


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("channels", [8, 4])
def test_both_have_the_parameters_of_the_figure(block, channels):
    weights = network(block, channels=channels).trainable_weights
    assert sum(math.prod(w.shape) for w in weights) == parameters(channels, 8)


def reach(block):
    """(up, left, down, right): pixels around the middle that it looks at."""
    model = network(block, (32, 48))
    for weight in model.weights:  # all positive: no ReLU hides anything
        weight.assign(np.abs(weight) + 0.01)
    images = np.zeros((2, 32, 48, 8), "float32")
    images[1, 16, 24] = 1.0
    seen = np.asarray(model(images))
    rows, columns = np.nonzero(np.abs(seen[1] - seen[0]).sum(-1) > 1e-6)
    return (
        16 - rows.min(),
        24 - columns.min(),
        rows.max() - 16,
        columns.max() - 24,
    )


def test_a_looks_two_pixels_far_and_b_twice_as_far():
    # two 3x3 convolutions; in B each of their cells is two pixels wide
    assert reach(inception_resnet_a) == (2, 2, 2, 2)
    assert reach(inception_resnet_b) == (4, 4, 5, 5)


def test_b_needs_maps_that_can_be_halved():
    with pytest.raises(ValueError, match="inception_resnet_b.*got 8 x 5"):
        network(inception_resnet_b, (8, 5))
