"""OpenPose: maps of joints and part affinity fields, refined stage by stage.

Z. Cao, T. Simon, S.-E. Wei, Y. Sheikh, "Realtime Multi-Person 2D Pose
Estimation using Part Affinity Fields", CVPR 2017,
https://arxiv.org/abs/1611.08050; G. Hidalgo is the fifth author of the journal
version, TPAMI 2019, https://arxiv.org/abs/1812.08008. In maps of stride 8, with
f = 128, and ReLU after each convolution but the last of a branch:

    image -> VGG-19's first ten convolutions -> 3x3 2f -> 3x3 f = features
    stage 1: features -> 3 x (3x3 f) -> 1x1 4f -> 1x1, for fields and for maps
    stage t: (fields, maps, features) -> 5 x (7x7 f) -> 1x1 f -> 1x1, likewise

The network BODY_25 (`chained`) has four stages of fields and then two of maps.
Each 7x7 is a chain of three 3x3, whose outputs are joined; from the tenth
convolution of VGG on, ReLU has a slope for each channel below 0. The sizes are
those of the released prototxt.

Pixels. The authors feed B, G, R / 256 - 0.5. Here they are R, G, B: without
weights it makes no difference, and published ones are turned when they are
imported (`torch_weights`). With ImageNet's weights for VGG-19
they are (R, G, B - ImageNet's mean) / 256, and VGG's biases are divided by 256:
the features are exactly those of keras.applications / 256.
"""

from keras import applications, initializers, layers

from keras_pose import choices
from keras_pose.models import pretrained, resnet

BLOCKS = ((2, 1), (2, 2), (4, 4), (2, 8))
"""Convolutions of each block of VGG-19, and their filters / 64; a pooling
follows each but the last."""
STRIDES = (4, 8)
SCALE = 256
"""Divisor of the pixels."""
DEVIATION = 0.01
"""Of the initial kernels, which are normal."""
SLOPE = 0.25
"""Initial slope below 0 (Caffe's)."""
CHAIN = ((96, 256), (128, 512))
"""Filters of the 3x3 and of the 1x1 convolutions of BODY_25, in the first stage
of a branch and in later ones."""


def openpose(
    images,
    parts,
    limbs,
    *,
    stages=6,
    filters=128,
    stride=8,
    weights="none",
    pixels=None,
):
    """The network of the CVPR paper, supervised after each stage.

    Args:
        images: (B, H, W, 3) uint8 RGB; H and W divisible by the stride.
        parts: J, number of maps without the background.
        limbs: L, number of fields.
        stages: number of stages.
        filters: f above.
        stride: 8; 4 leaves out the third pooling (ours).
        weights: of VGG-19: "none", "imagenet", or a file of
            keras.applications' weights without the top.
        pixels: the layer from bytes to what VGG-19 sees; by default that of
            `weights`, see above.

    Returns:
        list of `stages` outputs (B, H / stride, W / stride, J + 1 + 2 L), see
        `codecs.Fields`.

    Raises:
        ValueError: an invalid size, number or file.
        OSError: the weights are missing and cannot be downloaded.
    """
    check(images.shape[1:3], stages, filters, stride, weights)
    features = _front(images, filters, stride, weights, pixels=pixels)
    channels = {"fields": 2 * limbs, "maps": parts + 1}
    outputs, x = [], features
    for stage in range(1, stages + 1):
        found = {}
        for branch, number in channels.items():
            name = f"stage{stage}_{branch}"
            count, kernel = (5, 7) if stage > 1 else (3, 3)
            y = x
            for part in range(1, count + 1):
                y = _convolve(y, filters, kernel, f"{name}_{part}")
            wide = filters if stage > 1 else 4 * filters
            y = _convolve(y, wide, 1, f"{name}_{count + 1}")
            found[branch] = _read(y, number, name)
        outputs.append(joined(found["maps"], found["fields"], stage))
        if stage < stages:
            x = layers.Concatenate(name=f"stage{stage + 1}_input")(
                [found["fields"], found["maps"], features]
            )
    return outputs


