"""Writes report.html: what was trained, its score, and where it fails."""

import html
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from keras_pose import files, metrics
from keras_pose.data import annotations
from keras_pose.evaluation import failures
from keras_pose.inference import bottom_up
from keras_pose.models import model as models
from keras_pose.models.heads import codec_of
from keras_pose.people import People
from keras_pose.report import (
    charts,
    joints,
    learning,
    page,
    pictures,
    several,
    stages,
)
from keras_pose.report import history as runs
from keras_pose.skeletons import Skeleton
from keras_pose.training.folder import (
    BEST,
    JOINT_WEIGHTS,
    REPORT,
    RESULTS,
)

MISSING = {"Not in the picture": (0,), "Not in it, or occluded": (0, 1)}
"""Definitions of a missing joint, as COCO's flags."""
KINDS = {
    "nearly right": f"within {failures.NEARLY:g} times the allowed distance",
    "left for right": "on the same joint of the other side",
    "another joint": "on another joint of the same {}",
    "elsewhere": "on none of the {}'s joints",
}
"""What `failures.kinds_of_miss` means."""


def write_report(
    run_folder,
    dataset,
    split="val",
    model=None,
    predictions=None,
    batch_size=32,
):
    """Writes report.html into the folder of a run, completely or not at all.

    The page says what is missing (no history.csv, no people in the split).

    Args:
        run_folder: holds run.json, best.keras and usually history.csv.
        dataset: an opened data set.
        split: whose people are scored.
        model: best.keras with all its outputs, if already loaded.
        predictions: of `top_down.predict_people`, if already made.
        batch_size: people per step of the prediction.

    Returns:
        path of the page.
    """
    folder = Path(run_folder)
    run = runs.read_run(folder)
    history = runs.read_history(folder)
    results = {}
    if (folder / RESULTS).is_file():
        results = runs.read_json(folder / RESULTS)
    curves = page.section("Curves", learning.curves(history))
    if (folder / JOINT_WEIGHTS).is_file():
        curves += page.section(
            "Joint weights", learning.joint_weights(folder / JOINT_WEIGHTS)
        )
    held_out = dataset.description["splits"].get(split, {}).get("people")
    if held_out:
        model = model or models.load_whole(folder / BEST)
        if predictions is None:
            predictions = bottom_up.predict(
                model, dataset, split, batch_size=batch_size
            )
    result = None
    if held_out and codec_of(model).finds_everybody:
        found = several.show(dataset, split, model, predictions)
        sections = [page.section(*part) for part in found.items()]
        sections.insert(1, curves)
    elif held_out:
        result = _judge(dataset, split, predictions)
        skeleton = dataset.skeleton
        seen = dataset, split, model, result, batch_size
        inside = {
            "Stage by stage": stages.show_stages(*seen),
            "Where the mean lies": stages.show_means(*seen),
        }
        sections = [
            page.section("Score per joint", _table(result, skeleton)),
            *(page.section(*part) for part in inside.items() if part[1]),
            *_other_tables(folder, dataset, split, results),
            curves,
            page.section(
                dataset.skeleton.kinds.capitalize(), pictures.show_people(*seen)
            ),
            *(
                page.section("Joint by joint", text)
                for text in [joints.show_joints(*seen)]
                if text
            ),
            page.section("Where it fails", _failures(result, skeleton)),
            page.section("Missing joints", _missing(result, codec_of(model))),
        ]
    else:
        absent = page.notice(
            f"{dataset.folder} has no {dataset.skeleton.kinds} in a split "
            f"{split!r} (its splits: {', '.join(dataset.splits)}), so there "
            f"is no score on held-out {dataset.skeleton.kinds}."
        )
        sections = [page.section("Score", absent), curves]
    top = _summary(folder, run, history, dataset, split, result, results)
    settings = page.section("Settings", _settings(run))
    text = page.write(
        f"{folder.name}: report", top + "".join(sections) + settings
    )
    path = folder / REPORT
    with files.whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


