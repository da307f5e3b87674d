"""Parts: the joints that maps and limbs are drawn of, and those of labels."""

from keras_pose.skeletons import Skeleton

COCO18 = Skeleton(
    "coco18",
    (
        "nose",
        "neck",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "right_eye",
        "left_eye",
        "right_ear",
        "left_ear",
    ),
    (
        ("neck", "right_shoulder"),
        ("neck", "left_shoulder"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("neck", "right_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("neck", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("neck", "nose"),
        ("nose", "right_eye"),
        ("right_eye", "right_ear"),
        ("nose", "left_eye"),
        ("left_eye", "left_ear"),
        # beside the tree: an ear is found without an eye, a nose or a neck
        ("right_shoulder", "right_ear"),
        ("left_shoulder", "left_ear"),
    ),
)
"""OpenPose's (Z. Cao et al., CVPR 2017): COCO's joints and a neck; the limbs in
the order in which people are put together."""
BETWEEN = {"neck": ("left_shoulder", "right_shoulder")}
"""Joints that a data set may lack, in the middle of two that it has."""


def origins(target, source):
    """Where the joints of one skeleton are in another.

    Args:
        target: the `Skeleton` whose joints are wanted.
        source: the one whose joints are known.

    Returns:
        a pair of indices into `source` for each joint of `target`: it lies in
        the middle of the two; both are the same if `source` has the joint.

    Raises:
        ValueError: `source` lacks a joint of `target`.
    """
    pairs = []
    for joint in target.joints:
        known = joint in source.joints
        ends = (joint, joint) if known else BETWEEN.get(joint, (joint, joint))
        if not set(ends) <= set(source.joints):
            raise ValueError(
                f"skeleton {source.name} has no {joint}, which "
                f"{target.name} has"
            )
        pairs.append(tuple(source.index(end) for end in ends))
    return tuple(pairs)
