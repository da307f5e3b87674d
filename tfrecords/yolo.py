"""Converts a folder in YOLO's pose format (Ultralytics, Roboflow) to records.

https://docs.ultralytics.com/datasets/pose: a text file per photograph, a line
per subject: class x y width height, then x y or x y flag of each joint; x and y
are shares of the upright photograph's width and height, those of the box are of
its centre. The labels of .../images/a.jpg are in .../labels/a.txt; a photograph
without has no subjects.

SOURCE is the folder with data.yaml, or the .yaml itself. Taken from it are
train, val and test (folders or lists of photographs, inside SOURCE; a `path`
outside is not followed), names (the classes), kpt_shape, flip_idx (which gives
the mirror pairs) and kpt_names (of the joints). Flags give the rest and go
first: --joints (by default joint_0, joint_1 ...), --mirror, --limbs. Without a
.yaml, the folders images and labels (or train, val, test, each with these two)
and --joints are enough.

Run      python -m tfrecords.yolo --source tigers --output records/tigers
             --joints nose left_ear right_ear ...

Without flags, a joint at 0 0 is not labelled; flags are 0 not labelled, 1
occluded, 2 visible.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from keras_pose import console, photographs, skeletons, untrusted
from keras_pose.console import run
from tfrecords import crops, keypoints

SPLITS = keypoints.TRAIN, keypoints.VALIDATION, keypoints.TEST
OTHER_NAMES = {"valid": keypoints.VALIDATION}
"""Folders' names of splits, as Roboflow writes them."""


@dataclass(frozen=True, kw_only=True)
class Config(keypoints.AnySkeleton):
    """A folder in YOLO's pose format."""

    joints: tuple[str, ...] = ()
    """Names of the joints in their order."""
    category: str | None = None
    """Class to convert, by name or number, if there are several."""


def main(config):
    """Writes the shards and the truth; returns what dataset.json says."""
    folder, path = config.source, None
    if folder.is_file():
        folder, path = config.source.parent, config.source
    elif found := sorted(folder.glob("*.y*ml")):
        if len(found) > 1:
            raise ValueError(
                f"{folder} has several .yaml: give one of "
                f"{', '.join(p.name for p in found)} as --source"
            )
        path = found[0]
    elif not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is missing: expected a folder with data.yaml"
        )
    said = read_yaml(path) if path else {}
    number, kind = _category(config, said, path)
    joints, width = _joints(config, said, path)
    pairs = None
    if said.get("flip_idx") and not config.mirror:
        pairs = _pairs(said["flip_idx"], joints, path)
    skeleton = keypoints.skeleton_of(config, kind, joints, pairs=pairs)
    truths, labels, lost = {}, 0, []
    for split, names in pictures_of(folder, said, path).items():
        truths[split] = keypoints.empty()
        for name in console.progress(
            names, desc=f"labels of {split}", unit=" pictures"
        ):
            truth = truths[split]
            row = {"id": len(truth["images"]) + 1, "file_name": name}
            truth["images"].append(row)
            try:
                size = crops.upright_size(folder / name)
            except (FileNotFoundError, ValueError) as error:
                if not config.allow_missing:
                    raise
                lost.append(str(error))
                truth["images"].pop()
                continue
            row["height"], row["width"] = size
            for values, box in _read_labels(
                folder, name, size, number, (len(joints), width)
            ):
                keypoints.add(truth, row["id"], values, box)
                labels += 1
    if lost:
        print(f"left out {len(lost):,} photographs, the first: {lost[0]}")
    if not labels:
        raise ValueError(
            f"{folder} has no labels of class {number}: expected text files "
            "in labels/, beside images/"
        )
    sources = [path] if path else []
    return keypoints.convert(config, skeleton, truths, folder, sources)


def _category(config, said, path):
    """Number and name of the class to convert."""
    names = said.get("names") or ["subject"]
    names = dict(names) if isinstance(names, dict) else dict(enumerate(names))
    names = {str(number): str(name) for number, name in names.items()}
    if config.category is None:
        if len(names) > 1:
            raise ValueError(
                f"{path} has several classes: choose --category, one of "
                f"{', '.join(names.values())}"
            )
        ((number, name),) = names.items()
    else:
        by_name = {name: number for number, name in names.items()}
        number = by_name.get(config.category, config.category)
        if number not in names:
            raise ValueError(
                f"--category {config.category}: classes are "
                f"{', '.join(names.values())}"
            )
        name = names[number]
    if not number.isdecimal():
        raise ValueError(f"{path}: names: expected numbers, got {number!r}")
    return int(number), name


