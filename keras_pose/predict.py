"""Predicts the joints of the person in your own photographs.

    python -m keras_pose.predict --model best.keras photo.jpg \\
        --box 120 40 200 460 --output out.png --json out.json

The model is a .keras file, the folder of a published model or of an export, or
hf://user/model. --box is the person's box: x, y, width, height in pixels; the
default is the whole picture, which works where one person fills it. The EXIF
orientation is applied, as in every viewer, and coordinates are those of the
upright picture, from the centre of its first pixel.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tensorflow as tf
import tyro

from keras_pose import (
    drawing,
    export,
    geometry,
    provenance,
    serving,
    skeletons,
    untrusted,
)
from keras_pose.console import progress, run
from keras_pose.data import photograph
from keras_pose.evaluation import formats
from keras_pose.inference import suppress
from keras_pose.models import model as models
from keras_pose.people import Poses, join, nobody

SMALLEST = 8
"""Least side of a photograph, pixels."""
DRAWN = 4096
"""Largest side of a drawing, pixels; larger photographs are drawn smaller."""


@dataclass(frozen=True)
class Config:
    """Settings of one prediction."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Photographs: JPEG, PNG, GIF or BMP."""
    model: Path
    """A .keras file, the folder that python -m keras_pose.publish or
    keras_pose.export wrote, or hf://user/model."""
    box: tuple[float, float, float, float] | None = None
    """The person: x y width height in pixels, for one photograph."""
    output: Path | None = None
    """Drawing to write: a .png, or a folder for several photographs."""
    json: Path | None = None
    """Joints to write: a .json file in the format of COCO's results;
    NAME-header.json beside it explains the numbers."""
    flip: bool = False
    """Average with the mirrored picture; an export needs --flip as well."""


def read(path):
    """A photograph: its bytes, and its upright pixels (H, W, 3) uint8 RGB.

    The bytes of a GIF are those of its first frame as a PNG.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, a damaged, truncated or tiny one, or one of
            more than `records.PIXELS`.
    """
    try:
        encoded = untrusted.read_file(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: expected a photograph"
        ) from None
    try:
        photograph.check_frames(encoded)
        image = photograph.decode(tf.constant(encoded)).numpy()
        if encoded.startswith(photograph.GIF):
            encoded = tf.io.encode_png(image).numpy()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except tf.errors.OpError as error:
        if photograph.TOO_LARGE in error.message:
            raise ValueError(f"{path}: {photograph.TOO_LARGE}") from None
        raise ValueError(
            f"{path} is not an image that can be read: expected a complete "
            "JPEG, PNG, GIF or BMP"
        ) from None
    if min(image.shape[:2]) < SMALLEST:
        raise ValueError(
            f"{path} must have at least {SMALLEST} x {SMALLEST} pixels, got "
            f"{image.shape[1]} x {image.shape[0]}"
        )
    return encoded, image


def check_box(box, image, path):
    """The box as four floats; ValueError if it cannot hold a person."""
    box = [float(value) for value in box]
    height, width = image.shape[:2]
    x, y, w, h = box
    what = f"x, y, width, height, got {' '.join(f'{v:g}' for v in box)}"
    if not np.isfinite(box).all():
        raise ValueError(f"{path}: the box must be four numbers {what}")
    if w <= 0 or h <= 0:
        raise ValueError(f"{path}: the box must have an area: {what}")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ValueError(
            f"{path}: the box lies outside the picture, which is "
            f"{width} x {height}: {what}"
        )
    most = photograph.BOX_RATIO * max(width, height)
    if not 1 <= max(w, h) <= most:
        raise ValueError(
            f"{path}: the box must have a longer side of 1 to {most:,} pixels: "
            f"{what}"
        )
    return box


def open_model(path, flip=False):
    """Loads a model or an export as a function and its skeleton.

    Returns:
        function(encoded (B,) strings, boxes (B, 4)) -> dict of joints (B, K, 2)
        x, y in the photographs' pixels, scores (B, K), missing (B, K) and, if
        the model predicts it, occluded (B, K); the `Skeleton`; and what is
        known of the model, see `keras_pose.provenance`.
    """
    path = Path(path)
    if not path.is_dir() or (path / provenance.CONFIG).is_file():
        model = models.load_model(path)
        server = serving.Server(model, flip=flip)
        # A bound method of a tf.function does not keep the server alive.
        return (
            lambda *inputs: server.encoded(*inputs),
            server.skeleton,
            provenance.of(model),
        )
    if not (path / export.SERVING).is_file():
        raise ValueError(
            f"{path} is neither a model nor an export: it has no "
            f"{provenance.CONFIG} and no {export.SERVING}. Write one with "
            "python -m keras_pose.export"
        )
    settings = untrusted.read_json(path / export.SERVING)
    try:
        skeleton = skeletons.find(settings["skeleton"])
        has_flip = settings["flip"]
        facts = settings.get("provenance", {})  # none: an earlier version
        provenance.to_json(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path / export.SERVING} is not from an export: problem with "
            f"{error}"
        ) from None
    if flip and not has_flip:
        raise ValueError(
            f"{path} was exported without --flip: export again with it, or "
            "give the .keras file"
        )
    try:
        loaded = tf.saved_model.load(str(path)).signatures
        names = [name.decode() for name in loaded["names"]()["names"].numpy()]
        encoded = loaded["encoded"]
    except Exception as error:  # TensorFlow raises anything on a damaged one
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} cannot be used: {reason}") from None
    if tuple(names) != skeleton.joints:
        raise ValueError(
            f"{path}: its graph finds {', '.join(names)}, but "
            f"{export.SERVING} lists {', '.join(skeleton.joints)}"
        )

    def locate(photographs, boxes):
        return encoded(encoded=photographs, boxes=boxes)

    return locate, skeleton, facts


