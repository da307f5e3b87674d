"""The peer: Newell's stacked hourglass in PyTorch, layer by layer ours.

The graph of `keras_pose.models.hourglass.stacked_hourglass`; `layers` pairs the
two, so that weights can be copied and outputs compared.
"""

import torch
from torch import nn
from torch.nn import functional

DEPTH = 4


class Residual(nn.Module):
    """Pre-activation bottleneck: 1x1, 3x3, 1x1."""

    def __init__(self, a, b):
        super().__init__()
        h = b // 2
        widths = ((a, h, 1), (h, h, 3), (h, b, 1))
        self.body = nn.Sequential(
            *[
                layer
                for i, o, k in widths
                for layer in (
                    nn.BatchNorm2d(i),
                    nn.ReLU(),
                    nn.Conv2d(i, o, k, padding=k // 2),
                )
            ]
        )
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x):
        return self.body(x) + self.skip(x)


class Hourglass(nn.Module):
    """`depth` halvings and back."""

    def __init__(self, f, depth):
        super().__init__()
        self.side, self.down, self.up = (Residual(f, f) for _ in range(3))
        inner = Hourglass(f, depth - 1) if depth > 1 else Residual(f, f)
        self.inner = inner

    def forward(self, x):
        low = self.up(self.inner(self.down(functional.max_pool2d(x, 2))))
        return self.side(x) + functional.interpolate(low, scale_factor=2)


class StackedHourglass(nn.Module):
    """(B, 3, H, W) float of 0 ... 255 -> (B, S, K, H / 4, W / 4) maps."""

    def __init__(self, f, joints=16, stacks=2):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, f // 4, 7, 2, 3),
            nn.BatchNorm2d(f // 4),
            nn.ReLU(),
            Residual(f // 4, f // 2),
            nn.MaxPool2d(2),
            Residual(f // 2, f // 2),
            Residual(f // 2, f),
        )
        self.stacks = nn.ModuleList()
        for _ in range(stacks):
            self.stacks.append(
                nn.ModuleList(
                    [
                        nn.Sequential(
                            Hourglass(f, DEPTH),
                            Residual(f, f),
                            nn.Conv2d(f, f, 1),
                            nn.BatchNorm2d(f),
                            nn.ReLU(),
                        ),
                        nn.Conv2d(f, joints, 1),
                        nn.Conv2d(f, f, 1),
                        nn.Conv2d(joints, f, 1),
                    ]
                )
            )

    def forward(self, x):
        x, maps = self.stem(x / 255 - 0.5), []
        for body, out, back, maps_back in self.stacks:
            y = body(x)
            maps.append(out(y))
            x = x + back(y) + maps_back(maps[-1])
        return torch.stack(maps, 1)


def layers(network):
    """Yields (name in Keras, module) of everything that has weights."""

    def of_residual(name, block):
        for index in range(3):
            yield f"{name}_{index + 1}_norm", block.body[3 * index]
            yield f"{name}_{index + 1}", block.body[3 * index + 2]
        if isinstance(block.skip, nn.Conv2d):
            yield f"{name}_skip", block.skip

    def of_hourglass(name, block, depth):
        yield from of_residual(f"{name}_skip{depth}", block.side)
        yield from of_residual(f"{name}_down{depth}", block.down)
        yield from of_residual(f"{name}_up{depth}", block.up)
        if depth > 1:
            yield from of_hourglass(name, block.inner, depth - 1)
        else:
            yield from of_residual(f"{name}_bottom", block.inner)

    stem = network.stem
    yield from (("stem", stem[0]), ("stem_norm", stem[1]))
    for name, index in (("stem_a", 3), ("stem_b", 5), ("stem_c", 6)):
        yield from of_residual(name, stem[index])
    for number, stack in enumerate(network.stacks, start=1):
        (body, maps, features_back, maps_back) = stack
        name = f"stack{number}"
        yield from of_hourglass(name, body[0], DEPTH)
        yield from of_residual(f"{name}_after", body[1])
        yield from ((f"{name}_linear", body[2]), (f"{name}_norm", body[3]))
        yield f"{name}_maps", maps
        if number < len(network.stacks):
            yield f"{name}_features_back", features_back
            yield f"{name}_maps_back", maps_back


def weights(module):
    """A module's weights as the Keras layer of the same kind wants them."""
    if isinstance(module, nn.Conv2d):
        return [
            module.weight.detach().numpy().transpose(2, 3, 1, 0),
            module.bias.detach().numpy(),
        ]
    return [
        value.detach().numpy()
        for value in (
            module.weight,
            module.bias,
            module.running_mean,
            module.running_var,
        )
    ]
