"""Videos: joints of every frame, whole files, and no frame that is kept."""

import json
import os
import signal
import struct
import sys
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_pose import console, estimator, files, predict, videos
from keras_pose import predict_video as predicting

SHARED = Path(
    Path(__file__).parents[2],
    "shared/data/posetrack18/videos",
    "000001_mpiinew_test/000001_mpiinew_test.mp4",
)


@pytest.fixture(scope="module")
def model(oracle_model, tmp_path_factory):
    """Path of the oracle, which is opened once."""
    path = tmp_path_factory.mktemp("model") / "best.keras"
    oracle_model.save(path)
    opened = estimator.Estimator(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimator, "Estimator", lambda *_: opened)
        yield path


@pytest.fixture
def encode():
    """Writes pictures (H, W, 3) RGB as a video, without losses as an .avi."""

    def write(path, pictures, rate=25.0, codec="FFV1"):
        height, width = pictures[0].shape[:2]
        code = cv2.VideoWriter_fourcc(*codec)
        size = width, height
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, size)
        assert writer.isOpened()
        for picture in pictures:
            writer.write(np.ascontiguousarray(picture[..., ::-1]))
        writer.release()
        return path

    return write


@pytest.fixture
def clip(oracle, encode, tmp_path):
    """A function: an .avi of N frames, 192 x 128, and the joints in each."""

    def make(count, name="clip.avi"):
        drawn = [
            oracle.draw(oracle.cells(number % 5), (16, 24), 8)
            for number in range(count)
        ]
        pictures, joints = zip(*drawn, strict=True)
        return encode(tmp_path / name, pictures), np.array(joints)

    return make


def frames_of(path):
    return list(videos.Video(path))


def test_frames_are_read_in_order_with_their_seconds(clip):
    path, _ = clip(7)
    video = videos.Video(path)
    assert (video.size, video.rate, video.count) == ((128, 192), 25.0, 7)
    frames = list(video)
    seconds = [frame[0] for frame in frames]
    np.testing.assert_allclose(seconds, np.arange(7) / 25, atol=1e-3)
    assert (video.read, video.problem()) == (7, None)


def test_the_joints_of_every_frame_are_written_and_drawn(
    model, clip, tmp_path, capsys
):
    path, joints = clip(20)
    output, written = tmp_path / "drawn.webm", tmp_path / "out.json"
    config = predict.Config(
        (), model=model, video=path, output=output, json=written
    )
    assert predict.main(config) == 20
    results = json.loads(written.read_text())
    assert [r["frame"] for r in results] == list(range(20))
    assert [r["image_id"] for r in results] == list(range(20))
    assert {r["file_name"] for r in results} == {str(path)}
    seconds = [result["seconds"] for result in results]
    np.testing.assert_allclose(seconds, np.arange(20) / 25, atol=1e-3)
    found = np.reshape([r["keypoints"] for r in results], (20, 16, 3))
    np.testing.assert_allclose(found[..., :2], joints, atol=1e-3)
    header = json.loads((tmp_path / "out-header.json").read_text())
    assert (header["frames"], header["skeleton"]) == (20, "mpii")
    drawn = videos.Video(output)
    assert (drawn.size, drawn.rate, drawn.count) == ((128, 192), 25.0, 20)
    pairs = zip(frames_of(path), drawn, strict=True)
    changed = [np.abs(b - a.astype(int)).mean() for (_, a), (_, b) in pairs]
    assert min(changed) > 5  # the skeletons; the codec alone: see below
    assert "20 frames, 20 people" in capsys.readouterr().out


