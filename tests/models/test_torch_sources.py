"""Sources of weights are recognised by names, listed here from their code."""

import re

import pytest

from keras_pose.models.torch_weights import sources

NORM = ("weight", "bias", "running_mean", "running_var")
CONV = ("weight", "bias")


def under(prefix, names):
    return [f"{prefix}.{name}" for name in names]


def normalised(conv, norm):
    """A convolution without bias and its normalisation."""
    return [f"{conv}.weight", *under(norm, NORM)]


def block(convs, downsample):
    names = [
        name
        for c in range(1, convs + 1)
        for name in normalised(f"conv{c}", f"bn{c}")
    ]
    return names + downsample * normalised("downsample.0", "downsample.1")


def layer(prefix, blocks, convs=3, downsample=True):
    return [
        name
        for b in range(blocks)
        for name in under(f"{prefix}.{b}", block(convs, downsample and b == 0))
    ]


def trunk(counts, convs=3):
    names = normalised("conv1", "bn1")
    for index, count in enumerate(counts, start=1):
        short = convs == 2 and index == 1  # basic blocks begin without
        names += layer(f"layer{index}", count, convs, not short)
    return names


def upsampling():
    names = []
    for first in (0, 3, 6):
        names += normalised(
            f"deconv_layers.{first}", f"deconv_layers.{first + 1}"
        )
    return names + under("final_layer", CONV)


def branches(scales=1):
    """HRNet: stages 2, 3, 4 of 1, 4, 3 modules with 2, 3, 4 branches.

    Of the last module, `scales` branches are fused: for poses one.
    """
    names = normalised("conv1", "bn1") + normalised("conv2", "bn2")
    names += layer("layer1", 4)
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        new = f"transition{stage - 1}.{stage - 1}.0"
        names += normalised(f"{new}.0", f"{new}.1")
        if stage == 2:
            names += normalised("transition1.0.0", "transition1.0.1")
        for module in range(modules):
            place = f"stage{stage}.{module}"
            for i in range(stage):
                names += layer(f"{place}.branches.{i}", 4, 2, False)
                if place == "stage4.2" and i >= scales:
                    continue
                for j in range(stage):
                    fuse = f"{place}.fuse_layers.{i}.{j}"
                    if j > i:
                        names += normalised(f"{fuse}.0", f"{fuse}.1")
                    for k in range(i - j):
                        names += normalised(f"{fuse}.{k}.0", f"{fuse}.{k}.1")
    return names


def preactivated(conv="conv{}", skip="downsample.0", widened=False):
    names = []
    for c in (1, 2, 3):
        names += under(f"bn{c}", NORM) + under(conv.format(c), CONV)
    return names + widened * under(skip, CONV)


def pytorch_pose(stacks):
    names = under("conv1", CONV) + under("bn1", NORM)
    names += under("layer1.0", preactivated(widened=True))
    names += under("layer2.0", preactivated(widened=True))
    names += under("layer3.0", preactivated())
    for i in range(stacks):
        for depth in range(4):
            for part in range(4 if depth == 0 else 3):
                names += under(f"hg.{i}.hg.{depth}.{part}.0", preactivated())
        names += under(f"res.{i}.0", preactivated())
        names += under(f"fc.{i}.0", CONV) + under(f"fc.{i}.1", NORM)
        names += under(f"score.{i}", CONV)
        if i < stacks - 1:
            names += under(f"fc_.{i}", CONV) + under(f"score_.{i}", CONV)
    return names


def princeton(stacks):
    def residual():
        return preactivated("conv{}.conv", "skip_layer.conv", True)

    names = under("pre.0.conv", CONV) + under("pre.0.bn", NORM)
    for part in (1, 3, 4):
        names += under(f"pre.{part}", residual())
    for i in range(stacks):
        for depth in range(4):
            place = f"hgs.{i}.0" + ".low2" * depth
            for part in ("up1", "low1", "low3"):
                names += under(f"{place}.{part}", residual())
        names += under(f"{place}.low2", residual())
        names += under(f"features.{i}.0", residual())
        names += under(f"features.{i}.1.conv", CONV)
        names += under(f"features.{i}.1.bn", NORM)
        names += under(f"outs.{i}.conv", CONV)
        if i < stacks - 1:
            for part in ("features", "preds"):
                names += under(f"merge_{part}.{i}.conv.conv", CONV)
    return names


