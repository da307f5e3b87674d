"""Midpoints: the middles of limbs in place of part affinity fields.

Z. Cao et al., CVPR 2017 (see `fields`), section 2.3, name it as the obvious way
to say whose joint is whose, and why it fails: in a crowd the middle between the
joints of two people may be that of a third one's limb.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_pose.codecs.fields import Fields, mirrored_limbs


@keras.saving.register_keras_serializable("keras_pose")
@dataclass(frozen=True)
class Midpoints(Fields):
    """Outputs (B, S, h, w, C) of S stages, C = J + 1 + L: as of `Fields`, but
    of each limb one map with the Gaussian of `sigma` at its middle.

    `width` and `penalty` have no effect.
    """

    @property
    def limb_channels(self):
        """L, the number of channels of the limbs."""
        return len(self.limbs)

    @property
    def _ends(self):
        """Indices of the first joint of each limb, and of the second."""
        return np.array(self.limbs).T

    def _draw_limbs(self, cells, labelled, size):
        """Maps (B, h, w, L) of the middles."""
        start, end = self._ends
        middle = (ops.take(cells, start, 2) + ops.take(cells, end, 2)) / 2
        known = ops.take(labelled, start, 2) * ops.take(labelled, end, 2)
        return self._highest(middle, known, size)

    def _mirror_limbs(self, maps):
        """Maps (..., L) of a mirrored picture, those of the other sides."""
        order, _ = mirrored_limbs(self.parts)
        return ops.take(maps, order[::2] // 2, axis=-1)

    def limb_scores(self, seen, cells, found):
        """(B, L, P, P): the limb's map, between cells bilinear, in the middle
        between two candidates; 0 where it is not above `threshold`.

        In the nearest cell, rounding would decide which pair is the best.
        """
        _, maps = self.split(seen)
        start, end = self._ends
        starts = ops.take(cells, start, axis=1)[:, :, :, None]
        ends = ops.take(cells, end, axis=1)[:, :, None]
        middle = (starts + ends) / 2
        pictures, height, width = ops.shape(maps)[:3]
        picture = ops.arange(pictures, dtype="int32")[:, None, None, None]
        limb = ops.arange(len(start), dtype="int32")[:, None, None]
        flat = ops.reshape(maps, (-1,))

        def corner(right, low):
            x = ops.clip(ops.floor(middle[..., 0]) + right, 0, width - 1)
            y = ops.clip(ops.floor(middle[..., 1]) + low, 0, height - 1)
            x, y = ops.cast(x, "int32"), ops.cast(y, "int32")
            cell = (picture * height + y) * width + x
            return ops.take(flat, cell * len(start) + limb)

        right, low = ops.unstack(middle - ops.floor(middle), axis=-1)
        values = (1 - low) * (
            (1 - right) * corner(0, 0) + right * corner(1, 0)
        ) + low * ((1 - right) * corner(0, 1) + right * corner(1, 1))
        known = (
            ops.take(found, start, axis=1)[:, :, :, None]
            & ops.take(found, end, axis=1)[:, :, None]
        )
        return ops.where(known & (values > self.threshold), values, 0.0)
