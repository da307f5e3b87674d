"""CPM: what is counted by hand, who sees what, and the centre map."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose.models import macs
from keras_pose.models.center_map import CENTER, CenterMap
from keras_pose.models.convolutional_pose_machines import (
    convolutional_pose_machine,
    receptive_field,
)

SIZE = (64, 96)


def built(size=SIZE, joints=3, stages=3, filters=8, **settings):
    images = keras.Input((*size, 3), dtype="uint8")
    maps = convolutional_pose_machine(
        images, joints, stages=stages, filters=filters, **settings
    )
    return keras.Model(images, maps)


def by_hand(f, maps, stages, cells, biases):
    """Parameters and MACs, from the layers' table: (side, in, out, cells)."""
    front = [(9, 3, f, 64), (9, f, f, 16), (9, f, f, 4)]
    first = [(5, f, f // 4, 1), (9, f // 4, 4 * f, 1), (1, 4 * f, 4 * f, 1)]
    seen = f // 4 + maps + biases  # and the centre map
    later = [(5, f, f // 4, 1), (11, seen, f, 1), *[(11, f, f, 1)] * 2]
    table = front + first + [(1, 4 * f, maps, 1)]
    if stages > 1:
        table += front
        table += (stages - 1) * [*later, (1, f, f, 1), (1, f, maps, 1)]
    kernels = [k * k * i * o for k, i, o, _ in table]
    other = sum(o for _, _, o, _ in table)  # a bias, or scale and offset
    if not biases:
        other = 2 * other - stages * maps  # maps have biases
    total = sum(n * c for n, (_, _, _, c) in zip(kernels, table, strict=True))
    return sum(kernels) + other, total * cells


@pytest.mark.parametrize("form", ["authors", "mmpose"])
@pytest.mark.parametrize("stages", [1, 3])
def test_numbers_are_those_of_the_layers_table(form, stages):
    model = built(stages=stages, form=form)
    authors = form == "authors"
    expected = by_hand(8, 3 + authors, stages, 8 * 12, authors)
    assert (macs.parameters(model), macs.macs(model)) == expected
    outputs = [tuple(maps.shape) for maps in model.outputs]
    assert outputs == stages * [(None, 8, 12, 3 + authors)]


def test_the_published_sizes_by_hand():
    """The released Caffe model by its stages, and mmpose's."""
    counts = [by_hand(128, 15, s, 46 * 46, True) for s in (1, 2, 3, 6)]
    assert [count for count, _ in counts] == [
        *(4_386_095, 11_901_406, 16_731_021, 31_219_866),
    ]
    gmacs = [round(macs / 1e9, 2) for _, macs in counts]
    assert gmacs == [63.97, 134.56, 144.78, 175.44]
    mmpose = by_hand(128, 17, 6, 32 * 24, False)
    assert (mmpose[0], round(mmpose[1] / 1e9, 2)) == (31_304_166, 63.74)


def test_a_cell_sees_as_far_as_its_receptive_field():
    """By the gradient of one cell: kernels are positive, so nothing cancels."""
    import tensorflow as tf

    sides = []
    for stages in (1, 2):
        model = built((352, 352), 1, stages, 4, kernel=3)
        for layer in model.layers:
            if isinstance(layer, layers.Conv2D):
                kernel, bias = layer.get_weights()
                ones = np.full_like(kernel, 1 / kernel[..., 0].size)
                layer.set_weights([ones, bias + 0.1])
        start = model.get_layer("scale").output
        inner = keras.Model(start, model.outputs[-1])
        with tf.GradientTape() as tape:
            # noise: a maximum has one place only
            x = tf.constant(np.random.default_rng(0).random((1, 352, 352, 3)))
            x = tf.cast(x, "float32")
            tape.watch(x)
            cell = inner(x)[0, 22, 22, 0]
        seen = np.abs(tape.gradient(cell, x)[0]).sum(axis=-1) > 0
        rows = np.flatnonzero(seen.any(axis=1))
        sides.append(rows[-1] - rows[0] + 1)
    assert sides == [receptive_field(stages, 3) for stages in (1, 2)]


def test_receptive_fields_are_those_of_the_paper():
    """160 pixels in stage 1 and 400 after stage 2, rounded (section 3)."""
    assert [receptive_field(s) for s in (1, 2)] == [167, 407]


def test_the_centre_map_is_a_gaussian_in_the_middle():
    images = np.zeros((2, 368, 368, 3), "uint8")
    drawn = ops.convert_to_numpy(CenterMap()(images))
    assert drawn.shape == (2, 46, 46, 1)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    sigma, middle = CENTER * 368, 367 / 2
    assert sigma == pytest.approx(21)
    for row, column in ((22, 23), (20, 30), (0, 10)):
        pixels = (
            np.mgrid[-4:5, -4:5] + 8 * np.array([row, column])[:, None, None]
        )
        squares = ((pixels - middle) ** 2).sum(axis=0)
        inside = (pixels >= 0).all(axis=0)
        expected = (np.exp(-squares / (2 * sigma**2)) * inside).sum() / 81
        assert drawn[0, row, column, 0] == pytest.approx(expected, rel=1e-4)


def test_the_centre_map_is_saved(tmp_path):
    model = built(stages=2)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), "uint8")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(model(pixels), loaded(pixels), strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (one, other)))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"size": (64, 90)}, "divisible by 8, got 64 x 90"),
        ({"stages": 0}, "stages must be at least 1, got 0"),
        ({"filters": 6}, "filters must be divisible by 4, got 6"),
        ({"kernel": 4}, "kernel must be odd, got 4"),
        ({"form": "caffe"}, "form must be one of authors, mmpose, got 'caffe'"),
    ],
)
def test_impossible_networks_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        built(**settings)
