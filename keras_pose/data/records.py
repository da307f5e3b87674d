"""One record: a picture and the people in it, written and read.

A record holds an encoded JPEG (a crop around a person or a whole photograph:
the same kind of record), the affine matrix from its pixels to those of the
published photograph, and its people; the first is the subject. The subject of a
record of a whole picture is the picture itself, the people in it follow,
and there may be none. All coordinates are in the record's own pixels,
with pixel centres on whole numbers (`keras_pose.geometry`).
"""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

UNKNOWN = float("nan")
"""A length that the data set does not give."""
PIXELS = 200_000_000
"""Most pixels of a picture; the largest phone cameras have 16,320 x 12,240."""


RECORD_BYTES = 2**26
"""Most bytes of one record: a photograph and the people in it."""
PEOPLE = 1_000
"""Most people in one record; a photograph of COCO has up to 20."""
PNG = b"\x89PNG\r\n\x1a\n"
"""The first bytes of a PNG; its size follows in the header."""
START_OF_SCAN = b"\xda"
FRAMES = {bytes([m]) for m in range(0xC0, 0xD0)} - {b"\xc4", b"\xc8", b"\xcc"}
"""Second bytes of a JPEG's markers; the size follows one of FRAMES."""


NUMBERS = {
    "center": (2,),
    "scale": (),
    "head_size": (),
    "box": (4,),
    "matrix": (2, 3),
}
"""Shapes of a subject's float32 values, except joints."""


@dataclass(frozen=True)
class Person:
    """One annotated person, in the pixels of the picture that holds it."""

    joints: np.ndarray
    """(K, 2) x, y; undefined where the flag is 0."""
    flags: np.ndarray
    """(K,) COCO's v: 0 not labelled, 1 labelled but occluded, 2 visible."""
    center: np.ndarray
    """(2,) x, y of the person's centre."""
    scale: float
    """Side of the square around the person / 200 pixels, padding included."""
    head_size: float = UNKNOWN
    """Pixels; 0.6 times the diagonal of MPII's head box."""
    box: tuple = (UNKNOWN,) * 4
    """x, y, width, height; not padded."""
    name: str = ""
    """Identifies the person in the source: "im1.jpg#2"."""
    area: float = UNKNOWN
    """Pixels that the person covers."""
    track: int = -1
    """The person's number in a clip, -1 if unknown."""

    def moved(self, matrix):
        """This person after a similarity transform (2, 3)."""
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
            area=self.area * zoom**2,
            track=self.track,
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
    """(2, 3) affine matrix from this picture's pixels to the photograph's."""
    ignore: bytes = b""
    """PNG of one channel and the same size: 255 where nobody is labelled though
    somebody is there, else 0; empty: no such place."""
    clip: str = ""
    """Name of the clip that it is a frame of."""
    frame: int = -1
    """Number of the frame in its clip."""

    @property
    def is_whole(self):
        """Whether its subject is the picture itself: no joint is labelled."""
        first = self.people[0]
        return first.name == self.source and not np.any(first.flags)

    @property
    def counted(self):
        """The people whom it is there for: the subject, or all in a whole."""
        return self.people[1:] if self.is_whole else self.people[:1]


def jpeg_damage(encoded):
    """Why bytes are not a complete JPEG file, "" if they look like one."""
    if not encoded:
        return "the picture is empty"
    if not encoded.startswith(b"\xff\xd8"):
        return f"the picture is not a JPEG, it begins with {encoded[:4]!r}"
    # Coded pixels hold neither marker; a thumbnail's end of image comes first.
    start_of_scan, end_of_image = b"\xff\xda", b"\xff\xd9"
    if encoded.rfind(end_of_image) <= encoded.rfind(start_of_scan):
        return "the JPEG is truncated"
    return ""


