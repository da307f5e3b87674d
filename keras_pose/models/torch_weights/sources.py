"""Whose network the weights of a file belong to, by the names of its tensors.

Names are those of the authors' code, without what all of them begin with
(`Checkpoint.prefix`). A source says which names its network has, and which of
them another network in Keras does without, by a rule with a name. Widths and
depths are no part of it: they follow from shapes, and from how many there are.
"""

import re
from dataclasses import dataclass, field

from keras_pose import choices

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
PREACTIVATED = rf"(bn[123]\.{NORM}|conv[123]\.{CONV}|downsample\.0\.{CONV})"
RECURSIVE = rf"(bn[123]\.{NORM}|(conv[123]|skip_layer)\.conv\.{CONV})"
"""The same block by princeton's names."""
CLASSES = {"head for the classes of ImageNet": rf"fc\.{CONV}"}
DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}
"""ResNets by the bottlenecks of their four layers."""


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
    ignored: dict[str, str] = field(default_factory=dict)
    """Rule -> pattern of the names that are left out by it."""

    def fits(self, names):
        """Whether all of `signature` is among names."""
        return all(
            any(re.fullmatch(pattern, name) for name in names)
            for pattern in self.signature
        )

    def sort(self, names):
        """Splits names into those to use, and {name: rule} of the others.

        Raises:
            ValueError: a name is neither.
        """
        used, ignored, others = [], {}, []
        for name in names:
            rules = (
                rule
                for rule, pattern in self.ignored.items()
                if re.fullmatch(pattern, name)
            )
            rule = next(rules, None)
            if rule:
                ignored[name] = rule
            elif re.fullmatch(self.used, name):
                used.append(name)
            else:
                others.append(name)
        if others:
            raise ValueError(
                f"weights of {self.name} must have its names alone, got "
                f"{len(others):,} others: {_some(others)}"
            )
        return tuple(used), ignored


SOURCES = (
    Source(
        "hrnet-imagenet",
        "HRNet/HRNet-Image-Classification",
        (r"stage4\.2\.fuse_layers\.0\.1\.0\.weight", r"classifier\.weight"),
        BRANCHES,
        {
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
    ),
    Source(
        "hrnet-mmpose",
        "open-mmlab/mmpose",
        (r"backbone\.stage4\.2\.fuse_layers\.0\.1\.0\.weight",),
        rf"(backbone\.{BRANCHES}|(keypoint_)?head\.final_layer\.{CONV})",
    ),
    Source(
        "simple-baselines",
        "microsoft/human-pose-estimation.pytorch",
        (r"deconv_layers\.0\.weight",),
        rf"({TRUNK}|{UPSAMPLING})",
        CLASSES,
    ),
    Source(
        "simple-baselines-mmpose",
        "open-mmlab/mmpose",
        (
            r"backbone\.layer4\.0\.conv1\.weight",
            r"(keypoint_)?head\.deconv_layers\.0\.weight",
        ),
        rf"(backbone\.{TRUNK}|(keypoint_)?head\.{UPSAMPLING})",
    ),
    Source(
        "hourglass-pytorch-pose",
        "bearpaw/pytorch-pose",
        (r"hg\.0\.hg\.\d+\.0\.0\.bn1\.weight",),
        rf"(conv1\.{CONV}|bn1\.{NORM}|layer[123]\.\d+\.{PREACTIVATED}"
        rf"|hg\.\d+\.hg\.\d+\.[0-3]\.\d+\.{PREACTIVATED}"
        rf"|res\.\d+\.\d+\.{PREACTIVATED}"
        rf"|fc\.\d+\.(0\.{CONV}|1\.{NORM})|(score|fc_|score_)\.\d+\.{CONV})",
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
    ),
    Source(
        "resnet",
        "pytorch/vision",
        (r"layer4\.0\.conv1\.weight", r"conv1\.weight"),
        TRUNK,
        CLASSES,
    ),
)
"""In the order in which they are tried."""
REFUSED = {
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
        f"{_some(names)}"
    )


def resnet_depth(names):
    """Depth of the ResNet in the tensors with these names: 50, 101 or 152.

    Raises:
        ValueError: another one, such as ResNet-18 with its basic blocks.
    """
    blocks = [set(), set(), set(), set()]
    bottlenecks = False
    for name in names:
        found = re.fullmatch(rf"(?:.*\.)?layer([1-4])\.(\d+)\.{RESIDUAL}", name)
        if found:
            blocks[int(found[1]) - 1].add(found[2])
            bottlenecks |= "conv3." in name
    counts = tuple(len(layer) for layer in blocks)
    if not bottlenecks or counts not in DEPTHS:
        kind = "bottlenecks" if bottlenecks else "basic blocks"
        raise ValueError(
            f"a ResNet must be one of {', '.join(map(str, DEPTHS.values()))}, "
            f"got one of {counts} {kind}"
        )
    return DEPTHS[counts]


def _some(names):
    """Three names."""
    listed = list(names)
    return ", ".join(listed[:3]) + (" ..." if len(listed) > 3 else "")
