"""Scores a trained model on people it never trained on.

    python -m keras_pose.evaluate --model runs/hsm/best.keras --data DIR
        --split val --flip --scales 6

Prints the data set's own metric per joint, and writes beside the model (or to
--output): table.csv, predictions.npz (pixels of the photographs from 0),
predictions.mat (MPII's layout, pixels from 1) and predictions.json (like COCO's
results). Joints that are labelled count, occluded or not. People of COCO are
scored by OKS-AP; predictions.json can be sent to COCO's server then.
"""

import io
import json
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pandas as pd
import scipy.io

from keras_pose import (
    coco_results,
    conditional,
    failures,
    files,
    inference,
    metrics,
)
from keras_pose.console import run
from keras_pose.data import pipeline
from keras_pose.data.dataset import open_dataset
from keras_pose.models import model as models

BENCHMARKS = {"lsp": ("pck-torso", "pcp-strict")}
"""Protocols that papers report together: tables 2 and 3 of MSSH for LSP."""
FIRST_PIXEL = 1
"""MATLAB's, and so MPII's, name of the first pixel."""
COUNTS = ["counted", "people"]
"""Columns of a table that are no scores."""
NAMED = 5
"""How many people a message names."""


@dataclass(frozen=True)
class Config:
    """Settings of one evaluation."""

    model: Path
    """A .keras file of training, for example runs/hsm/best.keras."""
    data: Path
    """Folder of records with a dataset.json."""
    split: str = "val"
    """Whose people are scored."""
    protocol: str | None = None
    """How to score: pckh, pck-torso, pcp-strict ... (a wrong name lists all);
    the data set's own if not given. COCO's is oks: average precision. lsp:
    PCK@0.2 and strict PCP@0.5, also in the form of the papers' tables."""
    flip: bool = False
    """Average with the mirrored picture: twice the time."""
    scales: int = 1
    """Crops per person, 0.7 ... 1.3 times as large; papers use 6."""
    conditional: Path | None = None
    """Thresholds of keras_pose.conditional: who has a joint below its own is
    looked at again in perturbed boxes."""
    decoding: Literal["quarter", "argmax", "dark", "soft"] = "quarter"
    """How a heatmap becomes a point: the peak's cell (argmax), a quarter cell
    further (quarter), or a fit of the Gaussians that the model was trained on
    (dark, soft)."""
    batch_size: int = 32
    """People per step."""
    output: Path | None = None
    """Folder of what is written; the model's if not given."""


def evaluate(predicted, people, skeleton, protocol="pckh"):
    """Scores predictions by a named protocol.

    Args:
        predicted: (N, K, 2) x, y in pixels of the photographs; NaN is a miss.
        people: `pipeline.People` of the split.
        skeleton: the order of the K joints.
        protocol: a name in `metrics.PROTOCOLS`.

    Returns:
        DataFrame, per cent. Rows: the joints (or limbs); the columns of the
        field's tables, "Head" ... "Ankle", each the mean of its joints; "Mean".
        Columns: the protocol's title, then its relatives of other thresholds,
        "AUC" (joints only), "counted": how many joints or limbs were scored,
        and "people": of how many people.
    """
    scored = countable(people, skeleton, protocol)
    counted = scored.sum(axis=0)
    labels = failures.labels_of(people)
    if np.shape(predicted) != labels[..., :2].shape:
        raise ValueError(
            f"predictions of shape {labels[..., :2].shape} wanted, "
            f"got {np.shape(predicted)}"
        )
    chosen = find_protocol(protocol)
    titles = _relatives(chosen)
    auc = isinstance(chosen, metrics.PCK)
    correct, _ = chosen.hits(
        labels,
        np.asarray(predicted, "float64"),
        skeleton,
        (*titles.values(), *(metrics.AUC_THRESHOLDS if auc else ())),
    )
    correct = keras.ops.convert_to_numpy(correct).sum(axis=1)

    def row(share, chosen):
        shown = list(100 * share[: len(titles)])
        if auc:
            shown.append(100 * share[len(titles) :].mean())
        part = scored[:, chosen]
        return [*shown, part.sum(), part.any(axis=1).sum()]

    with np.errstate(invalid="ignore"):  # 0 / 0: nothing counted, NaN
        share = correct / counted
    parts = chosen.parts(skeleton)
    rows = {part: row(share[:, i], [i]) for i, part in enumerate(parts)}
    for column, indices in chosen.columns(skeleton).items():
        rows[column] = row(share[:, list(indices)].mean(axis=1), list(indices))
    inside = np.array(chosen.in_mean(skeleton))
    mean = metrics.mean_score(
        correct.astype("float64"),
        counted.astype("float64"),
        inside,
        chosen.mean,
    )
    rows["Mean"] = row(keras.ops.convert_to_numpy(mean), inside)
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=[*titles, *auc * ["AUC"], *COUNTS]
    )


