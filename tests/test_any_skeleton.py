"""Joints that the library does not know, from conversion to prediction.

With the codec of heatmaps (hand, dog), of softmax expectation (arm) and of
coordinates (dots).
"""

import dataclasses
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

from keras_pose import evaluate
from keras_pose.codecs import Coordinates, Expectation
from keras_pose.data import records
from keras_pose.data.dataset import open_dataset
from keras_pose.losses import JointRegression
from keras_pose.models import heads, hourglass
from keras_pose.models import model as models
from keras_pose.report import charts, pictures
from keras_pose.skeletons import Skeleton
from reproductions import flow, hsm_loss
from tfrecords import check, shards

ROOT = Path(__file__).parents[1]
FINGERS = ("thumb", "index", "middle", "ring", "little")
HAND = Skeleton(
    "hand",
    ("wrist", *(f"{finger}_{n}" for finger in FINGERS for n in range(1, 5))),
    tuple(
        (f"{finger}_{n - 1}" if n > 1 else "wrist", f"{finger}_{n}")
        for finger in FINGERS
        for n in range(1, 5)
    ),
    kind="hand",
)
DOG = Skeleton(
    "dog",
    (
        *("nose", "tail"),
        *(
            f"{end}_{s}_paw"
            for end in ("front", "hind")
            for s in ("left", "right")
        ),
    ),
    (
        *(("nose", "tail"), ("nose", "front_left_paw")),
        *(("nose", "front_right_paw"), ("tail", "hind_left_paw")),
    ),
    (0.03, 0.1, *[0.08] * 4),
    kind="dog",
)
ARM = Skeleton(
    "arm",
    ("left_shoulder", "left_elbow", "left_wrist"),
    (("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
    kind="arm",
)
DOTS = Skeleton("dots", ("a", "b", "c", "d"), kind="mark")
EVERY = pytest.mark.parametrize(
    "skeleton", [HAND, DOG, ARM, DOTS], ids=lambda s: s.name
)


def picture(seed, skeleton):
    """A picture 96 x 80 with a bright dot on each joint, as a record."""
    rng = np.random.default_rng(seed)
    joints = rng.uniform(16, 64, (len(skeleton.joints), 2))
    image = rng.integers(0, 60, (80, 96, 3), "uint8")
    for x, y in joints.round().astype(int).tolist():
        cv2.circle(image, (x, y), 2, (255, 255, 255), cv2.FILLED)
    low, high = joints.min(axis=0), joints.max(axis=0)
    subject = records.Person(
        joints,
        np.where(np.arange(len(joints)) == 1, 1, 2),
        (low + high) / 2,
        80 / 200,
        box=(*low, *(high - low)),
        name=f"{seed}.jpg#1",
    )
    encoded = cv2.imencode(".jpg", image)[1].tobytes()
    return records.Picture(
        encoded, image.shape[:2], (subject,), f"{seed}.jpg", np.eye(2, 3)
    )


def build_points(config, skeleton):
    """A network whose outputs are maps of an expectation, or coordinates."""
    images = keras.Input((*config.image_size, 3), dtype="uint8")
    x = hourglass.stacked_hourglass(
        images, len(skeleton.joints), stacks=1, filters=8, bias=0.0
    )[0]
    codec = Expectation(skeleton, config.image_size)
    if skeleton == DOTS:
        codec = Coordinates(skeleton, config.image_size)
        x = keras.layers.Dense(2 * codec.count)(keras.layers.Flatten()(x))
        x = keras.layers.Reshape((codec.count, 2))(x)
    maps = heads.PoseMaps(codec, name="points")([x])
    return models.PoseModel(images, maps)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, two_layers, eagerly):
    """Folder of the data and of the run, made once for each skeleton."""
    made = {}

    def make(skeleton):
        if skeleton.name in made:
            return made[skeleton.name]
        folder = tmp_path_factory.mktemp(skeleton.name)
        shards.save(
            folder / "data",
            {"train": range(4), "val": range(8, 12)},
            partial(picture, skeleton=skeleton),
            skeleton=skeleton,
            protocol="pck-bbox",
            workers=1,
        )
        check.main(check.Config(folder / "data"))
        config = hsm_loss.Config(
            data=folder / "data", output=folder / "run", preset="laptop",
            epochs=1, batch_size=4, image_size=(64, 128), filters=8, stacks=1,
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch, eagerly():
            patch.setattr(hourglass, "stacked_hourglass", two_layers)
            patch.setattr(pictures, "PICTURE", 64)
            if skeleton in (ARM, DOTS):
                patch.setattr(hsm_loss, "build_model", build_points)
                patch.setattr(
                    hsm_loss,
                    "build_loss",
                    lambda _, model: JointRegression(model.codec),
                )
            if skeleton not in (HAND, ARM):  # the others' .keras is served
                patch.setattr(flow, "export", lambda *_, **__: None)
                patch.setattr(charts, "svg", lambda _, title: title)
            hsm_loss.main(config)
        made[skeleton.name] = folder
        return folder

    return make


@EVERY
def test_it_is_converted_trained_scored_and_reported(trained, skeleton):
    folder = trained(skeleton)
    assert open_dataset(folder / "data").skeleton == skeleton
    table = pd.read_csv(folder / "run" / "table.csv", index_col="joint")
    columns = {
        "dog": ["Front paw", "Hind paw"],
        "arm": ["Shoulder", "Elbow", "Wrist"],
    }
    columns = columns.get(skeleton.name, [])
    assert [*table.index] == [*skeleton.joints, *columns, "Mean"]
    assert table.loc["Mean", "counted"] == 4 * len(skeleton.joints)
    page = (folder / "run" / "report.html").read_text()
    text = re.sub("<[^>]*>", " ", page.partition("<body")[2]).lower()
    settings = text.rindex("settings")
    for word in ("person", "people", "body"):
        assert word not in text[:settings], word
    assert skeleton.kinds in text
    scores = {"arm": "probability of the 5 x 5 cells", "dots": "the same score"}
    assert scores.get(skeleton.name, "height of the peak") in text
    assert skeleton.joints[-1].replace("_", " ") in page
    header = folder / "run" / "predictions-header.json"
    said = json.loads(header.read_text())
    assert tuple(said["skeleton"]["joints"]) == skeleton.joints
    assert said["trained_on"] == ["data"]  # the name of its folder


@pytest.mark.parametrize("skeleton", [DOG, ARM], ids=lambda s: s.name)
def test_it_is_evaluated_with_a_mirror(trained, skeleton, tmp_path, capsys):
    folder = trained(skeleton)
    config = evaluate.Config(
        folder / "run" / "best.keras",
        folder / "data",
        flip=True,
        output=tmp_path,
        batch_size=4,
    )
    evaluate.main(config)
    assert "PCK@0.2" in capsys.readouterr().out
    with pytest.raises(
        ValueError, match="PCP@0.5, strict does not fit.* has no"
    ):
        evaluate.main(dataclasses.replace(config, protocol="pcp-strict"))


@pytest.fixture(scope="module")
def stranger(trained, tmp_path_factory):
    """What a new process prints that knows nothing of these skeletons: it loads
    the hand's .keras file, then predicts with an export or a .keras file."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import keras_pose, keras\n"
        "assert callable(keras_pose.load_model)\n"
        "late = 'estimator', 'serving', 'export', 'drawing', 'videos'\n"
        "print([n for n in late if f'keras_pose.{n}' in sys.modules])\n"
        "photo, *folders = map(Path, sys.argv[1:])\n"
        "model = keras.saving.load_model(folders[0] / 'run' / 'best.keras')\n"
        "print(model.compiled, model.output_shape, model.provenance)\n"
        "print(*keras.saving.get_custom_objects(), 'predicted', sep='\\n')\n"
        "from keras_pose import predict\n"
        "names = 'saved_model', 'best.keras'\n"
        "for number, folder in enumerate(folders):\n"
        "    predict.main(predict.Config((photo,),\n"
        "        folder / 'run' / names[number % 2],\n"
        "        output=folder / 'drawn.png', json=folder / 'found.json'))\n"
    )
    photo = tmp_path_factory.mktemp("photo") / "photo.jpg"
    photo.write_bytes(picture(3, DOG).encoded)
    skeletons = HAND, DOTS, ARM  # an export, a .keras file, an export
    folders = [trained(skeleton) for skeleton in skeletons]
    done = subprocess.run(
        [sys.executable, "-c", code, str(photo), *map(str, folders)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = dict(zip((s.name for s in skeletons), folders, strict=True))
    return done.stdout, photo, found


def test_they_are_predicted_by_who_knows_nothing_of_them(stranger):
    """With an export or a .keras file alone."""
    _, photo, folders = stranger
    for skeleton in (HAND, DOTS, ARM):
        folder = folders[skeleton.name]
        (found,) = json.loads((folder / "found.json").read_text())
        assert found["file_name"] == str(photo)
        keypoints = np.reshape(found["keypoints"], (-1, 3))
        assert len(keypoints) == len(skeleton.joints)
        assert np.isfinite(keypoints).all()
        header = json.loads((folder / "found-header.json").read_text())
        assert header["joints"] == list(skeleton.joints)
        assert (folder / "drawn.png").is_file()


def test_a_saved_network_is_loaded_by_who_imports_keras_pose_alone(stranger):
    """With its loss, optimizer and metrics; every class is registered, and what
    photographs need is not imported."""
    said, *_ = stranger
    late, first, *registered = said.partition("predicted\n")[0].splitlines()
    assert late == "[]", late
    assert first.startswith("True (None, 1, 16, 32, 21) {"), first
    assert "'trained_on': ['data']" in first
    mark = r'serializable\("keras_pose"\)\n(?:@.*\n)*class (\w+)'
    classes = {
        f"keras_pose>{name}"
        for path in (ROOT / "keras_pose").rglob("*.py")
        for name in re.findall(mark, path.read_text())
    }
    assert len(classes) > 15
    assert classes <= set(registered)
