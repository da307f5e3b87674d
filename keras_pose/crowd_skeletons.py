"""Skeletons of data sets of several people.

They are not known by name: dataset.json and models store them completely.
"""

from keras_pose.skeletons import SIDES, Skeleton


def _both(*limbs):
    """Limbs on both sides of the body; a name without "-" is in the middle."""
    return tuple(
        tuple(joint.replace("-", f"{side}_") for joint in limb)
        for side in SIDES
        for limb in limbs
    )


_BODY = _both(
    ("-shoulder", "-elbow"),
    ("-elbow", "-wrist"),
    ("-shoulder", "-hip"),
    ("-hip", "-knee"),
    ("-knee", "-ankle"),
)

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
    + _both(("neck", "-shoulder"))
    + (("neck", "head"), ("left_hip", "right_hip")),
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
    + _both(("head_bottom", "-shoulder"))
    + (
        ("head_bottom", "nose"),
        ("nose", "head_top"),
        ("left_hip", "right_hip"),
    ),
)
"""M. Andriluka et al., CVPR 2018: the 15 joints that are scored, without the
ears of the files."""
