"""A trained model as one function: a photograph's pixels and a box to joints.

The crop, normalisation, the flip test, sub-pixel decoding and the later stages
of a cascade are inside, in operations that the converters to LiteRT, ONNX and
OpenVINO take (`Locator.image`). `serving.Server` adds what only TensorFlow can
do: files' bytes, batches, and errors about bad input. `everybody.Finder` is
that of a model which needs no box.
"""

import keras
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import choices, codecs, geometry, provenance
from keras_pose.data import sampling
from keras_pose.models import cascade, folding, heads
from keras_pose.people import MISSING_THRESHOLD

PIXELS = tf.TensorSpec((None, None, 3), tf.uint8, "image")
"""Of a photograph."""
EXAMPLE = """\
import tensorflow as tf
served = tf.saved_model.load("saved_model")
photo = tf.io.read_file("photo.jpg")
box = tf.constant([[0.0, 0.0, 640.0, 480.0]])
found = served.signatures["encoded"](encoded=photo[None], boxes=box)
print(served.signatures["names"]()["names"], found["joints"], found["missing"])
"""


class Network:
    """A trained model whose weights are constants of a graph.

    Subclasses have `image`, the function that converters write.

    Args:
        model: ends in `PoseMaps`.
        flip: average with the mirrored crops.
    """

    def __init__(self, model, flip=False):
        need_tensorflow()
        self.model = model
        first, *later = cascade.stages_of(model)
        self.codec, self.result = map(heads.codec_of, (first, model))
        self.skeleton = self.codec.skeleton
        self.flip = flip
        self.seen = self._look(first)
        self.later = [
            (heads.codec_of(stage), self._look(stage)) for stage in later
        ]

    @property
    def size(self):
        """(height, width) of the network's input."""
        return self.model.input_shape[1:3]

    def _look(self, stage):
        """The function from crops to what a stage sees."""
        network, codec = folding.fold_norms(stage), heads.codec_of(stage)
        # Constant kernels get their CPU layout once, not at each call.
        values = [(weight, weight.numpy()) for weight in network.variables]

        def seen(crops):
            with keras.StatelessScope(values):
                outputs = network(crops, training=False)
            return codec.seen(outputs)

        function = self._traced(seen)

        def look(crops):
            if not self.flip:
                return function(crops)
            # one batch of both is faster than two calls
            both = tf.concat([crops, tf.reverse(crops, [2])], axis=0)
            seen, mirrored = tf.split(function(both), 2)
            return (seen + codec.mirror(mirrored)) / 2

        return look

    def _traced(self, seen):
        """Here as it is: converters see the layers' names, and no calls."""
        return seen

    def described(self):
        """Contents of serving.json: all that a client needs to know."""
        height, width = self.size
        facts = provenance.of(self.model)
        return {
            "model": self.model.name,
            "provenance": facts,
            **provenance.notes(facts),
            "licence": facts.get("licence", "unknown"),
            "source": facts.get("source", "unknown"),
            "skeleton": self.skeleton.described(),
            "joints": self.skeleton.joints,
            "limbs": self.skeleton.limbs,
            "input": {"height": height, "width": width},
            "outputs": {"codec": type(self.result).__name__}
            | self.result.get_config(),
            "finds_everybody": self.codec.finds_everybody,
            "flip": self.flip,
            "score": self.result.score_is,
            "pixels": "the centre of the first pixel is (0, 0)",
        }


