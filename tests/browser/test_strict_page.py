"""A page under a strict content security policy: nothing is refused, and everything works.

The policy is tried as the page carries it, and as a server would send it.
"""

from __future__ import annotations

import html
import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.export import render_page, write_page

REFUSED = """
  window.refused = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    window.refused.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
  });
"""
MATRIX = ".liw-heads-matrix canvas[data-missing='0']"


class Sender(BaseHTTPRequestHandler):
    """Sends one page with a policy in its header."""

    def __init__(self, content: bytes, policy: str, *rest) -> None:
        self.content, self.policy = content, policy
        super().__init__(*rest)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", self.policy)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_) -> None:
        """Say nothing."""


def policy_of(text: str) -> str:
    return html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])


@pytest.fixture(params=["in the page", "from the server"])
def visit(request, new_context, watch, tmp_path):
    """Return ``visit(html)``: the page, open, refusals counted; checked at the end."""
    context, pages, servers = new_context(accept_downloads=True), [], []

    def run(text: str):
        page = context.new_page()
        page.add_init_script(REFUSED)
        watch.follow(page)
        pages.append(page)
        if request.param == "in the page":
            page.goto(write_page(tmp_path / "page.html", text, overwrite=True).as_uri())
            return page
        bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        handler = partial(Sender, bare.encode(), policy_of(text))
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        watch.allow("favicon.ico")
        page.goto(f"http://127.0.0.1:{servers[-1].server_port}/")
        return page

    yield run
    for page in pages:
        assert page.evaluate("window.refused") == []
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_the_policy_forbids_is_counted(new_context, tmp_path):
    """The counter itself: a page whose style is not in its policy."""
    page = new_context().new_page()
    page.add_init_script(REFUSED)
    text = render_page([], "x", csp="strict").replace("margin: 0;", "margin: 1px;", 1)
    page.goto(write_page(tmp_path / "page.html", text).as_uri())
    assert len(page.evaluate("window.refused")) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_draws_and_answers(tiny_lm, visit, scheme):
    lm = tiny_lm("bert")
    texts = ["The film is terrible", "A terrible night and a cold day"]
    labels = ["sad", "glad"]
    results = [liw.attribute(lm, text, labels, evaluations=96) for text in texts]
    local = liw.attribute(lm, texts[0], labels, method="lime", evaluations=64)
    written = liw.generation(
        liw.attribute(tiny_lm(), "The capital of France", liw.Generate(3), method="occlusion")
    )
    compared = liw.compare(lm, texts[0], "sad", methods=["occlusion", "saliency"])
    widgets = [
        liw.TokenHighlighter.of(results[0]),
        *(make(results[0]) for make in (liw.waterfall, liw.force, liw.bar)),
        *(liw.lime(local), liw.beeswarm(results), written, compared),
    ]
    page = visit(render_page([one.view() for one in widgets], "All", csp="strict"))
    page.emulate_media(color_scheme=scheme)
    page.locator(".liw").nth(len(widgets) - 1).wait_for()
    page.locator(f".liw[data-theme={scheme}]").nth(len(widgets) - 1).wait_for()
    assert page.locator("[data-liw-view] > p").count() == 0
    assert page.locator("style").count() == 1
    padding = page.locator(".liw").first.evaluate("e => getComputedStyle(e).paddingTop")
    assert padding == "4px", "the view's own style sheet holds"
    tint = page.locator(
        ".liw-text [data-kind=raises] .liw-ink, .liw-text [data-kind=lowers] .liw-ink"
    )
    assert tint.first.evaluate("e => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"
    page.locator(".liw-text [data-index='1']").first.hover()
    page.locator(".liw-tip").first.wait_for()
    for fold in page.locator("summary").all():
        fold.click()
    page.get_by_role("radio", name="glad").first.check()
    page.get_by_role("heading", name="Why “glad”?").first.wait_for()


def test_pictures_are_copied(tiny_lm, visit):
    result = liw.attribute(tiny_lm(), "The capital of France", method="occlusion")
    page = visit(render_page([liw.TokenHighlighter.of(result).view()], "x", csp="strict"))
    page.locator(".liw").wait_for()
    page.evaluate("""() => {
      const refuse = async () => { throw new DOMException("refused", "NotAllowedError"); };
      Object.assign(navigator.clipboard ?? {}, { writeText: refuse, write: refuse });
    }""")
    for name, first in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as saved:
            page.get_by_role("button", name=f"Copy {name}").click()
        assert saved.value.path().read_bytes().startswith(first)


def test_heads_open(tiny_lm, visit, tmp_path):
    widget = liw.attend(tiny_lm(), "The capital of France is Paris, and that of Japan is Tokyo.")
    path = widget.to_html(tmp_path / "heads.html", csp="strict")
    page = visit(path.read_text())
    page.locator(MATRIX).wait_for()
    page.locator(".liw-heads-overview canvas").focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.locator("h3:has-text('Layer 1, head 1')").wait_for()
    page.locator(MATRIX).wait_for()
    for mode in ("Lines", "Text", "Compare"):
        page.get_by_role("tab", name=mode).click()
        page.wait_for_timeout(200)
    widget.close()
