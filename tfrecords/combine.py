"""Combines converted data sets into one, with the joints of one skeleton.

Joints are matched by name; --same says which other names mean the same joint. A
joint that a set lacks is not labelled there, and one that the skeleton lacks is
left out, as are people of whom nothing is labelled then. Pictures are copied as
they are, not encoded again; the name of a photograph begins with that of its
set (lsp/im0001.jpg), so that no two are confused.

Run      python -m tfrecords.combine --data records/mpii records/lsp
             records/lspet --skeleton lsp --same upper_neck=neck
             --splits train=mpii:train,mpii:val,lsp:train,lspet:train
             val=lsp:val test=lsp:test --output records/combined
         python -m tfrecords.combine --data records/mine records/other
             --output records/both

The first trains a network for LSP's tables on MPII, LSP and LSPET. A set is
called by the name of its folder. Without --splits, each split is that of all
sets which have it; people without labelled joints (a detector's boxes, test
people) are only taken where --splits names them. It is for the user to know
that no photograph is in two sets, as CrowdPose's and COCO's are.

The table is that of the first set which can score people of every set in val
and test: PCKh needs head sizes, which LSP has not. OKS needs everybody in a
photograph: evaluate the network on the set itself, records/coco.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from keras_pose import skeletons
from keras_pose.console import run
from keras_pose.data import dataset, reading, records
from tfrecords import shards

FALLBACK = "pck-bbox"
"""The protocol that every labelled person can be scored by."""
BY_NAME = {"pck-torso", "pdj", "flic"}
"""Protocols of the torso's length."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Data sets, and what to take of them."""

    data: tuple[Path, ...]
    """Folders of records."""
    output: Path
    """Folder for the shards and dataset.json."""
    skeleton: str | None = None
    """Joints of the result: mpii, lsp, coco, flic, or the name of a set, whose
    skeleton is taken. Default: that of the first."""
    same: tuple[str, ...] = ()
    """OTHER=JOINT: a name in some sets, and the joint of the skeleton that it
    means."""
    splits: tuple[str, ...] = ()
    """SPLIT=SET:SPLIT,SET:SPLIT ...: of what each split consists."""
    protocol: (
        Literal["pck-bbox", "pck-torso", "pckh", "pckh-0.1", "pdj", "flic"]
        | None
    ) = None
    """Table to report."""
    workers: int | None = None
    """Processes; one per core if not given."""


def main(config):
    """Writes the shards; returns what dataset.json says."""
    sets = open_sets(config.data)
    for name, data in sets.items():
        if data.folder.resolve() == config.output.resolve():
            raise ValueError(f"--output {config.output} is the set {name}")
        if data.whole_pictures:
            raise ValueError(
                f"{data.folder} has records of whole pictures: only records of "
                "people are combined"
            )
    skeleton = _skeleton(config.skeleton, sets)
    same = _same(config.same, skeleton, sets)
    places = {
        name: match(data.skeleton, skeleton, same)
        for name, data in sets.items()
    }
    for name, data in sets.items():
        _print_match(name, data.skeleton, skeleton, places[name])
    parts = parse_splits(config.splits, sets) or _all_splits(sets)
    tasks, scored = {}, {}
    for split, members in parts.items():
        tasks[split] = []
        for name, part in members:
            rows, flags, heads, unlabelled = _tasks(
                sets[name], part, name, places[name]
            )
            tasks[split] += rows
            line = f"{split}: {len(rows):,} {skeleton.kinds} of {name}:{part}"
            if unlabelled:
                line += f"; {unlabelled:,} left out, none of whose joints"
                line += f" is in {skeleton.name}"
            print(line)
            if split != "train" and flags.any():
                scored[name, part] = flags, heads
    used = {name for members in parts.values() for name, _ in members}
    chosen = {name: data for name, data in sets.items() if name in used}
    protocol = config.protocol or _protocol(chosen, scored, skeleton)
    print(f"table: {protocol}{'' if config.protocol else ' (--protocol)'}")
    contexts = [d.context for d in chosen.values() if d.context]
    aspects = {data.aspect for data in chosen.values()}
    return shards.save(
        config.output,
        tasks,
        copy,
        skeleton=skeleton,
        protocol=protocol,
        workers=config.workers,
        max_side=max(data.max_side for data in chosen.values()),
        sources={
            f"{name}/{dataset.DESCRIPTION}": data.folder / dataset.DESCRIPTION
            for name, data in chosen.items()
        },
        title=" + ".join(data.title for data in chosen.values()),
        drawn=all(data.is_drawn for data in chosen.values()),
        context=min(contexts, default=None),
        aspect=aspects.pop() if len(aspects) == 1 else None,
    )


