"""Every hyperparameter, and the five presets. Nothing else in the project holds one.

Sources, as cited beside the values:
  report    "Final Project Report: Low-Dose CT Image Denoising" (Mbouwe, Mehdaoui, Zeddoun), by section
  paper     Yang et al., IEEE TMI 37, 1348-1357 (2018), arXiv:1708.00961
  notebook  the report's authors' own code, github.com/Ryosaeba8/DLMI
  TF1 repo  github.com/hyeongyuy/CT-WGAN_VGG_tensorflow, from which the report says it started
Where the report is silent the paper completes it, and the comment says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from data_prep.errors import InputError
from wgan_vgg import config_rules, config_values


@dataclass(frozen=True)
class ModelSpec:
    """One row of the report's Table 1: which terms a model's generator loss has."""

    adversarial: bool
    content: str | None  # "mse", "vgg" or None


MODELS = {
    "generator-mse": ModelSpec(adversarial=False, content="mse"),
    "generator-vgg": ModelSpec(adversarial=False, content="vgg"),
    "wgan": ModelSpec(adversarial=True, content=None),  # the paper's plain WGAN; not in the report
    "wgan-mse": ModelSpec(adversarial=True, content="mse"),
    "wgan-vgg": ModelSpec(adversarial=True, content="vgg"),
}
REPORT_MODELS = ("generator-mse", "generator-vgg", "wgan-mse", "wgan-vgg")


@dataclass(frozen=True)
class DataConfig:
    """How `experiments.prepare` makes records; a run takes these values from its data's manifest."""

    image_size: int = 64  # report 6.2: "downsized to the shape (64 x 64)"; 0 keeps the slices' own size
    num_train: int = 6272  # report 6.1; 0 takes all
    num_test: int = 640  # report 6.1
    num_validation: int = 640  # the report has none; as many as for test
    train_parts: tuple[str, ...] = ("train",)  # LoDoPaB's own parts
    test_parts: tuple[str, ...] = ("test",)
    validation_parts: tuple[str, ...] = ("validation",)  # may be those of training, whose patients are then held out
    selection: str = "patients"  # "patients", or "files" as in the notebook, where patients leak
    patient_ids_per_part: bool = False  # True where every part counts its patients anew; LoDoPaB counts through all
    # Report 6.1: "a centered gaussian noise". "poisson": simulated counts, reconstructed; "observations": LoDoPaB's
    # stored sinograms, reconstructed; "none": the source has low-dose scans of its own.
    noise: str = "gaussian"
    noise_std: float | None = None  # in units of the [0, 1] image
    noise_variance: float | None = 0.015  # report 6.1: "with a variance of 0.015", taken at its word
    shared_noise_field: bool = False  # notebook: the same field in every image
    rescale_low_dose: bool = False  # notebook: the noisy input alone is min-max rescaled
    photons: float = 4096.0  # LoDoPaB-CT: mean count of an unattenuated ray (noise "poisson")
    projection_coarseness: int = 1  # 1 of so many of LoDoPaB's 1000 angles and 513 detectors
    reconstruction_filter: str = "hann"  # of the filtered backprojection: "ram-lak" or "hann"
    shards: int = 8


@dataclass(frozen=True)
class PhantomConfig:
    """The synthetic patients that stand in for LoDoPaB-CT offline."""

    train_patients: int = 16
    validation_patients: int = 4
    test_patients: int = 12  # so many that a paired test over patients can tell: 2^-11 at least
    min_slices: int = 8
    max_slices: int = 10


MIN_EVALUATION_STEPS = 200  # between two evaluations, where an epoch is shorter and the config names no interval


@dataclass(frozen=True)
class InputConfig:
    """What training takes of each record; evaluation always sees whole images."""

    patch_size: int = 0  # side of the square patch; 0 takes the whole image, as the report does
    crop: str = "random"  # "random", anew in each pass, or "centre"
    flips: bool = False  # random mirrorings, left-right and up-down
    patches_per_image: int = 1  # in one pass over the data, which is an epoch


@dataclass(frozen=True)
class GeneratorConfig:
    """Report 5.1 and Figure 1: eight 3x3 convolutions, 32 filters and at last 1, a ReLU after each."""

    layers: int = 8
    filters: int = 32
    output_relu: bool = True  # report 5.1; ldct-benchmark's generator has none
    input_mean: float = 0.0  # the network works on (value - mean) / std, and its output is taken back; the report's
    input_std: float = 1.0  # and the paper's work on the value itself, ldct-benchmark's on such


