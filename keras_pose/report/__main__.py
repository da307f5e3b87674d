"""Writes the report of a training run: report.html, one self-contained page.

It shows what was trained and the score on held-out people; the curves; the
worst, typical and best people with skeletons and heatmaps; where the network
fails; and below which score a joint should be reported as missing (HSM, section
VII).

    python -m keras_pose.report --run runs/hsm --data DIR
"""

from dataclasses import dataclass
from pathlib import Path

from keras_pose.console import run
from keras_pose.data.dataset import open_dataset
from keras_pose.models import model as models
from keras_pose.report import write


@dataclass(frozen=True)
class Config:
    """Settings of the report."""

    run: Path
    """Folder of a training run: run.json, history.csv, best.keras."""
    data: Path
    """Folder of records with the people to score."""
    split: str = "val"
    """Split of the data that the model was not trained on."""
    model: Path | None = None
    """Model to show instead of best.keras: a .keras file, the folder of a
    published model, or hf://user/model."""
    batch_size: int = 32
    """People per step of the prediction."""


def main(config):
    """Writes report.html into the folder of the run."""
    dataset = open_dataset(config.data)
    dataset.people(config.split)  # fails early on an unknown or empty split
    model = models.load_whole(config.model) if config.model else None
    path = write.write_report(
        config.run, dataset, config.split, model, batch_size=config.batch_size
    )
    print(f"Next: open {path} in a browser.")


if __name__ == "__main__":
    run(main, Config, __doc__)
