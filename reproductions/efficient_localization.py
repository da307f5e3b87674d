"""Efficient object localization: coarse maps, then fine maps in windows.

J. Tompson, R. Goroshin, A. Jain, Y. LeCun, C. Bregler,
"Efficient Object Localization Using Convolutional Networks", CVPR 2015,
https://arxiv.org/abs/1411.4280. Code by the authors: none released.

New here   a second network finds each joint again in a window around its coarse
           peak, from the first one's features (both trained together with E3 =
           E1 + 0.1 E2); dropout of whole channels
Run        python -m reproductions.efficient_localization
One stage  python -m reproductions.efficient_localization --stage fine
Compare    python -m reproductions.efficient_localization --compare --seeds 3
           with --vary pooling, cascade or dropout
Picture    windows.png in the run's folder: coarse map, window, fine map
Reported   FLIC, PCK@0.05 of elbows and wrists: 57.1 and 60.4 with pooling 4,
           55.6 and 56.6 with 8, 47.7 and 45.5 with 16; MPII test PCKh@0.5: 82.0
Measured   reproductions/README.md
Departs    what the paper does not print is ours: see the layers in
           `keras_pose.models.efficient_localization`; rate, batch, epochs and
           initial weights; windows in training lie around the coarse peak;
           no spatial model, because crops are centred on the subject
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import keras
import numpy as np

from keras_pose import codecs, console, losses, training
from keras_pose.data import pipeline
from keras_pose.models import efficient_localization as networks
from keras_pose.models import heads, windows
from keras_pose.models import model as models
from keras_pose.report import charts
from keras_pose.report import windows as pictures
from keras_pose.training import folder
from reproductions import flow

SHARES = {
    "coarse": {"coarse": 1},
    "cascade": {"coarse": 3, "fine": 2},
    "joint": {"coarse": 3, "fine": 1, "joint": 1},
}
"""Method: its trainings' shares of the epochs (not stated in the paper)."""
PICTURE = "windows.png"


@dataclass(frozen=True)
class Config(training.Comparison, training.Config):
    """Pooling 4, three trainings."""

    method: Literal["coarse", "cascade", "joint"] = "joint"
    """coarse: E1 alone, with all the epochs; cascade: then the fine model, E2,
    with the coarse one fixed; joint: then both, E3."""
    stage: Literal["all", "coarse", "fine", "joint"] = "all"
    """Do one training; fine and joint start where the previous one ended."""
    pooling: Literal[4, 8, 16] = 4
    """Pixels per cell of the coarse maps."""
    window: int | None = None
    """Side of the fine model's window, pixels; divisible by 8."""
    filters: int | None = None
    """Channels of the 5x5 convolutions; the 9x9 ones have four times as
    many."""
    dropout: Literal["none", "standard", "spatial"] | None = None
    """Before each 1x1 convolution of the coarse model: of single values
    (standard) or of whole channels (spatial, the paper's)."""
    dropout_rate: float = 0.5
    """Share that is dropped (not stated in the paper)."""
    fine_weight: float = 0.1
    """Lambda of E3 = E1 + lambda E2."""
    vary: Literal["pooling", "cascade", "dropout"] = "pooling"
    """What --compare varies: the coarse model's pooling; coarse and cascade
    with pooling 8 and 16; the coarse model's dropout."""
    optimizer: Literal["rmsprop", "adam"] | None = None
    """Neither is stated in the paper."""
    sigma: float = 1.5
    """Width of the Gaussians, cells; coarse and fine."""
    unlabelled: Literal["zero", "ignore"] = "ignore"
    """In E1; E2 ignores joints without a label, and those outside of their
    windows."""
    distribution: Literal["octaves", "normal", "uniform"] = "uniform"
    rotation_chance: float = 1.0
    """Share of the samples that are rotated (only the range is stated)."""
    color: float = 0.0

    PRESETS: ClassVar[dict] = {
        "paper": {  # ours but for size, rotation and zoom
            **training.PAPER,
            "rotation": 20.0,
            "zoom": 0.5,
            "epochs": 200,
            "batch_size": 16,
            "optimizer": "rmsprop",
            "learning_rate": 2.5e-4,
            "warmup_epochs": 1,
            "patience": 8,
            "window": 72,
            "filters": 128,
            "dropout": "spatial",
        },
        "laptop": {
            **training.LAPTOP,
            "batch_size": 8,  # few epochs: more steps
            "epochs": 5,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "warmup_epochs": 0,
            "window": 32,  # 36 of 128 pixels would be 72 of 256
            "filters": 32,
            "dropout": "none",  # after few epochs it costs half of the score
        },
    }

    def check(self):
        """Checks the shared settings and the paper's own."""
        super().check()
        windows.check_window(self.window)
        if not self.fine_weight >= 0:
            raise ValueError(
                f"fine_weight must not be negative, got {self.fine_weight}"
            )


