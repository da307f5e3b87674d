"""HRNet: branches of several resolutions side by side, fused again and again.

K. Sun, B. Xiao, D. Liu, J. Wang, "Deep High-Resolution Representation Learning
for Human Pose Estimation", CVPR 2019, https://arxiv.org/abs/1902.09212. The
graph is that of the authors' code:

    (B, H, W, 3) -> stem, stride 4 -> 4 bottlenecks, 256 channels
      -> stages 2, 3, 4 of 1, 4, 3 modules with 2, 3, 4 branches: branch b has
         stride 4 * 2^b and W * 2^b channels
      -> 1x1 convolution of branch 0 -> (B, H / 4, W / 4, K)

    a module: 4 residual blocks per branch, then fusion: every branch becomes
    the sum of all, brought to its own resolution and width

Layers are named after the keys of published weights, with underscores for dots:
stage3.2.fuse_layers.1.0.0.1.weight is the scale of
stage3_2_fuse_layers_1_0_0_1. (ImageNet weights have a classifier as well, and
the last fusion has all four sums.)
"""

from keras import layers

from keras_pose import choices
from keras_pose.models import resnet
from keras_pose.models.convolution import convolution
from keras_pose.models.hourglass import read_maps
from keras_pose.models.normalization import BatchNormalization

MODULES = (1, 4, 3)
"""Modules of stages 2, 3, 4 (section 3.1)."""
BLOCKS = 4
"""Residual blocks of the first stage, and of a branch in a module."""
STEM = 64
"""Channels of the stem, and of the bottlenecks' inner convolutions."""
STRIDE = 4
"""Input pixels per cell of the finest branch."""
STRIDES = tuple(STRIDE * 2**branch for branch in range(len(MODULES) + 1))
"""Of all branches."""
FUSIONS = ("modules", "stages", "last")
"""Where branches are fused: after every module (the paper), only at the end of
every stage, or only at the end of the last."""
DEVIATION = 0.001
"""Deviation of all initial kernels (authors' code)."""


def hrnet(
    images,
    joints,
    *,
    width=32,
    stride=STRIDE,
    fusion="modules",
    modules=MODULES,
):
    """The network up to its maps.

    Args:
        images: (B, H, W, 3) uint8 RGB; H and W divisible by 32.
        joints: number K of maps.
        width: channels W of the finest branch: 32, 48.
        stride: of the branch that the maps are read from, one of STRIDES; the
            last fusion goes to this branch alone.
        fusion: one of FUSIONS.
        modules: numbers of modules in stages 2, 3 and 4.

    Returns:
        (B, H / stride, W / stride, K) maps, not activated.

    Raises:
        ValueError: an invalid size, width, stride, fusion or number of modules.
    """
    _check(images.shape[1:3], width, stride, fusion, modules)
    x = resnet.torch_pixels()(images)
    for number in (1, 2):
        x = _convolve(x, STEM, 3, f"conv{number}", f"bn{number}", strides=2)
    for block in range(BLOCKS):
        x = _bottleneck(x, f"layer1_{block}")
    branches, target = [x], STRIDES.index(stride)
    for stage, count in enumerate(modules, start=2):
        widths = [width * 2**branch for branch in range(stage)]
        branches = _transition(branches, widths, f"transition{stage - 1}")
        for module in range(count):
            name = f"stage{stage}_{module}"
            branches = [
                _branch(x, f"{name}_branches_{branch}")
                for branch, x in enumerate(branches)
            ]
            ends = module == count - 1  # the stage
            last = ends and stage == len(modules) + 1
            if last:
                x = _fuse(branches, target, f"{name}_fuse_layers")
            elif fusion == "modules" or (fusion == "stages" and ends):
                branches = [
                    _fuse(branches, branch, f"{name}_fuse_layers")
                    for branch in range(stage)
                ]
    return read_maps(x, joints, 0.0, "final_layer", DEVIATION)


