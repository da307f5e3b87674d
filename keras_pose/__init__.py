"""keras_pose: human pose estimation papers, reproduced in Keras 3."""

import os

__version__ = "0.1.0"

# TensorFlow reads this when it is imported, and by itself uses oneDNN only
# where the CPU has AVX512-VNNI or AMX. On others a step takes 1.4 times as long
# without (benchmarks/train_step.py).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
