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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keras_pose import console, files, skeletons
from keras_pose.data import dataset
from keras_pose.models import torch_weights
from keras_pose.models.torch_weights import networks, sources

SIZES = {17: (256, 192)}
"""Height and width of pictures by the number of joints, COCO's; else square."""


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
    records; by default mpii for 16 and coco for 17."""
    image_size: tuple[int, int] | None = None
    """Height and width that it was trained with; by default 256 192 for COCO's
    joints, else 256 256."""
    alignment: Literal["center", "corner", "udp"] | None = None
    """Where the cells of the maps lie in the picture; by default as in the
    source's code. udp: for weights trained with unbiased data processing."""
    sigma: float | None = None
    """Width of the Gaussians that it was trained with, cells; by default the
    source's for this size."""
    channels: Literal["rgb", "bgr"] | None = None
    """Order of the colours that it was trained with; by default the source's.
    Microsoft's Simple Baselines have bgr, mmpose's rgb."""


def main(config):
    """Imports and writes a model; prints where it comes from; returns it."""
    if config.output.suffix != ".keras":
        raise ValueError(f"--output must be a .keras file, got {config.output}")
    checkpoint = torch_weights.read(config.weights)
    try:
        model, source, ignored = imported(checkpoint, config)
    except ValueError as error:
        raise ValueError(f"{config.weights}: {error}") from None
    origin = describe(config, checkpoint, source, model, ignored)
    config.output.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(config.output) as temporary:
        model.save(temporary)
    with files.whole(config.output.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(origin, indent=2))
    report(config, origin)
    return model


def imported(checkpoint, config):
    """The model of a checkpoint.

    Args:
        checkpoint: `torch_weights.Checkpoint`.
        config: see `Config`.

    Returns:
        PoseModel, `sources.Source`, and {name: rule} of unused tensors.

    Raises:
        ValueError: an unknown source, or weights that do not fit.
    """
    source = sources.recognise(checkpoint.tensors, config.source)
    if config.channels:
        source = source.with_channels(config.channels)
    layers, ignored = networks.layers_of(source, checkpoint.tensors)
    if source.network is None:
        raise ValueError(
            f"the weights of {source.name} find no joints, they classify "
            "pictures: --initial-weights of a paper starts a training from them"
        )
    skeleton = _skeleton(config.skeleton, networks.joints_of(layers))
    size = config.image_size or SIZES.get(len(skeleton.joints), (256, 256))
    settings = {"alignment": config.alignment, "sigma": config.sigma}
    settings = {name: v for name, v in settings.items() if v is not None}
    model = networks.build(source, layers, skeleton, size, **settings)
    return model, source, ignored


def _skeleton(name, joints):
    """The named skeleton, or the published one with this many joints."""
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
    known = {16: skeletons.MPII, 17: skeletons.COCO}
    if joints not in known:
        raise ValueError(
            f"its {joints} maps are those of no published skeleton: name their "
            "joints with --skeleton"
        )
    return known[joints]


def describe(config, checkpoint, source, model, ignored):
    return {}


def report(config, origin):
    pass


if __name__ == "__main__":
    console.run(main, Config, __doc__)
