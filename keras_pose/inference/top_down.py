"""Top-down inference: from crops of people to joints in the photographs.

Flip test: the mirrored picture's maps are mirrored back, left and right joints
swapped, and averaged with the originals. Pyramid test: the maps of several
crops of a person, larger and smaller, are resampled to one frame and averaged
as probabilities (HSM, section IV; the six scales 0.7 ... 1.3 are PyraNet's,
https://arxiv.org/abs/1708.01101). The later stages of a cascade start from that
(`inference.refinement`).
"""

import numpy as np
from keras import ops

from keras_pose import console, geometry
from keras_pose.data import annotations, pipeline
from keras_pose.inference import refinement, suppress
from keras_pose.inference.looks import check_finite, look, repeat_last
from keras_pose.models import cascade
from keras_pose.models import model as models
from keras_pose.models.heads import codec_of, supervised_stages
from keras_pose.people import Poses

PYRAMID = 0.7, 1.3
"""Smallest and largest side of the crop in a pyramid test / the usual side."""


def probabilities(model, images, flip=False, batch_size=None):
    """Heights of the Gaussians that a model predicts.

    Args:
        model: ends in `PoseMaps` of heatmaps.
        images: (B, H, W, 3) uint8, RGB.
        flip: average with the mirrored images.
        batch_size: images per step; None: all at once.

    Returns:
        (B, h, w, K) numpy float32.
    """
    joints = codec_of(model).count
    step = batch_size or len(images)
    maps = [
        look(model, images[start : start + step], flip, step)
        for start in range(0, len(images), step)
    ]
    return np.concatenate(maps)[..., :joints]


def predict_people(
    model,
    dataset,
    split,
    *,
    batch_size,
    flip=False,
    flip_shift=None,
    scales=1,
    decoding="quarter",
    keep_maps=False,
    zoom=1.0,
    shift=(0.0, 0.0),
    people=None,
):
    """Joints of each record's subject.

    Args:
        model: ends in `PoseMaps`; of the data set's skeleton.
        dataset: `data.dataset.Dataset`.
        split: name of the split.
        batch_size: people per step.
        flip: average with the mirrored images.
        flip_shift: cells, see `codecs.Heatmaps.mirror`.
        scales: crops per person; more than one is the pyramid test.
        decoding: one of `gaussians.DECODINGS`.
        keep_maps: also return the maps.
        zoom: factor on the side of the box, see `pipeline.views`.
        shift: shift of the box, as there.
        people: indices of the people to predict, as there.

    Returns:
        `people.Poses`; a pose's score is that of its box times the mean of its
        certain joints (`suppress.rescore`).

    Raises:
        ValueError: other skeleton, unknown or empty split, or the model's maps
            are not finite (names the first person).
    """
    model, *later = cascade.stages_of(model)
    codec = codec_of(model)
    if codec.skeleton != dataset.skeleton:
        raise ValueError(
            f"{model.name} predicts joints of {codec.skeleton.name}, but "
            f"{dataset.folder} has {dataset.skeleton.name}"
        )
    if scales < 1:
        raise ValueError(f"scales must be 1 or more, got {scales}")
    count = dataset.people(split)  # fails early if there is no such split
    count = count if people is None else len(people)
    size = model.input_shape[1:3]
    zooms = np.linspace(*PYRAMID, scales) if scales > 1 else [1.0]
    views = [
        pipeline.views(
            dataset,
            split,
            size,
            batch_size,
            zoom=np.multiply(zoom, step),
            shift=shift,
            people=people,
        )
        for step in zooms
    ]
    joints, scores, kept, occluded, crops = [], [], [], [], []
    title, unit = f"predict {split}", f" {dataset.subjects}"
    with console.progress(total=count, desc=title, unit=unit) as bar:
        for batch in zip(*views, strict=True):
            looks = [
                look(model, images, flip, min(batch_size, count), flip_shift)
                for images, _ in batch
            ]
            seen = codec.merge(looks, zooms, size)
            seen = ops.convert_to_numpy(seen)
            check_finite(seen, dataset, split, bar.n, people)
            points, peaks, hidden = codec.joints(seen, decoding)
            matrices = _usual(batch[0][1], zooms[0], size)
            points = ops.convert_to_numpy(points).astype("float64")
            joints.append(geometry.move(points, matrices))
            scores.append(ops.convert_to_numpy(peaks))
            crops.append(matrices)
            if hidden is not None:
                occluded.append(ops.convert_to_numpy(hidden))
            if keep_maps:
                kept.append(seen[..., : codec.count])
            bar.update(len(seen))
    joints, scores = np.concatenate(joints), np.concatenate(scores)
    subjects = annotations.read_subjects(dataset, split)
    rows = np.arange(len(subjects)) if people is None else np.asarray(people)
    for stage in later:
        joints, scores = refinement.refine(
            stage,
            dataset,
            split,
            joints,
            np.concatenate(crops),
            (
                np.broadcast_to(zoom, len(rows)),
                np.broadcast_to(shift, (len(rows), 2)),
                rows,
            ),
            batch_size=batch_size,
            flip=flip,
        )
    detected = annotations.is_detected(dataset, split)
    sides = geometry.PERSON_PIXELS * subjects.scale[rows]
    if dataset.aspect:
        aspect = size[1] / size[0]
        sides *= geometry.refit(subjects.box[rows], dataset.aspect, aspect)
    return Poses(
        joints,
        scores,
        person=np.full(len(rows), -1) if detected else rows,
        picture=subjects.picture[rows],
        score=suppress.rescore(subjects.score[rows], scores),
        box=subjects.box[rows],
        area=np.square(sides) * size[1] / size[0],
        maps=np.concatenate(kept) if keep_maps else None,
        occluded=np.concatenate(occluded) if occluded else None,
    )


