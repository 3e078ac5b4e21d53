"""Every view for everybody: axe, keyboard alone, contrast, stillness, and a second language.

Views stand on exported pages, which need no kernel. One contract for all of them.
"""

from __future__ import annotations

import re

import pytest
from made import WORDS, attribution, chat, lime, many, written

import llm_interp_widgets as liw
from llm_interp_widgets import words

TEXT = "The capital of France is Paris, and the capital of Japan is Tokyo."
MODES = ("matrix", "lines", "text", "compare", "why")


@pytest.fixture(autouse=True)
def _english_again():
    yield
    words.language("en")


VIEWS = {
    "highlighter": lambda: liw.TokenHighlighter.of(chat()),
    "waterfall": lambda: liw.waterfall(attribution()),
    "force": lambda: liw.force(attribution()),
    "bar": lambda: liw.bar(attribution()),
    "beeswarm": lambda: liw.beeswarm(many(40), least=2),
    "compare": lambda: liw.compare([attribution(seed=i) for i in range(3)]),
    "generation": lambda: liw.generation(written()),
    "lime": lambda: liw.lime(lime(), output=1),
}


@pytest.fixture
def show(offline, tmp_path):
    def run(widget):
        page = offline(widget.to_html(tmp_path / "page.html", overwrite=True))
        page.locator(".liw").wait_for()
        return page

    return run


@pytest.fixture
def heads(tiny_lm, show):
    def run(**more):
        widget = liw.attend(tiny_lm("llama"), TEXT, selected=4, key=2, **more)
        page = show(widget)
        widget.close()
        page.locator(".liw-heads-open").wait_for()
        return page

    return run


# ── axe ──────────────────────────────────────────────────────────────────────

CONTRAST = """async () => {
  const { passes } = await axe.run("html", { runOnly: ["color-contrast"] });
  return passes.flatMap(rule => rule.nodes).length;
}"""


def open_folds(page):
    for summary in page.locator("summary").all():
        summary.focus()
        page.keyboard.press("Enter")


def assert_accessible(page, axe):
    open_folds(page)
    for scheme, width in (("light", 1000), ("dark", 360), ("dark", 1000)):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.locator(f".liw[data-theme={scheme}]").wait_for()
        assert axe(page, "html") == [], (scheme, width)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(CONTRAST) > 5, "contrast was not looked at"
    page.emulate_media(color_scheme="light", forced_colors="active")
    page.locator(".liw[data-theme=light]").wait_for()
    assert axe(page, "html") == [], "forced colours"


POINTED = {
    "lime": (".liw-lime-scatter", "ArrowRight"),
    "beeswarm": (".liw-bee-box canvas", "Enter", "ArrowRight", "Enter"),
}


@pytest.mark.parametrize("view", [*VIEWS, "bars of many"])
def test_no_view_has_a_violation_in_any_scheme(show, axe, view):
    page = show(VIEWS[view]() if view in VIEWS else liw.bar(many(40)))
    place, *keys = POINTED.get(view, (".liw",))
    for key in keys:
        page.locator(place).last.press(key)
    assert_accessible(page, axe)


@pytest.mark.parametrize("mode", MODES)
def test_no_form_of_a_head_has_a_violation_in_any_scheme(heads, axe, mode):
    assert_accessible(heads(mode=mode, selected_heads=[(0, 1)]), axe)


# ── Contrast of tinted text, which axe cannot always tell ────────────────────

TINTED = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = "#000";
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const luminance = rgb => {
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.unshift(getComputedStyle(e).backgroundColor);
    }
    return layers;
  };
  return [...document.querySelectorAll(".liw *")].flatMap(e => {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const rect = e.getBoundingClientRect();
    const style = getComputedStyle(e);
    const shown = rect.width > 1 && rect.height > 1 && style.visibility === "visible";
    if (!own || !shown || e.closest(".liw-hidden, svg, canvas, select, :disabled")) return [];
    const layers = behind(e);
    const hatch = style.backgroundImage.match(/color\\([^()]+\\)|rgba?\\([^()]+\\)/);
    return [layers, ...(hatch ? [[...layers, hatch[0]]] : [])].map(all => {
      const both = [luminance(paint(...all)), luminance(paint(...all, style.color))];
      const [a, b] = both.sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), e.className, e.textContent.slice(0, 30)];
    });
  });
}"""


@pytest.mark.parametrize("view", [*VIEWS, "text of a head"])
def test_all_text_can_be_read_also_on_a_tint(show, heads, view):
    page = heads(mode="text") if view not in VIEWS else show(VIEWS[view]())
    open_folds(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.locator(f".liw[data-theme={scheme}]").wait_for()
        ratios = page.evaluate(TINTED)
        assert len(ratios) > 20
        assert [found for found in ratios if found[0] < 4.5] == [], scheme


# ── Keyboard ─────────────────────────────────────────────────────────────────

FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const drawn = style => (parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== "none");
  const near = [e, e.parentElement, ...e.querySelectorAll("*")];
  return {
    tag: e.tagName.toLowerCase(),
    words: e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.textContent || e.title,
    ring: near.some(x => drawn(getComputedStyle(x))),
    box: e.getBoundingClientRect().width > 0,
    html: e.outerHTML.slice(0, 120),
  };
}"""


