"""Part affinity fields by hand, on maps of 8 x 12 cells."""

import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import part_affinity

SIZE = (8, 12)
LIMBS = ((0, 1),)
A, B = [(2, 3), (8, 3)], [(5, 1), (5, 6)]


def drawn(*people, size=SIZE, width=1.0, labelled=1):
    """The field (h, w, 2) of people's only limbs."""
    points = np.array([people], "float32")
    flags = np.full(points.shape[:3], labelled, "float32")
    fields = part_affinity.encode(points, flags, LIMBS, size, width)
    return ops.convert_to_numpy(fields)[0]


def scored(field, *people, found=True, **settings):
    """(P, P): the scores from the first joints to the second ones."""
    points = np.array([people], "float32").transpose(0, 2, 1, 3)
    found = np.broadcast_to(found, points.shape[:3])
    scores = part_affinity.limb_scores(
        field[None].astype("float32"), points, found, LIMBS, **settings
    )
    return ops.convert_to_numpy(scores)[0, 0]


def test_a_band_goes_on_beyond_both_ends_by_its_width():
    """The columns from 1 to 9 of the rows from 2 to 4."""
    field = drawn(A)
    expected = np.zeros((*SIZE, 2))
    expected[2:5, 1:10, 0] = 1
    np.testing.assert_array_equal(field, expected)
    assert field[..., 0].sum() == 27


def test_the_field_is_the_mean_where_limbs_meet():
    field = drawn(A, B)
    covered = np.abs(field).sum(axis=-1) > 0
    assert covered.sum() == 42
    shared = (field == 0.5).all(axis=-1)
    assert shared.sum() == 9
    assert shared[2:5, 4:7].all()


def test_a_slanting_limb_has_its_unit_vector():
    field = drawn([(1, 1), (7, 5.5)])
    inside = field[3, 4]  # (3, 2) from the start, 0.2 cells off the line
    np.testing.assert_allclose(inside, (0.8, 0.6), rtol=1e-6)
    assert not field[7, 0].any()


def test_a_wider_band_covers_more():
    """Columns from 0 to 10 of the rows from 1 to 5."""
    assert drawn(A, width=2.0)[..., 0].sum() == 55


def test_a_limb_without_length_or_label_has_no_band():
    assert not drawn([(2, 3), (2, 3)]).any()
    for flags in ((0, 1), (1, 0), (0, 0)):
        assert not drawn(A, labelled=flags).any()
    # a person without labels does not count in the mean
    labelled = np.array([[[1, 1]], [[0, 0]]]).reshape(2, 2)
    np.testing.assert_array_equal(drawn(A, A, labelled=labelled), drawn(A))


def test_opposite_limbs_in_one_place_are_lost():
    field = drawn(A, A[::-1])
    assert not field.any()
    assert not scored(field, A, A[::-1]).any()


def test_scores_of_limbs_that_meet():
    """A crosses 4 of its 10 points at 0.5, B 6 of its 10."""
    assert scored(drawn(A), A)[0, 0] == pytest.approx(1)
    assert scored(drawn(A), A[::-1])[0, 0] == 0  # -1 is no limb
    scores = scored(drawn(A, B), A, B)
    assert scores[0, 0] == pytest.approx(0.8)
    assert scores[1, 1] == pytest.approx(0.7)


def test_parallel_limbs_differ_in_rank_only():
    people = [(2, 2), (12, 2)], [(2, 5), (12, 5)]
    field = drawn(*people, size=(8, 16))
    wrong = 10 / np.sqrt(109)  # to the end of the other: 10 right, 3 down
    expected = [[1, wrong], [wrong, 1]]
    np.testing.assert_allclose(scored(field, *people), expected, rtol=1e-5)


def test_crossing_limbs_are_told_apart():
    """By hand: of a wrong pair's points only 4 agree."""
    people = [(2, 2), (13, 9)], [(2, 9), (13, 2)]
    field = drawn(*people, size=(12, 16))
    scores = scored(field, *people)
    np.testing.assert_allclose(np.diag(scores), 0.9424, atol=5e-5)
    assert scores[0, 1] == scores[1, 0] == 0


def test_eight_points_of_ten_are_not_enough():
    field = drawn([(2, 3), (11, 3)])
    field[2:5, 2:4] = 0  # the first two points
    assert scored(field, [(2, 3), (11, 3)])[0, 0] == 0
    field[2:5, 3, 0] = 1
    assert scored(field, [(2, 3), (11, 3)])[0, 0] == pytest.approx(0.9)


def test_long_limbs_may_lose_score():
    """With H = 8: 8 / (2 x 6) - 1 = -1/3; a limb of 3 loses nothing."""
    short = [(2, 3), (5, 3)]
    for limb, expected in ((A, 2 / 3), (short, 1)):
        found = scored(drawn(limb), limb, tallest=8)
        assert found[0, 0] == pytest.approx(expected)


def test_all_points_of_a_long_limb_may_lie_on_others():
    """In a row of ten, a step is as long as their distance and a ninth of a
    limb: from the first start to the last end, 84 cells, each is on a limb."""
    row = [[(9 * n + 2, 3), (9 * n + 5, 3)] for n in range(10)]
    field = drawn(*row, size=(8, 96))
    assert scored(field, *row)[0, 9] == pytest.approx(1)
    lowered = scored(field, *row, tallest=8)
    assert lowered[0, 9] == pytest.approx(4 / 84, rel=1e-4)
    np.testing.assert_allclose(np.diag(lowered), 1)


def test_points_beyond_the_border_see_its_cells():
    outside = [(-2, 3), (13, 3)]
    assert scored(drawn(outside), outside)[0, 0] == pytest.approx(1)


def test_candidates_that_are_none_have_no_limbs():
    """Places that only fill up may lie on a limb."""
    found = np.array([[[True, False], [True, True]]])
    scores = scored(drawn(A), A, A, found=found)
    np.testing.assert_allclose(scores, [[1, 1], [0, 0]])
