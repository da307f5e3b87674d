"""Writes a data set: shards in parallel, each atomically, dataset.json last.

Each split has an index beside its shards (`keras_pose.data.reading`).

A running conversion writes to OUTPUT/unfinished, which readers ignore and which
it locks. A finished shard has its own index and a small JSON file that
identifies its tasks; the same command, started again after Ctrl-C, kill -9, a
power cut or a full disk, keeps these shards and writes the others. The result
does not depend on the number of workers or on interruptions.
"""

import errno
import hashlib
import json
import os
import pickle
import re
import shlex
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from multiprocessing import connection, get_context
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from keras_pose import console, cores, files, skeletons
from keras_pose.data import dataset, reading, records

TASKS_PER_SHARD = 128
"""Small, to balance the workers and to lose little when interrupted."""

UNFINISHED = "unfinished"
"""Folder inside the output that holds shards until all are written."""

MISSING = "missing.txt"
"""Lists the missing and unusable images, with the reason."""


def save(
    output,
    tasks,
    make,
    *,
    skeleton,
    protocol,
    max_side=None,
    sources=(),
    command=None,
    workers=None,
    allow_missing=False,
    **extra,
):
    """Writes shards and dataset.json into the folder `output`.

    A task may raise FileNotFoundError (its image is missing) or ValueError (its
    image or annotation is unusable): such people are left out and named in
    missing.txt.

    Args:
        output: folder; made if absent, an older data set in it is replaced.
        tasks: {split: list of picklable tasks}, in the order of the records.
        make: top-level function, or `functools.partial` of one, that turns a
            task into a `records.Picture`; runs in the worker processes.
        skeleton: a `Skeleton`, or the name of a known one.
        protocol: name of the metric commonly reported on this data.
        max_side: largest side that a picture may have, pixels; None: that of
            the largest one.
        sources: paths of the annotation files, kept as names with checksums;
            or {name: path}, where several have one name.
        command: the command that made the data set; None: the command line.
        workers: processes, None: one per core; 1 runs in this process.
        allow_missing: leave out people without a usable image, instead of
            failing after all were tried.
        **extra: further entries of dataset.json.

    Returns:
        The description that dataset.json holds.

    Raises:
        ValueError: a split without tasks, an unusable image.
        FileNotFoundError: a missing image.
        OSError: the output cannot be written.
    """
    for split, items in tasks.items():
        if not items:
            raise ValueError(
                f"split {split!r} holds no {dataset.unit_of(extra)}"
            )
    output = Path(output)
    if not isinstance(sources, dict):
        sources = {Path(path).name: path for path in sources}
    description = {
        "skeleton": skeletons.find(skeleton).described(),
        "protocol": protocol,
        "max_side": max_side,
        "sources": {n: files.checksum(path) for n, path in sources.items()},
        "command": command or shlex.join(["python", *sys.orig_argv[1:]]),
        **extra,
    }
    with files.locked(output):
        return _save(output, tasks, make, description, workers, allow_missing)


def _save(output, tasks, make, description, workers, allow_missing):
    """`save`, once the folder is locked; completes the description."""
    unfinished = output / UNFINISHED
    with files.sentences(unfinished):
        unfinished.mkdir(exist_ok=True)
    chunks = {
        (split, index): items[start : start + TASKS_PER_SHARD]
        for split, items in tasks.items()
        for index, start in enumerate(range(0, len(items), TASKS_PER_SHARD))
    }
    jobs = [
        (unfinished / f"{split}-{index:05d}", _fingerprint(make, chunk), chunk)
        for (split, index), chunk in chunks.items()
    ]
    data = dataset.Dataset(output, description)
    joints = len(data.skeleton.joints)
    write = partial(_write_shard, make=make, joints=joints)
    finished = partial(_finished, joints=joints)
    results = _run(jobs, write, finished, workers, data.subjects)
    written = dict(zip(chunks, results, strict=True))

    lost = [line for shard in written.values() for line in shard["lost"]]
    _write_list(output / MISSING, lost)
    if lost and not allow_missing:
        raise _refusal(lost, data)
    if not any(shard["records"] for shard in written.values()):
        raise _refusal(lost, data, hint="nothing is left to convert")
    largest = max(shard["max_side"] for shard in written.values())
    max_side = description["max_side"] or largest
    if largest > max_side:
        raise ValueError(
            f"sides of pictures must be at most {max_side} pixels, got "
            f"{largest}"
        )
    description |= {
        "max_side": max_side,
        "splits": {split: _split(split, written, data.unit) for split in tasks},
        "missing": len(lost),
    }
    _publish(output, written, description, joints)
    _report(data, lost)
    return description