def begin(page):
    """Put the focus before everything."""
    page.evaluate("document.body.tabIndex = -1; document.body.focus()")


def walk(page, most=120):
    """Go through the page by Tab alone; return each stop."""
    begin(page)
    stops = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS)
        if stop is None:
            break
        stops.append(stop)
    assert len(stops) < most, "Tab is caught"
    return stops


@pytest.mark.parametrize("view", [*VIEWS, *(f"heads: {mode}" for mode in MODES)])
def test_every_stop_of_tab_is_seen_and_named(show, heads, view):
    page = show(VIEWS[view]()) if view in VIEWS else heads(mode=view.removeprefix("heads: "))
    stops = walk(page)
    assert len(stops) >= 4
    assert [stop["html"] for stop in stops if not stop["ring"]] == [], "no ring is drawn"
    assert [stop["html"] for stop in stops if not (stop["words"] or "").strip()] == [], "no name"
    open_folds(page)
    more = walk(page)
    assert len(more) > len(stops), "what was folded is reached, too"
    assert [stop["html"] for stop in more if not stop["ring"]] == []


def tab_to(page, wanted, most=60):
    """Press Tab until a stop is what is wanted; return its name."""
    begin(page)
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement?.matches(selector) ?? false", wanted):
            return page.evaluate(FOCUS)["words"]
    raise AssertionError(f"Tab does not reach {wanted}")


def copies(page):
    """Copy everything that can be copied, by keyboard; return the files that came of it."""
    page.evaluate("""() => {
      const refuse = async () => { throw new DOMException("refused", "NotAllowedError"); };
      navigator.clipboard.writeText = refuse;
      navigator.clipboard.write = refuse;
    }""")
    names = []
    for button in page.locator("button", has_text=re.compile("^Copy ")).element_handles():
        button.focus()
        with page.expect_download() as saved:
            page.keyboard.press("Enter")
        names.append(saved.value.suggested_filename)
    return names


PINNED = "[aria-selected=true], [aria-pressed=true]"
COUNTS = "([selector, more]) => document.querySelectorAll(selector).length === more"


@pytest.mark.parametrize(
    ("view", "stop", "move"),
    [
        ("highlighter", "[role=option]", "ArrowRight"),
        ("waterfall", ".liw-wf-steps button", "ArrowDown"),
        ("force", ".liw-force-track button", "ArrowLeft"),
        ("bar", ".liw-ranking button", "Tab"),
        ("compare", ".liw-cmp-line button", "ArrowRight"),
        ("generation", "[role=option]", "ArrowRight"),
        ("lime", ".liw-ranking button", "Tab"),
    ],
)
def test_a_piece_is_found_pinned_and_released_without_a_mouse(show, view, stop, move):
    page = show(VIEWS[view]())
    first = tab_to(page, stop)
    page.keyboard.press(move)
    second = page.evaluate(FOCUS)["words"]
    assert second != first
    line = page.locator(".liw-pinned").first
    before = page.locator(PINNED).count()
    page.keyboard.press("Enter")
    page.wait_for_function(COUNTS, arg=[PINNED, before + 1])
    assert re.findall(r"\w+", second)[0] in line.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_function(COUNTS, arg=[PINNED, before])
    assert page.evaluate(FOCUS)["words"] == second, "focus stays where it was"
    tab_to(page, "summary")
    page.keyboard.press("Enter")
    page.locator("table tbody tr").first.wait_for()
    names = copies(page)
    assert {name.rpartition(".")[2] for name in names} == {"svg", "png", "csv"}


