"""Writes a model as a folder to publish, with a card that says what it is.

    python -m keras_pose.publish --model runs/hsm/best.keras \\
        --licence apache-2.0 --name user/hsm --output published/hsm

The folder holds the files that Keras loads (config.json, metadata.json,
model.weights.h5), README.md, a model card of the Hugging Face Hub, and
SHA256SUMS. The card takes its facts from the run of the model (run.json,
results.json) and from what the model carries (`keras_pose.provenance`); what
nobody knows is said to be unknown. `load_model` and every command take the
folder as it is, and hf://user/hsm once it has been uploaded.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from keras_pose import console, files, metrics, provenance, untrusted
from keras_pose.models import macs
from keras_pose.models import model as models
from keras_pose.people import MISSING_THRESHOLD
from keras_pose.training import folder as runs

CARD = "README.md"
HUB_NAME = r"[\w.-]+/[\w.-]+"
LICENCES = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause"),
    *("gpl-3.0", "lgpl-3.0", "agpl-3.0", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
"""The usual ones of those that the hub knows by name; any other becomes "other"
with its name (huggingface.co/docs/hub/repositories-licenses)."""
UNKNOWN = "Unknown."
SHOWN = 2_000
"""Most characters of one fact in the card."""


@dataclass(frozen=True)
class Config:
    """What to publish."""

    model: Path
    """A .keras file, for example runs/hsm/best.keras, or the folder of a
    model."""
    output: Path
    """Folder to write: new, empty, or written by this command and unchanged."""
    licence: str | None = None
    """Of the weights, such as apache-2.0, mit or cc-by-nc-4.0; unknown by
    default."""
    name: str | None = None
    """USER/MODEL on the hub, for the examples; by default user/ and the name
    of the output."""


@dataclass(frozen=True)
class Facts:
    """What is known of a model."""

    carried: dict
    """`provenance.of` the model."""
    run: dict
    """run.json beside it, {} without one."""
    results: dict
    """results.json beside it, {} without one or if it is of another model."""


def main(config):
    """Writes the folder; prints how to upload it; returns its path."""
    output = config.output
    name = config.name or f"user/{output.absolute().name}"
    if not re.fullmatch(HUB_NAME, name):
        raise ValueError(f"name must be USER/MODEL, got {name!r}")
    check_output(output)
    model = models.load_model(config.model)
    facts = gather(config.model, model)
    card = write_card(model, facts, name, config.licence)
    with files.whole(output) as temporary:
        model.save(temporary, zipped=False)
        (temporary / "assets").rmdir()  # Keras makes it, there are none
        (temporary / CARD).write_text(card, encoding="utf-8")
        files.seal(temporary, sorted([*models.MEMBERS, CARD]))
    print(f"Wrote {output}: read {output / CARD}, it will be public.")
    if not config.licence:
        print("The card says that the licence is unknown: --licence names it.")
    print(
        f"Next: hf upload {name} {output} .\n"
        "(pip install 'keras_pose[hub]' brings hf; hf auth login comes first)"
    )
    return output


def check_output(folder):
    """Raises ValueError unless `folder` may be written or replaced."""
    if folder.suffix == ".keras":
        raise ValueError(f"--output must be a folder, got {folder}")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    ours = [*models.MEMBERS, CARD]
    changed = files.damaged(folder, ours) if folder.is_dir() else None
    if changed is None:
        raise ValueError(
            f"{folder} exists and was not written by keras_pose.publish: "
            "choose another --output"
        )
    more = {entry.name for entry in folder.iterdir()} - {*ours, files.SUMS}
    if changed or more:
        raise ValueError(
            f"{folder} was changed after it was written "
            f"({', '.join([*changed, *sorted(more)])}): choose another "
            "--output, or remove it"
        )


def gather(path, model):
    """The `Facts` on a model that was loaded from `path`.

    Raises:
        ValueError: it lies in the folder of a run whose run.json is damaged.
    """
    run, results = {}, {}
    path = Path(path)
    if path.name == runs.BEST and (path.parent / runs.RUN).is_file():
        run = runs.read_run(path.parent)
        names = [runs.BEST, runs.RESULTS]
        if files.damaged(path.parent, names) == []:
            results = untrusted.read_json(path.parent / runs.RESULTS)
    return Facts(provenance.of(model), run, results)


def write_card(model, facts, name, licence=None):
    """The model card: Markdown with a YAML header.

    Args:
        model: of `load_model`.
        facts: `Facts`.
        name: user/model.
        licence: of the weights, or None.
    """
    skeleton = model.codec.skeleton
    height, width = model.input_shape[1:3]
    warning = ""
    if provenance.is_drawn_only(facts.carried):
        words = provenance.ON_PHOTOGRAPHS
        warning = f"> **{words[0].upper()}{words[1:]}.**\n\n"
    network = facts.carried.get("network") or facts.run.get("paper")
    sections = {
        "Load": _load(name),
        "Input and output": (
            f"Pictures (B, {height}, {width}, 3) uint8, RGB, 0 to 255: the "
            f"crop of one {skeleton.kind}. Pixels are normalised inside. The "
            "crop is the box around the "
            f"{skeleton.kind}, enlarged to the shape of the input.\n\n"
            f"Outputs {_shape(model)}: "
            f"`{type(model.codec).__name__}` of {len(skeleton.joints)} joints. "
            f"{macs.parameters(model):,} trainable parameters."
        ),
        "Trained on": _training(facts),
        "Score": _score(facts),
        "Joints": _joints(skeleton),
        "Intended use": (
            f"To find the joints of a {skeleton.kind} in a picture, given a "
            "box around it, for research and as a starting point for "
            "training. Not to identify people, and not for decisions about "
            "them."
        ),
        "Limits": _limits(facts),
        "Licence": _licence(facts, licence),
    }
    body = "".join(f"\n## {title}\n\n{text}\n" for title, text in
                   sections.items())  # fmt: skip
    return (
        f"{_header(licence, skeleton)}\n# {name.partition('/')[2]}\n\n"
        f"{warning}{_text(network or 'A pose network')}: finds the "
        f"{len(skeleton.joints)} joints of one {skeleton.kind} in a box. Made "
        f"with keras_pose, in Keras 3.\n{body}"
    )


def _header(licence, skeleton):
    """The YAML at the beginning, which the hub reads."""
    known = (licence or "unknown").lower()
    lines = [f"license: {known}"]
    if known not in (*LICENCES, "unknown"):
        lines = ["license: other", f"license_name: {json.dumps(licence)}"]
    return "\n".join(
        [
            "---",
            "library_name: keras",
            *lines,
            "pipeline_tag: keypoint-detection",
            "tags:",
            "- keras",
            "- pose-estimation",
            f"- {json.dumps(skeleton.kind)}",
            "---",
            "",
        ]
    )


def _load(name):
    """How to load it."""
    return f"""\
