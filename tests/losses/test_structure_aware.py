"""Structure-aware loss: eq. (2) by hand, and why neighbours cost more."""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose import heatmaps
from keras_pose.losses import HeatmapMSE, LossTerm, StructureAware
from keras_pose.skeletons import MPII, SKELETONS, Skeleton

SIZE = (8, 12)
PIXELS = 8 * 12
GROUPS = 14
"""MPII: 10 pairs and 4 triplets."""
ARM = {"left_shoulder": 0.1, "left_elbow": 0.2, "left_wrist": 0.3}
"""Errors that fall into two pairs, 0.3 and 0.5, and one triplet, 0.6."""


def person(unlabelled=(), **cells):
    """(1, 16, 3): every MPII joint in cell (5, 3), but those in `cells`."""
    places = [cells.get(joint, (5, 3)) for joint in MPII.joints]
    flags = [0 if joint in unlabelled else 2 for joint in MPII.joints]
    pixels = 4 * np.array(places) + 1.5
    return np.column_stack([pixels, flags])[None].astype("float32")


def truth(labels, stacks=2):
    """Perfect maps (1, S, 8, 12, 16)."""
    cells = heatmaps.to_cells(ops.convert_to_tensor(labels[..., :2]), 4)
    maps = ops.convert_to_numpy(heatmaps.encode(cells, SIZE))
    maps = maps * (labels[:, None, None, :, 2] > 0)
    return np.repeat(maps[:, None], stacks, axis=1).astype("float32")


def off_by(errors, labels):
    """Perfect maps, but those of `errors` are too high by a constant."""
    return truth(labels) + np.array(
        [errors.get(joint, 0) for joint in MPII.joints], "float32"
    )


def structure(loss, labels, maps):
    """The structure term of each sample, list of B numbers."""
    return ops.convert_to_numpy(loss.structure_term(labels, maps)).tolist()


def keypoint(loss, labels, maps):
    """The keypoint term, mean over samples and joints."""
    return float(ops.mean(loss.keypoint_term(labels, maps)))


@pytest.mark.parametrize("norm", ["squared", "l2"])
def test_the_truth_costs_nothing(norm):
    loss = StructureAware(norm=norm)
    labels = person(unlabelled=["left_knee"], thorax=(2.3, 4.1))
    assert keypoint(loss, labels, truth(labels)) == 0
    assert structure(loss, labels, truth(labels)) == [0]


def test_a_pair_costs_the_square_of_its_summed_error():
    labels = person()
    maps = off_by({"head_top": 0.3, "thorax": 0.2}, labels)
    loss = StructureAware(alpha=2)
    # head-thorax is the only pair of either, the other 13 groups are right
    expected = (0.3 + 0.2) ** 2 / GROUPS
    assert structure(loss, labels, maps) == pytest.approx([expected], rel=1e-5)
    joints = (0.3**2 + 0.2**2) / 16
    assert keypoint(loss, labels, maps) == pytest.approx(joints, rel=1e-5)
    total = joints + 2 * expected
    assert float(loss(labels, maps)) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({}, 0.3**2 + 0.5**2 + 0.6**2),
        # half the sum over 2 stacks and 96 pixels
        ({"pixels": "half_sum"}, PIXELS * (0.3**2 + 0.5**2 + 0.6**2)),
        # the root of 96 squares per map
        ({"norm": "l2"}, math.sqrt(PIXELS) * (0.3 + 0.5 + 0.6)),
    ],
)
def test_an_arm_is_two_pairs_and_a_triplet(settings, groups):
    labels = person()
    found = structure(StructureAware(**settings), labels, off_by(ARM, labels))
    assert found == pytest.approx([groups / GROUPS], rel=1e-5)


def test_the_printed_norm_of_a_joint_is_a_root():
    labels = person()
    found = keypoint(StructureAware(norm="l2"), labels, off_by(ARM, labels))
    expected = math.sqrt(PIXELS) * (0.1 + 0.2 + 0.3) / 16
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm", ["squared", "l2"])
def test_two_swapped_joints_leave_the_sum_of_their_pair_right(norm):
    labels = person(head_top=(2, 2), thorax=(9, 5))
    maps = truth(person(head_top=(9, 5), thorax=(2, 2)))
    loss = StructureAware(norm=norm)
    assert structure(loss, labels, maps) == pytest.approx([0], abs=1e-6)
    assert keypoint(loss, labels, maps) > 0  # which tells them apart


