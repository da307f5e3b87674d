"""MSS-net: stacked hourglasses supervised at every scale on the way up.

L. Ke, M.-C. Chang, H. Qi, S. Lyu, "Multi-Scale Structure-Aware Network for
Human Pose Estimation", ECCV 2018, section 3.1,
https://arxiv.org/abs/1803.09894

    4 -> 8 -> 16 -> 32 -> 64 cells on the way up each hourglass (256 pixels)
         |    |     |     |
        1x1  1x1   1x1   1x1    to one map per joint, each with its own loss

Ours is a norm with ReLU in front of the 1x1 convolutions: in Newell's graph the
features there are sums of branches that nothing has normalised yet.

Only the 64-cell maps go on to the next stack, as in Newell's network. The paper
takes maps down to 1/8 of the output.
"""

from keras_pose.models.hourglass import (
    DEPTH,
    PIXEL_OFFSET,
    stack_hourglasses,
)

SCALES = DEPTH
"""1, 1/2, 1/4 and 1/8 of the output (section 3.1)."""


def mss_net(
    images,
    joints,
    *,
    stacks=8,
    filters=256,
    bias=0.0,
    pixel_offset=PIXEL_OFFSET,
):
    """The network of section 3.1.

    Args:
        images: (B, H, W, 3) uint8; H and W divisible by 64.
        joints: number K of maps.
        stacks: hourglasses in a row (section 4.1: 8).
        filters: channels of the features.
        bias: initial bias of the map convolutions.
        pixel_offset: added to the pixels, 0 ... 1.

    Returns:
        4 lists of `stacks` maps (B, h, w, K), of H / 32 rows first and H / 4
        last, not activated; and the last stack's features
        (B, H / 4, W / 4, filters).
    """
    return stack_hourglasses(
        images,
        joints,
        stacks=stacks,
        filters=filters,
        bias=bias,
        scales=SCALES,
        pixel_offset=pixel_offset,
    )
