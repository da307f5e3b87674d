"""Joints drawn as dots must lie where the labels say, whatever was done."""

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose import console
from keras_pose.data import annotations, crop, pipeline, reading, records
from keras_pose.data.augment import NONE, Augmentation
from keras_pose.skeletons import MPII

WIDE = Augmentation(
    rotation=60, rotation_chance=1, zoom=0.4, distribution="uniform", color=0
)
TURN = replace(WIDE, zoom=0, flip_chance=0)
ZOOM = replace(WIDE, rotation=0, flip_chance=0)
FLIP = replace(NONE, flip_chance=1)


def jpeg(image):
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 98])[
        1
    ].tobytes()


def picture(image, person, matrix=((1, 0, 0), (0, 1, 0)), source="photo.jpg"):
    return records.Picture(
        jpeg(image), image.shape[:2], (person,), source, np.array(matrix, float)
    )


BRIGHTNESS = 60 + 12 * np.arange(16)  # of joint k: tells joints apart


def dots(size, center, side, seed, wide=1 / 90):
    """A picture of `size` whose 16 joints are dots of different brightness."""
    height, width = size
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(16, 2)
    step = side / 5
    joints = center + (grid - 1.5) * step + rng.uniform(-2, 2, (16, 2))
    y, x = np.mgrid[:height, :width]
    image = np.zeros(size)
    for (u, v), level in zip(joints, BRIGHTNESS, strict=True):
        square = (x - u) ** 2 + (y - v) ** 2
        image += level * np.exp(-square / (2 * (wide * side) ** 2))
    image = np.repeat(image.round().astype("uint8")[..., None], 3, axis=-1)
    person = records.Person(
        joints, np.full(16, 2), np.array(center), side / 200, name=str(seed)
    )
    return picture(image, person, source=f"{seed}.jpg")


def offsets(image, labels):
    """Label minus centre of mass of the dot there (N, 2), and their joints."""
    image = image[..., 0].astype(float)
    height, width = image.shape
    found, which = [], []
    for joint, (x, y, flag, _) in enumerate(labels):
        column, row = round(float(x)), round(float(y))
        r = 6
        if flag == 0 or not (r <= column < width - r and r <= row < height - r):
            continue
        part = image[row - r : row + r + 1, column - r : column + r + 1]
        v, u = np.mgrid[row - r : row + r + 1, column - r : column + r + 1]
        part = np.where(part > 0.1 * part.max(), part, 0)  # JPEG noise
        mass = part.sum()
        found.append((x - (u * part).sum() / mass, y - (v * part).sum() / mass))
        which.append(joint)
    return np.array(found), np.array(which)


PICTURES = {
    "crop": dict(size=(210, 180), center=(93.3, 104.8), side=120),
    "whole photograph": dict(size=(330, 500), center=(371.6, 140.2), side=130),
    "decoded at half size": dict(size=(403, 517), center=(250, 201), side=260),
    "decoded at a quarter": dict(size=(801, 950), center=(480, 401), side=540),
}


@functools.cache
def drawn(kind):
    return [dots(**PICTURES[kind], seed=s) for s in range(4)]


@pytest.mark.parametrize(
    "kind, size",
    list(zip(PICTURES, [(96, 128), (128, 96)] * 2, strict=True)),
    ids=PICTURES,
)
@pytest.mark.parametrize(
    "augmentation",
    [NONE, TURN, ZOOM, FLIP, WIDE],
    ids="none turn zoom flip all".split(),
)
def test_a_dot_lands_where_its_label_says(
    tmp_path, kind, size, augmentation, save
):
    data = save(tmp_path, drawn(kind))
    batches = pipeline.load(
        data, "train", size, 4, training=True, augmentation=augmentation
    )
    images, labels = next(iter(batches))
    assert images.shape == (4, *size, 3) and images.dtype == tf.uint8
    assert labels.shape == (4, 1, 16, 4) and labels.dtype == tf.float32
    seen = 0
    for image, label in zip(images.numpy(), labels.numpy()[:, 0], strict=True):
        found, _ = offsets(image, label)
        seen += len(found)
        assert np.abs(found).max() < 0.1
    assert seen >= 16


