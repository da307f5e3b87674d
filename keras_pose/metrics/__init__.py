"""Metrics; labels (N, K, 4) are x, y in pixels, flag, head size in pixels."""

from keras_pose.metrics import pck, pcp
from keras_pose.metrics.pck import AUC_THRESHOLDS, PCK, HeatmapPCK, mean_score
from keras_pose.metrics.pcp import PCP
from keras_pose.metrics.peak import PeakHeight

PROTOCOLS = pck.PROTOCOLS | pcp.PROTOCOLS
"""Every named way to score a data set: `dataset.json` names one of these."""

__all__ = [
    "AUC_THRESHOLDS",
    "PCK",
    "PCP",
    "PROTOCOLS",
    "HeatmapPCK",
    "PeakHeight",
    "mean_score",
]
