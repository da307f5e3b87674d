"""Structure-aware loss: eq. (2) by hand, and why neighbours cost more."""

import contextlib
import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose.codecs import Heatmaps, gaussians
from keras_pose.losses import HeatmapMSE, PerOutput, StructureAware
from keras_pose.losses.structure_aware import pairs, triplets
from keras_pose.models.heads import PoseMaps
from keras_pose.models.model import PoseModel
from keras_pose.skeletons import MPII, SKELETONS, Skeleton

CODEC = Heatmaps("mpii")

SIZE = (8, 12)
PIXELS = 8 * 12
GROUPS = 14
"""MPII: 10 pairs and 4 triplets."""
ARM = {"left_shoulder": 0.1, "left_elbow": 0.2, "left_wrist": 0.3}
"""Errors that fall into two pairs, 0.3 and 0.5, and one triplet, 0.6."""


def person(unlabelled=(), **cells):
    """(1, 1, 16, 3): every MPII joint in cell (5, 3), but those in `cells`."""
    places = [cells.get(joint, (5, 3)) for joint in MPII.joints]
    flags = [0 if joint in unlabelled else 2 for joint in MPII.joints]
    pixels = 4 * np.array(places) + 1.5
    return np.column_stack([pixels, flags])[None, None].astype("float32")


def truth(labels, stacks=2):
    """Perfect maps (1, S, 8, 12, 16)."""
    cells = gaussians.to_cells(labels[:, 0, :, :2], 4)
    maps = ops.convert_to_numpy(gaussians.encode(cells, SIZE))
    maps = maps * (labels[:, :, None, :, 2] > 0)
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
    loss = StructureAware(CODEC, norm=norm)
    labels = person(unlabelled=["left_knee"], thorax=(2.3, 4.1))
    assert keypoint(loss, labels, truth(labels)) == 0
    assert structure(loss, labels, truth(labels)) == [0]


def test_a_pair_costs_the_square_of_its_summed_error():
    labels = person()
    maps = off_by({"head_top": 0.3, "thorax": 0.2}, labels)
    loss = StructureAware(CODEC, alpha=2)
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
    found = structure(
        StructureAware(CODEC, **settings), labels, off_by(ARM, labels)
    )
    assert found == pytest.approx([groups / GROUPS], rel=1e-5)


def test_the_printed_norm_of_a_joint_is_a_root():
    labels = person()
    found = keypoint(
        StructureAware(CODEC, norm="l2"), labels, off_by(ARM, labels)
    )
    expected = math.sqrt(PIXELS) * (0.1 + 0.2 + 0.3) / 16
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm", ["squared", "l2"])
def test_two_swapped_joints_leave_the_sum_of_their_pair_right(norm):
    labels = person(head_top=(2, 2), thorax=(9, 5))
    maps = truth(person(head_top=(9, 5), thorax=(2, 2)))
    loss = StructureAware(CODEC, norm=norm)
    assert structure(loss, labels, maps) == pytest.approx([0], abs=1e-6)
    assert keypoint(loss, labels, maps) > 0  # which tells them apart


def test_a_group_with_an_unlabelled_member_is_dropped():
    labels = np.concatenate([person(), person(unlabelled=["left_wrist"])])
    maps = np.concatenate([off_by(ARM, person()), off_by(ARM, labels[1:])])
    # without the wrist: no elbow-wrist, no triplet, a mean over 12 groups
    expected = [(0.3**2 + 0.5**2 + 0.6**2) / GROUPS, 0.3**2 / 12]
    for unlabelled in ("zero", "ignore"):
        loss = StructureAware(CODEC, unlabelled=unlabelled)
        found = structure(loss, labels, maps)
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_person_without_labels_has_no_structure():
    labels = person(unlabelled=MPII.joints)
    maps = np.ones((1, 2, *SIZE, 16), "float32")
    assert structure(StructureAware(CODEC), labels, maps) == [0]


