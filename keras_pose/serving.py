"""A trained model as a TensorFlow graph, from photographs to joints.

Reading the photograph, cropping, the flip test, sub-pixel decoding and the
later stages of a cascade are inside. `keras_pose.export` writes it,
`keras_pose.engines` calls it.
"""

import functools

import tensorflow as tf

from keras_pose import everybody, portable
from keras_pose.data import photograph
from keras_pose.models.heads import codec_of

PARALLEL = 4
"""Photographs cropped in parallel; each may take about 100 MB."""
ENCODED = tf.TensorSpec((None,), tf.string, "encoded")
IMAGES = tf.TensorSpec((None, None, None, 3), tf.uint8, "images")
"""Of photographs: files' bytes, or upright pixels."""


class Server(portable.Locator):
    """Maps photographs and boxes to joints in the photographs' pixels.

    `signatures` are those of the SavedModel.
    """

    def __init__(self, *settings, **named):
        super().__init__(*settings, **named)
        boxes = tf.TensorSpec((None, 4), tf.float32, "boxes")
        index = tf.TensorSpec((None,), tf.int32, "photo_index")
        photo, box = self.image.input_signature
        crops, matrices = (
            tf.TensorSpec((None, *spec.shape), spec.dtype)
            for spec in _cropped(self.size)
        )
        # What signatures share is traced once: to trace takes most of the time
        # of an export.
        self._decode = _decoder()
        self._crop_one, self._crop_encoded = _croppers(self.size)
        self._find = _graph(self._find_cropped, crops, matrices)
        self._locate = _graph(self._locate_people, photo, boxes)
        self.encoded = _graph(self._encoded, ENCODED, boxes)
        self.images = _graph(self._images, IMAGES, boxes)
        self.encoded_people = _graph(
            self._encoded_people, ENCODED, boxes, index
        )
        self.images_people = _graph(self._images_people, IMAGES, boxes, index)
        self.image = _graph(self._one, photo, box)
        self.names = _names(self.skeleton)
        self.signatures = {
            "serving_default": self.encoded,
            "encoded": self.encoded,
            "images": self.images,
            "encoded_people": self.encoded_people,
            "images_people": self.images_people,
            "image": self.image,
            "names": self.names,
        }

    def _traced(self, seen):
        """Traced once for all signatures."""
        return _graph(seen, tf.TensorSpec((None, *self.size, 3), tf.uint8))

    def _encoded(self, encoded, boxes):
        """Files' bytes (B,) and boxes (B, 4)."""
        return self._one_each(encoded, boxes, self._crop_encoded, self._decode)

    def _images(self, images, boxes):
        """Upright pictures (B, H, W, 3) and boxes (B, 4)."""
        return self._one_each(images, boxes, self._crop_one)

    def _encoded_people(self, encoded, boxes, photo_index):
        """Files' bytes (P,), boxes (B, 4), and which file each box is of."""
        return self._people(encoded, boxes, photo_index, self._decode)

    def _images_people(self, images, boxes, photo_index):
        """The same of upright pictures (P, H, W, 3)."""
        return self._people(images, boxes, photo_index)

    def _one(self, image, box):
        """`Locator.image`, which here raises an error about a bad box."""
        found = self._locate(image, box[None])
        return {name: value[0] for name, value in found.items()}

    def _one_each(self, pictures, boxes, crop, decode=tf.identity):
        """A box for each photograph."""
        count = tf.shape(pictures)[0]
        tf.debugging.assert_equal(
            count,
            tf.shape(boxes)[0],
            "the number of boxes must be that of the photographs",
        )
        if self.later:  # they read the photograph again: it is decoded once
            return self._people(pictures, boxes, tf.range(count), decode)
        crops, matrices = tf.map_fn(
            lambda pair: crop(*pair),
            (pictures, boxes),
            parallel_iterations=PARALLEL,
            fn_output_signature=_cropped(self.size),
        )
        return self._find(crops, matrices)

    def _people(self, pictures, boxes, photo_index, decode=tf.identity):
        """Any number of boxes for each photograph, which is decoded once."""
        people, photos = tf.shape(boxes)[0], tf.shape(pictures)[0]
        inside = (photo_index >= 0) & (photo_index < photos)
        checks = [
            tf.debugging.assert_equal(
                people,
                tf.shape(photo_index)[0],
                "photo_index must have a number for each box",
            ),
            tf.debugging.Assert(
                tf.reduce_all(inside),
                ["photo_index must be 0 ... photographs - 1, got", photo_index],
            ),
        ]
        with tf.control_dependencies(checks):
            photo_index = tf.identity(photo_index)
        count = self.codec.count
        kinds = {
            "joints": (tf.float32, (count, 2)),
            "scores": (tf.float32, (count,)),
            "missing": (tf.bool, (count,)),
        }
        if self.codec.tells_occlusion:
            kinds["occluded"] = (tf.bool, (count,))

        def find(i, found):
            image = decode(pictures[i])
            rows = tf.reshape(tf.where(tf.equal(photo_index, i)), (-1,))
            rows = tf.cast(rows, tf.int32)
            new = self._locate(image, tf.gather(boxes, rows))
            return i + 1, {
                name: array.scatter(rows, new[name])
                for name, array in found.items()
            }

        empty = {
            name: tf.TensorArray(kind, people, element_shape=shape)
            for name, (kind, shape) in kinds.items()
        }
        _, found = tf.while_loop(
            lambda i, _: i < photos,
            find,
            (0, empty),
            parallel_iterations=PARALLEL,
        )
        return {name: array.stack() for name, array in found.items()}

    def _locate_people(self, image, boxes):
        """Any number of boxes (N, 4) of one photograph (H, W, 3)."""
        crops, matrices = tf.map_fn(
            lambda box: self._crop_one(image, box),
            boxes,
            fn_output_signature=_cropped(self.size),
        )
        if self.later:
            return self.find(image, crops, matrices)
        return self._find(crops, matrices)

    def _find_cropped(self, crops, matrices):
        """`find` without later stages, which alone read the photograph."""
        return self.find(None, crops, matrices)


