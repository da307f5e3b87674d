"""Multi-Scale Stacked Hourglass network (MSSH).

Anonymous, "Multi-Scale Stacked Hourglass Network for Human Pose Estimation",
paper under double-blind review. Code by the authors: none released.

New here   hourglasses that work at 32, 64 and 128 cells, inception-resnet
           blocks, a loss that tells the next hourglass which joints were hard
Run        python -m reproductions.multi_scale_stacked_hourglass
Ablations  python -m reproductions.multi_scale_stacked_hourglass --seeds 3
           --ablation weights (also figure 6), or blocks, lateral, fusion
Reported   PCKh@0.5 on MPII val (section 5.2): hourglass 88.78, with scales and
           joint weights 89.25; residual 89.19, inception-resnet-A 89.91,
           B 82.95; lateral connections 88.66, none 89.91; concatenation 89.36,
           sum 89.91. MPII test 91.2; LSP PCK@0.2 91.4, PCP@0.5 89.5 (tables 2
           and 3: python -m keras_pose.evaluate --protocol lsp)
Measured   reproductions/README.md
Departs    the layers are ours (`keras_pose.models.inception_resnet`,
           `keras_pose.models.multi_scale_stacked_hourglass`); eq. (4) is read
           as AdaBoost.R2 (`keras_pose.losses.joint_weights`); half of eq. (2);
           section 5.1.3 names scaling, rotation, flipping and colour noise
           without numbers: as in Newell's code, but 60 % rotated (not 40 %)
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import keras

from keras_pose import console, losses, training
from keras_pose.models import heads, hourglass, inception_resnet
from keras_pose.models import model as models
from keras_pose.models import multi_scale_stacked_hourglass as mssh
from keras_pose.training import callbacks
from reproductions import flow

NAME = "multi_scale_stacked_hourglass"
NETWORKS = {
    "Hourglass": {"method": "hourglass", "adaptive": False},
    "Residual, even weights": {"block": "residual", "adaptive": False},
    "Residual": {"block": "residual"},
    "Inception-resnet-A": {},
    "Inception-resnet-B": {"block": "inception_resnet_b"},
    "With lateral connections": {"lateral": True},
    "Concatenation": {"fusion": "concat"},
}
"""Settings that differ from `Config`; all but the first are MSSH."""
ABLATIONS = {
    "weights": ("Hourglass", "Residual, even weights", "Residual"),  # 5.2.1
    "blocks": ("Residual", "Inception-resnet-A", "Inception-resnet-B"),  # 5.2.2
    "lateral": ("Inception-resnet-A", "With lateral connections"),  # 5.2.3
    "fusion": ("Inception-resnet-A", "Concatenation"),  # 5.2.4
}
"""Networks that each ablation compares, the paper's baseline first."""


