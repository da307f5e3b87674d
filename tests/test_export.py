"""SavedModels: joints in pixels of the photograph, with TensorFlow alone."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pose import export, geometry, serving
from keras_pose.codecs import Heatmaps
from keras_pose.data import annotations, photograph, records
from keras_pose.inference import top_down
from keras_pose.models import heads
from keras_pose.models.heads import PoseMaps
from keras_pose.models.hourglass import stacked_hourglass


@pytest.fixture(scope="module")
def served(oracle_export):
    return tf.saved_model.load(str(oracle_export))


def whole(picture):
    return [0.0, 0.0, float(picture.shape[1]), float(picture.shape[0])]


def ask(served, encoded, boxes):
    found = served.signatures["encoded"](
        encoded=tf.constant(encoded), boxes=tf.constant(boxes)
    )
    return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("block", [4, 8, 2, 12])
def test_a_whole_picture_gives_the_dots_exactly(served, oracle, png, block):
    cells = oracle.cells(block)
    picture, joints = oracle.draw(cells, (16, 24), block)
    found = ask(served, [png(picture)], [whole(picture)])
    # A picture smaller than the input is blurred as it is enlarged.
    atol = 1e-3 if block != 2 else 0.6
    np.testing.assert_allclose(found["joints"][0], joints, atol=atol)
    if block != 2:
        np.testing.assert_allclose(found["scores"], 1, atol=0.02)


def test_photographs_of_different_sizes_share_a_batch(served, oracle, png):
    small, small_joints = oracle.draw(oracle.cells(1), (16, 24), 4)
    high, high_joints = oracle.draw(oracle.cells(2, (16, 12)), (16, 12), 10)
    found = ask(served, [png(small), png(high)], [whole(small), whole(high)])
    np.testing.assert_allclose(found["joints"][0], small_joints, atol=1e-3)
    # Shrunk 2.5 to 1, which blurs: to the quarter of a cell of 10 pixels.
    np.testing.assert_allclose(found["joints"][1], high_joints, atol=2.6)
    assert found["missing"].shape == (2, 16)


def test_a_box_is_padded_as_in_training(served, oracle, png):
    """Side 64 of a 51.2 px box: crop and picture have the same pixels."""
    picture, joints = oracle.draw(oracle.cells(3), (16, 24), 4)
    wide = np.zeros((200, 300, 3), "uint8")
    wide[70:134, 110:206] = picture
    # The crop's middle (47.5, 31.5) lies at (157.5, 101.5) of the photograph.
    side = 64 / 1.25
    box = [157.5 - (side - 1) / 2, 101.5 - (side - 1) / 2, side, side]
    found = ask(served, [png(wide)], [box])
    np.testing.assert_allclose(
        found["joints"][0], joints + [110, 70], atol=1e-3
    )


def test_pixels_and_files_give_the_same(served, oracle, png):
    picture, _ = oracle.draw(oracle.cells(4), (16, 24), 7)
    files = ask(served, [png(picture)], [whole(picture)])
    pixels = served.signatures["images"](
        images=tf.constant(picture[None]), boxes=tf.constant([whole(picture)])
    )
    for name, value in files.items():
        np.testing.assert_array_equal(value, pixels[name])


def test_a_joint_that_is_not_there_is_missing(served, oracle, png):
    picture, _ = oracle.draw(oracle.cells(5)[:10], (16, 24), 4)
    found = ask(served, [png(picture)], [whole(picture)])
    assert not found["missing"][0, :10].any()
    assert found["missing"][0, 10:].all()


def test_the_threshold_is_the_exports(oracle, oracle_model, eagerly):
    """Scores 0 of an empty picture are not below a threshold of 0."""
    empty, _ = oracle.draw(oracle.cells()[:0], (16, 24), 4)
    for threshold, missing in ((0.0, False), (0.1, True)):
        server = serving.Server(oracle_model, missing_threshold=threshold)
        with eagerly():
            found = server.images(empty[None], tf.constant([whole(empty)]))
        assert (found["missing"].numpy() == missing).all()


def test_the_flip_test_swaps_left_and_right(oracle, oracle_model):
    """The oracle calls by colour, so a mirrored left wrist is still left: half
    of its height goes to the right wrist, at the same place."""
    picture, joints = oracle.draw(oracle.cells(6), (16, 24), 4)
    right, left = 10, 15
    column, row = np.rint(joints[right] - 1.5).astype(int)
    picture[row : row + 4, column : column + 4] = 0
    server = serving.Server(oracle_model, flip=True)
    found = server.images(picture[None], tf.constant([whole(picture)]))
    scores, points = found["scores"][0].numpy(), found["joints"][0].numpy()
    np.testing.assert_allclose(scores[[left, right]], 0.5, atol=0.01)
    np.testing.assert_allclose(points[left], joints[left], atol=1e-3)
    np.testing.assert_allclose(points[right], joints[left], atol=1e-3)
    assert np.allclose(points[6:10], joints[6:10], atol=1e-3)  # the middle


def photo(seed, colors):
    """A noisy photograph with round dots anywhere, as JPEG, and its person."""
    random = np.random.default_rng(seed)
    height, width = random.integers(90, 500, 2)
    picture = random.integers(0, 60, (height, width, 3)).astype("uint8")
    center = random.uniform(0.3, 0.7, 2) * (width, height)
    side = random.uniform(0.4, 1.3) * height
    joints = center + random.uniform(-0.4, 0.4, (16, 2)) * side
    for (x, y), color in zip(joints.tolist(), colors.tolist(), strict=True):
        place, radius = (round(x), round(y)), max(2, round(side / 25))
        cv2.circle(picture, place, radius, color, -1, cv2.LINE_AA)
    jpeg = cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes()
    person = records.Person(
        joints=joints,
        flags=np.full(16, 2),
        center=center,
        scale=side / geometry.PERSON_PIXELS,
        name=str(seed),
    )
    return records.Picture(
        jpeg, picture.shape[:2], (person,), f"{seed}.jpg", np.eye(2, 3)
    )


@pytest.mark.parametrize(
    ("flip", "decoding", "sigma"), [(False, "dark", 1.0), (True, "soft", 1.5)]
)
def test_an_export_agrees_with_the_evaluation(
    oracle_model, colors, tmp_path, flip, decoding, sigma, save, monkeypatch
):
    """Same people, same JPEGs, same crops: joints within 0.1 pixel."""
    head = oracle_model.get_layer(oracle_model.output_names[-1])
    monkeypatch.setattr(head, "codec", replace(head.codec, sigma=sigma))
    pictures = [photo(seed, colors) for seed in range(12)]
    data = save(tmp_path, pictures, "val")
    wanted = top_down.predict_people(
        oracle_model, data, "val", batch_size=5, flip=flip, decoding=decoding
    )
    people = annotations.read_subjects(data, "val")
    sides = people.scale * geometry.PERSON_PIXELS / 1.25
    boxes = np.concatenate(
        [people.center - (sides[:, None] - 1) / 2, sides[:, None].repeat(2, 1)],
        axis=1,
    )
    server = serving.Server(oracle_model, flip=flip, decoding=decoding)
    found = server.encoded(
        tf.constant([picture.encoded for picture in pictures]),
        tf.constant(boxes, tf.float32),
    )
    assert (wanted.scores > 0.3).mean() > 0.5  # dots were seen
    np.testing.assert_allclose(found["joints"], wanted.joints, atol=0.1)
    np.testing.assert_allclose(found["scores"], wanted.scores, atol=0.01)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_phones_orientation_is_applied(oracle, with_exif, turn):
    """As OpenCV shows it; and the crop comes from the stored pixels."""
    stored, _ = oracle.draw(oracle.cells(turn), (16, 24), 9)
    stored = stored[:-5, :-3]  # no whole number of blocks
    jpeg = cv2.imencode(".jpg", stored[..., ::-1])[1].tobytes()
    jpeg = with_exif(jpeg, turn, "big" if turn % 2 else "little")
    upright = cv2.imdecode(np.frombuffer(jpeg, "uint8"), cv2.IMREAD_COLOR_RGB)
    found = photograph.decode(tf.constant(jpeg)).numpy()
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 2
    box = tf.constant([30.0, 20.0, 70.0, 90.0])
    wanted, back = photograph.crop(upright, box, oracle.size)
    crop, matrix = photograph.crop_encoded(tf.constant(jpeg), box, oracle.size)
    np.testing.assert_array_equal(matrix, back)
    assert np.abs(crop.numpy().astype(int) - wanted).mean() < 2
    other, _ = photograph.crop(upright[::-1], box, oracle.size)
    assert np.abs(crop.numpy().astype(int) - other).mean() > 20


def test_a_wide_box_is_seen_whole_in_a_high_crop():
    """60 x 20 at 48:64 is 60 x 80, padded 75 x 100: 100 / 64 per pixel."""
    image = np.zeros((90, 120, 3), "uint8")
    box = tf.constant([30.0, 40.0, 60.0, 20.0])
    _, back = photograph.crop(image, box, (64, 48))
    step = 100 / 64
    middle = [59.5 - 23.5 * step, 49.5 - 31.5 * step]
    wanted = np.column_stack([step * np.eye(2), middle])
    np.testing.assert_allclose(back, wanted, atol=1e-4)


def test_an_orientation_beyond_eight_is_none(with_exif):
    jpeg = cv2.imencode(".jpg", np.zeros((8, 12, 3), "uint8"))[1].tobytes()
    for encoded in (jpeg, with_exif(jpeg, 9), with_exif(jpeg, 6)[:40]):
        transposed, _, _ = photograph._turns(tf.constant(encoded))
        assert not transposed
    assert photograph._turns(tf.constant(with_exif(jpeg, 6)))[0]


def test_grey_and_alpha(png):
    """Grey is three equal channels; an alpha channel is dropped."""
    grey = np.arange(8 * 12, dtype="uint8").reshape(8, 12)
    found = photograph.decode(tf.constant(png(grey)))
    np.testing.assert_array_equal(found, np.stack([grey] * 3, -1))
    rgba = np.stack([grey, grey + 1, grey + 2, np.zeros_like(grey)], -1)
    found = photograph.decode(tf.constant(png(rgba)))
    np.testing.assert_array_equal(found, rgba[..., :3])


def test_a_very_large_picture_is_averaged_not_sampled(oracle):
    """64 pixels of 0 and 255 in turn per cell come out as their mean."""
    board = np.indices((2048, 3072)).sum(0) % 2 * 255
    board = np.stack([board] * 3, -1).astype("uint8")
    crop, _ = photograph.crop(
        board, tf.constant([0.0, 0.0, 3072.0, 2048.0]), oracle.size
    )
    assert np.abs(crop.numpy()[1:-1, 1:-1] - 127.5).max() <= 1


BAD_BOXES = {
    "nan": [np.nan, 0, 5, 5],
    "infinite": [0, 0, np.inf, 5],
    "no area": [3, 3, 0, 5],
    "negative": [3, 3, 5, -5],
    "right of it": [96, 0, 5, 5],
    "above it": [0, -6, 5, 6],
}


@pytest.mark.parametrize("box", BAD_BOXES.values(), ids=BAD_BOXES)
def test_a_bad_box_is_refused_in_the_graph(served, oracle, png, box):
    picture, _ = oracle.draw(oracle.cells(), (16, 24), 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a box x, y"):
        ask(served, [png(picture)], [[float(value) for value in box]])


def test_a_bad_photograph_fails_its_batch_and_no_other(served, oracle, png):
    picture, joints = oracle.draw(oracle.cells(), (16, 24), 4)
    good, box = png(picture), whole(picture)
    with pytest.raises(tf.errors.InvalidArgumentError):
        ask(served, [good, good[:99]], [box, box])
    found = ask(served, [good], [box])
    np.testing.assert_allclose(found["joints"][0], joints, atol=1e-3)


def test_an_export_takes_no_gif(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="got a GIF"):
        ask(served, [b"GIF89a" + bytes(30)], [[0.0, 0.0, 9.0, 9.0]])


def test_as_many_boxes_as_photographs(served, oracle, png):
    picture, _ = oracle.draw(oracle.cells(), (16, 24), 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="number of boxes"):
        ask(served, [png(picture)], [whole(picture)] * 2)


@pytest.mark.parametrize("what", ["no image", "empty", "cut off", "cut PNG"])
def test_what_is_no_image_is_refused_in_the_graph(served, oracle, png, what):
    picture, _ = oracle.draw(oracle.cells(), (16, 24), 4)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    encoded = {
        "no image": b"hello",
        "empty": b"",
        "cut off": jpeg[: len(jpeg) // 2],
        "cut PNG": png(picture)[:100],
    }[what]
    with pytest.raises(tf.errors.InvalidArgumentError):
        ask(served, [encoded], [whole(picture)])


def test_one_pixel_is_a_picture(served, png):
    found = ask(served, [png(np.zeros((1, 1, 3), "uint8"))], [[0.0, 0, 1, 1]])
    assert np.isfinite(found["joints"]).all()
    assert found["missing"].all()


def test_it_is_served_by_tensorflow_alone(oracle, oracle_export, tmp_path):
    """The example of serving.json, as it stands, in a process of its own."""
    said = json.loads((oracle_export / "serving.json").read_text())
    assert said["skeleton"] == "mpii"
    assert said["joints"][9] == "head_top"
    assert said["input"] == {"height": 64, "width": 96}
    assert (said["decoding"], said["flip"]) == ("quarter", False)
    assert (said["provenance"], said["trained_on"]) == ({}, "unknown")
    picture, joints = oracle.draw(oracle.cells(7), (16, 24), 20)
    picture = np.pad(picture, [(0, 160), (0, 160), (0, 0)])  # 640 x 480
    jpeg = cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes()
    (tmp_path / "photo.jpg").write_bytes(jpeg)
    (tmp_path / "saved_model").symlink_to(oracle_export)
    program = [
        "import sys",
        *said["example"],
        "import numpy as np",
        "np.save('joints.npy', found['joints'][0])",
        "names = served.signatures['names']()['names'].numpy()",
        f"assert [n.decode() for n in names] == {said['joints']}",
        "assert 'keras_pose' not in sys.modules",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "joints.npy")
    np.testing.assert_allclose(found, joints, atol=10)  # a cell is 40 pixels


def test_an_export_replaces_another_and_nothing_else(
    oracle_model, oracle_export, tmp_path, monkeypatch
):
    monkeypatch.setattr(tf.saved_model, "save", save_names)
    folder = tmp_path / "run" / "saved_model"
    shutil.copytree(oracle_export, folder)
    assert not json.loads((folder / "serving.json").read_text())["flip"]
    export.export(oracle_model, folder, flip=True)
    assert json.loads((folder / "serving.json").read_text())["flip"]
    served = tf.saved_model.load(str(folder))
    assert [*served.signatures] == ["names"]  # not those of before
    assert [path.name for path in folder.parent.iterdir()] == ["saved_model"]
    with pytest.raises(ValueError, match="not an export"):
        export.export(oracle_model, tmp_path)
    assert folder.is_dir()


@pytest.mark.parametrize("step", ["save", "serving"])
def test_a_full_disk_leaves_the_old_export(
    oracle_model, tmp_path, monkeypatch, step
):
    folder = tmp_path / "saved_model"
    folder.mkdir()
    (folder / "serving.json").write_text("old")

    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "no space left")

    if step == "save":
        monkeypatch.setattr(tf.saved_model, "save", full)
    else:
        monkeypatch.setattr(tf.saved_model, "save", save_nothing)
        monkeypatch.setattr(serving.Server, "described", full)
    with pytest.raises(OSError, match="cannot be written: no space left"):
        export.export(oracle_model, folder)
    assert (folder / "serving.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


def test_a_kill_between_the_renames_loses_no_export(
    oracle_model, tmp_path, monkeypatch
):
    folder, old = tmp_path / "saved_model", tmp_path / ".saved_model.old"
    old.mkdir()
    (old / "serving.json").write_text(old.name)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(tf.saved_model, "save", interrupt)
        export.export(oracle_model, folder)
    assert (folder / "serving.json").read_text() == ".saved_model.old"
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(tf.saved_model, "save", save_nothing)
        rename = Path.rename
        broken.setattr(
            Path,
            "rename",
            lambda path, target: (
                interrupt()
                if path.parent != tmp_path  # the new one, after the old
                else rename(path, target)
            ),
        )
        export.export(oracle_model, folder)
    assert (folder / "serving.json").read_text() == ".saved_model.old"
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


def save_nothing(module, path, signatures):
    """Stands in for `tf.saved_model.save`, which traces the graphs."""
    Path(path).mkdir()


def save_names(module, path, signatures, save=tf.saved_model.save):
    """Stands in for it, too: a SavedModel of one quick signature."""
    save(module, path, {"names": signatures["names"]})


def interrupt(*_):
    raise KeyboardInterrupt


def test_another_backend_is_refused(oracle_model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow.*jax"):
        export.export(oracle_model, tmp_path / "saved_model")


@pytest.mark.parametrize(
    "settings", [{"missing_threshold": 1.5}, {"decoding": "best"}]
)
def test_settings_out_of_range_are_refused(oracle_model, tmp_path, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        export.export(oracle_model, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_models_of_another_kind_are_refused(tmp_path):
    images = keras.Input((8, 12, 3))
    keras.Model(images, keras.layers.Flatten()(images)).save(
        tmp_path / "other.keras"
    )
    (tmp_path / "text.keras").write_text("hello")
    for name in ("other.keras", "text.keras", "absent.keras"):
        with pytest.raises((ValueError, FileNotFoundError), match=name):
            export.main(export.Config(model=tmp_path / name))
    assert not (tmp_path / "saved_model").exists()


def test_main_exports_beside_the_model(oracle_model, tmp_path, capsys):
    oracle_model.save(tmp_path / "best.keras")
    export.main(export.Config(model=tmp_path / "best.keras"))
    assert (tmp_path / "saved_model" / "saved_model.pb").is_file()
    assert "Next: python -m keras_pose.predict" in capsys.readouterr().out


def halved_and_read(image, back, size):
    """The whole photograph halved, then read bilinearly: by the formulas."""
    step = back[0, 0]
    ratio = 2 ** max(0, int(np.floor(np.log2(step) + 1e-4)))
    rest = [(0, -length % ratio) for length in image.shape[:2]]
    image = np.pad(image, [*rest, (0, 0)], mode="edge").astype("float64")
    rows, columns = (length // ratio for length in image.shape[:2])
    cells = image.reshape(rows, ratio, columns, ratio, 3).mean((1, 3))
    cells = np.pad(np.floor(cells + 0.5), [(1, 1), (1, 1), (0, 0)])  # black
    height, width = size
    y, x = np.mgrid[:height, :width]
    x, y = (
        ((step * line + start + 0.5) / ratio - 0.5 + 1).clip(0, last + 1)
        for line, start, last in (
            (x, back[0, 2], columns),
            (y, back[1, 2], rows),
        )
    )
    total = 0.0
    for dy in (0, 1):
        for dx in (0, 1):
            i, j = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
            weight = (1 - abs(y - i)) * (1 - abs(x - j))
            i, j = i.clip(0, rows + 1), j.clip(0, columns + 1)
            total = total + weight[..., None] * cells[i, j]
    return np.floor(total + 0.5)


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (128, 128)])
def test_a_crop_has_the_pixels_of_the_whole_photograph_halved(size):
    """Also beyond the picture; whatever is cut away before it is halved."""
    rng = np.random.default_rng(size[0])
    off = []
    for number in range(12):
        height, width = rng.integers(30, 1200, 2)
        image = rng.integers(0, 256, (height, width, 3), "uint8")
        if number < 2:
            box = [0.0, 0.0, width, height]
        else:
            middle = rng.uniform(0, 1, 2) * (width, height)
            extent = rng.uniform(0.05, 1.5, 2) * (width, height)
            box = np.concatenate([middle - extent / 2, extent])
        crop, back = photograph.crop(image, tf.constant(box, tf.float32), size)
        wanted = halved_and_read(image, back.numpy().astype("float64"), size)
        assert wanted.any()
        off.append(np.abs(crop.numpy() - wanted))
    assert max(found.max() for found in off) <= 1
    assert np.mean([(found > 0).mean() for found in off]) < 1e-3


def test_the_weights_are_constants_without_norms(tmp_path, monkeypatch):
    """And the maps are those of the network, up to rounding."""
    images = keras.Input((64, 128, 3), dtype="uint8")
    maps = stacked_hourglass(images, 16, stacks=1, filters=8)
    model = keras.Model(images, PoseMaps(Heatmaps())(maps))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.endswith("_norm"):
            new = [rng.uniform(0.5, 2, w.shape) for w in layer.weights]
            layer.set_weights(new)
    crops = rng.integers(0, 256, (3, 64, 128, 3), "uint8")
    wanted = heads.codec_of(model).seen(model(crops, training=False))
    server = serving.Server(model)
    found = server.seen(tf.constant(crops))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.ptp(wanted) > 0.1
    monkeypatch.setattr(serving, "serve", lambda *_, **__: server)  # once
    folder = export.export(model, tmp_path / "served")
    loaded = tf.saved_model.load(str(folder))
    for signature in loaded.signatures.values():
        assert not signature.variables
        for function in signature.graph.as_graph_def().library.function:
            operations = {node.op for node in function.node_def}
            assert not operations & {"ReadVariableOp", "FusedBatchNormV3"}