@dataclass(frozen=True)
class CriticConfig:
    """Report 5.2 and Figure 2; slopes, padding and linear output from the TF1 repo and the paper."""

    filters: tuple[int, ...] = (64, 64, 128, 128, 256, 256)  # strides 1 and 2 by turns
    dense_units: int = 1024
    conv_slope: float = 0.2  # TF1 repo; the report names LeakyReLU without a slope
    dense_slope: float = 0.2
    padding: str = "same"  # "same", or "symmetric": one pixel on every side, as in the notebook (PyTorch)
    sigmoid_output: bool = False  # paper: the critic's output is linear


@dataclass(frozen=True)
class VggConfig:
    """Frozen VGG19 features; the report names no layer, the paper takes the 16th convolution."""

    layer: str = "block5_conv4"  # paper II-B: "the 16th convolutional layer"
    before_relu: bool = False
    mean_order: str = "bgr"  # the weights' own preprocessing; "rgb" subtracts Keras's means in the other order
    weights: str = "imagenet"  # "imagenet", "random" or a path


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms; a model without a critic has its content term alone, at weight 1."""

    gradient_penalty_weight: float = 10.0  # report 6.2: lambda = 10
    content_weight: float = 0.1  # report 6.2: lambda_1 = 0.1


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam for both networks, and how its rates change; durations are in steps or, instead, in epochs."""

    generator_lr: float = 1e-4  # report 6.2
    critic_lr: float = 1e-5  # report 6.2
    generator_betas: tuple[float, float] = (0.5, 0.9)  # paper, Algorithm 1; the report is silent
    critic_betas: tuple[float, float] = (0.5, 0.9)  # paper, Algorithm 1
    schedule: str = "constant"  # or "cosine" (to 0 at the run's end), "step" (times decay_factor, repeatedly)
    decay_steps: int | None = None  # between two drops of "step"
    decay_epochs: float | None = None
    decay_factor: float = 0.5
    warmup_steps: int | None = None  # the rates rise linearly from 0
    warmup_epochs: float | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """Length and order of the training. Of NAME_steps and NAME_epochs one at most is set; of the length exactly one."""

    batch_size: int = 32  # report 6.2; over all replicas together
    epochs: int | None = 100  # report 6.2; an epoch is one pass of generator updates over the data
    steps: int | None = None  # generator updates
    # Begin with the weights of a run, of a file or "pretrained:NAME"; in a reproduction also of one of its own models.
    init_from: str | None = None
    critic_steps: int = 4  # paper, Algorithm 1; the report says only "either D or G"
    fresh_critic_batches: bool = True  # paper, Algorithm 1; False: all on the generator's batch (notebook)
    evaluation_steps: int | None = None  # between two evaluations; by default an epoch or MIN_EVALUATION_STEPS
    evaluation_epochs: float | None = None
    monitored_splits: tuple[str, ...] = ("train", "validation")  # what each evaluation looks at
    eval_images: int = 16  # of each of them, spread evenly over it
    init_tries: int = 20  # report 6.2, note: "we just reset the generator till obtaining acceptable G(z)"
    init_mean_ratio: float = 0.1  # acceptable: mean G(z) >= this * mean z on the first batch
    collapse_ratio: float = 0.01  # a generator whose mean output falls below this * mean truth is dead
    collapse_steps: int | None = 50  # so is one whose output was all zero for so long on end
    collapse_epochs: float | None = None
    critic_warmup_steps: int | None = None  # critic updates before the first step (report 5.3)
    critic_warmup_epochs: float | None = None
    checkpoint_steps: int | None = None  # between two checkpoints, besides the one at each evaluation
    checkpoint_epochs: float | None = None
    best_metric: str = "validation/psnr"  # by which the best checkpoint is chosen; on test it would flatter the result
    early_stopping_steps: int | None = None  # the run ends when best_metric has not improved for so long
    early_stopping_epochs: float | None = None
    ema_decay: float = 0.0  # of a moving average of the generator's weights, kept beside them; 0: none
    precision: str = "float32"  # of the convolutions; with "bfloat16" weights, losses, norms and Adam stay float32
    xla: bool = False  # compile the gradients by XLA, which takes a minute; for GPUs