@dataclass(frozen=True)
class Config(training.Hourglasses, training.Config):
    """Inception-resnet-A, sums, no lateral connections (section 5.2: 89.91)."""

    method: Literal["mssh", "hourglass"] = "mssh"
    """hourglass: Newell's, the paper's baseline, with as many stacks."""
    block: Literal["residual", "inception_resnet_a", "inception_resnet_b"] = (
        "inception_resnet_a"
    )
    """Building block of the network (section 5.2.2)."""
    lateral: bool = False
    """Connections between the branches of the pre-processing (figure 5)."""
    fusion: Literal["add", "concat"] = "add"
    """How features and the previous hourglass are joined (section 5.2.4)."""
    adaptive: bool = True
    """Joint weights of algorithm 1; otherwise all joints weigh the same."""
    occluded_amplitude: Literal[1, -1] = 1
    """Peak of an occluded joint's Gaussian (eq. 1); with -1 the sign of a peak
    says whether the joint is occluded."""
    sigma: float | None = None
    """Width of the Gaussians at every scale, cells (not stated)."""
    scales: int | None = None
    """Number of scales, from the finest; None: 3, or the number of stacks."""
    drop_epochs: tuple[int, ...] | None = None
    ablation: Literal["weights", "blocks", "lateral", "fusion"] | None = None
    """Train the networks of one part of section 5.2 for equally many epochs.
    With the same --output a network of several parts is trained once."""
    seeds: int = 1
    """Seeds per variant of an ablation, counted up from --seed."""

    PRESETS: ClassVar[dict] = {
        "paper": {  # section 5.1.3; 8 stacks: 5.2.1; augmentation: Newell's
            **training.PAPER,
            "epochs": 220,
            "batch_size": 4,
            "learning_rate": 2.5e-4,
            "drop_epochs": (150, 175, 200),
            "warmup_epochs": 0,
            "patience": 8,  # used if --drop-epochs is empty
            "filters": 256,
            "stacks": 8,
            "sigma": 1.0,
        },
        "laptop": {  # drops at the same fractions of the epochs as the paper
            **training.LAPTOP,
            "epochs": 20,
            "learning_rate": 4e-3,
            "drop_epochs": (14, 16, 18),
            "warmup_epochs": 1,  # RMSprop's first steps are ten times as long
            "filters": 32,
            "stacks": 3,
            "sigma": 2.0,  # with 1, maps of 64 cells stay empty for epochs
        },
    }

    def check(self):
        """Checks the shared settings and the paper's own."""
        super().check()
        if self.block == "inception_resnet_b" and self.method == "mssh":
            step = 2 * mssh.STEP
            if any(side % step for side in self.image_size):
                raise ValueError(
                    "inception_resnet_b halves once more: image size must be "
                    f"divisible by {step}, got "
                    f"{' x '.join(map(str, self.image_size))}"
                )


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> maps (B, T, h, w, K) per scale, the finest last.

    T: number of hourglasses at that scale.
    """
    joints = len(skeleton.joints)
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    size = {
        "stacks": config.stacks,
        "filters": config.filters,
        "pixel_offset": config.pixel_offset,
    }
    if config.method == "hourglass":
        maps = hourglass.stacked_hourglass(images, joints, **size)
        maps = {hourglass.STRIDE: maps}
    else:
        blocks = {
            "residual": hourglass.residual,
            "inception_resnet_a": inception_resnet.inception_resnet_a,
            "inception_resnet_b": inception_resnet.inception_resnet_b,
        }
        maps = mssh.multi_scale_stacked_hourglass(
            images,
            joints,
            scales=config.scales or min(mssh.SCALES, config.stacks),
            block=blocks[config.block],
            lateral=config.lateral,
            fusion=config.fusion,
            **size,
        )
    outputs = heads.pose_maps(
        maps,
        skeleton,
        sigma=config.sigma,
        occluded_amplitude=config.occluded_amplitude,
    )
    return models.PoseModel(images, outputs, name=config.method)


def build_loss(config, model):
    """Eqs. (1) to (6) over all scales, coarse to fine."""
    unlabelled = config.unlabelled
    each = [losses.HeatmapMSE(c, unlabelled=unlabelled) for c in model.codecs]
    return losses.JointWeighted(each, config.adaptive)


def watch(config, model, loss):
    """Logs the joint weights for figure 6."""
    weights = losses.JointWeights(loss, config.stacks)
    joints = model.codec.skeleton.joints
    return [weights], [callbacks.JointWeightLog(config.output, weights, joints)]


def paper():
    """The parts specific to this paper; `flow` has the rest of a run."""
    return flow.Paper(
        NAME,
        __doc__,
        build_model,
        build_loss,
        training.optimizers.torch_rmsprop,
        watch,
    )


def main(config):
    """Trains one network and reports on it, or runs an ablation."""
    if config.ablation:
        output = Path(config.output or Path("runs") / f"{NAME}-ablations")
        one = replace(config, output=output, ablation=None, seeds=1)
        variants = {name: NETWORKS[name] for name in ABLATIONS[config.ablation]}
        tables = output / config.ablation
        return paper().compare(one, variants, config.seeds, tables)
    _, history = paper().reproduce(config)
    print(
        "Next: the same command with --ablation weights compares it with the "
        "hourglass network (figure 6)"
    )
    return history


if __name__ == "__main__":
    console.run(main, Config, __doc__)
