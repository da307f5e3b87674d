"""OKS, the similarity of two poses, and COCO's average precision on it.

M. R. Ronchi, P. Perona, "Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation", ICCV 2017, and https://cocodataset.org/#keypoints-eval:

    OKS = mean over labelled joints of exp(-d^2 / (2 s^2 k^2)),

where d is the distance in pixels, s^2 the person's area in pixels, and k twice
the annotators' deviation sigma of this type of joint. Precision, recall and the
ten thresholds are pycocotools' (https://github.com/cocodataset/cocoapi).
"""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_pose.skeletons import without_side

SIGMAS = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}
"""Deviation of COCO's annotators / square root of the person's area."""
DEFAULT_SIGMA = 0.067
"""For joints without a sigma: the mean of COCO's 17 joints."""
MEASURES = (
    "AP",
    "AP@0.50",
    "AP@0.75",
    "AP medium",
    "AP large",
    "AR",
    "AR@0.50",
    "AR@0.75",
    "AR medium",
    "AR large",
)
"""pycocotools' numbers, in its order. Medium people cover 32^2 ... 96^2 pixels,
large people more; AP and AR are means over OKS of 0.50, 0.55 ... 0.95."""
COLUMN = "OKS, per cent"


def sigmas(skeleton):
    """(K,) deviations: the skeleton's own, or COCO's by the joints' names.

    A joint that COCO has not measured has `DEFAULT_SIGMA`.
    """
    if skeleton.sigmas is not None:
        return np.array(skeleton.sigmas)
    return np.array(
        [SIGMAS.get(without_side(j), DEFAULT_SIGMA) for j in skeleton.joints]
    )


def default_sigmas(skeleton):
    """Names of the joints that have `DEFAULT_SIGMA`, for messages."""
    if skeleton.sigmas is not None:
        return []
    return [j for j in skeleton.joints if without_side(j) not in SIGMAS]


def similarity(points, truth, labelled, area, sigmas):
    """OKS (...) of poses; NaN without a labelled joint.

    Args:
        points: (..., K, 2) x, y in pixels.
        truth: (..., K, 2) in the same pixels.
        labelled: (..., K) bool, which joints count.
        area: (...) pixels that the person covers.
        sigmas: (K,).
    """
    squares = np.square(np.subtract(points, truth)).sum(axis=-1)
    reach = np.asarray(area)[..., None] * np.square(2 * np.asarray(sigmas))
    alike = np.exp(-squares / (2 * reach)) * labelled
    with np.errstate(invalid="ignore"):  # 0 / 0: nothing is labelled
        return alike.sum(axis=-1) / np.sum(labelled, axis=-1)


@dataclass(frozen=True)
class AveragePrecision:
    """A protocol: COCO's ten numbers over all people in all photographs."""

    title: str = "OKS-AP"
    """Name in tables."""

    suppresses = True
    """Whether duplicate poses of a person are suppressed before scoring."""
    explanation = (
        "COCO's average precision and recall in per cent: the mean over "
        "similarities (OKS) of 0.50 ... 0.95, or at one of them; medium and "
        "large are sizes of people."
    )
    """Explanation of the table for readers."""

    @property
    def needs(self):
        """What a person needs to be counted, for messages."""
        return "a labelled joint and an area"

    def countable(self, people, skeleton):
        """Labelled joints of people that must be found: (N, K) bool.

        Raises:
            ValueError: no such people, or none with a known area.
        """
        labelled = np.asarray(people.flags) > 0
        required = labelled & ~np.asarray(people.crowd)[:, None]
        if not (required.any(axis=1) & (people.area > 0)).any():
            raise ValueError(
                f"{self.title} has nothing to score: none of the {len(people)} "
                f"{skeleton.kinds} has {self.needs}. Choose another --protocol"
            )
        return required

    def table(self, poses, people, skeleton):
        """The ten numbers.

        Crowds and people without labelled joints are ignored: finding them is
        neither required nor an error.

        Args:
            poses: `people.Poses`, each with its picture.
            people: `people.People`: all people in these photographs.
            skeleton: the order of the K joints.

        Returns:
            DataFrame, per cent; a row per measure, NaN without people.
        """
        with contextlib.redirect_stdout(io.StringIO()):
            scorer = self.evaluate(poses, people, skeleton)
            scorer.accumulate()
            scorer.summarize()
        stats = np.where(scorer.stats < 0, np.nan, scorer.stats)
        index = pd.Index(MEASURES, name="measure")
        return pd.DataFrame({COLUMN: 100 * stats}, index=index)

    def evaluate(self, poses, people, skeleton):
        """pycocotools' `COCOeval` of `table`'s arguments, with everything
        matched in each picture and nothing accumulated."""
        self.countable(people, skeleton)
        labels = np.dstack([people.joints, people.flags])
        annotations = [
            {
                "id": number + 1,
                "image_id": int(people.picture[number]),
                "category_id": 1,
                "iscrowd": int(people.crowd[number]),
                "num_keypoints": int((people.flags[number] > 0).sum()),
                "area": float(people.area[number]),
                "bbox": people.box[number].tolist(),
                "keypoints": labels[number].ravel().tolist(),
            }
            for number in range(len(people))
        ]
        keypoints = np.dstack([poses.joints, poses.scores]).round(3)
        keypoints = np.nan_to_num(keypoints)  # a joint that was not found
        results = [
            {
                "image_id": int(poses.picture[number]),
                "category_id": 1,
                "keypoints": keypoints[number].ravel().tolist(),
                "score": float(poses.score[number]),
            }
            for number in range(len(poses))
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = {
                "info": {},  # pycocotools 2.0.10 copies it
                "images": [{"id": n} for n in range(len(people.pictures))],
                "annotations": annotations,
                "categories": [{"id": 1, "name": "person"}],
            }
            truth.createIndex()
            found = truth.loadRes(results) if results else COCO()
            scorer = COCOeval(truth, found, "keypoints")
            scorer.params.kpt_oks_sigmas = sigmas(skeleton)
            scorer.evaluate()
        return scorer

    def describe(self, table, poses, people, skeleton, split):
        """The table as text, with the numbers of people."""
        required = self.countable(people, skeleton).any(axis=1).sum()
        lines = [
            table.to_string(float_format="%.2f"),
            "",
            f"{self.title}, split {split}: {required:,} {skeleton.kinds} with "
            f"labelled joints, {len(people) - required:,} crowds and "
            f"{skeleton.kinds} without, in {len(people.pictures):,} "
            f"photographs; {len(poses):,} poses.",
        ]
        unmeasured = default_sigmas(skeleton)
        if unmeasured:
            lines.append(
                f"OKS uses the default deviation {DEFAULT_SIGMA:g} for: "
                f"{', '.join(unmeasured)}."
            )
        return "\n".join(lines)

    def measures(self, table):
        """{name: share, 0 ... 1}: the numbers for a run's results."""
        values = table[COLUMN].dropna()  # NaN: no people of that size
        return {name: float(value) / 100 for name, value in values.items()}


PROTOCOLS = {"oks": AveragePrecision()}
"""Protocols that score poses by OKS, by name."""
