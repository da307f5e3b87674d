"""Conditional testing: predicts people with an uncertain joint again.

    python -m keras_pose.conditional --model runs/hsm/best.keras --data DIR
        --split val

L. Ke et al., "Multi-Scale Structure-Aware Network for Human Pose Estimation",
ECCV 2018, https://arxiv.org/abs/1803.09894, section 4.1: the original box is
tested first; a person with a joint whose confidence is below that joint's tau_c
is tested again in perturbed boxes; trials that score above tau_s are fused. The
command runs all trials for all people once, chooses tau_c and tau_s for the
data set's own metric, and writes conditional.json for `keras_pose.evaluate`.

The paper leaves details open. Here:

* confidence and score of a joint are the height of its peak;
* the perturbed boxes are `TRIALS`;
* scores are compared per joint: a trial with good legs and a bad head improves
  the legs. All joints of the person are fused, since the paper discards the
  whole pose;
* the result is the mean, weighted by the scores, of the trials that agree: the
  mean of two candidate positions would be wrong. The trials within `AGREE` of
  one trial form a group; the group with the largest sum of scores is used;
* a joint that no trial scores above tau_s keeps its first position;
* thresholds may cost at most `MOST_CROPS` per person: the test should replace
  the six-scale test, not cost more.

tau_c = 0 is the single test.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pandas as pd

from keras_pose import files, metrics, skeletons, untrusted
from keras_pose.console import run
from keras_pose.data import annotations
from keras_pose.data.dataset import open_dataset
from keras_pose.evaluation import failures
from keras_pose.geometry import PERSON_PIXELS
from keras_pose.inference import suppress, top_down
from keras_pose.models import model as models
from keras_pose.skeletons import Skeleton

TRIALS = (
    (0.8, 0.0, 0.0),
    (1.25, 0.0, 0.0),
    (1.0, -0.1, -0.1),
    (1.0, 0.1, -0.1),
    (1.0, -0.1, 0.1),
    (1.0, 0.1, 0.1),
)
"""Perturbed boxes: factor on the side, then x and y of the shift in sides."""
AGREE = 0.05
"""Largest distance between trials that agree on a joint / side of the person's
square: about the distance that PCKh@0.5 allows."""
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


@dataclass(frozen=True)
class Thresholds:
    """When a person is tested again, and which trials count."""

    skeleton: Skeleton
    """Names the joints of `tau_c`."""
    tau_c: tuple
    """(K,) confidence below which a joint is uncertain."""
    tau_s: float
    """Score above which a trial counts for a joint."""
    trials: tuple = TRIALS
    """The perturbed boxes."""
    flip: bool = False
    """Whether they were chosen with the flip test."""

    def unsure(self, scores):
        """(N,) bool: people with an uncertain joint in first scores (N, K)."""
        return (np.maximum(scores, 0) < self.tau_c).any(axis=1)


def predict_conditionally(
    model,
    dataset,
    split,
    thresholds,
    *,
    batch_size,
    flip=False,
    decoding="quarter",
):
    """Joints of each record's subject, like `top_down.predict_people`.

    Args:
        model: ends in `PoseMaps`; of the data set's skeleton.
        dataset: `data.dataset.Dataset`.
        split: name of the split.
        thresholds: `Thresholds`, chosen with this model.
        batch_size: crops per step.
        flip: average with the mirrored images.
        decoding: one of `gaussians.DECODINGS`.

    Returns:
        `people.Poses` with the number of crops of each person; its occlusion
        flags are those of the first prediction.
    """
    settings = {
        "batch_size": batch_size,
        "flip": flip,
        "decoding": decoding,
    }
    first = top_down.predict_people(model, dataset, split, **settings)
    joints, scores = first.joints, first.scores
    crops = np.ones(len(joints), int)
    subjects = annotations.read_subjects(dataset, split)
    unsure = np.flatnonzero(thresholds.unsure(scores))
    if unsure.size:
        again = top_down.predict_boxes(
            model,
            dataset,
            split,
            thresholds.trials,
            people=unsure,
            **settings,
        )
        trials = [
            np.concatenate([one[None, unsure], more])
            for one, more in zip((joints, scores), again, strict=True)
        ]
        reach = _reach(subjects)[unsure]
        joints[unsure], scores[unsure] = fuse(*trials, thresholds.tau_s, reach)
        crops[unsure] += len(thresholds.trials)
    score = suppress.rescore(subjects.score, scores)
    return replace(
        first, joints=joints, scores=scores, score=score, crops=crops
    )


def fuse(joints, scores, tau_s, reach):
    """Fuses T trials of N people, the original box first.

    Args:
        joints: (T, N, K, 2).
        scores: (T, N, K).
        tau_s: a trial counts for a joint if it scores above this.
        reach: (N,) distance within which two trials agree on a joint.

    Returns:
        joints (N, K, 2) and scores (N, K): means of the trials that agree,
        weighted by their scores; those of the first trial if none counts.
    """
    weights = np.where(scores > tau_s, np.maximum(scores, 0), 0)
    apart = np.linalg.norm(joints[:, None] - joints, axis=-1)
    agree = apart <= reach[:, None]  # (T, T, N, K)
    votes = np.einsum("abnk,bnk->ank", agree, weights)
    best = votes.argmax(axis=0)[None, None]
    weights = weights * np.take_along_axis(agree, best, axis=0)[0]
    total = weights.sum(axis=0)
    share = weights / np.where(total > 0, total, 1)
    share[0] += total <= 0
    return (share[..., None] * joints).sum(axis=0), (share * scores).sum(axis=0)


def choose(joints, scores, people, skeleton, protocol, trials=TRIALS):
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
    best = -np.inf, None, None
    for tau_s in GRID[:-1]:
        fused, _ = fuse(joints, scores, tau_s, _reach(people))
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
    return Thresholds(
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


def save(path, thresholds, chosen_on):
    """Writes thresholds and the dict `chosen_on` as JSON."""
    joints = thresholds.skeleton.joints
    content = asdict(thresholds) | {
        "skeleton": thresholds.skeleton.described(),
        "tau_c": dict(zip(joints, thresholds.tau_c, strict=True)),
        "chosen_on": chosen_on,
    }
    with files.whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def load(path, skeleton):
    """Reads the `Thresholds` of a file for a skeleton.

    Raises:
        FileNotFoundError: no such file; says how to make it.
        ValueError: no thresholds, another skeleton, or invalid numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: python -m keras_pose.conditional writes it"
        )
    try:
        content = untrusted.read_json(path)
        tau_c = {joint: float(v) for joint, v in content["tau_c"].items()}
        thresholds = Thresholds(
            skeletons.find(content["skeleton"]),
            tuple(tau_c.values()),
            float(content["tau_s"]),
            tuple(
                (float(z), float(x), float(y)) for z, x, y in content["trials"]
            ),
            bool(content["flip"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} has no thresholds of keras_pose.conditional: "
            f"{type(error).__name__} {error}"
        ) from None
    if thresholds.skeleton != skeleton:
        raise ValueError(
            f"{path} has thresholds for {thresholds.skeleton.name}, expected "
            f"{skeleton.name}"
        )
    if tuple(tau_c) != skeleton.joints:
        raise ValueError(
            f"{path}: tau_c must name the {len(skeleton.joints)} joints of "
            f"{skeleton.name} in their order, got {len(tau_c)}: "
            f"{', '.join(tau_c)}"
        )
    numbers = [
        *thresholds.tau_c,
        thresholds.tau_s,
        *sum(thresholds.trials, ()),
    ]
    if not np.isfinite(numbers).all():
        raise ValueError(f"{path}: thresholds must be finite numbers")
    if not all(zoom > 0 for zoom, _, _ in thresholds.trials):
        raise ValueError(f"{path}: trials must have positive zooms")
    return thresholds


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
        ((1.0, 0.0, 0.0), *TRIALS),
        batch_size=config.batch_size,
        flip=config.flip,
        decoding=config.decoding,
    )
    thresholds = replace(
        choose(joints, scores, people, skeleton, protocol), flip=config.flip
    )
    unsure = thresholds.unsure(scores[0])
    fused, _ = fuse(joints, scores, thresholds.tau_s, _reach(people))
    fused = np.where(unsure[:, None, None], fused, joints[0])
    title = metrics.PROTOCOLS[protocol].title
    rows = {}
    for name, points, crops in (
        ("single", joints[0], 1.0),
        ("conditional", fused, 1 + len(TRIALS) * unsure.mean()),
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
    save(
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


def _reach(people):
    """(N,) pixels of the photographs within which trials agree."""
    return AGREE * PERSON_PIXELS * np.asarray(people.scale)


if __name__ == "__main__":
    run(main, Config, __doc__)
