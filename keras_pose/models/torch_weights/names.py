"""Layers in Keras by the names of modules in PyTorch.

A function per family of networks: the module's path, without what a repository
puts before it -> the layer's name. A path that none of them has, such as the
second residual block of a level, is a ValueError.
"""

import re

from keras_pose.models.hourglass import DEPTH

HEADS = {"final_layer": "head_maps", "fc": "head_points"}
"""Last layers behind a ResNet."""


def resnet(path):
    """Of ResNet's trunk (torchvision), and of heads: Simple Baselines' and one
    that regresses directly."""
    if path in ("conv1", "bn1"):
        return f"conv1_{path[:-1]}"
    if path in HEADS:
        return HEADS[path]
    block = re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)(\d)", path)
    if block:
        stage, number, kind, part = block.groups()
        return _block(stage, number, part, kind)
    shortcut = re.fullmatch(r"layer(\d)\.(\d+)\.downsample\.([01])", path)
    if shortcut:
        stage, number, part = shortcut.groups()
        return _block(stage, number, 0, ("conv", "bn")[int(part)])
    upsampling = re.fullmatch(r"(?:de)?conv_layers\.(\d+)", path)
    if upsampling:  # convolution, normalisation, ReLU
        step, part = divmod(int(upsampling[1]), 3)
        return f"deconvolution{step + 1}" + ("", "_norm")[part]
    raise _unknown(path)


def integral(path):
    """Of the authors' integral regression, with three deconvolutions."""
    part = re.fullmatch(r"features\.(\d)", path)
    if not part:
        return resnet(path)
    last = part[1] == "9"
    return resnet("final_layer" if last else f"deconv_layers.{part[1]}")


def _block(stage, number, part, kind):
    return f"conv{int(stage) + 1}_block{int(number) + 1}_{part}_{kind}"


def hrnet(path):
    """The path itself, see `models.hrnet`."""
    return path.replace(".", "_")


def cpm(path):
    """Of mmpose's Convolutional Pose Machine."""
    first = re.fullmatch(r"(stem|middle)\.(\d+)\.(conv|bn)", path)
    later = re.fullmatch(
        r"(middle_conv|out_convs|cpm_stages)\.(\d+)\.(?:model\.)?(\d+)"
        r"\.(conv|bn)",
        path,
    )
    if first:
        part, number, kind = first.groups()
        number = int(number)
        # 1, 3 and 5 are poolings
        layer = number // 2 + 1 if number < 6 else number - 2
        name = f"{'stage1' if part == 'stem' else 'shared'}_{layer}"
        name = "stage1_maps" if number == 9 else name
    elif later:
        part, stage, number, kind = later.groups()
        place = {"middle_conv": ["features"], "out_convs": ["4", "maps"]}
        place = place.get(part, ["1", "2", "3"])
        if int(number) >= len(place):
            raise _unknown(path)
        name = f"stage{int(stage) + 2}_{place[int(number)]}"
    else:
        raise _unknown(path)
    return name + ("_norm" if kind == "bn" else "")


def cascaded_pyramid(path):
    """ResNet's trunk, and the path itself, see `models.cascaded_pyramid`."""
    if path.startswith(("global_net.", "refine_net.")):
        return hrnet(path)
    return resnet(path)


FRONT = {
    **{0: "block1_conv1", 2: "block1_conv2"},  # ReLUs and poolings between
    **{5: "block2_conv1", 7: "block2_conv2"},
    **{10 + 2 * part: f"block3_conv{part + 1}" for part in range(4)},
    **{19: "block4_conv1", 21: "block4_conv2"},
    **{23: "features_1", 25: "features_2"},
}
"""OpenPose's layers by their places."""
OPENPOSE_BRANCHES = {"1": "fields", "2": "maps"}


def openpose(path):
    """Of OpenPose by tensorboy."""
    place = re.fullmatch(r"model(\d)(?:_([12]))?\.(\d+)", path)
    if not place:
        raise _unknown(path)
    stage, branch, number = place.groups()
    name = FRONT.get(int(number))
    if branch:
        part, activation = divmod(int(number), 2)
        last = 4 if stage == "1" else 6
        name = f"stage{stage}_{OPENPOSE_BRANCHES[branch]}"
        name += "" if part == last else f"_{part + 1}"
        name = None if activation or part > last else name
    if not name:
        raise _unknown(path)
    return name


