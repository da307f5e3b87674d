"""Drawn crowds: several people per picture, with exact masks.

The people of `tfrecords.synthetic` on common ground: their size follows from
their distance, nearer ones hide farther ones, and some stand behind boxes. A
record is a whole picture with everybody in it (`tfrecords.pictures`). Joints,
flags, areas and masks are read from the picture's depth buffer and its buffer
of person numbers. People of whom fewer than 3 joints are visible, and small
people far behind the crowd, are not labelled: the record's mask covers them.

The crowd index (Li et al., CrowdPose, CVPR 2019) tells how many joints of
others lie in people's boxes; every tenth of its range gets equally many
pictures. It follows from the labels (`people.crowd_indices`). A picture depends
only on seed, split and number, not on the number of workers or on other
pictures.

With --clip 16, each 16 pictures are frames of a clip: people walk on crossing
paths, the camera turns, and people keep their numbers (`people/track`). Some
clips are also written as videos (VP8) into the folder clips of the output.

Run      python -m tfrecords.crowds --output data/crowds
"""

import functools
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from keras_pose import console, videos
from keras_pose.data.records import Person
from keras_pose.people import crowd_index
from keras_pose.skeletons import MPII
from tfrecords import pictures, synthetic
from tfrecords.drawn import crowd, figure, scene, walk
from tfrecords.drawn.canvas import FINE

SEEN = 3
"""Fewest visible joints of a labelled person."""
STEP = 0.1
"""Width of a bin of the crowd index."""
PLACES, ATTEMPTS = 25, 60
"""Layouts that are tried with one camera and number of people, and cameras that
are tried for a picture."""
LAYOUT, CAST, STAGE, DISTANT, FILM, GRAIN = range(6)
"""Last part of the seeds of a picture's parts."""
SIDE = 48
"""Least side of a picture, pixels."""


@dataclass(frozen=True)
class Config:
    """What to draw."""

    output: str
    """Folder for the shards and dataset.json."""
    train: int = 1600
    """Pictures in the training split; a multiple of --clip."""
    val: int = 160
    """Pictures in the validation split."""
    test: int = 240
    """Pictures in the test split."""
    size: tuple[int, int] = (192, 256)
    """Height and width of the pictures in pixels."""
    people: tuple[int, int] = (1, 12)
    """Fewest and most people of a crowd; some may be hidden. 0: also pictures
    without people, not with --clip."""
    crowd_index: tuple[float, float] = (0.0, 1.2)
    """Range of the crowd index, each tenth as often; not with --clip."""
    unlabelled: float = 0.1
    """Share of people that are small, far behind the crowd and not labelled."""
    clip: int = 0
    """Frames of a clip; 0: single pictures."""
    videos: int = 2
    """Clips of each split that are also written as .webm."""
    seed: int = 0
    """Seed of the drawings."""
    workers: int | None = None
    """Number of processes; by default one per core."""


@dataclass(frozen=True)
class Somebody:
    """A labelled person."""

    person: Person
    """With the box of the whole person, as far as it is in the picture."""
    area: float
    """Pixels in which the person is visible."""
    visible_box: tuple
    """x, y, width, height of these pixels."""
    track: int
    """The person's number, the same in all frames of a clip."""


@dataclass(frozen=True)
class Crowd:
    """A picture, and who is in it."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    people: tuple
    """`Somebody` for each labelled person, the nearest first."""
    ignore: np.ndarray
    """(H, W) uint8: 255 where people are that are not labelled."""
    owners: np.ndarray
    """(FINE * H, FINE * W) uint8: track of the person in each pixel, + 1; 0
    where nobody is."""

    @property
    def index(self):
        """The picture's crowd index."""
        people = [somebody.person for somebody in self.people]
        if not people:
            return 0.0
        return crowd_index(
            np.stack([p.joints for p in people]),
            np.stack([p.flags for p in people]),
            np.stack([p.box for p in people]),
        )

    def mask(self, track):
        """(H, W) bool: where at least half of a pixel is this person's."""
        return _shares(self.owners == track + 1) >= 0.5


