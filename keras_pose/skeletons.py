"""Which joints a data set names, in which order, and which limbs join them.

Left and right are the person's own. Everything else that depends on the joints
(mirror pairs, column groups of a table, the torso) is derived from the names.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """Joint names in the order of the labels, and limbs as pairs of names."""

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]

    @property
    def mirror(self):
        """Index of each joint's opposite: gather with it after a flip."""
        swap = {"left": "right", "right": "left"}
        opposite = (
            "_".join(swap.get(word, word) for word in joint.split("_"))
            for joint in self.joints
        )
        return tuple(self.joints.index(joint) for joint in opposite)

    @property
    def limb_indices(self):
        """The limbs as pairs of joint indices."""
        return tuple((self.index(a), self.index(b)) for a, b in self.limbs)

    @property
    def groups(self):
        """Joint indices by name without its side: {"ankle": (0, 5), ...}."""
        found = {}
        for index, joint in enumerate(self.joints):
            name = joint.removeprefix("left_").removeprefix("right_")
            found.setdefault(name, []).append(index)
        return {name: tuple(indices) for name, indices in found.items()}

    @property
    def pairs(self):
        """Connected joints as pairs of joint indices.

        The list of the Multi-Scale Structure-Aware network (L. Ke et al., ECCV
        2018, section 3.3), derived for any skeleton: limbs within one side of
        the body (shoulder-elbow, elbow-wrist, hip-knee, knee-ankle), the two
        hips, and head-thorax, each free end of the midline with the joint where
        the sides branch off.
        """
        found = [(a, b) for a, b in self.limbs if _side(a) == _side(b) != ""]
        hips = ("left_hip", "right_hip")
        if set(hips) <= set(self.joints):
            found.append(hips)
        for joint, near in self._neighbours.items():
            if not _side(joint) and len(near) == 1:
                found += self._branching(joint)
        return tuple((self.index(a), self.index(b)) for a, b in found)

    @property
    def triplets(self):
        """Elbows and knees between their neighbours, as joint indices.

        (a, centre, b) for every joint whose limbs are exactly two, both within
        its own side of the body (section 3.3 of the same paper).
        """
        return tuple(
            (self.index(near[0]), self.index(joint), self.index(near[1]))
            for joint, near in self._neighbours.items()
            if _side(joint) and [_side(n) for n in near] == [_side(joint)] * 2
        )

    @property
    def _neighbours(self):
        """Joint -> the joints that a limb joins it to."""
        near = {joint: [] for joint in self.joints}
        for a, b in self.limbs:
            near[a].append(b)
            near[b].append(a)
        return near

    def _branching(self, end):
        """[(end, joint)], the first inwards with sided limbs; [] if none."""
        near, passed, joint = self._neighbours, [], end
        while not any(_side(n) for n in near[joint]):
            passed.append(joint)
            onward = [n for n in near[joint] if n not in passed]
            if not onward:
                return []
            joint = onward[0]
        return [(end, joint)] if passed else []

    def index(self, joint):
        """Index of a joint by name; KeyError names the joints there are."""
        if joint not in self.joints:
            raise KeyError(
                f"{self.name} has no {joint}: {', '.join(self.joints)}"
            )
        return self.joints.index(joint)


_SIDES = ("left", "right")


def _side(joint):
    """left, right, or "" on the midline."""
    return next((side for side in _SIDES if side in joint.split("_")), "")


def _both(*limbs):
    """Each limb on both sides of the body."""
    return tuple(
        (f"{side}_{a}", f"{side}_{b}") for side in _SIDES for a, b in limbs
    )


_ARM_AND_LEG = _both(
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("hip", "knee"),
    ("knee", "ankle"),
)

MPII = Skeleton(
    "mpii",
    (
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "pelvis",
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    _ARM_AND_LEG
    + (
        ("upper_neck", "head_top"),
        ("thorax", "upper_neck"),
        ("pelvis", "thorax"),
        ("thorax", "left_shoulder"),
        ("thorax", "right_shoulder"),
        ("pelvis", "left_hip"),
        ("pelvis", "right_hip"),
    ),
)

LSP = Skeleton(
    "lsp",
    (
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "neck",
        "head_top",
    ),
    _ARM_AND_LEG
    + (
        ("neck", "head_top"),
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("neck", "left_hip"),
        ("neck", "right_hip"),
    ),
)

COCO = Skeleton(
    "coco",
    (
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    _ARM_AND_LEG
    + (
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
    ),
)

FLIC = Skeleton(
    "flic",
    (
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_eye",
        "right_eye",
        "nose",
    ),
    _both(("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"))
    + (
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
    ),
)

SKELETONS = {s.name: s for s in (MPII, LSP, COCO, FLIC)}
