"""Whose network the weights of a file belong to, by the names of its tensors.

Names are those of the authors' code, without what all of them begin with
(`Checkpoint.prefix`). A source says which names its network has, which of them
the network in Keras does without, by a rule with a name, which layer the others
belong to, and what surrounds the network: pixels, cells, Gaussians. Widths and
depths are no part of it: they follow from shapes, and from how many there are.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from keras_pose import choices
from keras_pose.models import volumes
from keras_pose.models.torch_weights import names as layers
from keras_pose.skeletons import Skeleton

NORM = r"(weight|bias|running_mean|running_var)"
CONV = r"(weight|bias)"
PAIR = rf"(0\.weight|1\.{NORM})"
"""Convolution and the normalisation behind it."""
RESIDUAL = rf"(conv[123]\.weight|bn[123]\.{NORM}|downsample\.{PAIR})"
"""Of ResNet: a bottleneck with three convolutions, a basic block with two."""
TRUNK = rf"(conv1\.weight|bn1\.{NORM}|layer[1-4]\.\d+\.{RESIDUAL})"
UPSAMPLING = rf"(deconv_layers\.\d+\.{NORM}|final_layer\.{CONV})"
BRANCHES = (
    rf"(conv[12]\.weight|bn[12]\.{NORM}|layer1\.\d+\.{RESIDUAL}"
    rf"|transition\d+\.\d+\.(\d+\.)?{PAIR}"
    rf"|stage\d+\.\d+\.branches\.\d+\.\d+\.{RESIDUAL}"
    rf"|stage\d+\.\d+\.fuse_layers\.\d+\.\d+\.(\d+\.)?{PAIR})"
)
PYRAMID = (
    rf"(global_net\.(laterals\.\d\.{PAIR}"
    rf"|upsamples\.\d\.(1\.weight|2\.{NORM})"
    rf"|predict\.\d\.([03]\.weight|[15]\.{NORM}))"
    rf"|refine_net\.(cascade\.\d|final_predict)\.\d\.{RESIDUAL}"
    rf"|refine_net\.final_predict\.(1\.weight|2\.{NORM}))"
)
PREACTIVATED = rf"(bn[123]\.{NORM}|conv[123]\.{CONV}|downsample\.0\.{CONV})"
RECURSIVE = rf"(bn[123]\.{NORM}|(conv[123]|skip_layer)\.conv\.{CONV})"
"""The same block by princeton's names."""
LIGHTWEIGHT = (
    rf"(model\.\d+\.([03]\.weight|[14]\.{NORM})"
    rf"|cpm\.((align|conv)\.0\.{CONV}|trunk\.\d\.[02]\.weight)"
    rf"|initial_stage\.(trunk\.\d\.0|(heatmaps|pafs)\.[01]\.0)\.{CONV}"
    rf"|refinement_stages\.\d+\.((heatmaps|pafs)\.[01]\.0\.{CONV}"
    rf"|trunk\.\d\.(initial\.0\.{CONV}|trunk\.[01]\.(0\.{CONV}|1\.{NORM}))))"
)
MMPOSE = r"(backbone|(keypoint_)?head(\.simplebaseline_head)?)\."
CLASSES = {"head for the classes of ImageNet": rf"fc\.{CONV}"}
LIMBS = (
    *((1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 2), (2, 3), (3, 4), (2, 16), (1, 5), (5, 6), (6, 7), (5, 17)),
    *((1, 0), (0, 14), (0, 15), (14, 16), (15, 17)),
)
"""OpenPose's limbs in the order of its channels: all public code has it, since
the authors' weights do."""
EITHER = ("simple baselines", "openpose")
"""Networks with weights for R, G, B and for B, G, R."""
HEIGHT = 256
"""Height of the pictures for which `Source.sigma` is."""


