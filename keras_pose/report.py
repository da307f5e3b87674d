"""One page on a training run: report.html, with nothing to load from elsewhere.

What was trained and how well it does on people it never saw; its curves; the
worst, typical and best people with skeletons and heatmaps; where it fails; and
below which score a joint is better called missing (HSM, section VII).

    python -m keras_pose.report --run runs/hsm --data DIR
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from keras_pose import (
    codecs,
    failures,
    figures,
    files,
    geometry,
    inference,
    metrics,
    page,
)
from keras_pose.console import run
from keras_pose.data import annotations, pipeline
from keras_pose.data.dataset import open_dataset
from keras_pose.models import heads
from keras_pose.models import model as models
from keras_pose.people import People
from keras_pose.skeletons import Skeleton

REPORT = "report.html"
MODEL, RUN, HISTORY = "best.keras", "run.json", "history.csv"
JOINT_WEIGHTS = "joint_weights.csv"
RESULTS = "results.json"
EVEN = 1e-4
"""Joint weights that differ by less from even ones do so by rounding."""
SCORES = ("pckh", "pck")
"""What history.csv calls the data set's metric, among losses and others."""
PICTURE = 256
"""Height in pixels of the pictures of people, about."""
SHOWN = {"Worst": 6, "Typical": 4, "Best": 4}
"""How many people the page shows of each kind."""
MISSING = {"Not in the picture": (0,), "Not in it, or occluded": (0, 1)}
"""What may count as missing, as COCO's flags."""
KINDS = {
    "nearly right": f"within {failures.NEARLY:g} times the allowed distance",
    "left for right": "on the same joint of the other side",
    "another joint": "on another joint of the same {}",
    "elsewhere": "on none of the {}'s joints",
}
"""What `failures.kinds_of_miss` means."""


@dataclass(frozen=True)
class Config:
    """Settings of the report."""

    run: Path
    """Folder of a training run: run.json, history.csv, best.keras."""
    data: Path
    """Folder of records with the people to score."""
    split: str = "val"
    """Split of the data that the model was not trained on."""
    batch_size: int = 32
    """People per step of the prediction."""


def main(config):
    """Writes report.html into the folder of the run."""
    dataset = open_dataset(config.data)
    dataset.people(config.split)  # an unknown or empty split: an error, at once
    path = write_report(
        config.run, dataset, config.split, batch_size=config.batch_size
    )
    print(f"Next: open {path} in a browser.")


