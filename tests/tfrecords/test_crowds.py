"""Drawn crowds: labels and masks are what the picture's buffers hold."""

import dataclasses
import re

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import annotations, ignore, pipeline, records
from keras_pose.data.dataset import open_dataset
from keras_pose.people import crowd_index, crowd_indices
from keras_pose.skeletons import MPII
from tfrecords import crowds, pictures, shards
from tfrecords.drawn import clothes, crowd, figure, pose, walk
from tfrecords.drawn.canvas import FINE, Canvas, panel

LOOK = clothes.random_look(np.random.default_rng(0))
CAMERA = crowd.Camera((120, 160), focal=200.0, height=1.5, horizon=30.0)


def empty(height, width):
    """A grey canvas of (height, width), lit from the viewer."""
    shape = FINE * height, FINE * width
    return Canvas(
        np.full((*shape, 3), 128, "float32"),
        np.full(shape, -np.inf, "float32"),
        np.array([0, 0, 1], "float32"),
    )


def standing(yaw=0.0, build=1.0, **angles):
    """The `Stance` of a person with arms out."""
    names = set(pose.LIMITS)
    upright = dict.fromkeys(
        [f"{s}_{n}" for s in ("left", "right") for n in names] + [*names], 0.0
    )
    arms = {"left_side": 60.0, "right_side": 60.0}
    return crowd.take_stance(upright | arms | angles, yaw, build)


def member(stature=1.7, **angles):
    return crowd.Actor(stature, 1.0, LOOK), standing(**angles)


def painted(places, cast=None, size=CAMERA.size):
    """The canvas and bodies of people at these places."""
    canvas, bodies = empty(*size), []
    cast = cast or [member()] * len(places)
    for number, ((actor, stance), place) in enumerate(
        zip(cast, places, strict=True), 1
    ):
        bodies.append(crowd.stand(CAMERA, actor, stance, *place))
        figure.paint_person(canvas.of(number), bodies[-1], actor.look)
    return canvas, bodies


def boxes_of(bodies):
    return np.array([(*b.box[0], *(b.box[1] - b.box[0])) for b in bodies])


def test_the_crowd_index_is_that_of_the_example():
    """(1, 1) ... (4, 4) in the box 1 ... 4, and the same two to the right."""
    one = np.arange(1.0, 5)[:, None].repeat(2, axis=1)
    joints = np.stack([one, one + (2, 0)])
    box = np.array([(1, 1, 3, 3), (3, 1, 3, 3)])
    flags = np.full((2, 4), 2)
    assert crowd_index(joints, flags, box) == 2 / 4
    # not labelled: (4, 4) of the first is in the box of the second
    flags[0, 3] = 0
    assert crowd_index(joints, flags, box) == (2 / 3 + 1 / 4) / 2
    # somebody without labels changes nothing
    joints, box = joints[[0, 1, 1]], box[[0, 1, 1]]
    flags = np.stack([*flags, np.zeros(4, int)])
    assert crowd_index(joints, flags, box) == (2 / 3 + 1 / 4) / 2


def test_without_people_or_labels_the_crowd_index_is_0():
    nothing = np.zeros((0, 4, 2)), np.zeros((0, 4)), np.zeros((0, 4))
    assert crowd_index(*nothing) == 0
    assert (
        crowd_index(np.ones((2, 4, 2)), np.zeros((2, 4)), np.ones((2, 4))) == 0
    )


def test_twice_as_far_is_half_as_large_and_half_as_far_below_the_horizon():
    (actor, stance), places = member(stature=2.0), ((1.0, 4.0), (1.0, 8.0))
    near, far = (crowd.stand(CAMERA, actor, stance, *p) for p in places)
    assert near.unit == 2.0 * 200 / 4 and far.unit == 2.0 * 200 / 8
    for place, column, row in zip(
        places, (79.5 + 50, 79.5 + 25), (30 + 75, 30 + 37.5), strict=True
    ):
        point = CAMERA.point(*place)
        np.testing.assert_allclose(point[:2], (column, row))
        assert CAMERA.x(column, place[1]) == place[0]


def test_depth_differs_by_the_pixels_of_a_short_way():
    """10 cm at 5 m and 200 pixels: 4 pixels."""
    near, far = (CAMERA.point(0, 5 + step)[2] for step in (-0.05, 0.05))
    assert near - far == pytest.approx(4.0, rel=1e-3)


