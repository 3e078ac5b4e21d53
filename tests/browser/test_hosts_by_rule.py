"""Hosts that cannot run here, by the rules they document: what they set, and what they take away.

VS Code sets ``--vscode-*`` on the document and its theme's kind on the body of the page that
holds a notebook's outputs; Colab sets ``theme`` on the document of an output's frame. GitHub
keeps a list of elements and attributes of an output's HTML and drops all styles; nbviewer keeps
all of the HTML.
"""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser

import pytest
from screen import FINISHED, SCORED

import llm_interp_widgets as liw
from llm_interp_widgets.export.snapshot import snapshot

TEXT = "The capital of France is"

# kind: ink, paper, focus as the themes that come with VS Code have them
VSCODE = {
    "vscode-light": ("rgb(59, 59, 59)", "rgb(255, 255, 255)", "rgb(0, 95, 184)", "light"),
    "vscode-dark": ("rgb(204, 204, 204)", "rgb(31, 31, 31)", "rgb(0, 120, 212)", "dark"),
    "vscode-high-contrast": ("rgb(255, 255, 255)", "rgb(0, 0, 0)", "rgb(243, 133, 24)", "dark"),
    "vscode-high-contrast-light": (
        "rgb(41, 41, 41)",
        "rgb(255, 255, 255)",
        "rgb(0, 107, 189)",
        "light",
    ),
}


@pytest.fixture
def view(tiny_lm):
    widget = liw.TokenHighlighter.of(liw.attribute(tiny_lm(), TEXT, method="occlusion"))
    yield widget
    widget.close()


@pytest.fixture
def page(view, offline, tmp_path):
    """The exported view on a page that is otherwise empty, for a host to dress."""
    page = offline(view.to_html(tmp_path / "page.html"))
    page.locator(SCORED).first.wait_for()
    page.evaluate(
        "() => document.querySelector('main').replaceWith(document.querySelector('.view'))"
    )
    page.add_style_tag(content="body { background: none !important; }")
    return page


def painted(page, name: str) -> str:
    """Return a custom property of the view as the colour that it paints."""
    return page.locator(".liw").evaluate(
        """(view, name) => {
          const probe = view.appendChild(document.createElement("i"));
          probe.style.color = `var(${name})`;
          const { color } = getComputedStyle(probe);
          probe.remove();
          return color;
        }""",
        name,
    )


@pytest.mark.parametrize("kind", VSCODE)
def test_vs_code_gives_its_colours_fonts_and_kind_of_theme(page, axe, kind):
    ink, paper, focus, theme = VSCODE[kind]
    page.emulate_media(color_scheme="dark" if theme == "light" else "light")  # must not matter
    page.evaluate(
        """([kind, ink, paper, focus]) => {
          const { style } = document.documentElement;
          style.setProperty("--vscode-editor-foreground", ink);
          style.setProperty("--vscode-editor-background", paper);
          style.setProperty("--vscode-focusBorder", focus);
          style.setProperty("--vscode-font-family", "Georgia");
          style.setProperty("background", paper);
          document.body.className = kind;
          document.body.dataset.vscodeThemeKind = kind;
        }""",
        [kind, ink, paper, focus],
    )
    page.locator(f".liw[data-theme={theme}]").wait_for()
    assert [painted(page, f"--liw-{name}") for name in ("ink", "paper", "focus")] == [
        ink,
        paper,
        focus,
    ]
    assert page.locator(".liw").evaluate("view => getComputedStyle(view).fontFamily") == "Georgia"
    assert axe(page, ".liw") == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colab_says_its_theme_on_the_document_of_a_frame_without_background(page, axe, theme):
    page.emulate_media(color_scheme="dark" if theme == "light" else "light")  # must not matter
    page.evaluate("theme => document.documentElement.setAttribute('theme', theme)", theme)
    page.locator(f".liw[data-theme={theme}]").wait_for()
    scheme = page.locator(".liw").evaluate("view => getComputedStyle(view).colorScheme")
    assert scheme == theme
    background = {"light": "#fff", "dark": "#383838"}[theme]  # of the page around the frame
    page.add_style_tag(content=f"html {{ background: {background}; }}")
    assert axe(page, ".liw") == []


# ── GitHub ───────────────────────────────────────────────────────────────────

# The part of GitHub's published list (html-pipeline's sanitization filter) that text needs.
KEPT = set(
    "h1 h2 h3 h4 h5 h6 br b i strong em a pre code img tt div ins del sup sub p ol ul table thead "
    "tbody tfoot blockquote dl dt dd kbd q samp var hr ruby rt rp li tr td th s strike summary "
    "details caption figure figcaption abbr cite dfn mark small span time wbr".split()
)
ATTRIBUTES = set("abbr align alt colspan dir headers href lang rowspan scope src title".split())
VOID = {"br", "hr", "img", "wbr"}


class GitHub(HTMLParser):
    """Rewrites HTML as GitHub does: what is not on the list goes, its text stays."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.html: list[str] = []
        self.dropped: set[str] = set()

    def handle_starttag(self, tag, attrs):
        if tag not in KEPT:
            self.dropped.add(tag)
            return
        kept = "".join(f' {k}="{escape(v or "")}"' for k, v in attrs if k in ATTRIBUTES)
        self.html.append(f"<{tag}{kept}>")

    def handle_endtag(self, tag):
        if tag in KEPT and tag not in VOID:
            self.html.append(f"</{tag}>")

    def handle_data(self, data):
        self.html.append(escape(data))


def test_github_drops_styles_and_the_summary_still_says_what_raises_and_lowers(
    view, new_context, axe
):
    summary = snapshot({name: getattr(view, name) for name in view.shared_traits}, view.bundle_name)
    assert "style=" in summary, "there is something to drop"
    github = GitHub()
    github.feed(summary)
    assert github.dropped == set()
    page = new_context().new_page()
    kept = "".join(github.html)
    page.set_content(f"<html lang=en><title>GitHub</title><main><h1>x</h1><h2>x</h2>{kept}</main>")
    assert page.locator("[style]").count() == 0
    scores = view.result().scores[0]
    strongest = abs(scores).argmax()
    word = view.about.inputs[strongest].text.strip()
    mark = "b" if scores[strongest] > 0 else "ins"
    assert page.locator(f":is({mark}):has-text('{word}')").count() >= 1
    assert f"{abs(scores[strongest]):.3g}" in page.locator("table").inner_text()
    assert axe(page, "main") == []


def test_an_output_without_a_kernel_or_scripts_is_the_summary(view, new_context):
    """As nbviewer shows it: the HTML as it is, in a page that has no widgets."""
    data, _ = view._repr_mimebundle_()
    context = new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(data["text/html"])
    assert page.locator("h3").count() == 1
    assert page.locator("td").count() > 0
    assert page.locator(FINISHED).count() == 0
