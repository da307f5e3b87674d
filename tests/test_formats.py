"""Files of other runtimes: the same joints, or no file."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pose import agreement, converters, engines, export, portable
from keras_pose.codecs import Heatmaps
from keras_pose.models.heads import PoseMaps
from keras_pose.skeletons import MPII
from tests.test_portable import BAD_BOXES, HOSTILE, MODELS

FILES = {"litert": "pose.tflite", "onnx": "pose.onnx", "openvino": "pose.xml"}


def skip_without(*extras):
    for extra in extras:
        for module in converters.NEEDED[extra]:
            if importlib.util.find_spec(module) is None:
                pytest.skip(f"{module} is not installed")


def agree(path):
    """Stands in for the comparison with the model."""


@pytest.fixture(scope="module")
def locator(oracle_model):
    return portable.Locator(oracle_model)


@pytest.fixture(scope="module", params=FILES)
def written(request, locator, tmp_path_factory):
    """Folder, and file in it, of each format."""
    skip_without(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    return folder, export.convert(locator, request.param, folder, agree)


@pytest.fixture(scope="module")
def opened(written):
    return engines.open_model(written[1])


def test_a_file_finds_the_dots(opened, oracle):
    """Of several people of a photograph, of any size."""
    assert (opened.skeleton, opened.provenance) == (MPII, {})
    for block in (4, 7, 12):
        picture, _ = oracle.draw(oracle.cells(block), (16, 24), block)
        height, width = picture.shape[:2]
        boxes = [[0, 0, width, height], [-10, 5, width / 2, height]]
        found = opened.locate(picture, np.array(boxes, "float32"))
        assert sorted(found) == ["joints", "missing", "scores"]
        assert found["joints"].shape == (2, 16, 2)
        assert found["missing"].dtype == bool
        if block != 7:
            _, joints = oracle.draw(oracle.cells(block), (16, 24), block)
            np.testing.assert_allclose(found["joints"][0], joints, atol=1e-2)
            assert not found["missing"][0].any()


def test_a_file_agrees_with_the_function(opened, locator, oracle):
    """In boxes of a part of the photograph, some of which reach beyond it."""
    rng = np.random.default_rng(0)
    clear = 0
    for seed in range(8):
        picture, _ = oracle.draw(oracle.cells(seed), (16, 24), 9 + seed)
        height, width = picture.shape[:2]
        corner = rng.uniform(-0.1, 0.5, 2) * (width, height)
        box = np.array([*corner, 0.4 * width, 0.5 * height], "float32")
        wanted = locator.image(picture, box)
        found = opened.locate(picture, box[None])
        peaked = wanted["scores"].numpy() > 0.3
        apart = found["joints"][0] - wanted["joints"].numpy()
        assert np.abs(apart[peaked]).max(initial=0) < 0.01
        np.testing.assert_allclose(
            found["scores"][0], wanted["scores"], atol=1e-4
        )
        clear += peaked.sum()
    assert clear > 20


@pytest.mark.parametrize("box", BAD_BOXES.values(), ids=BAD_BOXES)
def test_a_bad_box_gives_nan_in_a_file(opened, oracle, box):
    picture, _ = oracle.draw(oracle.cells(), (16, 24), 4)
    found = opened.locate(picture, np.array([box], "float32"))
    assert np.isnan(found["joints"]).all()
    assert np.isnan(found["scores"]).all()


@pytest.mark.parametrize(("shape", "box"), HOSTILE.values(), ids=HOSTILE)
def test_any_size_and_box_gives_numbers_in_a_file(opened, shape, box):
    image = np.full((*shape, 3), 200, "uint8")
    found = opened.locate(image, np.array([box], "float32"))
    assert np.isfinite(found["joints"]).all()


def test_serving_json_lies_beside_a_file_and_in_it(written):
    folder, path = written
    said = json.loads((folder / "serving.json").read_text())
    assert said["joints"] == list(MPII.joints)
    assert said["limbs"][0] == list(MPII.limbs[0])
    assert (said["licence"], said["source"]) == ("unknown", "unknown")
    assert "centre of the first pixel" in said["pixels"]
    (folder / "serving.json").unlink()
    assert engines.open_model(path).skeleton == MPII  # the file is enough
    names = {entry.name for entry in folder.iterdir()}
    assert names <= {path.name, path.with_suffix(".bin").name}
    (folder / "serving.json").write_text(json.dumps(said))


def test_a_file_exported_without_flip_says_so(written):
    with pytest.raises(ValueError, match="exported without --flip"):
        engines.open_model(written[1], flip=True)


def test_a_damaged_file_is_one_line(written, tmp_path):
    _, path = written
    for content in (b"", b"hello", path.read_bytes()[:700]):
        broken = tmp_path / path.name
        broken.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be used|not from an exp"):
            engines.open_model(broken)
    with pytest.raises(FileNotFoundError, match="absent"):
        engines.open_model(path.with_stem("absent"))


def test_damage_that_is_found_while_it_runs_is_one_line(monkeypatch):
    """As of a .tflite whose operations do not fit each other."""

    def fails(image, box):
        raise RuntimeError("failed to prepare\nat node 3")

    said = json.dumps({"skeleton": "mpii", "flip": False})
    opener = "onnx", lambda path: (fails, said)
    monkeypatch.setitem(engines.OPENERS, ".py", opener)
    monkeypatch.setattr(engines, "need", lambda *_: None)
    opened = engines.open_model(__file__)
    with pytest.raises(ValueError, match="py cannot be used: failed to prep"):
        opened.locate(np.zeros((16, 24, 3), "uint8"), np.ones((1, 4)))


@pytest.mark.parametrize("kind", FILES)
def test_half_precision_halves_the_weights(locator, kind, tmp_path, oracle):
    skip_without(kind)
    path = export.convert(locator, kind, tmp_path, agree, half=True)
    assert path.name == f"pose_half{converters.SUFFIXES[kind]}"
    picture, joints = oracle.draw(oracle.cells(1), (16, 24), 8)
    box = np.array([[0, 0, 192, 128]], "float32")
    found = engines.open_model(path).locate(picture, box)
    np.testing.assert_allclose(found["joints"][0], joints, atol=0.1)


@pytest.mark.parametrize("kind", converters.QUANTISERS)
def test_integers_find_the_dots(
    locator, kind, oracle, tmp_path, monkeypatch, capfd
):
    """The network in integers, the crop in floats: pixels beyond 255."""
    skip_without(kind, *["int8"] * (kind == "litert"))
    drawn = [oracle.draw(oracle.cells(n), (16, 24), 20) for n in range(4)]
    box = np.array([0, 0, 480, 320], "float32")
    people = [(picture, box) for picture, _ in drawn], None, None
    monkeypatch.setattr(agreement, "read_people", lambda *_: people)
    source = export.convert(locator, kind, tmp_path, agree)
    capfd.readouterr()
    path = export.quantise(locator, kind, source, None, agree)
    assert path.name == f"pose_int8{source.suffix}"
    if kind == "onnx":  # LiteRT's library prints
        assert capfd.readouterr() == ("", "")
    opened = engines.open_model(path)
    assert opened.skeleton == MPII  # the description is in this one, too
    for picture, joints in drawn:
        found = opened.locate(picture, box[None])
        np.testing.assert_allclose(found["joints"][0], joints, atol=1)


def test_the_decoding_is_not_in_integers(oracle_model, tmp_path):
    """DARK's convolutions are no layers of the network."""
    skip_without("onnx")
    import onnx

    dark = portable.Locator(oracle_model, decoding="dark")
    source = export.convert(dark, "onnx", tmp_path, agree)
    path = tmp_path / "pose_int8.onnx"
    people = agreement.draw_people(MPII, 1)
    converters.to_int8("onnx", source, path, dark.model.name, people)
    before, after = (
        [n.op_type for n in onnx.load(str(each)).graph.node]
        for each in (source, path)
    )
    assert before.count("Conv") == after.count("Conv") > 1
    assert after.count("QuantizeLinear") == 2  # in and out of the only layer


