"""Writes the page: files for any web server, or for `keras_pose.demo`."""

import hashlib
import shutil
from pathlib import Path

from keras_pose import untrusted

RUNTIME = "1.30.0"
"""Version of onnxruntime-web, by Microsoft, MIT licence; and its files:"""
FILES = {
    "ort.wasm.bundle.min.mjs": (
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
OWN = ("index.html", "page.js")
NEXT_TO_IT = Path("node_modules/onnxruntime-web/dist")
"""Where npm puts them in the working folder."""


def find_runtime(folder=NEXT_TO_IT):
    """{name: bytes} of onnxruntime-web's files, checked.

    Raises:
        ValueError: a file is missing, or of another version.
    """
    install = f"npm install onnxruntime-web@{RUNTIME}"
    contents = {}
    for name, digest in FILES.items():
        path = Path(folder) / name
        if not path.is_file():
            raise ValueError(f"{path} is missing: {install}")
        contents[name] = untrusted.read_file(path)
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise ValueError(f"{path} is not of version {RUNTIME}: {install}")
    return contents


def copy(folder, contents):
    """Puts the page and the runtime's `contents` into a folder."""
    for name in OWN:
        shutil.copyfile(Path(__file__).with_name(name), folder / name)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
