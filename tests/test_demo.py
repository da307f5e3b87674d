"""The page that finds joints in the browser.

The test in a browser needs chromium, the extra onnx and, in the working folder,
`npm install onnxruntime-web@` with the version of `page.RUNTIME`.
"""

import json
import queue
import re
import shutil
import subprocess
import threading
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose import export, portable
from keras_pose.demo import __main__ as demo
from keras_pose.demo import page
from tests.test_formats import agree, skip_without

FOLDER = Path(page.__file__).parent


@pytest.fixture
def runtime(tmp_path):
    """A folder with files of these names."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in page.FILES:
        (folder / name).write_bytes(b"runtime")
    return folder


def test_maps_lie_where_the_joints_are(oracle, oracle_model):
    """The highest cell, moved by `place`, within half a cell of the joint."""
    alone = portable.Locator(oracle_model, decoding="argmax", maps=True)
    picture, joints = oracle.draw(oracle.cells(2), (16, 24), 8)
    found = alone.image(picture, tf.constant([0.0, 0.0, 192.0, 128.0]))
    maps, place = found["maps"].numpy(), found["place"].numpy()
    assert (maps.shape, place.shape) == ((16, 16, 24), (2, 3))
    for number, (map_, joint) in enumerate(zip(maps, joints, strict=True)):
        y, x = np.unravel_index(map_.argmax(), map_.shape)
        np.testing.assert_allclose(
            place @ [x, y, 1], joint, atol=1e-3, err_msg=str(number)
        )
    np.testing.assert_allclose(found["joints"], joints, atol=1e-3)


def test_a_missing_or_other_runtime_says_how_to_get_it(runtime, tmp_path):
    with pytest.raises(ValueError, match="npm install onnxruntime-web@"):
        page.find_runtime(tmp_path)
    with pytest.raises(ValueError, match="not of version .*npm install"):
        page.find_runtime(runtime)


def test_the_page_asks_no_other_host():
    """Its own files are enough, and a policy forbids the rest."""
    text = "".join((FOLDER / name).read_text() for name in page.OWN)
    assert not re.search("https?://", text)
    assert "default-src 'none'" in text
    assert "connect-src 'self'" in text
    for name in ("ort.wasm.bundle.min.mjs", "serving.json", "pose.onnx"):
        assert name in text
    used = set(re.findall(r'find\("(\w+)"\)', text))
    assert used <= set(re.findall(r'id="(\w+)"', text))


def test_it_is_served_on_this_computer_only(tmp_path):
    with pytest.raises(ValueError, match="no pose.onnx"):
        demo.open_server(demo.Config(tmp_path))
    (tmp_path / "pose.onnx").write_bytes(b"model")
    (tmp_path / "a.mjs").write_text("1")
    page.copy(tmp_path, {"a.wasm": b"2"})
    with demo.open_server(demo.Config(tmp_path, port=0)) as server:
        assert server.server_address[0] == "127.0.0.1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        for name, kind in (
            ("", "text/html"),
            ("page.js", "text/javascript"),
            ("a.mjs", "text/javascript"),
            ("a.wasm", "application/wasm"),
        ):
            with urllib.request.urlopen(f"{address}/{name}") as answer:
                assert answer.headers["Content-Type"] == kind
                assert answer.read()
        server.shutdown()


DRIVER = """
const frame = document.querySelector("iframe").contentWindow;
const until = async (ready) => {
  while (!ready()) await new Promise((done) => setTimeout(done, 50));
};
await until(() => frame.ready);
const blob = await (await fetch("picture.png")).blob();
const box = await (await fetch("box.json")).json();
const answers = [await frame.show(blob), await frame.show(blob, box)];
const find = (id) => frame.document.getElementById(id);
const state = find("state"), view = find("view");

state.textContent = "asked";
const transfer = new frame.DataTransfer();
transfer.items.add(new frame.File([blob], "picture.png"));
frame.document.dispatchEvent(
  new frame.DragEvent("drop", { dataTransfer: transfer }));
await until(() => state.textContent.endsWith("ms"));

const place = view.getBoundingClientRect();
const point = (kind, x, y) => view.dispatchEvent(new frame.PointerEvent(kind, {
  clientX: place.x + x * place.width, clientY: place.y + y * place.height }));
state.textContent = "asked";
point("pointerdown", 0.75, 0.75);
point("pointermove", 0.25, 0.5);
point("pointerup", 0.25, 0.5);
await until(() => state.textContent.endsWith("ms"));
const drawn = frame.answer.box;
answers.push(frame.answer);

const image = () => view.toDataURL();
const before = image();
find("joints").children[2].onpointerenter();
const glows = image() !== before;
const width = frame.document.documentElement.scrollWidth;
await fetch("found", { method: "POST",
  body: JSON.stringify({ answers, drawn, glows, width }) });
"""


@pytest.fixture
def browse(tmp_path):
    """Function that runs DRIVER beside the page of a folder, 400 pixels wide;
    returns what it found."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed")
    found = queue.Queue()

    class Handler(demo.Handler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            found.put(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

    def browse(folder, monkeypatch):
        monkeypatch.setattr(demo, "Handler", Handler)
        (folder / "driver.html").write_text(
            '<iframe src="index.html" width="400" height="800"></iframe>'
            f'<script type="module">{DRIVER}</script>'
        )
        with demo.open_server(demo.Config(folder, port=0)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/driver.html"
            process = subprocess.Popen(
                [
                    *(chromium, "--headless=new", "--no-sandbox"),
                    *("--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"),
                    *("--remote-debugging-port=0", address),
                ],
                stderr=subprocess.DEVNULL,
            )
            try:
                return found.get(timeout=120)
            finally:
                process.terminate()
                process.wait()
                server.shutdown()

    return browse


def test_a_browser_finds_what_the_function_finds(
    oracle, oracle_model, browse, tmp_path, monkeypatch
):
    skip_without("onnx")
    try:
        runtime = page.find_runtime()
    except ValueError as error:
        pytest.skip(str(error))
    shown = portable.Locator(oracle_model, maps=True)
    folder = export.write_page(shown, tmp_path / "page", runtime, agree)
    picture, _ = oracle.draw(oracle.cells(2), (16, 24), 8)
    cv2.imwrite(str(folder / "picture.png"), picture[..., ::-1])
    box = [17.5, -6.0, 130.0, 90.0]
    (folder / "box.json").write_text(json.dumps(box))
    found = browse(folder, monkeypatch)
    # Drawn with the pointer, which moves by whole pixels of the screen.
    np.testing.assert_allclose(found["drawn"], [48, 64, 96, 32], atol=1.5)
    boxes = [[0, 0, 192, 128], box, found["drawn"]]
    for answer, corner in zip(found["answers"], boxes, strict=True):
        wanted = shown.image(picture, tf.constant(corner, tf.float32))
        wanted = {name: value.numpy() for name, value in wanted.items()}
        joints = np.reshape(answer["joints"], (16, 2))
        clear = wanted["scores"] > 0.3
        assert clear.sum() > 5
        np.testing.assert_allclose(
            joints[clear], wanted["joints"][clear], atol=0.01
        )
        np.testing.assert_allclose(
            answer["scores"], wanted["scores"], atol=1e-4
        )
    assert found["glows"]
    assert found["width"] <= 400
