"""Views of several jobs and of many texts on an exported page: linked, by keyboard, for all."""

from __future__ import annotations

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.results.attribution import Attribution, ModelInfo
from llm_interp_widgets.results.neighbourhood import Neighbourhood
from llm_interp_widgets.text.tokens import Token

WORDS = "the plot is dull but both actors are wonderful </script> in it".split()


def attribution(words=WORDS, outputs=("positive",), method="shapley", seed=0, **more):
    rng = np.random.default_rng(seed)
    tokens, at = [], 0
    for i, word in enumerate(words):
        text = word if i == 0 else f" {word}"
        tokens.append(Token(text, i, at, at + len(text), position=i))
        at += len(text)
    n, m = len(words), len(outputs)
    scores = rng.normal(size=(m, n))
    given = {
        "scores": scores, "inputs": tuple(tokens), "base_values": np.zeros(m),
        "outputs": tuple(Token(t, i, at, at, position=n + i) for i, t in enumerate(outputs)),
        "output_values": scores.sum(1), "completeness_gap": np.zeros(m),
        "standard_error": np.full((m, n), 0.2), "method": method, "title": method.title(),
        "target": outputs[0], "unit": "log_prob", "prompt": "".join(t.text for t in tokens),
        "model": ModelInfo("m", None, "float32", "cpu"), "seed": seed, "seconds": 1.0,
        "evaluations": 100, "converged": True,
    }  # fmt: skip
    return Attribution(**given | more)


def written():
    return attribution(outputs=(" so", " I", " liked", " it"))


def lime():
    rng = np.random.default_rng(1)
    masks = rng.random((300, len(WORDS))) > 0.4
    masks[0] = True
    slopes = rng.normal(size=(2, len(WORDS)))
    values = masks @ slopes.T + rng.normal(scale=0.5, size=(300, 2))
    seen = Neighbourhood(masks, values, masks.mean(1), np.zeros(2))
    return attribution(
        outputs=("no", "yes"), method="lime", scores=slopes, neighbourhood=seen,
        fit=np.array([0.86, 0.3]), additive=False, unit="logit", converged=None,
    )  # fmt: skip


def many():
    rng = np.random.default_rng(2)
    return [attribution(list(rng.choice(WORDS, 9)), seed=i, unit="logit") for i in range(80)]


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


def test_the_matrix_zooms_and_pans(show):
    page = show(liw.generation(written()))
    canvas = page.locator(".liw-matrix canvas")
    before = canvas.evaluate("e => e.toDataURL()")
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(150)  # drawn in an effect after the next frame
    zoomed = canvas.evaluate("e => e.toDataURL()")
    assert zoomed != before
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 90, steps=4)
    page.mouse.up()
    page.mouse.move(0, 0)
    page.wait_for_timeout(150)
    assert canvas.evaluate("e => e.toDataURL()") not in (before, zoomed)
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


@pytest.mark.parametrize("width", [1000, 360])
def test_no_accessibility_violation(show, axe, width):
    page = show(
        liw.generation(written()), liw.compare([attribution(seed=i) for i in range(3)]),
        liw.lime(lime(), output=1), liw.beeswarm(many(), least=2), liw.bar(many()),
    )  # fmt: skip
    page.set_viewport_size({"width": width, "height": 800})
    for fold in page.locator("summary").all():
        fold.click()
    page.locator(".liw-lime-scatter").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".liw-bee-box canvas").last.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.locator(f".liw[data-theme={scheme}]").first.wait_for()
        page.wait_for_timeout(200)
        assert axe(page, "html") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