def test_a_flip_swaps_left_and_right(tmp_path, save):
    data = save(tmp_path, [dots(**PICTURES["crop"], seed=0, wide=1 / 25)])
    size = (128, 96)
    flipped = pipeline.load(
        data, "train", size, 1, training=True, augmentation=FLIP
    )
    (image,), ((label,),) = next(iter(flipped))
    ((plain,), ((joints,),)) = next(iter(pipeline.load(data, "train", size, 1)))
    mirror = np.array(MPII.mirror)
    difference = image.numpy().astype(int) - plain.numpy()[:, ::-1]
    assert np.abs(difference).max() <= 1
    expected = joints.numpy()[mirror] * (-1, 1, 1, 1) + (95, 0, 0, 0)
    np.testing.assert_allclose(label, expected, atol=1e-4)
    # The dot under the label of a left joint is the one drawn for the right.
    column, row = label.numpy()[:, :2].round().astype(int).T
    level = image.numpy()[row, column, 0]
    np.testing.assert_allclose(level, BRIGHTNESS[mirror], atol=10)


def test_labels_by_hand(tmp_path, save):
    joints = np.zeros((16, 2))
    joints[0], joints[1], joints[2] = (50, 40), (60, 40), (np.nan, 7)
    flags = np.array([2, 1] + 14 * [0])
    person = records.Person(joints, flags, np.array([50, 40]), 0.4, 10.0)
    data = save(tmp_path, [picture(np.zeros((90, 110, 3), "uint8"), person)])
    # A side of 80 fills 40 rows: half size about the middle (29.5, 19.5).
    ((_,), ((labels,),)) = next(iter(pipeline.load(data, "train", (40, 60), 1)))
    np.testing.assert_allclose(labels[0], (29.5, 19.5, 2, 5), atol=1e-4)
    np.testing.assert_allclose(labels[1], (34.5, 19.5, 1, 5), atol=1e-4)
    np.testing.assert_allclose(labels[2:, :3], 0)


def textured(size, seed=0):
    """Random colours, smooth over a few pixels."""
    noise = np.random.default_rng(seed).uniform(0, 255, (*size, 3))
    noise = cv2.GaussianBlur(noise, (0, 0), 2)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return (255 * noise).astype("uint8")


def someone(center, side, **more):
    joints = np.tile(np.array(center, float), (16, 1))
    return records.Person(
        joints, np.full(16, 2), np.array(center), side / 200, **more
    )


