"""HRNet: high resolution from the first stage to the last.

K. Sun, B. Xiao, D. Liu, J. Wang,
"Deep High-Resolution Representation Learning for Human Pose Estimation",
CVPR 2019, https://arxiv.org/abs/1902.09212. Code by the authors:
https://github.com/leoxiaobin/deep-high-resolution-net.pytorch

New here   branches of stride 4, 8, 16 and 32 side by side, fused after every
           module; the maps are read from the finest
Run        python -m reproductions.hrnet
COCO       python -m reproductions.hrnet --image-size 256 192 --rotation 45
           --zoom 0.35 --half-body 0.3; also --image-size 384 288 --sigma 3,
           --width 48
Compare    python -m reproductions.hrnet --compare --seeds 3, and with
           --vary fusion
Reported   COCO val AP of W32, W48: 74.4, 75.1 at 256 x 192 and 75.8, 76.3 at
           384 x 288; MPII PCKh@0.5 of W32: 90.3 on val, 92.3 on test; less
           from coarser maps and with less fusion (section 4.4)
Measured   reproductions/README.md
Departs    starts from random weights, the authors from ImageNet, as
           --initial-weights hrnet_w32-36af842e.pth does; batch 32 on one GPU,
           the authors have 32 on each of four; augmentation as in the
           authors' code (60 % are rotated, zoom and rotation are clipped normal
           numbers), but half a body is shown at most as small as the whole;
           Gaussians centred on the joint, not on its cell
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import console, training
from keras_pose.models import heads, hrnet
from keras_pose.models import model as models
from reproductions import flow, simple_baselines

VARIANTS = {
    "stride": {
        "Stride 4": {},
        "Stride 8": {"stride": 8},
        "Stride 16": {"stride": 16},
    },
    "fusion": {
        "Fusion after modules": {},
        "Fusion after stages": {"fusion": "stages"},
        "Fusion at the end": {"fusion": "last"},
    },
}
"""Settings that differ from `Config`; the first is the paper's network."""


@dataclass(frozen=True)
class Config(training.Comparison, training.Config):
    """HRNet-W32, maps of stride 4, fusion after every module."""

    width: int | None = None
    """Channels of the finest branch: W32, W48."""
    stride: Literal[4, 8, 16, 32] = 4
    """Of the branch that the maps are read from, input pixels per cell."""
    fusion: Literal["modules", "stages", "last"] = "modules"
    """Fuse branches after every module, only at the end of every stage, or only
    at the end of the last stage."""
    vary: Literal["stride", "fusion"] = "stride"
    """What --compare varies (section 4.4)."""
    modules: tuple[int, ...] = (1, 4, 3)
    """Modules of stages 2, 3 and 4 (section 3.1)."""
    distribution: Literal["octaves", "normal", "uniform"] = "normal"  # code
    color: float = 0.0  # authors' code
    unlabelled: Literal["zero", "ignore"] = "ignore"  # authors' code
    sigma: float = 2.0  # authors' code; 3 at 384 x 288
    drop_epochs: tuple[int, ...] | None = None

    PRESETS: ClassVar[dict] = {
        "paper": {  # section 4.1; augmentation on MPII as in the authors' code
            **training.PAPER,
            "epochs": 210,
            "drop_epochs": (170, 200),
            "batch_size": 32,
            "learning_rate": 1e-3,
            "warmup_epochs": 0,
            "patience": 10,  # only without --drop-epochs
            "width": 32,
        },
        "laptop": {
            **training.LAPTOP,
            "epochs": 10,
            "drop_epochs": (8, 9),  # nearest to the paper's shares
            "learning_rate": 1e-3,
            "warmup_epochs": 0,
            "width": 8,
        },
    }


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> (B, 1, H / stride, W / stride, K) maps."""
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    maps = hrnet.hrnet(
        images,
        len(skeleton.joints),
        width=config.width,
        stride=config.stride,
        fusion=config.fusion,
        modules=config.modules,
    )
    maps = {config.stride: [maps]}
    maps = heads.pose_maps(maps, skeleton, sigma=config.sigma)
    return models.PoseModel(images, maps, name=f"hrnet_w{config.width}")


def paper():
    """Loss and optimizer are those of Simple Baselines (sections 3, 4.1)."""
    recipe = simple_baselines.build_loss, simple_baselines.build_optimizer
    return flow.Paper("hrnet", __doc__, build_model, *recipe, costs=True)


def variants(config):
    """{name: settings}; the paper's network is one run for both comparisons."""
    chosen = VARIANTS[config.vary]
    return {name: each | {"vary": "stride"} for name, each in chosen.items()}


def main(config):
    """Trains one network and reports on it, or compares the variants."""
    return paper().main(config, variants)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
