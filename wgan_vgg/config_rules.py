"""What a config may say: which values, which ranges, which keys exclude each other. Holds no hyperparameter."""

from collections.abc import Mapping

from data_prep.errors import InputError
from wgan_vgg import config_values

# Two spellings of one quantity: overriding one clears the other, giving both is an error. One must be given ...
EXCLUSIVE = (("training.epochs", "training.steps"), ("data.noise_std", "data.noise_variance"))
# ... or none need be.
OPTIONAL = tuple(
    (f"{name}_epochs", f"{name}_steps")
    for name in (
        *("optimizer.warmup", "optimizer.decay", "training.critic_warmup", "training.checkpoint"),
        *("training.early_stopping", "training.collapse", "training.evaluation"),
    )
)
VGG_LAYERS = tuple(
    f"block{block}_{layer}"
    for block, convolutions in enumerate((2, 2, 4, 4, 4), start=1)
    for layer in (*(f"conv{number}" for number in range(1, convolutions + 1)), "pool")
)
SPLITS = ("train", "validation", "test")  # of records; also the names of LoDoPaB-CT's parts
LISTS = {
    "evaluation.windows": ("lung", "soft_tissue", "bone", "brain"),
    "evaluation.baselines": ("gaussian", "tv", "non-local means", "bilateral", "wavelet", "bm3d"),
    "evaluation.bm3d_fft_sizes": (8, 16, 32),
    "training.monitored_splits": SPLITS,
}
GRIDS = (
    *("evaluation.gaussian_sigma_pixels", "evaluation.tv_weight", "evaluation.nlm_strength"),
    *("evaluation.bilateral_sigma", "evaluation.bilateral_sigma_pixels", "evaluation.wavelet_sigma"),
    *("evaluation.bm3d_sigma", "evaluation.lesion_diameters_mm", "evaluation.lesion_contrasts_hu"),
    "evaluation.edge_contrasts_hu",
)
CHOICES = {
    "evaluation.perceptual_layer": VGG_LAYERS,
    "vgg.layer": VGG_LAYERS,
    "data.selection": ("patients", "files"),
    "data.noise": ("gaussian", "poisson", "observations", "none"),
    "data.reconstruction_filter": ("ram-lak", "hann"),
    "input.crop": ("random", "centre"),
    "critic.padding": ("same", "symmetric"),
    "vgg.mean_order": ("bgr", "rgb"),
    "optimizer.schedule": ("constant", "cosine", "step"),
    "training.precision": ("float32", "bfloat16"),
    "training.best_metric": tuple(f"{split}/{metric}" for split in SPLITS for metric in ("psnr", "ssim", "mse")),
}
NOT_NEGATIVE = (
    *(
        "seed",
        "input.patch_size",
        "data.image_size",
        "data.num_train",
        "data.num_validation",
        "data.num_test",
        "data.noise_std",
        "data.noise_variance",
        "evaluation.repeated_images",
        "evaluation.lesion_max_step_hu",
    ),
    *("loss.gradient_penalty_weight", "loss.content_weight", "optimizer.generator_lr", "optimizer.critic_lr"),
)
POSITIVE = (
    *("phantoms.train_patients", "phantoms.test_patients", "phantoms.min_slices", "phantoms.max_slices"),
    *("data.photons", "data.projection_coarseness"),
    *("data.shards", "generator.layers", "generator.filters", "critic.dense_units", "training.batch_size"),
    *("training.epochs", "training.steps", "training.critic_steps", "training.eval_images", "training.init_tries"),
    "input.patches_per_image",
    *(steps for _, steps in OPTIONAL),
    *("evaluation.report_batch_size", "evaluation.flat_regions", "evaluation.flat_divisor"),
    *("evaluation.flat_smallest_side", "evaluation.edges", "evaluation.edge_reach", "evaluation.resamples"),
    *(
        "evaluation.lesions_per_image",
        "evaluation.tuning_images",
        "evaluation.perceptual_every",
        "evaluation.sample_slices",
    ),
)


