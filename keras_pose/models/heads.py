"""The last layer of every output: it carries the output's codec."""

import keras
from keras import ops

from keras_pose.codecs import Heatmaps
from keras_pose.codecs.codec import HasCodec


@keras.saving.register_keras_serializable("keras_pose")
class PoseMaps(HasCodec, keras.layers.Layer):
    """Stacks the maps of S supervised stages and carries their codec.

    So a saved model is complete: evaluation, export and prediction read the
    skeleton and the geometry from this layer.

    list of S maps (B, h, w, C) -> (B, S, h, w, C) float32, the values
    unchanged; likewise vectors (B, K, 2 or 3) for `codecs.Coordinates`.

    Args:
        codec: a `codecs.Codec`.
    """

    def __init__(self, codec, **kwargs):
        kwargs["dtype"] = "float32"  # losses need more than half precision
        super().__init__(**kwargs)
        self.codec = codec

    def call(self, maps):
        """Stacks on axis 1."""
        return ops.stack([ops.cast(m, "float32") for m in maps], axis=1)

    @classmethod
    def from_config(cls, config):
        """Deserialises the codec; older files have its settings instead."""
        if "codec" in config:
            return super().from_config(config)
        names = ("skeleton", "stride", "alignment", "activation", "sigma")
        settings = {name: config[name] for name in names if name in config}
        codec = Heatmaps.from_config({"logits": True} | settings)
        rest = {k: v for k, v in config.items() if k not in names}
        return cls(codec, **rest)


def pose_maps(maps, skeleton, **settings):
    """A `PoseMaps` for each scale, the finest last and named "maps".

    Args:
        maps: {stride: list of S maps (B, h, w, C)}.
        skeleton: a `Skeleton`.
        **settings: of `codecs.Heatmaps`, at every scale.

    Returns:
        the model's outputs: a list of (B, S, h, w, C), or the only one.
    """
    finest = min(maps)
    outputs = [
        PoseMaps(
            Heatmaps(skeleton, stride, **settings),
            name="maps" if stride == finest else f"stride{stride}",
        )(maps[stride])
        for stride in sorted(maps, reverse=True)
    ]
    return outputs if len(outputs) > 1 else outputs[0]


def codecs_of(model):
    """The codecs of a model's outputs, a list; the last is the result's.

    Raises:
        ValueError: an output that is not of `PoseMaps`, or not a model.
    """
    names = getattr(model, "output_names", None)  # a Sequential has none
    if names:
        layers = [model.get_layer(name) for name in names]
    else:
        layers = (getattr(model, "layers", None) or [None])[-1:]
    for layer in layers:
        if not isinstance(layer, PoseMaps):
            name = getattr(model, "name", type(model).__name__)
            raise ValueError(
                f"{name} is not a keras_pose model: its last layer must be "
                f"PoseMaps, got {type(layer).__name__}"
            )
    return [layer.codec for layer in layers]


def codec_of(model):
    """The codec of a model's last output, its result; see `codecs_of`."""
    return codecs_of(model)[-1]


def supervised_stages(model):
    """Everything that a model predicts, from its first stage to the result.

    Returns:
        {name: (codec, index of the output, index of its stage)}; one entry if
        the model has a single output of one stage.
    """
    names = model.output_names
    stages = {}
    for number, (name, codec) in enumerate(
        zip(names, codecs_of(model), strict=True)
    ):
        depth = model.outputs[number].shape[1]
        title = "result" if name == names[-1] else name.replace("_", " ")
        for stage in range(depth):
            several = f"stage {stage + 1}"
            if len(names) > 1:
                several = f"{title}, {several}" if depth > 1 else title
            stages[several] = codec, number, stage
    return stages
