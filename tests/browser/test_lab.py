"""The widget in a real JupyterLab: it streams, stops, survives, and runs nothing it is shown."""

from __future__ import annotations

import os
import time

import nbformat
from screen import CANCELLED, FINISHED, SCORED, SCREENSHOTS, TEXT, TOKENS, same, scores_on

SETUP = "import llm_interp_widgets as liw\nlm = liw.load()"
PARIS = 'w = liw.explain(lm, "The capital of France is", target=" Paris")\nw'
# Far more work than any test waits for.
LONG = f"""
prompt = "{"The quick brown fox jumps over the lazy dog, and " * 2}the capital of France is"
w = liw.explain(lm, prompt, target=" Paris", evaluations=EVALUATIONS, precision=None)
w"""
ENDLESS = LONG.replace("EVALUATIONS", "1_000_000")
# Stops on its worker, once every token has a score, until the gate is opened.
HELD = f"""{LONG.replace("EVALUATIONS", "200").removesuffix("w")}
import threading
gate = threading.Event()
def hold(look):
    whole = (look.merged.scores == look.merged.scores).all() and not look.merged.last.preview
    if whole and look.status == "running":
        gate.wait(600)
w.job.observe(hold)
w"""
PLOTS = """from IPython.display import display
plots = liw.waterfall(w), liw.force(w), liw.bar(w)
display(*plots)"""
HOSTILE = "👩‍💻 今天天气很好\n\n</script><img src=x onerror=alert(1)> is\t'so' \"&amp;\" "


def scores_in_python(lab) -> list[float]:
    return [float(x) for x in lab.python("print(*w.result().scores[0].tolist())").split()]


def test_partials_come_while_the_job_runs_and_cancel_keeps_them(lab):
    lab.open(SETUP, "import time; started = time.monotonic()", ENDLESS)
    lab.output(SCORED).first.wait_for(timeout=60_000)
    assert lab.python("print(w.job.progress.status)") == "running"
    print("first partial after", lab.python("print(f'{time.monotonic() - started:.1f} s')"))
    assert lab.output(f"{TOKENS}").count() == int(lab.python("print(len(w.about.inputs))"))
    first, deadline = scores_on(lab.page), time.monotonic() + 30
    while scores_on(lab.page) == first:
        assert time.monotonic() < deadline, "no later partial refined the first"
        lab.page.wait_for_timeout(200)
    clicked = time.monotonic()
    lab.output(".liw-progress button").click()
    lab.output(CANCELLED).wait_for(timeout=30_000)
    print(f"cancelled after {time.monotonic() - clicked:.2f} s")
    assert lab.python("print(w.result().cancelled)") == "True"
    assert same(scores_on(lab.page), scores_in_python(lab))


def test_interrupting_the_kernel_stops_the_job(lab):
    lab.open(SETUP, ENDLESS)
    lab.output(SCORED).first.wait_for(timeout=60_000)
    lab.idle()
    pressed = time.monotonic()
    lab.interrupt()
    lab.output(CANCELLED).wait_for(timeout=30_000)
    print(f"stopped {time.monotonic() - pressed:.2f} s after the interrupt of an idle kernel")


def test_interrupting_a_waiting_cell_stops_the_job(lab):
    lab.open(SETUP, ENDLESS, "print('waits')\nw.result()")
    lab.output(SCORED).first.wait_for(timeout=60_000)
    lab.page.locator(".jp-OutputArea-output:has-text('waits')").wait_for()
    pressed = time.monotonic()
    lab.interrupt()
    lab.output(CANCELLED).wait_for(timeout=30_000)
    print(f"stopped {time.monotonic() - pressed:.2f} s after the interrupt of a waiting cell")
    lab.idle()


def test_a_token_is_pinned_from_both_sides_and_in_the_exported_file(lab, offline, tmp_path):
    file = tmp_path / "paris.html"
    lab.open(SETUP, PARIS, f"w.to_html({str(file)!r})")
    lab.output(FINISHED).wait_for(timeout=60_000)
    lab.output(f"{TOKENS}[tabindex='0']").focus()
    for key in ("Home", "ArrowRight", "ArrowRight", "Enter"):
        lab.page.keyboard.press(key)
    lab.until("print(w.selected)", "2")
    assert lab.output(f"{TOKENS}[aria-selected=true]").get_attribute("data-index") == "2"
    lab.python("w.selected = 3")
    lab.output(f"{TOKENS}[data-index='3'][aria-selected=true]").wait_for()
    lab.page.keyboard.press("Escape")
    lab.until("print(w.selected)", "None")
    assert lab.output(f"{TOKENS}[aria-selected=true]").count() == 0
    lab.idle()
    page = offline(file)
    page.locator(SCORED).first.wait_for()
    assert scores_on(page) == scores_on(lab.page)
    page.locator(f"{TOKENS}[data-index='3']").click()
    page.locator(f"{TOKENS}[data-index='3'][aria-selected=true]").wait_for()