def _joints(config, said, path):
    """Names of the joints, and numbers of each in a label, 2 or 3; None: not
    said."""
    shape, width = said.get("kpt_shape"), None
    if shape is not None:
        if not (
            isinstance(shape, list)
            and len(shape) == 2
            and untrusted.is_count(shape[0], 1, skeletons.MOST)
            and shape[1] in (2, 3)
        ):
            raise ValueError(
                f"{path}: kpt_shape must be [joints, 2 or 3], got "
                f"{shape!r:.100}"
            )
        width = shape[1]
    names = said.get("kpt_names")
    if isinstance(names, dict):  # by class
        names = next(iter(names.values()), None)
    joints = config.joints or tuple(map(str, names or ()))
    if not joints:
        if shape is None:
            raise ValueError(
                "no kpt_shape says how many joints there are: give their names "
                "by --joints"
            )
        joints = tuple(f"joint_{number}" for number in range(shape[0]))
        print(f"not known: names of the {shape[0]} joints (--joints)")
    if shape is not None and len(joints) != shape[0]:
        raise ValueError(
            f"{path}: kpt_shape says {shape[0]} joints, but {len(joints)} "
            f"have names: {', '.join(joints)}"
        )
    return joints, width


def _pairs(flip, joints, path):
    """Mirror pairs of names, of flip_idx."""
    count = len(joints)
    if not (
        isinstance(flip, list)
        and len(flip) == count
        and all(untrusted.is_count(n, 0, count - 1) for n in flip)
        and all(flip[other] == number for number, other in enumerate(flip))
    ):
        raise ValueError(
            f"{path}: flip_idx must list the mirror image of each of the "
            f"{count} joints, from 0, and lead back; got {flip!r:.100}"
        )
    return tuple(
        (joints[number], joints[other])
        for number, other in enumerate(flip)
        if number < other
    )


def pictures_of(folder, said, path):
    """{split: names of the photographs, relative to `folder`}.

    Raises:
        FileNotFoundError: a folder or list is missing, or has no photographs.
        ValueError: it lies outside.
    """
    given = {split: said.get(split) for split in SPLITS if said.get(split)}
    if "valid" in said and keypoints.VALIDATION not in given:
        given[keypoints.VALIDATION] = said["valid"]
    if not given:
        given = {
            OTHER_NAMES.get(name, name): name
            for name in (*SPLITS, *OTHER_NAMES)
            for place in (folder, folder / "images")
            if (place / name).is_dir()
        } or {keypoints.TRAIN: "images"}
    splits = {}
    for split, places in given.items():
        names = []
        for place in places if isinstance(places, list) else [places]:
            names += _pictures(folder, said.get("path"), str(place), path)
        splits[split] = sorted(dict.fromkeys(names))
    return splits


def _pictures(folder, root, place, path):
    """Names of the photographs in a folder or list."""
    # Roboflow writes ../train/images, of a folder beside data.yaml.
    place = re.sub(r"^(\.\.?/)+", "", place)
    found = None
    for part in (str(root or ""), "", "images"):
        try:
            candidate = untrusted.inside(
                folder, str(PurePosixPath(part, place))
            )
        except ValueError:
            continue
        if candidate.exists():
            found = candidate
            break
    if found is None:
        raise FileNotFoundError(
            f"{path or folder}: {place!r} is not a folder or list in {folder}"
        )
    if found.is_file():
        lines = untrusted.read_file(found).decode(errors="replace").split("\n")
        parts = [re.sub(r"^(\.\.?/)+", "", w.strip()) for w in lines]
        near = found.parent.relative_to(folder)
        names = [
            name if (folder / name).exists() else str(near / name)
            for name in parts
            if name
        ]
    else:
        names = [
            str(p.relative_to(folder))
            for p in found.rglob("*")
            if photographs.is_picture(p)
        ]
    if not names:
        raise FileNotFoundError(f"{found} must have photographs, got none")
    for name in names:
        crops.photograph(folder, name, found)
    return names


