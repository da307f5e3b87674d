"""Networks in Keras for the weights of a source, complete with a codec.

Depths and widths follow from the tensors; the size of the pictures does not,
nor which joints the maps are of.
"""

import re
from functools import partial

import keras
import numpy as np

from keras_pose.codecs import (
    COCO18,
    Coordinates,
    Expectation,
    Fields,
    Heatmaps,
)
from keras_pose.models import (
    cascaded_pyramid,
    convolutional_pose_machines,
    direct_regression,
    heads,
    hourglass,
    hrnet,
    lightweight_openpose,
    openpose,
    resnet,
    simple_baselines,
    volumes,
)
from keras_pose.models.model import PoseModel
from keras_pose.models.torch_weights import fields, sources
from keras_pose.models.torch_weights.conversion import POINTS, kernel_shape
from keras_pose.skeletons import COCO

DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}
"""ResNets by the bottlenecks of their four stages."""


def build(source, layers, skeleton, size, **settings):
    """The network that has these layers, with their weights.

    Args:
        source: `sources.Source`.
        layers: of `conversion.layers_of`.
        skeleton: the joints of the maps, in their order.
        size: (height, width) of the pictures, pixels.
        settings: of the codec, in place of the source's.

    Returns:
        PoseModel, and the network as `published` calls it.

    Raises:
        ValueError: other joints, a setting that the codec has not, a size that
            the network cannot have, or a layer that is missing, left over or of
            another shape.
    """
    joints = joints_of(layers, source)
    if joints != len(skeleton.joints):
        raise ValueError(
            f"{skeleton.name} has {len(skeleton.joints)} joints, but the "
            f"weights are for {joints}"
        )
    images = keras.Input((*size, 3), dtype="uint8")
    title, outputs = NETWORKS[source.network](source, images, layers)
    if source.network == "direct":
        layers = layers | {POINTS: _from_center(layers[POINTS], size)}
    codec = _codec(source, skeleton, size, outputs[-1], settings)
    if source.network == "cascaded pyramid":
        outputs = cascaded_pyramid.pose_maps(
            {codec.stride: outputs},
            skeleton,
            sigma=codec.sigma,
            alignment=codec.alignment,
        )
    else:
        outputs = heads.PoseMaps(codec, name="maps")(outputs)
    name = re.sub("[^a-z0-9]+", "_", title.lower())
    model = PoseModel(images, outputs, name=name)
    assign(model, layers)
    return model, title


def _codec(source, skeleton, size, output, settings):
    """What the outputs of a source's network mean."""
    kind = CODECS.get(source.network, Heatmaps)
    cells = {
        "stride": size[0] // output.shape[1],
        "alignment": source.alignment,
    }
    known = {
        Coordinates: {"size": size},
        Expectation: {"size": size, "alignment": source.alignment},
        Fields: cells | {"parts": COCO18},
        Heatmaps: cells | {"sigma": source.sigma_at(size[0])},
    }[kind]
    for name in settings:
        if name not in kind.__dataclass_fields__:
            raise ValueError(
                f"{name} is no setting of {kind.__name__}, the outputs of "
                f"{source.name}"
            )
    return kind(skeleton, **known | settings)


