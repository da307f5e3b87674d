"""Average precision over some pictures, and how sure a difference of it is.

pycocotools matches poses and people once; from its matches the precision of any
choice of pictures follows, so that a bootstrap over pictures takes seconds.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keras_pose.metrics import oks

RECALLS = np.linspace(0, 1, 101)
"""Where COCO takes the precision."""
RESAMPLES = 2000
BINS = (0.0, 0.3, 0.6, 0.9, 1.2)
"""Borders of the crowd index in tables."""
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Judged:
    """M poses in P pictures, at T least similarities (0.50, 0.55 ... 0.95)."""

    score: np.ndarray
    """(M,) of each pose."""
    right: np.ndarray
    """(T, M) bool: shows somebody whom no better pose shows."""
    counted: np.ndarray
    """(T, M) bool: False in crowds."""
    picture: np.ndarray
    """(M,) index of each pose's picture."""
    people: np.ndarray
    """(P,) number of people who must be found."""


def judge(poses, people, skeleton):
    """`Judged` of `people.Poses` and `people.People`, by COCO's rules."""
    scorer = oks.PROTOCOLS["oks"].evaluate(poses, people, skeleton)
    number = len(people.pictures)
    rows = scorer.evalImgs[:number]  # people of all sizes come first
    rows = [(n, row) for n, row in enumerate(rows) if row is not None]
    count = np.zeros(number)
    for picture, row in rows:
        count[picture] = np.sum(np.asarray(row["gtIgnore"]) == 0)
    steps = len(scorer.params.iouThrs)
    right, ignored = (
        np.concatenate(
            [np.zeros((steps, 0)), *(row[name] for _, row in rows)], axis=1
        )
        > 0
        for name in ("dtMatches", "dtIgnore")
    )
    scores = [np.asarray(row["dtScores"], float) for _, row in rows]
    return Judged(
        score=np.concatenate([np.zeros(0), *scores]),
        right=right,
        counted=~ignored,
        picture=np.repeat(
            np.array([picture for picture, _ in rows], int),
            [len(each) for each in scores],
        ),
        people=count,
    )


def average_precision(judged, times=None):
    """COCO's AP (R,), 0 ... 1; NaN without people.

    Args:
        judged: `Judged`.
        times: (R, P), how often each picture counts; None: each once, R = 1.
    """
    if times is None:
        times = np.ones((1, len(judged.people)))
    times = np.asarray(times, float)
    order = np.argsort(-judged.score, kind="stable")
    order = order[times.any(axis=0)[judged.picture[order]]]
    weight, people = times[:, judged.picture[order]], times @ judged.people
    total = np.zeros(len(weight))
    for right, counted in zip(judged.right, judged.counted, strict=True):
        right, counted = right[order], counted[order]
        found = np.cumsum(weight * (right & counted), axis=1)
        wrong = np.cumsum(weight * (~right & counted), axis=1)
        precision = found / (found + wrong + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))  # recalls that are not reached
        recall = found / np.maximum(people, 1)[:, None]
        for row in range(len(weight)):
            places = np.searchsorted(recall[row], RECALLS)
            total[row] += best[row, places].mean()
    return np.where(people > 0, total / len(judged.right), np.nan)


def draw_pictures(number):
    """(1 + `RESAMPLES`, P) how often each picture counts: once, then as often
    as a bootstrap draws it."""
    rng = np.random.default_rng(0)
    drawn = np.zeros((RESAMPLES, number), int)
    if number:
        drawn = rng.multinomial(number, [1 / number] * number, RESAMPLES)
    return np.concatenate([np.ones((1, number), int), drawn])


def compare(judged, index, bins=BINS):
    """AP of several ways on the same pictures, by crowd index.

    The intervals are percentiles (95 %) of a paired bootstrap over pictures: in
    each sample all ways have the same ones. They cover the choice of pictures,
    not that of seeds.

    Args:
        judged: {way: list of `Judged`, one for each seed}; the first way is
            what the others are compared with.
        index: (P,) crowd index of each picture.
        bins: borders of the crowd index; the last bin ends at its last one.

    Returns:
        DataFrame, a row for all pictures and for each bin and way, per cent:
        crowd index, pictures, people, way, AP (the mean of the seeds), AP from,
        AP to, difference, from, to.
    """
    index = np.asarray(index)
    parts = {"all": np.ones(len(index), bool)}
    for low, high in zip(bins[:-1], bins[1:], strict=True):
        inside = (index >= low) & (index < high)
        if high == bins[-1]:
            inside |= index == high
        parts[f"{low:g} to {high:g}"] = inside
    rows = []
    for part, inside in parts.items():
        times = np.zeros((1 + RESAMPLES, len(index)))
        times[:, inside] = draw_pictures(inside.sum())
        first = None
        for way, seeds in judged.items():
            values = np.mean(
                [average_precision(one, times) for one in seeds], axis=0
            )
            first = values if first is None else first
            row = {
                "crowd index": part,
                "pictures": int(inside.sum()),
                "people": int(seeds[0].people[inside].sum()),
                "way": way,
            }
            for name, each in (("AP", values), ("difference", values - first)):
                if not np.isfinite(each).any():  # a bin without people
                    ends = np.nan, np.nan
                else:
                    ends = np.nanquantile(each[1:], INTERVAL)
                prefix = "AP " if name == "AP" else ""
                row |= {
                    name: 100 * each[0],
                    f"{prefix}from": 100 * ends[0],
                    f"{prefix}to": 100 * ends[1],
                }
            if values is first:
                row |= dict.fromkeys(("difference", "from", "to"), np.nan)
            rows.append(row)
    return pd.DataFrame(rows)
