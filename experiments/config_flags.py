"""The flags that set hyperparameters, and how they become a config."""

import dataclasses
from collections.abc import Collection, Sequence

from absl import flags

from wgan_vgg.config import PRESETS, Config, not_taken, override, preset
from wgan_vgg.config.networks import CRITICS, GENERATORS
from wgan_vgg.errors import InputError


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag that sets a value of the config, parsed as the type of that: the value's key, and the flag's help."""

    key: str
    help: str


DATA_FLAGS = {
    "image_size": Flag("data.image_size", "side in pixels to which slices are resized; 0 keeps their own"),
    "num_train": Flag("data.num_train", "training slices; 0 takes all"),
    "num_validation": Flag("data.num_validation", "validation slices; 0 takes all"),
    "num_test": Flag("data.num_test", "test slices; 0 takes all"),
    "noise_std": Flag("data.noise_std", "standard deviation of the gaussian noise, images being in [0, 1]"),
    "noise_variance": Flag("data.noise_variance", "variance of the gaussian noise, instead of --noise_std"),
    "noise": Flag(
        "data.noise",
        "gaussian, poisson, observations (LoDoPaB's stored sinograms), modelled (learnt from noisy images), "
        "none (real low-dose scans)",
    ),
    "photons": Flag(
        "data.photons",
        "mean count of an unattenuated ray at full projections, for noise=poisson and --write_observations; "
        "several, with commas: a data set of all these doses",
    ),
    "projection_coarseness": Flag(
        "data.projection_coarseness", "subsampling factor of LoDoPaB's 1000 angles and 513 detectors, at the same dose"
    ),
    "reconstruction_filter": Flag("data.reconstruction_filter", "of the filtered backprojection: ram-lak or hann"),
    "train_parts": Flag(
        "data.train_parts", "LoDoPaB's parts that training slices are taken from: train, validation, test, with commas"
    ),
    "validation_parts": Flag(
        "data.validation_parts",
        "LoDoPaB's parts that validation slices are taken from; may be training's, whose patients are then held out",
    ),
    "test_parts": Flag("data.test_parts", "LoDoPaB's parts that test slices are taken from"),
}
PREPARE_FLAGS = {
    "patch_size": Flag(
        "data.patch_size",
        "DICOM: side of patches, of which test records are then made too; 0: whole slices, of which "
        "training takes patches",
    ),
    "dose": Flag(
        "data.dose",
        "with noise=poisson, of slices as they are: a share of their own dose, by adding noise; give --photons, "
        "then those of the normal dose",
    ),
    "electronic_noise": Flag(
        "data.electronic_noise", "with dose: standard deviation of a ray's electronic noise, in counts"
    ),
}
TRAINING_FLAGS = {
    "generator": Flag(
        "generator.name", f"the denoising network: {', '.join(GENERATORS)}; with its own settings unless they are given"
    ),
    "critic": Flag("critic.name", f"the critic's network: {', '.join(CRITICS)}"),
    "epochs": Flag("training.epochs", "passes of generator updates over the training images"),
    "steps": Flag("training.steps", "generator updates instead of epochs"),
    "batch_size": Flag("training.batch_size", "images per batch, over all replicas"),
    "init_from": Flag("training.init_from", "begin with the weights of a run, of a file, or pretrained:NAME"),
    "critic_steps": Flag("training.critic_steps", "critic updates per generator update"),
    "generator_lr": Flag("optimizer.generator_lr", "Adam's learning rate for the generator"),
    "critic_lr": Flag("optimizer.critic_lr", "Adam's learning rate for the critic"),
    "content_weight": Flag(
        "loss.content_weight", "weight of the MSE or VGG loss beside the adversarial one (lambda_1)"
    ),
    "gradient_penalty_weight": Flag("loss.gradient_penalty_weight", "weight of the gradient penalty (lambda)"),
    "vgg_weights": Flag(
        "vgg.weights", "imagenet (downloaded once), random, or a file: Keras no-top .h5, vgg19.npy, torchvision's"
    ),
    "precision": Flag(
        "training.precision",
        "of the convolutions: float32, or bfloat16 or float16 with weights, losses and Adam in float32",
    ),
    "xla": Flag("training.xla", "true: compile the gradients by XLA, which takes a minute or so; for GPUs"),
    "schedule": Flag(
        "optimizer.schedule", "of the learning rates: constant, cosine, or step with --set=optimizer.decay_epochs=N"
    ),
    "warmup_steps": Flag("optimizer.warmup_steps", "steps in which the learning rates rise from 0"),
    "critic_warmup_steps": Flag("training.critic_warmup_steps", "critic updates before the first step"),
    "ema_decay": Flag(
        "training.ema_decay", "of a moving average of the generator's weights, kept beside them; 0: none"
    ),
    "best_metric": Flag(
        "training.best_metric", "by which checkpoints/best is chosen: validation/psnr, validation/ssim, train/mse ..."
    ),
    "early_stopping_epochs": Flag(
        "training.early_stopping_epochs", "the run ends when best_metric has not improved for this many epochs"
    ),
    "checkpoint_steps": Flag(
        "training.checkpoint_steps", "steps between checkpoints, besides the one at each evaluation"
    ),
    "evaluation_steps": Flag(
        "training.evaluation_steps",
        "between two evaluations; if the preset names none, an epoch or 200 steps, whichever is longer",
    ),
    "patches_per_image": Flag("input.patches_per_image", "patches of each image in one pass over the data"),
    "memory_gb": Flag(
        "input.memory_gb",
        "a training split that takes less is held in memory; of a larger one patches are read from the disk",
    ),
}
_FLAGS = DATA_FLAGS | PREPARE_FLAGS | TRAINING_FLAGS


def define_config(values: flags.FlagValues, names: Sequence[str]) -> None:
    """Defines --preset, --seed, --set and the named hyperparameter flags."""
    flags.DEFINE_string("preset", "report", f"starting values: {', '.join(PRESETS)}", flag_values=values)
    flags.DEFINE_string("seed", None, "decides everything random", flag_values=values)
    flags.DEFINE_multi_string("set", [], "any other value, as --set=section.field=value", flag_values=values)
    for name in names:
        flags.DEFINE_string(name, None, f"{_FLAGS[name].help} (default: the preset's)", flag_values=values)


def read_config(values: flags.FlagValues) -> Config:
    """The preset with the given flags and --set values; errors as read_overrides."""
    return override(preset(values.preset), read_overrides(values))


def read_overrides(values: flags.FlagValues, forbidden_section: str = "") -> dict[str, str]:
    """The given flags and --set values by their keys.

    Raises:
      InputError: a key twice, no key and value, or one of the forbidden section.
    """
    overrides: dict[str, str] = {}
    given = [("seed", values.seed)] if values.seed is not None else []
    for name, flag in _FLAGS.items():
        if name in values and values[name].value is not None:
            given.append((flag.key, values[name].value))
    for text in values.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set={text}: expected section.field=value")
        given.append((key.strip(), value.strip()))
    for key, value in given:
        if str(value).startswith("--"):  # absl takes the next flag for the value
            raise InputError(f"{key}: {value} is another flag, no value; write --name=value")
        if key in ("model", "preset"):
            raise InputError(f"--set={key}={value}: give it as a flag, --{key}={value}, or with --models")
        if key in overrides:
            raise InputError(f"{key}: given twice, as {overrides[key]} and {value}")
        if forbidden_section and key.startswith(forbidden_section + "."):
            raise InputError(f"{key}={value}: the records decide it; prepare them with experiments.prepare")
        overrides[key] = value
    return overrides


def say_not_taken(config: Config, models: Sequence[str], given: Collection[str]) -> None:
    """Prints what of a preset's values for single models the given ones displace, see for_model."""
    for text in filter(None, (not_taken(config, name, given) for name in models)):
        print(text)
