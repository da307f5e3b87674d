"""The public networks in numpy, float64, written from their layer tables.

Layers are named by the keys of published weights, images are (B, C, H, W), and
strided convolutions pad both sides, as in PyTorch. A network returns features
by the name of the layer in Keras that makes them, in the order of the graph.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

EPSILON = 1e-5
LIMBS = (6, 10, 7, 8, 11, 12, 0, 1, 2, 3, 4, 5, 14, 15, 17, 16, 18, 9, 13)
"""Of each limb of COCO18 the place in OpenPose's files: 12 and 13 are the
channels of neck - right shoulder, and so on (tensorboy's pafprocess.h)."""


class Weights:
    """Random values of a layer table, and the layers that use them.

    Statistics begin as those of the first pictures, disturbed: a mean taken
    for an offset or another epsilon then shows. Half of a variance is the mean
    of the layer's: a channel that hardly varies in two pictures would amplify
    rounding a thousand times. What a bottleneck adds to its input is half as
    large: 16 of them would else amplify rounding to nearly 1e-4.

    `gain`: factor on kernels. A network without norms needs 2**0.5, because
    ReLU halves what varies: its last layers would see biases alone.
    """

    def __init__(self, table, seed=0, gain=1.0):
        self.gain = gain
        self.rng = np.random.default_rng(seed)
        self.values = {n: self._random(n, shape) for n, shape in table.items()}
        self.fitted = False

    def _random(self, name, shape):
        if len(shape) == 4:
            spread = self.gain * np.prod(shape[1:]) ** -0.5
        elif len(shape) == 1 and name.endswith("weight"):
            half = 0.5 if name.endswith("bn3.weight") else 1.0
            return half * self.rng.uniform(0.5, 1.5, shape).astype("float32")
        else:
            spread = 0.3
        return self.rng.normal(0, spread, shape).astype("float32")

    def fit(self, network, x):
        """Sets the statistics; returns the features with them."""
        features = network(self, x)
        self.fitted = True
        return features

    def conv(self, path, x, stride=1, dilation=1):
        weight = self.values[f"{path}.weight"].astype("float64")
        bias = self.values.get(f"{path}.bias", np.zeros(1))
        windows = _windows(x, weight.shape[-1], stride, dilation)
        y = np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3)))
        return np.moveaxis(y + bias, -1, 1)

    def depthwise(self, path, x, stride=1, dilation=1):
        """Torch's of as many groups as channels: kernel (C, 1, h, w)."""
        weight = self.values[f"{path}.weight"].astype("float64")[:, 0]
        windows = _windows(x, weight.shape[-1], stride, dilation)
        return np.einsum("bchwyx,cyx->bchw", windows, weight)

    def deconv(self, path, x):
        """Of stride 2 to twice the size: Torch's kernel 4 with padding 1, 3
        with padding 1 and output padding 1, 2 without."""
        weight = self.values[f"{path}.weight"].astype("float64")
        kernel = weight.shape[-1]
        b, _, h, w = x.shape
        full = np.zeros((b, weight.shape[1], 2 * h + kernel, 2 * w + kernel))
        for i in range(kernel):
            for j in range(kernel):
                part = np.einsum("bihw,io->bohw", x, weight[:, :, i, j])
                full[:, :, i : i + 2 * h : 2, j : j + 2 * w : 2] += part
        padding = {4: 1, 3: 1, 2: 0}[kernel]
        return full[:, :, padding:, padding:][:, :, : 2 * h, : 2 * w]

    def norm(self, path, x):
        names = "weight", "bias", "running_mean", "running_var"
        if not self.fitted:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
            variance = (variance + variance.mean()) / 2
            mean = mean + 0.2 * self.rng.normal(size=mean.shape) * variance**0.5
            factor = self.rng.uniform(0.7, 1.4, mean.shape)
            fitted = {"running_mean": mean, "running_var": variance * factor}
            for name, value in fitted.items():
                self.values[f"{path}.{name}"] = value.astype("float32")
        scale, offset, mean, variance = (
            self.values[f"{path}.{name}"].astype("float64")[:, None, None]
            for name in names
        )
        return (x - mean) / np.sqrt(variance + EPSILON) * scale + offset