@dataclass(frozen=True)
class EvaluationConfig:
    """The metrics' free choices, and the grids from which each baseline is tuned on the validation split."""

    report_batch_size: int = 2  # notebook: PSNR and global SSIM over batches of 2
    # HU windows (metrics.WINDOWS) in which PSNR and SSIM are also computed.
    windows: tuple[str, ...] = ("soft_tissue", "lung")
    flat_regions: int = 8  # squares an image, for bias, standard deviation and noise texture
    flat_divisor: int = 16  # a square's side is the image's divided by this,
    flat_smallest_side: int = 8  # and at least so many pixels
    flat_min_hu: float = -300.0  # all of a square is above it: tissue; air is clipped, so it has no noise in the truth
    flat_max_step_hu: float = 50.0  # the highest step between tissues that a square may hold
    repeated_images: int = 24  # spread over the patients, scanned again where the low dose is simulated; 0: none
    # Discs put into them, all diameters with all contrasts, to be found by model observers.
    lesion_diameters_mm: tuple[float, ...] = (4.0, 8.0)
    lesion_contrasts_hu: tuple[float, ...] = (40.0, 80.0)
    lesions_per_image: int = 12  # at most
    lesion_max_step_hu: float = 150.0  # of the tissue around one
    # Where classes of contrast begin, each ending where the next one begins: muscle in fat, a rib, a lung's border.
    edge_contrasts_hu: tuple[float, ...] = (50.0, 200.0, 400.0)
    edges: int = 16  # of a class per image, the steepest isolated ones of the truth
    edge_reach: int = 5  # pixels on both sides
    perceptual: bool = True  # the distance in VGG features (vgg.weights)
    perceptual_layer: str = "block3_conv4"  # not the one that generator-vgg and wgan-vgg minimise
    perceptual_every: int = 1  # of so many images one has its distance computed, which takes longer than all else
    confidence: float = 0.95
    resamples: int = 2000  # of the bootstrap over patients
    sample_slices: int = 8  # spread over the patients, for the report's page; besides the most detailed one
    baselines: tuple[str, ...] = ("gaussian", "tv", "non-local means", "bilateral", "wavelet", "bm3d")
    tuning_images: int = 8  # of the validation split
    # Where the grids begin; they widen themselves. Multiples of the noise's standard deviation on those images, except
    # what says pixels.
    gaussian_sigma_pixels: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
    tv_weight: tuple[float, ...] = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
    nlm_strength: tuple[float, ...] = (0.4, 0.6, 0.8, 1.0, 1.2)
    bilateral_sigma: tuple[float, ...] = (1.5, 3.0, 6.0)
    bilateral_sigma_pixels: tuple[float, ...] = (1.0, 1.5, 2.5)
    wavelet_sigma: tuple[float, ...] = (0.5, 0.75, 1.0, 1.5, 2.0)
    bm3d_sigma: tuple[float, ...] = (1.6, 2.0, 2.5)
    # The side of its noise model: 8 is best on the noise of filtered backprojection, 16 on white noise. See baselines.
    bm3d_fft_sizes: tuple[int, ...] = (8, 16)