def open_sets(folders):
    """{name of its folder: `Dataset`}.

    Raises:
        ValueError: two folders of one name.
    """
    sets = {}
    for folder in folders:
        data = dataset.open_dataset(folder)
        name = folder.resolve().name
        if name in sets:
            raise ValueError(
                f"{sets[name].folder} and {folder} are both called {name}, "
                "which is how their pictures are told apart: rename one"
            )
        sets[name] = data
    return sets


def _skeleton(name, sets):
    """The skeleton of the result."""
    if name is None:
        return next(iter(sets.values())).skeleton
    if name in sets:
        return sets[name].skeleton
    known = {**skeletons.SKELETONS}
    known |= {data.skeleton.name: data.skeleton for data in sets.values()}
    if name not in known:
        raise ValueError(
            f"--skeleton must be one of {', '.join({**known, **sets})}, got "
            f"{name!r}"
        )
    return known[name]


def _same(words, skeleton, sets):
    """{other name: joint} of --same."""
    same = {}
    joints = {j for data in sets.values() for j in data.skeleton.joints}
    for word in words:
        other, sign, joint = word.partition("=")
        if not sign or joint not in skeleton.joints or other not in joints:
            raise ValueError(
                f"--same {word}: expected OTHER=JOINT, OTHER of a set and "
                f"JOINT of {skeleton.name}: {', '.join(skeleton.joints)}"
            )
        if same.setdefault(other, joint) != joint:
            raise ValueError(
                f"--same must name one joint for {other}, got {same[other]} "
                f"and {joint}"
            )
    return same


def match(source, target, same):
    """Where the joints of a skeleton come from.

    Args:
        source: skeleton of a set.
        target: that of the result.
        same: {name in the set: joint of the result}.

    Returns:
        (K,) index of each joint of the target in the source; -1: it lacks it.

    Raises:
        ValueError: nothing matches, or two joints of the set mean the same.
    """
    places = [-1] * len(target.joints)
    for number, joint in enumerate(source.joints):
        joint = same.get(joint, joint)
        if joint not in target.joints:
            continue
        place = target.index(joint)
        if places[place] >= 0:
            raise ValueError(
                f"{source.joints[places[place]]} and {source.joints[number]} "
                f"of {source.name} both mean {joint}: change --same"
            )
        places[place] = number
    if max(places) < 0:
        raise ValueError(
            f"no joint of {source.name} is in {target.name}: "
            f"{', '.join(source.joints)}. --same OTHER=JOINT matches names"
        )
    return tuple(places)


def _print_match(name, source, target, places):
    """Says which joints of a set are in the result."""
    left = [j for n, j in enumerate(source.joints) if n not in places]
    lacking = [
        joint
        for joint, place in zip(target.joints, places, strict=True)
        if place < 0
    ]
    line = f"{name}: {len(target.joints) - len(lacking)} of "
    line += f"{len(target.joints)} joints"
    if lacking:
        line += f"; not labelled: {', '.join(lacking)}"
    if left:
        line += f"; left out: {', '.join(left)} (--same {left[0]}=JOINT)"
    print(line)


