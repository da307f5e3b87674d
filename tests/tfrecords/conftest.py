"""Tiny sources: photographs drawn by formula."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def photograph():
    """Writes a smooth JPEG of a size; blue is x, green is y, so both show."""

    def write(path, width, height):
        path.parent.mkdir(parents=True, exist_ok=True)
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        image = np.stack([x % 256, y % 256, 0 * x], axis=-1).astype("uint8")
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        path.write_bytes(encoded.tobytes())
        return path

    return write


@pytest.fixture
def turned(photograph):
    """Writes such a JPEG of a stored size, whose EXIF says: turn it right."""

    def write(path, width, height):
        jpeg = photograph(path, width, height).read_bytes()
        # one entry: orientation (0x112), one short (3), 6
        tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
        segment = b"Exif\0\0" + tiff
        length = (len(segment) + 2).to_bytes(2, "big")
        path.write_bytes(jpeg[:2] + b"\xff\xe1" + length + segment + jpeg[2:])
        return path

    return write


@pytest.fixture
def damage_inside():
    """Overwrites the middle of a JPEG file's pixels; both ends stay whole."""

    def spoil(path):
        data = path.read_bytes()
        middle = (data.index(b"\xff\xda") + len(data)) // 2
        spoilt = b"\xff\xc0" * 8  # the marker of a second picture's beginning
        path.write_bytes(data[:middle] + spoilt + data[middle + len(spoilt) :])

    return spoil
