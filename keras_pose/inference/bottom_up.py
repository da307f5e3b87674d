"""Bottom-up inference: everybody in whole pictures, without boxes."""

import cv2
import numpy as np
from keras import ops

from keras_pose import console, geometry
from keras_pose.data import annotations, pipeline
from keras_pose.inference import top_down
from keras_pose.inference.looks import check_finite, look
from keras_pose.models.heads import codec_of
from keras_pose.people import Poses


def predict(model, dataset, split, *, batch_size, flip=False, **settings):
    """`predict_pictures` of a model that finds everybody, else
    `top_down.predict_people`, which takes the other settings."""
    dataset.check_pictures(codec_of(model).finds_everybody)
    if codec_of(model).finds_everybody:
        return predict_pictures(
            model, dataset, split, batch_size=batch_size, flip=flip
        )
    return top_down.predict_people(
        model, dataset, split, batch_size=batch_size, flip=flip, **settings
    )


def predict_pictures(model, dataset, split, *, batch_size, flip=False):
    """Everybody in each picture.

    Args:
        model: ends in `PoseMaps` of `codecs.Fields`; of the data set's
            skeleton.
        dataset: `data.dataset.Dataset` of whole pictures.
        split: name of the split.
        batch_size: pictures per step.
        flip: average with the mirrored pictures.

    Returns:
        `people.Poses` in the order of the pictures, the best first in each;
        `person` is -1 and `box` unknown, `joints` is NaN for those that were
        not found. There may be none.

    Raises:
        ValueError: other skeleton, records of single people, unknown or empty
            split, or the model's maps are not finite (names the picture).
    """
    codec = codec_of(model)
    if codec.skeleton != dataset.skeleton:
        raise ValueError(
            f"{model.name} predicts joints of {codec.skeleton.name}, but "
            f"{dataset.folder} has {dataset.skeleton.name}"
        )
    dataset.check_pictures(whole=True)
    count = dataset.people(split)
    views = pipeline.views(dataset, split, model.input_shape[1:3], batch_size)
    numbers = annotations.read_subjects(dataset, split).picture
    found = []
    with console.progress(
        total=count, desc=f"predict {split}", unit=" pictures"
    ) as bar:
        for images, matrices in views:
            seen = look(model, images, flip, min(batch_size, count))
            check_finite(seen, dataset, split, bar.n)
            rows = numbers[bar.n : bar.n + len(seen)]
            found.append(poses_of(codec, seen, matrices, rows))
            bar.update(len(seen))
    columns = zip(*found, strict=True)
    return _poses(*(np.concatenate(column) for column in columns))


def poses_of(codec, seen, matrices, pictures):
    """Everybody in a batch of pictures.

    Args:
        codec: `codecs.Fields`.
        seen: (B, h, w, J + 2 L), see there.
        matrices: (B, 2, 3), from pixels of the input to those of the picture.
        pictures: (B,) their numbers.

    Returns:
        of the N people joints (N, K, 2), NaN where not found, scores (N, K),
        score (N,) and picture (N,).
    """
    everybody = codec.joints(seen)
    points, scores, total = (
        ops.convert_to_numpy(values)
        for values in (
            everybody.points,
            everybody.scores,
            everybody.person_scores,
        )
    )
    joints = geometry.move(
        points.astype("float64"), np.asarray(matrices, "float64")[:, None]
    )
    joints = np.where(scores[..., None] > 0, joints, np.nan)
    picture, row = np.nonzero(total > 0)
    chosen = picture, row
    numbers = np.asarray(pictures)[picture]
    return joints[chosen], scores[chosen], total[chosen], numbers


def find(model, image, flip=False):
    """Everybody in a photograph, which is scaled into the network's input.

    Args:
        model: ends in `PoseMaps` of `codecs.Fields`.
        image: (H, W, 3) uint8, RGB, upright.
        flip: average with the mirrored picture.

    Returns:
        `people.Poses` in pixels of the photograph, as of `predict_pictures`.
    """
    size = model.input_shape[1:3]
    fitted, matrix = _fit(image, size)
    seen = look(model, fitted[None], flip, 1)
    return _poses(*poses_of(codec_of(model), seen, matrix[None], [0]))


def _fit(image, size):
    """A picture in the middle of one of `size` (height, width), beside black;
    and the matrix (2, 3) from its pixels to those of the picture."""
    zoom = min(side / own for side, own in zip(size, image.shape, strict=False))
    target = tuple(
        min(side, max(1, round(own * zoom)))
        for side, own in zip(size, image.shape, strict=False)
    )
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    top, left = ((s - t) // 2 for s, t in zip(size, target, strict=True))
    fitted = np.zeros((*size, 3), "uint8")
    inside = fitted[top : top + target[0], left : left + target[1]]
    inside[:] = cv2.resize(image, target[::-1], interpolation=method)
    matrix = geometry.resize_matrix(target, image.shape[:2])
    return fitted, geometry.compose(
        matrix, np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]])
    )


def _poses(joints, scores, score, picture):
    return Poses(
        joints,
        scores,
        person=np.full(len(joints), -1),
        picture=picture,
        score=score,
        missing=scores == 0,
    )
