"""MATLAB files, with errors that say what is wrong with them."""

from pathlib import Path

from scipy.io import loadmat


def read(path, variable, squeeze=False):
    """One variable of a .mat file; structs come as objects with attributes.

    Args:
        path: the file.
        variable: name in the file.
        squeeze: drop axes of length 1, so that a 1 x 1 struct is an object.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a .mat file, or one without the variable.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: wanted a MATLAB file")
    try:
        content = loadmat(path, squeeze_me=squeeze, struct_as_record=False)
    except Exception as error:  # scipy raises anything on a damaged file
        raise ValueError(f"{path} is not a readable .mat: {error}") from None
    if variable not in content:
        found = ", ".join(k for k in content if not k.startswith("__"))
        raise ValueError(
            f"{path} is of another data set: wanted {variable}, it has "
            f"{found or 'nothing'}"
        )
    return content[variable]