class FinderServer(everybody.Finder):
    """Maps photographs to everybody in them; `signatures` as of `Server`."""

    def __init__(self, *settings, **named):
        super().__init__(*settings, **named)
        # Grouping takes long to trace: once for all signatures.
        batches = [
            tf.TensorSpec((None, *one.shape), one.dtype)
            for one in _cropped(self.size)
        ]
        self.find = _graph(self.find, *batches)
        self._fit_one = _graph(self._fitted, portable.PIXELS)
        self.encoded = _graph(self._encoded, ENCODED)
        self.images = _graph(self._images, IMAGES)
        self.image = _graph(self._one, portable.PIXELS)
        self.names = _names(self.skeleton)
        self.signatures = {
            "serving_default": self.encoded,
            "encoded": self.encoded,
            "images": self.images,
            "image": self.image,
            "names": self.names,
        }

    def _encoded(self, encoded):
        """Files' bytes (B,)."""
        return self._each(encoded, _decoder())

    def _images(self, images):
        """Upright pictures (B, H, W, 3)."""
        return self._each(images, tf.identity)

    def _one(self, image):
        """A picture (H, W, 3)."""
        found = self._images(image[None])
        return {name: value[0] for name, value in found.items()}

    def _each(self, pictures, decode):
        fitted, matrices = tf.map_fn(
            lambda picture: self._fit_one(decode(picture)),
            pictures,
            parallel_iterations=PARALLEL,
            fn_output_signature=_cropped(self.size),
        )
        return self.find(fitted, matrices)

    def _fitted(self, image):
        """`fit` of a picture that has pixels."""
        shape = tf.shape(image)[:2]
        words = ["a picture must have pixels, got height and width", shape]
        good = tf.debugging.Assert(tf.reduce_all(shape > 0), words)
        with tf.control_dependencies([good]):
            return self.fit(tf.identity(image))


def serve(model, **settings):
    """The `FinderServer` or `Server` of a model, by its codec."""
    kind = FinderServer if codec_of(model).finds_everybody else Server
    return kind(model, **settings)


@functools.cache
def _decoder():
    """`photograph.decode_still`, traced once for all exports of a process."""
    return _graph(photograph.decode_still, tf.TensorSpec((), tf.string))


@functools.cache
def _croppers(size):
    """`photograph.crop` and `crop_encoded`, traced once for all of a size."""
    decode = _decoder()
    box = tf.TensorSpec((4,), tf.float32)

    def upright(image, box):
        return photograph.crop(image, box, size)

    crop = _graph(upright, tf.TensorSpec((None, None, 3), tf.uint8), box)

    def encoded(encoded, box):
        return photograph.crop_encoded(
            encoded, box, size, lambda: crop(decode(encoded), box)
        )

    return crop, _graph(encoded, tf.TensorSpec((), tf.string), box)


def _names(skeleton):
    """A graph without inputs: the joints' names (K,), in the order of every
    other output."""
    return _graph(lambda: {"names": tf.constant(skeleton.joints)})


def _cropped(size):
    """Of a crop and its matrix."""
    return (
        tf.TensorSpec((*size, 3), tf.uint8),
        tf.TensorSpec((2, 3), tf.float32),
    )


def _graph(function, *signature):
    return tf.function(function, input_signature=signature, autograph=False)
