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
