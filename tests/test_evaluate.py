"""Tables and files of an evaluation, against published numbers and by hand."""

import dataclasses
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io

from keras_pose import evaluate, metrics
from keras_pose.evaluation import formats
from keras_pose.metrics import PROTOCOLS, mean_score
from keras_pose.models import model as models
from keras_pose.people import People, Poses, index_pictures
from keras_pose.skeletons import FLIC, LSP, MPII

SHARED = Path(__file__).parents[1] / "../shared/data/mpii"
published = pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs MPII's annotations"
)


def people_of(joints, flags, head_size, names=None):
    """`People` of which only what scoring reads is filled in."""
    number = len(joints)
    names = names or [f"photo.jpg#{n + 1}" for n in range(number)]
    sources = [name.partition("#")[0] for name in names]
    picture, pictures = index_pictures(sources)
    return People(
        joints=joints,
        flags=flags,
        picture=picture,
        pictures=pictures,
        names=names,
        head_size=np.asarray(head_size, float),
    )


def poses_of(joints):
    return Poses(joints, np.ones(joints.shape[:2]))


def table_of(joints, people, skeleton, protocol="pckh"):
    found = metrics.find(protocol)
    return found.table(poses_of(joints), people, skeleton)


@pytest.fixture(scope="module")
def tompson():
    """Truth and predictions for MPII's 2,958 validation people, from 0."""
    mat = scipy.io.loadmat(SHARED / "detections_our_format.mat")
    box = mat["headboxes_src"]
    truth = people_of(
        mat["pos_gt_src"].transpose(2, 0, 1) - 1,
        2 * (mat["jnt_missing"].T == 0),
        0.6 * np.linalg.norm(box[1] - box[0], axis=0),
    )
    return truth, mat["pos_pred_src"].transpose(2, 0, 1) - 1


@published
def test_published_predictions_score_what_mpii_says(tompson):
    people, predicted = tompson
    table = table_of(predicted, people, MPII, "pckh").round(4)
    assert table.loc["Mean"].tolist() == [
        82.3367,
        28.9748,
        33.1382,
        55.4947,
        table["counted"].drop(["pelvis", "thorax"])[:14].sum(),
        2958,
    ]
    assert list(table.columns)[:3] == [
        "PCKh@0.5",
        "PCKh@0.1",
        "PCKh@0.11 (MSRA's @0.1)",
    ]
    joints = table_of(predicted, people, MPII, "pckh-joints")
    assert joints.loc["Mean", "PCKh@0.5, mean of joints"].round(4) == 81.4584
    expected = {
        "head_top": 95.60,
        "upper_neck": 97.71,
        "right_shoulder": 92.15,
        "left_shoulder": 93.27,
        "left_elbow": 83.36,
        "right_elbow": 83.37,
        "right_wrist": 76.40,
        "left_wrist": 77.07,
        "right_hip": 82.00,
        "left_hip": 81.86,
        "right_knee": 73.44,
        "left_knee": 73.28,
        "right_ankle": 65.20,
        "left_ankle": 65.69,
    }
    found = table["PCKh@0.5"].round(2)
    assert found[list(expected)].to_dict() == expected
    # A column is the mean of its joints; Head is the top of the head alone.
    assert np.isclose(table.loc["Head", "PCKh@0.5"], 95.60, atol=0.005)
    assert np.isclose(table.loc["Elbow", "PCKh@0.5"], 83.365, atol=0.005)


@published
def test_truth_rounded_to_a_map_of_64_cells_scores_what_it_should(tompson):
    """The rounding of the field's crops, whose middle is cell 32."""
    people, _ = tompson
    content = gzip.decompress(
        (SHARED / "mpii_annotations.json.gz").read_bytes()
    )
    rows = [row for row in json.loads(content) if row["isValidation"]]
    scale = np.array([row["scale_provided"] for row in rows])
    center = np.array([row["objpos"] for row in rows]) - 1.0
    center[:, 1] += 15 * scale  # Newell's crop
    cell = (200 * 1.25 * scale / 64)[:, None, None]  # pixels
    cells = (people.joints - center[:, None]) / cell + 32
    rounded = (np.rint(cells) - 32) * cell + center[:, None]
    mean = table_of(rounded, people, MPII, "pckh").loc["Mean"]
    assert mean["PCKh@0.5"] == 100
    assert mean["PCKh@0.1"].round(2) == 98.16


