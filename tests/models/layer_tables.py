"""Names and shapes of the tensors in published weights, from the public code.

A table is {name: shape}. Widths are arguments, so that a test's network may be
narrow; what their code fixes is a number here.
"""


def under(prefix, table):
    return {f"{prefix}.{name}": shape for name, shape in table.items()}


def merged(*tables):
    return {name: shape for table in tables for name, shape in table.items()}


def norm(width):
    names = "weight", "bias", "running_mean", "running_var"
    return dict.fromkeys(names, (width,))


def conv(i, o, kernel=1):
    """With bias."""
    return {"weight": (o, i, kernel, kernel), "bias": (o,)}


def normalised(first, second, i, o, kernel):
    """A convolution without bias and its normalisation, by their names."""
    weight = {f"{first}.weight": (o, i, kernel, kernel)}
    return merged(weight, under(second, norm(o)))


def block(i, width, downsample, convs=3):
    """Of ResNet and HRNet: a bottleneck, or two convolutions."""
    o = 4 * width if convs == 3 else width
    sizes = (i, width, width, o) if convs == 3 else (i, width, o)
    kernels = (1, 3, 1) if convs == 3 else (3, 3)
    table = merged(
        *(
            normalised(f"conv{c + 1}", f"bn{c + 1}", *sizes[c : c + 2], kernel)
            for c, kernel in enumerate(kernels)
        )
    )
    short = normalised("downsample.0", "downsample.1", i, o, 1)
    return merged(table, short if downsample else {})


def layer(prefix, blocks, i, width, convs=3, downsample=True):
    o = 4 * width if convs == 3 else width
    return merged(
        *(
            under(
                f"{prefix}.{b}",
                block(o if b else i, width, downsample and b == 0, convs),
            )
            for b in range(blocks)
        )
    )


def trunk(counts, convs=3):
    table, i = normalised("conv1", "bn1", 3, 64, 7), 64
    for index, count in enumerate(counts, start=1):
        width = 32 * 2**index
        short = convs == 2 and index == 1  # basic blocks begin without
        part = layer(f"layer{index}", count, i, width, convs, not short)
        table, i = merged(table, part), width * (4 if convs == 3 else 1)
    return table


def upsampling(joints=17, kernel=4, filters=256):
    table, i = {}, 2048
    for first in (0, 3, 6):
        name = f"deconv_layers.{first}"
        table[f"{name}.weight"] = (i, filters, kernel, kernel)
        table |= under(f"deconv_layers.{first + 1}", norm(filters))
        i = filters
    return merged(table, under("final_layer", conv(filters, joints)))


def pyramid(joints=17, f=256, widths=(2048, 1024, 512, 256)):
    """CPN on a ResNet whose stages are `widths` wide, the coarsest first."""
    table = {}
    for level, i in enumerate(widths):
        place = f"global_net.laterals.{level}"
        table |= normalised(f"{place}.0", f"{place}.1", i, f, 1)
        if level < 3:
            place = f"global_net.upsamples.{level}"
            table |= normalised(f"{place}.1", f"{place}.2", f, f, 1)
        place = f"global_net.predict.{level}"
        table |= normalised(f"{place}.0", f"{place}.1", f, f, 1)
        table |= normalised(f"{place}.3", f"{place}.5", f, joints, 3)
        for b in range(3 - level):
            place = f"refine_net.cascade.{level}.{b}"
            table |= under(place, refining(f, f))
    place = "refine_net.final_predict"
    table |= under(f"{place}.0", refining(4 * f, f))
    return table | normalised(f"{place}.1", f"{place}.2", f, joints, 3)