@pytest.mark.parametrize("angles", [{}, {"left_hip": 60, "left_knee": 90}])
def test_the_lowest_pixel_of_a_person_is_on_the_ground(angles):
    low = crowd.Camera((120, 160), 200.0, height=0.85, horizon=30.0)
    actor, stance = member(**angles)
    body = crowd.stand(low, actor, stance, 0.0, 5.0)
    canvas = empty(120, 160)
    figure.paint_person(canvas.of(1), body, LOOK)
    rows = np.flatnonzero((canvas.owners == 1).any(axis=1)) / FINE
    assert rows[-1] == pytest.approx(low.point(0, 5)[1], abs=1)


def test_the_areas_are_the_pixels_of_the_buffer():
    canvas, bodies = painted([(-0.4, 5.0), (0.4, 6.0)])
    people, ignore = crowds.read_truth(canvas, bodies, boxes_of(bodies), 2)
    assert not ignore.any()
    for somebody in people:
        number = somebody.track + 1
        rows, columns = np.nonzero(canvas.owners == number)
        assert somebody.area == len(rows) / FINE**2
        x, y, width, height = somebody.visible_box
        assert (x, y) == (columns.min() // FINE, rows.min() // FINE)
        assert x + width - 1 == columns.max() // FINE
        assert y + height - 1 == rows.max() // FINE
    # every pixel that differs from the background is somebody's
    picture = canvas.colors != 128
    np.testing.assert_array_equal(canvas.owners > 0, picture.any(axis=-1))


def test_somebody_behind_a_twin_is_not_visible_and_not_labelled():
    """The camera is as high as the middle of both, so the far one is
    covered."""
    level = crowd.Camera((120, 160), 200.0, height=0.85, horizon=60.0)
    stance = standing(left_side=0.0, right_side=0.0)
    bodies = [
        crowd.stand(level, crowd.Actor(1.7, build, LOOK), stance, 0.0, away)
        for build, away in ((1.3, 4.0), (0.8, 8.0))
    ]
    for order in ((0, 1), (1, 0)):
        canvas = empty(120, 160)
        for number in order:
            own = canvas.of(number + 1)
            figure.paint_person(own, bodies[number], LOOK)
        assert not (canvas.owners == 2).any()
        far = bodies[1]
        assert canvas.of(2).hidden(far.joints, far.radii).all()
        people, ignore = crowds.read_truth(canvas, bodies, boxes_of(bodies), 2)
        assert [somebody.track for somebody in people] == [0]
        assert not ignore.any()


def test_an_occluded_joint_is_one_in_a_pixel_of_another():
    canvas, bodies = painted([(0.0, 5.0), (0.45, 6.0)])
    people, _ = crowds.read_truth(canvas, bodies, boxes_of(bodies), 2)
    far = next(p.person for p in people if p.track == 1)
    columns, rows = np.rint(FINE * far.joints + (FINE - 1) / 2).T.astype(int)
    owner = canvas.owners[rows, columns]
    assert {1, 2} <= set(owner)  # some lie on the edge of the body
    assert (far.flags[owner == 1] == 1).all()
    assert (far.flags[owner == 2] == 2).any()


def test_a_thing_in_front_belongs_to_nobody():
    canvas, bodies = painted([(0.0, 5.0)])
    before = canvas.owners.copy()
    corners = np.array([[70, 20], [90, 20], [90, 60], [70, 60]])
    panel(canvas, corners, 0.0, np.array([250.0, 0, 0]))
    assert (before[60:100, 150:170] == 1).any()
    assert not canvas.owners[60:100, 150:170].any()


def test_people_who_are_not_labelled_are_ignored_to_the_pixel():
    canvas, bodies = painted([(-0.6, 5.0), (0.6, 5.0)])
    people, ignore = crowds.read_truth(canvas, bodies, boxes_of(bodies), 1)
    assert [somebody.track for somebody in people] == [0]
    touched = (canvas.owners == 2).reshape(120, FINE, 160, FINE).any((1, 3))
    np.testing.assert_array_equal(ignore, np.where(touched, 255, 0))


def test_the_box_holds_shoes_and_hands_in_any_direction():
    """Alone, without a bag, a cap or long hair."""
    for yaw in (0, 90, 200):
        look = dataclasses.replace(LOOK, bag=False, hat=None, hair_length=0)
        cast = [(crowd.Actor(1.7, 1.0, look), standing(yaw, left_hip=40))]
        canvas, bodies = painted([(0.0, 5.0)], cast)
        _, inside, ((x, y, width, height),) = crowd.outline(
            CAMERA, cast, np.array([[0.0, 5.0]])
        )
        assert inside.all()
        rows, columns = np.nonzero(canvas.owners)
        reach = np.array([columns.min(), rows.min()]) // FINE - (x, y)
        assert (reach >= -1).all() and (reach < 4).all()
        reach = np.array([columns.max(), rows.max()]) // FINE + 1
        reach = (x + width, y + height) - reach
        assert (reach >= -1).all() and (reach < 4).all()


@pytest.mark.parametrize("number", [0, 4, 9])
def test_a_picture_has_the_crowd_index_that_it_should_have(number):
    bounds = number / 10, (number + 1) / 10
    drawn = crowds.draw((3, 0, number), (72, 96), bounds=bounds)
    assert drawn.image.shape == (72, 96, 3)
    people = [somebody.person for somebody in drawn.people]
    found = crowd_index(
        *(np.stack([getattr(p, n) for p in people]) for n in
          ("joints", "flags", "box"))
    )  # fmt: skip
    assert bounds[0] <= found < bounds[1]
    assert drawn.index == found
    again = crowds.draw((3, 0, number), (72, 96), bounds=bounds)
    np.testing.assert_array_equal(again.image, drawn.image)
    np.testing.assert_array_equal(again.owners, drawn.owners)
    other = crowds.draw((4, 0, number), (72, 96), bounds=bounds)
    assert (other.image != drawn.image).mean() > 0.5


def test_everybody_labelled_shows_three_joints():
    for number in range(4):
        drawn = crowds.draw((number,), (72, 96), people=(6, 8))
        assert len(MPII.joints) == 16
        for somebody in drawn.people:
            assert (somebody.person.flags == 2).sum() >= 3
            mask = drawn.mask(somebody.track)
            assert mask.shape == (72, 96)
            assert mask.any()


def test_distant_people_are_ignored_and_smaller_than_all_others():
    ignored = 0
    for number in range(6):
        drawn = crowds.draw((number,), (96, 128), (2, 2), unlabelled=0.5)
        ignored += (drawn.ignore > 0).sum()
        assert len(drawn.people) <= 2
    assert ignored > 0
    for number in range(20):
        rng = np.random.default_rng(number)
        camera = crowd.random_camera(rng, (96, 128))
        places = crowd.distant_places(rng, camera, 5)
        assert (places[:, 1] > camera.far).all()
        assert camera.near < camera.far


def test_a_crowd_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="1 to 1 people .* from 0.5 to 0.6"):
        crowds.draw((0,), (24, 32), people=(1, 1), bounds=(0.5, 0.6))


