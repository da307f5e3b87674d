"""Scores a trained model on people it never trained on.

    python -m keras_pose.evaluate --model runs/hsm/best.keras --data DIR
        --split val --flip --scales 6

Prints the data set's own metrics, and writes beside the model (or to --output):
table.csv (table-NAME.csv of a second metric), predictions.npz (pixels of the
photographs from 0), predictions.mat (MPII's layout, pixels from 1) and
predictions.json (COCO's results, which COCO's server takes; what its numbers
mean is in predictions-header.json). Joints that are labelled count, occluded or
not.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from keras_pose import conditional, metrics
from keras_pose.console import run
from keras_pose.data import annotations
from keras_pose.data.dataset import open_dataset
from keras_pose.evaluation import formats
from keras_pose.inference import suppress, top_down
from keras_pose.models import model as models

BENCHMARKS = {"lsp": ("pck-torso", "pcp-strict")}
"""Protocols that papers report together: tables 2 and 3 of MSSH for LSP."""


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
    the data set's own if not given. oks: average precision. lsp: PCK@0.2 and
    strict PCP@0.5, also in the form of the papers' tables."""
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


def protocols_of(dataset, split, asked=None):
    """Names of how a split is scored: what was asked for, or its own."""
    names = BENCHMARKS.get(asked, (asked,)) if asked else dataset.protocols
    for name in names:
        metrics.find(name)
    if asked or not annotations.is_detected(dataset, split):
        return names
    return [name for name in names if metrics.find(name).suppresses]


def score(poses, people, skeleton, protocols):
    """Scores poses by named protocols.

    Args:
        poses: `people.Poses`.
        people: `people.People` of the same split.
        skeleton: the order of the K joints.
        protocols: names in `metrics.PROTOCOLS`.

    Returns:
        {name: (table, the `people.Poses` that were scored)}.
    """
    scored = {}
    for name in protocols:
        chosen, kept = metrics.find(name), poses
        if chosen.suppresses:
            kept = suppress.suppress_poses(poses, skeleton)
        scored[name] = chosen.table(kept, people, skeleton), kept
    return scored


def describe(scored, poses, people, skeleton, split):
    """All tables of `score`, to read, and what is known of occlusion."""
    lines = [
        metrics.find(name).describe(table, kept, people, skeleton, split)
        for name, (table, kept) in scored.items()
    ]
    if poses.occluded is not None and (poses.person >= 0).all():
        lines.append(
            describe_occlusion(poses.occluded, people.flags[poses.person])
        )
    return "\n\n".join(lines)


def save(folder, scored, poses, people, skeleton):
    """Writes all tables and poses, each file whole or not at all.

    table.csv is of the first protocol, table-NAME.csv of the others;
    predictions.json holds what is left where one of them suppresses poses.

    Returns:
        names of the tables' files.
    """
    tables, left = {}, poses
    for name, (table, kept) in scored.items():
        tables[f"table-{name}.csv" if tables else "table.csv"] = table
        left = kept if metrics.find(name).suppresses else left
    formats.save(folder, tables, poses, people, skeleton)
    names = formats.names_of(left, people)
    results = formats.as_results(left, people, names)
    formats.save_results(folder / formats.PREDICTIONS, results, skeleton)
    return [*tables]


def main(config):
    """Predicts, scores, prints and writes; returns {protocol: table}."""
    dataset = open_dataset(config.data)
    dataset.people(config.split)  # is there such a split?
    skeleton = dataset.skeleton
    protocols = protocols_of(dataset, config.split, config.protocol)
    thresholds = _thresholds(config, skeleton)
    model = models.load_model(config.model)
    people = annotations.read_people(dataset, config.split)
    for name in protocols:  # before the long part
        metrics.find(name).countable(people, skeleton)
    settings = {
        "batch_size": config.batch_size,
        "flip": config.flip,
        "decoding": config.decoding,
    }
    if thresholds:
        poses = conditional.predict_conditionally(
            model, dataset, config.split, thresholds, **settings
        )
    else:
        poses = top_down.predict_people(
            model, dataset, config.split, scales=config.scales, **settings
        )
    scored = score(poses, people, skeleton, protocols)
    print(describe(scored, poses, people, skeleton, config.split))
    if config.protocol in BENCHMARKS:
        for name, (table, _) in scored.items():
            print(papers_row(table, skeleton, name, config.model))
    if thresholds:
        crops = poses.crops
        print(
            f"Looked again at {(crops > 1).sum():,} of {len(crops):,} people: "
            f"{crops.mean():.2f} crops per person."
        )
    output = config.output or config.model.parent
    written = save(output, scored, poses, people, skeleton)
    print(
        f"Wrote {' and '.join(written)} and predictions.npz, .mat, .json to "
        f"{output}."
    )
    if (output / "run.json").is_file():
        following = f"keras_pose.report --run {output} --data {config.data}"
    else:
        following = f"keras_pose.predict --model {config.model} photo.jpg"
    print(f"Next: python -m {following}")
    return {name: table for name, (table, _) in scored.items()}


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


def papers_row(table, skeleton, protocol, model):
    """A table as papers print it: a row per method, a column per group.

    Args:
        table: of `evaluate`.
        skeleton: the order of the joints.
        protocol: the name it was scored by.
        model: path of the model; its folder names the row.
    """
    chosen = metrics.find(protocol)
    scores = table.loc[[*chosen.columns(skeleton), "Mean"]].iloc[:, 0]
    row = scores.rename({"Mean": "Total"}).to_frame(Path(model).parent.name).T
    row = row.rename_axis(columns=chosen.title)
    return "\n" + row.to_string(float_format="%.1f")


if __name__ == "__main__":
    run(main, Config, __doc__)
