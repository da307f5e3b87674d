"""The later stages of a cascade: each joint is looked at again, closer.

The crops are cut from the records' pictures, not from the crop of the stage
before. In a flip test each stage is mirrored: the mirrored crop around a joint
is one around the joint of the other side.
"""

import numpy as np
from keras import ops

from keras_pose import console, geometry
from keras_pose.data import pipeline
from keras_pose.inference.looks import check_finite, look
from keras_pose.models.heads import codec_of


def refine(
    stage, dataset, split, joints, matrices, boxes, *, batch_size, flip=False
):
    """The joints of N people after a later stage.

    Args:
        stage: its model; see `models.cascade.stages_of`.
        dataset, split: whose people these are.
        joints: (N, K, 2) after the stage before, in pixels of the photographs.
        matrices: (N, 2, 3) from the crops of the people to the photographs.
        boxes: what made these crops: zoom, shift and people of
            `pipeline.views`, for each of the N people.
        batch_size: crops per step.
        flip: average with the mirrored crops.

    Returns:
        joints (N, K, 2) and scores (N, K).
    """
    codec, size = codec_of(stage), stage.input_shape[1:3]
    zoom, shift, people = boxes
    count = codec.count
    # A square of the photograph for each person, as its crop shows it.
    shown = size[0] * np.sqrt(np.abs(np.linalg.det(matrices[:, :, :2])))
    square = shown / zoom
    sides = ops.convert_to_numpy(codec.sides(joints, square))
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    apart = geometry.move(joints, geometry.invert(matrices)) - middle
    apart = shift[:, None] + apart * (zoom / size[0])[:, None, None]
    views = pipeline.views(
        dataset,
        split,
        size,
        batch_size,
        zoom=np.repeat(sides / square, count),
        shift=apart.reshape(-1, 2),
        people=np.repeat(people, count),
    )
    seen, backs = [], []
    crops = len(people) * count
    with console.progress(total=crops, desc=stage.name, unit=" crops") as bar:
        for images, back in views:
            padded = min(batch_size, crops)
            seen.append(look(stage, images, flip, padded))
            backs.append(np.asarray(back))
            bar.update(len(back))
    seen = np.concatenate(seen).reshape(-1, count, count, 3)
    check_finite(seen, dataset, split, 0, people)
    backs = np.concatenate(backs).reshape(-1, count, 2, 3)
    moved, scores = codec.step(seen, joints, backs, sides)
    moved = ops.convert_to_numpy(moved).astype("float64")
    return moved, ops.convert_to_numpy(scores)
