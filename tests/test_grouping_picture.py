"""The picture of how people are put together, of a rendered truth."""

import numpy as np
import pytest

from keras_pose.codecs import Fields, Midpoints
from keras_pose.report import grouping
from keras_pose.skeletons import Skeleton

BENT = Skeleton("bent", ("a", "b", "c"), (("a", "b"), ("b", "c")))
SIZE = 32, 64


def panels(kind, **settings):
    """Of two people whose lower limbs point to different sides."""
    codec = kind(BENT, stride=2, sigma=1.0, width=1.0, people=4, candidates=4)
    labels = np.full((1, 2, 3, 3), 2, "float32")
    labels[0, 0, :, :2] = (8, 4), (8, 16), (20, 16)
    labels[0, 1, :, :2] = (50, 4), (50, 16), (38, 16)
    blank = np.zeros((1, 1, 16, 32, codec.channels), "float32")
    seen = np.asarray(codec.seen(codec.target(labels, blank)[0]))
    image = np.full((*SIZE, 3), 90, "uint8")
    figure = grouping.draw_grouping(codec, image, seen, **settings)
    return figure.axes[:4]


def test_it_shows_the_limb_whose_pairs_point_to_most_sides():
    peaks, field, pairs, people = panels(Fields)
    assert field.get_title(loc="left").endswith("b to c")
    refused, weak, chosen = (c.get_segments() for c in pairs.collections[:3])
    assert (len(refused), len(weak)) == (2, 0)  # from each to the other
    ends = sorted(np.round(chosen, 1).tolist())
    assert ends == pytest.approx(
        np.array([[(8, 16), (20, 16)], [(50, 16), (38, 16)]]), abs=0.6
    )
    assert [text.get_text() for text in pairs.texts] == ["1.00", "1.00"]
    shown = sum(len(each.get_offsets()) for each in peaks.collections)
    assert shown == 6  # joints


def test_arrows_have_the_fields_direction():
    """Half of them to the right, half to the left, in the bands alone."""
    _, field, _, _ = panels(Fields)
    (arrows,) = [c for c in field.collections if hasattr(c, "U")]
    assert (np.sign(arrows.U) == np.where(arrows.X < 32, 1, -1)).all()
    assert len(arrows.U) > 4 and np.abs(arrows.V).max() < 1e-3
    assert np.abs(arrows.Y - 16).max() <= 4


def test_a_limb_can_be_chosen_and_midpoints_have_no_arrows():
    _, field, pairs, _ = panels(Midpoints, limb=0)
    assert field.get_title(loc="left").endswith("middle of a limb: a to b")
    assert not field.collections
    assert len(pairs.collections[2].get_segments()) == 2
