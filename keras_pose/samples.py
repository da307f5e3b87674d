"""Draws training samples as the network receives them, with joints and limbs.

Each tile is one augmented crop: rotated, zoomed, mirrored, recoloured and, with
--masking, with a patch copied within it. A red square marks the pasted patch;
the thin white square at the other end of the line marks its source. Hollow
joints are occluded.

Run      python -m keras_pose.samples --data DIR --masking 1
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from keras_pose import drawing
from keras_pose.console import run
from keras_pose.data import pipeline
from keras_pose.data.augment import Augmentation
from keras_pose.data.dataset import open_dataset

TILE, COLUMNS = 288, 6
"""Smallest height of a crop on the sheet, and crops per row."""
SOURCE = (255, 255, 255)


@dataclass(frozen=True)
class Config:
    """What to draw."""

    data: Path
    """Folder of records with a dataset.json."""
    split: str = "train"
    """Split of the data."""
    people: int = 24
    """Number of samples, from the start of the first epoch."""
    image_size: tuple[int, int] = (256, 256)
    """Height and width of the crops, pixels."""
    rotation: float = Augmentation.rotation
    """Degrees: deviation, clipped at twice that, or (uniform) the maximum."""
    rotation_chance: float = Augmentation.rotation_chance
    """Share of the samples that are rotated."""
    zoom: float = Augmentation.zoom
    """Deviation in octaves, or 0.25 for 0.75 to 1.25, by --distribution."""
    distribution: Literal["octaves", "normal", "uniform"] = "octaves"
    """Of zoom and rotation, as in training."""
    flip_chance: float = Augmentation.flip_chance
    """Share of the samples that are mirrored."""
    color: float = Augmentation.color
    """Gains of red, green and blue lie in 1 - color to 1 + color."""
    masking: float = Augmentation.masking
    """Share of the samples with a covered or copied joint."""
    masking_size: float = Augmentation.masking_size
    """Side of the masking patch / side of the square around the person."""
    half_body: float = Augmentation.half_body
    """Share of the samples that show half of the body."""
    shift: float = Augmentation.shift
    """Largest shift in x and in y / side of the person's square."""
    seed: int = 0
    """Of order and augmentation, as in training."""
    output: Path = Path("samples.png")
    """The sheet, .png or .jpg."""


def main(config):
    """Writes the sheet and prints how many of the samples are masked."""
    if config.people < 1 or min(config.image_size) < 1:
        raise ValueError(
            "people and image_size must be at least 1, "
            f"got {config.people} and {config.image_size}"
        )
    dataset = open_dataset(config.data)
    people = min(config.people, dataset.people(config.split))
    batches = pipeline.augmented(
        dataset,
        config.split,
        config.image_size,
        people,
        seed=config.seed,
        augmentation=Augmentation.from_config(config),
    )
    batch = {k: v.numpy() for k, v in next(iter(batches)).items()}
    tiles = [
        draw_sample({k: v[i] for k, v in batch.items()}, dataset.skeleton)
        for i in range(people)
    ]
    drawing.save(drawing.sheet(tiles, COLUMNS), config.output)
    masked = np.count_nonzero(batch.get("side", 0))
    print(f"{people} samples of split {config.split}, {masked} of them masked.")
    print(f"Next: open {config.output}.")


def draw_sample(sample, skeleton):
    """One training sample, enlarged and annotated: (h, w, 3) uint8.

    Args:
        sample: dict of image (H, W, 3) uint8, labels (P, K, 4) and, if patches
            are copied, source (2,), target (2,) and side (), as
            `pipeline.augmented` gives them.
        skeleton: whose joints these are.
    """
    image = sample["image"]
    zoom = -(-TILE // len(image))
    drawn = drawing.enlarge(image, zoom)
    for labels in sample["labels"]:
        joints = (labels[:, :2] + 0.5) * zoom - 0.5
        drawn = drawing.draw_skeleton(drawn, joints, skeleton, labels[:, 2])
    if sample.get("side", 0):
        ends = []
        for name, color in (("source", SOURCE), ("target", drawing.WRONG)):
            corner = sample[name] - (sample["side"] - 1) / 2
            start = (corner * zoom).astype(int)
            stop = ((corner + sample["side"]) * zoom).astype(int) - 1
            width = 2 if name == "target" else 1
            cv2.rectangle(drawn, start.tolist(), stop.tolist(), color, width)
            ends.append(((start + stop) // 2).tolist())
        cv2.line(drawn, *ends, SOURCE, 1, cv2.LINE_AA)
    return drawn


if __name__ == "__main__":
    run(main, Config, __doc__)