def _check(size, width, stride, fusion, modules):
    """Raises ValueError for settings that make no network."""
    if any(not side or side % STRIDES[-1] for side in size):
        raise ValueError(
            f"image size must be divisible by {STRIDES[-1]}, "
            f"got {size[0]} x {size[1]}"
        )
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    choices.check("stride", stride, STRIDES)
    choices.check("fusion", fusion, FUSIONS)
    if len(modules) != len(MODULES) or min(modules) < 1:
        raise ValueError(
            "modules must be three positive numbers, those of stages 2, 3 and "
            f"4, got {tuple(modules)}"
        )


def _transition(branches, widths, name):
    """The branches of the next stage: as wide as `widths`, the last is new."""
    *old, new = widths
    grown = [
        x
        if x.shape[-1] == filters
        else _convolve(x, filters, 3, f"{name}_{b}_0", f"{name}_{b}_1")
        for b, (x, filters) in enumerate(zip(branches, old, strict=True))
    ]
    name = f"{name}_{len(old)}_0"
    coarsest = branches[-1]
    added = _convolve(coarsest, new, 3, f"{name}_0", f"{name}_1", strides=2)
    return [*grown, added]


def _branch(x, name):
    """Residual blocks of two 3x3 convolutions, (B, h, w, C) -> the same."""
    for block in range(BLOCKS):
        part = f"{name}_{block}"
        y = _convolve(x, x.shape[-1], 3, f"{part}_conv1", f"{part}_bn1")
        y = _linear(y, x.shape[-1], 3, f"{part}_conv2", f"{part}_bn2")
        x = _add([y, x], part)
    return x


def _bottleneck(x, name):
    """1x1, 3x3, 1x1 to four times the channels, (B, h, w, C) -> (B, h, w, 256).

    Where C is another, a 1x1 convolution is on the shortcut.
    """
    y = _convolve(x, STEM, 1, f"{name}_conv1", f"{name}_bn1")
    y = _convolve(y, STEM, 3, f"{name}_conv2", f"{name}_bn2")
    y = _linear(y, 4 * STEM, 1, f"{name}_conv3", f"{name}_bn3")
    if x.shape[-1] != 4 * STEM:
        part = f"{name}_downsample"
        x = _linear(x, 4 * STEM, 1, f"{part}_0", f"{part}_1")
    return _add([y, x], name)


def _fuse(branches, target, name):
    """The sum of all branches at the resolution of branch `target`.

    Coarser ones get a 1x1 convolution and are repeated; finer ones are halved
    by 3x3 convolutions, of which only the last changes the width (section 3.1,
    figure 3).
    """
    filters = branches[target].shape[-1]
    terms = []
    for source, x in enumerate(branches):
        part = f"{name}_{target}_{source}"
        if source > target:
            x = _linear(x, filters, 1, f"{part}_0", f"{part}_1")
            ratio = 2 ** (source - target)
            x = layers.UpSampling2D(ratio, name=f"{part}_2")(x)
        for step in range(target - source):
            names = f"{part}_{step}_0", f"{part}_{step}_1"
            if step == target - source - 1:
                x = _linear(x, filters, 3, *names, strides=2)
            else:
                x = _convolve(x, x.shape[-1], 3, *names, strides=2)
        terms.append(x)
    return _add(terms, f"{name}_{target}")


def _linear(x, filters, kernel, name, norm, strides=1):
    """Convolution without bias, then batch normalisation."""
    x = convolution(
        x, filters, kernel, name, strides, use_bias=False, deviation=DEVIATION
    )
    return BatchNormalization(name=norm)(x)


def _convolve(x, filters, kernel, name, norm, strides=1):
    """`_linear`, then ReLU."""
    x = _linear(x, filters, kernel, name, norm, strides)
    return layers.ReLU(name=f"{norm}_relu")(x)


def _add(terms, name):
    """Sum, then ReLU."""
    x = layers.Add(name=f"{name}_add")(terms)
    return layers.ReLU(name=f"{name}_relu")(x)
