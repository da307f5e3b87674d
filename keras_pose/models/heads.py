"""The last layer of every model: it carries what the outputs mean."""

import keras
from keras import ops

from keras_pose.codecs import Heatmaps


@keras.saving.register_keras_serializable("keras_pose")
class PoseMaps(keras.layers.Layer):
    """Stacks the maps of S supervised outputs and carries their codec.

    A saved model is then complete: evaluation, export and prediction read the
    skeleton and the geometry from here and ask the user for nothing.

    list of S maps (B, h, w, K) -> (B, S, h, w, K) float32, the values as they
    are.

    Args:
        codec: `codecs.Heatmaps`.
    """

    def __init__(self, codec, **kwargs):
        kwargs["dtype"] = "float32"  # losses need more than half precision
        super().__init__(**kwargs)
        self.codec = codec

    def call(self, maps):
        """Stacks on axis 1."""
        return ops.stack([ops.cast(m, "float32") for m in maps], axis=1)

    def get_config(self):
        """Everything `__init__` takes."""
        codec = keras.saving.serialize_keras_object(self.codec)
        return super().get_config() | {"codec": codec}

    @classmethod
    def from_config(cls, config):
        """Files of before there were codecs have the settings themselves."""
        config = dict(config)
        if "codec" in config:
            codec = keras.saving.deserialize_keras_object(config.pop("codec"))
        else:
            names = Heatmaps().get_config().keys() & config.keys()
            codec = Heatmaps(**{name: config.pop(name) for name in names})
        return cls(codec, **config)


def codec_of(model):
    """What the last output of a model, its result, means.

    Raises:
        ValueError: its last layer is no `PoseMaps`, or what came is no model.
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
    return last.codec
