"""Imported OpenPose networks compute what the same networks do in PyTorch."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose import import_weights
from tests.models import numpy_networks as peers

torch = pytest.importorskip("torch")
nn = torch.nn

F = 16
SIZE = (48, 64)
PICTURES = np.random.default_rng(3).integers(0, 256, (2, *SIZE, 3), "uint8")


def chain(sizes, pooled=()):
    """Convolutions (in, out, kernel) with ReLUs between them, poolings behind
    those in `pooled`."""
    modules = []
    for number, (i, o, kernel) in enumerate(sizes):
        modules += [nn.Conv2d(i, o, kernel, padding=kernel // 2), nn.ReLU()]
        modules += [nn.MaxPool2d(2)] if number in pooled else []
    return modules


class OpenPose(nn.Module):
    """The CVPR paper's, by tensorboy's names: (B, 3, H, W) -> by stage fields
    and maps."""

    def __init__(self, stages=3, f=F):
        super().__init__()
        w = (3, f // 2, f // 2, f, f, *4 * [2 * f], 4 * f, 4 * f, 2 * f, f)
        front = [(*pair, 3) for pair in zip(w[:-1], w[1:], strict=True)]
        self.model0 = nn.Sequential(*chain(front, pooled=(1, 3, 7)))
        self.stages = stages
        for stage in range(1, stages + 1):
            for branch, out in ((1, 38), (2, 19)):
                sizes = [(f, f, 3)] * 3 + [(f, 4 * f, 1), (4 * f, out, 1)]
                if stage > 1:
                    sizes = [(f + 57, f, 7)] + [(f, f, 7)] * 4
                    sizes += [(f, f, 1), (f, out, 1)]
                part = nn.Sequential(*chain(sizes)[:-1])
                setattr(self, f"model{stage}_{branch}", part)

    def forward(self, x):
        features = seen = self.model0(x)
        outputs = []
        for stage in range(1, self.stages + 1):
            parts = [getattr(self, f"model{stage}_{b}")(seen) for b in (1, 2)]
            outputs.append(parts)
            seen = torch.cat([*parts, features], 1)
        return outputs


def unit(i, o, kernel=3, bias=True, norm=False, relu=True, dilation=1, **more):
    pad = dilation * (kernel // 2)
    more |= {"padding": pad, "dilation": dilation, "bias": bias}
    modules = [nn.Conv2d(i, o, kernel, **more)]
    modules += [nn.BatchNorm2d(o)] if norm else []
    return nn.Sequential(*modules, *([nn.ReLU()] if relu else []))


def separable(i, o, stride=1, dilation=1):
    deep = {"bias": False, "norm": True}
    first = unit(i, i, **deep, groups=i, stride=stride, dilation=dilation)
    return nn.Sequential(*first, *unit(i, o, 1, **deep))


class Features(nn.Module):
    """Behind MobileNet."""

    def __init__(self, i, f):
        super().__init__()
        self.align = unit(i, f, 1)
        self.trunk = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(f, f, 3, padding=1, groups=f, bias=False),
                    nn.ELU(),
                    nn.Conv2d(f, f, 1, bias=False),
                    nn.ELU(),
                )
                for _ in range(3)
            )
        )
        self.conv = unit(f, f)

    def forward(self, x):
        x = self.align(x)
        return self.conv(x + self.trunk(x))


class Block(nn.Module):
    """Of a later stage."""

    def __init__(self, i, f):
        super().__init__()
        self.initial = unit(i, f, 1)
        layers = (unit(f, f, norm=True, dilation=d) for d in (1, 2))
        self.trunk = nn.Sequential(*layers)

    def forward(self, x):
        x = self.initial(x)
        return x + self.trunk(x)


class Stage(nn.Module):
    """A trunk, and a head for maps and one for fields."""

    def __init__(self, trunk, f, wide):
        super().__init__()
        self.trunk = nn.Sequential(*trunk)
        self.heatmaps, self.pafs = (
            nn.Sequential(unit(f, wide, 1), unit(wide, out, 1, relu=False))
            for out in (19, 38)
        )

    def forward(self, x):
        x = self.trunk(x)
        return self.pafs(x), self.heatmaps(x)


class LightweightOpenPose(nn.Module):
    """D. Osokin's, by its names: outputs as of `OpenPose`."""

    def __init__(self, stages=3, f=F):
        super().__init__()
        w = [f // 4 * n for n in (1, 2, 4, 4, 8, 8, *6 * [16])]
        self.model = nn.Sequential(
            unit(3, w[0], bias=False, norm=True, stride=2),
            *(
                separable(*w[n : n + 2], 2 if n in (1, 3) else 1, 1 + (n == 6))
                for n in range(11)
            ),
        )
        self.cpm = Features(w[-1], f)
        trunk = [unit(f, f) for _ in range(3)]
        self.initial_stage = Stage(trunk, f, 4 * f)
        self.refinement_stages = nn.ModuleList(
            Stage([Block(f + 57, f), *(Block(f, f) for _ in range(4))], f, f)
            for _ in range(stages - 1)
        )

    def forward(self, x):
        features = self.cpm(self.model(x))
        outputs = [self.initial_stage(features)]
        for stage in self.refinement_stages:
            fields, maps = outputs[-1]
            outputs.append(stage(torch.cat([features, maps, fields], 1)))
        return outputs


def randomise(network, pixels):
    """Weights, and statistics of these pixels, disturbed."""
    torch.manual_seed(0)
    norms = [x for x in network.modules() if isinstance(x, nn.BatchNorm2d)]
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
    for norm in norms:
        norm.momentum = None
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
    with torch.no_grad():
        network.train()(pixels)
        for norm in norms:
            variance = (norm.running_var + norm.running_var.mean()) / 2
            noise = torch.randn_like(variance) * variance**0.5
            norm.running_mean += 0.2 * noise
            factor = torch.empty_like(variance).uniform_(0.7, 1.4)
            norm.running_var.copy_(variance * factor)
    return network.eval()


@pytest.mark.parametrize(
    ("kind", "checkpoint"), [(OpenPose, False), (LightweightOpenPose, True)]
)
def test_every_stage_gives_the_maps_and_fields_of_pytorch(
    kind, checkpoint, tmp_path
):
    pixels = torch.from_numpy(PICTURES[..., ::-1] / 256 - 0.5)  # B, G, R
    pixels = pixels.permute(0, 3, 1, 2).float()
    network = randomise(kind(), pixels)
    with torch.no_grad():
        stages = [
            peers.joined(maps.numpy(), fields.numpy())
            for fields, maps in network(pixels)
        ]
    state = network.state_dict()
    if checkpoint:
        state = {f"module.{name}": value for name, value in state.items()}
        state = {"iter": 7, "state_dict": state}
    torch.save(state, tmp_path / "weights.pth")
    model = import_weights.main(
        import_weights.Config(
            tmp_path / "weights.pth", tmp_path / "m.keras", image_size=SIZE
        )
    )
    found, other = (
        np.moveaxis(ops.convert_to_numpy(model(x)), -1, 2)
        for x in (PICTURES, PICTURES[..., ::-1])
    )
    assert found.shape[1] == len(stages) == 3
    for stage, wanted in enumerate(stages):
        scale = np.abs(wanted).max()
        assert np.abs(found[:, stage] - wanted).max() <= 1e-4 * scale
        assert np.abs(other[:, stage] - wanted).max() > 1e-2 * scale
        swapped = (
            wanted.copy()
        )  # neck - right shoulder and neck - left shoulder
        swapped[:, 19:21], swapped[:, 21:23] = (
            wanted[:, 21:23],
            wanted[:, 19:21],
        )
        assert np.abs(found[:, stage] - swapped).max() > 1e-2 * scale
    keras.backend.clear_session()
