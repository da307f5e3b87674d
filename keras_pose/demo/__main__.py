"""Serves the page of keras_pose.export --web on this computer.

    npm install onnxruntime-web@1.30.0
    python -m keras_pose.export --model runs/hsm/best.keras --web page
    python -m keras_pose.demo page

Open the address that it prints, drop a picture and draw a box. Only this
computer can reach it, it needs no network, and no picture leaves the browser.
Any web server can publish the folder: it needs no program behind it.
"""

import http.server
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from keras_pose.console import run

HOST = "127.0.0.1"
TYPES = {".mjs": "text/javascript", ".wasm": "application/wasm"}


@dataclass(frozen=True)
class Config:
    """What to serve."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Of keras_pose.export --web."""
    port: int = 8000
    """Of the address; 0 takes any that is free."""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files of a folder; quietly."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | TYPES

    def log_message(self, *_):
        pass


def open_server(config):
    """The server of the page, not yet running."""
    if not (config.folder / "pose.onnx").is_file():
        raise ValueError(
            f"{config.folder} has no pose.onnx: write the page with python -m "
            "keras_pose.export --web"
        )
    handler = partial(Handler, directory=str(config.folder))
    return http.server.ThreadingHTTPServer((HOST, config.port), handler)


def main(config):
    """Serves until Ctrl-C."""
    with open_server(config) as server:
        print(f"http://{HOST}:{server.server_port}/ (Ctrl-C ends it)")
        server.serve_forever()


if __name__ == "__main__":
    run(main, Config, __doc__)
