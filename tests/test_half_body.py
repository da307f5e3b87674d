"""Half of the body: who is halved, what is shown, and that labels follow."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import half_body, pipeline, records
from keras_pose.data.augment import Augmentation, draw
from keras_pose.skeletons import COCO, MPII, Skeleton

PLAIN = {"rotation": 0.0, "zoom": 0.0, "flip_chance": 0.0, "color": 0.0}
HALVED = Augmentation(**PLAIN, half_body=1.0)
STANDING = np.array(
    [(-1, 9), (-1, 7), (-1, 5), (1, 5), (1, 7), (1, 9), (0, 5), (0, 2),
     (0, 1), (0, 0), (-3, 4), (-2, 3), (-1, 2), (1, 2), (2, 3), (3, 4)]
) * 10.0  # fmt: skip
"""x, y of MPII's joints: the upper body is 60 wide and 40 high, the lower 20
and 40."""
CENTER, SIDE = (5.0, 45.0), 120.0


def look(flags, upper=1.0, half=1.0, aspect=0.75):
    """`focus` on one person: centre and zoom."""
    center, zoom = half_body.focus(
        {"half": tf.constant([half]), "upper": tf.constant([upper])},
        tf.constant(STANDING[None], tf.float32),
        tf.constant([flags]),
        half_body.is_upper(MPII),
        tf.constant([CENTER]),
        tf.constant([SIDE]),
        aspect,
    )
    return center[0].numpy(), float(zoom[0])


def flagged(*joints):
    return [2 * (j in joints) for j in range(16)]


def test_the_upper_body_ends_above_the_hips():
    # the joints that the authors' code lists
    assert [*np.flatnonzero(half_body.is_upper(COCO))] == [*range(11)]
    assert [*np.flatnonzero(half_body.is_upper(MPII))] == [*range(7, 16)]


def test_half_a_body_is_its_joints_and_half_as_much_again():
    everything = flagged(*range(16))
    center, zoom = look(everything, upper=1.0)
    np.testing.assert_allclose(center, (0, 210 / 9), rtol=1e-5)
    # 60 wide at 3 : 4 is 80 high, more than 40
    assert zoom == pytest.approx(1.5 * 80 / SIDE)
    center, zoom = look(everything, upper=0.0)
    np.testing.assert_allclose(center, (0, 470 / 7), rtol=1e-5)
    assert zoom == pytest.approx(1.5 * 40 / SIDE)
    # wider than high: 60 at 3 : 2 is 40
    assert look(everything, aspect=1.5)[1] == pytest.approx(1.5 * 40 / SIDE)


def test_no_half_is_shown_smaller_than_the_person():
    center, zoom = look(flagged(*range(16)), aspect=0.25)
    assert zoom == 1
    np.testing.assert_allclose(center, (0, 210 / 9), rtol=1e-5)


@pytest.mark.parametrize(
    ("labelled", "half"),
    [
        (range(16), 0.0),  # not drawn
        (range(8), 1.0),  # not more than eight
        ((), 1.0),
    ],
)
def test_other_people_are_shown_whole(labelled, half):
    center, zoom = look(flagged(*labelled), half=half)
    assert zoom == 1
    np.testing.assert_array_equal(center, CENTER)


def test_a_half_without_joints_gives_way_to_the_other():
    lower, upper = range(7), range(7, 16)
    few = flagged(*lower, 8, 9)  # two joints above
    assert look(few, upper=1.0)[0][1] == pytest.approx(470 / 7)
    few = flagged(0, 1, *upper)
    assert look(few, upper=0.0)[0][1] == pytest.approx(210 / 9)
    # an unlabelled joint has no place
    missing = flagged(*lower, *upper[1:])
    assert look(missing)[0][1] == pytest.approx((210 - 20) / 8)


def test_shares_are_those_of_the_authors_code():
    many = 20_000
    found = draw(Augmentation(half_body=0.3), many, 3, 1)
    for name, share in (("half", 0.3), ("upper", 0.69)):
        off = 4 * (share * (1 - share) / many) ** 0.5
        assert abs(found[name].numpy().mean() - share) < off
    usual = draw(Augmentation(), many, 3, 1)
    for name, values in usual.items():  # what else is drawn stays
        np.testing.assert_array_equal(found[name], values)


def test_a_skeleton_of_one_half_is_refused():
    hand = Skeleton("hand", ("wrist", "thumb"))
    with pytest.raises(ValueError, match="half_body .* hand has wrist, thumb"):
        half_body.is_upper(hand)


@pytest.mark.parametrize("masking", [0.0, 1.0])
def test_labels_are_where_the_crop_shows_the_joints(
    tmp_path, save, colors, masking
):
    """Blocks of 5 pixels around the joints keep their colour in the crop."""
    joints = STANDING + (100, 30)
    image = np.zeros((150, 220, 3), "uint8")
    for (x, y), color in zip(joints.astype(int), colors, strict=True):
        image[y - 2 : y + 3, x - 2 : x + 3] = color
    quality = [
        *(cv2.IMWRITE_JPEG_QUALITY, 100),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
    ]
    encoded = cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes()
    person = records.Person(
        joints, np.full(16, 2), np.array([100.0, 75.0]), 120 / 200
    )
    picture = records.Picture(
        encoded, (150, 220), (person,), "p.jpg", np.eye(2, 3)
    )
    data = save(tmp_path, [picture] * 24)
    size, shown = (96, 72), set()
    settings = Augmentation(
        **PLAIN, half_body=1.0, masking=masking, masking_size=0.05
    )
    batches = pipeline.augmented(data, "train", size, 24, augmentation=settings)
    batch = next(batches.as_numpy_iterator())
    for crop, ((*_, labels),) in zip(
        batch["image"], batch["labels"][:, None], strict=True
    ):
        x, y = labels[:, :2].round().astype(int).T
        inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
        shown.add(tuple(inside))
        if not masking:
            near = crop[y[inside], x[inside]].astype(int) - colors[inside]
            assert np.abs(near).max() < 40
    halves = half_body.is_upper(MPII)
    assert len(shown) == 2  # an upper and a lower body
    for inside in shown:
        upper = np.array(inside)[halves].all()
        lower = np.array(inside)[np.logical_not(halves)].all()
        assert upper or lower
        assert not all(inside)
    if masking:  # 0.05 of the person, who is twice as large with lower bodies
        assert set(batch["side"]) - {0} == {5, 9}