class Locator(Network):
    """Maps the pixels of a photograph and a box to joints in these pixels.

    Args:
        model: ends in `PoseMaps`.
        flip: average with the mirrored crops.
        decoding: one of `gaussians.DECODINGS`.
        missing_threshold: joints with a lower score are missing.
        maps: also return heatmaps, where the model has some: maps (K, h, w),
            and place (2, 3), the matrix from their cells to the photograph.
    """

    def __init__(
        self,
        model,
        flip=False,
        decoding="quarter",
        missing_threshold=MISSING_THRESHOLD,
        maps=False,
    ):
        choices.check("decoding", decoding, codecs.gaussians.DECODINGS)
        if not 0 <= missing_threshold <= 1:
            raise ValueError(
                f"missing_threshold must be 0 ... 1, got {missing_threshold}"
            )
        super().__init__(model, flip)
        if self.codec.finds_everybody:
            raise ValueError(
                f"{model.name} finds everybody: expected a model of the person "
                "in a box"
            )
        self.decoding = decoding
        self.missing_threshold = missing_threshold
        self.maps = maps and isinstance(self.codec, codecs.Heatmaps)
        self.image = tf.function(
            self._image,
            input_signature=[PIXELS, tf.TensorSpec((4,), tf.float32, "box")],
            autograph=False,
        )

    def described(self):
        """Contents of serving.json."""
        return super().described() | {
            "stages": 1 + len(self.later),
            "decoding": self.decoding,
            "missing_threshold": self.missing_threshold,
            "occluded": self.codec.tells_occlusion,
            "boxes": "x, y, width, height in pixels of the upright photograph; "
            "exactly 0, 0, W, H means all of it",
            "example": EXAMPLE.splitlines(),
        }

    def _image(self, image, box):
        """A photograph (H, W, 3) and the box (4,) of one person.

        Nothing raises an error: joints and scores of a box that cannot hold a
        person (`sampling.can_hold`) are NaN.
        """
        shape = tf.shape(image)[:2]
        good = sampling.can_hold(box, shape)
        whole = tf.concat([[0.0, 0.0], sampling.edge_of(shape)], 0)
        # Not `where`: tf2onnx makes a sum of products of it, in which NaN and
        # infinity spread to what was not chosen.
        box = tf.gather(tf.stack([whole, box]), tf.cast(good, tf.int32))
        back = sampling.place(box, shape, self.size)
        crop = sampling.sample(image, back, self.size, plain=True)
        found = self.find(image, crop[None], back[None], plain=True)
        if self.maps:
            size = found["maps"].shape[2:]
            cells = tf.constant([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
            ends = self.codec.to_pixels(cells, size)[None]
            ends = geometry.move(ends, back[None], xp=tnp)[0]
            first, right, low = tf.unstack(ends)
            place = tf.stack([right - first, low - first, first], axis=1)
            found["place"] = place[None]
        for name in ("joints", "scores"):
            found[name] = tf.where(good, found[name], float("nan"))
        return {name: value[0] for name, value in found.items()}

    def find(self, image, crops, matrices, plain=False):
        """The joints of N people; of a cascade, in one photograph.

        Args:
            image: (H, W, 3) uint8; None will do without later stages.
            crops: (N, height, width, 3) uint8.
            matrices: (N, 2, 3) from the crops' pixels to the photographs'.
            plain: see `sampling.sample`; N must be known.

        Returns:
            dict of joints (N, K, 2) in pixels of the photographs, scores
            (N, K), missing (N, K) bool and, if the codec tells it, occluded.
        """
        seen = self.seen(crops)
        points, scores, occluded = self.codec.joints(seen, self.decoding)
        joints = geometry.move(points, matrices, xp=tnp)
        squares = self.size[0] * geometry.pixel_sides(matrices, xp=tnp)
        for codec, look in self.later:
            sides = codec.sides(joints, squares)
            backs = sampling.place_around(
                tf.reshape(joints, (-1, 2)),
                tf.repeat(sides, codec.count),
                self.size,
            )
            backs = tf.reshape(backs, (-1, codec.count, 2, 3))
            steps = look(self._crop(image, backs, plain))
            steps = tf.reshape(steps, (-1, codec.count, codec.count, 3))
            joints, scores = codec.step(steps, joints, backs, sides)
        outputs = {
            "joints": joints,
            "scores": scores,
            "missing": scores < self.missing_threshold,
        }
        if occluded is not None:
            outputs["occluded"] = occluded
        if self.maps:
            maps = seen[..., : self.codec.count]
            outputs["maps"] = tf.transpose(maps, (0, 3, 1, 2))
        return outputs

    def _crop(self, image, backs, plain):
        """Crops (N K, height, width, 3) of a photograph, (N, K, 2, 3)."""
        if plain:
            return tf.stack(
                [
                    sampling.sample(image, back, self.size, plain=True)
                    for person in tf.unstack(backs)
                    for back in tf.unstack(person)
                ]
            )
        return tf.map_fn(
            lambda back: sampling.sample(image, back, self.size),
            tf.reshape(backs, (-1, 2, 3)),
            fn_output_signature=tf.TensorSpec((*self.size, 3), tf.uint8),
        )


def need_tensorflow():
    """Raises ValueError unless Keras runs on TensorFlow."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "photographs are read by a TensorFlow graph: expected "
            f"KERAS_BACKEND=tensorflow, got {backend}; it loads .keras files "
            "of every backend"
        )
