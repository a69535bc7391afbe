"""Networks that onnxruntime computes, where it is installed: it starts several times as fast as TensorFlow."""

import json
from pathlib import Path

import numpy as np

from wgan_vgg.errors import InputError, module_of_extra, reason
from wgan_vgg.extent import Extent
from wgan_vgg.inference.denoiser import Network
from wgan_vgg.json_types import Metadata


def from_file(path: Path) -> tuple[Network, Metadata, Extent]:
    """Of a generator.onnx that experiments.export wrote, its metadata, and its extent.

    Raises:
      InputError: another file, or onnxruntime is not installed.
    """
    onnxruntime = module_of_extra("onnxruntime", "fast", f"{path}:")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.enable_mem_pattern = False  # it holds a second call's memory beside the first one's
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # between calls, at others' cost
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common type of their own
        raise InputError(f"{path}: not a readable ONNX file ({reason(error)}); export it anew") from error
    texts = session.get_modelmeta().custom_metadata_map
    if not {"wgan_vgg", "extent"} <= texts.keys():
        raise InputError(f"{path}: not a file of experiments.export --format=onnx; export it anew")

    def network(values: np.ndarray) -> np.ndarray:
        return session.run(["denoised"], {"low_dose": np.ascontiguousarray(values)})[0]

    return network, json.loads(texts["wgan_vgg"]), Extent(**json.loads(texts["extent"]))
