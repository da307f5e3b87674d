"""Simple Baselines: a ResNet and three deconvolutions.

B. Xiao, H. Wu, Y. Wei,
"Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018,
https://arxiv.org/abs/1804.06208. Code by the authors:
https://github.com/microsoft/human-pose-estimation.pytorch

New here   a few deconvolutions on an ImageNet ResNet are enough
Run        python -m reproductions.simple_baselines
COCO       the same with --image-size 256 192 --rotation 40 --zoom 0.3
Ablation   --depth 101, --deconvolutions 2, --filters 64, --kernel 2 (table 1)
Reported   COCO val AP of R50, R101, R152: 70.4, 71.4, 72.0 at 256 x 192 and
           72.2, 73.6, 74.3 at 384 x 288; MPII val PCKh@0.5: 88.5, 89.1, 89.6
Measured   reproductions/README.md
Departs    Keras' ImageNet weights halve in the first 1x1 of a block
           (`keras_pose.models.resnet`); batch 32 on one GPU, not on each of
           four; augmentation as in the authors' code (60 % are rotated, zoom
           and rotation are clipped normal numbers; section 4.1 states ranges:
           30 %, 40 degrees, mirroring); Gaussians centred on the joint itself
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import console, losses, training
from keras_pose.models import heads, resnet, simple_baselines
from keras_pose.models import model as models
from reproductions import flow


@dataclass(frozen=True)
class Config(training.ResNets, training.Config):
    """ResNet-50 with three deconvolutions of 256 filters (table 1, row a)."""

    deconvolutions: int = 3
    """Transposed convolutions; each doubles the maps (table 1, rows a, b)."""
    filters: int | None = None
    """Channels of the deconvolutions (rows a, d, e)."""
    kernel: Literal[2, 3, 4] = 4
    """Kernel size of the deconvolutions (rows a, c)."""
    distribution: Literal["octaves", "normal", "uniform"] = "normal"  # code
    color: float = 0.0  # authors' code
    unlabelled: Literal["zero", "ignore"] = "ignore"
    sigma: float = 2.0  # authors' code
    drop_epochs: tuple[int, ...] | None = None

    PRESETS: ClassVar[dict] = {
        "paper": {  # section 4; augmentation on MPII as in the authors' code
            **training.PAPER,
            "epochs": 140,
            "drop_epochs": (90, 120),  # section 4
            "batch_size": 32,
            "learning_rate": 1e-3,
            "warmup_epochs": 0,
            "patience": 10,  # only without --drop-epochs
            "weights": "imagenet",
            "width": 1.0,
            "filters": 256,
        },
        "laptop": {  # a narrow ResNet-50; no pretrained weights exist for it
            **training.LAPTOP,
            "epochs": 20,
            "drop_epochs": (13, 17),
            "learning_rate": 1e-3,
            "warmup_epochs": 0,
            "weights": "none",
            "width": 0.25,
            "filters": 64,
        },
    }


def build_maps(config, skeleton):
    """Images (B, H, W, 3) uint8 and maps (B, H / 4, W / 4, K)."""
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    features = resnet.resnet_features(
        images, config.depth, weights=config.weights, width=config.width
    )
    return images, simple_baselines.deconvolution_head(
        features,
        len(skeleton.joints),
        deconvolutions=config.deconvolutions,
        filters=config.filters,
        kernel=config.kernel,
    )


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> (B, 1, H / 4, W / 4, K) maps."""
    images, maps = build_maps(config, skeleton)
    stride = simple_baselines.output_stride(config.deconvolutions)
    maps = heads.pose_maps({stride: [maps]}, skeleton, sigma=config.sigma)
    return models.PoseModel(images, maps, name=f"baseline_{config.depth}")


def build_loss(config, model):
    """Mean squared error (section 4)."""
    return losses.HeatmapMSE(model.codec, unlabelled=config.unlabelled)


def build_optimizer(config):
    """Adam (section 4) with Torch's epsilon."""
    return training.optimizers.adam(config, epsilon=1e-8)


def paper():
    """The parts specific to this paper; `flow` has the rest of a run."""
    parts = build_model, build_loss, build_optimizer
    return flow.Paper("simple_baselines", __doc__, *parts)


def main(config):
    """Trains one network and reports on it."""
    return paper().main(config)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
