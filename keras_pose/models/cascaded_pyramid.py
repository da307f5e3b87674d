"""Cascaded Pyramid Network: a feature pyramid, and what refines its maps.

Y. Chen, Z. Wang, Y. Peng, Z. Zhang, G. Yu, J. Sun, "Cascaded Pyramid Network
for Multi-Person Pose Estimation", CVPR 2018, https://arxiv.org/abs/1711.07319.
The graph is that of https://github.com/GengDavid/pytorch-cpn, whose weights are
published:

    ResNet, strides 4, 8, 16, 32
      GlobalNet, from the coarsest level to the finest:
        1x1 of the ResNet's features + 1x1 of the coarser level, twice the size
        -> 1x1 -> 3x3 to K maps, resized to stride 4, norm
      RefineNet:
        the level of stride 4 * 2^n -> n bottlenecks -> resized to stride 4
        -> all four side by side -> bottleneck -> 3x3 to K maps, norm

No convolution has a bias; each is followed by a normalisation, those that make
maps, too. Every bottleneck has a convolution on its shortcut. The authors' own
code (https://github.com/chenyilun95/tf-cpn) has biases, no norm behind maps and
another resizing.

Layers are named after the keys of published weights, with underscores for dots:
global_net.laterals.0.1.weight is the scale of global_net_laterals_0_1. Level 0
is the coarsest.
"""

import math

from keras import initializers, layers

from keras_pose.codecs import Heatmaps
from keras_pose.models.convolution import convolution
from keras_pose.models.heads import PoseMaps
from keras_pose.models.normalization import BatchNormalization
from keras_pose.models.resize import AlignedResize

STRIDE = 4
"""Input pixels per cell of all maps."""
LEVELS = 4
"""Of the pyramid: the stages of the ResNet."""
PEAK = 255
"""Height of the Gaussians in the code; ours is 1. The last scales start at
1 / PEAK, where the code has 1."""
MEAN = (122.7717, 115.9465, 102.9801)
"""Mean R, G, B that the code subtracts; it does not divide by a deviation."""
SIGMA = 1.4
"""Of RefineNet's Gaussians, cells: OpenCV's 7 x 7 kernel, at 256 x 192."""
LEVEL_SIGMAS = (2.6, 2.0, 1.7, SIGMA)
"""Of GlobalNet's, the coarsest level first: kernels of 15, 11, 9 and 7."""


def pixels():
    """The layer from RGB bytes to what the network sees (code)."""
    return layers.Rescaling(1 / 255, [-m / 255 for m in MEAN], name="scale")


def cascaded_pyramid(features, joints, *, filters=256, refine=True):
    """Features of a ResNet to maps.

    Args:
        features: list of (B, h, w, C), of strides 4, 8, 16 and 32.
        joints: number K of maps.
        filters: channels of the pyramid.
        refine: False: GlobalNet alone.

    Returns:
        list of five maps (B, H / 4, W / 4, K), not activated: GlobalNet's, of
        the coarsest level first, and RefineNet's.

    Raises:
        ValueError: another number of features, or of filters.
    """
    if len(features) != LEVELS:
        raise ValueError(
            f"features must be of {LEVELS} strides, got {len(features)}"
        )
    if filters < 2 or filters % 2:
        raise ValueError(f"filters must be even, got {filters}")
    size = features[0].shape[1:3]
    pyramid, maps = _global_net(features[::-1], joints, filters, size)
    if not refine:
        return maps
    return [*maps, _refine_net(pyramid, joints, filters, size)]


def _global_net(features, joints, filters, size):
    """The levels of the pyramid, coarsest first, and the maps of each."""
    pyramid, maps = [], []
    for level, lateral in enumerate(features):
        name = f"global_net_laterals_{level}"
        x = _relu(_he(lateral, filters, 1, f"{name}_0", f"{name}_1"), name)
        if pyramid:
            name = f"global_net_upsamples_{level - 1}"
            finer = _resize(pyramid[-1], lateral.shape[1:3], f"{name}_0")
            finer = _he(finer, filters, 1, f"{name}_1", f"{name}_2")
            x = layers.Add(name=f"global_net_sums_{level}")([x, finer])
        pyramid.append(x)
        name = f"global_net_predict_{level}"
        x = _relu(_he(x, filters, 1, f"{name}_0", f"{name}_1"), name)
        deviation = _deviation(joints, 3)
        x = convolution(
            x, joints, 3, f"{name}_3", use_bias=False, deviation=deviation
        )
        x = _resize(x, size, f"{name}_4")
        maps.append(_maps_norm(x, f"{name}_5"))
    return pyramid, maps


