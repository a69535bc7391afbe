"""Every hyperparameter, in sections, each with its rule beside it; those of the data are in data_prep.config.

Sources, as cited beside the values:
  report    "Final Project Report: Low-Dose CT Image Denoising" (Mbouwe, Mehdaoui, Zeddoun), by section
  paper     Yang et al., IEEE TMI 37, 1348-1357 (2018), arXiv:1708.00961
  notebook  the report's authors' own code, github.com/Ryosaeba8/DLMI
  TF1 repo  github.com/hyeongyuy/CT-WGAN_VGG_tensorflow, from which the report says it started
  author    github.com/yyqqss09/ldct_denoising, the code of the paper's first author
Where the report is silent the paper completes it, and the comment says so.
"""

import math
from dataclasses import dataclass

from data_prep.hu import WINDOWS
from data_prep.rules import setting
from wgan_vgg.config.baselines import BASELINES
from wgan_vgg.config.networks import CRITICS, GENERATORS, complete

SPLITS = ("train", "validation", "test")  # of records; also the names of LoDoPaB's parts
BEST_METRICS = tuple(f"{split}/{metric}" for split in SPLITS for metric in ("psnr", "ssim", "mse"))
VGG_LAYERS = tuple(
    f"block{block}_{layer}"
    for block, convolutions in enumerate((2, 2, 4, 4, 4), start=1)
    for layer in (*(f"conv{number}" for number in range(1, convolutions + 1)), "pool")
)


@dataclass(frozen=True)
class PhantomConfig:
    """The synthetic patients that stand in for LoDoPaB-CT offline."""

    train_patients: int = setting(16, at_least=1)
    validation_patients: int = setting(4, at_least=0)
    test_patients: int = setting(12, at_least=1)  # enough for a paired test over patients: p >= 2^-11
    min_slices: int = setting(8, at_least=1)
    max_slices: int = setting(10, at_least=1)


@dataclass(frozen=True)
class InputConfig:
    """What training takes of each record; evaluation always sees whole images."""

    patch_size: int = setting(0, at_least=0)  # side of the square patch; 0 takes the whole image, as the report does
    crop: str = setting("random", choices=("random", "centre"))  # "random", anew in each pass, or "centre"
    flips: bool = False  # random mirrorings, left-right and up-down
    patches_per_image: int = setting(1, at_least=1)  # in one pass over the data, which is an epoch
    # Changes no patch: a split whose images take less is held in memory; of a larger one patches are read when wanted.
    memory_gb: float = setting(4.0, at_least=0)


@dataclass(frozen=True)
class GeneratorConfig:
    """The denoiser, by name. A setting whose default is None is only some networks': networks.py has their values.

    Raises:
      InputError: an unknown network, or a setting that it does not have.
    """

    # Report 5.1 and Figure 1: eight 3x3 convolutions, 32 filters and at last 1, a ReLU after each
    name: str = "plain-cnn"
    layers: int | None = setting(None, at_least=1)
    filters: int | None = setting(None, at_least=1)
    use_bias: bool | None = None  # the first author's own code has none
    # "same", or "valid" as in the first author's own code: the convolutions take nothing from outside a training patch,
    # so that each loses one pixel at every border; a whole image is made larger first, and keeps its size.
    padding: str | None = setting(None, choices=("same", "valid"))
    output_relu: bool | None = None  # report 5.1; ldct-benchmark's generators have none
    input_mean: float = 0.0  # the network works on (value - mean) / std, and its output is taken back; the report's
    # And the paper's work on the value itself, ldct-benchmark's on such
    input_std: float = setting(1.0, above=0, below=math.inf)

    def __post_init__(self) -> None:
        complete(self, "generator.", GENERATORS)


@dataclass(frozen=True)
class CriticConfig:
    """The critic, by name; settings as of GeneratorConfig.

    Raises:
      InputError: an unknown network, or a setting that it does not have.
    """

    name: str = "report"  # report 5.2 and Figure 2
    filters: tuple[int, ...] | None = setting(None, at_least=1, some=True)  # of "report" strides are 1 and 2 by turns
    dense_units: int | None = setting(None, at_least=1)
    conv_slope: float | None = setting(None, at_least=0)  # of the leaky ReLUs
    dense_slope: float | None = setting(None, at_least=0)
    # "same", or "symmetric": one pixel on every side, as in the notebook (PyTorch)
    padding: str | None = setting(None, choices=("same", "symmetric"))
    sigmoid_output: bool | None = None  # paper: the critic's output is linear

    def __post_init__(self) -> None:
        complete(self, "critic.", CRITICS)


