"""keras_pose: human pose estimation papers, reproduced in Keras 3."""

import os

from keras_pose import imports

__version__ = "0.1.0"

# TensorFlow reads this when it is imported. By itself it uses oneDNN only
# where the CPU has AVX512-VNNI or AMX. On others a step takes 1.4 times as long
# without (benchmarks/train_step.py).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

imports.install()