def test_a_written_video_shows_what_was_written(tmp_path):
    """Frame n is a grey of 10 n, of an odd size: the last row is left out."""
    path = tmp_path / "grey.webm"
    with videos.write(path, (97, 131), 12.5) as add:
        for number in range(20):
            add(np.full((97, 131, 3), 10 * number, "uint8"))
        assert not path.exists()
    video = videos.Video(path)
    assert (video.size, video.rate) == ((96, 130), 12.5)
    means = [picture.mean() for _, picture in video]
    # nearer to its own grey than to a neighbour's
    assert (np.rint(np.divide(means, 10)) == np.arange(20)).all()
    assert [entry.name for entry in tmp_path.iterdir()] == ["grey.webm"]


def test_boxes_belong_to_frames(model, clip, tmp_path):
    """Two in frame 1, none in 0; a crop is a quarter higher than its box."""
    path, joints = clip(3)
    box = "44.8,12.8,102.4,102.4"
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(
        f"frame,x,y,width,height,score\n1,{box},0.5\n2,{box},1\n1,{box},0.25\n"
    )
    written = tmp_path / "out.json"
    config = predict.Config(
        (), model=model, video=path, boxes=boxes, json=written
    )
    assert predict.main(config) == 3
    results = json.loads(written.read_text())
    assert [r["frame"] for r in results] == [1, 1, 2]
    found = np.reshape([r["keypoints"] for r in results], (3, 16, 3))
    np.testing.assert_allclose(found[..., :2], joints[[1, 1, 2]], atol=1e-3)
    first, second, _ = (result["score"] for result in results)
    assert first == pytest.approx(2 * second)
    again = tmp_path / "again.json"
    config = predict.Config(
        (), model=model, video=path, boxes=written, json=again
    )
    predict.main(config)  # its own results are a file of boxes
    same = json.loads(again.read_text())
    assert [r["keypoints"] for r in same] == [r["keypoints"] for r in results]


@pytest.mark.parametrize("people", [1, 3])
def test_no_frame_is_kept(model, clip, tmp_path, monkeypatch, people):
    """At most a batch of 4, and the one that is read next."""
    monkeypatch.setattr(estimator, "BATCH", 4)
    path, _ = clip(41)
    alive, most, real = weakref.WeakSet(), [], videos.Video._decode

    class Picture(np.ndarray):
        """An array that is told apart from its equals."""

        __hash__ = object.__hash__

    def decode(video):
        frame = real(video)
        if frame:
            picture = frame[1].view(Picture)
            alive.add(picture)
            frame = frame[0], picture
        most.append(len(alive))
        return frame

    monkeypatch.setattr(videos.Video, "_decode", decode)
    predicting.predict_video(
        estimator.Estimator(model),
        videos.Video(path),
        people * [(0, 0, 192, 128)],
        tmp_path / "out.webm",
        tmp_path / "out.json",
    )
    assert len(most) == 41 + 1 + 1  # the end, and a look at what is written
    assert 4 <= max(most) <= 5


def test_results_leave_memory_as_they_come(model, clip, tmp_path, monkeypatch):
    """The file of results grows while the video is read."""
    monkeypatch.setattr(estimator, "BATCH", 4)
    path, _ = clip(24)
    sizes, real = [], predicting._results

    def results(*arguments):
        (file,) = tmp_path.glob(f"{files.WRITING}*/out.json")
        sizes.append(file.stat().st_size)
        return real(*arguments)

    monkeypatch.setattr(predicting, "_results", results)
    predicting.predict_video(
        estimator.Estimator(model),
        videos.Video(path),
        json=tmp_path / "out.json",
    )
    assert 0 < sizes[-1] < (tmp_path / "out.json").stat().st_size


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_stop_keeps_the_frames_until_then(
    model, clip, tmp_path, monkeypatch, capsys, handlers, number
):
    """Stopped in the second batch of four."""
    monkeypatch.setattr(estimator, "BATCH", 4)
    path, joints = clip(19)
    output, written = tmp_path / "drawn.webm", tmp_path / "out.json"
    calls, real = [], predicting._predict

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(predicting, "_predict", stopped)
    flags = ["--model", str(model), "--video", str(path)]
    flags += ["--output", str(output), "--json", str(written)]
    monkeypatch.setattr(sys, "argv", ["predict.py", *flags])
    monkeypatch.setattr(predict, "_open_model", lambda config: (
        estimator.Estimator(config.model), {}
    ))  # fmt: skip
    with pytest.raises(SystemExit) as exit:
        console.run(predict.main, predict.Config, predict.__doc__)
    assert exit.value.code == 128 + number
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"stopped: {output}, {written}, {tmp_path / 'out-header.json'} hold "
        "the first 8 of 19 frames; the same command starts over"
    )
    assert len(frames_of(output)) == 8
    results = json.loads(written.read_text())
    assert [result["frame"] for result in results] == list(range(8))
    assert not list(tmp_path.glob(f"{files.WRITING}*"))


