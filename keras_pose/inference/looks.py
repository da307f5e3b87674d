"""What a network sees in crops."""

import numpy as np
from keras import ops

from keras_pose.data import annotations
from keras_pose.models.heads import codec_of


def look(model, images, flip, count, flip_shift=None):
    """The codec's `seen` of images, numpy.

    Args:
        model: ends in `PoseMaps`.
        images: (B, H, W, 3) uint8, RGB.
        flip: average with the mirrored images.
        count: they become a batch of so many: another size would be traced
            again, which takes a two-stack hourglass longer than a few hundred
            people.
        flip_shift: cells, see `codecs.Heatmaps.mirror`.
    """
    padded = repeat_last(images, count)
    return _seen(model, padded, flip, flip_shift)[: len(images)]


def repeat_last(images, count):
    """Images (B, H, W, 3) and the last again, until there are `count`."""
    images = np.asarray(images)
    padding = np.repeat(images[-1:], count - len(images), axis=0)
    return np.concatenate([images, padding])


def _seen(model, images, flip, flip_shift=None):
    """The codec's `seen` of images, averaged with the mirrored ones."""
    codec = codec_of(model)
    seen = codec.seen(model.predict_on_batch(images))
    if flip:
        images = np.ascontiguousarray(images[:, :, ::-1])
        mirrored = codec.seen(model.predict_on_batch(images))
        seen = (seen + codec.mirror(mirrored, flip_shift)) / 2
    return ops.convert_to_numpy(seen)


def check_finite(maps, dataset, split, first, people=None):
    """ValueError that names the first person whose maps or coordinates (N, ...)
    are not finite; they are those of `people` from `first` on."""
    bad = np.flatnonzero(~np.isfinite(maps.reshape(len(maps), -1)).all(axis=1))
    if bad.size:
        person = first + bad[0]
        person = person if people is None else people[person]
        name = annotations.read_subjects(dataset, split).names[person]
        raise ValueError(
            f"the model's maps are NaN or infinite for {name} (person {person} "
            f"of {split}, from 0): its training diverged"
        )
