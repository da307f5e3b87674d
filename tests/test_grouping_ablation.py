"""Ways to group the same maps: matched by hand, and by the command."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from keras import ops

from keras_pose import grouping_ablation
from keras_pose.codecs import Fields, Midpoints
from keras_pose.data.dataset import open_dataset
from keras_pose.evaluation import assignment
from keras_pose.skeletons import MPII
from tfrecords import crowds


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowd")
    crowds.main(
        crowds.Config(
            str(folder), 0, 3, 0, size=(96, 128), people=(2, 4),
            crowd_index=(0.0, 0.3), workers=1, seed=3,
        )
    )  # fmt: skip
    return open_dataset(folder)


def matched(scores):
    scores = np.array(scores, "float32")[None, None]
    return [ops.convert_to_numpy(x)[0, 0] for x in assignment.match(scores)]


def test_the_optimum_by_hand():
    """Greedy takes 0.90 and 0.10, together 1.00."""
    partner, score = matched([[0.90, 0.85], [0.80, 0.10]])
    assert partner.tolist() == [1, 0]
    np.testing.assert_allclose(score, [0.85, 0.80])
    assert score.sum() == pytest.approx(1.65)


def test_pairs_of_score_0_are_no_pairs():
    partner, score = matched([[0, 0, 0], [0, 0, 0.4], [0, 0.3, 0.5]])
    assert score.tolist() == pytest.approx([0, 0.4, 0.3])
    assert partner.tolist() == [0, 2, 1]


def test_a_converted_codec_has_all_settings():
    codec = Fields(MPII, stride=4, sigma=1.75, width=2.0, people=5)
    for kind in (Midpoints, assignment.OptimalFields):
        other = assignment.convert(codec, kind)
        assert type(other) is kind
        assert dataclasses.asdict(other) == dataclasses.asdict(codec)


def test_the_command_groups_the_truth_in_four_ways(data, tmp_path, capsys):
    config = grouping_ablation.Config(
        data.folder, "val", image_size=(192, 256), batch_size=2, output=tmp_path
    )
    table = grouping_ablation.main(config)
    printed = capsys.readouterr().out
    whole = table[table["crowd index"] == "all"].set_index("way")
    written = pd.read_csv(tmp_path / "grouping.csv")[: len(whole)]
    assert written["AP"].tolist() == pytest.approx(whole["AP"], abs=1e-3)
    assert [*whole.index] == [
        f"{limbs}, {how}"
        for limbs in ("fields", "midpoints")
        for how in ("greedy", "optimal")
    ]
    assert (whole["pictures"] == 3).all() and (whole["people"] > 3).all()
    assert whole.loc["fields, greedy", "AP"] > 70
    assert (whole["found"] <= whole["people"]).all()
    assert (whole["found"] + whole["poses of nobody"] <= whole["poses"]).all()
    assert whole.loc["fields, greedy", "found"] > 3
    assert "fields, greedy" in printed and "paired" in printed


def test_a_network_of_single_people_is_refused(data, oracle_model, tmp_path):
    oracle_model.save(tmp_path / "single.keras")
    config = grouping_ablation.Config(
        data.folder, "val", tmp_path / "single.keras"
    )
    with pytest.raises(ValueError, match="sees one person in a box"):
        grouping_ablation.main(config)
