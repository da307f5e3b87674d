"""Losses; labels (B, P, K, 3 or more) are x, y in input pixels, and flag."""

from keras_pose.losses.fields_mse import FieldsMSE
from keras_pose.losses.heatmap_mse import HeatmapMSE
from keras_pose.losses.hsm import HSM
from keras_pose.losses.joint_regression import JointRegression
from keras_pose.losses.joint_weights import JointWeighted, JointWeights
from keras_pose.losses.ohkm import OHKM
from keras_pose.losses.pose_loss import PerOutput, PoseLoss
from keras_pose.losses.structure_aware import StructureAware

__all__ = [
    "HSM",
    "OHKM",
    "FieldsMSE",
    "HeatmapMSE",
    "JointRegression",
    "JointWeighted",
    "JointWeights",
    "PerOutput",
    "PoseLoss",
    "StructureAware",
]
