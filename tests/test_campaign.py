"""A small fixed part of the campaign against hostile input."""

import numpy as np
import pytest

from tests import campaign, campaign_parts

CASES = {
    "annotations": 60,
    "boxes": 60,
    "checkpoints": 40,
    "models": 15,
    "records": 40,
    "runs": 8,
}
"""Of each part that builds no graph; charts of a run take longest."""


@pytest.mark.parametrize("name", CASES)
def test_damaged_input_is_refused_or_does_no_harm(tmp_path, name):
    part = campaign_parts.PARTS[name](tmp_path)
    outcomes = set()
    for number in range(CASES[name]):
        case = part.draw(np.random.default_rng([7, number]), number)
        outcome, *why = campaign.judge(case)
        assert outcome != "wrong", (number, case.name, why)
        outcomes.add(outcome)
    assert outcomes == {"refused", "survived"}


def test_photographs_of_every_form_are_read_or_refused(tmp_path, capfd):
    """Each as it is: the sound ones are read, the others are refused."""
    part = campaign_parts.Photographs(tmp_path)
    rng = np.random.default_rng(0)
    refused = []
    for number, name in enumerate(part.forms):
        case = part.draw(rng, number)
        outcome, *why = campaign.judge(case)
        assert outcome != "wrong", (name, why)
        refused += [name] * (outcome == "refused")
    bombs = {
        f"bomb{n}.{kind}" for n in (30000, 65000) for kind in ("png", "jpg")
    }
    assert bombs | {"text.jpg", "one.png", "long.png"} < set(refused)


def test_a_wrong_answer_is_called_wrong():
    """The judge itself: none of these is refused in a line with its file."""

    def fails(error):
        def call():
            raise error

        return call

    for call, check in (
        (fails(TypeError("a.json: ?")), None),  # not a sentence of ours
        (fails(ValueError("no name")), None),
        (fails(SystemExit(3)), None),
        (lambda: 5, lambda found: f"{found} is another record"),
    ):
        case = campaign.Case("case", call, "a.json", check)
        assert campaign.judge(case)[0] == "wrong"
    good = campaign.Case("case", fails(ValueError("a.json: bad")), "a.json")
    assert campaign.judge(good) == ("refused",)
    assert campaign.judge(campaign.Case("case", lambda: 5)) == ("survived",)