def refining(i, o):
    """A bottleneck of CPN: half as wide inside, always a shortcut."""
    sizes, kernels = (i, o // 2, o // 2, o), (1, 3, 1)
    parts = (
        normalised(f"conv{c + 1}", f"bn{c + 1}", *sizes[c : c + 2], kernel)
        for c, kernel in enumerate(kernels)
    )
    return merged(*parts, normalised("downsample.0", "downsample.1", i, o, 1))


def branches(width=32, scales=1, modules=(1, 4, 3)):
    """HRNet: stages 2, 3, 4 of `modules` with 2, 3, 4 branches.

    Of the last module, `scales` branches are fused: for poses one.
    """
    table = merged(
        normalised("conv1", "bn1", 3, 64, 3),
        normalised("conv2", "bn2", 64, 64, 3),
        layer("layer1", 4, 64, 64),
    )
    widths = [width * 2**b for b in range(4)]
    for stage, count in enumerate(modules, start=2):
        new = f"transition{stage - 1}.{stage - 1}.0"
        before = 256 if stage == 2 else widths[stage - 2]
        table |= normalised(
            f"{new}.0", f"{new}.1", before, widths[stage - 1], 3
        )
        if stage == 2:
            grown = "transition1.0.0", "transition1.0.1"
            table |= normalised(*grown, 256, width, 3)
        for module in range(count):
            place = f"stage{stage}.{module}"
            for i in range(stage):
                w = widths[i]
                table |= layer(f"{place}.branches.{i}", 4, w, w, 2, False)
                if (stage, module) == (4, count - 1) and i >= scales:
                    continue
                for j in range(stage):
                    fuse, v = f"{place}.fuse_layers.{i}.{j}", widths[j]
                    if j > i:
                        table |= normalised(f"{fuse}.0", f"{fuse}.1", v, w, 1)
                    for k in range(i - j):
                        o = w if k == i - j - 1 else v
                        names = f"{fuse}.{k}.0", f"{fuse}.{k}.1"
                        table |= normalised(*names, v, o, 3)
    return table


def final(width=32, joints=17):
    return under("final_layer", conv(width, joints))


def preactivated(i, o, name="conv{}", skip="downsample.0", always=False):
    """Of hourglasses; a shortcut where the width changes, or `always`."""
    half = o // 2
    table = merged(
        under("bn1", norm(i)),
        under(name.format(1), conv(i, half)),
        under("bn2", norm(half)),
        under(name.format(2), conv(half, half, 3)),
        under("bn3", norm(half)),
        under(name.format(3), conv(half, o)),
    )
    short = under(skip, conv(i, o))
    return merged(table, short if always or i != o else {})


def pytorch_pose(stacks, joints=16):
    f = 256
    table = merged(
        under("conv1", conv(3, 64, 7)),
        under("bn1", norm(64)),
        under("layer1.0", preactivated(64, 128)),
        under("layer2.0", preactivated(128, f)),
        under("layer3.0", preactivated(f, f)),
    )
    for i in range(stacks):
        for depth in range(4):
            for part in range(4 if depth == 0 else 3):
                place = f"hg.{i}.hg.{depth}.{part}.0"
                table |= under(place, preactivated(f, f))
        table |= under(f"res.{i}.0", preactivated(f, f))
        table |= under(f"fc.{i}.0", conv(f, f)) | under(f"fc.{i}.1", norm(f))
        table |= under(f"score.{i}", conv(f, joints))
        if i < stacks - 1:
            table |= under(f"fc_.{i}", conv(f, f))
            table |= under(f"score_.{i}", conv(joints, f))
    return table


def princeton(stacks, joints=16, f=256):
    def residual(i, o):
        return preactivated(i, o, "conv{}.conv", "skip_layer.conv", True)

    table = merged(
        under("pre.0.conv", conv(3, 64, 7)),
        under("pre.0.bn", norm(64)),
        under("pre.1", residual(64, 128)),
        under("pre.3", residual(128, 128)),
        under("pre.4", residual(128, f)),
    )
    for i in range(stacks):
        for depth in range(4):
            place = f"hgs.{i}.0" + ".low2" * depth
            for part in ("up1", "low1", "low3"):
                table |= under(f"{place}.{part}", residual(f, f))
        table |= under(f"{place}.low2", residual(f, f))
        table |= under(f"features.{i}.0", residual(f, f))
        table |= under(f"features.{i}.1.conv", conv(f, f))
        table |= under(f"features.{i}.1.bn", norm(f))
        table |= under(f"outs.{i}.conv", conv(f, joints))
        if i < stacks - 1:
            merge = "merge_{}.{}.conv.conv"
            table |= under(merge.format("features", i), conv(f, f))
            table |= under(merge.format("preds", i), conv(joints, f))
    return table


def cpm(stages, joints=16, f=128):
    """mmpose's Convolutional Pose Machine, without its prefix."""

    def unit(name, i, o, kernel):
        return normalised(f"{name}.conv", f"{name}.bn", i, o, kernel)

    table = {}
    for part in ("stem", "middle"):
        for number, i in ((0, 3), (2, f), (4, f)):
            table |= unit(f"{part}.{number}", i, f, 9)
    table |= unit("stem.6", f, f // 4, 5) | unit("stem.7", f // 4, 4 * f, 9)
    table |= unit("stem.8", 4 * f, 4 * f, 1)
    table |= under("stem.9.conv", conv(4 * f, joints))
    for t in range(stages - 1):
        table |= unit(f"middle_conv.{t}.0", f, f // 4, 5)
        for k in range(3):
            i = f if k else f // 4 + joints
            table |= unit(f"cpm_stages.{t}.model.{k}", i, f, 11)
        table |= unit(f"out_convs.{t}.0", f, f, 1)
        table |= under(f"out_convs.{t}.1.conv", conv(f, joints))
    return table


def openpose(stages=6, f=128):
    """OpenPose of the CVPR paper by tensorboy: 19 limbs, 18 joints."""
    front = [(0, 3, f // 2), (2, f // 2, f // 2), (5, f // 2, f), (7, f, f)]
    front += [(10, f, 2 * f)] + [(n, 2 * f, 2 * f) for n in (12, 14, 16)]
    front += [(19, 2 * f, 4 * f), (21, 4 * f, 4 * f)]
    front += [(23, 4 * f, 2 * f), (25, 2 * f, f)]
    parts = [under(f"model0.{n}", conv(i, o, 3)) for n, i, o in front]
    for t in range(1, stages + 1):
        for branch, out in ((1, 38), (2, 19)):
            sizes = [(f, f, 3)] * 3 + [(f, 4 * f, 1), (4 * f, out, 1)]
            if t > 1:
                sizes = [(f + 57, f, 7)] + [(f, f, 7)] * 4
                sizes += [(f, f, 1), (f, out, 1)]
            parts += [
                under(f"model{t}_{branch}.{2 * n}", conv(*size))
                for n, size in enumerate(sizes)
            ]
    return merged(*parts)


def lightweight(stages=2, f=128):
    """Lightweight OpenPose by Osokin: 19 limbs, 18 joints."""

    def branches(name, wide):
        for branch, out in (("heatmaps", 19), ("pafs", 38)):
            yield under(f"{name}.{branch}.0.0", conv(f, wide))
            yield under(f"{name}.{branch}.1.0", conv(wide, out))

    widths = [f // 4 * n for n in (1, 2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16)]
    parts = [normalised("model.0.0", "model.0.1", 3, widths[0], 3)]
    for n, (i, o) in enumerate(zip(widths[:-1], widths[1:], strict=True), 1):
        place = f"model.{n}"
        parts.append(normalised(f"{place}.0", f"{place}.1", 1, i, 3))
        parts.append(normalised(f"{place}.3", f"{place}.4", i, o, 1))
    parts.append(under("cpm.align.0", conv(widths[-1], f)))
    for n in range(3):
        parts.append({f"cpm.trunk.{n}.0.weight": (f, 1, 3, 3)})
        parts.append({f"cpm.trunk.{n}.2.weight": (f, f, 1, 1)})
        parts.append(under(f"initial_stage.trunk.{n}.0", conv(f, f, 3)))
    parts += [under("cpm.conv.0", conv(f, f, 3))]
    parts += branches("initial_stage", 4 * f)
    for t in range(stages - 1):
        name = f"refinement_stages.{t}"
        for b in range(5):
            place = f"{name}.trunk.{b}"
            i = f if b else f + 19 + 38
            parts.append(under(f"{place}.initial.0", conv(i, f)))
            for k in (0, 1):
                unit = under("0", conv(f, f, 3)) | under("1", norm(f))
                parts.append(under(f"{place}.trunk.{k}", unit))
        parts += branches(name, f)
    return merged(*parts)


def dead(name, table):
    """princeton's code makes a shortcut everywhere and uses the widening."""
    path, _, last = name.rpartition(".")
    shape = table[f"{path}.weight"]
    return "skip_layer" in name and shape[0] == shape[1]


def regression(joints=17):
    """x and y of each joint from 2048 features."""
    return {"fc.weight": (2 * joints, 2048), "fc.bias": (2 * joints,)}


def integral(table, old=False):
    """mmpose's names of Simple Baselines under the head, now and before."""
    if not old:
        return under("head.simplebaseline_head", table)
    renamed = {
        name.replace("deconv_layers", "conv_layers"): shape
        for name, shape in table.items()
    }
    return under("head", renamed)


def volume(table):
    """The authors' names of the same layers."""
    places = {"final_layer": "9"}
    for i in range(9):
        places[f"deconv_layers.{i}"] = str(i)
    return {
        f"head.features.{places[place]}.{kind}": shape
        for name, shape in table.items()
        for place, _, kind in [name.rpartition(".")]
    }


CLASSES = {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
HRNET_CLASSES = merged(
    layer("incre_modules.0", 1, 32, 32),
    under("downsamp_modules.0.0", conv(128, 256, 3)),
    under("downsamp_modules.0.1", norm(256)),
    under("final_layer.0", conv(1024, 2048)),
    under("final_layer.1", norm(2048)),
    {"classifier.weight": (1000, 2048), "classifier.bias": (1000,)},
)
RESNET_50, RESNET_152 = trunk((3, 4, 6, 3)), trunk((3, 8, 36, 3))
MMPOSE_HEADS = "head", "keypoint_head"  # of 1.x and 0.x
NETWORKS = {
    "resnet": [(RESNET_50, CLASSES), (RESNET_152, CLASSES), (RESNET_50, {})],
    "simple-baselines": [(merged(RESNET_50, upsampling()), {})],
    "simple-baselines-mmpose": [
        (merged(under("backbone", RESNET_50), under(head, upsampling())), {})
        for head in MMPOSE_HEADS
    ],
    "cpn": [
        (merged(under("resnet", trunk(counts)), pyramid()), {})
        for counts in ((3, 4, 6, 3), (3, 4, 23, 3))
    ],
    "integral-mmpose": [
        (merged(under("backbone", RESNET_50), integral(upsampling(), old)), {})
        for old in (False, True)
    ],
    "integral": [
        (
            merged(under("backbone", RESNET_152), volume(upsampling(18 * 72))),
            {},
        )
    ],
    "deeppose-mmpose": [
        (merged(under("backbone", RESNET_50), under(head, regression())), {})
        for head in MMPOSE_HEADS
    ],
    "hrnet": [(merged(branches(), final()), {})],
    "hrnet-imagenet": [(branches(scales=4), HRNET_CLASSES)],
    "hrnet-mmpose": [
        (merged(under("backbone", branches()), under(head, final())), {})
        for head in MMPOSE_HEADS
    ],
    "cpm-mmpose": [(under("backbone", cpm(6)), {})],
    "openpose-tensorboy": [(openpose(), {}), (openpose(1), {})],
    "openpose-lightweight": [(lightweight(n), {}) for n in (1, 2, 4)],
    "hourglass-pytorch-pose": [(pytorch_pose(1), {}), (pytorch_pose(8), {})],
    "hourglass-princeton": [
        (
            {n: s for n, s in table.items() if not dead(n, table)},
            {n: s for n, s in table.items() if dead(n, table)},
        )
        for table in (princeton(2), princeton(8))
    ],
}
"""By source: tensors that are used, and those that are left out."""
