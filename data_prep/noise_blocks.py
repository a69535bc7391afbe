"""Noise blocks: what smooth patches of noisy images are besides their mean (Chen et al. 2018, section 3.2).

"Image Blind Denoising with Generative Adversarial Network Based Noise Modeling", CVPR 2018. Where a patch of the
image shows one flat thing, the noise is all that it varies by; so noise is collected without any clean image.
"""

import dataclasses

import numpy as np

from data_prep.errors import InputError
from data_prep.rules import check_rules, setting

# How a block of unit noise is kept as an image in [0, 1]: .5 + block / SPREAD.
SPREAD = 8.0


@dataclasses.dataclass(frozen=True)
class Smoothness:
    """When a patch p with local patches q counts as smooth; the defaults are the paper's (section 3.2).

    |mean(q) - mean(p)| <= mean_tolerance * mean(p) and |var(q) - var(p)| <= variance_tolerance * var(p), for all q.
    In LoDoPaB-CT's images 0 is air, so that a tenth of the mean is about 100 HU in soft tissue.
    """

    block_side: int = setting(64, at_least=8)
    block_stride: int = setting(32, at_least=1)
    cell_side: int = setting(16, at_least=2)  # of the local patches, which do not overlap
    mean_tolerance: float = setting(0.1, above=0)
    variance_tolerance: float = setting(0.25, above=0)

    def __post_init__(self) -> None:
        check_rules(self)
        if self.block_side < 2 * self.cell_side:
            raise InputError(
                f"block_side={self.block_side}: must be at least twice cell_side={self.cell_side}, whose squares it is "
                "compared with"
            )

    def holds(self, block: np.ndarray) -> bool:
        """Whether a block (block_side, block_side) is smooth."""
        side = len(block) // self.cell_side
        cells = block[: side * self.cell_side, : side * self.cell_side].astype(np.float64)
        cells = cells.reshape(side, self.cell_side, side, self.cell_side)
        mean, variance = float(block.mean(dtype=np.float64)), float(block.var(dtype=np.float64))
        means, variances = cells.mean(axis=(1, 3)), cells.var(axis=(1, 3))
        return (
            variance > 0
            and bool(np.all(np.abs(means - mean) <= self.mean_tolerance * mean))
            and bool(np.all(np.abs(variances - variance) <= self.variance_tolerance * variance))
        )


def noise_blocks(image: np.ndarray, smoothness: Smoothness) -> list[np.ndarray]:
    """The smooth blocks of a noisy image (height, width), on a grid, minus their means: float32 (side, side) each."""
    side, stride = smoothness.block_side, smoothness.block_stride
    found = []
    for row in range(0, image.shape[0] - side + 1, stride):
        for column in range(0, image.shape[1] - side + 1, stride):
            block = image[row : row + side, column : column + side]
            if smoothness.holds(block):
                found.append((block - block.mean(dtype=np.float64)).astype(np.float32))
    return found
