"""Skeletons of data sets of several people.

They are not known by name: dataset.json and models store them completely.
"""

from keras_pose.skeletons import Skeleton, both_sides

_BODY = both_sides(
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("shoulder", "hip"),
    ("hip", "knee"),
    ("knee", "ankle"),
) + (("left_hip", "right_hip"),)

CROWDPOSE = Skeleton(
    "crowdpose",
    (
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
        "head",
        "neck",
    ),
    _BODY
    + (
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("neck", "head"),
    ),
    sigmas=(
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107),
        *(0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
    ),
)
"""J. Li et al., CVPR 2019, with the deviations of the authors' evaluation."""

POSETRACK = Skeleton(
    "posetrack",
    (
        "nose",
        "head_bottom",
        "head_top",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    _BODY
    + (
        ("head_bottom", "left_shoulder"),
        ("head_bottom", "right_shoulder"),
        ("head_bottom", "nose"),
        ("nose", "head_top"),
    ),
)
"""M. Andriluka et al., CVPR 2018: the 15 joints that are scored, without the
ears of the files."""
