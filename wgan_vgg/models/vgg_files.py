"""VGG19's convolutions from the files that users have: Keras's, tensorflow-vgg's, torchvision's."""

import re
from pathlib import Path

import h5py
import keras
import numpy as np

from data_prep.digests import digest
from wgan_vgg.errors import InputError, reason
from wgan_vgg.tensor_files import read_tensors

IMAGENET_MD5 = "253f8cb515780f3b799900260a226db6"


def load_weights(network: keras.Model, path: Path) -> bool:
    """Loads the convolutions of Keras's VGG19 without top.

    Args:
      network: keras.applications.VGG19(include_top=False).
      path: Keras's own no-top .h5 file; or, known by content, any other that tensor_files.read_tensors takes, with
        VGG19's 16 kernels in the order of their names' numbers: tensorflow-vgg's vgg19.npy (Caffe's weights, as
        Keras's), torchvision's state dict.

    Returns:
      Whether they are torchvision's: its own layout, and trained on its own preprocessing.

    Raises:
      InputError: not such a file.
    """
    torchvision = False
    if path.suffix == ".h5" or h5py.is_hdf5(path):
        try:
            network.load_weights(str(path))
        except Exception as error:  # h5py and Keras raise many kinds for a wrong file
            found = digest(path, "md5")
            raise InputError(
                f"vgg_weights={path}: not VGG19's Keras no-top .h5 weights ({reason(error)}); md5 {found}, the "
                "official "
                f"file's {IMAGENET_MD5}; give that one"
            ) from error
    else:
        arrays, torchvision = _convolutions(path, [weight.shape for weight in network.weights])
        network.set_weights(arrays)
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise InputError(f"vgg_weights={path}: NaN or infinite weights; download it again")
    return torchvision


def _convolutions(path: Path, shapes: list[tuple[int, ...]]) -> tuple[list[np.ndarray], bool]:
    """Kernels and biases of these shapes by turns; and whether the file had them in PyTorch's layout."""
    tensors, _ = read_tensors(path)
    names = sorted((name for name, tensor in tensors.items() if tensor.ndim in (1, 4)), key=_numbers)
    kernels = [tensors[name] for name in names if tensors[name].ndim == 4]
    # Biases of dense layers, which both files have too, come after those of the convolutions.
    biases = [tensors[name] for name in names if tensors[name].ndim == 1][: len(kernels)]
    torchvision = bool(kernels) and kernels[0].shape[:2] != (3, 3)
    if torchvision:
        kernels = [kernel.transpose(2, 3, 1, 0) for kernel in kernels]
    arrays = [array for pair in zip(kernels, biases, strict=False) for array in pair]
    if [array.shape for array in arrays] != [tuple(shape) for shape in shapes]:
        raise InputError(
            f"vgg_weights={path}: not VGG19's weights: expected 16 kernels of 3x3 with biases, from 3 channels to 512, "
            f"found {len(kernels)} kernels {[kernel.shape for kernel in kernels[:3]]}"
        )
    return arrays, torchvision


def _numbers(name: str) -> tuple[bool, list[int]]:
    """Sorts features.2 before features.10, and conv5_4 before fc6 and classifier.0."""
    return name.startswith(("classifier", "fc")), [int(number) for number in re.findall(r"\d+", name)]
