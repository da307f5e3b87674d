"""The first stages may be taught all people, the others only the subject."""

import numpy as np
import pytest
from keras import losses as keras_losses
from keras import ops

from keras_pose.codecs import Heatmaps
from keras_pose.losses import HeatmapMSE
from keras_pose.skeletons import Skeleton

DOT = Skeleton("dot", ("dot",))


def test_each_stage_has_its_own_people():
    """Empty maps: the error is the sum of the squares of the target."""
    codec = Heatmaps(DOT, 1, sigma=0.3)  # hardly wider than a cell
    labels = np.zeros((1, 3, 1, 4), "float32")
    labels[0, :, 0] = [[2, 3, 2, 1], [9, 5, 2, 1], [12, 1, 0, 1]]
    maps = ops.zeros((1, 3, 8, 16, 1))
    one = (np.exp(-(np.arange(-8, 9) ** 2) / (2 * 0.3**2)) ** 2).sum() ** 2
    for everybody, people in ((0, [1, 1, 1]), (1, [2, 1, 1]), (2, [2, 2, 1])):
        loss = HeatmapMSE(codec, everybody=everybody)
        costs = loss.stage_costs(labels, maps)
        found = ops.convert_to_numpy(costs)[0, :, 0]
        np.testing.assert_allclose(found, np.array(people) * one / 2, rtol=1e-5)
        again = keras_losses.deserialize(keras_losses.serialize(loss))
        assert again.everybody == everybody
    for wrong in (-1, 4):
        loss = HeatmapMSE(codec, everybody=wrong)
        with pytest.raises(ValueError, match=f"be 0 to 3, .* got {wrong}"):
            loss.stage_costs(labels, maps)
