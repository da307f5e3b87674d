"""Videos, frame by frame: read with OpenCV's FFmpeg, and written as WebM.

Pictures are numpy arrays (H, W, 3) uint8 RGB, upright: the rotation that phones
note in the file is applied. No frame is kept.
"""

import math
import os
import re
from contextlib import contextmanager
from pathlib import Path

import cv2

from keras_pose import files, imports, untrusted

SUFFIX = ".webm"
CODEC = "VP80"
"""Every browser plays it. VP90 took four times the CPU seconds, for files of
56 % of the bytes (1280 x 720)."""
SLOWEST, FASTEST = 0.1, 240.0
"""Frames per second; a file that states others states none."""
USUAL = 30.0
"""Frames per second where a file states none."""
MISSING = 0.1
"""Share of the frames, or seconds of them, that may be absent at the end: a
file's own number of frames is often estimated from its length."""
KINDS = (
    rb".{4}(ftyp|moov|mdat|free|skip|wide)",  # MP4, MOV, 3GP
    rb"\x1a\x45\xdf\xa3",  # Matroska, WebM
    rb"RIFF.{4}AVI ",
    rb"(.{4})?\x47.{187}(.{4})?\x47",  # MPEG transport stream
    rb"\x00\x00\x01\xba",  # MPEG program stream
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # WMV
    rb"FLV",
)
"""First bytes of what is read. Others, such as playlists, may name files and
hosts, which FFmpeg would open."""
NOISE = re.compile(r"OpenCV: FFMPEG: tag |\[ ?WARN.*VIDEOIO")
"""What OpenCV prints of a codec without a tag and of a file it cannot read."""


class Video:
    """A video that is open for reading, once and in order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a video, or one of which no frame can be decoded.
    """

    def __init__(self, path):
        self.path = Path(path)
        _check_kind(self.path)
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # none
        with imports.without(NOISE):
            # an absolute path is never a protocol, such as concat:
            self.capture = cv2.VideoCapture(
                os.path.abspath(path), cv2.CAP_FFMPEG
            )
        self.first = self._decode()
        if self.first is None:
            raise ValueError(
                f"{path} is damaged or cut short: none of its frames can be "
                "decoded"
            )
        self.size = self.first[1].shape[:2]
        """(height, width) of the upright frames."""
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if SLOWEST <= rate <= FASTEST else None
        """Frames per second; None: not stated."""
        count = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if 0 < count < 2**31 else None
        """Frames that the file says it has; None: it does not say."""
        self.read = 0
        """Frames that were read until now."""
        self.other = None

    def __iter__(self):
        """Yields the seconds since the start, and the picture."""
        frame, self.first = self.first, None
        while frame:
            if frame[1].shape[:2] != self.size:
                self.other = frame[1].shape[:2]
                return
            self.read += 1
            yield frame
            frame = None  # one at a time
            frame = self._decode()

    def problem(self):
        """A sentence if the frames ended early; else None."""
        if self.other:
            return (
                f"{self.path}: all frames must be {self.size[1]} x "
                f"{self.size[0]} pixels, number {self.read} has "
                f"{self.other[1]} x {self.other[0]}"
            )
        missing = (self.count or 0) - self.read
        least = min(MISSING * (self.count or 0), self.rate or USUAL)
        if missing <= least:
            return None
        return (
            f"{self.path} is damaged or cut short: {self.read:,} of its "
            f"{self.count:,} frames could be read"
        )

    def _decode(self):
        """The seconds and the picture of the next frame; None at the end."""
        done, picture = self.capture.read()
        if not done:
            return None
        seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        seconds = seconds if math.isfinite(seconds) else 0.0
        return seconds, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _check_kind(path):
    """Raises unless a file begins as a video does."""
    try:
        head = untrusted.read_file(path, 512)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: expected a video"
        ) from None
    if not any(re.match(kind, head, re.DOTALL) for kind in KINDS):
        raise ValueError(
            f"{path} is not a video that can be read: expected an MP4, MOV, "
            "MKV, WebM, AVI, MPEG, WMV or FLV"
        )


@contextmanager
def write(path, size, rate):
    """Yields a function that adds a picture; the file is whole at the end.

    Args:
        path: of the .webm; nothing is there until the block ends.
        size: (height, width) of the pictures. WebM's are even: an odd last row
            or column is left out.
        rate: frames per second.

    Raises:
        OSError: it cannot be written.
    """
    height, width = (side // 2 * 2 for side in size)
    with files.whole(path) as temporary:
        with imports.without(NOISE):
            writer = cv2.VideoWriter(
                str(temporary),
                cv2.CAP_FFMPEG,
                cv2.VideoWriter_fourcc(*CODEC),
                rate,
                (width, height),
            )
        if not writer.isOpened():
            raise OSError("OpenCV has no encoder for it, or no place")
        number = 0

        def add(picture):
            nonlocal number
            picture = picture[:height, :width]
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            number += 1

        try:
            yield add
        finally:
            writer.release()
        # The writer reports no error, such as that of a full disk.
        written = Video(temporary).count
        if written is None or abs(written - number) > 1:
            raise RuntimeError(f"{written} of {number} frames were written")