def stages(config):
    """The trainings of a method."""
    fixed = {
        "dropout": ("none", "the coarse model is fixed"),
        "warmup_epochs": (0, "first stage only"),
    }
    changes = {
        "fine": fixed,
        "joint": {"warmup_epochs": fixed["warmup_epochs"]},
    }
    return tuple(
        training.Stage(name, share, changes.get(name, {}))
        for name, share in SHARES[config.method].items()
    )


def stage_of(config):
    """Name of the training; of all, the last one."""
    every = config.stage == "all"
    return stages(config)[-1].name if every else config.stage


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> coarse maps (B, 1, H / 4, W / 4, K), in stage fine
    maps in windows (B, 1, H / 2, W / 2, 2 K), in stage joint both."""
    size, stage = config.image_size, stage_of(config)
    images = keras.Input((*size, 3), dtype="uint8")
    coarse, features = networks.coarse_model(
        images,
        len(skeleton.joints),
        pooling=config.pooling,
        filters=config.filters,
        dropout=config.dropout,
        rate=config.dropout_rate,
    )
    outputs = []
    if stage != "fine":
        name = "maps" if stage == "coarse" else f"stride{config.pooling}"
        codec = codecs.Heatmaps(skeleton, config.pooling, sigma=config.sigma)
        outputs.append(heads.PoseMaps(codec, name=name)([coarse]))
    if stage != "coarse":
        settings = {"window": config.window, "filters": config.filters}
        fine = networks.fine_model(coarse, features, size, **settings)
        codec = codecs.WindowedHeatmaps(skeleton, sigma=config.sigma)
        outputs.append(heads.PoseMaps(codec, name="maps")([fine]))
    if len(outputs) == 1:
        (outputs,) = outputs
    model = models.PoseModel(images, outputs, name=f"localization_{stage}")
    if stage == "fine":
        for layer in model.layers:
            layer.trainable = layer.name.startswith(networks.FINE_NAME)
    return model


def build_loss(config, model):
    """E1, E2 or E3 = E1 + lambda E2, by the output; sums over the cells."""
    unlabelled = [
        "ignore"
        if isinstance(c, codecs.WindowedHeatmaps)
        else config.unlabelled
        for c in model.codecs
    ]
    parts = [
        losses.HeatmapMSE(codec, unlabelled=how)
        for codec, how in zip(model.codecs, unlabelled, strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    factors = [1.0, config.fine_weight]
    return losses.PerOutput(parts, ["coarse", "fine"], factors)


def build_optimizer(config):
    """RMSprop with Torch's constants, or Adam if there are few steps."""
    if config.optimizer == "adam":
        return training.optimizers.adam(config)
    return training.optimizers.torch_rmsprop(config)


def draw(run):
    """windows.png: the first person held out, unless there is no window."""
    if run.config.method == "coarse" or run.config.stage == "coarse":
        return
    place, size = Path(run.config.output), run.config.image_size
    people = pipeline.load(run.data, flow.held_out(run.data), size, 1)
    images, labels = map(np.asarray, next(iter(people))[:2])
    model = models.load_whole(place / folder.BEST)
    figure = pictures.draw_windows(model, images[0], labels[0, 0])
    charts.save(figure, place / PICTURE)


def paper():
    """Argmax of the maps, as in the paper; `--decoding quarter` refines it."""
    return flow.Paper(
        "efficient_localization",
        __doc__,
        build_model,
        build_loss,
        build_optimizer,
        stages=stages,
        costs=True,
        decoding="argmax",
        draw=draw,
    )


def variants(config):
    """{name: settings}."""
    shared = {"vary": "pooling"}
    if config.vary == "dropout":
        return {
            f"Dropout {kind}": shared | {"method": "coarse", "dropout": kind}
            for kind in ("none", "standard", "spatial")
        }
    methods, poolings = ("coarse",), (4, 8, 16)
    if config.vary == "cascade":
        methods, poolings = ("coarse", "cascade"), (8, 16)
    return {
        f"{method.capitalize()} {pooling}x": shared
        | {"method": method, "pooling": pooling}
        for pooling in poolings
        for method in methods
    }


def main(config):
    """Trains one method and reports on it, or compares the variants."""
    return paper().main(config, variants)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
