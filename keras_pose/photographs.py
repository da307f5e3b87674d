"""Which photographs a command looks at, and the boxes of people in them."""

import csv
import glob
import os
from pathlib import Path

from keras_pose import untrusted

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
"""Files of a folder that are taken for photographs."""
KINDS = {
    "HEIC or AVIF": lambda encoded: encoded[4:8] == b"ftyp",
    "TIFF": lambda encoded: encoded[:4] in (b"II*\0", b"MM\0*"),
    "WebP": lambda encoded: encoded[:4] + encoded[8:12] == b"RIFFWEBP",
}
"""Formats that are not read, by their first bytes."""
COLUMNS = ("file", "x", "y", "width", "height")
"""Columns of a CSV file of boxes; "score" may follow. Of a video the first is
"frame"."""


def find(named):
    """The photographs that are meant, in order and each once.

    Args:
        named: paths of photographs; of folders, whose pictures are taken, by
            name; of .txt files with one path per line, relative to the file;
            and patterns with * or ?, which most shells expand themselves.

    Returns:
        list of paths; they exist, but may be damaged.

    Raises:
        FileNotFoundError: no such photograph, or none in a folder, list or
            pattern.
        ValueError: a list cannot be read.
    """
    found = []
    for path in map(Path, named):
        if path.is_dir():
            found += _some(
                sorted(p for p in path.iterdir() if is_picture(p)),
                f"the folder {path} has no {', '.join(SUFFIXES)}",
            )
        elif path.suffix.lower() == ".txt":
            lines = [line.strip() for line in _text(path).splitlines()]
            found += _some(
                [_there(path.parent / line, path) for line in lines if line],
                f"the list {path} names no photograph",
            )
        elif not os.path.lexists(path) and glob.has_magic(str(path)):
            found += _some(
                [Path(match) for match in sorted(glob.glob(str(path)))],
                f"no file matches {path}",
            )
        else:
            found.append(_there(path))
    return list(dict.fromkeys(found))


