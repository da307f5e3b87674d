"""Writes a trained model as files that take photographs.

    python -m keras_pose.export --model runs/hsm/best.keras
    python -m keras_pose.export --model runs/hsm/best.keras \\
        --format saved_model litert onnx openvino

Crop, normalisation, the flip test, sub-pixel decoding and the later stages of a
cascade are inside. Each file is opened again and compared with the model before
it gets its name. docs/exporting.md has a program of some lines for each.

litert, onnx, openvino (pose.tflite, pose.onnx, pose.xml and .bin) are one
function: image (H, W, 3) uint8 RGB of any size and box (4,) float32, x, y,
width, height in its pixels (a box of exactly the whole picture is not padded),
to joints (K, 2) x, y in its pixels, scores (K,) 0 ... 1, missing (K,) bool and,
of a model that predicts occlusion, occluded (K,) bool. A box that cannot hold a
person gives NaN.

The SavedModel takes batches, and raises errors. Its signatures, B boxes:

    encoded (serving_default)   encoded (B,) strings, JPEG, PNG or BMP of any
                                sizes up to 200,000,000 pixels; boxes (B, 4)
    images                      images (B, H, W, 3) uint8 RGB; boxes (B, 4)
    encoded_people              encoded (P,), boxes (B, 4), photo_index (B,)
    images_people               int32: the photograph, 0 ... P - 1, of each box;
                                each is decoded once
    image                       image and box of one person, as above
    names                       nothing: returns the joints' names

A model that finds everybody takes no boxes: image to joints (M, K, 2) and
scores (M, K), 0 where not found, person_scores (M,) and count (). Its
SavedModel has the signatures encoded, images, image and names.

EXIF orientation is applied to encoded photographs; pixels must be upright. One
bad photograph or box fails the whole batch. serving.json says the rest.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from keras_pose import (
    agreement,
    choices,
    converters,
    engines,
    everybody,
    files,
    portable,
    provenance,
    serving,
)
from keras_pose.console import run
from keras_pose.data.dataset import open_dataset
from keras_pose.demo import page
from keras_pose.models import model as models
from keras_pose.people import MISSING_THRESHOLD

SERVING = provenance.DESCRIPTION
NAME = "pose"
"""Of the files, before their suffixes."""


@dataclass(frozen=True)
class Config:
    """Settings of one export."""

    model: Path
    """A .keras file, for example runs/hsm/best.keras, the folder of a published
    model, or hf://user/model."""
    format: tuple[Literal["saved_model", "litert", "onnx", "openvino"], ...] = (
        "saved_model",
    )
    """What to write; all but saved_model need the extra of that name."""
    output: Path | None = None
    """Folder of the SavedModel; with other formats, the folder for all of them.
    Default: saved_model, or exported, beside the model."""
    half: bool = False
    """Store the weights of litert, onnx and openvino in half precision, in
    files of other names (pose_half): half the size."""
    int8: Path | None = None
    """Also write pose_int8.tflite and pose_int8.onnx, of these formats those
    that are written: the network computes in 8-bit integers, a quarter of the
    size. The folder of a data set: people of train set the ranges, people of
    val judge."""
    web: Path | None = None
    """Folder for a page that finds joints in the browser (extra onnx); see
    python -m keras_pose.demo --help."""
    runtime: Path = page.NEXT_TO_IT
    """For --web: the folder dist of npm's onnxruntime-web."""
    force: bool = False
    """Write files that differ from the model, too."""
    flip: bool = False
    """Average with the mirrored picture: better, twice the time."""
    decoding: Literal["quarter", "argmax", "dark", "second", "soft"] = "quarter"
    """How a heatmap becomes a point: the cell of its peak (argmax), a quarter
    cell towards the higher neighbour (quarter; as CPN's code does it: second),
    or a fit of the Gaussians that the model was trained on (dark, soft)."""
    missing_threshold: float = MISSING_THRESHOLD
    """Joints with a lower score are returned as missing."""


