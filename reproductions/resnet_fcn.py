"""ResNet-FCN: convolutions in place of the deconvolutions of Simple Baselines.

Y. Wang, C. Hao, "Human Pose Estimation from a Single Image", a student report.
Code by the authors: none released.

New here   each deconvolution becomes a block of 1x1, 3x3, 1x1 convolutions,
           with three 1x1 convolutions behind
Run        python -m reproductions.resnet_fcn
Compare    python -m reproductions.resnet_fcn --compare --seeds 3
Reported   no figure; the claim: a simpler network that "improves" the baseline
           (B. Xiao et al., https://arxiv.org/abs/1804.06208)
Measured   reproductions/README.md
Departs    widths, upsampling, depth, batch and epochs are ours: the report
           names none (`keras_pose.models.resnet_fcn`); rotation and zoom are
           uniform in section 3's ranges, every sample is rotated (it says only
           the ranges); half of the samples are mirrored, as in Simple Baselines
           (the report names no mirroring, but tests with it); no colour gains
"""

import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import keras
import numpy as np
import pandas as pd

from keras_pose import codecs, console, files, losses, training
from keras_pose.models import heads, macs, resnet, simple_baselines
from keras_pose.models import model as models
from keras_pose.models import resnet_fcn as fcn
from reproductions import flow

NAME = "resnet_fcn"
VARIANTS = {
    "Deconvolutions (baseline)": {"head": "deconvolution"},
    "FCN": {"head": "fcn"},
}
WARM, TIMED = 2, 10
"""Training steps before the clock starts, and those whose median counts."""


@dataclass(frozen=True)
class Config(training.Config):
    """ResNet-50 with the report's head."""

    head: Literal["fcn", "deconvolution"] = "fcn"
    """The report's, or the one that it replaces (4x4 kernels)."""
    output_stride: Literal[2, 4, 8, 16, 32] = 4
    """Input pixels per cell of the maps; a block of the head per halving."""
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    """How a block of the FCN doubles the size (report: unsaid)."""
    depth: Literal[50, 101, 152] = 50
    """Layers of the ResNet (report: unsaid)."""
    weights: str | None = None
    """Of the ResNet at first: imagenet (downloaded), none, or a file of
    keras.applications' weights without the top."""
    width: float | None = None
    """Factor on the channels of the ResNet, ours."""
    filters: int | None = None
    """Channels of the head (4.1.1: 256)."""
    plateau_factor: float = 0.2
    """The rate is divided by 5 (section 5.1)."""
    plateau_drops: int | None = 1
    """Times that a plateau lowers the rate (section 5.1: once)."""
    rotation_chance: float = 1.0
    """Share of the samples that are rotated (section 3: the range alone)."""
    distribution: Literal["octaves", "normal", "uniform"] = "uniform"
    """Of zoom and rotation: section 3 gives ranges, 0.75 to 1.25 and 30 degrees
    either way."""
    color: float = 0.0
    """Gains of red, green and blue are in 1 - color to 1 + color (section 3
    names none)."""
    unlabelled: Literal["zero", "ignore"] = "zero"
    """Joints without a label: an empty map that counts, or weight 0."""
    sigma: float = 1.0
    """Width of the Gaussians, cells (section 5.1)."""
    compare: bool = False
    """Train both heads with every seed, equally long, and count their cost."""
    seeds: int = 1
    """Seeds per head of a comparison, counted up from --seed."""

    PRESETS: ClassVar[dict] = {
        "paper": {  # sections 3 and 5.1; batch, epochs and patience unsaid
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
        "laptop": {  # a thin ResNet-50, for which there are no weights
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
    codec = codecs.Heatmaps(skeleton, stride, sigma=config.sigma)
    maps = heads.PoseMaps(codec, name="maps")([maps])
    name = f"resnet{config.depth}_{config.head}"
    return models.PoseModel(images, maps, name=name)


def build_loss(config, model):
    """Mean squared error (section 3)."""
    return losses.HeatmapMSE(model.codec, unlabelled=config.unlabelled)


def build_optimizer(config):
    """RMSprop with Torch's constants: its epsilon 1e-8 is outside the root."""
    return training.optimizers.RMSprop(
        config.learning_rate,
        rho=0.99,
        epsilon=1e-16,
        global_clipnorm=config.clip_norm,
    )


def paper():
    """What is of this paper; the rest of a run is shared."""
    return flow.Paper(NAME, __doc__, build_model, build_loss, build_optimizer)


def cost(config):
    """Parameters, multiply-accumulates and time per training step."""
    run = paper().start(config)
    config, data = run.config, run.data
    model, _ = paper().compiled(run)
    batch, size = config.batch_size, config.image_size
    rng = np.random.default_rng(config.seed)
    images = rng.integers(0, 256, (batch, *size, 3), "uint8")
    joints = len(data.skeleton.joints)
    labels = rng.uniform(0, min(size), (batch, 1, joints, 4))
    labels[..., 2] = 2  # every joint is visible
    seconds = []
    for _ in range(WARM + TIMED):
        began = time.perf_counter()
        model.train_on_batch(images, labels.astype("float32"))
        seconds.append(time.perf_counter() - began)
    return {
        "parameters": macs.parameters(model),
        "GMACs": macs.macs(model) / 1e9,
        "seconds per step": statistics.median(seconds[WARM:]),
    }


def compare_heads(config):
    """Both heads on the same people: scores, and what they cost."""
    output = Path(config.output or Path("runs") / f"{NAME}-compare")
    one = replace(config, compare=False, seeds=1, output=output)
    table = paper().compare(one, VARIANTS, config.seeds)
    costs = {}
    for variant, settings in VARIANTS.items():
        keras.backend.clear_session()
        costs[variant] = cost(replace(one, **settings))
    costs = pd.DataFrame(costs).T
    table = table.join(costs)
    with files.whole(output / "comparison.csv") as temporary:
        table.to_csv(temporary)
    print(costs.round(4).to_string())
    return table


def main(config):
    """Trains one network and reports on it, or compares the heads."""
    if config.compare:
        return compare_heads(config)
    run, history = paper().reproduce(config)
    print(
        f"Next: python -m keras_pose.evaluate --model {run.config.output}/"
        f"best.keras --data {run.data.folder} --flip, as the report tests"
    )
    return history


if __name__ == "__main__":
    console.run(main, Config, __doc__)
