"""Atomic writes of files and folders, locks and checksums.

When `whole` returns, the file is on the disk: a power cut after it loses
nothing, one before leaves the old file. `locked` gives a folder one writer.
"""

import errno
import functools
import hashlib
import os
import platform
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

WRITING = ".writing-"
"""Prefix of temporary folders."""
LOCK = ".lock"
"""File that `locked` locks in a folder; it is not removed."""
SUMS = "SHA256SUMS"
"""Checksums of the files of a folder, in the format of `sha256sum -c`."""
DAY = 24 * 60 * 60
ROOM = 2**16
"""Bytes: a disk with less free space counts as full."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk."""
LOCKLESS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of file systems, mostly network ones, that cannot lock a file."""


@contextmanager
def whole(path, durable=True):
    """Yields a temporary path to write to, renamed to `path` at the end.

    A file or a folder may be written there. A reader sees the old one or the
    new one, also after a kill or a power cut (or no folder while one replaces
    another: that takes two renames). A link is followed, and the mode of an old
    file is kept.

    Args:
        path: of the file or folder.
        durable: whether to wait until it is on the disk; not needed for files
            that can be made again, which a power cut may then lose.

    Raises:
        OSError: names `path`, the reason and, if the disk is full, its free
            space; nothing is left behind.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    with scratch(target.parent) as folder:
        with sentences(path):
            mode = target.stat().st_mode if target.exists() else stat.S_IFREG
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise OSError("it is neither a file nor a folder")
            temporary = folder / target.name
            yield temporary
            if durable:
                flush(temporary)
            if target.is_file():
                temporary.chmod(stat.S_IMODE(mode))
            elif target.is_dir():
                os.replace(target, folder / "old")
            os.replace(temporary, target)
            if durable:
                flush_entries(target.parent)


@contextmanager
def scratch(place):
    """Yields a temporary folder in the folder `place`, which is made if absent.

    It is private and its name is unpredictable, so no other process can put a
    link there. It is removed at the end.
    """
    with sentences(place):
        place.mkdir(parents=True, exist_ok=True)
        _sweep_once(place)
        folder = Path(tempfile.mkdtemp(prefix=WRITING, dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Unwritable(OSError):
    """A path cannot be written; the message says why."""


@contextmanager
def sentences(path):
    """Turns errors while writing `path` into one `Unwritable`.

    Libraries report a full disk as errors of their own: on a full disk, any
    error counts as that.
    """
    path = Path(path)
    try:
        yield
    except Unwritable:
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        words = os.strerror(number) if number else str(error)
        if type(error).__module__.startswith("tensorflow."):
            words = getattr(error, "message", words).partition("\n")[0]
        elif not isinstance(error, OSError):
            if _free(path) >= ROOM:
                raise
            number, words = errno.ENOSPC, os.strerror(errno.ENOSPC)
        other = str(getattr(error, "filename", None) or "")
        if other and WRITING not in other and Path(other).name != path.name:
            words += f" ({other})"
        if number in FULL:
            words += f", {_free(path) / 1e6:,.1f} MB are free"
        sentence = Unwritable(f"{path} cannot be written: {words}")
        sentence.errno = number
        raise sentence from None


@contextmanager
def locked(folder):
    """Makes this process the only writer of a folder; readers are not locked.

    The lock ends with the process, even when it is killed. Temporary files of a
    killed writer are removed. The writer may lock its folder again.

    Raises:
        OSError: another process holds the lock; says which, and since when.
    """
    import filelock  # late: --help does not need it

    folder = Path(folder)
    with sentences(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LOCK
        lock = filelock.FileLock(path, timeout=0, is_singleton=True)
        try:
            lock.acquire()
        except filelock.Timeout:
            other = path.read_text() or "unknown"
            raise Unwritable(
                f"{folder} is in use by another process ({other}): wait for "
                "it, stop it, or choose another --output"
            ) from None
        except OSError as error:
            if error.errno not in LOCKLESS:
                raise
            print(
                f"{folder}: this disk has no locks; run one command at a time"
            )
        now = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        path.write_text(
            f"process {os.getpid()} on {platform.node()}, since {now}"
        )
        sweep(folder)
    try:
        yield
    finally:
        lock.release()


def sweep(folder):
    """Removes temporary folders of killed writers; needs the lock."""
    for entry in _left(folder):
        shutil.rmtree(entry, ignore_errors=True)


def seal(folder, names):
    """Writes SHA256SUMS of files in a folder: {name: checksum}."""
    folder = Path(folder)
    sums = {name: checksum(folder / name) for name in names}
    lines = [f"{digest}  {name}\n" for name, digest in sums.items()]
    with whole(folder / SUMS) as temporary:
        temporary.write_text("".join(lines))
    return sums


def damaged(folder, names=()):
    """Names of sealed files that are missing or changed; None without a seal.

    Args:
        folder: with a SHA256SUMS.
        names: files that it must list, at least.
    """
    sums = read_sums(folder)
    if sums is None:
        return None
    return [
        name
        for name in dict.fromkeys([*names, *sums])
        if not is_whole(Path(folder) / name, sums.get(name))
    ]


def read_sums(folder):
    """{name: checksum} of SHA256SUMS; None if there is none, {} if damaged."""
    try:
        lines = (Path(folder) / SUMS).read_text().splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        lines = []
    return dict(reversed(line.split("  ", 1)) for line in lines if "  " in line)


def is_whole(path, digest):
    """Whether a file exists and has this checksum."""
    return path.is_file() and checksum(path) == digest


def checksum(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free(path):
    """Free bytes on the disk of a path, which need not exist yet."""
    path = Path(os.path.abspath(path))
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _left(folder):
    """Temporary folders in a folder."""
    with os.scandir(folder) as entries:
        return [entry for entry in entries if entry.name.startswith(WRITING)]


@functools.cache
def _sweep_once(folder):
    """Removes temporary folders older than a day: no process uses them."""
    for entry in _left(folder):
        try:
            age = time.time() - entry.stat().st_mtime
        except FileNotFoundError:  # another process has just finished
            continue
        if age > DAY:
            shutil.rmtree(entry, ignore_errors=True)


def flush(path):
    """Waits until a file, or a folder with its contents, is on the disk."""
    if path.is_dir():
        for entry in path.iterdir():
            flush(entry)
        flush_entries(path)
    else:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())


def flush_entries(folder):
    """`flush` for the names in a folder only; not needed on Windows."""
    if os.name != "nt":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