def jpeg_size(encoded):
    """(height, width) in the header of a JPEG; None if there is none."""
    at = 2
    while encoded[at : at + 1] == b"\xff":
        marker = encoded[at + 1 : at + 2]
        length = int.from_bytes(encoded[at + 2 : at + 4], "big")
        if marker == b"\xff":  # a fill byte
            at += 1
        elif marker in FRAMES and len(encoded) > at + 8:
            height, width = encoded[at + 5 : at + 7], encoded[at + 7 : at + 9]
            return tuple(int.from_bytes(n, "big") for n in (height, width))
        elif length < 2 or marker == START_OF_SCAN:
            return None
        else:
            at += 2 + length
    return None


def png_size(encoded):
    """(height, width) in the header of a PNG; None if it is not one."""
    if not encoded.startswith(PNG) or len(encoded) < 24:
        return None
    width, height = encoded[16:20], encoded[20:24]
    return tuple(int.from_bytes(n, "big") for n in (height, width))


def too_large(size):
    """Why a picture of (height, width) is too large, "" if it is not."""
    if size[0] * size[1] <= PIXELS:
        return ""
    return f"{size[1]} x {size[0]} pixels are more than {PIXELS:,}"


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
    area = np.array([p.area for p in picture.people])
    track = np.array([p.track for p in picture.people])
    if not np.isnan(area).all():
        features["people/area"] = _floats(area)
    if (track >= 0).any():
        features["people/track"] = _ints(track)
    if picture.ignore:
        features["image/ignore"] = _bytes([picture.ignore])
    if picture.clip:
        features["image/clip"] = _bytes([picture.clip.encode()])
        features["image/frame"] = _ints([picture.frame])
    return tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString(deterministic=True)


def key_of(name):
    """Name of a subject's value in a record."""
    return f"image/{name}" if name == "matrix" else f"people/{name}"


def first(values):
    """The first value, that of the subject; b"" if there is none."""
    return values[0] if values else b""


def unusable(feature, joints):
    """Why a record cannot be used, or "" for a good one."""
    for name in ("image/encoded", "image/source"):
        count = len(feature[name].bytes_list.value)
        if count != 1:
            return f" must have 1 value in {name}, got {count}"
    encoded = first(feature["image/encoded"].bytes_list.value)
    damage = jpeg_damage(encoded)
    if damage:
        return f": {damage}"
    size = jpeg_size(encoded)
    stored = (*feature["image/size"].int64_list.value,)
    if size is None or size != stored or not min(size):
        return f": its picture is {size}, but image/size is {stored}"
    if too_large(size):
        return f": {too_large(size)}"
    people = len(feature["people/scale"].float_list.value)
    if not people:
        return " holds no people"
    if people > PEOPLE:
        return f" must hold at most {PEOPLE:,} people, got {people:,}"
    flags = feature["people/flags"].int64_list.value
    if len(flags) != people * joints:
        count = len(flags) / people
        return f" must have {joints} joints per person, got {count:g}"
    if not set(flags) <= {0, 1, 2}:
        return f": flags must be 0, 1 or 2, got {sorted(set(flags))}"
    names = len(feature["people/name"].bytes_list.value)
    if names != people:
        return f" must have {people} values in people/name, got {names}"
    kinds = {"ignore": "bytes", "clip": "bytes", "frame": "int64"}
    for name, kind in kinds.items():
        values = getattr(feature[f"image/{name}"], f"{kind}_list").value
        if len(values) > 1:
            return f" must have 1 value in image/{name}, got {len(values)}"
    for name, kind in (("area", "float"), ("track", "int64")):
        values = getattr(feature[f"people/{name}"], f"{kind}_list").value
        if len(values) not in (0, people):
            got = f"got {len(values)}"
            return f" must have {people} numbers in people/{name}, {got}"
    area = feature["people/area"].float_list.value
    if np.less(area, 0).any() or np.isinf(area).any():
        return ": people/area is negative or infinite"
    mask = first(feature["image/ignore"].bytes_list.value)
    if mask and png_size(mask) != size:
        return f": image/ignore must be a PNG of {size}, got {png_size(mask)}"
    numbers = {}
    for name, shape in (NUMBERS | {"joints": (joints, 2)}).items():
        count = math.prod(shape) * (1 if name == "matrix" else people)
        values = feature[key_of(name)].float_list.value
        if len(values) != count:
            got = f"got {len(values)}"
            return f" must have {count} numbers in {key_of(name)}, {got}"
        numbers[name] = np.reshape(values, (-1, *shape))
    return _wrong_numbers(numbers, np.reshape(flags, (-1, joints)))


