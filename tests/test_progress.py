"""experiments.progress: lines where there is no terminal."""

from experiments import progress


def test_a_stage_that_begins_again_is_timed_anew(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    report = progress.Reporter()
    for second in range(0, 41, 20):
        now[0] = float(second)
        report("evaluate", 1 + second // 20, 4)
    now[0] = 1000.0
    report("evaluate", 1, 4)
    now[0] = 1020.0
    report("evaluate", 2, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "evaluate: 2/4, 20 s left",
        "evaluate: 3/4, 13 s left",
        "evaluate: 2/4, 20 s left",
    ]
