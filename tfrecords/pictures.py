"""Records of whole pictures: one for each, with everybody in it.

What systems need that find several people at once. People whom nobody has
labelled and crowds are masked (`records.Picture.ignore`): a network that finds
them is neither right nor wrong.
"""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from pycocotools import mask as outlines

from keras_pose import geometry, untrusted
from keras_pose.data import records
from tfrecords import crops, keypoints

ASPECT = 1.0
"""Width / height that the frame of a picture is fitted to."""
COVERED = 0.53
"""Share of a box that a person covers, as in CrowdPose's evaluation."""
DESCRIPTION = {"aspect": ASPECT, "whole_pictures": True}
"""What dataset.json says of whole pictures."""


def make(task, pixels):
    """The record of a whole picture.

    Args:
        task: (path, people, source, size, ignored, K): as of `crops.cut`, but
            there may be no people; the shapes that are to be ignored, see
            `drawn`; and the number of joints.
        pixels: the longer side is reduced to this, never enlarged.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a whole JPEG, or an outline that is none.
    """
    path, people, source, size, ignored, joints = task
    if size:
        encoded, image = crops.read_photograph(path, size)
    else:
        encoded, image = crops.read_jpeg(path)
    size = image.shape[:2]
    target = size
    if max(size) > pixels:
        zoom = pixels / max(size)
        target = tuple(max(1, round(side * zoom)) for side in size)
    if target != size or encoded is None:
        encoded = crops.encode(image, target)
    matrix = geometry.resize_matrix(size, target)
    try:
        mask = ignore_mask(ignored, size, target)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    return records.Picture(
        encoded=encoded,
        size=target,
        people=(
            frame(target, joints, source),
            *(person.moved(matrix) for person in people),
        ),
        source=source,
        matrix=geometry.invert(matrix),
        ignore=mask,
    )


def frame(size, joints, source):
    """The subject of a record of a whole picture: the picture itself.

    Args:
        size: (height, width) of the picture.
        joints: number of joints K, none of which is labelled.
        source: file name of the photograph.
    """
    height, width = size
    box = 0, 0, width, height
    center, scale = geometry.box_to_center_scale(box, padding=1.0)
    return records.Person(
        joints=np.zeros((joints, 2)),
        flags=np.zeros(joints, int),
        center=center,
        scale=float(scale),
        box=box,
        name=source,
    )


def ignore_mask(ignored, size, target):
    """A PNG of `target` (height, width): 255 on shapes in a picture of `size`.

    Empty if there are no shapes.
    """
    if not ignored:
        return b""
    mask = np.zeros(size, "uint8")
    for shape in ignored:
        mask |= drawn(shape, size)
    mask = cv2.resize(
        255 * mask, target[::-1], interpolation=cv2.INTER_NEAREST_EXACT
    )
    return encode_mask(mask)


def encode_mask(mask):
    """The PNG of a mask (H, W) uint8, 255 where it is ignored; empty if nowhere
    is."""
    return cv2.imencode(".png", mask)[1].tobytes() if mask.any() else b""


def drawn(shape, size):
    """A shape as a mask (H, W) uint8 of 0 and 1.

    Args:
        shape: as COCO's `segmentation`: a list of polygons [x, y, x, y ...], or
            {"counts": runs of 0 and 1 down the columns, "size": [H, W]}.
        size: (H, W) of the picture.

    Raises:
        ValueError: it is neither, or of another size.
    """
    height, width = size
    if isinstance(shape, dict):
        counts = shape.get("counts")
        if not (
            isinstance(counts, list)
            and all(untrusted.is_count(count) for count in counts)
            and sum(counts) == height * width
            and [*shape.get("size", ())] == [height, width]
        ):
            raise ValueError(
                f"an outline must have runs of all {height} x {width} pixels, "
                f"got {str(shape):.60}"
            )
        values = np.repeat(np.arange(len(counts)) % 2, counts)
        return values.reshape(width, height).T.astype("uint8")
    polygons = []
    for polygon in shape if isinstance(shape, list) else [shape]:
        if not (
            isinstance(polygon, list)
            and len(polygon) >= 6
            and len(polygon) % 2 == 0
            and all(untrusted.is_number(value) for value in polygon)
        ):
            raise ValueError(
                "a polygon must be x, y of three points or more, got "
                f"{str(polygon):.60}"
            )
        points = np.reshape(polygon, (-1, 2)).clip(0, (width, height))
        polygons.append(points.ravel().tolist())
    if not polygons:
        return np.zeros(size, "uint8")
    return outlines.decode(
        outlines.merge(outlines.frPyObjects(polygons, height, width))
    )


def box_shape(box):
    """A box x, y, width, height as a shape, for who has no outline."""
    x, y, width, height = box
    right, low = x + width, y + height
    return [[x, y, right, y, right, low, x, low]]


def box_area(box):
    """Pixels that a person covers, by the box x, y, width, height."""
    return COVERED * max(0, box[2]) * max(0, box[3])


def tasks(truth, content, folder, skeleton):
    """The tasks of a split's photographs, those without people among them.

    Args:
        truth: of the split, in COCO's form (`keypoints`). Annotations may have
            track and head_size, images shapes that are ignored.
        content: the file of its annotations, whose `segmentation`s are drawn.
        folder: of the photographs.
        skeleton: the order of the joints.

    Returns:
        [(path, people, source, size, ignored, K)], the argument of `make`.
    """
    shapes = {
        row.get("id"): row.get("segmentation") for row in content["annotations"]
    }
    names = {row["id"]: row["file_name"] for row in truth["images"]}
    people = {image: [] for image in names}
    ignored = {row["id"]: [*row.get("ignored", ())] for row in truth["images"]}
    for row in truth["annotations"]:
        image = row["image_id"]
        if not row["iscrowd"] and keypoints.has_extent(row["bbox"]):
            name = f"{names[image]}#{row['id']}"
            person = keypoints.person_of(row, name, ASPECT)
            known = {k: row[k] for k in ("track", "head_size") if k in row}
            people[image].append(
                replace(person, area=float(row["area"]), **known)
            )
        if row["iscrowd"] or not any(row["keypoints"][2::3]):
            shape = shapes.get(row["id"]) or box_shape(row["bbox"])
            ignored[image].append(shape)
    joints = len(skeleton.joints)
    return [
        (path, people[row["id"]], source, size, ignored[row["id"]], joints)
        for row in truth["images"]
        for path, source, size in [keypoints.place(row, folder, skeleton)]
    ]


def settings(pixels):
    """What `crops.save` is told of whole pictures; `pixels` as in `make`."""
    return {"make": partial(make, pixels=pixels), **DESCRIPTION}
