"""Widgets of a saved notebook as HTML: boxes in boxes, and nothing that could run."""

from __future__ import annotations

import base64

import pytest

from llm_interp_widgets.export._boxes import VIEW, Boxes, harmless

CONTROLS = "@jupyter-widgets/controls"


def model(kind, **state):
    return {"model_name": f"{kind}Model", "model_module": CONTROLS, "state": state}


def boxes(**state):
    return Boxes(state, lambda output: f"<pre>{output['text']}</pre>")


def of(*names):
    return [f"IPY_MODEL_{name}" for name in names]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("<b>x</b> & <i>y", "<b>x</b> &amp; <i>y</i>"),
        ("<script>alert(1)</script>z", "z"),
        ("<SCRIPT>alert(1)</SCRIPT >z", "z"),
        ("<style>*{}</style><svg onload=alert(1)><a href=#>q</a></svg>z", "z"),
        ('<a href="javascript:alert(1)" onclick=alert(1)>l</a>', "<a>l</a>"),
        ('<a href=" https://a.b">l</a>', '<a href=" https://a.b">l</a>'),
        ("<img src=x onerror=alert(1)>z", "z"),
        ('<img src="data:image/png;base64,AA==">', '<img src="data:image/png;base64,AA==">'),
        ('<img src="data:image/svg+xml;base64,AA==">z', "z"),
        (
            '<p style="color: red; font-size:12px;">s</p>',
            '<p style="color: red; font-size:12px">s</p>',
        ),
        (
            '<p style="position:fixed;inset:0; margin:-9px 0;width:9px;z-index:9">s</p>',
            '<p style="width:9px">s</p>',
        ),
        (
            '<p style="border:1px solid var(--a);margin-top:calc(0px - 9px);margin:0 auto">s</p>',
            '<p style="border:1px solid var(--a); margin:0 auto">s</p>',
        ),
        ('<p style="background:url(http://a.b)">s</p>', "<p>s</p>"),
        ("<iframe src=//a.b></iframe><form><input></form>z", "z"),
        ("</b></p>z<table><tr><td>1", "z<table><tr><td>1</td></tr></table>"),
        ("<!-- c --><?php x ?>z", "z"),
        ("<div id=x class=y data-liw-view=z>d</div>", "<div>d</div>"),
    ],
)
def test_html_of_a_state_runs_nothing(given, left):
    assert harmless(given) == left


@pytest.mark.parametrize("given", ["<![x[ y ]]>", "<b>z</b><![x", "<!DOCTYPE [", "<![CDATA[<b>"])
def test_whatever_stands_in_a_state_is_read(given):
    assert "<![" not in harmless(given)


def test_boxes_in_boxes():
    made = boxes(
        a=model("HBox", children=of("b", "c")),
        b=model("VBox", children=of("d")),
        c=model("GridBox", children=of("d", "d"), layout="IPY_MODEL_l"),
        d=model("Label", value="<d>"),
        l={"model_name": "LayoutModel", "state": {"grid_template_columns": "1fr 2fr"}},
    )
    label = "<p>&lt;d&gt;</p>"
    assert made.html("a") == (
        f'<div class="liw-row"><div class="liw-column">{label}</div>'
        f'<div class="liw-grid" style="grid-template-columns:1fr 2fr">{label}{label}</div></div>'
    )


def test_a_layout_that_is_no_length_is_left_out():
    evil = {"model_name": "LayoutModel", "state": {"grid_template_columns": "1fr;color:red"}}
    made = boxes(c=model("GridBox", children=[], layout="IPY_MODEL_l"), l=evil)
    assert made.html("c") == '<div class="liw-grid"></div>'


