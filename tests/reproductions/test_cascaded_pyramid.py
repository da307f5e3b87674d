"""CPN's losses are put together as its code has them."""

from dataclasses import replace

import numpy as np
import pytest
from keras import layers

from keras_pose.skeletons import LSP
from reproductions import cascaded_pyramid as paper


@pytest.fixture
def built(monkeypatch):
    """(method, settings) -> model and loss, without a ResNet."""

    def averages(images, depth, *, weights, width, pixels):
        x = pixels(images)
        return [layers.AveragePooling2D(n)(x) for n in (4, 8, 16, 32)]

    monkeypatch.setattr(paper.resnet, "resnet_stages", averages)

    def build(**settings):
        config = paper.Config(preset="laptop", image_size=(32, 64), filters=4)
        config, _ = replace(config, **settings).resolved()
        model = paper.build_model(config, LSP)
        return model, paper.build_loss(config, model)

    return build


@pytest.mark.parametrize("method", ["global", "refine", "ohkm"])
def test_the_terms_by_hand(built, method):
    """Maps of 0 and of 1 for joints far from the maps, of which one has no
    label and counts as an empty map for GlobalNet alone."""
    model, loss = built(method=method)
    labels = np.full((1, 1, 14, 4), -15.0, "float32")
    labels[..., 2] = 2
    labels[0, 0, 3, 2] = 0
    heights = np.arange(14) % 3  # four joints of 2, five of 1 and of 0
    maps = np.tile(heights.astype("f4"), (1, 1, 8, 16, 1))
    terms = loss.reduced_terms(labels, [maps] * len(model.outputs))
    squares = heights.astype("f8") ** 2  # joint 3 has height 0
    wanted = {"global": 4 * squares.mean() / 2}
    if method == "refine":
        wanted["refine"] = squares.mean()
    if method == "ohkm":  # the four of 2, and four of 1
        wanted["refine"] = (4 * 4 + 4 * 1) / 8
    assert {k: float(v) for k, v in terms.items()} == pytest.approx(
        wanted, abs=0.02
    )
    assert model.codec.sigma == 1.4
    assert [c.sigma for c in model.codecs[:4]] == [2.6, 2.0, 1.7, 1.4]
    model.compile("adam", loss)


def test_joints_without_a_label_count_as_wanted(built):
    """All maps are 1: those of GlobalNet cost, RefineNet's do not."""
    labels = np.full((1, 1, 14, 4), -15.0, "float32")
    labels[..., 2] = 0
    for unlabelled, cost in (("zero", 2.0), ("ignore", 0.0)):
        _, loss = built(unlabelled=unlabelled)
        terms = loss.reduced_terms(labels, [np.ones((1, 1, 8, 16, 14))] * 5)
        found = {k: float(v) for k, v in terms.items()}
        assert found == {"global": cost, "refine": 0.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top": 15}, "top must be 1 to 14, the number of joints, got 15"),
        ({"level_sigmas": (2.0,)}, "level_sigmas must be 4 numbers"),
        ({"method": "globl"}, "method must be one of global, refine, ohkm"),
    ],
)
def test_what_cannot_be_is_refused(built, settings, message):
    with pytest.raises(ValueError, match=message):
        built(**settings)
