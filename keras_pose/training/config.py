"""Settings that all runs share; every field is a command-line flag."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from rich.console import Console
from rich.table import Table

from keras_pose import choices
from keras_pose.data import augment, runtime
from keras_pose.training import hooks, schedule

PAPER = {"image_size": (256, 256), "rotation": 30.0, "zoom": 0.25}
"""What the papers' presets have in common; the augmentation is Newell's."""
LAPTOP = {
    "batch_size": 16,
    "image_size": (128, 128),
    "rotation": 15.0,
    "zoom": 0.15,
    "patience": 2,
}
"""What the laptop presets have in common: a CPU trains them in minutes.
Patience has no effect if a preset lowers the rate after --drop-epochs."""


@dataclass(frozen=True)
class Training:
    """Training."""

    epochs: int | None = None
    """Passes over the training split."""
    batch_size: int | None = None
    """People per step."""
    image_size: tuple[int, int] | None = None
    """Height and width of the input, pixels."""
    learning_rate: float | None = None
    """Learning rate after the warm-up."""
    warmup_epochs: int | None = None
    """Epochs of linear warm-up."""
    patience: int | None = None
    """Epochs without a better val_loss before the rate drops."""
    plateau_factor: float = 0.5
    """Factor on the rate on a plateau."""
    plateau_drops: int | None = None
    """How often a plateau may lower the rate; None: no limit."""
    drop_epochs: tuple[int, ...] | None = ()
    """Epochs after which the rate drops, instead of on a plateau. A preset's
    drops scale with --epochs."""
    drop_factor: float = 0.1
    """Factor on the rate after each of --drop-epochs."""
    clip_norm: float | None = None
    """Maximum norm of the whole gradient; None: no clipping."""
    mixed_precision: bool = False
    """Compute in float16 on the GPU (losses stay in float32)."""
    xla: bool = False
    """Compile the step with XLA: the first step takes longer."""


@dataclass(frozen=True)
class Augmentation:
    """Augmentation."""

    rotation: float | None = None
    """Random rotation in degrees: the deviation, clipped at twice that, or the
    maximum (--distribution uniform)."""
    rotation_chance: float = 0.6
    """Share of the samples that are rotated."""
    zoom: float | None = None
    """Random factor on the side of the crop: its deviation in octaves, or 0.25
    for factors of 0.75 to 1.25 (--distribution)."""
    distribution: Literal["octaves", "normal", "uniform"] = "octaves"
    """Of zoom and rotation. octaves: 2 to the power of a normal number, clipped
    at twice its deviation (Newell's code); normal: 1 plus a normal number,
    clipped at its deviation (Simple Baselines' code); uniform: within both
    ranges."""
    flip_chance: float = 0.5
    """Share of the samples that are mirrored."""
    color: float = 0.4
    """Red, green and blue are each multiplied by a gain in 1 - color to
    1 + color (0.4: Newell's code); 0: no change."""
    masking: float = 0.0
    """Share of the samples with a masked or copied joint (keypoint masking)."""
    masking_size: float = 0.15
    """Side of the masking patch / side of the square around the person."""
    half_body: float = 0.0
    """Share of the samples that show the upper or the lower body alone, of
    people with more than 8 labelled joints (HRNet's code, on COCO: 0.3)."""
    shift: float = 0.0
    """Largest random shift of the crop in x and in y / side of the person's
    square."""


@dataclass(frozen=True)
class Targets:
    """Targets."""

    unlabelled: Literal["zero", "ignore"] = "zero"
    """Joints without a label: train an empty map (zero), or ignore them."""
    sigma: float | None = 1.0
    """Width of the Gaussians, cells."""


@dataclass(frozen=True)
class FineTuning:
    """Fine-tuning."""

    initial_weights: Path | None = None
    """Start from these weights: a .keras file, the folder of a run (its
    best.keras) or one of its checkpoints. A layer is taken if one of its name
    has weights of its shapes; the others start at random and are listed. Of
    several stages the first starts so."""
    freeze: Literal["none", "backbone"] = "none"
    """backbone: do not train the layers that were taken, nor update the
    statistics of their normalisations, except the head: the last layers with
    weights before each output."""
    taken_rate: float = 1.0
    """Factor on the learning rate of all layers that were taken."""


@dataclass(frozen=True)
class Run:
    """Data and run."""

    data: Path | None = None
    """Folder of records; None: draw synthetic people (tfrecords.synthetic)."""
    train_people: int | None = None
    """Train on so many people of split train, a choice that is always the same
    and grows with the number; None: all."""
    output: Path | None = None
    """Folder of the run; None: runs/ and the name of the paper."""
    preset: Literal["auto", "laptop", "paper"] = "auto"
    """Sizes for a laptop's CPU or the paper's GPU; auto: paper with a GPU."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    restart: bool = False
    """Start over instead of resuming the run in --output."""
    smoke: bool = False
    """Two steps on a few synthetic people, to test that everything runs."""
    callbacks: str | None = None
    """module:function, which is called with the settings and the folder of a
    run and returns a list of Keras callbacks (docs/hooks.md)."""


@dataclass(frozen=True)
class Config(Training, Augmentation, Targets, FineTuning, Run):
    """A paper overrides defaults and adds its own fields.

    --help shows the bases as groups, by the first lines of their docstrings.
    """

    PRESETS: ClassVar[dict[str, dict]] = {}
    """Values of the fields left None, by preset; each paper states its own."""

    def resolved(self):
        """This config with the preset's values for None, and their origins.

        A preset's `drop_epochs` scale with `epochs`.

        Returns:
            the config, and a dict of field name -> "flag", "default" or
            "preset laptop" / "preset paper".

        Raises:
            ValueError: a value out of range.
        """
        preset = self.preset
        if preset == "auto":
            preset = "paper" if runtime.has_gpu() else "laptop"
        values, origin = {"preset": preset}, {}
        for field in dataclasses.fields(self):
            given = getattr(self, field.name)
            if given != field.default:
                origin[field.name] = "flag"
            elif given is None and field.name in self.PRESETS[preset]:
                values[field.name] = self.PRESETS[preset][field.name]
                origin[field.name] = f"preset {preset}"
            else:
                origin[field.name] = "default"
        drops = values.get("drop_epochs")
        if drops and self.epochs:  # a shorter run also drops earlier
            share = self.epochs / self.PRESETS[preset]["epochs"]
            values["drop_epochs"] = schedule.scaled(drops, share)
        config = dataclasses.replace(self, **values)
        config.check()
        return config, origin

    def check(self):
        """Raises ValueError for a value that no run can use."""
        choices.check_fields(self)
        counts = ["epochs", "batch_size"]
        counts += ["train_people"] if self.train_people is not None else []
        for name in (*counts, "taken_rate"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive, got {value}")
        if self.initial_weights is None:
            for name, default in (("freeze", "none"), ("taken_rate", 1.0)):
                if getattr(self, name) != default:
                    raise ValueError(
                        f"{name} needs initial_weights: there are no layers "
                        "that were taken"
                    )
        schedule.check(self)
        hooks.find(self.callbacks)
        augment.Augmentation.from_config(self)  # raises
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(
                f"clip_norm must be positive, got {self.clip_norm}"
            )


def show(origin, settings, title):
    """Prints each setting, its value and where it came from."""
    table = Table("setting", "value", "from", title=title)
    for name, value in settings.items():
        style = None if origin[name] == "default" else "bold"
        table.add_row(name, str(value), origin[name], style=style)
    Console().print(table)


@dataclass(frozen=True)
class Hourglasses:
    """Hourglasses."""

    stacks: int | None = None
    """Number of stacked hourglasses."""
    filters: int | None = None
    """Channels of the features."""
    pixel_offset: float = -0.5
    """Added to the input, whose pixels are 0 ... 1 (Newell's code: 0)."""


@dataclass(frozen=True)
class ResNets:
    """ResNet."""

    depth: Literal[50, 101, 152] = 50
    """Layers of the ResNet."""
    weights: str | None = None
    """Initial weights of the ResNet: imagenet (downloaded), none, or a file of
    keras.applications' weights without the top."""
    width: float | None = None
    """Factor on the channels of the ResNet (ours)."""

    def check(self):
        """Also that weights of PyTorch get a ResNet of their form."""
        super().check()
        given = self.initial_weights
        kinds = (".pth", ".pt", ".tar", ".bin", ".safetensors")
        if given and self.weights != "none" and given.suffix in kinds:
            raise ValueError(
                f"initial_weights {given.name} need --weights none: a ResNet "
                f"of --weights {self.weights} halves elsewhere, its layers "
                "have the same names and shapes"
            )


@dataclass(frozen=True)
class Comparison:
    """Comparison."""

    compare: bool = False
    """Train all variants with every seed, on the same people in the same order,
    and write a table, curves and pictures."""
    seeds: int = 1
    """Seeds per variant of a comparison, counted up from --seed."""
