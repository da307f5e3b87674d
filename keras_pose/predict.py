"""Predicts the joints of the people in your own photographs.

    python -m keras_pose.predict --model best.keras photo.jpg \\
        --box 120 40 200 460 --output out.png --json out.json
    python -m keras_pose.predict --model best.keras holiday/ \\
        --boxes people.csv --output drawn --json holiday.json

The model is a .keras file, the folder of a published model or of an export, or
hf://user/model. Photographs are files, folders, patterns ("*.jpg") or .txt
files with a path per line. --box is the person's box: x, y, width, height in
pixels; --boxes a file of boxes, also of several people per photograph. Without
a box the whole picture is taken, which works where one person fills it. The
EXIF orientation is applied, as in every viewer, and coordinates are those of
the upright picture, from the centre of its first pixel.

Many photographs: drawings are written as they are made; stopped and started
again, the same command with --json goes on where it was. What cannot be read is
reported at the end, and the exit code is 1.
"""

from dataclasses import dataclass, replace
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
    photographs,
    provenance,
    serving,
    skeletons,
    untrusted,
)
from keras_pose.console import progress, run
from keras_pose.data import photograph
from keras_pose.evaluation import formats
from keras_pose.inference import journal as journals
from keras_pose.inference import suppress
from keras_pose.models import model as models
from keras_pose.people import Poses, join, nobody

SMALLEST = 8
"""Least side of a photograph, pixels."""
BATCH = 16
"""Most people of a photograph at once."""
DRAWN = 4096
"""Largest side of a drawing, pixels; larger photographs are drawn smaller."""


