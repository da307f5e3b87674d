"""SavedModels: several people per photograph, which is decoded once."""

import numpy as np
import pytest
import tensorflow as tf

from keras_pose import serving
from keras_pose.data import photograph
from tests.test_portable import MODELS


@pytest.fixture(scope="module")
def server(oracle_model):
    return serving.Server(oracle_model)


@pytest.fixture
def photos(oracle):
    """Three pictures of different sizes, and their joints."""
    return [
        oracle.draw(oracle.cells(seed), (16, 24), block)
        for seed, block in ((1, 4), (2, 8), (3, 12))
    ]


def test_signatures_have_the_names_and_types_of_the_documentation(
    oracle_export,
):
    """What TensorFlow Serving's REST calls depend on."""
    signatures = tf.saved_model.load(str(oracle_export)).signatures
    text, byte, real, whole = tf.string, tf.uint8, tf.float32, tf.int32
    boxes = {"boxes": (real, [None, 4])}
    index = {"photo_index": (whole, [None])}
    encoded = {"encoded": (text, [None])} | boxes
    images = {"images": (byte, [None, None, None, 3])} | boxes
    one = {"image": (byte, [None, None, 3]), "box": (real, [4])}
    expected = {
        "serving_default": encoded,
        "encoded": encoded,
        "images": images,
        "encoded_people": encoded | index,
        "images_people": images | index,
        "image": one,
        "names": {},
    }
    assert {*signatures} == {*expected}
    for name, inputs in expected.items():
        _, found = signatures[name].structured_input_signature
        found = {k: (v.dtype, v.shape.as_list()) for k, v in found.items()}
        assert found == inputs
        if name == "names":
            continue
        outputs = signatures[name].structured_outputs
        batch = [] if name == "image" else [None]
        assert {
            k: (v.dtype, v.shape.as_list()) for k, v in outputs.items()
        } == {
            "joints": (real, [*batch, 16, 2]),
            "scores": (real, [*batch, 16]),
            "missing": (tf.bool, [*batch, 16]),
        }


def whole(picture):
    return [0.0, 0.0, float(picture.shape[1]), float(picture.shape[0])]


def test_each_box_is_of_its_photograph(server, photos, png):
    """In any order; the photograph in the middle has nobody."""
    index = [2, 0, 2]
    pictures = [picture for picture, _ in photos]
    boxes = [whole(pictures[2]), whole(pictures[0]), [40.0, 30, 160, 120]]
    found = server.encoded_people(
        tf.constant([*map(png, pictures)]),
        tf.constant(boxes),
        tf.constant(index),
    )
    for row, number in enumerate(index[:2]):
        np.testing.assert_allclose(
            found["joints"][row], photos[number][1], atol=1e-3
        )
    alone = server.encoded_people(
        tf.constant([png(pictures[2])]),
        tf.constant(boxes[2:]),
        tf.constant([0]),
    )
    for name, value in alone.items():
        np.testing.assert_array_equal(found[name][2], value[0])
    assert np.abs(found["joints"][2] - found["joints"][0]).max() > 1
    assert found["missing"].shape == (3, 16)


def test_pixels_give_the_same(server, photos, png):
    picture, joints = photos[1]
    boxes = tf.constant([whole(picture), [20.0, 10.0, 100.0, 90.0]])
    index = tf.constant([1, 0])
    files = server.encoded_people(tf.constant([png(picture)] * 2), boxes, index)
    pixels = server.images_people(np.stack([picture] * 2), boxes, index)
    for name, value in files.items():
        np.testing.assert_array_equal(value, pixels[name])
    np.testing.assert_allclose(pixels["joints"][0], joints, atol=1e-3)


@pytest.mark.parametrize("index", [[0, 3], [-1, 0], [0], [0, 1, 2]])
def test_an_index_beyond_the_photographs_is_refused(server, photos, png, index):
    encoded = tf.constant([png(picture) for picture, _ in photos])
    boxes = tf.constant([whole(photos[0][0])] * 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="photo_index"):
        server.encoded_people(encoded, boxes, tf.constant(index))


def test_a_bad_box_names_itself(server, photos, png):
    picture, _ = photos[0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="a box x, y"):
        server.encoded_people(
            tf.constant([png(picture)]),
            tf.constant([whole(picture), [0.0, 0.0, -1.0, 5.0]]),
            tf.constant([0, 0]),
        )


def test_a_cascade_decodes_each_photograph_once(
    photos, png, monkeypatch, eagerly
):
    decoded, decode = [], photograph.decode

    def count(encoded):
        decoded.append(encoded)
        return decode(encoded)

    monkeypatch.setattr(photograph, "decode", count)
    server = serving.Server(MODELS["cascade"]())
    encoded = tf.constant([png(picture) for picture, _ in photos[:2]])
    boxes = [whole(picture) for picture, _ in photos[:2]]
    with eagerly():
        one_each = server.encoded(encoded, tf.constant(boxes))
        assert len(decoded) == 2
        more = server.encoded_people(
            encoded, tf.constant(boxes * 2), tf.constant([0, 1, 0, 1])
        )
        assert len(decoded) == 4
        alone = [
            server.images(picture[None], tf.constant([box]))["joints"][0]
            for (picture, _), box in zip(photos, boxes, strict=False)
        ]
    for found in (one_each, more):
        assert np.isfinite(found["joints"]).all()
        # two at once or one alone
        np.testing.assert_allclose(found["joints"][:2], alone, atol=1e-2)
