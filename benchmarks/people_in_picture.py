"""Time against the number of people: bottom-up beside top-down.

    python -m benchmarks.people_in_picture

OpenPose (Z. Cao et al., CVPR 2017) says that its time hardly depends on the
number of people, while that of a top-down system grows with it. Measured in
turns in one process, on drawn pictures with 1 to 12 labelled people:

* network: fields and maps of the whole picture (the laptop preset of
  `reproductions.openpose`)
* grouping: from maps and fields to people, of the rendered truth, so that
  everybody is found
* top-down: the crops of these people from their boxes, all in one batch, a
  network of the same kind (the laptop preset of `reproductions.hsm_loss`), and
  the peaks of its maps; a detector's time is not in it

The medians of the rounds are printed: milliseconds of the processor, which
other work on the machine disturbs less, and of the clock. Of each a line of
time against people is fitted, and its slope divided by the time with the fewest
people: 0 does not depend on their number, 1 is once more for each.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks import machine, turns
from keras_pose.console import run

WARM = 1
"""Rounds before the clock starts."""
TRIES = 50
"""Pictures that are drawn until one has as many labelled people as wanted."""


@dataclass(frozen=True)
class Config:
    """Sizes of the networks and of the measurement."""

    people: tuple[int, ...] = tuple(range(1, 13))
    """Numbers of people in the pictures, growing."""
    size: tuple[int, int] = (192, 256)
    """Height and width of the pictures, which the bottom-up network sees."""
    crop: int = 128
    """Side of the top-down network's input, pixels."""
    filters: int = 64
    """Channels of both networks' features."""
    rounds: int = 5
    """How often each is measured, in turns."""


def draw_crowd(count, size):
    """A `tfrecords.crowds.Crowd` with so many labelled people."""
    from tfrecords import crowds

    for seed in range(TRIES):
        extra = min(seed // 2, 6)  # some may be hidden
        drawn = crowds.draw(
            (count, seed), size, (count, count + extra), unlabelled=0.0
        )
        if len(drawn.people) == count:
            return drawn
    raise ValueError(
        f"no picture of {size[0]} x {size[1]} pixels has {count} labelled "
        f"people in {TRIES} tries"
    )


def build_models(config):
    """The bottom-up network, and the top-down one."""
    from keras_pose.skeletons import MPII
    from reproductions import hsm_loss, openpose

    shared = {"preset": "laptop", "filters": config.filters}
    settings = {"image_size": config.size, "people": max(config.people)}
    bottom_up, _ = openpose.Config(**shared, **settings).resolved()
    size = config.crop, config.crop
    top_down, _ = hsm_loss.Config(**shared, image_size=size).resolved()
    return openpose.build_model(bottom_up, MPII), hsm_loss.build_model(
        top_down, MPII
    )


def jobs(config, models, crowd):
    """{name: function that does it once for a picture}."""
    import cv2

    from keras_pose import geometry
    from keras_pose.inference import bottom_up
    from keras_pose.inference.looks import look
    from keras_pose.models.heads import codec_of

    whole, single = models
    codec, crop_codec = codec_of(whole), codec_of(single)
    people = [somebody.person for somebody in crowd.people]
    labels = np.stack(
        [np.column_stack([p.joints, p.flags]) for p in people]
    ).astype("float32")
    cells = [side // codec.stride for side in config.size]
    blank = np.zeros((1, 1, *cells, codec.channels), "float32")
    truth = np.asarray(codec.kept(codec.target(labels[None], blank)[0][:, 0]))
    back = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    side = config.crop

    def see_everybody():
        return look(whole, crowd.image[None], False, 1)

    def group():
        return bottom_up.poses_of(codec, truth, back, [0])

    def see_each():
        matrices = np.stack(
            [
                geometry.crop_matrix(
                    p.center,
                    geometry.PERSON_PIXELS * p.scale,
                    0.0,
                    (side, side),
                )
                for p in people
            ]
        )
        crops = np.stack(
            [cv2.warpAffine(crowd.image, m[:2], (side, side)) for m in matrices]
        )
        seen = look(single, crops, False, len(crops))
        points, *_ = crop_codec.joints(seen, "quarter")
        return geometry.move(np.asarray(points), geometry.invert(matrices))

    return {"network": see_everybody, "grouping": group, "top-down": see_each}


def measure(config, models):
    """DataFrame: a row for each number of people, columns (clock, job) in
    milliseconds; and the number of poses that grouping found."""
    work = {
        count: jobs(config, models, draw_crowd(count, config.size))
        for count in config.people
    }
    grouped = {n: len(each["grouping"]()[0]) for n, each in work.items()}
    spent = {}
    for turn in range(WARM + config.rounds):
        for count, each in work.items():
            for name, job in each.items():
                start = np.array(turns.now())
                job()
                passed = turns.now() - start
                if turn >= WARM:
                    spent.setdefault((count, name), []).append(passed)
    rows = [
        {"people": count, "job": name}
        | dict(
            zip(("ms", "CPU ms"), 1000 * np.median(each, axis=0), strict=True)
        )
        for (count, name), each in spent.items()
    ]
    table = pd.DataFrame(rows).pivot(
        index="people", columns="job", values=["CPU ms", "ms"]
    )
    return table, grouped


def slopes(table):
    """Slope per person / time with the fewest people, of each column."""
    people = table.index.to_numpy(float)
    slope = np.polyfit(people, table.to_numpy(float), 1)[0]
    return pd.Series(slope / table.iloc[0].to_numpy(float), table.columns)


def main(config):
    """Prints both tables and the slopes; returns the slopes."""
    if len(set(config.people)) < 2:
        raise ValueError(
            f"people must be at least two numbers, got {config.people}"
        )
    print(machine.describe())
    height, width = config.size
    print(
        f"2-stack hourglasses of {config.filters} features: pictures of "
        f"{height} x {width}, crops of {config.crop} x {config.crop}"
    )
    models = build_models(config)
    table, grouped = measure(config, models)
    found = slopes(table)
    for clock in ("CPU ms", "ms"):
        print(f"\n{clock}")
        print(table[clock].round(1).to_string())
        print("slope per person / time at the fewest people:")
        print(found[clock].round(3).to_string())
    print(f"\nPeople that grouping found, of so many: {grouped}")
    return found


if __name__ == "__main__":
    run(main, Config, __doc__)