def _from_center(points, size):
    """A dense layer of x / W, y / H as one of `codecs.Coordinates`.

    The middle of W pixels is x = (W - 1) / 2: what is left of x / W there,
    once `Source.center` (1 / 2) is subtracted, is -1 / (2 W).
    """
    half = np.array([1 / (2 * side) for side in size[::-1]], "float32")
    bias = points["bias"]
    return points | {"bias": bias + np.tile(half, len(bias) // 2)}


def joints_of(layers, source=None):
    """Number of the joints that a network with these layers finds.

    Args:
        layers: of `conversion.layers_of`.
        source: whose joints may be known; None: count the maps.

    Raises:
        ValueError: none.
    """
    if source and source.skeleton:
        return len(source.skeleton.joints)
    if POINTS in layers:
        return kernel_shape(layers, POINTS, 2)[-1] // 2
    if fields.count_stages(layers):
        return len(COCO.joints)  # found with a neck
    lasts = [
        n
        for n in layers
        if n in HEADS or re.fullmatch(f"{MAPS}|{STAGE_MAPS}", n)
    ]
    if not lasts:
        raise ValueError(
            "the weights must have a layer of the maps of joints, got "
            f"{len(layers):,} layers without one"
        )
    return kernel_shape(layers, lasts[-1])[-1]


def resnet_depth(layers):
    """Depth of the ResNet with these layers: 50, 101 or 152.

    Raises:
        ValueError: another one, such as ResNet-18 with its basic blocks.
    """
    first, last = (
        tuple(
            sum(
                f"conv{stage}_block{n}_{part}_conv" in layers for n in range(99)
            )
            for stage in range(2, 6)
        )
        for part in (1, 3)
    )
    if first not in DEPTHS or first != last:
        kind = "bottlenecks" if first == last else "basic blocks"
        raise ValueError(
            f"a ResNet must be one of {', '.join(map(str, DEPTHS.values()))}, "
            f"got one of {first} {kind}"
        )
    return DEPTHS[first]


def assign(model, layers):
    """Gives every weight of a model its values, and uses every value.

    Args:
        model: a Keras model.
        layers: {layer: {weight: array}}.

    Raises:
        ValueError: a layer or weight is missing, left over or of another shape;
            then nothing was assigned.
    """
    wanted = {
        (layer.name, weight.name): weight
        for layer in model.layers
        for weight in layer.weights
    }
    given = {
        (layer, name): array
        for layer, arrays in layers.items()
        for name, array in arrays.items()
    }
    for names, what in (
        (wanted.keys() - given.keys(), "lack"),
        (given.keys() - wanted.keys(), "have, beside those of the network,"),
    ):
        if names:
            listed = sorted("/".join(name) for name in names)
            raise ValueError(
                f"the weights {what} {len(listed):,}: {sources.some(listed)}"
            )
    for name, weight in wanted.items():
        if tuple(weight.shape) != given[name].shape:
            raise ValueError(
                f"{'/'.join(name)} must be {tuple(weight.shape)}, got "
                f"{given[name].shape}"
            )
    for name, weight in wanted.items():
        weight.assign(given[name])


def _direct(source, images, layers):
    """A ResNet whose pooled features are x and y of the joints."""
    depth = resnet_depth(layers)
    features = resnet.resnet_features(images, depth, weights="none")
    points = direct_regression.regression_head(features, joints_of(layers))
    return f"Direct regression, ResNet-{depth}", [points]


def _integral(source, images, layers):
    """Simple Baselines whose maps are averaged."""
    title, maps = _simple_baselines(source, images, layers)
    return title.replace("Simple Baselines", "Integral regression"), maps


def _volume(source, images, layers):
    """The same with maps in depth, of which x and y remain."""
    title, volume = _integral(source, images, layers)
    maps = volumes.OverDepth(joints_of(layers, source), name="over_depth")
    return title.replace("regression", "regression in space"), [maps(volume[0])]


def _simple_baselines(source, images, layers):
    """Simple Baselines on ResNet-50, 101 or 152."""
    depth = resnet_depth(layers)
    pixels = resnet.torch_pixels(source.bgr)
    features = resnet.resnet_features(
        images, depth, weights="none", pixels=pixels
    )
    steps = sum(bool(re.fullmatch(r"deconvolution\d+", n)) for n in layers)
    kernel, _, filters, _ = kernel_shape(layers, "deconvolution1")
    maps = simple_baselines.deconvolution_head(
        features,
        joints_of(layers),
        deconvolutions=steps,
        filters=filters,
        kernel=kernel,
    )
    return f"Simple Baselines, ResNet-{depth}", [maps]


def _cascaded_pyramid(source, images, layers):
    """CPN on ResNet-50, 101 or 152."""
    depth = resnet_depth(layers)
    pixels = cascaded_pyramid.pixels()
    maps = cascaded_pyramid.cascaded_pyramid(
        resnet.resnet_stages(images, depth, weights="none", pixels=pixels),
        joints_of(layers),
        filters=kernel_shape(layers, "global_net_laterals_0_0")[-1],
    )
    return f"CPN, ResNet-{depth}", maps


def _hrnet(source, images, layers):
    """HRNet of any width."""
    width = kernel_shape(layers, "stage2_0_branches_0_0_conv1")[-1]
    modules = tuple(
        sum(
            f"stage{stage}_{module}_branches_0_0_conv1" in layers
            for module in range(99)
        )
        for stage in (2, 3, 4)
    )
    maps = hrnet.hrnet(images, joints_of(layers), width=width, modules=modules)
    return f"HRNet-W{width}", [maps]


def _hourglass(source, images, layers):
    """Stacked hourglass of any number of stacks and features."""
    stacks = sum(bool(re.fullmatch(MAPS, name)) for name in layers)
    widths = [
        kernel_shape(layers, name)[-1]
        for name in ("stem", "stem_a_3", "stem_b_3")
    ]
    maps = hourglass.stacked_hourglass(
        images,
        joints_of(layers),
        stacks=stacks,
        filters=kernel_shape(layers, "stack1_linear")[-1],
        widths=widths,
        pixel_offset=source.pixel_offset,
    )
    return f"Hourglass, {stacks} stack" + "s" * (stacks > 1), maps


def _cpm(source, images, layers):
    """mmpose's Convolutional Pose Machine of any number of stages."""
    stages = sum(bool(re.fullmatch(STAGE_MAPS, name)) for name in layers)
    kernel = 11
    if stages > 1:
        kernel = kernel_shape(layers, "stage2_1")[0]
    maps = convolutional_pose_machines.convolutional_pose_machine(
        images,
        joints_of(layers),
        stages=stages,
        filters=kernel_shape(layers, "stage1_1")[-1],
        kernel=kernel,
        form="mmpose",
    )
    return f"CPM of mmpose, {stages} stage" + "s" * (stages > 1), maps


def _openpose(source, images, layers):
    """OpenPose of the CVPR paper."""
    pixels = None if source.bgr else resnet.torch_pixels()
    return _staged(
        f"OpenPose, {len(COCO18.limbs)} limbs",
        partial(openpose.openpose, pixels=pixels),
        "features_2",
        images,
        layers,
    )


def _lightweight_openpose(source, images, layers):
    """The one with MobileNet."""
    network = lightweight_openpose.lightweight_openpose
    return _staged(
        "Lightweight OpenPose", network, "cpm_conv_0", images, layers
    )


def _staged(title, network, features, images, layers):
    """Fields in any number of stages; layer `features` is as wide as most."""
    stages = fields.count_stages(layers)
    outputs = network(
        images,
        len(COCO18.joints),
        len(COCO18.limbs),
        stages=stages,
        filters=kernel_shape(layers, features)[-1],
    )
    return f"{title}, {stages} stage" + "s" * (stages > 1), outputs


HEADS = ("head_maps", "final_layer", "refine_net_final_predict_1")
MAPS = r"stack\d+_maps"
STAGE_MAPS = r"stage\d+_maps"
"""Layers that make the maps."""
NETWORKS = {
    "simple baselines": _simple_baselines,
    "cascaded pyramid": _cascaded_pyramid,
    "hrnet": _hrnet,
    "hourglass": _hourglass,
    "cpm": _cpm,
    "integral": _integral,
    "volume": _volume,
    "direct": _direct,
    "openpose": _openpose,
    "lightweight openpose": _lightweight_openpose,
}
"""By `Source.network`: (source, images, layers) -> title, outputs by stage."""
CODECS = {
    "integral": Expectation,
    "volume": Expectation,
    "direct": Coordinates,
    "openpose": Fields,
    "lightweight openpose": Fields,
}
"""By `Source.network`; of the others: `Heatmaps`."""
