"""Callbacks of one's own in a run: trackers of experiments and the like."""

import importlib
import inspect

import keras

from keras_pose import untrusted


def find(name):
    """The function that --callbacks names; None without a name.

    Args:
        name: "module:function"; the module is in the working folder or
            installed. See docs/hooks.md.

    Raises:
        ValueError: no such module, no such function, or one that does not take
            a config and a folder.
    """
    if name is None:
        return None
    module, separator, function = name.partition(":")
    if not (separator and module and function):
        raise ValueError(f"callbacks must be module:function, got {name}")
    try:
        found = importlib.import_module(module)
    except Exception as error:  # a module of the user's may raise anything
        reason = untrusted.first_line(error)
        raise ValueError(
            f"callbacks {name}: the module cannot be imported: {reason}"
        ) from None
    made = getattr(found, function, None)
    if not callable(made):
        kind = "nothing of that name" if made is None else type(made).__name__
        raise ValueError(
            f"callbacks {name}: {module} must have a function {function}, got "
            f"{kind}"
        )
    try:
        signature = inspect.signature(made)
        signature.bind("config", "folder")
    except TypeError:
        raise ValueError(
            f"callbacks {name}: the function must take a config and a folder, "
            f"got {function}{signature}"
        ) from None
    except ValueError:  # it has no signature, as some of C have none
        pass
    return made


def call(name, config, folder):
    """The callbacks that the function makes for a run, a list.

    Args:
        name: as of `find`; None: an empty list.
        config: the settings of the run, presets filled in.
        folder: of the run, a Path.

    Raises:
        ValueError: as of `find`, or it returns something else.
    """
    function = find(name)
    if function is None:
        return []
    made = function(config, folder)
    wanted = f"callbacks {name} must return a list of Keras callbacks, got"
    if not isinstance(made, (list, tuple)):
        raise ValueError(f"{wanted} {made!r:.80}")
    for one in made:
        if not isinstance(one, keras.callbacks.Callback):
            raise ValueError(f"{wanted} {one!r:.80} in it")
    return list(made)
