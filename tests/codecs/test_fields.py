"""Fields: grouping the rendered truth finds the truth."""

import contextlib
import functools
import io
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from pycocotools.coco import COCO as Truth
from pycocotools.cocoeval import COCOeval
from scipy.optimize import linear_sum_assignment

from keras_pose.codecs import COCO18, Fields
from keras_pose.skeletons import COCO, MPII, Skeleton

TINY = Path(__file__).parents[3] / "shared/data/coco/annotations"
STANDING = np.array(
    [
        *[(10, 0), (11, -1), (9, -1), (12, 0), (8, 0)],  # face
        *[(14, 4), (6, 4), (16, 9), (4, 9), (17, 14), (3, 14)],  # arms
        *[(12, 15), (8, 15), (12, 21), (8, 21), (12, 27), (8, 27)],  # legs
    ]
)
"""A person of 14 x 28 units, the joints in COCO's order."""
CODECS = (
    Fields(COCO, parts=COCO18),
    Fields(COCO, stride=4, parts=COCO18, sigma=1.75, width=2.0),
)
both = pytest.mark.parametrize("codec", CODECS, ids=["stride 8", "stride 4"])


def people_at(*corners, size=8.0):
    """Labels (1, M, K, 3) of people; corners of the picture in pixels."""
    points = np.array([STANDING * size + corner for corner in corners])
    points = points.reshape(-1, *STANDING.shape)
    flags = np.full((*points.shape[:-1], 1), 2)
    return np.concatenate([points, flags], -1)[None].astype("float32")


