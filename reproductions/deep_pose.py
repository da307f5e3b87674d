"""DeepPose: joints by regression, refined by a cascade.

A. Toshev, C. Szegedy,
"DeepPose: Human Pose Estimation via Deep Neural Networks", CVPR 2014,
https://arxiv.org/abs/1312.4659. Code by the authors: none released.

New here   a network regresses the coordinates of all joints; later stages look
           again at a crop around each joint, cut from the photograph
Run        python -m reproductions.deep_pose
One stage  python -m reproductions.deep_pose --stage stage2
By stage   python -m keras_pose.evaluate --part stage1 --protocol pdj ...
Compare    python -m reproductions.deep_pose --compare --seeds 3
Ablation   --backbone, --stages, --sigma, --on, --norm
Reported   LSP PCP@0.5 of stages 1, 2, 3: upper arm 50, 56, 56, lower arm 27,
           36, 38, upper leg 74, 78, 77, lower leg 65, 70, 71; FLIC PCK@0.2:
           elbow 92.3, wrist 82.0
Measured   reproductions/README.md
Departs    one network for all joints of a stage, with own weights, of whose
           outputs that of the crop's joint counts (eq. 5 has no joint in the
           parameters); the box is the person's square; later stages draw new
           errors in each epoch (the paper: 40 for each joint, once); the torso
           is the other diagonal, or a third of the box's, where an end is not
           labelled; scores, initial values, colour gains, epochs and the places
           of the normalisations are ours: the paper has or states none
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import keras

from keras_pose import codecs, console, drawing, losses, training
from keras_pose.data import pipeline
from keras_pose.inference import errors
from keras_pose.models import (
    alexnet,
    cascade,
    direct_regression,
    heads,
    resnet,
)
from keras_pose.models import model as models
from keras_pose.report import cascades
from keras_pose.training import folder as names
from reproductions import flow

PICTURE = "cascade.png"
DEEPEST = 3
"""Most stages (the paper has three)."""


@dataclass(frozen=True)
class Config(training.ResNets, training.Comparison, training.Config):
    """A cascade of AlexNets."""

    stage: Literal["all", "stage1", "stage2", "stage3"] = "all"
    """Train one stage; stage2 and stage3 start where the one before ended."""
    stages: Literal[1, 2, 3] = DEEPEST
    """Networks of the cascade; each has the same share of the epochs."""
    backbone: Literal["alexnet", "resnet"] = "alexnet"
    """AlexNet as in the paper, or a ResNet whose features are pooled (ours,
    as in mmpose's code)."""
    width: float | None = None
    """Factor on the channels (ours)."""
    norm: Literal["lrn", "batch"] = "lrn"
    """Normalisation in AlexNet: local response, or batch (ours)."""
    groups: Literal[1, 2] = 1
    """Groups of channels in AlexNet's layers 2, 4 and 5 (not stated)."""
    dropout: float = 0.6
    """Share of AlexNet's dense features that are dropped."""
    loss: Literal["l2", "smooth_l1"] = "l2"
    """Of the errors of the coordinates (mmpose's code: smooth_l1)."""
    sigma: float = 2.0
    """Side of the crops of later stages / diagonal of the torso, from left
    shoulder to right hip (the paper's 2 is for LSP; for FLIC 1)."""
    crops: int | None = None
    """Of later stages: crops of a person in an epoch, each around a joint drawn
    at random."""
    on: Literal["train", "val"] = "train"
    """Split on which the errors of the stage before are measured. train is
    optimistic: the stage has seen these people."""
    optimizer: Literal["adagrad", "adam"] | None = None
    """Adagrad as in the paper, or Adam."""
    flip_chance: float = 0.5
    distribution: Literal["octaves", "normal", "uniform"] = "uniform"
    """Of zoom and rotation (the paper has neither)."""
    shift: float = 0.1
    """Largest random shift of stage 1's crop / side of the person's square (the
    size is not stated); later stages have the errors in its place."""
    color: float = 0.0

    PRESETS: ClassVar[dict] = {
        "paper": {  # section 3.3
            "image_size": (220, 220),
            "rotation": 0.0,
            "zoom": 0.0,
            "epochs": 300,
            "batch_size": 128,
            "learning_rate": 5e-4,
            "warmup_epochs": 0,
            "patience": 20,
            "optimizer": "adagrad",
            "weights": "none",
            "width": 1.0,
            "crops": 40,
        },
        "laptop": {
            **training.LAPTOP,
            "epochs": 48,
            "learning_rate": 1e-3,
            "warmup_epochs": 1,
            "patience": 4,
            "optimizer": "adam",
            "weights": "none",
            "width": 0.5,
            "crops": 1,
        },
    }

    def check(self):
        """Checks the shared settings and the paper's own."""
        super().check()
        for name in ("sigma", "crops", "width"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout must be 0 or more and below 1, got {self.dropout}"
            )
        if self.backbone == "alexnet" and self.weights != "none":
            raise ValueError(
                f"weights {self.weights} are for --backbone resnet: there are "
                "none of AlexNet"
            )


def check(config, data):
    """ValueError if later stages are wanted of a skeleton without a torso."""
    if config.stages > 1:
        _ = data.skeleton.diagonals


def stages(config):
    """The stages of section 3.2, as many as wanted."""
    declared = []
    for number in range(1, config.stages + 1):
        # So that a shorter cascade's stages are the same, and trained once.
        changes = {"stages": (number, f"part of {config.stages}")}
        if number > 1:
            changes["shift"] = 0.0, "errors of the stage before"
        declared.append(training.Stage(f"stage{number}", changes=changes))
    return tuple(declared)


def build_network(config, images, joints):
    """One network: images (B, H, W, 3) uint8 to pairs (B, joints, 2)."""
    if config.backbone == "resnet":
        features = resnet.resnet_features(
            images, config.depth, weights=config.weights, width=config.width
        )
        return direct_regression.regression_head(features, joints)
    return alexnet.alexnet(
        images,
        joints,
        width=config.width,
        dropout=config.dropout,
        norm=config.norm,
        groups=config.groups,
    )


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> coordinates (B, 1, K, 2) of each stage.

    A stage is trained alone: the stages before are part of the model, because
    its file holds the cascade, and are fixed.
    """
    size, joints = config.image_size, len(skeleton.joints)
    images = keras.Input((*size, 3), dtype="uint8")
    outputs = []
    for number in range(1, config.stages + 1):
        if outputs:
            for layer in keras.Model(images, outputs).layers:
                layer.trainable = False
        name = f"stage{number}"
        points = build_network(config, images, joints)
        codec = codecs.Coordinates(skeleton, size)
        if number > 1:
            points = cascade.renamed(images, points, name)
            codec = codecs.Displacements(skeleton, size, config.sigma)
        outputs.append(heads.PoseMaps(codec, name=name)([points]))
    outputs = outputs if len(outputs) > 1 else outputs[0]
    return models.PoseModel(images, outputs, name=f"deep_pose_{name}")


def build_loss(config, model):
    """Sum of the squared errors over labelled joints (section 3.1)."""
    return losses.JointRegression(model.codec, config.loss)


def build_optimizer(config):
    """Adagrad (section 3.3), or Adam if there are few steps."""
    if config.optimizer == "adam":
        return training.optimizers.adam(config)
    return training.optimizers.Adagrad(
        config.learning_rate, global_clipnorm=config.clip_norm
    )


def measure_errors(run):
    """Errors of the stage before a `Run`, on the people that it was trained on
    or on those of split val."""
    data, config = run.data, run.config
    people = None
    if config.on == "train" and config.train_people is not None:
        everyone = data.people("train")
        people = pipeline.choose(everyone, config.train_people)
    model = models.load_model(run.start())
    return errors.measure_errors(
        model, data, config.on, config.batch_size, people
    )


def paper():
    """The parts specific to this paper; `flow` has the rest of a run."""
    parts = build_model, build_loss, build_optimizer, None, stages
    parts = *parts, check, measure_errors
    return flow.Paper("deep_pose", __doc__, *parts, draw=draw)


def variants(config):
    """{name: settings}: cascades of 1, 2 and 3 stages, which share stages."""
    config = config.resolved()[0]
    each = config.epochs // config.stages
    return {
        f"{number} stage{'s'[: number - 1]}": {
            "stages": number, "epochs": number * each
        }
        for number in range(1, config.stages + 1)
    }  # fmt: skip


def draw(run):
    """Writes cascade.png beside the cascade of a `Run`: see `cascades`."""
    if not run.starts_from:
        return
    folder = Path(run.config.output)
    model = models.load_model(folder / names.BEST)
    split, batch = flow.held_out(run.data), run.config.batch_size
    drawn = cascades.draw_cascade(model, run.data, split, batch)
    drawing.save(drawn, folder / PICTURE)
    print(f"{folder / PICTURE}: a joint's first point (red) and last (green).")


def main(config):
    """Trains a cascade and reports on it, or compares its stages."""
    return paper().main(config, variants)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