def test_maps_of_a_single_cell_are_converted(tmp_path):
    """Keras adds them as a bias, to a convolution that has one."""
    skip_without("onnx")
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3), dtype="uint8")
    x = keras.layers.AveragePooling2D(16)(keras.layers.Rescaling(0.1)(images))
    sums = [keras.layers.Conv2D(16, 1, bias_initializer="normal")(x)]
    sums += [keras.layers.Conv2D(16, 1, bias_initializer="normal")(x)]
    maps = keras.layers.UpSampling2D(4)(keras.layers.Add()(sums))
    head = PoseMaps(Heatmaps("mpii", 4))
    alone = portable.Locator(keras.Model(images, head([maps])))
    path = export.convert(alone, "onnx", tmp_path, agree)
    image, box = agreement.draw_people(MPII, 1)[0]
    found = engines.open_model(path).locate(image, box[None])
    wanted = alone.image(image, box)["scores"]
    np.testing.assert_allclose(found["scores"][0], wanted, atol=1e-5)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("build", ["expectation", "cascade"])
def test_every_codec_is_converted(build, kind, tmp_path, oracle):
    """With the flip test, and of a cascade the second crops. The first is the
    photograph itself: OpenVINO rounds one pixel in thousands otherwise, which
    moves the mean of maps without peaks by hundredths of a pixel."""
    skip_without(kind)
    alone = portable.Locator(MODELS[build](), flip=build == "expectation")
    path = export.convert(alone, kind, tmp_path, agree)
    picture, _ = oracle.draw(oracle.cells(3), (16, 24), 4)
    box = np.array([0.0, 0.0, 96.0, 64.0], "float32")
    wanted = alone.image(picture, box)
    found = engines.open_model(path).locate(picture, box[None])
    np.testing.assert_allclose(found["joints"][0], wanted["joints"], atol=0.01)
    np.testing.assert_allclose(found["scores"][0], wanted["scores"], atol=1e-4)


