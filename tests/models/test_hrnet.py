"""HRNet: sizes, who is fused with whom, and the same network in PyTorch."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose.models import __main__ as table
from keras_pose.models.heads import pose_maps
from keras_pose.models.hrnet import hrnet
from keras_pose.models.model import PoseModel, load_model
from keras_pose.skeletons import Skeleton

SIZE = (64, 96)
SKELETON = Skeleton("mast", ("top", "middle", "foot"))
MODULES = (1, 2, 1)
WIDTHS = (4, 8, 16, 32)


@pytest.fixture(scope="module")
def built():
    images = keras.Input((*SIZE, 3), dtype="uint8")
    maps = hrnet(images, 3, width=WIDTHS[0], modules=MODULES)
    model = PoseModel(images, pose_maps({4: [maps]}, SKELETON))
    return model, model.get_weights()


@pytest.fixture
def tiny(built):
    """As it begins, whatever another test did to it."""
    model, weights = built
    model.set_weights(weights)
    return model


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), "uint8")


def shapes(**settings):
    """The graph without values."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            images = keras.Input((*SIZE, 3), dtype="uint8")
            return keras.Model(images, hrnet(images, 3, width=4, **settings))
    finally:
        keras.backend.clear_session()  # forgets the variables without values


def test_the_width_of_the_laptop_has_the_parameters_of_the_authors_code():
    narrow = table.Row("W8", partial(hrnet, width=8), (128, 128), joints=17)
    assert table.count(narrow)[0] == 2_139_305


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_maps_are_read_from_the_branch_of_their_stride(stride):
    model = shapes(stride=stride, modules=(1, 1, 1))
    assert model.output.shape == (None, 64 // stride, 96 // stride, 3)
    read = model.get_layer("final_layer")
    assert read.kernel.shape == (1, 1, stride, 3)  # 4 channels at stride 4 ...
    last = {n for n in names(model) if n.startswith("stage4_0_fuse_layers")}
    branch = {4: 0, 8: 1, 16: 2, 32: 3}[stride]
    prefix = f"stage4_0_fuse_layers_{branch}_"
    assert last and all(name.startswith(prefix) for name in last)


def names(model):
    return [layer.name for layer in model.layers]


@pytest.mark.parametrize(
    ("fusion", "sums"),
    [
        # every module to each of its branches, the last to one
        ("modules", ["2_0"] * 2 + ["3_0"] * 3 + ["3_1"] * 3 + ["4_0"]),
        ("stages", ["2_0"] * 2 + ["3_1"] * 3 + ["4_0"]),
        ("last", ["4_0"]),
    ],
)
def test_fusion_is_where_it_is_wanted(fusion, sums):
    fused = [
        name.removeprefix("stage")[:3]
        for name in names(shapes(fusion=fusion, modules=MODULES))
        if "fuse_layers" in name and name.endswith("_add")
    ]
    assert sorted(fused) == sums


def test_it_begins_as_in_the_authors_code(tiny):
    for layer in tiny.layers:
        if isinstance(layer, layers.Conv2D):
            kernel = ops.convert_to_numpy(layer.kernel)
            # the deviation of n normal numbers is off by 1 / sqrt(2 n)
            off = 5 / (2 * kernel.size) ** 0.5
            assert kernel.std() == pytest.approx(0.001, rel=off)
            assert layer.use_bias == (layer.name == "final_layer")
        if isinstance(layer, layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
            assert (ops.convert_to_numpy(layer.gamma) == 1).all()
            assert not ops.convert_to_numpy(layer.beta).any()
    assert not ops.convert_to_numpy(tiny.get_layer("final_layer").bias).any()


def gradients(model, pixels):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        cost = tf.reduce_sum(model(pixels, training=True) ** 2)
    weights = model.trainable_variables
    return zip(weights, tape.gradient(cost, weights), strict=True)


def test_every_branch_gets_a_gradient(tiny, pixels):
    tiny.get_layer("final_layer").bias.assign([1.0, -1.0, 2.0])
    for weight, gradient in gradients(tiny, pixels):
        assert gradient is not None, weight.path
        assert ops.convert_to_numpy(gradient).any(), weight.path


def test_a_saved_network_gives_the_same_maps(tiny, pixels, tmp_path):
    tiny.set_weights(disturbed(tiny))
    expected = ops.convert_to_numpy(tiny(pixels))
    assert np.abs(expected).max() > 0.1
    tiny.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(loaded(pixels)), expected
    )
    assert loaded.output.shape == (None, 1, 16, 24, 3)


def disturbed(model):
    rng = np.random.default_rng(1)
    return [
        w + rng.uniform(0.1, 0.5, w.shape).astype("float32")
        if w.ndim == 1
        else w * 200
        for w in model.get_weights()
    ]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"size": (64, 80)}, "divisible by 32, got 64 x 80"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"stride": 2}, "stride must be one of .* got 2"),
        ({"fusion": "none"}, "fusion must be one of .* got 'none'"),
        ({"modules": (1, 4)}, r"modules must be three .* got \(1, 4\)"),
        ({"modules": (1, 0, 3)}, r"modules must be three .* got \(1, 0, 3\)"),
    ],
)
def test_impossible_networks_are_named(settings, named):
    settings = dict(settings)
    images = keras.Input((*settings.pop("size", SIZE), 3), dtype="uint8")
    with pytest.raises(ValueError, match=named):
        hrnet(images, 3, **settings)