@dataclass(frozen=True)
class VggConfig:
    """Frozen VGG19 features; the report names no layer, the paper takes the 16th convolution."""

    layer: str = setting("block5_conv4", choices=VGG_LAYERS)  # paper II-B: "the 16th convolutional layer"
    before_relu: bool = False
    # The weights' own preprocessing; "rgb" subtracts Keras's means in the other order
    mean_order: str = setting("bgr", choices=("bgr", "rgb"))
    weights: str = "imagenet"  # "imagenet", "random" or a path


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms; a model without a critic has its content term alone, at weight 1."""

    gradient_penalty_weight: float = setting(10.0, at_least=0)  # report 6.2: lambda = 10
    content_weight: float = setting(0.1, at_least=0)  # report 6.2: lambda_1 = 0.1


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam for both networks, and how its rates change; durations are in steps or, instead, in epochs."""

    generator_lr: float = setting(1e-4, at_least=0)  # report 6.2
    critic_lr: float = setting(1e-5, at_least=0)  # report 6.2
    # Paper, Algorithm 1; the report is silent
    generator_betas: tuple[float, float] = setting((0.5, 0.9), at_least=0, below=1)
    critic_betas: tuple[float, float] = setting((0.5, 0.9), at_least=0, below=1)  # paper, Algorithm 1
    # Or "cosine" (to 0 at the run's end), "step" (times decay_factor, repeatedly)
    schedule: str = setting("constant", choices=("constant", "cosine", "step"))
    decay_steps: int | None = setting(None, at_least=1)  # between two drops of "step"
    decay_epochs: float | None = setting(None, above=0)
    decay_factor: float = setting(0.5, above=0, at_most=1)
    warmup_steps: int | None = setting(None, at_least=1)  # the rates rise linearly from 0
    warmup_epochs: float | None = setting(None, above=0)


@dataclass(frozen=True)
class TrainingConfig:
    """Length and order of the training. Of NAME_steps and NAME_epochs one at most is set; of the length exactly one."""

    batch_size: int = setting(32, at_least=1)  # report 6.2; over all replicas together
    epochs: int | None = setting(100, at_least=1)  # report 6.2; an epoch is one pass of generator updates over the data
    steps: int | None = setting(None, at_least=1)  # generator updates
    # Begin with the weights of a run, of a file or "pretrained:NAME"; in a reproduction also of one of its own models.
    init_from: str | None = None
    critic_steps: int = setting(4, at_least=1)  # paper, Algorithm 1; the report says only "either D or G"
    fresh_critic_batches: bool = True  # paper, Algorithm 1; False: all on the generator's batch (notebook)
    # Between two evaluations; by default an epoch or MIN_EVALUATION_STEPS
    evaluation_steps: int | None = setting(None, at_least=1)
    evaluation_epochs: float | None = setting(None, above=0)
    # What each evaluation looks at
    monitored_splits: tuple[str, ...] = setting(("train", "validation"), choices=SPLITS)
    eval_images: int = setting(16, at_least=1)  # of each of them, spread evenly over it
    # Report 6.2, note: "we just reset the generator till obtaining acceptable G(z)"
    init_tries: int = setting(20, at_least=1)
    init_mean_ratio: float = 0.1  # acceptable: mean G(z) >= this * mean z on the first batch
    collapse_ratio: float = 0.01  # a generator whose mean output falls below this * mean truth is dead
    collapse_steps: int | None = setting(
        50, at_least=1
    )  # so is one whose output was all zero for this many consecutive steps
    collapse_epochs: float | None = setting(None, above=0)
    critic_warmup_steps: int | None = setting(None, at_least=1)  # critic updates before the first step (report 5.3)
    critic_warmup_epochs: float | None = setting(None, above=0)
    # Between two checkpoints, besides the one at each evaluation
    checkpoint_steps: int | None = setting(None, at_least=1)
    checkpoint_epochs: float | None = setting(None, above=0)
    # By which the best checkpoint is chosen; on test it would flatter the result
    best_metric: str = setting("validation/psnr", choices=BEST_METRICS)
    # The run ends when best_metric has not improved for so long
    early_stopping_steps: int | None = setting(None, at_least=1)
    early_stopping_epochs: float | None = setting(None, above=0)
    # Of a moving average of the generator's weights, kept beside them; 0: none
    ema_decay: float = setting(0.0, at_least=0, below=1)
    # Of the convolutions; with "bfloat16" or "float16" weights, losses, norms and Adam stay float32
    precision: str = setting("float32", choices=("float32", "bfloat16", "float16"))
    xla: bool = False  # compile the gradients by XLA, which takes a minute; for GPUs


