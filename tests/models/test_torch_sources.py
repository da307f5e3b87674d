"""Sources of weights are recognised by names, listed from their code."""

import re

import pytest

from keras_pose.models.torch_weights import networks, sources
from tests.models import layer_tables
from tests.models.layer_tables import NETWORKS, RESNET_50, RESNET_152

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
    assert len(layer_tables.branches(scales=4)) == 5 * (
        convolutions + 2 + 4 * 7 + 3 * 16
    )
    assert len(layer_tables.branches()) == 5 * (
        convolutions + 2 + 4 * 7 + 2 * 16 + 3
    )
    assert set(NETWORKS) == {source.name for source in sources.SOURCES}


@pytest.mark.parametrize("name, used, ignored", LISTS)
def test_each_network_is_recognised_and_every_name_sorted(name, used, ignored):
    source = sources.recognise(sorted(used | ignored))
    assert source.name == name
    found, left = source.sort(used | ignored)
    assert set(found) == set(used) and len(found) == len(used)
    assert set(left) == set(ignored)
    rule = "code does not use" if "hourglass" in name else "ImageNet"
    assert all(rule in why for why in left.values())


@pytest.mark.parametrize("name, used, ignored", LISTS)
def test_a_name_that_a_source_does_not_have_is_an_error(name, used, ignored):
    source = sources.recognise(used | ignored)
    for other in ("layer5.0.conv1.weight", "conv1.weightx", "attention.weight"):
        with pytest.raises(ValueError, match=re.escape(f"others: {other}")):
            source.sort(used | {other: ()})


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


@pytest.mark.parametrize(
    "name, named",
    [
        ("backbone.hourglass_modules.0.up1.0.conv1.weight", "hourglass-52"),
        ("head.loss_module.flow_model.loc", "likelihood estimation"),
    ],
)
def test_other_networks_are_refused_by_name(name, named):
    trunk = layer_tables.under("backbone", RESNET_50)
    with pytest.raises(ValueError, match=named):
        sources.recognise([*trunk, "head.fc.weight", name])


def test_integral_regression_has_the_layers_of_simple_baselines():
    table = layer_tables.under("head", layer_tables.upsampling())
    wanted = layers(table | {"backbone.layer4.0.conv1.weight": ()})
    table = layer_tables.volume(layer_tables.upsampling())
    assert layers(table | {"backbone.layer4.0.conv1.weight": ()}) == wanted
    for old in (False, True):
        table = layer_tables.integral(layer_tables.upsampling(), old)
        found = layers(table | {"backbone.layer4.0.conv1.weight": ()})
        assert found == wanted and "head_maps" in found


@pytest.mark.parametrize(
    "counts, depth",
    [((3, 4, 6, 3), 50), ((3, 4, 23, 3), 101), ((3, 8, 36, 3), 152)],
)
def test_blocks_say_how_deep_a_resnet_is(counts, depth):
    assert networks.resnet_depth(layers(layer_tables.trunk(counts))) == depth


@pytest.mark.parametrize("counts", [(2, 2, 2, 2), (3, 4, 6, 3)])
def test_resnets_of_basic_blocks_are_refused(counts):
    with pytest.raises(ValueError, match=r"50, 101, 152, got .* basic blocks"):
        networks.resnet_depth(layers(layer_tables.trunk(counts, convs=2)))


def layers(table):
    source = sources.recognise(table)
    paths = (re.sub(source.before, "", n.rpartition(".")[0]) for n in table)
    return {source.layer(path) for path in paths}
