"""Flip and pyramid must not move a joint: seen by a network that cannot err."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_pose import geometry
from keras_pose.codecs import Heatmaps, gaussians
from keras_pose.data import pipeline
from keras_pose.inference import top_down
from keras_pose.models import model as saved
from keras_pose.models.heads import PoseMaps, codec_of
from keras_pose.skeletons import LSP, MPII

SEEN = ("left_wrist", "right_wrist", "head_top")
INDICES = [MPII.index(joint) for joint in SEEN]


def blobs(wide=6.0):
    """A picture 64 x 96: a red blob left and right, a green one between."""
    y, x = np.mgrid[:64, :96]
    image = np.zeros((1, 64, 96, 3))
    for channel, u, v in ((0, 70.3, 40.7), (0, 21.6, 33.2), (1, 50.1, 20.4)):
        square = (x - u) ** 2 + (y - v) ** 2
        image[..., channel] += 250 * np.exp(-square / (2 * wide**2))
    return image.round().astype("uint8")


def middles(maps):
    """(3, 2) centres of mass in cells of the maps that see something."""
    maps = maps[0][..., INDICES]
    y, x = np.mgrid[: maps.shape[0], : maps.shape[1]]
    cells = np.stack([x, y], axis=-1)
    mass = np.einsum("hwk,hwc->kc", maps, cells)
    return mass / maps.sum(axis=(0, 1))[:, None]


def test_centered_flip_changes_nothing_at_all(wrists_model):
    model, images = wrists_model("center"), blobs()
    once = top_down.probabilities(model, images)
    assert once.shape == (1, 16, 24, 16) and once.max() > 0.5
    twice = top_down.probabilities(model, images, flip=True)
    np.testing.assert_allclose(twice, once, atol=1e-6)


def test_cornered_flip_moves_joints_by_no_more_than_rounding(wrists_model):
    model, images = wrists_model("corner"), blobs()
    once = top_down.probabilities(model, images)
    twice = top_down.probabilities(model, images, flip=True)
    np.testing.assert_allclose(middles(twice), middles(once), atol=0.01)
    # Not moved, mirrored maps lie 3/4 of a cell to the left: their mean with
    # the others 3/8.
    codec = Heatmaps("mpii", 4, "center")
    mirrored = top_down.probabilities(model, images[:, :, ::-1])
    naive = (once + np.array(codec.mirror(mirrored))) / 2
    shift = middles(naive) - middles(once)
    np.testing.assert_allclose(shift, [[-0.375, 0]] * 3, atol=0.01)


def test_logits_become_probabilities_of_the_last_stack():
    images = keras.Input((8, 12, 3), dtype="uint8")
    values = keras.layers.Rescaling(1.0)(images)
    maps = keras.layers.Concatenate()([values] * 5 + [values[..., :1]])
    stacks = [maps, keras.layers.Rescaling(0.5)(maps)]
    model = keras.Model(
        images, PoseMaps(Heatmaps("mpii", 1, logits=True))(stacks)
    )
    found = top_down.probabilities(model, np.full((1, 8, 12, 3), 4, "uint8"))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-2)), rtol=1e-6)


@pytest.mark.parametrize("alignment", ["center", "corner"])
@pytest.mark.parametrize(
    "trick", ({}, {"flip": True}, {"scales": 3, "flip": True}), ids=str
)
def test_every_way_of_testing_finds_the_photographs_pixels(
    wrists_model, wrists_data, alignment, trick
):
    """A cell is 12.5 pixels of the photograph here; so one is a close match."""
    dataset, joints = wrists_data(head_sizes=(40.0,) * 3)
    found = top_down.predict_people(
        wrists_model(alignment),
        dataset,
        "val",
        batch_size=2,
        decoding="dark",
        keep_maps=True,
        **trick,
    )
    assert found.maps.shape == (3, 16, 24, 16)
    truth = [joints[joint] for joint in SEEN]
    for person in range(3):  # the last in a batch of its own
        off = np.linalg.norm(found.joints[person, INDICES] - truth, axis=-1)
        assert off.max() < 1.0
    assert found.scores[:, INDICES].min() > 0.7


def test_maps_are_decoded_with_the_sigma_of_the_model(
    wrists_model, wrists_data, monkeypatch
):
    dataset, _ = wrists_data()
    model = wrists_model()
    head = model.get_layer(model.output_names[-1])
    monkeypatch.setattr(head, "codec", replace(head.codec, sigma=2.0))
    settings = {"batch_size": 2, "decoding": "soft"}
    found = top_down.predict_people(
        model, dataset, "val", keep_maps=True, **settings
    )
    ((_, matrices),) = pipeline.views(dataset, "val", (64, 96), 2)
    for sigma, same in ((2.0, True), (1.0, False)):
        cells, _ = gaussians.decode(found.maps, "soft", sigma)
        pixels = np.array(gaussians.to_pixels(cells, 4))[:, INDICES]
        off = geometry.move(pixels, matrices.numpy()) - found.joints[:, INDICES]
        assert (np.abs(off).max() < 0.01) == same


def test_a_pyramid_reads_each_view_where_it_shows_the_cell():
    """Zoom 2 shows a joint 3 cells from the middle 1.5 cells from it."""
    codec = Heatmaps("mpii", 4)
    cells = np.array([[[5.5 + 3, 3.5 - 2]]])  # the middle is (5.5, 3.5)
    near = np.array([[[5.5 + 1.5, 3.5 - 1]]])
    one = np.array(gaussians.encode(cells, (8, 12), 1.0))
    half = np.array(gaussians.encode(near, (8, 12), 0.5))
    mean = codec.merge([half, one], [2.0, 1.0], (32, 48))
    found, _ = gaussians.decode(mean, "soft")
    np.testing.assert_allclose(np.array(found), cells, atol=0.1)
    blank = codec.merge([one, one], [1.0, 1.0], (32, 48))
    np.testing.assert_allclose(blank, one, atol=1e-6)


def test_a_cell_is_averaged_over_the_views_that_show_it():
    """A crop of half the side shows the inner half: outside only one counts."""
    codec = Heatmaps("mpii", 4)
    ones = np.ones((1, 8, 12, 16), "float32")
    mean = codec.merge([3 * ones, ones], [0.5, 1.0], (32, 48))
    np.testing.assert_allclose(mean[0, 4, 6], 2.0)
    np.testing.assert_allclose(mean[0, 0, 0], 1.0)


def test_another_skeleton_or_split_is_refused(wrists_model, wrists_data):
    dataset, _ = wrists_data()
    with pytest.raises(ValueError, match="joints of lsp, but .* has mpii"):
        model = wrists_model(skeleton="lsp")
        top_down.predict_people(model, dataset, "val", batch_size=2)
    model = wrists_model()
    with pytest.raises(ValueError, match="no split 'tset': it has val, test"):
        top_down.predict_people(model, dataset, "tset", batch_size=2)
    with pytest.raises(ValueError, match="'test' holds no people"):
        top_down.predict_people(model, dataset, "test", batch_size=2)
    with pytest.raises(ValueError, match="scales must be 1 or more, got 0"):
        top_down.predict_people(model, dataset, "val", batch_size=2, scales=0)


def test_a_model_of_nan_is_refused_by_name(wrists_data):
    dataset, _ = wrists_data()
    images = keras.Input((64, 96, 3), dtype="uint8")
    values = keras.layers.Rescaling(float("nan"))(images)[:, ::4, ::4]
    maps = keras.layers.Concatenate()([values] * 5 + [values[..., :1]])
    model = keras.Model(images, PoseMaps(Heatmaps())([maps]))
    model.jit_compile = False
    with pytest.raises(ValueError, match=r"NaN or infinite for photo.jpg#1 "):
        top_down.predict_people(model, dataset, "val", batch_size=2)


def test_files_that_are_no_models_are_refused(tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(FileNotFoundError, match="model.keras does not exist"):
        saved.load_model(path)
    path.write_bytes(b"no zip")
    with pytest.raises(ValueError, match="damaged or not a .keras file"):
        saved.load_model(path)
    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    plain.save(path)
    with pytest.raises(ValueError, match="model.keras .*PoseMaps, got Dense"):
        saved.load_model(path)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(ValueError, match="damaged"):
        saved.load_model(path)


def test_a_saved_model_predicts_the_same(wrists_model, tmp_path):
    model = wrists_model("corner")
    model.save(tmp_path / "model.keras")
    again = saved.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        top_down.probabilities(again, blobs()),
        top_down.probabilities(model, blobs()),
    )
    assert len(LSP.joints) != len(MPII.joints) == again.output_shape[-1]


@pytest.fixture
def two_resolutions(tmp_path):
    """Path of a model that answers coarse, then fine; built fine first."""

    def write(coarse_last=False):
        images = keras.Input((64, 96, 3), dtype="uint8")
        outputs = []
        for stride in (4, 8):
            values = keras.layers.Rescaling(1 / 255)(images)
            cells = keras.layers.AveragePooling2D(stride)(values)
            maps = keras.layers.Concatenate()([cells] * 5 + [cells[..., :1]])
            head = PoseMaps(Heatmaps("mpii", stride))
            outputs.append(head([maps]))
        if not coarse_last:
            outputs = outputs[::-1]
        path = tmp_path / "model.keras"
        keras.Model(images, outputs, name="two").save(path)
        return path

    return write


def test_the_last_output_is_the_result(two_resolutions):
    """Whichever layer was made last: an 8 x 12 map is wanted, or 16 x 24."""
    model = saved.load_model(two_resolutions())
    assert (model.name, model.input_shape) == ("two", (None, 64, 96, 3))
    assert model.output_shape == (None, 1, 16, 24, 16)
    assert codec_of(model).stride == 4
    mean = blobs().reshape(1, 16, 4, 24, 4, 3).mean(axis=(2, 4)) / 255
    maps = top_down.probabilities(model, blobs())
    np.testing.assert_allclose(maps[..., :3], mean, atol=1e-6)
    path = two_resolutions(coarse_last=True)
    coarse = saved.load_model(path)
    assert codec_of(coarse).stride == 8
    assert top_down.probabilities(coarse, blobs()).shape == (1, 8, 12, 16)
    first, last = saved.load_whole(path).output_names
    fine = saved.load_model(path, first)
    np.testing.assert_array_equal(top_down.probabilities(fine, blobs()), maps)
    with pytest.raises(ValueError, match=f"one of {first}, {last}, got 'best'"):
        saved.load_model(path, "best")


def test_a_model_of_several_outputs_is_served(
    two_resolutions, tmp_path, eagerly
):
    import tensorflow as tf

    from keras_pose import export, serving

    model = saved.load_model(two_resolutions())
    folder = export.export(model, tmp_path / "served")
    served = tf.saved_model.load(folder).signatures["images"]
    boxes = np.array([[0, 0, 96, 64]], "float32")
    found = served(images=tf.constant(blobs()), boxes=tf.constant(boxes))
    with eagerly():
        expected = serving.Server(model).images(blobs(), boxes)
    np.testing.assert_allclose(found["joints"], expected["joints"], atol=1e-3)
    assert found["joints"].shape == (1, 16, 2)


def test_a_network_takes_the_weights_of_another_file(tmp_path):
    """Those of all its outputs, though only the last is kept."""
    images = keras.Input((8, 8, 3), dtype="uint8")
    values = keras.layers.Rescaling(1 / 255)(images)
    coarse = keras.layers.AveragePooling2D(2)(values)
    outputs = [
        PoseMaps(Heatmaps("mpii", stride))(
            [keras.layers.Conv2D(16, 1, bias_initializer="normal")(x)]
        )
        for stride, x in ((2, coarse), (1, values))
    ]
    model = keras.Model(images, outputs)
    paths = [tmp_path / name for name in ("first.keras", "second.keras")]
    for path in paths:
        model.set_weights([np.random.rand(*w.shape) for w in model.weights])
        model.save(path)
    seen = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), "uint8")
    whole = saved.load_whole(paths[0])
    last = saved.last_output(whole)
    before = top_down.probabilities(last, seen)
    assert saved.same_network(*paths)
    whole.load_weights(paths[1])
    second = top_down.probabilities(saved.load_model(paths[1]), seen)
    np.testing.assert_array_equal(top_down.probabilities(last, seen), second)
    assert np.abs(before - second).min() > 0
    keras.Model(images, outputs[1]).save(tmp_path / "other.keras")
    assert not saved.same_network(paths[0], tmp_path / "other.keras")


def test_images_are_looked_at_in_batches_of_one_size(wrists_model):
    model = wrists_model("center")
    images = np.concatenate([blobs(), blobs(4.0), blobs(8.0)])
    shapes = set()
    look = model.predict_on_batch

    def watched(images):
        shapes.add(images.shape)
        return look(images)

    model.predict_on_batch = watched
    pairs = top_down.probabilities(model, images, batch_size=2)
    assert shapes == {(2, 64, 96, 3)}
    model.predict_on_batch = look
    at_once = top_down.probabilities(model, images)
    np.testing.assert_allclose(pairs, at_once, atol=1e-6)
