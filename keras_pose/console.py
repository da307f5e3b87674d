"""What all commands share: flags, progress, signals and errors.

An error is one line. Progress is a bar on a terminal and a few lines in a file.
"""

import ast
import dataclasses
import inspect
import math
import os
import re
import shlex
import signal
import sys
import textwrap
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_type_hints

import tyro
from tqdm import tqdm

from keras_pose import imports, untrusted

LINES = 10
"""Most lines of one bar in a file, besides the last."""
SECONDS = 30
"""Least time between two of them."""
TRACEBACK = "KERAS_POSE_TRACEBACK"
"""Environment variable: if set, errors show their traceback."""


def run(main, config, description):
    """Parses flags and calls `main`; bad input exits 1 with one line.

    Ctrl-C exits 130, SIGTERM 143: a stopped command can be run again.
    """
    settings = parse(config, description)
    try:
        signal.signal(signal.SIGTERM, _stop)
        imports.load()
        main(config(**settings))
    except KeyboardInterrupt as stopped:
        message = f"stopped; the same command continues: {command_line()}"
        print(f"\n{str(stopped) or message}", file=sys.stderr)
        sys.exit(143 if isinstance(stopped, Terminated) else 130)
    except (ValueError, OSError) as error:
        _fail(_sentence(error))
    except Exception as error:
        # tf.data puts the error of a Python function into a line of its own.
        line = re.search("^(?:.*: )?ValueError: (.+)", str(error), re.MULTILINE)
        if line and type(error).__module__.startswith("tensorflow."):
            _fail(line[1])
        line = (str(error).strip() or "no message").splitlines()[0]
        _fail(f"{type(error).__name__}: {line} ({TRACEBACK}=1 says where)")


def _sentence(error):
    """The message of an error, without the number of an OSError."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a cluster sends it before preemption."""


def _stop(number, frame, *message):
    kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
    raise kind(*message)


class Stop:
    """A request to stop, by a signal, that waits for the step under way."""

    def __init__(self):
        self.number = None

    @property
    def wanted(self):
        """Whether a signal came."""
        return self.number is not None

    def now(self, *message):
        """Stops: raises KeyboardInterrupt or `Terminated`, with a message in
        place of the usual one."""
        _stop(self.number, None, *message)

    def _keep(self, number, frame):
        if self.wanted:
            _stop(number, frame)
        self.number = number
        # not print: the signal may interrupt one
        os.write(2, b"\nstopping after this step; repeat to stop immediately\n")


@contextmanager
def finishing():
    """Yields a `Stop` that Ctrl-C and SIGTERM set; a second one stops at once.

    If the block ends without `Stop.now`, it stops there. In a thread other than
    the main one, which gets no signals, nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.getsignal(number) or signal.SIG_DFL
        if before[number] != signal.SIG_IGN:
            signal.signal(number, stop._keep)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.wanted:
        stop.now()


def _fail(sentence):
    """Prints the error as one line, also with line breaks in it; exits 1."""
    if os.environ.get(TRACEBACK):
        raise  # the error that is being handled
    line = untrusted.shown(" ".join(sentence.splitlines()))
    print(f"error: {line}", file=sys.stderr)
    sys.exit(1)


def parse(config, description):
    """Reads the command line: {field of `config`: value}.

    --help shows the fields that `config` declares itself as options, and those
    of each base class as a group named by the first line of its docstring.
    Values of `config.PRESETS` are shown in place of a default.

    Args:
        config: a dataclass; a string under a field is its help.
        description: first part of --help; its lines are kept.
    """
    if "" in sys.argv[1:]:  # an empty path would be the working folder
        print("error: expected a value, got an empty one", file=sys.stderr)
        sys.exit(2)
    documents, owners = _documents(config), _owners(config)
    types = get_type_hints(config, include_extras=True)
    groups = {owner: [] for owner in config.__mro__}
    for field in dataclasses.fields(config):
        kind = types[field.name]
        if field.default is None:  # not given: there is no flag for it
            kind = tyro.conf.DisallowNone[kind]
        flag = tyro.conf.arg(
            prefix_name=False,
            help=documents.get(field.name),
            help_behavior_hint=_hint(config, field),
        )
        default = dataclasses.field(
            default=field.default, default_factory=field.default_factory
        )
        groups[owners[field.name]].append(
            (field.name, Annotated[kind, flag], default)
        )
    fields = groups.pop(config)
    for owner, members in groups.items():
        if members:
            group = dataclasses.make_dataclass(
                owner.__name__, members, kw_only=True, namespace={"__doc__": ""}
            )
            title = inspect.getdoc(owner).splitlines()[0].rstrip(".").lower()
            name = tyro.conf.arg(name=title)
            fields.append((owner.__name__, Annotated[group, name]))
    # tyro joins the lines of a paragraph, except those that begin with a space
    parsed = tyro.cli(
        dataclasses.make_dataclass(config.__name__, fields, kw_only=True),
        prog=command(),
        description=textwrap.indent(description, " "),
    )
    values = {}
    for name, value in vars(parsed).items():
        values |= {name: value} if name in owners else vars(value)
    return values


def is_terminal(stream):
    """Whether `stream` is a terminal."""
    return stream is not None and stream.isatty()


def progress(items=None, **settings):
    """tqdm's bar on a terminal; in a file at most LINES lines and a last one.

    Args:
        items: to iterate over, or None: the caller calls `update`.
        **settings: of tqdm; `total` may be None: not known.
    """
    if is_terminal(sys.stderr):
        return tqdm(items, **settings)
    total = settings.get("total") or (None if items is None else len(items))
    of = " of {total_fmt}" if total else ""
    rare = {
        "miniters": max(1, -(-(total or 1) // LINES)),
        "mininterval": SECONDS,
        "maxinterval": math.inf,
        "bar_format": "{desc}: {n_fmt}" + of + "{unit} in {elapsed}",
        "leave": False,
    }
    return _Lines(items, **settings | rare)


class _Lines(tqdm):
    """A bar for a file: every state is a line of its own."""

    def display(self, msg=None, pos=None):
        """tqdm calls this on updates, and with an empty message at the end."""
        if self.n and (msg is not None or self.n < (self.total or math.inf)):
            self.fp.write(f"{self}\n")


def command():
    """The running command, as a user types it: `python -m NAME`."""
    spec = sys.modules["__main__"].__spec__
    if spec is None:
        return f"python {Path(sys.argv[0]).name}"
    return f"python -m {spec.name.removesuffix('.__main__')}"


def command_line():
    """`command` and its flags."""
    return shlex.join([*command().split(), *sys.argv[1:]])


def _owners(config):
    """{field: the class that declares it first}."""
    return {
        name: owner
        for owner in config.__mro__
        for name in inspect.get_annotations(owner)
    }


def _documents(config):
    """{field: the string under it}; a subclass overrides its base."""
    documents = {}
    for owner in reversed(config.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        source = textwrap.dedent(inspect.getsource(owner))
        body = ast.parse(source).body[0].body
        for field, text in zip(body, body[1:], strict=False):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(name)),
                    ast.Expr(value=ast.Constant(str(value))),
                ):
                    documents[name] = " ".join(value.split())
    return documents


def _hint(config, field):
    """What follows the help of a flag; None: tyro's own."""
    presets = getattr(config, "PRESETS", {})
    if field.default is None and any(field.name in p for p in presets.values()):
        values = (
            f"{name}: {_shown(preset.get(field.name))}"
            for name, preset in presets.items()
        )
        return f"({', '.join(values)})"
    return "(default: none)" if field.default == () else None


def _shown(value):
    """A value as it is typed."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