FINAL = under("final_layer", CONV)
CLASSES = under("fc", CONV)
HEAD = [
    *layer("incre_modules.0", 1),
    *("downsamp_modules.0.0.weight", "downsamp_modules.0.0.bias"),
    *under("downsamp_modules.0.1", NORM),
    *under("final_layer.0", CONV),
    *under("final_layer.1", NORM),
    *under("classifier", CONV),
]
RESNET_50, RESNET_152 = trunk((3, 4, 6, 3)), trunk((3, 8, 36, 3))
NETWORKS = {
    "resnet": [(RESNET_50, CLASSES), (RESNET_152, CLASSES), (RESNET_50, [])],
    "simple-baselines": [(RESNET_50 + upsampling(), [])],
    "simple-baselines-mmpose": [
        (under("backbone", RESNET_50) + under(head, upsampling()), [])
        for head in ("head", "keypoint_head")
    ],
    "hrnet": [(branches() + FINAL, [])],
    "hrnet-imagenet": [(branches(4), HEAD)],
    "hrnet-mmpose": [
        (under("backbone", branches()) + under(head, FINAL), [])
        for head in ("head", "keypoint_head")
    ],
    "hourglass-pytorch-pose": [(pytorch_pose(1), []), (pytorch_pose(8), [])],
    "hourglass-princeton": [(princeton(2), []), (princeton(8), [])],
}
LISTS = [
    pytest.param(source, used, ignored, id=f"{source}-{number}")
    for source, networks in NETWORKS.items()
    for number, (used, ignored) in enumerate(networks)
]


def test_lists_are_as_long_as_the_networks_are_deep():
    # 53 convolutions and normalisations; torchvision's has fc besides
    assert len(RESNET_50) == 53 * 5
    assert len(RESNET_152) == (53 + 3 * (4 + 30)) * 5
    # stem 2, layer1 13, transitions 4, branches of 8 convolutions, fusions
    convolutions = 2 + 13 + 4 + 8 * (2 + 4 * 3 + 3 * 4)
    assert len(branches(4)) == 5 * (convolutions + 2 + 4 * 7 + 3 * 16)
    assert len(branches()) == 5 * (convolutions + 2 + 4 * 7 + 2 * 16 + 3)
    assert set(NETWORKS) == {source.name for source in sources.SOURCES}


@pytest.mark.parametrize("name, used, ignored", LISTS)
def test_each_network_is_recognised_and_every_name_sorted(name, used, ignored):
    names = sorted(used + ignored)
    source = sources.recognise(names)
    assert source.name == name
    found, left = source.sort(names)
    assert set(found) == set(used) and len(found) == len(used)
    assert set(left) == set(ignored)
    assert set(left.values()) <= {"head for the classes of ImageNet"}


@pytest.mark.parametrize("name, used, ignored", LISTS)
def test_a_name_that_a_source_does_not_have_is_an_error(name, used, ignored):
    source = sources.recognise(used + ignored)
    for other in ("layer5.0.conv1.weight", "conv1.weightx", "attention.weight"):
        with pytest.raises(ValueError, match=re.escape(f"others: {other}")):
            source.sort([*used, other])


def test_other_weights_are_refused_with_names_and_known_sources():
    names = [f"blocks.{i}.attn.qkv.weight" for i in range(12)]
    with pytest.raises(ValueError) as caught:
        sources.recognise(names)
    words = str(caught.value)
    assert ", ".join(names[:3]) + " ..." in words and names[3] not in words
    assert all(source.name in words for source in sources.SOURCES)


def test_a_source_may_be_named():
    assert sources.recognise(["x"], "hrnet").name == "hrnet"
    with pytest.raises(
        ValueError, match="source must be one of .*hrnet.*got 'hrnt'"
    ):
        sources.recognise(RESNET_50, "hrnt")


def test_the_other_hourglass_of_mmpose_is_refused_by_name():
    names = ["backbone.hourglass_modules.0.up1.0.conv1.weight"]
    with pytest.raises(ValueError, match="hourglass-52"):
        sources.recognise(names)


@pytest.mark.parametrize(
    "counts, depth",
    [((3, 4, 6, 3), 50), ((3, 4, 23, 3), 101), ((3, 8, 36, 3), 152)],
)
def test_blocks_say_how_deep_a_resnet_is(counts, depth):
    names = trunk(counts)
    assert sources.resnet_depth(names) == depth
    assert sources.resnet_depth(under("backbone", names)) == depth


@pytest.mark.parametrize("counts", [(2, 2, 2, 2), (3, 4, 6, 3)])
def test_resnets_of_basic_blocks_are_refused(counts):
    with pytest.raises(ValueError, match=r"50, 101, 152, got .* basic blocks"):
        sources.resnet_depth(trunk(counts, convs=2))