def parse_splits(words, sets):
    """{"train": [("mpii", "train"), ("lsp", "train")]} of --splits.

    Raises:
        ValueError: not SPLIT=SET:SPLIT, a split of a set twice, or unknown.
    """
    parts, taken = {}, {}
    for word in words:
        split, sign, members = word.partition("=")
        if not (split.isidentifier() and sign) or split in parts:
            raise ValueError(
                f"splits must be SPLIT=SET:SPLIT,SET:SPLIT, each split once, "
                f"got {word!r}"
            )
        parts[split] = []
        for member in members.split(","):
            name, _, part = member.partition(":")
            if name not in sets or part not in sets[name].splits:
                known = [f"{n}:{s}" for n, d in sets.items() for s in d.splits]
                raise ValueError(
                    f"{word}: {member!r} is none of {', '.join(known)}"
                )
            if member in taken:
                raise ValueError(
                    f"{member} is in {taken[member]} and in {split}: a network "
                    "would be scored on what it was trained on"
                )
            taken[member] = split
            parts[split].append((name, part))
    return parts


def _all_splits(sets):
    """Each split of all sets that have it with labelled joints."""
    parts = {}
    for name, data in sets.items():
        for split in data.splits:
            if data.people(split) and data.is_labelled(split):
                parts.setdefault(split, []).append((name, split))
    return parts


def _tasks(data, split, name, places):
    """What `copy` needs of each record of a split.

    Returns:
        [(path, start, length, checksum, name, joints, places)], (N, K) flags
        and (N,) head sizes of their subjects, and how many others have no
        labelled joint left.
    """
    index = reading.open_split(data, split)
    flags = np.asarray(index.columns["flags"])
    moved = np.where(np.array(places) < 0, 0, flags[:, list(places)])
    kept = (moved > 0).any(axis=1) | ~(flags > 0).any(axis=1)
    rows = np.flatnonzero(kept)
    columns = [
        index.columns[key][rows].tolist()
        for key in ("shard", "start", "length", "checksum")
    ]
    joints = flags.shape[1]
    tasks = [
        (index.paths[shard], start, length, checksum, name, joints, places)
        for shard, start, length, checksum in zip(*columns, strict=True)
    ]
    heads = np.asarray(index.columns["head_size"])[rows]
    return tasks, moved[rows], heads, len(kept) - len(rows)


def copy(task):
    """One record as a `Picture` of the result: the same bytes of the JPEG.

    Raises:
        ValueError: the record is not the one in the index.
    """
    path, start, length, checksum, name, joints, places = task
    try:
        record = reading.read_record(path, start, length, checksum)
    except ValueError as error:
        raise ValueError(f"{path}: the record at {start:,} {error}") from None
    picture = records.parse(record, joints)
    return replace(
        picture,
        people=tuple(
            replace(
                person,
                joints=person.joints[list(places)],
                flags=np.where(
                    np.array(places) < 0, 0, person.flags[list(places)]
                ),
                name=f"{name}/{person.name}" if person.name else "",
            )
            for person in picture.people
        ),
        source=f"{name}/{picture.source}",
    )


def _protocol(sets, scored, skeleton):
    """The first set's protocol that scores some people of every part."""
    for data in sets.values():
        if scored and all(
            _counts(data.protocol, *columns, skeleton)
            for columns in scored.values()
        ):
            return data.protocol
    return FALLBACK


def _counts(protocol, flags, heads, skeleton):
    """Whether a protocol counts any of these subjects."""
    if protocol.startswith("pckh"):
        return bool((heads > 0).any())
    if protocol in BY_NAME:
        ends = skeleton.torso or skeletons.LEFT_SHOULDER_RIGHT_HIP
        if not set(ends) <= set(skeleton.joints):
            return False
        both = flags[:, [skeleton.index(joint) for joint in ends]] > 0
        return bool(both.all(axis=1).any())
    return protocol == FALLBACK


if __name__ == "__main__":
    run(main, Config, __doc__)
