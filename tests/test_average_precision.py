"""OKS-AP of made predictions, by hand; and the command from end to end."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from keras_pose import evaluate, training
from keras_pose.codecs import Heatmaps
from keras_pose.data import annotations, pipeline
from keras_pose.data.dataset import open_dataset
from keras_pose.inference import top_down
from keras_pose.metrics import oks
from keras_pose.models.heads import PoseMaps
from keras_pose.people import People, Poses
from keras_pose.skeletons import COCO
from reproductions import flow, hsm_loss
from tfrecords import check, coco

SIGMAS = oks.sigmas(COCO)
POSE = np.random.default_rng(0).uniform(10, 90, (17, 2)).round()
MEDIUM, LARGE = 50.0**2, 100.0**2


def annotation(image, pose=POSE, area=LARGE, flags=2, **other):
    flags = np.broadcast_to(flags, 17)
    low = pose.min(axis=0)
    return {
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((flags > 0).sum()),
        "area": area,
        "bbox": [*low, *(pose.max(axis=0) - low)],
        "keypoints": np.column_stack([pose, flags]).ravel().tolist(),
    } | other


def people_of(*rows):
    """`People` of annotations, whose photographs are named by their numbers."""
    ids = sorted({row["image_id"] for row in rows})
    keypoints = np.array([row["keypoints"] for row in rows])
    keypoints = keypoints.reshape(-1, 17, 3)
    return People(
        joints=keypoints[..., :2],
        flags=keypoints[..., 2].astype(int),
        picture=np.array([ids.index(row["image_id"]) for row in rows]),
        pictures=[f"{number}.jpg" for number in ids],
        names=[f"{row['image_id']}.jpg" for row in rows],
        image_ids=ids,
        box=np.array([row["bbox"] for row in rows], float),
        area=np.array([row["area"] for row in rows]),
        crowd=np.array([bool(row["iscrowd"]) for row in rows]),
    )


def result(image, pose=POSE, score=1.0):
    return image, pose, score


def scores(results, people):
    images, joints, score = zip(*results, strict=True)
    poses = Poses(
        np.array(joints),
        np.ones((len(joints), 17)),
        person=np.full(len(joints), -1),
        picture=np.array([people.image_ids.index(i) for i in images]),
        score=np.array(score),
    )
    return oks.AveragePrecision().table(poses, people, COCO)[oks.COLUMN]


def apart(alike, area):
    """(17, 2): how far each joint has to be off for this OKS."""
    far = 2 * SIGMAS * np.sqrt(-2 * area * np.log(alike))
    return np.column_stack([0.6 * far, -0.8 * far])


TWO = people_of(annotation(7), annotation(9, area=MEDIUM))


def test_the_truth_itself_scores_100():
    found = scores([result(7), result(9)], TWO)
    assert list(found.index) == list(oks.MEASURES)
    assert found.tolist() == pytest.approx([100] * 10)


@pytest.mark.parametrize("alike, survive", [(0.72, 5), (0.951, 10), (0.49, 0)])
def test_shifted_joints_pass_the_thresholds_below_their_oks(alike, survive):
    """OKS 0.72 passes 0.50, 0.55, 0.60, 0.65 and 0.70: five of the ten."""
    found = scores(
        [
            result(7, POSE + apart(alike, LARGE)),
            result(9, POSE - apart(alike, MEDIUM)),
        ],
        TWO,
    )
    assert found["AP"] == pytest.approx(10 * survive)
    assert found["AR"] == pytest.approx(10 * survive)
    assert found["AP medium"] == pytest.approx(10 * survive)
    assert found["AP@0.50"] == pytest.approx(100 * (alike > 0.5))
    assert found["AP@0.75"] == pytest.approx(100 * (alike > 0.75))


def test_one_of_two_people_found_is_half_the_recall():
    """Precision 1 up to recall 0.5: 51 of COCO's 101 steps of recall."""
    found = scores([result(7)], TWO)
    assert found["AP"] == pytest.approx(100 * 51 / 101)
    assert found["AR"] == pytest.approx(50)
    assert found["AP large"] == pytest.approx(100)
    assert found["AP medium"] == 0


