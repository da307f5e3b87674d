"""Convolutional Pose Machines: belief maps, refined stage by stage.

S.-E. Wei, V. Ramakrishna, T. Kanade, Y. Sheikh, "Convolutional Pose Machines",
CVPR 2016, https://arxiv.org/abs/1602.00134. The graph is that of the authors'
released model, in maps of stride 8, with f = 128:

    image -> 3 x (9x9 f, pool) -> 5x5 f/4 -> 9x9 4f -> 1x1 4f -> maps 1
    image -> 3 x (9x9 f, pool) -> x, which all later stages share
    stage t: (5x5 f/4 of x, maps t - 1, centre map) -> 3 x 11x11 f -> 1x1 f
             -> maps t

Two forms, which differ in more than a normalisation:

                         "authors"                     "mmpose"
    normalisation        none, biases everywhere       batch, biases in maps
    a last map           for the background            no
    centre map           where the subject is          no
    stages see           features, maps, centre        maps, features
    pixels, R G B        / 256 - 0.5                   ImageNet's constants
    pooling 3x3 / 2      pads the far side             pads both sides
    initial kernels      N(0, 0.01)                    N(0, 0.001)

The authors' own order of the colours is B, G, R: without their weights it makes
no difference.
"""

from keras import initializers, layers

from keras_pose import choices
from keras_pose.models import resnet
from keras_pose.models.center_map import CenterMap
from keras_pose.models.normalization import norm_relu

STRIDE = 8
"""Input pixels per cell."""
FORMS = ("authors", "mmpose")
DEVIATIONS = {"authors": 0.01, "mmpose": 0.001}
"""Deviation of the initial kernels, which are normal."""


def convolutional_pose_machine(
    images, joints, *, stages=6, filters=128, kernel=11, form="authors"
):
    """The network, supervised after each stage.

    Args:
        images: (B, H, W, 3) uint8 RGB; H and W divisible by 8.
        joints: number K of joints; the form "authors" has a map more.
        stages: number of stages.
        filters: f above.
        kernel: side of the three large kernels of the later stages.
        form: one of FORMS.

    Returns:
        list of `stages` maps (B, H / 8, W / 8, K or K + 1).

    Raises:
        ValueError: an invalid size, number or form.
    """
    _check(images.shape[1:3], stages, filters, kernel, form)
    maps = joints + (form == "authors")
    scaled = _scale(images, form)
    x = _front(scaled, filters, form, "stage1")
    x = _convolve(x, filters // 4, 5, form, "stage1_4")
    x = _convolve(x, 4 * filters, 9, form, "stage1_5")
    x = _convolve(x, 4 * filters, 1, form, "stage1_6")
    outputs = [_read(x, maps, form, "stage1_maps")]
    if stages == 1:
        return outputs
    shared = _front(scaled, filters, form, "shared")
    center = (
        [CenterMap(STRIDE, name="center")(scaled)] if form == "authors" else []
    )
    for stage in range(2, stages + 1):
        name = f"stage{stage}"
        seen = _convolve(shared, filters // 4, 5, form, f"{name}_features")
        parts = [seen, outputs[-1], *center]
        if form == "mmpose":
            parts = parts[::-1]
        x = layers.Concatenate(name=f"{name}_input")(parts)
        for part in (1, 2, 3):
            x = _convolve(x, filters, kernel, form, f"{name}_{part}")
        x = _convolve(x, filters, 1, form, f"{name}_4")
        outputs.append(_read(x, maps, form, f"{name}_maps"))
    return outputs


def receptive_field(stages, kernel=11):
    """Side of what a cell of the last maps sees, pixels (section 3.1).

    Args:
        stages, kernel: as in `convolutional_pose_machine`.
    """
    field, step = 1, 1
    for side, stride in [(9, 1), (3, 2)] * 3 + [(5, 1), (9, 1)]:
        field += (side - 1) * step
        step *= stride
    # the maps of the stage before see further than the shared features
    return field + (stages - 1) * 3 * (kernel - 1) * STRIDE


def _check(size, stages, filters, kernel, form):
    """Raises ValueError for settings that make no network."""
    choices.check("form", form, FORMS)
    if any(not side or side % STRIDE for side in size):
        raise ValueError(
            f"image size must be divisible by {STRIDE}, "
            f"got {size[0]} x {size[1]}"
        )
    if stages < 1:
        raise ValueError(f"stages must be at least 1, got {stages}")
    if filters < 4 or filters % 4:
        raise ValueError(f"filters must be divisible by 4, got {filters}")
    if kernel < 1 or not kernel % 2:
        raise ValueError(f"kernel must be odd, got {kernel}")


def _scale(images, form):
    if form == "mmpose":
        return resnet.torch_pixels()(images)
    return layers.Rescaling(1 / 256, -0.5, name="scale")(images)


def _front(x, filters, form, name):
    """Three 9x9 convolutions, each followed by a pooling: stride 8."""
    for part in (1, 2, 3):
        x = _convolve(x, filters, 9, form, f"{name}_{part}")
        padding = "same"  # as Caffe's: of an even size, the far side
        if form == "mmpose":  # after a ReLU zeros are neutral
            padding = "valid"
            x = layers.ZeroPadding2D(1, name=f"{name}_pad{part}")(x)
        x = layers.MaxPooling2D(3, 2, padding, name=f"{name}_pool{part}")(x)
    return x


def _convolve(x, filters, kernel, form, name):
    """Convolution, normalisation in one of the forms, ReLU."""
    x = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        use_bias=form == "authors",
        kernel_initializer=initializers.RandomNormal(stddev=DEVIATIONS[form]),
        name=name,
    )(x)
    if form == "mmpose":
        return norm_relu(x, name)
    return layers.ReLU(name=f"{name}_relu")(x)


def _read(x, maps, form, name):
    """A 1x1 convolution to the maps."""
    start = initializers.RandomNormal(stddev=DEVIATIONS[form])
    return layers.Conv2D(maps, 1, kernel_initializer=start, name=name)(x)
