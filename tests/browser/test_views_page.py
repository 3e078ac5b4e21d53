"""Views of several jobs and of many texts on an exported page: linked, by keyboard, for all."""

from __future__ import annotations

import numpy as np
import pytest
from made import WORDS, attribution, lime, many, written
from screen import settled

import llm_interp_widgets as liw


@pytest.fixture
def show(offline, tmp_path):
    def run(*widgets):
        page = offline(liw.save_html(tmp_path / "page.html", widgets))
        page.locator(".liw").nth(len(widgets) - 1).wait_for()
        return page

    return run


def test_highlighter_waterfall_and_matrix_are_linked(show):
    a = written()
    w = liw.TokenHighlighter.of(a)
    page = show(w, liw.waterfall(w), liw.generation(w), liw.bar(w))
    text = page.locator(".liw").nth(0)
    first, second = (int(i) for i in np.argsort(-abs(a.scores[0]))[:2])
    text.locator(f"[data-index='{first}']").hover()
    marked = page.locator("[data-looked]").evaluate_all("all => all.map(e => e.textContent)")
    assert len(marked) == 3  # waterfall, generation, bars
    assert all(WORDS[first] in words for words in marked)
    text.locator(f"[data-index='{second}']").click()
    page.mouse.move(0, 0)
    for line in page.locator(".liw-pinned").all():
        assert WORDS[second] in line.inner_text()
    page.locator(".liw-rank-row[aria-pressed=true]").click()  # released there, released everywhere
    assert text.locator("[aria-selected=true]").count() == 0
    matrix = page.locator(".liw-matrix canvas")
    matrix.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):  # second output, third piece
        page.keyboard.press(key)
    assert page.locator("h2").all_inner_texts() == ["Why “I”?"] * 4
    assert text.locator("[aria-selected=true]").inner_text().strip() == "is"


def test_a_span_of_written_tokens_by_keyboard(show):
    page = show(liw.generation(written()))
    page.locator("[role=listbox]").nth(1).locator("[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Enter")
    assert page.locator("h2").inner_text() == "Why “I liked”?"


def drawn_anew(canvas, *before):
    """Wait until a canvas shows none of these pictures; return what it shows."""
    canvas.page.wait_for_function(
        "([canvas, before]) => !before.includes(canvas.toDataURL())",
        arg=[canvas.element_handle(), before],
    )
    return canvas.evaluate("e => e.toDataURL()")


def test_the_matrix_zooms_and_pans(show):
    page = show(liw.generation(written()))
    canvas = page.locator(".liw-matrix canvas")
    before = canvas.evaluate("e => e.toDataURL()")
    page.get_by_role("button", name="Zoom in").click()
    zoomed = drawn_anew(canvas, before)
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 90, steps=4)
    page.mouse.up()
    page.mouse.move(0, 0)
    settled(page)  # the pointer's mark is a change, too
    drawn_anew(canvas, before, zoomed)
    assert page.locator("h2").inner_text() == "Why “so”?"  # a drag picks nothing


def test_a_comparison_by_keyboard(show):
    page = show(liw.compare([attribution(seed=i) for i in range(3)]))
    assert page.locator(".liw-cmp-line tbody tr").count() % 3 == 0
    page.locator(".liw-cmp-line button[tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert "“␣it”: seed 0" in page.locator(".liw-pinned").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("[aria-pressed=true]").count() == 0
    assert page.locator(".liw-cmp-rho td").first.is_visible()


def test_masked_texts_by_keyboard(show):
    page = show(liw.lime(lime(), output=1))
    assert "Caution" in page.locator(".liw-lime-fit").inner_text()
    page.locator(".liw-lime-scatter").focus()
    page.keyboard.press("ArrowRight")
    assert "Masked text 1" in page.locator(".liw-lime-sample").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator(".liw-lime-sample del").count() >= 1
    page.locator("summary").first.click()
    page.locator("tbody tr").nth(49).wait_for()
    assert page.locator("tbody tr").count() == 50
    page.get_by_role("button", name="Next").click()
    assert page.get_by_text("2 of 6").is_visible()


def test_many_texts_by_keyboard(show):
    page = show(liw.beeswarm(many()))
    page.locator(".liw-bee-box canvas").last.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    said = page.locator(".liw-bee .liw-pinned").inner_text()
    page.keyboard.press("Enter")
    number = page.locator(".liw-bee-text b").inner_text()
    assert f"in {number.lower()}:" in said
    page.get_by_role("button", name="Bars").click()
    assert page.locator(".liw-ranking li").count() >= 8


def test_pictures_are_made(show):
    page = show(liw.generation(written()), liw.compare([attribution(), attribution(seed=1)]),
                liw.lime(lime()), liw.beeswarm(many()))  # fmt: skip
    page.evaluate("""() => {
      const refuse = async () => { throw new DOMException("refused", "NotAllowedError"); };
      navigator.clipboard.writeText = refuse;
      navigator.clipboard.write = refuse;
    }""")
    for label, start in (("Copy SVG", b"<svg"), ("Copy PNG", b"\x89PNG")):
        for button in page.get_by_role("button", name=label).all():
            with page.expect_download() as saved:
                button.click()
            assert saved.value.path().read_bytes().startswith(start)