def _run(jobs, write, finished, workers, subjects):
    """The results of all jobs, in order; finished shards are kept."""
    workers = workers or cores.count()
    done = {path: finished(path, mark) for path, mark, _ in jobs}
    todo = [job for job in jobs if done[job[0]] is None]
    with ExitStack() as stack:
        count = sum(len(chunk) for *_, chunk in jobs)
        bar = console.progress(total=count, unit=f" {subjects}")
        stack.enter_context(bar)
        bar.update(sum(len(chunk) for p, _, chunk in jobs if done[p]))
        if min(workers, len(todo)) <= 1:
            for job in todo:
                done[job[0]] = write(*job)
                bar.update(len(job[2]))
        else:
            # spawn: TensorFlow does not survive a fork.
            context = get_context("spawn")
            line, held = context.Pipe(duplex=False)
            pool = ProcessPoolExecutor(
                min(workers, len(todo)), context, _start_worker, (line,)
            )
            stack.callback(pool.shutdown, cancel_futures=True)
            # Closed first: workers exit without finishing their shards.
            stack.enter_context(held)
            futures = {pool.submit(write, *job): job for job in todo}
            try:
                for future in as_completed(futures):
                    path, _, chunk = futures[future]
                    done[path] = future.result()
                    bar.update(len(chunk))
            except BrokenProcessPool:
                raise OSError(
                    "a worker process was killed (out of memory?): try fewer "
                    "workers; the same command continues"
                ) from None
    return [done[path] for path, *_ in jobs]