def predict(function, path, box=None):
    """Predicts one photograph: the picture (H, W, 3), and `Poses` of one."""
    encoded, image = read(path)
    height, width = image.shape[:2]
    box = check_box(box or (0, 0, width, height), image, path)
    outputs = function(tf.constant([encoded]), tf.constant([box]))
    outputs = {name: values.numpy() for name, values in outputs.items()}
    return image, Poses(
        **outputs,
        person=np.array([-1]),
        score=suppress.rescore(np.ones(1), outputs["scores"]),
        box=np.array([box]),
    )


def draw(image, pose, skeleton):
    """Draws the skeleton; missing or occluded joints are hollow.

    A photograph with a side of more than DRAWN pixels is drawn smaller.
    """
    joints, size = pose.joints[0], image.shape[:2]
    if max(size) > DRAWN:
        target = [max(1, side * DRAWN // max(size)) for side in size]
        image = cv2.resize(image, target[::-1], interpolation=cv2.INTER_AREA)
        joints = geometry.move(joints, geometry.resize_matrix(size, target))
    doubted = np.any([*_doubts(pose).values()], axis=0)
    return drawing.draw_skeleton(
        image, joints, skeleton, np.where(doubted, 1, 2)
    )


def main(config):
    """Checks all paths, then predicts and writes what was asked for."""
    several = len(config.photos) > 1
    if not config.photos:
        raise ValueError("no photograph given")
    if several and config.box:
        raise ValueError("--box is for one photograph, got several")
    targets = _targets(config.photos, config.output)
    _keep_inputs(config, targets)
    for folder in {target.parent for target in targets if target}:
        folder.mkdir(parents=True, exist_ok=True)
    function, skeleton, facts = open_model(config.model, config.flip)
    notes = provenance.notes(facts)
    if "warning" in notes:
        print(f"Note: {notes['warning']}.")
    if not config.box:
        print("No --box: the whole picture is used as the box.")
    poses = []
    for path, target in progress(
        list(zip(config.photos, targets, strict=True)),
        unit=" photographs",
        disable=not several,
    ):
        image, pose = predict(function, path, config.box)
        poses.append(pose)
        if target:
            drawn = draw(image, pose, skeleton)
            drawing.save(drawn, target)
            if drawn.shape != image.shape:
                height, width = drawn.shape[:2]
                print(f"{target} is drawn smaller: {width} x {height} pixels")
    poses = join(poses)
    written = [config.output] if config.output else []
    if config.json:
        names = [str(path) for path in config.photos]
        results = formats.as_results(poses, nobody(names, skeleton))
        header = formats.save_results(config.json, results, skeleton, notes)
        written += [config.json, header]
    if not several:
        print(table(poses, skeleton))
    written = [untrusted.shown(path) for path in written]
    print(
        f"Written: {', '.join(written)}"
        if written
        else "Next: --output out.png draws them, --json out.json saves them"
    )
    return poses


def table(pose, skeleton):
    """One line per joint for the console."""
    lines = [f"{'joint':<16}{'x':>9}{'y':>9}{'score':>8}"]
    doubts = _doubts(pose).items()
    for number, name in enumerate(skeleton.joints):
        (x, y), score = pose.joints[0, number], pose.scores[0, number]
        words = "".join(f"  {word}" for word, is_so in doubts if is_so[number])
        lines.append(f"{name:<16}{x:>9.1f}{y:>9.1f}{score:>8.2f}{words}")
    return "\n".join(lines)


def _doubts(pose):
    """{"missing" or "occluded": (K,) bool}, of those predicted."""
    doubts = {name: getattr(pose, name) for name in ("missing", "occluded")}
    return {name: v[0] for name, v in doubts.items() if v is not None}


def _targets(photos, output):
    """Path of each drawing; None without --output."""
    if output is None:
        return [None] * len(photos)
    if len(photos) == 1 and output.suffix and not output.is_dir():
        if output.suffix.lower() not in drawing.SUFFIXES:
            raise ValueError(
                f"output must be a .png, a .jpg or a folder, got {output}"
            )
        return [output]
    names = [f"{path.stem}.png" for path in photos]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two photographs would be drawn to {output / twice}")
    return [output / name for name in names]


def _keep_inputs(config, targets):
    """ValueError if an output would overwrite an input or another output."""
    written = [target for target in targets if target]
    if config.json:
        header = formats.header_of(config.json)
        written += [config.json, header]
    read = [*config.photos, config.model]
    if config.model.is_dir():
        read += config.model.glob("*")
    for number, path in enumerate(written):
        for kind, others in (("read", read), ("written", written[:number])):
            if any(_is_same(path, other) for other in others):
                raise ValueError(
                    f"{untrusted.shown(path)} would be overwritten, but is "
                    f"also {kind}: choose another --output or --json"
                )


def _is_same(path, other):
    """Whether two paths are the same file, also through links."""
    if os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


if __name__ == "__main__":
    run(main, Config, __doc__)
