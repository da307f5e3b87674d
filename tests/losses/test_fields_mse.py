"""The loss of maps and fields: by hand, masked, without maps, trained."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import Fields, Heatmaps
from keras_pose.losses import FieldsMSE
from keras_pose.models import openpose
from keras_pose.models.heads import PoseMaps
from keras_pose.models.model import PoseModel, load_model
from keras_pose.skeletons import Skeleton

PAIR = Skeleton("pair", ("a", "b"), (("a", "b"),))
CODEC = Fields(PAIR, stride=2, sigma=1.0)
LABELS = np.zeros((2, 3, 2, 4), "float32")
LABELS[0, 0] = (4.5, 6.5, 2, 0), (16.5, 6.5, 2, 0)  # cells (2, 3), (8, 3)
CELLS = (8, 12)


def truth(stages=2):
    outputs = np.zeros((2, stages, *CELLS, CODEC.channels), "float32")
    target, _ = CODEC.target(LABELS, outputs)
    return outputs + ops.convert_to_numpy(target)


def costs(outputs, weight=None, **settings):
    loss = FieldsMSE(CODEC, **settings)
    terms = loss.reduced_terms(LABELS, outputs, weight)
    assert float(loss(LABELS, outputs, weight)) == pytest.approx(
        float(terms["maps"] + terms["fields"])
    )
    return [float(terms[name]) for name in ("maps", "fields")]


def test_the_truth_costs_nothing():
    assert costs(truth()) == [0, 0]


def test_logits_cost_what_their_values_do():
    codec = replace(CODEC, logits=True)
    outputs = np.random.default_rng(0).normal(size=truth().shape)
    values = np.concatenate(
        [1 / (1 + np.exp(-outputs[..., :3])), np.tanh(outputs[..., 3:])], -1
    )
    expected = costs(values.astype("float32"))
    terms = FieldsMSE(codec).reduced_terms(LABELS, outputs)
    found = [float(terms[name]) for name in ("maps", "fields")]
    assert found == pytest.approx(expected, rel=1e-5)
    seen = ops.convert_to_numpy(codec.seen(outputs.astype("float32")))
    kept = values[:, 1][..., [0, 1, 3, 4]]  # last stage, without background
    np.testing.assert_allclose(seen, kept, atol=1e-6)


def test_fields_of_nothing_cost_half_of_each_cell_of_a_limb():
    """27 cells of unit vectors, two stages, one of two pictures."""
    outputs = truth()
    outputs[..., 3:] = 0
    assert costs(outputs) == pytest.approx([0, 2 * 27 / 2 / 2])
    assert costs(outputs, reduction="sum") == pytest.approx([0, 2 * 27 / 2])


def test_each_cell_and_stage_counts_once():
    """0.5 off in two cells of a map, the background, and a field."""
    outputs = truth()
    outputs[0, 0, 1, 2:4, 0] += 0.5
    outputs[1, 1, 7, 11, 2] += 0.5
    outputs[1, 0, 5, 4, 4] -= 0.5
    error = 0.5**2 / 2
    assert costs(outputs, reduction="sum") == pytest.approx(
        [3 * error, error], rel=1e-5
    )


def test_masked_cells_cost_nothing():
    """A cell is masked if any of its 2 x 2 pixels is."""
    outputs = truth()
    outputs[0, :, 2, 5] += 1
    use = np.ones((2, 16, 24), "uint8")
    use[0, 5, 11] = 0  # the last pixel of the cell (5, 2)
    assert costs(outputs, use) == [0, 0]
    use[0, 5, 11], use[0, 6, 11] = 1, 0  # the cell below it
    assert costs(outputs, use) == pytest.approx(costs(outputs))
    cells = np.ones((2, *CELLS), "float32")
    cells[0, 2, 5] = 0.25
    quarter = [cost / 4 for cost in costs(outputs)]
    assert costs(outputs, cells) == pytest.approx(quarter)
    assert costs(outputs, np.array([0, 1])) == [0, 0]


def test_the_first_stages_may_have_no_maps():
    outputs = truth(stages=3)
    outputs[:, :2, ..., :3] = 7
    assert costs(outputs, without_maps=2) == [0, 0]
    outputs[0, 2, 0, 0, 0] += 1
    assert costs(outputs, without_maps=2) == pytest.approx([1 / 2 / 2, 0])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"without_maps": 2}, "without_maps must be 0 to 1, .* got 2"),
        ({"weight": np.ones((2, 8, 11))}, "8 x 12 cells or 16 x 24 .* 8 x 11"),
    ],
)
def test_what_does_not_fit_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        costs(truth(), **arguments)


def test_another_codec_is_refused():
    with pytest.raises(ValueError, match="codec must be Fields, got Heatmaps"):
        FieldsMSE(Heatmaps())


def test_weights_count_only_in_a_masked_loss():
    outputs = truth() + 1
    nothing = np.zeros((2, *CELLS), "uint8")
    assert costs(outputs, nothing) == [0, 0]
    assert costs(outputs, nothing, masked=False) == costs(outputs)
    assert costs(outputs)[0] > 0


def test_settings_survive_a_file():
    loss = FieldsMSE(CODEC, without_maps=1, masked=False, reduction="sum")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert again.codec == CODEC


def test_a_network_learns_what_is_not_masked_and_is_saved(tmp_path, eagerly):
    """Somebody without labels stands on the right: the mask hides him."""
    codec = Fields(PAIR, stride=8)
    images = keras.Input((32, 64, 3), dtype="uint8")
    stages = openpose.openpose(images, 2, 1, stages=2, filters=4)
    model = PoseModel(images, PoseMaps(codec, name="maps")(stages))
    loss = FieldsMSE(codec)
    model.compile(keras.optimizers.Adam(0.01), loss)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), "uint8")
    labels = np.zeros((2, 1, 2, 3), "float32")
    labels[:, 0] = (11.5, 11.5, 2), (11.5, 27.5, 2)
    use = np.ones((2, 32, 64), "uint8")
    use[:, :, 32:] = 0
    with eagerly():
        history = model.fit(
            pixels, labels, sample_weight=use, epochs=6, verbose=0
        ).history
    assert history["loss"][-1] < history["loss"][0]
    total = history["maps"][0] + history["fields"][0]
    assert history["loss"][0] == pytest.approx(total, rel=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.codec == codec
    found = (ops.convert_to_numpy(each(pixels)) for each in (loaded, model))
    np.testing.assert_array_equal(*found)