def test_poses_between_key_poses_follow_a_smooth_step():
    """3 s² - 2 s³: 5/32 at a quarter, 1/2 at the half; then the first again."""
    keys = [{"left_knee": 10.0}, {"left_knee": 42.0}]
    for time, expected in (
        (0, 10), (0.25, 15), (0.5, 26), (1, 42), (1.75, 15), (2, 10), (-1, 42),
    ):  # fmt: skip
        assert walk.interpolate(keys, time) == {"left_knee": expected}


def test_every_angle_of_a_walk_is_within_the_limits_of_its_joint():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        keys = walk.random_gait(rng) + walk.random_gestures(rng, 1.6)
        for key in keys:
            assert len(key) == 6 + 2 * 9
            for name, angle in key.items():
                low, high = pose.LIMITS[re.sub("left_|right_", "", name)]
                assert low <= angle <= high, name


def test_a_path_to_the_right_turns_the_person_to_the_right():
    """x to the right is 90 degrees, away from the camera 180."""
    for velocity, yaw in (((1, 0), 90), ((0, 1), 180), ((0, -1), 0)):
        path = walk.Path(np.array([0.0, 5]), np.array(velocity, float))
        assert path.yaw == pytest.approx(yaw)
        np.testing.assert_allclose(
            path.places(np.array([-1.0, 0, 2])),
            [(0 - vx, 5 - va) for vx, va in [velocity]]
            + [(0, 5), (2 * velocity[0], 5 + 2 * velocity[1])],
        )
        # the toes are where the path goes
        stance = standing(path.yaw)
        heel, toe = stance.points[16:18]
        ahead = (toe - heel)[[0, 2]] * (1, -1)
        assert ahead @ velocity > 0.99 * np.hypot(*ahead)