@dataclass(frozen=True)
class EvaluationConfig:
    """The metrics' free choices, and the grids from which each baseline is tuned on the validation split."""

    report_batch_size: int = setting(2, at_least=1)  # notebook: PSNR and global SSIM over batches of 2
    # HU windows (data_prep.hu.WINDOWS) in which PSNR and SSIM are also computed.
    windows: tuple[str, ...] = setting(("soft_tissue", "lung"), choices=tuple(WINDOWS))
    flat_regions: int = setting(8, at_least=1)  # squares per image, for bias, standard deviation and noise texture
    flat_divisor: int = setting(16, at_least=1)  # a square's side is the image's divided by this,
    flat_smallest_side: int = setting(8, at_least=1)  # and at least this many pixels
    flat_min_hu: float = -300.0  # all of a square is above it: tissue; air is clipped, so it has no noise in the truth
    flat_max_step_hu: float = 50.0  # the highest step between tissues that a square may hold
    # Spread over the patients, scanned again where the low dose is simulated; 0: none
    repeated_images: int = setting(24, at_least=0)
    # Discs put into them, all diameters with all contrasts, to be found by model observers.
    lesion_diameters_mm: tuple[float, ...] = setting((4.0, 8.0), above=0, some=True)
    lesion_contrasts_hu: tuple[float, ...] = setting((40.0, 80.0), above=0, some=True)
    lesions_per_image: int = setting(12, at_least=1)  # at most
    lesion_max_step_hu: float = setting(150.0, at_least=0)  # of the tissue around one
    # Where classes of contrast begin, each ending where the next one begins: muscle in fat, a rib, a lung's border.
    edge_contrasts_hu: tuple[float, ...] = setting((50.0, 200.0, 400.0), above=0, some=True)
    edges: int = setting(16, at_least=1)  # of a class per image, the steepest isolated ones of the truth
    edge_reach: int = setting(5, at_least=1)  # pixels on both sides
    perceptual: bool = True  # the distance in VGG features (vgg.weights)
    # Not the one that generator-vgg and wgan-vgg minimise
    perceptual_layer: str = setting("block3_conv4", choices=VGG_LAYERS)
    # One of this many images has that distance computed, which takes longer than all else.
    perceptual_every: int = setting(1, at_least=1)
    confidence: float = setting(0.95, above=0, below=1)
    resamples: int = setting(2000, at_least=1)  # of the bootstrap over patients
    # Spread over the patients, for the report's page; besides the most detailed one
    sample_slices: int = setting(8, at_least=1)
    baselines: tuple[str, ...] = setting(tuple(BASELINES), choices=BASELINES)
    tuning_images: int = setting(8, at_least=1)  # of the validation split
    # Where the grids begin; they widen themselves. Multiples of the noise's standard deviation on those images, except
    # what says pixels.
    gaussian_sigma_pixels: tuple[float, ...] = setting((0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0), above=0, some=True)
    tv_weight: tuple[float, ...] = setting((0.5, 0.75, 1.0, 1.5, 2.0, 3.0), above=0, some=True)
    nlm_strength: tuple[float, ...] = setting((0.4, 0.6, 0.8, 1.0, 1.2), above=0, some=True)
    bilateral_sigma: tuple[float, ...] = setting((1.5, 3.0, 6.0), above=0, some=True)
    bilateral_sigma_pixels: tuple[float, ...] = setting((1.0, 1.5, 2.5), above=0, some=True)
    wavelet_sigma: tuple[float, ...] = setting((0.5, 0.75, 1.0, 1.5, 2.0), above=0, some=True)
    bm3d_sigma: tuple[float, ...] = setting((1.6, 2.0, 2.5), above=0, some=True)
    # The side of its noise model: on validation 8 was best on the noise of filtered backprojection, 16 on white noise;
    # 32 is the package's own. See baselines.
    bm3d_fft_sizes: tuple[int, ...] = setting((8, 16), choices=(8, 16, 32), some=True)
