"""How the benchmark, and docs/exporting.md, read a large photograph."""

import cv2
import numpy as np
import pytest

from benchmarks import inference


@pytest.mark.parametrize(
    ("height", "shrink"),
    # the crop has 1.25 x height pixels for the input's 256
    [(200, 1), (409, 1), (410, 2), (819, 2), (820, 4), (1638, 4), (1639, 8)],
)
def test_a_photograph_is_shrunk_while_the_crop_stays_as_fine(height, shrink):
    image = np.zeros((96, 128, 3), "uint8")
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    box = np.float32([8, 16, 120, height])
    small, inside = inference.read(jpeg, box, 256)
    assert small.shape == (96 // shrink, 128 // shrink, 3)
    np.testing.assert_array_equal(inside, box / shrink)


def test_a_shrunken_place_leads_back():
    image = np.zeros((1600, 1200, 3), "uint8")
    place = np.array([701, 1103])
    cv2.circle(image, place.tolist(), 40, (0, 0, 255), -1)  # BGR
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    box = np.float32([100, 100, 800, 1400])
    small, inside = inference.read(jpeg, box, 128)
    red = np.where(small[..., 0] > 8, small[..., 0], 0)  # RGB: it comes first
    y, x = (np.average(at, weights=red) for at in np.indices(red.shape))
    shrink = box[2] / inside[2]
    found = shrink * np.array([x, y]) + (shrink - 1) / 2
    assert shrink == 8
    np.testing.assert_allclose(found, place, atol=0.25)