@pytest.mark.parametrize("zoom", [0.6, 1.0, 1.4])
def test_a_crop_is_what_opencv_reads_with_the_same_matrix(tmp_path, zoom, save):
    image = textured((150, 210))
    centers = [(70.2, 80.6), (0, 0), (200, 149), (300, 400)]
    people = [picture(image, someone(center, 90)) for center in centers]
    data = save(tmp_path, people)
    crops, matrices = next(
        iter(pipeline.views(data, "train", (64, 48), 4, zoom=zoom))
    )
    decoded = cv2.imdecode(np.frombuffer(jpeg(image), "uint8"), 1)[..., ::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for seen, matrix in zip(crops.numpy(), matrices.numpy(), strict=True):
        wanted = cv2.warpAffine(decoded, matrix, (48, 64), flags=flags)
        difference = np.abs(seen.astype(int) - wanted)
        # OpenCV rounds positions to 1/32 pixel.
        assert difference.max() <= 6 and difference.mean() < 0.5
    assert crops[3].numpy().max() == 0  # a person outside of the picture


def test_a_window_is_decoded_as_the_whole_picture_is(tmp_path, save):
    image = np.random.default_rng(0).integers(0, 256, (150, 210, 3), "uint8")
    # Crops that begin just right of columns 83, 84 and 96 (a block of 16).
    people = [someone((101.41 + i, 70.9), 50) for i in (0, 1, 13)]
    data = save(tmp_path, [picture(image, one) for one in people])
    crops, back = next(iter(pipeline.views(data, "train", (64, 48), 3)))
    whole = cv2.imdecode(np.frombuffer(jpeg(image), "uint8"), 1)[..., ::-1]
    wanted = crop.warp(
        np.stack([whole.reshape(-1, 3)] * 3),
        np.array([[150, 210]] * 3),
        back,
        np.ones((3, 3), "float32"),
        (64, 48),
    )
    assert np.abs(crops.numpy().astype(int) - wanted.numpy()).max() <= 1


@pytest.mark.parametrize("gained", [False, True])
def test_a_crop_is_what_an_export_reads_with_the_same_matrix(gained):
    """A gain multiplies a value that is rounded already: 1.5 times 0.5 apart,
    and rounded again, is one grey level."""
    sizes = [(50, 70), (61, 33), (40, 90)]
    windows = [textured(size, i) for i, size in enumerate(sizes)]
    rng = np.random.default_rng(0)
    turn = rng.uniform(-1, 1, (3, 2, 2)) + 0.5 * np.eye(2)
    back = np.concatenate([turn, rng.uniform(0, 40, (3, 2, 1))], axis=-1)
    gain = rng.uniform(0.6, 1.5, (3, 3)) if gained else np.ones((3, 3))
    arrays = [a.astype("float32") for a in (back, gain)]
    flat = [window.reshape(-1, 3) for window in windows]
    found = crop.cut_out((30, 44), np.concatenate(flat), sizes, *arrays)
    longest = max(map(len, flat))
    padded = [np.pad(w, ((0, longest - len(w)), (0, 0))) for w in flat]
    wanted = crop.warp(np.stack(padded), np.array(sizes), *arrays, (30, 44))
    difference = np.abs(found.astype(int) - wanted.numpy())
    assert difference.max() <= 1
    assert gained or (difference > 0).mean() < 1e-3
    assert found.std() > 20


def test_views_lead_back_to_the_photograph(tmp_path, save):
    # The record is a half-size crop that began at (100, 60).
    matrix = ((2, 0, 100.5), (0, 2, 60.5))
    person = someone(
        (40, 30), 64, head_size=6.0, box=(10, 20, 30, 40), name="a"
    )
    image = np.zeros((70, 90, 3), "uint8")
    data = save(tmp_path, [picture(image, person, matrix)])
    _, back = next(iter(pipeline.views(data, "train", (64, 32), 1)))
    # Crop pixel = record pixel: the middle (15.5, 31.5) shows (40, 30).
    middle = back[0].numpy() @ [15.5, 31.5, 1]
    np.testing.assert_allclose(middle, (180.5, 120.5), atol=1e-3)
    people = annotations.read_subjects(data, "train")
    np.testing.assert_allclose(people.joints[0, 3], (180.5, 120.5))
    np.testing.assert_allclose(people.center[0], (180.5, 120.5))
    np.testing.assert_allclose(people.scale[0], 0.64, rtol=1e-6)
    np.testing.assert_allclose(people.head_size[0], 12)
    np.testing.assert_allclose(people.box[0], (120.5, 100.5, 60, 80))
    assert people.names == ["a"] and people.sources == ["photo.jpg"]


def test_a_view_is_what_a_pipeline_of_views_gives(tmp_path, save):
    """Bit for bit, of the people and in the order that were asked for."""
    centers = [(70.2, 80.6), (20, 30), (130, 99)]
    people = [
        picture(textured((150, 210), i), someone(center, 60 + 30 * i))
        for i, center in enumerate(centers)
    ]
    data = save(tmp_path, people)
    chosen = np.array([2, 0, 2])
    found = pipeline.view(data, "train", (64, 48), chosen)
    batches = pipeline.views(data, "train", (64, 48), 3, people=chosen)
    for one, other in zip(found, next(iter(batches)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.ptp(found[0][0].astype(int) - found[0][1]) > 100


def test_a_shift_is_in_sides_of_the_persons_square(tmp_path, save):
    """Side 64 in a record of half size: 1/4 right is 32 of its pixels."""
    matrix = ((2, 0, 0.5), (0, 2, 0.5))
    image = np.zeros((70, 90, 3), "uint8")
    people = [someone((40, 30), 64), someone((50, 20), 32)]
    data = save(tmp_path, [picture(image, one, matrix) for one in people])
    batches = pipeline.views(
        data,
        "train",
        (64, 32),
        3,
        zoom=[1.0, 0.5, 2.0],
        shift=[(0.25, 0.0), (0.0, -0.5), (0.25, 0.5)],
        people=[0, 1, 0],
    )
    _, back = next(iter(batches))
    middles = back.numpy() @ [15.5, 31.5, 1]
    wanted = [(80.5 + 32, 60.5), (100.5, 40.5 - 32), (80.5 + 32, 60.5 + 64)]
    np.testing.assert_allclose(middles, wanted, atol=1e-3)
    steps = back.numpy()[:, 0, 0]  # photograph pixels per crop pixel
    np.testing.assert_allclose(steps, [2.0, 0.5, 4.0], rtol=1e-5)


@pytest.fixture
def seven(tmp_path, save):
    """Seven people who differ in colour and place."""
    pictures = [
        picture(textured((60 + s, 80), s), someone((40 + s, 30), 40))
        for s in range(7)
    ]
    return save(tmp_path, pictures)


def take(count, *args, **settings):
    batches = pipeline.load(*args, **settings).take(count)
    return [(x.numpy(), y.numpy()) for x, y in batches]


def assert_same(some, others):
    for (x, y), (u, v) in zip(some, others, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)


def test_a_resumed_run_sees_the_same_batches_bit_for_bit(seven):
    def epochs(count, **settings):
        return take(
            3 * count, seven, "train", (16, 24), 2, training=True, **settings
        )

    all_of_it = epochs(4, seed=5)
    tf.random.set_seed(77)  # state elsewhere must not matter
    assert_same(all_of_it[6:], epochs(2, seed=5, first_epoch=2))
    other = epochs(1, seed=6)
    assert not np.array_equal(other[0][0], all_of_it[0][0])


def test_threads_do_not_matter(seven, monkeypatch):
    batches = []
    for threads in (1, 4):
        monkeypatch.setattr(pipeline, "THREADS", threads)
        batches.append(take(6, seven, "train", (16, 24), 2, training=True))
    assert_same(*batches)


def test_no_pipeline_has_a_tuner_whose_sleep_its_end_waits_for(seven):
    for made in (
        pipeline.load(seven, "train", (64, 64), 2, training=True),
        pipeline.load(seven, "train", (64, 64), 2).repeat(),
        pipeline.augmented(seven, "train", (64, 64), 2),
        pipeline.views(seven, "train", (64, 64), 2),
    ):
        assert made.options().autotune.enabled is False


def test_an_epoch_shows_everybody_once_in_another_order(seven):
    ((images, _),) = take(1, seven, "train", (16, 24), 7)
    orders = []
    for images_, _ in take(
        3, seven, "train", (16, 24), 7, training=True, augmentation=NONE
    ):
        orders.append(
            [
                next(i for i in range(7) if np.array_equal(one, images[i]))
                for one in images_
            ]
        )
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_a_test_pass_ends_and_keeps_the_last_people(seven):
    sizes = [len(x) for x, _ in take(-1, seven, "train", (16, 24), 3)]
    assert sizes == [3, 3, 1]


def test_color_noise_is_a_gain_per_channel(tmp_path, save):
    grey = np.full((60, 80, 3), 100, "uint8")
    data = save(tmp_path, [picture(grey, someone((40, 30), 20))])
    levels = []
    for color in (0.4, 0.0):
        crops = pipeline.load(
            data,
            "train",
            (16, 24),
            1,
            training=True,
            augmentation=replace(NONE, color=color),
        )
        images, _ = next(crops.as_numpy_iterator())
        levels.append(images[0].reshape(-1, 3))
    changed, same = levels
    assert (changed == changed[0]).all()
    assert len(set(changed[0].tolist())) == 3
    assert (60 <= changed).all() and (changed <= 140).all()
    assert (same == 100).all()


def test_one_pixel_is_a_picture(tmp_path, save):
    image = np.full((1, 1, 3), 200, "uint8")
    data = save(tmp_path, [picture(image, someone((0, 0), 1))])
    ((images, labels),) = take(1, data, "train", (8, 12), 1)
    # Its 8 x 8 block fades out towards the centres of its black neighbours:
    # (1 - 0.5 / 8)**2 near the middle, (1 - 0.5 / 8)(1 - 5.5 / 8) at the side.
    np.testing.assert_allclose(images[0, 4, [6, 0], 0], (176, 59), atol=2)
    np.testing.assert_allclose(labels[0, 0, 0, :2], (5.5, 3.5), atol=1e-5)


def damaged(data, change):
    """The shard with its bytes changed."""
    (path,) = data.shards("train")
    with open(path, "rb") as file:
        content = bytearray(file.read())
    content = change(content)
    with open(path, "wb") as file:
        file.write(content)
    return path


def record_starts(data):
    return reading.open_split(data, "train").columns["start"]


def flip_byte(position):
    def change(content):
        content[position] ^= 1
        return content

    return change


def forget(monkeypatch):
    """What follows is as in another process."""
    monkeypatch.setattr(reading, "_opened", {})


def index_of(data):
    return reading.path_of(data.folder, "train")


READERS = {
    "load": lambda data: pipeline.load(data, "train", (16, 24), 2),
    "views": lambda data: pipeline.views(data, "train", (16, 24), 2),
    "people": lambda data: annotations.read_subjects(data, "train"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["corrupt", "truncated", "shortened"])
def test_a_damaged_shard_is_named_with_its_record(
    seven, what, reader, monkeypatch
):
    """At once by its size, or where there is no index yet."""
    starts = record_starts(seven)
    forget(monkeypatch)
    change = {
        "corrupt": flip_byte(starts[4] + 100),
        "truncated": lambda content: content[: starts[4] + 100],
        "shortened": lambda content: content[: starts[5] - 12],
    }[what]
    path = damaged(seven, change)
    if what == "corrupt":
        index_of(seven).unlink()
    with pytest.raises(ValueError, match=f"{path}.* record 4") as error:
        READERS[reader](seven)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["first byte", "middle", "last byte"])
@pytest.mark.parametrize("reader", ["load", "views"])
def test_a_corrupt_byte_is_noticed_when_its_record_is_read(
    seven, reader, place, monkeypatch
):
    index = reading.open_split(seven, "train")
    forget(monkeypatch)
    length = index.columns["length"][4]
    offset = {"first byte": 0, "middle": length // 2, "last byte": length - 1}
    path = damaged(seven, flip_byte(record_starts(seven)[4] + offset[place]))
    batches = iter(READERS[reader](seven))
    next(batches)  # records 0 and 1
    next(batches)
    message = rf"{path}: record 4 \(from 0\) is corrupt"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        next(batches)


def test_a_corrupt_record_ends_a_command_in_one_line(
    seven, monkeypatch, capsys
):
    path = damaged(seven, flip_byte(record_starts(seven)[4] + 100))

    def main(_):
        for _ in pipeline.load(seven, "train", (16, 24), 7):
            pass

    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit, match="1"):
        console.run(main, Nothing, "Reads all records.")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: record 4 (from 0) is corrupt")


@dataclass
class Nothing:
    """A command without flags."""


def test_opening_reads_no_shard(seven, monkeypatch):
    people = annotations.read_subjects(seven, "train")
    forget(monkeypatch)
    damaged(seven, lambda content: bytes(len(content)))
    again = annotations.read_subjects(seven, "train")
    np.testing.assert_array_equal(people.joints, again.joints)
    assert people.sources == again.sources


@pytest.mark.parametrize(
    "what", ["missing", "damaged", "cut", "empty", "other"]
)
def test_an_index_that_does_not_fit_is_made_again(
    seven, what, monkeypatch, tmp_path, save
):
    wanted = reading.open_split(seven, "train")
    path = index_of(seven)
    content = path.read_bytes()
    (tmp_path / "other").mkdir()
    other = save(tmp_path / "other", [picture(GOOD, someone((9, 9), 20))] * 7)
    reading.open_split(other, "train")
    spoilt = {
        "damaged": bytes(flip_byte(len(content) // 2)(bytearray(content))),
        "cut": content[:-50],
        "empty": b"",
        "other": index_of(other).read_bytes(),
    }
    path.unlink()
    if what != "missing":
        path.write_bytes(spoilt[what])
    forget(monkeypatch)
    found = reading.open_split(seven, "train")
    assert found.columns.keys() == wanted.columns.keys()
    for name, column in wanted.columns.items():
        np.testing.assert_array_equal(found.columns[name], column)
    assert found.paths == wanted.paths
    assert (found.names, found.sources) == (wanted.names, wanted.sources)
    rows = np.arange(7)
    assert found.read(rows).tolist() == wanted.read(rows).tolist()
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_read_without_an_index(
    seven, monkeypatch
):
    def read_only(path, *_):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", read_only)
    assert len(reading.open_split(seven, "train")) == 7
    files = [path.name for path in seven.folder.iterdir()]
    assert sorted(files) == ["dataset.json", "train-00000-of-00001.tfrecord"]


def test_another_file_in_the_place_of_a_shard_is_refused(seven, tmp_path, save):
    reading.open_split(seven, "train")
    other = tmp_path / "other"
    other.mkdir()
    save(other, [picture(textured((60, 80), 9), someone((40, 30), 40))] * 7)
    (path,) = seven.shards("train")
    (other / path.split("/")[-1]).replace(path)
    with pytest.raises(ValueError, match="not the file that dataset.json"):
        reading.open_split(seven, "train")


GOOD = textured((60, 80))


@pytest.mark.parametrize(
    "encoded, message",
    [
        (b"", "empty"),
        (jpeg(GOOD)[:-300], "truncated"),
        (cv2.imencode(".png", GOOD)[1].tobytes(), "not a JPEG"),
    ],
    ids=["empty", "truncated", "png"],
)
def test_a_bad_picture_is_named_before_training(
    tmp_path, encoded, message, save
):
    good = picture(GOOD, someone((40, 30), 40))
    bad = records.Picture(
        encoded, (60, 80), good.people, "bad.jpg", good.matrix
    )
    data = save(tmp_path, [good, bad])
    pattern = rf"tfrecord: record 1 .*\(bad.jpg\).*{message}"
    with pytest.raises(ValueError, match=pattern):
        pipeline.load(data, "train", (16, 24), 1)


@pytest.mark.parametrize("side", [0.0, -40.0, np.nan, np.inf], ids=str)
def test_a_person_of_no_size_is_named(tmp_path, side, save):
    data = save(tmp_path, [picture(GOOD, someone((40, 30), side))])
    with pytest.raises(ValueError, match="record 0 .*scale must be positive"):
        pipeline.views(data, "train", (16, 24), 1)


def spoil(record, name, **values):
    """A record with another feature: kind and values, or none."""
    example = tf.train.Example.FromString(records.write(record))
    example.features.feature[name].Clear()
    for kind, value in values.items():
        getattr(example.features.feature[name], kind).value.extend(value)
    return example.SerializeToString()


INF = float("inf")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("image/size", {"int64_list": [600, 80]}, r"\(60, 80\), but .*600, 80"),
        ("image/matrix", {"float_list": [INF] * 6}, "must be invertible"),
        ("image/matrix", {"float_list": [0] * 6}, "must be invertible"),
        ("people/flags", {"int64_list": [3] * 16}, "flags must be 0, 1 or 2"),
        ("people/joints", {"float_list": [INF] * 32}, "NaN or infinite"),
        (
            "people/joints",
            {"float_list": [1.0] * 30},
            "32 numbers in people/joints, got 30",
        ),
        (
            "people/scale",
            {"float_list": [1.0] * 1001},
            "at most 1,000 people, got 1,001",
        ),
        ("people/name", {}, "1 values in people/name, got 0"),
        ("people/box", {"float_list": [INF] * 4}, "people/box is infinite"),
        (
            "image/encoded",
            {"bytes_list": [b"", b""]},
            "1 value in image/encoded, got 2",
        ),
    ],
)
def test_a_record_that_cannot_be_is_named(
    tmp_path, save, name, values, message
):
    good = picture(GOOD, someone((40, 30), 40))
    data = save(tmp_path, [good, spoil(good, name, **values)])
    with pytest.raises(ValueError, match=f"tfrecord: record 1 .*{message}"):
        reading.open_split(data, "train")


def test_a_record_that_is_no_example_is_named(tmp_path, save):
    data = save(tmp_path, [b"\xff\xff\xff"])
    with pytest.raises(
        ValueError, match="record 0 .*is not a tf.train.Example"
    ):
        reading.open_split(data, "train")


def test_fewer_records_than_described_are_named(tmp_path, save):
    data = save(tmp_path, [picture(GOOD, someone((40, 30), 40))] * 2)
    (shard,) = data.description["splits"]["train"]["shards"]
    shard["records"] = 3
    with pytest.raises(ValueError, match="expected 3 records, got 2"):
        reading.open_split(data, "train")


@pytest.mark.parametrize(
    "changes",
    [
        {"length": np.full(7, 2**40)},
        {"start": np.full(7, -5)},
        {"shard": np.full(7, 9, "int32")},
        {"flags": np.zeros((7, 16), "int64")},
        {"scale": np.ones(6, "float32")},
        {"names": ["a"]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_index_that_cannot_be_is_not_believed(seven, changes, monkeypatch):
    """With the right checksum of its own: made so, not damaged."""
    index = reading.open_split(seven, "train")
    described = seven.description["splits"]["train"]["shards"]
    names = changes.pop("names", index.names)
    forged = replace(index, columns=index.columns | changes, names=names)
    path = index_of(seven)
    reading.save(path, forged, described)
    assert reading.load(path, index.paths, described, 16) is None
    reading.save(path, index, described)
    assert len(reading.load(path, index.paths, described, 16)) == 7


def test_a_record_of_another_skeleton_is_named(tmp_path, save):
    data = save(
        tmp_path, [picture(GOOD, someone((40, 30), 40))], skeleton="lsp"
    )
    with pytest.raises(
        ValueError, match="must have 14 joints per person, got 16"
    ):
        reading.open_split(data, "train")


def test_records_of_another_program_are_named(tmp_path, save):
    data = save(tmp_path, [tf.train.Example().SerializeToString(), b"junk"])
    with pytest.raises(ValueError, match="record 0 .*not of this suite"):
        reading.open_split(data, "train")


def test_fewer_people_than_a_batch_cannot_train(seven):
    with pytest.raises(ValueError, match="7 people, fewer than one batch of 8"):
        pipeline.load(seven, "train", (16, 24), 8, training=True)


def test_an_epoch_shows_each_of_the_chosen_people_once(seven):
    chosen, args = [5, 0, 3], (seven, "train", (16, 24), 1)
    everyone = [x for x, _ in take(7, *args)]
    settings = {"training": True, "augmentation": NONE}
    batches = [x for x, _ in take(6, *args, people=chosen, **settings)]
    for epoch in (batches[:3], batches[3:]):
        seen = [
            person
            for person, crop in enumerate(everyone)
            for shown in epoch
            if np.array_equal(crop, shown)
        ]
        assert seen == [0, 3, 5]


def test_a_larger_choice_of_people_contains_a_smaller_one():
    small, large = pipeline.choose(100, 20), pipeline.choose(100, 50)
    assert len(set(large.tolist())) == 50 and set(large) <= set(range(100))
    np.testing.assert_array_equal(large[:20], small)


def test_zoom_must_be_positive(seven):
    with pytest.raises(ValueError, match="zoom must be positive, got 0"):
        pipeline.views(seven, "train", (16, 24), 2, zoom=0)


def test_neighbours_follow_the_subject_the_nearest_first(tmp_path, save):
    """Three of four people at known distances, one without labelled joints."""

    def person(x, flags, scale=0.3):
        joints = np.full((16, 2), (x, 60.0)) + np.arange(16)[:, None]
        return records.Person(
            joints, np.full(16, flags), np.array([100.0, 60.0]), scale, 10.0
        )

    image = np.zeros((120, 200, 3), "uint8")
    subject, far, none, near = (
        # near is nearer to the middle, 100, than the subject itself
        person(x, flags)
        for x, flags in ((70, 2), (0, 1), (100, 0), (110, 2))
    )
    others = (far, none, near)
    alone = picture(image, subject, source="0.jpg")
    crowd = replace(picture(image, subject), people=(subject, *others))
    data = save(tmp_path, [crowd, alone])

    def labels(count, **settings):
        batches = pipeline.load(
            data, "train", (60, 96), 2, neighbours=count, **settings
        )
        return next(iter(batches))[1].numpy()

    one, three, five = (labels(count) for count in (0, 2, 4))
    assert three.shape == (2, 3, 16, 4) and five.shape == (2, 5, 16, 4)
    for many in (three, five):
        np.testing.assert_array_equal(many[:, :1], one)
        # 60 pixels of the photograph (0.3 of 200) are 60 rows of the crop
        apart = many[0, 1:3, :, 0] - one[0, 0, :, 0]
        np.testing.assert_allclose(apart, [[40] * 16, [-70] * 16], atol=1e-3)
        assert many[0, 1:3, 0, 2].tolist() == [2, 1]
        assert not many[0, 3:, :, :3].any() and not many[1, 1:, :, :3].any()
    flipped = labels(
        2,
        training=True,
        augmentation=replace(NONE, flip_chance=1),
    )
    found = flipped[flipped[:, 1, 0, 2] > 0][0]  # the order is shuffled
    mirrored = three[0, :, MPII.mirror].swapaxes(0, 1)
    np.testing.assert_allclose(found[:, :, 0], 95 - mirrored[..., 0], atol=1e-3)
    np.testing.assert_array_equal(found[..., 2], mirrored[..., 2])