def test_tabs_open_one_at_a_time_and_keep_titles_of_both_versions():
    new = model("Tab", children=of("d", "d"), titles=["<1>", ""], selected_index=1)
    old = model("Tab", children=of("d", "d"), _titles={"0": "One"}, selected_index=None)
    made = boxes(new=new, old=old, d=model("Label", value="d"))
    assert '<details class="liw-part" name="new"><summary>&lt;1&gt;' in made.html("new")
    assert 'name="new" open><summary>Part 2' in made.html("new")
    assert 'name="old" open><summary>One' in made.html("old")
    closed = boxes(a=model("Accordion", children=of("a"), titles=["A"], selected_index=None))
    assert "open" not in closed.html("a")


def test_what_holds_itself_or_was_not_saved_is_said():
    made = boxes(a=model("VBox", children=of("a", "gone")))
    assert "A widget that holds itself is shown once." in made.html("a")
    assert "This widget was not saved with the notebook." in made.html("a")


@pytest.mark.parametrize(
    ("widget", "words"),
    [
        (model("IntSlider", description="n:", value=7), "n: 7"),
        (model("Dropdown", description="d", _options_labels=["x", "<y>"], index=1), "d: &lt;y&gt;"),
        (model("Button", description="Go"), "[Go]"),
        (model("Stack", children=of("d", "d"), selected_index=None), ""),
        (model("Output", outputs=[{"text": "said"}]), "said"),
        ({}, "[widget]"),
        (model("Password", description="key:", value="s3cret"), "<p>key: ••••</p>"),
        (model("Password", value=""), "<p>Password: ••••</p>"),
        ({"state": {"_view_name": "PasswordView", "value": "s3cret"}}, "<p>widget: ••••</p>"),
    ],
)
def test_others_say_their_value(widget, words):
    html = boxes(w=widget, d=model("Label", value="d")).html("w")
    assert words in html
    assert words or html == '<div class="liw-column"></div>'


def test_a_widget_that_an_output_caught_is_live():
    caught = {"output_type": "display_data", "data": {VIEW: {"model_id": "w"}, "text/plain": "W"}}
    gone = {"text": "said", "data": {VIEW: {"model_id": "gone"}}}
    live = {"model_name": "AnyModel", "state": {"_esm": "export default {}"}}
    made = boxes(o=model("Output", outputs=[caught, gone]), w=live)
    html = made.html("o")
    assert 'data-liw-view="w"' in html
    assert "<pre>said</pre>" in html
    assert list(made.models) == ["w"]


@pytest.mark.parametrize(
    "damaged",
    [
        [],
        {"state": None},
        model("VBox", children=None),
        {"state": {"_esm": "a"}, "buffers": [{"path": ["a", "b"], "data": "AA=="}]},
        {"state": {"_esm": "a"}, "buffers": [{"path": ["a"], "data": "A"}]},
    ],
)
def test_a_damaged_widget_is_said_to_be_lost_and_the_others_are_shown(damaged):
    made = boxes(a=model("VBox", children=of("b", "c")), b=damaged, c=model("Label", value="l"))
    html = made.html("a")
    assert "was not saved" in html
    assert "<p>l</p>" in html
    assert not made.models


def test_anywidgets_keep_their_module_once_and_their_bytes():
    live = {
        "model_name": "AnyModel",
        "state": {"_esm": "export default {}", "_css": "a{}", "x": {"y": [None, 1]}},
        "buffers": [
            {"path": ["x", "y", 0], "encoding": "base64", "data": base64.b64encode(b"1").decode()},
            {"path": ["z"], "encoding": "hex", "data": "ff"},
        ],
    }
    made = boxes(one=live, two=live)
    assert 'data-liw-view="one"' in made.html("one", "<p>s</p>")
    assert "<noscript><p>s</p></noscript>" in made.html("two", "<p>s</p>")
    assert list(made.bundles.values()) == ["export default {}"]
    state = made.models["two"]["state"]
    assert state == {"_css": "a{}", "x": {"y": [b"1", 1]}, "z": b"\xff"}
    assert live["state"]["x"] == {"y": [None, 1]}, "the notebook stays as it was"
