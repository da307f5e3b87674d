"""Multi-Scale Structure-Aware network.

L. Ke, M.-C. Chang, H. Qi, S. Lyu,
"Multi-Scale Structure-Aware Network for Human Pose Estimation", ECCV 2018,
https://arxiv.org/abs/1803.09894. Code by the authors: none released.

New here   supervision at every scale (MSS-net), a regression network over all
           heatmaps (MSR-net), a loss on connected joints, keypoint masking
Run        python -m reproductions.multi_scale_structure_aware
One stage  python -m reproductions.multi_scale_structure_aware --stage msr
Compare    python -m reproductions.multi_scale_structure_aware --compare
Reported   PCKh@0.5 on MPII val (section 4.3), by --method: hourglass 87.1,
           mss 87.6, msr 88.1, structure 88.3, full 88.4
Measured   reproductions/README.md
Departs    MSR-net's layers, alpha, the patches, SGD's momentum and the rate at
           the start of stages 2 and 3 are ours: the paper states none; zoom
           and rotation are uniform in section 4.1's ranges; colour gains and
           mirroring are Newell's, which section 4.1 adopts without listing
           them; the laptop preset uses Adam; eq. (1)'s sum over pixels is kept
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import console, losses, training
from keras_pose.models import heads, hourglass, mss_net
from keras_pose.models import model as models
from keras_pose.models import msr_net as msr
from reproductions import flow

METHODS = {
    "hourglass": "Hourglass",
    "mss": "MSS-net",
    "msr": "+ MSR-net",
    "structure": "+ structure-aware loss",
    "full": "+ keypoint masking",
}
"""{method: its name in section 4.3}; each adds a part to the one before."""
SHARES = {"mss": 2, "msr": 1, "joint": 1}
"""Shares of the epochs: 150, 75 and 75 of 300 (section 4.1)."""
SAME = {
    ("mss", "msr"): "mss",
    ("mss", "full"): "structure",
    ("msr", "full"): "structure",
}
"""(stage, method) -> simplest method with the same stage, whose run is used."""


@dataclass(frozen=True)
class Config(training.Hourglasses, training.Comparison, training.Config):
    """All four parts in three stages."""

    stage: Literal["all", "mss", "msr", "joint"] = "all"
    """Train one stage; msr and joint start where the previous stage ended."""
    method: Literal["hourglass", "mss", "msr", "structure", "full"] = "full"
    """Cumulative parts (section 4.3): Newell's baseline, + MSS-net, + MSR-net,
    + structure-aware loss, + keypoint masking. The first two have one stage
    with all the epochs."""
    alpha: float = 0.5
    """Weight of the structure term, eq. 2 (not stated in the paper)."""
    norm: Literal["squared", "l2"] = "squared"
    """Error of a map: squared, or eq. 2's norm as printed."""
    pixels: Literal["half_sum", "mean"] = "half_sum"
    """Reduction over the pixels of a map. With mean, an error at 1/8 weighs 64
    times as much as one at full size; with half_sum, the same."""
    masking: float = 0.5
    """Share of masked samples in the joint stage (not stated)."""
    optimizer: Literal["sgd", "adam"] | None = None
    """SGD as in section 4.1, or Adam."""
    momentum: float = 0.9
    """Of SGD (not stated in the paper)."""
    plateau_factor: float = 0.2
    """Factor on the rate on a plateau (section 4.1: divided by 5)."""
    rotation_chance: float = 1.0
    """Share of the samples that are rotated (only the range is stated)."""
    distribution: Literal["octaves", "normal", "uniform"] = "uniform"
    """Of zoom and rotation; section 4.1: 0.75 to 1.25, -30 to 30 degrees."""

    PRESETS: ClassVar[dict] = {
        "paper": {  # section 4.1; no warm-up
            **training.PAPER,
            "epochs": 300,
            "batch_size": 16,
            "optimizer": "sgd",
            "learning_rate": 5e-4,
            "warmup_epochs": 0,
            "patience": 8,
            "filters": 256,
            "stacks": 8,
        },
        "laptop": {
            **training.LAPTOP,
            "epochs": 28,
            "optimizer": "adam",  # SGD hardly improves in so few steps
            "learning_rate": 2e-3,
            "warmup_epochs": 1,
            "filters": 64,
            "stacks": 2,
        },
    }

    def check(self):
        """Checks the shared settings and the paper's own."""
        super().check()
        if not self.alpha >= 0:
            raise ValueError(f"alpha must not be negative, got {self.alpha}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be 0 to 1, got {self.momentum}")


