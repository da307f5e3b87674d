"""Which photographs are meant, and whose boxes."""

import json

import pytest

from keras_pose import photographs


@pytest.fixture
def album(tmp_path):
    """A folder with pictures, a list, and what is neither."""
    for name in ("b.JPG", "a.png", "notes.md", ".hidden.jpg", "sub/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "list.txt").write_text("sub/c.jpg\n\na.png\n")
    return tmp_path


def test_photographs_are_files_folders_lists_and_patterns(album):
    def names(*paths):
        found = photographs.find([album / path for path in paths])
        return [str(path.relative_to(album)) for path in found]

    assert names(".") == ["a.png", "b.JPG"]
    assert names("b.JPG", ".") == ["b.JPG", "a.png"]  # each once
    assert names("list.txt") == ["sub/c.jpg", "a.png"]
    assert names("*.png", "sub/?.jpg") == ["a.png", "sub/c.jpg"]
    (album / "a[1].png").touch()  # a name, not a pattern
    assert names("a[1].png") == ["a[1].png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.jpg", "absent.jpg is missing"),
        ("sub/sub", "the folder .*sub/sub has no .bmp"),
        ("*.gif", "no file matches .*gif"),
        ("empty.txt", "names no photograph"),
        ("bad.txt", "gone.jpg, which .*bad.txt names, is missing"),
    ],
)
def test_what_is_not_there_is_named(album, name, message):
    (album / "sub" / "sub").mkdir()
    (album / "empty.txt").touch()
    (album / "bad.txt").write_text("gone.jpg")
    with pytest.raises(FileNotFoundError, match=message):
        photographs.find([album / name])


BOX = {"bbox": [1, 2, 3, 4]}
FORMS = {
    "a.csv": "file,x,y,width,height\np/a.png,1,2,3,4\n",
    "excel.csv": "\ufefffile,x,y,width,height\r\na.png,1,2,3,4\r\n",
    "score.csv": "score,file,height,x,y,width\n1,a.png,4,1,2,3\n",
    "results.json": json.dumps([BOX | {"file_name": "a.png"}]),
    "longer.json": json.dumps([BOX | {"file_name": "/home/x/p/a.png"}]),
    "names.json": json.dumps([BOX | {"image_id": "p/a.png"}]),
    "coco.json": json.dumps([BOX | {"image_id": 139}]),
    "annotations.json": json.dumps(
        {
            "images": [{"id": 7, "file_name": "a.png"}],
            "annotations": [BOX | {"image_id": 7}],
        }
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_boxes_come_in_every_form(tmp_path, form):
    (tmp_path / form).write_text(FORMS[form])
    photo = "x/p/000000000139.jpg" if form == "coco.json" else "x/p/a.png"
    boxes = photographs.read_boxes(tmp_path / form, [photo, "x/q/b.png"])
    assert boxes == {photo: [(1, 2, 3, 4, 1)]}


def test_a_whole_path_is_not_mistaken_for_the_end_of_another(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(FORMS["a.csv"].replace("p/a.png", "a.png"))
    boxes = photographs.read_boxes(path, ["x/a.png", "a.png"])
    assert list(boxes) == ["a.png"]


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("a.csv", "file,x,y\n", "no width, height"),
        (
            "a.csv",
            "file,x,y,width,height\na.png,1,2,?,4\n",
            "line 2: a box .*?",
        ),
        ("a.json", "{}", "must be a list"),
        ("a.json", "[3]", "entry 1: expected an object"),
        ("a.json", "[{}]", "expected a file_name or an image_id"),
        ("a.json", '[{"image_id": true}]', "a file_name or an image_id"),
        ("a.json", '[{"image_id": 1}]', "expected a bbox"),
        ("a.json", '[{"image_id": 1, "bbox": [1, 2]}]', "must be four numbers"),
        ("a.json", "[]", "no box of these 2 photographs$"),
        (
            "a.json",
            '[{"file_name": "b.png", "bbox": [1, 2, 3, 4]}]',
            "photographs, it names b.png",
        ),
        (
            "a.json",
            '[{"file_name": "a.png", "bbox": [1, 2, 3, 4]}]',
            "a.png may be x/a.png or y/a.png",
        ),
    ],
)
def test_boxes_that_cannot_be_used_are_named(tmp_path, form, text, message):
    (tmp_path / form).write_text(text)
    with pytest.raises(ValueError, match=message):
        photographs.read_boxes(tmp_path / form, ["x/a.png", "y/a.png"])