def clips(count, frames=8):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield walk.random_clip(rng, (96, 128), frames, (2, 5), 0.2)


def test_two_people_change_sides_in_the_picture():
    for clip in clips(5):
        columns = []
        for camera, places in zip(clip.cameras, clip.places, strict=True):
            columns.append([camera.point(*p)[0] for p in places[:2]])
        first, second = np.array(columns).T
        assert first[0] < second[0] and first[-1] > second[-1]
        gaps = clip.places[:, 0] - clip.places[:, 1]
        assert np.hypot(*gaps.T).min() > crowd.ROOM


def test_clips_keep_their_people_and_move_the_ground_with_the_camera():
    turned = 0
    for clip in clips(6):
        assert len(clip.actors) == clip.places.shape[1]
        assert clip.places.shape[0] == len(clip.cameras) == 8
        pans = np.array([camera.pan for camera in clip.cameras])
        turned += np.ptp(pans) > 0
        np.testing.assert_array_equal(FINE * pans % 1, 0)
        here, there = clip.cameras[0], clip.cameras[-1]
        shift = here.point(1, 5) - there.point(1, 5)
        np.testing.assert_allclose(shift, (pans[-1] - pans[0], 0, 0))
        # a column of the background moves just as far
        first, last = (clip.stage.canvas(c, []).colors for c in (here, there))
        step = round(FINE * shift[0])
        if step >= 0:
            first, last = first[:, step:], last[:, : last.shape[1] - step]
        else:
            first, last = first[:, :step], last[:, -step:]
        np.testing.assert_array_equal(first, last)
    assert 0 < turned < 6


def test_a_frame_does_not_depend_on_the_frames_before():
    settings = {"frames": 4, "size": (72, 96), "people": (2, 3)}
    alone = crowds.draw_frame((5, 0), 2, **settings)
    crowds._clip.cache_clear()
    for frame in range(3):
        drawn = crowds.draw_frame((5, 0), frame, **settings)
    np.testing.assert_array_equal(drawn.image, alone.image)
    tracks = {p.track for p in drawn.people}
    assert tracks == {p.track for p in alone.people} <= set(range(3))


def config(folder, **change):
    settings = {"train": 6, "val": 2, "test": 0, "size": (64, 80), "workers": 1}
    return crowds.Config(str(folder), **settings | change)


def test_records_hold_everybody(tmp_path):
    assert crowds.main(config(tmp_path / "out")) == str(tmp_path / "out")
    data = open_dataset(tmp_path / "out")
    assert data.is_drawn and data.max_side == 80
    paths = data.shards("train")
    found = [
        records.parse(record, 16) for record in tf.data.TFRecordDataset(paths)
    ]
    assert len(found) == 6
    most = max(len(picture.counted) for picture in found)
    assert data.most_people >= most > 1
    for index, picture in enumerate(found):
        bounds = index / 10, (index + 1) / 10
        drawn = crowds.draw((0, 0, index), (64, 80), bounds=bounds)
        names = [somebody.person.name for somebody in drawn.people]
        assert picture.is_whole and picture.size == (64, 80)
        assert [person.name for person in picture.counted] == names
        for person, somebody in zip(picture.counted, drawn.people, strict=True):
            assert person.area == somebody.area
            assert person.track == somebody.track
        mask = ignore.decode(picture.ignore) if picture.ignore else 0
        np.testing.assert_array_equal(drawn.ignore, mask)
        assert picture.source == f"drawn-0-0-{index}"