def test_a_folder_of_several_exports_names_them(tmp_path):
    said = {"skeleton": "lsp", "flip": False}
    (tmp_path / "serving.json").write_text(json.dumps(said))
    (tmp_path / "pose.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="in it, pose.onnx, serving.json"):
        engines.open_model(tmp_path)


def from_model(locator, joints=0.0, scores=0.0):
    """An engine that is off by some pixels and scores, for every third joint
    of the first person."""
    people = []

    def locate(image, boxes):
        found = locator.image(image, tf.constant(boxes[0]))
        found = {name: value.numpy()[None] for name, value in found.items()}
        if not people:
            found["joints"][0, ::3] += joints
            found["scores"][0, ::3] += scores
        people.append(1)
        return found

    return locate


@pytest.mark.parametrize(
    ("off", "half"),
    [
        ({"joints": 0.02}, False),
        ({"joints": np.nan}, False),
        ({"joints": 0.02, "scores": np.nan}, True),
        ({"joints": 200}, True),  # six of 256 joints, more than 1 %
        ({"joints": np.nan}, True),
        ({"scores": 0.002}, False),
    ],
)
def test_a_file_that_finds_others_is_refused(locator, off, half):
    with pytest.raises(ValueError, match="% of the joints of drawn people"):
        agreement.compare(from_model(locator, **off), locator, half)


def test_a_file_that_finds_the_same_passes(locator):
    assert agreement.compare(from_model(locator), locator) == (0, 0)
    half = from_model(locator, joints=2, scores=0.01)
    assert agreement.compare(half, locator, half=True)[1] == 0


def test_half_precision_may_not_move_all_joints(locator):
    """Not even by a pixel, which is little of any box."""

    def locate(image, boxes):
        found = from_model(locator)(image, boxes)
        return found | {"joints": found["joints"] + 1}

    with pytest.raises(ValueError, match="0.0 % of.*median 1.41"):
        agreement.compare(locate, locator, half=True)


def test_other_outputs_are_refused(locator):
    def locate(image, boxes):
        found = from_model(locator)(image, boxes)
        return {"points": found["joints"], "scores": found["scores"]}

    with pytest.raises(ValueError, match="outputs are points, scores, expec"):
        agreement.compare(locate, locator)


def test_drawn_people_are_the_same_at_each_call():
    people = agreement.draw_people(MPII)
    for (image, box), (other, same) in zip(
        people, agreement.draw_people(MPII), strict=True
    ):
        np.testing.assert_array_equal(image, other)
        np.testing.assert_array_equal(box, same)
        height, width = image.shape[:2]
        assert box[0] < width and box[1] < height and (box[2:] > 1).all()
    assert len({image.shape for image, _ in people}) == agreement.PEOPLE


@pytest.fixture
def broken(monkeypatch, locator):
    """A converter that writes a wrong file without an error."""

    def convert(locator, path, description, half=False):
        path.write_text("wrong")
        path.with_suffix(".bin").write_text("wrong")

    def open_model(path, flip=False):
        assert Path(path).read_text() == "wrong"
        return engines.Engine(from_model(locator, joints=3), None, MPII, {})

    monkeypatch.setitem(converters.CONVERTERS, "onnx", convert)
    monkeypatch.setattr(converters, "need", lambda *_: None)
    monkeypatch.setattr(engines, "open_model", open_model)


@pytest.fixture
def model(oracle_model, tmp_path):
    oracle_model.save(tmp_path / "best.keras")
    return tmp_path / "best.keras"


def test_a_wrong_file_is_never_renamed_into_place(broken, model, tmp_path):
    """tf2onnx writes an operation that nobody can run, and returns."""
    config = export.Config(model, ("onnx",))
    with pytest.raises(ValueError, match="pose.onnx finds other joints.*--fo"):
        export.main(config)
    assert not list((tmp_path / "exported").iterdir())


def test_force_writes_it_with_a_warning(broken, model, tmp_path, capsys):
    export.main(export.Config(model, ("onnx",), force=True))
    assert "Warning: pose.onnx finds other joints" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "exported").iterdir())
    assert names == ["pose.bin", "pose.onnx", "serving.json"]


