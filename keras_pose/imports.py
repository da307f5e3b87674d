"""How modules are imported: late by commands, and TensorFlow without noise.

A command takes seconds to import TensorFlow and Keras, and needs neither to
answer --help. So where `python -m` starts one of our modules, the modules it
imports are only looked up; what they hold is executed when something is first
taken from them (`keras.Input`), and at the latest when the flags are parsed
(`load`). So `import keras` and `from keras_pose import losses` are free, but
`from keras_pose.losses import HSM` does: commands import modules. Where ours
are imported as a library, nothing of this happens.
"""

import ctypes
import os
import re
import sys
import tempfile
import types

OURS = ("keras_pose", "reproductions", "tfrecords", "benchmarks")
SLOW = {
    "cv2",
    "h5py",
    "keras",
    "matplotlib",
    "matplotlib.pyplot",
    "pandas",
    "scipy",
    "scipy.io",
    "tensorflow",
}
NOISE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} "
    r"|E\d{4} .*Unable to register cu"
)
"""What TensorFlow says while it is imported, whatever TF_CPP_MIN_LOG_LEVEL is:
that there is no GPU, and that two of its libraries know the same ones."""


class _Late(types.ModuleType):
    """A module that is executed when something is first taken from it."""

    def __getattr__(self, name):
        _execute(self)
        return getattr(self, name)


def _execute(module):
    """Executes a late module, after the package it lies in."""
    package = sys.modules.get(module.__name__.rpartition(".")[0])
    if isinstance(package, _Late):
        _execute(package)
    if isinstance(module, _Late):  # the package may have done it
        module.__class__ = types.ModuleType
        module.__loader__.exec_module(module)


class _Loader:
    """Does what `loader` does, but late, or without TensorFlow's noise."""

    def __init__(self, loader, late):
        self.loader = loader
        self.late = late

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def exec_module(self, module):
        """The module keeps its own loader, as if this one had not been."""
        if self.late:
            self.late = False
            module.__class__ = _Late
            return
        module.__spec__.loader = module.__loader__ = self.loader
        if module.__name__ == "tensorflow":
            _execute_quietly(module)
        else:
            self.loader.exec_module(module)


class _Finder:
    """Looks modules up as the other finders do, and puts a `_Loader` in."""

    late = False

    def find_spec(self, name, path=None, target=None):
        """None where the module is none of ours and not slow."""
        ours = name.split(".")[0] in OURS
        late = self.late and (ours or name in SLOW)
        package = sys.modules.get(name.rpartition(".")[0])
        if isinstance(package, _Late) and not late:
            _execute(package)  # which may lay its modules elsewhere
            path = package.__path__
        elif not (late or name == "tensorflow"):
            return None
        for finder in sys.meta_path:
            spec = finder is not self and finder.find_spec(name, path, target)
            if spec:
                if spec.loader:  # a folder without __init__.py has none
                    spec.loader = _Loader(spec.loader, late)
                return spec
        return None


def _execute_quietly(module):
    """Executes TensorFlow; of what it writes to stderr, NOISE is left out."""
    if sys.stderr is None or os.environ.get("TF_CPP_MIN_LOG_LEVEL", "") in "01":
        return module.__loader__.exec_module(module)
    with tempfile.TemporaryFile("w+", errors="replace") as caught:
        stderr = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            module.__loader__.exec_module(module)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            lines = [line for line in caught if not NOISE.match(line)]
            sys.stderr.writelines(lines)


def install():
    """Called by `keras_pose` before it imports anything."""
    # On a CPU, TensorFlow logs as errors that there is no GPU and that oneDNN
    # leaves an operation to others. What fails raises, too.
    level = "2" if _has_gpu_driver() else "3"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
    finder = _Finder()
    # While `python -m` looks for the module it is to run, "-m" stands in the
    # place of its file (docs.python.org/3/using/cmdline.html).
    if sys.argv[:1] == ["-m"]:
        words = {word.split(".")[0] for word in sys.orig_argv}
        finder.late = not words.isdisjoint(OURS)
    sys.meta_path.insert(0, finder)


def _has_gpu_driver():
    """Whether there is the library that TensorFlow looks for, too."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def load():
    """Imports what is late, and from now on at once."""
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            finder.late = False
    for module in list(sys.modules.values()):
        if isinstance(module, _Late):
            _execute(module)
