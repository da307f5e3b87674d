# For machines with an NVIDIA GPU: TensorFlow's own image, which has CUDA, and the
# suite. It was written without Docker and a GPU at hand: nobody has built it yet.
#
#     docker build -t keras_pose .
#     docker run --gpus all --rm -v "$PWD/runs:/work/runs" keras_pose \
#         python -m reproductions.hsm_loss
ARG TENSORFLOW=2.21.0
FROM tensorflow/tensorflow:${TENSORFLOW}-gpu
WORKDIR /source
COPY setup.py pyproject.toml README.md MANIFEST.in LICENSE ./
COPY keras_pose keras_pose
COPY tfrecords tfrecords
COPY reproductions reproductions
# The image has TensorFlow with its CUDA; pip keeps it, as setup.py's range allows.
RUN python -m pip install --no-cache-dir .
WORKDIR /work
CMD ["python", "-c", "import tensorflow as tf; print(tf.config.list_physical_devices('GPU'))"]
