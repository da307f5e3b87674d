"""The input pipeline: from shards to batches of crops and joints.

One similarity matrix per person (crop, zoom, rotation, flip) moves the joints;
its inverse gives the source of each pixel of the crop. It is fast because

* only the window of the JPEG that the crop shows is decoded, at 1/2, 1/4 or 1/8
  where the crop would skip pixels anyway (which also avoids aliasing);
* OpenCV warps the window: an XLA-compiled warp took twice the CPU time, and a
  second to compile;
* each batch is made by one thread, THREADS batches in parallel;
* labels are joints: no heatmap is drawn here;
* small arithmetic is done once for the batch, not once for each record.

Records are read by their position in the shards, so an epoch starts at once and
is shuffled fully, without a shuffle buffer.
"""

import functools

import numpy as np
import tensorflow as tf

from keras_pose import cores
from keras_pose.data import augment, batches, joint_crops, reading
from keras_pose.data.augment import Augmentation

THREADS = max(2, cores.count() // 2)
"""Batches made in parallel; the training step shares the cores."""

as_written = tf.autograph.experimental.do_not_convert
"""Nothing here branches on a tensor; AutoGraph would spend a third more on each
graph."""


def load(
    dataset,
    split,
    size,
    batch_size,
    *,
    training=False,
    seed=0,
    first_epoch=0,
    first_step=0,
    augmentation=None,
    people=None,
    neighbours=None,
    around=None,
    mask_stride=None,
):
    """Batches of (images, labels), and of weights with a `mask_stride`.

    images is (B, H, W, 3) uint8, RGB. labels is (B, P, K, 4) float32: x, y in
    pixels of the crop, COCO's flag v, and the subject's head size in pixels of
    the crop (NaN where unknown). x and y are 0 where v is 0; a labelled joint
    may lie outside the crop. Axis 1 is for people: the subject, and as many
    `neighbours`, whose flags are all 0 where there are fewer.

    Args:
        dataset: `dataset.Dataset`.
        split: name of the split.
        size: (height, width) of the crops.
        batch_size: people per batch.
        training: endless epochs of `people // batch_size` batches, shuffled
            and augmented; else one pass in order.
        seed: order and augmentation of epoch e depend on (seed, e) only.
        first_epoch: number of the first epoch, to continue a run.
        first_step: number of its batches to skip.
        augmentation: `Augmentation`; Newell's by default.
        people: (N,) indices of the people; all by default.
        neighbours: most other people in the labels, nearest to the middle of
            the crop first; None: all in whole pictures, else none.
        around: `joint_crops.JointCrops`: crops are around one joint of each
            person; labels are (B, P, K, 5), the last is 1 for that joint and 0
            for the others. Each person is seen as often as it is in `people`;
            in a pass in order always the same joints and errors.
        mask_stride: pixels per cell of the weights (B, h, w) uint8, which are 0
            where the records say that unlabelled people are (`data.ignore`).
    """
    if training:
        crops = augmented(
            dataset,
            split,
            size,
            batch_size,
            seed=seed,
            first_epoch=first_epoch,
            first_step=first_step,
            augmentation=augmentation,
            people=people,
            neighbours=neighbours,
            around=around,
            mask_stride=mask_stride,
        )
    else:
        crops = _in_order(
            dataset,
            split,
            size,
            batch_size,
            people=people,
            neighbours=neighbours,
            around=around,
            mask_stride=mask_stride,
        )
    names = ("image", "labels", "use")[: 3 if mask_stride else 2]
    batch = as_written(lambda crop: tuple(crop[name] for name in names))
    return crops.map(batch).prefetch(2)


def augmented(
    dataset,
    split,
    size,
    batch_size,
    *,
    seed=0,
    first_epoch=0,
    first_step=0,
    augmentation=None,
    people=None,
    neighbours=None,
    around=None,
    mask_stride=None,
):
    """The training batches of `load`, as dicts with the augmentation.

    image and labels are those of `load`; back (B, 2, 3) maps pixels of the crop
    to those of the photograph. With keypoint masking also source and target
    (B, 2) and side (B,), see `masking.place`.
    """
    index = reading.open_split(dataset, split)
    rows = _rows(index, people)
    count = len(rows)
    if count < batch_size:
        raise ValueError(
            f"{dataset.folder}: split {split!r} holds {count} "
            f"{dataset.subjects}, fewer than one batch of {batch_size}"
        )
    augmentation = augmentation or Augmentation()

    draw = _drawer(augmentation, count, around is not None)

    def epoch(number):
        order, chances = draw(tf.constant(seed, tf.int64), number)
        samples = tf.data.Dataset.from_tensor_slices(
            {"index": tf.gather(rows, order)} | chances
        )
        return samples.batch(batch_size, drop_remainder=True)

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo("int64").max)
    samples = epochs.flat_map(as_written(epoch)).skip(first_step)
    return _crops(
        dataset, index, samples, size, neighbours, around, mask_stride
    )


