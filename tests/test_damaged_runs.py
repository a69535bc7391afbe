"""Runs whose files were damaged, lost or half written: what goes on, and what is refused."""

from training_runs import files_with_times, tiny, without_times

from wgan_vgg.checkpoint_reader import checkpoint_prefixes
from wgan_vgg.run_dir import RunDir


def test_a_damaged_checkpoint_falls_back_and_says_so(script, data_dir, tmp_path, caplog):
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path))[0] == 0
    whole = RunDir(tmp_path).rows()
    newest = checkpoint_prefixes(tmp_path / "checkpoints")[-1]
    data = newest.with_name(newest.name + ".data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:1000])
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path))[0] == 0
    assert "falling back" in caplog.text
    assert newest.with_name(f"damaged-{newest.name}.index").exists()
    assert without_times(RunDir(tmp_path).rows()) == without_times(whole)


def test_no_readable_checkpoint_is_never_a_silent_new_start(script, data_dir, tmp_path):
    assert script("train", *tiny("generator-mse", data_dir, tmp_path))[0] == 0
    RunDir(tmp_path).write_rows(RunDir(tmp_path).rows()[:-1])
    for index in (tmp_path / "checkpoints").glob("*.index"):
        index.unlink()
    status, _, err = script("train", *tiny("generator-mse", data_dir, tmp_path))
    assert status == 2
    assert "no checkpoint there can be read" in err


def test_checkpoints_without_a_config_are_not_taken_for_a_new_run(script, data_dir, tmp_path):
    # An old run's weights went on under any rate.
    arguments = tiny("generator-mse", data_dir, tmp_path)
    assert script("train", *arguments)[0] == 0
    RunDir(tmp_path).config.unlink()
    before = files_with_times(tmp_path)
    status, out, err = script("train", *arguments, "--generator_lr=0.5")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "has checkpoints and no config.json" in err
    assert files_with_times(tmp_path) == before


def test_killed_while_the_first_checkpoint_was_written_it_begins_again(script, data_dir, tmp_path):
    arguments = tiny("generator-mse", data_dir, tmp_path, "--epochs=1")
    assert script("train", *arguments)[0] == 0
    whole = RunDir(tmp_path).rows()
    for index in (tmp_path / "checkpoints").glob("*.index"):
        index.unlink()
    RunDir(tmp_path).write_rows(whole[:1])
    (tmp_path / "checkpoints" / "partial").mkdir()
    (tmp_path / "checkpoints" / "partial" / "step-000000000.index").write_text("half")
    assert script("train", *arguments)[0] == 0
    assert without_times(RunDir(tmp_path).rows()) == without_times(whole)