@dataclass(frozen=True)
class Config:
    """All that decides a run's result, together with the data and the machine.

    Raises:
      InputError: a value that is not allowed, or two spellings of one quantity.
    """

    preset: str = "report"
    model: str = "wgan-vgg"
    seed: int = 0
    data: DataConfig = DataConfig()
    phantoms: PhantomConfig = PhantomConfig()
    input: InputConfig = InputConfig()
    generator: GeneratorConfig = GeneratorConfig()
    critic: CriticConfig = CriticConfig()
    vgg: VggConfig = VggConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def __post_init__(self) -> None:
        config_rules.check(self, models=tuple(MODELS))

    @property
    def spec(self) -> ModelSpec:
        """The terms of this run's model."""
        return MODELS[self.model]

    def total_steps(self, num_train: int) -> int:
        """Generator updates of the whole run."""
        return self.in_steps("training.", num_train)

    def in_steps(self, name: str, num_train: int) -> int | None:
        """A duration in steps; the only place where epochs become steps.

        Args:
          name: what precedes `steps` and `epochs` in the duration's two keys, such as "training.checkpoint_".
          num_train: training images.

        Returns:
          At least 1, or None where neither key is set.
        """
        steps, epochs = (config_values.get(self, name + unit) for unit in ("steps", "epochs"))
        return steps if epochs is None else max(1, round(epochs * self.steps_per_epoch(num_train)))

    def steps_per_epoch(self, num_train: int) -> int:
        """Full batches in one pass over the training images (report: 6272 / 32 = 196), patches_per_image of each.

        Raises:
          InputError: fewer patches than one batch.
        """
        patches = num_train * self.input.patches_per_image
        if patches < self.training.batch_size:
            raise InputError(
                f"training.batch_size={self.training.batch_size}: the data has only {num_train} training images, of "
                f"input.patches_per_image={self.input.patches_per_image} each"
            )
        return patches // self.training.batch_size

    def evaluation_interval(self, num_train: int) -> int:
        """Steps between two evaluations of the run."""
        longer = max(self.steps_per_epoch(num_train), MIN_EVALUATION_STEPS)
        return self.in_steps("training.evaluation_", num_train) or longer

    def fitting(self, splits: Sequence[str]) -> "Config":
        """This config for data with these splits only: without a validation split, training is watched alone.

        Raises:
          InputError: none of the monitored splits is there.
        """
        training = self.training
        kept = tuple(split for split in training.monitored_splits if split in splits)
        if not kept:
            raise InputError(
                f"training.monitored_splits={','.join(training.monitored_splits)}: the data has {', '.join(splits)}; "
                "take some of these"
            )
        split, metric = training.best_metric.split("/")
        best = training.best_metric if split in kept else f"{kept[0]}/{metric}"
        return replace(self, training=replace(training, monitored_splits=kept, best_metric=best))


# The report's Figures 4 and 6 show the test split after every epoch; the best checkpoint is validation's all the same.
_REPORT = Config(
    training=TrainingConfig(evaluation_epochs=1, eval_images=64, monitored_splits=("train", "validation", "test")),
    # At pixels of 4 mm and noise of 500 HU nothing smaller or weaker is seen.
    evaluation=EvaluationConfig(
        repeated_images=96,
        lesion_diameters_mm=(8.0, 16.0),
        lesion_contrasts_hu=(400.0, 800.0),
        lesion_max_step_hu=400.0,
    ),
)
# Real low-dose scans, whole; training takes 64x64 patches (paper III-B; the TF1 repo draws them at random).
_ALL_WHOLE = replace(_REPORT.data, image_size=0, num_train=0, num_validation=0, num_test=0, noise_variance=None)
_PAIRED_SCANS = replace(_ALL_WHOLE, noise="none")
_PATCHES = InputConfig(patch_size=64)
_PAPER_TRAINING = TrainingConfig(batch_size=128)  # paper III-B: mini-batches of 128