def _refine_net(pyramid, joints, filters, size):
    """The maps of all levels together."""
    refined = []
    for level, x in enumerate(pyramid):
        name = f"refine_net_cascade_{level}"
        blocks = LEVELS - 1 - level
        for block in range(blocks):
            x = _bottleneck(x, filters, f"{name}_{block}")
        refined.append(_resize(x, size, f"{name}_{blocks}"))
    name = "refine_net_final_predict"
    x = layers.Concatenate(name="refine_net_levels")(refined)
    x = _bottleneck(x, filters, f"{name}_0")
    x = convolution(x, joints, 3, f"{name}_1", use_bias=False)
    return _maps_norm(x, f"{name}_2")


def _bottleneck(x, filters, name):
    """1x1, 3x3, 1x1 to `filters` channels, and a 1x1 on the shortcut."""
    y, half = x, filters // 2
    for step, (width, kernel) in enumerate(
        ((half, 1), (half, 3), (filters, 1)), start=1
    ):
        y = convolution(y, width, kernel, f"{name}_conv{step}", use_bias=False)
        y = BatchNormalization(name=f"{name}_bn{step}")(y)
        if step < 3:
            y = _relu(y, f"{name}_bn{step}")
    part = f"{name}_downsample"
    x = convolution(x, filters, 1, f"{part}_0", use_bias=False)
    x = BatchNormalization(name=f"{part}_1")(x)
    return _relu(layers.Add(name=f"{name}_add")([y, x]), name)


def _he(x, filters, kernel, name, norm):
    """Convolution with GlobalNet's initial values, and normalisation."""
    x = convolution(
        x,
        filters,
        kernel,
        name,
        use_bias=False,
        deviation=_deviation(filters, kernel),
    )
    return BatchNormalization(name=norm)(x)


def _deviation(filters, kernel):
    """He's, of the fan out, as in GlobalNet's code; RefineNet has Torch's."""
    return math.sqrt(2 / (kernel**2 * filters))


def _maps_norm(x, name):
    """The normalisation that makes maps."""
    start = initializers.Constant(1 / PEAK)
    return BatchNormalization(gamma_initializer=start, name=name)(x)


def _relu(x, name):
    return layers.ReLU(name=f"{name}_relu")(x)


def _resize(x, size, name):
    """`AlignedResize` where the size is another."""
    if tuple(x.shape[1:3]) == tuple(size):
        return x
    return AlignedResize(size, name=name)(x)


def pose_maps(maps, skeleton, sigma=SIGMA, level_sigmas=None, **settings):
    """A `PoseMaps` for each output: global1 to global4, and maps, the result.

    The finest of GlobalNet's is the result if there are no others.

    Args:
        maps: {stride: `cascaded_pyramid`'s list}.
        skeleton: a `Skeleton`.
        sigma: of RefineNet's Gaussians, cells.
        level_sigmas: of GlobalNet's, coarsest first; None: LEVEL_SIGMAS in
            proportion to `sigma`.
        **settings: of `codecs.Heatmaps`.

    Returns:
        the model's outputs: a list of (B, 1, h, w, K).
    """
    ((stride, maps),) = maps.items()
    if level_sigmas is None:
        level_sigmas = [sigma * each / SIGMA for each in LEVEL_SIGMAS]
    if len(level_sigmas) != LEVELS:
        raise ValueError(
            f"level_sigmas must be {LEVELS} numbers, those of GlobalNet's "
            f"levels, got {tuple(level_sigmas)}"
        )
    sigmas = [*level_sigmas, sigma][: len(maps)]
    names = [f"global{n}" for n in range(1, len(maps))] + ["maps"]
    return [
        PoseMaps(Heatmaps(skeleton, stride, sigma=s, **settings), name=name)(
            [one]
        )
        for one, s, name in zip(maps, sigmas, names, strict=True)
    ]
