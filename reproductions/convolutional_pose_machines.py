"""Convolutional Pose Machines: each stage refines the maps of the one before.

S.-E. Wei, V. Ramakrishna, T. Kanade, Y. Sheikh, "Convolutional Pose Machines",
CVPR 2016, https://arxiv.org/abs/1602.00134. Code by the authors (Caffe):
https://github.com/shihenw/convolutional-pose-machines-release

New here   a network per stage that sees the picture and the maps before;
           supervision of every stage; kernels of 11 cells, so that a later
           stage sees the whole person; stage 1 is taught everybody's joints,
           later ones only the subject's
Run        python -m reproductions.convolutional_pose_machines
Compare    python -m reproductions.convolutional_pose_machines --compare
           --seeds 3 [--vary kernel]
Reported   MPII test, PCKh@0.5: 88.5; mmpose's form on MPII val: 87.6
Measured   reproductions/README.md
Departs    Adam as in mmpose (the authors: SGD with momentum, weight decay and
           larger rates for stage 1 and biases); the square around a person is
           the suite's, 250 instead of 314 pixels x scale; filled with black; no
           test in seven scales; laptop preset in mmpose's form
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import console, losses, training
from keras_pose.models import convolutional_pose_machines as cpm
from keras_pose.models import heads
from keras_pose.models import model as models
from reproductions import flow

VARIANTS = {
    "stages": {"1 stage": 1, "2 stages": 2, "3 stages": 3},
    "kernel": {f"Kernel {side}": side for side in (3, 5, 7, 11)},
}
"""Values of the setting of the same name."""


@dataclass(frozen=True)
class Config(training.Comparison, training.Config):
    """Six stages, kernels of 11 cells."""

    form: Literal["authors", "mmpose"] | None = None
    """authors: no normalisation, a centre map, a map for the background;
    mmpose: batch normalisation, neither map."""
    stages: int | None = None
    """Number of stages, all supervised."""
    filters: int | None = None
    """Channels of most convolutions (128)."""
    kernel: int = 11
    """Side of the large kernels of the later stages, cells (section 3.2)."""
    neighbours: int = 7
    """Most other people whose joints stage 1 is taught, too; 0: none."""
    vary: Literal["stages", "kernel"] = "stages"
    """What --compare varies."""
    distribution: Literal["octaves", "normal", "uniform"] = "uniform"  # code
    rotation_chance: float = 1.0  # code
    color: float = 0.0  # code
    sigma: float | None = None
    """Width of the Gaussians, cells (the authors' code: 7 pixels)."""
    drop_epochs: tuple[int, ...] | None = None

    PRESETS: ClassVar[dict] = {
        "paper": {  # authors' code; epochs, rate and drops: mmpose's
            "image_size": (368, 368),
            "rotation": 40.0,
            "zoom": 0.3,
            "epochs": 210,
            "drop_epochs": (170, 200),
            "batch_size": 16,
            "learning_rate": 5e-4,
            "warmup_epochs": 1,
            "patience": 10,  # only without --drop-epochs
            "form": "authors",
            "stages": 6,
            "filters": 128,
            "sigma": 7 / 8,  # 7 pixels at stride 8
        },
        "laptop": {
            **training.LAPTOP,
            "epochs": 12,
            "drop_epochs": (10, 11),
            "learning_rate": 2e-3,
            "warmup_epochs": 0,
            "form": "mmpose",
            "stages": 3,
            "filters": 16,  # 32 take five times as long
            "sigma": 1.0,
        },
    }

    def check(self):
        """Checks the shared settings and the paper's own."""
        super().check()
        if self.neighbours < 0:
            raise ValueError(
                f"neighbours must be at least 0, got {self.neighbours}"
            )


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> (B, stages, H / 8, W / 8, K or K + 1) maps."""
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    maps = cpm.convolutional_pose_machine(
        images,
        len(skeleton.joints),
        stages=config.stages,
        filters=config.filters,
        kernel=config.kernel,
        form=config.form,
    )
    settings = {"sigma": config.sigma, "background": config.form == "authors"}
    maps = heads.pose_maps({cpm.STRIDE: maps}, skeleton, **settings)
    return models.PoseModel(images, maps, name=f"cpm_{config.stages}")


def build_loss(config, model):
    """Squared error of all stages; the first is taught everybody (code)."""
    return losses.HeatmapMSE(
        model.codec,
        unlabelled=config.unlabelled,
        everybody=min(config.neighbours, 1),
    )


def variants(config):
    """{name: settings}; 3 stages with the largest kernel are in both."""
    values = VARIANTS[config.vary].items()
    return {n: {config.vary: v, "vary": "stages"} for n, v in values}


def paper():
    """The parts specific to this paper; `flow` has the rest of a run."""
    return flow.Paper(
        "convolutional_pose_machines",
        __doc__,
        build_model,
        build_loss,
        costs=True,
    )


def main(config):
    """Trains one network and reports on it, or compares the variants."""
    return paper().main(config, variants)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
