"""Grouping by hand: matching, components, and whom it leaves out."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import linear_sum_assignment

from keras_pose.codecs import grouping

CHAIN = ((0, 1), (1, 2))
CIRCLE = (*CHAIN, (0, 2))


def numpy_of(*tensors):
    return [ops.convert_to_numpy(x)[0] for x in tensors]


def components(pairs, limbs, joints=3, candidates=2):
    """Of {(limb, i, j): score}: components, and scores that joined, (K, P)."""
    scores = np.zeros((1, len(limbs), candidates, candidates), "float32")
    for place, score in pairs.items():
        scores[(0, *place)] = score
    return numpy_of(*grouping.connect(*grouping.match(scores), limbs, joints))


def test_the_best_pair_goes_first_and_the_optimum_is_another():
    table = np.array([[0.90, 0.85], [0.80, 0.10]], "float32")
    partner, score = numpy_of(*grouping.match(table[None, None]))
    np.testing.assert_array_equal(partner, [[0, 1]])
    assert score.sum() == pytest.approx(1.00)
    rows, columns = linear_sum_assignment(-table)
    assert table[rows, columns].sum() == pytest.approx(1.65)
    assert columns.tolist() == [1, 0]


def test_every_limb_is_matched_by_itself():
    """One has no pair, one has one, and one has more rows than pairs."""
    scores = np.zeros((1, 3, 3, 3), "float32")
    scores[0, 1, 2, 0] = 0.4
    scores[0, 2, :, 1] = 0.3, 0.5, 0.2
    partner, score = numpy_of(*grouping.match(scores))
    np.testing.assert_allclose(
        score, [[0, 0, 0], [0, 0, 0.4], [0, 0.5, 0]], rtol=1e-6
    )
    assert (partner[1, 2], partner[2, 1]) == (0, 1)


def test_of_equal_pairs_the_first_is_taken():
    partner, score = numpy_of(*grouping.match(np.full((1, 1, 2, 2), 0.5)))
    np.testing.assert_array_equal(partner, [[0, 1]])
    np.testing.assert_array_equal(score, [[0.5, 0.5]])


def test_matching_is_that_of_sorted_pairs():
    """The same by a loop over all pairs, the best first."""
    scores = np.random.default_rng(0).uniform(size=(2, 3, 5, 5))
    scores = np.where(scores > 0.4, scores, 0).astype("float32")
    partner, score = map(ops.convert_to_numpy, grouping.match(scores))
    expected = np.zeros_like(score)
    for place in np.ndindex(2, 3):
        table = scores[place]
        taken = set()
        for flat in np.argsort(-table, axis=None):
            i, j = divmod(int(flat), 5)
            if table[i, j] and not {("i", i), ("j", j)} & taken:
                taken |= {("i", i), ("j", j)}
                expected[place][i] = table[i, j]
                assert partner[place][i] == j
    np.testing.assert_array_equal(score, expected)


def test_people_are_connected_components():
    """Two chains, of which one goes through the other's numbers."""
    component, gained = components(
        {
            (0, 0, 1): 0.9,
            (1, 1, 0): 0.8,
            (0, 1, 0): 0.7,
        },
        CHAIN,
    )
    assert component[0, 0] == component[1, 1] == component[2, 0]
    assert component[0, 1] == component[1, 0]
    assert len(np.unique(component)) == 3
    assert gained.sum() == pytest.approx(2.4)


@pytest.mark.parametrize("limbs", [CHAIN, CHAIN[::-1]], ids=str)
def test_the_order_of_a_tree_does_not_matter(limbs):
    pairs = {(0, 0, 1): 0.9, (1, 1, 0): 0.8, (0, 1, 0): 0.7}
    first = limbs.index((0, 1))
    pairs = {(first if t == 0 else 1 - first, *p): s
             for (t, *p), s in pairs.items()}  # fmt: skip
    component, _ = components(pairs, limbs)
    assert component[0, 0] == component[1, 1] == component[2, 0]
    assert component[0, 1] == component[1, 0] != component[2, 1]


def test_a_limb_beside_the_tree_joins_what_has_no_joint_in_common():
    """The end without a middle is found by the limb that closes the circle."""
    component, gained = components({(0, 0, 0): 0.9, (2, 0, 1): 0.5}, CIRCLE)
    assert component[0, 0] == component[1, 0] == component[2, 1]
    assert gained.sum() == pytest.approx(1.4)


def test_a_limb_beside_the_tree_joins_no_two_people():
    """Both have an end; and within one person it adds nothing."""
    both = {(0, 0, 0): 0.9, (1, 0, 0): 0.9, (0, 1, 1): 0.9, (1, 1, 1): 0.9}
    for closing in ((2, 0, 1), (2, 0, 0)):
        component, gained = components(both | {closing: 0.8}, CIRCLE)
        for person in (0, 1):
            assert len(np.unique(component[:, person])) == 1
        assert component[0, 0] != component[0, 1]
        assert gained.sum() == pytest.approx(3.6)


def test_a_closing_limb_may_join_several_people_at_once():
    tree = {(0, 0, 0): 0.9, (0, 1, 1): 0.9}
    component, _ = components(tree | {(2, 0, 1): 0.8, (2, 1, 0): 0.7}, CIRCLE)
    assert component[0, 0] == component[1, 0] == component[2, 1]
    assert component[0, 1] == component[1, 1] == component[2, 0]
    assert component[0, 0] != component[0, 1]


def collected(scores, component, gained=0.0, people=2):
    scores = np.array([scores], "float32")
    points = np.arange(2.0 * scores.size).reshape(*scores.shape, 2)
    return grouping.collect(
        points.astype("float32"),
        scores,
        np.array([component], "int32"),
        np.full(scores.shape, gained, "float32"),
        people,
    )


def test_a_person_has_its_joints_and_the_mean_score():
    """Joints 0.5, 0.7, 0.6 and two limbs of 0.3: 2.4 / 3."""
    scores = [[0, 0.5], [0.7, 0], [0, 0.6]]
    everybody = collected(scores, [[0, 1], [1, 3], [4, 1]], gained=0.3)
    points, joint_scores = numpy_of(everybody.points, everybody.scores)
    np.testing.assert_array_equal(points[0], [[2, 3], [4, 5], [10, 11]])
    np.testing.assert_allclose(joint_scores[0], [0.5, 0.7, 0.6])
    # 0.3 at each of its candidates here, of which it has three
    assert numpy_of(everybody.person_scores)[0][0] == pytest.approx(2.7 / 3)
    assert numpy_of(everybody.count)[0] == 1
    assert not points[1].any() and not joint_scores[1].any()


@pytest.mark.parametrize(
    ("scores", "count"),
    [
        ([[0.5], [0.7], [0.6]], 1),
        ([[0.5], [0.7], [0.0]], 0),  # two joints
        ([[0.2], [0.2], [0.2]], 1),
        ([[0.2], [0.2], [0.19]], 0),  # a mean below 0.2
    ],
)
def test_a_person_needs_three_joints_and_a_score(scores, count):
    found = collected(scores, [[1], [1], [1]])
    assert numpy_of(found.count)[0] == count


def test_the_best_people_are_kept():
    scores = [[0.3, 0.9, 0.6]] * 3
    component = [[0, 1, 2]] * 3
    found = collected(scores, component, people=2)
    np.testing.assert_allclose(numpy_of(found.person_scores)[0], [0.9, 0.6])
    assert numpy_of(found.count)[0] == 2
