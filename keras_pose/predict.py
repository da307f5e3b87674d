"""Predicts the joints of the people in your own photographs and videos.

    python -m keras_pose.predict --model best.keras photo.jpg \\
        --box 120 40 200 460 --output out.png --json out.json
    python -m keras_pose.predict --model best.keras holiday/ \\
        --boxes people.csv --output drawn --json holiday.json
    python -m keras_pose.predict --model best.keras --video clip.mp4 \\
        --boxes people.csv --output drawn.webm --json clip.json

The model is a .keras file, the folder of a published model or of an export, or
hf://user/model. Photographs are files, folders, patterns ("*.jpg") or .txt
files with a path per line. --box is the person's box: x, y, width, height in
pixels; --boxes a file of boxes, also of several people per photograph. Without
a box the whole picture is taken, which works where one person fills it; a model
that finds everybody (OpenPose) takes whole pictures alone, without boxes. The
EXIF orientation is applied, as in every viewer, and coordinates are those of
the upright picture, from the centre of its first pixel.

Many photographs: drawings are written as they are made; stopped and started
again, the same command with --json goes on where it was. What cannot be read is
reported at the end, and the exit code is 1.

A video: --output is a .webm, which browsers play, without sound. --box is that
of all frames; in a file of boxes, a column frame (counted from 0) takes the
place of file, and a frame without boxes shows nobody. Ctrl-C keeps the frames
that are done.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from keras_pose import (
    drawing,
    estimator,
    photographs,
    predict_video,
    provenance,
    untrusted,
    videos,
)
from keras_pose.console import progress, run
from keras_pose.data import runtime
from keras_pose.evaluation import formats
from keras_pose.inference import journal as journals
from keras_pose.people import join, nobody


@dataclass(frozen=True)
class Config:
    """Settings of one prediction."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Photographs (JPEG, PNG, GIF or BMP), folders, "patterns", or .txt files
    with a path per line."""
    model: Path
    """A .keras file, the folder that python -m keras_pose.publish wrote,
    hf://user/model, or what keras_pose.export wrote: a SavedModel, a .tflite,
    .onnx or .xml file."""
    video: Path | None = None
    """A video (MP4, MOV, WebM, AVI ...) in place of photographs."""
    box: tuple[float, float, float, float] | None = None
    """The person: x y width height in pixels, for one photograph or video."""
    boxes: Path | None = None
    """Boxes of people: a .csv with the columns file (of a video: frame), x, y,
    width, height (and score), or .json: COCO's results format or
    annotations."""
    output: Path | None = None
    """Drawing to write: a .png, or a folder for several photographs; of a
    video a .webm."""
    json: Path | None = None
    """Joints to write: a .json file in the format of COCO's results;
    NAME-header.json beside it explains the numbers."""
    flip: bool = False
    """Average with the mirrored picture; an export needs --flip as well."""


def _open_model(config):
    """The `Estimator` of the settings, and what a file of predictions says of
    it; prints a warning, if there is one."""
    size = provenance.read_input_size(config.model)
    if size:
        runtime.share_cores(size)
    model = estimator.Estimator(config.model, config.flip)
    if model.finds_everybody and (config.box or config.boxes):
        raise ValueError(
            f"{config.model} finds everybody: leave out --box and --boxes"
        )
    notes = provenance.notes(model.provenance)
    if "warning" in notes:
        print(f"Note: {notes['warning']}.")
    return model, notes


def predict(model, path, box=None, boxes=None):
    """Predicts the people of one photograph.

    Args:
        model: an `estimator.Estimator`.
        path: of the photograph.
        box: (x, y, width, height); None: the whole picture.
        boxes: list of N (x, y, width, height, score) instead.

    Returns:
        the picture (H, W, 3), and the `Poses` of N people.
    """
    image = estimator.read(path)
    boxes = boxes or (box and [box])
    return image, model.locate(image, boxes, path)


def main(config):
    """Checks all inputs, then predicts and writes what was asked for.

    Returns:
        `Poses` of the people predicted by this start of the command; of a
        video the number of frames.
    """
    if config.video:
        return _predict_video(config)
    photos = photographs.find(config.photos)
    several = len(photos) > 1
    if not photos:
        raise ValueError("expected photographs or a --video, got neither")
    if config.box and (several or config.boxes):
        got = f"{len(photos):,} photographs" if several else "--boxes too"
        raise ValueError(
            f"--box is for one photograph, without --boxes; got {got}"
        )
    targets = _targets(photos, config.output)
    _keep_inputs(config, photos, targets)
    boxes = {}
    if config.boxes:
        boxes = photographs.read_boxes(config.boxes, photos)
    for folder in {target.parent for target in targets if target}:
        folder.mkdir(parents=True, exist_ok=True)
    model, notes = _open_model(config)
    skeleton = model.skeleton
    whole = sum(photo not in boxes for photo in photos)
    if whole and not config.box and not model.finds_everybody:
        many = f"{whole:,} of {len(photos):,} photographs have no box"
        missing = many if config.boxes else "No box"
        print(f"{missing}: the whole picture is used as the box.")
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
            image, poses = predict(model, path, config.box, boxes.get(path))
        except (FileNotFoundError, ValueError) as error:
            if not several:
                raise
            failures.append(str(error))
            continue
        everyone.append(poses)
        if target:
            each = model.finds_everybody  # a colour for each person
            drawn = drawing.draw_poses(image, poses, skeleton, each)
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
        print(table(poses, skeleton) or "Nobody is found.")
    return poses


def _predict_video(config):
    """`main` of a video; returns the number of its frames."""
    if config.photos:
        raise ValueError(
            f"--video is without photographs, got {config.photos[0]}"
        )
    if config.box and config.boxes:
        raise ValueError("expected --box or --boxes, got both")
    output = config.output
    if output and (output.is_dir() or not output.suffix):
        output = output / f"{config.video.stem}{videos.SUFFIX}"
    elif output and output.suffix.lower() != videos.SUFFIX:
        raise ValueError(
            f"output of a video must be a {videos.SUFFIX} or a folder, got "
            f"{output}"
        )
    _keep_inputs(config, [config.video], [output])
    video = videos.Video(config.video)
    boxes, known = config.box and [config.box], {}
    if config.boxes:
        boxes = known = photographs.read_frame_boxes(config.boxes)
    for number, rows in known.items():
        where = f"{config.boxes}, frame {number}"
        estimator.check_boxes(rows, video.size, where)
    estimator.check_boxes(config.box and boxes, video.size, config.video)
    model, notes = _open_model(config)
    if boxes is None and not model.finds_everybody:
        print("No box: the whole picture is used as the box.")
    if output and not video.rate:
        print(
            f"{untrusted.shown(config.video)} states no frame rate: it is "
            f"drawn at {videos.USUAL:g} frames per second."
        )
    frames, people = predict_video.predict_video(
        model, video, boxes, output, config.json, notes
    )
    print(f"{frames:,} frames, {people:,} people")
    if video.problem():
        raise ValueError(untrusted.shown(video.problem()))
    late = sorted(number for number in known if number >= frames)
    if late:
        print(
            f"Note: {config.boxes} has boxes for frame {late[0]}; the last is "
            f"number {frames - 1}, counted from 0."
        )
    return frames


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
        doubts = poses.doubts(person).items()
        rows = zip(poses.joints[person], poses.scores[person], strict=True)
        for number, ((x, y), score) in enumerate(rows):
            name = skeleton.joints[number]
            words = ["", *(word for word, is_so in doubts if is_so[number])]
            line = f"{name:<16}{x:>9.1f}{y:>9.1f}{score:>8.2f}"
            lines.append(line + "  ".join(words))
    return "\n".join(lines)


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
