"""Writes a trained model as a SavedModel that takes photographs.

    python -m keras_pose.export --model runs/hsm/best.keras

Reading the photograph, cropping, normalisation, the flip test and sub-pixel
decoding are inside the graph: serving needs TensorFlow only. Two signatures
take boxes (B, 4) float32, x, y, width, height in pixels of the upright
photograph (a box of exactly the whole picture is not padded):

    encoded (serving_default)   encoded (B,) strings, JPEG, PNG or BMP of any
                                sizes up to 200,000,000 pixels
    images                      images (B, H, W, 3) uint8 RGB

They return joints (B, K, 2) x, y in pixels of the given photograph, scores
(B, K) 0 ... 1 and missing (B, K) bool; a model that predicts occlusion (MSSH
with --occluded-amplitude -1) also occluded (B, K) bool. A third signature,
`names`, takes nothing and returns the joints' names. EXIF orientation is
applied to encoded photographs; images must be upright already. One bad
photograph or box fails the whole batch. serving.json beside the graph describes
the rest and holds an example of six lines.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tensorflow as tf

from keras_pose import files, provenance, serving
from keras_pose.console import run
from keras_pose.models import model as models
from keras_pose.people import MISSING_THRESHOLD

SERVING = "serving.json"
EXAMPLE = """\
import tensorflow as tf
served = tf.saved_model.load("saved_model")
photo = tf.io.read_file("photo.jpg")
box = tf.constant([[0.0, 0.0, 640.0, 480.0]])
found = served.signatures["encoded"](encoded=photo[None], boxes=box)
print(served.signatures["names"]()["names"], found["joints"], found["missing"])
"""


@dataclass(frozen=True)
class Config:
    """Settings of one export."""

    model: Path
    """A .keras file, for example runs/hsm/best.keras, the folder of a published
    model, or hf://user/model."""
    output: Path | None = None
    """Folder of the SavedModel; default: saved_model beside the model."""
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
):
    """Writes a SavedModel atomically; replaces an earlier export.

    Args:
        model: a Keras model that ends in `PoseMaps`.
        folder: where to write; must be new, empty or an export.
        flip, decoding, missing_threshold: see `Config`.

    Returns:
        The folder as a Path.
    """
    folder = Path(folder)
    old = folder.with_name(f".{folder.name}.old")
    _restore(folder, old)  # after a killed export
    if folder.exists() and not (folder / SERVING).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise ValueError(f"{folder} exists and is not an export")
    server = serving.Server(model, flip, decoding, missing_threshold)
    signatures = {
        "serving_default": server.encoded,
        "encoded": server.encoded,
        "images": server.images,
        "names": server.names,
    }
    try:
        with files.scratch(folder.parent) as scratch, files.sentences(folder):
            temporary = scratch / folder.name
            tf.saved_model.save(tf.Module(), str(temporary), signatures)
            (temporary / SERVING).write_text(
                json.dumps(_serving(server, model), indent=2)
            )
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


def _serving(server, model):
    """Contents of serving.json: all that a client needs to know."""
    height, width = server.size
    facts = provenance.of(model)
    return {
        "model": model.name,
        "provenance": facts,
        **provenance.notes(facts),
        "skeleton": server.skeleton.described(),
        "joints": server.skeleton.joints,
        "limbs": server.skeleton.limbs,
        "input": {"height": height, "width": width},
        "outputs": {"codec": type(server.result).__name__}
        | server.result.get_config(),
        "stages": 1 + len(server.later),
        "decoding": server.decoding,
        "flip": server.flip,
        "score": server.result.score_is,
        "missing_threshold": server.missing_threshold,
        "occluded": server.codec.tells_occlusion,
        "boxes": "x, y, width, height in pixels of the upright photograph; "
        "exactly 0, 0, W, H means all of it",
        "pixels": "the centre of the first pixel is (0, 0)",
        "example": EXAMPLE.splitlines(),
    }


def main(config):
    """Loads and exports the model; prints how to use it."""
    serving.need_tensorflow()
    output = config.output or models.folder_of(config.model) / "saved_model"
    folder = export(
        models.load_model(config.model),
        output,
        flip=config.flip,
        decoding=config.decoding,
        missing_threshold=config.missing_threshold,
    )
    print(f"{folder}: signatures encoded (serving_default), images, names.")
    print(f"Next: python -m keras_pose.predict --model {folder} photo.jpg")
    print(f"or, with TensorFlow alone, the six lines in {folder / SERVING}")


if __name__ == "__main__":
    run(main, Config, __doc__)
