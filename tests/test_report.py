"""One page that holds everything, whatever the run left behind."""

import dataclasses
import html.parser
import json
import re
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
from keras import ops

from keras_pose import files
from keras_pose.codecs import Expectation, Heatmaps
from keras_pose.data import records
from keras_pose.models.heads import PoseMaps, codec_of
from keras_pose.people import Poses
from keras_pose.report import (
    __main__,
    charts,
    history,
    learning,
    pictures,
    stages,
    write,
)
from keras_pose.skeletons import MPII, Skeleton

VOID = {"meta", "img", "br", "link"}


@pytest.fixture
def run_folder(tmp_path, wrists_model):
    """A finished run of the network that cannot err."""
    folder = tmp_path / "runs" / "wrists"
    folder.mkdir(parents=True)
    wrists_model().save(folder / "best.keras")
    said = {
        "settings": {"beta": {"value": 1.5, "from": "flag"}},
        "command": "python -m paper --name '<b>&'",
        "versions": {"keras": "3.0"},
    }
    (folder / "run.json").write_text(json.dumps(said))
    (folder / "results.json").write_text('{"split": "val", "untrained": 0.034}')
    (folder / "history.csv").write_text(
        "epoch,learning_rate,loss,pckh,val_loss,val_pckh,seconds\n"
        "1,0.1,0.5,0.2,0.6,0.1,30\n2,0.1,0.4,0.3,0.5,0.25,30\n"
    )
    return folder


@pytest.fixture
def without_lines(monkeypatch):
    """Of charts the page has titles alone: to draw them takes longest."""
    monkeypatch.setattr(charts, "svg", lambda figure, title: title)


