"""OpenPose: confidence maps and part affinity fields, grouped into people.

Z. Cao, T. Simon, S.-E. Wei, Y. Sheikh,
"Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR 2017
https://arxiv.org/abs/1611.08050. Code by the authors (Caffe):
https://github.com/ZheC/Realtime_Multi-Person_Pose_Estimation

New here   one network finds everybody in a picture, without boxes: maps of the
           joints, and fields of unit vectors along the limbs, which say whose
           joint is whose
Run        python -m reproductions.openpose
Compare    python -m reproductions.openpose --compare --seeds 3, and with --vary
           limbs
COCO       python -m tfrecords.coco --source DIR --output data/pictures
           --one-per-picture; python -m reproductions.openpose --data
           data/pictures
Reported   COCO test-dev AP 61.8; one scale, COCO val 2014: 50.7
Measured   docs/several-people.md
Departs    training shows whole pictures, not squares around one person after
           the other; the band of a limb goes on beyond the joints by its width;
           weights decay apart from the gradient, and biases have the rate of
           their layer (code: twice); one scale; laptop preset: maps and fields
           on one hourglass, narrower, with sigmoid and tanh and Adam
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import codecs, console, losses, training
from keras_pose.models import heads, hourglass, openpose
from keras_pose.models import model as models
from keras_pose.skeletons import COCO
from reproductions import flow

LATER = 4.0
"""Factor on the rate of all stages but the first (code)."""
MOMENTUM, DECAY = 0.9, 5e-4  # code


@dataclass(frozen=True)
class Config(training.Comparison, training.Config):
    """Six stages on the front of VGG-19."""

    masked: bool = True
    """Leave places out of the loss where the records say that people are whom
    nobody has labelled."""
    limbs: Literal["fields", "midpoints"] = "fields"
    """fields: part affinity fields; midpoints: a map of the middle of each
    limb, which the paper compares them with."""
    vary: Literal["masks", "limbs"] = "masks"
    """What --compare varies."""

    trunk: Literal["vgg", "hourglass"] | None = None
    """vgg: the paper's network, stride 8; hourglass: stacked hourglasses of
    stride 4, much smaller (ours)."""
    stages: int | None = None
    """Number of stages, or of hourglasses; all are supervised."""
    filters: int | None = None
    """Channels of most convolutions."""
    weights: str | None = None
    """Initial weights of VGG: imagenet (downloaded), none, or a file of
    keras.applications' weights without the top."""
    optimizer: Literal["sgd", "adam"] | None = None
    """sgd: the code's, with momentum, weight decay, and four times the rate in
    later stages; adam: for short runs."""
    sigma: float | None = None
    """Width of the Gaussians, cells (code: 7 pixels)."""
    limb_width: float | None = None
    """Half the width of a limb's band, cells (code: 8 pixels)."""
    people: int | None = None
    """Most people in a picture."""
    distribution: Literal["octaves", "normal", "uniform"] = "uniform"  # code
    rotation_chance: float = 1.0  # code
    color: float = 0.0  # code
    drop_epochs: tuple[int, ...] | None = None
    drop_factor: float = 0.333  # code

    PRESETS: ClassVar[dict] = {
        "paper": {  # authors' code, 600,000 steps of 10 pictures of COCO 2017
            "image_size": (368, 368),
            "rotation": 40.0,
            "zoom": 0.3,  # of the whole picture
            "epochs": 51,
            "drop_epochs": (12, 23, 35, 46),  # every 136,106 steps
            "batch_size": 10,
            "learning_rate": 4e-5,
            "warmup_epochs": 0,
            "patience": 10,  # only without --drop-epochs
            "trunk": "vgg",
            "stages": 6,
            "filters": 128,
            "weights": "imagenet",
            "optimizer": "sgd",
            "sigma": 7 / 8,  # 7 pixels at stride 8
            "limb_width": 1.0,
            "people": 30,
        },
        "laptop": {
            **training.LAPTOP,
            "image_size": (192, 256),
            "epochs": 13,
            "drop_epochs": (10, 12),
            "batch_size": 4,
            "learning_rate": 3e-3,
            "warmup_epochs": 0,
            "trunk": "hourglass",
            "stages": 1,  # more epochs of one gain more than a second
            "filters": 64,
            "weights": "none",
            "optimizer": "adam",
            "sigma": 1.25,
            "limb_width": 1.5,
            "people": 12,
        },
    }

    def check(self):
        """Also that VGG's weights get a VGG, and that fields do."""
        super().check()
        if self.limbs == "midpoints" and self.trunk != "hourglass":
            raise ValueError(
                "limbs midpoints need --trunk hourglass: the stages of VGG "
                "have a branch of fields"
            )
        if self.trunk == "hourglass" and self.weights != "none":
            raise ValueError(
                f"weights {self.weights} are VGG's: --trunk hourglass needs "
                "--weights none"
            )


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> (B, stages, H / s, W / s, J + 1 + 2 L)."""
    large = config.trunk == "vgg"
    kind = codecs.Fields if config.limbs == "fields" else codecs.Midpoints
    codec = kind(
        skeleton,
        stride=8 if large else hourglass.STRIDE,
        parts=codecs.COCO18 if skeleton == COCO else None,
        sigma=config.sigma,
        width=config.limb_width,
        people=config.people,
        logits=not large,
    )
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    size = {"stages": config.stages, "filters": config.filters}
    if large:
        counts = len(codec.parts.joints), len(codec.limbs)
        maps = openpose.openpose(
            images, *counts, weights=config.weights, **size
        )
    else:
        size["stacks"] = size.pop("stages")
        bias = [-4.0] * len(codec.parts.joints) + [4.0]  # nobody at first
        bias += [0.0] * codec.limb_channels
        maps = hourglass.stacked_hourglass(
            images, codec.channels, bias=bias, **size
        )
    maps = heads.PoseMaps(codec, name="maps")(maps)
    return models.PoseModel(images, maps, name=f"openpose_{config.trunk}")


def build_loss(config, model):
    """Squared error of all stages' maps and fields (eqs. 3 to 5)."""
    return losses.FieldsMSE(model.codec, masked=config.masked)


def build_optimizer(config):
    """The code's SGD, or Adam."""
    if config.optimizer == "adam":
        return training.optimizers.adam(config)
    layers = [
        f"stage{stage}_{branch}{part}"
        for stage in range(2, config.stages + 1)
        for branch in ("fields", "maps")
        for part in ("", *(f"_{number}" for number in range(1, 7)))
    ]
    optimizer = training.optimizers.SGD(
        config.learning_rate,
        momentum=MOMENTUM,
        weight_decay=DECAY,
        global_clipnorm=config.clip_norm,
        factors=dict.fromkeys(layers, LATER),
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def paper():
    """The parts specific to this paper; `flow` has the rest of a run."""
    parts = build_model, build_loss, build_optimizer
    return flow.Paper("openpose", __doc__, *parts, finds_everybody=True)


def variants(config):
    """{name: settings}; both comparisons share their baseline."""
    shared = {"masked": True, "limbs": "fields", "vary": "masks"}
    more = {"masks": {"masked": False}, "limbs": {"limbs": "midpoints"}}
    other = {"masks": "Not masked", "limbs": "Midpoints"}[config.vary]
    return {"Masked, fields": shared, other: shared | more[config.vary]}


def main(config):
    """Trains one network and reports on it, or compares the variants."""
    return paper().main(config, variants)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
