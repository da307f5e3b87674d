"""Published weights that can be imported: scores, and the test behind each.

Nothing here downloads: the README of each repository says where its files are.
A score that no repository prints is None. `published_tables` has the rows.
"""

import re
from dataclasses import dataclass, replace
from itertools import groupby

from keras_pose.models.torch_weights.published_tables import (
    ANNOTATED,
    DETECTED,
    TABLES,
)


@dataclass(frozen=True)
class Published:
    """A file of weights, and how its score was measured."""

    name: str
    """Of the file without its ending, or of the model where the place names no
    file."""
    network: str
    """As in `keras_pose.models`, without the size and joints."""
    size: tuple[int, int]
    """(height, width) of the input, pixels."""
    score: float | None
    """In percent, on `data`; None: not published."""
    source: str
    """As in `sources.SOURCES`."""
    place: str
    """Repository whose README says where the file is."""
    licence: str
    data: str
    """What it was trained on, and on whose validation split it was tested."""
    measure: str
    """What the score is."""
    protocol: str | None = None
    """Of `metrics.PROTOCOLS`, if it is one of them."""
    skeleton: str | None = None
    """Name of the joints' order; None: it finds no joints."""
    boxes: str | None = ANNOTATED
    """Around the people of the test; None: it finds everybody in a picture."""
    flip: bool = True
    """Whether mirrored pictures were averaged in."""
    flip_shift: int | None = 0
    """Cells by which mirrored maps were shifted: 0 or 1; None: there are none,
    mirrored coordinates were averaged."""
    decoding: str | None = "quarter"
    """As in `codecs.gaussians`; None: there are no maps to decode."""
    alignment: str = "corner"
    """As in `codecs.gaussians`."""
    sigma: float | None = None
    """Width of the targets, cells."""
    beta: float | None = None
    """As in `codecs.Expectation`."""
    debias: bool = False
    """As there, with its background "one"."""
    stages: int | None = None
    """Of OpenPose's networks, the number of stages that were tested."""

    @property
    def sha256(self):
        """First digits of the file's SHA-256, if its name has them, or ""."""
        found = re.search(r"-([0-9a-f]{8})(?:_\d{8})?$", self.name)
        return found[1] if found else ""

    def is_file(self, name, sha256):
        """Whether a file with this name, without its ending, and this SHA-256
        is the published one; the digits in its name decide if there are any."""
        return sha256[:8] == self.sha256 if self.sha256 else name == self.name

    @property
    def flags(self):
        """Flags of `keras_pose.evaluate` for this test; "" without joints."""
        if not self.skeleton:
            return ""
        split = "detected" if self.boxes == DETECTED else "val"
        flags = f"--split {split}"
        flags += f" --decoding {self.decoding}" if self.decoding else ""
        flip = " --flip" if self.flip else ""
        if self.flip and self.flip_shift is not None:
            flip += f" --flip-shift {self.flip_shift}"
        asked = f" --protocol {self.protocol}" if self.protocol else ""
        return flags + flip + asked

    @property
    def test(self):
        """How it was tested, in words; "" without joints."""
        if not self.skeleton:
            return ""
        flip = "flip test" if self.flip else "without flip test"
        shift = " shifted by 1 cell" if self.flip_shift else ""
        udp = ", alignment udp" if self.alignment == "udp" else ""
        decoding = f", decoding {self.decoding}" if self.decoding else ""
        boxes = f"boxes {self.boxes}" if self.boxes else "whole pictures"
        return f"{flip}{shift}{decoding}{udp}, {boxes}"

    def described(self):
        """The score and its test, one line."""
        if self.score is None:
            return f"{self.data}: no published score"
        line = f"{self.data} val, {self.measure} {self.score:g}"
        return f"{line}: {self.test}" if self.test else line


def find(source, network=None, size=None, joints=None, sha256=""):
    """Rows that fit weights; those with their SHA-256, if there are any.

    Args:
        source: name in `sources.SOURCES`.
        network: as in `Published`; None: any.
        size: (height, width); None: any, since weights fit every size.
        joints: number of the weights' joints; None: any.
        sha256: of the file.

    Returns:
        list of `Published`.
    """
    rows = [
        row
        for row in PUBLISHED
        if row.source == source
        and network in (None, row.network)
        and size in (None, row.size)
        and joints in (None, JOINTS.get(row.skeleton))
    ]
    same = [row for row in rows if row.sha256 and sha256[:8] == row.sha256]
    return same or rows


def describe(rows):
    """A text of `Published` rows: those of one test together."""
    lines = []
    for row, group in groupby(rows, lambda row: replace(row, **EACH)):
        title = f"{row.source}: {row.place} ({row.licence})"
        if title not in lines:
            lines += ["", title]
        test = f"; {row.test}" if row.test else ""
        lines.append(f"  {row.data} val, {row.measure}{test}")
        for one in group:
            network = one.network.rpartition(", ")[2]
            size = "x".join(map(str, one.size))
            score = "-" if one.score is None else f"{one.score:.1f}"
            lines.append(f"    {network:<11}{size:<9}{score:>4}  {one.name}")
    return "\n".join(lines[1:])


EACH = dict.fromkeys(("name", "network", "size", "score", "sigma"))
"""What differs among rows that are listed together."""
JOINTS = {"coco": 17, "mpii": 16, "human36m": 18}


def _row(line, shared, network):
    """A `Published` from a line of TABLES."""
    name, number, size, score = line.split()
    height, width = map(int, size.split("x"))
    stacks = "1 stack" if number == "1" else f"{number} stacks"
    number = stacks if network.startswith("Hourglass") else number
    values = {
        # In all repositories but those of hourglasses: 2 at 256, 3 at 384.
        "sigma": height / 128 if _has_gaussians(shared) else None,
        "score": None if score == "-" else float(score),
    }
    return Published(
        name=name,
        network=network.format(number),
        size=(height, width),
        **values | shared,
    )


def _has_gaussians(shared):
    return "skeleton" in shared and shared.get("decoding", "quarter")


PUBLISHED = tuple(
    _row(line, shared, network)
    for shared, network, lines in TABLES
    for line in lines.strip().splitlines()
)
"""A row for each file."""
