"""Models, losses, metrics and heatmaps agree on every backend installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import json
import keras
import numpy as np
from keras_pose import heatmaps
from keras_pose.losses import (
    HSM, HeatmapMSE, HeatmapMSESigmoid, LossTerm, StructureAware)
from keras_pose.metrics import PROTOCOLS, HeatmapPCK, PeakHeight
from keras_pose.codecs import Heatmaps
from keras_pose.models.heads import PoseMaps
from keras_pose.models.hourglass import stacked_hourglass
from keras_pose.models.msr_net import msr_net
from keras_pose.models.mss_net import mss_net
from keras_pose.skeletons import MPII

rng = np.random.default_rng(0)
labels = np.concatenate([
    rng.uniform((4, 16), (44, 28), (2, 16, 2)), rng.integers(0, 3, (2, 16, 1)),
    np.full((2, 16, 1), 9.0)], -1).astype("float32")
# Peaks at the joints, but for every third one, which peaks 3 cells too high.
found = np.arange(16) % 3 > 0
x, y = np.moveaxis(heatmaps.to_cells(labels[:, None, None, :, :2], 4), -1, 0)
rows, columns = np.mgrid[:8, :12, :1][:2]
distances = (columns - x) ** 2 + (rows - y + 3 * ~found) ** 2
maps = rng.normal(0, 0.1, (2, 2, 8, 12, 16))
maps = (maps + np.exp(-distances / 2)[:, None]).astype("float32")
counts = (labels[..., 2] > 0) & np.array(PROTOCOLS["pckh"].in_mean(MPII))
out = {"backend": keras.backend.backend(),
       "share found": (counts & found).sum() / counts.sum()}
for loss in (HSM(1, 2), HSM(2, 1.5, "saturating"), HeatmapMSE(),
             HeatmapMSESigmoid(unlabelled="ignore"), StructureAware(),
             StructureAware(norm="l2", unlabelled="ignore")):
    settings = loss.get_config()
    kind = settings.get("form", settings.get("norm", ""))
    out[loss.name + kind] = float(
        loss(labels, keras.ops.convert_to_tensor(maps)))
for metric in (HeatmapPCK("pckh", "mpii"), PeakHeight(),
               LossTerm(StructureAware(), "structure")):
    metric.update_state(keras.ops.convert_to_tensor(labels),
                        keras.ops.convert_to_tensor(maps))
    out[metric.name] = float(metric.result())
positive = keras.ops.convert_to_tensor(np.abs(maps[:, 0]))
for method in heatmaps.DECODINGS:
    points, scores = heatmaps.decode(positive, method, sigma=1.5)
    points = np.asarray(keras.ops.convert_to_numpy(points))
    out[method] = points.ravel().tolist()
images = keras.Input((64, 128, 3), dtype="uint8")
outputs = stacked_hourglass(images, 16, filters=8)
model = keras.Model(images, PoseMaps(Heatmaps())(outputs))
for weight in model.weights:
    weight.assign(np.random.default_rng(1).uniform(0.05, 0.1, weight.shape))
pixels = rng.integers(0, 256, (1, 64, 128, 3)).astype("uint8")
out["model"] = np.asarray(
    keras.ops.convert_to_numpy(model(pixels))).ravel()[::97].tolist()
model.compile("adam", HSM(), metrics=[HeatmapPCK("pckh", "mpii")],
              jit_compile=False)
history = model.fit(np.repeat(pixels, 2, 0), labels, verbose=0)
out["step"] = float(history.history["loss"][0])
scales, features = mss_net(images, 16, stacks=1, filters=8)
refined = msr_net(scales, features, 16, filters=8)
heads = [PoseMaps(Heatmaps(stride=s), name=f"stride{s}")([r])
         for s, r in zip((32, 16, 8, 4), refined)]
model = keras.Model(images, heads)
for weight in model.weights:
    weight.assign(np.random.default_rng(1).uniform(0.05, 0.1, weight.shape))
out["scales"] = [
    float(v) for maps in model(pixels)
    for v in np.asarray(keras.ops.convert_to_numpy(maps)).ravel()[::37]]
model.compile("adam", [StructureAware(stride=s) for s in (32, 16, 8, 4)],
              jit_compile=False)
history = model.fit(np.repeat(pixels, 2, 0), [labels] * 4, verbose=0)
out["scales step"] = float(history.history["loss"][0])
print(json.dumps(out))
"""


def results(backend):
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=ROOT, env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-2000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_computes_what_tensorflow_does(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    expected, found = results("tensorflow"), results(backend)
    assert found.pop("backend") == backend
    expected.pop("backend")
    assert expected.keys() == found.keys()
    assert 0 < expected["share found"] < 1
    assert expected["pck"] == pytest.approx(expected["share found"])
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=2e-4, atol=2e-4, err_msg=name
        )
