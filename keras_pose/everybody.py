"""A trained bottom-up model as one function: a photograph to everybody in it.

The fit of the photograph into the network's input, normalisation, the flip test
and the grouping of joints into people are inside, in operations that converters
to other runtimes take (`Finder.image`); `serving.FinderServer` adds what only
TensorFlow can do.
"""

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry, portable
from keras_pose.data import sampling
from keras_pose.inference import bottom_up
from keras_pose.models.heads import codec_of
from keras_pose.people import MISSING_THRESHOLD

IN_A_BOX = {"decoding": "quarter", "missing_threshold": MISSING_THRESHOLD}
"""Settings of `portable.Locator` that a `Finder` does not have: defaults."""
EXAMPLE = """\
import tensorflow as tf
served = tf.saved_model.load("saved_model")
photo = tf.io.read_file("photo.jpg")
found = served.signatures["encoded"](encoded=photo[None])
people = found["count"][0]
print(served.signatures["names"]()["names"], found["joints"][0, :people])
"""


class Finder(portable.Network):
    """Maps the pixels of a photograph to the joints of everybody in it.

    Args:
        model: ends in `PoseMaps` of `codecs.Fields`.
        flip: average with the mirrored picture.
        others: settings of the person in a box, which must be the defaults.

    Raises:
        ValueError: one of the others is not.
    """

    def __init__(self, model, flip=False, **others):
        for name, value in others.items():
            if value != IN_A_BOX[name]:
                raise ValueError(
                    f"--{name.replace('_', '-')} is for the person in a box: "
                    f"{model.name} finds everybody"
                )
        super().__init__(model, flip)
        self.image = tf.function(
            self._image, input_signature=[portable.PIXELS], autograph=False
        )

    def described(self):
        """Contents of serving.json."""
        return super().described() | {
            "people": self.codec.people,
            "not_found": "joints that were not found are 0, 0 with score 0, as "
            "are all rows behind count",
            "example": EXAMPLE.splitlines(),
        }

    def _image(self, image):
        """Everybody in a photograph (H, W, 3); see `find`, without B."""
        fitted, back = self.fit(image, plain=True)
        found = self.find(fitted[None], back[None])
        return {name: value[0] for name, value in found.items()}

    def fit(self, image, plain=False):
        """A photograph (H, W, 3) in the middle of the network's input, black
        beside it: (height, width, 3) uint8, and the matrix (2, 3) from its
        pixels to the photograph's. `plain`: see `sampling.sample`."""
        shape = tf.shape(image)[:2]
        whole = tf.concat([[0.0, 0.0], sampling.edge_of(shape)], 0)
        back = sampling.place(whole, shape, self.size)
        return sampling.sample(image, back, self.size, plain), back

    def find(self, fitted, matrices):
        """Everybody in B pictures.

        Args:
            fitted: (B, height, width, 3) uint8, of `fit`.
            matrices: (B, 2, 3), of `fit`.

        Returns:
            dict of joints (B, M, K, 2) x, y in pixels of the photographs,
            scores (B, M, K), person_scores (B, M), the highest first, and count
            (B,) int32; 0 for joints and people that were not found.
        """
        everybody = self.codec.joints(self.seen(fitted))
        joints = geometry.move(everybody.points, matrices[:, None], xp=tnp)
        found = everybody.scores[..., None] > 0
        return {
            "joints": tf.where(found, joints, 0.0),
            "scores": everybody.scores,
            "person_scores": everybody.person_scores,
            "count": everybody.count,
        }


def function_of(model, **settings):
    """The `Finder` or `portable.Locator` of a model, by its codec."""
    everybody = codec_of(model).finds_everybody
    kind = Finder if everybody else portable.Locator
    return kind(model, **settings)


def poses_of(found):
    """`people.Poses` of what `Finder.image`, or a file of it, returns."""
    count = int(found["count"])
    joints, scores, score = (
        np.asarray(found[name])[:count]
        for name in ("joints", "scores", "person_scores")
    )
    return bottom_up.as_poses(joints, scores, score, np.zeros(count, int))