def _shares(fine):
    """(H, W) share of each picture's pixel of a mask (FINE * H, FINE * W)."""
    height, width = (side // FINE for side in fine.shape)
    return fine.reshape(height, FINE, width, FINE).mean(axis=(1, 3))


def read_truth(canvas, bodies, boxes, labelled, name=""):
    """Who is visible on a painted canvas.

    Args:
        canvas: `Canvas` with `bodies[i]` painted as number i + 1.
        bodies: list of `figure.Body`.
        boxes: (N, 4) of the whole bodies.
        labelled: how many of them, from the first, may be labelled.
        name: of the picture.

    Returns:
        list of `Somebody`, the nearest first, and the ignore mask (H, W).
    """
    people, known = [], [0]
    for track, body in enumerate(bodies[:labelled]):
        own = canvas.of(track + 1)
        person = synthetic.truth(own, body, f"{name}#{track}")
        if (person.flags == 2).sum() < SEEN:
            continue
        visible = canvas.owners == track + 1
        people.append(
            Somebody(
                person=replace(person, box=tuple(boxes[track].tolist())),
                area=float(visible.sum() / FINE**2),
                visible_box=_tight_box(visible),
                track=track,
            )
        )
        known.append(track + 1)
    ignored = _shares(~np.isin(canvas.owners, known)) > 0
    people.sort(key=lambda somebody: -bodies[somebody.track].unit)
    return people, np.where(ignored, 255, 0).astype("uint8")


def _tight_box(fine):
    """x, y, width, height of the pixels that a fine mask touches."""
    box = []
    for axis in (0, 1):
        touched = np.flatnonzero(fine.any(axis=axis)) // FINE
        box.append((int(touched[0]), int(touched[-1] - touched[0] + 1)))
    (x, width), (y, height) = box
    return x, y, width, height


def paint(stage, camera, cast, places, boxes=()):
    """Paints everybody.

    Args:
        stage: `crowd.Stage`.
        camera: `crowd.Camera`.
        cast: list of (`crowd.Actor`, `crowd.Stance`).
        places: (N, 2) their x, away.
        boxes: list of `crowd.Box`.

    Returns:
        The `Canvas`, with person i as number i + 1, and the list of
        `figure.Body`.
    """
    canvas = stage.canvas(camera, places)
    bodies = []
    for number, ((actor, stance), place) in enumerate(
        zip(cast, places, strict=True), 1
    ):
        body = crowd.stand(camera, actor, stance, *place)
        figure.paint_person(canvas.of(number), body, actor.look)
        bodies.append(body)
    for box in boxes:
        box.paint(canvas, camera)
    return canvas, bodies


def draw(
    key, size=(192, 256), people=(1, 12), bounds=(0.0, np.inf), unlabelled=0.1
):
    """Draws one picture.

    Args:
        key: integers, the start of every seed.
        size: (H, W) of the picture.
        people: fewest and most people of the crowd.
        bounds: the crowd index is at least the first, below the second.
        unlabelled: share of all people that are small and far behind the crowd.

    Returns:
        `Crowd`.

    Raises:
        ValueError: no such crowd was found.
    """
    cast = []
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng((*key, attempt, LAYOUT))
        camera = crowd.random_camera(rng, size)
        count = rng.integers(people[0], people[1] + 1)
        while len(cast) < count:
            cast.append(_member(key, CAST, len(cast)))
        for _ in range(PLACES):
            places = crowd.random_places(rng, camera, count)
            if places is None or not _is_promising(
                camera, cast[:count], places, bounds
            ):
                continue
            drawn = _draw(key, camera, cast[:count], places, unlabelled)
            if bounds[0] <= drawn.index < bounds[1]:
                return drawn
    raise ValueError(
        f"{'-'.join(map(str, key))}: no crowd of {people[0]} to {people[1]} "
        f"people had a crowd index from {bounds[0]:g} to {bounds[1]:g}"
    )


def _member(key, part, number):
    """(Actor, Stance) number `number` of a picture's cast."""
    rng = np.random.default_rng((*key, number, part))
    actor = crowd.random_actor(rng)
    return actor, crowd.random_stance(rng, actor.build)


def _is_promising(camera, cast, places, bounds):
    """Whether the crowd index is in the bounds if everybody is labelled."""
    if not cast:
        return bounds[0] <= 0
    points, inside, boxes = crowd.outline(camera, cast, places)
    inside[inside.sum(axis=1) < SEEN] = False
    index = crowd_index(points[..., :2], inside, boxes)
    return inside.any() and bounds[0] <= index < bounds[1]


def _draw(key, camera, cast, places, unlabelled):
    """`Crowd` of a layout, with the surroundings that belong to the key."""
    rng = np.random.default_rng((*key, DISTANT))
    count = min(rng.poisson(len(cast) * unlabelled / (1 - unlabelled)), 40)
    everybody = [*cast, *(_member(key, DISTANT, i) for i in range(count))]
    behind = crowd.distant_places(rng, camera, count)
    rng = np.random.default_rng((*key, STAGE))
    return _photograph(
        key,
        key,
        crowd.random_stage(rng, camera),
        camera,
        everybody,
        np.concatenate([places, behind]),
        len(cast),
        crowd.random_boxes(rng, camera, places),
    )


def _photograph(key, film, stage, camera, cast, places, labelled, boxes):
    """Paints everybody: `Crowd`.

    Args:
        key: of the picture.
        film: key of what is equal in all frames of a clip.
        stage, camera, cast, places, boxes: as in `paint`.
        labelled: how many of the cast, from the first, may be labelled.
    """
    canvas, bodies = paint(stage, camera, cast, places, boxes)
    outlines = crowd.outline(camera, cast, places)[2] if cast else ()
    people, ignore = read_truth(canvas, bodies, outlines, labelled, _name(key))
    film = np.random.default_rng((*film, FILM))
    grain = np.random.default_rng((*key, GRAIN))
    image = scene.photograph(film, canvas.picture(), grain)
    return Crowd(image, tuple(people), ignore, canvas.owners)


def _name(key):
    return "drawn-" + "-".join(map(str, key))


@functools.lru_cache(maxsize=2)
def _clip(key, size, frames, people, unlabelled):
    """The `walk.Clip` of these seeds; kept for its other frames."""
    rng = np.random.default_rng((*key, LAYOUT))
    return walk.random_clip(rng, size, frames, people, unlabelled)


def draw_frame(
    key, frame, frames, size=(192, 256), people=(1, 12), unlabelled=0.1
):
    """Draws one frame of a clip, whichever others were drawn.

    Args:
        key: integers, the start of every seed.
        frame: its number in the clip.
        frames: number of frames of the clip.
        size, people, unlabelled: as in `draw`.

    Returns:
        `Crowd`.

    Raises:
        ValueError: no such clip was found.
    """
    clip = _clip(key, size, frames, people, unlabelled)
    camera, cast = clip.cameras[frame], clip.cast(frame)
    return _photograph(
        (*key, frame), key, clip.stage, camera, cast, clip.places[frame],
        clip.labelled, clip.boxes,
    )  # fmt: skip


def make(task, size, people, unlabelled, clip):
    """(seed, split, index, bounds) -> `Picture`; no two splits share a seed."""
    *key, bounds = task
    if clip:
        key[-1], frame = divmod(key[-1], clip)
        drawn = draw_frame(tuple(key), frame, clip, size, people, unlabelled)
        source = _name([*key, frame])
        return replace(to_picture(drawn, source), clip=_name(key), frame=frame)
    drawn = draw(tuple(key), size, people, bounds, unlabelled)
    return to_picture(drawn, _name(key))


def to_picture(drawn, source):
    """The record's `Picture` of a `Crowd`: itself, then everybody in it."""
    people = [
        replace(somebody.person, area=somebody.area, track=somebody.track)
        for somebody in drawn.people
    ]
    frame = pictures.frame(drawn.image.shape[:2], len(MPII.joints), source)
    picture = synthetic.to_picture(drawn.image, [frame, *people], source)
    return replace(picture, ignore=pictures.encode_mask(drawn.ignore))


def write_video(path, key, config):
    """Writes a clip as a video of `walk.FRAME_RATE` frames per second.

    Raises:
        OSError: it cannot be written.
    """
    with videos.write(path, config.size, walk.FRAME_RATE) as add:
        for frame in range(config.clip):
            drawn = draw_frame(
                key, frame, config.clip, config.size, config.people,
                config.unlabelled,
            )  # fmt: skip
            add(drawn.image)


def main(config):
    """Draws all splits; returns the folder."""
    counts = {"train": config.train, "val": config.val, "test": config.test}
    _check(config, counts)
    low, high = config.crowd_index
    edges = np.linspace(low, high, max(1, round((high - low) / STEP)) + 1)
    bins = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    tasks = {
        split: [
            (config.seed, place, i, bins[i % len(bins)]) for i in range(count)
        ]
        for place, (split, count) in enumerate(counts.items())
        if count
    }
    names = "size", "people", "unlabelled", "clip"
    synthetic.save(
        config,
        tasks,
        partial(make, **{name: getattr(config, name) for name in names}),
        max(config.size),
        "tfrecords.crowds",
        **pictures.DESCRIPTION,
    )
    if config.clip:
        _write_videos(config, counts)
    return config.output


def _write_videos(config, counts):
    """The first clips of each split, as videos."""
    clips = [
        (Path(config.output) / "clips" / f"{split}-{i:05d}.webm", (place, i))
        for place, (split, count) in enumerate(counts.items())
        for i in range(min(config.videos, count // config.clip))
    ]
    with console.progress(total=len(clips), unit=" videos") as bar:
        for path, part in clips:
            write_video(path, (config.seed, *part), config)
            bar.update()


def _check(config, counts):
    """ValueError for settings that mean nothing."""
    if min(counts.values()) < 0 or not sum(counts.values()):
        raise ValueError(f"expected at least one picture, got {counts}")
    if min(config.size) < SIDE:
        raise ValueError(
            f"sides must be at least {SIDE} pixels, got {config.size}"
        )
    fewest, most = config.people
    least = 1 if config.clip else 0
    if not least <= fewest <= most <= 100 or not most:
        raise ValueError(
            f"people must be from {least} to 100, the fewest first, got "
            f"{fewest} {most}"
        )
    low, high = config.crowd_index
    if not 0 <= low < high < np.inf or (most == 1 and low > 0):
        raise ValueError(
            "crowd_index must be from 0, the least first, and more than one "
            f"person has one above 0, got {low} {high}"
        )
    if not 0 <= config.unlabelled < 1:
        raise ValueError(
            f"unlabelled must be from 0 to below 1, got {config.unlabelled}"
        )
    if min(config.clip, config.videos, config.seed) < 0:
        raise ValueError(
            "clip, videos and seed must be 0 or more, got "
            f"{config.clip}, {config.videos}, {config.seed}"
        )
    if config.clip:
        wrong = {k: v for k, v in counts.items() if v % config.clip}
        if wrong:
            raise ValueError(
                f"expected multiples of --clip {config.clip}, got {wrong}"
            )
        if config.crowd_index != Config.crowd_index:
            raise ValueError(
                "expected --clip or --crowd-index, got both: people of a clip "
                "walk on"
            )


if __name__ == "__main__":
    from keras_pose.console import run

    run(main, Config, __doc__)
