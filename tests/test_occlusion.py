"""A negative peak: the joint is there, and occluded (MSSH, eq. 1)."""

import json

import keras
import numpy as np
import pytest

from keras_pose import drawing, evaluate, predict
from keras_pose.codecs import Heatmaps
from keras_pose.data import annotations
from keras_pose.export import export
from keras_pose.inference import top_down
from keras_pose.losses import HeatmapMSE
from keras_pose.metrics import PeakHeight, PosePCK
from keras_pose.models.heads import PoseMaps
from keras_pose.skeletons import MPII

SIGNED = Heatmaps("mpii", occluded_amplitude=-1)


def labels(size=(8, 12)):
    """One person of 16 joints in different cells, occluded, visible, absent."""
    k = np.arange(16)
    x, y = 4 * (k % size[1]) + 1.5, 4 * (k % size[0]) + 1.5
    flags = np.where(k == 15, 0, 1 + k % 2)
    label = np.stack([x, y, flags, np.full(16, 9)], -1).astype("float32")
    return label[None, None]


def truth(labels, size=(8, 12)):
    """(1, 1, h, w, K) perfect maps: the peak of an occluded joint is -1."""
    y, x = np.mgrid[: size[0], : size[1]]
    labels = labels[0, 0]
    cells = (labels[:, :2] + 0.5) / 4 - 0.5
    squares = (x[..., None] - cells[:, 0]) ** 2
    squares = squares + (y[..., None] - cells[:, 1]) ** 2
    amplitude = np.select([labels[:, 2] == f for f in (1, 2)], [-1, 1], 0)
    maps = amplitude * np.exp(-squares / 2)
    return maps[None, None].astype("float32")


def test_the_loss_wants_negative_peaks_of_occluded_joints():
    maps = truth(labels())
    signed, usual = HeatmapMSE(SIGNED), HeatmapMSE(Heatmaps("mpii"))
    assert float(signed(labels(), maps)) < 1e-10
    assert float(usual(labels(), np.abs(maps))) < 1e-10
    # where 1 was wanted and -1 came, the error is twice the Gaussian
    errors = np.asarray(usual.call(labels(), maps))[0]
    expected = 4 * np.square(maps[0, 0]).sum((0, 1)) / 2
    occluded = labels()[0, 0, :, 2] == 1
    np.testing.assert_allclose(errors[occluded], expected[occluded], rtol=1e-5)
    np.testing.assert_allclose(errors[~occluded], 0, atol=1e-10)


def test_metrics_find_negative_peaks():
    maps = truth(labels())
    metric = PosePCK(SIGNED, "pckh-0.1")
    metric.update_state(labels(), maps)
    assert float(metric.result()) == 1.0
    peak = PeakHeight(SIGNED)
    peak.update_state(labels(), maps)
    np.testing.assert_allclose(float(peak.result()), 15 / 16, rtol=1e-6)


@pytest.fixture
def signed_model(wrists_model):
    """The network of `wrists_model` with a sign for each joint it sees."""

    def build(negative):
        model = wrists_model()
        signs = [-1.0 if j in negative else 1.0 for j in MPII.joints]
        maps = keras.layers.Rescaling(signs)(model.layers[-2].output)
        head = PoseMaps(SIGNED)
        model = keras.Model(model.input, head([maps]))
        model.jit_compile = False
        return model

    return build


@pytest.mark.parametrize("trick", ({}, {"flip": True}, {"scales": 3}), ids=str)
def test_the_sign_is_the_flag_and_does_not_move_the_joint(
    signed_model, wrists_data, trick
):
    data, joints = wrists_data()
    # mirrored, the network sees the left wrist as the right one
    negative = ("left_wrist", "right_wrist")[: 1 + len(trick)]
    found = top_down.predict_people(
        signed_model(negative),
        *(data, "val"),
        batch_size=2,
        decoding="dark",
        **trick,
    )
    for name, place in joints.items():
        k = MPII.index(name)
        np.testing.assert_allclose(
            found.joints[:, k], [place] * 2, atol=1.0, err_msg=name
        )
        assert (found.occluded[:, k] == (name in negative)).all()