def test_where_there_is_nobody_there_is_no_number():
    found = scores([result(7)], people_of(annotation(7)))
    assert found["AP large"] == pytest.approx(100)
    assert np.isnan(found["AP medium"])


def test_a_false_alarm_before_the_person_halves_precision():
    alarm = result(7, POSE + 500, score=2.0)
    found = scores([result(7), alarm], people_of(annotation(7)))
    assert found["AP"] == pytest.approx(50)
    assert found["AR"] == pytest.approx(100)


@pytest.mark.parametrize("crowd", [0, 1])
def test_crowds_and_people_without_keypoints_may_be_found(crowd):
    """The same alarm upon one of them does no harm."""
    nobody = annotation(7, POSE + 500, flags=0, iscrowd=crowd)
    alarm = result(7, POSE + 500, score=2.0)
    found = scores([result(7), alarm], people_of(annotation(7), nobody))
    assert found["AP"] == pytest.approx(100)


CELLS = np.stack([np.arange(17) % 10 + 1, np.arange(17) % 13 + 1], axis=-1)
"""Column and row of each joint in maps 12 wide and 16 high."""


@pytest.fixture
def model(tmp_path):
    """A network of 64 x 48 pixels that sees everybody in the same pose."""
    maps = np.zeros((16, 12, 17), "float32")
    maps[CELLS[:, 1], CELLS[:, 0], np.arange(17)] = 0.8
    images = keras.Input((64, 48, 3), dtype="uint8")
    dense = layers.Dense(maps.size, kernel_initializer="zeros")
    x = dense(layers.GlobalAveragePooling2D()(layers.Rescaling(0.0)(images)))
    dense.bias.assign(maps.ravel())
    head = PoseMaps(Heatmaps("coco", 4))
    x = head([layers.Reshape(maps.shape)(x)])
    path = tmp_path / "best.keras"
    keras.Model(images, x).save(path)
    return path


@pytest.fixture
def data(tmp_path):
    """Two people, narrow and wide, just where the network sees them."""
    folder = tmp_path / "coco"
    rows = []
    for number, box in ((3, [20, 30, 40, 80]), (5, [60, 20, 120, 80])):
        # The height of 3:4 around the box, padded, fills the crop's.
        side = 1.25 * max(box[3], box[2] * 4 / 3)
        middle = np.add(box[:2], np.subtract(box[2:], 1) / 2)
        pixels = 4 * CELLS + 1.5
        pose = middle + (pixels - [23.5, 31.5]) * side / 64
        area = box[2] * box[3]
        rows.append(
            annotation(number, pose, area) | {"id": number, "bbox": box}
        )
    rows.append(annotation(5, POSE, flags=0, iscrowd=1) | {"id": 6})
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": 200, "height": 150}
        for n in (3, 5)
    ]
    folder.mkdir()
    for image in images:
        picture = np.zeros((150, 200, 3), "uint8")
        cv2.imwrite(str(folder / image["file_name"]), picture)
    truth = {"images": images, "annotations": rows}
    (folder / "made.json").write_text(json.dumps(truth))
    boxes = [
        {
            "image_id": row["image_id"],
            "category_id": 1,
            "bbox": np.add(row["bbox"], shift).tolist(),
            "score": score,
        }
        for row in rows[:2]
        for shift, score in ((0, 0.9), (0.25, 0.5), (30, 0.3))
    ]
    (folder / "boxes.json").write_text(json.dumps(boxes))
    coco.main(
        coco.Config(
            source=folder,
            output=tmp_path / "records",
            annotations=("val=made.json",),
            images=folder,
            boxes=folder / "boxes.json",
            workers=1,
        )
    )
    return open_dataset(tmp_path / "records")