def write_report(
    run_folder,
    dataset,
    split="val",
    model=None,
    predictions=None,
    batch_size=32,
):
    """Writes report.html into the folder of a run, whole or not at all.

    What is not there (no history.csv, nobody in the split) is said on the page.

    Args:
        run_folder: holds run.json, best.keras and, as a rule, history.csv.
        dataset: an opened data set.
        split: whose people are scored.
        model: best.keras, if it is loaded already.
        predictions: of `inference.predict_people`, if they are made already.
        batch_size: people per step of the prediction.

    Returns:
        path of the page.
    """
    folder = Path(run_folder)
    said = _read_json(folder / RUN)
    history = read_history(folder)
    before = {}
    if (folder / RESULTS).is_file():
        before = _read_json(folder / RESULTS)
    curves = page.section("Curves", _curves(history))
    if (folder / JOINT_WEIGHTS).is_file():
        curves += page.section(
            "Joint weights", _joint_weights(folder / JOINT_WEIGHTS)
        )
    if dataset.description["splits"].get(split, {}).get("people"):
        model = model or models.load_model(folder / MODEL)
        predictions = predictions or inference.predict_people(
            model, dataset, split, batch_size=batch_size
        )
        result = _judge(dataset, split, predictions)
        skeleton = dataset.skeleton
        sections = [
            page.section("Score per joint", _table(result, skeleton)),
            *_other_tables(folder, dataset, split, before),
            curves,
            page.section(
                dataset.skeleton.kinds.capitalize(),
                _people(dataset, split, model, result, batch_size),
            ),
            page.section("Where it fails", _failures(result, skeleton)),
            page.section("Missing joints", _missing(result)),
        ]
    else:
        result = None
        absent = page.notice(
            f"{dataset.folder} has nobody in a split {split!r} (its splits: "
            f"{', '.join(dataset.splits)}), so there is no score on "
            f"{dataset.skeleton.kinds} that the network has not seen."
        )
        sections = [page.section("Score", absent), curves]
    top = _summary(folder, said, history, dataset, split, result, before)
    settings = page.section("Settings", _settings(said))
    text = page.write(
        f"{folder.name}: report", top + "".join(sections) + settings
    )
    path = folder / REPORT
    with files.whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def compare_people(dataset, split, predictions, count=6, size=(256, 256)):
    """HSM figures 4 and 5 as matplotlib figures.

    Figure 4 shows the people on whom the models differ most, whichever of them
    is right; figure 5 those on whom even the better one does badly.

    Args:
        dataset: an opened data set.
        split: whose people these are.
        predictions: {label: (N, K, 2) joints in pixels of the photographs},
            baseline first.
        count: people per figure.
        size: (height, width) of the pictures.
    """
    people = annotations.read_subjects(dataset, split)
    labels = people.labels
    protocol = failures.joint_protocol(dataset.protocol)
    scored = np.flatnonzero(protocol.in_mean(dataset.skeleton))
    reach = {
        label: failures.reaches(joints, labels, dataset.skeleton, protocol)
        for label, joints in predictions.items()
    }
    reach = {label: found[:, scored] for label, found in reach.items()}
    right = {label: (found <= 1).sum(1) for label, found in reach.items()}
    counted = {label: (~np.isnan(r)).sum(1) for label, r in reach.items()}
    whole = failures.rank(next(iter(reach.values())))
    gap = np.ptp(np.stack([*right.values()]), axis=0)
    differ = whole[np.argsort(-gap[whole], kind="stable")][:count]
    bad = failures.rank(np.fmin.reduce([*reach.values()]))[:count]
    drawn = []
    for chosen in (differ, bad):
        images, back = _crops(dataset, split, chosen, size)
        to_crop = geometry.invert(back)
        notes = {
            label: [
                f"{right[label][i]} of {counted[label][i]} right"
                for i in chosen
            ]
            for label in predictions
        }
        drawn.append(
            figures.draw_side_by_side(
                images,
                {
                    label: geometry.move(joints[chosen], to_crop)
                    for label, joints in predictions.items()
                },
                geometry.move(labels[chosen, :, :2], to_crop),
                people.flags[chosen],
                dataset.skeleton,
                notes,
            )
        )
    return drawn


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
    """What says of a single joint whether it is right."""
    skeleton: Skeleton
    """Whose joints these are."""
    reach: np.ndarray
    """(N, K): up to 1 is right."""
    curves: dict
    """{what is missing: `failures.missing_joint_curve`}."""
    threshold: float
    """Joints that score less are thought missing; 0 if none is ever missing."""

    @property
    def score(self):
        """The mean, in per cent."""
        return float(self.table.iloc[-1, 0])

    @property
    def counted(self):
        """How many people have something in the mean."""
        return int(self.table["people"].iloc[-1])

    @property
    def who(self):
        """Who is scored, in words: "341 of 500 people"."""
        everyone = page.many(len(self.joints), *_kinds(self.skeleton))
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
        if (people.flags == max(flags)).any()
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
        threshold=0.0
        if absent is None
        else failures.best_threshold(absent)["threshold"],
    )


