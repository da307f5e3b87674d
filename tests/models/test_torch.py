"""The hourglass computes what the same network computes in PyTorch."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.models.hourglass import stacked_hourglass

torch = pytest.importorskip("torch")


def test_two_stacks_give_the_maps_of_pytorch():
    from benchmarks import torch_hourglass

    torch.manual_seed(0)
    peer = torch_hourglass.StackedHourglass(16, joints=5).eval()
    images = keras.Input((64, 128, 3), dtype="uint8")
    model = keras.Model(images, stacked_hourglass(images, 5, filters=16))
    given = set()
    for name, module in torch_hourglass.layers(peer):
        if isinstance(module, torch.nn.BatchNorm2d):  # not what it begins with
            for value in (module.weight.data, module.running_var):
                value.uniform_(0.5, 2)
            for value in (module.bias.data, module.running_mean):
                value.normal_(0, 0.3)
        model.get_layer(name).set_weights(torch_hourglass.weights(module))
        given.add(name)
    assert given == {layer.name for layer in model.layers if layer.weights}
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 128, 3), "uint8")
    with torch.no_grad():
        channels_first = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        expected = peer(channels_first.float()).permute(1, 0, 3, 4, 2).numpy()
    for found, wanted in zip(model(pixels), expected, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(found), wanted, atol=1e-5
        )
        assert np.abs(wanted).max() > 0.5
