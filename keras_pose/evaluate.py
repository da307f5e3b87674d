"""Scores a trained model on people that it was not trained on.

    python -m keras_pose.evaluate --model runs/hsm/best.keras --data DIR
        --split val --flip --scales 6

Prints the data set's own metrics, and writes beside the model (or to --output):
table.csv (table-NAME.csv of a second metric), predictions.npz (pixels of the
photographs from 0), predictions.mat (MPII's layout, pixels from 1) and
predictions.json (COCO's results format, which COCO's server accepts;
predictions-header.json explains its numbers). All labelled joints count,
occluded or not. Of people without labels (the test people of MPII and COCO),
only the predictions are written.
"""

import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from keras_pose import metrics, provenance
from keras_pose.console import run
from keras_pose.data import annotations
from keras_pose.data.dataset import open_dataset
from keras_pose.evaluation import formats
from keras_pose.inference import bottom_up, conditional, suppress
from keras_pose.models import heads
from keras_pose.models import model as models

BENCHMARKS = {"lsp": ("pck-torso", "pcp-strict")}
"""Protocols that papers report together (LSP: MSSH's tables 2 and 3)."""


@dataclass(frozen=True)
class Config:
    """Settings of one evaluation."""

    model: Path
    """A trained .keras file, for example runs/hsm/best.keras, the folder of a
    published model, or hf://user/model."""
    data: Path
    """Folder of records with a dataset.json."""
    split: str = "val"
    """Split to score."""
    part: str | None = None
    """Of a model with several outputs, the name of the one to score; by default
    the last. CPN's GlobalNet is global4, DeepPose's first stage stage1; a wrong
    name lists all."""
    protocol: str | None = None
    """How to score: pckh, pck-torso, pcp-strict ... (an unknown name lists
    all); by default the data set's own. oks: average precision. lsp: PCK@0.2
    and strict PCP@0.5, also in the form of the papers' tables."""
    flip: bool = False
    """Average with the mirrored picture; takes twice the time."""
    flip_shift: float | None = None
    """Cells by which mirrored maps are shifted before they are averaged in;
    by default exactly as far as the cells lie off the middle. 1: as the figures
    of Simple Baselines and HRNet were published."""
    scales: int = 1
    """Crops per person, 0.7 ... 1.3 times as large; papers use 6."""
    conditional: Path | None = None
    """Thresholds of keras_pose.conditional: people with a joint below its
    threshold are predicted again in perturbed boxes."""
    decoding: Literal["quarter", "argmax", "dark", "second", "soft"] = "quarter"
    """How to decode a heatmap: the peak's cell (argmax), a quarter cell further
    (quarter; as CPN's code does it: second), or a fit of the Gaussians that the
    model was trained with (dark, soft)."""
    batch_size: int = 32
    """People per step."""
    output: Path | None = None
    """Output folder; by default the model's."""


def occlusion(occluded, flags):
    """How accurately a model predicts which joints are occluded.

    Args:
        occluded: (N, K) bool, `people.Poses.occluded`.
        flags: (N, K) truth, 1 occluded, 2 visible; others do not count.

    Returns:
        dict of shares: "accuracy"; "always visible", the accuracy of never
        predicting occluded; "balanced", the mean of the accuracies on occluded
        and on visible joints, NaN if there are none of one kind (0.5 for a
        guess). And "joints", the number of joints counted.
    """
    flags = np.asarray(flags)
    counted = flags > 0
    right = np.asarray(occluded) == (flags == 1)
    with warnings.catch_warnings():  # NaN: no joints to count
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
    shares = occlusion(occluded, flags)
    accuracy, visible, balanced = (
        f"{100 * shares[name]:.1f}"
        for name in ("accuracy", "always visible", "balanced")
    )
    text = (
        f"Occlusion flags: {accuracy} % of {shares['joints']:,} labelled "
        f"joints are correct ({visible} % if all were called visible)"
    )
    if np.isnan(shares["balanced"]):
        return f"{text}; the labels are all visible or all occluded."
    return f"{text}; balanced {balanced} % (a guess: 50 %)."


def protocols_of(dataset, split, asked=None, everybody=False):
    """Names of a split's protocols: the one asked for, or its own; of people
    that were found without boxes, OKS alone.

    Raises:
        ValueError: an unknown protocol, or one that needs to know who is whom.
    """
    if everybody:
        if asked not in (None, "oks"):
            raise ValueError(
                "a model that finds everybody is scored by --protocol oks, got "
                f"{asked}: nothing says whose pose is whose"
            )
        return ("oks",)
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
        if chosen.suppresses and poses.area is not None:  # with boxes
            kept = suppress.suppress_poses(poses, skeleton)
        scored[name] = chosen.table(kept, people, skeleton), kept
    return scored


def describe(scored, poses, people, skeleton, split):
    """All tables of `score` as text, and the accuracy of occlusion flags."""
    lines = [
        metrics.find(name).describe(table, kept, people, skeleton, split)
        for name, (table, kept) in scored.items()
    ]
    if poses.occluded is not None and (poses.person >= 0).all():
        lines.append(
            describe_occlusion(poses.occluded, people.flags[poses.person])
        )
    return "\n\n".join(lines)


