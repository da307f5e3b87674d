"""Models, losses, metrics and heatmaps agree on every backend installed."""

import functools
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
from keras_pose.codecs import (Coordinates, Displacements, Expectation,
                               Fields, Heatmaps, WindowedHeatmaps, gaussians)
from keras_pose.losses import (HSM, OHKM, FieldsMSE, HeatmapMSE,
                               JointRegression, PerOutput, StructureAware)
from keras_pose.metrics import PROTOCOLS, PeakHeight, PosePCK
from keras_pose.models.alexnet import LocalResponseNorm
from keras_pose.models.heads import PoseMaps
from keras_pose.models.model import PoseModel
from keras_pose.models.efficient_localization import coarse_model, fine_model
from keras_pose.models.hourglass import stacked_hourglass
from keras_pose.models.hrnet import hrnet
from keras_pose.models.msr_net import msr_net
from keras_pose.models.mss_net import mss_net
from keras_pose.models.resize import AlignedResize
from keras_pose.skeletons import MPII

# One by one, JAX compiles each operation of each shape: minutes. The others
# take longer to build a graph than for their few steps.
on_jax = keras.backend.backend() == "jax"

def run(model, *inputs):
    if on_jax:
        import jax
        return jax.jit(model.__call__)(*inputs)
    return model(*inputs)

rng = np.random.default_rng(0)
labels = np.concatenate([
    rng.uniform((4, 16), (44, 28), (2, 1, 16, 2)),
    rng.integers(0, 3, (2, 1, 16, 1)), np.full((2, 1, 16, 1), 9.0)],
    -1).astype("float32")
# Peaks at the joints, but for every third one, which peaks 3 cells too high.
found = np.arange(16) % 3 > 0
x, y = np.moveaxis(gaussians.to_cells(labels[:, None, :, :, :2], 4), -1, 0)
rows, columns = np.mgrid[:8, :12, :1][:2]
distances = (columns - x) ** 2 + (rows - y + 3 * ~found) ** 2
maps = rng.normal(0, 0.1, (2, 2, 8, 12, 16))
maps = (maps + np.exp(-distances / 2)[:, None]).astype("float32")
counts = (labels[..., 2] > 0) & np.array(PROTOCOLS["pckh"].in_mean(MPII))
out = {"backend": keras.backend.backend(),
       "share found": (counts & found).sum() / counts.sum()}
linear, logits = Heatmaps("mpii"), Heatmaps("mpii", logits=True)
for loss in (HSM(logits, 1, 2), HSM(logits, 2, 1.5, "saturating"),
             HeatmapMSE(linear), HeatmapMSE(logits, unlabelled="ignore"),
             StructureAware(linear),
             StructureAware(linear, norm="l2", unlabelled="ignore"),
             JointRegression(Expectation("mpii", (32, 48), debias=True),
                             "smooth_l1", HeatmapMSE(linear))):
    settings = loss.get_config()
    kind = [settings[k] for k in ("form", "norm", "unlabelled")
            if k in settings][:1]
    terms = loss.reduced_terms(labels, keras.ops.convert_to_tensor(maps))
    out[f"{loss.name} {kind}"] = [float(value) for value in terms.values()]
mined = OHKM(HeatmapMSE(linear, unlabelled="ignore", occluded="empty"), 5)
out["mined"] = float(mined(labels, keras.ops.convert_to_tensor(maps)))
resized = AlignedResize((5, 17))(keras.ops.convert_to_tensor(maps[:, 0]))
out["resized"] = np.asarray(
    keras.ops.convert_to_numpy(resized)).ravel()[::37].tolist()
normed = LocalResponseNorm(alpha=0.5)(keras.ops.convert_to_tensor(maps[:, 0]))
out["normed"] = np.asarray(
    keras.ops.convert_to_numpy(normed)).ravel()[::37].tolist()
codec = Displacements("mpii", (32, 48))
points, squares = 9 * labels[:, 0, :, :2], np.array([400.0, 300], "float32")
backs = rng.uniform(0.5, 2, (2, 16, 2, 3)).astype("float32")
sides = codec.sides(points, squares)
seen = keras.ops.convert_to_tensor(
    rng.uniform(-0.5, 0.5, (2, 16, 16, 3)).astype("float32"))
for value in (sides, *codec.step(seen, points, backs, sides)):
    out[f"refined {len(out)}"] = np.asarray(
        keras.ops.convert_to_numpy(value)).ravel().tolist()
for codec in (Heatmaps("mpii", alignment="udp"), Heatmaps("mpii", 4, "corner"),
              Expectation("mpii", (32, 48), debias=True),
              Coordinates("mpii", (32, 48))):
    outputs = keras.ops.convert_to_tensor(maps)
    if isinstance(codec, Coordinates):
        outputs = outputs[:, :, 0, :3] * 0.1
        outputs = keras.ops.transpose(outputs, (0, 1, 3, 2))
    target, known = codec.target(labels, outputs)
    seen = codec.seen(outputs)
    views = codec.merge([seen, codec.mirror(seen)], [1.0, 1.25], (32, 48))
    for value in (target, known, *codec.joints(views, "argmax")[:2]):
        out[f"{codec} {len(out)}"] = np.asarray(
            keras.ops.convert_to_numpy(value)).ravel()[::7].tolist()
