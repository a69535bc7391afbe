"""The presets: starting values by name. Sources as cited beside the values, see sections."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from wgan_vgg.config import durations, nested, networks
from wgan_vgg.config.schema import Config
from wgan_vgg.config.sections import EvaluationConfig, GeneratorConfig, InputConfig, LossConfig, TrainingConfig
from wgan_vgg.errors import InputError

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
_PAIRED_SCANS = replace(
    _REPORT.data, image_size=0, num_train=0, num_validation=0, num_test=0, noise="none", noise_variance=None
)
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
    # What the paper's first author ran (author: models.py, train_wgan.py, train_cnn.py), on real quarter-dose scans.
    # The loss is mean(-D(G(z))) + .1 * sum((G(z) - x)^2) / (2 * batch), the sum being over all pixels of the batch, or
    # over all features. In means instead of sums, that is a content weight of .1 / 2 * (pixels, or features, of one
    # image). Patches of 80x80 lose 8 pixels at each border, so that outputs and labels are 64x64 as in the paper (issue
    # 2: "the input size of the image made to a number that after CNN convolution the size matches the labels"): 64 * 64
    # pixels, or 4 * 4 * 512 features of conv5_4. Other patches need other weights. Without a critic the loss is the sum
    # alone, whose scale means nothing to Adam.
    # Its bug is named and not repeated: the norm in the gradient penalty runs over one of the image's axes. Critic,
    # VGG, betas, batches, epochs and 4 critic updates are the paper's. The starting weights are Glorot's there, and
    # He's here (see models/layers.py). The author believes he trained on HU of [-300, 300]
    # (issue 3): prepare --hu_window=-300,300.
    "yang2018-code": replace(
        _REPORT,
        preset="yang2018-code",
        data=_PAIRED_SCANS,
        input=InputConfig(patch_size=80),
        generator=GeneratorConfig(use_bias=False, padding="valid"),  # models.py, cnn_model
        loss=LossConfig(
            gradient_penalty_weight=1.0,  # none is there
            content_weight=0.1 / 2 * 4 * 4 * 512,  # VGG: 409.6; of wgan-mse see MODEL_VALUES
        ),
        optimizer=replace(_REPORT.optimizer, critic_lr=1e-4),  # 1e-4 for both
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
        data=replace(_PAIRED_SCANS, noise="poisson", reconstruction_filter="ram-lak"),
        input=InputConfig(patch_size=64, flips=True, patches_per_image=8),
        optimizer=replace(_REPORT.optimizer, critic_lr=1e-4, schedule="cosine"),
        # At 200 steps between evaluations of whole slices, generator-mse spent 14 % of its time in them.
        training=TrainingConfig(batch_size=16, epochs=None, steps=20_000, evaluation_steps=400),
        evaluation=EvaluationConfig(perceptual_every=3),
    ),
    # Phantoms on 2 CPU cores in minutes. The data protocol, the losses and the generator's rate are the report's;
    # training is 64 steps at batch 8, with one critic update per step and a critic rate at which the fragile
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
# At the rate of 1e-3 Adam's first steps turned one start of three (its output 3 times as bright as the truth) black for
# good; with a rate that rises, none.
_WARM: dict[str, object] = {"optimizer.generator_lr": 1e-3, "optimizer.warmup_steps": 50}
MODEL_VALUES: dict[str, dict[str, dict[str, object]]] = {
    "demo": {
        "generator-mse": {
            "training.steps": 1200,
            "training.evaluation_epochs": 10,
            "optimizer.schedule": "cosine",
            **_WARM,
        }
    },
    "lodopab": {"generator-mse": _WARM},
    "yang2018-code": {"wgan-mse": {"loss.content_weight": 0.1 / 2 * 64 * 64}},  # 204.8
}


# What a model takes in every preset, unless the preset has its own value for it. At the report's .1, which was chosen
# for other terms, nothing holds an unpaired model's output: see docs/relatives.md.
ANYWHERE = {name: {"loss.content_weight": 10.0} for name in ("unpaired-kl", "unpaired-wasserstein")}

# Keys of older runs; none decides anything of their training.
_REMOVED = ("evaluation.flat_max_gradient_hu", "evaluation.bm3d_fft_size")


def for_model(config: Config, name: str, given: Collection[str] = ()) -> Config:
    """The config of one model: with its own and the preset's values for it, unless one of these was set otherwise.

    Args:
      config: a preset, perhaps with other values.
      name: of the model.
      given: the keys that were set on purpose, even if to the preset's own values.
    """
    values, others = _own_values(config, name, given)
    return override(config, {"model": name} | ({} if others else values))


def not_taken(config: Config, name: str, given: Collection[str] = ()) -> str:
    """What a user should know of for_model: the preset's values for the model that are not taken; "" if all are."""
    values, others = _own_values(config, name, given)
    unused = ", ".join(f"{key}={value}" for key, value in values.items() if key not in others)
    named = ", ".join(key for key in others if key in given) or ", ".join(others)
    return f"{name}: since {named} was given, of the preset not taken: {unused}" if others and unused else ""


def _own_values(config: Config, name: str, given: Collection[str]) -> tuple[dict[str, object], list[str]]:
    """The preset's values for a model, and which of their keys, in either spelling of a duration, were set."""
    known, now = nested.flatten(preset(config.preset)), nested.flatten(config)
    values = ANYWHERE.get(name, {}) | MODEL_VALUES.get(config.preset, {}).get(name, {})
    spellings = {key.replace(one, other) for key in values for one, other in (("steps", "epochs"), ("epochs", "steps"))}
    keys = values.keys() | (spellings & known.keys())
    return values, sorted(key for key in keys if key in given or now[key] != known[key])


def preset(name: str, overrides: Mapping[str, object] | None = None) -> Config:
    """The preset of that name, perhaps with "section.field" keys overridden, such as {"training.steps": 100}.

    With a "model" among them it has that model's own values, too, see for_model.

    Raises:
      InputError: no such preset, or see override.
    """
    if name not in PRESETS:
        raise InputError(f"preset={name!r}: unknown; take one of {', '.join(PRESETS)}")
    config = override(PRESETS[name], overrides or {})
    return for_model(config, config.model, overrides) if overrides and "model" in overrides else config


def override(config: Config, values: Mapping[str, object]) -> Config:
    """A copy of `config` with "section.field" keys set; text is parsed as the field's type.

    Raises:
      InputError: an unknown key (the near ones are listed), a value that does not parse or is not allowed.
    """
    return nested.override(config, durations.cleared_by(values) | networks.cleared_by(config, values) | dict(values))


def from_dict(values: Mapping[str, Any]) -> Config:
    """The config that `nested.to_dict` wrote as JSON, perhaps in an older version."""
    given = nested.flatten_dict(values)
    return override(Config(preset=values["preset"]), {key: given[key] for key in given if key not in _REMOVED})