def export(
    model,
    folder,
    *,
    flip=False,
    decoding="quarter",
    missing_threshold=MISSING_THRESHOLD,
    check=None,
):
    """Writes a SavedModel atomically; replaces an earlier export.

    Args:
        model: a Keras model that ends in `PoseMaps`.
        folder: where to write; must be new, empty or an export.
        flip, decoding, missing_threshold: see `Config`.
        check: function of the folder before it gets its name; if it raises an
            error, nothing is replaced.

    Returns:
        The folder as a Path.
    """
    folder = Path(folder)
    old = folder.with_name(f".{folder.name}.old")
    _restore(folder, old)  # after a killed export
    if folder.exists() and not (folder / SERVING).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise ValueError(f"{folder} exists and is not an export")
    server = serving.serve(
        model,
        flip=flip,
        decoding=decoding,
        missing_threshold=missing_threshold,
    )
    try:
        with files.scratch(folder.parent) as scratch, files.sentences(folder):
            temporary = scratch / folder.name
            tf.saved_model.save(tf.Module(), str(temporary), server.signatures)
            (temporary / SERVING).write_text(
                json.dumps(server.described(), indent=2)
            )
            if check:
                check(temporary)
            files.flush(temporary)
            if folder.exists():
                folder.rename(old)
            temporary.rename(folder)
            files.flush_entries(folder.parent)
    finally:
        _restore(folder, old)
    return folder


def _restore(folder, old):
    """Restores the old export if there is no new one, else removes it."""
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def convert(locator, kind, folder, check, half=False):
    """Writes a file of another runtime, and serving.json beside it, atomically.

    Args:
        locator: a `portable.Locator` or `everybody.Finder`.
        kind: one of `converters.CONVERTERS`.
        folder: for the file.
        check: function of its path, before it gets its name.
        half: whether weights have half precision.

    Returns:
        the file's Path.
    """
    choices.check("format", kind, converters.CONVERTERS)
    name = f"{NAME}_half" if half else NAME
    description = locator.described()

    def write(path):
        converters.CONVERTERS[kind](locator, path, description, half)
        check(path)

    suffix = converters.SUFFIXES[kind]
    return _write(folder / f"{name}{suffix}", write, description)


def quantise(locator, kind, source, dataset, check):
    """Writes pose_int8 beside the file `source` of that kind; as `convert`.

    Args:
        dataset: `data.dataset.Dataset`; its train split sets the ranges.
    """
    description = locator.described()
    pairs, _, _ = agreement.read_people(
        dataset, "train", locator.size, agreement.CALIBRATED
    )

    def write(path):
        converters.to_int8(kind, source, path, locator.model.name, pairs)
        check(path)

    return _write(source.with_stem(f"{NAME}_int8"), write, description)


def write_page(locator, folder, runtime, check):
    """Writes the folder of `keras_pose.demo`, atomically.

    Args:
        locator: a `portable.Locator` with maps.
        folder: new, empty, or a page.
        runtime: of `page.find_runtime`.
        check: function of the .onnx file's path.
    """
    names = {*page.OWN, *runtime, SERVING, f"{NAME}.onnx"}
    if folder.exists():
        there = [each.name for each in folder.iterdir()]
        if there and not names.issuperset(there):
            raise ValueError(f"{folder} exists and is not a page")
    description = locator.described()
    with files.whole(folder) as temporary:
        temporary.mkdir()
        path = temporary / f"{NAME}.onnx"
        converters.to_onnx(locator, path, description)
        check(path)
        (temporary / SERVING).write_text(json.dumps(description))
        page.copy(temporary, runtime)
    return folder


def _write(path, write, description):
    """Calls `write` with a temporary path; renames all files that it made."""
    with files.scratch(path.parent) as scratch, files.sentences(path):
        write(scratch / path.name)
        (scratch / SERVING).write_text(json.dumps(description, indent=2))
        for made in sorted(scratch.iterdir()):
            files.flush(made)
            os.replace(made, path.with_name(made.name))
        files.flush_entries(path.parent)
    return path


