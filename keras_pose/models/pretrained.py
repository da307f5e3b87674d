"""Loads a network of keras.applications with its weights of ImageNet."""

from pathlib import Path

URL = "https://storage.googleapis.com/tensorflow/keras-applications/"


def load(build, title, weights, folder):
    """The library's model without its top.

    Its download fails with a bare Exception without advice, its loader with
    pages about layers; both become one short message.

    Args:
        build: a function of keras.applications.
        title: the network's name, like "ResNet-50": the file is named by it.
        weights: "none", "imagenet", or a file of its weights without the top.
        folder: where the library's files lie, under `URL`.

    Raises:
        ValueError: the file has other weights.
        OSError: the weights are missing and cannot be downloaded.
    """
    if str(weights) == "none":
        return build(include_top=False, weights=None)
    stem = title.lower().replace("-", "")
    name = f"{stem}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    if str(weights) == "imagenet":
        try:
            return build(include_top=False, weights="imagenet")
        except Exception as error:
            reason = str(error).splitlines()[0].rpartition(" -- ")[2]
            raise OSError(
                f"ImageNet weights: {name} could not be loaded ({reason}): "
                f"download {URL}{folder}/{name} to ~/.keras/models, pass the "
                "file with --weights PATH, or start without it: --weights none"
            ) from None
    if not Path(weights).is_file():
        raise FileNotFoundError(
            f"weights must be none, imagenet or a file like {name}, got "
            f"{weights}, which does not exist"
        )
    try:
        return build(include_top=False, weights=str(weights))
    except Exception as error:
        raise ValueError(
            f"{weights} has no weights of keras.applications' {title} "
            f"without its top ({str(error).splitlines()[0]})"
        ) from None
