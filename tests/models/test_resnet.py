"""The backbone: torchvision's size, and the function of Keras' weights."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.models import resnet
from keras_pose.models.macs import parameters

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Per stage (He et al., table 1)."""


def backbone(depth=50, size=(64, 96), **settings):
    images = keras.Input((*size, 3), dtype="uint8")
    settings = {"weights": "none"} | settings
    return keras.Model(
        images, resnet.resnet_features(images, depth, **settings)
    )


def by_hand(depth, bias):
    """Kernels, two numbers of normalisation a channel, and maybe a bias."""

    def layer(inputs, outputs, kernel):
        return outputs * (kernel**2 * inputs + 2 + bias)

    total, inputs = layer(3, 64, 7), 64
    for width, blocks in zip((64, 128, 256, 512), BLOCKS[depth], strict=True):
        total += layer(inputs, 4 * width, 1)  # the shortcut of the first
        for _ in range(blocks):
            total += layer(inputs, width, 1) + layer(width, width, 3)
            total += layer(width, 4 * width, 1)
            inputs = 4 * width
    return total


def randomise(model):
    """Weights as after a training: no bias is zero, no variance one."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        values = rng.uniform(0.5, 1.5, weight.shape)
        if weight.name == "kernel":
            values = rng.normal(
                0, math.prod(weight.shape[:3]) ** -0.5, weight.shape
            )
        weight.assign(values)


@pytest.mark.parametrize(
    ("depth", "torchvision", "biases"),
    # torchvision's published counts less 1000 * (2048 + 1) of the classifier
    [
        (50, 25_557_032 - 2_049_000, 26_560),
        (101, 44_549_160 - 2_049_000, 52_672),
        (152, 60_192_808 - 2_049_000, 75_712),
    ],
)
def test_keras_counts_the_biases_torchvision_does_without(
    depth, torchvision, biases, without_values
):
    assert by_hand(depth, bias=0) == torchvision
    assert by_hand(depth, bias=1) - torchvision == biases
    if depth == 50:  # the others take long to build
        with without_values():
            library = resnet.DEPTHS[depth](include_top=False, weights=None)
            assert parameters(library) == by_hand(depth, bias=1)
            assert parameters(backbone(depth)) == torchvision


def test_the_form_follows_the_weights(without_values):
    """3x3 convolutions halve as in torchvision, each with its own norm."""
    with without_values():
        model = backbone(width=1 / 64)
    strided = {
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.strides == (2, 2)
    }
    assert strided == {"conv1_conv"} | {
        f"conv{stage}_block1_{part}_conv"
        for stage in (3, 4, 5)
        for part in (0, 2)  # the shortcut and the 3x3
    }
    for name in strided:
        norm = model.get_layer(name.removesuffix("conv") + "bn")
        assert norm.input is model.get_layer(name).output
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


def test_a_halving_3x3_is_centred_as_torchs():
    """Padding 1 on both sides: output cell i has its centre on pixel 2 i."""
    model = backbone(width=1 / 64)
    pad, convolution = (
        model.get_layer(name)
        for name in ("conv3_block1_2_conv_pad", "conv3_block1_2_conv")
    )
    x = np.zeros((1, 8, 12, 2), "float32")
    x[0, 4, 6] = 1.0
    kernel = np.zeros(convolution.kernel.shape)
    kernel[1, 1, 0, 0] = 1.0
    convolution.kernel.assign(kernel)
    found = ops.convert_to_numpy(convolution(pad(x)))[0, :, :, 0]
    assert found.shape == (4, 6)
    assert np.argwhere(found).tolist() == [[2, 3]]


def test_pixels_are_normalised_as_the_weights_want():
    pixels = np.array([[[[255, 0, 51]]]], "uint8")
    scaled = backbone(width=1 / 64).get_layer("scale")(pixels)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(scaled[0, 0, 0], expected, rtol=1e-5)


def test_weights_of_the_library_give_the_library_s_features(tmp_path):
    """Without its biases, its epsilon and its BGR: the same function."""
    library = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(64, 96, 3)
    )
    randomise(library)
    file = tmp_path / "resnet50_notop.weights.h5"
    library.save_weights(file)
    ours = backbone(weights=file)
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), "uint8")
    prepared = keras.applications.resnet.preprocess_input(
        images.astype("float32")
    )
    expected = ops.convert_to_numpy(library(prepared))
    assert expected.std() > 0.01
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(images)),
        expected,
        atol=1e-4 * expected.max(),
    )
    assert all(layer.trainable for layer in ours.layers)


def test_a_failed_download_names_the_file_the_place_and_the_flag(monkeypatch):
    def offline(**_):
        raise Exception("URL fetch failure on https://x: None -- no network")

    monkeypatch.setitem(resnet.DEPTHS, 101, offline)
    with pytest.raises(OSError) as caught:
        backbone(101, weights="imagenet")
    said = str(caught.value)
    assert "\n" not in said and "(no network)" in said
    for part in (
        "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
        "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "~/.keras/models",
        "--weights PATH",
        "--weights none",
    ):
        assert part in said


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="resnet50_w.*got imagnet"):
        backbone(weights="imagnet")
    file = tmp_path / "other.h5"
    file.write_text("no weights")
    with pytest.raises(ValueError, match="other.h5 has no weights") as caught:
        backbone(weights=file)
    assert "\n" not in str(caught.value)


def test_a_narrow_one_has_all_layers_with_fewer_channels(without_values):
    """A quarter of the channels: a sixteenth of the kernels but the first."""
    with without_values():
        wide, narrow = backbone(), backbone(width=0.25)
    names = [layer.name for layer in wide.layers[1:]]
    assert [layer.name for layer in narrow.layers[1:]] == names
    assert narrow.output.shape == (None, 2, 3, 512)
    norms = by_hand(50, bias=1) - by_hand(50, bias=0)  # one number a channel
    kernels = by_hand(50, bias=0) - 2 * norms - 7 * 7 * 3 * 64
    expected = kernels / 16 + norms / 2 + 7 * 7 * 3 * 16
    assert parameters(narrow) == expected


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"size": (64, 100)}, "divisible by 32, got 64 x 100"),
        ({"depth": 18}, "50, 101, 152, got 18"),
        ({"width": 0.3}, "width"),
        ({"width": 0.5, "weights": "imagenet"}, "--weights none"),
    ],
)
def test_impossible_settings_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        backbone(**settings)
