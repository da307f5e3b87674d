"""DeepPose's later stages go on where they were."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_pose.inference import errors
from keras_pose.training.schedule import Plateau
from reproductions import deep_pose, flow
from tfrecords import synthetic


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    synthetic.main(synthetic.Config(str(folder), 8, 4, 0, size=64, workers=1))
    return folder


def test_a_second_stage_goes_on_bit_for_bit(
    people, tmp_path, monkeypatch, eagerly
):
    """Its draws, its dropout and the errors it was told, measured once."""
    measured, measure = [], errors.measure_errors
    monkeypatch.setattr(
        errors,
        "measure_errors",
        lambda *rest: measured.append(1) or measure(*rest),
    )
    monkeypatch.setattr(flow, "finish", lambda *_: None)
    config = deep_pose.Config(
        data=people,
        preset="laptop",
        output=tmp_path / "whole",
        stages=2,
        epochs=4,
        batch_size=4,
        image_size=(64, 64),
        width=1 / 16,
    )
    paper = replace(deep_pose.paper(), draw=None)
    with eagerly():
        paper.reproduce(config)
        whole = keras.saving.load_model(tmp_path / "whole" / "best.keras")
        assert len(measured) == 1

        def stop(self, epoch, logs=None):
            if epoch == 1 and self.model.name.endswith("stage2"):
                raise KeyboardInterrupt

        # Stage 1 is there: test_fit.py proves that it would be the same.
        again = replace(config, output=tmp_path / "again")
        shutil.copytree(
            tmp_path / "whole" / "1-stage1", tmp_path / "again" / "1-stage1"
        )
        with monkeypatch.context() as patch:
            patch.setattr(Plateau, "on_epoch_begin", stop)
            with pytest.raises(KeyboardInterrupt):
                paper.reproduce(again)
        paper.reproduce(again)
    assert len(measured) == 2  # once in each run
    found = keras.saving.load_model(tmp_path / "again" / "best.keras")
    histories = [
        (tmp_path / name / "history.csv").read_text().splitlines()
        for name in ("whole", "again")
    ]
    one, other = ([line.split(",") for line in lines] for lines in histories)
    seconds = one[0].index("seconds")
    for row in (*one, *other):
        del row[seconds]
    assert one == other
    for a, b in zip(whole.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
