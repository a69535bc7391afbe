"""Named tensors from other programs' files, recognized by content and read without executing anything in them.

safetensors, PyTorch's files (the extra `weights`: torch 2.10 or later, weights_only), TensorFlow
checkpoints of any version, and pickled dicts in .npy files (the tensorflow-vgg `vgg19.npy`).
"""

import argparse
import pickle
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open

from wgan_vgg.errors import InputError, install, reason

_LARGEST = 4 * 2**30  # bytes; VGG19 with its dense layers has 0.6 * 2**30
_SAFE_TORCH = (2, 10)


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a file by name, names of nested dicts joined by dots; and what else it says, by name.

    That is the texts of safetensors, and of a PyTorch file the type of each entry that is neither tensors nor a list.

    Args:
      path: a file; a TensorFlow checkpoint by its prefix or its .index file.

    Raises:
      InputError: no such file, none of these kinds, damaged, hostile, or a package is missing.
    """
    prefix = path.with_suffix("") if path.suffix == ".index" else path
    if Path(f"{prefix}.index").is_file():
        return _read_checkpoint(prefix), {}
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    if path.stat().st_size > _LARGEST:
        raise InputError(
            f"{path}: {path.stat().st_size:,} bytes, more than any network here has; give a generator's weights"
        )
    with path.open("rb") as file:
        beginning = file.read(9)
    if beginning[8:9] == b"{" and int.from_bytes(beginning[:8], "little") < path.stat().st_size:
        return _read_safetensors(path)
    if beginning.startswith(b"\x93NUMPY"):
        return _read_pickled_npy(path), {}
    if beginning.startswith((b"PK", b"\x80")):
        return _read_torch(path)
    raise InputError(f"{path}: neither safetensors nor a file of PyTorch, TensorFlow or numpy; save it as one of them")


def _flat(values: Any, prefix: str = "", seen: set[int] | None = None) -> dict[str, np.ndarray]:
    """Every array in nested dicts and lists; what occurs twice counts once, since it may be nested in itself."""
    values = values.value if isinstance(values, _Array) else _of_torch(values)
    if isinstance(values, np.ndarray):
        return {prefix: values} if values.dtype.kind in "iuf" else {}
    seen = set() if seen is None else seen
    if not isinstance(values, Mapping | list | tuple) or id(values) in seen:
        return {}
    seen.add(id(values))
    found: dict[str, np.ndarray] = {}
    for name, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        found |= _flat(value, f"{prefix}.{name}" if prefix else str(name), seen)
    return found


def _of_torch(value: Any) -> Any:
    """A tensor of PyTorch, which is imported where there can be any, as an array."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return value
    return value.detach().to(torch.float32).numpy() if value.is_floating_point() else value.numpy()


def _others(content: Any) -> dict[str, str]:
    entries = content.items() if isinstance(content, Mapping) else ()
    plain = {str(name): _of_torch(value) for name, value in entries}
    kept = {name: value for name, value in plain.items() if not isinstance(value, np.ndarray | Mapping | list | tuple)}
    return {name: type(value).__name__ for name, value in kept.items()}


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, ValueError) as error:  # TypeError: bfloat16, which numpy does not have
        raise InputError(f"{path}: not readable as safetensors ({reason(error)}); save float32") from error


def _read_checkpoint(prefix: Path) -> dict[str, np.ndarray]:
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = [name for name, kind in reader.get_variable_to_dtype_map().items() if kind.is_floating]
        return {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, ValueError, IndexError) as error:
        raise InputError(f"{prefix}: not a readable checkpoint ({reason(error)}); copy it again") from error


def _read_torch(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path}: a PyTorch file needs torch: {install('weights')}, or save it as safetensors"
        ) from error
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _SAFE_TORCH:
        raise InputError(f"{path}: torch {torch.__version__} is not safe against hostile files; 2.10 or later is")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if sum(member.file_size for member in archive.infolist()) > 2 * path.stat().st_size + 2**20:
                    raise InputError(f"{path}: a compressed archive, which PyTorch does not write; save the state dict")
        # ldct-benchmark's files hold its arguments: a Namespace is plain attributes, which runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
        return _flat(content), _others(content)
    except InputError:
        raise
    except Exception as error:  # torch raises many kinds for a wrong or hostile file
        raise InputError(
            f"{path}: not PyTorch weights and nothing else ({reason(error)}); save the state dict"
        ) from error


class _Dtype:
    """What a pickle takes for numpy.dtype: of plain numbers, or of objects."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[iuf][1248]|O8?", code):
            raise pickle.UnpicklingError(f"an array of {code}")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """What a pickle takes for numpy.ndarray, which itself would take bytes for pointers to objects."""

    def __init__(self, *_: object) -> None:
        self.value: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if isinstance(content, list):
            self.value = content
            return
        content = content.encode("latin1") if isinstance(content, str) else content  # as Python 2 wrote it
        flat = np.frombuffer(content, np.dtype(dtype.code).newbyteorder(dtype.order.replace("|", "=")))
        self.value = flat.reshape(shape, order="F" if fortran else "C")


# All that pickled numpy arrays need; numpy 2 has renamed one module.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Makes arrays and plain containers without calling anything of numpy's; asked for anything else, it raises."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def _read_pickled_npy(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        try:
            _skip_header(file)
            # latin1: the file was written by Python 2.
            content = _ArrayUnpickler(file, encoding="latin1").load()
            items = content.value if isinstance(content, _Array) else content
            return _flat(items[0] if isinstance(items, list) and len(items) == 1 else items)
        except Exception as error:  # a pickle can raise any kind
            raise InputError(
                f"{path}: not a pickled dict of numpy arrays and nothing else ({reason(error)}); save them with "
                "numpy.savez"
            ) from error


def _skip_header(file: BinaryIO) -> None:
    """Leaves the file where the pickle begins."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(file)
    if not dtype.hasobject:
        raise ValueError(f"an array of {dtype}, not a dict")