def check(config: object, models: tuple[str, ...]) -> None:
    """Raises InputError, naming the key, its value and the rule, unless `config` keeps every rule."""
    _check_choices(config, models)
    _check_durations(config)
    for network in ("generator", "critic"):
        key = f"optimizer.{network}_betas"
        if not all(0 <= beta < 1 for beta in config_values.get(config, key)):
            raise InputError(f"{key}={config_values.get(config, key)}: must be at least 0 and below 1")
    if not 0 <= config_values.get(config, "training.ema_decay") < 1:
        raise InputError(f"training.ema_decay={config_values.get(config, 'training.ema_decay')}: must be in [0, 1)")
    if not 0 < config_values.get(config, "generator.input_std") < float("inf"):
        raise InputError(f"generator.input_std={config_values.get(config, 'generator.input_std')}: must be above 0")
    if min(config_values.get(config, "critic.filters"), default=0) < 1:
        raise InputError(
            f"critic.filters={config_values.get(config, 'critic.filters')}: must be one or more, each >= 1"
        )
    for key, allowed in LISTS.items():
        for value in config_values.get(config, key):
            if value not in allowed:
                raise InputError(f"{key}={value}: unknown; take some of {', '.join(map(str, allowed))}")
    for key in GRIDS:
        if not min(config_values.get(config, key), default=0) > 0:
            raise InputError(f"{key}={config_values.get(config, key)}: must be one or more values above 0")
    contrasts = config_values.get(config, "evaluation.edge_contrasts_hu")
    if list(contrasts) != sorted(set(contrasts)):
        raise InputError(f"evaluation.edge_contrasts_hu={contrasts}: must rise, each class ends where the next begins")
    if not 0 < config_values.get(config, "evaluation.confidence") < 1:
        raise InputError(f"evaluation.confidence={config.evaluation.confidence}: must be between 0 and 1")
    for key in (*NOT_NEGATIVE, *POSITIVE):
        value, least = config_values.get(config, key), int(key in POSITIVE)
        if value is not None and not value >= least:  # not <, so that NaN fails too
            raise InputError(f"{key}={value}: must be at least {least}")


def _check_choices(config: object, models: tuple[str, ...]) -> None:
    if config_values.get(config, "training.precision") == "float16":
        raise InputError(
            "training.precision='float16': refused, its loss scaling looks at one replica only and lets infinite "
            "gradients into the weights of the others; take bfloat16"
        )
    for key, allowed in ({"model": models} | CHOICES).items():
        value = config_values.get(config, key)
        if value not in allowed:
            raise InputError(f"{key}={value!r}: unknown; take one of {', '.join(allowed)}")


def _check_durations(config: object) -> None:
    for first, second in (*EXCLUSIVE, *OPTIONAL):
        given = [key for key in (first, second) if config_values.get(config, key) is not None]
        most = not (first == "data.noise_std" and config_values.get(config, "data.noise") != "gaussian")
        least = most if (first, second) in EXCLUSIVE else 0
        if not least <= len(given) <= most:
            wanted = "exactly one" if least else "at most one" if most else "neither"
            raise InputError(f"{first} and {second} say the same thing: set {wanted}, got {given or 'none'}")
    for key, _ in OPTIONAL:
        value = config_values.get(config, key)
        if value is not None and not value > 0:
            raise InputError(f"{key}={value}: must be above 0")
    decay = [config_values.get(config, f"optimizer.decay_{unit}") for unit in ("epochs", "steps")]
    stepwise = config_values.get(config, "optimizer.schedule") == "step"
    if stepwise != (decay != [None, None]):
        raise InputError(
            "optimizer.schedule='step' needs optimizer.decay_steps or decay_epochs, and no other schedule takes them"
        )
    if not 0 < config_values.get(config, "optimizer.decay_factor") <= 1:
        raise InputError(
            f"optimizer.decay_factor={config_values.get(config, 'optimizer.decay_factor')}: must be in (0, 1]"
        )


def cleared_by(values: Mapping[str, object]) -> dict[str, None]:
    """The keys that overriding with `values` leaves without meaning: the other spelling, a noise without strength."""
    cleared = {
        other: None
        for pair in (*EXCLUSIVE, *OPTIONAL)
        for key, other in (pair, pair[::-1])
        if values.get(key) is not None and other not in values
    }
    if values.get("data.noise", "gaussian") != "gaussian":
        cleared |= {"data.noise_std": None, "data.noise_variance": None}
    return cleared