def rendered(codec, labels, size):
    """`seen` of a network that outputs the target."""
    height, width = (side // codec.stride for side in size)
    outputs = np.zeros((1, 1, height, width, codec.channels), "float32")
    target, _ = codec.target(labels, outputs)
    return codec.seen(target)


@functools.lru_cache
def grouping_of(codec):
    """`codec.joints`; in TensorFlow as a graph of pictures of any size."""
    if keras.backend.backend() != "tensorflow":
        return codec.joints
    import tensorflow as tf

    channels = len(codec.parts.joints) + 2 * len(codec.limbs)
    signature = [tf.TensorSpec((None, None, None, channels), "float32")]
    return tf.function(codec.joints, input_signature=signature)


def found(codec, seen):
    """(M, K, 2) points, (M, K) scores and (M,) scores of those found."""
    people = grouping_of(codec)(seen)
    count = int(people.count[0])
    points, scores, total = (
        ops.convert_to_numpy(x)[0]
        for x in (people.points, people.scores, people.person_scores)
    )
    assert not points[count:].any() and not scores[count:].any()
    return points[:count], scores[:count], total[:count]


def assert_found(codec, labels, seen, atol=0.05):
    """Everybody, with all labelled joints, within cells of the truth."""
    points, scores, _ = found(codec, seen)
    truth = labels[0]
    assert len(points) == len(truth)
    away = np.abs(points[:, None] - truth[None, :, :, :2]).max(axis=-1)
    away = np.where(truth[None, :, :, 2] > 0, away, 0).max(axis=-1)
    rows, columns = linear_sum_assignment(away)
    assert (away[rows, columns] < atol * codec.stride).all()
    np.testing.assert_array_equal(scores[rows] > 0, truth[columns, :, 2] > 0)


@both
@pytest.mark.parametrize("number", [0, 1, 2, 30])
def test_everybody_is_found_however_many_they_are(codec, number):
    corners = [
        (90 * (n % 6) + 3.7 * n % 9, 156 * (n // 6) + 15.3)
        for n in range(number)
    ]
    labels = people_at(*corners, size=5.0)
    assert_found(codec, labels, rendered(codec, labels, (800, 560)), 0.1)


def test_in_a_row_of_equal_distances_long_limbs_may_lose_score():
    labels = people_at(*((90 * n, 20) for n in range(10)), size=5.0)
    codec = replace(CODECS[0], penalty=True)
    assert_found(codec, labels, rendered(codec, labels, (176, 912)), 0.1)


@both
def test_nobody_is_found_in_an_empty_picture_nor_in_rows_that_fill_up(codec):
    for labels in (people_at((40, 24))[:, :0], 0 * people_at((40, 24), (9, 9))):
        seen = rendered(codec, labels, (320, 256))
        assert not ops.convert_to_numpy(seen).any()
        assert len(found(codec, seen)[0]) == 0


def test_no_more_people_than_there_are_places():
    codec = Fields(COCO, parts=COCO18, people=2)
    labels = people_at((20, 24), (180, 24), (340, 24))
    points, _, scores = found(codec, rendered(codec, labels, (288, 512)))
    assert points.shape == (2, 17, 2)
    assert scores.min() > 0.9


@both
def test_huggers_are_two(codec):
    """The second 2 units lower and half behind the first."""
    labels = people_at((40, 24), (90, 40))
    assert_found(codec, labels, rendered(codec, labels, (352, 288)), 0.3)


@both
def test_who_stands_on_his_head_is_found(codec):
    """Each of his limbs points against the other's."""
    labels = people_at((40, 24), (180, 24))
    labels[0, 1, :, 1] = 264 - labels[0, 1, :, 1]
    assert_found(codec, labels, rendered(codec, labels, (320, 384)))


def test_crossing_legs_are_told_apart():
    """The knees and ankles of two people's crossing legs."""
    labels = people_at((40, 24), (180, 24))
    for joint in ("left_knee", "left_ankle"):
        labels[0, 0, COCO.index(joint), 0] += 120
    for joint in ("right_knee", "right_ankle"):
        labels[0, 1, COCO.index(joint), 0] -= 60
    for codec in CODECS:
        assert_found(codec, labels, rendered(codec, labels, (320, 384)), 0.1)


@both
def test_what_is_not_labelled_is_not_found(codec):
    """Without a shoulder there is no neck: of the tree the face is left, which
    the other shoulder's ear joins to the arm."""
    labels = people_at((40, 24), (180, 24))
    missing = [COCO.index(f"left_{j}") for j in ("shoulder", "elbow", "wrist")]
    labels[0, 1, missing] = 0
    points, scores, _ = found(codec, rendered(codec, labels, (320, 384)))
    labelled = labels[0, 1, :, 2] > 0
    legs = [COCO.index(f"{s}_{j}") for s in ("left", "right")
            for j in ("hip", "knee", "ankle")]  # fmt: skip
    upper = [j for j in np.flatnonzero(labelled) if j not in legs]
    groups = [np.flatnonzero(row > 0).tolist() for row in scores]
    assert sorted(groups, key=len)[:2] == [legs[:3], legs[3:]] or sorted(
        groups, key=len
    )[:2] == [legs[3:], legs[:3]]
    assert upper in groups
    assert list(range(17)) in groups


@both
def test_a_mirrored_picture_has_the_same_people(codec):
    size = (320, 384)
    labels = people_at((40.3, 24.9), (180.6, 31.2))
    mirrored = labels[:, :, COCO.mirror].copy()
    mirrored[..., 0] = size[1] - 1 - mirrored[..., 0]
    seen = rendered(codec, labels, size)
    back = codec.mirror(rendered(codec, mirrored, size))
    np.testing.assert_allclose(back, seen, atol=1e-4)
    np.testing.assert_allclose(  # and twice is once
        codec.mirror(codec.mirror(seen)), seen
    )
    assert_found(codec, labels, codec.merge([seen, back], [1.0, 1.0], size))


def test_a_mirrored_limb_between_the_sides_is_reversed():
    """Hip to hip: in a mirror from right to left, its x as before."""
    band = Skeleton(
        "hips", ("left_hip", "right_hip"), (("left_hip", "right_hip"),)
    )
    codec = Fields(band)
    seen = np.zeros((1, 2, 3, 4), "float32")
    seen[0, 0, 0] = 0.1, 0.2, 0.3, 0.4
    back = ops.convert_to_numpy(codec.mirror(seen))[0, 0, 2]
    np.testing.assert_allclose(back, [0.2, 0.1, 0.3, -0.4])


def test_zoomed_views_are_merged_in_one_frame():
    codec, size = CODECS[1], (320, 384)
    labels = people_at((40, 44), (180, 31), size=7.0)
    middle = (np.array(size[::-1]) - 1) / 2
    closer = labels.copy()
    closer[..., :2] = middle + (labels[..., :2] - middle) / 1.25
    views = [rendered(codec, each, size) for each in (labels, closer)]
    assert_found(codec, labels, codec.merge(views, [1.0, 1.25], size), 0.2)


def test_maps_are_the_highest_of_the_peoples_by_hand():
    """Peaks 2 cells apart: 1, exp(-1/2) between, and 1; a background."""
    pair = Skeleton("pair", ("a", "b"), (("a", "b"),))
    codec = Fields(pair, stride=1, sigma=1.0)
    labels = np.zeros((1, 2, 2, 3), "float32")
    labels[0, :, 0] = (4, 3, 2), (6, 3, 1)
    target, known = codec.target(labels, np.zeros((1, 1, 8, 12, 5)))
    target = ops.convert_to_numpy(target)[0, 0]
    np.testing.assert_allclose(target[3, 4:7, 0], [1, np.exp(-0.5), 1])
    assert not target[..., 1].any()  # nobody's b is labelled
    np.testing.assert_allclose(target[..., 2], 1 - target[..., 0])
    assert not target[..., 3:].any()
    np.testing.assert_array_equal(known, np.ones((1, 5)))


def test_a_neck_is_in_the_middle_of_two_labelled_shoulders():
    codec = CODECS[0]
    labels = np.zeros((3, 17, 3), "float32")
    left, right = COCO.index("left_shoulder"), COCO.index("right_shoulder")
    labels[:, left] = (10, 20, 2), (10, 20, 1), (0, 0, 0)
    labels[:, right] = (14, 30, 2), (14, 30, 2), (14, 30, 2)
    parts = ops.convert_to_numpy(codec.to_parts(labels))
    neck = parts[:, COCO18.index("neck")]
    np.testing.assert_array_equal(neck[:2], [(12, 25, 2), (12, 25, 1)])
    assert neck[2, 2] == 0
    shoulder = parts[:, COCO18.index("left_shoulder")]
    np.testing.assert_array_equal(shoulder, labels[:, left])


def test_a_codec_works_in_a_graph_of_any_batch():
    codec = CODECS[0]
    labels = np.concatenate([people_at((20, 24)), people_at((60, 24))])
    seen = np.concatenate(
        [ops.convert_to_numpy(rendered(codec, row[None], (288, 320)))
         for row in labels]
    )  # fmt: skip
    graph = grouping_of(codec)
    for batch in (seen, seen[:1]):
        people = graph(batch)
        np.testing.assert_array_equal(people.count, [1] * len(batch))
        np.testing.assert_allclose(
            people.points[:, 0], labels[: len(batch), 0, :, :2], atol=0.4
        )


@both
def test_settings_survive_a_file(codec):
    codec = replace(codec, logits=True)
    described = keras.saving.serialize_keras_object(codec)
    assert keras.saving.deserialize_keras_object(described) == codec
    assert Fields(MPII).parts == MPII


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"parts": None}, "coco must connect all its joints: nose and left_"),
        ({"parts": MPII}, "skeleton coco has no head_top|pelvis"),
        ({"skeleton": COCO18, "parts": COCO}, "must connect all"),
        ({"people": 0}, "people must be positive, got 0"),
        ({"width": -1.0}, "width must be positive, got -1.0"),
        ({"stride": 0}, "stride must be positive"),
    ],
)
def test_what_cannot_be_is_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        Fields(**{"skeleton": COCO, "parts": COCO18} | settings)