for metric in (PosePCK(linear), PeakHeight(linear)):
    metric.update_state(keras.ops.convert_to_tensor(labels),
                        keras.ops.convert_to_tensor(maps))
    out[metric.name] = float(metric.result())
positive = keras.ops.convert_to_tensor(np.abs(maps[:, 0]))
for method in gaussians.DECODINGS:
    points, scores = gaussians.decode(positive, method, sigma=1.5)
    points = np.asarray(keras.ops.convert_to_numpy(points))
    out[method] = points.ravel().tolist()
ties = rng.integers(0, 3, (64, 3, 8)).astype("float32")  # few cells: many ties
first, top = gaussians.highest(keras.ops.convert_to_tensor(ties))
out["first of ties"] = np.asarray(
    keras.ops.convert_to_numpy(first)).ravel().tolist()
assert out["first of ties"] == ties.argmax(-1).ravel().tolist()
images = keras.Input((64, 128, 3), dtype="uint8")
outputs = stacked_hourglass(images, 16, filters=8)
model = PoseModel(images, PoseMaps(logits)(outputs))
for weight in model.weights:
    weight.assign(np.random.default_rng(1).uniform(0.05, 0.1, weight.shape))
pixels = rng.integers(0, 256, (1, 64, 128, 3)).astype("uint8")
out["model"] = np.asarray(
    keras.ops.convert_to_numpy(run(model, pixels))).ravel()[::97].tolist()
model.compile("adam", HSM(logits), metrics=[PosePCK(logits)],
              run_eagerly=not on_jax, jit_compile=on_jax)
history = model.fit(np.repeat(pixels, 2, 0), labels, verbose=0)
out["step"] = float(history.history["loss"][0])
scales, features = mss_net(images, 16, stacks=1, filters=8)
refined = msr_net(scales, features, 16, filters=8)
codecs = [Heatmaps(stride=s) for s in (32, 16, 8, 4)]
heads = [PoseMaps(c, name=f"stride{c.stride}")([r])
         for c, r in zip(codecs, refined)]
model = PoseModel(images, heads)
for weight in model.weights:
    weight.assign(np.random.default_rng(1).uniform(0.05, 0.1, weight.shape))
out["scales"] = [
    float(v) for maps in run(model, pixels)
    for v in np.asarray(keras.ops.convert_to_numpy(maps)).ravel()[::37]]
model.compile("adam", PerOutput(StructureAware(c) for c in codecs),
              run_eagerly=not on_jax, jit_compile=on_jax)
history = model.fit(np.repeat(pixels, 2, 0), labels, verbose=0)
out["scales step"] = float(history.history["loss"][0])
model = keras.Model(images, hrnet(images, 16, width=4, modules=(1, 1, 1)))
for weight in model.weights:
    if len(weight.shape) > 1:  # a kernel
        values = np.random.default_rng(2).normal(0, 1, weight.shape)
        weight.assign(values * np.prod(weight.shape[:-1]) ** -0.5)
branches = np.asarray(keras.ops.convert_to_numpy(run(model, pixels)))
branches = branches / np.abs(branches).max()  # of some thousands
out["branches"] = branches.ravel()[::97].tolist()
maps, features = coarse_model(images, 16, filters=4, dropout="none")
placed = fine_model(maps, features, (64, 128), filters=4)
codec = WindowedHeatmaps("mpii")
model = PoseModel(images, PoseMaps(codec)([placed]))
for weight in model.weights:
    values = np.random.default_rng(3).normal(0, 0.1, weight.shape)
    weight.assign(values)
outputs = run(model, pixels)
out["windows"] = np.asarray(
    keras.ops.convert_to_numpy(outputs)).ravel()[::97].tolist()
seen = codec.seen(outputs)
points, _, _ = codec.joints((seen + codec.mirror(seen)) / 2)
out["in windows"] = np.asarray(
    keras.ops.convert_to_numpy(points)).ravel().tolist()
model.compile("adam", HeatmapMSE(codec, unlabelled="ignore"),
              run_eagerly=not on_jax, jit_compile=on_jax)
history = model.fit(np.repeat(pixels, 2, 0), labels, verbose=0)
out["windows step"] = float(history.history["loss"][0])
fields = Fields("mpii", stride=4, sigma=1.5)
crowd = rng.uniform((0, 0), (191, 127), (2, 3, 16, 2))
crowd = np.concatenate([crowd, rng.integers(0, 3, (2, 3, 16, 1))], -1)
crowd = crowd.astype("float32")
outputs = np.zeros((2, 1, 32, 48, fields.channels), "float32")
target, _ = fields.target(crowd, outputs)
use = rng.integers(0, 20, (2, 128, 192)) > 0
out["fields loss"] = float(FieldsMSE(fields)(crowd, outputs, use))
found = fields.joints(fields.mirror(fields.seen(target)))
for name in ("points", "scores", "person_scores", "count"):
    values = keras.ops.convert_to_numpy(getattr(found, name))
    out[f"fields {name}"] = np.asarray(values).ravel().tolist()
assert min(out["fields count"]) > 1
print(json.dumps(out))
"""


@functools.cache
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
    expected, found = dict(results("tensorflow")), dict(results(backend))
    assert found.pop("backend") == backend
    assert expected.pop("backend") == "tensorflow"
    assert expected.keys() == found.keys()
    assert 0 < expected["share found"] < 1
    assert expected["pck"] == pytest.approx(expected["share found"])
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=2e-4, atol=2e-4, err_msg=name
        )