```python
from keras_pose.models.model import load_model

model = load_model("hf://{name}")
```

    python -m keras_pose.predict --model hf://{name} photo.jpg --box X Y W H

The box is x, y, width and height in pixels. Plain Keras loads it after
`import keras_pose`: `keras.saving.load_model("hf://{name}")`."""


def _shape(model):
    """The shape of the output, with B for the batch."""
    return f"(B, {', '.join(map(str, model.output_shape[1:]))})"


def _training(facts):
    """What it was trained on, and by which command."""
    carried, run = facts.carried, facts.run
    names = carried.get("trained_on")
    lines = []
    if isinstance(names, list) and names:
        lines.append(f"{_text(', '.join(map(str, names)))}.")
    elif run:
        data = Path(str(run.get("data"))).name
        lines.append(f"The records in {_text(data)}.")
    else:
        lines.append(UNKNOWN)
    for title, key in (
        ("Data set", "data"),
        ("Paper", "paper"),
        ("Weights of", "code"),
        ("File", "file"),
        ("SHA-256 of the file", "sha256"),
    ):
        if carried.get(key):
            lines.append(f"{title}: {_text(carried[key])}")
    start = carried.get("started_from")
    if start:
        known = start if isinstance(start, dict) else {"weights": start}
        words = (f"{key} {_text(value)}" for key, value in known.items())
        lines.append(f"Started from weights of: {'; '.join(words)}")
    command = run.get("command") or carried.get("command")
    if command:
        lines.append(f"Command:\n\n    {_line(command)}")
    elif "code" not in carried:
        lines.append("Command: unknown.")
    if run:
        epochs = run["settings"]["epochs"]["value"]
        versions = (f"{k} {v}" for k, v in run.get("versions", {}).items())
        lines.append(f"Epochs: {epochs}; {_text(', '.join(versions))}.")
    return "\n\n".join(lines)


def _score(facts):
    """What was measured, and how."""
    results, rows = facts.results, facts.carried.get("published")
    rows = rows if isinstance(rows, list) else []
    rows = [row for row in rows if isinstance(row, dict)]
    if results:
        chosen = (
            "on which the best epoch was chosen as well"
            if results["split"] == results["chosen_on"]
            else "on which it was not trained"
        )
        title = metrics.find(results["protocol"]).title
        lines = [
            f"{title} (`{results['protocol']}`): "
            f"**{100 * results['trained']:.1f}**, on "
            f"{results['counted']:,} of {results['people']:,} of the split "
            f"{_text(results['split'])}, {chosen}. One crop of the annotated "
            "box, without a flip test, quarter-cell decoding."
        ]
        for name in metrics.PROTOCOLS.keys() & results.keys():
            words = (f"{k} {_text(v)}" for k, v in results[name].items())
            lines.append(f"`{name}`: {', '.join(words)}")
        return "\n\n".join(lines)
    if rows:
        known = "trained_on" in facts.carried
        return "\n".join(
            [
                "Not measured here. Published for the original weights:"
                if known
                else "Not measured here. Which published file this is is not "
                "known; for this network there are:",
                "",
                *(
                    f"- {_text(row.get('name'))}: {_text(row.get('score'))}"
                    for row in rows
                ),
            ]
        )
    return UNKNOWN


def _joints(skeleton):
    """Their order, and the limbs between them."""
    rows = "\n".join(
        f"| {number} | {_text(joint)} |"
        for number, joint in enumerate(skeleton.joints)
    )
    limbs = ", ".join(" to ".join(map(_text, limb)) for limb in skeleton.limbs)
    return (
        f"Skeleton `{_line(skeleton.name)}`, in the order of the outputs:\n\n"
        f"| number | joint |\n|---|---|\n{rows}\n\nLimbs: {limbs or 'none'}."
    )


def _limits(facts):
    """What it does not do, and what nobody has measured."""
    lines = [
        "- It finds one pose for each box; it does not find the boxes.",
        "- It gives every joint a place, also one that cannot be seen: below a "
        f"score of {MISSING_THRESHOLD:g}, exports call it missing.",
        "- How the score differs by age, body, skin or clothes is unknown.",
    ]
    if provenance.is_drawn_only(facts.carried):
        lines.insert(0, f"- {provenance.ON_PHOTOGRAPHS.capitalize()}.")
    elif "trained_on" not in facts.carried:
        lines.insert(0, "- What it was trained on is not recorded.")
    return "\n".join(lines)


def _licence(facts, licence):
    """Of these weights, and of what they come from."""
    origin = facts.carried.get("licence")
    lines = [f"{_text(licence)}." if licence else UNKNOWN]
    if origin:
        lines.append(f"Of the original code: {_text(origin)}.")
    lines.append("The terms of the data that it was trained on hold as well.")
    return " ".join(lines)


def _line(value):
    """A value as one line of a code block."""
    return untrusted.shown(value)[:SHOWN].replace("`", "'")


def _text(value):
    """A value as text in Markdown: without markup of its own."""
    words = _line(value).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\|*\[\]#])", r"\\\1", words)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