UNIT = r"(bn|conv)([123])(?:\.conv)?"
"""Of a pre-activation bottleneck: its norms and convolutions."""
SHORTCUT = r"(?:downsample\.0|skip_layer\.conv)"
STEM = {"layer1": "a", "layer2": "b", "layer3": "c"}
PRINCETON_STEM = {"1": "a", "3": "b", "4": "c"}
LEVEL = ("skip", "down", "up", "bottom")
"""pytorch-pose: the four blocks of a level of an hourglass."""
PRINCETON_LEVEL = {"up1": "skip", "low1": "down", "low3": "up"}
ENDS = {
    "score": "maps",
    "fc_": "features_back",
    "score_": "maps_back",
    "outs": "maps",
    "merge_features": "features_back",
    "merge_preds": "maps_back",
}
"""Convolutions behind a stack."""


def hourglass_pytorch_pose(path):
    """Of pytorch-pose's stacked hourglass."""
    if path in ("conv1", "bn1"):
        return {"conv1": "stem", "bn1": "stem_norm"}[path]
    end = re.fullmatch(r"(score|fc_|score_)\.(\d+)", path)
    if end:
        return f"stack{int(end[2]) + 1}_{ENDS[end[1]]}"
    linear = re.fullmatch(r"fc\.(\d+)\.([01])", path)
    if linear:
        name = ("linear", "norm")[int(linear[2])]
        return f"stack{int(linear[1]) + 1}_{name}"
    parts = (
        (r"(layer[123])\.0", lambda m: f"stem_{STEM[m[1]]}"),
        (r"res\.(\d+)\.0", lambda m: f"stack{int(m[1]) + 1}_after"),
        (r"hg\.(\d+)\.hg\.(\d+)\.([0-3])\.0", _level),
    )
    return _residual(path, parts)


def _level(found):
    stack, level, part = (int(number) for number in found.groups())
    return _in_level(stack, level + 1, LEVEL[part])


def hourglass_princeton(path):
    """Of princeton's stacked hourglass."""
    if path in ("pre.0.conv", "pre.0.bn"):
        return {"conv": "stem", "bn": "stem_norm"}[path[6:]]
    end = re.fullmatch(
        r"(outs|merge_features|merge_preds)\.(\d+)(?:\.conv)+", path
    )
    if end:
        return f"stack{int(end[2]) + 1}_{ENDS[end[1]]}"
    linear = re.fullmatch(r"features\.(\d+)\.1\.(conv|bn)", path)
    if linear:
        name = {"conv": "linear", "bn": "norm"}[linear[2]]
        return f"stack{int(linear[1]) + 1}_{name}"
    parts = (
        (r"pre\.([134])", lambda m: f"stem_{PRINCETON_STEM[m[1]]}"),
        (r"features\.(\d+)\.0", lambda m: f"stack{int(m[1]) + 1}_after"),
        (r"hgs\.(\d+)\.0\.((?:low2\.)*)(up1|low1|low2|low3)", _recursion),
    )
    return _residual(path, parts)


def _recursion(found):
    stack, nested, part = found.groups()
    level = DEPTH - nested.count("low2")
    return _in_level(int(stack), level, PRINCETON_LEVEL.get(part, "bottom"))


def _in_level(stack, level, part):
    """A block of an hourglass; the bottom is that of the coarsest level."""
    if not 1 <= level <= DEPTH or (part == "bottom" and level > 1):
        raise ValueError(
            f"an hourglass must be {DEPTH} levels deep, got {part} at level "
            f"{level}"
        )
    return f"stack{stack + 1}_{part}" + ("" if part == "bottom" else str(level))


def _residual(path, parts):
    """The layer in a residual block that is one of `parts`."""
    found = re.fullmatch(rf"(.+)\.(?:{UNIT}|{SHORTCUT})", path)
    block, kind, number = found.groups() if found else ("", None, None)
    for pattern, name in parts:
        place = re.fullmatch(pattern, block)
        if place and kind:
            norm = "_norm" if kind == "bn" else ""
            return f"{name(place)}_{number}{norm}"
        if place:
            return f"{name(place)}_skip"
    raise _unknown(path)


def _unknown(path):
    return ValueError(f"its network has a {path}, which the one here has not")