def test_views_that_disagree_on_the_flag_agree_on_the_place(
    signed_model, wrists_data
):
    data, joints = wrists_data()
    found = top_down.predict_people(
        signed_model(("left_wrist",)),
        *(data, "val"),
        batch_size=2,
        decoding="dark",
        flip=True,
    )
    k = MPII.index("left_wrist")
    place = joints["left_wrist"]
    np.testing.assert_allclose(found.joints[0, k], place, atol=1.0)
    assert found.scores[0, k] > 0.5


def test_a_usual_model_says_nothing_of_occlusion(wrists_model, wrists_data):
    data, _ = wrists_data()
    found = top_down.predict_people(wrists_model(), data, "val", batch_size=2)
    assert found.occluded is None


def test_accuracy_of_the_flags_by_hand():
    flags = np.array([[2, 2, 2, 1, 0], [2, 2, 2, 1, 0]])
    said = np.array([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    # 8 labelled: 1 visible called occluded, 1 occluded called visible
    found = evaluate.occlusion(said, flags)
    assert found["joints"] == 8
    assert found["accuracy"] == found["always visible"] == 6 / 8
    assert found["balanced"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    line = evaluate.describe_occlusion(said, flags)
    assert "75.0 % of 8 labelled" in line and "66.7 %" in line
    line = evaluate.describe_occlusion(said, np.minimum(2 * flags, 2))
    assert "all visible or all occluded" in line


def test_evaluation_prints_and_keeps_the_flags(
    signed_model, wrists_data, tmp_path, capsys
):
    data, _ = wrists_data()
    signed_model(("left_wrist",)).save(tmp_path / "model.keras")
    evaluate.main(
        evaluate.Config(tmp_path / "model.keras", data.folder, batch_size=2)
    )
    assert "Occlusion flags: 100.0 %" in capsys.readouterr().out
    with np.load(tmp_path / "predictions.npz") as arrays:
        kept = arrays["occluded"]
    people = annotations.read_subjects(data, "val")
    np.testing.assert_array_equal(
        kept[people.flags > 0], people.flags[people.flags > 0] == 1
    )


@pytest.mark.parametrize("flip", (False, True))
def test_a_model_and_an_export_with_flip_say_who_is_occluded(
    signed_model, tmp_path, flip, capsys
):
    y, x = np.mgrid[:64, :96]
    picture = np.zeros((64, 96, 3))
    for channel, u, v in ((0, 70, 30), (0, 25, 40), (1, 50, 15)):
        picture[..., channel] += 255 * np.exp(
            -((x - u) ** 2 + (y - v) ** 2) / (2 * 6**2)
        )
    drawing.save(
        picture.round().clip(0, 255).astype("uint8"), tmp_path / "a.png"
    )
    # mirrored, the network sees the left wrist as the right one
    negative = ("left_wrist", "right_wrist")[: 1 + flip]
    model, path = signed_model(negative), tmp_path / "best.keras"
    if flip:
        path = export(model, tmp_path / "served", flip=True)
        assert json.loads((path / "serving.json").read_text())["occluded"]
    else:
        model.save(path)
    pose = predict.main(predict.Config((tmp_path / "a.png",), path))
    for name, place in (("left_wrist", (70, 30)), ("right_wrist", (25, 40))):
        k = MPII.index(name)
        assert pose.occluded[0, k] == (name in negative)
        assert pose.joints[0, k] == pytest.approx(place, abs=1.5)
        assert pose.scores[0, k] > 0.5
    lines = capsys.readouterr().out.splitlines()
    (line,) = (text for text in lines if text.startswith("left_wrist"))
    assert line.endswith("  occluded")
