"""One record: a picture and the people in it. Used by every writer and reader.

A record holds an encoded JPEG (a crop around a person or a whole photograph:
the same kind of record), the affine step from its pixels to those of the
published photograph, and its people; the first is the subject. All coordinates
are in the record's own pixels, with pixel centres on whole numbers
(`keras_pose.geometry`).
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

UNKNOWN = float("nan")
"""A length that the data set does not give."""


@dataclass(frozen=True)
class Person:
    """One annotated person, in the pixels of the picture that holds it."""

    joints: np.ndarray
    """(K, 2) x, y; anything where the flag is 0."""
    flags: np.ndarray
    """(K,) COCO's v: 0 not labelled, 1 labelled but occluded, 2 visible."""
    center: np.ndarray
    """(2,) x, y of the middle of the person."""
    scale: float
    """Side of the square around the person / 200 pixels, padding included."""
    head_size: float = UNKNOWN
    """Pixels; 0.6 times the diagonal of MPII's head box."""
    box: tuple = (UNKNOWN,) * 4
    """x, y, width, height; not padded."""
    name: str = ""
    """Who this is in the source, to find the person again: "im1.jpg#2"."""

    def moved(self, matrix):
        """This person in the pixels that a similarity (2, 3) leads to."""
        zoom = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        x, y, width, height = self.box
        corner = matrix[:, :2] @ [x, y] + matrix[:, 2]
        return Person(
            joints=self.joints @ matrix[:, :2].T + matrix[:, 2],
            flags=self.flags,
            center=matrix[:, :2] @ self.center + matrix[:, 2],
            scale=self.scale * zoom,
            head_size=self.head_size * zoom,
            box=(*corner, width * zoom, height * zoom),
            name=self.name,
        )


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its people, the subject first."""

    encoded: bytes
    """JPEG."""
    size: tuple
    """(height, width) in pixels."""
    people: tuple
    """At least one `Person`."""
    source: str
    """File name of the published photograph."""
    matrix: np.ndarray
    """(2, 3) affine step from this picture's pixels to the photograph's."""


def jpeg_damage(encoded):
    """Why some bytes are not a whole JPEG file, "" if they look like one."""
    if not encoded:
        return "the picture is empty"
    if not encoded.startswith(b"\xff\xd8"):
        return f"the picture is not a JPEG, it begins with {encoded[:4]!r}"
    # Coded pixels hold neither marker; a thumbnail's end of image comes before.
    start_of_scan, end_of_image = b"\xff\xda", b"\xff\xd9"
    if encoded.rfind(end_of_image) <= encoded.rfind(start_of_scan):
        return "the JPEG is truncated"
    return ""


def write(picture):
    """A `Picture` as the bytes of one tf.train.Example."""
    if not picture.people:
        raise ValueError(
            f"{picture.source}: a record needs at least one person"
        )
    joints = np.stack([p.joints for p in picture.people]).astype("float32")
    flags = np.stack([p.flags for p in picture.people])
    labelled = joints[flags > 0]
    if not np.isfinite(labelled).all():
        raise ValueError(
            f"{picture.source}: a labelled joint is NaN or infinite"
        )
    if not np.isin(flags, (0, 1, 2)).all():
        raise ValueError(
            f"{picture.source}: flags must be 0, 1 or 2, got {flags}"
        )
    joints[flags == 0] = 0
    features = {
        "image/encoded": _bytes([picture.encoded]),
        "image/size": _ints(picture.size),
        "image/source": _bytes([picture.source.encode()]),
        "image/matrix": _floats(picture.matrix),
        "people/joints": _floats(joints),
        "people/flags": _ints(flags),
        "people/center": _floats([p.center for p in picture.people]),
        "people/scale": _floats([p.scale for p in picture.people]),
        "people/head_size": _floats([p.head_size for p in picture.people]),
        "people/box": _floats([p.box for p in picture.people]),
        "people/name": _bytes([p.name.encode() for p in picture.people]),
    }
    return tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString(deterministic=True)


def read(serialized, joints):
    """Serialized records as tensors; works inside a tf.data graph.

    Args:
        serialized: () or (B,) string tensor.
        joints: number of joints K of the data set's skeleton.

    Returns:
        dict of encoded (), size (2,) int32, source (), matrix (2, 3) and, per
        person, joints (N, K, 2), flags (N, K) int32, center (N, 2), scale (N,),
        head_size (N,), box (N, 4), name (N,); float32 where not said. All with
        B in front for a batch, where N is that of the record with most people
        and what others lack is 0.
    """
    row = tf.io.FixedLenSequenceFeature
    flat = tf.io.parse_example(
        serialized,
        {
            "image/encoded": tf.io.FixedLenFeature((), tf.string),
            "image/size": tf.io.FixedLenFeature((2,), tf.int64),
            "image/source": tf.io.FixedLenFeature((), tf.string),
            "image/matrix": tf.io.FixedLenFeature((2, 3), tf.float32),
            "people/joints": row((joints, 2), tf.float32, allow_missing=True),
            "people/flags": row((joints,), tf.int64, allow_missing=True),
            "people/center": row((2,), tf.float32, allow_missing=True),
            "people/scale": row((), tf.float32, allow_missing=True),
            "people/head_size": row((), tf.float32, allow_missing=True),
            "people/box": row((4,), tf.float32, allow_missing=True),
            "people/name": row((), tf.string, allow_missing=True),
        },
    )
    record = {name.split("/")[1]: value for name, value in flat.items()}
    for name in ("size", "flags"):
        record[name] = tf.cast(record[name], tf.int32)
    return record


def parse(serialized, joints):
    """The same record as a `Picture` of numpy values, outside any graph."""
    record = {k: v.numpy() for k, v in read(serialized, joints).items()}
    people = tuple(
        Person(
            joints=record["joints"][i],
            flags=record["flags"][i],
            center=record["center"][i],
            scale=float(record["scale"][i]),
            head_size=float(record["head_size"][i]),
            box=tuple(record["box"][i].tolist()),
            name=record["name"][i].decode(),
        )
        for i in range(len(record["scale"]))
    )
    return Picture(
        encoded=record["encoded"],
        size=tuple(record["size"].tolist()),
        people=people,
        source=record["source"].decode(),
        matrix=record["matrix"],
    )


def _bytes(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values):
    flat = np.asarray(values).ravel().tolist()
    return tf.train.Feature(int64_list=tf.train.Int64List(value=flat))


def _floats(values):
    flat = np.asarray(values, "float32").ravel().tolist()
    return tf.train.Feature(float_list=tf.train.FloatList(value=flat))