def stages(config):
    """The three stages of section 4.1, or one without MSR-net."""
    unmasked = {"masking": (0.0, "joint stage of full only")}
    if not has(config.method, "msr"):
        return (training.Stage("mss", changes=unmasked),)
    declared = []
    for name, share in SHARES.items():
        same = SAME.get((name, config.method))
        changes = {"method": (same, f"part of {config.method}")} if same else {}
        if declared:
            changes["warmup_epochs"] = 0, "first stage only"
        if name != "joint" or not has(config.method, "full"):
            changes |= unmasked
        declared.append(training.Stage(name, share, changes))
    return tuple(declared)


def has(method, part):
    """Whether a method includes a part."""
    order = [*METHODS]
    return order.index(method) >= order.index(part)


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> maps (B, T, h, w, K) per scale, the finest last.

    T is `stacks` in the first stage, 1 in the second (only MSR-net is
    supervised; the MSS-net and its batch statistics are frozen), and
    `stacks` + 1 in the joint stage.
    """
    joints, width, stage = len(skeleton.joints), config.filters, config.stage
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    maps, features = hourglass.stack_hourglasses(
        images,
        joints,
        stacks=config.stacks,
        filters=width,
        scales=mss_net.SCALES if has(config.method, "mss") else 1,
        pixel_offset=config.pixel_offset,
    )
    if stage != "mss":
        refined = msr.msr_net(maps, features, joints, filters=width)
        before = maps if stage == "joint" else [[]] * len(maps)
        maps = [[*b, r] for b, r in zip(before, refined, strict=True)]
    strides = [hourglass.STRIDE * 2**step for step in range(len(maps))]
    maps = dict(zip(reversed(strides), maps, strict=True))
    outputs = heads.pose_maps(maps, skeleton, sigma=config.sigma)
    model = models.PoseModel(images, outputs, name=f"{config.method}_{stage}")
    if stage == "msr":
        for layer in model.layers:
            layer.trainable = layer.name.startswith(f"{msr.NAME}_")
    return model


def build_loss(config, model):
    """Sum of eq. (2) over all scales."""
    alpha = config.alpha if has(config.method, "structure") else 0.0
    settings = alpha, config.norm, config.pixels
    return losses.PerOutput(
        losses.StructureAware(codec, *settings, unlabelled=config.unlabelled)
        for codec in model.codecs
    )


def build_optimizer(config):
    """SGD as in section 4.1, or Adam if there are few steps."""
    if config.optimizer == "adam":
        return training.optimizers.adam(config)
    return training.optimizers.SGD(
        config.learning_rate,
        momentum=config.momentum,
        global_clipnorm=config.clip_norm,
    )


def paper():
    """The parts specific to this paper; `flow` has the rest of a run."""
    parts = build_model, build_loss, build_optimizer, None, stages
    return flow.Paper("multi_scale_structure_aware", __doc__, *parts)


def variants(config):
    """{name: settings} of section 4.3, and MSS-net for its stage's epochs."""
    rows = {name: {"method": method} for method, name in METHODS.items()}
    half = config.resolved()[0].epochs * SHARES["mss"] // sum(SHARES.values())
    control = {"MSS-net, half": {"method": "mss", "epochs": half}}
    return {METHODS["hourglass"]: {}} | control | rows  # the whole goes on


def main(config):
    """Trains one method, or all of section 4.3 side by side."""
    following = "python -m keras_pose.conditional --model {model} --data {data}"
    following += " chooses the thresholds of section 4.1"
    return paper().main(config, variants, following)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
