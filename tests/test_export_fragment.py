"""Fragments: one line of HTML that neither Markdown nor a template takes for its own."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import mistune
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ClosedWidgetError, ParameterError
from llm_interp_widgets.export import View
from llm_interp_widgets.export._payload import islands
from llm_interp_widgets.export.fragment import render_fragment

HOSTILE = "</script>*b* _i_ `c` {{7*7}} {% x %} ${y} [l](http://a.b) $z$ | \n\n    indented <b>"


@pytest.fixture
def result(tiny_lm):
    return liw.attribute(tiny_lm(), "The capital of France", evaluations="all")


def test_each_view_has_a_place_of_its_own_and_all_share_a_script(result):
    e = liw.embed([result, liw.waterfall(result), liw.force(result)])
    names = [re.search('data-liw-view="([^"]*)"', place)[1] for place in e.places]
    assert len(set(names)) == 3
    (island,) = islands(e.script)
    assert [model["id"] for model in island["models"]] == names
    assert {key.rsplit("-", 1)[0] for key in island["bundles"]} == {
        *("token_highlighter", "shap_waterfall", "shap_force")
    }
    assert str(e) == e._repr_html_() == "".join(e.places) + e.script
    assert "“" in e.places[0], "a summary, before the script runs"
    assert "Run the cell" not in e.places[0], "there is none"


def test_the_same_views_give_the_same_text_and_other_views_other_names(result):
    view = liw.bar(result).view()
    a, b = render_fragment([view]), render_fragment([view])
    assert str(a) == str(b)
    other = liw.embed(result)
    assert a.places[0].split(">")[0] != other.places[0].split(">")[0]


def test_what_a_fragment_brings_another_leaves_out(result):
    first = liw.embed([result, liw.bar(result)])
    second = liw.embed([result, liw.waterfall(result)], beside=first)
    third = liw.embed([liw.bar(result), liw.waterfall(result)], beside=second)
    brought = [list(islands(e.script)[0]["bundles"]) for e in (first, second, third)]
    assert [len(one) for one in brought] == [2, 1, 0]
    assert len(third.script) < 0.3 * len(first.script)


def test_the_summary_of_a_broken_text_is_that_of_its_output(result):
    """Half a character travels as two; a summary, which stays, shows it as one."""
    odd = replace(
        result, inputs=(replace(result.inputs[0], text="\ud800\ufdd0"), *result.inputs[1:])
    )
    (place,) = liw.embed(odd).places
    kept = liw.TokenHighlighter.of(odd)
    shown = kept._repr_mimebundle_()[0]["text/html"]
    kept.close()
    for html in (place, shown):
        assert "\ufffd\ufdd0" in unescape(html)
        assert not re.search("[\ue000-\uf8ff]", unescape(html))


def test_a_title_is_a_heading(result):
    e = liw.embed(result, title="Two <views>\nof one")
    assert e.heading == "<h2>Two &lt;views&gt;&#10;of one</h2>"
    assert str(e).startswith(e.heading)


def views(text):
    """Return a view that holds a text wherever one can be."""
    fact = {"label": text, "value": text, "level": "plain"}
    data = {
        "texts": [text],
        "outputs": [text],
        "unit": "logit",
        "method_title": text,
        "caution": text,
        "facts": [fact],
        **dict.fromkeys(("offsets", "starts", "ends", "scores", "flags"), b""),
    }
    return [View("beeswarm", {"data": data | {"offsets": bytes(8)}, "output": 0}, name=text)]


def test_hostile_text_has_no_meaning_to_markdown_or_a_template():
    e = render_fragment(views(HOSTILE), HOSTILE)
    outside = str(e).replace(e.script, "")
    assert "\n" not in str(e).strip()
    ink = re.sub("<[^>]*>", "", outside)
    assert not set("\\`*_{}[]$~^|") & set(re.sub("&#?\\w+;", "", ink))
    assert "{{" not in outside
    assert "://" not in outside
    assert "{{" not in e.script
    assert "{%" not in e.script
    text = f"# A post\n\nBefore\n\n{e}\n\n*After*"
    made = mistune.create_markdown(escape=False)(text)
    assert str(e) in made
    assert "<em>After</em>" in made


def test_what_cannot_be_embedded_is_an_error(result):
    with pytest.raises(ParameterError, match="nothing to"):
        liw.embed([])
    with pytest.raises(ParameterError, match="int"):
        liw.embed([3])
    w = liw.bar(result)
    w.close()
    with pytest.raises(ClosedWidgetError):
        liw.embed(w)