def test_boxes_without_annotations_are_predicted_and_not_scored(
    model, data, tmp_path, capsys
):
    """As of COCO's test-dev: the file that its server takes."""
    folder = tmp_path / "coco"
    listed = json.loads((folder / "made.json").read_text())
    listed.pop("annotations")
    (folder / "info.json").write_text(json.dumps(listed))
    coco.main(
        coco.Config(
            source=folder,
            output=tmp_path / "dev",
            annotations=("test=info.json",),
            images=folder,
            boxes=folder / "boxes.json",
            workers=1,
        )
    )
    capsys.readouterr()
    output = tmp_path / "out"
    tables = evaluate.main(
        evaluate.Config(model, tmp_path / "dev", split="test", output=output)
    )
    assert tables == {}
    printed = capsys.readouterr().out
    assert "there is nothing to score. 6 poses are predicted" in printed
    assert "Wrote predictions.npz" in printed
    assert not list(output.glob("table*"))
    rows = json.loads((output / "predictions.json").read_text())
    assert [row["image_id"] for row in rows] == [3, 3, 5, 5]  # two suppressed
    assert {row["category_id"] for row in rows} == {1}
    assert {len(row["keypoints"]) for row in rows} == {51}


def test_the_command_scores_coco_by_oks(model, data, tmp_path, capsys):
    output = tmp_path / "out"

    def run(**settings):
        capsys.readouterr()
        config = evaluate.Config(model, data.folder, output=output, **settings)
        return evaluate.main(config), capsys.readouterr().out

    tables, printed = run()
    assert [*tables] == ["pck-bbox", "oks"]
    assert tables["oks"].loc["AP"].tolist() == pytest.approx([100])
    assert tables["pck-bbox"].loc["Mean"].iloc[0] == 100
    assert "2 people with labelled joints, 1 crowds and people with" in printed
    assert "in 2 photographs; 2 poses." in printed
    rows = json.loads((output / "predictions.json").read_text())
    assert [row["image_id"] for row in rows] == [3, 5]
    assert [row["file_name"] for row in rows] == [
        f"{n:012d}.jpg" for n in (3, 5)
    ]
    assert rows[0]["score"] == pytest.approx(0.8)
    np.testing.assert_allclose(rows[0]["bbox"], (20, 30, 40, 80), atol=1e-3)
    written = pd.read_csv(output / "table-oks.csv", index_col="measure")
    np.testing.assert_allclose(written, tables["oks"])

    tables, _ = run(protocol="oks")
    written = pd.read_csv(output / "table.csv", index_col="measure")
    np.testing.assert_allclose(written, tables["oks"])

    # Of three boxes each, one finds the person, one finds it again and is
    # suppressed, and one misses it, with the worst score.
    tables, printed = run(split="detected")
    assert tables["oks"].loc["AP"].tolist() == pytest.approx([100])
    assert "in 2 photographs; 4 poses." in printed
    rows = json.loads((output / "predictions.json").read_text())
    np.testing.assert_allclose(
        [row["score"] for row in rows], [0.72, 0.24, 0.72, 0.24], rtol=1e-6
    )
    with pytest.raises(ValueError, match="not assigned to people"):
        run(split="detected", protocol="pck-bbox")


@pytest.mark.parametrize("size", [(64, 48), (64, 64), (48, 96)], ids=str)
def test_boxes_are_fitted_into_the_aspect_of_the_network(data, size):
    """Converted at 3:4, cut at any aspect: the box and a quarter more."""
    ((_, matrices),) = pipeline.views(data, "val", size, 2)
    height, width = size
    for back, (w, h) in zip(
        matrices.numpy(), ((40, 80), (120, 80)), strict=True
    ):
        side = 1.25 * max(h, w * height / width)
        assert back[0, 0] * height == pytest.approx(side, rel=1e-5)


