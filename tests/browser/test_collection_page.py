"""Many texts on an exported page: a dot under the pointer, its text in full, numbers of texts."""

from __future__ import annotations

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token

WORDS = np.array("good bad film plot dull </script> 👩‍💻 very actor scene".split())
EFFECTS = dict(zip(WORDS, [2, -2, 0.1, 0, -1, 0.2, 0.3, 0.1, 0, -0.1], strict=True))
CANVAS = ".liw-bee-box canvas"


def many(texts, targets=("positive",)):
    rng = np.random.default_rng(0)
    found = []
    for i in range(texts):
        words = rng.choice(WORDS, 12)
        tokens, at = [], 0
        for place, word in enumerate(words):
            text = word if place == 0 else f" {word}"
            tokens.append(Token(text, place, at, at + len(text), position=place))
            at += len(text)
        scores = np.array([[EFFECTS[word] * rng.uniform(0.5, 1.5) for word in words]])
        target = targets[i % len(targets)]
        found.append(Attribution(
            scores=scores, inputs=tuple(tokens), outputs=(Token(target, 0, 0, 0, position=0),),
            base_values=np.zeros(1), output_values=scores.sum(1), completeness_gap=np.zeros(1),
            method="owen", title="Owen values", target=target, unit="logit",
            prompt="".join(token.text for token in tokens), seed=0, seconds=1.0, evaluations=9,
            model=ModelInfo("m", None, "float32", "cpu"), converged=bool(i % 50),
        ))  # fmt: skip
    return found


@pytest.fixture
def show(offline, tmp_path):
    def open_page(*widgets, width=900):
        page = offline(liw.save_html(tmp_path / "page.html", widgets))
        page.set_viewport_size({"width": width, "height": 900})
        page.locator(CANVAS).last.wait_for()
        return page

    return open_page


def ink(page):
    """Where the first row has a dot: right of all names, on its line, in colour."""
    return page.evaluate(
        """async selector => {
          const canvas = document.querySelector(selector);
          const ratio = canvas.width / canvas.clientWidth;
          for (let tries = 0; tries < 100; tries++) {
            const y = 26 + 17;
            const row = canvas.getContext("2d")
              .getImageData(0, Math.round(y * ratio), canvas.width, 1).data;
            for (let x = Math.ceil(160 * ratio); x < canvas.width - 1; x++) {
              const [red, green, blue, alpha] = row.slice(4 * x, 4 * x + 4);
              if (alpha > 150 && Math.max(red, green, blue) - Math.min(red, green, blue) > 40)
                return { x: x / ratio, y };
            }
            await new Promise(requestAnimationFrame);
          }
          return null;
        }""",
        CANVAS,
    )


def test_a_dot_says_its_values_and_opens_its_text(show):
    results = many(300)
    page = show(liw.beeswarm(results))
    canvas, tip = page.locator(CANVAS).last, page.locator(".liw-tip")
    place = ink(page)
    canvas.hover(position=place)
    tip.wait_for()
    assert "in text" in tip.inner_text()
    assert "output for “positive”" in tip.inner_text()
    canvas.click(position=place)
    number = int(page.locator(".liw-bee-text b").inner_text().removeprefix("Text "))
    assert f"in text {number}\n" in tip.inner_text()
    text = page.locator(".liw-bee-text .liw-text")
    assert text.text_content() == results[number - 1].prompt
    assert page.locator(".liw-bee-text .liw-token").count() == 12
    page.mouse.move(0, 0)
    tip.wait_for(state="detached")
    canvas.focus()
    page.keyboard.press("Escape")
    text.wait_for(state="detached")
    assert page.evaluate("document.activeElement === document.querySelectorAll('canvas')[1]")


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 900)])
def test_numbers_of_texts_and_mixed_targets_are_accessible(show, axe, scheme, width):
    stars = [None if i % 3 else i for i in range(90)]
    page = show(
        liw.beeswarm(many(90), {"stars": stars, "coin": [i % 2 for i in range(90)]}),
        liw.beeswarm(many(90, ("positive", "negative"))),
        width=width,
    )
    page.emulate_media(color_scheme=scheme)
    page.locator(f".liw[data-theme={scheme}]").first.wait_for()
    for fold in page.locator("summary").all():
        fold.click()
    page.locator(CANVAS).nth(1).focus()
    page.keyboard.press("End")
    page.locator(".liw-tip").wait_for()
    assert "rank correlation" in page.locator(".liw-sentence").first.inner_text()
    assert "2 different ones" in page.locator(".liw-facts").last.inner_text()
    page.wait_for_timeout(200)
    assert axe(page, "html") == []
    box = page.locator(".liw-tip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


CELL = """
import llm_interp_widgets as liw
import numpy as np
from types import SimpleNamespace
pieces = [["a ", "good ", "film"], ["a ", "bad ", "film"], ["good ", "and ", "bad"]]
values = [np.array(v) for v in ([0.1, 2, 0], [0.1, -2, 0], [2, 0.1, -2])]
w = liw.beeswarm(SimpleNamespace(values=values, base_values=np.zeros(3), data=pieces), least=1)
w
"""


def test_a_chosen_text_is_known_to_python_and_back(lab):
    lab.open(CELL)
    canvas = lab.output(CANVAS).last
    canvas.wait_for(timeout=30_000)
    canvas.focus()
    lab.page.keyboard.press("Home")
    lab.page.keyboard.press("Enter")
    head = lab.output(".liw-bee-text b")
    number = int(head.inner_text().removeprefix("Text "))
    lab.until("print(w.selected)", str(number - 1))
    lab.python("w.selected = 2")
    head.get_by_text("Text 3").wait_for()
    assert lab.output(".liw-bee-text .liw-text").text_content() == "good and bad"
    lab.python("w.plot = 'bars'")
    lab.output(".liw-ranking li").first.wait_for()
    lab.python("w.selected = None; w.plot = 'dots'")
    canvas.wait_for()
    lab.python("w.close()")


def test_dots_are_drawn_once_however_long_the_pointer_wanders(show):
    page = show(liw.beeswarm(many(2000)))
    assert ink(page) is not None
    page.evaluate("""() => {
      window.arcs = 0;
      const { arc } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.arc = function (...place) {
        window.arcs += 1;
        return arc.apply(this, place);
      };
    }""")
    box = page.locator(CANVAS).last.bounding_box()
    for i in range(80):
        x = 160 + (box["width"] - 170) * (i * 37 % 80) / 80
        page.mouse.move(box["x"] + x, box["y"] + 30 + (box["height"] - 40) * (i * 11 % 80) / 80)
    page.locator(CANVAS).last.hover(position=ink(page))
    page.locator(".liw-tip").wait_for()
    assert 1 <= page.evaluate("window.arcs") <= 2 * 81  # rings, and no dot of thousands
