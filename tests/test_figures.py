"""Drawings are checked where a reader would look: one pixel, one line."""

import re

import cv2
import numpy as np
import pandas as pd
import pytest

from keras_pose import drawing
from keras_pose.codecs import Heatmaps
from keras_pose.report import charts, pictures
from keras_pose.report import history as past
from keras_pose.skeletons import LSP, MPII, Skeleton

GRAY = np.full((80, 120, 3), 90, "uint8")
LEFT_KNEE, LEFT_ANKLE = MPII.index("left_knee"), MPII.index("left_ankle")
RIGHT_KNEE, RIGHT_ANKLE = MPII.index("right_knee"), MPII.index("right_ankle")


def legs():
    """A left shin from (20, 10) to (20, 70), a right one from (90, 10) on."""
    joints = np.full((16, 2), np.nan)
    joints[LEFT_KNEE], joints[LEFT_ANKLE] = (20, 10), (20, 70)
    joints[RIGHT_KNEE], joints[RIGHT_ANKLE] = (90, 10), (90, 70)
    return joints


def test_left_and_right_limbs_have_their_colours():
    photo = cv2.resize(GRAY, (480, 320))
    drawn = drawing.draw_skeleton(photo, 4 * legs(), MPII)
    np.testing.assert_array_equal(drawn[160, 80], drawing.LEFT)
    np.testing.assert_array_equal(drawn[160, 360], drawing.RIGHT)
    assert (photo == 90).all() and (drawn[160, 220] == 90).all()


def test_flag_0_is_not_drawn_and_flag_1_is_hollow():
    photo = cv2.resize(GRAY, (480, 320))
    joints, flags = 4 * legs(), np.full(16, 2)
    flags[LEFT_ANKLE], flags[RIGHT_ANKLE] = 1, 0
    drawn = drawing.draw_skeleton(photo, joints, MPII, flags)
    np.testing.assert_array_equal(drawn[280, 80], (90, 90, 90))  # the hole
    assert (drawn[270:290, 70:90] == drawing.LEFT).all(axis=2).any()  # the ring
    assert (drawn[280, 360] == 90).all() and (drawn[160, 360] == 90).all()
    np.testing.assert_array_equal(drawn[40, 360], drawing.RIGHT)


def test_joints_far_outside_the_picture_are_no_error():
    joints = legs()
    joints[LEFT_ANKLE] = (20, 1e12)
    drawn = drawing.draw_skeleton(GRAY, joints, MPII)
    assert drawn.shape == GRAY.shape
    nothing = drawing.draw_skeleton(GRAY, np.full((16, 2), np.nan), MPII)
    np.testing.assert_array_equal(nothing, GRAY)


def test_joints_of_another_skeleton_are_refused():
    with pytest.raises(ValueError, match="lsp must be 14 x 2, got 16 x 2"):
        drawing.draw_skeleton(GRAY, legs(), LSP)


def test_a_miss_is_a_line_from_the_joint_to_the_truth():
    truth = legs() + (30, 0)
    wrong = np.zeros(16, bool)
    wrong[LEFT_ANKLE] = True
    drawn = drawing.draw_misses(GRAY, legs(), truth, wrong)
    np.testing.assert_allclose(drawn[70, 35], drawing.WRONG, atol=20)
    assert (drawn[10] == 90).all()


@pytest.mark.parametrize(
    ("alignment", "at"), [("center", (43.5, 27.5)), ("corner", (40.5, 24.5))]
)
def test_a_cell_lights_the_pixels_it_stands_for(alignment, at):
    """Cell (5, 3) of stride 4 is at 21.5, 13.5 of the input, or by its corner
    at 20, 12; in a picture of twice the resolution x is at 2 x + 0.5."""
    maps = np.zeros((8, 12, 16), "float32")
    maps[3, 5, LEFT_KNEE] = 1
    black = np.zeros((64, 96, 3), "uint8")
    drawn = drawing.draw_heatmaps(black, maps, Heatmaps(MPII, 4, alignment))
    y, x = np.mgrid[:64, :96]
    weight = drawn[..., 0] / drawn[..., 0].sum()
    found = (weight * x).sum(), (weight * y).sum()
    np.testing.assert_allclose(found, at, atol=0.15)
    red, _, blue = drawn[int(at[1]), int(at[0])]
    assert red > 2.0 * blue  # orange: left


