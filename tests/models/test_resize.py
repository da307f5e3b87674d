"""Resizing with aligned corners: by hand, and as Torch does it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.models.resize import AlignedResize, weights


def resized(x, size):
    return ops.convert_to_numpy(AlignedResize(size)(x))


def test_a_line_by_hand():
    """Cell i of 5 lies at i / 2 of 3, cell i of 3 at 3 i / 2 of 4."""
    np.testing.assert_allclose(
        weights(3, 5),
        [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]],
    )
    np.testing.assert_allclose(
        weights(4, 3), [[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]]
    )


def test_a_plane_stays_a_plane_and_the_corners_stay_in_place():
    """Values 6 y + x of 2 x 3 cells, with a channel of the opposite sign."""
    y, x = np.mgrid[:2, :3].astype("float32")
    plane = (6 * y + x)[None, :, :, None] * [1.0, -1.0]
    found = resized(plane, (4, 9))
    y, x = np.mgrid[:4, :9]
    wanted = 6 * (y / 3) + x / 4
    np.testing.assert_allclose(found[0, :, :, 0], wanted, atol=1e-5)
    np.testing.assert_array_equal(found[..., 0], -found[..., 1])


def test_every_picture_of_a_batch_is_resized_alone():
    x = np.random.default_rng(0).normal(size=(3, 2, 5, 4)).astype("float32")
    both = resized(x, (7, 6))
    for one, alone in zip(both, x, strict=True):
        wanted = resized(alone[None], (7, 6))[0]
        np.testing.assert_allclose(one, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 12), (3, 5), (13, 7), (1, 2)])
def test_it_is_torchs_with_aligned_corners(size):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")
    there = torch.from_numpy(x.transpose(0, 3, 1, 2))
    wanted = torch.nn.functional.interpolate(
        there, size, mode="bilinear", align_corners=True
    )
    wanted = wanted.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(resized(x, size), wanted, atol=1e-5)


def test_a_saved_layer_is_the_same_layer():
    layer = AlignedResize((4, 6), name="wider")
    inputs = keras.Input((2, 3, 5))
    assert layer(inputs).shape == (None, 4, 6, 5)
    other = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert other.get_config() == layer.get_config()
    assert other.size == (4, 6)


@pytest.mark.parametrize("size", [(0, 4), (4,), (2, 2, 2)])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(ValueError, match="size must be a positive height"):
        AlignedResize(size)