def torch_hrnet(torch):
    """The network by the authors' layer table, with the keys of their files.

    Its output is a dict of features by the name of the layer in Keras.
    """
    nn = torch.nn

    def unit(i, o, kernel, stride=1, last=None):
        pad = kernel // 2
        convolution = nn.Conv2d(i, o, kernel, stride, pad, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(o), last or nn.ReLU())

    class Block(nn.Module):
        def __init__(self, i, widths, kernels):
            super().__init__()
            self.count, last = len(widths), nn.Identity()
            inputs = (i, *widths)
            for n, (o, kernel) in enumerate(zip(widths, kernels, strict=True)):
                convolution, norm, _ = unit(inputs[n], o, kernel)
                setattr(self, f"conv{n + 1}", convolution)
                setattr(self, f"bn{n + 1}", norm)
            same = i == widths[-1]
            self.downsample = last if same else unit(i, widths[-1], 1, 1, last)

        def forward(self, x):
            y = x
            for n in range(1, self.count + 1):
                y = getattr(self, f"conv{n}")(y)
                y = getattr(self, f"bn{n}")(y)
                y = y.relu() if n < self.count else y
            return (y + self.downsample(x)).relu()

    def path(i, j, widths):
        a, b = widths[j], widths[i]
        if j > i:
            return unit(a, b, 1, 1, nn.Upsample(scale_factor=2 ** (j - i)))
        halved = [unit(a, a, 3, 2) for _ in range(i - j - 1)]
        return nn.Sequential(*halved, unit(a, b, 3, 2, nn.Identity()))

    class Module(nn.Module):
        def __init__(self, widths, targets):
            super().__init__()
            self.branches = nn.ModuleList(
                nn.Sequential(*[Block(w, (w, w), (3, 3)) for _ in range(4)])
                for w in widths
            )
            self.fuse_layers = nn.ModuleList(
                nn.ModuleList(
                    nn.Identity() if i == j else path(i, j, widths)
                    for j in range(len(widths))
                )
                for i in range(targets)
            )

        def forward(self, xs):
            xs = [b(x) for b, x in zip(self.branches, xs, strict=True)]
            return [
                sum(f(x) for f, x in zip(row, xs, strict=True)).relu()
                for row in self.fuse_layers
            ]

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1, _ = unit(3, 64, 3, 2)
            self.conv2, self.bn2, _ = unit(64, 64, 3, 2)
            bottleneck = (64, 64, 256), (1, 3, 1)
            self.layer1 = nn.Sequential(
                *[Block(i, *bottleneck) for i in (64, 256, 256, 256)]
            )
            before = [256]
            for stage, count in enumerate(MODULES, 2):
                after = WIDTHS[:stage]
                steps = [
                    nn.Identity() if i == o else unit(i, o, 3)
                    for i, o in zip(before, after, strict=False)
                ]
                new = nn.Sequential(unit(before[-1], after[-1], 3, 2))
                steps = nn.ModuleList([*steps, new])
                setattr(self, f"transition{stage - 1}", steps)
                modules = [
                    Module(after, 1 if stage == 4 else stage)
                    for _ in range(count)
                ]
                setattr(self, f"stage{stage}", nn.Sequential(*modules))
                before = after
            self.final_layer = nn.Conv2d(WIDTHS[0], 3, 1)

        def forward(self, x):
            mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
            deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
            x = (x / 255 - mean) / deviation
            x = self.bn1(self.conv1(x)).relu()
            x = self.bn2(self.conv2(x)).relu()
            features = {"bn2_relu": x}
            x = features["layer1_3_relu"] = self.layer1(x)
            xs = [x]
            for stage, count in enumerate(MODULES, 2):
                steps = getattr(self, f"transition{stage - 1}")
                inputs = [*xs, xs[-1]]
                xs = [s(x) for s, x in zip(steps, inputs, strict=True)]
                xs = getattr(self, f"stage{stage}")(xs)
                name = f"stage{stage}_{count - 1}_fuse_layers"
                features |= {f"{name}_{i}_relu": x for i, x in enumerate(xs)}
            return features | {"final_layer": self.final_layer(xs[0])}

    return Network()