def test_dots_are_walked_and_read_without_a_mouse(show):
    page = show(VIEWS["beeswarm"]())
    tab_to(page, "[role=application]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    said = page.locator(".liw-bee .liw-pinned").inner_text()
    assert re.match(r"“\w+”.* in text \d+: [+−]", said)
    page.keyboard.press("Enter")
    page.locator(".liw-bee-text [role=option]").first.wait_for()
    page.keyboard.press("Escape")
    page.locator(".liw-bee-text", has_text="Point at a dot").wait_for()
    assert {name.rpartition(".")[2] for name in copies(page)} == {"svg", "png"}
    open_folds(page)
    assert copies(page)[-1] == "texts.csv"


def test_heads_are_walked_opened_and_read_without_a_mouse(heads):
    page = heads()
    tab_to(page, ".liw-heads-overview canvas")
    for key in ("Home", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    page.locator(".liw-heads-overview .liw-pinned", has_text="Layer 1, head 1").wait_for()
    page.keyboard.press("p")
    page.locator(".liw-heads-pin", has_text="1.1").wait_for()
    page.keyboard.press("Enter")
    page.locator("h3:has-text('Layer 1, head 1')").wait_for()
    for mode in ("Lines", "Text", "Compare", "Why here", "Matrix"):
        page.locator("[role=tab]", has_text=re.compile(f"^{mode}$")).focus()
        page.keyboard.press("Enter")
        page.locator(f"[role=tab][aria-selected=true]:text-is('{mode}')").wait_for()
    tab_to(page, ".liw-heads-matrix canvas")
    for key in ("PageUp", "Home", "ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.locator(".liw-heads-open .liw-pinned", has_text="weight").wait_for()
    page.keyboard.press("Escape")
    page.locator(".liw-heads-open .liw-pinned", has_text="Point at a place").wait_for()


# ── Stillness ────────────────────────────────────────────────────────────────

MOVES = """() => [...document.querySelectorAll(".liw, .liw *")].flatMap(e =>
  [null, "::before", "::after"].flatMap(part => {
    const style = getComputedStyle(e, part);
    const seconds = [style.transitionDuration, style.animationDuration]
      .flatMap(list => list.split(",").map(parseFloat));
    const moves = style.transitionProperty !== "none" || style.animationName !== "none";
    return moves && Math.max(...seconds) > 0 ? [`${e.className} ${part}`] : [];
  }))"""


@pytest.mark.parametrize("view", [*VIEWS, "heads"])
def test_nothing_moves_for_a_reader_who_asked_for_stillness(show, heads, view):
    page = show(VIEWS[view]()) if view in VIEWS else heads()
    moving = page.evaluate(MOVES)
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(MOVES) == []
    assert page.evaluate("document.getAnimations().length") == 0
    if view in ("highlighter", "waterfall", "force", "compare"):
        assert moving, "else this test sees nothing"


# ── Languages ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_in_chinese_speaks_chinese(show, axe, view):
    words.language("zh")
    page = show(VIEWS[view]())
    open_folds(page)
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.locator(".liw").get_attribute("lang") == "zh-Hans"
    said = page.locator(".liw").evaluate(
        """root => [...root.querySelectorAll("*")].flatMap(e => [
          e.getAttribute("aria-label"), e.getAttribute("title"),
          ...[...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data),
        ]).filter(Boolean)"""
    )
    tokens = {
        *WORDS,
        "script",
        "positive",
        "so",
        "liked",
        "yes",
        "no",
        "user",
        "assistant",
        "cpu",
        "float",
        "shapley",
    }
    names = {"lime", "svg", "png", "csv", "ctrl", "enter", "escape", "logit", "spearman"}
    left = [
        text
        for text in said
        if {w.lower() for w in re.findall("[A-Za-z]{2,}", text)} - tokens - names
    ]
    assert left == []
    assert axe(page, "html") == []


def test_heads_in_chinese_speak_chinese(heads, axe):
    words.language("zh")
    page = heads()
    assert page.locator("h2").inner_text() == "8 个注意力头在看哪里"
    assert page.locator("h3").inner_text() == "第 0 层第 0 头"
    page.locator("[role=tab]", has_text="文本").click()
    assert page.locator("[role=listbox]").get_attribute("aria-label").startswith("文本，")
    assert axe(page, "html") == []


def test_tokens_are_told_as_sentences_in_the_language_of_the_page(show):
    a = attribution()
    english = show(liw.TokenHighlighter.of(a))
    found = english.locator("[role=option]").nth(2).get_attribute("aria-label")
    assert re.fullmatch(
        r"“is”, third token, [+−][\d.]+ ± 0\.392 log-probability, .*(“positive”|not sure)", found
    )
    words.language("zh")
    chinese = show(liw.TokenHighlighter.of(a))
    found = chinese.locator("[role=option]").nth(2).get_attribute("aria-label")
    assert re.fullmatch(
        r"“is”，第三个词元，[+−][\d.]+ ± 0\.392 对数概率，(.*“positive”|.*方向不确定)", found
    )
