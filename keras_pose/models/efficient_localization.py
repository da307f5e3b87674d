"""Coarse maps from a pyramid of convolutions, fine maps from their features.

J. Tompson, R. Goroshin, A. Jain, Y. LeCun, C. Bregler, "Efficient Object
Localization Using Convolutional Networks", CVPR 2015,
https://arxiv.org/abs/1411.4280. No code was released. With f = 128:

    coarse  3 levels of a Gaussian pyramid, each with its own bank:
            local contrast -> 5x5 f, pool -> 5x5 f, pool -> 5x5 f -> 9x9 4f
            sum of the banks at the finest one's size
            -> (dropout, 1x1 256) twice -> dropout, 1x1 K
    fine    for each joint a window of 72 x 72 pixels around its coarse peak,
            cut from the first two layers of the two larger banks
            -> 5x5 f -> 5x5 f, for each of the four
            sum at the finest one's size, 36 x 36 cells of 2 pixels
            -> 1x1 256 -> 1x1 1, of its own for each joint

ReLU after every convolution but the last ones; no normalisation. A coarse cell
has 4 pixels; with `pooling` 8 and 16 there is one 5x5 f and pool more, or two.

The layers' sizes are ours where the paper prints none: local contrast, the
pyramid's filter, the place and rate of the dropout. The paper's spatial model
is left out.
"""

from keras import initializers, layers

from keras_pose import choices
from keras_pose.models.local_contrast import HalfSize, LocalContrast
from keras_pose.models.windows import (
    DEVIATION,
    CutWindows,
    JointMaps,
    PlaceWindows,
    WindowConv2D,
    WindowCorners,
)

LEVELS = 3
"""Levels of the pyramid."""
POOLINGS = {4: 2, 8: 3, 16: 4}
"""Pixels per coarse cell: number of poolings."""
DROPOUTS = {
    "none": None,
    "standard": layers.Dropout,
    "spatial": layers.SpatialDropout2D,
}
WIDTH = 256
"""Channels of the 1x1 convolutions."""
FINE_NAME = "fine"
"""Prefix of the fine model's layers; all others belong to the coarse model."""
COARSE, CORNERS, FINE_MAPS = "coarse", "fine_corners", "fine_maps"
"""Names of the layers that make the coarse maps, say where the windows are and
make the fine maps in the windows."""


def coarse_model(
    images, joints, *, pooling=4, filters=128, dropout="spatial", rate=0.5
):
    """The coarse model.

    Args:
        images: (B, H, W, 3) uint8 RGB; H and W divisible by 4 x `pooling`.
        joints: number K of joints.
        pooling: one of POOLINGS.
        filters: f above.
        dropout: one of DROPOUTS; "spatial" drops whole channels.
        rate: of the dropout.

    Returns:
        maps (B, H / pooling, W / pooling, K), and what the fine model reads:
        {(level, stride): features (B, H / stride, W / stride, f)}.

    Raises:
        ValueError: an invalid size, number or choice.
    """
    _check(images.shape[1:3], pooling, filters, dropout, rate)
    # contrast divides by small deviations: no half precision before it
    picture = layers.Rescaling(1 / 255, name="scale", dtype="float32")(images)
    features, banks = {}, []
    for level in range(LEVELS):
        if level:
            picture = HalfSize(name=f"half{level}")(picture)
        x = LocalContrast(name=f"contrast{level}")(picture)
        for layer in range(POOLINGS[pooling]):
            x = _convolve(x, filters, 5, f"bank{level}_{layer}")
            x = layers.MaxPooling2D(name=f"bank{level}_pool{layer}")(x)
            if level < 2 and layer < 2:
                features[level, 2 ** (level + layer + 1)] = x
        x = _convolve(x, filters, 5, f"bank{level}_last")
        x = _convolve(x, 4 * filters, 9, f"bank{level}_wide")
        if level:
            x = layers.UpSampling2D(2**level, name=f"bank{level}_up")(x)
        banks.append(x)
    x = layers.Add(name="banks")(banks)
    for number in (1, 2):
        x = _drop(x, dropout, rate, f"drop{number}")
        x = _convolve(x, WIDTH, 1, f"mix{number}")
    x = _drop(x, dropout, rate, "drop3")
    start = initializers.RandomNormal(stddev=DEVIATION)
    maps = layers.Conv2D(joints, 1, kernel_initializer=start, name=COARSE)(x)
    return maps, features


def fine_model(maps, features, size, *, window=72, filters=128):
    """The fine model: the same network for every joint but its last layer.

    Args:
        maps, features: as `coarse_model` returns them.
        size: (height, width) of the images.
        window: side of a window, pixels, divisible by 8.
        filters: f above.

    Returns:
        (B, H / 2, W / 2, 2 K), as `windows.PlaceWindows` returns it.

    Raises:
        ValueError: an invalid window.
    """
    stride = size[0] // maps.shape[1]
    corners, heights = WindowCorners(window, stride, name=CORNERS)(maps)
    parts, finest = [], min(stride for _, stride in features)
    for (level, stride), x in features.items():
        name = f"{FINE_NAME}{level}_{stride}"
        x = CutWindows(window, stride, name=f"{name}_cut")(x, corners)
        for number in (1, 2):
            x = _convolve(x, filters, 5, f"{name}_{number}", WindowConv2D)
        if stride > finest:
            factor = stride // finest
            x = layers.UpSampling3D((1, factor, factor), name=f"{name}_up")(x)
        parts.append(x)
    x = layers.Add(name=f"{FINE_NAME}_sum")(parts)
    x = _convolve(x, WIDTH, 1, f"{FINE_NAME}_mix", WindowConv2D)
    x = JointMaps(name=FINE_MAPS)(x)
    return PlaceWindows(size, name=f"{FINE_NAME}_place")(x, corners, heights)


def _check(size, pooling, filters, dropout, rate):
    """Raises ValueError for settings that make no network."""
    choices.check("pooling", pooling, POOLINGS)
    choices.check("dropout", dropout, DROPOUTS)
    least = 2 ** (LEVELS - 1) * pooling
    if any(not side or side % least for side in size):
        raise ValueError(
            f"image size must be divisible by {least} (the smallest picture "
            f"of the pyramid is 1/4, and pooling is {pooling}), got {size[0]} "
            f"x {size[1]}"
        )
    if filters < 1:
        raise ValueError(f"filters must be at least 1, got {filters}")
    if not 0 <= rate < 1:
        raise ValueError(f"dropout rate must be 0 to below 1, got {rate}")


def _convolve(x, filters, kernel, name, kind=layers.Conv2D):
    """Convolution and ReLU."""
    return kind(
        filters,
        kernel,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _drop(x, dropout, rate, name):
    kind = DROPOUTS[dropout]
    return x if kind is None else kind(rate, name=name)(x)
