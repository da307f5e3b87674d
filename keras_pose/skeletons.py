"""Skeletons: the joints of a data set, their order, and the limbs.

A skeleton is data: `dataset.json`, the `.keras` file and `serving.json` store
it completely, so that any set of joints (a hand, a dog) works everywhere. Left
and right are the subject's own. Everything else that depends on the joints
(mirror pairs, column groups of a table, the torso) is derived from the names,
unless the skeleton states it.
"""

import re
from dataclasses import dataclass

from keras_pose import choices, untrusted

SIDES = ("left", "right")
LEFT_SHOULDER_RIGHT_HIP = ("left_shoulder", "right_hip")
RIGHT_SHOULDER_LEFT_HIP = ("right_shoulder", "left_hip")
"""The diagonals of the torso; the first is MODEC's."""
MOST = 1_000
"""Joints of a skeleton; whole-body ones have some hundred."""
SIDE = re.compile(
    r"(?<![A-Za-z])(left|right|l|r)(?![A-Za-z])"  # left_eye, R Eye, eye-l
    r"|(?<![A-Za-z])((?-i:[Ll]eft|[Rr]ight|L|R))(?=(?-i:[A-Z][a-z]))"  # LeftEye
    r"|(?<=(?-i:[a-z]))((?-i:Left|Right|L|R))(?![a-z])",  # eyeLeft, eyeL
    re.IGNORECASE,
)
"""The words of a joint's name that are a side."""


@dataclass(frozen=True)
class Skeleton:
    """Joint names in the order of the labels, and limbs as pairs of names.

    Raises:
        ValueError: no joints, duplicate names, a limb, pair or torso with
            unknown joints, a joint in two pairs, or not one positive sigma for
            each joint.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...] = ()
    sigmas: tuple[float, ...] | None = None
    """OKS deviation of each joint: that of its annotators / root of the
    subject's area. None: COCO's, or the default of `metrics.oks`."""
    kind: str = "person"
    """The kind of subject, for reports: "person", "hand", "dog"."""
    pairs: tuple[tuple[str, str], ...] | None = None
    """Joints that a mirrored picture swaps. None: those whose names differ in
    the side alone."""
    torso: tuple[str, str] | None = None
    """Joints whose distance is the length of PCK of the torso. None: left
    shoulder and right hip."""

    def __post_init__(self):
        for field in ("joints", "limbs", "sigmas", "pairs", "torso"):
            value = getattr(self, field)
            if isinstance(value, list):  # lists in JSON
                value = tuple(value)
            if isinstance(value, tuple):
                value = tuple(
                    tuple(x) if isinstance(x, list) else x for x in value
                )
            object.__setattr__(self, field, value)
        self._check_types()
        if not self.joints:
            raise ValueError(f"skeleton {self.name} must have joints, got none")
        twice = {j for j in self.joints if self.joints.count(j) > 1}
        if twice:
            raise ValueError(
                f"skeleton {self.name} names {min(twice)} more than once"
            )
        torso = (self.torso,) if self.torso else ()
        for what, named in (
            ("a limb joins", self.limbs),
            ("a pair mirrors", self.pairs or ()),
            ("a torso spans", torso),
        ):
            for two in named:
                if len(two) != 2 or not set(two) <= set(self.joints):
                    raise ValueError(
                        f"skeleton {self.name}: {what} two of its joints, got "
                        f"{' '.join(map(str, two))}; it has "
                        f"{', '.join(self.joints)}"
                    )
        paired = sum(self.pairs or (), ())
        if len(set(paired)) < len(paired):
            raise ValueError(
                f"skeleton {self.name}: a joint has one mirror image, but "
                f"{next(j for j in paired if paired.count(j) > 1)} is named "
                "more than once"
            )
        if self.sigmas is not None and (
            len(self.sigmas) != len(self.joints) or not min(self.sigmas) > 0
        ):
            raise ValueError(
                f"skeleton {self.name}: expected one positive sigma for each "
                f"of its {len(self.joints)} joints, got {self.sigmas}"
            )

    def _check_types(self):
        """Of what a file says: names are words, deviations are numbers."""
        columns = [self.joints, self.limbs]
        columns += [
            c for c in (self.sigmas, self.pairs, self.torso) if c is not None
        ]
        twos = (
            [*self.limbs, *(self.pairs or ())]
            if all(isinstance(c, tuple) for c in columns)
            else []
        )
        if not all(isinstance(column, tuple) for column in (*columns, *twos)):
            raise ValueError(
                "a skeleton has lists of joints, limbs, sigmas, pairs and "
                f"torso, got {self!r:.200}"
            )
        if len(self.joints) > MOST:
            raise ValueError(
                f"a skeleton of at most {MOST} joints wanted, got "
                f"{len(self.joints):,}"
            )
        words = (*self.joints, *sum(twos, ()), *(self.torso or ()))
        for word in (self.name, self.kind, *words):
            if not isinstance(word, str) or not word or not word.isprintable():
                raise ValueError(f"a skeleton's names are words, got {word!r}")
        for sigma in self.sigmas or ():
            if not untrusted.is_number(sigma):
                raise ValueError(
                    f"a skeleton's sigmas are numbers, got {sigma!r}"
                )

    @property
    def kinds(self):
        """Plural of its kind: people, hands, dogs."""
        return "people" if self.kind == "person" else f"{self.kind}s"

    @property
    def mirror(self):
        """Index of each joint's mirror image, to gather with after a flip.

        A joint without one (on the midline, or of a single hand) has its own
        index.
        """
        if self.pairs is None:
            other = {joint: opposite(joint) for joint in self.joints}
        else:
            other = dict(self.pairs) | {b: a for a, b in self.pairs}
        return tuple(
            self.joints.index(
                other[joint] if other.get(joint) in self.joints else joint
            )
            for joint in self.joints
        )

    @property
    def one_sided(self):
        """Joints of one side whose mirror image is not in the skeleton."""
        if self.pairs is not None:
            return ()
        return tuple(
            joint for joint in self.joints if opposite(joint) not in self.joints
        )

    @property
    def limb_indices(self):
        """The limbs as pairs of joint indices."""
        return tuple((self.index(a), self.index(b)) for a, b in self.limbs)

    @property
    def diagonals(self):
        """The torso's two diagonals as pairs of joint indices.

        Raises:
            ValueError: it has no such torso.
        """
        ends = LEFT_SHOULDER_RIGHT_HIP, RIGHT_SHOULDER_LEFT_HIP
        missing = set(sum(ends, ())) - set(self.joints)
        if missing:
            raise ValueError(
                f"skeleton {self.name} has no torso: expected left and right "
                f"shoulder and hip, it lacks {', '.join(sorted(missing))}"
            )
        return tuple((self.index(a), self.index(b)) for a, b in ends)

    @property
    def groups(self):
        """Joint indices by name without its side: {"ankle": (0, 5), ...}."""
        groups = {}
        for index, joint in enumerate(self.joints):
            groups.setdefault(without_side(joint), []).append(index)
        return {name: tuple(indices) for name, indices in groups.items()}

    @property
    def neighbours(self):
        """Joint -> the joints connected to it by a limb."""
        near = {joint: [] for joint in self.joints}
        for a, b in self.limbs:
            near[a].append(b)
            near[b].append(a)
        return near

    def index(self, joint):
        """Index of a joint by name; ValueError lists the known joints."""
        if joint not in self.joints:
            raise ValueError(
                f"skeleton {self.name} has no {joint}: {', '.join(self.joints)}"
            )
        return self.joints.index(joint)

    def described(self):
        """In JSON's form: the name of a known skeleton, else a dict."""
        if self == SKELETONS.get(self.name):
            return self.name
        return {k: v for k, v in vars(self).items() if v is not None}


