"""One contract for every host: it streams, survives a reload, reacts, stops, and looks right."""

from __future__ import annotations

import pytest
from screen import CANCELLED, FINISHED, SCORED, SCREENSHOTS, TOKENS, same, scores_on

SETUP = "import llm_interp_widgets as liw\nlm = liw.load()"
FOX = "The quick brown fox jumps over the lazy dog, and " * 2
ENDLESS = f"""text = "{FOX}the capital of France is"
w = liw.explain(lm, text, target=" Paris", evaluations=1_000_000, precision=None)
w"""
PARIS = 'w = liw.explain(lm, "The capital of France is", target=" Paris")\nw'
WATERFALL = "plot = liw.waterfall(w)\nplot"
HEADS = 'b = liw.attend(lm, "The cat sat on the mat because the cat was tired. The")\nb'
OVERVIEW = ".liw-heads-overview canvas"
DRAWN = f"{OVERVIEW}[data-exact='30']"
OPENED = ".liw-heads-matrix canvas[data-missing='0']"
SCORES = "print(*w.result().scores[0].tolist())"

HOSTS = ("notebook7", "voila", "marimo")


@pytest.fixture(params=HOSTS)
def host(request):
    return request.getfixturevalue(request.param)


def in_python(host) -> list[float]:
    return [float(x) for x in host.python(SCORES).split()]


def refined(host) -> None:
    """Wait until the scores on screen change."""
    first = scores_on(host.page)
    for _ in range(60):
        host.page.wait_for_timeout(500)
        if scores_on(host.page) != first:
            return
    pytest.fail("no later partial refined the first")


def test_streams_reacts_survives_a_reload_and_stops(host):
    host.open(SETUP, ENDLESS)
    host.output(SCORED).first.wait_for(timeout=90_000)
    assert host.python("print(w.job.progress.status)") == "running"
    assert host.output(TOKENS).count() == int(host.python("print(len(w.about.inputs))"))
    refined(host)
    host.save()
    host.reload()
    host.output(SCORED).first.wait_for(timeout=90_000)
    assert host.python("print(w.job.progress.status)") == "running"
    refined(host)
    host.output(f"{TOKENS}[tabindex='0']").focus()
    for key in ("Home", "ArrowRight", "ArrowRight", "Enter"):
        host.page.keyboard.press(key)
    host.until("print(w.selected)", "2")
    assert host.output(f"{TOKENS}[aria-selected=true]").get_attribute("data-index") == "2"
    host.python("w.selected = 3")
    host.output(f"{TOKENS}[data-index='3'][aria-selected=true]").wait_for()
    host.output(".liw-progress button").click()
    host.output(CANCELLED).wait_for(timeout=30_000)
    assert host.python("print(w.result().cancelled)") == "True"
    assert same(scores_on(host.page), in_python(host))


def test_every_view_is_drawn_and_reacts_in_light_and_dark(host, axe):
    host.open(SETUP, PARIS, WATERFALL, HEADS)
    host.output(FINISHED).nth(1).wait_for(timeout=90_000)
    assert same(scores_on(host.page), in_python(host))
    host.output(".liw-wf-steps button").first.focus()
    for key in ("ArrowDown", "Enter"):
        host.page.keyboard.press(key)
    second = host.python("print(abs(w.result().scores[0]).argsort()[-2])")
    host.until("print(plot.selected)", second)
    host.output(DRAWN).wait_for(timeout=90_000)
    host.output(OVERVIEW).focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        host.page.keyboard.press(key)
    host.until("print(b.head)", "[1, 1]")
    host.output(OPENED).wait_for()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        host.theme(theme)
        host.output(FINISHED).nth(1).wait_for(timeout=90_000)
        host.output(DRAWN).wait_for(timeout=90_000)
        host.output(OPENED).wait_for()
        views = host.output(".liw")
        assert views.evaluate_all("all => all.map(view => view.dataset.theme)") == [theme] * 3
        name = f"{type(host).__name__.lower()}-{theme}.png"
        views.first.scroll_into_view_if_needed()
        host.page.screenshot(path=SCREENSHOTS / name)
        assert axe(host.page, host.inside) == [], theme


def test_marimos_editor_takes_up_its_session_in_the_middle_of_a_job(marimo_editor):
    host = marimo_editor
    host.open(SETUP, ENDLESS)
    host.output(SCORED).first.wait_for(timeout=90_000)
    job = host.python("print(w.job.id)")
    host.reload()
    host.output(SCORED).first.wait_for(timeout=30_000)
    assert host.python("print(w.job.id, w.job.progress.status)") == f"{job} running"
    refined(host)
    host.output(".liw-progress button").click()
    host.output(CANCELLED).wait_for(timeout=30_000)
    assert same(scores_on(host.page), in_python(host))
