"""Cascaded Pyramid Network: GlobalNet, RefineNet and the hardest joints.

Y. Chen, Z. Wang, Y. Peng, Z. Zhang, G. Yu, J. Sun,
"Cascaded Pyramid Network for Multi-Person Pose Estimation", CVPR 2018,
https://arxiv.org/abs/1711.07319. Code by the authors:
https://github.com/chenyilun95/tf-cpn; the graph is that of
https://github.com/GengDavid/pytorch-cpn, whose weights can be imported

New here   a feature pyramid finds the easy joints (GlobalNet), a second network
           over all its levels the others (RefineNet), whose loss counts only a
           person's hardest joints (OHKM)
Run        python -m reproductions.cascaded_pyramid
COCO       python -m reproductions.cascaded_pyramid --image-size 256 192; also
           --image-size 384 288 --sigma 1.7 --level-sigmas 3.8 2.9 2.3 1.7
Compare    python -m reproductions.cascaded_pyramid --compare --seeds 3; the two
           parts of one network: python -m keras_pose.evaluate --part global4
Reported   COCO val AP at 256 x 192 and 384 x 288: 69.4 and 71.6 with OHKM, 68.6
           and 70.6 without it
Measured   reproductions/README.md
Departs    Keras' ImageNet weights halve in the first 1x1 of a block
           (`keras_pose.models.resnet`); Gaussians centred on the joint, of peak
           1, not 255; no weight decay (code: 1e-5); four times the epochs: one
           of the code's shows a person as it is, mirrored and rotated twice;
           half of the samples are mirrored; zoom 0.7 to 1.3 (code: to 1.25)
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import console, losses, training
from keras_pose.models import cascaded_pyramid, resnet
from keras_pose.models import model as models
from reproductions import flow, simple_baselines

GLOBAL = {"pixels": "mean", "occluded": "empty"}
"""GlobalNet's loss: an occluded joint has an empty target (code)."""


@dataclass(frozen=True)
class Config(training.ResNets, training.Comparison, training.Config):
    """ResNet-50 with both networks, 8 hardest joints."""

    filters: int | None = None
    """Channels of the pyramid."""
    method: Literal["global", "refine", "ohkm"] = "ohkm"
    """GlobalNet alone; + RefineNet, on all joints; + on the hardest."""
    top: int = 8
    """How many joints count in RefineNet's loss: the hardest (code: 8)."""
    sigma: float = 1.4
    """Width of RefineNet's Gaussians, cells (code)."""
    level_sigmas: tuple[float, ...] = (2.6, 2.0, 1.7, 1.4)  # code
    """Of GlobalNet's, coarsest level first."""
    unlabelled: Literal["zero", "ignore"] = "zero"
    """GlobalNet's; RefineNet ignores joints without a label (code)."""
    distribution: Literal["octaves", "normal", "uniform"] = "uniform"  # code
    rotation_chance: float = 0.5  # code
    color: float = 0.2  # code
    drop_epochs: tuple[int, ...] | None = None
    drop_factor: float = 0.5  # code

    PRESETS: ClassVar[dict] = {
        "paper": {  # pytorch-cpn's code
            **training.PAPER,
            "epochs": 128,
            "drop_epochs": (24, 48, 72, 96, 120),
            "batch_size": 32,
            "learning_rate": 5e-4,
            "warmup_epochs": 0,
            "patience": 10,  # only without --drop-epochs
            "rotation": 45.0,
            "zoom": 0.3,
            "weights": "imagenet",
            "width": 1.0,
            "filters": 256,
        },
        "laptop": {  # a narrow ResNet-50; no pretrained weights exist for it
            **training.LAPTOP,
            "epochs": 12,
            "drop_epochs": (6, 8, 10),
            "learning_rate": 2e-3,
            "warmup_epochs": 0,
            "weights": "none",
            "width": 0.25,
            "filters": 64,
        },
    }


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> 4 or 5 outputs (B, 1, H / 4, W / 4, K)."""
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    features = resnet.resnet_stages(
        images,
        config.depth,
        weights=config.weights,
        width=config.width,
        pixels=cascaded_pyramid.pixels(),
    )
    maps = cascaded_pyramid.cascaded_pyramid(
        features,
        len(skeleton.joints),
        filters=config.filters,
        refine=config.method != "global",
    )
    sigmas = config.sigma, config.level_sigmas
    maps = {cascaded_pyramid.STRIDE: maps}
    outputs = cascaded_pyramid.pose_maps(maps, skeleton, *sigmas)
    return models.PoseModel(images, outputs, name=f"cpn_{config.depth}")


def build_loss(config, model):
    """Half the error of every level, and that of RefineNet (code)."""
    levels = model.codecs[: cascaded_pyramid.LEVELS]
    parts = [
        losses.HeatmapMSE(c, unlabelled=config.unlabelled, **GLOBAL)
        for c in levels
    ]
    names, factors = ["global"] * len(parts), [0.5] * len(parts)
    for codec in model.codecs[len(levels) :]:
        error = losses.HeatmapMSE(codec, unlabelled="ignore", pixels="mean")
        hard = config.method == "ohkm"
        parts.append(losses.OHKM(error, config.top) if hard else error)
        names, factors = [*names, "refine"], [*factors, 1.0]
    return losses.PerOutput(parts, names, factors)


def paper():
    """The optimizer is that of Simple Baselines: Adam (code)."""
    parts = build_model, build_loss, simple_baselines.build_optimizer
    return flow.Paper("cascaded_pyramid", __doc__, *parts, costs=True)


def variants(config):
    """{name: settings}: each adds a part to the one before."""
    methods = {"GlobalNet": "global", "RefineNet": "refine", "OHKM": "ohkm"}
    return {name: {"method": method} for name, method in methods.items()}


def main(config):
    """Trains one network and reports on it, or compares its parts."""
    return paper().main(config, variants)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