def test_a_joint_off_the_map_drops_its_groups_where_it_is_ignored():
    labels = person(left_wrist=(100, 3))
    maps = off_by(ARM, labels)
    arm = (0.3**2 + 0.5**2 + 0.6**2) / GROUPS
    counting = structure(StructureAware(CODEC), labels, maps)
    assert counting == pytest.approx([arm], rel=1e-5)
    ignoring = structure(
        StructureAware(CODEC, unlabelled="ignore"), labels, maps
    )
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
    loss = StructureAware(CODEC)

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
        [rng.uniform(0, 48, (3, 1, 16, 2)), rng.integers(0, 3, (3, 1, 16, 1))],
        axis=-1,
    ).astype("float32")
    maps = rng.normal(0, 1, (3, 2, *SIZE, 16)).astype("float32")
    monkeypatch.delattr(StructureAware, "structure_term")  # not computed
    plain = HeatmapMSE(CODEC, unlabelled=unlabelled, pixels="mean")
    found = StructureAware(CODEC, 0, unlabelled=unlabelled).call(labels, maps)
    expected = plain.call(labels, maps)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected)
    )


def test_the_slope_of_the_printed_norm_is_finite_at_the_truth():
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("reads gradients with TensorFlow")
    labels = person()
    loss = StructureAware(CODEC, alpha=1, norm="l2", reduction="sum")
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
        ({"norm": "l1"}, "norm must be one of squared, l2, got 'l1'"),
        ({"norm": "l2", "pixels": "half_sum"}, "pixels mean, got 'half_sum'"),
    ],
)
def test_values_out_of_range_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        StructureAware(CODEC, **settings)


def test_a_skeleton_without_connected_joints_is_refused():
    dots = Heatmaps(Skeleton("dots", ("left_paw", "right_paw")))
    with pytest.raises(ValueError, match="limbs .* skeleton dots has none"):
        StructureAware(dots)
    assert StructureAware(dots, alpha=0).alpha == 0


def test_maps_of_another_skeleton_are_refused():
    maps = np.zeros((1, 1, *SIZE, 16), "float32")
    with pytest.raises(ValueError, match=r"14 joints of lsp, .*12, 16\)"):
        StructureAware(Heatmaps("lsp"))(person()[:, :, :14], maps)


def test_the_settings_survive_a_round_trip():
    codec = Heatmaps("lsp", 8, sigma=2.0)
    loss = StructureAware(codec, 0.25, "l2", unlabelled="ignore")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is StructureAware
    assert copy.get_config() == loss.get_config()
    assert (copy.alpha, copy.codec, copy.norm) == (0.25, codec, "l2")


@pytest.mark.parametrize("norm", ["squared", "l2"])
def test_a_model_trains_saves_and_loads_with_both_terms(
    norm, tmp_path, eagerly
):
    """Of two scales: terms of one name are added, all add up to the loss.

    Of both norms, one in a graph.
    """
    with contextlib.nullcontext() if norm == "squared" else eagerly():
        check_model(norm, tmp_path)


def check_model(norm, folder):
    """That it trains, saves and loads."""
    inputs = keras.Input((*SIZE, 16))
    fine = layers.Conv2D(16, 1)(inputs)
    coarse = layers.AveragePooling2D(2)(fine)
    scales = Heatmaps("mpii", 8), CODEC
    outputs = [
        PoseMaps(codec)([maps])
        for codec, maps in zip(scales, (coarse, fine), strict=True)
    ]
    model = PoseModel(inputs, outputs)
    parts = [StructureAware(codec, 0.25, norm=norm) for codec in scales]
    loss = PerOutput(parts)
    model.compile("sgd", loss, jit_compile=False)
    labels = np.concatenate([person(), person(unlabelled=["left_knee"])])
    images = np.concatenate([truth(person(), 1), truth(labels[1:], 1)])[:, 0]
    model.fit(images, labels, verbose=0)
    seen = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert seen.keys() == {"loss", "keypoint", "structure"}
    maps = model(images)
    structures = [
        0.25 * np.mean(structure(part, labels, output))
        for part, output in zip(parts, maps, strict=True)
    ]
    assert seen["structure"] == pytest.approx(sum(structures), rel=1e-5)
    total = seen["keypoint"] + seen["structure"]
    assert seen["loss"] == pytest.approx(total, rel=1e-5)
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    assert loaded.loss.get_config() == loss.get_config()
    again = loaded.evaluate(images, labels, verbose=0, return_dict=True)
    assert again == pytest.approx(seen, rel=1e-5)


