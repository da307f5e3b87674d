"""What every codec shares: a skeleton, and how it is kept in a file."""

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_pose import skeletons
from keras_pose.skeletons import MPII, Skeleton


@dataclass(frozen=True)
class Codec:
    """What a network's outputs mean; nobody else knows.

    The last layer of a model carries one (`models.heads.PoseMaps`), losses and
    metrics are given it, and inference, export and report ask it. Its verbs, of
    B people and K joints:

    target(labels, outputs)   what the outputs should be, and where it is known
    seen(outputs)             what inference keeps of the last stage
    mirror(seen)              a mirrored picture's, mirrored back
    merge(views, zooms, size) of several views of one person, in one frame
    joints(seen, decoding)    points (B, K, 2) in input pixels, scores (B, K),
                              and which joints are occluded, where it is known
    """

    skeleton: Skeleton = MPII
    """Whose joints the outputs are; of a known one the name does."""

    def __post_init__(self):
        object.__setattr__(self, "skeleton", skeletons.find(self.skeleton))

    @property
    def count(self):
        """K, the number of joints."""
        return len(self.skeleton.joints)

    tells_occlusion = False
    """Whether `joints` says which joints are occluded."""

    def get_config(self):
        """Everything `__init__` takes."""
        fields = dataclasses.fields(self)
        config = {field.name: getattr(self, field.name) for field in fields}
        return config | {"skeleton": self.skeleton.described()}

    @classmethod
    def from_config(cls, config):
        """As `get_config` says."""
        return cls(**config)


class HasCodec:
    """Of layers, losses and metrics with a `codec`: their config holds it."""

    def get_config(self):
        """Everything `__init__` takes."""
        codec = keras.saving.serialize_keras_object(self.codec)
        return super().get_config() | {"codec": codec}

    @classmethod
    def from_config(cls, config):
        """The codec comes as its settings."""
        codec = keras.saving.deserialize_keras_object(config["codec"])
        return cls(**config | {"codec": codec})


def last_stage(outputs):
    """Of outputs (B, S, ...), or a list of them, the last of the last."""
    if isinstance(outputs, (list, tuple)):
        outputs = outputs[-1]
    return outputs[:, -1]


def swap_sides(values, skeleton):
    """Channels (..., n K) of a mirrored picture in the order of the picture."""
    mirror = np.array(skeleton.mirror)
    first = np.arange(0, values.shape[-1], len(mirror))
    return ops.take(values, (first[:, None] + mirror).ravel(), axis=-1)
