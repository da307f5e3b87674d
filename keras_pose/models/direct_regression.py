"""Direct regression: pooled features, and two numbers for each joint.

The baseline R1 of X. Sun et al., "Integral Human Pose Regression", ECCV 2018,
and what is called DeepPose on a ResNet (A. Toshev, C. Szegedy, CVPR 2014, have
AlexNet and a cascade):

    (B, h, w, C) -> mean over the cells -> (B, C) -> dense -> (B, K, 2)
"""

from keras import initializers, layers

DEVIATION = 0.01
"""Deviation of the head's initial kernel (mmpose's code)."""


def regression_head(features, joints):
    """Features (B, h, w, C) to x and y (B, joints, 2), not activated."""
    x = layers.GlobalAveragePooling2D(name="head_pool")(features)
    return read_points(x, joints)


def read_points(x, joints):
    """A dense layer: (B, C) to x and y (B, joints, 2), not activated."""
    x = layers.Dense(
        2 * joints,
        kernel_initializer=initializers.RandomNormal(stddev=DEVIATION),
        name="head_points",
    )(x)
    return layers.Reshape((joints, 2), name="head_pairs")(x)