def _wrong_numbers(numbers, flags):
    """`unusable` for the numbers of all people in a record."""
    scale, center = numbers["scale"][0], numbers["center"][0]
    if not 0 < scale < math.inf:
        return f": the subject's scale must be positive, got {scale}"
    if not np.isfinite(center).all():
        return f": the subject's centre must be finite, got {center}"
    if not np.isfinite(numbers["joints"][flags > 0]).all():
        return ": a labelled joint is NaN or infinite"
    (matrix,) = numbers["matrix"]
    with np.errstate(all="ignore"):
        area = abs(np.linalg.det(matrix[:, :2]))
    if not (np.isfinite(matrix).all() and 0 < area < math.inf):
        return f": image/matrix must be invertible, got {matrix.tolist()}"
    for name in ("head_size", "box"):
        if np.isinf(numbers[name]).any():
            return f": people/{name} is infinite"
    return ""


def read(serialized, joints):
    """Serialized records as tensors; works inside a tf.data graph.

    Args:
        serialized: () or (B,) string tensor.
        joints: number of joints K of the data set's skeleton.

    Returns:
        dict of encoded (), size (2,) int32, source (), matrix (2, 3) and, per
        person, joints (N, K, 2), flags (N, K) int32, center (N, 2), scale (N,),
        head_size (N,), box (N, 4), area (N,), track (N,) int32, name (N,);
        float32 unless noted; ignore (), clip () and frame () int32. What a
        record lacks is NaN, -1 or empty. A batch has an axis B in front; its N
        is that of the record with most people, and other records are padded
        with 0, NaN in area and -1 in track.
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
            "people/area": row((), tf.float32, True, UNKNOWN),
            "people/track": row((), tf.int64, True, -1),
            "image/ignore": tf.io.FixedLenFeature((), tf.string, ""),
            "image/clip": tf.io.FixedLenFeature((), tf.string, ""),
            "image/frame": tf.io.FixedLenFeature((), tf.int64, -1),
        },
    )
    record = {name.split("/")[1]: value for name, value in flat.items()}
    people = tf.shape(record["scale"])[-1]
    for name, absent in (("area", UNKNOWN), ("track", -1)):
        values = record[name]
        before = [[0, 0]] * (values.shape.rank - 1)
        lacking = people - tf.shape(values)[-1]
        record[name] = tf.pad(
            values, [*before, [0, lacking]], constant_values=absent
        )
    for name in ("size", "flags", "track", "frame"):
        record[name] = tf.cast(record[name], tf.int32)
    return record


def parse(serialized, joints):
    """A record as a `Picture` of numpy values, outside any graph."""
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
            area=float(record["area"][i]),
            track=int(record["track"][i]),
        )
        for i in range(len(record["scale"]))
    )
    return Picture(
        encoded=record["encoded"],
        size=tuple(record["size"].tolist()),
        people=people,
        source=record["source"].decode(),
        matrix=record["matrix"],
        ignore=record["ignore"],
        clip=record["clip"].decode(),
        frame=int(record["frame"]),
    )


def _bytes(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values):
    flat = np.asarray(values).ravel().tolist()
    return tf.train.Feature(int64_list=tf.train.Int64List(value=flat))


def _floats(values):
    flat = np.asarray(values, "float32").ravel().tolist()
    return tf.train.Feature(float_list=tf.train.FloatList(value=flat))