def test_a_table_by_hand():
    """Two people of head size 10: one perfect, one 3 pixels off everywhere."""
    truth = np.full((2, 16, 2), 50.0)
    flags = np.full((2, 16), 2)
    flags[0, MPII.index("left_wrist")] = 0
    flags[1, MPII.index("left_wrist")] = 1
    people = people_of(truth, flags, [10, 10])
    predicted = truth + np.array([0, 3])[:, None, None] * [1, 0]
    predicted[1, MPII.index("right_ankle")] = np.nan
    table = table_of(predicted, people, MPII)
    assert table.loc["left_wrist"].tolist()[:3] == [100, 0, 0]
    assert table.loc["head_top"].tolist()[:3] == [100, 50, 50]
    assert table.loc["right_ankle"].tolist()[:3] == [50, 50, 50]
    assert table.loc["Ankle"].tolist()[:3] == [75, 50, 50]
    # 0.3, where the second person is found, is step 30 of 0 ... 50.
    auc = 100 * (1 + 21 / 51) / 2
    np.testing.assert_allclose(table.loc["head_top", "AUC"], auc)
    assert table["counted"][["left_wrist", "head_top", "Wrist"]].tolist() == [
        1,
        2,
        3,
    ]
    assert table["people"][["left_wrist", "Wrist", "Mean"]].tolist() == [
        1,
        2,
        2,
    ]
    assert table.loc["Mean", "counted"] == 27
    np.testing.assert_allclose(table.loc["Mean", "PCKh@0.5"], 100 * 26 / 27)


def test_a_flic_table_has_elbows_and_wrists_as_the_papers():
    """Two people with torsos of 50 and 100 pixels, wrists 15 pixels off."""
    truth = np.zeros((2, 11, 2))
    truth[:, FLIC.index("left_shoulder")] = [[30, 0], [60, 0]]
    truth[:, FLIC.index("right_hip")] = [[0, 40], [0, 80]]
    flags = np.full((2, 11), 2)
    flags[1, FLIC.index("left_elbow")] = 0
    predicted = truth.copy()
    for side in ("left", "right"):
        predicted[:, FLIC.index(f"{side}_wrist")] += [9, 12]
    predicted[:, FLIC.index("right_eye")] += 99
    people = people_of(truth, flags, [np.nan] * 2)
    table = table_of(predicted, people, FLIC, "flic")
    title = "PCK@0.2 of elbows and wrists"
    assert list(table.columns) == [title, "AUC", "counted", "people"]
    assert table.index.tolist()[-3:] == ["Elbow", "Wrist", "Mean"]
    assert table[title][-3:].round(4).tolist() == [100, 50, 71.4286]  # 5 of 7
    assert table["counted"][-3:].tolist() == [3, 4, 7]
    assert table.loc["right_eye", title] == 0
    poses = poses_of(predicted)
    printed = metrics.find("flic").describe(table, poses, people, FLIC, "val")
    assert "Elbow  Wrist  Mean" in printed and "Shoulder" not in printed


def test_lsp_head_column_averages_neck_and_head_top():
    truth = np.arange(28.0).reshape(1, 14, 2)
    predicted = truth.copy()
    predicted[0, LSP.index("neck")] += 100
    people = people_of(truth, np.full((1, 14), 2), [np.nan])
    table = table_of(predicted, people, LSP, "pck-torso")
    assert table.loc[["Head", "Knee"], "PCK@0.2"].tolist() == [50, 100]
    limbs = table_of(predicted, people, LSP, "pcp-strict")
    assert limbs.loc[["Head", "Torso"], "PCP@0.5, strict"].tolist() == [0, 100]
    assert limbs.loc["Mean", "PCP@0.5, strict"] == 90
    assert "AUC" not in limbs.columns


