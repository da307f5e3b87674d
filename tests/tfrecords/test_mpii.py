"""MPII from both of its forms; the .mat is built with all its gaps."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.io import savemat

from keras_pose.data import dataset, records
from tfrecords import mpii

# A head box of 30 x 40 pixels, diagonal 50: PCKh's head size is 30. The two
# joints made from it are 0.8 * 50 = 40 pixels apart.
HEAD = {"x1": 70, "y1": 20, "x2": 100, "y2": 60}
NECK, TOP = (90, 60), (90, 20)


def structs(*rows):
    """A MATLAB struct array: every element has all fields, some empty."""
    fields = sorted({field for row in rows for field in row})
    array = np.empty((1, len(rows)), [(field, object) for field in fields])
    for index, row in enumerate(rows):
        for field in fields:
            array[0, index][field] = row.get(field, np.zeros((0, 0)))
    return array


def points(visible=1, **extra):
    """annopoints with ids 15 (x 50, y 80), 0 (x 60, y 140), head and neck."""
    return structs(
        {
            "point": structs(
                {"id": 15, "x": 50, "y": 80, "is_visible": visible} | extra,
                {"id": 0, "x": 60, "y": 140, "is_visible": 1},
                {"id": 8, "x": NECK[0], "y": NECK[1]},
                {"id": 9, "x": TOP[0], "y": TOP[1]},
            )
        }
    )


def place(x, y):
    return structs({"x": x, "y": y})


def image(name):
    return structs({"name": name})


@pytest.fixture
def release(tmp_path, photograph):
    """Writes the .mat: 2 training photographs with 3 people that count."""
    whole = {"annopoints": points(), "scale": 0.5, "objpos": place(81, 91)}
    annolist = structs(
        {
            "image": image("a.jpg"),
            "annorect": structs(
                whole | HEAD,
                whole | {"annopoints": points("0"), "objpos": place(101, 91)},
                HEAD,  # nobody clicked this person's joints
                whole | {"scale": np.zeros((0, 0))},
                whole | {"objpos": np.zeros((0, 0))},
            ),
        },
        {"image": image("b.jpg"), "annorect": structs(whole | HEAD)},
        {
            "image": image("test.jpg"),
            "annorect": structs(
                HEAD, {"objpos": place(61, 71), "scale": 0.4} | HEAD
            ),
        },
        {"image": image("empty.jpg")},
    )
    path = tmp_path / "mpii.mat"
    content = {
        "annolist": annolist,
        "img_train": np.array([[1, 1, 0, 1]], "uint8"),
    }
    savemat(path, {"RELEASE": content})
    for name in "ab":
        photograph(tmp_path / "images" / f"{name}.jpg", 200, 180)
    return path


def row(name, index, validation=0.0, others=0, **changes):
    """An entry of the json: the same person as in the .mat."""
    joints = [[0.0, 0.0, 0.0]] * 16
    joints[15], joints[0] = [50.0, 80.0, 1.0], [60.0, 140.0, 0.0]
    joints[8], joints[9] = [*NECK, 1.0], [*TOP, 1.0]
    empty = {"_ArrayType_": "double", "_ArraySize_": [0, 0]}
    return {
        "dataset": "MPI",
        "isValidation": validation,
        "img_paths": name,
        "objpos": [81.0, 91.0],
        "joint_self": joints,
        "scale_provided": 0.5,
        "numOtherPeople": float(others),
        "joint_others": [empty, joints, [joints] * 2][others],
        "scale_provided_other": [empty, 0.5, [0.5, 0.5]][others],
        "objpos_other": [empty, [101.0, 91.0], [[101.0, 91.0]] * 2][others],
        "people_index": float(index),
    } | changes


def write_json(path, *rows):
    path.write_text(json.dumps(rows))
    return path


def convert(source, tmp_path, **settings):
    return mpii.main(
        mpii.Config(
            source=source, output=tmp_path / "out", workers=1, **settings
        )
    )


def pictures(folder, split):
    paths = dataset.open_dataset(folder).shards(split)
    return [records.parse(r, 16) for r in tf.data.TFRecordDataset(paths)]


def test_the_mat_is_read_with_all_its_gaps(release):
    everyone, unplaced, tested = mpii.read_mat(release)
    names = [a.person.name for a in everyone]
    assert names == ["a.jpg#1", "a.jpg#2", "b.jpg#1"]
    (unknown,) = tested
    assert unknown.person.name == "test.jpg#2"
    assert not unknown.person.flags.any()
    np.testing.assert_array_equal(unknown.person.center, [60, 70])
    assert unplaced == [
        "a.jpg#4: no objpos or scale",
        "a.jpg#5: no objpos or scale",
    ]
    first, second, alone = everyone
    assert [o.name for o in first.others] == ["a.jpg#2"]
    assert alone.others == ()
    # MATLAB counts from 1: the wrist at (50, 80) is at (49, 79).
    np.testing.assert_array_equal(first.person.joints[15], [49, 79])
    np.testing.assert_array_equal(first.person.center, [80, 90])
    assert first.person.flags[[15, 0, 8, 9, 3]].tolist() == [2, 2, 2, 2, 0]
    assert first.person.head_size == pytest.approx(0.6 * 50)
    assert second.person.flags[15] == 1  # is_visible was the string "0"
    assert np.isnan(second.person.head_size)


def test_both_forms_give_the_same_person(release, tmp_path):
    mat, *_ = mpii.read_mat(release)
    (other,) = mpii.read_json(write_json(tmp_path / "a.json", row("a.jpg", 1)))
    wanted, found = mat[0].person, other.person
    seen = found.flags > 0
    np.testing.assert_array_equal(seen, wanted.flags > 0)
    np.testing.assert_array_equal(found.joints[seen], wanted.joints[seen])
    np.testing.assert_array_equal(found.center, wanted.center)
    assert found.head_size == pytest.approx(wanted.head_size)
    assert found.name == wanted.name
    assert found.flags[0] == 1  # not visible, and yet labelled


def test_centre_and_scale_are_newells(release, tmp_path):
    source = write_json(
        tmp_path / "mpii.json", row("a.jpg", 1), row("b.jpg", 1, 1.0)
    )
    found = convert(source, tmp_path)
    assert found["skeleton"] == "mpii"
    assert found["protocol"] == "pckh"
    (picture,) = pictures(tmp_path / "out", "val")
    assert picture.source == "b.jpg"
    subject = picture.people[0].moved(picture.matrix)
    # (81, 91) - 1, then 15 * 0.5 down; 0.5 * 1.25
    np.testing.assert_allclose(subject.center, [80, 97.5], atol=1e-4)
    assert subject.scale == pytest.approx(0.625)
    np.testing.assert_allclose(subject.joints[15], [49, 79], atol=1e-4)
    assert subject.head_size == pytest.approx(30)


@pytest.mark.parametrize("others", [0, 1, 2])
def test_others_of_the_json_are_kept(release, tmp_path, others):
    path = write_json(tmp_path / "mpii.json", row("a.jpg", 1, others=others))
    (annotation,) = mpii.read_json(path)
    assert len(annotation.others) == others
    for other in annotation.others:
        np.testing.assert_array_equal(other.center, [100, 90])
        assert other.flags[15] == 2


def test_the_json_may_be_compressed(tmp_path):
    path = tmp_path / "mpii.json.gz"
    path.write_bytes(gzip.compress(json.dumps([row("a.jpg", 1)]).encode()))
    assert mpii.read_json(path)[0].image == "a.jpg"


def test_the_mat_takes_tompsons_people_from_the_json(release, tmp_path, capsys):
    with pytest.raises(ValueError, match="add --people"):
        convert(release, tmp_path)
    people = write_json(
        tmp_path / "people.json", row("a.jpg", 1), row("b.jpg", 7, 1.0)
    )
    found = convert(release, tmp_path, people=people)
    assert found["splits"]["train"]["people"] == 1
    assert found["splits"]["val"]["people"] == 1
    assert sorted(found["sources"]) == ["mpii.mat", "people.json"]
    out = capsys.readouterr().out
    assert "train: 1 people annotated, 22,246 expected" in out
    assert "val: 1 people annotated, 2,958 expected" in out
    (picture,) = pictures(tmp_path / "out", "train")
    assert [p.name for p in picture.people] == ["a.jpg#1", "a.jpg#2"]
    write_json(people, row("c.jpg", 1, 1.0))
    with pytest.raises(ValueError, match="lists 1 people, the .mat has only 0"):
        convert(release, tmp_path, people=people)


def test_random_splits_are_exact_and_share_no_photograph():
    person = mpii.Person(np.zeros((16, 2)), np.zeros(16), np.zeros(2), 1.0)
    # 1,000 photographs of 1, 2 or 3 people
    everyone = [
        mpii.Annotation(f"{n}.jpg", person, ())
        for n in range(1000)
        for _ in range(n % 3 + 1)
    ]
    for name, wanted in [("480", 480), ("random5pct", 100)]:
        found = mpii.split(everyone, name)
        assert len(found["val"]) == wanted
        assert len(found["train"]) == len(everyone) - wanted
        images = {k: {a.image for a in v} for k, v in found.items()}
        assert not images["train"] & images["val"]
        assert found == mpii.split(everyone, name)


def test_whole_images_keep_the_photograph(release, tmp_path):
    source = write_json(
        tmp_path / "mpii.json", row("a.jpg", 1), row("b.jpg", 1, 1.0)
    )
    convert(source, tmp_path)
    assert dataset.open_dataset(tmp_path / "out").context == 2
    convert(source, tmp_path, whole_images=True)
    assert dataset.open_dataset(tmp_path / "out").context is None
    (picture,) = pictures(tmp_path / "out", "train")
    assert picture.encoded == (tmp_path / "images" / "a.jpg").read_bytes()
    assert picture.size == (180, 200)
    np.testing.assert_array_equal(picture.matrix, np.eye(3)[:2])


def test_exact_head_boxes_replace_the_derived_ones(release, tmp_path):
    path = write_json(
        tmp_path / "a.json", row("a.jpg", 1), row("b.jpg", 1, 1.0)
    )
    boxes = np.array([[[10.0], [20.0]], [[16.0], [28.0]]])  # diagonal 10
    savemat(tmp_path / "heads.mat", {"headboxes_src": boxes})
    everyone = mpii.read_json(path)
    found = mpii.with_head_boxes(everyone, tmp_path / "heads.mat")
    assert [a.person.head_size for a in found] == pytest.approx([30, 6])
    with pytest.raises(ValueError, match="expected 0 head boxes, got 1"):
        mpii.with_head_boxes(everyone[:1], tmp_path / "heads.mat")


def test_missing_photographs_fail_unless_they_are_allowed(release, tmp_path):
    rows = [row("a.jpg", 1), row("c.jpg", 1), row("c.jpg", 2), row("d.jpg", 1)]
    source = write_json(
        tmp_path / "mpii.json", *rows, row("b.jpg", 1, validation=1.0)
    )
    with pytest.raises(FileNotFoundError, match="2 images are missing"):
        convert(source, tmp_path)
    found = convert(source, tmp_path, allow_missing=True)
    assert found["missing"] == 3  # people
    lines = (tmp_path / "out" / "missing.txt").read_text().splitlines()
    assert [Path(line).name for line in lines] == ["c.jpg", "d.jpg"]


def test_a_box_without_area_is_named(release, tmp_path):
    source = write_json(
        tmp_path / "mpii.json",
        row("a.jpg", 1, scale_provided=0.0),
        row("b.jpg", 1, 1.0),
    )
    with pytest.raises(ValueError, match="a.jpg#1: .*positive scale"):
        convert(source, tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not JSON"),
        ('[{"joints": []}]', "another data set.*img_paths|numOther"),
        ("[]", r"must list people, got \[\]"),
        ("3", "another data set"),
    ],
)
def test_another_json_is_refused(tmp_path, text, message):
    path = tmp_path / "mpii.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        convert(path, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_self": [[0.0, 0, 0]] * 15}, r"16 x 3 joints.*\(15, 3\)"),
        ({"joint_self": [[0.0, 0, 0]] * 17}, r"16 x 3 joints.*\(17, 3\)"),
        ({"objpos": [1]}, r"position x, y, got"),
        ({"numOtherPeople": float("inf")}, "cannot convert float infinity"),
        ({"numOtherPeople": 1e9}, "cannot reshape|expected joint_self"),
        ({"img_paths": "../../secret.jpg"}, "'../../secret.jpg' leads out of"),
        ({"img_paths": "/etc/secret.jpg"}, "'/etc/secret.jpg' leads out of"),
        ({"img_paths": 7}, "entry 1 .*img_paths: expected a name, got 7"),
        ({"scale_provided": 1e16}, "b.jpg#1: scale 1.25e.16 gives"),
    ],
)
def test_an_entry_that_cannot_be_is_named(release, tmp_path, changes, message):
    rows = row("a.jpg", 1, 1.0), row("b.jpg", 1, **changes)
    source = write_json(tmp_path / "mpii.json", *rows)
    with pytest.raises(ValueError, match=f"(?s).*{message}"):
        convert(source, tmp_path)


def test_another_mat_is_refused(tmp_path):
    path = tmp_path / "mpii.mat"
    savemat(path, {"joints": np.zeros((14, 3, 2))})
    with pytest.raises(ValueError, match="expected RELEASE, got joints"):
        convert(path, tmp_path)
    savemat(path, {"RELEASE": {"version": 12}})
    with pytest.raises(ValueError, match="annolist and img_train"):
        convert(path, tmp_path)


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.json is missing"):
        convert(tmp_path / "nowhere.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere.mat is missing"):
        convert(tmp_path / "nowhere.mat", tmp_path)


SHARED = Path(__file__).parents[2] / "../shared/data/mpii"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs MPII's annotations")
def test_the_published_annotations_count_as_published():
    everyone = mpii.read_json(SHARED / "mpii_annotations.json.gz")
    splits = mpii.split(everyone, "tompson2958")
    assert {k: len(v) for k, v in splits.items()} == mpii.EXPECTED
    flags = np.array([a.person.flags for a in everyone])
    assert (flags == 1).sum() == 86_703
    # 375,888 with x > 0 and y > 0, and 375 above or beside the picture
    assert (flags > 0).sum() == 375_888 + 375

    exact = mpii.with_head_boxes(everyone, SHARED / "detections_our_format.mat")
    sizes = np.array(
        [
            (a.person.head_size, b.person.head_size)
            for a, b in zip(everyone, exact, strict=True)
            if a.validation
        ]
    )
    assert np.isnan(sizes[:, 0]).sum() == 26
    ratio = sizes[:, 0] / sizes[:, 1]
    assert np.nanmedian(ratio) == pytest.approx(1, abs=1e-5)
    assert np.nanmean(np.abs(ratio[~np.isnan(ratio)] - 1) < 0.0125) > 0.985


def test_people_of_test_photographs_are_a_split_without_labels(
    release, tmp_path, photograph
):
    photograph(tmp_path / "images" / "test.jpg", 200, 180)
    listed = row("a.jpg", 1), row("b.jpg", 1, 1.0)
    people = write_json(tmp_path / "listed.json", *listed)
    found = convert(release, tmp_path, people=people, test=True)
    assert found["splits"]["test"]["people"] == 1
    assert not dataset.open_dataset(tmp_path / "out").is_labelled("test")
    (picture,) = pictures(tmp_path / "out", "test")
    assert picture.source == "test.jpg"
    with pytest.raises(ValueError, match="--test: .* no people of test"):
        row_only = write_json(tmp_path / "a.json", row("a.jpg", 1, 1.0))
        convert(row_only, tmp_path, test=True)
