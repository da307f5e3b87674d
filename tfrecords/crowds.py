"""Drawn crowds: several people per picture, with exact masks.

The people of `tfrecords.synthetic` on common ground: their size follows from
their distance, nearer ones hide farther ones, and some stand behind boxes. A
record is a whole picture with everybody in it. Joints, flags, areas and masks
are read from the picture's depth buffer and its buffer of person numbers.
People of whom fewer than 3 joints are visible, and small people far behind the
crowd, are not labelled: they are covered by the ignore mask.

The crowd index (Li et al., CrowdPose, CVPR 2019) tells how many joints of
others lie in people's boxes; every tenth of its range gets equally many
pictures. A picture depends only on seed, split and number, not on the number of
workers or on other pictures.

Run      python -m tfrecords.crowds --output data/crowds
"""

from dataclasses import dataclass, replace

import numpy as np

from keras_pose.data.records import Person
from keras_pose.people import crowd_index
from tfrecords import synthetic
from tfrecords.drawn import crowd, figure, scene
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
            if drawn.people and bounds[0] <= drawn.index < bounds[1]:
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
    canvas, bodies = paint(
        crowd.random_stage(rng, camera),
        camera,
        everybody,
        np.concatenate([places, behind]),
        crowd.random_boxes(rng, camera, places),
    )
    name = "drawn-" + "-".join(map(str, key))
    _, _, outlines = crowd.outline(camera, cast, places)
    people, ignore = read_truth(canvas, bodies, outlines, len(cast), name)
    film = np.random.default_rng((*key, FILM))
    image = scene.photograph(film, canvas.picture())
    return Crowd(image, tuple(people), ignore, canvas.owners)