PRESETS = {
    # The report's own experiment. reproduce --preset=report --source=lodopab --input_dir=...
    # Published (Table 3, SSIM / PSNR): .9967 / 37.871, .9901 / 33.325, .9856 / 31.521, .9941 / 35.654, which
    # its stated noise (variance .015: 18.24 dB) makes implausible and its code's (std .015: 36.48 dB) modest.
    "report": _REPORT,
    # What the report's authors ran (notebook), with its own choices where they differ from the report.
    # reproduce --preset=notebook --source=lodopab --input_dir=...; the published tables are this code's.
    "notebook": replace(
        _REPORT,
        preset="notebook",
        data=replace(
            _REPORT.data,
            train_parts=("validation", "test"),  # files 000-026 and 000-021
            validation_parts=(),
            test_parts=("test",),  # files 022-026
            selection="files",
            noise_std=0.015,  # normal(0, 0.015)
            noise_variance=None,
            shared_noise_field=True,  # the seed is reset for every item
            rescale_low_dose=True,
        ),
        critic=replace(_REPORT.critic, dense_slope=0.01, padding="symmetric", sigmoid_output=True),
        vgg=replace(_REPORT.vgg, before_relu=True, mean_order="rgb"),
        loss=replace(_REPORT.loss, content_weight=10.0),
        optimizer=replace(_REPORT.optimizer, generator_lr=1e-5, generator_betas=(0.5, 0.999)),
        training=replace(
            _REPORT.training,
            critic_steps=2,
            fresh_critic_batches=False,
            monitored_splits=("train", "test"),
            best_metric="train/psnr",
        ),
    ),
    # The paper on real quarter-dose scans, 64x64 patches. Needs paired DICOM data.
    "yang2018": replace(
        _REPORT,
        preset="yang2018",
        data=_PAIRED_SCANS,
        input=_PATCHES,
        optimizer=replace(_REPORT.optimizer, generator_lr=1e-5),  # paper, Algorithm 1: alpha = 1e-5 for both
        training=_PAPER_TRAINING,
    ),
    # The TF1 repo. Its bugs are named and not repeated: gradient norm over one axis instead of three, one
    # interpolation weight for a batch, VGG loss as the root of the batch's sum over the image's w*h*d.
    "original": replace(
        _REPORT,
        preset="original",
        data=_PAIRED_SCANS,
        input=_PATCHES,
        optimizer=replace(_REPORT.optimizer, generator_lr=1e-5),
        training=replace(_PAPER_TRAINING, epochs=None, steps=200_000),
    ),
    # What a CT laboratory runs first: LoDoPaB-CT's own slices, dose and geometry, reconstructed with a plain ramp, in
    # 64x64 patches. reproduce --preset=lodopab --source=lodopab --input_dir=...
    "lodopab": replace(
        _REPORT,
        preset="lodopab",
        data=replace(_ALL_WHOLE, noise="poisson", reconstruction_filter="ram-lak"),
        input=InputConfig(patch_size=64, flips=True, patches_per_image=8),
        optimizer=replace(_REPORT.optimizer, critic_lr=1e-4, schedule="cosine"),
        training=TrainingConfig(batch_size=16, epochs=None, steps=20_000),
        evaluation=EvaluationConfig(perceptual_every=3),
    ),
    # Phantoms on 2 CPU cores in minutes. The data protocol, the losses and the generator's rate are the report's;
    # training is 64 steps at batch 8, with one critic update a step and a critic rate at which the fragile
    # wgan-mse lives (at 2e-4 / 2e-4 its generator went black), and VGG has random weights, so that the demo
    # needs no network and is the same everywhere. reproduce --preset=demo; expected: see results.md of the run.
    "demo": replace(
        _REPORT,
        preset="demo",
        data=replace(_REPORT.data, num_train=128, num_validation=0, num_test=0, shards=2),
        vgg=replace(_REPORT.vgg, weights="random"),
        optimizer=replace(_REPORT.optimizer, critic_lr=5e-4),
        training=TrainingConfig(
            batch_size=8, epochs=None, steps=64, critic_steps=1, evaluation_epochs=1, init_from="generator-mse"
        ),
    ),
}


# What a preset takes for one model alone. A model without critic and VGG is so cheap that it can train for longer.
MODEL_VALUES = {
    "demo": {
        "generator-mse": {
            "training.steps": 1200,
            "training.evaluation_epochs": 10,
            "optimizer.generator_lr": 1e-3,
            "optimizer.schedule": "cosine",
        }
    },
    "lodopab": {"generator-mse": {"optimizer.generator_lr": 1e-3}},
}


# Keys of older runs; none decides anything of their training.
_REMOVED = ("evaluation.flat_max_gradient_hu", "evaluation.bm3d_fft_size")


def of_model(config: Config, name: str) -> Config:
    """The config of one model: with the preset's own values for it, unless one of these was set otherwise."""
    known, given = config_values.flatten(preset(config.preset)), config_values.flatten(config)
    values = MODEL_VALUES.get(config.preset, {}).get(name, {})
    untouched = all(given[key] == known[key] for key in values)
    return override(config, {"model": name} | (values if untouched else {}))


def preset(name: str) -> Config:
    """The preset of that name.

    Raises:
      InputError: no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"preset={name!r}: unknown; take one of {', '.join(PRESETS)}")
    return PRESETS[name]


def override(config: Config, values: Mapping[str, object]) -> Config:
    """A copy of `config` with "section.field" keys set; text is parsed as the field's type.

    Raises:
      InputError: an unknown key (the near ones are listed), a value that does not parse or is not allowed.
    """
    return config_values.override(config, config_rules.cleared_by(values) | dict(values))


def from_dict(values: Mapping[str, object]) -> Config:
    """The config that `config_values.to_dict` wrote as JSON, perhaps in an older version."""
    given = config_values.flatten_dict(values)
    return override(Config(preset=values["preset"]), {key: given[key] for key in given if key not in _REMOVED})
