"""Packaging; ruff, mypy and pytest are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
# An earlier pydicom can be made to write outside its folder. Of the decoders, pylibjpeg-libjpeg is under the GPL 3.
DICOM = ["pydicom>=3.0.2", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls"]
DOWNLOAD = ["requests"]
BASELINES = ["PyWavelets", "bm3d"]  # bm3d is free for non-commercial use only
ONNX = ["tf2onnx>=1.17", "onnx"]
NIFTI = ["nibabel"]
FAST = ["onnxruntime"]  # starts without TensorFlow
SAFETENSORS = ["safetensors"]
BEAM = ["apache-beam>=2.77"]
TORCH = ["torch>=2.10"]  # an earlier one runs code in files that weights_only should have refused
SCRIPTS = ("prepare", "train", "evaluate", "export", "denoise", "reproduce", "report")
SCRIPTS += ("publish", "import-weights")  # experiments.benchmark needs the clone, where its package lies

setup(
    name="wgan-vgg",
    version=re.search(r'__version__ = "(.+)"', (HERE / "wgan_vgg" / "__init__.py").read_text())[1],
    description="WGAN-VGG low-dose CT denoising in TensorFlow/Keras",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["data_prep", "experiments", "wgan_vgg", "wgan_vgg.*"]),
    package_data={
        "data_prep": ["py.typed"],
        "wgan_vgg": ["py.typed"],
        "wgan_vgg.reporting": ["page/*"],
        "wgan_vgg.pretrained": ["*.safetensors", "*.onnx", "*.npz", "*.md", "*.json"],
    },
    install_requires=[
        "tensorflow>=2.21",
        "keras==3.15.*",  # wgan_vgg/training/adam.py calls what is private to it
        "numpy",
        "scipy",
        "h5py",
        "scikit-image>=0.26",
        "Pillow",
        "tifffile",
        "absl-py",
        "rich",
        "jinja2",
        "MarkupSafe",
        "matplotlib",
        "tensorboard",
        *SAFETENSORS,  # of the models that ship with the package
    ],
    extras_require={
        "dicom": DICOM,
        "download": DOWNLOAD,
        "baselines": BASELINES,
        "onnx": ONNX,
        "nifti": NIFTI,
        "fast": FAST,
        "beam": BEAM,
        "weights": TORCH,
        # Without torch, which brings gigabytes of CUDA from the usual index: the tests that need it skip.
        "test": [
            *("pytest", "pytest-xdist", "ruff", "mypy", "playwright", "tensorflow-datasets", "nbclient", "ipykernel"),
            *(*DICOM, *DOWNLOAD, *BASELINES, *ONNX, *NIFTI, *FAST, *BEAM),
        ],
    },
    entry_points={
        "console_scripts": [f"wgan-vgg-{name} = experiments.{name.replace('-', '_')}:main" for name in SCRIPTS],
    },
)
