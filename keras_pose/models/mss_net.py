"""MSS-net: stacked hourglasses supervised at every scale of the upward path.

L. Ke, M.-C. Chang, H. Qi, S. Lyu, "Multi-Scale Structure-Aware Network for
Human Pose Estimation", ECCV 2018, section 3.1,
https://arxiv.org/abs/1803.09894

    4 -> 8 -> 16 -> 32 -> 64 cells in each hourglass' upward path (256 pixels)
         |    |     |     |
        1x1  1x1   1x1   1x1    to one map per joint, each with its own loss

The norm and ReLU before the 1x1 convolutions are ours: in Newell's graph these
features are sums of branches that are not normalised.

Only the 64-cell maps feed the next stack, as in Newell's network. The paper
uses maps down to 1/8 of the output.
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
        stacks: number of stacked hourglasses (section 4.1: 8).
        filters: channels of the features.
        bias: initial bias of the map convolutions.
        pixel_offset: added to the pixels, 0 ... 1.

    Returns:
        4 lists of `stacks` maps (B, h, w, K), from H / 32 to H / 4 rows, not
        activated; and the last stack's features
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