def _start_worker(line):
    """One core each; ignores signals, exits with the parent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(line,), daemon=True).start()
    cv2.setNumThreads(1)
    tf.config.set_visible_devices([], "GPU")  # only JPEGs are decoded here


def _follow(line):
    """Exits when the other end is closed; nothing is ever sent."""
    connection.wait([line])
    os._exit(1)


def _fingerprint(make, chunk):
    """Identifies function and tasks: a rerun keeps shards with the same."""
    return hashlib.sha256(pickle.dumps((make, chunk))).hexdigest()


def _finished(path, mark, joints):
    """The result of an earlier run of this job, None if there is none."""
    try:
        result = json.loads(path.with_suffix(".json").read_text())
        whole = result["mark"] == mark and not result["lost"]
        whole = whole and "most" in result  # not of an earlier version
        shard = path.with_suffix(".tfrecord")
        whole = whole and files.checksum(shard) == result["sha256"]
        return result if whole and _index(path, result, joints) else None
    except (OSError, ValueError, KeyError):
        return None


def _index(path, result, joints):
    """The index of a finished shard, None if it is missing or damaged."""
    return reading.load(path.with_suffix(".index"), [], [result], joints)


def _write_shard(path, mark, chunk, make, joints):
    """Writes path.tfrecord, path.index and path.json, the last one last."""
    shard = path.with_suffix(".tfrecord")
    flags = np.zeros(3, int)  # number of joints by flag
    sides, people, rows, lost, size = [0], [0], [], [], 0
    with files.whole(shard) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for task in chunk:
                try:
                    picture = make(task)
                    record = records.write(picture)
                    row = reading.look(record, size + reading.FRAME[0], joints)
                except FileNotFoundError as error:
                    lost.append(["missing", str(error.filename or error)])
                    continue
                except ValueError as error:
                    lost.append(["unusable", str(error)])
                    continue
                writer.write(record)
                rows.append(row)
                size += len(record) + sum(reading.FRAME)
                sides += picture.size
                people.append(len(picture.counted))
                for person in picture.counted:
                    flags += np.bincount(person.flags, minlength=3)
        if temporary.stat().st_size != size:
            raise OSError(errno.ENOSPC, "not all of it was written")
    result = {
        "mark": mark,
        "records": len(rows),
        "people": sum(people),
        "most": max(people),
        "bytes": size,
        "sha256": files.checksum(shard),
        "joints": [int(count) for count in flags],
        "max_side": int(max(sides)),
        "lost": lost,
    }
    if rows:
        part = reading.gather(rows)
        reading.save(path.with_suffix(".index"), part, [result])
    with files.whole(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(result))
    return result


def _split(split, written, unit):
    """The entry of one split in dataset.json."""
    shards = _shards(split, written)
    columns = {
        name: [written[key][name] for key, _ in shards]
        for name in ("records", "people", "most")
    }
    counts = {"people": sum(columns["people"])}
    if unit == "pictures":
        counts["pictures"] = sum(columns["records"])
        counts["most"] = max(columns["most"], default=0)
    unlabelled, occluded, visible = np.sum(
        [written[key]["joints"] for key, _ in shards] or [[0, 0, 0]], axis=0
    ).tolist()
    return {
        **counts,
        "joints": {
            "visible": visible,
            "occluded": occluded,
            "unlabelled": unlabelled,
        },
        "shards": [
            {"file": name}
            | {k: written[key][k] for k in ("records", "bytes", "sha256")}
            for key, name in shards
        ],
    }


def _shards(split, written):
    """(key, file name) of the shards of a split that are not empty."""
    keys = [k for k in written if k[0] == split and written[k]["records"]]
    return [
        (key, f"{split}-{index:05d}-of-{len(keys):05d}.tfrecord")
        for index, key in enumerate(keys)
    ]


def _publish(output, written, description, joints):
    """Moves the shards into the output; dataset.json comes last."""
    for old in [output / dataset.DESCRIPTION, *_written(output, description)]:
        old.unlink(missing_ok=True)
    for split, entry in description["splits"].items():
        parts = []
        for key, name in _shards(split, written):
            path = output / UNFINISHED / f"{split}-{key[1]:05d}"
            parts.append(_index(path, written[key], joints))
            os.replace(path.with_suffix(".tfrecord"), output / name)
        if parts:
            path = reading.path_of(output, split)
            reading.save(path, reading.join([], parts), entry["shards"])
    files.flush_entries(output)
    dataset.write_description(output, description)
    for left in _written(output / UNFINISHED, description):
        left.unlink()
    files.sweep(output / UNFINISHED)
    try:
        (output / UNFINISHED).rmdir()
    except OSError:
        print(f"{output / UNFINISHED} was not removed: it contains other files")


def _written(folder, description):
    """Files of a conversion in a folder, also of an earlier one."""
    splits = {"train", "val", "test", *description["splits"]}
    pattern = re.compile(
        rf"({'|'.join(map(re.escape, splits))})"
        r"(-\d{5,}(-of-\d{5,}\.tfrecord|\.(tfrecord|index|json))|\.index)"
    )
    return [p for p in folder.iterdir() if pattern.fullmatch(p.name)]


def _write_list(path, lost):
    """Writes one line per unusable image; no file if there is none."""
    lines = dict.fromkeys(f"{kind}: {what}" for kind, what in lost)
    if lines:
        with files.whole(path) as temporary:
            text = "\n".join(lines) + "\n"  # a name of a file may be no text
            temporary.write_text(text, errors="backslashreplace")
    else:
        path.unlink(missing_ok=True)


def _refusal(lost, data, hint="put them there or pass --allow-missing"):
    """One error for everything that could not be converted."""
    missing = dict.fromkeys(what for kind, what in lost if kind == "missing")
    unusable = dict.fromkeys(what for kind, what in lost if kind != "missing")
    parts = []
    if missing:
        first = next(iter(missing))
        parts.append(f"{len(missing):,} images are missing, first {first}")
    if unusable:
        first = next(iter(unusable))
        count = f"{len(unusable):,} {data.subjects}"
        parts.append(f"{count} are unusable, first {first}")
    kind = FileNotFoundError if missing else ValueError
    return kind(
        f"{'; '.join(parts)}. {data.folder / MISSING} lists all; {hint}."
    )


def _report(data, lost):
    for split, entry in data.description["splits"].items():
        text = dataset.describe_split(entry, data.skeleton.kinds)
        print(f"{split}: {text}")
    if lost:
        images = len({what for kind, what in lost if kind == "missing"})
        print(
            f"left out {len(lost):,} {data.subjects}, "
            f"{images:,} images are missing: {data.folder / MISSING}"
        )
    print(f"next: python -m tfrecords.check --data {data.folder}")
