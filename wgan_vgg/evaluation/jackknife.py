"""Jackknife intervals over patients: of what is no mean, and of which a bootstrap would be biased."""

from collections.abc import Sequence

import numpy as np
import scipy.stats

Values = Sequence[float] | np.ndarray


def interval(value: float, others: Values, confidence: float, of_seeds: Values = ()) -> tuple[float, float]:
    """Student's interval of a value of all patients, from its values without each of them (two patients or more).

    Args:
      value, others: of several trained networks their means.
      confidence: the interval's, in (0, 1).
      of_seeds: the value of each network; of two or more, their spread widens the interval.
    """
    left_out = np.asarray(others)
    count, networks = len(left_out), len(of_seeds)
    parts = [((count - 1) / count * float(np.sum((left_out - left_out.mean()) ** 2)), count - 1)]
    if networks > 1:
        parts.append((float(np.var(of_seeds, ddof=1)) / networks, networks - 1))
    variance = sum(part for part, _ in parts)
    if not variance:
        return value, value
    freedom = variance**2 / sum(part**2 / own for part, own in parts)  # Satterthwaite
    reach = float(np.sqrt(variance) * scipy.stats.t.ppf((1 + confidence) / 2, freedom))
    return value - reach, value + reach
