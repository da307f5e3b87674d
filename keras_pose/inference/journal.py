"""What a prediction of many photographs has found when it is stopped."""

import json
from pathlib import Path

from keras_pose import files, untrusted


class Journal:
    """What a stopped run has found: NAME.json.unfinished, a line for each
    photograph, and first what the run was told."""

    def __init__(self, config):
        self.path = config.json.with_name(f"{config.json.name}.unfinished")
        told = "model", "flip", "box", "boxes"
        self.told = {name: str(getattr(config, name)) for name in told}
        for name in ("model", "boxes"):
            path = getattr(config, name)
            if path and Path(path).is_file():
                self.told[f"{name} sha256"] = files.checksum(path)

    def read(self):
        """{photograph: its results}; the journal of another run is removed, and
        a line that was cut short by a kill."""
        kept, results = [json.dumps(self.told)], {}
        try:
            lines = untrusted.read_file(self.path).decode().split("\n")[:-1]
            if json.loads(lines[0]) == self.told:
                results = dict(map(json.loads, lines[1:]))
                kept = lines
        except (FileNotFoundError, IndexError, TypeError, ValueError):
            pass  # none, or a damaged one
        with files.whole(self.path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept))
        return results

    def add(self, photo, results):
        """Adds the results of a photograph."""
        with files.sentences(self.path), open(self.path, "a") as file:
            file.write(f"{json.dumps([str(photo), results])}\n")
