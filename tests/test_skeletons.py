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
        ({"joints": ()}, "cat must have joints, got none"),
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
        ("cat", "one of mpii, lsp, coco, flic, got 'cat'"),
        (
            {"name": "cat"},
            "has name, joints, limbs, sigmas, kind, pairs and torso: .*joints",
        ),
        ({"name": "cat", "joints": ["paw"], "legs": 4}, "legs"),
        (None, "skeleton must be one of mpii"),
    ],
)
def test_what_is_no_skeleton_is_refused(described, named):
    with pytest.raises(ValueError, match=named):
        skeletons.find(described)


@pytest.mark.parametrize(
    ("joint", "side", "other", "bare"),
    [
        ("left_eye", "left", "right_eye", "eye"),
        ("R_Eye", "right", "L_Eye", "Eye"),
        ("LeftEye", "left", "RightEye", "Eye"),
        ("eyeL", "left", "eyeR", "eye"),
        ("RIGHT HIP", "right", "LEFT HIP", "HIP"),
        ("front-left-paw", "left", "front-right-paw", "front-paw"),
        ("Rear", "", "Rear", "Rear"),
        ("lower_lip", "", "lower_lip", "lower_lip"),
        ("LIP", "", "LIP", "LIP"),
    ],
)
def test_a_side_is_found_as_tools_write_it(joint, side, other, bare):
    assert skeletons.side(joint) == side
    assert skeletons.opposite(joint) == other
    assert skeletons.without_side(joint) == bare


def test_stated_pairs_replace_those_of_the_names():
    crab = skeletons.Skeleton(
        "crab", ("a", "left_b", "c", "right_b"), pairs=[["a", "c"]]
    )
    assert crab.mirror == (2, 1, 0, 3)
    assert skeletons.find(crab.described()) == crab
    with pytest.raises(ValueError, match="a pair mirrors two .* got a x"):
        skeletons.Skeleton("crab", ("a", "b"), pairs=[["a", "x"]])
    with pytest.raises(ValueError, match="b is named more than once"):
        skeletons.Skeleton(
            "crab", ("a", "b", "c"), pairs=[["a", "b"]] + [["b", "c"]]
        )
    with pytest.raises(ValueError, match="lists of joints, limbs, sigmas"):
        skeletons.Skeleton("crab", ("a", "b"), pairs=3)


def test_a_joint_of_one_side_is_known():
    arm = skeletons.Skeleton("arm", ("left_hand", "left_eye", "right_eye"))
    assert arm.one_sided == ("left_hand",)
    assert arm.mirror == (0, 2, 1)
