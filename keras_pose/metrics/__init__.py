"""Metrics; labels (..., K, 4) are x, y, flag, head size, all in pixels."""

from keras_pose.metrics import oks, pck, pcp
from keras_pose.metrics.fields_fit import FieldsFit
from keras_pose.metrics.oks import AveragePrecision
from keras_pose.metrics.pck import AUC_THRESHOLDS, PCK, PosePCK
from keras_pose.metrics.pcp import PCP
from keras_pose.metrics.peak import PeakHeight
from keras_pose.metrics.shares import mean_score

PROTOCOLS = pck.PROTOCOLS | pcp.PROTOCOLS | oks.PROTOCOLS
"""All protocols by name; `dataset.json` names some of them."""


def find(name):
    """A protocol by its name; ValueError lists the known names."""
    if name not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise ValueError(f"protocol must be one of {known}, got {name!r}")
    return PROTOCOLS[name]


__all__ = [
    "AUC_THRESHOLDS",
    "PCK",
    "PCP",
    "PROTOCOLS",
    "AveragePrecision",
    "FieldsFit",
    "PeakHeight",
    "PosePCK",
    "find",
    "mean_score",
]
