"""A volume seen from the front has the same joints."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import Expectation
from keras_pose.models.volumes import OverDepth

RNG = np.random.default_rng(0)


def test_the_softmax_of_the_map_is_that_of_the_volume_summed_over_depth():
    volume = RNG.normal(0, 3, (2, 5, 7, 3 * 4)).astype("float32")
    found = OverDepth(3)(volume)
    assert tuple(found.shape) == (2, 5, 7, 3)
    codec = Expectation(skeleton="lsp", size=(20, 28))
    flat = np.exp(volume.astype("float64")).reshape(2, 5, 7, 3, 4)
    wanted = flat.sum(-1) / flat.sum((1, 2, 4))[:, None, None]
    shares = ops.convert_to_numpy(codec.probabilities(found))
    np.testing.assert_allclose(shares, wanted, rtol=1e-4)


def test_large_values_stay_finite():
    volume = np.full((1, 2, 2, 6), 500.0, "float32")
    found = ops.convert_to_numpy(OverDepth(2)(volume))
    np.testing.assert_allclose(found, 500 + np.log(3), rtol=1e-6)


@pytest.mark.parametrize("joints", [0, 5, -2])
def test_channels_of_other_joints_are_refused(joints):
    with pytest.raises(ValueError, match=f"multiple of the {joints} joints"):
        OverDepth(joints)(np.zeros((1, 2, 2, 12), "float32"))


def test_it_is_saved(tmp_path):
    images = keras.Input((4, 6, 12))
    model = keras.Model(images, OverDepth(3)(images))
    assert model.output_shape == (None, 4, 6, 3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = RNG.normal(size=(2, 4, 6, 12)).astype("float32")
    np.testing.assert_array_equal(model(x), again(x))
