"""Imports published weights of PyTorch into a model of this suite.

    python -m keras_pose.import_weights --weights pose_hrnet_w32_256x192.pth
        --output models/hrnet.keras

Reads .safetensors, .pth and .pth.tar without PyTorch and without executing what
they hold (a file of another kind: where PyTorch is installed,
safetensors.torch.save_file(state_dict, "weights.safetensors") makes one). The
names of the tensors tell whose network it is; every tensor is used or left out
by a rule, and every weight of the network is assigned. The model is complete:
pixels are normalised in its graph, it knows its joints and the geometry of its
cells, and it evaluates, predicts, exports and trains like one of ours.
`python -m keras_pose.models` lists the weights that are known and their scores.
"""

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from keras_pose import console, files, skeletons, untrusted
from keras_pose.data import dataset
from keras_pose.models import macs, torch_weights
from keras_pose.models import model as models
from keras_pose.models.torch_weights import (
    conversion,
    networks,
    published,
    sources,
)

SIZES = {17: (256, 192)}
"""Height and width of pictures of a person by the number of joints, COCO's;
else square."""
SETTINGS = "alignment", "sigma", "beta", "debias"
"""Of codecs; each has those that it names."""
SHOWN = 4
"""Most published files that are named where it is not known which one it is."""


@dataclass(frozen=True)
class Config:
    """What to import, and what the file does not say."""

    weights: Path
    """A .safetensors, .pth or .pth.tar file of a pose network."""
    output: Path
    """The model to write, for example models/hrnet.keras; a file of the same
    name with .json says where it comes from."""
    source: str | None = None
    """Whose network it is; by default the names of the tensors tell."""
    skeleton: str | None = None
    """Joints in the order of the maps: mpii, coco, lsp, flic, or a folder of
    records; by default mpii for 16 and coco for 17, and Human3.6M's for the
    authors' integral regression."""
    image_size: tuple[int, int] | None = None
    """Height and width that it was trained with; by default those of the
    published file, or 256 192 for COCO's joints and 256 256 for others; of a
    network that finds everybody, the size in which a whole photograph is
    tested."""
    alignment: Literal["center", "corner", "udp"] | None = None
    """Where the cells of the maps lie in the picture; by default as in the
    published file, or in the source's code. udp: for weights trained with
    unbiased data processing."""
    sigma: float | None = None
    """Width of the Gaussians that it was trained with, cells; by default the
    source's for this size."""
    beta: float | None = None
    """Of mmpose's integral regression: factor on the maps before the softmax;
    by default the published file's, or 1."""
    debias: bool | None = None
    """Of mmpose's integral regression: whether it was trained with debias=True;
    by default as the published file."""
    channels: Literal["rgb", "bgr"] | None = None
    """Order of the colours that it was trained with; by default the source's.
    Microsoft's Simple Baselines have bgr, mmpose's rgb; OpenPose's original
    weights have bgr, those trained by tensorboy's code rgb."""
    stages: int | None = None
    """Of OpenPose's networks, the number of stages to keep; by default those of
    the published figure, or all."""


@dataclass(frozen=True)
class Imported:
    """A model, and where it comes from."""

    model: "models.PoseModel"  # in quotes: an annotation would import it
    network: str
    """As in `keras_pose.models`."""
    source: "sources.Source"
    ignored: dict[str, str]
    """Name of a tensor -> rule by which it was left out."""
    published: tuple["published.Published", ...]
    """The known file that it is, or those that it may be."""
    known: bool
    """Whether `published` is the file."""


def main(config):
    """Imports and writes a model; prints where it comes from; returns it."""
    if config.output.suffix != ".keras":
        raise ValueError(f"--output must be a .keras file, got {config.output}")
    checkpoint = torch_weights.read(config.weights)
    try:
        found = convert(checkpoint, config)
    except ValueError as error:
        raise ValueError(f"{config.weights}: {error}") from None
    facts = describe(config, checkpoint, found)
    found.model.provenance = facts
    config.output.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(config.output) as temporary:
        found.model.save(temporary)
    ignored = [*checkpoint.ignored, *found.ignored]
    with files.whole(config.output.with_suffix(".json")) as temporary:
        text = json.dumps(facts | {"left_out": ignored}, indent=2)
        temporary.write_text(text)
    report(config, checkpoint, found)
    return found.model


