"""A model that cannot err, under boxes that do."""

import numpy as np
import pandas as pd
import pytest

from keras_pose import stability
from keras_pose.report import charts


@pytest.fixture
def exact(wrists_model, tmp_path):
    """Path of the model that sees wrists and head wherever they are."""
    path = tmp_path / "exact" / "best.keras"
    path.parent.mkdir()
    wrists_model().save(path)
    return path


def test_an_exact_model_suffers_only_what_leaves_the_crop(
    exact, wrists_data, tmp_path, capsys
):
    """The square of 100 pixels around (80, 60) shows all joints if it is moved
    by 10 or has a side of 70 to 140. Moved by 70 it shows the head alone where
    it is right: to the right it begins at x = 75, and the wrist at 100.3 lies
    on its left half, taken for the other; likewise to the left; up it ends at
    y = 40, above both wrists; down it begins at 80, below everything. That is
    one joint of three in three directions of four, 25 %."""
    wrists_data(head_sizes=(10.0,) * 3)
    table = stability.main(
        stability.Config(
            models=(str(exact),),
            data=tmp_path,
            output=tmp_path / "out",
            people=2,
            shifts=(0.0, 0.1, 0.7),
        )
    )
    assert list(table.columns) == ["model", "error", "amount", "PCKh@0.5"]
    assert (table["model"] == "exact").all()
    scale = table[table["error"] == "scale"]
    assert scale["amount"].tolist() == [0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4]
    shift = table[table["error"] == "shift"].set_index("amount")["PCKh@0.5"]
    np.testing.assert_allclose(scale["PCKh@0.5"], 100)
    np.testing.assert_allclose(shift[[0.0, 0.1]], 100)
    assert shift[0.7] == pytest.approx(25)
    written = pd.read_csv(tmp_path / "out" / "stability.csv")
    pd.testing.assert_frame_equal(written, table)
    assert (tmp_path / "out" / "stability.png").stat().st_size > 10_000
    said = capsys.readouterr().out
    assert "2 people of split val" in said
    assert said.splitlines()[-1].startswith("Next: python -m ")


def test_people_are_spread_evenly():
    assert stability.spread(10, 4).tolist() == [0, 2, 5, 7]
    assert stability.spread(3, 5).tolist() == stability.spread(3).tolist()
    with pytest.raises(ValueError, match="people must be 1 or more, got 0"):
        stability.spread(3, 0)


def test_models_are_named_after_their_folders_or_as_asked():
    names = stability.named(("runs/mss/best.keras", "plain=runs/x/best.keras"))
    assert list(names) == ["mss", "plain"]
    assert names["plain"].parts == ("runs", "x", "best.keras")
    with pytest.raises(ValueError, match="two models are called mss: .*other="):
        stability.named(("a/mss/best.keras", "b/mss/best.keras"))
    with pytest.raises(ValueError, match="at least one model"):
        stability.named(())


def test_a_curve_per_model_in_two_panels():
    rows = [
        (model, error, amount, 90 - 10 * i)
        for model in ("a", "b")
        for error in ("scale", "shift")
        for i, amount in enumerate((1.0, 0.5))
    ]
    columns = ["model", "error", "amount", "PCK@0.2"]
    figure = charts.draw_stability(pd.DataFrame(rows, columns=columns))
    for axes in figure.axes:
        lines = {line.get_label(): line for line in axes.lines}
        assert lines["b"].get_xdata().tolist() == [0.5, 1.0]
        assert lines["b"].get_ydata().tolist() == [80, 90]
        assert lines["a"].get_color() != lines["b"].get_color()
