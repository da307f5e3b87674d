"""Fine maps in windows: what they are taught, and where joints are found."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose import codecs
from keras_pose.models.windows import PlaceWindows, WindowCorners
from keras_pose.skeletons import Skeleton

SIZE = (64, 96)
DOG = Skeleton("dog", ("nose", "left_paw", "right_paw"))
COARSE = codecs.Heatmaps(DOG, 4, sigma=1.5)
FINE = codecs.WindowedHeatmaps(DOG)
PLACES = np.array([[[23.3, 30.0], [70.2, 21.7], [92.6, 61.1]]])
WINDOW = 24
DOG_COUNT = 3


def labels_of(points, flags=2):
    flags = np.broadcast_to(flags, points.shape[:-1])[..., None]
    return np.concatenate([points, flags], -1)[:, None].astype("float32")


def outputs_of(coarse, fine, height=1.0):
    """What a model gives that knows the truth: its coarse maps have peaks at
    `coarse`, in whose windows there are fine maps of `fine`."""
    maps = np.zeros((1, 1, SIZE[0] // 4, SIZE[1] // 4, DOG_COUNT), "float32")
    maps, _ = COARSE.target(labels_of(coarse), maps)
    corners, heights = WindowCorners(WINDOW, 4)(height * maps[:, 0])
    cells = (fine - 0.5) / 2 - 4 * ops.convert_to_numpy(corners)
    side = WINDOW // 2
    windows = codecs.gaussians.encode(cells, (side, side), 1.5)
    placed = PlaceWindows(SIZE)(windows, corners, heights)
    return ops.convert_to_numpy(placed)[:, None]


def located(seen, decoding="argmax"):
    points, scores, occluded = FINE.joints(seen, decoding)
    assert occluded is None
    return ops.convert_to_numpy(points), ops.convert_to_numpy(scores)


def mirrored(points):
    points = points[:, DOG.mirror].copy()
    points[..., 0] = SIZE[1] - 1 - points[..., 0]
    return points


def test_joints_are_found_within_their_fine_cell():
    outputs = outputs_of(PLACES, PLACES)
    points, scores = located(FINE.seen(outputs))
    assert np.abs(points - PLACES).max() <= 1  # cells of 2 pixels
    assert scores.min() > 0.8
    refined, _ = located(FINE.seen(outputs), "soft")
    np.testing.assert_allclose(refined, PLACES, atol=0.1)


def test_a_mirrored_picture_has_the_same_joints():
    """Their windows differ, because the common cells are not mirrored ones."""
    once = FINE.seen(outputs_of(PLACES, PLACES))
    again = FINE.seen(outputs_of(mirrored(PLACES), mirrored(PLACES)))
    back = FINE.mirror(again)
    for seen in (back, (once + back) / 2):
        assert np.abs(located(seen)[0] - PLACES).max() <= 1


def test_views_that_disagree_cost_score_and_the_surer_one_counts():
    """One has found the nose elsewhere, with half the height."""
    wrong = PLACES.copy()
    wrong[0, 0] = 60, 50
    sure = FINE.seen(outputs_of(PLACES, PLACES))
    other = FINE.seen(outputs_of(wrong, wrong, height=0.5))
    points, scores = located((sure + other) / 2)
    assert np.abs(points - PLACES).max() <= 1
    alone = located(sure)[1]
    np.testing.assert_allclose(scores[0, 0], alone[0, 0] / 2, atol=0.02)
    np.testing.assert_allclose(scores[0, 1], alone[0, 1] * 0.75, atol=0.02)


def test_a_map_below_0_still_has_its_joint_in_the_window():
    outputs = outputs_of(PLACES, PLACES)
    shown = outputs[..., DOG_COUNT:] > 0
    outputs[..., :DOG_COUNT] -= 2.0 * shown
    points, scores = located(FINE.seen(outputs))
    assert np.abs(points - PLACES).max() <= 1 and scores.max() < 0


def test_the_target_is_a_gaussian_in_the_window_by_hand():
    """The nose lies on column 11.4 and row 14.75 of the fine cells; its coarse
    peak is in cell (5, 7), on pixel (21.5, 29.5): its window begins at pixel
    (8, 16) and shows columns 4 to 15 and rows 8 to 19."""
    outputs = outputs_of(PLACES, PLACES)
    target, known = FINE.target(labels_of(PLACES), outputs)
    target = ops.convert_to_numpy(target)
    assert target.shape == (1, 1, 32, 48, DOG_COUNT)
    rows, columns = np.mgrid[:32, :48]
    apart = (columns - 11.4) ** 2 + (rows - 14.75) ** 2
    expected = np.exp(-apart / (2 * 1.5**2))
    shown = (columns >= 4) & (columns < 16) & (rows >= 8) & (rows < 20)
    np.testing.assert_allclose(
        target[0, 0, ..., 0], expected * shown, atol=1e-5
    )
    np.testing.assert_array_equal(known, [[1, 1, 1]])


def test_a_joint_outside_of_its_window_or_without_label_has_no_weight():
    elsewhere = PLACES.copy()
    elsewhere[0, 0] += 20  # 12 pixels are half a window
    outputs = outputs_of(elsewhere, elsewhere)
    labels = labels_of(PLACES, [2, 0, 1])
    _, known = FINE.target(labels, outputs)
    np.testing.assert_array_equal(known, [[0, 0, 1]])
    labels[0, 0, 2, :2] = 97, 63  # outside of the picture
    _, known = FINE.target(labels, outputs)
    np.testing.assert_array_equal(known, [[0, 0, 0]])


def test_settings_survive_a_file():
    described = keras.saving.serialize_keras_object(FINE)
    assert keras.saving.deserialize_keras_object(described) == FINE


@pytest.mark.parametrize(
    "settings",
    [{"logits": True}, {"background": True}, {"occluded_amplitude": -1}],
)
def test_options_of_heatmaps_that_windows_lack(settings):
    with pytest.raises(ValueError, match="neither logits nor a background"):
        codecs.WindowedHeatmaps(DOG, **settings)
