"""Package metadata: the ranges that users get; requirements.txt pins for CI."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (HERE / "keras_pose" / "__init__.py").read_text()
).group(1)

setup(
    name="keras_pose",
    version=VERSION,
    description="Human pose estimation papers, reproduced in Keras 3",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(
        include=["keras_pose*", "reproductions*", "tfrecords*"]
    ),
    entry_points={"console_scripts": ["keras-pose = keras_pose.__main__:main"]},
    package_data={"keras_pose.demo": ["index.html", "page.js"]},
    install_requires=[
        "tensorflow>=2.20,<2.23",
        "keras>=3.12,<4",
        "numpy>=2.0",
        "pandas>=2.2.2",
        "matplotlib>=3.9",
        "opencv-python-headless>=5",
        "scipy>=1.13",
        "h5py>=3.11",
        "pycocotools>=2.0.10",
        "filelock>=4.2",
        "protobuf>=5.28.3",  # what TensorFlow 2.20 was generated with
        "safetensors>=0.4.5,<1",
        "rich>=13.7",
        "tqdm>=4.66",
        "tyro>=1.0.14",  # before, an unknown flag could be a positional value
        "tensorboard>=2.20",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.20,<2.23"],
        "hub": ["huggingface-hub>=0.34"],
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.6,<10",
            "mkdocstrings-python>=2.0,<3",
        ],
        "litert": ["ai-edge-litert>=2.1", "flatbuffers>=24.3"],
        "int8": [
            "ai-edge-litert>=2.1",
            "flatbuffers>=24.3",
            "litert-quantizer>=0.11",
        ],
        "onnx": ["onnx>=1.19", "onnxruntime>=1.23", "tf2onnx>=1.17"],
        "openvino": ["openvino>=2025.4"],
        "test": [
            "huggingface-hub>=0.34",
            "pytest>=8.3",
            "pytest-xdist>=3.8",
            "ruff>=0.14",
        ],
    },
)
