"""report.html in headless Chromium: the slider moves, windows change pixels, sorting sorts, nothing complains."""

import csv

import numpy as np
import pytest

from wgan_vgg.evaluation.samples import load_samples
from wgan_vgg.run_dir import RunDir

pytestmark = pytest.mark.browser

SIDE = 32  # pixels of the slices, see conftest.reproduction
PIXELS = "() => [...byId('canvas').getContext('2d').getImageData(0, 0, 32, 32).data].filter((_, i) => i % 4 === 0)"


def shown(page):
    return np.array(page.evaluate(PIXELS)).reshape(SIDE, SIDE)


def full(run):
    """Level and width of the range of all slices' truth, rounded outwards to 10 HU."""
    hu = 4072.001 * load_samples(run, "test")["normal_dose"].astype(float) - 1001.001
    low, high = 10 * np.floor(hu.min() / 10), 10 * np.ceil(hu.max() / 10)
    return (low + high) / 2, high - low


def grey(run, kind, index, level, width):
    """What a radiologist's window makes of a slice, 0 to 255."""
    hu = 4072.001 * load_samples(run, "test")[kind][index].astype(float) - 1001.001
    return np.clip((np.rint(hu) - level) / width + 0.5, 0, 1) * 255


def test_the_slider_divides_left_from_right(opened, reproduction):
    page, run = opened(), RunDir(reproduction / "wgan-mse")
    left, right = grey(run, "low_dose", 0, *full(run)), grey(run, "denoised", 0, *full(run))
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 9)
    assert abs(int(page.locator("#split").input_value()) - 25) <= 1
    np.testing.assert_allclose(shown(page)[:, :8], left[:, :8], atol=1)
    np.testing.assert_allclose(shown(page)[:, 9:], right[:, 9:], atol=1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 9)
    page.mouse.up()
    np.testing.assert_allclose(shown(page)[:, :23], left[:, :23], atol=1)
    assert "column 24, row 0: noisy input" in page.locator("#readout").inner_text()
    assert abs(left - right).max() > 20
    page.locator("#split").focus()
    page.keyboard.press("Home")
    np.testing.assert_allclose(shown(page), right, atol=1)
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert page.locator("#split").input_value() == "10"
    assert page.locator("#divider").evaluate("element => element.style.left") == "10%"
    assert page.locator(".frame").evaluate("element => getComputedStyle(element).outlineStyle") == "solid"


def test_windows_by_button_by_keyboard_and_by_number(opened, reproduction):
    page, run = opened(), RunDir(reproduction / "wgan-mse")
    page.locator("#left").select_option(label="normal dose")
    page.locator("#split").fill("100")
    np.testing.assert_allclose(shown(page), grey(run, "normal_dose", 0, *full(run)), atol=1)
    page.get_by_role("button", name="bone").click()
    np.testing.assert_allclose(shown(page), grey(run, "normal_dose", 0, 400, 1800), atol=1)
    assert page.get_by_role("button", name="bone").get_attribute("aria-pressed") == "true"
    assert page.get_by_role("button", name="full").get_attribute("aria-pressed") == "false"
    page.get_by_role("button", name="lung", exact=True).focus()
    page.keyboard.press("Enter")
    lung = grey(run, "normal_dose", 0, -600, 1500)
    np.testing.assert_allclose(shown(page), lung, atol=1)
    assert (page.locator("#level").input_value(), page.locator("#width").input_value()) == ("-600", "1500")
    page.get_by_label("Level HU").fill("100")
    page.get_by_label("Width HU").fill("700")
    page.keyboard.press("Tab")
    np.testing.assert_allclose(shown(page), grey(run, "normal_dose", 0, 100, 700), atol=1)
    assert abs(shown(page) - lung).max() > 20
    assert page.locator('#windows [aria-pressed="true"]').count() == 0


def test_pickers_of_slice_and_method(opened, reproduction):
    page, run = opened(), RunDir(reproduction / "generator-mse")
    samples = load_samples(run, "test")
    assert page.locator("#slice option").count() == len(samples["position"])
    page.locator("#slice").select_option(index=3)
    page.locator("#right").select_option(label="generator-mse")
    page.locator("#split").fill("0")
    np.testing.assert_allclose(shown(page), grey(run, "denoised", 3, *full(run)), atol=1)
    place = {"patient_id": str(samples["patient_id"][3]), "slice_index": str(samples["slice_index"][3])}
    row = next(row for row in rows(run) if row.items() >= (place | {"method": "generator-mse"}).items())
    assert page.locator("#right-quality").inner_text().startswith(f"{float(row['psnr']):.2f} dB")


def test_sorting_by_click_and_by_keyboard(opened, reproduction):
    page, run = opened(), RunDir(reproduction / "wgan-mse")
    expected = sorted(float(row["psnr"]) for row in rows(run) if row["method"] == "wgan-mse")
    header = page.locator("#image-head th", has_text="PSNR dB").first

    def column():
        return [float(cell) for cell in page.locator("#image-body tr td:nth-child(4)").all_inner_texts()]

    assert column() != pytest.approx(expected, abs=0.006)
    header.locator("button").click()
    assert column() == pytest.approx(expected, abs=0.006)
    assert header.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert column() == pytest.approx(expected[::-1], abs=0.006)
    assert header.get_attribute("aria-sort") == "descending"
    page.locator("#method").select_option("all methods")
    assert page.locator("#image-body tr").count() == 30
    page.get_by_role("button", name="Show all 60 rows").click()
    assert page.locator("#image-body tr").count() == 60
    page.locator("#image-head button", has_text="patient").click()
    assert page.locator("#image-body th").all_inner_texts() == sorted(["10", "11", "12", "13"] * 15)


def test_a_row_opens_its_slice(opened):
    page = opened()
    page.locator("#method").select_option("generator-mse")
    button = page.locator("#image-body .view").nth(2)
    label = button.get_attribute("aria-label")
    button.click()
    assert page.locator("#right-name").inner_text() == "generator-mse"
    patient = page.locator("#slice option:checked").inner_text().removeprefix("patient ").split(", slice ")
    assert label.startswith(f"slice {patient[1]} of patient {patient[0]}, ")


@pytest.mark.parametrize("width", [1280, 360])
def test_no_page_is_wider_than_the_screen_and_dark_is_dark(opened, width):
    brightness = {}
    for scheme in ("light", "dark"):
        page = opened(width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        colours = page.evaluate(
            "[document.body, document.querySelector('#figure4 svg text')].map((element, i) =>"
            " getComputedStyle(element)[i ? 'fill' : 'backgroundColor'])"
        )
        brightness[scheme] = [sum(map(float, colour[4:-1].split(","))) / 3 for colour in colours]
    assert brightness["light"][0] > 200 > 100 > brightness["dark"][0]
    assert brightness["dark"][1] > 180 > 80 > brightness["light"][1], "the figures' text as well"


def test_all_of_it_is_reached_by_keyboard(opened):
    page = opened()
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    controls = {"split", "slice", "left", "right", "level", "width", "bone", "method", "PSNR dB"}
    assert controls <= reached


def rows(run):
    return list(csv.DictReader(run.eval_csv("test").read_text().splitlines()))