def test_clips_are_records_and_videos(tmp_path):
    folder = tmp_path / "out"
    crowds.main(config(folder, train=8, val=0, clip=4, videos=1, people=(2, 4)))
    paths = open_dataset(folder).shards("train")
    found = [
        records.parse(record, 16) for record in tf.data.TFRecordDataset(paths)
    ]
    frames = [(clip, frame) for clip in range(2) for frame in range(4)]
    assert [(p.source, p.clip, p.frame) for p in found] == [
        (f"drawn-0-0-{clip}-{frame}", f"drawn-0-0-{clip}", frame)
        for clip, frame in frames
    ]
    for picture in found:
        for person in picture.counted:
            assert person.name == f"{picture.source}#{person.track}"
    videos = list((folder / "clips").iterdir())
    assert [path.name for path in videos] == ["train-00000.webm"]
    video = cv2.VideoCapture(str(videos[0]))
    assert video.get(cv2.CAP_PROP_FPS) == walk.FRAME_RATE
    for frame in range(4):
        read, image = video.read()
        drawn = crowds.draw_frame(
            (0, 0, 0), frame, 4, size=(64, 80), people=(2, 4)
        )
        assert read and image.shape == (64, 80, 3)
        difference = image[..., ::-1].astype(float) - drawn.image
        assert np.abs(difference).mean() < 12  # grain does not survive VP8
    assert not video.read()[0]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """Drawn pictures, some of them without people, and who is in them."""
    folder = tmp_path_factory.mktemp("crowded")
    change = {"train": 24, "val": 0, "people": (0, 4), "unlabelled": 0.3}
    crowds.main(config(folder, **change))
    data = open_dataset(folder)
    found = [
        records.parse(record, 16)
        for record in tf.data.TFRecordDataset(data.shards("train"))
    ]
    return data, found


def test_pictures_may_be_of_nobody(crowded):
    data, found = crowded
    counts = [len(picture.counted) for picture in found]
    assert 0 in counts and max(counts) == data.most_people
    assert data.people("train") == len(found)
    entry = data.description["splits"]["train"]
    assert entry["people"] == sum(counts)
    assert entry["pictures"] == len(found)


def test_the_people_of_a_split_are_those_of_its_pictures(crowded):
    """What is masked is a crowd: poses found there are ignored."""
    data, found = crowded
    people = annotations.read_people(data, "train")
    assert people.pictures == [picture.source for picture in found]
    alone = people.take(np.flatnonzero(~people.crowd))
    each = [person for picture in found for person in picture.counted]
    assert alone.names == [person.name for person in each]
    assert alone.area.tolist() == [person.area for person in each]
    assert alone.track.tolist() == [person.track for person in each]
    np.testing.assert_array_equal(
        alone.joints,
        np.stack([p.joints * (p.flags[:, None] > 0) for p in each]),
    )
    masked = people.take(np.flatnonzero(people.crowd))
    assert len(masked) and not masked.flags.any()
    for number, picture in enumerate(found):
        mask = np.zeros((64, 80))
        for x, y, width, height in masked.box[masked.picture == number].astype(
            int
        ):
            mask[y : y + height, x : x + width] = 255
        covered = ignore.decode(picture.ignore) if picture.ignore else mask
        assert (mask >= covered).all()
        rows = masked.picture == number
        assert masked.area[rows].sum() == (covered > 0).sum()
    assert data.protocols == ("oks",)


def test_the_crowd_index_of_a_record_is_that_of_its_drawing(crowded):
    data, found = crowded
    people = annotations.read_people(data, "train")
    for number, index in enumerate(crowd_indices(people)):
        rows = np.flatnonzero((people.picture == number) & ~people.crowd)
        assert (index > 0) <= (len(rows) > 1)
        low = number % 12 / 10
        assert low - 1e-6 <= index < low + 0.1 + 1e-6


def as_it_is(picture):
    return picture


STRAIGHT = pipeline.augment.Augmentation(
    rotation=0.0, zoom=0.0, flip_chance=0.0, color=0.0
)
TURNED = dataclasses.replace(
    STRAIGHT, rotation=40.0, rotation_chance=1.0, zoom=0.3, flip_chance=0.5
)


