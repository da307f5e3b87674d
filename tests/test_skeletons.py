"""Connected joints of each skeleton, as a person would list them."""

import pytest

from keras_pose.skeletons import SKELETONS, Skeleton

LEGS = [("hip", "knee"), ("knee", "ankle")]
ARMS = [("shoulder", "elbow"), ("elbow", "wrist")]
ARM = ("shoulder", "elbow", "wrist")
LEG = ("hip", "knee", "ankle")
HIPS = {frozenset({"left_hip", "right_hip"})}


def both(groups):
    """The groups on the left and on the right, without order."""
    return {
        frozenset(f"{side}_{joint}" for joint in group)
        for side in ("left", "right")
        for group in groups
    }


PAIRS = {
    # the list of the paper, section 3.3: ten pairs
    "mpii": both(ARMS + LEGS) | HIPS | {frozenset({"head_top", "thorax"})},
    "lsp": both(ARMS + LEGS) | HIPS | {frozenset({"head_top", "neck"})},
    # from here on no joint of the head ends a midline
    "coco": both([*ARMS, *LEGS, ("eye", "ear"), ("shoulder", "hip")]) | HIPS,
    "flic": both([*ARMS, ("shoulder", "hip")]) | HIPS,
}
TRIPLETS = {
    "mpii": both([ARM, LEG]),
    "lsp": both([ARM, LEG]),
    "coco": both([ARM, LEG]),  # an eye has two limbs, one to the nose
    "flic": both([ARM]),
}


def named(skeleton, groups):
    """Groups of indices as sorted lists of names, to see repeats too."""
    return sorted(sorted(skeleton.joints[i] for i in group) for group in groups)


@pytest.mark.parametrize("name", SKELETONS)
def test_pairs_and_triplets_are_the_connected_joints(name):
    skeleton = SKELETONS[name]
    assert named(skeleton, skeleton.pairs) == sorted(map(sorted, PAIRS[name]))
    expected = sorted(map(sorted, TRIPLETS[name]))
    assert named(skeleton, skeleton.triplets) == expected


def test_mpii_has_the_ten_pairs_and_four_triplets_of_the_paper():
    skeleton = SKELETONS["mpii"]
    assert len(skeleton.pairs) == 10
    assert len(skeleton.triplets) == 4


@pytest.mark.parametrize("name", SKELETONS)
def test_the_middle_of_a_triplet_is_the_elbow_or_the_knee(name):
    skeleton = SKELETONS[name]
    centres = {skeleton.joints[centre] for _, centre, _ in skeleton.triplets}
    joints = {"elbow", "knee"} if name != "flic" else {"elbow"}
    assert centres == {f"{s}_{j}" for s in ("left", "right") for j in joints}


@pytest.mark.parametrize("name", SKELETONS)
def test_a_mirrored_person_has_the_same_groups(name):
    skeleton = SKELETONS[name]
    groups = {frozenset(g) for g in skeleton.pairs + skeleton.triplets}
    mirrored = {frozenset(skeleton.mirror[i] for i in g) for g in groups}
    assert mirrored == groups


def test_joints_without_limbs_are_not_connected():
    dots = Skeleton("dots", ("left_wrist", "nose", "right_wrist"), ())
    assert dots.pairs == dots.triplets == ()


def test_a_midline_that_never_branches_is_no_pair():
    # the left hand hangs on nothing, the right one on a midline with an end
    spine = Skeleton(
        "spine",
        ("head_top", "neck", "pelvis", "left_wrist"),
        (("head_top", "neck"), ("neck", "pelvis")),
    )
    assert spine.pairs == ()
    tail = Skeleton(
        "tail",
        (*spine.joints, "right_wrist"),
        (*spine.limbs, ("pelvis", "right_wrist")),
    )
    assert named(tail, tail.pairs) == [["head_top", "pelvis"]]