def test_an_absent_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(converters.NEEDED, "onnx", {"no_such_module"})
    with pytest.raises(ValueError, match=r"pip install 'keras_pose\[onnx\]'"):
        export.main(export.Config(model, ("saved_model", "onnx")))
    assert [path.name for path in model.parent.iterdir()] == ["best.keras"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": ()}, "one format or more"),
        ({"half": True}, "--half is for .* got .*saved_model"),
        ({"int8": Path("data")}, "--int8 is for --format litert or onnx"),
    ],
)
def test_settings_without_an_effect_are_refused(model, settings, message):
    with pytest.raises(ValueError, match=message):
        export.main(export.Config(model, **settings))


@pytest.fixture
def judge(monkeypatch, locator):
    """Judges two scores, of the model and of the file, without either."""

    def judge(full, less):
        scores = iter([(full, "PCKh@0.5"), (less, "PCKh@0.5")])
        nobody = [0] * 9, None, None
        monkeypatch.setattr(agreement, "read_people", lambda *_: nobody)
        monkeypatch.setattr(agreement, "score", lambda *_: next(scores))
        nothing = engines.Engine(None, None, MPII, {})
        monkeypatch.setattr(engines, "open_model", lambda _: nothing)
        export._judge(locator, None, force=False)(Path("pose_int8.tflite"))

    return judge


def test_integers_may_lose_a_point(judge, capsys):
    judge(74.2, 73.3)
    assert "PCKh@0.5 73.3 on 9 people, the model has 74.2" in (
        capsys.readouterr().out
    )
    with pytest.raises(ValueError, match="loses too much: PCKh@0.5 73.1 on 9"):
        judge(74.2, 73.1)
    with pytest.raises(ValueError, match="loses too much"):
        judge(74.2, np.nan)


def test_the_judges_boxes_are_those_of_evaluation(oracle_model, save, tmp_path):
    """All joints of a data set are found in the pixels of its photographs."""
    from tests.fixtures import COLORS
    from tests.test_export import photo

    pictures = [photo(seed, COLORS) for seed in range(5)]
    for number, picture in enumerate(pictures):
        person = replace(picture.people[0], head_size=30.0)
        pictures[number] = replace(picture, people=(person,))
    data = save(tmp_path, pictures, "val")
    pairs, matrices, people = agreement.read_people(data, "val", (64, 96), 3)
    assert len(pairs) == len(matrices) == len(people) == 3
    alone = portable.Locator(oracle_model)

    def locate(image, boxes):
        found = alone.image(image, tf.constant(boxes[0]))
        return {name: value.numpy()[None] for name, value in found.items()}

    value, title = agreement.score(locate, pairs, matrices, people, data)
    assert value > 60
    assert isinstance(title, str)
    nothing = agreement.score(
        lambda image, boxes: {
            "joints": np.full((1, 16, 2), -999.0),
            "scores": np.ones((1, 16)),
        },
        pairs, matrices, people, data,
    )  # fmt: skip
    assert nothing[0] == 0
