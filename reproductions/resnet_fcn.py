"""ResNet-FCN: convolutions in place of the deconvolutions of Simple Baselines.

Y. Wang, C. Hao, "Human Pose Estimation from a Single Image", a student report.
Code by the authors: none released.

New here   each deconvolution becomes a block of 1x1, 3x3, 1x1 convolutions,
           followed by three 1x1 convolutions
Run        python -m reproductions.resnet_fcn
Compare    python -m reproductions.resnet_fcn --compare --seeds 3
Reported   no number; the claim: a simpler network that "improves" the baseline
           (B. Xiao et al., https://arxiv.org/abs/1804.06208)
Measured   reproductions/README.md
Departs    widths, upsampling, depth, batch and epochs are ours: the report
           states none (`keras_pose.models.resnet_fcn`); rotation and zoom are
           uniform in section 3's ranges, every sample is rotated (it states
           only the ranges); half of the samples are mirrored, as in Simple
           Baselines (the report does not mention mirroring in training, but
           tests with it); no colour gains
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import console, losses, training
from keras_pose.models import heads, resnet, simple_baselines
from keras_pose.models import model as models
from keras_pose.models import resnet_fcn as fcn
from reproductions import flow

VARIANTS = {
    "Deconvolutions (baseline)": {"head": "deconvolution"},
    "FCN": {"head": "fcn"},
}


@dataclass(frozen=True)
class Config(training.ResNets, training.Comparison, training.Config):
    """ResNet-50 (depth not stated in the report) with the report's head."""

    head: Literal["fcn", "deconvolution"] = "fcn"
    """The report's head, or the one that it replaces (4x4 kernels)."""
    output_stride: Literal[2, 4, 8, 16, 32] = 4
    """Input pixels per cell of the maps; each block of the head halves it."""
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    """How a block of the FCN doubles the size (not stated in the report)."""
    filters: int | None = None
    """Channels of the head (4.1.1: 256)."""
    plateau_factor: float = 0.2
    """Factor on the rate on a plateau (section 5.1: divided by 5)."""
    plateau_drops: int | None = 1
    """How often a plateau lowers the rate (section 5.1: once)."""
    rotation_chance: float = 1.0
    """Share of the samples that are rotated (section 3 states only a range)."""
    distribution: Literal["octaves", "normal", "uniform"] = "uniform"
    """Of zoom and rotation; section 3 gives the ranges 0.75 to 1.25 and -30 to
    30 degrees."""
    color: float = 0.0
    """Gains of red, green and blue lie in 1 - color to 1 + color (section 3
    mentions none)."""

    PRESETS: ClassVar[dict] = {
        "paper": {  # sections 3 and 5.1; batch, epochs, patience not stated
            **training.PAPER,
            "epochs": 140,
            "batch_size": 32,
            "learning_rate": 2.5e-4,
            "warmup_epochs": 0,
            "patience": 10,
            "weights": "imagenet",
            "width": 1.0,
            "filters": 256,
        },
        "laptop": {  # a narrow ResNet-50; no pretrained weights exist for it
            **training.LAPTOP,
            "epochs": 20,
            "learning_rate": 1e-3,
            "warmup_epochs": 1,
            "weights": "none",
            "width": 0.25,
            "filters": 64,
        },
    }


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> (B, 1, H / 4, W / 4, K) maps."""
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    features = resnet.resnet_features(
        images, config.depth, weights=config.weights, width=config.width
    )
    joints, stride = len(skeleton.joints), config.output_stride
    if config.head == "fcn":
        maps = fcn.fcn_head(
            features,
            joints,
            output_stride=stride,
            filters=config.filters,
            upsampling=config.upsampling,
        )
    else:
        steps = (resnet.STRIDE // stride).bit_length() - 1
        maps = simple_baselines.deconvolution_head(
            features, joints, deconvolutions=steps, filters=config.filters
        )
    maps = heads.pose_maps({stride: [maps]}, skeleton, sigma=config.sigma)
    name = f"resnet{config.depth}_{config.head}"
    return models.PoseModel(images, maps, name=name)


def build_loss(config, model):
    """Mean squared error (section 3)."""
    return losses.HeatmapMSE(model.codec, unlabelled=config.unlabelled)


def paper():
    """The parts specific to this paper; `flow` has the rest of a run."""
    parts = build_model, build_loss, training.optimizers.torch_rmsprop
    return flow.Paper("resnet_fcn", __doc__, *parts, costs=True)


def main(config):
    """Trains one network and reports on it, or compares the heads."""
    return paper().main(config, lambda _: VARIANTS)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