def test_a_group_with_an_unlabelled_member_is_dropped():
    labels = np.concatenate([person(), person(unlabelled=["left_wrist"])])
    maps = np.concatenate([off_by(ARM, person()), off_by(ARM, labels[1:])])
    # without the wrist: no elbow-wrist, no triplet, a mean over 12 groups
    expected = [(0.3**2 + 0.5**2 + 0.6**2) / GROUPS, 0.3**2 / 12]
    for unlabelled in ("zero", "ignore"):
        loss = StructureAware(unlabelled=unlabelled)
        found = structure(loss, labels, maps)
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_person_without_labels_has_no_structure():
    labels = person(unlabelled=MPII.joints)
    maps = np.ones((1, 2, *SIZE, 16), "float32")
    assert structure(StructureAware(), labels, maps) == [0]


def test_a_joint_off_the_map_drops_its_groups_where_it_is_ignored():
    labels = person(left_wrist=(100, 3))
    maps = off_by(ARM, labels)
    arm = (0.3**2 + 0.5**2 + 0.6**2) / GROUPS
    counting = structure(StructureAware(), labels, maps)
    assert counting == pytest.approx([arm], rel=1e-5)
    ignoring = structure(StructureAware(unlabelled="ignore"), labels, maps)
    assert ignoring == pytest.approx([0.3**2 / 12], rel=1e-5)


def test_two_wrong_neighbours_cost_more_than_two_strangers():
    """Hip and knee, or elbow and knee: each of the three is in 3 groups.

    The elbow rests on the hip, and whichever two are wrong are predicted at
    one spot W instead of A (hip, elbow) and B (knee). Their own errors
    e1 = W - A and e2 = W - B are the same in both cases, so are the keypoint
    terms. Strangers cost 3 |e1|^2 + 3 |e2|^2. Of the groups of the
    neighbours two, hip-knee and hip-knee-ankle, hold both, and each costs
    |e1 + e2|^2 = |e1|^2 + |e2|^2 + 2 <e1, e2>: the cross term is the price of
    being wrong together. Gaussians of sigma 1 at distance d have the product
    pi exp(-d^2 / 4).
    """
    at_a, at_b, wrong = (2, 2), (2, 5), (9, 3)
    places = {"left_hip": at_a, "left_elbow": at_a, "left_knee": at_b}
    labels = person(**places)
    loss = StructureAware()

    def mistaken(*joints):
        return truth(person(**places | dict.fromkeys(joints, wrong)))

    def product(p, q):
        return math.pi * math.exp(-(math.dist(p, q) ** 2) / 4)

    neighbours = mistaken("left_hip", "left_knee")
    strangers = mistaken("left_elbow", "left_knee")
    assert keypoint(loss, labels, neighbours) == pytest.approx(
        keypoint(loss, labels, strangers), rel=1e-6
    )

    def squares(p, q):
        return product(p, p) + product(q, q) - 2 * product(p, q)

    cross = product(wrong, wrong) + product(at_a, at_b)
    cross -= product(wrong, at_a) + product(wrong, at_b)
    apart = 3 * squares(wrong, at_a) + 3 * squares(wrong, at_b)
    together = apart + 2 * 2 * cross  # a third more
    (less,) = structure(loss, labels, strangers)
    (more,) = structure(loss, labels, neighbours)
    assert less == pytest.approx(apart / PIXELS / GROUPS, rel=1e-2)
    assert more == pytest.approx(together / PIXELS / GROUPS, rel=1e-2)
    assert more > 1.3 * less


@pytest.mark.parametrize("unlabelled", ["zero", "ignore"])
def test_without_alpha_it_is_the_squared_error(unlabelled, monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.concatenate(
        [rng.uniform(0, 48, (3, 16, 2)), rng.integers(0, 3, (3, 16, 1))], -1
    ).astype("float32")
    maps = rng.normal(0, 1, (3, 2, *SIZE, 16)).astype("float32")
    monkeypatch.delattr(StructureAware, "structure_term")  # not computed
    plain = HeatmapMSE(unlabelled=unlabelled, pixels="mean")
    found = StructureAware(0, unlabelled=unlabelled).call(labels, maps)
    expected = plain.call(labels, maps)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected)
    )


