"""What every heatmap loss shares: it draws its own target from the joints."""

import keras
from keras import ops

from keras_pose import choices, heatmaps

UNLABELLED = ("zero", "ignore")
PIXELS = ("half_sum", "mean")


class HeatmapLoss(keras.losses.Loss):
    """Base class: labels (B, K, 3 or more) and maps (B, S, h, w, K) -> (B, K).

    A subclass says what one pixel costs. The target is a Gaussian of peak 1 per
    labelled joint, occluded or not (see `occluded_amplitude`), rendered at the
    size of the maps.

    Args:
        unlabelled: "zero": the map of a joint without a label should be empty,
            and it counts (Newell, HSM); "ignore": it has weight 0, as has a
            joint whose Gaussian lies outside the map (Simple Baselines).
        pixels: "half_sum": half the sum over stacks and pixels, as in HSM's
            eq. (4), which `reduction="sum"` completes; "mean": their mean.
        sigma: width of the Gaussian in cells (papers' "radius 7" is the window
            6 sigma + 1 of sigma 1).
        stride: input pixels per cell.
        alignment: see `keras_pose.heatmaps`.
        occluded_amplitude: peak of an occluded joint's Gaussian (flag 1), 1 or
            -1 (MSSH, eq. 1): then the sign of a map says whether its joint is
            occluded, and its absolute value where it is. Not under a sigmoid.
    """

    activation = "linear"
    """What turns maps into heights of Gaussians: of the loss and inference.
    "absolute" with an occluded amplitude of -1."""

    def __init__(
        self,
        unlabelled="zero",
        pixels="half_sum",
        sigma=1.0,
        stride=4,
        alignment="center",
        occluded_amplitude=1,
        name=None,
        reduction="sum_over_batch_size",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        choices.check("unlabelled", unlabelled, UNLABELLED)
        choices.check("pixels", pixels, PIXELS)
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        choices.check("occluded_amplitude", occluded_amplitude, (1, -1))
        if occluded_amplitude < 0:
            if self.activation == "sigmoid":
                raise ValueError(
                    "occluded_amplitude -1 needs maps that can be negative: "
                    f"{self.name} has a sigmoid, which is 0 ... 1"
                )
            self.activation = "absolute"
        self.occluded_amplitude = occluded_amplitude
        self.unlabelled = unlabelled
        self.pixels = pixels
        self.sigma = sigma
        self.stride = stride
        self.alignment = alignment

    def pixel_loss(self, maps, target):
        """Cost of each pixel; shapes broadcast to (B, S, h, w, K)."""
        raise NotImplementedError

    def call(self, labels, maps):
        """One number per sample and joint."""
        target, known = self.target(labels, maps)
        cost = self.pixel_loss(ops.cast(maps, "float32"), target)
        cost = self.over_pixels(cost)
        return cost * known if self.unlabelled == "ignore" else cost

    def target(self, labels, maps):
        """What the maps should be, and for which joints that is known.

        Returns:
            target (B, 1, h, w, K), and known (B, K), 1 or 0: is the joint
            labelled and, when such joints are ignored, not off the map?
        """
        labels = ops.cast(labels, "float32")
        height, width = maps.shape[2:4]
        cells = heatmaps.to_cells(labels[..., :2], self.stride, self.alignment)
        labelled = ops.cast(labels[..., 2] > 0, "float32")
        target = heatmaps.encode(cells, (height, width), self.sigma)
        occluded = labels[..., 2] == 1
        peaks = ops.where(occluded, self.occluded_amplitude, 1.0) * labelled
        target = target * peaks[:, None, None, :]
        if self.unlabelled != "ignore":
            return target[:, None], labelled
        reach = 3 * self.sigma  # beyond it a Gaussian is below 0.012
        x, y = cells[..., 0], cells[..., 1]
        inside = (x > -reach) & (x < width - 1 + reach)
        inside = inside & (y > -reach) & (y < height - 1 + reach)
        return target[:, None], labelled * ops.cast(inside, "float32")

    def over_pixels(self, cost):
        """Cost of pixels (B, S, h, w, N) to cost of maps (B, N)."""
        if self.pixels == "mean":
            return ops.mean(cost, axis=(1, 2, 3))
        return ops.sum(cost, axis=(1, 2, 3)) / 2

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "unlabelled": self.unlabelled,
            "pixels": self.pixels,
            "sigma": self.sigma,
            "stride": self.stride,
            "alignment": self.alignment,
            "occluded_amplitude": self.occluded_amplitude,
        }
