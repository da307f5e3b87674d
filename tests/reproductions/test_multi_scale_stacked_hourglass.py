"""MSSH: the variants of section 5.2, what they log, and what is refused."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from keras_pose.models import hourglass
from keras_pose.models.convolution import convolution
from keras_pose.models.heads import codec_of
from keras_pose.models.model import load_model
from keras_pose.skeletons import LSP
from reproductions import flow
from reproductions import multi_scale_stacked_hourglass as mssh
from tfrecords import synthetic

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    synthetic.main(synthetic.Config(str(folder), 4, 4, 0, size=64, workers=1))
    return folder


def small(**settings):
    config = mssh.Config(
        image_size=(64, 128), stacks=3, filters=8, batch_size=4, epochs=2,
        drop_epochs=(1,), warmup_epochs=0, learning_rate=2.5e-4,
        preset="laptop", block="residual",
    )  # fmt: skip
    return dataclasses.replace(config, **settings)


@pytest.mark.parametrize("name", mssh.ABLATIONS)
def test_an_ablation_changes_what_it_says(name):
    settings = [
        dataclasses.replace(mssh.Config(), **mssh.NETWORKS[network])
        for network in mssh.ABLATIONS[name]
    ]
    assert len({str(config) for config in settings}) == len(settings)
    field = {"blocks": "block", "weights": "adaptive"}.get(name, name)
    assert len({getattr(c, field) for c in settings}) > 1


def test_ablations_share_the_networks_of_both(people, tmp_path, monkeypatch):
    trained = []

    def reproduce(paper, config, siblings):
        trained.append((config.output.name, config.fusion, config.lateral))

    def compare(runs, data, split, output, metric):
        assert all(len(folders) == 2 for folders in runs.values())
        return pd.DataFrame(
            {"table": [str(output)], "counted": [4], "people": [4]}
        )

    monkeypatch.setattr(flow.Paper, "reproduce", reproduce)
    monkeypatch.setattr(flow, "compare", compare)
    for ablation in ("lateral", "fusion"):
        config = small(data=people, output=tmp_path, seeds=2, ablation=ablation)
        table = mssh.main(config)
        assert table.loc[0, "table"] == str(tmp_path / ablation)
    default = ("inception-resnet-a-seed0", "add", False)
    assert trained.count(default) == 2  # where it is finished, training is none
    assert ("with-lateral-connections-seed1", "add", True) in trained
    assert ("concatenation-seed0", "concat", False) in trained


def test_the_last_hourglass_makes_the_finest_maps():
    model = mssh.build_model(small(stacks=4, sigma=2.0), LSP)
    found = [model.get_layer(name).codec for name in model.output_names]
    assert [codec.stride for codec in found] == [8, 4, 2]
    assert [codec.sigma for codec in found] == [2.0, 2.0, 2.0]
    assert [output.shape[1:] for output in model.outputs] == [
        (2, 8, 16, 14), (1, 16, 32, 14), (1, 32, 64, 14)
    ]  # fmt: skip


def test_the_baseline_is_newells():
    config = small(method="hourglass", stacks=2, sigma=2.0)
    model = mssh.build_model(config, LSP)
    assert codec_of(model).stride == 4
    assert model.output.shape[1:] == (2, 16, 32, 14)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"scales": 3, "stacks": 2}, "more scales than stacks"),
        ({"block": "vgg"}, "block must be one of residual, .*got 'vgg'"),
        ({"method": "cpm"}, "method must be one of mssh, hourglass, got 'cpm'"),
        (
            {"ablation": "depth"},
            "ablation must be one of weights, .*got 'depth'",
        ),
        ({"image_size": (64, 100)}, "divisible by 64, got 64 x 100"),
        ({"block": "inception_resnet_b"}, "divisible by 128, got 64 x 128"),
        (
            {"occluded_amplitude": 0},
            "occluded_amplitude must be one of 1, -1, got 0",
        ),
    ],
)
def test_impossible_settings_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        config, _ = small(**settings).resolved()
        mssh.build_model(config, LSP)


def test_the_papers_recipe():
    config, _ = mssh.Config(preset="paper").resolved()
    assert (config.epochs, config.batch_size) == (220, 4)
    assert config.drop_epochs == (150, 175, 200)
    assert (config.learning_rate, config.drop_factor) == (2.5e-4, 0.1)
    assert (config.stacks, config.filters) == (8, 256)


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory, eagerly):
    """Folder and history of a run with signs."""
    folder = tmp_path_factory.mktemp("signs")
    config = small(
        data=people, output=folder, image_size=(64, 64), stacks=2,
        filters=4, occluded_amplitude=-1,
    )  # fmt: skip
    with eagerly(), pytest.MonkeyPatch.context() as patch:
        # in a graph: losses/test_joint_weights.py; real blocks: test_fit.py
        patch.setattr(
            hourglass, "residual", lambda x, f, name: convolution(x, f, 1, name)
        )
        _, history = mssh.paper().train(config)
    return folder, history


def test_a_run_with_signs_logs_weights_and_serves_its_last_map(trained):
    folder, history = trained
    rates = [2.5e-4, 2.5e-5]
    np.testing.assert_allclose(history["learning_rate"], rates, rtol=1e-5)
    weights = pd.read_csv(folder / "joint_weights.csv")
    assert list(weights["epoch"].unique()) == [1, 2]
    sums = weights.groupby(["epoch", "stack"])["weight"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-4)
    first = weights[weights["stack"] == 1]["weight"]
    np.testing.assert_allclose(first, 1 / 16, atol=1e-5)
    assert np.ptp(weights[weights["stack"] == 2]["weight"]) > 0
    model = load_model(folder / "best.keras")
    assert model.output.shape[1:] == (1, 32, 32, 16)
    assert keras.saving.load_model(folder / "best.keras").compiled
    assert codec_of(model).tells_occlusion
