"""Expectation: the mean position under the softmax of a joint's map.

X. Sun et al., "Integral Human Pose Regression", ECCV 2018, eq. (2); its 2D form
in the cells of `center` alignment is ours. The bias towards the centre is
removed as in K. Gu, L. Yang, A. Yao, "Removing the Bias of Integral Pose
Regression", ICCV 2021. Neither defines a score: ours is the probability of the
5 x 5 cells around the joint.
"""

from dataclasses import dataclass

import keras
from keras import ops

from keras_pose import choices
from keras_pose.codecs import gaussians
from keras_pose.codecs.codec import last_stage
from keras_pose.codecs.coordinates import Points
from keras_pose.codecs.heatmaps import Heatmaps

AROUND = 2
"""Cells on each side of the joint's cell that its score covers."""
BACKGROUNDS = ("cells", "one")


@keras.saving.register_keras_serializable("keras_pose")
@dataclass(frozen=True)
class Expectation(Points):
    """Outputs (B, S, h, w, K) of S stages; the last stage is the result."""

    beta: float = 1.0
    """Factor on the maps before the softmax; a larger one sharpens it."""
    debias: bool = False
    """Subtract the contribution of a background of zeros to the softmax. With N
    cells of which all but few are 0, and C the sum of exp(beta map), the mean
    position J is biased towards the centre M: J C = J' (C - N) + M N. Solved
    for J', which is used where C > N, as above a background of zeros."""
    alignment: str = "center"
    """"center", "corner" or "udp", see `codecs.gaussians`."""
    background: str = "cells"
    """What `debias` subtracts: "cells" as above; "one" is for mmpose's weights:
    its code has 1 in place of N, and no beta in C. (For M it takes half the
    side, not the mean of the cells: half a cell / (C - 1) of a difference.)"""

    score_is = "the probability of the 5 x 5 cells around it"

    def __post_init__(self):
        super().__post_init__()
        choices.check("alignment", self.alignment, gaussians.ALIGNMENTS)
        choices.check("background", self.background, BACKGROUNDS)
        if not self.beta > 0:
            raise ValueError(f"beta must be positive, got {self.beta}")

    def probabilities(self, outputs):
        """Softmax over the cells of maps (..., h, w, K), without background.

        The sum over the cells is 1; with `debias` values may be negative.
        """
        logits = self.beta * ops.cast(outputs, "float32")
        rank = len(logits.shape)
        over = rank - 3, rank - 2
        # Keras' softmax over two axes needs the number of people.
        total = ops.logsumexp(logits, axis=over, keepdims=True)
        shares = ops.exp(logits - total)
        if not self.debias:
            return shares
        cells = outputs.shape[-3] * outputs.shape[-2]
        flat = cells * ops.exp(-total)  # probability of the background
        if self.background == "one":
            logits = ops.cast(outputs, "float32")
            flat = ops.exp(-ops.logsumexp(logits, axis=over, keepdims=True))
        unbiased = shares - flat / cells
        rest = ops.sum(unbiased, axis=over, keepdims=True)  # 1 - flat
        clear = rest > keras.config.epsilon()
        unbiased = unbiased / ops.where(clear, rest, 1.0)
        return ops.where(clear, unbiased, shares)

    def maps(self, outputs):
        """`probabilities` of the last stage: (B, h, w, K)."""
        return self.probabilities(last_stage(outputs))

    def grid(self, size):
        """`Heatmaps` whose cells lie where those of maps of `size` do."""
        stride = self.size[1] / size[1]
        return Heatmaps(self.skeleton, stride, alignment=self.alignment)

    def values(self, outputs):
        """Outputs in the form of the target: (B, S, K, 2)."""
        return self._mean(self.probabilities(outputs))

    def seen(self, outputs):
        """What inference keeps: (B, K, 3)."""
        shares = self.probabilities(last_stage(outputs))
        points = self._mean(shares)
        near = 1.0
        grid = self._stride(shares), self.alignment, shares.shape[1:3]
        cells = gaussians.to_cells(self.to_pixels(points), *grid)
        cells = ops.round(cells)
        for axis, coordinate in ((2, cells[..., 0]), (1, cells[..., 1])):
            at = ops.arange(shares.shape[axis], dtype="float32")
            apart = ops.abs(at[None, :, None] - coordinate[:, None])
            inside = ops.cast(apart <= AROUND, "float32")
            near = near * ops.expand_dims(inside, 3 - axis)
        score = ops.clip(ops.sum(shares * near, axis=(1, 2)), 0.0, 1.0)
        return ops.concatenate([points, score[..., None]], axis=-1)

    def _stride(self, maps):
        """Input pixels per cell of (..., h, w, K)."""
        return self.size[1] / maps.shape[-2]

    def _mean(self, shares):
        """Mean position (..., K, 2) under probabilities (..., h, w, K)."""
        (height, width), places = shares.shape[-3:-1], []
        for count, summed in ((width, -3), (height, -2)):
            cells = ops.arange(count, dtype="float32")
            line = ops.sum(shares, axis=summed)  # (..., count, K)
            places.append(ops.sum(line * cells[:, None], axis=-2))
        grid = self._stride(shares), self.alignment, (height, width)
        pixels = gaussians.to_pixels(ops.stack(places, axis=-1), *grid)
        return self.to_box(pixels)
