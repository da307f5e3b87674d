"""A trained model as a TensorFlow graph, from photographs to joints.

Reading the photograph, cropping, the flip test, sub-pixel decoding and the
later stages of a cascade are inside. `keras_pose.export` writes it,
`keras_pose.predict` calls it.
"""

import keras
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import choices, codecs, geometry
from keras_pose.data import photograph
from keras_pose.models import cascade, folding, heads
from keras_pose.people import MISSING_THRESHOLD

PARALLEL = 4
"""Photographs cropped in parallel; each may take about 100 MB."""


class Server:
    """Maps photographs and boxes to joints in the photographs' pixels."""

    def __init__(
        self,
        model,
        flip=False,
        decoding="quarter",
        missing_threshold=MISSING_THRESHOLD,
    ):
        need_tensorflow()
        choices.check("decoding", decoding, codecs.gaussians.DECODINGS)
        if not 0 <= missing_threshold <= 1:
            raise ValueError(
                f"missing_threshold must be 0 ... 1, got {missing_threshold}"
            )
        self.model = model
        first, *later = cascade.stages_of(model)
        self.codec, self.result = map(heads.codec_of, (first, model))
        self.skeleton = self.codec.skeleton
        self.flip = flip
        self.decoding = decoding
        self.missing_threshold = missing_threshold
        self.seen = self._look(first)
        self.later = [
            (heads.codec_of(stage), self._look(stage)) for stage in later
        ]
        boxes = tf.TensorSpec((None, 4), tf.float32, "boxes")
        self.encoded = tf.function(
            self._encoded,
            input_signature=[
                tf.TensorSpec((None,), tf.string, "encoded"),
                boxes,
            ],
            autograph=False,
        )
        self.images = tf.function(
            self._images,
            input_signature=[
                tf.TensorSpec((None, None, None, 3), tf.uint8, "images"),
                boxes,
            ],
            autograph=False,
        )
        self.names = tf.function(
            self._names, input_signature=[], autograph=False
        )

    @property
    def size(self):
        """(height, width) of the network's input."""
        return self.model.input_shape[1:3]

    def _look(self, stage):
        """The function from crops to what a stage sees, traced once for all
        signatures."""
        network, codec = folding.fold_norms(stage), heads.codec_of(stage)
        # Constant kernels get their CPU layout once, not at each call.
        values = [(weight, weight.numpy()) for weight in network.variables]

        def seen(crops):
            with keras.StatelessScope(values):
                outputs = network(crops, training=False)
            return codec.seen(outputs)

        function = tf.function(
            seen,
            input_signature=[tf.TensorSpec((None, *self.size, 3), tf.uint8)],
            autograph=False,
        )

        def look(crops):
            if not self.flip:
                return function(crops)
            # one batch of both is faster than two calls
            both = tf.concat([crops, tf.reverse(crops, [2])], axis=0)
            seen, mirrored = tf.split(function(both), 2)
            return (seen + codec.mirror(mirrored)) / 2

        return look

    def _encoded(self, encoded, boxes):
        """Files' bytes (B,) and boxes (B, 4)."""
        crop = photograph.crop_encoded
        return self._locate(encoded, boxes, crop, photograph.decode)

    def _images(self, images, boxes):
        """Upright pictures (B, H, W, 3) and boxes (B, 4)."""
        return self._locate(images, boxes, photograph.crop)

    def _names(self):
        """The joints' names (K,), in the order of every other output."""
        return {"names": tf.constant(self.skeleton.joints)}

    def _locate(self, pictures, boxes, crop, decode=tf.identity):
        tf.debugging.assert_equal(
            tf.shape(pictures)[0],
            tf.shape(boxes)[0],
            "the number of boxes must be that of the photographs",
        )
        crops, matrices = tf.map_fn(
            lambda pair: crop(*pair, self.size),
            (pictures, boxes),
            parallel_iterations=PARALLEL,
            fn_output_signature=(
                tf.TensorSpec((*self.size, 3), tf.uint8),
                tf.TensorSpec((2, 3), tf.float32),
            ),
        )
        points, scores, occluded = self.codec.joints(
            self.seen(crops), self.decoding
        )
        joints = geometry.move(points, matrices, xp=tnp)
        shown = tf.sqrt(tf.abs(tf.linalg.det(matrices[:, :, :2])))
        squares = self.size[0] * shown
        for codec, look in self.later:
            sides = codec.sides(joints, squares)
            crops, backs = tf.map_fn(
                lambda one: photograph.crop_around(
                    decode(one[0]), *one[1:], self.size
                ),
                (pictures, joints, sides),
                parallel_iterations=PARALLEL,
                fn_output_signature=(
                    tf.TensorSpec((codec.count, *self.size, 3), tf.uint8),
                    tf.TensorSpec((codec.count, 2, 3), tf.float32),
                ),
            )
            seen = look(tf.reshape(crops, (-1, *self.size, 3)))
            seen = tf.reshape(seen, (-1, codec.count, codec.count, 3))
            joints, scores = codec.step(seen, joints, backs, sides)
        outputs = {
            "joints": joints,
            "scores": scores,
            "missing": scores < self.missing_threshold,
        }
        if occluded is not None:
            outputs["occluded"] = occluded
        return outputs


def need_tensorflow():
    """Raises ValueError unless Keras runs on TensorFlow."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "photographs are read by a TensorFlow graph: expected "
            f"KERAS_BACKEND=tensorflow, got {backend}; it loads .keras files "
            "of every backend"
        )
