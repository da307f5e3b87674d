"""keras-pose: one command that lists and runs all others.

    keras-pose train hsm_loss --beta 1     python -m reproductions.hsm_loss
    keras-pose convert mpii --source ...   python -m tfrecords.mpii
    keras-pose predict photo.jpg ...       python -m keras_pose.predict

Each is the `python -m` command beside it, with its flags, exit code and
signals.
"""

import difflib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import keras_pose

GROUPS = {
    "train": ("reproductions", "trains a network as a paper does"),
    "convert": ("tfrecords", "converts a data set to records"),
}
"""Verbs that take the name of a module: its package, and what it does."""
SHORT = {"check": "tfrecords.check"}
"""Modules of these packages that are commands by their own name."""
LEADS = re.compile(r'^if __name__ == "__main__":', re.MULTILINE)
"""What a module has that is a command."""


def find_commands():
    """{name as it is typed: its module}, of all commands; none is imported."""
    commands = dict(SHORT)
    for package in ("keras_pose", *(place for place, _ in GROUPS.values())):
        verbs = [
            verb for verb, (place, _) in GROUPS.items() if place == package
        ]
        for path in sorted(_folder(package).glob("**/*.py")):
            parts = path.relative_to(_folder(package)).with_suffix("").parts
            if parts[-1] == "__main__":
                parts = parts[:-1]
            module = ".".join((package, *parts))
            is_one = parts and LEADS.search(path.read_text())
            if is_one and module not in SHORT.values():
                commands[" ".join((*verbs, *parts))] = module
    return commands


def describe(commands):
    """One line for each command: its name, and the first of its docstring."""
    width = max(map(len, commands))
    return [
        f"  {name:<{width}}  {_title(module)}"
        for name, module in commands.items()
    ]


def usage(words=()):
    """What --help prints; of a verb alone its own commands."""
    commands = find_commands()
    lines = [f"usage: keras-pose {' '.join([*words, 'COMMAND'])} [flags]", ""]
    if words:
        (verb,) = words
        commands = {n: m for n, m in commands.items() if n.split()[0] == verb}
        lines += [f"{verb} {GROUPS[verb][1]}:"]
    else:
        order = sorted(commands, key=lambda name: (" " in name, name))
        commands = {name: commands[name] for name in order}
        lines += [__doc__.partition("\n\n")[2]]
    lines += describe(commands)
    example = next(iter(commands))
    lines += [
        "",
        f"keras-pose {example} --help lists the flags of one command.",
    ]
    return "\n".join(lines)


def choose(words):
    """The module and the flags that a command line means.

    Raises:
        ValueError: there is no such command; names the closest.
    """
    commands = find_commands()
    count = 2 if words[0] in GROUPS else 1
    typed = " ".join(words[:count])
    name = typed.replace("-", "_")
    if name in commands:
        return commands[name], words[count:]
    ends = {each.split()[-1]: each for each in commands}
    close = difflib.get_close_matches(name.split()[-1], ends, 1)
    hint = f", did you mean {ends[close[0]]}?" if close else ";"
    raise ValueError(
        f"there is no command {typed!r}{hint} keras-pose --help lists all"
    )


def main():
    """Runs `python -m MODULE` in place of this process."""
    words = sys.argv[1:]
    if words[:1] == ["--version"]:
        print(keras_pose.__version__)
        return
    asks = {"-h", "--help"}
    is_verb = words[:1] and words[0] in GROUPS
    if not words or words[0] in asks:
        print(usage())
        return
    if is_verb and (len(words) == 1 or words[1] in asks):
        print(usage(words[:1]))
        return
    try:
        module, flags = choose(words)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    command = [sys.executable, "-m", module, *flags]
    if os.name == "nt":  # it would not wait for the other process
        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)


def _folder(package):
    """The folder of a package, which is not imported."""
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


def _title(module):
    """The first line of a module's docstring."""
    package, *parts = module.split(".")
    path = _folder(package).joinpath(*parts)
    path = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    return re.match('"""(.*)', path.read_text())[1].rstrip('".')


if __name__ == "__main__":
    main()