@dataclass(frozen=True)
class Config:
    """Settings of one prediction."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Photographs (JPEG, PNG, GIF or BMP), folders, "patterns", or .txt files
    with a path per line."""
    model: Path
    """A .keras file, the folder that python -m keras_pose.publish or
    keras_pose.export wrote, or hf://user/model."""
    box: tuple[float, float, float, float] | None = None
    """The person: x y width height in pixels, for one photograph."""
    boxes: Path | None = None
    """Boxes of people: a .csv with the columns file, x, y, width, height (and
    score), or .json: COCO's results format or annotations."""
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
        kind = next(
            (k for k, is_so in photographs.KINDS.items() if is_so(encoded)),
            None,
        )
        raise ValueError(
            f"{path} is {kind}: convert it to JPEG or PNG"
            if kind
            else f"{path} is not an image that can be read: expected a "
            "complete JPEG, PNG, GIF or BMP"
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


def predict(function, path, box=None, boxes=None):
    """Predicts the people of one photograph.

    Args:
        function: of `open_model`.
        path: of the photograph.
        box: (x, y, width, height); None: the whole picture.
        boxes: list of N (x, y, width, height, score) instead.

    Returns:
        the picture (H, W, 3), and the `Poses` of N people.
    """
    encoded, image = read(path)
    height, width = image.shape[:2]
    rows = boxes or [(*(box or (0, 0, width, height)), 1.0)]
    rows = [(*check_box(row[:4], image, path), row[4]) for row in rows]
    boxes, certain = np.split(np.array(rows, "float64"), [4], axis=1)
    parts = []
    for start in range(0, len(boxes), BATCH):
        few = boxes[start : start + BATCH].astype("float32")
        parts.append(function(tf.constant([encoded] * len(few)), few))
    outputs = {
        name: np.concatenate([part[name].numpy() for part in parts])
        for name in parts[0]
    }
    return image, Poses(
        **outputs,
        person=np.full(len(boxes), -1),
        score=suppress.rescore(certain[:, 0], outputs["scores"]),
        box=boxes,
    )


def draw(image, poses, skeleton):
    """Draws all skeletons; missing or occluded joints are hollow.

    A photograph with a side of more than DRAWN pixels is drawn smaller.
    """
    joints, size = poses.joints, image.shape[:2]
    if max(size) > DRAWN:
        target = [max(1, side * DRAWN // max(size)) for side in size]
        image = cv2.resize(image, target[::-1], interpolation=cv2.INTER_AREA)
        joints = geometry.move(joints, geometry.resize_matrix(size, target))
    for person, points in enumerate(joints):
        doubted = np.any([*_doubts(poses, person).values()], axis=0)
        image = drawing.draw_skeleton(
            image, points, skeleton, np.where(doubted, 1, 2)
        )
    return image


def main(config):
    """Checks all inputs, then predicts and writes what was asked for.

    Returns:
        `Poses` of the people predicted by this start of the command.
    """
    photos = photographs.find(config.photos)
    several = len(photos) > 1
    if not photos:
        raise ValueError("no photograph given")
    if config.box and (several or config.boxes):
        raise ValueError("--box is for one photograph, without --boxes")
    targets = _targets(photos, config.output)
    _keep_inputs(config, photos, targets)
    boxes = {}
    if config.boxes:
        boxes = photographs.read_boxes(config.boxes, photos)
    for folder in {target.parent for target in targets if target}:
        folder.mkdir(parents=True, exist_ok=True)
    function, skeleton, facts = open_model(config.model, config.flip)
    notes = provenance.notes(facts)
    if "warning" in notes:
        print(f"Note: {notes['warning']}.")
    whole = sum(photo not in boxes for photo in photos)
    if whole and not config.box:
        of = f" of {whole:,} photographs" if config.boxes else ""
        print(f"No box{of}: the whole picture is used as the box.")
    journal = journals.Journal(config) if several and config.json else None
    results = journal.read() if journal else {}
    done = sum(str(photo) in results for photo in photos)
    if done:
        print(f"Going on after {done:,} photographs of {journal.path}")
    everyone, failures = [], []
    for path, target in progress(
        list(zip(photos, targets, strict=True)),
        unit=" photographs",
        disable=not several,
    ):
        if str(path) in results and not (target and not target.exists()):
            continue
        try:
            image, poses = predict(function, path, config.box, boxes.get(path))
        except (FileNotFoundError, ValueError) as error:
            if not several:
                raise
            failures.append(str(error))
            continue
        everyone.append(poses)
        if target:
            drawn = draw(image, poses, skeleton)
            drawing.save(drawn, target)
            if drawn.shape != image.shape:
                height, width = drawn.shape[:2]
                print(f"{target} is drawn smaller: {width} x {height} pixels")
        found = replace(poses, picture=np.zeros(len(poses), int))
        found = formats.as_results(found, nobody([str(path)], skeleton))
        results[str(path)] = found
        if journal:
            journal.add(path, found)
    _finish(config, photos, results, skeleton, notes, journal)
    if failures:
        raise ValueError(
            f"left out, {len(failures):,} of {len(photos):,} photographs: "
            + "; ".join(failures)
        )
    poses = join(everyone) if everyone else None
    if not several:
        print(table(poses, skeleton))
    return poses


def _finish(config, photos, results, skeleton, notes, journal):
    """Writes the JSON, and says what is written."""
    written = [config.output] if config.output else []
    if config.json:
        rows = [row for path in photos for row in results.get(str(path), [])]
        header = formats.save_results(config.json, rows, skeleton, notes)
        written += [config.json, header]
    if journal:
        journal.path.unlink(missing_ok=True)
    written = [untrusted.shown(path) for path in written]
    print(
        f"Written: {', '.join(written)}"
        if written
        else "Next: --output out.png draws them, --json out.json saves them"
    )


def table(poses, skeleton):
    """One line per joint of each person, for the console."""
    lines = []
    for person in range(len(poses)):
        if len(poses) > 1:
            lines.append(f"person {person + 1} of {len(poses)}")
        lines.append(f"{'joint':<16}{'x':>9}{'y':>9}{'score':>8}")
        doubts = _doubts(poses, person).items()
        rows = zip(poses.joints[person], poses.scores[person], strict=True)
        for number, ((x, y), score) in enumerate(rows):
            name = skeleton.joints[number]
            words = ["", *(word for word, is_so in doubts if is_so[number])]
            line = f"{name:<16}{x:>9.1f}{y:>9.1f}{score:>8.2f}"
            lines.append(line + "  ".join(words))
    return "\n".join(lines)


def _doubts(poses, person):
    """{"missing" or "occluded": (K,) bool}, of those predicted."""
    doubts = {name: getattr(poses, name) for name in ("missing", "occluded")}
    return {name: v[person] for name, v in doubts.items() if v is not None}


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


def _keep_inputs(config, photos, targets):
    """ValueError if an output would overwrite an input or another output."""
    written = [target for target in targets if target]
    if config.json:
        written += [config.json, formats.header_of(config.json)]
    read = [*photos, config.model]
    read += [config.boxes] if config.boxes else []
    if config.model.is_dir():
        read += config.model.glob("*")
    photographs.keep(read, written, "--output or --json")


if __name__ == "__main__":
    run(main, Config, __doc__)
