"""The baselines by name: where each one is, and the grid that it is tuned on.

A new one is a function and one line here; see docs/extending.md. In figures it takes the next colour.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_prep.late_import import imported

if TYPE_CHECKING:
    from wgan_vgg.config.sections import EvaluationConfig

Grid = dict[str, Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Baseline:
    """One denoiser without training.

    Attributes:
      denoise: called as denoise(image, **parameters), maps float (height, width) to the same shape; or where it is,
        "module:function".
      axes: of the config and the noise's standard deviation, the values of each parameter.
      module: of the extra `baselines`, which it needs.
      kinds: of the config, the values of parameters without an order.
      ends: of a parameter, beyond which tuning does not widen its grid.
    """

    denoise: str | Callable[..., Any]
    axes: "Callable[[EvaluationConfig, float], Grid]"
    module: str | None = None
    kinds: "Callable[[EvaluationConfig], Grid]" = lambda _: {}
    ends: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def function(self) -> Callable[..., Any]:
        """`denoise`, imported."""
        function: Callable[..., Any] = imported(self.denoise)
        return function


def _times(noise: float, factors: Sequence[float]) -> tuple[float, ...]:
    return tuple(factor * noise for factor in factors)


# Where an input is no noisy copy of the truth (a min-max rescaled one), the widest filter is the best, and each further
# step of the bilateral's took 2.8 times as long.
_WIDEST = {"sigma_pixels": 10.0}
_HERE = "wgan_vgg.evaluation.baselines"
BASELINES = {
    "gaussian": Baseline(
        f"{_HERE}:gaussian", lambda config, _: {"sigma_pixels": config.gaussian_sigma_pixels}, ends=_WIDEST
    ),
    "tv": Baseline(f"{_HERE}:tv", lambda config, noise: {"weight": _times(noise, config.tv_weight)}),
    "non-local means": Baseline(
        f"{_HERE}:non_local_means",
        lambda config, noise: {"sigma": (noise,), "strength": _times(noise, config.nlm_strength)},
    ),
    "bilateral": Baseline(
        f"{_HERE}:bilateral",
        lambda config, noise: {
            "sigma": _times(noise, config.bilateral_sigma),
            "sigma_pixels": config.bilateral_sigma_pixels,
        },
        ends=_WIDEST,
    ),
    "wavelet": Baseline(
        f"{_HERE}:wavelet", lambda config, noise: {"sigma": _times(noise, config.wavelet_sigma)}, "pywt"
    ),
    "bm3d": Baseline(
        f"{_HERE}:bm3d",
        lambda config, noise: {"sigma": _times(noise, config.bm3d_sigma)},
        "bm3d",
        lambda config: {"fft_size": config.bm3d_fft_sizes},
    ),
}
