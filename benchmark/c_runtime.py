"""A SavedModel run by TensorFlow's C interface: what a program in C or C++, and TensorFlow Serving, pay for a call.

All three call a session. The library is the one that the Python package has loaded, so no compiler is needed.
"""

import ctypes
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

_FLOAT = 1  # TF_FLOAT
_RETURN_POINTERS = (
    "TF_AllocateTensor",
    "TF_GraphOperationByName",
    "TF_LoadSessionFromSavedModel",
    "TF_Message",
    "TF_NewGraph",
    "TF_NewSessionOptions",
    "TF_NewStatus",
    "TF_TensorData",
)


class _Output(ctypes.Structure):
    """TF_Output: an operation and the number of its output."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def load(folder: Path, signature: str = "serving_default") -> Callable[[np.ndarray], np.ndarray]:
    """A SavedModel's signature of one float32 argument and one result, both (batch, height, width, 1)."""
    library = ctypes.CDLL(str(next(Path(tf.sysconfig.get_lib()).glob("libtensorflow_cc.*"))))
    for name in _RETURN_POINTERS:
        getattr(library, name).restype = ctypes.c_void_p
    status = ctypes.c_void_p(library.TF_NewStatus())
    graph = ctypes.c_void_p(library.TF_NewGraph())
    tags = (ctypes.c_char_p * 1)(b"serve")
    options = ctypes.c_void_p(library.TF_NewSessionOptions())
    session = ctypes.c_void_p(
        library.TF_LoadSessionFromSavedModel(options, None, str(folder).encode(), tags, 1, graph, None, status)
    )

    def check() -> None:
        if library.TF_GetCode(status):
            raise RuntimeError(ctypes.string_at(library.TF_Message(status)).decode())

    check()
    ends = [
        _Output(library.TF_GraphOperationByName(graph, operation.encode()), int(number))
        for operation, number in (name.split(":") for name in _names(folder, signature))
    ]
    given, wanted = map(ctypes.byref, ends)

    def call(images: np.ndarray) -> np.ndarray:
        sizes = (ctypes.c_int64 * images.ndim)(*images.shape)
        argument = ctypes.c_void_p(
            library.TF_AllocateTensor(_FLOAT, sizes, images.ndim, ctypes.c_size_t(images.nbytes))
        )
        result = ctypes.c_void_p()
        ctypes.memmove(library.TF_TensorData(argument), images.ctypes.data, images.nbytes)
        library.TF_SessionRun(
            session, None, given, ctypes.byref(argument), 1, wanted, ctypes.byref(result), 1, None, 0, None, status
        )
        library.TF_DeleteTensor(argument)
        check()
        size = 4 * math.prod(images.shape)
        denoised = np.frombuffer(ctypes.string_at(library.TF_TensorData(result), size), np.float32)
        library.TF_DeleteTensor(result)
        return denoised.reshape(images.shape)

    return call


def _names(folder: Path, signature: str) -> list[str]:
    """Of the tensors of a signature: its argument's and its result's."""
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    definition = model.meta_graphs[0].signature_def[signature]
    return [tensor.name for ends in (definition.inputs, definition.outputs) for tensor in ends.values()]