def test_smooth_averages_what_there_is_at_the_ends():
    np.testing.assert_allclose(past.smooth([0, 3, 0], 3), [1.5, 1, 1.5])
    np.testing.assert_allclose(past.smooth([4, 2], 9), [3, 3])
    np.testing.assert_allclose(past.smooth([1, 2], 1), [1, 2])
    np.testing.assert_allclose(past.smooth([0, 6, 0], 2), [3, 2, 3])
    with pytest.raises(ValueError, match="got 0"):
        past.smooth([1], 0)


def history(*values):
    """history.csv with `values` as validation score."""
    epochs = np.arange(1, len(values) + 1)
    return pd.DataFrame(
        {"epoch": epochs, "loss": 1 / epochs, "pckh": 0.5, "val_pckh": values}
    )


def test_figure_3_draws_the_mean_over_seeds_and_a_band():
    """Two epochs: nothing to smooth, whatever the window."""
    seeds = [history(0.1, 0.3), history(0.3, 0.5)]
    figure = charts.draw_curves({"mse": seeds, "hsm": seeds[:1]}, "pckh")
    train, validation, loss, val_loss = figure.axes
    mse, hsm = validation.lines
    np.testing.assert_allclose(mse.get_ydata(), [0.2, 0.4])
    np.testing.assert_allclose(hsm.get_ydata(), [0.1, 0.3])
    band = validation.collections[0].get_paths()[0].vertices[:, 1]
    deviation = 0.02**0.5  # of 0.1 and 0.3, with n - 1
    np.testing.assert_allclose(band.min(), 0.2 - deviation)
    np.testing.assert_allclose(band.max(), 0.4 + deviation)
    assert len(validation.collections) == 1  # one seed: no band
    assert val_loss.texts[0].get_text() == "not recorded"
    assert "not comparable" in loss.get_title("right")
    assert not train.get_title("right")


def test_a_long_run_is_smoothed_over_its_raw_mean():
    """1, 4, 1, 4 ...: three in a row have 2 or 3 on average."""
    run = history(*[1, 4] * 8)
    figure = charts.draw_curves({"mse": [run]}, "pckh", 3)
    raw, smoothed = figure.axes[1].lines
    np.testing.assert_allclose(raw.get_ydata(), [1, 4] * 8)
    np.testing.assert_allclose(smoothed.get_ydata(), [2.5, *[2, 3] * 7, 2.5])
    assert raw.get_alpha() < 0.5 < smoothed.get_linewidth()


def test_the_end_of_a_run_of_five_epochs_is_what_was_measured():
    """Where five epochs were averaged, 0.214 was drawn at 0.186."""
    run = history(0.073, 0.141, 0.157, 0.192, 0.214)
    figure = charts.draw_curves({"MSSH": [run]}, "pckh")
    (line,) = figure.axes[1].lines
    assert line.get_ydata()[-1] == 0.214


def test_no_curve_is_smoothed_across_stages_and_their_borders_are_marked():
    """15 epochs at 0, then 15 at 6, then 2 at 1 and 9."""
    run = history(*[0] * 15, *[6] * 15, 1, 9)
    run["stage"] = np.repeat([1, 2, 3], [15, 15, 2])
    figure = charts.draw_curves({"mss": [run]}, "pckh", 3)
    axes = figure.axes[1]
    curves = [line for line in axes.lines if len(line.get_xdata()) > 1]
    curves = [line for line in curves if line.get_linestyle() == "-"]
    assert [line.get_ydata().tolist() for line in curves] == [
        [0] * 15, [6] * 15, [1, 9]
    ]  # fmt: skip
    borders = [
        line.get_xdata()[0]
        for line in axes.lines
        if line.get_linestyle() != "-"
    ]
    assert borders == [15.5, 30.5]
    assert [text.get_text() for text in axes.texts] == ["stage 2", "stage 3"]
    report = charts.draw_history(run, "pckh").axes[0]
    assert [text.get_text() for text in report.texts] == ["stage 2", "stage 3"]
    single, shorter, other = history(*[0] * 32), run[:25], run.copy()
    other["stage"] = np.repeat([1, 2, 3], [15, 5, 12])
    cases = ([single, shorter], ["stage 2", "stage 3"]), ([other], ["stage 2"])
    for more, named in cases:
        figure = charts.draw_curves({"mss": [run], "more": more}, "pckh", 3)
        assert [text.get_text() for text in figure.axes[1].texts] == named