@dataclass(frozen=True)
class Source:
    """Where weights come from."""

    name: str
    """As in --source."""
    code: str
    """Repository of the code that made them."""
    signature: tuple[str, ...]
    """Patterns of names that it has, and no source after it in SOURCES."""
    used: str
    """Pattern of the names of its network."""
    layer: Callable[[str], str]
    """Path of a module, without `before` -> name of its layer in Keras."""
    network: str | None = None
    """One of `networks.NETWORKS`; None: a backbone without maps of joints."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Rule -> pattern of the names that are left out by it."""
    unneeded: str = "-"
    """Pattern of convolutions that are left out where their widths agree."""
    before: str = ""
    """Pattern of what a module's path begins with."""
    bgr: bool = False
    """Whether it takes B, G, R: a ResNet's normalised by the constants of R, G,
    B, OpenPose's / 256 - 0.5."""
    stem: str = "conv1_conv"
    """Layer that sees the pixels."""
    limbs: tuple[tuple[int, int], ...] = ()
    """Of part affinity fields, in the order of their channels: indices of
    `codecs.COCO18`."""
    skeleton: Skeleton | None = None
    """Its joints; None: those of MPII or COCO, by their number."""
    size: tuple[int, int] | None = None
    """Height and width of its pictures; None: they depend on the joints."""
    pixel_offset: float | tuple[float, float, float] = 0.0
    """Of an hourglass: what is added to its pixels, 0 ... 1."""
    center: float = 0.0
    """Of coordinates: its value where `codecs.Coordinates` has 0."""
    alignment: str = "corner"
    """Of its cells, see `codecs.gaussians`."""
    sigma: float = 2.0
    """Width of its Gaussians at pictures of height HEIGHT, cells; larger ones
    have wider ones."""
    sigmas: dict[int, float] = field(default_factory=dict)
    """Height of pictures -> width of the Gaussians, where not in proportion."""
    peak: float = 1.0
    """Height of its Gaussians."""

    def sigma_at(self, height):
        """Width of the Gaussians at pictures of this height, cells."""
        return self.sigmas.get(height, self.sigma * height / HEIGHT)

    def fits(self, names):
        """Whether all of `signature` is among names."""
        return all(
            any(re.fullmatch(pattern, name) for name in names)
            for pattern in self.signature
        )

    def sort(self, shapes):
        """Splits {name: shape} into names to use, and {name: rule} of others.

        Raises:
            ValueError: a name is neither.
        """
        used, ignored, others = [], {}, []
        for name in shapes:
            rules = (
                rule
                for rule, pattern in self.ignored.items()
                if re.fullmatch(pattern, name)
            )
            rule = next(rules, None)
            if rule is None and self._is_unneeded(name, shapes):
                rule = "shortcut whose widths agree: the code does not use it"
            if rule:
                ignored[name] = rule
            elif re.fullmatch(self.used, name):
                used.append(name)
            else:
                others.append(name)
        if others:
            raise ValueError(
                f"weights of {self.name} must have its names alone, got "
                f"{len(others):,} others: {some(others)}"
            )
        return tuple(used), ignored

    def with_channels(self, order):
        """The source with its colours in the `order` "rgb" or "bgr".

        Raises:
            ValueError: not one of EITHER, the only ones with both.
        """
        if self.network not in EITHER:
            raise ValueError(
                "only weights of Simple Baselines and OpenPose have been "
                f"published with both orders of colours, these are of "
                f"{self.name}"
            )
        return replace(self, bgr=order == "bgr")

    def _is_unneeded(self, name, shapes):
        path = name.rpartition(".")[0]
        shape = shapes.get(f"{path}.weight", ())
        return (
            bool(re.fullmatch(self.unneeded, path))
            and len(shape) > 1
            and shape[0] == shape[1]
        )


