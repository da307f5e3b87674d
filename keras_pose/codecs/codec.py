"""Base of all codecs: the skeleton, and serialisation."""

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_pose import skeletons
from keras_pose.skeletons import MPII, Skeleton


@dataclass(frozen=True)
class Codec:
    """What a network's outputs mean; no other code knows.

    The last layer of a model carries a codec (`models.heads.PoseMaps`), losses
    and metrics receive it, and inference, export and report use it. Methods,
    for B people and K joints:

    target(labels, outputs)   the outputs' target, and where it is known
    seen(outputs)             what inference keeps of the last stage
    mirror(seen)              undoes the mirroring of the picture
    merge(views, zooms, size) merges several views of a person in one frame
    joints(seen, decoding)    points (B, K, 2) in input pixels, scores (B, K),
                              and occluded (B, K) or None; of everybody in
                              the picture, if it `finds_everybody`, a
                              `grouping.Everybody`
    """

    skeleton: Skeleton = MPII
    """Names the joints; a known skeleton may be given by name."""

    def __post_init__(self):
        object.__setattr__(self, "skeleton", skeletons.find(self.skeleton))

    @property
    def count(self):
        """K, the number of joints."""
        return len(self.skeleton.joints)

    score_is = "the height of the peak of its map"
    """What a joint's score is, in words, for people."""
    refines = False
    """Whether these are outputs of a later stage of a cascade, which looks at
    crops around the joints of the outputs before: `displacements`."""
    finds_everybody = False
    """Whether `joints` finds everybody in a picture, not the one of a crop."""
    tells_occlusion = False
    """Whether `joints` predicts which joints are occluded."""

    def get_config(self):
        """Everything `__init__` takes."""
        fields = dataclasses.fields(self)
        config = {field.name: getattr(self, field.name) for field in fields}
        return config | {"skeleton": self.skeleton.described()}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(**config)


class HasCodec:
    """Mixin for layers, losses and metrics that serialises their `codec`."""

    def get_config(self):
        """Everything `__init__` takes."""
        codec = keras.saving.serialize_keras_object(self.codec)
        return super().get_config() | {"codec": codec}

    @classmethod
    def from_config(cls, config):
        """Deserialises the codec."""
        codec = keras.saving.deserialize_keras_object(config["codec"])
        return cls(**config | {"codec": codec})


def last_stage(outputs):
    """The last stage of outputs (B, S, ...), or of the last in a list."""
    if isinstance(outputs, (list, tuple)):
        outputs = outputs[-1]
    return outputs[:, -1]


def swap_sides(values, skeleton):
    """Channels (..., n K) of a mirrored picture with left and right swapped."""
    mirror = np.array(skeleton.mirror)
    first = np.arange(0, values.shape[-1], len(mirror))
    return ops.take(values, (first[:, None] + mirror).ravel(), axis=-1)
