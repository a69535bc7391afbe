"""experiments.import_weights: files that are no generator, hostile ones, and mistakes."""

import pickle
import zipfile

import numpy as np
import pytest
from deployed import write_run
from foreign_files import (
    EXECUTED,
    Bomb,
    Pointers,
    convolutions,
    nested_in_itself,
    state_dict,
    write_pickled_npy,
)
from safetensors.numpy import save_file

from data_prep.errors import InputError
from wgan_vgg.exporters.import_weights import import_generator

PARTS = convolutions()


def legacy_bomb(path):
    path.write_bytes(pickle.dumps(Bomb(), protocol=2))


def zipped_bomb(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"net.0.weight": Bomb()}, protocol=2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


def compressed(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**24))


def saved_by_torch(path):
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'wgan-vgg[weights]')")
    content = nested_in_itself()
    first = content["items"]
    while isinstance(first[0], list):
        first = first[0]
    first[0] = torch.zeros(1)
    torch.save(content, path)


def number_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def saved(**tensors):
    return lambda path: save_file({name.replace("__", "."): value for name, value in tensors.items()}, path)


NAN = [(kernel, np.full_like(bias, np.nan)) for kernel, bias in PARTS]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (legacy_bomb, "not PyTorch weights and nothing else|needs torch"),
        (zipped_bomb, "not PyTorch weights and nothing else|needs torch"),
        (compressed, "compressed archive|needs torch"),
        (lambda path: write_pickled_npy(path, Bomb()), "it asks for"),
        (lambda path: write_pickled_npy(path, {"a": [np.zeros(3)], "b": Bomb()}), "it asks for"),
        (lambda path: write_pickled_npy(path, {"a": Pointers()}), "kernels: none"),
        (lambda path: write_pickled_npy(path, {"a": np.zeros(2, [("x", "f4")])}), "an array of V4"),
        (lambda path: write_pickled_npy(path, nested_in_itself()), "found 1 tensors"),
        (saved_by_torch, "found 1 tensors|needs torch"),
        (lambda path: path.write_text("no weights"), "neither safetensors nor"),
        (lambda path: path.write_bytes(b""), "neither safetensors nor"),
        (lambda path: path.write_bytes((99).to_bytes(8, "little") + b"{" + bytes(200)), "not readable as safetensors"),
        (number_array, "not a dict"),
        (
            saved(net__0__weight=np.zeros((64, 1, 3, 3), np.float32)),
            r"found 1 tensors, of which kernels: net.0.weight \(64",
        ),
        (saved(), "of which kernels: none"),
        (lambda path: save_file(state_dict(PARTS[:-1], "net.", 2), path), "1-32-...-32-1 channels"),
        (lambda path: save_file(state_dict(NAN, "net.", 2), path), "NaN or infinite weights"),
        (
            lambda path: save_file(state_dict(PARTS, "g.", 2) | state_dict(PARTS, "h.", 2), path),
            "2 of them, g.0.weight",
        ),
        (lambda path: save_file(state_dict(PARTS, "mine.", 2), path), "say whose it is with --layout=notebook"),
        # ldct-benchmark's bare state dict or an older export of this project; a newer one: neither is guessed.
        (lambda path: save_file(state_dict(PARTS, "net.", 2), path), r"--layout=.*ldct-benchmark\|original\|wgan-vgg"),
        (lambda path: save_file(state_dict(PARTS, "", 2), path), r"named 0.weight, .* --layout="),
        (
            lambda path: save_file(state_dict(PARTS, "model_state_dict.net.", 2), path),
            "named model_state_dict.net.0.weight, ",
        ),
    ],
)
def test_what_is_no_generator_is_refused_and_nothing_executed(tmp_path, write, message):
    write(tmp_path / "file")
    with pytest.raises(InputError, match=message) as caught:
        import_generator(tmp_path / "file", tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "file") in str(caught.value)
    assert not EXECUTED.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_bomb_does_go_off_where_nobody_takes_care():
    try:
        pickle.loads(pickle.dumps(Bomb()))
        assert EXECUTED.exists()
    finally:
        EXECUTED.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input=/nowhere"], "no such file"),
        (["--layout=mine"], "take one of notebook, ssinyu"),
        (["--layout=wgan-vgg"], "give the records it was trained on with --data_dir, or import"),
        (["--output_dir={root}"], "exists already; add --overwrite"),
        (["--layout=notebook", "--data_dir=/nowhere"], "leave it out"),
        (["--data_dir=/nowhere"], "no such folder"),
        (["--output_dir={root}", "--overwrite"], "which it would be made of, lies there"),
        (["--output_dir={root}/theirs", "--overwrite"], "holds something else"),
    ],
)
def test_mistakes_are_one_line(tmp_path, script, flags, message):
    save_file(state_dict(convolutions(2, 4), "generator.net.", 2), tmp_path / "w")
    write_run(tmp_path / "theirs")
    given = {"--input": str(tmp_path / "w"), "--output_dir": str(tmp_path / "run")}
    given |= dict(flag.format(root=tmp_path).partition("=")[::2] for flag in flags)
    status, out, err = script("import_weights", *(f"{key}={value}".rstrip("=") for key, value in given.items()))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert (tmp_path / "theirs" / "checkpoints" / "step-000000007.index").exists()
    assert message in err
