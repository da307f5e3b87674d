"""The errors that a model makes, for the training of a cascade's next stage."""

import numpy as np

from keras_pose import geometry
from keras_pose.data import annotations, pipeline
from keras_pose.inference import top_down
from keras_pose.models import cascade

MEASURED = 500
"""Most people whose errors are measured, a choice that is always the same."""


def measure_errors(model, dataset, split, batch_size, people=None):
    """The errors that a model makes, for the samples of the next stage.

    Args:
        model: of one stage or a cascade; of the data set's skeleton.
        dataset: `data.dataset.Dataset`.
        split: whose people are measured, at most MEASURED of them.
        batch_size: of the prediction.
        people: indices to choose from; None: all.

    Returns:
        dict of the mean (K, 2) and covariance (K, 2, 2) of the errors of each
        joint, as lists, in lengths of the person's torso; see
        `data.joint_crops.JointCrops`. A joint without two labels has the errors
        of all joints.

    Raises:
        ValueError: the skeleton has no torso, or there are no labels.
    """
    diagonals = dataset.skeleton.diagonals
    rows = np.arange(dataset.people(split)) if people is None else people
    rows = np.sort(rows[pipeline.choose(len(rows), MEASURED)])
    poses = top_down.predict_people(
        model, dataset, split, batch_size=batch_size, people=rows
    )
    truth = annotations.read_subjects(dataset, split).take(rows)
    known = truth.flags > 0
    torso = geometry.torso_lengths(
        truth.joints,
        diagonals,
        geometry.PERSON_PIXELS * truth.scale,
        known,
        truth.box,
    )
    errors = (poses.joints - truth.joints) / torso[:, None, None]
    if known.sum() < 2:
        raise ValueError(
            f"{dataset.folder}: split {split} has {known.sum()} labelled "
            "joints, at least 2 wanted to measure the errors of a stage"
        )
    mean, covariance = [], []
    for joint in range(known.shape[1]):
        own = known[:, joint]
        chosen = errors[own, joint] if own.sum() > 1 else errors[known]
        mean.append(chosen.mean(axis=0).tolist())
        covariance.append(np.cov(chosen.T).tolist())
    return {
        "split": split,
        "people": len(rows),
        "stages": len(cascade.stages_of(model)),
        "mean": mean,
        "covariance": covariance,
    }
