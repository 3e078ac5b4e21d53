"""The browser of heads in a real JupyterLab: it draws itself, opens heads, stops, and survives."""

from __future__ import annotations

import pytest

SETUP = "import llm_interp_widgets as liw\nlm = liw.load()"
SHORT = """text = "The cat sat on the mat because the cat was tired. The dog sat on the"
b = liw.attend(lm, text)
b"""
LONG = f"""text = {"The quick brown fox jumps over the lazy dog, and then it sleeps. " * 60!r}
b = liw.attend(lm, text, head=(5, 2))
b"""
OVERVIEW = ".liw-heads-overview canvas"
DRAWN = f"{OVERVIEW}[data-exact='30']"
MATRIX = ".liw-heads-matrix canvas"
OPENED = f"{MATRIX}[data-missing='0']"
READOUT = ".liw-heads-open .liw-pinned"
TEXT = ".liw-heads-words"


def tab(lab, name):
    lab.output(f".liw-heads-tabs button:has-text('{name}')").click()


def test_overview_head_crosshair_and_shelf(lab, axe):
    lab.open(SETUP, SHORT)
    lab.output(DRAWN).wait_for(timeout=120_000)
    lab.output(OVERVIEW).focus()
    for key in ("ArrowRight", "ArrowDown", "p", "Enter"):
        lab.page.keyboard.press(key)
    lab.until("print(b.head, b.selected_heads)", "[1, 1] [(1, 1)]")
    lab.output(OPENED).wait_for()
    lab.output(MATRIX).focus()
    for key in ("Home", "ArrowDown", "ArrowDown", "ArrowDown", "Enter"):
        lab.page.keyboard.press(key)
    lab.until("print(b.selected, b.key)", "3 0")
    exact = lab.python("print(f'{b.record.weights(1, 1, rows=3)[0, 0]:.3g}')")
    lab.output(f"{READOUT}:has-text('weight')").wait_for()
    shown = lab.output(READOUT).last.inner_text().split("weight ")[1].split(" ")[0]
    assert float(shown) == pytest.approx(float(exact), rel=0.01)
    lab.python("b.head = (5, 2); b.sort = 'induction'")
    lab.output("h3:has-text('Layer 5, head 2')").wait_for()
    for theme in lab.THEMES:
        lab.theme(theme)
        assert axe(lab.page, ".jp-OutputArea-output:has(.liw-heads)") == [], theme


def test_a_head_as_lines_text_compared_split_and_switched_off(lab, axe):
    lab.open(SETUP, SHORT)
    lab.output(DRAWN).wait_for(timeout=120_000)
    lab.python("b.head = (5, 2); b.selected = 13; b.key = 5; b.beside = [5, 3]")
    tab(lab, "Text")
    lab.output(f"{TEXT} [data-index='13'][aria-selected=true]").wait_for()
    lab.output(f"{TEXT} [data-kind=lowers]").first.wait_for()
    assert lab.output(TEXT).text_content() == lab.python("print(b.record.prompt)")
    assert axe(lab.page, ".jp-OutputArea-output:has(.liw-heads)") == []
    tab(lab, "Lines")
    lab.output(".liw-heads-scroll").focus()
    lab.page.keyboard.press("ArrowDown")
    lab.output(f"{READOUT}:has-text('attends most to')").wait_for()
    assert axe(lab.page, ".jp-OutputArea-output:has(.liw-heads)") == []
    tab(lab, "Compare")
    lab.output(OPENED).nth(2).wait_for()
    assert axe(lab.page, ".jp-OutputArea-output:has(.liw-heads)") == []
    tab(lab, "Why here")
    lab.output(".liw-heads-why button").click()
    lab.output(".liw-heads-parts tr").first.wait_for(timeout=30_000)
    assert axe(lab.page, ".jp-OutputArea-output:has(.liw-heads)") == []
    lab.output("button:has-text('Switch it off')").click()
    lab.output(".liw-heads-effect b").wait_for(timeout=30_000)
    expected = lab.python("e = b.record.effect([(5, 2)]); print(f'{e.after - e.before:.3g}')")
    shown = lab.output(".liw-heads-effect b").inner_text().split(" ")[0].replace("−", "-")
    assert float(shown) == pytest.approx(float(expected), abs=0.01)
    select = lab.output(".liw-heads-title select")
    select.select_option("rollout:all")
    lab.until("print(b.head, b.how)", "[-1, -1] rollout")
    tab(lab, "Matrix")
    lab.output(OPENED).wait_for(timeout=30_000)


def test_a_long_text_is_zoomed_searched_reloaded_and_left_without_its_model(lab):
    lab.open(SETUP, LONG)
    lab.output(f"{OVERVIEW}[data-drawn='30']").wait_for(timeout=120_000)
    lab.output(OPENED).wait_for(timeout=30_000)
    box = lab.output(MATRIX).bounding_box()
    lab.output(MATRIX).scroll_into_view_if_needed()
    box = lab.output(MATRIX).bounding_box()
    lab.page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 300)
    lab.page.keyboard.down("Control")
    for _ in range(8):
        lab.page.mouse.wheel(0, -200)
    lab.page.keyboard.up("Control")
    lab.output(f"{OPENED}[data-zoomed]").wait_for()
    search = lab.output("input[type=search]")
    search.fill("fox")
    search.press("Enter")
    search.press("Enter")
    lab.output(".liw-heads-choice:has-text('2 of 60')").first.wait_for()
    lab.until("print(b.selected is not None)", "True")
    selected = int(lab.python("print(b.selected)"))
    assert lab.python(f"print(b.record.tokens[{selected}].text)") == "fox"
    lab.save()
    lab.reload()
    lab.output(DRAWN).wait_for(timeout=120_000)
    lab.output(OPENED).wait_for(timeout=30_000)
    assert lab.python("print(b.head)") == "[5, 2]"
    lab.python("b.record.close()")
    lab.page.mouse.move(0, 0)  # the pointer may lie on the overview, and points at a head, too
    lab.output(OVERVIEW).focus()
    for key in ("ArrowRight", "Enter"):
        lab.page.keyboard.press(key)
    lab.until("print(b.head)", "[6, 2]")
    lab.output(".liw-heads-problem:has-text('closed')").first.wait_for()
    assert lab.output(DRAWN).count() == 1, "the overview stays"


def test_a_saved_notebook_shows_the_overview_without_its_kernel(lab):
    lab.open(SETUP, SHORT)
    lab.output(DRAWN).wait_for(timeout=120_000)
    lab.save()
    lab.server.delete("sessions")
    lab.visit()
    lab.output(DRAWN).wait_for()
    lab.output("[role=alert]:has-text('run the cell')").wait_for(timeout=30_000)
    lab.output(OVERVIEW).focus()
    lab.page.keyboard.press("ArrowRight")
    lab.output(".liw-heads-overview .liw-pinned:has-text('previous token')").wait_for()
