"""Base of heatmap losses: they render their own targets from the joints."""

from keras import ops

from keras_pose import choices
from keras_pose.codecs import Heatmaps
from keras_pose.codecs.codec import HasCodec
from keras_pose.losses.pose_loss import PoseLoss

UNLABELLED = ("zero", "ignore")
OCCLUDED = ("visible", "empty")
PIXELS = ("half_sum", "mean")
VISIBLE = 2
"""COCO's flag of a joint that is not occluded."""


class HeatmapLoss(HasCodec, PoseLoss):
    """Base class: labels (B, P, K, 3 or more), maps (B, S, h, w, C) -> (B, C).

    A subclass defines the cost of a pixel. The codec renders the target at the
    size of the maps.

    Args:
        codec: `codecs.Heatmaps`: what the maps mean.
        unlabelled: "zero": the target of a joint without a label is an empty
            map, and it counts (Newell, HSM); "ignore": it has weight 0, like a
            joint whose Gaussian lies outside the map (Simple Baselines).
        pixels: "half_sum": half the sum over stages and pixels, as in HSM's
            eq. (4) (with `reduction="sum"`); "mean": their mean.
        everybody: number of the first stages that are taught the joints of all
            P people; the others are taught the subject's.
        occluded: "visible": an occluded joint counts like a visible one;
            "empty": its target is an empty map (CPN's GlobalNet).
    """

    def __init__(
        self,
        codec,
        unlabelled="zero",
        pixels="half_sum",
        everybody=0,
        occluded="visible",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(codec, Heatmaps):
            raise ValueError(
                f"{self.name}: codec must be Heatmaps, got {codec!r}"
            )
        choices.check("unlabelled", unlabelled, UNLABELLED)
        choices.check("pixels", pixels, PIXELS)
        choices.check("occluded", occluded, OCCLUDED)
        self.codec = codec
        self.unlabelled = unlabelled
        self.pixels = pixels
        self.everybody = everybody
        self.occluded = occluded

    @property
    def codecs(self):
        """A list of its codec."""
        return [self.codec]

    def pixel_loss(self, values, target):
        """Cost of each pixel; shapes broadcast to (B, S, h, w, C)."""
        raise NotImplementedError

    def terms(self, labels, outputs):
        """The cost of each stage's maps, stack1 first."""
        return by_stage(self.stage_costs(labels, outputs))

    def stage_costs(self, labels, maps):
        """(B, S, C); their sum over stages is the loss."""
        target, known = self.target(labels, maps)
        if not 0 <= self.everybody <= maps.shape[1]:
            raise ValueError(
                f"{self.name}: everybody must be 0 to {maps.shape[1]}, the "
                f"number of stages, got {self.everybody}"
            )
        if self.everybody:
            whole, _ = self.target(labels, maps, everybody=True)
            later = maps.shape[1] - self.everybody
            stages = [whole] * self.everybody + [target] * later
            target = ops.concatenate(stages, axis=1)
        values = self.codec.values(ops.cast(maps, "float32"))
        costs = self.over_pixels(self.pixel_loss(values, target))
        if self.unlabelled == "ignore":
            costs = costs * known[:, None]
        return costs

    def target(self, labels, maps, **settings):
        """The codec's target, and which maps of it are known."""
        target, known = self.codec.target(labels, maps, **settings)
        if self.occluded == "empty":
            labels = _of_visible(labels)
            target, _ = self.codec.target(labels, maps, **settings)
        return target, known

    def over_pixels(self, cost):
        """Cost of pixels (B, S, h, w, N) to cost of maps (B, S, N)."""
        if self.pixels == "mean":
            return ops.mean(cost, axis=(2, 3)) / cost.shape[1]
        return ops.sum(cost, axis=(2, 3)) / 2

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "unlabelled": self.unlabelled,
            "pixels": self.pixels,
            "everybody": self.everybody,
            "occluded": self.occluded,
        }


def by_stage(costs):
    """Costs (B, S, C) as the terms stack1, stack2, ... of (B, C)."""
    return {f"stack{s + 1}": costs[:, s] for s in range(costs.shape[1])}


def _of_visible(labels):
    """Labels (B, P, K, 3 or more) in which occluded joints have none."""
    labels = ops.cast(labels, "float32")
    points, flags = labels[..., :2], labels[..., 2:3]
    flags = ops.where(flags == VISIBLE, flags, 0.0)
    return ops.concatenate([points, flags], axis=-1)
