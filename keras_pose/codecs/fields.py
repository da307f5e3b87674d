"""Fields: maps of everybody's joints, and part affinity fields between them.

Z. Cao, T. Simon, S.-E. Wei, Y. Sheikh, "Realtime Multi-Person 2D Pose
Estimation using Part Affinity Fields", CVPR 2017,
https://arxiv.org/abs/1611.08050. Joints are peaks of the maps; the fields say
which of them belong to one person (`part_affinity`, `grouping`).
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_pose import skeletons
from keras_pose.codecs import gaussians, grouping, part_affinity
from keras_pose.codecs.codec import last_stage, swap_sides
from keras_pose.codecs.heatmaps import Maps
from keras_pose.codecs.parts import origins
from keras_pose.skeletons import Skeleton


@keras.saving.register_keras_serializable("keras_pose")
@dataclass(frozen=True)
class Fields(Maps):
    """Outputs (B, S, h, w, C) of S stages; the last stage is the result.

    For J parts and L limbs C is J + 1 + 2 L: a map of each part, one of the
    background, x and y of each limb. `seen`, what inference keeps, is
    (B, h, w, J + 2 L): without the background.
    """

    stride: int = 8
    parts: Skeleton | None = None
    """Names the maps, and the limbs, which must connect them all. None: the
    skeleton itself. It may have a neck that the skeleton lacks: the middle of
    the shoulders, if both are labelled. COCO's limbs leave the face and the
    body apart; `codecs.COCO18` connects them."""
    sigma: float = 0.875
    """Width of the Gaussians, cells (the authors' code: 7 pixels)."""
    width: float = 1.0
    """Half the width of a limb's band, cells."""
    people: int = 30
    """M, the most people in a picture."""
    candidates: int = 32
    """P, the most candidates of a joint in a picture."""
    threshold: float = 0.1
    """Least height of a candidate."""
    logits: bool = False
    """Whether maps are the sigmoid of the outputs, and fields their hyperbolic
    tangent; else they are the outputs."""
    penalty: bool = False
    """Whether limbs longer than half the picture's height lose score (the
    authors' code). The ten points of such a limb may all lie on others': those
    of a long row of people at equal distances."""

    score_is = "the height of the peak of its map"
    finds_everybody = True

    def __post_init__(self):
        super().__post_init__()
        parts = self.skeleton if self.parts is None else self.parts
        object.__setattr__(self, "parts", skeletons.find(parts))
        for name in ("sigma", "width", "people", "candidates"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{name} must be positive, got {getattr(self, name)}"
                )
        _check_connected(self.parts)
        for pair in ((self.parts, self.skeleton), (self.skeleton, self.parts)):
            origins(*pair)  # raises ValueError

    @property
    def limbs(self):
        """L pairs of indices of parts."""
        return self.parts.limb_indices

    @property
    def limb_channels(self):
        """2 L, the number of channels of the limbs."""
        return 2 * len(self.limbs)

    @property
    def channels(self):
        """C, the number of channels."""
        return len(self.parts.joints) + 1 + self.limb_channels

    @property
    def _sources(self):
        """(J, 2) indices of joints; each part is in the middle of two."""
        return np.array(origins(self.parts, self.skeleton))

    @property
    def _back(self):
        """(K,) index of each joint's part."""
        return np.array(origins(self.skeleton, self.parts))[:, 0]

    def to_parts(self, labels):
        """Labels (..., K, 3 or more) of joints as labels (..., J, 3) of parts.

        A part between two joints has the lower of their flags.
        """
        one, other = (
            ops.take(labels[..., :3], self._sources[:, end], axis=-2)
            for end in (0, 1)
        )
        flags = ops.minimum(one[..., 2:], other[..., 2:])
        points = (one[..., :2] + other[..., :2]) / 2
        return ops.concatenate([points, flags], axis=-1)

    def target(self, labels, outputs):
        """Target maps and fields of everybody.

        Args:
            labels: (B, M, K, 3 or more) x, y in input pixels, flag; rows of
                flags 0 fill up.
            outputs: (B, S, h, w, C).

        Returns:
            target (B, 1, h, w, C): maps with the highest of the people's
            Gaussians, 1 - the highest of these maps, and the fields; known
            (B, C), all 1: what nobody has labelled is 0, and counts.
        """
        if outputs.shape[-1] != self.channels:
            raise ValueError(
                f"expected {self.channels} channels for the parts and limbs of "
                f"{self.parts.name}, got outputs {tuple(outputs.shape)}"
            )
        size = tuple(outputs.shape[2:4])
        parts = self.to_parts(ops.cast(labels, "float32"))
        cells = self.to_cells(parts[..., :2], size)
        labelled = ops.cast(parts[..., 2] > 0, "float32")
        maps = self._highest(cells, labelled, size)
        background = 1 - ops.max(maps, axis=-1, keepdims=True)
        limbs = self._draw_limbs(cells, labelled, size)
        target = ops.concatenate([maps, background, limbs], axis=-1)
        return target[:, None], ops.ones_like(target[:, 0, 0])

    def _draw_limbs(self, cells, labelled, size):
        """Fields (B, h, w, 2 L)."""
        return part_affinity.encode(
            cells, labelled, self.limbs, size, self.width
        )

    def _highest(self, cells, labelled, size):
        """Maps (B, h, w, J), the highest of the people's Gaussians."""
        height, width = size
        if cells.shape[1] == 0:  # Keras' minimum on PyTorch is then one number
            return ops.zeros((ops.shape(cells)[0], *size, cells.shape[2]))
        dx = ops.arange(width, dtype="float32") - cells[..., 0:1]
        dy = ops.arange(height, dtype="float32") - cells[..., 1:2]
        squares = ops.square(dx)[..., None, :] + ops.square(dy)[..., :, None]
        squares = ops.where(labelled[..., None, None] > 0, squares, np.inf)
        nearest = ops.min(squares, axis=1, initial=np.inf)  # M may be 0
        maps = ops.exp(-nearest / (2 * self.sigma**2))
        return ops.transpose(maps, (0, 2, 3, 1))

    def split(self, values):
        """(maps, fields) of outputs (..., C), or of `seen` (..., J + 2 L)."""
        joints = len(self.parts.joints)
        return values[..., :joints], values[..., -self.limb_channels :]

    def values(self, outputs):
        """Outputs (..., C) in the form of the target."""
        if not self.logits:
            return outputs
        limbs = self.limb_channels
        maps = ops.sigmoid(outputs[..., :-limbs])
        return ops.concatenate([maps, ops.tanh(outputs[..., -limbs:])], -1)

    def kept(self, values):
        """Maps and fields (..., J + 2 L) of values (..., C)."""
        return ops.concatenate(self.split(values), axis=-1)

    def seen(self, outputs):
        """What inference keeps: (B, h, w, J + 2 L)."""
        return self.kept(self.values(last_stage(outputs)))

    def _swap_sides(self, seen):
        """Left and right swapped; in a mirror, limbs point the other way."""
        maps, limbs = self.split(seen)
        limbs = self._mirror_limbs(limbs)
        return ops.concatenate([swap_sides(maps, self.parts), limbs], axis=-1)

    def _mirror_limbs(self, fields):
        """Fields (..., 2 L) of a mirrored picture, those of the other sides."""
        order, factors = mirrored_limbs(self.parts)
        fields = ops.take(fields, order, axis=-1)
        return fields * ops.convert_to_tensor(factors, "float32")

    def candidate_joints(self, seen):
        """The peaks: (B, J, P, 2) cells, and heights (B, J, P)."""
        maps, _ = self.split(seen)
        return gaussians.peaks(maps, self.candidates, self.threshold)

    def limb_scores(self, seen, cells, found):
        """(B, L, P, P) scores of each limb's pairs of candidates, 0 for those
        that are no limbs.

        Args:
            seen: (B, h, w, J + 2 L).
            cells: (B, J, P, 2), of `candidate_joints`.
            found: (B, J, P) bool: which candidates there are.
        """
        _, fields = self.split(seen)
        tallest = ops.shape(seen)[1] if self.penalty else None
        return part_affinity.limb_scores(
            fields, cells, found, self.limbs, tallest
        )

    def match(self, pairs):
        """Chosen pairs of (B, L, P, P) scores, see `grouping.match`."""
        return grouping.match(pairs)

    def joints(self, seen, decoding=None):
        """Everybody in the picture.

        Args:
            seen: (B, h, w, J + 2 L).
            decoding: not used: there is one way to decode.

        Returns:
            `grouping.Everybody`: points (B, M, K, 2) x, y in input pixels and
            scores (B, M, K), 0 for a joint that was not found; None: occlusion
            is not predicted; person_scores (B, M) and count (B,).
        """
        cells, scores = self.candidate_joints(seen)
        pairs = self.limb_scores(seen, cells, scores > 0)
        component, gained = grouping.connect(
            *self.match(pairs), self.limbs, scores.shape[1]
        )
        points = self.to_pixels(cells, tuple(seen.shape[1:3]))
        everybody = grouping.collect(
            points, scores, component, gained, self.people
        )
        return everybody._replace(
            points=ops.take(everybody.points, self._back, axis=2),
            scores=ops.take(everybody.scores, self._back, axis=2),
        )

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {"parts": self.parts.described()}


def _check_connected(parts):
    """Raises ValueError unless the limbs connect all joints."""
    group = {joint: {joint} for joint in parts.joints}
    for start, end in parts.limbs:
        whole = group[start] | group[end]
        group |= dict.fromkeys(whole, whole)
    apart = set(parts.joints) - group[parts.joints[0]]
    if apart:
        raise ValueError(
            f"the limbs of skeleton {parts.name} must connect all its joints: "
            f"{parts.joints[0]} and {min(apart)} are apart"
        )


def mirrored_limbs(parts):
    """Channels of the mirrored limbs, and factors on their x and y.

    Raises:
        ValueError: a limb without a mirror image.
    """
    mirror, limbs = parts.mirror, parts.limb_indices
    order, factors = [], []
    for start, end in limbs:
        image, sign = (mirror[start], mirror[end]), 1
        if image not in limbs:
            image, sign = image[::-1], -1
        if image not in limbs:
            names = [parts.joints[joint] for joint in image]
            raise ValueError(
                f"a mirrored picture needs the limb {' - '.join(names)}, which "
                f"skeleton {parts.name} lacks"
            )
        first = 2 * limbs.index(image)
        order += [first, first + 1]
        factors += [-sign, sign]
    return np.array(order), factors