def _windows(x, kernel, stride, dilation):
    """What a convolution sees: (B, C, h, w, kernel, kernel)."""
    reach = dilation * (kernel // 2)
    pad = ((0, 0), (0, 0), *[(reach, reach)] * 2)
    size = (dilation * (kernel - 1) + 1,) * 2
    windows = sliding_window_view(np.pad(x, pad), size, (2, 3))
    return windows[:, :, ::stride, ::stride, ::dilation, ::dilation]


def relu(x):
    return np.maximum(x, 0)


def pool(x, kernel=2, pad=0):
    """Maxima with stride 2."""
    around = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    x = np.pad(x, around, constant_values=-np.inf)
    return sliding_window_view(x, (kernel,) * 2, (2, 3))[:, :, ::2, ::2].max(
        (4, 5)
    )


def repeat(x, times=2):
    """Nearest neighbours."""
    return x.repeat(times, 2).repeat(times, 3)


def aligned(x, size):
    """Bilinear, with the corners in their places, axis by axis."""
    for axis, target in zip((2, 3), size, strict=True):
        at = np.linspace(0, x.shape[axis] - 1, target)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        share = (at - low).reshape((-1, 1) if axis == 2 else -1)
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def block(weights, path, x, convs, stride=1):
    """Of ResNet and HRNet; the stride is that of the 3x3 (the first of two)."""
    y = x
    for c in range(1, convs + 1):
        step = stride if c == (2 if convs == 3 else 1) else 1
        y = weights.conv(f"{path}.conv{c}", y, step)
        y = weights.norm(f"{path}.bn{c}", y)
        y = relu(y) if c < convs else y
    if f"{path}.downsample.0.weight" in weights.values:
        x = weights.conv(f"{path}.downsample.0", x, stride)
        x = weights.norm(f"{path}.downsample.1", x)
    return relu(x + y)


def pyramid(weights, features, peak=255):
    """Y. Chen et al., CVPR 2018, by GengDavid: `features` of the ResNet, the
    coarsest first; maps have a peak of 255, here of 1."""

    def unit(first, second, x):
        return weights.norm(second, weights.conv(first, x))

    size, levels, found = features[-1].shape[2:], [], {}
    for level, x in enumerate(features):
        place = f"global_net.laterals.{level}"
        x = relu(unit(f"{place}.0", f"{place}.1", x))
        if levels:
            place = f"global_net.upsamples.{level - 1}"
            up = aligned(levels[-1], x.shape[2:])
            x = x + unit(f"{place}.1", f"{place}.2", up)
            found[f"global_net_sums_{level}"] = x
        levels.append(x)
        place = f"global_net.predict.{level}"
        x = relu(unit(f"{place}.0", f"{place}.1", x))
        x = aligned(weights.conv(f"{place}.3", x), size)
        x = weights.norm(f"{place}.5", x) / peak
        found[f"global_net_predict_{level}_5"] = x
    parts = []
    for level, x in enumerate(levels):
        for b in range(3 - level):
            name = f"refine_net.cascade.{level}.{b}"
            x = block(weights, name, x, 3)
            found[name.replace(".", "_") + "_relu"] = x
        parts.append(aligned(x, size))
    place = "refine_net.final_predict"
    x = block(weights, f"{place}.0", np.concatenate(parts, axis=1), 3)
    x = unit(f"{place}.1", f"{place}.2", x) / peak
    return found | {"refine_net_final_predict_2": x}


def simple_baselines(counts):
    """B. Xiao et al., ECCV 2018: pixels B, G, R; `counts` of blocks."""

    def network(weights, x):
        x = relu(weights.norm("bn1", weights.conv("conv1", x, 2)))
        features = {"conv1_relu": x}
        x = pool(x, 3, 1)
        for stage, count in enumerate(counts, start=1):
            for b in range(count):
                stride = 2 if stage > 1 and b == 0 else 1
                x = block(weights, f"layer{stage}.{b}", x, 3, stride)
                features[f"conv{stage + 1}_block{b + 1}_out"] = x
        for step in range(3):
            x = weights.deconv(f"deconv_layers.{3 * step}", x)
            x = relu(weights.norm(f"deconv_layers.{3 * step + 1}", x))
            features[f"deconvolution{step + 1}_relu"] = x
        return features | {"head_maps": weights.conv("final_layer", x)}

    return network


def hrnet(weights, x, modules=(1, 4, 3)):
    """K. Sun et al., CVPR 2019: pixels R, G, B; stages of `modules`."""

    def unit(first, second, x, stride=1):
        return weights.norm(second, weights.conv(first, x, stride))

    def path(name, i, j, x):
        """From branch j to branch i."""
        if j > i:
            return repeat(unit(f"{name}.0", f"{name}.1", x), 2 ** (j - i))
        for k in range(i - j):
            x = unit(f"{name}.{k}.0", f"{name}.{k}.1", x, 2)
            x = relu(x) if k < i - j - 1 else x
        return x

    x = relu(unit("conv1", "bn1", x, 2))
    x = relu(unit("conv2", "bn2", x, 2))
    features = {"bn2_relu": x}
    for b in range(4):
        x = block(weights, f"layer1.{b}", x, 3)
        features[f"layer1_{b}_relu"] = x
    xs = [x]
    for stage, count in enumerate(modules, start=2):
        name, last = f"transition{stage - 1}", xs[-1]
        new = f"{name}.{stage - 1}.0"
        xs.append(relu(unit(f"{new}.0", f"{new}.1", last, 2)))
        if stage == 2:
            xs[0] = relu(unit(f"{name}.0.0", f"{name}.0.1", x))
        for module in range(count):
            place = f"stage{stage}.{module}"
            for i in range(stage):
                for b in range(4):
                    part = f"{place}.branches.{i}.{b}"
                    xs[i] = block(weights, part, xs[i], 2)
            targets = 1 if (stage, module) == (4, count - 1) else stage
            xs = [
                relu(
                    sum(
                        path(f"{place}.fuse_layers.{i}.{j}", i, j, y)
                        for j, y in enumerate(xs)
                    )
                )
                for i in range(targets)
            ]
            fused = f"stage{stage}_{module}_fuse_layers"
            features |= {f"{fused}_{i}_relu": y for i, y in enumerate(xs)}
    return features | {"final_layer": weights.conv("final_layer", xs[0])}


def cpm(stages):
    """S.-E. Wei et al., CVPR 2016, in mmpose: pixels R, G, B."""

    def unit(weights, path, x):
        return relu(weights.norm(f"{path}.bn", weights.conv(f"{path}.conv", x)))

    def front(weights, part, x):
        for number in (0, 2, 4):
            x = pool(unit(weights, f"{part}.{number}", x), 3, 1)
        return x

    def network(weights, x):
        seen = front(weights, "middle", x)
        x = front(weights, "stem", x)
        features = {"stage1_pool3": x}
        for number in (6, 7, 8):
            x = unit(weights, f"stem.{number}", x)
        maps = features["stage1_maps"] = weights.conv("stem.9.conv", x)
        for t in range(stages - 1):
            own = unit(weights, f"middle_conv.{t}.0", seen)
            x = np.concatenate([maps, own], axis=1)
            for k in range(3):
                x = unit(weights, f"cpm_stages.{t}.model.{k}", x)
            x = unit(weights, f"out_convs.{t}.0", x)
            maps = weights.conv(f"out_convs.{t}.1.conv", x)
            features[f"stage{t + 2}_maps"] = maps
        return features

    return network


def joined(maps, fields):
    """A stage of `models.openpose` from one of a file."""
    b, _, h, w = fields.shape
    fields = fields.reshape(b, -1, 2, h, w)[:, list(LIMBS)]
    return np.concatenate([maps, fields.reshape(b, -1, h, w)], axis=1)


def openpose(stages):
    """Z. Cao et al., CVPR 2017, by tensorboy: pixels B, G, R."""

    def network(weights, x):
        for n in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25):
            x = relu(weights.conv(f"model0.{n}", x))
            x = pool(x) if n in (2, 7, 16) else x
        seen, features = x, {"features_2_relu": x}
        for t in range(1, stages + 1):
            stage = []
            for branch in (1, 2):
                y, last = seen, 12 if t > 1 else 8
                for n in range(0, last, 2):
                    y = relu(weights.conv(f"model{t}_{branch}.{n}", y))
                stage.append(weights.conv(f"model{t}_{branch}.{last}", y))
            features[f"stage{t}"] = joined(stage[1], stage[0])
            seen = np.concatenate([*stage, x], axis=1)
        return features

    return network


