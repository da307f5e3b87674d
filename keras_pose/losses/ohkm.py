"""Online hard keypoint mining: only the joints with the largest losses count.

Y. Chen et al., "Cascaded Pyramid Network for Multi-Person Pose Estimation",
CVPR 2018, https://arxiv.org/abs/1711.07319.
"""

import keras
from keras import ops

from keras_pose.losses.heatmap_loss import HeatmapLoss
from keras_pose.losses.pose_loss import PoseLoss


@keras.saving.register_keras_serializable("keras_pose")
class OHKM(PoseLoss):
    """Sum of the `top` largest losses of a person's joints, divided by `top`.

    labels (B, P, K, 3 or more) and maps (B, S, h, w, K) -> (B, K): K / top
    times the loss of a joint that counts, 0 for the others; their mean over
    joints is the sum above. Joints without a label have no loss; where fewer
    than `top` have one, the divisor stays. Each stage chooses its own joints.

    Without it, the share of the hardest joints in the squared gradient by the
    maps is their share of the squared error. With it, their gradient is K / top
    times as large, and that of the others is 0.

    Args:
        inner: a `HeatmapLoss` that ignores joints without a label.
        top: how many joints count (code: 8 of COCO's 17).
    """

    def __init__(self, inner, top=8, name="ohkm", **kwargs):
        super().__init__(name=name, **kwargs)
        if not isinstance(inner, HeatmapLoss) or inner.unlabelled != "ignore":
            raise ValueError(
                f"{name} needs a HeatmapLoss with unlabelled ignore, got "
                f"{getattr(inner, 'name', inner)} with unlabelled "
                f"{getattr(inner, 'unlabelled', None)}"
            )
        if not 1 <= top <= inner.codec.count:
            raise ValueError(
                f"top must be 1 to {inner.codec.count}, the number of joints, "
                f"got {top}"
            )
        self.inner = inner
        self.top = int(top)

    @property
    def codecs(self):
        """Those of the inner loss."""
        return self.inner.codecs

    def terms(self, labels, outputs):
        """The terms of the inner loss, of their hardest joints."""
        terms = self.inner.terms(labels, outputs)
        return {name: self._hardest(cost) for name, cost in terms.items()}

    def _hardest(self, cost):
        """(B, K), 0 but for the largest `top` of each person."""
        joints = cost.shape[-1]
        _, index = ops.top_k(cost, self.top)
        chosen = ops.sum(ops.one_hot(index, joints, dtype=cost.dtype), axis=1)
        return cost * chosen * (joints / self.top)

    def get_config(self):
        """Everything `__init__` takes."""
        inner = keras.losses.serialize(self.inner)
        return super().get_config() | {"inner": inner, "top": self.top}

    @classmethod
    def from_config(cls, config):
        """Deserialises the inner loss."""
        inner = keras.losses.deserialize(config["inner"])
        return cls(**config | {"inner": inner})