def save(folder, scored, poses, people, skeleton, notes=None):
    """Writes all tables and poses, each file completely or not at all.

    table.csv has the first protocol, table-NAME.csv the others; if one of them
    suppresses poses, or none scores those of a detector's boxes,
    predictions.json holds the remaining poses. Its header holds `notes`, of
    `provenance.notes`.

    Returns:
        names of the tables' files.
    """
    tables, remaining = {}, poses
    if not scored and (poses.person < 0).all() and poses.area is not None:
        remaining = suppress.suppress_poses(poses, skeleton)
    for name, (table, kept) in scored.items():
        tables[f"table-{name}.csv" if tables else "table.csv"] = table
        remaining = kept if metrics.find(name).suppresses else remaining
    formats.save(folder, tables, poses, people, skeleton)
    names = formats.names_of(remaining, people)
    results = formats.as_results(remaining, people, names)
    formats.save_results(folder / formats.PREDICTIONS, results, skeleton, notes)
    return [*tables]


def main(config):
    """Predicts, scores, prints and writes; returns {protocol: table}."""
    output = config.output or models.folder_of(config.model)
    dataset = open_dataset(config.data)
    dataset.people(config.split)  # fails early if there is no such split
    skeleton = dataset.skeleton
    protocols = protocols_of(dataset, config.split, config.protocol)
    people = annotations.read_people(dataset, config.split)
    if not (people.flags > 0).any():
        protocols = ()
    thresholds = _thresholds(config, skeleton)
    model = models.load_model(config.model, config.part)
    if heads.codec_of(model).finds_everybody:
        own = protocols_of(dataset, config.split, config.protocol, True)
        protocols = own if protocols else ()
        _check_pictures(config)
    for name in protocols:  # fails before the slow part
        metrics.find(name).countable(people, skeleton)
    settings = {
        "batch_size": config.batch_size,
        "flip": config.flip,
        "decoding": config.decoding,
    }
    if config.flip_shift is not None:
        settings["flip_shift"] = _flip_shift(config)
    if thresholds:
        poses = conditional.predict_conditionally(
            model, dataset, config.split, thresholds, **settings
        )
    else:
        poses = bottom_up.predict(
            model, dataset, config.split, scales=config.scales, **settings
        )
    scored = score(poses, people, skeleton, protocols)
    if scored:
        print(describe(scored, poses, people, skeleton, config.split))
    else:
        print(
            f"Split {config.split} has no labelled joints: there is nothing to "
            f"score. {len(poses):,} poses are predicted."
        )
    if config.protocol in BENCHMARKS:
        for name, (table, _) in scored.items():
            print(papers_row(table, skeleton, name, config.model))
    if thresholds:
        crops = poses.crops
        print(
            f"{(crops > 1).sum():,} of {len(crops):,} people were predicted "
            f"again: {crops.mean():.2f} crops per person."
        )
    notes = provenance.notes(provenance.of(model), dataset.is_drawn)
    if "warning" in notes:
        print(f"Note: {notes['warning']}.")
    written = save(output, scored, poses, people, skeleton, notes)
    tables = f"{' and '.join(written)} and " if written else ""
    print(f"Wrote {tables}predictions.npz, .mat, .json to {output}.")
    if (output / "run.json").is_file():
        following = f"keras_pose.report --run {output} --data {config.data}"
    else:
        following = f"keras_pose.predict --model {config.model} photo.jpg"
    print(f"Next: python -m {following}")
    return {name: table for name, (table, _) in scored.items()}


def _check_pictures(config):
    """ValueError for settings that need a person's box."""
    default = {field.name: field.default for field in fields(config)}
    for name in ("scales", "conditional", "flip_shift", "decoding"):
        if getattr(config, name) != default[name]:
            raise ValueError(
                f"--{name.replace('_', '-')} is for the person in a box: "
                f"{config.model} finds everybody in a picture"
            )


def _flip_shift(config):
    """The shift of --flip-shift."""
    if not config.flip or config.conditional:
        raise ValueError("--flip-shift needs --flip, without --conditional")
    if not 0 <= config.flip_shift <= 1:
        raise ValueError(
            f"--flip-shift must be 0 to 1 cells, got {config.flip_shift:g}"
        )
    return config.flip_shift


def _thresholds(config, skeleton):
    """The thresholds of --conditional; None if not given."""
    if config.conditional is None:
        return None
    if config.scales > 1:
        raise ValueError("--conditional and --scales cannot be combined")
    thresholds = conditional.load(config.conditional, skeleton)
    if thresholds.flip != config.flip:
        flags = ("without --flip", "with --flip")
        raise ValueError(
            f"{config.conditional} was chosen {flags[thresholds.flip]}: "
            f"evaluate {flags[thresholds.flip]} too"
        )
    return thresholds


def papers_row(table, skeleton, protocol, model):
    """A table in the papers' form: a row per method, a column per group.

    Args:
        table: of `evaluate`.
        skeleton: the order of the joints.
        protocol: name of the protocol.
        model: path of the model, which names the row.
    """
    chosen = metrics.find(protocol)
    scores = table.loc[[*chosen.columns(skeleton), "Mean"]].iloc[:, 0]
    row = scores.rename({"Mean": "Total"}).to_frame(models.name_of(model)).T
    row = row.rename_axis(columns=chosen.title)
    return "\n" + row.to_string(float_format="%.1f")


if __name__ == "__main__":
    run(main, Config, __doc__)
