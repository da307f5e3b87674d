"""The report of a model that finds everybody: AP, who is missed, pictures."""

import html

import numpy as np

from keras_pose import drawing, geometry, metrics
from keras_pose.data import annotations
from keras_pose.evaluation import crowds
from keras_pose.inference.looks import look
from keras_pose.models.heads import codec_of
from keras_pose.report import grouping, page, pictures

SHOWN = {"Worst": 6, "Typical": 4}
"""Number of pictures in each section of the page."""
PROTOCOL = "oks"


def show(dataset, split, model, poses):
    """The sections of a split.

    Args:
        dataset: an opened data set of whole pictures.
        split: whose pictures these are.
        model: that found the people.
        poses: `people.Poses` of the split.

    Returns:
        {title: HTML}.
    """
    people = annotations.read_people(dataset, split)
    protocol = metrics.find(PROTOCOL)
    try:
        table = protocol.table(poses, people, dataset.skeleton)
    except ValueError as error:  # nobody is labelled
        return {"Average precision": page.notice(str(error))}
    matches = crowds.match(poses, people, dataset.skeleton)
    return {
        "Average precision": page.numbers(_cells(table, people, matches))
        + f"<p>{html.escape(protocol.explanation)}</p>"
        + page.scores(table.dropna()),
        "From maps to people": _steps(model, dataset, split),
        "Pictures": _pictures(dataset, split, model, poses, people, matches),
    }


def _cells(table, people, matches):
    """The most important numbers."""
    number, found = matches.counted.sum(), matches.found.sum()
    return {
        "AP": page.percent(table.loc["AP"].iloc[0]),
        f"of {len(people.pictures):,} pictures": f"{number:,} people",
        "people found": f"{found:,}",
        "people missed": f"{number - found:,}",
        "poses of nobody": f"{matches.extra.sum():,}",
        "poses of two people": f"{matches.merged.sum():,}",
        "joints of somebody else": f"{matches.confused.sum():,}",
    }


def _steps(model, dataset, split):
    """How one picture is grouped."""
    text = (
        "<p>What the network sees in a picture, and how people are put "
        "together. Grey: pairs that the field refuses (not drawn if there are "
        "many); red: pairs of which an end belongs to a better one.</p>"
    )
    image = grouping.draw_split(
        codec_of(model),
        dataset,
        split,
        model.input_shape[1:3],
        lambda images, _: look(model, images, False, 1),
    )
    return text + page.plate("Peaks, field, pairs, people", image)


def _pictures(dataset, split, model, poses, people, matches):
    """Pictures with truth and prediction, the worst first."""
    count = len(people.pictures)

    def total(picture, values):
        return np.bincount(picture, values, minlength=count).astype(int)

    number = total(people.picture, matches.counted)
    missed = number - total(people.picture, matches.found)
    extra = total(poses.picture, matches.extra)
    merged = total(poses.picture, matches.merged)
    confused = total(poses.picture, matches.confused)
    faults = missed + extra + confused / len(dataset.skeleton.joints)
    order = np.argsort(-faults, kind="stable")
    middle = max(0, (count - SHOWN["Typical"]) // 2)
    picks = {
        "Worst": order[: SHOWN["Worst"]],
        "Typical": order[middle:][: SHOWN["Typical"]],
    }
    subjects = annotations.read_subjects(dataset, split)
    rows = {picture: row for row, picture in enumerate(subjects.picture)}
    chosen = [each for each in {*np.concatenate([*picks.values()]).tolist()}]
    chosen = sorted(picture for picture in chosen if picture in rows)
    images, back = pictures.large_crops(
        dataset,
        split,
        [rows[picture] for picture in chosen],
        model.input_shape[1:3],
    )
    cards = {}
    for image, matrix, picture in zip(
        images, geometry.invert(back), chosen, strict=True
    ):
        there = (people.picture == picture) & matches.counted
        found = poses.picture == picture
        drawn = {
            name: drawing.draw_people(
                image, geometry.move(joints, matrix), dataset.skeleton, flags
            )
            for name, joints, flags in (
                ("truth", people.joints[there], people.flags[there]),
                ("prediction", poses.joints[found], None),
            )
        }
        line = (
            f"{number[picture]} people, {missed[picture]} missed, "
            f"{extra[picture]} poses of nobody, {merged[picture]} of two, "
            f"{confused[picture]} joints of somebody else"
        )
        cards[picture] = page.person(drawn, line, people.pictures[picture])
    text = (
        "<p>Sorted by the number of people missed, poses that show nobody (OKS "
        f"below {crowds.SAME:g} with everybody), and joints of somebody else. "
        f"A pose of two has at least {crowds.MERGED} joints of each. A colour "
        "for each person.</p>"
    )
    return text + "".join(
        page.people(title, [cards[i] for i in members if i in cards])
        for title, members in picks.items()
    )
