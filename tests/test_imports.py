"""Modules that commands import late."""

import importlib
import sys

from keras_pose import imports


def test_a_module_that_its_package_imports_is_executed_once(
    tmp_path, monkeypatch
):
    """Else there are two classes of its name, as of matplotlib.ticker."""
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "__init__.py").write_text(
        "from late.shapes import Circle"
    )
    (tmp_path / "late" / "shapes.py").write_text("class Circle:\n    pass")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "SLOW", {"late"})
    finder = imports._Finder()
    finder.late = True
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    try:
        package = importlib.import_module("late")
        assert isinstance(package, imports._Late)
        shapes = importlib.import_module("late.shapes")
        assert not isinstance(package, imports._Late)
        assert package.Circle is shapes.Circle
        assert shapes is package.shapes is sys.modules["late.shapes"]
        assert shapes.__spec__.origin == shapes.__file__
    finally:
        for name in ("late.shapes", "late"):
            sys.modules.pop(name, None)