def test_a_phones_video_is_upright(oracle, encode, model, tmp_path):
    """The file holds frames that lie on their side, and a quarter turn.

    The turn is that of ISO/IEC 14496-12, 8.3.2: a matrix in the track header.
    """
    picture, joints = oracle.draw(oracle.cells(), (16, 24), 16)
    lying = np.ascontiguousarray(np.rot90(picture))
    path = encode(tmp_path / "phone.mp4", [lying] * 3, codec="mp4v")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 36
    assert struct.unpack_from(">9i", content, matrix)[::4] == (
        65536, 65536, 1 << 30,
    )  # fmt: skip
    quarter = 0, 65536, 0, -65536, 0, 0, 256 << 16, 0, 1 << 30
    struct.pack_into(">9i", content, matrix, *quarter)
    path.write_bytes(content)
    video = videos.Video(path)
    assert video.size == (256, 384)
    written = tmp_path / "out.json"
    predict.main(predict.Config((), model=model, video=path, json=written))
    for result in json.loads(written.read_text()):
        found = np.reshape(result["keypoints"], (16, 3))[:, :2]
        assert np.abs(found - joints).max() < 8  # half a cell; it is lossy


def test_a_video_that_was_cut_short_says_how_much_of_it_was_read(
    model, tmp_path
):
    path, written = tmp_path / "cut.webm", tmp_path / "out.json"
    noise = np.random.default_rng(0).integers(0, 256, (60, 32, 48, 3), "uint8")
    with videos.write(path, (32, 48), 25.0) as add:
        for picture in noise:
            add(picture)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    output = tmp_path / "drawn.webm"
    config = predict.Config(
        (), model=model, video=path, json=written, output=output
    )
    with pytest.raises(
        ValueError,
        match=r"cut\.webm is damaged or cut short: (\d+) of its 60 frames",
    ) as error:
        predict.main(config)
    count = int(str(error.value).split(": ")[1].split()[0])
    assert 15 < count < 45
    assert len(json.loads(written.read_text())) == count
    assert len(frames_of(output)) == count


def test_what_is_no_video_is_refused_in_one_sentence(clip, tmp_path, capfd):
    path, _ = clip(4)
    whole = path.read_bytes()
    bad = {
        "text.mp4": (b"hello", "not a video that can be read: expected an MP4"),
        "empty.mp4": (b"", "not a video"),
        "list.m3u8": (b"#EXTM3U\nhttp://localhost/a.ts\n", "not a video"),
        "head.avi": (whole[:300], "none of its frames can be decoded"),
    }
    for name, (content, message) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.*{message}"):
            videos.Video(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="absent.mp4 is missing"):
        videos.Video(tmp_path / "absent.mp4")
    assert capfd.readouterr().err == ""


