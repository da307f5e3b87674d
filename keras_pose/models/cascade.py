"""Cascades: models of several outputs, each a stage with a network of its own.

Stage 1 sees the crop around the person. A stage whose codec `refines` sees a
crop around each joint of the stage before (`codecs.Displacements`). All stages
read the same input, so that one `.keras` file holds them: inference gives each
stage its own crops.
"""

import weakref

import keras

from keras_pose.models.heads import codec_of, codecs_of

_STAGES = weakref.WeakKeyDictionary()
"""Model -> its stages: so each is traced once."""


def stages_of(model):
    """The networks of a model, one after the other; a list.

    Args:
        model: ends in `PoseMaps`. If its result does not refine another one,
            the list is the model alone.

    Returns:
        models of one output each, which share the layers of `model`.

    Raises:
        ValueError: the stages of a cascade do not fit each other.
    """
    if not codec_of(model).refines:
        return [model]
    if model not in _STAGES:
        first, *later = codecs_of(model)
        for codec in later:
            if not codec.refines or codec.skeleton != first.skeleton:
                later = []
        if first.refines or not later:
            raise ValueError(
                f"{model.name} is no cascade: expected a first stage and later "
                "ones of the same skeleton that refine it"
            )
        stages = [
            keras.Model(model.input, output, name=name)
            for name, output in zip(
                model.output_names, model.outputs, strict=True
            )
        ]
        for stage in stages:
            if keras.backend.backend() == "tensorflow":
                stage.jit_compile = False  # as in `model.last_output`
        _STAGES[model] = stages
    return _STAGES[model]


def renamed(images, points, prefix):
    """A network whose layers have names of their own beside others of its kind.

    Args:
        images: the input.
        points: output of a network that was applied to it.
        prefix: of the layers' names.

    Returns:
        output of an equal network with the same weights.
    """

    def clone(layer):
        config = layer.get_config()
        config["name"] = f"{prefix}_{layer.name}"
        return type(layer).from_config(config)

    network = keras.Model(images, points)
    copy = keras.models.clone_model(
        network, input_tensors=images, clone_function=clone
    )
    copy.set_weights(network.get_weights())
    return copy.output
