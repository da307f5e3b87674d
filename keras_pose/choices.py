"""Checks of settings that must be one of a few values."""

from typing import Literal, get_args, get_origin, get_type_hints


def check(name, value, known):
    """ValueError unless `value` is one of `known`, which may be any type."""
    if value not in list(known):  # `in` a dict fails for a list
        listed = ", ".join(str(choice) for choice in known)
        raise ValueError(f"{name} must be one of {listed}, got {value!r}")


def check_fields(config):
    """`check` for each field of a dataclass that is annotated as a Literal.

    The command line refuses other values itself; this is for callers in Python.
    None passes: a preset fills it in, or it means no choice.
    """
    for name, hint in get_type_hints(type(config)).items():
        known = [
            choice
            for part in (hint, *get_args(hint))
            if get_origin(part) is Literal
            for choice in get_args(part)
        ]
        value = getattr(config, name)
        if known and value is not None:
            check(name, value, known)