def test_the_slope_of_the_printed_norm_is_finite_at_the_truth():
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("reads gradients with TensorFlow")
    labels = person()
    loss = StructureAware(alpha=1, norm="l2", reduction="sum")
    # one stack of which only the head is wrong, by 0.5 everywhere
    maps = tf.Variable(off_by({"head_top": 0.5}, labels)[:, :1])

    @tf.function(jit_compile=True)  # where 0 x infinity stays NaN
    def slopes():
        with tf.GradientTape() as tape:
            total = loss(labels, maps)
        return tape.gradient(total, maps)

    slope = slopes().numpy()
    assert np.isfinite(slope).all()
    # d |e| / de = e / |e| = 1 / sqrt(96) at every pixel: for the joint, and
    # 16 / 14 of it for its pair, since each of the 16 joints gets the term
    unit = 1 / math.sqrt(PIXELS)
    head, thorax, knee = (
        slope[0, 0, :, :, MPII.index(joint)]
        for joint in ("head_top", "thorax", "left_knee")
    )
    np.testing.assert_allclose(head, unit * (1 + 16 / GROUPS), rtol=1e-5)
    np.testing.assert_allclose(thorax, unit * 16 / GROUPS, rtol=1e-5)
    np.testing.assert_array_equal(knee, 0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"alpha": -0.1}, "alpha must be finite and not negative, got -0.1"),
        ({"alpha": float("nan")}, "alpha"),
        ({"norm": "l1"}, "norm: one of squared, l2, got 'l1'"),
        ({"norm": "l2", "pixels": "half_sum"}, "pixels mean, got 'half_sum'"),
        ({"skeleton": "cat"}, "skeleton: one of mpii, .* got 'cat'"),
    ],
)
def test_values_out_of_range_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        StructureAware(**settings)


def test_a_skeleton_without_limbs_is_refused(monkeypatch):
    dots = Skeleton("dots", ("left_hip", "right_hip"), ())
    monkeypatch.setitem(SKELETONS, "dots", dots)
    with pytest.raises(ValueError, match="limbs .* skeleton dots has none"):
        StructureAware(skeleton="dots")


def test_maps_of_another_skeleton_are_refused():
    maps = np.zeros((1, 1, *SIZE, 16), "float32")
    with pytest.raises(ValueError, match=r"lsp has 14 joints.*12, 16\)"):
        StructureAware(skeleton="lsp")(person(), maps)


def test_the_settings_survive_a_round_trip():
    loss = StructureAware(
        0.25, "lsp", "l2", unlabelled="ignore", sigma=2.0, stride=8
    )
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is StructureAware
    assert copy.get_config() == loss.get_config()
    assert (copy.alpha, copy.skeleton, copy.norm) == (0.25, "lsp", "l2")


@pytest.mark.parametrize("term", ["keypoint", "structure"])
def test_a_term_is_averaged_over_batches(term):
    labels = person()
    metric = LossTerm(StructureAware(), term)
    assert metric.name == term
    maps = off_by(ARM, labels)
    metric.update_state(labels, maps)
    metric.update_state(labels, truth(labels))  # 0, so half of the first
    joints = (0.1**2 + 0.2**2 + 0.3**2) / 16
    groups = (0.3**2 + 0.5**2 + 0.6**2) / GROUPS
    first = joints if term == "keypoint" else groups
    assert float(metric.result()) == pytest.approx(first / 2, rel=1e-5)
    metric.reset_state()
    batch = np.concatenate([labels, labels])
    metric.update_state(
        batch, np.concatenate([maps, truth(labels)]), np.array([3.0, 1.0])
    )
    assert float(metric.result()) == pytest.approx(first * 3 / 4, rel=1e-5)


def test_a_term_survives_a_round_trip():
    metric = LossTerm(StructureAware(0.25, norm="l2"), "structure", "coarse")
    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert copy.get_config() == metric.get_config()
    assert (copy.name, copy.term, copy.loss.norm) == (
        "coarse",
        "structure",
        "l2",
    )


def test_an_unknown_term_is_refused():
    with pytest.raises(ValueError, match="keypoint, structure, got 'pair'"):
        LossTerm(StructureAware(), "pair")


@pytest.mark.parametrize("norm", ["squared", "l2"])
def test_a_model_trains_saves_and_loads_with_both_terms(norm, tmp_path):
    inputs = keras.Input((*SIZE, 16))
    maps = layers.Reshape((1, *SIZE, 16))(layers.Conv2D(16, 1)(inputs))
    model = keras.Model(inputs, maps)
    loss = StructureAware(0.25, norm=norm)
    terms = [LossTerm(loss, "keypoint"), LossTerm(loss, "structure")]
    model.compile("sgd", loss, metrics=terms, jit_compile=False)
    labels = np.concatenate([person(), person(unlabelled=["left_knee"])])
    images = np.concatenate([truth(person(), 1), truth(labels[1:], 1)])[:, 0]
    model.fit(images, labels, verbose=0)
    seen = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert seen["structure"] > 0
    assert seen["loss"] == pytest.approx(
        seen["keypoint"] + 0.25 * seen["structure"], rel=1e-5
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == loss.get_config()
    again = loaded.evaluate(images, labels, verbose=0, return_dict=True)
    assert again == pytest.approx(seen, rel=1e-5)
