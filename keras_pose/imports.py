"""Lazy imports for commands, and TensorFlow without its import messages.

Importing TensorFlow and Keras takes seconds, and --help needs neither. So when
`python -m` runs one of our modules, or the console command starts, the modules
it imports are only found; they are executed on the first access to an attribute
(`keras.Input`), at the latest when the flags are parsed (`load`). `import
keras` and `from keras_pose import losses` are free, but `from keras_pose.losses
import HSM` executes: commands import modules. Imported as a library, our
modules load as usual.
"""

import ctypes
import os
import re
import sys
import tempfile
import types
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

SCRIPTS = ("keras-pose", "keras-pose.exe", "keras-pose-script.py")
"""File names of the console command (keras_pose/__main__.py), by system."""
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
"""Messages of TensorFlow's import that TF_CPP_MIN_LOG_LEVEL does not silence:
no GPU, and factories that are registered twice."""


class _Late(types.ModuleType):
    """A module that is executed on the first access to an attribute."""

    def __getattr__(self, name):
        _execute(self)
        return getattr(self, name)


def _execute(module):
    """Executes a late module, after its package."""
    package = sys.modules.get(module.__name__.rpartition(".")[0])
    if isinstance(package, _Late):
        _execute(package)
    if isinstance(module, _Late):  # the package may have done it
        module.__class__ = types.ModuleType
        module.__loader__.exec_module(module)


class _Loader:
    """Loads like `loader`, but late, or without TensorFlow's messages."""

    def __init__(self, loader, late):
        self.loader = loader
        self.late = late

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def exec_module(self, module):
        """Executes the module, now or late, and restores its own loader."""
        if self.late:
            self.late = False
            module.__class__ = _Late
            return
        module.__spec__.loader = module.__loader__ = self.loader
        if module.__name__ == "tensorflow":
            _execute_quietly(module)
        else:
            self.loader.exec_module(module)


class _Handover:
    """Loads a module that its package has imported while it was executed: a
    second one would have other classes of the same names."""

    def __init__(self, module):
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        module.__spec__ = self.spec


class _Finder:
    """Finds modules with the other finders, and wraps their loaders."""

    late = False

    def find_spec(self, name, path=None, target=None):
        """The spec with a `_Loader`; None for modules to load as usual."""
        ours = name.split(".")[0] in OURS
        late = self.late and (ours or name in SLOW)
        package = sys.modules.get(name.rpartition(".")[0])
        if isinstance(package, _Late) and not late:
            _execute(package)  # it may change __path__
            path = package.__path__
            module = sys.modules.get(name)
            if module is not None:
                # Python takes the spec of a module that came meanwhile.
                module.__spec__ = ModuleSpec(name, _Handover(module))
                return module.__spec__
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
    """Executes TensorFlow, and removes NOISE from its stderr."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "") in "01":
        return module.__loader__.exec_module(module)
    with without(NOISE):
        module.__loader__.exec_module(module)


@contextmanager
def without(noise):
    """Removes lines that match `noise` from stderr, also what C code writes."""
    if sys.stderr is None:
        yield
        return
    with tempfile.TemporaryFile("w+", errors="replace") as caught:
        stderr = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            lines = [line for line in caught if not noise.match(line)]
            sys.stderr.writelines(lines)


def install():
    """Called by `keras_pose` before it imports anything else.

    Returns:
        whether imports are late, until `load`.
    """
    # On a CPU, TensorFlow logs as errors that there is no GPU and that oneDNN
    # lacks an operation. Real failures raise anyway.
    level = "2" if _has_gpu_driver() else "3"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
    finder = _Finder()
    # While `python -m` looks for the module, sys.argv[0] is "-m"
    # (docs.python.org/3/using/cmdline.html).
    if sys.argv[:1] == ["-m"]:
        words = {word.split(".")[0] for word in sys.orig_argv}
        finder.late = not words.isdisjoint(OURS)
    elif sys.argv:
        finder.late = os.path.basename(sys.argv[0]) in SCRIPTS
    sys.meta_path.insert(0, finder)
    return finder.late


def _has_gpu_driver():
    """Whether the library exists that TensorFlow looks for."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def load():
    """Executes all late modules; later imports are not late."""
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            finder.late = False
    for module in list(sys.modules.values()):
        if isinstance(module, _Late):
            _execute(module)
