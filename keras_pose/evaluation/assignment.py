"""Codecs that match the candidates of a limb optimally, to compare with.

OpenPose matches greedily, the best pair first. The optimum is that of the
Hungarian method, which no graph has: these codecs are for evaluation alone.
"""

from dataclasses import dataclass, fields

import numpy as np
from keras import ops
from scipy.optimize import linear_sum_assignment

from keras_pose.codecs import Fields, Midpoints


def match(scores):
    """`grouping.match` with the greatest sum of scores, in NumPy."""
    scores = ops.convert_to_numpy(scores)
    partner = np.zeros(scores.shape[:3], "int32")
    chosen = np.zeros(scores.shape[:3], "float32")
    for place in np.ndindex(scores.shape[:2]):
        pairs = scores[place]
        rows, columns = linear_sum_assignment(pairs, maximize=True)
        value = pairs[rows, columns]
        partner[place][rows] = np.where(value > 0, columns, 0)
        chosen[place][rows] = value
    return ops.convert_to_tensor(partner), ops.convert_to_tensor(chosen)


class _Optimal:
    def match(self, pairs):
        """The greatest sum of scores."""
        return match(pairs)


@dataclass(frozen=True)
class OptimalFields(_Optimal, Fields):
    """`Fields`, matched optimally."""


@dataclass(frozen=True)
class OptimalMidpoints(_Optimal, Midpoints):
    """`Midpoints`, matched optimally."""


OPTIMAL = {Fields: OptimalFields, Midpoints: OptimalMidpoints}


def convert(codec, kind):
    """A codec with all settings of another one: of `kind`, a class."""
    return kind(**{f.name: getattr(codec, f.name) for f in fields(codec)})