def main(config):
    """Loads and exports the model; prints how to use it."""
    portable.need_tensorflow()
    kinds = tuple(dict.fromkeys(config.format))
    others = [kind for kind in kinds if kind != "saved_model"]
    _check_settings(config, kinds, others)
    runtime = page.find_runtime(config.runtime) if config.web else None
    dataset = open_dataset(config.int8) if config.int8 else None
    beside = "exported" if others else "saved_model"
    output = config.output or models.folder_of(config.model) / beside
    model = models.load_model(config.model)
    settings = {
        "flip": config.flip,
        "decoding": config.decoding,
        "missing_threshold": config.missing_threshold,
    }
    locator = everybody.function_of(model, **settings)
    whole = locator.codec.finds_everybody
    if whole and (config.half or config.int8 or config.web):
        raise ValueError(
            "--half, --int8 and --web are for models of the person in a box: "
            f"{model.name} finds everybody"
        )
    if dataset and dataset.skeleton != locator.skeleton:
        raise ValueError(
            f"{model.name} predicts joints of {locator.skeleton.name}, but "
            f"{dataset.folder} has {dataset.skeleton.name}"
        )

    def check(path, half=False, locator=locator):
        engine = engines.open_model(path)
        whose = "drawn people"
        try:
            if whole:
                apart, differ, people = agreement.compare_everybody(
                    engine.find, locator
                )
                whose = f"the {people} drawn people that the model finds"
            else:
                apart, differ = agreement.compare(engine.locate, locator, half)
        except ValueError as error:
            _doubt(f"{path.name} finds other joints: {error}", config.force)
        else:
            box = f"{agreement.HALF_SAME:.0%} of the box"
            near = box if half else f"{agreement.SAME:g} pixels"
            print(
                f"{path.name}: joints of {whose} as of the model, "
                f"{100 * (1 - differ):.1f} % within {near}, all within "
                f"{apart:.4f} pixels"
            )

    written = []
    if "saved_model" in kinds:
        folder = output / "saved_model" if others else output
        written.append(export(model, folder, **settings, check=check))
        names = FINDING if whole else SIGNATURES
        print(f"{folder}: signatures {', '.join(names)}.")
    for kind in others:
        precise = config.int8 and kind in converters.QUANTISERS
        if not config.half or precise:
            written.append(convert(locator, kind, output, check))
        if config.half:
            written.append(
                convert(
                    locator, kind, output, lambda p: check(p, half=True), True
                )
            )
        if precise:
            judge = _judge(locator, dataset, config.force)
            source = output / f"{NAME}{converters.SUFFIXES[kind]}"
            written.append(quantise(locator, kind, source, dataset, judge))
    if config.web:
        shown = portable.Locator(model, **settings, maps=True)
        write_page(
            shown, config.web, runtime, lambda path: check(path, locator=shown)
        )
        print(f"{config.web}: python -m keras_pose.demo {config.web}")
    print(f"Written: {', '.join(map(str, written))}")
    print(f"Next: python -m keras_pose.predict --model {written[0]} photo.jpg")
    if kinds == ("saved_model",):
        print(f"or, with TensorFlow alone, the six lines in {folder / SERVING}")
    else:
        print("or, with the runtime alone, the lines of docs/exporting.md")


SIGNATURES = (
    *("encoded (serving_default)", "images", "encoded_people"),
    *("images_people", "image", "names"),
)
FINDING = ("encoded (serving_default)", "images", "image", "names")
"""Of a model that finds everybody."""


def _check_settings(config, kinds, others):
    """ValueError before the slow part."""
    if not kinds:
        raise ValueError("format must name one format or more, got none")
    for kind in others + ["onnx"] * bool(config.web):
        converters.need(kind)
    if config.half and not others:
        raise ValueError(f"--half is for litert, onnx, openvino, got {kinds}")
    if config.int8 and not converters.QUANTISERS.keys() & others:
        raise ValueError(f"--int8 is for --format litert or onnx, got {kinds}")
    if config.int8 and "litert" in others:
        converters.need("int8")


def _judge(locator, dataset, force):
    """Function of a path that compares its score with that of the model."""
    pairs, matrices, people = agreement.read_people(
        dataset, "val", locator.size, agreement.JUDGED
    )

    def by_model(image, boxes):
        found = locator.image(image, boxes[0])
        return {name: np.array(value)[None] for name, value in found.items()}

    def check(path):
        locate = engines.open_model(path).locate
        (full, title), (less, _) = (
            agreement.score(function, pairs, matrices, people, dataset)
            for function in (by_model, locate)
        )
        words = (
            f"{title} {less:.1f} on {len(pairs)} people, the model has "
            f"{full:.1f}"
        )
        if not less >= full - agreement.POINTS:
            _doubt(f"{path.name} loses too much: {words}", force)
        else:
            print(f"{path.name}: {words}")

    return check


def _doubt(sentence, force):
    """ValueError, or a line on the console if the file is wanted anyway."""
    if not force:
        raise ValueError(f"{sentence}. --force writes it all the same")
    print(f"Warning: {sentence}")


if __name__ == "__main__":
    run(main, Config, __doc__)