def test_a_saved_notebook_shows_the_result_without_its_kernel(lab):
    lab.open(SETUP, PARIS)
    lab.output(FINISHED).wait_for(timeout=60_000)
    shown = scores_on(lab.page)
    lab.save()
    lab.server.delete("sessions")
    lab.visit()
    lab.output(SCORED).first.wait_for()
    assert scores_on(lab.page) == shown
    assert lab.python("print('w' in globals())") == "False", "this is another kernel"
    assert lab.output(".liw-progress button").count() == 0, "there is nothing to cancel"


def test_a_hostile_prompt_is_only_text(lab, offline, tmp_path):
    file = tmp_path / "hostile.html"
    lab.open(
        SETUP,
        f"prompt = {HOSTILE!r}",
        "w = liw.explain(lm, prompt, granularity='word', method='occlusion')\nw",
        f"w.to_html({str(file)!r}, title=prompt)",
    )
    lab.output(FINISHED).wait_for(timeout=60_000)
    lab.idle()
    for root in (lab.page, offline(file)):
        root.locator(SCORED).first.wait_for()
        pieces = root.locator(TOKENS).evaluate_all("all => all.map(e => e.textContent)")
        assert "".join(pieces) == HOSTILE
        assert root.locator(f"{TEXT} img, {TEXT} script").count() == 0


def test_plots_beside_a_running_job_follow_it_through_a_reload(lab, axe):
    lab.open(SETUP, HELD, PLOTS)
    lab.output(".liw-force-track li").first.wait_for(timeout=60_000)
    lab.save()
    assert lab.python("print(w.job.progress.status)") == "running"
    lab.reload()
    lab.output(TOKENS).first.wait_for()
    assert lab.python("print(w.job.progress.status)") == "running"
    assert lab.output(FINISHED).count() == 0
    lab.python("gate.set()")
    lab.output(FINISHED).nth(3).wait_for(timeout=120_000)
    assert same(scores_on(lab.page), scores_in_python(lab))
    best = "a = w.result(); i = abs(a.scores[0]).argmax(); print(i, a.inputs[i].text.strip())"
    index, word = lab.python(best).split()
    first = [".liw-wf-steps .liw-wf-name", ".liw-rank-token"]
    assert all(word in lab.output(name).first.inner_text() for name in first)
    assert lab.output(f".liw-force-track [aria-label*='{word}']").count() >= 1
    lab.output(".liw-rank-row").first.press("Enter")
    lab.until("print(plots[2].selected)", index)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    lab.output(".liw").first.scroll_into_view_if_needed()
    for theme in lab.THEMES:
        lab.theme(theme)
        name = f"lab-{theme.removeprefix('JupyterLab ').replace(' ', '-').lower()}.png"
        assert axe(lab.page, ".jp-OutputArea-output:has(.liw-force)") == [], theme
        lab.page.locator("#jupyterlab-splash").wait_for(state="detached")
        lab.page.screenshot(path=SCREENSHOTS / name)


STORY = """from IPython.display import display
text = "The plot is dull but the actors are wonderful."
g = liw.generate(lm, text, 4, evaluations=60)
near = liw.explain(lm, text, " It", "lime", evaluations=120)
many = liw.beeswarm([liw.attribute(lm, t, " It", "occlusion") for t in (text, text[:20], "It is")])
views = g, liw.waterfall(g), liw.compare([g, g]), liw.lime(near), many
display(*views)"""


def test_what_was_nearly_written_is_explained_live_and_views_are_linked(lab, axe):
    lab.open(SETUP, STORY)
    lab.output(FINISHED).nth(3).wait_for(timeout=180_000)
    lab.output(".liw-gen-candidates button").first.press("Enter")
    lab.until("print(len(g.contrasts))", "1")
    assert lab.python("print(g.results(60)[1].target)").count("rather than") == 1
    lab.output("h2:has-text('rather than')").wait_for(timeout=30_000)
    lab.output(".liw-gen-candidates button[aria-pressed=true]").press("Enter")
    lab.output(".liw-wf-steps button").first.press("Enter")
    lab.until("print(views[1].selected is not None)", "True")
    pinned = lab.python("print(views[1].selected)")
    lab.until("print(g.selected, views[2].selected, views[3].selected)", " ".join([pinned] * 3))
    for theme in lab.THEMES:
        lab.theme(theme)
        assert axe(lab.page, ".jp-OutputArea-output:has(.liw-gen)") == [], theme


PLACES = """import ipywidgets
from IPython.display import display
out = ipywidgets.Output()
out.append_display_data(w)
display(out)
display(w, display_id="mine")
w"""


