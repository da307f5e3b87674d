"""Conditional testing: predicts people with an uncertain joint again.

    python -m keras_pose.conditional --model runs/hsm/best.keras --data DIR
        --split val

L. Ke et al., "Multi-Scale Structure-Aware Network for Human Pose Estimation",
ECCV 2018, https://arxiv.org/abs/1803.09894, section 4.1: the original box is
tested first; a person with an uncertain joint is tested again in perturbed
boxes (`keras_pose/inference/conditional.py`). The command runs all trials for
all people once, chooses the thresholds tau_c and tau_s for the data set's own
metric, and writes conditional.json for `keras_pose.evaluate`. Thresholds may
cost at most `MOST_CROPS` per person: the test should replace the six-scale
test, not cost more.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pandas as pd

from keras_pose import metrics
from keras_pose.console import run
from keras_pose.data import annotations
from keras_pose.data.dataset import open_dataset
from keras_pose.evaluation import failures
from keras_pose.inference import conditional, top_down
from keras_pose.models import model as models

GRID = np.linspace(0, 1, 21).round(2)
"""Candidate thresholds."""
MOST_CROPS = 5.0
"""Largest mean number of crops per person when thresholds are chosen: other
people may need some more, and the six-scale test uses six."""


@dataclass(frozen=True)
class Config:
    """Settings of the choice of thresholds."""

    model: Path
    """A trained model, as of keras_pose.evaluate."""
    data: Path
    """Folder of records with a dataset.json."""
    split: str = "val"
    """Split to choose thresholds on; not that of the final test."""
    flip: bool = False
    """Average with the mirrored picture; takes twice the time."""
    decoding: Literal["quarter", "argmax", "dark", "second", "soft"] = "quarter"
    """How to decode a heatmap: the peak's cell (argmax), a quarter cell further
    (quarter; as CPN's code does it: second), or a fit of the Gaussians that the
    model was trained with (dark, soft)."""
    batch_size: int = 32
    """Crops per step."""
    output: Path | None = None
    """File to write; by default conditional.json beside the model."""


def choose(
    joints, scores, people, skeleton, protocol, trials=conditional.TRIALS
):
    """Thresholds with the best score on annotated people.

    For each tau_s of `GRID`: first the best common tau_c for all joints, then
    the best for each joint in turn, until nothing improves. Ties go to the
    thresholds that test the fewest people again.

    Args:
        joints: (T, N, K, 2), all trials of all people, the original box first.
        scores: (T, N, K).
        people: `people.People`, N.
        skeleton: the order of the K joints.
        protocol: name of the metric.
        trials: the T - 1 perturbed boxes.

    Returns:
        `Thresholds`.
    """
    confidence = np.maximum(scores[0], 0)
    below = confidence < GRID[:, None, None]  # (G, N, K)
    single = failures.hits(joints[0], people, skeleton, protocol)[0]
    reach = conditional.agreement_distances(people)
    best = -np.inf, None, None
    for tau_s in GRID[:-1]:
        fused, _ = conditional.fuse(joints, scores, tau_s, reach)
        correct, counted = failures.hits(fused, people, skeleton, protocol)

        def value(unsure, correct=correct, counted=counted):
            """Metric of G choices (G, N), less a small penalty per crop."""
            crops = 1 + len(trials) * unsure.mean(axis=1)
            gain = unsure.astype("float64") @ (correct - single)
            score = mean(single.sum(axis=0) + gain, counted, skeleton, protocol)
            return np.where(crops <= MOST_CROPS, score - 1e-9 * crops, -1)

        values = value(below.any(axis=2))
        tau_c = np.full(confidence.shape[1], values.argmax())
        before = -np.inf
        while values.max() > before:
            before = values.max()
            for k in range(len(tau_c)):
                now = confidence < GRID[tau_c]
                others = np.delete(now, k, axis=1).any(axis=1)
                values = value(others | below[:, :, k])
                tau_c[k] = values.argmax()
        if before > best[0]:
            best = before, tau_c, tau_s
    _, tau_c, tau_s = best
    return conditional.Thresholds(
        skeleton, tuple(GRID[tau_c].tolist()), float(tau_s), trials
    )


def mean(correct, counted, skeleton, protocol):
    """The protocol's mean, 0 ... 1, of sums (..., P) over counted (N, P)."""
    chosen = metrics.PROTOCOLS[protocol]
    score = metrics.mean_score(
        correct,
        counted.sum(axis=0),
        np.array(chosen.in_mean(skeleton)),
        chosen.mean,
    )
    return keras.ops.convert_to_numpy(score)


def main(config):
    """Runs all trials, chooses, prints and writes; returns `Thresholds`."""
    output = config.output
    output = output or models.folder_of(config.model) / "conditional.json"
    dataset = open_dataset(config.data)
    people_count = dataset.people(config.split)
    model = models.load_model(config.model)
    skeleton, protocol = dataset.skeleton, dataset.protocol
    people = annotations.read_subjects(dataset, config.split)
    who = failures.hits(people.joints, people, skeleton, protocol)[1].any(
        axis=1
    )
    if not who.any():
        raise ValueError(
            f"{protocol} cannot score {config.split}: none of its "
            f"{people_count} people has {metrics.PROTOCOLS[protocol].needs}"
        )
    joints, scores = top_down.predict_boxes(
        model,
        dataset,
        config.split,
        ((1.0, 0.0, 0.0), *conditional.TRIALS),
        batch_size=config.batch_size,
        flip=config.flip,
        decoding=config.decoding,
    )
    thresholds = replace(
        choose(joints, scores, people, skeleton, protocol), flip=config.flip
    )
    unsure = thresholds.unsure(scores[0])
    reach = conditional.agreement_distances(people)
    fused, _ = conditional.fuse(joints, scores, thresholds.tau_s, reach)
    fused = np.where(unsure[:, None, None], fused, joints[0])
    title = metrics.PROTOCOLS[protocol].title
    rows = {}
    for name, points, crops in (
        ("single", joints[0], 1.0),
        ("conditional", fused, 1 + len(conditional.TRIALS) * unsure.mean()),
    ):
        correct, counted = failures.hits(points, people, skeleton, protocol)
        score = mean(correct.sum(axis=0), counted, skeleton, protocol)
        rows[name] = {title: 100 * float(score), "crops per person": crops}
    table = pd.DataFrame.from_dict(rows, orient="index")
    print(table.to_string(float_format="%.2f"))
    print(
        f"\nThe thresholds were chosen on these {people_count:,} people "
        f"({who.sum():,} counted); other people gain less."
    )
    if unsure.any():
        taus = zip(skeleton.joints, thresholds.tau_c, strict=True)
        shown = ", ".join(f"{joint} {tau:g}" for joint, tau in taus if tau)
        print(f"tau_c {shown}, 0 elsewhere; tau_s {thresholds.tau_s:g}.")
    else:
        print("No thresholds beat the single test: no one is tested again.")
    conditional.save(
        output,
        thresholds,
        {
            "model": str(config.model),
            "data": str(config.data),
            "split": config.split,
            "people": people_count,
            "protocol": protocol,
            "table": rows,
        },
    )
    print(f"Wrote {output}.")
    test = "test" if "test" in dataset.splits else config.split
    flip = " --flip" if config.flip else ""
    print(
        f"Next: python -m keras_pose.evaluate --model {config.model} "
        f"--data {config.data} --split {test} --conditional {output}{flip}"
    )
    return thresholds


if __name__ == "__main__":
    run(main, Config, __doc__)