def find(described):
    """The inverse of `Skeleton.described`; a `Skeleton` is returned as it is.

    Raises:
        ValueError: an unknown name, or a dict that is not a skeleton.
    """
    if isinstance(described, Skeleton):
        return described
    if isinstance(described, dict):
        try:
            return Skeleton(**described)
        except TypeError as error:
            raise ValueError(
                "a skeleton has name, joints, limbs, sigmas, kind, pairs and "
                f"torso: {error}"
            ) from None
    choices.check("skeleton", described, SKELETONS)
    return SKELETONS[described]


def side(joint):
    """left, right, or "" on the midline; the word may be anywhere."""
    match = SIDE.search(joint)
    initial = match and match[0][0].lower()
    return next((name for name in SIDES if name[0] == initial), "")


def opposite(joint):
    """A joint's name with left for right and right for left."""
    return SIDE.sub(lambda match: _swapped(match[0]), joint)


def _swapped(word):
    """right for left, R for L: in the same case."""
    swap = dict(zip((*SIDES, "l", "r"), (*SIDES[::-1], "r", "l"), strict=True))
    other = swap[word.lower()]
    if word.islower():
        return other
    return other.upper() if word.isupper() else other.capitalize()


def without_side(joint):
    """A joint's name without its side: front_paw for front_left_paw."""
    return (
        re.sub(r"^[\W_]+|[\W_]+$|(?<=[\W_])[\W_]+", "", SIDE.sub("", joint))
        or joint
    )


def both_sides(*limbs):
    """Each limb on both sides of the body."""
    return tuple(
        (f"{side}_{a}", f"{side}_{b}") for side in SIDES for a, b in limbs
    )


_ARM_AND_LEG = both_sides(
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
    both_sides(("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"))
    + (
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
    ),
)

SKELETONS = {s.name: s for s in (MPII, LSP, COCO, FLIC)}