def _summary(folder, said, history, dataset, split, result, before):
    """What a reader who stops here should know."""
    made = dataset.description.get("command", "")
    converter = re.search(r"tfrecords\.(\w+)", made)
    name = converter.group(1) if converter else dataset.folder.name
    people = dataset.description["splits"].get("train", {}).get("people")
    text = f"A network was trained on the data set {name}"
    text += (
        f" ({page.many(people, *_kinds(dataset.skeleton))})" if people else ""
    )
    cells = {}
    if history is not None:
        text += f" for {page.many(len(history), 'epoch')}"
        seconds = history["seconds"].sum() if "seconds" in history else 0
        text += f", in {page.duration(seconds)}" if seconds else ""
        best = f"val_{metric_of(history)}"
        if best in history and history[best].notna().any():
            epoch = history.loc[history[best].idxmax(), "epoch"]
            cells["best epoch"] = f"{epoch:g} of {history['epoch'].max():g}"
    text += "."
    if result:
        text += (
            f" On {result.who} of the split {split}, which it was not "
            f"trained on, it places {page.percent(result.score)} of "
            f"{_meaning(result.protocol, result.skeleton)}."
        )
        first = {
            f"{result.table.columns[0]} on {split}": page.percent(result.score)
        }
        if before.get("split") == split and "untrained" in before:
            untrained = page.percent(100 * before["untrained"])
            text += f" Before training it placed {untrained}."
            first["before training"] = untrained
        if before.get("chosen_on") == split:
            text += " The best epoch was chosen on the same "
            text += f"{result.skeleton.kinds}."
        cells = (
            first
            | cells
            | {f"{result.skeleton.kinds} counted": f"{result.counted:,}"}
        )
    paper = said.get("paper")
    return page.header(
        folder.name if paper else "Training report",
        paper or folder.name,
        text,
        page.numbers(cells)
        + page.command("Trained with", said.get("command"))
        + page.command("Data made with", made),
    )


def _table(result, skeleton):
    """The field's columns and the mean; single joints folded away."""
    table = result.table
    counts = {
        name: table[name].map("{:,.0f}".format)
        for name in metrics.shares.COUNTS
    }
    table = table.assign(**counts).rename(columns={"people": skeleton.kinds})
    single = table.index.isin(result.protocol.parts(skeleton))
    note = f"Share of {_meaning(result.protocol, skeleton)}, in per cent."
    left_out = getattr(result.protocol, "left_out", ())
    left_out = [j.replace("_", " ") for j in left_out if j in skeleton.joints]
    if left_out:
        note += f" The mean leaves out {' and '.join(left_out)}."
    if result.counted < len(result.joints):
        note += (
            f" Of {result.who} count: the others lack {result.protocol.needs}."
        )
    return (
        f"<p>{note} Occluded joints count.</p>"
        + page.scores(table[~single], table.index[-1])
        + "<details><summary>Left and right apart</summary>"
        + page.scores(table[single])
        + "</details>"
    )


def _other_tables(folder, dataset, split, before):
    """What else the run's end scored on this split, a section each."""
    sections = []
    for name in dataset.protocols[1:]:
        path = folder / f"table-{name}.csv"
        if path.is_file() and before.get("split") == split:
            protocol = metrics.find(name)
            table = pd.read_csv(path, index_col=0).dropna()
            text = f"<p>{protocol.meaning}</p>" + page.scores(table)
            sections.append(page.section(protocol.title, text))
    return sections


def _curves(history):
    if history is None:
        return page.notice(
            f"There are no curves: the folder of the run has no {HISTORY}, "
            "which training writes after each epoch."
        )
    metric = metric_of(history)
    if metric is None:
        return page.notice(f"There are no curves: {HISTORY} has no metric.")
    chart = figures.draw_history(history, metric)
    return page.chart(chart, "The metric and the loss per epoch")


def _joint_weights(path):
    """Which joints each hourglass was told to mind, epoch by epoch."""
    table = pd.read_csv(path)
    last = table[table["epoch"] == table["epoch"].max()]
    joints = last["joint"].nunique()
    end = last[last["stack"] == last["stack"].max()].set_index("joint")
    uneven = np.abs(table["weight"] * joints - 1).max()
    if uneven < EVEN:
        return page.notice("All joints weighed the same in every hourglass.")
    if uneven < 100 * EVEN:
        return page.notice(
            f"The joints' weights stayed within {100 * uneven:.1f} % of even. "
            "Where most joints of a sample are lost, their mean loss is above "
            "half of the largest, and there the rule of the paper stops."
        )
    share = end["weight"] * joints
    hard, easy = (
        f"{name.replace('_', ' ')} ({share[name]:.2f})"
        for name in (share.idxmax(), share.idxmin())
    )
    text = (
        "<p>Each hourglass gives more weight to the joints that the one before "
        "found hard (the first has even weights). In the last epoch the last "
        f"hourglass minded the {hard} most and the {easy} least; 1 is the "
        "even weight.</p>"
    )
    figure = figures.draw_joint_weights(table)
    return text + page.chart(figure, "Joint weights by hourglass and epoch")


