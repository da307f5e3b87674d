"""A run takes what an equal one in its comparison has trained."""

import json

import pytest

from keras_pose.training import folder as names


def said(paper="HSM", epochs=2, beta=1.0, sha="0"):
    settings = {"epochs": epochs, "beta": beta}
    return {
        "paper": paper,
        "settings": {
            name: {"value": value, "from": "flag"}
            for name, value in settings.items()
        },
        "data": "data",
        "data_sha256": sha,
        "networks": names.NETWORKS,
    }


def train(folder, run, done):
    """What a run of so many epochs leaves."""
    newest = folder / names.CHECKPOINT / f"epoch-{done:04d}"
    newest.mkdir(parents=True)
    (newest / names.WEIGHTS).write_text("weights")
    state = {"epoch": done, "history": []}
    (newest / names.STATE).write_text(json.dumps(state))
    (folder / names.RUN).write_text(json.dumps(run))
    (folder / names.BEST).write_text(f"best of {done}")
    rows = [f"{epoch + 1}" for epoch in range(done)]
    (folder / names.HISTORY).write_text("\n".join(["epoch", *rows]))


@pytest.mark.parametrize(
    ("run", "taken"),
    [
        (said(), True),
        (said(epochs=5), True),  # goes on from there
        (said(epochs=1), False),
        (said(beta=2.0), False),
        (said(sha="1"), False),
        (said(paper="Another of the same settings"), False),
    ],
    ids=["equal", "longer", "shorter", "setting", "data", "paper"],
)
def test_only_an_equal_run_is_taken(tmp_path, run, taken):
    train(tmp_path / "twin", said(), done=2)
    folder = tmp_path / "new"
    names._take_twin(folder, tmp_path, run)
    assert len(names.checkpoints(folder)) == taken
    assert (folder / names.BEST).is_file() == taken


def test_the_longest_is_taken_and_none_that_is_not_finished(tmp_path):
    train(tmp_path / "short", said(), done=2)
    train(tmp_path / "long", said(epochs=4), done=4)
    train(tmp_path / "stopped", said(epochs=5), done=3)
    names._take_twin(tmp_path / "new", tmp_path, said(epochs=6))
    assert (tmp_path / "new" / names.BEST).read_text() == "best of 4"


@pytest.mark.parametrize(
    "name",
    [names.BEST, names.UNTRAINED, names.HISTORY, names.RESULTS, names.REPORT],
)
@pytest.mark.parametrize("content", [None, "", "of another run"])
def test_a_finished_run_with_a_damaged_file_is_not_finished(
    tmp_path, name, content
):
    for written in names.FILES:
        (tmp_path / written).write_text(f"<p>{written}</p></html>\n")
    assert not names.is_sealed(tmp_path)
    names.seal(tmp_path)
    assert names.is_sealed(tmp_path)
    path = tmp_path / name
    path.unlink() if content is None else path.write_text(content)
    assert not names.is_sealed(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        (names.HISTORY, b"", "history.csv is missing or damaged: the command"),
        (names.HISTORY, None, "history.csv is missing or damaged: the command"),
        (names.HISTORY, b"epoch\n1", "has 1 of its 2 epochs"),
        (names.HISTORY, bytes(9), "has 0 of its 2 epochs"),
        (names.BEST, b"", "best.keras is not what this run wrote: the command"),
        (names.BEST, b"best of 1", "best.keras is not what this run wrote"),
        (names.BEST, None, "best.keras is missing"),
        (names.RUN, b"", "run.json is missing or damaged"),
        (names.RUN, b'{"epoch": 2}', "run.json is missing or damaged"),
        (f"{names.CHECKPOINT}/epoch-0002/{names.STATE}", b"", "every checkp"),
    ],
    ids=str,
)
def test_a_stage_does_not_start_from_a_damaged_one(
    tmp_path, name, content, named
):
    """Emptied, cut, swapped or removed: the file is named."""
    train(tmp_path, said(), done=2)
    digest = names.files.checksum(tmp_path / names.BEST)
    state = tmp_path / names.CHECKPOINT / "epoch-0002" / names.STATE
    known = {"epoch": 2, "history": [], "sha256": {names.BEST: digest}}
    state.write_text(json.dumps(known))
    names.check_finished(tmp_path)
    path = tmp_path / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=named):
        names.check_finished(tmp_path)


def test_a_run_whose_report_is_written_anew_is_finished(tmp_path):
    for written in names.FILES:
        (tmp_path / written).write_text("old</html>")
    names.seal(tmp_path)
    (tmp_path / names.REPORT).write_text("new</html>")
    (tmp_path / "table.csv").write_text("of another test")
    assert names.is_sealed(tmp_path)


def test_checkpoints_are_in_the_order_of_their_epochs_and_steps(tmp_path):
    wanted = [
        "epoch-0000-step-000005",
        "epoch-0009",
        "epoch-0009-step-000090",
        "epoch-0009-step-000110",
        "epoch-0010",
        "epoch-9999",
        "epoch-10000",
    ]
    for name in sorted(wanted):
        (tmp_path / names.CHECKPOINT / name).mkdir(parents=True)
    found = names.checkpoints(tmp_path)
    assert [path.name for path in found] == wanted


def test_changed_data_is_told_from_other_data():
    old, other = said(sha="1"), said(sha="2") | {"data": "elsewhere"}
    assert names.differences(old, said()) == ["data: data has changed"]
    (found,) = names.differences(other, said())
    assert found == "data: elsewhere before, data now"
    assert names.differences(said(), said() | {"data": "moved"}) == []