def randomize(torch, network, x):
    """No value stays what it begins with, statistics fit the activations."""
    norms = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    for norm in norms:
        norm.momentum = 1.0
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_(0, 0.3)
    network.train()(x)
    for norm in norms:
        mean, variance = norm.running_mean, norm.running_var
        mean += 0.2 * variance.sqrt() * torch.randn_like(mean)
        variance *= torch.empty_like(variance).uniform_(0.7, 1.4)
    network.eval()


def take(model, state):
    """Sets weights by the published keys; returns the names of the layers."""
    given = {}
    for key, value in state.items():
        name, kind = key.rsplit(".", 1)
        given.setdefault(name.replace(".", "_"), {})[kind] = value.numpy()
    for name, values in given.items():
        if "running_mean" in values:
            order = "weight", "bias", "running_mean", "running_var"
            weights = [values[kind] for kind in order]
        else:
            weights = [values["weight"].transpose(2, 3, 1, 0)]
            weights += [values["bias"]] if "bias" in values else []
        model.get_layer(name).set_weights(weights)
    return set(given)


def worst(found, wanted):
    """Largest difference / largest value, by layer."""
    return {
        name: np.abs(ops.convert_to_numpy(found[name]) - value).max()
        / np.abs(value).max()
        for name, value in wanted.items()
    }


def test_every_stage_gives_the_features_of_pytorch(tiny, pixels):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    peer = torch_hrnet(torch)
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        randomize(torch, peer, x)
        wanted = {
            name: value.permute(0, 2, 3, 1).numpy()
            for name, value in peer(x).items()
        }
    given = take(tiny, peer.state_dict())
    assert given == {layer.name for layer in tiny.layers if layer.weights}
    outputs = {name: tiny.get_layer(name).output for name in wanted}
    features = keras.Model(tiny.input, outputs)
    differences = worst(features(pixels), wanted)
    assert max(differences.values()) <= 1e-4, differences
    # the comparison is sharp enough to tell Keras' epsilon from Torch's
    norms = [
        layer
        for layer in tiny.layers
        if isinstance(layer, layers.BatchNormalization)
    ]
    for norm in norms:
        norm.epsilon = 1e-3
    try:
        differences = worst(features(pixels), wanted)
    finally:
        for norm in norms:
            norm.epsilon = 1e-5
    assert min(differences.values()) > 1e-4, differences
