"""Draws a cascade: where its first and its last stage find a joint."""

import cv2
import numpy as np
from keras import ops

from keras_pose import drawing, geometry
from keras_pose.data import annotations, pipeline
from keras_pose.inference import top_down
from keras_pose.models import model as models
from keras_pose.models.heads import codecs_of

TILE, DETAIL = 320, 2
"""Pixels of a tile, and of the person's square / of a tile."""
FIRST, LAST, TRUTH = drawing.WRONG, (40, 200, 90), (255, 255, 255)
"""RGB of the points of the first stage, of the last, and of the truth."""


def draw_cascade(model, dataset, split, batch_size, count=6):
    """A sheet with two tiles for each of `count` people of a split.

    Left the person, with the crop that the second stage sees around the joint
    that moves farthest; right this crop. A red point is that of the first
    stage, green that of the last, the white circle is the truth.

    Args:
        model: a cascade, see `models.cascade`.
        dataset: `data.dataset.Dataset`.
        split: name of the split.
        batch_size: of the prediction.
        count: people, always the same; fewer if there are fewer.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rows = np.sort(pipeline.choose(dataset.people(split), count))
    first, last = (
        top_down.predict_people(
            one, dataset, split, batch_size=batch_size, people=rows
        ).joints
        for one in (models.last_output(model, model.output_names[0]), model)
    )
    codec, truth = (
        codecs_of(model)[1],
        annotations.read_subjects(dataset, split),
    )
    size = TILE * DETAIL, TILE * DETAIL
    views = pipeline.views(dataset, split, size, len(rows), people=rows)
    images, backs = next(iter(views.as_numpy_iterator()))
    matrices = geometry.invert(backs.astype("float64"))
    squares = geometry.PERSON_PIXELS * truth.scale[rows]
    sides = ops.convert_to_numpy(codec.sides(first, squares))
    tiles = []
    for n, row in enumerate(rows):
        joint = np.linalg.norm(last[n] - first[n], axis=-1).argmax()
        points = [first[n, joint], last[n, joint], truth.joints[row, joint]]
        points = geometry.move(np.array(points), matrices[n])
        points = points[: 2 + (truth.flags[row, joint] > 0)]
        zoom = np.sqrt(np.abs(np.linalg.det(matrices[n][:, :2])))
        whole = geometry.resize_matrix(size, (TILE, TILE))
        crop = geometry.crop_matrix(
            points[0], sides[n] * zoom, 0.0, (TILE, TILE)
        )
        border = geometry.move(
            np.array([(0, 0), (0, 1), (1, 1), (1, 0)]) * (TILE - 1.0),
            geometry.compose(whole, geometry.invert(crop)),
        )
        for matrix, ring in ((whole, border), (crop, None)):
            tile = cv2.warpAffine(
                images[n], matrix, (TILE, TILE), flags=cv2.INTER_AREA
            )
            if ring is not None:
                ring = ring.round().astype("int32")
                cv2.polylines(tile, [ring], True, TRUTH, 1, cv2.LINE_AA)
            tiles.append(_mark(tile, geometry.move(points, matrix)))
    return drawing.sheet(tiles, 4)


def _mark(tile, points):
    """Draws the point of the first stage, of the last and, if known, of the
    truth."""
    points = np.clip(points, -1e4, 1e4).round().astype(int).tolist()
    cv2.line(tile, points[0], points[1], FIRST, 1, cv2.LINE_AA)
    for point in points[2:]:
        cv2.circle(tile, point, 8, TRUTH, 2, cv2.LINE_AA)
    for point, color in zip(points, (FIRST, LAST), strict=False):
        cv2.circle(tile, point, 4, color, -1, cv2.LINE_AA)
    return tile
