"""Heads on an exported page: every one opens offline, within the stated error."""

from __future__ import annotations

import re

import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.export._payload import islands

TEXT = "The capital of France is Paris, and the capital of Japan is Tokyo. Which one is larger?"
HOSTILE = "</script><img src=x onerror=alert(1)> 👩‍💻 今天\n\n\t'so' \"&amp;\" {{7*7}}"
OVERVIEW = ".liw-heads-overview canvas"
MATRIX = ".liw-heads-matrix canvas"
OPENED = f"{MATRIX}[data-missing='0']"
READOUT = ".liw-heads-open .liw-pinned"


@pytest.fixture
def show(offline, tmp_path):
    def open_page(widget, width=900, **more):
        page = offline(widget.to_html(tmp_path / "page.html", **more))
        page.set_viewport_size({"width": width, "height": 900})
        page.locator(OVERVIEW).wait_for()
        widget.close()
        return page

    return open_page


def weight_at(page, query, key):
    """Read a weight as a reader would: at the crosshair."""
    page.locator(MATRIX).focus()
    for name in ("PageUp", "Home", *["ArrowDown"] * query, *["ArrowRight"] * key):
        page.keyboard.press(name)
    page.locator(f"{READOUT}:has-text('weight')").wait_for()
    found = re.search(r"weight ([\d.]+)(?:e−(\d+))?", page.locator(READOUT).last.inner_text())
    return float(found[1]) * 10 ** -int(found[2] or 0)


@pytest.mark.parametrize("prompt", [TEXT, TEXT * 8], ids=["short", "long"])
def test_every_head_opens_with_the_weights_it_has(tiny_lm, show, tmp_path, prompt):
    widget = liw.attend(tiny_lm("llama", max_position_embeddings=512), prompt)
    whole = [[widget.record.weights(layer, head) for head in range(4)] for layer in range(2)]
    page = show(widget)
    (island,) = islands((tmp_path / "page.html").read_text())
    error = island["models"][0]["state"]["kept"][0]["error_max"]
    for layer in range(2):
        for head in range(4):
            page.locator(OVERVIEW).focus()
            page.keyboard.press("Home")
            for _ in range(layer):
                page.keyboard.press("ArrowRight")
            for _ in range(head):
                page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            page.locator(f"h3:has-text('Layer {layer}, head {head}')").wait_for()
            page.locator(OPENED).wait_for()
            shown = weight_at(page, 9, 4)
            assert shown == pytest.approx(float(whole[layer][head][9, 4]), rel=0.01, abs=error)


def test_what_was_left_out_is_said_and_the_rest_stays_usable(tiny_lm, show, tmp_path):
    widget = liw.attend(tiny_lm("llama", max_position_embeddings=512), TEXT * 6)
    widget.selected_heads = [(1, 2)]
    bare = widget.to_html(tmp_path / "bare.html", budget=0).stat().st_size
    page = show(widget, budget=bare + 9_000)
    (island,) = islands((tmp_path / "page.html").read_text())
    parts = island["models"][0]["state"]["kept"][0]["parts"]
    kept = {(one["layer"], one["head"] + i) for one in parts for i in range(one["heads"])}
    assert (1, 2) in kept
    assert len(kept) < 8
    page.locator(".liw-facts :text('heads are not in this file')").wait_for()
    page.locator(".liw-heads-shelf button").first.click()
    page.locator("h3:has-text('Layer 1, head 2')").wait_for()
    page.locator(OPENED).wait_for()
    assert page.locator(".liw-heads-problem").count() == 0
    for layer in range(2):
        for head in range(4):
            page.locator(OVERVIEW).focus()
            page.keyboard.press("Home")
            for key in [*["ArrowRight"] * layer, *["ArrowDown"] * head, "Enter"]:
                page.keyboard.press(key)
            page.locator(f"h3:has-text('Layer {layer}, head {head}')").wait_for()
            page.locator(OPENED).wait_for()  # answered, one way or the other
            left = page.locator(".liw-heads-problem:has-text('left out')").count() > 0
            assert left == ((layer, head) not in kept)


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1000)])
def test_no_accessibility_violation(tiny_lm, show, axe, scheme, width):
    widget = liw.attend(tiny_lm("llama"), TEXT, beside=TEXT[:40], selected=4, key=2)
    widget.selected_heads = [(1, 2), (0, 1)]
    page = show(widget, width)
    page.emulate_media(color_scheme=scheme)
    page.locator(f".liw[data-theme={scheme}]").first.wait_for()
    for fold in page.locator("summary").all():
        fold.click()
    for mode in ("Matrix", "Lines", "Text", "Compare", "Why here"):
        page.get_by_role("tab", name=mode).click()
        page.wait_for_timeout(300)
        assert axe(page, "html") == [], mode
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), mode


def test_cross_attention_and_an_image(tiny_lm, tiny_model, show):
    widget = liw.attend(tiny_lm("t5"), TEXT, stack="cross", mode="text")
    page = show(widget)
    attends = page.locator(".liw-heads-words").first
    assert "Is attended to" in page.locator(".liw-heads-text").inner_text()
    attends.locator("[data-index='0']").hover()
    page.locator(".liw-heads-words").last.locator("[data-kind=lowers]").first.wait_for()
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = liw.attend(tiny_model("vit"), {"pixel_values": pixels})
    row = seen.record.weights(0, 0, rows=3)[0]
    best = int(row.argmax())
    image = show(seen, overwrite=True)
    image.locator(OPENED).wait_for()
    assert weight_at(image, 3, best) == pytest.approx(float(row[best]), rel=0.01)
    assert "row 1, column 3" in image.locator(READOUT).last.inner_text()


def test_hostile_text_is_only_text(tiny_lm, show):
    widget = liw.attend(tiny_lm("llama"), HOSTILE, mode="text")
    page = show(widget, title=HOSTILE)
    words = page.locator(".liw-heads-words")
    words.locator("[data-index='0']").wait_for()
    shown = words.evaluate("e => [...e.querySelectorAll('[data-index]')].map(m => m.textContent)")
    assert "".join(shown).replace("␣", " ").replace("↵", "\n").replace("⇥", "\t") == HOSTILE
    assert page.locator(".liw img, .liw script").count() == 0