@dataclass(frozen=True)
class _Result:
    """Predictions of a split, judged."""

    people: People
    labels: np.ndarray
    """(N, K, 4) in pixels of the photographs."""
    joints: np.ndarray
    """(N, K, 2) predicted."""
    scores: np.ndarray
    """(N, K) height of each peak."""
    table: "pd.DataFrame"
    """Of `evaluate`, by the data set's protocol."""
    protocol: object
    """The data set's."""
    judge: object
    """The protocol that judges single joints."""
    skeleton: Skeleton
    """Names the joints."""
    reach: np.ndarray
    """(N, K): up to 1 is correct."""
    curves: dict
    """{what is missing: `failures.missing_joint_curve`}."""
    threshold: float
    """Joints below this score count as missing; 0 if none is ever missing."""

    @property
    def score(self):
        """The mean, in per cent."""
        return float(self.table.iloc[-1, 0])

    @property
    def counted(self):
        """Number of people that count in the mean."""
        return int(self.table["people"].iloc[-1])

    @property
    def who(self):
        """The people that are scored: "341 of 500 people"."""
        everyone = page.many(
            len(self.joints), self.skeleton.kind, self.skeleton.kinds
        )
        all_counted = self.counted == len(self.joints)
        return everyone if all_counted else f"{self.counted:,} of {everyone}"


def _judge(dataset, split, predictions):
    people = annotations.read_subjects(dataset, split)
    labels, skeleton = people.labels, dataset.skeleton
    protocol = metrics.find(dataset.protocol)
    judge = failures.joint_protocol(dataset.protocol)
    curves = {
        name: failures.missing_joint_curve(
            predictions.scores, people.flags, flags
        )
        for name, flags in MISSING.items()
        if (people.flags == max(flags)).any() and np.ptp(predictions.scores)
    }
    absent = curves.get(next(iter(MISSING)))
    return _Result(
        people=people,
        labels=labels,
        joints=predictions.joints,
        scores=predictions.scores,
        table=protocol.table(predictions, people, skeleton),
        protocol=protocol,
        judge=judge,
        skeleton=skeleton,
        reach=failures.reaches(predictions.joints, labels, skeleton, judge),
        curves=curves,
        threshold=failures.best_threshold(absent)["threshold"]
        if absent is not None
        else 0.0,
    )


def _summary(folder, run, history, dataset, split, result, results):
    """The summary at the top of the page."""
    settings = {k: v["value"] for k, v in run.get("settings", {}).items()}
    people = dataset.description["splits"].get("train", {}).get("people")
    people = settings.get("train_people") or people
    text = f'A network was trained on the data set "{dataset.title}"'
    if people:
        kinds = dataset.skeleton.kind, dataset.skeleton.kinds
        text += f" ({page.many(people, *kinds)})"
    cells = {}
    if history is not None:
        text += f" for {page.many(len(history), 'epoch')}"
        seconds = history["seconds"].sum() if "seconds" in history else 0
        text += f", in {page.duration(seconds)}" if seconds else ""
        best = f"val_{runs.metric_of(history)}"
        if best in history and history[best].notna().any():
            epoch = history.loc[history[best].idxmax(), "epoch"]
            last = history["epoch"].max()
            improving = 1 < epoch == last
            label = f"best epoch{': still improving' if improving else ''}"
            cells[label] = f"{epoch:g} of {last:g}"
    text += "."
    if settings.get("initial_weights"):
        text += f" It started from the weights {settings['initial_weights']}."
    if result:
        text += (
            f" On {result.who} of the split {split}, which was not used for "
            f"training, it places {page.percent(result.score)} of "
            f"{result.protocol.meaning(result.skeleton)}."
        )
        first = {
            f"{result.table.columns[0]} on {split}": page.percent(result.score)
        }
        before = results.get("untrained", results.get("before_training"))
        if results.get("split") == split and before is not None:
            before = page.percent(100 * before)
            text += f" Before training it placed {before}."
            first["before training"] = before
        if results.get("chosen_on") == split:
            text += " The best epoch was chosen on the same "
            text += f"{result.skeleton.kinds}."
        counted = {f"{result.skeleton.kinds} counted": f"{result.counted:,}"}
        cells = first | cells | counted
    paper = run.get("paper")
    return page.header(
        folder.name if paper else "Training report",
        paper or folder.name,
        text,
        page.numbers(cells)
        + page.command("Trained with", run.get("command"))
        + page.command(
            "Data converted with", dataset.description.get("command", "")
        ),
    )