def test_what_is_no_file_is_refused_and_not_waited_for(no_file):
    with pytest.raises(ValueError, match="bad.jpg cannot be read: "):
        videos.Video(no_file)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"photos": (Path("a.jpg"),)},
            "--video is without photographs, got a.jpg",
        ),
        (
            {"box": (1, 1, 9, 9), "boxes": Path("b.csv")},
            "expected --box or --boxes, got both",
        ),
        ({"output": Path("drawn.mp4")}, r"a \.webm or a folder, got drawn"),
        ({"output": "same"}, "would be overwritten"),
        ({"box": (500, 1, 9, 9)}, "outside the picture, which is 192 x 128"),
        ({"boxes": "late"}, "frame 3: the box lies outside the picture"),
        ({"boxes": "half"}, "line 2: a frame must be a whole number from 0"),
        ({"boxes": "none"}, "none.csv must have a box, got none"),
        ({"boxes": "file"}, "must have the columns frame, x, y, width"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_met_are_refused_before_the_model_is_opened(
    clip, tmp_path, settings, message
):
    path, _ = clip(2)
    path = path.rename(tmp_path / "clip.webm")
    lines = {
        "late": "frame,x,y,width,height\n3,900,1,9,9\n",
        "half": "frame,x,y,width,height\n0.5,1,1,9,9\n",
        "none": "frame,x,y,width,height\n",
        "file": "file,x,y,width,height\n1,1,1,9,9\n",
    }
    boxes = settings.get("boxes")
    if isinstance(boxes, str):
        (tmp_path / f"{boxes}.csv").write_text(lines[boxes])
        settings = settings | {"boxes": tmp_path / f"{boxes}.csv"}
    if settings.get("output") == "same":
        settings = settings | {"output": path}
    config = predict.Config(
        **{"photos": (), "model": Path("no.keras"), "video": path} | settings
    )
    with pytest.raises(ValueError, match=message):
        predict.main(config)


def test_boxes_after_the_last_frame_are_said(model, clip, tmp_path, capsys):
    path, _ = clip(2)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"frame": 2, "bbox": [1, 1, 99, 99]}]))
    predict.main(predict.Config((), model=model, video=path, boxes=boxes))
    said = capsys.readouterr().out
    assert "2 frames, 0 people" in said
    assert "boxes for frame 2; the last is number 1, counted from 0" in said


def test_a_video_without_a_rate_and_length_is_read(
    model, clip, tmp_path, monkeypatch, capsys
):
    """As browsers record them."""
    path, _ = clip(5)
    unknown = {cv2.CAP_PROP_FPS: 1000.0, cv2.CAP_PROP_FRAME_COUNT: -9.2e15}
    real = cv2.VideoCapture

    class Recorded:
        def __init__(self, *arguments):
            self.capture = real(*arguments)
            self.read = self.capture.read
            self.own = "clip" in arguments[0]

        def get(self, name):
            known = unknown if self.own else {}
            return known.get(name, self.capture.get(name))

    monkeypatch.setattr(cv2, "VideoCapture", Recorded)
    output = tmp_path / "drawn.webm"
    config = predict.Config((), model=model, video=path, output=output)
    assert predict.main(config) == 5
    said = capsys.readouterr()
    assert "states no frame rate: it is drawn at 30 frames" in said.out
    assert "predict: 5 frames in" in said.err
    assert videos.Video(output).rate == 30


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    """The writer of OpenCV reports nothing: what it wrote is looked at."""
    monkeypatch.setattr(files, "_free", lambda path: 0)
    count = property(lambda video: 1, lambda *_: None)
    monkeypatch.setattr(videos.Video, "count", count, raising=False)
    path = tmp_path / "drawn.webm"
    with pytest.raises(OSError, match="drawn.webm cannot be written: No space"):
        with videos.write(path, (32, 48), 25.0) as add:
            for _ in range(9):
                add(np.zeros((32, 48, 3), "uint8"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not SHARED.is_file(), reason="needs the clip of PoseTrack")
def test_a_real_clip_is_read(model, tmp_path):
    output = tmp_path / "drawn.webm"
    config = predict.Config((), model=model, video=SHARED, output=output)
    assert predict.main(config) == 5
    drawn = videos.Video(output)
    assert (drawn.size, drawn.rate) == ((720, 1280), 30.0)
    assert len(list(drawn)) == 5
