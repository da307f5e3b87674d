"""Another look: who gets one, what it may change, and what it costs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from keras_pose import conditional as command
from keras_pose import evaluate
from keras_pose.inference import conditional, top_down
from keras_pose.inference.conditional import Thresholds
from keras_pose.people import People
from keras_pose.skeletons import LSP, MPII

HEAD, WRIST = MPII.index("head_top"), MPII.index("left_wrist")
NEVER = Thresholds(MPII, (0.0,) * 16, 0.5)


def below(tau, *joints):
    """(16,) tau_c that asks for these joints only."""
    return tuple(tau * (joint in joints) for joint in MPII.joints)


def test_fusion_by_hand():
    """Three looks at three joints of one person, 5 pixels apart at most."""
    x = np.array([[0, 0, 0], [2, 2, 2], [40, 4, 4]], float)
    joints = np.stack([x, np.full_like(x, 7.0)], axis=-1)[:, None]
    scores = np.array([[0.4, 0.1, 0.3], [0.6, 0.2, 0.5], [0.9, 0.3, 0.75]])
    found, score = conditional.fuse(
        joints, scores[:, None], 0.3, np.array([5.0])
    )
    # 0 and 2 agree and outweigh 40: (0 * 0.4 + 2 * 0.6) / 1.
    # The second joint has no score above 0.3: the first look's stays.
    # The third is seen by two looks: (2 * 0.5 + 4 * 0.75) / 1.25.
    np.testing.assert_allclose(found[0, :, 0], [1.2, 0, 3.2])
    np.testing.assert_allclose(found[0, :, 1], 7)
    np.testing.assert_allclose(score[0], [0.52, 0.1, 0.65])


def test_each_person_has_a_reach_of_its_own():
    """Looks 4 pixels apart agree on a large person, not on a small one."""
    joints = np.zeros((2, 2, 1, 2))
    joints[1, :, :, 1] = 4
    scores = np.array([0.5, 0.6])[:, None, None] * np.ones((2, 2, 1))
    found, score = conditional.fuse(joints, scores, 0, np.array([5.0, 3.0]))
    np.testing.assert_allclose(found[:, 0, 1], [4 * 0.6 / 1.1, 4])
    np.testing.assert_allclose(score[:, 0], [(0.25 + 0.36) / 1.1, 0.6])


def test_only_a_joint_below_its_own_threshold_asks():
    scores = np.full((4, 16), 0.5)
    scores[0, HEAD], scores[1, WRIST], scores[2, HEAD] = 0.29, 0.29, 0.3
    scores[3] = -0.1  # a linear map's may be: no less sure than 0
    asks = replace(NEVER, tau_c=below(0.3, "head_top"))
    assert asks.unsure(scores).tolist() == [True, False, False, True]
    assert not NEVER.unsure(scores).any()


def test_tau_c_0_is_the_single_test(wrists_model, wrists_data):
    dataset, _ = wrists_data()
    settings = {"batch_size": 2, "flip": True, "decoding": "dark"}
    arguments = wrists_model(), dataset, "val"
    single = top_down.predict_people(*arguments, **settings)
    found = conditional.predict_conditionally(*arguments, NEVER, **settings)
    np.testing.assert_array_equal(found.joints, single.joints)
    np.testing.assert_array_equal(found.scores, single.scores)
    assert found.crops.tolist() == [1, 1]


def test_a_head_beside_the_box_is_found_again(wrists_model, wrists_data):
    """The second box begins 10 pixels below the head, whose blob has sigma 6:
    exp(-100 / 72) = 0.25. Moved up by a tenth of 100 pixels it shows the head.
    """
    dataset, joints = wrists_data(center=[(80, 60), (80, 90)])
    arguments = wrists_model(), dataset, "val"
    single = top_down.predict_people(*arguments, batch_size=2)
    truth = joints["head_top"]
    off = np.linalg.norm(single.joints[:, HEAD] - truth, axis=1)
    assert off[0] < 5 and off[1] > 15 and single.scores[1, HEAD] < 0.3
    found = conditional.predict_conditionally(
        *arguments,
        replace(NEVER, tau_c=below(0.3, "head_top", "left_wrist")),
        batch_size=2,
        decoding="dark",
    )
    assert found.crops.tolist() == [1, 1 + len(conditional.TRIALS)]
    assert np.linalg.norm(found.joints[1, HEAD] - truth) < 5
    assert found.scores[1, HEAD] > 0.5
    # Joints that no look sees stay where the first look had them.
    dark = top_down.predict_people(*arguments, batch_size=2, decoding="dark")
    np.testing.assert_array_equal(found.joints[0], dark.joints[0])
    np.testing.assert_array_equal(found.joints[1, 0], dark.joints[1, 0])


def test_a_box_is_a_view_of_its_own(wrists_model, wrists_data):
    """Boxes of chosen people, in the order asked for."""
    centers = (80, 60), (70, 65), (90, 55)
    dataset, _ = wrists_data((40.0,) * 3, center=centers)
    arguments = wrists_model(), dataset, "val"
    boxes = ((1.0, 0.0, 0.0), (1.25, 0.0, 0.1))
    joints, scores = top_down.predict_boxes(
        *arguments, boxes, batch_size=4, people=[2, 0]
    )
    assert joints.shape == (2, 2, 16, 2) and scores.shape == (2, 2, 16)
    for row, (zoom, x, y) in enumerate(boxes):
        alone = top_down.predict_people(
            *arguments, batch_size=3, zoom=zoom, shift=(x, y)
        )
        np.testing.assert_allclose(joints[row], alone.joints[[2, 0]], atol=1e-3)
        np.testing.assert_allclose(scores[row], alone.scores[[2, 0]], atol=1e-5)


def looks(people, trials):
    """Truth, joints (T, N, K, 2) all true and scores all 0.9, head size 10."""
    truth = np.full((people, 16, 2), 50.0)
    joints = np.stack([truth] * (1 + trials))
    ones, names = np.ones(people), [f"{n}.jpg" for n in range(people)]
    who = People(
        joints=truth,
        flags=np.full((people, 16), 2),
        picture=np.arange(people),
        pictures=names,
        names=names,
        scale=ones,
        head_size=10 * ones,
    )
    return who, joints, np.full((1 + trials, people, 16), 0.9)


def test_the_threshold_between_wrong_and_right_is_chosen():
    """Two heads of low peaks are wrong at first; to look again at the other two
    spoils them. So 0.42 < tau_c <= 0.8, and everyone else is left alone."""
    people, joints, scores = looks(4, trials=2)
    scores[0, :, HEAD] = 0.3, 0.42, 0.8, 0.8
    scores[1:, :, HEAD] = 0.7
    joints[0, :2, HEAD] = joints[1:, 2:, HEAD] = 90
    trials = conditional.TRIALS[:2]
    found = command.choose(joints, scores, people, MPII, "pckh", trials)
    assert found == Thresholds(MPII, below(0.45, "head_top"), 0.0, trials)


def test_tau_s_keeps_bad_trials_out():
    """Two bad trials of 0.2 outweigh the good one of 0.35 unless tau_s >= 0.2;
    from 0.35 on nothing is left."""
    people, joints, scores = looks(4, trials=3)
    scores[:, 0, HEAD] = 0.1, 0.35, 0.2, 0.2
    joints[0, 0, HEAD], joints[2:, 0, HEAD] = 90, 10
    found = command.choose(
        joints, scores, people, MPII, "pckh", conditional.TRIALS[:3]
    )
    assert found.tau_s == 0.2 and found.tau_c == below(0.15, "head_top")


def test_thresholds_cost_no_more_crops_than_they_may():
    """Six trials for two of three people are 5 crops per person; for all, 7."""
    people, joints, scores = looks(3, trials=6)
    joints[0, :, HEAD], scores[0, :, HEAD] = 90, (0.1, 0.3, 0.5)
    found = command.choose(joints, scores, people, MPII, "pckh")
    assert found.tau_c == below(0.35, "head_top")


def test_where_nothing_helps_nobody_is_looked_at_again():
    people, joints, scores = looks(3, trials=6)
    found = command.choose(joints, scores, people, MPII, "pcp-strict")
    assert found.tau_c == (0.0,) * 16


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "conditional.json"
    chosen = Thresholds(MPII, below(0.3, "head_top"), 0.4, flip=True)
    conditional.save(path, chosen, {"split": "val"})
    return path, chosen


def test_a_file_of_thresholds_is_read_as_it_was(written):
    path, chosen = written
    assert conditional.load(path, MPII) == chosen
    assert json.loads(path.read_text())["tau_c"]["head_top"] == 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skeleton": "lsp"}, "for lsp, expected mpii"),
        ({"tau_c": {"head_top": 0.5}}, "the 16 joints of mpii .* got 1: head"),
        ({"tau_s": None}, "has no thresholds"),
        ({"tau_s": float("nan")}, "must be finite"),
        ({"trials": [[0, 0.1, 0.1]]}, r"positive zooms, got \[0"),
        ({"trials": [[1, 0.1]]}, "has no thresholds"),
    ],
    ids=str,
)
def test_other_thresholds_are_refused(written, change, message):
    path, _ = written
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=f"conditional.json.*{message}"):
        conditional.load(path, MPII)


def test_a_file_that_is_not_there_or_is_no_json_is_refused(written, tmp_path):
    path, _ = written
    with pytest.raises(ValueError, match="for mpii, expected lsp"):
        conditional.load(path, LSP)
    path.write_text("tau_c = 0.3")
    with pytest.raises(ValueError, match="has no thresholds"):
        conditional.load(path, MPII)
    with pytest.raises(FileNotFoundError, match="conditional writes it"):
        conditional.load(tmp_path / "other.json", MPII)


def test_chosen_and_evaluated(wrists_model, wrists_data, tmp_path, capsys):
    """The second box misses the head, of whose size 9 half is allowed; looking
    again finds it, and the first person, looked at once, stays right."""
    dataset, _ = wrists_data((9.0, 9.0), center=[(80, 60), (80, 90)])
    wrists_model().save(tmp_path / "best.keras")
    settings = {"model": tmp_path / "best.keras", "data": tmp_path}
    config = command.Config(**settings, decoding="dark")
    chosen = command.main(config)
    said = capsys.readouterr().out
    assert "--conditional" in said.splitlines()[-1]
    assert chosen.tau_c[HEAD] > 0
    config = evaluate.Config(**settings, decoding="dark")
    (single,) = evaluate.main(config).values()
    config = replace(config, conditional=tmp_path / "conditional.json")
    (found,) = evaluate.main(config).values()
    assert "1 of 2 people were predicted again: 4.00" in capsys.readouterr().out
    heads = [t.loc["head_top", "PCKh@0.5"] for t in (single, found)]
    assert heads == [50, 100]
    with pytest.raises(ValueError, match="chosen without --flip"):
        evaluate.main(replace(config, flip=True))
    with pytest.raises(ValueError, match="cannot be combined"):
        evaluate.main(replace(config, scales=6))