def _people(dataset, split, model, result, batch_size):
    """Worst, typical and best people: truth, prediction, heatmaps."""
    skeleton = dataset.skeleton
    scored = np.array(result.judge.in_mean(skeleton))
    ranked = failures.rank(result.reach[:, scored])
    if not len(ranked):
        return page.notice("None has enough labelled joints to be shown.")
    middle = max(0, (len(ranked) - SHOWN["Typical"]) // 2)
    picks = {
        "Worst": ranked[: SHOWN["Worst"]],
        "Typical": ranked[middle:][: SHOWN["Typical"]],
        "Best": ranked[::-1][: SHOWN["Best"]],
    }
    chosen = np.unique(np.concatenate([*picks.values()]))
    size = model.input_shape[1:3]
    images, back = _crops(dataset, split, chosen, size, batch_size)
    codec, maps = heads.codec_of(model), None
    if isinstance(codec, codecs.Heatmaps):
        maps = inference.probabilities(model, images, batch_size=batch_size)
    zoom = max(1, round(PICTURE / size[0]))
    images = [figures.enlarge(image, zoom) for image in images]
    to_picture = geometry.compose(
        geometry.resize_matrix(size, images[0].shape[:2])[None],
        geometry.invert(back),
    )
    truth = geometry.move(result.labels[chosen, :, :2], to_picture)
    found = geometry.move(result.joints[chosen], to_picture)
    cards = {}
    for n, i in enumerate(chosen):
        wrong = result.reach[i] > 1
        missing = result.scores[i] < result.threshold
        pictures = {
            "truth": figures.draw_skeleton(
                images[n], truth[n], skeleton, result.people.flags[i]
            ),
            "prediction": figures.draw_skeleton(
                figures.draw_misses(images[n], found[n], truth[n], wrong),
                *(found[n], skeleton, np.where(missing, 1, 2)),
            ),
        }
        if maps is not None:
            pictures["heatmaps"] = figures.draw_heatmaps(
                images[n], maps[n], codec
            )
        reach = np.where(scored, result.reach[i], np.nan)
        line = _in_words(reach, skeleton)
        name = result.people.names[i] or result.people.sources[i]
        cards[i] = page.person(pictures, line, name)
    hollow = " (prediction: thought missing)" if result.threshold else ""
    return (
        "<p>Sorted by the share of joints that are right. "
        f"<b class=left>Orange</b> is the {skeleton.kind}'s own left, "
        "<b class=right>blue</b> the right. A hollow joint is "
        f"occluded{hollow}. A <b class=wrong>red</b> line leads from a wrong "
        "joint to where it belongs."
        + (
            " Heatmaps are drawn relative to their own peaks; low peaks are "
            "dimmer, and left mixed with right is gray."
            if maps is not None
            else ""
        )
        + "</p>"
    ) + "".join(
        page.people(title, [cards[i] for i in members])
        for title, members in picks.items()
    )


def _in_words(reach, skeleton):
    """How one person went: reach (K,), NaN where not counted."""
    right, counted = (reach <= 1).sum(), (~np.isnan(reach)).sum()
    line = f"{right} of {counted} right"
    if right < counted:
        far = int(np.nanargmax(reach))
        joint = skeleton.joints[far].replace("_", " ")
        line += f"; farthest off: {joint}"
    return line


def _failures(result, skeleton):
    """Visible against occluded joints, and what is at the wrong places."""
    flags = result.people.flags
    table = failures.by_visibility(result.reach, flags, skeleton)
    total = table.iloc[-1]
    kinds = table.iloc[:-1].sort_values("visible", ascending=False)
    if total["occluded_joints"]:
        text = (
            f"<p>Right are {page.percent(100 * total['visible'])} of "
            f"{total['visible_joints']:,.0f} visible joints and "
            f"{page.percent(100 * total['occluded'])} of "
            f"{total['occluded_joints']:,.0f} occluded ones.</p>"
        )
    else:
        text = page.notice("This split marks no joint as occluded.")
    text += page.chart(
        figures.draw_visibility(pd.concat([kinds, table.iloc[-1:]])),
        "Visible and occluded",
    )
    misses = failures.kinds_of_miss(
        result.joints, result.labels, skeleton, result.judge
    )
    if misses.sum():
        title = f"Where the {misses.sum():,} wrong joints were put"
        meanings = {k: v.format(skeleton.kind) for k, v in KINDS.items()}
        text += page.shares(title, misses.to_dict(), meanings)
    return text


def _missing(result):
    """From which threshold on a low peak is better called a missing joint."""
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
            f"<li><b>{name}</b>, as {share} of all joints are: a threshold "
            f"of {row['threshold']:.2f} finds {recall} of them, and "
            f"{precision} of what it calls missing is.</li>"
        )
    thresholds = [row["threshold"] for row in best.values()]
    return (
        "<p>The highest pixel of a map is a guess even where there is no "
        "joint. A threshold turns a low peak into the answer that the joint is "
        "missing: the curves show how much of what is missing each threshold "
        "finds (recall), and how often it is right (precision). The best F1 "
        f"is picked on these same {result.skeleton.kinds}.</p><ul>{lines}</ul>"
        + page.chart(
            figures.draw_missing(result.curves, thresholds),
            "Precision and recall of missing joints",
        )
    )


