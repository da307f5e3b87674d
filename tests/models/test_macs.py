"""Multiply-accumulates by hand, layer by layer."""

import keras
import pytest
from keras import layers

from keras_pose.models.macs import macs, parameters


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3, padding="same"), 8 * 12 * 9 * 4 * 5),
        (layers.Conv2D(5, 3, 2, padding="same"), 4 * 6 * 9 * 4 * 5),
        (layers.Conv2D(6, 3, groups=2), 6 * 10 * 9 * 2 * 6),
        (layers.DepthwiseConv2D(3, 2, padding="same"), 4 * 6 * 9 * 4),
        # laid on 8 x 12 pixels, though it gives 16 x 24
        (layers.Conv2DTranspose(5, 4, 2), 8 * 12 * 16 * 4 * 5),
        (layers.Dense(7), 8 * 12 * 4 * 7),
        (layers.BatchNormalization(), 0),
        (layers.MaxPooling2D(), 0),
    ],
)
def test_a_layer_by_hand(layer, expected):
    images = keras.Input((8, 12, 4))
    assert macs(keras.Model(images, layer(images))) == expected


def test_dense_layers_on_vectors():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(7)])
    assert macs(model) == 4 * 7
    assert parameters(model) == 4 * 7 + 7


def test_a_layer_without_a_rule_is_named():
    images = keras.Input((8, 12, 4))
    x = layers.SeparableConv2D(3, 3, name="apart")(images)
    with pytest.raises(ValueError, match="apart .SeparableConv2D"):
        macs(keras.Model(images, x, name="other"))
