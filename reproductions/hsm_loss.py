"""Hard Sample Mining loss.

T. Hu, "Hard Sample Mining Loss for Human Pose Estimation". Code by the authors:
none released.

New here   a loss that weights each pixel exponentially by its own error
Run        python -m reproductions.hsm_loss --beta 1 --gamma 2
Compare    python -m reproductions.hsm_loss --compare --seeds 3
Reported   curves only (figure 3, PCKh@0.5 on 480 people of MPII)
Measured   reproductions/README.md
Departs    the sign of eq. (1) is corrected (`keras_pose.losses.HSM`); the last
           bias starts at -4 under a sigmoid; validation is a fixed split;
           section IV-A names scaling, rotation, flipping and colour noise
           without numbers: as in Newell's code, but 60 % rotated (not 40 %)
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import codecs, console, losses, training
from keras_pose.models import heads, hourglass
from keras_pose.models import model as models
from reproductions import flow


@dataclass(frozen=True)
class Config(training.Hourglasses, training.Comparison, training.Config):
    """Two stacks with HSM, beta 1 and gamma 2: the best of figure 3."""

    loss: Literal["hsm", "mse", "mse_sigmoid"] = "hsm"
    """mse: the paper's baseline (eq. 4); mse_sigmoid: the sigmoid alone."""
    beta: float = 1.0
    """Steepness of the weight on hard pixels, eq. 1."""
    gamma: float = 2.0
    """Power of the error, eq. 1."""
    form: Literal["expm1", "saturating"] = "expm1"
    """How to read eq. 1: e^(beta D) - 1, or 1 - e^(-beta D). Literally it is
    never positive, and minimising it would maximise the error."""
    stacks: int = 2  # section IV-B
    bias: float = -4.0
    """Initial bias of the maps under a sigmoid (not stated in the paper)."""
    drop_epochs: tuple[int, ...] | None = None
    drop_factor: float = 0.2  # ours
    pairs: tuple[tuple[float, float], ...] = ((1.0, 2.0),)
    """beta and gamma of each HSM in a comparison: --pairs 1 2 1 1 0.5 2."""

    PRESETS: ClassVar[dict] = {
        "paper": {  # section IV-A; warm-up of Goyal et al.; patience not stated
            **training.PAPER,
            "epochs": 200,
            "batch_size": 16,
            "learning_rate": 2.5e-4,
            "warmup_epochs": 5,
            "patience": 5,
            "drop_epochs": (),  # the rate drops on a plateau
            "filters": 256,
        },
        "laptop": {
            **training.LAPTOP,
            "epochs": 10,
            "learning_rate": 4e-3,
            "warmup_epochs": 0,  # one of 93 steps costs too much of the run
            "drop_epochs": (8, 9),
            "filters": 64,
        },
    }


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> (B, stacks, H / 4, W / 4, K) maps."""
    codec = codecs.Heatmaps(
        skeleton, sigma=config.sigma, logits=config.loss != "mse"
    )
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    maps = hourglass.stacked_hourglass(
        images,
        len(skeleton.joints),
        stacks=config.stacks,
        filters=config.filters,
        bias=config.bias if codec.logits else 0.0,
        pixel_offset=config.pixel_offset,
    )
    maps = heads.PoseMaps(codec, name="maps")(maps)
    return models.PoseModel(images, maps, name=f"hourglass_{config.loss}")


def build_loss(config, model):
    """HSM, or the squared error (after a sigmoid if the codec has logits)."""
    if config.loss == "hsm":
        shape = config.beta, config.gamma, config.form
        return losses.HSM(model.codec, *shape, unlabelled=config.unlabelled)
    return losses.HeatmapMSE(model.codec, unlabelled=config.unlabelled)


def variants(config):
    """{name: settings} of the comparison, the baseline first (figure 3)."""
    hsm = {"loss": "hsm", "pairs": Config.pairs}  # a run has one pair
    return {
        "MSE (baseline)": hsm | {"loss": "mse"},
        "MSE + sigmoid": hsm | {"loss": "mse_sigmoid"},
    } | {
        f"HSM beta={b:g} gamma={g:g}": hsm | {"beta": b, "gamma": g}
        for b, g in config.pairs
    }


def paper():
    """The parts specific to this paper; `flow` has the rest of a run."""
    return flow.Paper("hsm_loss", __doc__, build_model, build_loss)


def main(config):
    """Trains one network and reports on it, or compares the losses."""
    return paper().main(config, variants)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