def _settings(said):
    """Every value of the run, where it came from, and with which versions."""
    rows = [
        (name, str(entry["value"]), str(entry["from"]))
        for name, entry in said.get("settings", {}).items()
    ]
    versions = said.get("versions", {})
    names = ", ".join(f"{name} {number}" for name, number in versions.items())
    return page.settings(rows) + f"<p class=versions>{names}</p>"


def _crops(dataset, split, chosen, size, batch_size=32):
    """Pictures (M, H, W, 3) of people, and (M, 2, 3) crop -> photograph."""
    images, back, start = {}, {}, 0
    for batch, matrices in pipeline.views(dataset, split, size, batch_size):
        for i in chosen[(chosen >= start) & (chosen < start + len(batch))]:
            images[i] = np.asarray(batch[i - start])
            back[i] = np.asarray(matrices[i - start], "float64")
        start += len(batch)
    return (
        np.stack([images[i] for i in chosen]),
        np.stack([back[i] for i in chosen]),
    )


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path.parent} is not the folder of a training run: it has no "
            f"{path.name}"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def read_history(folder):
    """history.csv of a run, behind that of the run whose weights it began with.

    Args:
        folder: of the run; run.json names the one before, if there is one. Or
            a file like history.csv by itself.

    Returns:
        DataFrame, epochs counted through, with a column stage (from 1) where
        there is more than one run; None if there is no epoch.
    """
    folder = Path(folder)
    path = folder if folder.is_file() else folder / HISTORY
    if not path.is_file():
        return None
    history = pd.read_csv(path)
    if (folder / RUN).is_file():
        begins = _read_json(folder / RUN).get("starts_from")
        earlier = read_history((folder / begins).parent) if begins else None
        if earlier is not None:
            if "stage" not in earlier:
                earlier["stage"] = 1
            history["epoch"] += earlier["epoch"].max()
            history["stage"] = earlier["stage"].max() + 1
            history = pd.concat([earlier, history], ignore_index=True)
    return history if len(history) else None


def _kinds(skeleton):
    """One and several of what has these joints."""
    return skeleton.kind, skeleton.kinds


def metric_of(history):
    """The column of the data set's metric, or None."""
    return next((name for name in SCORES if name in history), None)


def _meaning(protocol, skeleton):
    """What a protocol counts, in words."""
    length = getattr(protocol, "length", None)
    if length is None:
        return f"limbs within {protocol.threshold:g} limb lengths of the truth"
    words = {
        "head": "head sizes",
        "box": f"times the {skeleton.kind}'s longer side",
    }
    length = words.get(length) if isinstance(length, str) else "torso lengths"
    return f"joints within {protocol.threshold:g} {length} of the truth"


if __name__ == "__main__":
    run(main, Config, __doc__)
