"""Prediction files for other tools, each written completely or not at all.

predictions.json is a list in COCO's results format, which COCO's server accepts
unchanged; predictions-header.json beside it explains its numbers.
predictions.npz has the same as arrays, predictions.mat in MPII's layout.
"""

import io
import json
import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import scipy.io

from keras_pose import files

PREDICTIONS = "predictions.json"
FIRST_PIXEL = 1
"""Number of the first pixel in MATLAB, and so in MPII."""
PIXELS = "the centre of the first pixel of the upright photograph is (0, 0)"


def save(folder, tables, poses, people, skeleton):
    """Writes tables and poses into a folder, which is created if necessary.

    Args:
        folder: to write to.
        tables: {file name: DataFrame}.
        poses: `people.Poses`, all of them.
        people: `people.People` of the same split.
        skeleton: names the joints.
    """
    folder = Path(folder)
    arrays, matlab = io.BytesIO(), io.BytesIO()
    names = names_of(poses, people)
    pictures = pictures_of(poses, people)
    sources = [people.pictures[number] for number in pictures]
    optional = {} if poses.occluded is None else {"occluded": poses.occluded}
    np.savez_compressed(
        arrays,
        **optional,
        joints=poses.joints,
        scores=poses.scores,
        score=poses.score,
        names=np.array(names, "U"),
        sources=np.array(sources, "U"),
        joint_names=np.array(skeleton.joints),
    )
    scipy.io.savemat(
        matlab, as_mpii(poses, names, sources, skeleton), do_compression=True
    )
    contents = {name: table.to_csv().encode() for name, table in tables.items()}
    contents |= {
        "predictions.npz": arrays.getvalue(),
        "predictions.mat": matlab.getvalue(),
    }
    for name, content in contents.items():
        with files.whole(folder / name) as temporary:
            temporary.write_bytes(content)


def save_results(path, results, skeleton, notes=None):
    """Writes a list of results and its header file.

    Args:
        path: of the .json.
        results: of `as_results`.
        skeleton: names the keypoints.
        notes: further entries of the header, of `provenance.notes`.

    Returns:
        path of the header.
    """
    with stream_results(path) as add:
        add(results)
    return save_header(path, skeleton, notes)


@contextmanager
def stream_results(path):
    """Yields a function that adds results of `as_results` to a .json.

    None is kept in memory; the file is whole at the end of the block.
    """
    before = "["

    with files.whole(path) as temporary, open(temporary, "w") as file:

        def add(results):
            nonlocal before
            for result in results:
                file.write(before + json.dumps(result))
                before = ", "

        yield add
        file.write("[]" if before == "[" else "]")


def save_header(path, skeleton, notes=None):
    """Writes the header of a .json of results; returns its path."""
    header = header_of(path)
    content = {
        "skeleton": skeleton.described(),
        "joints": skeleton.joints,
        "keypoints": "x, y, score of each joint, in their order",
        "pixels": PIXELS,
        "bbox": "x, y, width, height of the input box",
        "missing, occluded": "of each joint, if the model predicts it",
        **(notes or {}),
    }
    with files.whole(header) as temporary:
        temporary.write_text(json.dumps(content))
    return header


def header_of(path):
    """Path of the header of results."""
    return Path(path).with_name(f"{Path(path).stem}-header.json")


def as_results(poses, people, names=None):
    """Poses as a list in COCO's results format.

    Args:
        poses: `people.Poses`.
        people: `people.People` with the photographs.
        names: of each pose, optional.

    Returns:
        [{image_id, file_name, category_id, keypoints, score, bbox}]; image_id
        is the source's id of the photograph, or its file name.
    """
    keypoints = np.dstack([poses.joints, poses.scores])
    # 133.195, no more digits; 0, 0, 0: a joint that was not found
    keypoints = np.nan_to_num(keypoints.astype("float64").round(3))
    ids = people.image_ids or people.pictures
    results = []
    for number, picture in enumerate(pictures_of(poses, people)):
        pose = {
            "image_id": ids[picture],
            "file_name": people.pictures[picture],
            "category_id": 1,
            "keypoints": keypoints[number].ravel().tolist(),
            "score": float(poses.score[number]),
        }
        box = np.asarray(poses.box[number], float)
        if np.isfinite(box).all():
            pose["bbox"] = box.round(3).tolist()
        if names is not None:
            pose["person"] = names[number]
        for name in ("occluded", "missing"):
            values = getattr(poses, name)
            if values is not None:
                pose[name] = values[number].tolist()
        results.append(pose)
    return results


def as_mpii(poses, names, sources, skeleton):
    """Poses as MPII's tools read them: pixels count from 1.

    Args:
        poses: `people.Poses`.
        names: (N,) name of each person in the source.
        sources: (N,) file names of the photographs.
        skeleton: names the joints.

    Returns:
        dict for `scipy.io.savemat`. `pred.annolist(i).annorect(j).annopoints`
        is the toolkit's struct; image.name and ridx identify the person, ridx
        being the number at the end of the name ("im.jpg#1"), if there is one.
        `pos_pred_src` (K, 2, N), `scores` (K, N), `joints` and `names` have the
        same as arrays.
    """
    joints = poses.joints + FIRST_PIXEL
    index = np.arange(len(skeleton.joints), dtype="float64")
    images = {}
    for person, source in enumerate(sources):
        number = re.search(r"#(\d+)$", names[person])
        rect = float(number[1]) if number else np.nan
        points = _structs(
            x=joints[person, :, 0],
            y=joints[person, :, 1],
            id=index,
            score=poses.scores[person].astype("float64"),
        )
        images.setdefault(source, []).append((rect, {"point": points}))
    rects = [
        _structs(ridx=[r for r, _ in rows], annopoints=[p for _, p in rows])
        for rows in images.values()
    ]
    annolist = _structs(
        image=[{"name": source} for source in images],
        annorect=rects,
    )
    return {
        "pred": {"annolist": annolist},
        "pos_pred_src": joints.transpose(1, 2, 0),
        "scores": poses.scores.T,
        "joints": np.array(skeleton.joints, object),
        "names": np.array(names, object),
    }


def pictures_of(poses, people):
    """(N,) index of each pose's photograph, or else of its person's."""
    if poses.picture is not None:
        return poses.picture
    return people.picture[poses.person]


def names_of(poses, people):
    """(N,) name of each pose's person, or a running number."""
    return [
        people.names[person] if person >= 0 else f"#{number + 1}"
        for number, person in enumerate(poses.person)
    ]


def _structs(**columns):
    """A MATLAB struct array (1, N) of equally long columns."""
    length = len(next(iter(columns.values())))
    array = np.empty((1, length), [(name, object) for name in columns])
    for name, values in columns.items():
        for position, value in enumerate(values):
            array[name][0, position] = value
    return array
