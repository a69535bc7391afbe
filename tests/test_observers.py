"""Repeated scans, inserted lesions and model observers against closed forms, each of which a wrong version misses."""

import itertools

import numpy as np
import pytest
import scipy.stats

from data_prep import repeated_scans
from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import lesions, observers
from wgan_vgg.evaluation.noise_texture import Spectra, texture_distances

CONFIG = EvaluationConfig()
SIDE = 25
SIGMA = 10.0


def squares(signal, *, noise=lambda n, rng: rng.normal(0, SIGMA, (n, SIDE, SIDE)), patients=30, each=20, shared=True):
    """present, absent, repeated and the patients of all squares."""
    rng = np.random.default_rng(0)
    count = patients * each
    first, second = noise(count, rng), noise(count, rng)
    present = first if shared else noise(count, rng)
    return present + signal, first, second, [str(i // each) for i in range(count)]


def d_prime(parts, observer):
    found = observers.detectability({"m": [observers.responses(*parts)[observer]]}, "m", confidence=0.95)
    return found["m"]["mean"]


def test_both_observers_in_white_noise():
    disc = 4.0 * lesions.disc(SIDE, 7.0)
    ideal = np.linalg.norm(disc - disc.mean()) / SIGMA
    # Of the signal's mean neither knows anything; with it the non-prewhitening one would be 5 % better.
    assert d_prime(squares(disc), observers.NPW) == pytest.approx(ideal, rel=0.05)
    seen = np.einsum("yx,cyx->c", disc, observers.channels(SIDE))
    shapes = observers.channels(SIDE).reshape(4, -1)
    hotelling = np.sqrt(seen @ np.linalg.solve(SIGMA**2 * shapes @ shapes.T, seen))
    assert d_prime(squares(disc), observers.CHO) == pytest.approx(hotelling, rel=0.05)
    assert 0.8 * ideal < hotelling < ideal


def test_the_hotelling_observer_undoes_correlation_and_the_other_does_not():
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE)] * 2, indexing="ij"))
    power = np.where(frequency < 0.1, 3.0, 0.5)  # low-frequency noise, as a denoiser leaves

    def noise(count, rng):
        white = np.fft.fft2(rng.normal(0, SIGMA, (count, SIDE, SIDE)))
        return np.fft.ifft2(white * np.sqrt(power)).real

    disc = 5.0 * lesions.disc(SIDE, 5.0)
    signal = np.abs(np.fft.fft2(disc - disc.mean())) ** 2 / SIDE**2
    expected = signal.sum() / np.sqrt((signal * power).sum()) / SIGMA
    assert d_prime(squares(disc, noise=noise), observers.NPW) == pytest.approx(expected, rel=0.07)
    assert d_prime(squares(disc, noise=noise), observers.CHO) > 1.05 * expected


def test_an_observer_is_not_judged_on_what_it_learnt_from():
    nothing = squares(0.0, patients=6, each=3, shared=False)
    # With the template of all squares at once it would see what is not there: d' of about 6.
    assert d_prime(nothing, observers.NPW) < 1.0
    present, absent, *_ = nothing
    template = (present - absent).mean(axis=0)
    sums = [np.einsum("nyx,yx->n", part, template) for part in (present, absent)]
    assert (sums[0].mean() - sums[1].mean()) / np.sqrt((sums[0].var() + sums[1].var()) / 2) > 4


def test_too_few_patients_and_a_lesion_without_a_trace_are_no_figure():
    disc = lesions.disc(SIDE, 5.0)
    assert observers.responses(*squares(disc, patients=3)) is None
    assert observers.responses(*squares(0.0)) is None
    assert observers.responses(*(0 * part for part in squares(disc)[:3]), squares(disc)[3]) is None


