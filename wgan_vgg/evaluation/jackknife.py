"""Jackknife intervals over patients: of what is no mean, and of which a bootstrap would be biased."""

from collections.abc import Sequence

import numpy as np
import scipy.stats


def interval(value: float, others: Sequence[float], confidence: float) -> tuple[float, float]:
    """Student's interval of a value of all patients, from its values without each of them (two patients or more)."""
    others = np.asarray(others)
    count = len(others)
    error = np.sqrt((count - 1) / count * np.sum((others - others.mean()) ** 2))
    reach = float(error * scipy.stats.t.ppf((1 + confidence) / 2, count - 1))
    return value - reach, value + reach
