"""When a run counts as collapsed: every split's output black, and not at the start."""

from training_runs import tiny

from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import trainer


def test_a_run_has_collapsed_once_all_splits_are_black_after_the_start(script, data_dir, tmp_path, monkeypatch):
    """Fails where the darkest split decides, or where a black start, which one step may mend, ends the run."""
    brightness = iter([(0.0, 0.0), (0.5, 0.0), (0.0, 0.0)])
    evaluate = trainer.Monitor.evaluate

    def evaluate_so(self):
        values = evaluate(self)
        values["train"]["brightness"], values["validation"]["brightness"] = next(brightness)
        return values

    monkeypatch.setattr(trainer.Monitor, "evaluate", evaluate_so)
    arguments = [flag for flag in tiny("generator-mse", data_dir, tmp_path) if not flag.startswith("--epochs")]
    assert script("train", *arguments, "--steps=5", "--evaluation_steps=1")[0] == 3
    assert [row["collapsed"] for row in RunDir(tmp_path).rows()] == [False, False, True]
