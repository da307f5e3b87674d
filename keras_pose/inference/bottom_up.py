"""Bottom-up inference: everybody in whole pictures, without boxes."""

import functools

import keras
import numpy as np

from keras_pose import console, geometry
from keras_pose.data import annotations, pipeline
from keras_pose.inference import top_down
from keras_pose.inference.looks import check_finite, look, repeat_last
from keras_pose.models.heads import codec_of
from keras_pose.models.model import without_xla
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
            padded = repeat_last(seen, min(batch_size, count))
            found.append(poses_of(codec, padded, matrices, rows))
            bar.update(len(seen))
    columns = zip(*found, strict=True)
    return as_poses(*(np.concatenate(column) for column in columns))


def poses_of(codec, seen, matrices, pictures):
    """Everybody in a batch of pictures.

    Args:
        codec: `codecs.Fields`.
        seen: (N, h, w, J + 2 L) of B pictures and others that fill the batch
            up: another size would be traced again.
        matrices: (B, 2, 3), from pixels of the input to those of the picture.
        pictures: (B,) their numbers.

    Returns:
        of the P people joints (P, K, 2), of any value where not found, scores
        (P, K), score (P,) and picture (P,).
    """
    values = _grouping(codec).predict_on_batch(seen)
    values = (each[: len(matrices)] for each in values)
    return placed(*values, matrices, pictures)


def placed(points, scores, total, matrices, pictures):
    """`poses_of`, of points (B, M, K, 2) in pixels of the input, scores
    (B, M, K) and of people (B, M), 0 for nobody."""
    joints = geometry.move(
        points.astype("float64"), np.asarray(matrices, "float64")[:, None]
    )
    picture, row = np.nonzero(total > 0)
    chosen = picture, row
    numbers = np.asarray(pictures)[picture]
    return joints[chosen], scores[chosen], total[chosen], numbers


class Grouping(keras.Model):
    """`codec.joints`, which Keras traces: a graph takes a quarter of the time
    of single operations."""

    def __init__(self, codec):
        super().__init__(dtype="float32")
        self.codec = codec

    def call(self, seen):
        everybody = self.codec.joints(seen)
        return everybody.points, everybody.scores, everybody.person_scores


@functools.lru_cache(4)
def _grouping(codec):
    return without_xla(Grouping(codec))


def as_poses(joints, scores, score, picture):
    """`people.Poses` of N people; joints of score 0 were not found."""
    return Poses(
        np.where(scores[..., None] > 0, joints, np.nan),
        scores,
        person=np.full(len(joints), -1),
        picture=picture,
        score=score,
        missing=scores == 0,
    )
