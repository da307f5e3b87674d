"""Skeletons are data: what is derived from names, kept in JSON, refused."""

import json

import pytest

from keras_pose import skeletons
from keras_pose.skeletons import MPII, SKELETONS, Skeleton

PAWS = Skeleton(
    "dog",
    ("nose", "front_left_paw", "front_right_paw", "tail"),
    (("nose", "tail"), ("tail", "front_left_paw")),
    (0.03, 0.1, 0.1, 0.2),
)


def test_sides_are_found_anywhere_in_a_name():
    assert PAWS.mirror == (0, 2, 1, 3)
    assert PAWS.groups == {"nose": (0,), "front_paw": (1, 2), "tail": (3,)}
    assert [skeletons.side(j) for j in PAWS.joints] == ["", "left", "right", ""]
    assert skeletons.without_side("left_hip") == "hip"
    assert skeletons.without_side("cleft_chin") == "cleft_chin"


def test_joints_of_one_side_are_their_own_opposites():
    hand = Skeleton("hand", ("left_wrist", "left_thumb"))
    assert hand.mirror == (0, 1)


@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), PAWS], ids=str)
def test_json_keeps_a_skeleton(skeleton):
    described = json.loads(json.dumps(skeleton.described()))
    assert skeletons.find(described) == skeleton
    assert isinstance(described, str) == (skeleton is not PAWS)


def test_a_known_name_with_other_joints_is_kept_whole():
    other = Skeleton("mpii", MPII.joints[:3])
    assert other.described()["joints"] == MPII.joints[:3]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"joints": ()}, "cat has no joints"),
        ({"joints": ("paw", "paw")}, "cat names paw more than once"),
        ({"limbs": (("paw", "ear"),)}, "cat: a limb joins .* got paw ear"),
        ({"limbs": (("paw",),)}, "a limb joins two"),
        ({"sigmas": (0.1,)}, "sigma for each of its 2 joints, got"),
        ({"sigmas": (0.1, 0.0)}, "one positive sigma"),
    ],
)
def test_what_cannot_be_is_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        Skeleton(**{"name": "cat", "joints": ("paw", "tail")} | settings)


@pytest.mark.parametrize(
    ("described", "named"),
    [
        ("cat", "skeleton must be one of mpii, lsp, coco, flic, got 'cat'"),
        ({"name": "cat"}, "has name, joints, limbs, sigmas and kind: .*joints"),
        ({"name": "cat", "joints": ["paw"], "legs": 4}, "legs"),
        (None, "skeleton must be one of mpii"),
    ],
)
def test_what_is_no_skeleton_is_refused(described, named):
    with pytest.raises(ValueError, match=named):
        skeletons.find(described)