def test_lsp_rows_have_the_form_of_the_papers_and_their_totals():
    """1,000 people with as many joints right as MSSH's tables 2 and 3 say.

    The totals that it prints beside them follow: 91.4 is the mean of the
    columns, 89.5 that of ten limbs.
    """
    groups = {
        "Head": 96.9, "Shoulder": 92.5, "Elbow": 87.7, "Wrist": 85.2,
        "Hip": 92.7, "Knee": 93.3, "Ankle": 91.7,
    }  # fmt: skip
    rows = [f"{joint}_x" for joint in groups]
    table = pd.DataFrame(
        {"PCK@0.2": [0.0] * 7 + [*groups.values(), 91.43]},
        index=[*rows, *groups, "Mean"],
    )
    text = evaluate.papers_row(table, LSP, "pck-torso", "runs/mssh/best.keras")
    head, row = text.strip().splitlines()
    assert head.split() == ["PCK@0.2", *groups, "Total"]
    assert row.split() == ["mssh", *(f"{v}" for v in groups.values()), "91.4"]
    rng = np.random.default_rng(0)
    truth = rng.uniform(100, 900, (1000, 14, 2))
    predicted = truth.copy()
    for column, indices in PROTOCOLS["pck-torso"].columns(LSP).items():
        wrong = round(1000 - 10 * groups[column])
        for index in indices:
            predicted[rng.permutation(1000)[:wrong], index] += 5000
    people = people_of(truth, np.full((1000, 14), 2), [np.nan] * 1000)
    found = table_of(predicted, people, LSP, "pck-torso")["PCK@0.2"]
    np.testing.assert_allclose(found[list(groups)], [*groups.values()])
    assert round(found["Mean"], 1) == 91.4


def test_strict_pcp_of_lsp_has_the_papers_total():
    limbs = {
        "Torso": 97.9, "Upper leg": 94.3, "Lower leg": 91.4, "Upper arm": 86.6,
        "Forearm": 78.5, "Head": 95.7,
    }  # fmt: skip
    correct = np.zeros(10)
    for column, indices in PROTOCOLS["pcp-strict"].columns(LSP).items():
        correct[list(indices)] = 10 * limbs[column]  # of 1,000 people
    total = mean_score(correct, np.full(10, 1000.0), [True] * 10)
    assert round(100 * float(total), 1) == 89.5


def test_the_lsp_command_prints_both_tables(
    wrists_model, wrists_data, tmp_path, capsys
):
    dataset, joints = wrists_data(skeleton=LSP)
    model = tmp_path / "mssh" / "best.keras"
    model.parent.mkdir()
    wrists_model(skeleton="lsp").save(model)
    with pytest.raises(ValueError, match=r"PCK@0.2 has nothing to score"):
        evaluate.main(evaluate.Config(model, dataset.folder, protocol="lsp"))
    # a torso that can be measured: the blobs are hips and shoulders too
    people = evaluate.annotations.read_people(dataset, "val")
    flags = np.full_like(people.flags, 2)
    whole = dataclasses.replace(
        people,
        flags=flags,
        joints=np.random.default_rng(0).uniform(0, 200, people.joints.shape),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.annotations, "read_people", lambda *_: whole)
        evaluate.main(evaluate.Config(model, dataset.folder, protocol="lsp"))
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert ["PCK@0.2", "Head", "Shoulder", "Elbow"] in [x[:4] for x in lines]
    assert "PCP@0.5, strict  Torso  Upper leg" in printed
    assert (model.parent / "table-pcp-strict.csv").is_file()
    assert "Total" in printed