def test_poses_know_the_area_of_a_square_networks_crop(data):
    """By which OKS-NMS compares them: (1.25 x the longer side)^2."""
    images = keras.Input((64, 64, 3), dtype="uint8")
    maps = layers.Conv2D(17, 4, 4)(layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, PoseMaps(Heatmaps("coco"))([maps]))
    model.jit_compile = False
    poses = top_down.predict_people(model, data, "val", batch_size=2)
    np.testing.assert_allclose(poses.area, [100.0**2, 150.0**2], rtol=1e-5)


def test_a_run_on_coco_ends_with_average_precision(
    model, data, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(flow, "export", lambda *_, **__: None)  # slow
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("best.keras", "untrained.keras"):
        shutil.copyfile(model, folder / name)
    settings = {"name": {"value": 1, "from": "flag"}}
    (folder / "run.json").write_text(json.dumps({"settings": settings}))
    config = hsm_loss.Config(output=folder, batch_size=2)
    flow.finish(training.Run("A paper", config, {}, data, "pck"))
    results = json.loads((folder / "results.json").read_text())
    assert results["oks"]["AP"] == results["trained"] == 1
    assert results["oks"]["AP medium"] == 1
    rows = json.loads((folder / "predictions.json").read_text())
    assert [row["image_id"] for row in rows] == [3, 5]
    table = pd.read_csv(folder / "table-oks.csv", index_col="measure")
    assert table.loc["AP"].tolist() == [100]
    assert "OKS-AP, split val: 2 people" in capsys.readouterr().out
    assert "average precision" in (folder / "report.html").read_text()


def test_a_truth_that_is_not_the_listed_one_is_refused(data):
    path = data.folder / "truth-val.json.gz"
    content = gzip.decompress(path.read_bytes())
    listed = data.description["truth"]["val"]["sha256"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == listed
    check.main(check.Config(data.folder))
    path.write_bytes(gzip.compress(content + b" "))
    with pytest.raises(ValueError, match="truth-val.json.gz is not the file"):
        annotations.read_truth(data, "val")
    with pytest.raises(
        ValueError, match="1 failures.*truth-val.json.gz: wrong"
    ):
        check.main(check.Config(data.folder))
    path.unlink()
    with pytest.raises(ValueError, match="truth-val.json.gz is missing"):
        annotations.read_truth(data, "val")


def test_oks_needs_to_know_what_area_a_person_covers(model, wrists_data):
    other, _ = wrists_data()
    config = evaluate.Config(model, other.folder, protocol="oks")
    with pytest.raises(ValueError, match="has a labelled joint and an area"):
        evaluate.main(config)


SHARED = Path(__file__).parents[1] / "../shared/data/coco"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs COCO's subset")
@pytest.mark.parametrize("person_pixels", [64, 384])
def test_the_records_of_coco_score_100(tmp_path, person_pixels):
    """Joints go into the crops' pixels and come back, at any resolution."""
    coco.main(
        coco.Config(
            source=SHARED,
            output=tmp_path,
            annotations=("val=annotations/person_keypoints_val2017.json",),
            person_pixels=person_pixels,
            workers=1,
        )
    )
    data = open_dataset(tmp_path)
    subjects = annotations.read_subjects(data, "val")
    people = annotations.read_people(data, "val")
    assert people.names[:46] == subjects.names and len(people) > 46
    np.testing.assert_allclose(
        subjects.joints, people.joints[:46], atol=1e-2, rtol=0
    )
    images = np.array(people.image_ids)[subjects.picture].tolist()
    results = [*zip(images, subjects.joints, [1.0] * 46, strict=True)]
    assert scores(results, people).tolist() == pytest.approx([100] * 10)
    results[0] = result(images[0], subjects.joints[0] + 1000)
    assert scores(results, people)["AR"] == pytest.approx(100 * 45 / 46)
