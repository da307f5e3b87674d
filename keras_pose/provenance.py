"""What weights were trained on and where they come from, as far as is known.

A model carries these facts, `PoseModel.provenance`, in the config of its file:
a JSON object without required entries. Usual ones:

    trained_on     list of the data sets of people, DRAWN for drawn ones
    started_from   what the weights were before that
    paper, command, data      of a training run
    source, sha256, score ... of an imported file
"""

import json
import zipfile
from pathlib import Path

from keras_pose import untrusted

DRAWN = "drawn people"
"""Name of all drawn data sets among those that a model was trained on."""
MOST = 2**16
"""Largest number of characters of the facts as JSON."""
CONFIG = "config.json"
"""File of a saved model that holds its config."""
DESCRIPTION = "serving.json"
"""File of an export that says what a client needs to know."""
ON_PHOTOGRAPHS = (
    f"this model was trained on {DRAWN} only: its joints on photographs are "
    "not to be relied on"
)


def to_json(facts):
    """The facts as JSON text.

    Raises:
        ValueError: not a dict that JSON can hold, or too large.
    """
    if not isinstance(facts, dict):
        raise ValueError(f"provenance must be an object, got {facts!r:.100}")
    try:
        text = json.dumps(facts, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"provenance must be JSON: {error}") from None
    if len(text) > MOST:
        raise ValueError(
            f"provenance must have at most {MOST:,} characters, got "
            f"{len(text):,}"
        )
    return text


def of(model):
    """The facts that a model carries; {} if there are none."""
    return getattr(model, "provenance", {})


def read(path):
    """The facts in a .keras file or the folder of a model; {} in other files.

    Raises:
        ValueError: the config is damaged, or the facts are of another kind.
    """
    config = _read_config(Path(path))
    for name in ("config", "provenance"):
        config = config.get(name, {}) if isinstance(config, dict) else {}
    return json.loads(to_json(config))


def read_input_size(path):
    """(height, width) of the input of a model or export, pixels; None if its
    files do not say."""
    path = Path(path)
    try:
        if (path / DESCRIPTION).is_file():
            size = untrusted.read_json(path / DESCRIPTION)["input"]
            size = size["height"], size["width"]
        else:
            first = _read_config(path)["config"]["layers"][0]
            _, *size, _ = first["config"]["batch_shape"]
    except Exception:  # zipfile raises anything; who opens it says what it is
        return None
    whole = len(size) == 2 and all(untrusted.is_count(n, 1) for n in size)
    return tuple(size) if whole else None


def _read_config(path):
    """The config of a .keras file or the folder of a model; {} of other files.

    Raises:
        ValueError: it is damaged.
    """
    content = None
    if path.is_dir():
        if (path / CONFIG).is_file():
            content = untrusted.read_file(path / CONFIG)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            if CONFIG in file.namelist():
                size = file.getinfo(CONFIG).file_size
                untrusted.check_unpacked(path, size, path.stat().st_size)
                content = file.read(CONFIG)
    return {} if content is None else untrusted.parse_json(content, path)


def notes(facts, drawn=False):
    """What a file of predictions says about the model: a dict.

    Args:
        facts: on the model.
        drawn: whether the pictures are known to be of drawn people.

    Returns:
        "trained_on", or that it is unknown; and a "warning" if the model has
        only seen drawn people and the pictures may be photographs.
    """
    warning = is_drawn_only(facts) and not drawn
    return {"trained_on": facts.get("trained_on", "unknown")} | (
        {"warning": ON_PHOTOGRAPHS} if warning else {}
    )


def trained(before, data, same=False, **facts):
    """The facts on a model after training.

    Args:
        before: the facts on the weights that it started from, {} for random
            ones.
        data: a `data.dataset.Dataset`.
        same: whether this is a further stage of the same training.
        **facts: further ones on this training.
    """
    earlier = before.get("trained_on")
    earlier = earlier if isinstance(earlier, list) else []
    now = DRAWN if data.is_drawn else data.title
    start = before.get("started_from") if same else before
    return {
        "trained_on": [name for name in earlier if name != now] + [now],
        "data": data.title,
        **facts,
    } | ({"started_from": start} if start else {})


def is_drawn_only(facts):
    """Whether a model was trained on drawn people alone, as far as is known."""
    names = facts.get("trained_on")
    return isinstance(names, list) and set(map(str, names)) == {DRAWN}
