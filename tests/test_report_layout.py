"""report.html as Chromium lays it out: the figures' text, and tables that are wider than the screen."""

import itertools

import pytest

pytestmark = pytest.mark.browser

# Of each figure: the SVG's box, its texts' sizes in pixels of the screen, and their boxes.
TEXTS = """() => [...document.querySelectorAll('figure')].map((figure) => {
  const written = (kind) => [...figure.querySelectorAll(kind)].filter((text) => text.textContent.trim());
  const box = (element) => {
    const { left, top, right, bottom } = element.getBoundingClientRect();
    return [left, top, right, bottom];
  };
  const scale = (element) => Math.hypot(element.getScreenCTM().c, element.getScreenCTM().d);
  return {
    name: figure.id,
    frame: box(figure.querySelector('svg')),
    sizes: written('svg text, svg tspan').map((text) => parseFloat(getComputedStyle(text).fontSize) * scale(text)),
    texts: written('svg text').map((text) => [text.textContent, box(text)]),
  };
})"""
COVERED = """(th) => {
  const box = th.getBoundingClientRect();
  return document.elementFromPoint(box.right - 9, box.top + 9) !== th;
}"""


@pytest.mark.parametrize("width", [1280, 1100, 360])
def test_the_figures_text_is_of_one_size_whole_and_apart(opened, width):
    figures = opened(width).evaluate(TEXTS)
    assert len(figures) >= 11
    for figure in figures:
        assert 11.9 < min(figure["sizes"]) <= max(figure["sizes"]) < 13.1, figure["name"]
        left, top, right, bottom = figure["frame"]
        for text, box in figure["texts"]:
            assert left - 1 <= box[0] < box[2] <= right + 1, f"{figure['name']}: {text} is cut off"
            assert top - 1 <= box[1] < box[3] <= bottom + 1, f"{figure['name']}: {text} is cut off"
        for (one, a), (other, b) in itertools.combinations(figure["texts"], 2):
            across, along = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            assert across < 1 or along < 4, f"{figure['name']}: {one} lies on {other}"  # boxes have leading


def test_names_take_at_most_half_of_a_phones_table_and_methods_do_not_break(opened):
    page = opened(360)
    boxes = page.locator("main :not(details) > .scroller tbody th").evaluate_all(
        "cells => cells.map((cell) => [cell.textContent, cell.clientWidth, cell.closest('.scroll').clientWidth,"
        " cell.firstElementChild.getBoundingClientRect().height])"
    )
    assert {"noisy input", "generator-mse", "VGG weights of the perceptual distance"} <= {box[0] for box in boxes}
    for name, width, frame, height in boxes:
        assert 30 < width < frame / 2, name
        assert name not in ("noisy input", "generator-mse") or height < 30, f"{name} on two lines"


def test_tables_keep_their_first_column_and_show_that_there_is_more(opened):
    page = opened(360)
    frame = page.locator("#summary .scroll").first
    frame.scroll_into_view_if_needed()
    name, cell = frame.locator("tbody th").first, frame.locator("tbody td").first
    at_right = "element => getComputedStyle(element.parentElement, '::after')"
    at_left = "element => getComputedStyle(element, '::after')"

    def shown():
        page.wait_for_timeout(300)  # cues fade
        cues = float(name.evaluate(f"{at_left}.opacity")), float(frame.evaluate(f"{at_right}.opacity"))
        return cues, name.bounding_box()["x"]

    for element, cue in ((name, at_left), (frame, at_right)):
        assert element.evaluate(f"{cue}.backgroundImage").startswith("linear-gradient")
        assert float(element.evaluate(f"{cue}.width").removesuffix("px")) > 10
    cues, left = shown()
    assert cues == (0, 1)
    assert frame.get_attribute("tabindex") == "0"
    before = cell.bounding_box()["x"]
    frame.evaluate("element => element.scrollTo(60, 0)")
    assert shown() == ((1, 1), left), "pinned, with more on both sides"
    assert cell.bounding_box()["x"] == pytest.approx(before - 60, abs=1)
    assert not name.evaluate(COVERED), "the pinned column lies above the others"
    frame.evaluate("element => element.scrollTo(element.scrollWidth, 0)")
    assert shown() == ((1, 0), left), "at the end there is no more at the right"
    wide = opened(1280).locator("#summary .scroll").first
    assert float(wide.evaluate(f"{at_right}.opacity")) == 0, "nothing is hidden"
    assert wide.get_attribute("tabindex") is None