SOURCES = (
    Source(
        "hrnet-imagenet",
        "HRNet/HRNet-Image-Classification",
        (r"stage4\.2\.fuse_layers\.0\.1\.0\.weight", r"classifier\.weight"),
        BRANCHES,
        layers.hrnet,
        ignored={
            "head for the classes of ImageNet": (
                rf"(incre_modules\.\d+\.\d+\.{RESIDUAL}"
                rf"|downsamp_modules\.\d+\.[01]\.{NORM}"
                rf"|final_layer\.[01]\.{NORM}|classifier\.{CONV})"
            )
        },
    ),
    Source(
        "hrnet",
        "leoxiaobin/deep-high-resolution-net.pytorch",
        (r"stage4\.2\.fuse_layers\.0\.1\.0\.weight",),
        rf"({BRANCHES}|final_layer\.{CONV})",
        layers.hrnet,
        "hrnet",
    ),
    Source(
        "hrnet-mmpose",
        "open-mmlab/mmpose",
        (r"backbone\.stage4\.2\.fuse_layers\.0\.1\.0\.weight",),
        rf"(backbone\.{BRANCHES}|(keypoint_)?head\.final_layer\.{CONV})",
        layers.hrnet,
        "hrnet",
        before=MMPOSE,
    ),
    Source(
        "simple-baselines",
        "microsoft/human-pose-estimation.pytorch",
        (r"deconv_layers\.0\.weight",),
        rf"({TRUNK}|{UPSAMPLING})",
        layers.resnet,
        "simple baselines",
        CLASSES,
        bgr=True,
    ),
    Source(
        "simple-baselines-mmpose",
        "open-mmlab/mmpose",
        (
            r"backbone\.layer4\.0\.conv1\.weight",
            r"(keypoint_)?head\.deconv_layers\.0\.weight",
        ),
        rf"(backbone\.{TRUNK}|(keypoint_)?head\.{UPSAMPLING})",
        layers.resnet,
        "simple baselines",
        before=MMPOSE,
    ),
    Source(
        "cpm-mmpose",
        "open-mmlab/mmpose",
        (r"backbone\.stem\.9\.conv\.weight",),
        rf"backbone\.((stem|middle)\.\d+|(middle_conv|out_convs)\.\d+\.\d+"
        rf"|cpm_stages\.\d+\.model\.\d+)\.(conv\.{CONV}|bn\.{NORM})",
        layers.cpm,
        "cpm",
        before=MMPOSE,
        sigmas={368: 2.0},
    ),
    Source(
        "integral-mmpose",
        "open-mmlab/mmpose",
        (
            r"backbone\.layer4\.0\.conv1\.weight",
            r"head\.(simplebaseline_head\.de)?conv_layers\.0\.weight",
        ),
        rf"(backbone\.{TRUNK}|head\.simplebaseline_head\.{UPSAMPLING}"
        rf"|head\.(conv_layers\.\d+\.{NORM}|final_layer\.{CONV}))",
        layers.resnet,
        "integral",
        before=MMPOSE,
    ),
    Source(
        "integral",
        "JimmySuen/integral-human-pose",
        (r"backbone\.layer4\.0\.conv1\.weight", r"head\.features\.9\.weight"),
        rf"(backbone\.{TRUNK}|head\.features\.([036]\.weight|[147]\.{NORM}"
        rf"|9\.{CONV}))",
        layers.integral,
        "volume",
        before=MMPOSE,
        skeleton=volumes.HUMAN36M,
    ),
    Source(
        "deeppose-mmpose",
        "open-mmlab/mmpose",
        (
            r"backbone\.layer4\.0\.conv1\.weight",
            r"(keypoint_)?head\.fc\.weight",
        ),
        rf"(backbone\.{TRUNK}|(keypoint_)?head\.fc\.{CONV})",
        layers.resnet,
        "direct",
        before=MMPOSE,
        center=0.5,
    ),
    Source(
        "hourglass-pytorch-pose",
        "bearpaw/pytorch-pose",
        (r"hg\.0\.hg\.\d+\.0\.0\.bn1\.weight",),
        rf"(conv1\.{CONV}|bn1\.{NORM}|layer[123]\.\d+\.{PREACTIVATED}"
        rf"|hg\.\d+\.hg\.\d+\.[0-3]\.\d+\.{PREACTIVATED}"
        rf"|res\.\d+\.\d+\.{PREACTIVATED}"
        rf"|fc\.\d+\.(0\.{CONV}|1\.{NORM})|(score|fc_|score_)\.\d+\.{CONV})",
        layers.hourglass_pytorch_pose,
        "hourglass",
        pixel_offset=(-0.4404, -0.4440, -0.4327),  # MPII's mean
        alignment="center",
        sigma=1.0,
    ),
    Source(
        "hourglass-princeton",
        "princeton-vl/pytorch_stacked_hourglass",
        (r"hgs\.0\.0\.up1\.bn1\.weight",),
        rf"(pre\.0\.(conv\.{CONV}|bn\.{NORM})|pre\.[134]\.{RECURSIVE}"
        rf"|hgs\.\d+\.0\.(low2\.)*(up1|low1|low2|low3)\.{RECURSIVE}"
        rf"|features\.\d+\.(0\.{RECURSIVE}|1\.(conv\.{CONV}|bn\.{NORM}))"
        rf"|outs\.\d+\.conv\.{CONV}"
        rf"|merge_(features|preds)\.\d+\.conv\.conv\.{CONV})",
        layers.hourglass_princeton,
        "hourglass",
        unneeded=r".*\.skip_layer\.conv",
        alignment="center",
        sigma=1.0,
    ),
    Source(
        "cpn",
        "GengDavid/pytorch-cpn",
        (r"global_net\.laterals\.0\.0\.weight",),
        rf"(resnet\.{TRUNK}|{PYRAMID})",
        layers.cascaded_pyramid,
        "cascaded pyramid",
        before=r"resnet\.",
        alignment="center",
        sigma=1.4,
        sigmas={384: 1.7},
        peak=255.0,
    ),
    Source(
        "openpose-tensorboy",
        "tensorboy/pytorch_Realtime_Multi-Person_Pose_Estimation",
        (r"model0\.0\.weight", r"model1_1\.0\.weight"),
        rf"model(0|\d_[12])\.\d+\.{CONV}",
        layers.openpose,
        "openpose",
        bgr=True,
        stem="block1_conv1",
        limbs=LIMBS,
        size=(496, 496),
        alignment="center",
    ),
    Source(
        "openpose-lightweight",
        "Daniil-Osokin/lightweight-human-pose-estimation.pytorch",
        (r"cpm\.align\.0\.weight", r"initial_stage\.trunk\.0\.0\.weight"),
        LIGHTWEIGHT,
        layers.hrnet,
        "lightweight openpose",
        bgr=True,
        stem="model_0_0",
        limbs=LIMBS,
        size=(368, 656),
        alignment="center",
    ),
    Source(
        "resnet",
        "pytorch/vision",
        (r"layer4\.0\.conv1\.weight", r"conv1\.weight"),
        TRUNK,
        layers.resnet,
        ignored=CLASSES,
    ),
)
"""In the order in which they are tried."""
REFUSED = {
    r"(keypoint_)?head\.loss_module\..*": "mmpose's regression with residual "
    "log-likelihood estimation (RLE) predicts deviations, too, which is not "
    "supported",
    r"backbone\.hourglass_modules\..*": "mmpose's hourglass-52 is another "
    "network (CornerNet's) than the stacked hourglass",
}
"""Pattern of a name -> why no source has it."""


def recognise(names, source=None):
    """Finds whose network the tensors with these names belong to.

    Args:
        names: as in `Checkpoint.tensors`.
        source: name of a source that is taken without looking, or None.

    Returns:
        Source

    Raises:
        ValueError: none, or one that cannot be imported; shows three names and
            the sources that are known.
    """
    known = [other.name for other in SOURCES]
    if source is not None:
        choices.check("source", source, known)
        return SOURCES[known.index(source)]
    for pattern, why in REFUSED.items():
        if any(re.fullmatch(pattern, name) for name in names):
            raise ValueError(why)
    for candidate in SOURCES:
        if candidate.fits(names):
            return candidate
    raise ValueError(
        f"weights must be of {', '.join(known)}, got tensors with other names: "
        f"{some(names)}"
    )


def some(names):
    """The first three names."""
    listed = list(names)
    return ", ".join(listed[:3]) + (" ..." if len(listed) > 3 else "")