def test_seeds_may_end_at_different_epochs():
    seeds = [history(0.1, 0.3, 0.5), history(0.3)]
    figure = charts.draw_curves({"mse": seeds}, "pckh", 1)
    np.testing.assert_allclose(
        figure.axes[1].lines[0].get_ydata(), [0.2, 0.3, 0.5]
    )


def test_side_by_side_has_a_picture_per_model_and_the_truth():
    joints = np.stack([legs(), legs()])
    figure = pictures.draw_side_by_side(
        [GRAY, GRAY],
        {"MSE": joints, "HSM": joints},
        joints,
        np.full((2, 16), 2),
        MPII,
        {"MSE": ["1 of 4", "2 of 4"], "HSM": ["3 of 4", "4 of 4"]},
    )
    assert [a.get_title() for a in figure.axes[:3]] == ["MSE", "HSM", "truth"]
    notes = [a.texts[0].get_text() for a in figure.axes if a.texts]
    assert notes == ["1 of 4", "3 of 4", "2 of 4", "4 of 4"]


def test_svg_takes_the_colours_of_the_page_and_loads_nothing():
    drawing = charts.svg(charts.draw_history(history(0.1, 0.2), "pckh"), "Run")
    assert drawing.startswith('<svg role="img" aria-label="Run"')
    assert "var(--ink)" in drawing and charts.INK not in drawing
    links = re.findall(r'(?:href="|url\()([^")]*)', drawing)
    assert links and all(link.startswith("#") for link in links)


def test_save_writes_whole_files_only(tmp_path, monkeypatch):
    path = tmp_path / "person.png"
    drawing.save(GRAY, path)
    picture = cv2.imread(str(path))
    np.testing.assert_array_equal(picture, GRAY)
    monkeypatch.setattr(drawing, "encode", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drawing.save(GRAY + 1, path)
    np.testing.assert_array_equal(cv2.imread(str(path)), GRAY)


def joint_weights(stacks=3):
    """Two epochs; in the last hourglass ankles come to weigh twice as much."""
    rows = [
        (epoch, stack, joint, 1 / 4)
        for epoch in (1, 2)
        for stack in range(1, stacks + 1)
        for joint in ("left_ankle", "right_ankle", "left_hip", "right_hip")
    ]
    table = pd.DataFrame(rows, columns=["epoch", "stack", "joint", "weight"])
    end = (table["epoch"] == 2) & (table["stack"] == stacks)
    ankle = table["joint"].str.contains("ankle")
    table.loc[end & ankle, "weight"] = 0.4
    table.loc[end & ~ankle, "weight"] = 0.1
    return table


def test_joint_weights_are_drawn_against_even_ones():
    figure = charts.draw_joint_weights(joint_weights())
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title("left") for axes in panels] == [
        "Hourglass 2",
        "Hourglass 3",
    ]
    first, last = (axes.images[0].get_array() for axes in panels)
    np.testing.assert_allclose(first, 1)
    np.testing.assert_allclose(last, [[1, 1.6], [1, 0.4]])
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == ["ankle", "hip"]
    low, high = panels[0].images[0].get_clim()
    assert (low, high) == pytest.approx((0.4, 2.5))  # even is in the middle
    assert "<image" in charts.svg(figure, "Joint weights")


def test_a_side_colours_a_joint_wherever_its_word_stands():
    joints = ("nose", "front_left_paw", "right_ear", "hind_paw_right")
    found = drawing.colors(Skeleton("dog", joints)).tolist()
    palette = drawing.MIDDLE, drawing.LEFT, drawing.RIGHT, drawing.RIGHT
    assert found == [list(color) for color in palette]


def test_a_legend_is_read_line_by_line():
    run = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1], "pckh": [0.1, 0.2]})
    figure = charts.draw_curves({name: [run] for name in "abcde"}, "pckh")
    (legend,) = figure.legends
    figure.draw_without_rendering()
    places = {
        text.get_text(): text.get_window_extent() for text in legend.get_texts()
    }
    lines = sorted(places, key=lambda n: (-round(places[n].y0), places[n].x0))
    assert "".join(lines) == "abcde"
