"""Multi-Scale Stacked Hourglass network (MSSH): one scale per hourglass.

Anonymous, "Multi-Scale Stacked Hourglass Network for Human Pose Estimation",
paper under double-blind review, sections 3.2 and 5.2.3, figures 2, 3 and 5.
For an image of 256 pixels, three scales and four stacks:

    image ─ 7x7 conv /2, norm, relu, block ─┐
       ┌──────────────────┬─────────────────┘
     block              block             block
     pool               pool                │
     block              block               │     pre-processing: a branch per
     pool                 │                 │     scale, the smaller the deeper
     block                │                 │
       32 ─ ─ lateral ─ ─ 64 ─ ─ lateral ─ 128
       ├───────┐          │                 │
       +       + <─┐      + <─┐             + <─┐
    hourglass hourglass  hourglass        hourglass
       └─ x1 ──┘   └─ x2 ─┘   └─── x2 ──────┘   -> maps of 128, the result

As in Newell's network, each hourglass passes a 1x1 convolution of its features
and one of its maps to the next, upsampled if the next works on a larger scale
("x2"). This is fused with the dispatched feature by a sum, or by concatenation
and a 1x1 convolution (section 5.2.4). Newell's sum with the input of the
hourglass itself is left out: the dispatched feature replaces it, as the paper
names two parts. The paper states no layers. Ours are:

* the widths of the pre-processing network (filters / 4, / 2, and `filters` in
  the last block of a branch) and one block per resolution of a branch;
* halvings in an hourglass: 3, 4 and 5 at 32, 64 and 128 cells, so that each
  reaches Newell's 4 cells, which cover the whole person;
* `lateral`, "borrowed from FPN" (figure 5): a branch adds the upsampled feature
  of the next coarser branch to a 1x1 convolution of its own;
* nearest-neighbour upsampling.
"""

from keras import layers

from keras_pose import choices
from keras_pose.models.convolution import convolution
from keras_pose.models.hourglass import (
    PIXEL_OFFSET,
    read_scales,
    residual,
    scale_pixels,
)
from keras_pose.models.normalization import norm_relu

STRIDES = (8, 4, 2)
"""Input pixels per cell: 32, 64 and 128 cells of 256 pixels (section 5.2.1)."""
SCALES = len(STRIDES)
STEP = 64
"""Input pixels per cell at the bottom of every hourglass (4 of 256)."""
FUSIONS = ("add", "concat")


def dispatch(stacks, scales=SCALES):
    """The stride at which each hourglass works, coarse to fine.

    As even as possible; the remainder goes to the coarser scales, which cost
    less. With fewer scales the coarsest are left out, so that the result always
    has the finest. With all three:

        stacks   3 ... 8
        stride   8 4 2
                 8 8 4 2
                 8 8 4 4 2
                 8 8 4 4 2 2
                 8 8 8 4 4 2 2
                 8 8 8 4 4 4 2 2

    One stack has at most one scale (2), two stacks two (4 2).
    """
    if not 1 <= scales <= SCALES:
        raise ValueError(f"scales must be 1 to {SCALES}, got {scales}")
    if stacks < 1:
        raise ValueError(f"stacks must be at least 1, got {stacks}")
    if scales > stacks:
        raise ValueError(
            f"more scales than stacks: {scales} scales need as many "
            f"hourglasses, got {stacks}"
        )
    each, left = divmod(stacks, scales)
    return tuple(
        stride
        for number, stride in enumerate(STRIDES[-scales:])
        for _ in range(each + (number < left))
    )


def pre_process(
    images,
    strides,
    filters,
    block=residual,
    lateral=False,
    pixel_offset=PIXEL_OFFSET,
):
    """Figure 3, or figure 5 with `lateral`: a feature per scale.

    Args:
        images: (B, H, W, 3) uint8.
        strides: of the features, powers of 2, the largest first.
        filters: channels of the features.
        block: building block of the branches.
        lateral: add to each feature the next coarser one.
        pixel_offset: added to the pixels, 0 ... 1.

    Returns:
        {stride: (B, H / stride, W / stride, filters)}.
    """
    x = scale_pixels(images, pixel_offset)
    x = norm_relu(convolution(x, filters // 4, 7, "pre", strides=2), "pre")
    x = block(x, filters // 2, "pre_all")
    features, coarser = {}, None
    for stride in strides:
        branch, at = x, 2
        while at < stride:
            branch = block(branch, filters // 2, f"pre{stride}_at{at}")
            branch = layers.MaxPooling2D(name=f"pre{stride}_pool{at}")(branch)
            at *= 2
        branch = block(branch, filters, f"pre{stride}_at{at}")
        if lateral and coarser is not None:
            name = f"pre{stride}_lateral"
            branch = layers.Add(name=f"{name}_add")(
                [
                    convolution(branch, filters, 1, name),
                    layers.UpSampling2D(name=f"{name}_up")(coarser),
                ]
            )
        features[stride] = coarser = branch
    return features


def multi_scale_stacked_hourglass(
    images,
    joints,
    *,
    stacks=8,
    scales=SCALES,
    filters=256,
    block=residual,
    lateral=False,
    fusion="add",
    bias=0.0,
    pixel_offset=PIXEL_OFFSET,
):
    """The network of figure 2, supervised after each hourglass.

    Args:
        images: (B, H, W, 3) uint8; H and W divisible by 64.
        joints: number K of maps.
        stacks: number of stacked hourglasses.
        scales: 1, 2 or 3, at most `stacks`; see `dispatch`.
        filters: channels of the features.
        block: building block of hourglasses and pre-processing.
        lateral: see `pre_process`.
        fusion: "add" or "concat".
        bias: initial bias of the map convolutions.
        pixel_offset: see `pre_process`.

    Returns:
        {stride: list of maps (B, H / stride, W / stride, K)}, coarse to fine,
        not activated.
    """
    height, width = images.shape[1:3]
    if not height or not width or height % STEP or width % STEP:
        raise ValueError(
            f"image size must be divisible by {STEP}, got {height} x {width}"
        )
    if filters < 4 or filters % 4:
        raise ValueError(f"filters must be divisible by 4, got {filters}")
    choices.check("fusion", fusion, FUSIONS)
    plan = dispatch(stacks, scales)
    outputs = {stride: [] for stride in plan}
    features = pre_process(
        images, tuple(outputs), filters, block, lateral, pixel_offset
    )
    before = None
    for number, stride in enumerate(plan, start=1):
        name = f"stack{number}"
        x = features[stride]
        if before is not None:
            x = _fuse(x, before, filters, fusion, f"{name}_input")
        depth = (STEP // stride).bit_length() - 1
        (maps,), y = read_scales(
            x, joints, filters, bias, 1, name, depth, block
        )
        outputs[stride].append(maps)
        if number < stacks:
            before = layers.Add(name=f"{name}_output")(
                [
                    convolution(y, filters, 1, f"{name}_features_back"),
                    convolution(maps, filters, 1, f"{name}_maps_back"),
                ]
            )
    return outputs


def _fuse(feature, before, filters, fusion, name):
    """Fuses the dispatched feature and the previous hourglass' output."""
    if before.shape[1] < feature.shape[1]:
        before = layers.UpSampling2D(name=f"{name}_up")(before)
    if fusion == "add":
        return layers.Add(name=name)([feature, before])
    both = layers.Concatenate(name=f"{name}_concat")([feature, before])
    return convolution(both, filters, 1, name)