def convert(checkpoint, config):
    """The model of a checkpoint: `Imported`.

    Args:
        checkpoint: `torch_weights.Checkpoint`.
        config: see `Config`.

    Raises:
        ValueError: an unknown source, or weights that do not fit.
    """
    source = sources.recognise(checkpoint.tensors, config.source)
    if config.channels:
        source = source.with_channels(config.channels)
    layers, ignored = conversion.layers_of(source, checkpoint.tensors)
    if source.network is None:
        raise ValueError(
            f"the weights of {source.name} find no joints, they classify "
            "pictures: --initial-weights of a paper starts a training from them"
        )
    joints = networks.joints_of(layers, source)
    skeleton = _skeleton(config.skeleton, joints, source)
    rows = published.find(source.name, joints=joints, sha256=checkpoint.sha256)
    name = config.weights.name.partition(".")[0]
    file = [row for row in rows if row.is_file(name, checkpoint.sha256)]
    known = file[0] if len(file) == 1 else None
    size = source.size or SIZES.get(joints, (256, 256))
    stages = config.stages
    given = {name: getattr(config, name) for name in SETTINGS}
    if known:
        size = known.size
        usual = {"beta": known.beta, "debias": known.debias}
        if known.decoding:
            usual["alignment"] = known.alignment
        given |= {n: v for n, v in usual.items() if given[n] is None}
        stages = stages or known.stages
        if stages != known.stages:  # another network than the tested one
            known = replace(known, score=None)
    if stages is not None:
        layers, ignored = conversion.layers_of(
            source, checkpoint.tensors, stages
        )
    settings = {
        n: v for n, v in given.items() if v is not None and v is not False
    }
    if "debias" in settings:
        settings["background"] = "one"  # as mmpose's code does it
    size = config.image_size or size
    model, network = networks.build(source, layers, skeleton, size, **settings)
    alike = [row for row in rows if (row.network, row.size) == (network, size)]
    rows = (known,) if known else tuple(alike)
    return Imported(model, network, source, ignored, rows, known is not None)


def _skeleton(name, joints, source):
    """The named skeleton, or the source's, or the published one with this many
    joints."""
    if name in skeletons.SKELETONS:
        return skeletons.SKELETONS[name]
    if name is not None:
        if not Path(name).is_dir():
            known = ", ".join(skeletons.SKELETONS)
            raise ValueError(
                f"--skeleton must be one of {known} or a folder of records, "
                f"got {name}"
            )
        return dataset.open_dataset(name).skeleton
    if source.skeleton:
        return source.skeleton
    known = {16: skeletons.MPII, 17: skeletons.COCO}
    if joints not in known:
        raise ValueError(
            f"its {joints} maps are those of no published skeleton: name their "
            "joints with --skeleton"
        )
    return known[joints]


def describe(config, checkpoint, found):
    """The facts that the model carries, see `keras_pose.provenance`."""
    source, codec = found.source, found.model.codec
    facts = {
        "network": found.network,
        "source": source.name,
        "code": source.code,
        "file": untrusted.shown(config.weights.name),
        "sha256": checkpoint.sha256,
        "parameters": macs.parameters(found.model),
        "joints": codec.skeleton.name,
        "channels": "bgr" if source.bgr else "rgb",
        "outputs": type(codec).__name__,
        "alignment": getattr(codec, "alignment", None),
        "published": [
            {"name": row.name, "score": row.described(), "test": row.flags}
            for row in found.published
        ],
    }
    if found.known:
        (row,) = found.published
        facts |= {"trained_on": [row.data], "licence": row.licence}
    return facts


def report(config, checkpoint, found):
    """Prints what was imported, how it was tested, and what may follow."""
    model, codec = found.model, found.model.codec
    height, width = model.input_shape[1:3]
    print(
        f"{found.network}, {macs.parameters(model):,} parameters, weights of "
        f"{found.source.code} ({found.source.name})\n"
        f"SHA-256 {checkpoint.sha256}\n"
        f"Input {height} x {width}, joints {codec.skeleton.name}, "
        f"{_outputs(codec)}"
    )
    rules = Counter(found.ignored.values())
    if checkpoint.ignored:
        rules["entries that no network computes with"] = len(checkpoint.ignored)
    for rule, count in rules.items():
        print(f"Left out: {count:,}, {rule}")
    if found.published:
        print("This is" if found.known else "It may be", end=" ")
    for row in found.published[:SHOWN]:
        print(f"{row.name}: {row.described()}")
    output = config.output
    print(
        f"Wrote {output} and {output.with_suffix('.json').name}.\n"
        f"Next: python -m keras_pose.predict --model {output} photo.jpg"
    )
    tested = [row for row in found.published[:SHOWN] if row.score is not None]
    for flags in {row.flags: None for row in tested}:
        print(
            f"or, as it was tested: python -m keras_pose.evaluate --model "
            f"{output} --data DIR {flags}"
        )


def _outputs(codec):
    """What the outputs mean, in words."""
    settings = {name: getattr(codec, name, None) for name in SETTINGS}
    words = [f"{name} {value}" for name, value in settings.items() if value]
    return ", ".join([type(codec).__name__, *words])


if __name__ == "__main__":
    console.run(main, Config, __doc__)