def chained(images, parts, limbs, *, field_stages=4, map_stages=2):
    """The network BODY_25: stages of fields, then stages of maps.

    Args:
        images, parts, limbs: as of `openpose`; H and W divisible by 8.
        field_stages, map_stages: number of each.

    Returns:
        list of outputs as of `openpose`, one for each stage of fields. Those
        without maps of their own, the first ones, have maps of 0: the loss has
        to leave them out (`losses.FieldsMSE`, `without_maps`).
    """
    if not 0 < map_stages <= field_stages:
        raise ValueError(
            "map_stages must be 1 to the number of stages of fields, "
            f"{field_stages}, got {map_stages}"
        )
    check(images.shape[1:3], field_stages, 128, 8, "none")
    features = _front(images, 128, 8, "none", slopes=True)
    fields, maps, x = [], [], features
    for stage in range(1, field_stages + 1):
        fields.append(_chain_stage(x, 2 * limbs, "fields", stage))
        if stage < field_stages:
            x = layers.Concatenate(name=f"stage{stage + 1}_input")(
                [features, fields[-1]]
            )
    for stage in range(1, map_stages + 1):
        x = layers.Concatenate(name=f"maps{stage}_input")(
            [features, *maps[-1:], fields[-1]]
        )
        maps.append(_chain_stage(x, parts + 1, "maps", stage))
    none = layers.Rescaling(0.0, name="no_maps")(maps[0])
    maps = [none] * (field_stages - map_stages) + maps
    return [
        joined(map_, field, number)
        for number, (map_, field) in enumerate(
            zip(maps, fields, strict=True), start=1
        )
    ]


def check(size, stages, filters, stride=8, weights="none", multiple=2):
    """Raises ValueError for settings that make no network.

    `multiple`: of which `filters` must be one.
    """
    choices.check("stride", stride, STRIDES)
    if any(not side or side % stride for side in size):
        raise ValueError(
            f"image size must be divisible by {stride}, "
            f"got {size[0]} x {size[1]}"
        )
    if stages < 1:
        raise ValueError(f"stages must be at least 1, got {stages}")
    if filters < multiple or filters % multiple:
        raise ValueError(
            f"filters must be divisible by {multiple}, got {filters}"
        )
    if str(weights) != "none" and filters != 128:
        raise ValueError(
            f"weights {weights} need 128 filters, got {filters}: use "
            "--weights none"
        )


def _front(images, filters, stride, weights, slopes=False, pixels=None):
    """VGG-19's first ten convolutions, and two more: the features."""
    source, offset = None, -0.5
    if str(weights) != "none":
        source = pretrained.load(applications.VGG19, "VGG-19", weights, "vgg19")
        offset = [-mean / SCALE for mean in resnet.MEAN]
    pixels = pixels or layers.Rescaling(1 / SCALE, offset, name="scale")
    x = pixels(images)
    for block, (count, width) in enumerate(BLOCKS, start=1):
        for part in range(1, count + 1):
            name = f"block{block}_conv{part}"
            sloped = slopes and (block, part) == (4, 2)
            x = _convolve(x, width * filters // 2, 3, name, sloped, source)
        if block <= {4: 2, 8: 3}[stride]:
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = _convolve(x, 2 * filters, 3, "features_1", slopes)
    return _convolve(x, filters, 3, "features_2", slopes)


def _chain_stage(x, channels, branch, stage):
    """A stage of BODY_25: five chains of three 3x3, and two 1x1."""
    name = f"stage{stage}_{branch}"
    filters, wide = CHAIN[stage > 1]
    for part in range(1, 6):
        links = []
        for link in range(1, 4):
            x = _convolve(x, filters, 3, f"{name}_{part}_{link}", slopes=True)
            links.append(x)
        x = layers.Concatenate(name=f"{name}_{part}")(links)
    x = _convolve(x, wide, 1, f"{name}_6", slopes=True)
    return _read(x, channels, name)


def _convolve(x, filters, kernel, name, slopes=False, source=None):
    """Convolution and ReLU; with the weights of a layer of `source`."""
    convolution = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        kernel_initializer=initializers.RandomNormal(stddev=DEVIATION),
        name=name,
    )
    x = convolution(x)
    if source:
        kernel, bias = source.get_layer(name).get_weights()
        if name == "block1_conv1":  # the input is RGB, the weights expect BGR
            kernel = kernel[:, :, ::-1]
        convolution.set_weights([kernel, bias / SCALE])
    if slopes:
        start = initializers.Constant(SLOPE)
        return layers.PReLU(start, shared_axes=(1, 2), name=f"{name}_relu")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _read(x, channels, name):
    """A 1x1 convolution to fields or maps."""
    start = initializers.RandomNormal(stddev=DEVIATION)
    return layers.Conv2D(channels, 1, kernel_initializer=start, name=name)(x)


def joined(maps, fields, stage):
    """The output of a stage: (B, h, w, J + 1 + 2 L)."""
    return layers.Concatenate(name=f"stage{stage}")([maps, fields])
