"""How every command starts, shows its progress and ends.

Flags in, one clear line if it fails. A terminal sees bars; a file gets a few
lines that can be read later.
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
"""Of one bar in a file, at most, and one at the end."""
SECONDS = 30
"""Between two of them, at least."""
TRACEBACK = "KERAS_POSE_TRACEBACK"
"""Variable that, set to anything, shows the whole error."""


def run(main, config, description):
    """Parses flags and calls `main`; bad input exits 1 with one line.

    Ctrl-C exits 130, SIGTERM 143: every command can be stopped and called
    again.
    """
    settings = parse(config, description)
    try:
        signal.signal(signal.SIGTERM, _stop)
        imports.load()
        main(config(**settings))
    except KeyboardInterrupt as stopped:
        said = "stopped; the same command continues"
        print(f"\n{said}: {command_line()}", file=sys.stderr)
        sys.exit(143 if isinstance(stopped, Terminated) else 130)
    except (ValueError, OSError) as error:
        _fail(_sentence(error))
    except Exception as error:
        # What a function inside of tf.data raised is a line of the text.
        said = re.search("^(?:.*: )?ValueError: (.+)", str(error), re.MULTILINE)
        if said and type(error).__module__.startswith("tensorflow."):
            _fail(said[1])
        said = (str(error).strip() or "no message").splitlines()[0]
        _fail(f"{type(error).__name__}: {said} ({TRACEBACK}=1 says where)")


def _sentence(error):
    """What an error says; an OSError by itself begins with its number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


class Terminated(KeyboardInterrupt):
    """SIGTERM: what a cluster sends before it takes the machine away."""


def _stop(number, frame):
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


class Stop:
    """A signal to stop that waits until the work in hand is done."""

    def __init__(self):
        self.number = None

    @property
    def wanted(self):
        """Whether one came."""
        return self.number is not None

    def now(self):
        """Stops: the time has come."""
        _stop(self.number, None)

    def _keep(self, number, frame):
        if self.wanted:
            _stop(number, frame)
        self.number = number
        # not print: the signal may have come in the middle of one
        os.write(2, b"\nstopping after this step; repeat to stop immediately\n")


@contextmanager
def finishing():
    """Yields a `Stop` that Ctrl-C and SIGTERM ask; the second one is not asked.

    What comes to its end without `Stop.now` is stopped there. In a thread,
    where there are no signals, nothing is kept.
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
    """One line, also of a name with line breaks; exits 1."""
    if os.environ.get(TRACEBACK):
        raise  # the error that is being handled
    line = untrusted.shown(" ".join(sentence.splitlines()))
    print(f"error: {line}", file=sys.stderr)
    sys.exit(1)


def parse(config, description):
    """Reads the command line: {field of `config`: value}.

    --help shows the fields that `config` declares itself as options, and those
    of each base class as a group named by the first line of its docstring. What
    `config.PRESETS` fills in is shown in place of a default.

    Args:
        config: a dataclass; a string under a field is its help.
        description: what --help begins with, line by line as it is.
    """
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
    """Whether someone looks at `stream` while it is written."""
    return stream is not None and stream.isatty()


def progress(items=None, **settings):
    """tqdm's bar on a terminal; in a file a line now and then, and at the end.

    Args:
        items: what is gone through, or None: the caller calls `update`.
        **settings: of tqdm; without items, `total` is one of them.
    """
    if is_terminal(sys.stderr):
        return tqdm(items, **settings)
    total = settings.get("total") or len(items)
    rare = {
        "miniters": max(1, -(-total // LINES)),
        "mininterval": SECONDS,
        "maxinterval": math.inf,
        "bar_format": "{desc}: {n_fmt} of {total_fmt}{unit} in {elapsed}",
        "leave": False,
    }
    return _Lines(items, **settings | rare)


class _Lines(tqdm):
    """A bar for a file: every state is a line of its own."""

    def display(self, msg=None, pos=None):
        """tqdm calls it now and then, and with an empty message at the end."""
        if self.n and (msg is not None or self.n < self.total):
            self.fp.write(f"{self}\n")


def command():
    """What runs, as a user types it: `python -m NAME`."""
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
    """{field: the string under it}; a subclass' own counts."""
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