def lightweight(stages):
    """D. Osokin, arXiv 1811.12004: pixels B, G, R."""

    def elu(x):
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))

    def branches(weights, name, x):
        def branch(part):
            y = relu(weights.conv(f"{name}.{part}.0.0", x))
            return weights.conv(f"{name}.{part}.1.0", y)

        return branch("heatmaps"), branch("pafs")

    def network(weights, x):
        x = relu(weights.norm("model.0.1", weights.conv("model.0.0", x, 2)))
        for n in range(1, 12):
            stride, dilation = 2 if n in (2, 4) else 1, 2 if n == 7 else 1
            x = weights.depthwise(f"model.{n}.0", x, stride, dilation)
            x = relu(weights.norm(f"model.{n}.1", x))
            x = weights.conv(f"model.{n}.3", x)
            x = relu(weights.norm(f"model.{n}.4", x))
        features = {"model_11_4_relu": x}
        x = y = relu(weights.conv("cpm.align.0", x))
        for n in range(3):
            y = elu(weights.depthwise(f"cpm.trunk.{n}.0", y))
            y = elu(weights.conv(f"cpm.trunk.{n}.2", y))
        x = y = relu(weights.conv("cpm.conv.0", x + y))
        features["cpm_conv_0_relu"] = x
        for n in range(3):
            y = relu(weights.conv(f"initial_stage.trunk.{n}.0", y))
        maps, fields = branches(weights, "initial_stage", y)
        features["stage1"] = joined(maps, fields)
        for t in range(2, stages + 1):
            name = f"refinement_stages.{t - 2}"
            y = np.concatenate([x, maps, fields], axis=1)
            for b in range(5):
                place = f"{name}.trunk.{b}"
                y = z = relu(weights.conv(f"{place}.initial.0", y))
                for k in (0, 1):
                    unit = f"{place}.trunk.{k}"
                    z = weights.conv(f"{unit}.0", z, dilation=k + 1)
                    z = relu(weights.norm(f"{unit}.1", z))
                y = y + z
            maps, fields = branches(weights, name, y)
            features[f"stage{t}"] = joined(maps, fields)
        return features

    return network


