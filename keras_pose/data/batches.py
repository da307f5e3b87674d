"""The graph of one batch: records and chances to crops and labels."""

import functools

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry
from keras_pose.data import (
    crop,
    half_body,
    ignore,
    joint_crops,
    labels,
    masking,
    records,
)


def graph_of(
    dataset, size, chances, neighbours=0, around=None, mask_stride=None
):
    """The graph (serialized (B,), chances) -> dict of image, labels, back and
    with `mask_stride` use, see `pipeline.load`; with keypoint masking also the
    values of `masking.place`.

    Args:
        dataset: `dataset.Dataset`.
        size: (height, width) of the crops.
        chances: values of `augment.draw` and, with `around`, of
            `joint_crops.draw`, (B, ...), or their specs.
        neighbours, around, mask_stride: see `pipeline.load`.
    """
    kinds = [(k, v.dtype, v.shape[1:]) for k, v in chances.items()]
    return _graph(
        dataset.skeleton,
        dataset.aspect,
        tuple(size),
        neighbours,
        around,
        mask_stride,
        tuple(sorted(kinds)),
    )


@functools.lru_cache(maxsize=32)
def _graph(skeleton, aspect, size, neighbours, around, mask_stride, kinds):
    """`graph_of`, traced once for all splits and passes; `kinds` are the names,
    dtypes and shapes of the chances."""
    height, width = size
    mirror = skeleton.mirror

    def read(serialized, sample):
        record = records.read(serialized, len(mirror))
        center = record["center"][:, 0]
        side = geometry.PERSON_PIXELS * record["scale"][:, 0]
        if aspect:
            box = record["box"][:, 0]
            side *= geometry.refit(box, aspect, width / height, xp=tnp)
        if "shift" in sample:
            center += side[:, None] * sample["shift"]
        if "half" in sample:
            center, zoom = half_body.focus(
                sample,
                record["joints"][:, 0],
                record["flags"][:, 0],
                half_body.is_upper(skeleton),
                center,
                side,
                width / height,
            )
            sample = sample | {"zoom": sample["zoom"] * zoom}
        own = None
        if around:
            center, zoom, own = joint_crops.focus(
                around,
                sample,
                record["joints"][:, 0],
                record["flags"][:, 0],
                record["box"][:, 0],
                side,
            )
            sample = sample | {"zoom": sample["zoom"] * zoom}
        matrix = geometry.crop_matrix(
            center,
            side * sample["zoom"],
            sample["angle"],
            (float(height), float(width)),
            sample["flip"],
            xp=tnp,
        )
        back = geometry.invert(matrix, xp=tnp)
        shrink, window, inside = crop.find_window(back, record["size"], size)
        values = {
            "encoded": record["encoded"],
            "shrink": shrink,
            "window": window,
            "inside": inside,
            "gain": sample["gain"],
            "labels": labels.place(
                record, matrix, sample["flip"], mirror, neighbours, size, own
            ),
            "back": geometry.compose(record["matrix"], back, xp=tnp),
        }
        if mask_stride:
            values["use"] = ignore.in_graph(record, back, size, mask_stride)
        if "patch" in sample:
            values |= masking.place(
                sample,
                geometry.move(record["joints"], matrix[:, None], xp=tnp),
                record["flags"],
                skeleton.limb_indices,
                back,
                record["size"],
                size,
            )
        return values

    def make(serialized, sample):
        values = read(serialized, sample)
        window = values.pop("window")
        pixels = crop.decode_windows(
            values.pop("encoded"), values.pop("shrink"), window
        )
        arrays = [
            pixels,
            window[:, 2:],
            values.pop("inside"),
            values.pop("gain"),
        ]
        arrays += [
            values[k] for k in ("source", "target", "side") if k in values
        ]
        image = tf.numpy_function(
            lambda *arrays: crop.cut_out(size, *arrays),
            arrays,
            tf.uint8,
            stateful=False,
        )
        image = tf.ensure_shape(image, (None, height, width, 3))
        return {"image": image} | values

    chances = {
        name: tf.TensorSpec((None, *shape), dtype, name)
        for name, dtype, shape in kinds
    }
    serialized = tf.TensorSpec((None,), tf.string, "serialized")
    made = tf.function(make, autograph=False)
    return made.get_concrete_function(serialized, chances)
