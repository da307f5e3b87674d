"""Predicts the people of a video, frame by frame."""

import itertools
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from keras_pose import console, drawing, estimator, untrusted, videos
from keras_pose.evaluation import formats
from keras_pose.people import nobody


def predict_video(model, video, boxes=None, output=None, json=None, notes=None):
    """Predicts the people of every frame, and writes a drawing and results.

    The frames pass in batches; none is kept. Ctrl-C and SIGTERM end the files
    after the batch under way: they hold the frames until then.

    Args:
        model: an `estimator.Estimator`.
        video: a `videos.Video`.
        boxes: {frame: boxes} as of `photographs.read_frame_boxes`, where a
            frame without boxes shows nobody; or a list of the boxes in every
            frame; None: the whole picture.
        output: path of the .webm to write; None: none.
        json: path of the results to write; None: none. Besides what
            `formats.as_results` says, each has the frame and its seconds.
        notes: further entries of the results' header.

    Returns:
        the number of frames, and of people.
    """
    written = [path for path in (output, json) if path]
    people = 0
    with console.finishing() as stop:
        with ExitStack() as stack:
            draw = add = None
            if output:
                size = drawing.size_of_drawing(video.size)
                rate = video.rate or videos.USUAL
                draw = stack.enter_context(videos.write(output, size, rate))
            if json:
                add = stack.enter_context(formats.stream_results(json))
            bar = stack.enter_context(
                console.progress(
                    total=video.count, desc="predict", unit=" frames"
                )
            )
            for batch in _batches(video, estimator.at_once(video.size)):
                for frame, poses in _predict(model, batch, boxes):
                    people += len(poses)
                    if draw:
                        image = frame[2]
                        skeleton = model.skeleton
                        draw(drawing.draw_poses(image, poses, skeleton))
                    if add:
                        add(_results(poses, video, frame, model.skeleton))
                bar.update(len(batch))
                batch.clear()  # before the next is read
                if stop.wanted:
                    break
        if json:
            content = {
                "frames": video.read,
                "frame, image_id": "number of the frame, from 0",
                "seconds": "since the start of the video",
            }
            content |= notes or {}
            written.append(formats.save_header(json, model.skeleton, content))
        paths = ", ".join(untrusted.shown(path) for path in written)
        if stop.wanted:
            of = f" of {video.count:,}" if video.count else ""
            stop.now(
                f"stopped: {paths or 'nothing'} "
                f"{'hold' if len(written) > 1 else 'holds'} the first "
                f"{video.read:,}{of} frames; the same command starts over"
            )
    print(
        f"Written: {paths}"
        if paths
        else "Next: --output out.webm draws them, --json out.json saves them"
    )
    return video.read, people


def _batches(video, most):
    """Lists of (number, seconds, picture), of at most so many frames."""
    frames = iter(video)
    for start in itertools.count(step=most):
        batch = [
            (start + number, *frame)
            for number, frame in enumerate(itertools.islice(frames, most))
        ]
        if not batch:
            return
        yield batch


def _predict(model, batch, boxes):
    """(frame, `Poses`) of each frame of a batch."""
    rows = [
        boxes.get(number, []) if isinstance(boxes, dict) else boxes
        for number, _, _ in batch
    ]
    images = [image for _, _, image in batch]
    return zip(batch, model.predict_frames(images, rows), strict=True)


def _results(poses, video, frame, skeleton):
    """The poses of a frame in COCO's results format."""
    number, seconds, _ = frame
    poses = replace(poses, picture=np.zeros(len(poses), int))
    where = {"image_id": number, "frame": number, "seconds": round(seconds, 3)}
    return [
        result | where
        for result in formats.as_results(
            poses, nobody([str(video.path)], skeleton)
        )
    ]