class Nesting(html.parser.HTMLParser):
    """Fails where a tag is closed that is not the last one opened."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_another_model_than_the_runs_can_be_shown(
    run_folder, wrists_data, wrists_model, tmp_path, monkeypatch
):
    data, _ = wrists_data()
    wrists_model("corner").save(tmp_path / "other", zipped=False)
    shown = []

    def write_report(folder, dataset, split, model, **settings):
        shown.append(model and codec_of(model).alignment)

    monkeypatch.setattr(write, "write_report", write_report)
    config = __main__.Config(run_folder, data.folder)
    __main__.main(config)
    __main__.main(dataclasses.replace(config, model=tmp_path / "other"))
    assert shown == [None, "corner"]


def test_the_page_says_it_all_and_loads_nothing(run_folder, wrists_data):
    data, _ = wrists_data()
    __main__.main(__main__.Config(run_folder, data.folder, batch_size=2))
    page = (run_folder / "report.html").read_text()
    # Three dots, all found: 100 % now, 3.4 % before, epoch 2 was the best.
    for text in ("100.0 %", "3.4 %", "2 of 2", "for 2 epochs, in 60 s", "1.5"):
        assert text in page
    assert "--name &#x27;&lt;b&gt;&amp;&#x27;" in page  # escaped
    assert page.count("data:image/jpeg;base64,") >= 2 * 3
    assert page.count("<svg") == 3
    assert "Stage by stage" not in page  # of one there is none to compare
    assert "best epoch: still improving" in page  # the last one
    (pairs,) = re.findall(r'<div class="tiles pairs">(.*?)</section>', page)
    assert re.findall(r"<span>([a-z ]+): score", pairs) == [
        "head top", "right wrist", "left wrist"
    ]  # fmt: skip
    links = re.findall(r'(?:src="|href="|url\()([^")]*)', page)
    assert all(link.startswith(("#", "data:")) for link in links)
    nesting = Nesting()
    nesting.feed(page)
    assert nesting.open == []
    assert [p.name for p in run_folder.glob(".*")] == []


EVIL = "<img src=x onerror=alert(1)>"


def test_names_are_shown_and_not_executed(run_folder, save, tmp_path):
    """A photograph, a joint, a version, the run and its paper are EVIL."""
    joints = (f"left_{EVIL}", f"right_{EVIL}", "$\\frac$")
    skeleton = Skeleton(EVIL, joints, ((joints[0], joints[2]),), kind=EVIL)
    jpeg = cv2.imencode(".jpg", np.zeros((64, 96, 3), "uint8"))[1].tobytes()
    place = np.array([[20.0, 30], [70, 40], [50, 20]])
    person = records.Person(
        place, np.array([2, 1, 2]), np.array([48.0, 32]), 0.3, 9.0,
        box=(10.0, 10, 70, 40), name=f"{EVIL}.jpg",
    )  # fmt: skip
    picture = records.Picture(
        jpeg, (64, 96), (person,), f"{EVIL}.jpg", np.eye(3)[:2]
    )
    data = save(
        tmp_path, [picture], "val", skeleton.described(), protocol="pck-bbox"
    )
    said = json.loads((run_folder / "run.json").read_text())
    said |= {"versions": {EVIL: EVIL}, "paper": EVIL}
    said["settings"] = {EVIL: {"value": EVIL, "from": f"{EVIL} {EVIL}"}}
    (run_folder / "run.json").write_text(json.dumps(said))
    rows = "".join(
        f'{epoch},{stack},"{joint}",{0.1 + 0.2 * k}\n'
        for epoch in (1, 2)
        for stack in (1, 2)
        for k, joint in enumerate(joints)
    )
    (run_folder / "joint_weights.csv").write_text(
        "epoch,stack,joint,weight\n" + rows
    )
    images = keras.Input((64, 96, 3), dtype="uint8")
    maps = keras.layers.Conv2D(3, 4, 4)(keras.layers.Rescaling(1.0)(images))
    head = PoseMaps(Heatmaps(skeleton, 4))
    model = keras.Model(images, head([maps]))
    predictions = Poses(
        place[None] + [[0.0, 0], [30, 0], [0, 0]], np.ones((1, 3))
    )
    write.write_report(run_folder, data, "val", model, predictions)
    page = (run_folder / "report.html").read_text()
    assert "onerror" in page and "<img src=x" not in page
    tags = Tags()
    tags.feed(page)
    assert set(tags.seen) <= SHOWN
    (policy,) = tags.policies
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "http" not in policy and "script" not in policy


SHOWN = set(
    "html head meta title style body main header section div p h1 h2 h3 b i ul "
    "li dl dd dt pre table thead tbody tr th td details summary figure "
    "figcaption img span small svg g path defs use clippath rect text image "
    "lineargradient stop".split()
)
"""Tags of the page and of its charts: nothing that runs or asks."""


class Tags(html.parser.HTMLParser):
    """Notes tags and policies, and fails at an attribute that would run."""

    def __init__(self):
        super().__init__()
        self.seen, self.policies = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        assert not [name for name, _ in attributes if name.startswith("on")]
        given = dict(attributes)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(given["content"])


WEIGHTS = "epoch,stack,joint,weight"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", "[]", "an object wanted"),
        ("run.json", '{"settings": {"beta": 1}}', "value and from"),
        ("run.json", '{"starts_from": "best.keras"}', "starts from itself"),
        ("history.csv", "epoch\nx\n", "epoch holds other than numbers"),
        ("history.csv", "", "is damaged"),
        ("joint_weights.csv", f"{WEIGHTS}\n1,18,neck,1\n", "hourglasses .18.$"),
        ("joint_weights.csv", f"{WEIGHTS}\n1,1.5,neck,1\n", "hourglasses .1.5"),
        ("joint_weights.csv", f"{WEIGHTS}\n1,1,neck,2\n", "one hourglass"),
        ("joint_weights.csv", "epoch,stack,weight\n1,1,1\n", "no column joint"),
    ],
)
def test_a_damaged_run_is_named(tmp_path, name, text, message):
    (tmp_path / "history.csv").write_text("epoch,pckh\n1,0.5\n")
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        write.write_report(tmp_path, None)


def test_a_wrong_joint_makes_a_person_the_worst(
    run_folder, wrists_data, without_lines
):
    data, seen = wrists_data()
    joints = np.zeros((2, 16, 2))
    for name, point in seen.items():
        joints[:, MPII.index(name)] = point
    joints[1, MPII.index("head_top")] += 999
    scores = np.full((2, 16), 0.1)
    scores[:, [MPII.index(name) for name in seen]] = 0.8
    predictions = Poses(joints, scores)
    write.write_report(run_folder, data, predictions=predictions)
    page = (run_folder / "report.html").read_text()
    worst = page[page.index("<h3>Worst") : page.index("<h3>Typical")]
    first, second = re.findall("<figcaption><b>(.*?)</b>", worst)
    assert first == "2 of 3 correct; largest error: head top"
    assert second == "3 of 3 correct"
    assert "83.3 %" in page  # 5 of 6 joints
    assert "50.0 %" not in worst
    assert "threshold of 0.80 finds 100.0 % of them; 100.0 %" in page


def test_a_score_before_training_is_of_the_same_people(
    run_folder, wrists_data, without_lines
):
    data, _ = wrists_data()
    (run_folder / "results.json").write_text(
        '{"split": "test", "untrained": 0.034}'
    )
    write.write_report(run_folder, data)
    assert "3.4 %" not in (run_folder / "report.html").read_text()


def test_a_run_that_was_fine_tuned_says_from_what_and_on_whom(
    run_folder, wrists_data, without_lines
):
    data, _ = wrists_data()
    start = "drawn <people>.keras"
    described = {
        "settings": {
            "initial_weights": {"value": start, "from": "flag"},
            "train_people": {"value": 200, "from": "flag"},
        }
    }
    (run_folder / "run.json").write_text(json.dumps(described))
    (run_folder / "results.json").write_text(
        '{"split": "val", "before_training": 0.034}'
    )
    write.write_report(run_folder, data)
    page = (run_folder / "report.html").read_text()
    assert f"started from the weights {html.escape(start)}." in page
    assert "(200 people)" in page
    assert "Before training it placed 3.4 %" in page


def test_without_history_the_page_says_so(run_folder, wrists_data):
    data, _ = wrists_data()
    (run_folder / "history.csv").unlink()
    write.write_report(run_folder, data)
    page = (run_folder / "report.html").read_text()
    assert "no history.csv" in page and "100.0 %" in page


def test_without_people_the_page_says_so(run_folder, wrists_data):
    data, _ = wrists_data()
    for split in ("test", "dev"):
        write.write_report(run_folder, data, split)
        page = (run_folder / "report.html").read_text()
        assert f"no people in a split &#x27;{split}&#x27;" in page
        assert "<svg" in page  # the curves are there all the same
    with pytest.raises(ValueError, match="no split 'dev'"):
        __main__.main(__main__.Config(run_folder, data.folder, split="dev"))


def test_a_folder_that_is_no_run_is_named(tmp_path, wrists_data):
    data, _ = wrists_data()
    with pytest.raises(FileNotFoundError, match=r"it has no run\.json"):
        write.write_report(tmp_path, data)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is not JSON"):
        write.write_report(tmp_path, data)


def test_a_full_disk_leaves_the_old_page(run_folder, wrists_data, monkeypatch):
    data, _ = wrists_data()
    (run_folder / "report.html").write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write.write_report(run_folder, data, "test")
    assert (run_folder / "report.html").read_text() == "old"


def test_pictures_come_in_the_order_they_are_asked_for(monkeypatch):
    def view(dataset, split, size, people):  # n has a picture of colour n
        assert len(people) <= 3
        shape = (len(people), *size, 3)
        return (
            np.broadcast_to(people[:, None, None, None], shape),
            np.broadcast_to(people[:, None, None], (*shape[:1], 2, 3)),
        )

    monkeypatch.setattr(pictures, "AT_ONCE", 3)
    monkeypatch.setattr(pictures.pipeline, "view", view)
    chosen = np.array([4, 1, 5, 0])
    images, back = pictures.crops(None, "val", chosen, (8, 12))
    np.testing.assert_array_equal(images[:, 7, 11, 2], chosen)
    np.testing.assert_array_equal(back[:, 1, 2], chosen)


def test_the_last_batch_is_filled_up_and_cut_again():
    inputs = keras.Input((8, 12, 3), dtype="uint8")
    model = keras.Model(
        inputs, [keras.layers.Rescaling(scale)(inputs) for scale in (1, 2)]
    )
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 3), "uint8")
    one, two = stages._outputs(model, images, batch_size=2)
    np.testing.assert_array_equal(one, images)
    np.testing.assert_array_equal(two, 2.0 * images)


def test_figures_4_and_5_choose_their_people(wrists_data):
    data, seen = wrists_data(head_sizes=(40.0, 41.0, 42.0))
    good = np.zeros((3, 16, 2))
    for name, point in seen.items():
        good[:, MPII.index(name)] = point
    bad = good.copy()
    bad[1] += 999  # only the baseline is wrong
    good[2] += 999
    bad[2] += 999  # both are
    four, five = pictures.compare_people(
        data, "val", {"MSE": bad, "HSM": good}, count=1, size=(32, 48)
    )
    for figure, notes in (
        (four, ["0 of 3 correct", "3 of 3 correct"]),
        (five, ["0 of 3 correct", "0 of 3 correct"]),
    ):
        found = [a.texts[0].get_text() for a in figure.axes if a.texts]
        assert found == notes


def test_a_stage_shows_the_epochs_that_it_began_with(tmp_path):
    """Stage 2 lies beside stage 1; each counts its epochs from 1."""
    for name, begins, scores in (
        ("1-mss", None, (0.1, 0.2)),
        ("2-msr", "../1-mss/best.keras", (0.3,)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        said = {"starts_from": begins} if begins else {}
        (folder / "run.json").write_text(json.dumps(said))
        rows = [f"{epoch + 1},{score}" for epoch, score in enumerate(scores)]
        text = "\n".join(["epoch,pckh", *rows])
        (folder / "history.csv").write_text(text + "\n")
    found = history.read_history(tmp_path / "2-msr")
    assert found["epoch"].tolist() == [1, 2, 3]
    assert found["pckh"].tolist() == [0.1, 0.2, 0.3]
    assert history.read_history(tmp_path) is None


def test_joint_weights_are_a_section_of_the_page(run_folder, wrists_data):
    data, _ = wrists_data()

    def page(weights):
        rows = [
            f"{epoch},{stack},{joint},{weight}"
            for epoch in (1, 2)
            for stack, row in enumerate(([0.5, 0.5], weights), start=1)
            for joint, weight in zip(("neck", "left_hip"), row, strict=True)
        ]
        text = "\n".join(["epoch,stack,joint,weight", *rows])
        (run_folder / "joint_weights.csv").write_text(text)
        write.write_report(run_folder, data, "test")
        return (run_folder / "report.html").read_text()

    text = page([0.25, 0.75])
    assert "the most weight to the left hip (1.50) and the least to" in text
    assert "the neck (0.50); 1 is the even weight" in text
    assert "Hourglass 2" in text and "Hourglass 1" not in text
    links = re.findall(r'href="([^"]*)', text)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "had the same weight in every hourglass" in page([0.5, 0.5])
    assert "within 0.6 % of even" in page([0.503, 0.497])


def test_the_curve_is_the_score_s_whatever_stands_before_it(tmp_path):
    """Keras sorts what it logs: a term of the loss comes before the score."""
    (tmp_path / "history.csv").write_text(
        "epoch,loss,keypoint,pckh,val_keypoint,val_pckh\n1,3,2,0.5,2,0.4\n"
    )
    page = learning.curves(history.read_history(tmp_path))
    assert "PCKh" in page and "KEYPOINT" not in page


def test_a_person_is_named_so_that_it_can_be_found_again():
    people = SimpleNamespace(names=["(0, 2, 7)#0", ""], sources=["", "a.jpg"])
    drawn, photographed = (SimpleNamespace(is_drawn=d) for d in (True, False))
    assert pictures.name_of(people, 0, drawn) == "drawn with seed (0, 2, 7)"
    assert pictures.name_of(people, 1, photographed) == "a.jpg"


def test_joints_without_sides_have_no_left_and_right():
    assert pictures.of_sides(Skeleton("dots", ("a", "b"))) == ""
    paws = Skeleton("paws", ("front_left_paw", "tail"), kind="dog")
    assert "the dog's own left" in pictures.of_sides(paws)


def test_the_joints_shown_are_those_that_were_wrong_and_are_right():
    nan = np.nan
    first = np.array([[0.5, 3, 9], [2, 5, nan], [4, 1, 1], [1.5, 0, 0]])
    last = np.array([[0.5, 1, 2], [0.5, 2, nan], [1, 1, 1], [3, 0, 0]])
    # of person 0 joint 2 stays wrong, and person 3 is never right
    assert stages.most_mended(first, last) == [(2, 0), (0, 1), (1, 0)]
    assert stages.most_mended(last, last) == []


def test_every_stage_is_scored_and_its_maps_are_shown(
    run_folder, wrists_data, wrists_model, without_lines
):
    """Stage 1 of this network is the mirror image of stage 2."""
    data, _ = wrists_data()
    right = wrists_model()
    maps, head = right.layers[1].output, right.layers[-1]
    outputs = PoseMaps(head.codec)([ops.flip(maps, axis=2), maps])
    model = keras.Model(right.input, outputs, name="two_stages")
    model.jit_compile = False
    write.write_report(run_folder, data, model=model)
    text = (run_folder / "report.html").read_text()
    part = text[text.index("Stage by stage") : text.index("<h2>Curves")]
    first, second = re.findall("<tr><th>stage [12]</th>(.*?)</tr>", part)
    assert re.findall(">([0-9.]+)</td>", second)[-1] == "100.0"
    # the head is nearly in the middle and stays right, the wrists are swapped
    assert re.findall(">([0-9.]+)</td>", first)[-1] == "33.3"
    assert re.findall('alt="(.*?)"', part) == ["stage 1", "stage 2"] * 2
    assert re.findall("<h3>(.*?)</h3>", part) == ["Right wrist"] * 2


def test_a_mean_between_two_places_is_shown(
    run_folder, wrists_data, wrists_model, without_lines
):
    """Each map of this network has a second peak, a little lower, on the other
    side: the highest place is right, the mean in the middle."""
    data, _ = wrists_data()
    right = wrists_model()
    maps = right.layers[1].output
    lower = keras.layers.Rescaling(59.9)(ops.flip(maps, axis=2))
    logits = keras.layers.Maximum()([keras.layers.Rescaling(60)(maps), lower])
    outputs = PoseMaps(Expectation(MPII, (64, 96)))([logits])
    model = keras.Model(right.input, outputs, name="means")
    model.jit_compile = False
    write.write_report(run_folder, data, model=model)
    text = (run_folder / "report.html").read_text()
    part = text[text.index("Where the mean lies") : text.index("<h2>Curves")]
    assert re.findall('alt="(.*?)"', part) == ["highest place", "mean"] * 2
    assert re.findall("<h3>(.*?)</h3>", part) == ["Right wrist"] * 2
