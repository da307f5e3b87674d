"""MSR-net: regresses the pose from the heatmaps of all scales and stacks.

L. Ke, M.-C. Chang, H. Qi, S. Lyu, "Multi-Scale Structure-Aware Network for
Human Pose Estimation", ECCV 2018, section 3.2,
https://arxiv.org/abs/1803.09894. The paper states no layers: it describes a
fully convolutional network that takes the heatmaps of all scales and refines
them at every scale. The layers are ours:

    maps of 8, 16, 32, 64 cells, every stack ── bilinear to 64 ─┐
    features of the last stack ─────────────────────────────────┴ concatenate
      -> residual -> hourglass, maps read at 8, 16, 32, 64 cells
      -> + the last stack's maps of the same scale

* An hourglass, because correcting a wrist can need context from the whole body:
  after four halvings a 3x3 convolution sees the whole crop. It is also the only
  part of the suite that already returns maps at every scale.
* The sum at the end makes it a correction. Its last layers start near zero, so
  stage 2 starts where the MSS-net ended instead of learning heatmaps again.
* Bilinear, because repeating 8 cells to 64 would produce edges where there is
  no joint.
"""

from keras import layers

from keras_pose.models.hourglass import read_scales, residual

NAME = "msr"
"""Prefix of its layers' names; all other layers belong to the MSS-net."""
NEARLY_ZERO = 0.01
"""Deviation of the last layers' initial kernels."""


def msr_net(maps, features, joints, *, filters=256):
    """The network of section 3.2.

    Args:
        maps: S lists, one per scale, the coarsest first, of T maps each
            (B, h, w, K), as `mss_net` returns them.
        features: (B, H, W, F) of the last stack, as large as the finest maps.
        joints: number K of maps.
        filters: channels of its features.

    Returns:
        S maps (B, h, w, K), one per scale, the coarsest first.
    """
    stacked = [features]
    for scale in maps:
        factor = features.shape[1] // scale[0].shape[1]
        for x in scale:
            if factor > 1:
                x = layers.UpSampling2D(
                    factor,
                    interpolation="bilinear",
                    name=f"{NAME}_x{factor}_{len(stacked)}",
                )(x)
            stacked.append(x)
    x = layers.Concatenate(name=f"{NAME}_input")(stacked)
    x = residual(x, filters, f"{NAME}_first")
    change, _ = read_scales(
        x,
        joints,
        filters,
        bias=0.0,
        scales=len(maps),
        name=NAME,
        deviation=NEARLY_ZERO,
    )
    return [
        layers.Add(name=f"{NAME}_sum{index + 1}")([scale[-1], correction])
        for index, (scale, correction) in enumerate(
            zip(maps, change, strict=True)
        )
    ]
