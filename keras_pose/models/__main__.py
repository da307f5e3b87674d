"""Prints the size and cost of every network, or what weights can be imported.

Counted in the graphs, at the papers' sizes, with random weights. GMACs are 10^9
multiply-accumulates of the convolutions and dense layers for one picture;
transposed convolutions are counted on the pixels of their input. Parameters are
the trainable ones. A dash: no published figure.

With --weights, it lists the published weights that keras_pose.import_weights
reads: the score that their repository prints, the test behind it, the licence
of the code, and the repository whose README says where the files are.

Run      python -m keras_pose.models
Without the large ones, in seconds
         python -m keras_pose.models --fast
Weights  python -m keras_pose.models --weights
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import keras
import pandas as pd

from keras_pose import files
from keras_pose.console import progress, run
from keras_pose.models import (
    alexnet,
    cascaded_pyramid,
    convolutional_pose_machines,
    direct_regression,
    efficient_localization,
    hourglass,
    hrnet,
    lightweight_openpose,
    macs,
    msr_net,
    mss_net,
    multi_scale_stacked_hourglass,
    openpose,
    resnet,
    resnet_fcn,
    simple_baselines,
)
from keras_pose.models.published_sizes import (
    ALEXNETS,
    BASELINES,
    BODY_25,
    DIRECT,
    HOURGLASSES,
    HRNETS,
    LIGHTWEIGHT,
    LOCALIZERS,
    MACHINES,
    OPENPOSE,
    PYRAMIDS,
)
from keras_pose.models.torch_weights import published


@dataclass(frozen=True)
class Config:
    """What to count, and where to write it."""

    fast: bool = False
    """Skip networks that are slow to build: 8 stacks, 101 and 152 layers,
    HRNet."""
    weights: bool = False
    """List published weights instead."""
    output: Path | None = None
    """Also write the table to this file (CSV)."""


@dataclass(frozen=True)
class Row:
    """A network and its published figures: parameters and GMACs."""

    name: str
    build: Callable
    """(images, joints) -> the maps, one or a structure of them."""
    size: tuple[int, int] = (256, 256)
    joints: int = 16
    parameters: int | None = None
    gmacs: float | None = None
    large: bool = False


def stacked(images, joints, stacks):
    """Newell's hourglasses."""
    return hourglass.stacked_hourglass(images, joints, stacks=stacks)


def multi_scale(images, joints, stacks):
    """MSSH."""
    network = multi_scale_stacked_hourglass.multi_scale_stacked_hourglass
    return network(images, joints, stacks=stacks)


def coarse(images, joints):
    """MSS-net alone."""
    return mss_net.mss_net(images, joints)


def refined(images, joints):
    """MSS-net followed by MSR-net."""
    maps, features = mss_net.mss_net(images, joints)
    return maps, msr_net.msr_net(maps, features, joints)


def deconvolved(images, joints, depth, cells=1):
    """Simple Baselines, with maps of so many cells in depth; the backbone has
    the form of the published weights."""
    features = resnet.resnet_features(images, depth, weights="none")
    return simple_baselines.deconvolution_head(features, joints * cells)


def cascaded(images, joints, depth):
    """CPN on the same backbone."""
    features = resnet.resnet_stages(images, depth, weights="none")
    return cascaded_pyramid.cascaded_pyramid(features, joints)


def pooled(images, joints, depth):
    """Direct regression on the same backbone."""
    features = resnet.resnet_features(images, depth, weights="none")
    return direct_regression.regression_head(features, joints)


def regressed(images, joints, groups=1):
    """One stage of DeepPose."""
    return alexnet.alexnet(images, joints, groups=groups)


def convolved(images, joints, depth):
    """ResNet-FCN on the same backbone."""
    features = resnet.resnet_features(images, depth, weights="none")
    return resnet_fcn.fcn_head(features, joints)


def staged(images, joints, form):
    """Convolutional Pose Machines of six stages."""
    network = convolutional_pose_machines.convolutional_pose_machine
    return network(images, joints, form=form)


def localized(images, joints, fine):
    """Tompson et al.: the coarse model, alone or followed by the fine one."""
    maps, features = efficient_localization.coarse_model(images, joints)
    if not fine:
        return maps
    size = images.shape[1:3]
    return maps, efficient_localization.fine_model(maps, features, size)


def parallel(images, joints, width):
    """HRNet."""
    return hrnet.hrnet(images, joints, width=width)


def grouped(images, joints, form, **settings):
    """The networks of OpenPose."""
    lightweight = lightweight_openpose.lightweight_openpose
    forms = {"paper": openpose.openpose, "BODY_25": openpose.chained}
    return forms.get(form, lightweight)(images, joints, **settings)