def test_what_cannot_be_scored_is_named():
    truth, flags = np.zeros((2, 16, 2)), np.full((2, 16), 2)
    good = people_of(truth, flags, [10, 10])

    def refused(match, people, predicted=truth, protocol="pckh"):
        with pytest.raises(ValueError, match=match):
            table_of(predicted, people, MPII, protocol)

    refused("one of pckh, .* got 'pck'", good, protocol="pck")
    refused("expected poses of 16 joints, got 14", good, truth[:, :14])
    refused("OKS-AP has nothing to score", good, protocol="oks")
    nobody = people_of(truth[:0], flags[:0], [])
    refused("there are no people", nobody, truth[:0])
    headless = people_of(truth, flags, [np.nan] * 2)
    refused("none of the 2 people has a head size", headless)
    odd = flags.copy()
    odd[1, 3] = 7
    refused("got 7 for photo.jpg#2", people_of(truth, odd, [10, 10]))
    broken = truth.copy()
    broken[1, 3, 0] = np.inf
    refused("infinite in photo.jpg#2", people_of(broken, flags, [10, 10]))


def test_the_command_scores_prints_and_writes(
    wrists_model, wrists_data, tmp_path, capsys
):
    dataset, joints = wrists_data(head_sizes=(20.0, float("nan"), 20.0))
    model, output = tmp_path / "best.keras", tmp_path / "out"
    network = wrists_model()
    drawn = models.PoseModel(network.input, network.output)
    drawn.provenance = {"trained_on": ["drawn people"]}
    drawn.save(model)
    config = evaluate.Config(
        model, dataset.folder, flip=True, batch_size=2, output=output
    )
    table = evaluate.main(config)["pckh"]
    # Two people with a head size; two wrists and a head top each.
    mean = table.loc["Mean", ["PCKh@0.5", "counted", "people"]]
    assert mean.tolist() == [100, 6, 2]
    printed = capsys.readouterr().out
    assert "3 people, 2 counted; 9 joints labelled" in printed
    assert "39 not labelled" in printed
    assert "1 not counted, without a head size: photo.jpg#2." in printed
    assert "without pelvis and thorax" in printed
    assert "split val" in printed
    assert "Note: this model was trained on drawn people only" in printed
    assert printed.strip().splitlines()[-1].startswith("Next: python -m keras")
    assert sorted(os.listdir(output)) == [
        "predictions-header.json",
        "predictions.json",
        "predictions.mat",
        "predictions.npz",
        "table.csv",
    ]
    written = pd.read_csv(output / "table.csv", index_col="joint")
    np.testing.assert_allclose(written, table)
    saved = np.load(output / "predictions.npz")
    wrist = MPII.index("left_wrist")
    assert saved["joint_names"][wrist] == "left_wrist"
    # Within a quarter cell: a cell is 12.5 pixels of the photograph.
    np.testing.assert_allclose(
        saved["joints"][:, wrist], [joints["left_wrist"]] * 3, atol=12.5 / 4
    )
    rows = json.loads((output / "predictions.json").read_text())
    assert [row["person"] for row in rows] == [f"photo.jpg#{n}" for n in "123"]
    assert {row["file_name"] for row in rows} == {"photo.jpg"}
    header = json.loads((output / "predictions-header.json").read_text())
    assert header["skeleton"] == "mpii"
    assert header["warning"] in printed
    np.testing.assert_allclose(
        rows[2]["keypoints"][3 * wrist : 3 * wrist + 2],
        saved["joints"][2, wrist],
        atol=5e-4,
    )


