"""Maps with depth, of networks of joints in space, seen from the front.

X. Sun et al., "Integral Human Pose Regression", ECCV 2018: in space a joint is
the mean position under the softmax of a volume, eq. (2). Its x and y are those
under the sum of that softmax over depth, and this sum is the softmax of one
map: of the logarithm of the sum over depth of exp(volume).
"""

import keras
from keras import layers, ops

from keras_pose.skeletons import Skeleton, both_sides


@keras.saving.register_keras_serializable("keras_pose")
class OverDepth(layers.Layer):
    """Log of the sum over depth of exponentials: a map for each joint's volume.

    (B, h, w, K D) -> (B, h, w, K); channel k D + d is the joint k at depth d.

    Args:
        joints: K.

    Raises:
        ValueError: the channels are no multiple of `joints`.
    """

    def __init__(self, joints, **kwargs):
        super().__init__(**kwargs)
        self.joints = int(joints)

    def build(self, shape):
        """Nothing to learn; checks the channels."""
        if self.joints < 1 or shape[-1] % self.joints:
            raise ValueError(
                f"the channels must be a multiple of the {self.joints} joints, "
                f"got {shape[-1]}"
            )
        self.built = True

    def call(self, x):
        """In float32, like every softmax of the suite."""
        volume = ops.reshape(
            ops.cast(x, "float32"),
            (-1, *x.shape[1:3], self.joints, self.depth(x)),
        )
        return ops.logsumexp(volume, axis=-1)

    def depth(self, x):
        """D, the number of cells in depth."""
        return x.shape[-1] // self.joints

    def compute_output_shape(self, shape):
        """(B, h, w, K)."""
        return (*shape[:-1], self.joints)

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {"joints": self.joints}


HUMAN36M = Skeleton(
    "human36m",
    (
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "upper_neck",
        "nose",
        "head_top",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "thorax",
    ),
    both_sides(
        ("hip", "knee"),
        ("knee", "ankle"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
    + (
        ("pelvis", "right_hip"),
        ("pelvis", "left_hip"),
        ("pelvis", "spine"),
        ("pelvis", "thorax"),
        ("thorax", "upper_neck"),
        ("thorax", "nose"),
        ("upper_neck", "head_top"),
        ("thorax", "left_shoulder"),
        ("thorax", "right_shoulder"),
    ),
)
"""C. Ionescu et al., TPAMI 2014: 17 joints, with MPII's thorax behind them and
the limbs as in JimmySuen/integral-human-pose, whose names of MPII's joints are
MPII's here."""