def predict_stages(model, dataset, split, *, batch_size, decoding="quarter"):
    """Joints of each record's subject by every stage of a network.

    Args:
        model: with all its outputs (`models.load_whole`).
        dataset: `data.dataset.Dataset`.
        split: name of the split.
        batch_size: people per step.
        decoding: one of `gaussians.DECODINGS`.

    Returns:
        {name of the stage: `people.Poses`}, see `heads.supervised_stages`.
    """
    stages = supervised_stages(model)
    if codec_of(model).refines:  # up to each stage, it is a cascade, too
        settings = {"batch_size": batch_size, "decoding": decoding}
        return {
            name: predict_people(
                models.last_output(model, model.output_names[number]),
                dataset,
                split,
                **settings,
            )
            for name, (_, number, _) in stages.items()
        }
    found = {name: ([], []) for name in stages}
    views = pipeline.views(dataset, split, model.input_shape[1:3], batch_size)
    for images, matrices in views:
        outputs = model.predict_on_batch(repeat_last(images, batch_size))
        outputs = outputs if len(model.outputs) > 1 else [outputs]
        matrices = np.asarray(matrices, "float64")
        for name, (codec, number, stage) in stages.items():
            only = outputs[number][: len(images), stage : stage + 1]
            seen = codec.seen(only)
            points, scores, _ = codec.joints(seen, decoding)
            points = ops.convert_to_numpy(points).astype("float64")
            joints, heights = found[name]
            joints.append(geometry.move(points, matrices))
            heights.append(ops.convert_to_numpy(scores))
    return {
        name: Poses(*map(np.concatenate, parts))
        for name, parts in found.items()
    }


def predict_boxes(
    model, dataset, split, boxes, *, batch_size, people=None, **settings
):
    """Joints of each subject in T perturbed boxes.

    Args:
        model: ends in `PoseMaps`; of the data set's skeleton.
        dataset: `data.dataset.Dataset`.
        split: name of the split.
        boxes: T of (zoom, x, y): factor on the side, and shift in sides of the
            person's square, see `pipeline.views`.
        batch_size: crops per step.
        people: indices of the N people to predict; all by default.
        settings: of `predict_people`.

    Returns:
        joints (T, N, K, 2) in pixels of the photographs, and scores (T, N, K).
    """
    if people is None:
        people = np.arange(dataset.people(split))
    boxes = np.tile(np.asarray(boxes, "float64"), (len(people), 1))
    each = len(boxes) // len(people)
    poses = predict_people(
        model,
        dataset,
        split,
        batch_size=batch_size,
        zoom=boxes[:, 0],
        shift=boxes[:, 1:],
        people=np.repeat(people, each),
        **settings,
    )
    return [
        values.reshape(-1, each, *values.shape[1:]).swapaxes(0, 1)
        for values in (poses.joints, poses.scores)
    ]


def _usual(matrices, zoom, size):
    """(B, 2, 3) crop -> photograph at zoom 1, from matrices at another zoom."""
    height, width = size
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    usual = np.concatenate(
        [np.eye(2) / zoom, (middle - middle / zoom)[:, None]], axis=1
    )
    return geometry.compose(np.asarray(matrices, "float64"), usual)
