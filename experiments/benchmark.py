"""Measures this machine's limits and how near to them training, inference, input and conversion come, in one process.

python -m experiments.benchmark [--what=train,gpu,scale,infer,input,convert,start,operations] [--json=FILE]
python -m experiments.benchmark --peer=torch|onnxruntime
"""

import importlib.util
import signal
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from benchmark.rows import Row
from experiments.config_flags import define_config, read_config
from experiments.flags import check_model, check_written
from experiments.launch import launch, quiet_tensorflow
from experiments.progress import Reporter
from wgan_vgg.config import REPORT_MODELS, Config, override
from wgan_vgg.errors import InputError, Terminated
from wgan_vgg.files import write_json

PARTS = ("train", "gpu", "scale", "infer", "input", "convert", "start", "operations")
PRECISIONS = ("float32", "bfloat16")
PEERS = ("torch", "onnxruntime")
PEER_MODEL = "wgan-vgg"
LEAST_RECORDS = 16  # one batch


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    define_config(values, ["image_size", "batch_size", "critic_steps"])
    flags.DEFINE_list("what", list(PARTS), f"of {', '.join(PARTS)}", flag_values=values)
    flags.DEFINE_list("models", list(REPORT_MODELS), "whose training steps", flag_values=values)
    flags.DEFINE_list("precisions", list(PRECISIONS), f"of {', '.join(PRECISIONS)}", flag_values=values)
    flags.DEFINE_list(
        "sides", ["64", "362", "512"], "of the images to infer on, or to read patches of, in pixels", flag_values=values
    )
    flags.DEFINE_list("batches", ["1", "8"], "images per call of the inference", flag_values=values)
    flags.DEFINE_list("records", ["1000", "10000", "50000"], "in the splits that are read", flag_values=values)
    flags.DEFINE_list("shards", ["1", "8", "100"], "files of the splits that are read", flag_values=values)
    flags.DEFINE_list(
        "processes",
        ["1", "2", "4", "8"],
        "over which a training or the reading of patches is divided",
        flag_values=values,
    )
    flags.DEFINE_integer("rounds", 5, "how often each is timed, in turn; the median counts", flag_values=values)
    flags.DEFINE_string(
        "peer", "", "onnxruntime: inference by it beside ours; torch: all the same in PyTorch, too", flag_values=values
    )
    flags.DEFINE_string("json", None, "a file for the rows, besides", flag_values=values)
    flags.DEFINE_string("plot", None, "a PNG of what an image costs to read, by records and shards", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Measures and prints the table."""
    config = _checked(values)
    if values.peer == "torch":
        _import_torch()
    if values.peer:
        _check_peers_of_inference(values)
    quiet_tensorflow()
    from benchmark.report import describe_machine, plot_input, table
    from benchmark.run import measure

    machine = describe_machine()
    rows: list[Row] = []
    try:
        with Reporter().shown() as report:
            for row in measure(
                config,
                values.what,
                models=values.models,
                precisions=values.precisions,
                sides=_numbers(values, "sides"),
                batch_sizes=_numbers(values, "batches"),
                records=_numbers(values, "records"),
                shards=_numbers(values, "shards"),
                processes=_numbers(values, "processes"),
                rounds=values.rounds,
                peer=values.peer,
                progress=report,
            ):
                rows.append(row)
                if values.json:
                    content = {"machine": machine, "rows": [vars(row) | {"ratio": row.ratio} for row in rows]}
                    write_json(Path(values.json), content)
    except KeyboardInterrupt:
        raise Terminated("interrupted; called again, it measures everything anew", signal.SIGINT) from None
    finally:  # a benchmark takes long: broken off, it shows what it has
        if rows:
            print(f"{machine}\n\n{table(rows)}")
    if values.plot:
        plot_input(rows, Path(values.plot))


def _checked(values: flags.FlagValues) -> Config:
    """The config; all flags are looked at before anything is measured."""
    config = override(read_config(values), {"vgg.weights": "random"})  # their values change no time
    for name, known in (("what", PARTS), ("precisions", PRECISIONS)):
        for value in getattr(values, name):
            if value not in known:
                raise InputError(f"--{name}={value}: unknown; take some of {', '.join(known)}")
    for model in values.models:
        check_model(model)
    for name in ("sides", "batches", "records", "shards", "processes"):
        _numbers(values, name)
    for count in _numbers(values, "processes"):
        if "scale" in values.what and config.training.batch_size % count:
            raise InputError(f"--processes={count}: does not divide training.batch_size={config.training.batch_size}")
    side = config.data.image_size
    if side < 32 or side % 32:
        raise InputError(f"image_size={side}: must be a multiple of 32, which all strides divide")
    if min(_numbers(values, "records")) < LEAST_RECORDS:
        raise InputError(f"--records={','.join(values.records)}: take {LEAST_RECORDS} or more")
    if values.peer == "torch" and "train" in values.what and PEER_MODEL not in values.models:
        raise InputError(f"--peer={values.peer}: it trains {PEER_MODEL}, which --models leaves out")
    if values.rounds < 1:
        raise InputError(f"--rounds={values.rounds}: must be at least 1")
    if values.peer not in ("", *PEERS):
        raise InputError(f"--peer={values.peer}: unknown; take one of {', '.join(PEERS)}")
    if values.peer == "onnxruntime" and "infer" not in values.what:
        raise InputError("--peer=onnxruntime: it only infers; add infer to --what")
    check_written(values, "json", ".json")
    check_written(values, "plot", ".png")
    if values.plot and "input" not in values.what:
        raise InputError(f"--plot={values.plot}: it shows --what=input, which is not asked for")
    return config


def _numbers(values: flags.FlagValues, name: str) -> list[int]:
    texts = getattr(values, name)
    try:
        numbers = [int(text) for text in texts]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise InputError(f"--{name}={','.join(texts)}: expected whole numbers from 1, with commas")
    return numbers


def _import_torch() -> None:
    """Before TensorFlow: the compiler that torch's CUDA builds bring crashes when it is loaded after it."""
    try:
        import torch._dynamo  # noqa: F401
    except ImportError as error:
        raise InputError("--peer=torch: torch is not installed; pip install torch, or leave --peer out") from error


def _check_peers_of_inference(values: flags.FlagValues) -> None:
    for name in ("onnxruntime", "tf2onnx"):
        if "infer" in values.what and importlib.util.find_spec(name) is None:
            raise InputError(f"--peer={values.peer}: {name} is not installed; pip install {name}, or leave --peer out")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
