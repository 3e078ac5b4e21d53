"""An exported page in a browser without a network, for states a short job cannot show."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from screen import settled

from llm_interp_widgets import wire
from llm_interp_widgets.export import View, render_page, write_page

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    " 👩‍💻",
    " 今天",
    "\n",
    "\u2028",
    " \ud800",
    "<b>b",
]
PARIS = ["The", " capital", " of", " France", " is"]
SCORES = [1.7, 3.7, 1.2, 6.9, 3.4]
ERRORS = [0.41, 0.5, 0.72, 0.31, 0.44]
PLAIN = ("token_highlighter", "shap_waterfall", "shap_force", "shap_bar")
TOKEN = ".liw-text [data-index='{}']"


def view(
    texts=PARIS, scores=SCORES, *, outputs=(" Paris",), bundle="token_highlighter", **state
) -> View:
    starts = [0, *itertools.accumulate(map(len, texts))]

    def token(text, position):
        start = starts[position]
        place = {"start": start, "end": start + len(text), "position": position, "size": 1}
        return {"text": text, "special": False, "role": None, **place}

    shape = (len(outputs), len(texts))
    errors = np.resize(np.array(ERRORS), shape)
    snapshot = {
        "protocol": wire.PROTOCOL,
        "job": "job",
        "seq": 1,
        "subject": {
            "prompt": "".join(texts),
            "inputs": [token(text, i) for i, text in enumerate(texts)],
            "outputs": [token(text, i) for i, text in enumerate(outputs)],
            "target": "“ Paris”",
            "unit": "log_prob",
            "method": "shapley",
            "method_title": "Shapley values (sampled)",
            "caution": "Only a test.",
        },
        "state": {
            "status": "done",
            "preview": False,
            "verdict": "converged",
            "done": 512,
            "total": 512,
            "evaluations": 512,
            "seconds": 4.2,
            "sentences": ["“France” pushed hardest."],
            "facts": [
                {"label": "seed", "value": "0", "level": "plain"},
                {"label": "completeness gap", "value": "7 %", "level": "warn"},
                {"label": "first place", "value": "not sure", "level": "bad"},
            ],
            "error": None,
        }
        | state,
        "scores": wire.pack(np.resize(np.array(scores), shape)),
        "standard_error": wire.pack(errors),
        "totals": wire.pack(np.repeat([[-16.0], [-0.3], [0.07]], len(outputs), axis=1)),
    }
    traits = {"selected": None, "output": 0, "color_limit": None}
    return View(bundle, {"snapshot": snapshot, **traits})


@pytest.fixture
def show(offline, tmp_path):
    """Return ``show(views)``: their page, open, with every view drawn."""

    def run(*views, title="A test"):
        page = offline(write_page(tmp_path / "page.html", render_page(views, title)))
        page.locator(".liw").nth(len(views) - 1).wait_for()
        return page

    return run


def test_the_keyboard_moves_pins_and_releases(show):
    page = show(view())
    page.locator(TOKEN.format(0)).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    label = page.evaluate("document.activeElement.ariaLabel")
    assert label == "“France”, fourth token, +6.90 ± 0.608 log-probability, raises “Paris”"
    assert "+6.90" in page.locator(".liw-tip").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("[aria-selected=true]").get_attribute("data-index") == "3"
    assert "rank 1 of 5" in page.locator(".liw-pinned").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("[aria-selected=true]").count() == 0
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.index") == "4"


def test_arrows_move_between_lines(show):
    page = show(view([f" word{i}" for i in range(80)], [1.0]))
    page.locator(TOKEN.format(2)).focus()
    page.keyboard.press("ArrowDown")
    below = int(page.evaluate("document.activeElement.dataset.index"))
    page.keyboard.press("ArrowUp")
    assert below > 5
    assert page.evaluate("document.activeElement.dataset.index") == "2"


def test_hostile_text_is_text(show):
    page = show(view(HOSTILE), title=HOSTILE[0])
    pieces = page.locator(".liw-text [data-index]").evaluate_all(
        "all => all.map(e => e.textContent)"
    )
    assert [piece.encode("utf-16", "surrogatepass") for piece in pieces] == [
        text.encode("utf-16", "surrogatepass") for text in HOSTILE
    ]
    assert page.locator("img").count() == 0


def test_two_views_do_not_disturb_each_other(show):
    page = show(view(), view([*PARIS, " not"], scores=[-s for s in SCORES]))
    page.locator(TOKEN.format(1)).nth(1).click()
    assert page.locator("[aria-selected=true]").count() == 1
    assert page.evaluate("document.adoptedStyleSheets.length") == 1


def test_an_interrupted_job_says_so_and_offers_no_cancel(show):
    page = show(view(status="running", verdict="still moving"))
    assert page.get_by_text("stopped while still moving").is_visible()
    assert page.get_by_role("button", name="Cancel").count() == 0


def test_another_output_is_one_key_away(show):
    page = show(view(outputs=(" Paris", " London")))
    page.get_by_role("radio", name="Paris").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("heading", name="Why “London”?").is_visible()


def test_outputs_of_two_views_are_two_choices(show):
    page = show(*(view(outputs=(" Paris", " London"), bundle=b) for b in PLAIN))
    assert page.locator("input:checked").count() == len(PLAIN)


def refuse_clipboard(page) -> None:
    page.evaluate("""() => {
      const refuse = async () => { throw new DOMException("refused", "NotAllowedError"); };
      navigator.clipboard.writeText = refuse;
      navigator.clipboard.write = refuse;
    }""")


def test_the_picture_is_copied_or_saved(show):
    page = show(view())
    refuse_clipboard(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Copy SVG").click()
    assert saved.value.suggested_filename == "explanation.svg"
    with page.expect_download() as saved:
        page.get_by_role("button", name="Copy PNG").click()
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")


def test_no_accessibility_violation(show, axe):
    failed = {"name": "NonFiniteError", "message": "NaN <b>"}
    page = show(
        view(outputs=(" Paris", " London")),
        view(HOSTILE, status="failed", error=failed),
        view(status="running", preview=True),
        view(bundle="shap_waterfall", outputs=(" Paris", " London")),
        view(HOSTILE * 3, [2.0, -1.0, 0.3], bundle="shap_waterfall"),
        view(HOSTILE * 3, [2.0, -1.0, 0.3], bundle="shap_force"),
        view(HOSTILE * 3, [2.0, -1.0, 0.3], bundle="shap_bar"),
    )
    for fold in page.locator("summary").all():
        fold.click()
    page.locator(TOKEN.format(1)).first.click()
    page.locator(".liw-wf-steps button").first.click()
    for scheme, width in (("light", 1000), ("dark", 360)):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        page.locator(f".liw[data-theme={scheme}]").first.wait_for()
        page.wait_for_load_state("networkidle")
        settled(page)
        assert axe(page, "html") == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_waterfall_by_keyboard(show):
    page = show(view([f" word{i}" for i in range(14)], [3.0, -1.0, 0.7], bundle="shap_waterfall"))
    page.locator(".liw-wf-steps button").first.focus()
    page.keyboard.press("ArrowDown")
    assert "fourth token, raises" in page.evaluate("document.activeElement.textContent")
    assert "word3" in page.locator(".liw-pinned").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("[aria-pressed=true]").count() == 1
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert page.locator(".liw-wf-steps li").count() > 14
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert page.locator("[aria-expanded=false]").inner_text().startswith("5 other pieces")


def test_bars_of_the_waterfall_meet(show):
    page = show(view(scores=[1.7, 3.7, 1.2, 6.9, 2.2], bundle="shap_waterfall"))
    bars = [bar.bounding_box() for bar in page.locator(".liw-wf-bar").all()]
    ends = page.locator(".liw-wf-mark").all()
    for above, below in itertools.pairwise(bars):  # each begins where the one below it ended
        assert above["x"] == pytest.approx(below["x"] + below["width"], abs=1)
    top, bottom = (end.bounding_box()["x"] for end in ends)
    assert bars[0]["x"] + bars[0]["width"] == pytest.approx(top + 1, abs=1.5)
    assert bottom < bars[-1]["x"] + 1.5


def test_the_force_plot_by_keyboard(show):
    scores = [3.0, -1.0, 0.7]
    page = show(view([f" word{i}" for i in range(9)], scores, bundle="shap_force"))
    page.locator(".liw-force-track [tabindex='0']").focus()
    assert "word" in page.locator(".liw-pinned").inner_text()
    page.keyboard.press("Home")  # what the scores do not explain: no token to tell of
    assert "Point at" in page.locator(".liw-pinned").inner_text()
    page.keyboard.press("End")
    label = page.evaluate("document.activeElement.ariaLabel")
    assert "−1.00" in label
    assert "eighth token" in label
    page.keyboard.press("Enter")
    assert page.locator("[aria-pressed=true]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("[aria-pressed=true]").count() == 0


def test_segments_of_the_force_plot_touch_and_meet_at_the_output(show):
    page = show(view(scores=[1.7, -3.7, 1.2, 6.9, -2.2], bundle="shap_force"))
    boxes = [one.bounding_box() for one in page.locator(".liw-force-track li").all()]
    assert len(boxes) == 6  # one of them is what the scores do not explain
    for left, right in itertools.pairwise(boxes):
        assert right["x"] == pytest.approx(left["x"] + left["width"], abs=1)
    said = page.locator(".liw-force-end", has_text="text as it is").bounding_box()
    first = page.locator(".liw-force-track [data-way=down]").first.bounding_box()
    edges = said["x"], said["x"] + said["width"]
    assert min(abs(edge - first["x"]) for edge in edges) < 3