def test_false_calls_are_those_beyond_half_a_lesion():
    disc = 2.0 * lesions.disc(SIDE, 7.0)
    found = observers.detectability({"m": [observers.responses(*squares(disc))[observers.NPW]]}, "m", confidence=0.95)[
        "m"
    ]
    assert found["false_calls"] == pytest.approx(scipy.stats.norm.cdf(-found["mean"] / 2), abs=0.02)
    assert found["above_reference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_the_jackknife_of_a_mean_is_students_interval():
    sample = np.random.default_rng(1).normal(3, 2, 9)
    without = (sample.sum() - sample) / 8
    found = observers._estimate(np.array([[sample.mean(), *without]]), 0.95)
    expected = scipy.stats.t.interval(0.95, 8, sample.mean(), sample.std(ddof=1) / 3)
    assert (found["low"], found["high"]) == pytest.approx(expected)


def test_channels_lie_in_the_middle_and_see_no_mean():
    templates = observers.channels(SIDE)
    np.testing.assert_allclose(templates.sum(axis=(1, 2)), 0, atol=1e-12)
    for template in templates:
        assert np.unravel_index(np.argmax(template), template.shape) == (SIDE // 2, SIDE // 2)


@pytest.mark.parametrize("diameter", [2.0, 4.0, 7.3, 11.0])
def test_a_disc_covers_its_area_in_the_middle_of_its_square(diameter):
    disc = lesions.disc(33, diameter)
    assert disc.sum() == pytest.approx(np.pi * diameter**2 / 4, rel=0.1)
    np.testing.assert_array_equal(disc, disc[::-1, ::-1])  # not half a pixel off


def test_lesions_lie_in_their_squares_and_every_kind_comes():
    truth = np.full((200, 200), 40.0)
    side = lesions.roi_side(CONFIG, 0.7)
    assert side % 2 == 1
    assert side >= 3 * 8 / 0.7 - 1
    places = lesions.find_places(truth, CONFIG, side, first_kind=3)
    assert [place.kind for place in places[:3]] == [3, 0, 1]
    contrasts = np.stack([lesions.disc(side, k.diameter_mm / 0.7) * k.contrast_hu for k in lesions.kinds(CONFIG)])
    added = lesions.inserted(truth, places, contrasts) - truth
    for place in places:
        square = added[place.row : place.row + side, place.column : place.column + side]
        np.testing.assert_allclose(square, contrasts[place.kind])
        added[place.row : place.row + side, place.column : place.column + side] = 0
    assert not added.any()
    cut = lesions.cut(np.stack([truth, truth + 1]), [places, places[:2]], 0, side)
    assert cut.shape == (sum(p.kind == 0 for p in [*places, *places[:2]]), side, side)


def test_texture_of_small_squares_is_not_told():
    spectra = {side: Spectra() for side in (8, 16)}
    for side, one in spectra.items():
        one.add("p", np.random.default_rng(0).normal(size=(5, side, side)))
    assert texture_distances(spectra[8].by_patient(), spectra[8].by_patient()) == {"p": None}
    assert texture_distances(spectra[16].by_patient(), spectra[16].by_patient()) == {"p": 0.0}
    assert texture_distances(spectra[16].by_patient(), {}) == {"p": None}


MANIFEST = {
    "source": "lodopab",
    "image_shape": [64, 64],
    "pixel_spacing_mm": 260 / 64,
    "data": {
        "noise": "gaussian",
        "noise_std": None,
        "noise_variance": 0.015,
        "photons": 4096.0,
        "projection_coarseness": 4,
        "reconstruction_filter": "ram-lak",
        "shared_noise_field": False,
        "rescale_low_dose": False,
    },
}


def manifest(**settings):
    strength = {"noise_variance": None} if settings.get("noise") else {}
    return MANIFEST | {"data": MANIFEST["data"] | strength | settings}


def test_gaussian_scans_have_the_records_noise():
    image = np.full((64, 64), 0.3, np.float32)
    scan = repeated_scans.scanner(MANIFEST, "test")
    first, second = (scan(image, np.random.default_rng(seed)) for seed in (1, 2))
    assert np.std(first - image) == pytest.approx(np.sqrt(0.015), rel=0.05)
    assert np.std(first - second) == pytest.approx(np.sqrt(0.03), rel=0.05)


def test_steady_counts_are_quantiles_of_one_draw_each():
    mean = np.exp(np.random.default_rng(0).uniform(-9, 14, 20_000))
    probability = np.random.default_rng(1).random(mean.shape)
    probability[:4] = 0, 1e-12, 0.5, 1 - 1e-12
    expected = scipy.stats.poisson.ppf(probability, mean)
    np.testing.assert_array_equal(repeated_scans.poisson_quantile(probability, mean), np.maximum(expected, 0))


def test_a_changed_mean_changes_no_other_count():
    mean = np.full(5000, 30.0)
    changed = np.where(np.arange(5000) == 7, 40.0, mean)
    first, second = (repeated_scans.SteadyGenerator(np.random.PCG64(3)).poisson(part) for part in (mean, changed))
    assert np.flatnonzero(first != second).tolist() == [7]
    assert (first.mean(), first.var()) == (pytest.approx(30, rel=0.02), pytest.approx(30, rel=0.06))
    assert repeated_scans.SteadyGenerator(np.random.PCG64(3)).poisson(30.0, 5000).tolist() == first.tolist()


def test_poisson_scans_of_a_small_image_have_the_noise_of_a_whole_slice():
    y, x = np.mgrid[:362, :362] - 180.5
    body = np.where(np.hypot(x, y) < 120, 0.25, 0).astype(np.float32)
    from data_prep import low_dose

    whole = manifest(noise="poisson") | {"image_shape": [362, 362], "pixel_spacing_mm": 260 / 362}
    scanned = repeated_scans.scanner(whole, "test")(body, np.random.default_rng(0))
    small = low_dose.resized(body, 64)
    again = repeated_scans.scanner(manifest(noise="poisson"), "test")(small, np.random.default_rng(1))
    middle = (slice(24, 40), slice(24, 40))
    expected = np.std(low_dose.resized(scanned, 64)[middle])
    # Scanned as an image of 64 pixels, whose reconstruction is not averaged, it would be about twice as much.
    assert np.std(again[middle]) == pytest.approx(expected, rel=0.15)


def test_scans_count_as_their_records_did():
    """Records of earlier versions had LoDoPaB's photons per ray in coarser geometries too."""
    image = np.full((64, 64), 0.1, np.float32)
    noise = {}
    for factor, written in ((1, {}), (16, {"photon_factor": 16.0})):
        scan = repeated_scans.scanner(manifest(noise="poisson") | written, "test")
        one, other = (scan(image, np.random.default_rng(seed)) for seed in (1, 2))
        noise[factor] = np.std(one - other)
    assert noise[1] / noise[16] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(
    "changes",
    [{"shared_noise_field": True}, {"rescale_low_dose": True}, {"noise": "none"}],
    ids=str,
)
def test_what_cannot_be_scanned_again_is_not(changes):
    assert repeated_scans.scanner(manifest(**changes), "test") is None
    assert repeated_scans.scanner(MANIFEST | {"source": "dicom"}, "test") is None


def test_all_diameters_come_with_all_contrasts():
    found = [(kind.diameter_mm, kind.contrast_hu) for kind in lesions.kinds(CONFIG)]
    assert found == list(itertools.product((4.0, 8.0), (40.0, 80.0)))
