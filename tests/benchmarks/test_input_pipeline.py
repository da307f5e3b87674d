"""The benchmark compares equals, or says so."""

import pytest

from benchmarks import input_pipeline

TINY = dict(
    people=4, size=64, batch=2, workers=1, rounds=1, batches=1, opened=200
)


@pytest.fixture(autouse=True)
def small_photographs(monkeypatch):
    monkeypatch.setattr(input_pipeline, "PHOTOGRAPH", (360, 640))


def test_it_measures_and_finds_equal_outputs(capsys, forked):
    forked(input_pipeline.opencv_loader)
    input_pipeline.main(input_pipeline.Config(**TINY))
    printed = capsys.readouterr().out
    assert "same outputs" in printed
    assert "pipeline / OpenCV, photographs" in printed
    assert "opening 200 people" in printed


def test_a_loader_that_does_something_else_is_noticed(monkeypatch):
    load = input_pipeline.opencv_loader.load

    def blacken(sample, size, image, targets):
        joints = load(sample, size, image, targets)
        image[:] = 0
        return joints

    monkeypatch.setattr(input_pipeline.opencv_loader, "load", blacken)
    with pytest.raises(ValueError, match="do not do the same work"):
        input_pipeline.main(input_pipeline.Config(**TINY))


def test_a_folder_without_photographs_is_refused(tmp_path):
    config = input_pipeline.Config(photographs=tmp_path, people=4)
    with pytest.raises(ValueError, match="4 .jpg files wanted, got 0"):
        input_pipeline.main(config)
