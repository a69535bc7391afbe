"""wgan_vgg.reporting.dose_tables: what stands in the tables against dose."""

from wgan_vgg.reporting import dose_tables


def test_baselines_that_are_best_at_some_dose_are_shown_and_no_others():
    estimate = {"mean": 30.0, "low": 29.0, "high": 31.0}
    methods = ("noisy input", "gaussian", "tv", "bm3d", "generator-mse")
    doses = [
        {
            "photons": photons,
            "baselines": ["gaussian", "tv", "bm3d"],
            "best_baseline": best,
            "confidence": 0.95,
            "psnr": dict.fromkeys(methods, estimate),
            "lesions": {},
        }
        for photons, best in ((100.0, "tv"), (400.0, "bm3d"))
    ]
    assert dose_tables.shown_methods(doses) == ["noisy input", "tv", "bm3d", "generator-mse"]
    markdown = dose_tables.dose_markdown(doses)
    assert "| tv            | 30.00 [29.00, 31.00] | 30.00 [29.00, 31.00] |" in markdown
    assert "the best in tuning: 100 photons tv; 400 photons bm3d." in markdown
    assert "d'" not in markdown
