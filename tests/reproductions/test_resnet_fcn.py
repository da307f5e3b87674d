"""Both ResNet papers on pictures that are not square, to the last command."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from keras_pose.data.dataset import open_dataset
from keras_pose.inference.top_down import predict_people
from keras_pose.models import resnet
from keras_pose.models.heads import codec_of
from keras_pose.models.model import load_model
from keras_pose.skeletons import SKELETONS
from reproductions import flow, resnet_fcn, simple_baselines
from tfrecords import synthetic

SMALL = {"image_size": (64, 96), "batch_size": 4, "filters": 4, "width": 1 / 32}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    synthetic.main(synthetic.Config(str(folder), 8, 4, 0, size=96, workers=1))
    return folder


@pytest.fixture
def one_layer(monkeypatch):
    """A backbone that is traced at once: test_papers.py has a real one."""

    def features(images, depth, *, weights, width):
        x = keras.layers.Rescaling(1 / 255)(images)
        return keras.layers.Conv2D(int(2048 * width), 32, 32)(x)

    monkeypatch.setattr(resnet, "resnet_features", features)


@pytest.fixture
def eager(eagerly):
    with eagerly():
        yield


def settings(paper, people, output, **changes):
    config = paper.Config(
        data=people, output=output, preset="laptop", epochs=1, **SMALL
    )
    return replace(config, **changes)


def test_a_run_of_96_by_64_pixels_goes_on_and_is_evaluated(
    people, tmp_path, one_layer, eager
):
    """Wide maps of stride 8: training, resume, flip test."""
    config = settings(
        simple_baselines, people, tmp_path / "run", deconvolutions=2
    )
    simple_baselines.paper().train(config)
    longer = replace(config, epochs=2)
    with pytest.raises(ValueError, match="keep them with --drop-epochs 1"):
        simple_baselines.paper().train(longer)
    _, history = simple_baselines.paper().train(
        replace(longer, drop_epochs=(1,))
    )
    assert list(history["epoch"]) == [1, 2]
    model = load_model(config.output / "best.keras")
    assert (codec_of(model).stride, model.output.shape[1:4]) == (8, (1, 8, 12))
    data = open_dataset(people)
    found = predict_people(model, data, "val", batch_size=4, flip=True)
    assert np.isfinite(found.joints).all()


def test_the_heads_are_compared_with_what_they_cost(
    people, tmp_path, one_layer, monkeypatch, eager
):
    """The runs themselves are those of every comparison."""

    trained = []

    def reproduce(paper, config, siblings):
        assert not config.compare
        trained.append((paper.name, config.output.name))

    def compare(runs, data, split, output, metric):
        output.mkdir(exist_ok=True)
        return pd.DataFrame({"Mean": [1.0, 2.0]}, pd.Index(runs))

    monkeypatch.setattr(flow.Paper, "reproduce", reproduce)
    monkeypatch.setattr(flow, "compare", compare)
    monkeypatch.setattr(flow, "describe_comparison", str)
    monkeypatch.setattr(flow, "TIMED", 1)
    output = tmp_path / "compared"
    config = settings(resnet_fcn, people, output, compare=True, seeds=3)
    table = resnet_fcn.main(config)
    assert list(table.index) == ["Deconvolutions (baseline)", "FCN"]
    assert trained[-1] == ("resnet_fcn", "fcn-seed2") and len(trained) == 6
    # what follows 2048 / 32 channels, by hand
    c, f, h, k = 64, 4, 2, 16
    maps = f * k + k
    deconvolutions = 16 * f * (c + 2 * f) + 3 * 2 * f + maps
    block = 9 * h * h + h * f + 2 * (h + h + f)
    fcn = h * (c + 2 * f) + 3 * block + 2 * (f * f + 2 * f) + maps
    difference = -table["parameters"].diff().iloc[-1]
    assert difference == deconvolutions - fcn
    assert (table["seconds per step"] > 0).all()
    written = pd.read_csv(output / "comparison.csv", index_col=0)
    np.testing.assert_allclose(written, table)


@pytest.mark.parametrize("stride", [2, 32])
@pytest.mark.parametrize("head", ["fcn", "deconvolution"])
def test_both_heads_give_the_stride_they_are_asked_for(head, stride, one_layer):
    config, _ = resnet_fcn.Config(
        preset="laptop", head=head, output_stride=stride, **SMALL
    ).resolved()
    model = resnet_fcn.build_model(config, SKELETONS["lsp"])
    assert codec_of(model).stride == stride
    size = (64 // stride, 96 // stride)
    assert model.output.shape == (None, 1, *size, 14)


@pytest.mark.parametrize("paper", [simple_baselines, resnet_fcn])
def test_imagenet_is_the_papers_default_and_a_smoke_run_needs_no_network(
    paper, people
):
    config = paper.Config(data=people, preset="paper")
    assert paper.paper().start(config).config.weights == "imagenet"
    smoke = paper.paper().start(replace(config, smoke=True))
    assert smoke.config.weights == "none"
    assert smoke.origin["weights"] == "smoke"
    asked = replace(config, smoke=True, weights="imagenet")
    assert paper.paper().start(asked).config.weights == "imagenet"


def test_the_recipes_are_the_papers():
    config, _ = simple_baselines.Config(preset="paper").resolved()
    assert (config.drop_epochs, config.drop_factor) == ((90, 120), 0.1)
    assert (config.epochs, config.batch_size) == (140, 32)
    assert config.learning_rate == 1e-3
    assert (config.sigma, config.unlabelled) == (2.0, "ignore")
    config, _ = resnet_fcn.Config(preset="paper").resolved()
    assert (config.plateau_factor, config.plateau_drops) == (0.2, 1)
    assert (config.learning_rate, config.drop_epochs) == (2.5e-4, ())
    assert (config.sigma, config.unlabelled) == (1.0, "zero")


def test_the_report_s_optimizer_has_torchs_constants(people, one_layer):
    config = settings(resnet_fcn, people, None, learning_rate=2.5e-4)
    model, _ = resnet_fcn.paper().compiled(resnet_fcn.paper().start(config))
    optimizer = model.optimizer
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert (optimizer.rho, optimizer.epsilon) == (0.99, 1e-16)
    assert float(optimizer.learning_rate) == pytest.approx(2.5e-4)
