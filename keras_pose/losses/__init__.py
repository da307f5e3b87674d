"""Losses; each takes labels (B, K, 3 or more) and maps (B, S, h, w, K)."""

from keras_pose.losses.heatmap_mse import HeatmapMSE, HeatmapMSESigmoid
from keras_pose.losses.hsm import HSM
from keras_pose.losses.joint_weights import JointlyTrained, JointWeighted
from keras_pose.losses.structure_aware import LossTerm, StructureAware

__all__ = [
    "HSM",
    "HeatmapMSE",
    "HeatmapMSESigmoid",
    "JointWeighted",
    "JointlyTrained",
    "LossTerm",
    "StructureAware",
]
