"""Stacked hourglass networks.

A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose
Estimation", ECCV 2016, https://arxiv.org/abs/1603.06937. The graph is that of
the authors' released Torch code: pre-activation bottlenecks with biases, one
per level, and one after each hourglass. The stem's widths (64, 128, 128, 256)
scale with the number of features (256); pytorch-pose's variant has another
third one (256) and therefore other parameter counts. Initial weights are
Torch's defaults (`keras_pose.models.convolution`), as in the authors' code.

                image (I) -> stem, stride 4 -> x
    each stack: x -> hourglass -> residual -> 1x1 conv, norm, relu -> y
                y -> 1x1 conv -> maps
                x + conv(y) + conv(maps) -> x of the next stack
"""

from keras import initializers, layers

from keras_pose.models.convolution import convolution, initial
from keras_pose.models.normalization import norm_relu

DEPTH = 4
"""Halvings inside an hourglass (section 3.1: from 64 cells down to 4)."""
STRIDE = 4
"""Input pixels per cell: a strided convolution and a pooling (section 3.1)."""
PIXEL_OFFSET = -0.5
"""Ours: the network sees pixels in -0.5 ... 0.5. The authors' sees 0 ... 1, an
offset of 0."""


def residual(x, filters, name):
    """Pre-activation bottleneck 1x1, 3x3, 1x1 (section 3.2, figure 4 left)."""
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = convolution(x, filters, 1, f"{name}_skip")
    half = filters // 2
    for index, (width, kernel) in enumerate(
        ((half, 1), (half, 3), (filters, 1))
    ):
        x = norm_relu(x, f"{name}_{index + 1}")
        x = convolution(x, width, kernel, f"{name}_{index + 1}")
    return layers.Add(name=f"{name}_add")([x, shortcut])


def hourglass(x, filters, depth, name, block=residual):
    """One hourglass (section 3.1, figure 3): `depth` halvings and back.

    Args:
        x: (B, h, w, filters) features.
        filters: channels.
        depth: halvings.
        name: prefix of the layers.
        block: building block: (x, filters, name) -> features.

    Returns:
        the features of the upward path, a list of `depth` (B, h, w, filters),
        each twice as fine as the previous one; the last has the size of `x`.
    """
    skip = block(x, filters, f"{name}_skip{depth}")
    low = layers.MaxPooling2D(name=f"{name}_pool{depth}")(x)
    low = block(low, filters, f"{name}_down{depth}")
    coarser = []
    if depth > 1:
        coarser = hourglass(low, filters, depth - 1, name, block)
        low = coarser[-1]
    else:
        low = block(low, filters, f"{name}_bottom")
    low = block(low, filters, f"{name}_up{depth}")
    low = layers.UpSampling2D(name=f"{name}_upsample{depth}")(low)
    return [*coarser, layers.Add(name=f"{name}_merge{depth}")([skip, low])]


def read_maps(x, joints, bias, name, deviation=None):
    """A 1x1 convolution to one map per joint, with initial bias `bias`.

    `deviation`: of the normal initial kernel; None: Torch's default.
    """
    return layers.Conv2D(
        joints,
        1,
        kernel_initializer=initial(x.shape[-1], deviation),
        bias_initializer=initializers.Constant(bias),
        name=name,
    )(x)


def read_scales(
    x,
    joints,
    filters,
    bias,
    scales,
    name,
    depth=DEPTH,
    block=residual,
    deviation=None,
):
    """An hourglass and its supervised maps.

    Args:
        x: (B, h, w, filters) features.
        joints: number K of maps.
        filters: channels.
        bias: initial bias of the maps, or one of each.
        scales: number of sizes to read maps at, from h, w downwards, each half
            of the previous one. At the full size two more layers lie between
            (Newell); at the others only a norm and a ReLU, because the sum of
            the two branches is not normalised yet.
        name: prefix of the layers.
        depth: halvings of the hourglass.
        block: its building block.
        deviation: see `read_maps`.

    Returns:
        list of `scales` maps (B, ., ., K), the coarsest first, and the features
        (B, h, w, filters) that the last maps were read from.
    """
    levels = hourglass(x, filters, depth, name, block)
    y = block(levels[-1], filters, f"{name}_after")
    y = norm_relu(convolution(y, filters, 1, f"{name}_linear"), name)
    maps = [read_maps(y, joints, bias, f"{name}_maps", deviation)]
    for step in range(1, scales):
        part = f"{name}_maps_{2**step}"
        low = norm_relu(levels[-1 - step], part)
        maps.insert(0, read_maps(low, joints, bias, part, deviation))
    return maps, y


