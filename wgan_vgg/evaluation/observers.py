"""Model observers: how well a lesion of known place and shape can be detected in noise and tissue.

Both weigh a square's pixels by a template and call the lesion present where the sum is high. The channelized Hotelling
observer sees a few bands of frequency, as the eye does, and knows how noise varies in them; the non-prewhitening one
takes the expected lesion itself as its template. Of both,
    d' = (mean with lesion - mean without) / sqrt(mean of the two variances)
(Barrett and Myers 2004, Foundations of Image Science, 13.2). A patient is evaluated by the template that the other
patients make, since an observer looks better than it is on what it has learnt from.
"""

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from wgan_vgg.evaluation.jackknife import interval
from wgan_vgg.evaluation.json_types import Bounded, DPrime, LesionResponses, Responses, Squares

CHO, NPW = "channelized Hotelling", "non-prewhitening"
# Sparse difference-of-gaussians channels of Abbey and Barrett 2001 (section 3.B), and one more of higher frequency:
# the first width in cycles/pixel, the ratio of each to the last, that of the two gaussians, and how many.
_FIRST_WIDTH, _RATIO, _WIDER, _CHANNELS = 0.015, 2.0, 2.0, 4
MIN_PATIENTS = 4


@functools.lru_cache(maxsize=4)
def channels(side: int) -> np.ndarray:
    """Templates of the channels (channels, side, side), each in the middle of its square; none sees the mean."""
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side)] * 2, indexing="ij"))
    widths = _FIRST_WIDTH * _RATIO ** np.arange(1, _CHANNELS + 1)
    bands = [np.exp(-0.5 * (frequency / (_WIDER * w)) ** 2) - np.exp(-0.5 * (frequency / w) ** 2) for w in widths]
    return np.stack([np.fft.fftshift(np.fft.ifft2(band).real) for band in bands])


def responses(
    present: np.ndarray, absent: np.ndarray, repeated: np.ndarray, patients: Sequence[str]
) -> LesionResponses | None:
    """Both observers' responses to squares with and without the lesion, in lesions: 1 is the difference it makes.

    Args:
      present, absent: (squares, side, side) with the same noise, so that their difference is the lesion as it is seen.
      repeated: the same places without lesion, with other noise.
      patients: of each square.

    Returns:
      By observer; None where there are fewer than MIN_PATIENTS patients, or the lesion leaves no trace at all.
    """
    names = list(dict.fromkeys(patients))
    if len(names) < MIN_PATIENTS:
        return None
    side = present.shape[-1]
    squares = [part - part.mean(axis=(1, 2), keepdims=True) for part in (present, absent, repeated)]
    seen = [np.einsum("nyx,cyx->nc", part, channels(side)) for part in squares]
    flat = [part.reshape(len(part), -1) for part in squares]
    of_patient = {name: np.array([patient == name for patient in patients]) for name in names}
    found: dict[str, dict[str, Squares]] = {CHO: {}, NPW: {}}
    for name, own in of_patient.items():
        for observer, parts, template in ((CHO, seen, _hotelling), (NPW, flat, _mean_difference)):
            weights = template(*(part[~own] for part in parts))
            if weights is None:
                return None
            present_, absent_, repeated_ = (part[own] @ weights for part in parts)
            others = float(np.mean(parts[1][~own] @ weights))  # what the observer takes for no lesion
            found[observer][name] = {
                "present": np.round(present_ - others, 5).tolist(),
                "absent": np.round(np.concatenate([absent_, repeated_]) - others, 5).tolist(),
            }
    return {**found}


def detectability(found: Mapping[str, Sequence[Responses]], reference: str, *, confidence: float) -> dict[str, DPrime]:
    """d' of each method by its observer's responses to one lesion, with jackknife intervals over patients.

    d' is no mean, so that a bootstrap's d' are biased upwards; the jackknife's Student interval is not. Of several
    seeds the mean d', whose error also has their spread. Simulated coverage of 95 %, one seed: 94 to 96 % at 8 to 24
    patients with 2 or 4 lesions each, d' 1 and 3, equal or different between patients.

    Args:
      found: by method, once for each seed.
      reference: the method that the others are compared with, patient by patient.
      confidence: of the intervals, in (0, 1).

    Returns:
      By method: `mean` (d'), `low`, `high`; `above_reference`: the same of the difference; and `false_calls`: the share
      of squares without lesion that are called one, their response being nearer to a lesion's.
    """
    values = {name: np.stack([_leaving_one_out(of_patients) for of_patients in seeds]) for name, seeds in found.items()}
    return {
        name: {
            **_estimate(value, confidence),
            "above_reference": _estimate(value - values[reference], confidence),
            "false_calls": float(np.mean([_false_calls(of_patients) for of_patients in found[name]])),
        }
        for name, value in values.items()
    }


def _false_calls(of_patients: Responses) -> float:
    return float(np.mean(np.concatenate([one["absent"] for one in of_patients.values()]) > 0.5))


def _hotelling(present: np.ndarray, absent: np.ndarray, repeated: np.ndarray) -> np.ndarray | None:
    """K^-1 s of channel outputs (squares, channels), K being the mean covariance of both classes; s -> 1."""
    signal = (present - absent).mean(axis=0)
    covariance = (np.cov(present.T) + np.cov(np.concatenate([absent, repeated]).T)) / 2
    # A denoiser may leave a band empty, and its covariance singular.
    covariance += np.eye(len(signal)) * 1e-6 * np.trace(covariance) / len(signal)
    if not np.any(signal) or not np.trace(covariance):
        return None
    weights = np.linalg.solve(covariance, signal)
    return weights / (weights @ signal)


def _mean_difference(present: np.ndarray, absent: np.ndarray, _: np.ndarray) -> np.ndarray | None:
    """The expected lesion, of squares (squares, pixels); s -> 1."""
    signal = (present - absent).mean(axis=0)
    return signal / (signal @ signal) if np.any(signal) else None


def _leaving_one_out(of_patients: Responses) -> np.ndarray:
    """d' of all patients, then without each of them: (1 + patients,)."""
    sums = np.array([_sums(values) for values in of_patients.values()])
    return _d_prime(np.vstack([sums.sum(axis=0), sums.sum(axis=0) - sums]))


def _estimate(values: np.ndarray, confidence: float) -> Bounded:
    """The mean over seeds of the first column, and its jackknife interval from the others: (seeds, 1 + patients)."""
    mean = float(values[:, 0].mean())
    low, high = interval(mean, values[:, 1:].mean(axis=0), confidence, values[:, 0])
    return {"mean": mean, "low": low, "high": high}


def _sums(values: Squares) -> list[float]:
    """Count, sum and sum of squares of both classes."""
    classes = map(np.array, (values["present"], values["absent"]))
    return [found for one in classes for found in (len(one), one.sum(), one @ one)]


def _d_prime(sums: np.ndarray) -> np.ndarray:
    """d' from sums (..., 6); 0 where both classes are equal."""
    counts, totals, squares = (sums[..., [part, part + 3]] for part in range(3))
    means = totals / counts
    variances = np.maximum(squares / counts - means**2, 0.0) * counts / np.maximum(counts - 1, 1)
    return (means[..., 0] - means[..., 1]) / np.sqrt(np.maximum(variances.mean(axis=-1), 1e-12))
