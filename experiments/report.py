"""Tables, figures and report.html again, from a run directory or a reproduction alone.

python -m experiments.report --workdir=FOLDER
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.flags import required
from experiments.launch import launch, quiet_tensorflow


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string("workdir", None, "run directory, or a reproduction's folder", flag_values=values)
    flags.DEFINE_string("split", "test", "which evaluated split", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Writes them and says where."""
    (workdir,) = (Path(text) for text in required(values, "workdir"))
    quiet_tensorflow()
    from wgan_vgg.reporting.report import report
    from wgan_vgg.run_dir import ReportDir

    report(workdir, values.split)
    place = ReportDir(workdir)
    print(f"wrote {place.report_html}, {place.results_md} and {place.figures}")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