def is_picture(path):
    """Whether a file is a picture by its name, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_boxes(path, photos):
    """The boxes of people in photographs, as a detector writes them.

    Args:
        path: a .csv with `COLUMNS`, and score if there is one; or JSON: a list
            in COCO's results format (file_name or image_id, bbox, score), or
            COCO's annotations (images, annotations).
        photos: paths of the photographs. A box belongs to the one of its name;
            either path may be shorter ("photo.jpg"). A numeric image_id
            without a name is COCO's, whose files are called 000000000139.jpg.

    Returns:
        {photograph: [(x, y, width, height, score)]}; those without boxes are
        not in it.

    Raises:
        ValueError: the file is not of these forms, names two photographs at
            once, or none of these.
    """
    path = Path(path)
    of_name, whole_names = {}, {}
    for photo in photos:
        whole = Path(photo).parts
        whole_names[whole] = [photo]
        for count in range(1, len(whole) + 1):
            of_name.setdefault(whole[-count:], []).append(photo)
        if whole[-1].split(".")[0].isdecimal():
            number = int(whole[-1].split(".")[0])
            of_name.setdefault(number, []).append(photo)
    boxes, unknown = {}, []
    for where, name, box in _rows(path):
        key = name if isinstance(name, int) else Path(name).parts
        # The photograph's own path; a shorter one; a longer one.
        matches = whole_names.get(key) or of_name.get(key, [])
        for start in range(len(key) if isinstance(key, tuple) else 0):
            matches = matches or whole_names.get(key[start:], [])
        if len(matches) > 1:
            raise ValueError(
                f"{path}, {where}: {name} may be {matches[0]} or {matches[1]}"
            )
        if matches:
            boxes.setdefault(matches[0], []).append(box)
        else:
            unknown.append(name)
    if not boxes:
        example = [f", it names {untrusted.shown(str(n))}" for n in unknown[:1]]
        raise ValueError(
            f"{path} has no box of these {len(photos):,} photographs"
            + "".join(example)
        )
    return boxes


def read_frame_boxes(path):
    """The boxes of people in the frames of a video.

    Args:
        path: as for `read_boxes`, but with the column frame in place of file;
            entries of JSON have a frame, or else their image_id is one. Frames
            are counted from 0.

    Returns:
        {frame: [(x, y, width, height, score)]}; those without boxes are not in
        it.

    Raises:
        ValueError: the file is not of these forms, or has no box.
    """
    boxes = {}
    for where, name, box in _rows(Path(path), "frame"):
        frame = _number(name)
        if isinstance(frame, float) and frame.is_integer():
            frame = int(frame)
        if not untrusted.is_count(frame):
            raise ValueError(
                f"{path}, {where}: a frame must be a whole number from 0, got "
                f"{untrusted.shown(str(name))}"
            )
        boxes.setdefault(frame, []).append(box)
    if not boxes:
        raise ValueError(f"{path} must have a box, got none")
    return boxes


def keep(read, written, flags):
    """ValueError if an output would overwrite an input or another output.

    Args:
        read: paths of the inputs.
        written: paths of the outputs.
        flags: by which other outputs may be chosen, for the message.
    """
    for number, path in enumerate(written):
        for kind, others in (("read", read), ("written", written[:number])):
            if any(_is_same(path, other) for other in others):
                raise ValueError(
                    f"{untrusted.shown(path)} would be overwritten, but is "
                    f"also {kind}: choose another {flags}"
                )


def _is_same(path, other):
    """Whether two paths are the same file, also through links."""
    if os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


def _rows(path, key="file"):
    """(place, name, (x, y, width, height, score)) of each box in a file.

    `key`: "file", and names are those of photographs; or "frame", and they are
    numbers.
    """
    is_csv = path.suffix.lower() == ".csv"
    for where, name, box in (_csv if is_csv else _coco)(path, key):
        if len(box) != 5 or not all(map(untrusted.is_number, box)):
            raise ValueError(
                f"{path}, {where}: a box must be four numbers x, y, width, "
                f"height, and its score one, got {untrusted.shown(str(box))}"
            )
        yield where, name, tuple(map(float, box))


def _csv(path, key):
    """(line, name, [x, y, width, height, score]) of each row."""
    table = csv.DictReader(_text(path).splitlines())
    columns = (key, *COLUMNS[1:])
    missing = [name for name in columns if name not in (table.fieldnames or [])]
    if missing:
        raise ValueError(
            f"{path} must have the columns {', '.join(columns)}, and score if "
            f"there is one; it has no {', '.join(missing)}"
        )
    for row in table:
        values = [row[name] for name in COLUMNS[1:]] + [row.get("score") or 1]
        yield f"line {table.line_num}", row[key], list(map(_number, values))


def _coco(path, key):
    """(place, name, [x, y, width, height, score]) of each entry."""
    content = untrusted.read_json(path)
    names = {}
    if isinstance(content, dict):
        images = content.get("images")
        for image in images if isinstance(images, list) else []:
            if isinstance(image, dict):
                names[str(image.get("id"))] = image.get("file_name")
        content = content.get("annotations")
    if not isinstance(content, list):
        raise ValueError(
            f"{path} must be a list of boxes in COCO's results format, COCO's "
            "annotations, or a .csv"
        )
    for number, entry in enumerate(content):
        where = f"entry {number + 1}"
        if not isinstance(entry, dict):
            raise ValueError(
                f"{path}, {where}: expected an object, got {entry!r:.100}"
            )
        known = entry.get("image_id")
        name = entry.get("file_name") or names.get(str(known), known)
        if key == "frame":
            name = entry.get("frame", known)
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            wanted = "frame" if key == "frame" else "file_name"
            raise ValueError(
                f"{path}, {where}: expected a {wanted} or an image_id, got "
                f"{name!r:.100}"
            )
        box = entry.get("bbox")
        if not isinstance(box, list):
            raise ValueError(
                f"{path}, {where}: expected a bbox, a list, got {box!r:.100}"
            )
        yield where, name, [*box, entry.get("score", 1.0)]


def _text(path):
    """The text of a file, without the mark that Excel puts at its start."""
    return untrusted.read_file(path).decode("utf-8-sig", errors="replace")


def _number(text):
    """A number from a cell, or the text if it is none."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def _some(paths, otherwise):
    if not paths:
        raise FileNotFoundError(otherwise)
    return paths


def _there(path, listed=None):
    if not path.exists():
        place = f", which {listed} names," if listed else ""
        raise FileNotFoundError(
            f"{path}{place} is missing: expected a photograph"
        )
    return path
