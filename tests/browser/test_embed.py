"""Fragments on a page that someone else wrote: live, together, in the page's own light or dark."""

from __future__ import annotations

import mistune
import pytest

import llm_interp_widgets as liw

MATRIX = ".liw-heads-matrix canvas[data-missing='0']"
SITE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">
<title>T</title><style>
[data-theme=dark] body {{ background: #111; color: #eee; }} body {{ background: #fff; }}
</style></head><body><main><h1>A course</h1>{}</main></body></html>"""


@pytest.fixture
def show(offline, tmp_path):
    """Return ``show(body)``: a site's page with it, open, the network cut."""

    def run(body):
        path = tmp_path / "site.html"
        path.write_text(SITE.format(body), encoding="utf-8")
        return offline(path)

    return run


@pytest.fixture
def result(tiny_lm):
    return liw.attribute(
        tiny_lm("bert"), "The film is terrible", ["sad", "glad"], evaluations="all"
    )


def test_two_fragments_on_one_page(tiny_lm, result, show, axe):
    first = liw.embed([result, liw.waterfall(result)], title="First")
    heads = liw.attend(tiny_lm(), "The capital of France is Paris")
    second = liw.embed([liw.bar(result), result, heads], beside=first)
    assert len(str(second)) < 250_000
    # The one that needs what the other brings comes first, one fragment stands twice.
    places = "".join(f"<p>Words between.</p>{place}" for place in second.places)
    page = show(f"{second.script}{places}{first}{first}")
    page.locator(".liw").nth(6).wait_for()
    assert page.locator(".liw").count() == 7
    assert page.locator("[data-liw-view] > p").count() == 0
    page.locator(MATRIX).wait_for()
    page.get_by_role("radio", name="glad").first.check()
    page.get_by_role("heading", name="Why “glad”?").first.wait_for()
    assert page.evaluate("globalThis[Symbol.for('llm_interp_widgets')].size") == 6
    assert [v for v in axe(page, "main") if "landmark" not in v] == []
    heads.close()


def test_in_markdown(result, show):
    text = f"## A post\n\nBefore\n\n{liw.embed(result)}\n\n*After*\n"
    page = show(mistune.create_markdown(escape=False)(text))
    page.locator(".liw-text [data-index='1']").click()
    assert page.locator("[aria-selected=true]").count() == 1
    assert page.locator("em").inner_text() == "After"


def test_the_theme_follows_the_site(result, show):
    page = show(str(liw.embed(result)))
    page.locator(".liw[data-theme=light]").wait_for()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.locator(".liw[data-theme=dark]").wait_for()


def test_without_a_script_there_is_a_summary(result, new_context, tmp_path):
    path = tmp_path / "site.html"
    path.write_text(SITE.format(liw.embed(result)), encoding="utf-8")
    page = new_context(java_script_enabled=False).new_page()
    page.goto(path.as_uri())
    assert page.get_by_role("heading", name="Why “sad”?").is_visible()
    assert page.locator("table").first.is_visible()


def test_an_old_browser_says_so_and_keeps_the_summary(result, new_context, tmp_path):
    path = tmp_path / "site.html"
    path.write_text(SITE.format(liw.embed(result)), encoding="utf-8")
    page = new_context().new_page()
    page.add_init_script("delete globalThis.DecompressionStream")
    page.goto(path.as_uri())
    page.get_by_text("This browser is too old to unpack this page.").wait_for()
    assert page.get_by_role("heading", name="Why “sad”?").is_visible()
