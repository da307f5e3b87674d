"""ResNet-50, 101 and 152 of keras.applications, as backbones of heatmap models.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition",
CVPR 2016, https://arxiv.org/abs/1512.03385

Pose papers were trained with another graph than the library's:

                          keras.applications    torchvision, pose papers
    halving of a stage    first 1x1             the 3x3 ("ResNet v1.5")
    convolutions          with bias             without
    batch normalisation   0.99, 1.001e-5        momentum 0.9, epsilon 1e-5
    pixels                BGR, less the mean    RGB, less the mean, / deviation

The biases are 26,560 / 52,672 / 75,712 trainable numbers (6 f per block of
width f, 4 f more in the first block of a stage, 64 in the stem) without effect:
the normalisation after each convolution removes them. The position of the
stride does not change the parameters, but three 3x3 convolutions then see four
times the pixels, and the function differs: weights of one form are wrong in the
other.

So the graph is cloned from keras.applications without biases and with the
constants of the right column; the weights decide the rest:

    "none"      exactly the right column: the form of published pose weights,
                and the better network
    "imagenet"  stride and pixels of the left column, which these weights were
    or a file   trained with. Biases are folded into the means of the
                normalisation, the difference of the epsilons into its
                variances, BGR into the order of the first kernel: the same
                function as the library's model.

All weights are trained, none is frozen. Every downsampling layer has its own
batch normalisation: the stem's convolution, and in the first block of a stage
both the strided convolution and the 1x1 that downsamples the shortcut.
"""

import re

import keras
from keras import initializers, layers
from keras.applications import resnet

from keras_pose import choices
from keras_pose.models import pretrained
from keras_pose.models.normalization import (
    EPSILON,
    MOMENTUM,
    BatchNormalization,
)

DEPTHS = {50: resnet.ResNet50, 101: resnet.ResNet101, 152: resnet.ResNet152}
STRIDE = 32
"""Input pixels per cell of the features."""
STEM = "conv1_conv"
BLOCK = r"conv[2-5]_block\d+_out"
"""Layers that make the features of a block."""
MEAN = (123.68, 116.779, 103.939)
"""Mean R, G, B of ImageNet that keras.applications (and Caffe) subtract."""
TORCH_MEAN, TORCH_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's R, G, B / 255, as in torchvision."""


def resnet_features(images, depth=50, **settings):
    """The network up to its last block: the last of `resnet_stages`.

    (B, H, W, 3) uint8 RGB -> (B, H / 32, W / 32, 2048 * width) features.
    """
    return resnet_stages(images, depth, **settings)[-1]


def resnet_stages(
    images,
    depth=50,
    *,
    weights="imagenet",
    width=1.0,
    pixels=None,
):
    """The features of all stages, of stride 4 to 32.

    Args:
        images: (B, H, W, 3) uint8 RGB; H and W divisible by 32.
        depth: 50, 101 or 152.
        weights: "none", "imagenet", or a file of keras.applications' weights
            without the top, see the module's docstring.
        width: factor on the channels of every convolution, ours, for machines
            without a GPU; only with weights "none".
        pixels: another layer from RGB bytes to what the network sees; with
            other weights than "none" it is not used.

    Returns:
        list of (B, H / 4, W / 4, 256 * width) to (B, H / 32, W / 32,
        2048 * width) features, each stage half as fine as the one before and
        twice as wide.

    Raises:
        ValueError: an invalid size, depth, width or file.
        OSError: the weights are missing and cannot be downloaded.
    """
    height, columns = images.shape[1:3]
    if not height or not columns or height % STRIDE or columns % STRIDE:
        raise ValueError(
            f"image size must be divisible by {STRIDE}, "
            f"got {height} x {columns}"
        )
    choices.check("depth", depth, DEPTHS)
    if not width > 0 or 64 * width % 1:
        raise ValueError(
            f"width must make a whole number of 64 channels, got {width}"
        )
    trained = str(weights) != "none"
    if trained and width != 1:
        raise ValueError(
            f"weights {weights} need width 1, got {width}: use --weights none"
        )
    name = f"ResNet-{depth}"
    source = pretrained.load(DEPTHS[depth], name, weights, "resnet")
    pixels = caffe_pixels() if trained else pixels or torch_pixels()
    clone = _clone(source, images, width, pixels, strided_3x3=not trained)
    if trained:
        for layer in clone.layers:
            if layer.weights:
                layer.set_weights(_translated(source, layer))
    blocks = [x for x in clone.layers if re.fullmatch(BLOCK, x.name)]
    last = {layer.name[:5]: layer.output for layer in blocks}
    return list(last.values())


def _clone(source, images, width, pixels, strided_3x3):
    """The graph applied to `images`, without biases, with Torch's constants.

    keras.applications offers neither option, but cloning may change each layer;
    layers keep their names, conv1_conv to conv5_block3_3_bn.
    """
    strided = {
        layer.name
        for layer in source.layers
        if layer.name.endswith("_1_conv") and layer.strides == (2, 2)
    }
    moved = {name.replace("_1_conv", "_2_conv") for name in strided}

    def change(layer):
        config = layer.get_config()
        if isinstance(layer, layers.Conv2D):
            config["use_bias"] = False
            config["filters"] = int(config["filters"] * width)
            config["kernel_initializer"] = _initial()
            if strided_3x3 and layer.name in strided:
                config["strides"] = 1
            if strided_3x3 and layer.name in moved:
                config |= {"strides": 2, "padding": "valid"}
        if isinstance(layer, layers.BatchNormalization):
            config |= {"momentum": MOMENTUM, "epsilon": EPSILON}
            return BatchNormalization.from_config(config)
        return type(layer).from_config(config)

    def call(layer, x, **settings):  # training and mask
        if layer.name == "conv1_pad":
            x = pixels(x)
        if strided_3x3 and layer.name in moved:  # "same" pads one side
            x = layers.ZeroPadding2D(1, name=f"{layer.name}_pad")(x)
        return layer(x, **settings)

    return keras.models.clone_model(
        source, images, clone_function=change, call_function=call
    )


def _initial():
    """Initial values of torchvision's ResNet: He's with fan_out."""
    return initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def caffe_pixels():
    """The layer from RGB bytes to what keras.applications' weights expect."""
    return layers.Rescaling(1.0, [-m for m in MEAN], name="scale")


def torch_pixels(bgr=False):
    """The layer from RGB bytes to what torchvision's networks see.

    `bgr`: with the constants of R and B exchanged, as code has them that reads
    B, G, R.
    """
    step = -1 if bgr else 1
    means, deviations = TORCH_MEAN[::step], TORCH_DEVIATION[::step]
    return layers.Rescaling(
        [1 / (255 * d) for d in deviations],
        [-m / d for m, d in zip(means, deviations, strict=True)],
        name="scale",
    )


def _translated(source, layer):
    """The weights of the source's layer of the same name, for our layer."""
    original = source.get_layer(layer.name)
    if isinstance(layer, layers.Conv2D):
        kernel = original.get_weights()[0]
        # the input is RGB, the weights expect BGR
        return [kernel[:, :, ::-1] if layer.name == STEM else kernel]
    scale, offset, mean, variance = original.get_weights()
    convolution = source.get_layer(layer.name.removesuffix("bn") + "conv")
    mean = mean - convolution.get_weights()[1]
    return [scale, offset, mean, variance + original.epsilon - layer.epsilon]