def test_outputs_of_other_channels_are_named():
    with pytest.raises(ValueError, match="expected 57 channels .* 16, 44"):
        CODECS[0].target(people_at((0, 0)), np.zeros((1, 1, 8, 16, 44)))
    joints = "hip", "left_knee", "right_knee"
    lame = Skeleton("lame", joints, (joints[:2], joints[1:]))
    with pytest.raises(ValueError, match="needs the limb right_knee - hip"):
        Fields(lame).mirror(np.zeros((1, 2, 3, 7), "float32"))


@pytest.mark.skipif(not TINY.is_dir(), reason="needs the tiny COCO set")
@pytest.mark.parametrize(
    ("codec", "floors", "numbers"),
    [(CODECS[0], (0.79, 0.88), (56, 46)), (CODECS[1], (0.82, 0.89), (56, 47))],
    ids=["stride 8", "stride 4"],
)
def test_grouping_finds_the_people_of_coco(codec, floors, numbers):
    """57 and 46 labelled people, in pictures of 368 rows, by their AP."""
    for split, floor, number in zip(
        ("train", "val"), floors, numbers, strict=True
    ):
        path = TINY / f"person_keypoints_{split}2017.json"
        with contextlib.redirect_stdout(io.StringIO()):
            truth = Truth(path)
            results = list(grouped(codec, truth))
            scorer = COCOeval(truth, truth.loadRes(results), "keypoints")
            scorer.evaluate()
            scorer.accumulate()
            scorer.summarize()
        print(f"{split}: AP {scorer.stats[0]:.4f}, {len(results)} people")
        assert len(results) == number
        assert scorer.stats[0] >= floor


def grouped(codec, truth, rows=368):
    """The people in the rendered truth, in COCO's format of results."""
    for image in truth.loadImgs(truth.getImgIds()):
        people = [
            np.reshape(row["keypoints"], (-1, 3))
            for row in truth.loadAnns(truth.getAnnIds(image["id"]))
            if row["num_keypoints"] and not row["iscrowd"]
        ]
        if not people:
            continue
        factor = rows / image["height"]
        width = -(-image["width"] * factor // codec.stride) * codec.stride
        labels = np.array([people], "float32")
        labels[..., :2] = (labels[..., :2] + 0.5) * factor - 0.5
        points, scores, totals = found(
            codec, rendered(codec, labels, (rows, int(width)))
        )
        points = (points + 0.5) / factor - 0.5
        # As files of results have them: at joints that are exact, OKS is a
        # fraction such as 3 / 4, a threshold that rounding may miss.
        points = np.where(scores[..., None] > 0, points.round(3), 0)
        for pose, row, total in zip(points, scores, totals, strict=True):
            yield {
                "image_id": image["id"],
                "category_id": 1,
                "keypoints": np.column_stack([pose, row]).ravel().tolist(),
                "score": float(total),
            }
