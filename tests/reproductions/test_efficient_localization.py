"""Tompson et al.: what each of the three trainings moves, and what it costs."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose import codecs
from keras_pose.models import heads
from keras_pose.models import model as models
from keras_pose.report import windows
from keras_pose.skeletons import MPII
from keras_pose.training import stages
from reproductions import efficient_localization as paper

SIZE = (32, 48)


def small(**settings):
    given = {"image_size": SIZE, "filters": 4, "window": 16}
    given |= {"dropout": "spatial", **settings}
    return replace(paper.Config(preset="laptop"), **given).resolved()[0]


def built(config):
    """The model of a training."""
    parts = {s.name: s.changes for s in paper.stages(config)}
    changes = parts[paper.stage_of(config)]
    config = replace(config, **{n: v for n, (v, _) in changes.items()})
    keras.utils.set_random_seed(0)
    return paper.build_model(config, MPII)


@pytest.fixture(scope="module")
def joint():
    """The model of the third training."""
    return built(small(stage="joint"))


def batch(count=2):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *SIZE, 3), "uint8")
    labels = rng.uniform(2, 30, (count, 1, 16, 4)).astype("float32")
    labels[..., 2] = rng.integers(0, 3, labels.shape[:-1])
    return images, labels


def test_the_second_training_moves_the_fine_model_and_nothing_else(eagerly):
    config = small(stage="fine")
    model = built(config)
    loss = paper.build_loss(config, model)
    model.compile(paper.build_optimizer(config), loss, jit_compile=False)
    assert not any("drop" in layer.name for layer in model.layers)
    before = {v.path: ops.convert_to_numpy(v) for v in model.weights}
    with eagerly():
        model.train_on_batch(*batch())
    moved = {
        v.path
        for v in model.weights
        if np.any(ops.convert_to_numpy(v) != before[v.path])
    }
    fine = {path for path in before if path.startswith("fine")}
    assert moved == fine and len(fine) == 4 * 2 * 2 + 2 + 2


@pytest.mark.parametrize("weight", [0.1, 2.0])
def test_the_third_training_costs_e1_and_a_share_of_e2(joint, weight):
    loss = paper.build_loss(small(fine_weight=weight), joint)
    images, labels = batch()
    coarse, fine = outputs = joint(images)
    terms = loss.reduced_terms(labels, outputs)
    assert list(terms) == ["coarse", "fine"]
    target, known = (
        ops.convert_to_numpy(x) for x in joint.codecs[0].target(labels, coarse)
    )
    e1 = np.square(coarse - target).sum(axis=(1, 2, 3)) / 2 * known
    np.testing.assert_allclose(terms["coarse"], e1.mean(), rtol=1e-5)
    maps, shown = np.split(np.array(fine), 2, axis=-1)
    target, known = (
        ops.convert_to_numpy(x) for x in joint.codecs[1].target(labels, fine)
    )
    assert 0 < known.mean() < (labels[..., 2] > 0).mean()  # some are outside
    e2 = np.square(maps - target)[:, 0] * (shown[:, 0] > 0)
    e2 = e2.sum(axis=(1, 2)) / 2 * known
    np.testing.assert_allclose(terms["fine"], weight * e2.mean(), rtol=1e-5)
    np.testing.assert_allclose(loss(labels, outputs), sum(terms.values()))


def test_every_training_has_the_layers_of_the_one_before(joint):
    names = []
    for stage in ("coarse", "fine", "joint"):
        model = joint if stage == "joint" else built(small(stage=stage))
        names.append({x.name: x for x in model.layers if x.weights})
        kind = type(heads.codec_of(model))
        coarse = stage == "coarse"
        assert kind == (codecs.Heatmaps if coarse else codecs.WindowedHeatmaps)
    assert names[0].keys() < names[1].keys() == names[2].keys()
    dropout = [x.name for x in model.layers if "drop" in x.name]
    assert dropout == ["drop1", "drop2", "drop3"]


def test_a_saved_model_finds_the_same_joints_and_is_drawn(joint, tmp_path):
    images, labels = batch()
    joint.save(tmp_path / "best.keras")
    whole = models.load_whole(tmp_path / "best.keras")
    loaded = models.last_output(whole)
    _, expected = joint(images)
    np.testing.assert_allclose(loaded(images), expected, atol=1e-5)
    assert loaded.codec == codecs.WindowedHeatmaps(MPII)
    coarse = models.last_output(whole, "stride4")
    assert coarse.codec == codecs.Heatmaps(MPII, 4, sigma=1.5)
    figure = windows.draw_windows(whole, images[0], labels[0, 0])
    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == list(windows.COLUMNS)
    codec = loaded.codec
    points, _, _ = codec.joints(codec.seen(expected))
    labelled = np.flatnonzero(labels[0, 0, :, 2])
    found = figure.axes[0].lines[-1].get_xydata()[0]
    np.testing.assert_allclose(found, points[0, labelled[0]])


def test_a_training_that_a_method_lacks_is_refused():
    config = small(method="cascade", stage="joint")
    with pytest.raises(ValueError, match="one of all, coarse, fine, got 'joi"):
        stages.check(config, paper.stages(config))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 36}, "window must be divisible by 8 pixels"),
        ({"pooling": 5}, "pooling must be one of 4, 8, 16, got 5"),
        ({"fine_weight": -1.0}, "fine_weight must not be negative"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


def test_comparisons_vary_one_thing():
    for vary, names in (
        ("pooling", ["Coarse 4x", "Coarse 8x", "Coarse 16x"]),
        ("dropout", ["Dropout none", "Dropout standard", "Dropout spatial"]),
        ("cascade", ["Coarse 8x", "Cascade 8x", "Coarse 16x", "Cascade 16x"]),
    ):
        config = small(vary=vary)
        found = paper.variants(config)
        assert list(found) == names
        for settings in found.values():
            one = replace(config, **settings)
            stages.check(one, paper.stages(one))
