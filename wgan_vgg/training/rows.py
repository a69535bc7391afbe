"""What the rows of metrics.jsonl say of a run: whether it has ended, which was best, whether it is behind its input."""

from collections.abc import Mapping, Sequence

from wgan_vgg.json_types import EpochRow
from wgan_vgg.run_dir import held_out_split


def has_ended(row: EpochRow, total: int) -> bool:
    """Whether the row of metrics.jsonl is a run's last."""
    return row["collapsed"] or row["stopped_early"] or row["step"] >= total


def best_row(rows: Sequence[EpochRow], metric: str) -> EpochRow:
    """The row, the earliest of equals, with the highest PSNR or SSIM, or the lowest error, as "split/metric" says."""
    split, name = metric.split("/")
    sign = -1.0 if name == "mse" else 1.0
    return max((row for row in rows if split in row), key=lambda row: sign * row[split][name])


def behind_since(
    rows: Sequence[EpochRow],
    step: int,
    values: Mapping[str, Mapping[str, float]],
    input_psnr: Mapping[str, float],
) -> int | None:
    """The step since which the generator is worse than its own input on held-out images; None where it is not.

    Args:
      rows: those before.
      step, values: of this evaluation.
      input_psnr: of the low-dose images, by split.
    """
    split = held_out_split(values)
    if values[split]["psnr"] >= input_psnr[split]:
        return None
    before = rows[-1].get("behind_input_since") if rows else None
    return step if before is None else before
