"""Every joint is a block of its own colour: what was copied can be seen."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose import geometry
from keras_pose.data import masking, pipeline, records
from keras_pose.data.augment import SPOTS, Augmentation, draw
from keras_pose.data.dataset import open_dataset
from keras_pose.skeletons import MPII
from tfrecords import shards

PLAIN = Augmentation(rotation_chance=1, color=0)
MASKED = Augmentation(rotation_chance=1, color=0, masking=1)
SHAPE, CENTER, SIDE = (300, 440), (215.0, 150.0), 160
"""Height and width of a photograph, x and y of the person, its square."""
STANDING = SIDE / 9 * np.array(
    [(-1, 3.5), (-1, 2.5), (-1, 1), (1, 1), (1, 2.5), (1, 3.5), (0, 0), (0, -2),
     (0, -3), (0, -4), (-3, -1), (-2, -1), (-1, -2), (1, -2), (2, -1), (3, -1)]
)  # fmt: skip
"""x, y of MPII's joints about the person's centre, pixels."""


class Make:
    """Draws the photograph of a task: joints as blocks on dark noise."""

    def __init__(self, colors, flag=2):
        self.colors, self.flag = colors, flag

    def __call__(self, seed):
        rng = np.random.default_rng(seed)
        image = rng.integers(20, 60, (*SHAPE, 3), "uint8")
        image = cv2.GaussianBlur(image, (0, 0), 2)
        joints = STANDING + CENTER + rng.uniform(-2, 2, (16, 2))
        for (x, y), color in zip(
            joints.round().astype(int), self.colors, strict=True
        ):
            image[y - 5 : y + 6, x - 5 : x + 6] = color
        quality = [
            *(cv2.IMWRITE_JPEG_QUALITY, 100),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
        ]
        encoded = cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes()
        person = records.Person(
            joints,
            np.full(16, self.flag),
            np.array(CENTER),
            SIDE / geometry.PERSON_PIXELS,
        )
        straight = np.eye(2, 3)
        return records.Picture(encoded, SHAPE, (person,), "p.jpg", straight)


def save(folder, make, count=24):
    tasks = {"train": range(count)}
    names = dict(skeleton=MPII.name, protocol="pckh")
    shards.save(folder, tasks, make, workers=1, **names)
    return open_dataset(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory, colors):
    return save(tmp_path_factory.mktemp("people"), Make(colors))


def crops(data, augmentation, size=(96, 144), count=1, **more):
    """The first crops as arrays, `count` epochs of all 24 people."""
    batches = pipeline.augmented(
        data, "train", size, 24, augmentation=augmentation, **more
    )
    found = list(batches.take(count).as_numpy_iterator())
    return {k: np.concatenate([crop[k] for crop in found]) for k in found[0]}


def square(middle, side):
    """Rows and columns of a patch, as index arrays that broadcast."""
    column, row = middle.astype(int)
    steps = np.arange(int(side)) - int(side) // 2
    return (row + steps)[:, None], (column + steps)[None]


def is_covered(crop):
    """Which targets (B,) are joints."""
    gap = np.abs(crop["labels"][:, 0, :, :2] - crop["target"][:, None]).max(
        axis=2
    )
    return (gap < 0.51).any(axis=1)


@pytest.mark.parametrize("size", [(96, 144), (144, 96)])
def test_a_patch_is_a_copy_and_nothing_else_changes(data, size):
    plain, masked = (crops(data, a, size, 2) for a in (PLAIN, MASKED))
    np.testing.assert_array_equal(masked["labels"], plain["labels"])
    assert np.count_nonzero(masked["side"]) >= 20  # of 48; less if narrow
    for i, side in enumerate(masked["side"]):
        wanted = plain["image"][i].copy()
        if side:
            rows, columns = square(masked["target"][i], side)
            patch = plain["image"][i][square(masked["source"][i], side)]
            for row, line in zip(rows[:, 0], patch, strict=True):
                for column, pixel in zip(columns[0], line, strict=True):
                    if 0 <= row < size[0] and 0 <= column < size[1]:
                        wanted[row, column] = pixel
        np.testing.assert_array_equal(masked["image"][i], wanted)


def test_a_joint_is_covered_or_seen_twice(data, colors):
    plain, masked = crops(data, PLAIN, count=3), crops(data, MASKED, count=3)
    covered = is_covered(masked)
    order = np.array(MPII.mirror)
    seen = {"covered": 0, "copied": 0}
    for i in np.flatnonzero(masked["side"]):
        joints = masked["labels"][i, 0, :, :2]
        point = masked["target" if covered[i] else "source"][i]
        joint = np.abs(joints - point).max(axis=1).argmin()
        column, row = point.astype(int)
        color = plain["image"][i, row, column].astype(int)
        # A mirrored picture shows a joint where its opposite is labelled.
        either = colors[[joint, order[joint]]]
        assert np.abs(either - color).max(axis=1).min() < 20
        before, after = (
            (
                np.abs(crop["image"][i].astype(int) - color).max(axis=2) < 20
            ).sum()
            for crop in (plain, masked)
        )
        if covered[i]:
            assert np.abs(masked["image"][i, row, column] - color).max() > 60
            assert after == 0 < before
        else:
            assert abs(after - 2 * before) <= 0.05 * before
        seen["covered" if covered[i] else "copied"] += 1
    assert min(seen.values()) >= 20, seen


def test_patches_show_the_photograph_only(data):
    wide = Augmentation(zoom=0.5, rotation_chance=1, masking=1)
    found = crops(data, wide, count=4)
    covered = is_covered(found)
    seen = 0
    for i in np.flatnonzero(found["side"]):
        ends = ("source",) if covered[i] else ("source", "target")
        for end in ends:
            rows, columns = square(found[end][i], found["side"][i])
            assert rows.min() >= 0 and rows.max() < 96
            assert columns.min() >= 0 and columns.max() < 144
            corners = np.array([(columns.flat[j], rows.flat[k])
                                for j in (0, -1) for k in (0, -1)])  # fmt: skip
            x, y = geometry.move(corners, found["back"][i]).T
            assert x.min() > -0.01 and x.max() < SHAPE[1] - 0.99
            assert y.min() > -0.01 and y.max() < SHAPE[0] - 0.99
            seen += 1
    assert seen > 60


def chances(count, covers, zoom=1.0, size=0.15, seed=0):
    """As `augment.draw` gives them, of one kind and all masked."""
    rng = np.random.default_rng(seed)
    numbers = {
        "zoom": np.full(count, zoom),
        "patch": np.full(count, size),
        "covers": np.full(count, float(covers)),
        "pick": rng.uniform(size=count),
        "spots": rng.uniform(size=(count, SPOTS, 2)),
    }
    return {k: tf.constant(v, tf.float32) for k, v in numbers.items()}


def place(numbers, joints, flags, size=(96, 144)):
    """For crops that are the photographs, with the same people (P, K, 2)."""
    count = len(numbers["zoom"])
    found = masking.place(
        numbers,
        tf.constant(np.tile(joints, (count, 1, 1, 1)), tf.float32),
        tf.constant(np.tile(flags, (count, 1, 1))),
        MPII.limb_indices,
        tf.constant(np.tile(np.eye(2, 3), (count, 1, 1)), tf.float32),
        tf.constant(np.tile(size, (count, 1)), tf.int32),
        size,
    )
    return {k: v.numpy() for k, v in found.items()}


def two_people():
    """Joints (2, 16, 2) in a crop of 96 x 144 and flags; the subject first."""
    one = STANDING * 96 / SIDE + (45, 48)
    other = STANDING[:, ::-1] * 48 / SIDE + (115, 70)
    flags = np.full((2, 16), 2)
    flags[:, MPII.index("left_ankle")] = 0
    flags[0, MPII.index("left_knee")] = 1
    return np.stack([one, other]), flags


def on_limbs(joints, flags):
    """Points (N, 2) along all limbs that are labelled at both ends."""
    steps = np.linspace(0, 1, 201)[:, None]
    return np.concatenate(
        [
            person[a] + steps * (person[b] - person[a])
            for person, flag in zip(joints, flags, strict=True)
            for a, b in MPII.limb_indices
            if flag[a] and flag[b]
        ]
    )


@pytest.mark.parametrize("covers", [True, False])
def test_background_keeps_clear_of_everybody(covers):
    joints, flags = two_people()
    found = place(chances(500, covers), joints, flags)
    done = found["side"] > 0
    assert done.mean() > 0.9
    assert set(found["side"][done]) == {15}  # 0.15 * 96 = 14.4
    joint, spot = ("target", "source") if covers else ("source", "target")
    # Half a patch of 15 and half of another; limbs from rounded joints.
    gap = found[spot][done][:, None] - on_limbs(joints, flags)
    assert np.abs(gap).max(axis=2).min() >= 15 - 0.75
    near = np.abs(found[spot][done] - found[joint][done]).max(axis=1)
    limit = 15 + masking.NEARBY * 15 + 1
    assert near.max() > limit if covers else near.max() <= limit
    # All of the subject's visible joints are chosen, and only those.
    visible = joints[0][flags[0] == 2].round()
    same = (found[joint][done][:, None] == visible).all(axis=2)
    assert same.any(axis=1).all()
    fits = (visible >= 7).all(axis=1) & (visible <= (136, 88)).all(axis=1)
    np.testing.assert_array_equal(same.any(axis=0), covers | fits)


def test_a_square_meets_a_limb_where_points_on_it_lie_inside():
    joints, flags = two_people()
    spots = np.random.default_rng(0).uniform((0, 0), (144, 96), (2000, 2))
    far = np.abs(spots[:, None] - on_limbs(joints, flags)).max(axis=2)
    far = far.min(axis=1)
    met = masking.touches(
        tf.constant(spots[None], tf.float32),
        tf.constant([9.0]),
        tf.constant(joints[None], tf.float32),
        tf.constant(flags[None]),
        MPII.limb_indices,
    )
    sure = np.abs(far - 9) > 0.1
    np.testing.assert_array_equal(met[0].numpy()[sure], far[sure] < 9)
    assert 200 < (far < 9).sum() < 1800


def test_a_patch_is_as_large_as_the_person():
    joints, flags = np.full((1, 16, 2), (70.0, 50.0)), np.full((1, 16), 2)
    sides = [
        place(chances(9, True, zoom, size), joints, flags)["side"].max()
        for zoom, size in ((1, 0.15), (0.5, 0.15), (2, 0.15), (1, 0.01))
    ]
    # 0.15 * 96 / zoom = 14.4, 28.8, 7.2 to the next odd number; at least 3.
    assert sides == [15, 29, 7, 3]


@pytest.mark.parametrize("covers", [True, False])
def test_without_a_visible_joint_or_background_nothing_is_done(covers):
    joints, flags = two_people()
    numbers = chances(50, covers)
    assert place(numbers, joints, flags)["side"].max() == 15
    for flag in (0, 1):
        hidden = np.stack([np.full(16, flag), flags[1]])
        assert not place(numbers, joints, hidden)["side"].any()
    outside = joints + np.array([(500, 0), (0, 0)])[:, None]
    assert not place(numbers, outside, flags)["side"].any()
    y, x = np.mgrid[0:4, 0:4]
    everywhere = np.stack([x * 48, y * 32], axis=-1).reshape(1, 16, 2)
    close = place(chances(50, covers, size=0.3), everywhere, flags[:1])
    assert not close["side"].any()
    huge = place(chances(50, covers, size=1), joints, flags, (96, 90))
    assert not huge["side"].any()


def test_unlabelled_joints_may_be_anything():
    joints, flags = two_people()
    broken = np.where(flags[..., None] > 0, joints, np.nan)
    for covers in (True, False):
        numbers = chances(50, covers)
        found, wanted = (place(numbers, j, flags) for j in (broken, joints))
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name], value)
        nobody = place(
            numbers, np.full((2, 16, 2), np.nan), np.zeros_like(flags)
        )
        assert not nobody["side"].any()
        assert np.isfinite(nobody["source"] + nobody["target"]).all()


def test_a_sample_without_visible_joints_is_as_without_masking(
    tmp_path, colors
):
    data = save(tmp_path, Make(colors, flag=0))
    plain, masked = crops(data, PLAIN), crops(data, MASKED)
    np.testing.assert_array_equal(masked["image"], plain["image"])


def test_load_shows_what_is_masked_and_again_after_a_restart(data):
    def images(**more):
        batches = pipeline.load(
            data, "train", (96, 144), 24, training=True, augmentation=MASKED,
            **more,
        )  # fmt: skip
        return [x.numpy() for x, _ in batches.take(2)]

    first, second = images(seed=3)
    same = crops(data, MASKED, seed=3, count=2)["image"]
    np.testing.assert_array_equal(np.concatenate([first, second]), same)
    np.testing.assert_array_equal(images(seed=3, first_epoch=1)[0], second)


def test_masking_leaves_all_other_chances_alone():
    many = 20_000
    plain = draw(Augmentation(), many, 3, 7)
    masked = draw(Augmentation(masking=0.3, masking_size=0.2), many, 3, 7)
    assert set(plain) == {"zoom", "angle", "flip", "gain"}
    for name, value in plain.items():
        np.testing.assert_array_equal(masked[name], value)
    patch, covers = masked["patch"].numpy(), masked["covers"].numpy()
    assert set(patch) == {0, np.float32(0.2)}
    assert abs((patch > 0).mean() - 0.3) < 0.01
    assert abs(covers[patch > 0].mean() - 0.5) < 0.02
    alone = [patch, covers, masked["pick"], *masked["spots"][:, 0].numpy().T]
    alone += [plain["zoom"], plain["angle"], plain["flip"]]
    assert np.abs(np.corrcoef(alone) - np.eye(8)).max() < 0.03
    other = draw(Augmentation(masking=0.3), many, 3, 8)
    assert not np.array_equal(other["spots"], masked["spots"])


@pytest.mark.parametrize(
    "name, value",
    [("masking", 1.5), ("masking", -0.1), ("masking_size", 0.0),
     ("masking_size", 1.2)],
)  # fmt: skip
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must .* got {value}"):
        Augmentation(**{name: value})
