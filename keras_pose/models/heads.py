"""The last layer of every heatmap model: it says what the maps mean."""

import keras
from keras import ops

from keras_pose import heatmaps
from keras_pose.skeletons import SKELETONS

ACTIVATIONS = ("linear", "sigmoid", "absolute")


@keras.saving.register_keras_serializable("keras_pose")
class PoseMaps(keras.layers.Layer):
    """Stacks the maps of S supervised outputs and carries their meaning.

    A saved model is then complete: evaluation, export and prediction read the
    skeleton and the geometry from here and ask the user for nothing.

    list of S maps (B, h, w, K) -> (B, S, h, w, K) float32, the values as they
    are: `activation` is what turns them into heights of Gaussians, and it is
    part of the loss and of inference.

    Args:
        skeleton: name of the skeleton whose joints the channels are.
        stride: input pixels per cell.
        alignment: "center" or "corner", see `keras_pose.heatmaps`.
        activation: "sigmoid" (the maps are logits), "linear", or "absolute"
            (a negative peak is that of an occluded joint).
        sigma: width of the Gaussians that the maps were trained on, cells, for
            `heatmaps.decode`; files of before it was told have 1.
    """

    def __init__(
        self,
        skeleton="mpii",
        stride=4,
        alignment="center",
        activation="sigmoid",
        sigma=1.0,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"  # losses need more than half precision
        super().__init__(**kwargs)
        if skeleton not in SKELETONS:
            known = ", ".join(SKELETONS)
            raise ValueError(f"skeleton: one of {known}, got {skeleton!r}")
        if alignment not in heatmaps.ALIGNMENTS:
            known = ", ".join(heatmaps.ALIGNMENTS)
            raise ValueError(f"alignment: one of {known}, got {alignment!r}")
        if activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation: one of {known}, got {activation!r}")
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        self.skeleton = skeleton
        self.stride = stride
        self.alignment = alignment
        self.activation = activation
        self.sigma = sigma

    def call(self, maps):
        """Stacks on axis 1."""
        return ops.stack([ops.cast(m, "float32") for m in maps], axis=1)

    def get_config(self):
        """Everything `__init__` takes."""
        return super().get_config() | {
            "skeleton": self.skeleton,
            "stride": self.stride,
            "alignment": self.alignment,
            "activation": self.activation,
            "sigma": self.sigma,
        }


def describe(model):
    """The `PoseMaps` that makes a model's last output, its result.

    Raises:
        ValueError: another layer does, or what came is no such model.
    """
    name = getattr(model, "name", type(model).__name__)
    layers = getattr(model, "layers", None) or [None]
    names = getattr(model, "output_names", None)  # a Sequential has none
    last = model.get_layer(names[-1]) if names else layers[-1]
    if not isinstance(last, PoseMaps):
        raise ValueError(
            f"{name} is not a keras_pose model: its last layer must be "
            f"PoseMaps, got {type(last).__name__}"
        )
    return last
