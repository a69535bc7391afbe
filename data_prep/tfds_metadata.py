"""The two JSON files by which TensorFlow Datasets opens a data set's folder without our code."""

from typing import Any

from data_prep.json_types import Manifest

NAME = "low_dose_ct"
_FEATURES = "tensorflow_datasets.core.features."


def files(manifest: Manifest, *, has_photons: bool) -> dict[str, dict[str, Any]]:
    """`dataset_info.json` and `features.json`, by name, for a manifest's splits and image shape.

    Args:
      manifest: of its keys, `splits` and `image_shape`.
      has_photons: whether the records have the feature `photons`.
    """
    splits = [
        {
            "name": name,
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "numBytes": str(sum(shard["bytes"] for shard in split["shards"])),
            "shardLengths": [str(shard["records"]) for shard in split["shards"]],
        }
        for name, split in manifest["splits"].items()
    ]
    info = {"name": NAME, "version": "1.0.0", "fileFormat": "tfrecord", "splits": splits}
    height, width = manifest["image_shape"]
    image = _tensor("tensor_feature.Tensor", [height, width, 1], "float32", "bytes")
    whole = _tensor("scalar.Scalar", [], "int64", "none")
    text = {"pythonClassName": _FEATURES + "text_feature.Text", "text": {}}
    features = dict.fromkeys(("low_dose", "normal_dose"), image)
    features |= dict.fromkeys(("height", "width", "slice_index"), whole)
    features |= dict.fromkeys(("patient_id", "source"), text)
    if has_photons:
        features["photons"] = _tensor("scalar.Scalar", [], "float32", "none")
    return {
        "dataset_info.json": info,
        "features.json": {
            "pythonClassName": _FEATURES + "features_dict.FeaturesDict",
            "featuresDict": {"features": features},
        },
    }


def _tensor(kind: str, shape: list[int], dtype: str, encoding: str) -> dict[str, Any]:
    dimensions = {"dimensions": [str(side) for side in shape]} if shape else {}
    return {
        "pythonClassName": _FEATURES + kind,
        "tensor": {"shape": dimensions, "dtype": dtype, "encoding": encoding},
    }
