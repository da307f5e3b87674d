"""Conditional testing: predicts people with an uncertain joint again.

L. Ke et al., "Multi-Scale Structure-Aware Network for Human Pose Estimation",
ECCV 2018, https://arxiv.org/abs/1803.09894, section 4.1: the original box is
tested first; a person with a joint whose confidence is below that joint's tau_c
is tested again in perturbed boxes; trials that score above tau_s are fused.
`keras_pose.conditional` chooses the thresholds.

The paper leaves details open. Here:

* confidence and score of a joint are the height of its peak;
* the perturbed boxes are `TRIALS`;
* scores are compared per joint: a trial with good legs and a bad head improves
  the legs. All joints of the person are fused, since the paper discards the
  whole pose;
* the result is the mean, weighted by the scores, of the trials that agree: the
  mean of two candidate positions would be wrong. The trials within `AGREE` of
  one trial form a group; the group with the largest sum of scores is used;
* a joint that no trial scores above tau_s keeps its first position.

tau_c = 0 is the single test.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from keras_pose import files, skeletons, untrusted
from keras_pose.data import annotations
from keras_pose.geometry import PERSON_PIXELS
from keras_pose.inference import suppress, top_down
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
        reach = agreement_distances(subjects)[unsure]
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


def agreement_distances(people):
    """(N,) pixels of the photographs within which trials agree."""
    return AGREE * PERSON_PIXELS * np.asarray(people.scale)


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
        raise ValueError(
            f"{path}: thresholds must be finite numbers, got {numbers}"
        )
    zooms = [zoom for zoom, _, _ in thresholds.trials]
    if not all(zoom > 0 for zoom in zooms):
        raise ValueError(
            f"{path}: trials must have positive zooms, got {zooms}"
        )
    return thresholds