def find_protocol(name):
    """A protocol by its name; ValueError lists the names there are."""
    if name not in metrics.PROTOCOLS:
        known = ", ".join(metrics.PROTOCOLS)
        raise ValueError(
            f"protocol: one of {known}, or {coco_results.PROTOCOL} for people "
            f"of COCO, got {name!r}"
        )
    return metrics.PROTOCOLS[name]


def countable(people, skeleton, protocol):
    """Which joints (or limbs) of whom can be scored: (N, P) bool.

    Raises:
        ValueError: no people, flags that are not 0, 1 or 2, labelled joints
            that are not numbers, or nothing that the protocol can score.
    """
    chosen = find_protocol(protocol)
    names = np.array(people.names, object)
    if not len(names):
        raise ValueError("nothing to score: there are no people")
    labels = failures.labels_of(people)
    unknown = ~np.isin(labels[..., 2], (0, 1, 2))
    if unknown.any():
        raise ValueError(
            f"flags must be 0, 1 or 2, got {labels[unknown][0, 2]:g} for "
            f"{_some(names[unknown.any(axis=1)])}"
        )
    broken = (labels[..., 2] > 0) & ~np.isfinite(labels[..., :2]).all(axis=2)
    if broken.any():
        raise ValueError(
            "a labelled joint is NaN or infinite in "
            f"{_some(names[broken.any(axis=1)])}"
        )
    _, counted = chosen.hits(labels, labels[..., :2], skeleton)
    counted = keras.ops.convert_to_numpy(counted)
    if not counted.any():
        raise ValueError(
            f"{protocol} has nothing to score: none of the {len(names)} people "
            f"has {chosen.needs}. Choose another --protocol"
        )
    return counted


def occlusion(occluded, flags):
    """How well a model that says so knows which joints are occluded.

    Args:
        occluded: (N, K) bool, `inference.Predictions.occluded`.
        flags: (N, K) truth, 1 occluded, 2 visible; others do not count.

    Returns:
        dict of shares: "accuracy"; "always visible", the accuracy of whoever
        never says occluded; "balanced", the mean of the shares that are right
        among the occluded and among the visible, NaN where one kind is missing
        (a guess has 0.5). And "joints", how many counted.
    """
    flags = np.asarray(flags)
    counted = flags > 0
    right = np.asarray(occluded) == (flags == 1)
    with warnings.catch_warnings():  # NaN: there is nothing to count
        warnings.simplefilter("ignore", RuntimeWarning)
        return {
            "accuracy": float(right[counted].mean()),
            "always visible": float((flags[counted] == 2).mean()),
            "balanced": float(
                np.mean([right[flags == flag].mean() for flag in (1, 2)])
            ),
            "joints": int(counted.sum()),
        }


def describe_occlusion(occluded, flags):
    """One line on `occlusion`."""
    found = occlusion(occluded, flags)
    accuracy, visible, balanced = (
        f"{100 * found[name]:.1f}"
        for name in ("accuracy", "always visible", "balanced")
    )
    text = (
        f"Occlusion flags right: {accuracy} % of {found['joints']:,} labelled "
        f"joints ({visible} % if all were called visible)"
    )
    if np.isnan(found["balanced"]):
        return f"{text}; the truth has only one kind of joint here."
    return f"{text}; balanced {balanced} %, where a guess has 50 %."


