"""PCK in all its forms, against values counted by hand and published ones."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import Heatmaps, gaussians
from keras_pose.metrics import AUC_THRESHOLDS, PROTOCOLS, PosePCK, mean_score
from keras_pose.skeletons import FLIC, LSP, MPII

HEAD = 10.0  # pixels


def labels_of(points, flags=2, head=HEAD):
    """(N, K, 2) points as labels (N, K, 4)."""
    people, joints, _ = points.shape
    rest = np.empty((people, joints, 2), "float32")
    rest[..., 0] = flags
    rest[..., 1] = np.reshape(head, (-1, 1))
    return np.concatenate([points, rest], -1).astype("float32")


def batch_of(*args, **settings):
    """Labels (N, 1, K, 4), as a network is trained with."""
    return labels_of(*args, **settings)[:, None]


def test_a_joint_exactly_on_the_threshold_is_correct():
    truth = np.zeros((1, 16, 2))
    found = truth.copy()
    found[0, :, 0] = np.arange(16)  # pixels off; the threshold is 5
    correct, counted = PROTOCOLS["pckh"].hits(labels_of(truth), found, MPII)
    assert np.array(counted).all()
    assert np.array(correct)[0, 0].tolist() == [k <= 5 for k in range(16)]


def test_occluded_joints_count_and_unlabelled_ones_do_not():
    flags = np.full((1, 16), 2)
    flags[0, :2] = 1, 0
    truth = np.zeros((1, 16, 2))
    _, counted = PROTOCOLS["pckh"].hits(labels_of(truth, flags), truth, MPII)
    assert np.array(counted)[0, :3].tolist() == [True, False, True]


def test_a_person_without_head_size_is_not_counted():
    truth = np.zeros((2, 16, 2))
    labels = labels_of(truth, head=[np.nan, HEAD])
    correct, counted = PROTOCOLS["pckh"].hits(labels, truth, MPII)
    assert np.array(counted).sum(1).tolist() == [0, 16]
    assert np.array(correct)[0].sum(1).tolist() == [0, 16]


def test_nan_predictions_are_misses():
    truth = np.zeros((1, 16, 2))
    found = np.full((1, 16, 2), np.nan)
    correct, counted = PROTOCOLS["pckh"].hits(labels_of(truth), found, MPII)
    assert np.array(counted).all() and not np.array(correct).any()


def test_lengths_by_hand():
    truth = np.zeros((1, 14, 2))
    truth[0, LSP.index("left_shoulder")] = 3, 0
    truth[0, LSP.index("right_hip")] = 0, 4
    truth[0, LSP.index("right_shoulder")] = -5, 0
    truth[0, LSP.index("left_hip")] = 0, 12
    labels = labels_of(truth)
    found = {
        name: float(PROTOCOLS[name].lengths(labels, LSP)[0])
        for name in ("pckh", "pck-torso", "pck-rsho-lhip", "pck-bbox", "pdj")
    }
    assert found == {
        "pckh": HEAD,
        "pck-torso": 5,
        "pck-rsho-lhip": 13,
        "pck-bbox": 12,
        "pdj": 5,
    }


def test_a_torso_needs_both_its_joints_labelled():
    truth = np.random.default_rng(0).uniform(0, 99, (1, 14, 2))
    labels = labels_of(truth)
    labels[0, LSP.index("right_hip"), 2] = 0
    _, counted = PROTOCOLS["pck-torso"].hits(labels, truth, LSP)
    assert not np.array(counted).any()
    _, counted = PROTOCOLS["pck-rsho-lhip"].hits(labels, truth, LSP)
    assert np.array(counted).sum() == 13


def test_pelvis_and_thorax_are_scored_but_not_in_the_mean():
    inside = PROTOCOLS["pckh"].in_mean(MPII)
    left_out = [
        j for j, kept in zip(MPII.joints, inside, strict=True) if not kept
    ]
    assert left_out == ["pelvis", "thorax"]


def test_flic_means_elbows_and_wrists_by_the_torso_by_hand():
    truth = np.zeros((1, 11, 2))
    truth[0, FLIC.index("left_shoulder")] = 30, 0
    truth[0, FLIC.index("right_hip")] = 0, 40  # a torso of 50: 10 is the limit
    found = truth.copy()
    found[0, FLIC.index("left_elbow")] = 6, 8
    found[0, FLIC.index("left_wrist")] = 6, 8.1
    found[0, FLIC.index("nose")] = 99, 99
    protocol = PROTOCOLS["flic"]
    correct, counted = protocol.hits(labels_of(truth), found, FLIC)
    hit = dict(zip(FLIC.joints, np.array(correct)[0, 0], strict=True))
    assert [j for j, right in hit.items() if not right] == [
        "left_wrist",
        "nose",
    ]
    inside = protocol.in_mean(FLIC)
    mean = mean_score(
        np.array(correct)[0, 0] * 1.0, np.array(counted)[0] * 1.0, inside
    )
    assert float(mean) == 0.75
    assert protocol.columns(FLIC) == {"Elbow": (1, 4), "Wrist": (2, 5)}
    assert set(protocol.columns(MPII)) == {"Elbow", "Wrist"}


def test_both_means_by_hand():
    correct, counted = np.array([1.0, 8, 5]), np.array([2.0, 8, 5])
    inside = (True, True, False)
    assert np.isclose(mean_score(correct, counted, inside), 9 / 10)
    assert np.isclose(mean_score(correct, counted, inside, "joints"), 0.75)
    nothing = np.zeros(3)
    for how in ("counted", "joints"):
        assert float(mean_score(nothing, nothing, inside, how)) == 0
    with pytest.raises(
        ValueError, match="one of counted, joints, got 'median'"
    ):
        mean_score(correct, counted, inside, "median")


def test_area_under_the_curve_of_one_joint_off_by_a_quarter_head():
    truth = np.zeros((1, 16, 2))
    found = truth + [HEAD / 4, 0]
    correct, _ = PROTOCOLS["pckh"].hits(
        labels_of(truth), found, MPII, AUC_THRESHOLDS
    )
    assert len(AUC_THRESHOLDS) == 51
    # Found from 0.25 on: at 26 of the 51 thresholds 0, 0.01 ... 0.5.
    np.testing.assert_allclose(np.array(correct).mean(), 26 / 51)


def maps_of(points, size=(8, 12), stride=4):
    """Perfect maps (B, 2, h, w, K) of two stacks; the first stack is empty."""
    cells = gaussians.to_cells(points.astype("float32"), stride)
    drawn = gaussians.encode(cells, size)
    return ops.stack([ops.zeros_like(drawn), drawn], axis=1)


# Input pixels a quarter cell above a cell's centre: decoded without any error.
CELLS = np.stack(np.meshgrid(np.arange(1, 9), (1, 5)), -1).reshape(1, 16, 2)
POINTS = (CELLS + 0.25 + 0.5) * 4 - 0.5


def test_perfect_maps_score_one_and_shifted_labels_what_they_should():
    metric = PosePCK(Heatmaps("mpii"))
    metric.update_state(batch_of(POINTS), maps_of(POINTS))
    assert float(metric.result()) == 1.0
    moved = POINTS.copy()
    moved[0, MPII.index("left_wrist"), 0] += 6  # pixels; half a head is 5
    moved[0, MPII.index("pelvis"), 0] += 6
    metric.reset_state()
    metric.update_state(batch_of(moved), maps_of(POINTS))
    np.testing.assert_allclose(float(metric.result()), 13 / 14, rtol=1e-6)
    wrong = np.flatnonzero(np.array(metric.per_joint()) == 0)
    assert [MPII.joints[k] for k in wrong] == ["pelvis", "left_wrist"]


def test_metric_adds_up_over_batches_and_is_zero_when_empty():
    metric = PosePCK(Heatmaps("mpii"))
    assert float(metric.result()) == 0
    metric.update_state(batch_of(POINTS, head=np.nan), maps_of(POINTS))
    assert float(metric.result()) == 0
    metric.update_state(batch_of(POINTS), maps_of(POINTS))
    metric.update_state(batch_of(POINTS + 20), maps_of(POINTS))
    assert float(metric.result()) == 0.5


def test_maps_of_nan_are_never_found():
    """Joints in the corner, where an argmax over NaN may well end."""
    metric = PosePCK(Heatmaps("mpii"))
    metric.update_state(
        batch_of(np.ones((1, 16, 2))), maps_of(POINTS) * float("nan")
    )
    assert float(metric.result()) == 0
    assert np.array(metric.counted).sum() == 16


def test_a_map_of_nan_costs_its_own_joint_alone():
    metric = PosePCK(Heatmaps("mpii"))
    spoilt = np.zeros(16)
    spoilt[MPII.index("left_knee")] = np.nan
    maps = ops.convert_to_numpy(maps_of(POINTS)) + spoilt
    metric.update_state(batch_of(POINTS), maps.astype("float32"))
    assert float(metric.result()) == pytest.approx(13 / 14)  # of the mean


def test_lsp_metric_needs_no_head_size():
    metric = PosePCK(Heatmaps("lsp"), "pck-torso")
    labels = batch_of(POINTS[:, :14], head=np.nan)
    metric.update_state(labels, maps_of(POINTS)[..., :14])
    assert float(metric.result()) == 1.0


def test_metric_survives_a_round_trip():
    codec = Heatmaps("lsp", 8, "corner")
    metric = PosePCK(codec, "pck-bbox", name="seen")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    assert (again.protocol, again.codec) == ("pck-bbox", codec)
    assert again.name == "seen"


def test_metric_refuses_what_it_cannot_score():
    with pytest.raises(ValueError, match="one of pckh, .*got 'pcp-strict'"):
        PosePCK(Heatmaps("mpii"), "pcp-strict")
    with pytest.raises(ValueError, match="column 3"):
        PosePCK(Heatmaps("mpii")).update_state(
            batch_of(POINTS)[..., :3], maps_of(POINTS)
        )


@pytest.mark.parametrize("how", ["counted", "joints"])
def test_means_of_several_samples_have_their_own_counts(how):
    rng = np.random.default_rng(0)
    counted = rng.integers(0, 9, (5, 4)).astype("float64")
    correct = counted * rng.random((5, 4))
    in_mean = [True, True, False, True]
    together = mean_score(correct, counted, in_mean, how)
    alone = [
        mean_score(*sums, in_mean, how)
        for sums in zip(correct, counted, strict=True)
    ]
    np.testing.assert_allclose(together, alone)