def test_a_view_stands_wherever_it_is_displayed(lab):
    lab.open(SETUP, f"{ENDLESS.removesuffix('w')}{PLACES}")
    lab.output(SCORED).first.wait_for(timeout=60_000)
    lab.page.wait_for_function("document.querySelectorAll('.liw').length === 3")
    lab.python("w.cancel()")
    lab.output(CANCELLED).nth(2).wait_for(timeout=30_000)
    lab.until("print(sorted(w._places) == sorted([w.model_id, 'mine']))", "True")
    lab.until("print(any('Still' in said for said in w._places.values()))", "False")
    saved = [output for cell in lab.save().cells for output in cell.outputs if "data" in output]
    summaries = [output.data["text/html"] for output in saved if "text/html" in output.data]
    assert len(summaries) == 2
    assert not any("Still" in one for one in summaries)


BUSY = """import time
print("began")
end = time.monotonic() + 600
while w.job.progress.status == "running" and time.monotonic() < end:
    w.send({"type": "noise"})
    time.sleep(0.01)
print("ended", w.job.progress.status)"""


def test_cancel_reaches_a_kernel_that_runs_a_cell(lab):
    lab.open(SETUP, ENDLESS, BUSY)
    lab.output(SCORED).first.wait_for(timeout=60_000)
    lab.page.locator(".jp-OutputArea-output:has-text('began')").wait_for()
    clicked = time.monotonic()
    lab.output(".liw-progress button").click()
    lab.output(CANCELLED).wait_for(timeout=30_000)
    print(f"cancelled {time.monotonic() - clicked:.2f} s after the click, the kernel being busy")
    lab.page.locator(".jp-OutputArea-output:has-text('ended cancelled')").wait_for()


def test_a_kernel_that_hears_nothing_while_it_runs_a_cell_is_said_to_be_busy(lab):
    deaf = "from llm_interp_widgets.widgets import _kernel\n_kernel.hear_always = lambda comm: None"
    lab.open(f"{SETUP}\n{deaf}", ENDLESS, BUSY.replace("600", "15"))
    lab.output(SCORED).first.wait_for(timeout=60_000)
    lab.page.locator(".jp-OutputArea-output:has-text('began')").wait_for()
    lab.output(".liw-progress button").click()
    lab.output(".liw-progress:has-text('busy with a cell: this stops when it ends')").wait_for()
    lab.output(CANCELLED).wait_for(timeout=40_000)
    assert same(scores_on(lab.page), scores_in_python(lab))
    lab.server.delete("sessions")  # this kernel stays deaf


def test_a_restarted_kernel_is_said_to_be_gone_and_nothing_shown_is_lost(lab):
    lab.open(SETUP, ENDLESS)
    lab.output(SCORED).first.wait_for(timeout=60_000)
    lab.page.evaluate(
        "() => { void jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
    )
    lab.output(".liw-progress:has-text('its kernel is gone')").wait_for(timeout=30_000)
    assert lab.output(".liw-progress button").count() == 0, "there is nothing to cancel"
    assert lab.output(SCORED).count() > 0
    lab.output(f"{TOKENS}[tabindex='0']").focus()
    lab.page.keyboard.press("Enter")
    lab.output(f"{TOKENS}[aria-selected=true]").wait_for()


RELOADS = int(os.environ.get("RELOADS", "2"))


def test_any_number_of_reloads_in_the_middle_lose_nothing(lab):
    lab.open(SETUP, ENDLESS)
    lab.output(SCORED).first.wait_for(timeout=60_000)
    lab.save()
    for _ in range(RELOADS):
        lab.reload()
        lab.output(SCORED).first.wait_for()
        shown = scores_on(lab.page)
        assert lab.python("print(w.job.progress.status)") == "running"
        assert lab.output(".liw-progress button:has-text('Cancel')").count() == 1
        lab.page.wait_for_function(
            f"([old]) => [...document.querySelectorAll('{TOKENS}')]"
            ".map(e => e.ariaLabel).join() !== old",
            arg=[",".join(lab.output(TOKENS).evaluate_all("all => all.map(e => e.ariaLabel)"))],
            timeout=60_000,
        )
        assert len(shown) == lab.output(TOKENS).count()
    lab.output(".liw-progress button").click()
    lab.output(CANCELLED).wait_for(timeout=30_000)
    assert same(scores_on(lab.page), scores_in_python(lab))


def test_a_notebook_that_is_not_trusted_shows_the_summary(lab):
    lab.open(SETUP, PARIS)
    lab.output(FINISHED).wait_for(timeout=60_000)
    lab.until("print(any('Still' in said for said in w._places.values()))", "False")
    saved = lab.save()
    lab.server.delete("sessions")
    for cell in saved.cells:
        cell.metadata.pop("trusted", None)
    saved.cells[0].source += "  # another text, another signature"
    lab.path = lab.path.with_name(f"untrusted-{lab.path.name}")
    nbformat.write(saved, lab.path)
    lab.visit()
    summary = lab.page.locator(".jp-OutputArea-output h3")
    summary.wait_for()
    assert "Paris" in summary.inner_text()
    assert lab.output(".liw").count() == 0
    shown = summary.locator("xpath=..").inner_text()
    best = lab.page.locator(".jp-OutputArea-output td").first.inner_text()
    assert "France" in best, shown
