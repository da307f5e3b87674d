"""What OpenPose's comparisons vary, and one of them from end to end."""

from dataclasses import replace

import pandas as pd
import pytest

from keras_pose.codecs import Fields, Midpoints
from keras_pose.skeletons import MPII
from reproductions import openpose as paper
from tfrecords import crowds

LAPTOP = paper.Config(preset="laptop")


def test_each_comparison_changes_one_setting_of_the_baseline():
    found = []
    for vary in ("masks", "limbs"):
        names, settings = zip(
            *paper.variants(replace(LAPTOP, vary=vary)).items(), strict=True
        )
        configs = [replace(LAPTOP, **each) for each in settings]
        changed = {
            key for key in settings[0] if settings[0][key] != settings[1][key]
        }
        found.append((names, configs[0], changed))
    assert found[0][2] == {"masked"} and found[1][2] == {"limbs"}
    assert found[0][1] == found[1][1]  # they share the baseline's runs
    assert found[0][0][0] == found[1][0][0]


def test_the_settings_reach_the_codec_and_the_loss():
    small = replace(LAPTOP, image_size=(64, 64), filters=4)
    for limbs, kind in (("fields", Fields), ("midpoints", Midpoints)):
        config, _ = replace(small, limbs=limbs, masked=False).resolved()
        model = paper.build_model(config, MPII)
        assert type(model.codec) is kind
        assert model.output.shape[-1] == model.codec.channels
        assert not paper.build_loss(config, model).masked
    assert paper.build_loss(replace(config, masked=True), model).masked


def test_midpoints_on_a_vgg_are_refused():
    config = paper.Config(preset="paper", weights="none", limbs="midpoints")
    with pytest.raises(ValueError, match="midpoints need --trunk hourglass"):
        config.resolved()


def test_masks_are_compared_on_the_same_people(
    tmp_path, two_layers, eagerly, monkeypatch, capsys
):
    monkeypatch.setattr(paper.hourglass, "stacked_hourglass", two_layers)
    for part in ("export", "write_report"):  # those of any run
        monkeypatch.setattr(paper.flow, part, lambda *_, **__: None)
    data = tmp_path / "crowds"
    crowds.main(
        crowds.Config(
            str(data), 4, 2, 0, size=(64, 96), people=(1, 3),
            crowd_index=(0.0, 0.2), unlabelled=0.4, workers=1,
        )
    )  # fmt: skip
    config = replace(
        LAPTOP, data=data, output=tmp_path / "runs", image_size=(64, 96),
        filters=4, epochs=1, batch_size=2, compare=True, seeds=1,
    )  # fmt: skip
    with eagerly():
        table = paper.main(config)
    assert [*table.index] == ["Masked, fields", "Not masked"]
    assert table["AP"].between(0, 100).all()
    assert table["Found"].notna().all() and table["Small found"].notna().all()
    assert (table["people"] > 0).all() and (table["pictures"] == 2).all()
    runs = [
        tmp_path / "runs" / f"{n}-seed0"
        for n in ("masked-fields", "not-masked")
    ]
    first, second = (pd.read_csv(run / "history.csv") for run in runs)
    assert first["loss"][0] < second["loss"][0]  # which counts more cells
    written = {path.name for path in (tmp_path / "runs").iterdir()}
    assert {"comparison.csv", "crowds.csv", "curves.png"} <= written
    assert "paired bootstrap over these pictures" in capsys.readouterr().out
