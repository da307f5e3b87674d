"""One function of a photograph's pixels and a box, for every runtime."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pose import portable, serving
from keras_pose.codecs import Coordinates, Displacements, Expectation
from keras_pose.data import photograph, sampling
from keras_pose.models import heads
from keras_pose.models.model import PoseModel
from keras_pose.skeletons import MPII, Skeleton
from tests import test_export

BAD_BOXES = test_export.BAD_BOXES | {
    "larger than 100 pictures": [-4800, 0, 9601, 5],
    "below a pixel": [3, 3, 0.9, 0.9],
}
HOSTILE = {
    "one pixel": ((1, 1), [0, 0, 1, 1]),
    "a row": ((1, 5000), [0, 0, 5000, 1]),
    "a column": ((5000, 1), [0, 0, 1, 5000]),
    "a box of 100 pictures": ((1, 3000), [-1e5, -1e5, 3e5, 3e5]),
    "far outside": ((9, 13), [-1290, -700, 1295, 705]),
    "a corner": ((40, 30), [29, 39, 4, 4]),
}
"""(height, width) of photographs, and boxes that `can_hold` takes."""


@pytest.fixture(scope="module")
def locator(oracle_model):
    return portable.Locator(oracle_model)


def locate(locator, image, box):
    found = locator.image(tf.constant(image), tf.constant(box, tf.float32))
    return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("block", [4, 8, 12])
def test_it_finds_the_dots(locator, oracle, block):
    picture, joints = oracle.draw(oracle.cells(block), (16, 24), block)
    height, width = picture.shape[:2]
    found = locate(locator, picture, [0, 0, width, height])
    np.testing.assert_allclose(found["joints"], joints, atol=1e-3)
    np.testing.assert_allclose(found["scores"], 1, atol=0.02)
    assert not found["missing"].any()


@pytest.mark.parametrize("flip", [False, True])
def test_it_finds_what_the_saved_model_does(oracle, oracle_model, flip):
    """Also with the flip test, in boxes that reach beyond the photograph."""
    picture, _ = oracle.draw(oracle.cells(3), (16, 24), 7)
    server = serving.Server(oracle_model, flip=flip)
    alone = portable.Locator(oracle_model, flip=flip)
    for box in ([0, 0, 168, 112], [-20.5, 10, 150, 140.25], [60, 30, 50, 70]):
        found = locate(alone, picture, box)
        wanted = server.images(picture[None], tf.constant([box], tf.float32))
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value[0], atol=1e-4)


@pytest.mark.parametrize("box", BAD_BOXES.values(), ids=BAD_BOXES)
def test_a_bad_box_gives_nan(locator, oracle, box):
    picture, _ = oracle.draw(oracle.cells(), (16, 24), 4)
    found = locate(locator, picture, box)
    assert np.isnan(found["joints"]).all()
    assert np.isnan(found["scores"]).all()


@pytest.mark.parametrize(("shape", "box"), HOSTILE.values(), ids=HOSTILE)
def test_any_size_and_box_gives_numbers(locator, shape, box):
    image = np.full((*shape, 3), 200, "uint8")
    found = locate(locator, image, box)
    assert np.isfinite(found["joints"]).all()
    assert np.isfinite(found["scores"]).all()


def test_a_plain_crop_has_the_pixels_of_the_other():
    """Of noise, in every position, so that a shifted block would differ."""
    rng = np.random.default_rng(0)
    for number in range(40):
        height, width = rng.integers(1, 700, 2)
        size = ((64, 96), (96, 64), (50, 50))[number % 3]
        image = tf.constant(rng.integers(0, 256, (height, width, 3), "uint8"))
        middle = rng.uniform(0, 1, 2) * (width, height)
        extent = rng.uniform(0.05, 3, 2) * (width, height) + 1
        box = np.concatenate([middle - extent / 2, extent]).astype("float32")
        wanted, back = photograph.crop(image, tf.constant(box), size)
        found = sampling.sample(image, back, size, plain=True)
        np.testing.assert_array_equal(found, wanted)


def test_all_its_operations_can_be_converted(locator):
    """No branch, loop, call or assertion, and no bits, as in Keras' argmax."""
    graph = locator.image.get_concrete_function().graph.as_graph_def()
    used = {node.op for node in graph.node}
    assert not graph.library.function
    assert {"Conv2D", "GatherV2"} <= used
    refused = {"Assert", "Bitcast", "BitwiseAnd", "If", "While", "MapDefun"}
    refused |= {"StatelessIf", "StatelessWhile", "PartitionedCall", "TopKV2"}
    assert not used & refused


def dots(codec, later=()):
    """A network of any codec of points whose answer follows the picture."""
    images = keras.Input((64, 96, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(images)
    if isinstance(codec, Expectation):
        x = keras.layers.AveragePooling2D(4)(x)
        x = keras.layers.Rescaling(4.0)(x)
        x = keras.layers.Conv2D(16, 3, padding="same")(x)
    else:
        x = keras.layers.AveragePooling2D(8)(x)
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(3 * codec.count, activation="tanh")(x)
        x = keras.layers.Reshape((codec.count, 3))(x)
        x = keras.layers.Rescaling(0.3)(x)
    outputs = [heads.PoseMaps(codec, name="first")([x])]
    outputs += [
        heads.PoseMaps(each, name=f"later{number}")([x[..., 1:]])
        for number, each in enumerate(later)
    ]
    model = PoseModel(images, outputs if later else outputs[0], name="dots")
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.normal(0, 0.3, w.shape) for w in model.get_weights()]
    )
    return model


SIZE = (64, 96)
SIDES = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
FIVE = Skeleton("five", (*SIDES, "head"))
"""Of a cascade, which has a crop for each joint: they take long to trace."""
MODELS = {
    "coordinates": lambda: dots(Coordinates(MPII, SIZE)),
    "expectation": lambda: dots(Expectation(MPII, SIZE, debias=True)),
    "cascade": lambda: dots(
        Coordinates(FIVE, SIZE), [Displacements(FIVE, SIZE)]
    ),
}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_every_codec_agrees_with_the_saved_model(build, oracle):
    """The later stage of a cascade sees crops of the photograph, too."""
    model = build()
    picture, _ = oracle.draw(oracle.cells(3), (16, 24), 9)
    box = [30.0, 20.0, 120.0, 100.0]
    server, alone = serving.Server(model), portable.Locator(model)
    found = locate(alone, picture, box)
    wanted = server.images(picture[None], tf.constant([box]))
    np.testing.assert_allclose(found["joints"], wanted["joints"][0], atol=1e-3)
    np.testing.assert_allclose(found["scores"], wanted["scores"][0], atol=1e-4)
    moved = locate(alone, picture, [40.0, 20.0, 120.0, 100.0])
    assert np.abs(moved["joints"] - found["joints"]).max() > 1
    bad = locate(alone, picture, [30.0, 20.0, -120.0, 100.0])
    assert np.isnan(bad["joints"]).all()