def _table(result, skeleton):
    """The usual columns and the mean; single joints are collapsed."""
    table = result.table
    counts = {
        name: table[name].map("{:,.0f}".format)
        for name in metrics.shares.COUNTS
    }
    table = table.assign(**counts).rename(columns={"people": skeleton.kinds})
    single = table.index.isin(result.protocol.parts(skeleton))
    note = f"Share of {result.protocol.meaning(skeleton)}, in per cent."
    left_out = getattr(result.protocol, "left_out", ())
    left_out = [j.replace("_", " ") for j in left_out if j in skeleton.joints]
    if left_out:
        note += f" The mean leaves out {' and '.join(left_out)}."
    if result.counted < len(result.joints):
        note += (
            f" {result.who} are counted; the others lack "
            f"{result.protocol.needs}."
        )
    if (result.people.flags == 1).any():
        note += " Occluded joints are counted."
    note = f"<p>{html.escape(note)}</p>"
    if single.sum() == len(table) - 1:  # only the mean is no single joint
        return note + page.scores(table, table.index[-1])
    return (
        note
        + page.scores(table[~single], table.index[-1])
        + "<details><summary>Every joint</summary>"
        + page.scores(table[single])
        + "</details>"
    )


def _other_tables(folder, dataset, split, results):
    """Other protocols scored on this split at the end of the run."""
    sections = []
    for name in dataset.protocols[1:]:
        path = folder / f"table-{name}.csv"
        if path.is_file() and results.get("split") == split:
            protocol = metrics.find(name)
            table = pd.read_csv(path, index_col=0).dropna()
            text = f"<p>{html.escape(protocol.explanation)}</p>"
            text += page.scores(table)
            sections.append(page.section(protocol.title, text))
    return sections


def _failures(result, skeleton):
    """Visible and occluded joints, and where the wrong joints were placed."""
    flags = result.people.flags
    table = failures.by_visibility(result.reach, flags, skeleton)
    total = table.iloc[-1]
    kinds = table.iloc[:-1].sort_values("visible", ascending=False)
    if total["occluded_joints"]:
        text = (
            f"<p>{page.percent(100 * total['visible'])} of "
            f"{total['visible_joints']:,.0f} visible joints and "
            f"{page.percent(100 * total['occluded'])} of "
            f"{total['occluded_joints']:,.0f} occluded joints are "
            "correct.</p>"
        )
    else:
        text = page.notice("This split marks no joint as occluded.")
    text += page.chart(
        charts.draw_visibility(pd.concat([kinds, table.iloc[-1:]])),
        "Visible and occluded",
    )
    misses = failures.kinds_of_miss(
        result.joints, result.labels, skeleton, result.judge
    )
    misses = misses[misses > 0]  # "left for right" only where there are sides
    if misses.sum():
        title = f"Where the {misses.sum():,} wrong joints were placed"
        meanings = {k: v.format(skeleton.kind) for k, v in KINDS.items()}
        text += page.shares(title, misses.to_dict(), meanings)
    return text


def _missing(result, codec):
    """Below which threshold of its score a joint should be called missing."""
    if not np.ptp(result.scores):  # coordinates alone
        return page.notice("The network gives all joints the same score.")
    if not result.curves:
        return page.notice("This split marks no joint as missing or occluded.")
    best = {n: failures.best_threshold(c) for n, c in result.curves.items()}
    lines = ""
    for name, row in best.items():
        share = np.isin(result.people.flags, MISSING[name]).mean()
        share, recall, precision = (
            page.percent(100 * value)
            for value in (share, row["recall"], row["precision"])
        )
        lines += (
            f"<li><b>{name}</b> ({share} of all joints): a threshold of "
            f"{row['threshold']:.2f} finds {recall} of them; {precision} of "
            "the joints it reports as missing are.</li>"
        )
    thresholds = [row["threshold"] for row in best.values()]
    return (
        "<p>Every joint is placed somewhere, even if it is not in the picture. "
        f"Its score is {codec.score_is}; below a threshold it is reported as "
        "missing. The curves show the share of missing joints that each finds "
        "(recall) and how often it is correct (precision). The best F1 was "
        f"chosen on the same {html.escape(result.skeleton.kinds)}.</p>"
        f"<ul>{lines}</ul>"
        + page.chart(
            charts.draw_missing(result.curves, thresholds),
            "Precision and recall of missing joints",
        )
    )


def _settings(run):
    """Every setting of the run, its origin, and the versions."""
    rows = [
        (name, str(entry["value"]), str(entry["from"]))
        for name, entry in run.get("settings", {}).items()
    ]
    versions = run.get("versions", {})
    names = ", ".join(f"{name} {number}" for name, number in versions.items())
    names = f"<p class=versions>{html.escape(names)}</p>"
    return page.settings(rows) + names