LEGS = [("hip", "knee"), ("knee", "ankle")]
ARMS = [("shoulder", "elbow"), ("elbow", "wrist")]
UPPER = ("shoulder", "elbow", "wrist")
LOWER = ("hip", "knee", "ankle")
HIPS = {frozenset({"left_hip", "right_hip"})}


def both(groups):
    """The groups on the left and on the right, without order."""
    return {
        frozenset(f"{side}_{joint}" for joint in group)
        for side in ("left", "right")
        for group in groups
    }


PAIRS = {
    # the list of the paper, section 3.3: ten pairs
    "mpii": both(ARMS + LEGS) | HIPS | {frozenset({"head_top", "thorax"})},
    "lsp": both(ARMS + LEGS) | HIPS | {frozenset({"head_top", "neck"})},
    # from here on no joint of the head ends a midline
    "coco": both([*ARMS, *LEGS, ("eye", "ear"), ("shoulder", "hip")]) | HIPS,
    "flic": both([*ARMS, ("shoulder", "hip")]) | HIPS,
}
TRIPLETS = {
    "mpii": both([UPPER, LOWER]),
    "lsp": both([UPPER, LOWER]),
    "coco": both([UPPER, LOWER]),  # an eye has two limbs, one to the nose
    "flic": both([UPPER]),
}


def named(skeleton, groups):
    """Groups of indices as sorted lists of names, to see repeats too."""
    return sorted(sorted(skeleton.joints[i] for i in group) for group in groups)


@pytest.mark.parametrize("name", SKELETONS)
def test_pairs_and_triplets_are_the_connected_joints(name):
    skeleton = SKELETONS[name]
    assert named(skeleton, pairs(skeleton)) == sorted(map(sorted, PAIRS[name]))
    expected = sorted(map(sorted, TRIPLETS[name]))
    assert named(skeleton, triplets(skeleton)) == expected


def test_mpii_has_the_ten_pairs_and_four_triplets_of_the_paper():
    skeleton = SKELETONS["mpii"]
    assert len(pairs(skeleton)) == 10
    assert len(triplets(skeleton)) == 4


@pytest.mark.parametrize("name", SKELETONS)
def test_the_middle_of_a_triplet_is_the_elbow_or_the_knee(name):
    skeleton = SKELETONS[name]
    centres = {skeleton.joints[centre] for _, centre, _ in triplets(skeleton)}
    joints = {"elbow", "knee"} if name != "flic" else {"elbow"}
    assert centres == {f"{s}_{j}" for s in ("left", "right") for j in joints}


@pytest.mark.parametrize("name", SKELETONS)
def test_a_mirrored_person_has_the_same_groups(name):
    skeleton = SKELETONS[name]
    groups = {frozenset(g) for g in pairs(skeleton) + triplets(skeleton)}
    mirrored = {frozenset(skeleton.mirror[i] for i in g) for g in groups}
    assert mirrored == groups


def test_joints_without_limbs_are_not_connected():
    dots = Skeleton("dots", ("left_wrist", "nose", "right_wrist"), ())
    assert pairs(dots) == triplets(dots) == ()


def test_a_midline_that_never_branches_is_no_pair():
    # the left hand hangs on nothing, the right one on a midline with an end
    spine = Skeleton(
        "spine",
        ("head_top", "neck", "pelvis", "left_wrist"),
        (("head_top", "neck"), ("neck", "pelvis")),
    )
    assert pairs(spine) == ()
    tail = Skeleton(
        "tail",
        (*spine.joints, "right_wrist"),
        (*spine.limbs, ("pelvis", "right_wrist")),
    )
    assert named(tail, pairs(tail)) == [["head_top", "pelvis"]]