ROWS = (
    *(
        Row(
            f"Hourglass, {stacks} {'stack' if stacks == 1 else 'stacks'}",
            partial(stacked, stacks=stacks),
            parameters=count,
            gmacs=gmacs,
            large=stacks > 4,
        )
        for stacks, (count, gmacs) in HOURGLASSES.items()
    ),
    Row("MSS-net, 8 stacks", coarse, large=True),
    Row("MSS-net and MSR-net, 8 stacks", refined, large=True),
    Row("MSSH, 4 stacks", partial(multi_scale, stacks=4)),
    Row("MSSH, 8 stacks", partial(multi_scale, stacks=8), large=True),
    *(
        Row(
            f"Simple Baselines, ResNet-{depth}",
            partial(deconvolved, depth=depth),
            *sizes,
            parameters=count,
            gmacs=gmacs,
            large=depth > 50,
        )
        for sizes, depths in BASELINES.items()
        for depth, (count, gmacs) in depths.items()
    ),
    Row(  # integral regression adds no parameter to Simple Baselines
        "Integral regression, ResNet-50",
        partial(deconvolved, depth=50),
        (256, 256),
        17,
        parameters=33_999_697,
    ),
    Row(
        "Integral regression in space, ResNet-152",
        partial(deconvolved, depth=152, cells=72),
        (384, 288),
        18,
        large=True,
    ),
    *(
        Row(
            f"Direct regression, ResNet-{depth}",
            partial(pooled, depth=depth),
            *sizes,
            parameters=count,
            large=depth > 50,
        )
        for sizes, depths in DIRECT.items()
        for depth, count in depths.items()
    ),
    *(
        Row(
            f"DeepPose, AlexNet, {joints} joints"
            f"{', two groups' if groups > 1 else ''}",
            partial(regressed, groups=groups),
            (220, 220),
            joints,
            *figures,
        )
        for (joints, groups), figures in ALEXNETS.items()
    ),
    Row("ResNet-FCN, ResNet-50", partial(convolved, depth=50)),
    *(
        Row(
            f"CPN, ResNet-{depth}",
            partial(cascaded, depth=depth),
            size,
            17,
            parameters=count,
            gmacs=gmacs,
            large=depth > 50,
        )
        for (depth, size), (count, gmacs) in PYRAMIDS.items()
    ),
    *(
        Row(
            f"HRNet-W{width}",
            partial(parallel, width=width),
            (256, 192),
            17,
            parameters=count,
            gmacs=gmacs,
            large=True,
        )
        for width, (count, gmacs) in HRNETS.items()
    ),
    *(
        Row(
            f"CPM of {form}, 6 stages",
            partial(staged, form=form),
            size,
            joints,
            *figures,
        )
        for (form, size, joints), figures in MACHINES.items()
    ),
    *(
        Row(
            f"Tompson et al., {models}",
            partial(localized, fine="fine" in models),
            parameters=count,
            gmacs=gmacs,
        )
        for models, (count, gmacs) in LOCALIZERS.items()
    ),
    *(
        Row(
            f"OpenPose, {limbs} limbs, {stages} "
            f"{'stage' if stages == 1 else 'stages'}",
            partial(grouped, form="paper", limbs=limbs, stages=stages),
            (368, 368),
            joints,
            *figures,
        )
        for (joints, limbs, stages), figures in OPENPOSE.items()
    ),
    Row(
        "OpenPose, 19 limbs, 6 stages",
        partial(grouped, form="paper", limbs=19),
        (368, 656),
        18,
        52_311_446,
        242.317,
    ),
    *(
        Row(
            f"Lightweight OpenPose, {stages} stages",
            partial(grouped, form="lightweight", limbs=19, stages=stages),
            (368, 368),
            18,
            *figures,
        )
        for stages, figures in LIGHTWEIGHT.items()
    ),
    Row(
        "OpenPose, BODY_25",
        partial(grouped, form="BODY_25", limbs=26),
        (368, 368),
        25,
        *BODY_25,
    ),
)


def count(row):
    """The trainable parameters and the GMACs of a `Row`, from its graph."""
    try:
        # Shapes are enough: drawing initial values takes as long as the rest.
        with keras.StatelessScope(initialize_variables=False):
            images = keras.Input((*row.size, 3), dtype="uint8")
            maps = row.build(images, row.joints)
            model = keras.Model(images, maps, name="counted")
        return macs.parameters(model), macs.macs(model) / 1e9
    finally:
        # forgets the variables without values
        keras.backend.clear_session(free_memory=False)


def list_weights(output=None):
    """Prints the published weights; writes them as CSV to `output`."""
    print(published.describe(published.PUBLISHED))
    print(
        "\nThe scores are those that the repositories print; a dash: none. "
        "MMPose blurs maps\nbefore decoding dark, which is not done here. "
        "The data sets' terms hold as well."
    )
    if output:
        rows = pd.DataFrame(map(asdict, published.PUBLISHED))
        save(rows.set_index("name"), output)
    print("Next: python -m keras_pose.import_weights --help")


def save(table, path):
    """Writes a table as CSV."""
    with files.whole(path) as temporary:
        table.to_csv(temporary)
    print(f"Wrote {path}.")


def main(config):
    """Prints the table."""
    if config.weights:
        return list_weights(config.output)
    rows = [row for row in ROWS if not (config.fast and row.large)]
    counts = []
    for row in progress(rows, desc="counting", unit=" networks"):
        trainable, gmacs = count(row)
        counts.append(
            {
                "network": row.name,
                "input": " x ".join(map(str, row.size)),
                "joints": row.joints,
                "parameters": trainable,
                "published": row.parameters,
                "GMACs": gmacs,
                "published GMACs": row.gmacs,
            }
        )
    table = pd.DataFrame(counts).set_index("network")
    numbers = {
        "parameters": "{:,}".format,
        "published": "{:,.0f}".format,
        "GMACs": "{:.3f}".format,
        "published GMACs": "{:.3f}".format,
    }
    print(table.to_string(formatters=numbers, na_rep="-"))
    print(
        "\nGMACs: 10^9 multiply-accumulates of convolutions and dense layers "
        "for one picture;\ntransposed convolutions are counted on input pixels."
    )
    if config.output:
        save(table, config.output)
    print("Next: python -m reproductions.simple_baselines --help")


if __name__ == "__main__":
    run(main, Config, __doc__)