def scale_pixels(images, offset):
    """uint8 pixels to 0 ... 1, plus `offset`."""
    return layers.Rescaling(1 / 255, offset=offset, name="scale")(images)


def stem(images, filters, pixel_offset=PIXEL_OFFSET, widths=None):
    """uint8 images to features of stride 4, `filters` channels.

    `widths`: channels of the convolution and the first two blocks.
    """
    first, second, third = widths or (filters // 4, filters // 2, filters // 2)
    x = scale_pixels(images, pixel_offset)
    x = convolution(x, first, 7, "stem", strides=2)
    x = norm_relu(x, "stem")
    x = residual(x, second, "stem_a")
    x = layers.MaxPooling2D(name="stem_pool")(x)
    x = residual(x, third, "stem_b")
    return residual(x, filters, "stem_c")


def stacked_hourglass(
    images,
    joints,
    *,
    stacks=2,
    filters=256,
    bias=0.0,
    pixel_offset=PIXEL_OFFSET,
    widths=None,
):
    """The network of the paper, supervised after each stack.

    Args:
        images: (B, H, W, 3) uint8; H and W divisible by 64.
        joints: number K of maps.
        stacks: number of stacked hourglasses.
        filters: channels of the features.
        bias: initial bias of the maps, or one of each. Under a sigmoid use
            about -4; with 0 all 4,096 pixels of a map start at 0.5.
        pixel_offset: added to the pixels, 0 ... 1; one or R, G, B.
        widths: of the stem, see `stem`.

    Returns:
        list of `stacks` maps (B, H / 4, W / 4, K), not activated.
    """
    maps, _ = stack_hourglasses(
        images,
        joints,
        stacks=stacks,
        filters=filters,
        bias=bias,
        pixel_offset=pixel_offset,
        widths=widths,
    )
    return maps[-1]


def stack_hourglasses(
    images,
    joints,
    *,
    stacks=2,
    filters=256,
    bias=0.0,
    scales=1,
    pixel_offset=PIXEL_OFFSET,
    widths=None,
):
    """`stacked_hourglass`, supervised at several scales, and its features.

    Args:
        images: (B, H, W, 3) uint8; H and W divisible by 64.
        joints: number K of maps.
        stacks: number of stacked hourglasses.
        filters: channels of the features.
        bias: initial bias of the map convolutions.
        scales: 1 ... 4, number of sizes to read maps at: H / 4, H / 8, ...
        pixel_offset: added to the pixels, 0 ... 1; one or R, G, B.
        widths: of the stem, see `stem`.

    Returns:
        list of `scales` lists of `stacks` maps, the coarsest first, and the
        last stack's features (B, H / 4, W / 4, filters).
    """
    height, width = images.shape[1:3]
    step = STRIDE * 2**DEPTH
    if not height or not width or height % step or width % step:
        raise ValueError(
            f"image size must be divisible by {step}, got {height} x {width}"
        )
    if stacks < 1:
        raise ValueError(f"stacks must be at least 1, got {stacks}")
    if filters < 4 or filters % 4:
        raise ValueError(f"filters must be divisible by 4, got {filters}")
    if not 1 <= scales <= DEPTH:
        raise ValueError(f"scales must be 1 to {DEPTH}, got {scales}")
    x = stem(images, filters, pixel_offset, widths)
    outputs = []
    for stack in range(1, stacks + 1):
        name = f"stack{stack}"
        maps, y = read_scales(x, joints, filters, bias, scales, name)
        outputs.append(maps)
        if stack < stacks:
            x = layers.Add(name=f"{name}_feedback")(
                [
                    x,
                    convolution(y, filters, 1, f"{name}_features_back"),
                    convolution(maps[-1], filters, 1, f"{name}_maps_back"),
                ]
            )
    return [list(scale) for scale in zip(*outputs, strict=True)], y