def main(config):
    """Predicts, scores, prints and writes; returns the table."""
    dataset = open_dataset(config.data)
    dataset.people(config.split)  # is there such a split?
    skeleton, protocol = dataset.skeleton, config.protocol or dataset.protocol
    truth, others = None, {}
    if config.protocol in (None, coco_results.PROTOCOL):
        truth = coco_results.read_truth(dataset, config.split)
    protocols = BENCHMARKS.get(protocol, (protocol,))
    if not truth:
        for name in protocols:
            find_protocol(name)
    thresholds = _thresholds(config, skeleton)
    model = models.load_model(config.model)
    people = pipeline.read_people(dataset, config.split)
    if not truth:  # before the long part
        for name in protocols:
            countable(people, skeleton, name)
    settings = {
        "batch_size": config.batch_size,
        "flip": config.flip,
        "decoding": config.decoding,
    }
    if thresholds:
        predictions = conditional.predict_conditionally(
            model, dataset, config.split, thresholds, **settings
        )
    else:
        predictions = inference.predict_people(
            model, dataset, config.split, scales=config.scales, **settings
        )
    if truth:
        height, width = model.input_shape[1:3]
        results = coco_results.find_results(
            predictions, people, truth, skeleton, width / height
        )
        table = coco_results.average_precision(results, truth, skeleton)
        print(
            coco_results.describe(table, results, people, truth, config.split)
        )
    else:
        results = None
        tables = {
            name: evaluate(predictions.joints, people, skeleton, name)
            for name in protocols
        }
        for name, found in tables.items():
            print(describe(found, people, skeleton, name, config.split))
        table = tables.pop(protocols[0])
        others = {f"table-{name}.csv": found for name, found in tables.items()}
        if others:
            for name in protocols:
                found = tables.get(name, table)
                print(papers_row(found, skeleton, name, config.model))
    if predictions.occluded is not None:
        print(describe_occlusion(predictions.occluded, people.flags))
    if thresholds:
        crops = predictions.crops
        print(
            f"Looked again at {(crops > 1).sum():,} of {len(crops):,} people: "
            f"{crops.mean():.2f} crops per person."
        )
    output = config.output or config.model.parent
    save(output, table, predictions, people, skeleton, results)
    for name, found in others.items():
        with files.whole(output / name) as temporary:
            found.to_csv(temporary, index_label="joint")
    tables = " and ".join(["table.csv", *others])
    print(f"Wrote {tables} and predictions.npz, .mat, .json to {output}.")
    if (output / "run.json").is_file():
        next_one = f"keras_pose.report --run {output} --data {config.data}"
    else:
        next_one = f"keras_pose.predict --model {config.model} photo.jpg"
    print(f"Next: python -m {next_one}")
    return table


def _thresholds(config, skeleton):
    """Those of --conditional, if given and if they fit the other flags."""
    if config.conditional is None:
        return None
    if config.scales > 1:
        raise ValueError("--conditional or --scales, not both")
    thresholds = conditional.load(config.conditional, skeleton)
    if thresholds.flip != config.flip:
        flags = ("without --flip", "with --flip")
        raise ValueError(
            f"{config.conditional} was chosen {flags[thresholds.flip]}: "
            f"evaluate {flags[thresholds.flip]} too"
        )
    return thresholds


def describe(table, people, skeleton, protocol, split):
    """The table to read, which mean it shows, and who is not in it."""
    chosen = find_protocol(protocol)
    columns = [*chosen.columns(skeleton), "Mean"]
    scores = table.drop(columns=COUNTS)
    left_out = getattr(chosen, "left_out", ())
    left_out = [part for part in left_out if part in table.index]
    mean = {
        "counted": "everything that was counted weighs the same",
        "joints": "every kind of joint weighs the same",
    }[chosen.mean]
    counted = countable(people, skeleton, protocol)
    labelled = np.asarray(people.flags) > 0
    names = np.array(people.names, object)
    nothing = ~labelled.any(axis=1)
    lacking = ~counted.any(axis=1) & ~nothing
    lines = [
        table.drop(index=columns).to_string(float_format="%.2f"),
        "",
        scores.loc[columns].T.to_string(float_format="%.2f"),
        "",
        f"{chosen.title} in per cent, split {split}. Mean: {mean}"
        + f"; without {' and '.join(left_out)}." * bool(left_out),
        f"{len(names):,} people, {(~nothing & ~lacking).sum():,} counted; "
        f"{labelled.sum():,} joints labelled, occluded ones included, "
        f"{(~labelled).sum():,} not labelled and not counted.",
    ]
    for who, why in ((lacking, chosen.needs), (nothing, "a labelled joint")):
        if who.any():
            shown = _some(names[who])
            lines.append(
                f"{who.sum():,} not counted for want of {why}: {shown}."
            )
    return "\n".join(lines)


def papers_row(table, skeleton, protocol, model):
    """A table as papers print it: a row per method, a column per group.

    Args:
        table: of `evaluate`.
        skeleton: the order of the joints.
        protocol: the name it was scored by.
        model: path of the model; its folder names the row.
    """
    chosen = find_protocol(protocol)
    scores = table.loc[[*chosen.columns(skeleton), "Mean"]].iloc[:, 0]
    row = scores.rename({"Mean": "Total"}).to_frame(Path(model).parent.name).T
    row = row.rename_axis(columns=chosen.title)
    return "\n" + row.to_string(float_format="%.1f")


