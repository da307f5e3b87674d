"""Speed of the training pipeline, beside what it is compared with.

    python -m benchmarks.input_pipeline
    python -m benchmarks.input_pipeline --photographs some_folder_of_jpegs

Measured in turns, in the same run, so that other work on the machine hits all
of them alike; the medians of the rounds are printed: images per second, and CPU
time per image of all processes, which is what training beside it loses.

* pipeline: `keras_pose.data.pipeline` in this process, person-crop records
* pipeline, whole photographs: the same with records of `--whole-images`
* OpenCV, photographs and OpenCV, crops: `benchmarks/opencv_loader.py` in worker
  processes, on the photograph files and on files of the very same crops
* decode: `tf.io.decode_jpeg` of the same crops, and nothing else
* opening: `reading.open_split` of a made-up data set, in this process

All get the same people, order and augmentation; their outputs are compared.
"""

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from benchmarks import opencv_loader
from keras_pose import geometry
from keras_pose.console import progress, run
from keras_pose.data import (
    annotations,
    augment,
    dataset,
    pipeline,
    reading,
    records,
)
from keras_pose.skeletons import MPII
from tfrecords import crops
from tfrecords.shards import TASKS_PER_SHARD

PHOTOGRAPH = 720, 1280
"""Height and width of a drawn photograph, MPII's most frequent size."""
PERSON = 300, 640
"""Side of the square around a person: from ... to, pixels."""


@dataclass(frozen=True)
class Config:
    """What is measured."""

    photographs: Path | None = None
    """Folder of JPEG photographs to use; drawn ones if not given."""
    people: int = 64
    """One in each photograph."""
    size: int = 256
    """Side of the training crop, pixels."""
    batch: int = 16
    """People per batch."""
    workers: int = 2
    """Processes of the OpenCV loader."""
    rounds: int = 7
    """How often each is measured, in turns."""
    batches: int = 12
    """Batches per measurement."""
    opened: int = 100_000
    """People in the split that is opened."""


