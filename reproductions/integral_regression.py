"""Integral regression: the mean position under the softmax of a map.

X. Sun, B. Xiao, F. Wei, S. Liang, Y. Wei,
"Integral Human Pose Regression", ECCV 2018, https://arxiv.org/abs/1711.08229.
Code by the authors, in 3D: https://github.com/JimmySuen/integral-human-pose

New here   a joint is the mean position under the softmax of its map: it is
           trained end to end, continuous, and costs no parameter
Run        python -m reproductions.integral_regression
Compare    python -m reproductions.integral_regression --compare --seeds 3, and
           with --vary size
Ablation   --method, --deconvolutions, --debias, --norm
Reported   MPII test PCKh@0.5: 91.0; Human3.6M, stages 1 and 2 of an hourglass:
           85.5 and 68.0 mm with heatmaps (H1), 78.7 and 64.1 mm with I1
Measured   reproductions/README.md
Departs    the public code is 3D: the 2D form is ours, with the trunk, batch and
           Gaussians of `simple_baselines`; all methods train as long (authors'
           code: R1 for 140 epochs, drops after 90 and 120); cells are centred
           on their pixels; the weight of I1's maps is 1
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras

from keras_pose import codecs, console, losses, training
from keras_pose.models import direct_regression, heads, resnet
from keras_pose.models import model as models
from keras_pose.models import simple_baselines as deconvolutions
from keras_pose.report import trade_offs
from reproductions import flow, simple_baselines

METHODS = {
    "Integral (I*)": "integral",
    "Integral and maps (I1)": "integral_maps",
    "Heatmaps (H1)": "heatmaps",
    "Direct (R1)": "direct",
}
BETA = 10.0
"""Of Gaussian maps: a peak of 1 then outweighs thousands of zeros (mmpose)."""


@dataclass(frozen=True)
class Config(training.Comparison, simple_baselines.Config):
    """Integral regression."""

    method: Literal[*METHODS.values()] = "integral"
    """integral, integral_maps: the mean position, trained by its error alone
    (I*), or with the maps as Gaussians (I1); heatmaps: argmax of Gaussian maps
    (H1); direct: pooled features and a dense layer (R1)."""
    norm: Literal["l1", "l2", "smooth_l1"] = "l1"
    """Of the coordinates' errors (authors' code: l1)."""
    debias: bool = False
    """Remove the pull of the maps' background to the middle (K. Gu et al., ICCV
    2021)."""
    beta: float | None = None
    """Factor on the maps before the softmax; None: 1, with integral_maps 10."""
    vary: Literal["method", "size"] = "method"
    """What --compare varies; size: --deconvolutions 3, 2, 1 of I* and H1."""
    color: float = 0.2  # authors' code

    PRESETS: ClassVar[dict] = {
        "paper": simple_baselines.Config.PRESETS["paper"]
        | {"epochs": 300, "drop_epochs": (270, 290)},  # authors' code
        "laptop": simple_baselines.Config.PRESETS["laptop"],
    }

    def check(self):
        """As `training.Config.check`; a softmax is wanted by its settings."""
        super().check()
        given = [name for name in ("debias", "beta") if getattr(self, name)]
        if given and self.method in ("heatmaps", "direct"):
            raise ValueError(
                f"{given[0]} is for a softmax: method must be integral or "
                f"integral_maps, got {self.method}"
            )


def build_model(config, skeleton):
    """(B, H, W, 3) uint8 -> (B, 1, h, w, K) maps, or (B, 1, K, 2) of direct."""
    size = config.image_size
    if config.method == "heatmaps":
        return simple_baselines.build_model(config, skeleton)
    if config.method == "direct":
        images = keras.Input((*size, 3), dtype="uint8")
        features = resnet.resnet_features(
            images, config.depth, weights=config.weights, width=config.width
        )
        joints = len(skeleton.joints)
        outputs = direct_regression.regression_head(features, joints)
        codec = codecs.Coordinates(skeleton, size)
    else:
        images, outputs = simple_baselines.build_maps(config, skeleton)
        beta = BETA if config.method == "integral_maps" else 1.0
        beta = beta if config.beta is None else config.beta
        codec = codecs.Expectation(skeleton, size, beta, config.debias)
    outputs = heads.PoseMaps(codec, name="maps")([outputs])
    return models.PoseModel(images, outputs, name=f"{config.method}_regression")


def build_loss(config, model):
    """Error of the coordinates, squared error of the maps, or both."""
    if config.method == "heatmaps":
        return simple_baselines.build_loss(config, model)
    maps = None
    if config.method == "integral_maps":
        stride = deconvolutions.output_stride(config.deconvolutions)
        skeleton = model.codec.skeleton
        gaussians = codecs.Heatmaps(skeleton, stride, sigma=config.sigma)
        maps = losses.HeatmapMSE(gaussians, unlabelled=config.unlabelled)
    return losses.JointRegression(model.codec, config.norm, maps)


def paper():
    """Adam, as in the authors' code; H1 is the argmax of its maps."""
    parts = build_model, build_loss, simple_baselines.build_optimizer
    name = "integral_regression"
    more = {"costs": True, "decoding": "argmax", "chart": draw_sizes}
    return flow.Paper(name, __doc__, *parts, **more)


def variants(config):
    """{name: settings}; both comparisons share the networks of stride 4."""
    if config.vary == "method":
        return {name: {"method": each} for name, each in METHODS.items()}
    return {
        f"{name}, stride {deconvolutions.output_stride(steps)}": {
            "method": METHODS[name], "deconvolutions": steps, "vary": "method"
        }
        for name in ("Heatmaps (H1)", "Integral (I*)")
        for steps in (3, 2, 1)
    }  # fmt: skip


def draw_sizes(config, table):
    """The scores of I* and H1 against the size of their maps; else None."""
    if config.vary != "size":
        return None
    sides = [
        config.resolved()[0].image_size[0] // int(name.rpartition(" ")[2])
        for name in table.index
    ]
    methods = [name.partition(",")[0] for name in table.index]
    return trade_offs.draw_lines(
        table.assign(method=methods, side=sides),
        "method",
        "side",
        "height of the maps, cells",
    )


def main(config):
    """Trains one network and reports on it, or compares the variants."""
    return paper().main(config, variants)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
