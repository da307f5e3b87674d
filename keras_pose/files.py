"""Files appear whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path):
    """Yields a temporary path to write to, renamed to `path` at the end.

    A reader, and whoever comes after a kill, sees the old file or the new one.

    Raises:
        OSError: names `path` and why it cannot be written; nothing is left.
    """
    path = Path(path)
    temporary = path.with_name(f".writing-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error}") from None
    finally:
        if temporary.is_file():
            temporary.unlink()
