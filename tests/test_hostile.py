"""Hostile texts without a browser: on the wire, in files, and where a page runs no script."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hostile import CORPUS, LONG, well_formed
from hostile_views import MAKERS, everywhere, reopened, traits_of

from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.export import render_page
from llm_interp_widgets.text.travel import arrived, departed

PLAIN = {
    *("noscript", "style", "h2", "h3", "p", "pre", "br", "b", "div", "span"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "ol", "li", "dl", "dt", "dd"),
}


def test_the_corpus_is_what_it_says():
    assert len(CORPUS) == len(set(CORPUS.values())) >= 140
    assert len(LONG) >= 100_000
    assert not any(text.isascii() and "\ufffd" in text for text in CORPUS.values())


# ── On the wire ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_a_text_travels_as_unicode_and_arrives_as_it_was(text):
    sent = departed({text: [text, {"a": (text, 1, None, 0.5, b"\xff")}]})
    ((key, (first, inner)),) = sent.items()
    for one in (key, first, inner["a"][0]):
        assert json.loads(json.dumps(one, ensure_ascii=False).encode()) == one
        assert arrived(one) == text
    assert inner["a"][1:] == [1, None, 0.5, b"\xff"] or inner["a"][1:] == (1, None, 0.5, b"\xff")


def test_what_needs_no_change_is_not_copied():
    state = {"a": [1, "é", {"b": "\ue000"}], "c": ("x", b"")}
    assert departed(state) is state


@pytest.mark.parametrize("name", MAKERS)
def test_what_a_widget_sends_is_unicode(name):
    sent = []
    for text in ("a\ud800b", "\udc80", "\udc00\ud800"):
        widget = MAKERS[name](everywhere(text))
        if name == "beeswarm":  # names of groups, too
            widget.by = {"kind": "group", "groups": {text: [text]}}
        state = widget.get_state()
        json.dumps(state, default=lambda _: "", ensure_ascii=False).encode()
        json.dumps(widget._repr_mimebundle_()[0], ensure_ascii=False).encode()
        widget.comm.send = lambda data, **_: sent.append(data)
        widget.send({"type": "answer", "said": {text: text}})
        content = sent[-1]["content"]
        json.dumps(content, ensure_ascii=False).encode()
        assert arrived(content["said"]) == {text: text}
        widget.close()


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_a_file_gives_a_text_back_or_is_not_written(text, tmp_path):
    a = everywhere(text)
    if text != well_formed(text):
        with pytest.raises(ResultError, match="lone surrogate"):
            a.save(tmp_path / "result.liw")
        assert not list(tmp_path.iterdir())
        return
    b = reopened(a)
    for field in ("inputs", "outputs", "prompt", "target", "title", "caution", "off", "note"):
        assert getattr(a, field) == getattr(b, field)
    assert (a.model, a.params) == (b.model, b.params)


# ── Without script ───────────────────────────────────────────────────────────


class Fallback(HTMLParser):
    """What stands between ``<noscript>`` tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.depth, self.elements, self.attributes, self.text = 0, set(), set(), ""

    def handle_starttag(self, tag, attrs):
        self.depth += tag == "noscript"
        if self.depth:
            self.elements.add(tag)
            self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        self.depth -= tag == "noscript"

    def handle_data(self, data):
        self.text += data if self.depth else ""


@pytest.mark.parametrize("name", MAKERS)
def test_without_script_a_text_is_text(name):
    for text in CORPUS.values():
        a = everywhere(text)
        widget = MAKERS[name](a)
        view = widget.view()
        widget.close()
        state = dict(view.state) | departed(traits_of(name, a)[0])
        parser = Fallback()
        page = render_page([type(view)(view.bundle, state)], text)
        parser.feed(page)
        assert parser.elements <= PLAIN
        assert not any(
            found.startswith("on") or found in ("href", "src") for found in parser.attributes
        )
        for wanted in (a.prompt, a.title or a.method, a.model.name):
            assert well_formed(wanted) in parser.text