def save(folder, table, predictions, people, skeleton, results=None):
    """Writes the table and the predictions, each file whole or not at all.

    Args:
        folder: made if it is not there.
        table: of `evaluate`.
        predictions: `inference.Predictions`.
        people: `pipeline.People` of the same split.
        skeleton: names the joints.
        results: of OKS-AP, for predictions.json; `as_coco` if not given.
    """
    folder = Path(folder)
    arrays = io.BytesIO()
    said = {}
    if predictions.occluded is not None:
        said["occluded"] = predictions.occluded
    np.savez_compressed(
        arrays,
        **said,
        joints=predictions.joints,
        scores=predictions.scores,
        names=np.array(people.names, "U"),
        sources=np.array(people.sources, "U"),
        joint_names=np.array(skeleton.joints),
    )
    matlab = io.BytesIO()
    scipy.io.savemat(
        matlab, as_mpii(predictions, people, skeleton), do_compression=True
    )
    results = results or as_coco(predictions, people)
    label = table.index.name or "joint"
    contents = {
        "table.csv": table.to_csv(index_label=label).encode(),
        "predictions.npz": arrays.getvalue(),
        "predictions.mat": matlab.getvalue(),
        "predictions.json": json.dumps(results).encode(),
    }
    for name, content in contents.items():
        with files.whole(folder / name) as temporary:
            temporary.write_bytes(content)


def as_mpii(predictions, people, skeleton):
    """Predictions as MPII's tools read them: pixels count from 1.

    Returns:
        dict for `scipy.io.savemat`. `pred.annolist(i).annorect(j).annopoints`
        is the toolkit's struct; image.name and, where the person's name ends in
        it ("im.jpg#1"), ridx say who it is. `pos_pred_src` (K, 2, N), `scores`
        (K, N), `joints` and `names` hold the same as arrays.
    """
    joints = predictions.joints + FIRST_PIXEL
    index = np.arange(len(skeleton.joints), dtype="float64")
    images = {}
    for person, source in enumerate(people.sources):
        number = re.search(r"#(\d+)$", people.names[person])
        rect = float(number[1]) if number else np.nan
        points = _structs(
            x=joints[person, :, 0],
            y=joints[person, :, 1],
            id=index,
            score=predictions.scores[person].astype("float64"),
        )
        images.setdefault(source, []).append((rect, {"point": points}))
    rects = [
        _structs(ridx=[r for r, _ in found], annopoints=[p for _, p in found])
        for found in images.values()
    ]
    annolist = _structs(
        image=[{"name": source} for source in images],
        annorect=rects,
    )
    return {
        "pred": {"annolist": annolist},
        "pos_pred_src": joints.transpose(1, 2, 0),
        "scores": predictions.scores.T,
        "joints": np.array(skeleton.joints, object),
        "names": np.array(people.names, object),
    }


def as_coco(predictions, people):
    """Predictions as a list like COCO's results: keypoints x, y, score, ..."""
    keypoints = np.concatenate(
        [predictions.joints, predictions.scores[..., None]], axis=-1
    )
    keypoints = keypoints.round(3).reshape(len(keypoints), -1)
    return [
        {
            "image_id": source,
            "person": name,
            "category_id": 1,
            "keypoints": row.tolist(),
            "score": float(score),
        }
        for source, name, row, score in zip(
            people.sources,
            people.names,
            keypoints,
            predictions.scores.mean(axis=1),
            strict=True,
        )
    ]


def _relatives(chosen):
    """{title: threshold} of a protocol and of those that differ in it alone."""

    def bare(protocol):
        return replace(protocol, title="", threshold=0.0)

    titles = {chosen.threshold: chosen.title}
    for other in metrics.PROTOCOLS.values():
        if bare(other) == bare(chosen):
            titles.setdefault(other.threshold, other.title)
    return {title: threshold for threshold, title in titles.items()}


def _structs(**columns):
    """A MATLAB struct array (1, N) of equally long columns."""
    length = len(next(iter(columns.values())))
    array = np.empty((1, length), [(name, object) for name in columns])
    for name, values in columns.items():
        for position, value in enumerate(values):
            array[name][0, position] = value
    return array


def _some(names):
    """The first few names, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:NAMED])
    return shown + f" and {len(names) - NAMED:,} more" * (len(names) > NAMED)


if __name__ == "__main__":
    run(main, Config, __doc__)
