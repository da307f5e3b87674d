"""Metrics; labels (..., K, 4) are x, y, flag, head size, all in pixels."""

from keras_pose.metrics import pck, pcp
from keras_pose.metrics.pck import AUC_THRESHOLDS, PCK, PosePCK, mean_score
from keras_pose.metrics.pcp import PCP
from keras_pose.metrics.peak import PeakHeight

PROTOCOLS = pck.PROTOCOLS | pcp.PROTOCOLS
"""Every named way to score a data set: `dataset.json` names one of these."""

__all__ = [
    "AUC_THRESHOLDS",
    "PCK",
    "PCP",
    "PROTOCOLS",
    "PosePCK",
    "PeakHeight",
    "mean_score",
]
