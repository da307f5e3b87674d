"""OKS-AP: predictions as COCO's results, and their average precision.

Precision, recall and the ten thresholds are pycocotools'
(https://github.com/cocodataset/cocoapi), what comes before them is that of
Simple Baselines (`keras_pose.metrics.oks`). Who has to be found, and whom a
detection may hit without any harm (crowds, people without keypoints), is in the
truth that `python -m tfrecords.coco` writes beside the records. Keypoints are
written in COCO's pixels, which are this suite's: the centre of the first pixel
is 0.
"""

import contextlib
import gzip
import hashlib
import io
import json

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_pose import geometry
from keras_pose.metrics import oks

PROTOCOL = "oks"
"""What `evaluate --protocol` calls it."""
TABLE = "table-oks.csv"
"""Where a run keeps its average precision, beside the PCK of its table.csv."""
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
large ones more; AP and AR are means over OKS of 0.50, 0.55 ... 0.95."""
COLUMN = "OKS, per cent"


def read_truth(dataset, split):
    """What the records of a split are scored against, None if there is none.

    Args:
        dataset: `data.dataset.Dataset`.
        split: name of the split.

    Returns:
        dict of COCO's images, annotations and categories; of a detector's
        boxes also boxes, [{"name", "score"}].

    Raises:
        ValueError: the file is not the one that dataset.json lists.
    """
    described = dataset.description.get("truth", {}).get(split)
    if described is None:
        return None
    path = dataset.folder / described["file"]
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != described["sha256"]:
        state = "not the file that dataset.json lists" if content else "missing"
        raise ValueError(f"{path} is {state}. Convert again.")
    return json.loads(gzip.decompress(content))


def find_results(predictions, people, truth, skeleton, aspect):
    """Rescored predictions, one for each person: COCO's results.

    Args:
        predictions: `inference.Predictions` of the N people.
        people: `pipeline.People`.
        truth: of `read_truth`.
        skeleton: the order of the joints.
        aspect: width / height of the network's input. The area by which poses
            are compared is that of the crop, as in the code of Simple
            Baselines.

    Returns:
        list of dicts of image_id, category_id, keypoints (x, y, score of each
        joint) and score, fewer than N: of poses that are one person the best.
    """
    images = {row["file_name"]: row["id"] for row in truth["images"]}
    ids = np.array([images[source] for source in people.sources])
    scores = oks.rescore(_box_scores(people, truth), predictions.scores)
    areas = np.square(geometry.PERSON_PIXELS * people.scale) * aspect
    sigmas = oks.sigmas(skeleton)
    order = np.argsort(ids, kind="stable")
    borders = np.flatnonzero(np.diff(ids[order])) + 1
    joints = predictions.joints
    kept = [
        group[oks.suppress(joints[group], scores[group], areas[group], sigmas)]
        for group in np.split(order, borders)
    ]
    keypoints = np.concatenate(
        [predictions.joints, predictions.scores[..., None]], axis=-1
    )
    keypoints = keypoints.round(3).reshape(len(keypoints), -1)
    return [
        {
            "image_id": int(ids[person]),
            "category_id": 1,
            "keypoints": keypoints[person].tolist(),
            "score": float(scores[person]),
        }
        for person in np.concatenate(kept)
    ]


def _box_scores(people, truth):
    """(N,) the detector's, 1 for annotated boxes."""
    if "boxes" not in truth:
        return np.ones(len(people.names))
    scores = {row["name"]: row["score"] for row in truth["boxes"]}
    return np.array([scores[name] for name in people.names])


def average_precision(results, truth, skeleton):
    """COCO's ten numbers.

    Args:
        results: of `find_results`, at least one.
        truth: of `read_truth`.
        skeleton: the order of the joints.

    Returns:
        DataFrame, per cent; a row per measure, NaN where there is nobody.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = truth | {
            "annotations": [dict(row) for row in truth["annotations"]]
        }
        annotated.createIndex()
        found = annotated.loadRes([dict(row) for row in results])
        scorer = COCOeval(annotated, found, "keypoints")
        scorer.params.kpt_oks_sigmas = oks.sigmas(skeleton)
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    stats = np.where(scorer.stats < 0, np.nan, scorer.stats)
    index = pd.Index(MEASURES, name="measure")
    return pd.DataFrame({COLUMN: 100 * stats}, index=index)


def describe(table, results, people, truth, split):
    """The table to read, and who is in it."""
    rows = truth["annotations"]
    wanted = sum(bool(r["num_keypoints"] and not r["iscrowd"]) for r in rows)
    boxes = "a detector's" if "boxes" in truth else "annotated"
    return "\n".join(
        [
            table.to_string(float_format="%.2f"),
            "",
            f"Split {split}: {wanted:,} people with keypoints, "
            f"{len(rows) - wanted:,} crowds and people without in "
            f"{len(truth['images']):,} photographs. {len(people.names):,} "
            f"{boxes} boxes, {len(results):,} left after OKS-NMS.",
        ]
    )
