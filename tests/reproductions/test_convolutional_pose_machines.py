"""CPM: why every stage is supervised, and what stage 1 is taught."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.skeletons import MPII
from reproductions import convolutional_pose_machines as paper


def small(**settings):
    return replace(
        paper.Config(preset="laptop"),
        image_size=(64, 96),
        filters=16,
        **settings,
    ).resolved()[0]


def gradients(model, loss, first):
    """Mean absolute gradient of the kernels of stage 1 for the cost of the
    stages from `first`, over random people."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 64, 96, 3), "uint8")
    labels = rng.uniform(4, 60, (4, 1, 16, 4)).astype("float32")
    labels[..., 2] = 2
    kernels = [model.get_layer(f"stage1_{part}").kernel for part in (1, 2, 3)]
    with tf.GradientTape() as tape:
        costs = loss.stage_costs(labels, model(images, training=True))
        cost = tf.reduce_mean(costs[:, first:])
    found = tape.gradient(cost, [kernel.value for kernel in kernels])
    return np.mean([np.abs(gradient).mean() for gradient in found])


def test_without_intermediate_supervision_the_gradient_vanishes():
    """Section 3.2, figure 5: as the authors begin, without normalisation."""
    keras.utils.set_random_seed(0)
    config = small(form="authors", stages=3)
    model = paper.build_model(config, MPII)
    loss = paper.build_loss(config, model)
    assert gradients(model, loss, 0) > 100 * gradients(model, loss, 2) > 0


def test_stage_1_is_taught_everybody_if_there_are_neighbours():
    for neighbours, everybody in ((7, 1), (1, 1), (0, 0)):
        config = small(stages=1, neighbours=neighbours)
        model = paper.build_model(config, MPII)
        assert paper.build_loss(config, model).everybody == everybody
    with pytest.raises(ValueError, match="neighbours must be at least 0, got"):
        small(neighbours=-1)


def test_forms_differ_in_their_maps():
    for form, maps in (("authors", 17), ("mmpose", 16)):
        model = paper.build_model(small(form=form, stages=2), MPII)
        assert model.output.shape == (None, 2, 8, 12, maps)
        assert model.codec.background == (form == "authors")


def test_comparisons_vary_one_setting():
    for vary in ("stages", "kernel"):
        named = paper.variants(small(vary=vary))
        assert len({v[vary] for v in named.values()}) == len(named) >= 3
        assert all(v.keys() == {vary, "vary"} for v in named.values())