@pytest.mark.parametrize(
    "augmentation", [STRAIGHT, TURNED], ids=["straight", "turned"]
)
def test_people_and_mask_move_with_the_picture(tmp_path, augmentation):
    """Each joint is a green dot, what is ignored is red; of 48 x 80 pixels in
    64 x 96."""
    folder = tmp_path / "out"
    size, stride = (48, 80), 4
    dots = np.array([(14, 10), (40, 30), (66, 12)])
    image, ignored = np.zeros((*size, 3), "uint8"), np.zeros(size, "uint8")
    ignored[26:46, 56:76] = 255
    image[ignored > 0] = 255, 0, 0
    people = []
    for track, dot in enumerate(dots):
        cv2.circle(image, tuple(dot.tolist()), 3, (0, 255, 0), -1)
        flags = np.zeros(16, int)
        flags[[0, 5]] = (2, 0) if track else (0, 1)  # right and left ankle
        joints = np.tile(dot, (16, 1))
        person = records.Person(joints, flags, dot, 0.1, name=f"x#{track}")
        people.append(crowds.Somebody(person, 9.0, (0, 0, 3, 3), track))
    picture = crowds.to_picture(
        crowds.Crowd(image, tuple(people), ignored, np.zeros((0, 0))), "x"
    )
    shards.save(
        folder,
        {"train": [picture] * 8},
        as_it_is,
        skeleton="mpii",
        protocol="pckh",
        workers=1,
        **pictures.DESCRIPTION,
    )
    data = open_dataset(folder)
    batches = pipeline.augmented(
        data,
        "train",
        (64, 96),
        8,
        augmentation=augmentation,
        mask_stride=stride,
    )
    batch = {k: v.numpy() for k, v in next(iter(batches)).items()}
    assert batch["labels"].shape == (8, 4, 16, 4)
    flips = np.linalg.det(batch["back"][:, :, :2]) < 0
    assert flips.any() == (augmentation is TURNED) and not flips.all()
    for image, labels, use, back, flipped in zip(
        *(batch[k] for k in ("image", "labels", "use", "back")),
        flips,
        strict=True,
    ):
        assert not labels[0, :, 2].any()
        places = []
        for row in labels[1:]:
            (joint,) = np.flatnonzero(row[:, 2])
            point = row[joint, :2]
            original = np.rint(back[:, :2] @ point + back[:, 2]).astype(int)
            places.append(tuple(original.tolist()))
            first = places[-1] == tuple(dots[0])
            assert joint == (5 if first != flipped else 0)
            assert row[joint, 2] == (1 if first else 2)
            if ((point >= 2) & (point < (94, 62))).all():
                x, y = np.rint(point).astype(int)
                around = image[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1))
                assert around[1] > 150 > 100 > around[0]
        assert sorted(places) == sorted(map(tuple, dots.tolist()))
        red = (image[..., 0] > 128) & (image[..., 1] < 128)
        cells = red.reshape(64 // stride, stride, 96 // stride, stride)
        share = cells.mean(axis=(1, 3))
        assert not use[share > 0.3].any()
        assert use[share == 0].mean() > 0.95  # those that touch its border
        assert (use == 0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": 0, "val": 0}, "at least one picture"),
        ({"size": (40, 80)}, "sides must be at least 48"),
        ({"people": (4, 2)}, "people must be from 0 to 100"),
        ({"people": (0, 0)}, "people must be from 0 to 100"),
        ({"people": (0, 2), "clip": 2}, "people must be from 1 to 100"),
        ({"crowd_index": (0.5, 0.5)}, "crowd_index must be from 0"),
        ({"people": (1, 1), "crowd_index": (0.5, 1.0)}, "more than one person"),
        ({"unlabelled": 1.0}, "unlabelled must be from 0 to below 1"),
        ({"clip": 4}, "multiples of --clip 4, got {'train': 6, 'val': 2}"),
        (
            {"clip": 2, "crowd_index": (0.0, 0.5)},
            "expected --clip or --crowd-index, got both",
        ),
        ({"seed": -1}, "must be 0 or more, got 0, 2, -1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        crowds.main(config(tmp_path / "out", **change))


def test_the_command_in_the_description_draws_the_same_again(tmp_path):
    crowds.main(config(tmp_path / "out", train=2, val=0, people=(2, 3)))
    command = open_dataset(tmp_path / "out").description["command"]
    assert command.startswith("python -m tfrecords.crowds --output ")
    assert command.endswith(
        " --train 2 --val 0 --test 0 --size 64 80 --people 2 3"
    )