def test_mpii_layout_counts_from_one_and_keeps_who_is_who(tmp_path):
    rng = np.random.default_rng(0)
    predictions = Poses(
        rng.uniform(0, 99, (3, 16, 2)), rng.uniform(0, 1, (3, 16))
    )
    names, sources = ["a.jpg#1", "b.jpg#2", "a.jpg#4"], ["a.jpg", "b.jpg"]
    path = tmp_path / "predictions.mat"
    content = formats.as_mpii(predictions, names, [*sources, "a.jpg"], MPII)
    scipy.io.savemat(path, content)
    mat = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)
    np.testing.assert_allclose(
        mat["pos_pred_src"], predictions.joints.transpose(1, 2, 0) + 1
    )
    first, second = mat["pred"].annolist
    assert (first.image.name, second.image.name) == ("a.jpg", "b.jpg")
    assert [rect.ridx for rect in first.annorect] == [1, 4]
    point = first.annorect[1].annopoints.point[9]
    assert (point.id, point.x) == (9, predictions.joints[2, 9, 0] + 1)
    assert second.annorect.annopoints.point[9].y == (
        predictions.joints[1, 9, 1] + 1
    )


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    (tmp_path / "table.csv").write_text("old")
    people = people_of(np.zeros((1, 16, 2)), np.full((1, 16), 2), [1])
    poses = poses_of(np.zeros((1, 16, 2)))
    scored = evaluate.score(poses, people, MPII, ["pckh"])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="table.csv cannot be written.*No space"):
        evaluate.save(tmp_path, scored, poses, people, MPII)
    assert os.listdir(tmp_path) == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


def test_a_bad_request_ends_before_anything_is_predicted(
    wrists_model, wrists_data, tmp_path
):
    dataset, _ = wrists_data()
    model = tmp_path / "best.keras"
    wrists_model(skeleton="lsp").save(model)

    def refused(match, **settings):
        with pytest.raises(ValueError, match=match):
            evaluate.main(evaluate.Config(model, dataset.folder, **settings))

    refused("joints of lsp, but .* has mpii")
    refused("no split 'tset'", split="tset")
    refused("'test' holds no people", split="test")
    refused("protocol must be one of pckh", protocol="pck")
    refused("PCK@0.2 has nothing to score", protocol="pck-torso")


def test_people_without_labels_are_predicted_and_not_scored(
    wrists_model, wrists_data, tmp_path, monkeypatch, capsys
):
    """As of MPII's test photographs: the file in the layout of its server."""
    dataset, _ = wrists_data()
    model = tmp_path / "best.keras"
    wrists_model().save(model)
    read = evaluate.annotations.read_people

    def unlabelled(*of):
        people = read(*of)
        return dataclasses.replace(people, flags=0 * people.flags)

    monkeypatch.setattr(evaluate.annotations, "read_people", unlabelled)
    config = evaluate.Config(model, dataset.folder, output=tmp_path / "out")
    assert evaluate.main(config) == {}
    assert "there is nothing to score. 2 poses" in capsys.readouterr().out
    found = scipy.io.loadmat(tmp_path / "out" / "predictions.mat")
    assert [name.item() for name in found["names"].ravel()] == [
        "photo.jpg#1",
        "photo.jpg#2",
    ]
    assert found["pos_pred_src"].shape == (16, 2, 2)


def test_the_shift_of_a_flip_test_is_as_wanted(
    wrists_model, wrists_data, tmp_path
):
    """Of corner cells of 4 pixels the exact shift is 3/4 of a cell; a whole one
    moves the mean of both views by 1/8, half a pixel of the crop. 64 rows of it
    are 100 pixels of the record, each two of the photograph."""
    dataset, _ = wrists_data()
    model = tmp_path / "best.keras"
    wrists_model("corner").save(model)

    def found(**settings):
        config = evaluate.Config(
            model, dataset.folder, flip=True, decoding="soft", **settings
        )
        evaluate.main(config)
        return np.load(tmp_path / "predictions.npz")["joints"]

    exact, usual = found(), found(flip_shift=0.75)
    np.testing.assert_array_equal(usual, exact)
    seen = [MPII.index(name) for name in ("left_wrist", "head_top")]
    moved = (found(flip_shift=1.0) - exact)[:, seen, 0]
    # the window around the peak does not see all of a blob
    np.testing.assert_allclose(moved, 0.5 * 100 / 64 * 2, rtol=0.15)
    with pytest.raises(ValueError, match="0 to 1 cells, got 2"):
        found(flip_shift=2.0)
    config = evaluate.Config(model, dataset.folder, flip_shift=1.0)
    with pytest.raises(ValueError, match="--flip-shift needs --flip"):
        evaluate.main(config)
