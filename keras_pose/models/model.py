"""PoseModel: one loss over all outputs; and loading saved models."""

import json
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_pose import choices, files, provenance, untrusted
from keras_pose.models import local_contrast, volumes, windows
from keras_pose.models.alexnet import LocalResponseNorm
from keras_pose.models.cascade import stages_of
from keras_pose.models.center_map import CenterMap
from keras_pose.models.heads import PoseMaps, codec_of, codecs_of
from keras_pose.models.normalization import BatchNormalization
from keras_pose.models.resize import AlignedResize


@keras.saving.register_keras_serializable("keras_pose")
class PoseModel(keras.Model):
    """A functional model whose loss and metrics see the labels and all outputs.

    Keras gives each output its own labels and loss. Here one loss
    (`losses.PoseLoss`) sees all outputs and returns named terms, which are
    logged beside their sum, `loss`; metrics also receive the labels and all
    outputs. `fit`, `evaluate` and `save` are Keras' own.

    Images (B, H, W, 3) uint8 -> the outputs of its `PoseMaps`, coarse to fine
    if there are several; the last is the result. Of a cascade
    (`models.cascade`) the loss sees the last output alone.
    """

    _provenance = "{}"

    @property
    def provenance(self):
        """What the weights were trained on and where they come from: a dict
        that the file keeps, {} if unknown; see `keras_pose.provenance`. It is a
        copy: assign the whole."""
        return json.loads(self._provenance)

    @provenance.setter
    def provenance(self, facts):
        self._provenance = provenance.to_json(facts)

    def get_config(self):
        """As Keras', with the provenance if it is known."""
        facts = {"provenance": self.provenance} if self.provenance else {}
        return super().get_config() | facts

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The inverse of `get_config`.

        Raises:
            ValueError: the provenance is not an object, or too large.
        """
        config = dict(config)
        facts = config.pop("provenance", {})
        model = super().from_config(config, custom_objects)
        model.provenance = facts
        return model

    @property
    def codec(self):
        """The codec of the result."""
        return codec_of(self)

    @property
    def codecs(self):
        """The codecs of all outputs, a list."""
        return codecs_of(self)

    @property
    def metrics(self):
        """The loss, the compiled metrics, and the terms."""
        if not self.compiled:
            return []
        return [*super().metrics[:1], *self.scores, *self.terms]

    def compile(self, optimizer="adam", loss=None, metrics=(), **settings):
        """As `keras.Model.compile`.

        Args:
            optimizer: as there.
            loss: a `losses.PoseLoss`.
            metrics: list of metrics called with (labels, outputs).
            settings: jit_compile, run_eagerly ...: as there.

        Raises:
            ValueError: not such a loss, or one that expects outputs with other
                codecs.
        """
        if not hasattr(loss, "reduced_terms"):
            raise ValueError(f"loss must be a losses.PoseLoss, got {loss!r}")
        super().compile(optimizer, **settings)
        codecs = self._supervised(codecs_of(self))
        if loss.codecs != codecs:
            raise ValueError(
                f"the loss expects outputs of {_listed(loss.codecs)}, but they "
                f"are {_listed(codecs)}"
            )
        self.loss = loss
        self.scores = [keras.metrics.get(metric) for metric in metrics]
        names = self._names_of_terms(loss, codecs)
        self.terms = [keras.metrics.Mean(name) for name in names]
        self._settings = settings

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The sum of the terms; several terms are logged by name."""
        if self.codec.refines:
            y_pred = y_pred[-1]
        costs = self.loss.reduced_terms(y, y_pred, sample_weight)
        for term in self.terms:
            term.update_state(costs[term.name])
        return sum([*costs.values(), *self.losses])

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the metrics with the labels and all outputs."""
        for metric in self.scores:
            metric.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_compile_config(self):
        """The arguments of `compile`, for the file."""
        if not self.compiled:
            return {}
        arguments = {
            "optimizer": self.optimizer,
            "loss": self.loss,
            "metrics": list(self.scores),
        }
        return keras.saving.serialize_keras_object(arguments | self._settings)

    def compile_from_config(self, config):
        """The inverse of `get_compile_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def _supervised(self, each):
        """Of one for each output, those that the loss sees: a list."""
        return each[-1:] if self.codec.refines else each

    def _names_of_terms(self, loss, codecs):
        """Names of the loss' terms, if there is more than one."""
        labels = np.zeros((1, 1, codecs[-1].count, 4), "float32")
        outputs = self._supervised(self.outputs)
        outputs = [np.zeros((1, *o.shape[1:]), "float32") for o in outputs]
        one = outputs[0] if len(outputs) == 1 else outputs
        names = tuple(loss.terms(labels, one))
        return names if len(names) > 1 else ()


def load_model(path, part=None):
    """Loads a model of this suite, not compiled.

    Of a model with several outputs, coarse to fine, only the last is kept: it
    is the result; the others only supervise training.

    Args:
        path: of a .keras file or of the folder that
            `model.save(folder, zipped=False)` wrote; or hf://user/model, which
            huggingface_hub downloads or has in its cache.
        part: name of an output to keep in place of the last.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, hostile or no model of this suite, or cannot
            be downloaded; one line that names it.
    """
    return last_output(load_whole(path), part)


def load_whole(path):
    """As `load_model`, with all outputs.

    `last_output` of the result is what `load_model` returns; both share their
    weights.
    """
    hub = HUB.match(str(path))
    path = f"hf://{hub[1]}" if hub else Path(path)
    place = _download(hub[1]) if hub else path
    if not place.exists():
        raise FileNotFoundError(
            f"{path} does not exist: expected a .keras file, the folder of a "
            "model or hf://user/model"
        )
    try:
        check = _check_folder if place.is_dir() else check_members
        check(place)
        # Safe: no code that the file brings is executed (Lambda layers).
        model = keras.saving.load_model(
            place, KNOWN, compile=False, safe_mode=True
        )
        stages_of(model)
    except Exception as error:  # Keras raises anything on a damaged file
        reason = _reason(error)
        raise ValueError(f"{path} cannot be used: {reason}") from None
    return without_xla(model)


def folder_of(path):
    """The folder in which a model lies, for what belongs beside it.

    Raises:
        ValueError: it is on the Hugging Face Hub.
    """
    hub = HUB.match(str(path))
    if hub:
        raise ValueError(
            f"hf://{hub[1]} has no folder here: choose an --output"
        )
    return Path(path).parent


def name_of(path):
    """Name of a model: that of its folder, or the last part of its own."""
    path = Path(path)
    return (path.absolute().parent if path.suffix == ".keras" else path).name


def _download(name):
    """Folder of a model on the Hugging Face Hub, "user/model".

    Raises:
        ValueError: it cannot be downloaded.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise ValueError(
            f"hf://{name} needs huggingface_hub: pip install 'keras_pose[hub]'"
        ) from None
    try:
        folder = huggingface_hub.snapshot_download(
            name,
            allow_patterns=[*sorted(MEMBERS), files.SUMS],
            library_name="keras",
        )
    except Exception as error:  # not found, no network, no permission ...
        reason = untrusted.first_line(error)
        raise ValueError(
            f"hf://{name} cannot be downloaded: {reason}"
        ) from None
    return Path(folder)


def _check_folder(path):
    """Raises unless a folder holds Keras' three files.

    Keras reads nothing else in it, except a folder of assets (vocabularies),
    which no model of ours has. Unlike a .keras file, a folder has checksums
    only if keras_pose.publish wrote it.

    Raises:
        ValueError: something is missing, damaged or not what SHA256SUMS says,
            or there are assets.
    """
    names = sorted(entry.name for entry in path.iterdir())
    if not all((path / name).is_file() for name in MEMBERS):
        raise ValueError(
            f"{', '.join(sorted(MEMBERS))} wanted in it, got "
            f"{', '.join(names[:9]) or 'nothing'}"
        )
    assets = path / "assets"
    if assets.is_file() or (assets.is_dir() and any(assets.iterdir())):
        got = next(assets.iterdir()).name if assets.is_dir() else "a file"
        raise ValueError(f"assets must be an empty folder, got {got!r:.100}")
    sums = files.read_sums(path) if (path / files.SUMS).is_file() else {}
    for name in sorted(MEMBERS & sums.keys()):
        if not files.is_whole(path / name, sums[name]):
            raise ValueError(
                f"{name} must have the checksum in {files.SUMS}, got another"
            )
    for name in MEMBERS - {WEIGHTS}:
        untrusted.read_json(path / name)
    with h5py.File(path / WEIGHTS) as weights:
        untrusted.check_hdf5(weights, WEIGHTS)


def check_members(path):
    """Raises unless a .keras file holds Keras' three files and no more.

    Keras packs none of them: what would unpack to many times the file's bytes
    is no model of ours.

    Raises:
        ValueError: something is missing, more, elsewhere or too large.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError("it is damaged or not a .keras file")
    with zipfile.ZipFile(path) as file:
        sizes = {info.filename: info.file_size for info in file.infolist()}
        if sizes.keys() != MEMBERS or len(file.namelist()) > len(MEMBERS):
            raise ValueError(
                f"{', '.join(sorted(MEMBERS))} wanted in it, got "
                f"{', '.join(sizes)}"
            )
        packed = Path(path).stat().st_size
        untrusted.check_unpacked("the file", sum(sizes.values()), packed)
        with file.open(WEIGHTS) as member, h5py.File(member) as weights:
            untrusted.check_hdf5(weights, WEIGHTS)


def last_output(model, part=None):
    """The model with only the last output of `model`; it shares its layers.

    A stage of a cascade keeps the stages before it. `part`: name of another
    output; ValueError if there is none.
    """
    if part is not None:
        choices.check("part", part, model.output_names)
    if len(model.outputs) > 1:
        facts = provenance.of(model)
        number = model.output_names.index(part or model.output_names[-1])
        outputs = model.outputs[number]
        if codecs_of(model)[number].refines:
            outputs = model.outputs[: number + 1]
        model = PoseModel(model.input, outputs, name=model.name)
        model.provenance = facts
    return without_xla(model)


def same_network(*paths):
    """Whether .keras files differ only in weights, training and provenance."""
    networks = []
    for path in paths:
        with zipfile.ZipFile(path) as file:
            network = json.loads(file.read(provenance.CONFIG))["config"]
        networks.append({**network, "provenance": None})
    return all(network == networks[0] for network in networks)


WEIGHTS = "model.weights.h5"
MEMBERS = {provenance.CONFIG, "metadata.json", WEIGHTS}
"""Files in a .keras file."""
HUB = re.compile(r"hf:/+(.+)", re.DOTALL)
"""A name on the Hugging Face Hub; a Path has lost the second slash."""
KNOWN = {
    "PoseMaps": PoseMaps,
    "keras_pose>BatchNormalization": BatchNormalization,  # not Keras' own
    "keras_pose>AlignedResize": AlignedResize,
    "keras_pose>CenterMap": CenterMap,
    **{
        f"keras_pose>{layer.__name__}": layer
        for layer in (
            *(local_contrast.LocalContrast, local_contrast.HalfSize),
            *(windows.WindowCorners, windows.CutWindows, windows.WindowConv2D),
            *(windows.JointMaps, windows.PlaceWindows),
            volumes.OverDepth,
        )
    },
    "keras_pose>LocalResponseNorm": LocalResponseNorm,
    "keras_pose>JointlyTrained": PoseModel,  # its name in earlier files
    "JointlyTrained": PoseModel,
}
"""Classes of saved models, which must be imported before loading."""


def _reason(error):
    """Why Keras could not build what a file describes, in one line.

    Keras puts the reason behind the whole config, in the error that it was
    handling.
    """
    while "could not be deserialized" in str(error) and error.__context__:
        error = error.__context__
    unknown = re.match(r"Could not \w+ (?:class )?'([^']+)'", str(error))
    if unknown:
        return (
            f"it needs the class {unknown[1]}, which neither Keras nor this "
            "version of keras_pose has: import what defines it first"
        )
    return untrusted.first_line(error)


def without_xla(model):
    """The model, whose prediction XLA does not compile: on TensorFlow that
    takes almost a minute, and again for a smaller last batch."""
    if keras.backend.backend() == "tensorflow":
        model.jit_compile = False
    return model


def _listed(codecs):
    return ", ".join(map(str, codecs))
