"""Where points go, by hand: x then y, pixel centres on whole numbers."""

import keras
import numpy as np
import pytest
import tensorflow.experimental.numpy as tnp

from keras_pose import geometry

SIZE = (8, 12)  # height, width: the middle is (5.5, 3.5)


def crop(center, side, angle=0.0, flip=0.0, xp=np):
    center = np.array(center, "float32")
    arguments = [np.float32(value) for value in (side, angle)]
    return geometry.crop_matrix(center, *arguments, SIZE, flip, xp=xp)


def test_the_center_goes_to_the_middle():
    for angle, flip in ((0, 0), (0.7, 0), (0.7, 1)):
        matrix = crop((30, 20), 16, angle, flip)
        moved = geometry.move(np.array([[30.0, 20.0]]), matrix)
        np.testing.assert_allclose(moved, [[5.5, 3.5]], atol=1e-5)


def test_the_side_fills_the_height():
    # 16 source pixels on 8 rows: 2 pixels to the right are 1 in the crop.
    matrix = crop((30, 20), 16)
    moved = geometry.move(np.array([[32.0, 20.0], [30.0, 28.0]]), matrix)
    np.testing.assert_allclose(moved, [[6.5, 3.5], [5.5, 7.5]], atol=1e-6)


def test_a_quarter_turn_moves_right_to_down():
    matrix = crop((0, 0), 8, angle=np.pi / 2)
    moved = geometry.move(np.array([[3.0, 0.0]]), matrix)
    np.testing.assert_allclose(moved, [[5.5, 6.5]], atol=1e-5)


def test_a_flip_is_the_mirror_of_the_crop():
    plain, flipped = crop((30, 20), 16, 0.5), crop((30, 20), 16, 0.5, 1.0)
    points = np.array([[31.0, 24.0], [27.0, 19.0]])
    x, y = geometry.move(points, plain).T
    mirrored = np.stack([12 - 1 - x, y], axis=-1)
    np.testing.assert_allclose(
        geometry.move(points, flipped), mirrored, atol=1e-5
    )


@pytest.mark.parametrize("xp", [tnp, keras.ops], ids=["tensorflow", "keras"])
def test_every_array_module_says_the_same(xp):
    centers = np.array([[30, 20], [5, 6]], "float32")
    sides, angles, flips = np.array([[16, 12], [0.3, -0.8], [0, 1]], "float32")
    points = np.arange(12, dtype="float32").reshape(2, 3, 2)
    results = []
    for module in (np, xp):
        matrix = geometry.crop_matrix(
            *(module.array(a) for a in (centers, sides, angles)),
            SIZE,
            module.array(flips),
            xp=module,
        )
        back = geometry.invert(matrix, xp=module)
        whole = geometry.compose(back, matrix, xp=module)
        moved = geometry.move(module.array(points), matrix, xp=module)
        results.append([np.asarray(a) for a in (matrix, back, whole, moved)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    nothing = [[[1, 0, 0], [0, 1, 0]]] * 2
    np.testing.assert_allclose(results[1][2], nothing, atol=1e-4)


def test_invert_by_hand():
    # x' = 2x + 1, y' = 4y - 8
    back = geometry.invert(np.array([[2.0, 0, 1], [0, 4.0, -8]]))
    np.testing.assert_allclose(back, [[0.5, 0, -0.5], [0, 0.25, 2]])


def test_compose_does_the_first_first():
    double = np.array([[2.0, 0, 0], [0, 2.0, 0]])
    right = np.array([[1.0, 0, 3], [0, 1.0, 0]])
    point = np.array([[1.0, 1.0]])
    moved = geometry.move(point, geometry.compose(second=double, first=right))
    np.testing.assert_allclose(moved, [[8, 2]])


def test_a_resize_keeps_the_borders():
    # 8 x 12 to 4 x 6: the edges -0.5 and W - 0.5 stay edges.
    matrix = geometry.resize_matrix((8, 12), (4, 6))
    moved = geometry.move(np.array([[-0.5, -0.5], [11.5, 7.5]]), matrix)
    np.testing.assert_allclose(moved, [[-0.5, -0.5], [5.5, 3.5]])


def test_a_box_to_center_and_scale():
    # Columns 10 ... 19 and rows 20 ... 59.
    center, scale = geometry.box_to_center_scale((10, 20, 10, 40))
    np.testing.assert_allclose(center, (14.5, 39.5))
    np.testing.assert_allclose(scale, 40 * 1.25 / 200)


def test_a_box_is_refitted_into_the_aspect_of_another_network():
    """80 wide and 60 high: 106.7 high at 3:4, 80 in a square, 60 at 4:3."""
    boxes = np.array([[5.0, 5, 80, 60], [0, 0, 30, 90], [np.nan] * 4])
    for aspect, wide in ((1.0, 80), (4 / 3, 60), (0.75, 320 / 3)):
        found = geometry.refit(boxes, 0.75, aspect)
        np.testing.assert_allclose(found, [wide / (320 / 3), 1, 1])


def test_a_box_is_fitted_into_the_aspect_of_the_network():
    """40 high at 3:4 is 30 wide: enough for 10 pixels, not for 60."""
    boxes = np.array([(10, 20, 10, 40), (10, 20, 60, 40)])
    center, scale = geometry.box_to_center_scale(boxes, aspect=192 / 256)
    np.testing.assert_allclose(center, [(14.5, 39.5), (39.5, 39.5)])
    np.testing.assert_allclose(scale, np.array([40, 80]) * 1.25 / 200)
