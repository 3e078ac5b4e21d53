"""Text is data: hostile texts in every slot of every widget, on pages and in JupyterLab.

Nothing they hold may run, load, or become an element; and what a reader finds on screen, in a copy
or by ear is the text itself, as ``hostile`` says of each way. What was counted is printed at the
end.
"""

from __future__ import annotations

import html
import os
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hostile import CORPUS, LIVE, in_html, spoken, trimmed, units, visible
from hostile_slots import POINTED, SLOTS, brief, problems_of_csv, problems_of_svg
from hostile_views import MAKERS, crowd, everywhere, looking_at_all, reopened, traits_of

import llm_interp_widgets as liw
from llm_interp_widgets.export import render_page, write_page
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.text.travel import departed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext, Page

    from llm_interp_widgets.export import View
    from llm_interp_widgets.models.record import AttentionRecord

# Every second one; EVERY=1: all of them.
TRIED = dict(list(CORPUS.items())[:: 1 if "EVERY" in os.environ else 2])
HOOKS = Path(__file__).with_name("hostile.js")


@dataclass
class Tally:
    """What was tried and found, over all tests of this file."""

    trips: Counter[str] = field(default_factory=Counter)
    slots: set[tuple[str, str, str]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    fired: int = 0
    longest: float = 0

    def check(self, host: str, name: str, found: dict, a: Attribution, state: dict) -> None:
        """Compare what a view says with what it should say."""
        for slot in SLOTS[name](a, state):
            self.slots.add((host, name, slot.name))
            self.trips[host] += len(slot.wanted)
            if problem := slot.problem(found[slot.name]):
                self.problems.append(f"{host}, {name}: {problem}")

    def settle(self, page: Page) -> None:
        """Fail on whatever went wrong so far, in the page or in the texts."""
        seen = page.evaluate("liw.seen")
        self.fired += seen["fired"]
        self.longest = max(self.longest, seen.pop("longest"))
        problems, self.problems = self.problems, []
        assert not problems, f"{len(problems)} texts differ:\n" + "\n".join(problems[:20])
        assert seen == {"fired": 0, "foreign": [], "refused": []}


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """The counts of all tests; printed after the last one."""
    found = Tally()
    yield found
    kinds = {(name, slot) for _, name, slot in found.slots}
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(
            f"\nhostile texts: {len(TRIED)} of {len(CORPUS)} strings, {len(kinds)} slots of "
            f"{len({name for name, _ in kinds})} widgets, "
            f"{', '.join(f'{n:,} exact in the {host}' for host, n in found.trips.items())}; "
            f"{found.fired} handlers fired; nothing kept a page busy for longer than "
            f"{found.longest / 1000:.1f} s"
        )


@pytest.fixture
def new_context(new_context: Callable[..., BrowserContext]) -> Callable[..., BrowserContext]:
    """Contexts whose pages note what must not happen."""

    def make(**options: Any) -> BrowserContext:
        context = new_context(**options)
        context.add_init_script(path=HOOKS)
        return context

    return make


def frozen(name: str, a: Attribution) -> tuple[View, dict]:
    """Return a view that also says that something failed, and the state it shows."""
    widget = MAKERS[name](a)
    widget.selected = 0 if name == "beeswarm" else 1
    view = widget.view()
    widget.close()
    traits, state = traits_of(name, a)
    return replace(view, state=view.state | departed(traits)), state


def toured(page: Page, name: str, *, copied: bool = True) -> list[dict]:
    """Return what every view of a page says."""
    slots = [[s.name, s.selector, s.attribute] for s in SLOTS[name](everywhere("x"), STATE)]
    return page.evaluate(
        "([slots, pointed, copied]) =>"
        " liw.tour([...document.querySelectorAll('.liw')], slots, pointed, copied)",
        [slots, POINTED.get(name), copied],
    )


STATE = {"facts": [], "sentences": [""], "error": None}


def test_what_must_not_happen_is_noticed(offline, watch, tmp_path):
    """The same texts, taken for markup: the traps of these tests work."""
    watch.allow("")  # of course it complains
    path = tmp_path / "trap.html"
    path.write_text("<!doctype html><div class=liw></div>")
    page = offline(path)
    page.evaluate(
        """async texts => {
          const place = document.querySelector(".liw");
          for (const text of texts) {
            place.innerHTML = text;
            await new Promise(resolve => setTimeout(resolve, 20));
          }
        }""",
        [CORPUS[name] for name in LIVE if name not in ("refresh", "base")],
    )
    seen = page.evaluate("liw.seen")
    assert seen["fired"] >= 20
    assert {"<img>", "<script>", "<iframe>", "<svg>"} - {"<svg>"} <= set(seen["foreign"])
    assert {"onerror", "onload", "src"} <= set(seen["foreign"])


@pytest.mark.parametrize("name", MAKERS)
def test_every_text_in_every_slot_of_a_page(name, offline, watch, tmp_path, tally):
    results = [reopened(everywhere(text)) for text in TRIED.values()]
    views = [frozen(name, a) for a in results]
    written = render_page([view for view, _ in views], "A test")
    page = offline(write_page(tmp_path / "page.html", written))
    page.locator(".liw").nth(len(views) - 1).wait_for()
    for a, (_, state), found in zip(results, views, toured(page, name), strict=True):
        tally.check("page", name, found["said"], a, state)
        tally.problems += check_copies(name, a, found["copies"])
    assert page.evaluate("liw.strays()") == []
    tally.settle(page)


def check_copies(name: str, a: Attribution, copies: dict[str, str]) -> list[str]:
    problems = problems_of_svg(copies.pop("Copy SVG"), a)
    texts = [t.text for t in a.inputs if not t.special]
    for label, text in copies.items():
        wanted = [*texts, a.outputs[0].text] if "matrix" in label else texts
        problems += problems_of_csv(text, [] if name == "beeswarm" else wanted)
    return [f"{name}, copied: {problem}" for problem in problems]


CROWD = [
    ["token", ".liw-text:first-of-type [data-index]", None],
    ["by ear", ".liw-text:first-of-type [data-index]", "aria-label"],
    ["output", ".liw-output bdi", None],
]


def test_tokens_side_by_side_each_told_in_a_tooltip(offline, tmp_path, tally):
    view, _ = frozen("token_highlighter", crowd(["x"]))
    page = offline(write_page(tmp_path / "page.html", render_page([view], "A test")))
    page.locator(".liw-text").wait_for()
    (found,) = page.evaluate(
        "slots => liw.tour([document.querySelector('.liw')], slots,"
        " ['.liw-text [data-index]', '.liw-tip-token'])",
        CROWD,
    )
    same(found["said"]["pointed"], [visible(text) for text in CORPUS.values()])
    tally.trips["page"] += len(CORPUS)
    tally.settle(page)


def test_a_page_of_nothing_but_hostile_tokens(offline, tmp_path, tally):
    """All texts side by side, as tokens and as outputs: every widget draws them all."""
    a = crowd(list(CORPUS.values()))
    views = [frozen(name, a)[0] for name in MAKERS]
    page = offline(write_page(tmp_path / "page.html", render_page(views, "A test")))
    page.locator(".liw").nth(len(views) - 1).wait_for()
    found = page.evaluate("slots => liw.tour([...document.querySelectorAll('.liw')], slots)", CROWD)
    texts = list(CORPUS.values())
    heard = [f"“{spoken(text)}”, " for text in texts]
    for name, view in zip(MAKERS, found, strict=True):
        said = view["said"]
        if name in ("token_highlighter", "generation_view", "beeswarm"):
            same(said["token"], texts)
            assert all(map(str.startswith, said["by ear"], heard))
        if name not in ("generation_view", "beeswarm"):
            same(said["output"], [visible(text.removeprefix(" ")) for text in texts])
        tally.trips["page"] += len([*said["token"], *said["by ear"], *said["output"]])
    tally.settle(page)


def same(found: list[str], wanted: list[str]) -> None:
    """Compare texts as a browser counts: two halves of a character are one."""
    assert [units(text) for text in found] == [units(text) for text in wanted]


@pytest.fixture(scope="module")
def explanation() -> Any:
    """The class of shap's results; importing it makes matplotlib complain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("shap").Explanation


def imported(explanation: Any) -> list[Any]:
    """Return views of what peers found, in texts and under names that are hostile."""
    texts = [text for text in CORPUS.values() if text]
    scores = np.linspace(-1, 1, len(texts))
    one = explanation(
        np.stack([scores, -scores], 1), np.zeros(2), np.array(texts, object),
        output_names=[CORPUS["image"], CORPUS["surrogate, high"]],
    )  # fmt: skip
    many = explanation([scores, scores], np.zeros(2), [texts, texts[::-1]])
    words = SimpleNamespace(as_list=texts, positions=[[i] for i in range(len(texts))])
    found = SimpleNamespace(
        domain_mapper=SimpleNamespace(indexed_string=words),
        local_exp={0: list(enumerate(scores)), 1: list(enumerate(-scores))},
        class_names=[CORPUS["end of script"], CORPUS["__proto__"]],
        intercept={0: 0.0, 1: 0.0}, predict_proba=[0.5, 0.5], score=0.5,
    )  # fmt: skip
    lime = Attribution.from_lime(found, model=CORPUS["image"])
    shap_one = Attribution.from_shap(one, target=CORPUS["svg"], model=CORPUS["details"])
    return [
        *(liw.TokenHighlighter.of(a) for a in (shap_one, lime, reopened(shap_one), reopened(lime))),
        *(draw(one) for draw in (liw.waterfall, liw.force, liw.bar, liw.generation)),
        *(liw.bar(lime), liw.compare([shap_one, reopened(shap_one)])),
        *(liw.beeswarm(many, least=1), liw.beeswarm(many, {text: [text] for text in texts})),
        liw.beeswarm(many, {text: [1, 2] for text in texts}),
    ]


def test_what_peers_found_is_text_too(explanation, offline, tmp_path, tally):
    path = liw.save_html(tmp_path / "page.html", widgets := imported(explanation))
    page = offline(path)
    page.locator(".liw").nth(len(widgets) - 1).wait_for()
    slots = [["token", ".liw-text [data-index]", None], ["row", "tbody th bdi", None]]
    found = page.evaluate(
        "slots => liw.tour([...document.querySelectorAll('.liw')], slots, null, true)", slots
    )
    texts = [text for text in CORPUS.values() if text]
    for view in found[:4]:
        same(view["said"]["token"], texts)
    for view in found[:10]:
        same(view["said"]["row"], [visible(text) for text in texts])
    for view, rows in zip(found[-2:], (texts, texts), strict=True):
        assert {units(row) for row in view["said"]["row"]} <= {units(row) for row in rows}
    same(sorted(found[-1]["said"]["row"], key=units), sorted(texts, key=units))
    tally.trips["page"] += sum(len(view["said"]["token"] + view["said"]["row"]) for view in found)
    tally.settle(page)


def test_titles_of_pages(offline, tmp_path, tally):
    """Each title has a page of its own: in a frame, but where an attribute would change it."""
    framed = [text for text in CORPUS.values() if "\x00" not in text]
    pages = [html.escape(render_page([], text)) for text in framed]
    around = "".join(f'<iframe srcdoc="{page}"></iframe>' for page in pages)
    path = tmp_path / "page.html"
    path.write_bytes(f"<!doctype html><meta charset=utf-8>{around}".encode("utf-8", "replace"))
    page = offline(path)
    for frame, text in zip(page.frames[1:], framed, strict=True):
        check_titles(frame, text, in_html(text), tally)
    for text in set(CORPUS.values()).difference(framed):
        page.goto(write_page(path, render_page([], text), overwrite=True).as_uri())
        check_titles(page, text, in_html(text).replace("\ufffd", ""), tally)
    tally.settle(page)


def check_titles(frame: Any, text: str, heading: str, tally: Tally) -> None:
    found = frame.evaluate("['h1', 'title'].map(name => document.querySelector(name).textContent)")
    assert found == [heading, in_html(text)]
    assert frame.evaluate("liw.seen.fired") == 0
    tally.trips["page"] += 2


# ── Attention ────────────────────────────────────────────────────────────────

MODES = {"Matrix": ".liw-heads-matrix canvas", "Lines": ".liw-heads-scroll canvas"}


def record_of(tiny_lm) -> AttentionRecord:
    """Return a record of as many tokens as there are texts."""
    lm = tiny_lm("llama", max_position_embeddings=256)
    return liw.attention(lm, [7 + i % 90 for i in range(len(CORPUS))])


def test_heads_that_look_at_hostile_tokens(tiny_lm, offline, tmp_path, tally):
    record = liw.AttentionRecord.load(record_of(tiny_lm).save(tmp_path / "record.liw"))
    widget = liw.attend(looking_at_all(record), mode="text", selected=3, key=2)
    page = offline(widget.to_html(tmp_path / "page.html", title=CORPUS["title"]))
    widget.close()
    words = page.locator(".liw-heads-words")
    words.locator("[data-index='0']").wait_for()
    tour_of_heads(page, tally, "page")
    tally.settle(page)


def tour_of_heads(root: Any, tally: Tally, host: str) -> None:
    """Look at everything, and compare what is said of the tokens."""
    page = getattr(root, "page", root)
    texts = list(CORPUS.values())
    find = root.output if hasattr(root, "output") else root.locator
    shown = find(".liw-heads-words [data-index]").evaluate_all("all => all.map(e => e.textContent)")
    same(shown, [visible(t) if t and not trimmed(t) else t for t in texts])
    facts = find(".liw-heads .liw-facts dd bdi").all_text_contents()
    for name in ("end of script", "svg", "surrogate, low"):
        assert any(units(CORPUS[name]) == units(fact) for fact in facts), name
    find(".liw-heads summary").evaluate_all("all => all.forEach(e => e.click())")
    for mode in ("Matrix", "Lines", "Compare", "Why here", "Text"):
        find(f".liw-heads-tabs button:has-text('{mode}')").click()
        page.wait_for_timeout(100)
    pieces = find(".liw-heads-controls select, .liw-heads select").all()
    assert pieces
    page.mouse.move(0, 0)  # or what scrolls under it is pointed at, too
    told = find(".liw-heads-words [data-index]").evaluate_all(
        """async all => {
          const said = [];
          for (const mark of all) {
            mark.focus();
            mark.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
            await liw.tick();
            said.push(document.querySelector(".liw-heads-open .liw-pinned bdi")?.textContent);
          }
          return said;
        }"""
    )
    wanted = [f"“{brief(visible(trimmed(t) or t), 22)}” {i}" for i, t in enumerate(texts)]
    same([one or "" for one in told], wanted)
    named = find(".liw-heads-open .liw-table td:is(:nth-child(2), :nth-child(4))")
    named.first.wait_for()
    assert {units(name) for name in named.all_text_contents()} <= {
        units(visible(text)) for text in texts
    }
    tally.trips[host] += 2 * len(texts) + 3
    tally.slots |= {(host, "attention_browser", slot) for slot in ("token", "read-out", "fact")}


# ── JupyterLab ───────────────────────────────────────────────────────────────

TESTS = Path(__file__).resolve().parents[1]
NOTEBOOK = f"""import sys
sys.path.insert(0, {str(TESTS)!r})
from hostile import CORPUS
from hostile_views import MAKERS, everywhere, turn
from IPython.display import display
import llm_interp_widgets as liw
views = {{name: make(everywhere(TEXT)) for name, make in MAKERS.items()}}
for name, widget in views.items():
    widget.selected = 0 if name == "beeswarm" else 1
display(*views.values())"""
VIEWS = ".jp-OutputArea-output .liw"


def read_in(lab: Any, slots: dict[str, list]) -> list[dict]:
    """Return what every view of the notebook says now."""
    return lab.page.evaluate(
        "([views, all]) => [...document.querySelectorAll(views)].map((root, i) =>"
        " liw.read(root, all[i] ?? []))",
        [VIEWS, list(slots.values())],
    )


def check_in(lab: Any, tally: Tally, a: Attribution, seconds: float = 30, **more: Any) -> None:
    """Wait until all views show a result, and compare; ``more`` is what else their state is."""
    states = {name: {**traits_of(name, a)[1], **more} for name in MAKERS}
    wanted = {name: SLOTS[name](a, state) for name, state in states.items()}
    read = {
        name: [[s.name, s.selector, s.attribute] for s in slots] for name, slots in wanted.items()
    }
    deadline = time.monotonic() + seconds
    while True:
        said = read_in(lab, read)
        problems = [
            f"JupyterLab, {name}: {problem}"
            for (name, slots), found in zip(wanted.items(), said, strict=False)
            for slot in slots
            if (problem := slot.problem(found[slot.name]))
        ]
        if not problems or time.monotonic() > deadline:
            break
        lab.page.wait_for_timeout(50)
    tally.problems += problems
    tally.trips["JupyterLab"] += sum(len(s.wanted) for slots in wanted.values() for s in slots)
    tally.slots |= {("JupyterLab", name, s.name) for name, slots in wanted.items() for s in slots}


def test_every_text_in_every_slot_of_a_live_widget(lab, tally):
    lab.open(NOTEBOOK.replace("TEXT", "'x'"))
    lab.output(".liw-title").nth(len(MAKERS) - 1).wait_for(timeout=60_000)
    lab.idle()
    lab.page.evaluate("document.querySelectorAll('.liw summary').forEach(e => e.click())")
    for name, text in TRIED.items():
        assert lab.python(f"turn(views, CORPUS[{name!r}])") == ""
        check_in(lab, tally, everywhere(text))
        if len(tally.problems) > 20:
            break
    tally.settle(lab.page)


def test_a_saved_notebook_gives_the_text_back(lab, tally):
    """Reloaded while its kernel lives, and opened again without it."""
    text = "".join(
        CORPUS[name] for name in ("surrogate, high", "NUL", "line ends", "end of script")
    )
    a = everywhere(text)
    lab.open(NOTEBOOK.replace("TEXT", repr(text)))
    lab.output(".liw-title").nth(len(MAKERS) - 1).wait_for(timeout=60_000)
    lab.idle()
    lab.save()
    lab.reload()
    for again in (False, True):
        if again:
            lab.server.delete("sessions")
            lab.visit()
        lab.output(".liw-title").nth(len(MAKERS) - 1).wait_for(timeout=60_000)
        lab.page.evaluate("document.querySelectorAll('.liw summary').forEach(e => e.click())")
        check_in(lab, tally, a, error=None)
    tally.settle(lab.page)


def test_heads_that_look_at_hostile_tokens_live(lab, tiny_lm, tmp_path, tally):
    path = record_of(tiny_lm).save(tmp_path / "record.liw")
    lab.open(
        f"import sys\nsys.path.insert(0, {str(TESTS)!r})",
        "import llm_interp_widgets as liw\nfrom hostile_views import looking_at_all",
        f"record = looking_at_all(liw.AttentionRecord.load({str(path)!r}))",
        "b = liw.attend(record, mode='text')\nb",
    )
    lab.output(".liw-heads-words [data-index='0']").wait_for(timeout=120_000)
    tour_of_heads(lab, tally, "JupyterLab")
    tally.settle(lab.page)