def draw_photograph(rng):
    """Clouds of all sizes and a little grain: as many bytes as a real one."""
    height, width = PHOTOGRAPH
    image = np.zeros((height, width, 3), "float32")
    for octave in range(1, 9):
        cells = 2**octave
        noise = rng.normal(size=(cells * 9 // 16 + 1, cells + 1, 3))
        weight = 60 / octave if octave < 8 else 12
        noise = (noise * weight).astype("float32")
        image += cv2.resize(
            noise, (width, height), interpolation=cv2.INTER_CUBIC
        )
    image += rng.normal(size=image.shape).astype("float32") * 4
    return np.clip(image + 128, 0, 255).astype("uint8")


def photographs(config, folder):
    """Paths of `config.people` JPEG files."""
    if config.photographs:
        found = sorted(config.photographs.rglob("*.jpg"))[: config.people]
        if len(found) < config.people:
            raise ValueError(
                f"{config.photographs}: {config.people} .jpg files wanted, "
                f"got {len(found)}"
            )
        return found
    paths = [folder / f"{i:04d}.jpg" for i in range(config.people)]
    for path in progress(paths, desc="drawing photographs", leave=False):
        image = draw_photograph(np.random.default_rng(int(path.stem)))
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return paths


def person(path, rng):
    """Somebody in a photograph: 16 joints in a square."""
    height, width = cv2.imread(str(path)).shape[:2]
    side = rng.uniform(*PERSON) * height / PHOTOGRAPH[0]
    center = np.array([width, height]) * rng.uniform(0.35, 0.65, 2)
    joints = center + rng.uniform(-0.4, 0.4, (16, 2)) * side
    flags = np.full(16, 2)
    return records.Person(joints, flags, center, side / 200, name=path.name)


def write(folder, pictures):
    """A data set of one shard."""
    folder.mkdir()
    path = folder / "train.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as file:
        for picture in pictures:
            file.write(records.write(picture))
    content = path.read_bytes()
    shard = {
        "file": path.name,
        "records": len(pictures),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    side = max(max(picture.size) for picture in pictures)
    return describe(folder, [shard], side)


def describe(folder, shards, max_side):
    """Writes dataset.json and opens the data set."""
    people = sum(shard["records"] for shard in shards)
    description = {
        "skeleton": MPII.name,
        "protocol": "pckh",
        "max_side": max_side,
        "splits": {"train": {"people": people, "shards": shards}},
    }
    dataset.write_description(folder, description)
    return dataset.open_dataset(folder)


def samples(files, pictures, config, epoch=0):
    """The batches of one epoch as the OpenCV loader wants them."""
    count = len(pictures)
    chances = augment.draw(augment.Augmentation(), count, 0, epoch)
    chances = {name: value.numpy() for name, value in chances.items()}
    found = []
    for i in pipeline.shuffled(count, 0, epoch).numpy():
        subject = pictures[i].people[0]
        matrix = geometry.crop_matrix(
            subject.center,
            subject.scale * geometry.PERSON_PIXELS * chances["zoom"][i],
            chances["angle"][i],
            (config.size, config.size),
            chances["flip"][i],
        )
        order = MPII.mirror if chances["flip"][i] else range(16)
        found.append(
            opencv_loader.Sample(
                str(files[i]),
                matrix,
                chances["gain"][i],
                subject.joints,
                np.array(order),
            )
        )
    whole = range(0, count - config.batch + 1, config.batch)
    return [found[start : start + config.batch] for start in whole]


def compare(data, batches, config):
    """Largest differences between both loaders' pictures and joints."""
    size = config.size, config.size
    mine = pipeline.load(data, "train", size, config.batch, training=True)
    grey, far, mean = 0, 0.0, []
    for (images, labels), batch in zip(mine, batches, strict=False):
        for image, label, sample in zip(
            images, labels[:, 0], batch, strict=True
        ):
            wanted = np.zeros((*size, 3), "uint8")
            targets = np.zeros((16, config.size // 4, config.size // 4))
            joints = opencv_loader.load(sample, size, wanted, targets)
            difference = np.abs(image.numpy().astype(int) - wanted)
            grey = max(grey, np.percentile(difference, 99.9))
            mean.append(difference.mean())
            far = max(far, np.abs(label.numpy()[:, :2] - joints).max())
    print(
        f"same outputs: pixels differ by {np.mean(mean):.2f} grey levels on "
        f"average, 99.9 % by at most {grey:.0f}; joints by at most {far:.4f} px"
    )
    if far > 0.01 or np.mean(mean) > 1:
        raise ValueError("the two loaders do not do the same work")


def opening(count, folder):
    """Seconds to open a split of `count` people, in shards that are holes."""
    folder.mkdir()
    person = records.Person(
        np.ones((16, 2)),
        np.full(16, 2),
        np.ones(2),
        1.0,
        name="000000000.jpg#1",
    )
    pixel = cv2.imencode(".jpg", np.zeros((1, 1, 3), "uint8"))[1].tobytes()
    picture = records.Picture(
        pixel, (1, 1), (person,), "000000000.jpg", np.eye(3)[:2]
    )
    row = reading.look(records.write(picture), reading.FRAME[0], 16)
    shards, parts = [], []
    for start in range(0, count, TASKS_PER_SHARD):
        people = min(TASKS_PER_SHARD, count - start)
        path = folder / f"train-{start:09d}.tfrecord"
        with open(path, "wb") as file:
            file.truncate(people * 60_000)
        digest = hashlib.sha256(path.name.encode()).hexdigest()
        shards.append(
            {
                "file": path.name,
                "records": people,
                "bytes": people * 60_000,
                "sha256": digest,
            }
        )
        parts.append(reading.gather([row] * people))
    describe(folder, shards, 512)
    path = reading.path_of(folder, "train")
    reading.save(path, reading.join([], parts), shards)
    start = time.perf_counter(), time.process_time()
    annotations.read_subjects(dataset.open_dataset(folder), "train")
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    print(
        f"opening {count:,} people and reading who they are: {wall:.2f} s, "
        f"{cpu:.2f} s of CPU; index of {path.stat().st_size / 1e6:.0f} MB"
    )


def endless(batches):
    """Draws so many batches from an endless data set: -> CPU seconds."""
    iterator = iter(batches)

    def draw(count):
        start = time.process_time()
        for _ in range(count):
            next(iterator)
        return time.process_time() - start

    return draw


def decoder(pictures, config):
    """Bare decoding of the same JPEGs, in as many threads as the pipeline."""
    encoded = tf.data.Dataset.from_tensor_slices([p.encoded for p in pictures])
    return (
        encoded.repeat()
        .map(
            lambda x: tf.io.decode_jpeg(
                x, channels=3, dct_method="INTEGER_ACCURATE"
            ),
            num_parallel_calls=pipeline.THREADS,
            deterministic=True,
        )
        .map(lambda image: tf.shape(image))
        .batch(config.batch)
        .prefetch(2)
    )


def main(config):
    """Prints rates and ratios; raises if the outputs differ."""
    with tempfile.TemporaryDirectory() as folder:
        measure(config, Path(folder))


def measure(config, folder):
    """All of it, with everything written under `folder`."""
    files = photographs(config, folder)
    rng = np.random.default_rng(0)
    people = [person(path, rng) for path in files]
    cut = {
        whole: [
            crops.cut(path, [one], config.size, whole_images=whole)
            for path, one in zip(files, people, strict=True)
        ]
        for whole in (False, True)
    }
    crop_files = [folder / f"crop{i:04d}.jpg" for i in range(len(files))]
    for path, picture in zip(crop_files, cut[False], strict=True):
        path.write_bytes(picture.encoded)
    for name, paths in (("photographs", files), ("crops", crop_files)):
        kilobytes = np.mean([path.stat().st_size for path in paths]) / 1e3
        print(f"{len(paths)} {name} of {kilobytes:.0f} kB")

    data = write(folder / "crops", cut[False])
    whole = write(folder / "whole", cut[True])
    size = config.size, config.size
    on_photographs = samples(files, cut[True], config)
    on_crops = samples(crop_files, cut[False], config)
    compare(data, on_crops, config)

    loaders = {
        "OpenCV, photographs": on_photographs,
        "OpenCV, crops": on_crops,
    }
    loaders = {
        name: opencv_loader.Loader(batches, size, config.workers)
        for name, batches in loaders.items()
    }
    runs = {
        name: lambda count, loader=loader: loader.run(0, count)
        for name, loader in loaders.items()
    }
    load = dict(training=True)
    runs["pipeline"] = endless(
        pipeline.load(data, "train", size, config.batch, **load)
    )
    runs["pipeline, whole photographs"] = endless(
        pipeline.load(whole, "train", size, config.batch, **load)
    )
    runs["decode"] = endless(decoder(cut[False], config))
    try:
        rates, seconds = measure_in_turns(runs, config)
    finally:
        for loader in loaders.values():
            loader.close()
    report(rates, seconds)
    opening(config.opened, folder / "opened")


def measure_in_turns(runs, config):
    """Images per second, and CPU seconds per image: name -> (rounds,) each."""
    rates = {name: [] for name in runs}
    seconds = {name: [] for name in runs}
    for draw in runs.values():
        draw(4)
    images = config.batches * config.batch
    for _ in progress(range(config.rounds), desc="rounds", leave=False):
        for name, draw in runs.items():
            draw(2)  # what was fetched ahead while others ran
            start = time.perf_counter()
            seconds[name].append(draw(config.batches) / images)
            rates[name].append(images / (time.perf_counter() - start))
    return [
        {name: np.array(values) for name, values in found.items()}
        for found in (rates, seconds)
    ]


def report(rates, seconds):
    """Rates, then the ratios that the README quotes."""
    print(f"{os.cpu_count()} cores")
    for name, values in rates.items():
        low, middle, high = np.percentile(values, (0, 50, 100))
        print(
            f"{name:28} {middle:7.0f} images/s ({low:.0f} to {high:.0f}), "
            f"{1e3 * np.median(seconds[name]):.2f} ms of CPU each"
        )
    for mine, other, goal in (
        ("pipeline", "OpenCV, photographs", 8),
        ("pipeline", "OpenCV, crops", 3),
        ("pipeline", "decode", 0.5),
        ("pipeline, whole photographs", "OpenCV, photographs", 1),
    ):
        speed = np.median(rates[mine] / rates[other])
        work = np.median(seconds[other] / seconds[mine])
        print(
            f"{mine} / {other}: {speed:.2f} x the images (goal {goal}), "
            f"{work:.2f} x per CPU second"
        )


if __name__ == "__main__":
    run(main, Config, __doc__)
