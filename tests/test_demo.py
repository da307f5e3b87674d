"""The page that finds joints in the browser."""

import re
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_pose import portable
from keras_pose.demo import __main__ as demo
from keras_pose.demo import page

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