@functools.lru_cache(maxsize=32)
def _drawer(augmentation, count, around):
    """The graph (seed, epoch) -> the order of `count` records and their chances
    in it, traced once for all runs."""

    def draw(seed, epoch):
        order = shuffled(count, seed, epoch)
        chances = augment.draw(augmentation, count, seed, epoch)
        if around:
            chances |= joint_crops.draw(count, seed, epoch)
        return order, {k: tf.gather(v, order) for k, v in chances.items()}

    number = tf.TensorSpec((), tf.int64)
    drawn = tf.function(draw, autograph=False)
    return drawn.get_concrete_function(number, number)


def choose(count, wanted):
    """`wanted` of `count` people: (wanted,) indices, always the same.

    A larger choice contains the smaller ones.
    """
    return np.random.default_rng(0).permutation(count)[:wanted]


def _rows(index, people):
    """The indices `people`, or all of a split."""
    return np.arange(len(index)) if people is None else np.asarray(people)


def shuffled(count, seed, epoch):
    """The order (count,) int32 of the records in an epoch."""
    keys = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(count), keys)


def views(
    dataset,
    split,
    size,
    batch_size,
    zoom=1.0,
    shift=(0.0, 0.0),
    people=None,
):
    """Batches of (images, matrices) in order, for inference.

    images is (B, H, W, 3) uint8; matrices is (B, 2, 3) float32 and maps pixels
    of the crop to those of the photograph.

    Args:
        dataset: `dataset.Dataset`.
        split: name of the split.
        size: (height, width) of the crops.
        batch_size: people per batch.
        zoom: factor on the side of the square that the crop shows: 2 shows the
            person half as large. One for all or (N,).
        shift: x, y of the square's shift, in sides of the person's square
            (`geometry.PERSON_PIXELS` times the scale). One for all or (N, 2).
        people: (N,) indices of the people, may repeat; all by default.
    """
    crops = _in_order(dataset, split, size, batch_size, zoom, shift, people)
    pair = as_written(lambda crop: (crop["image"], crop["back"]))
    return crops.map(pair).prefetch(2)


def view(dataset, split, size, people):
    """`views` of a few people (N,) as one batch, at once: to start a pipeline
    takes longer than to crop some dozens.

    Returns:
        images (N, H, W, 3) uint8 and matrices (N, 2, 3) float32, numpy.
    """
    index = reading.open_split(dataset, split)
    rows, chances = _unchanged(index, people, 1.0, (0.0, 0.0))
    make = batches.graph_of(dataset, size, chances)
    made = make(tf.constant(index.read(rows)), chances)
    return made["image"].numpy(), made["back"].numpy()


def _unchanged(index, people, zoom, shift):
    """Indices (N,) of the people, and their `augment.draw` without chance."""
    rows = _rows(index, people)
    count = len(rows)
    chances = augment.draw(augment.NONE, count, 0, 0)
    chances["zoom"] *= tf.cast(zoom, tf.float32)
    shift = np.broadcast_to(np.float32(shift), (count, 2))
    return rows, chances | {"shift": tf.constant(shift)}


def _in_order(
    dataset,
    split,
    size,
    batch_size,
    zoom=1.0,
    shift=(0.0, 0.0),
    people=None,
    neighbours=0,
    around=None,
    mask_stride=None,
):
    """Batches of `_crops` in order; the arguments are those of `views`."""
    if not np.all(np.asarray(zoom) > 0):
        raise ValueError(f"zoom must be positive, got {zoom}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be positive, got {batch_size}")
    index = reading.open_split(dataset, split)
    rows, chances = _unchanged(index, people, zoom, shift)
    count = len(rows)
    if around:
        chances |= joint_crops.draw(count, 0, 0)
    samples = tf.data.Dataset.from_tensor_slices(
        {"index": rows} | chances
    ).batch(batch_size)
    crops = _crops(
        dataset, index, samples, size, neighbours, around, mask_stride
    )
    length = -(-count // batch_size)
    return crops.apply(tf.data.experimental.assert_cardinality(length))


def _crops(dataset, index, samples, size, neighbours, around, mask_stride):
    """Batches of dicts of image, labels, back (crop -> photograph), with
    `mask_stride` use, and with keypoint masking the values of `masking.place`.

    `samples` are batches of dicts of index and the values of `augment.draw`
    and, with `around`, of `joint_crops.draw`.
    """
    if neighbours is None:
        neighbours = dataset.most_people
    chances = samples.element_spec.copy()
    count = chances.pop("index").shape
    make = batches.graph_of(
        dataset, size, chances, neighbours, around, mask_stride
    )

    def crops(sample):
        serialized = tf.numpy_function(
            index.read,
            [sample["index"]],
            tf.string,
            stateful=False,  # else deterministic runs are not parallel
        )
        serialized = tf.ensure_shape(serialized, count)
        made = make(serialized, {k: sample[k] for k in chances})
        return {
            k: tf.ensure_shape(v, count + v.shape[1:]) for k, v in made.items()
        }

    return samples.map(
        as_written(crops), num_parallel_calls=THREADS, deterministic=True
    ).with_options(reading.UNTUNED)