def residual(weights, path, x, conv="conv{}", skip="downsample.0"):
    """Pre-activation bottleneck; a shortcut only where the width changes."""
    y = x
    for c in (1, 2, 3):
        y = relu(weights.norm(f"{path}.bn{c}", y))
        y = weights.conv(f"{path}.{conv.format(c)}", y)
    if x.shape[1] != y.shape[1]:
        x = weights.conv(f"{path}.{skip}", x)
    return x + y


def pytorch_pose(stacks):
    """A. Newell et al., ECCV 2016, in pytorch-pose."""

    def hourglass(weights, path, level, x):
        up = residual(weights, f"{path}.{level}.0.0", x)
        low = residual(weights, f"{path}.{level}.1.0", pool(x))
        if level:
            low = hourglass(weights, path, level - 1, low)
        else:
            low = residual(weights, f"{path}.0.3.0", low)
        return up + repeat(residual(weights, f"{path}.{level}.2.0", low))

    def network(weights, x):
        x = relu(weights.norm("bn1", weights.conv("conv1", x, 2)))
        features = {"stem_relu": x}
        x = features["stem_a_add"] = residual(weights, "layer1.0", x)
        x = residual(weights, "layer2.0", pool(x))
        x = features["stem_c_add"] = residual(weights, "layer3.0", x)
        for i in range(stacks):
            name = f"stack{i + 1}"
            y = hourglass(weights, f"hg.{i}.hg", 3, x)
            features[f"{name}_merge4"] = y
            y = weights.conv(f"fc.{i}.0", residual(weights, f"res.{i}.0", y))
            y = features[f"{name}_relu"] = relu(weights.norm(f"fc.{i}.1", y))
            maps = features[f"{name}_maps"] = weights.conv(f"score.{i}", y)
            if i < stacks - 1:
                back = weights.conv(f"score_.{i}", maps)
                x = x + weights.conv(f"fc_.{i}", y) + back
        return features

    return network


def princeton(stacks):
    """The same by princeton-vl, with another stem and other names."""
    names = "conv{}.conv", "skip_layer.conv"

    def hourglass(weights, path, level, x):
        up = residual(weights, f"{path}.up1", x, *names)
        low = residual(weights, f"{path}.low1", pool(x), *names)
        if level > 1:
            low = hourglass(weights, f"{path}.low2", level - 1, low)
        else:
            low = residual(weights, f"{path}.low2", low, *names)
        return up + repeat(residual(weights, f"{path}.low3", low, *names))

    def network(weights, x):
        x = weights.norm("pre.0.bn", weights.conv("pre.0.conv", x, 2))
        x = residual(weights, "pre.1", relu(x), *names)
        features = {"stem_a_add": x}
        x = residual(weights, "pre.3", pool(x), *names)
        x = features["stem_c_add"] = residual(weights, "pre.4", x, *names)
        for i in range(stacks):
            name = f"stack{i + 1}"
            y = hourglass(weights, f"hgs.{i}.0", 4, x)
            features[f"{name}_merge4"] = y
            y = residual(weights, f"features.{i}.0", y, *names)
            y = weights.conv(f"features.{i}.1.conv", y)
            y = relu(weights.norm(f"features.{i}.1.bn", y))
            maps = weights.conv(f"outs.{i}.conv", y)
            features |= {f"{name}_relu": y, f"{name}_maps": maps}
            if i < stacks - 1:
                back = weights.conv(f"merge_preds.{i}.conv.conv", maps)
                more = weights.conv(f"merge_features.{i}.conv.conv", y)
                x = x + back + more
        return features

    return network