def _read_labels(folder, name, size, number, shape):
    """(keypoints, box) in pixels of each subject of a class."""
    parts = list(Path(name).parts)
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        parts[last] = "labels"
    path = untrusted.inside(folder, str(Path(*parts).with_suffix(".txt")))
    try:
        text = untrusted.read_file(path).decode(errors="replace")
    except FileNotFoundError:
        return
    joints, width = shape
    height_px, width_px = size
    for line, words in enumerate(map(str.split, text.split("\n")), start=1):
        where = f"{path}, line {line}"
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if not values or not all(map(untrusted.is_number, values)):
            raise ValueError(
                f"{where}: expected numbers, got {' '.join(words)!r:.100}"
            )
        each = width or (len(values) - 5) / joints
        if each not in (2, 3) or len(values) != 5 + each * joints:
            wanted = (width,) if width else (2, 3)
            counts = " or ".join(str(5 + n * joints) for n in wanted)
            raise ValueError(
                f"{where}: expected {counts} numbers, class, box and "
                f"{joints} joints, got {len(values)}"
            )
        if values[0] != number:
            continue
        each = int(each)
        x, y, w, h = values[1:5]
        box = [
            (x - w / 2) * width_px, (y - h / 2) * height_px,
            w * width_px, h * height_px,
        ]  # fmt: skip
        points = []
        for start in range(5, len(values), each):
            x, y, *flag = values[start : start + each]
            flag = flag[0] if flag else 2 * (x > 0 or y > 0)
            if flag not in (0, 1, 2):
                raise ValueError(
                    f"{where}: flags must be 0, 1 or 2, got {flag:g}"
                )
            points += [x * width_px, y * height_px, int(flag)]
        yield points, box


def read_yaml(path):
    """The part of YAML that data.yaml is written in, as a dict.

    Keys with a word, a number, a quoted text, a list in brackets or with
    dashes, or a map of these by indentation; texts of lines are skipped.

    Raises:
        ValueError: a line is something else; names it.
    """
    text = untrusted.read_file(path).decode("utf-8-sig", errors="replace")
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        bare = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if bare.strip() and bare.strip() != "---":
            depth = len(bare) - len(bare.lstrip())
            lines.append((depth, bare.strip(), number))
    try:
        content, rest = _block(lines, 0)
        if rest:
            raise SyntaxError(rest[0][2])
    except SyntaxError as error:
        raise ValueError(
            f"{path}, line {error.msg}: expected `key: value`, a list or a map"
        ) from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: expected `key: value` lines, got {content!r:.100}"
        )
    return content


def _block(lines, depth):
    """A map or list of lines at least so deep, and the lines after it."""
    result = None
    while lines and lines[0][0] >= depth:
        indent, text, number = lines[0]
        item = re.match(r"-(?:\s+|$)(.*)", text)
        pair = re.match(
            r"""([^\s:\[\]{}"']+|"[^"]*"|'[^']*')\s*:(?:\s+|$)(.*)""", text
        )
        if indent != depth and result is not None or not (item or pair):
            raise SyntaxError(number)
        depth, kind = indent, list if item else dict
        result = kind() if result is None else result
        if not isinstance(result, kind):
            return result, lines
        word = (item[1] if item else pair[2]).strip()
        lines = lines[1:]
        if re.fullmatch(r"[|>][-+\d]*", word):  # a text of several lines
            while lines and lines[0][0] > depth:
                lines = lines[1:]
            word = "null"
        inner = depth + 1
        if not item and lines and lines[0][0] == depth and not word:
            if lines[0][1].startswith("-"):  # a list may be as deep as its key
                inner = depth
        if word:
            while word[0] in "[{" and word.count("[") + word.count("{") > (
                word.count("]") + word.count("}")
            ):
                if not lines:
                    raise SyntaxError(number)
                word, lines = f"{word} {lines[0][1]}", lines[1:]
            value = _value(word, number)
        elif lines and lines[0][0] >= inner:
            value, lines = _block(lines, lines[0][0])
        else:
            value = None
        if item:
            result.append(value)
        else:
            result[_value(pair[1], number)] = value
    return result, lines


def _value(word, number):
    """A word, number, list in brackets or map in braces."""
    word = word.strip()
    if word[:1] in ("[", "{"):
        if word[-1] != {"[": "]", "{": "}"}[word[0]]:
            raise SyntaxError(number)
        parts = _parts(word[1:-1])
        if word[0] == "[":
            return [_value(part, number) for part in parts]
        pairs = [part.partition(":") for part in parts]
        return {_value(k, number): _value(v, number) for k, _, v in pairs}
    if word[:1] in "\"'" and word[:1] and word[-1] == word[0]:
        return word[1:-1]
    if re.fullmatch(r"[-+]?\d{1,18}", word):
        return int(word)
    return None if word in ("", "~", "null") else word


def _parts(text):
    """Parts between the outermost commas."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [part for part in parts if part.strip()]


if __name__ == "__main__":
    run(main, Config, __doc__)
