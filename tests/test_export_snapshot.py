"""Snapshots: a view in at most 10 KB of HTML that needs no script and survives sanitizers."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from llm_interp_widgets import wire
from llm_interp_widgets.export.snapshot import LIMIT, snapshot

# What JupyterLab's sanitizer keeps: elements, and values of styles.
TAGS = set("div h3 p small b ins br table thead tbody tr th td".split())
RGBA = r"rgba\(\d{1,3}, \d{1,3}, \d{1,3}, 0\.\d+\)"
LENGTHS = r"((0|\d+px)\s*){1,4}"
STYLES = {
    "background-color": RGBA,
    "padding": LENGTHS,
    "text-align": "left",
    "vertical-align": "top",
    "white-space": "pre-wrap",
}
HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "&lt;b&gt;",
    "\x00\x1b[31m",
    "\u202eabc\u2066",
    "\u2028",
    "\ud800",
    "a\nb",
    "x" * 100_000,
    "&" * 5000,
    "👩‍💻" * 500,
]


class Reader(HTMLParser):
    """Collects elements, their attributes, and text by the element it stands in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.styles: list[str] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag, attrs):
        assert dict(attrs).keys() <= {"style"}
        self.styles += [value for _, value in attrs]
        self.tags.append(tag)
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.setdefault(self._open[-1], []).append(data)


def checked(html: str) -> Reader:
    """Read a snapshot, and hold it to what every one guarantees."""
    assert len(html.encode()) <= LIMIT
    assert "\n" not in html
    reader = Reader(html)
    assert set(reader.tags) <= TAGS
    for style in reader.styles:
        for one in style.split(";"):
            name, value = one.split(":")
            assert re.fullmatch(STYLES[name], value), one
    assert not re.search("[\x00-\x1f\u2028-\u202e\u2066-\u2069]", html)
    return reader


def job(texts, scores, *, outputs=("Paris",), errors=None, prompt=None, **state):
    starts = [0, *itertools.accumulate(map(len, texts))]

    def token(text, start):
        place = {"start": start, "end": start + len(text), "position": 0, "size": 1}
        return {"text": text, "special": False, "role": None, **place}

    shape = (len(outputs), len(texts))
    return {
        "protocol": wire.PROTOCOL,
        "job": "job",
        "seq": 1,
        "subject": {
            "prompt": "".join(texts) if prompt is None else prompt,
            "inputs": [token(text, start) for text, start in zip(texts, starts, strict=False)],
            "outputs": [token(text, 0) for text in outputs],
            "target": "“Paris”",
            "unit": "log_prob",
            "method": "shapley",
            "method_title": "Shapley values (sampled)",
            "caution": "Only a test.",
        },
        "state": {
            "status": "done",
            "preview": False,
            "verdict": "converged",
            "done": 12,
            "total": 512,
            "evaluations": 512,
            "seconds": 4.2,
            "sentences": [f"“France” pushed {name}." for name in outputs],
            "facts": [{"label": "seed", "value": "0", "level": "plain"}],
            "error": None,
        }
        | state,
        "scores": wire.pack(np.resize(np.array(scores), shape)),
        "standard_error": wire.pack(None if errors is None else np.resize(errors, shape)),
        "totals": b"",
    }


TEXTS = ["The", " capital", " of", " France", " is"]
SCORES = [0.2, -3.0, np.nan, 6.0, 1.0]
ERRORS = np.array([0.1, 0.2, 0.1, 0.3, 2.0])


def shown(snapshot_, bundle="token_highlighter", **traits):
    return checked(snapshot({"snapshot": snapshot_, "output": 0, **traits}, bundle))


@pytest.mark.parametrize(
    "bundle", ["token_highlighter", "shap_waterfall", "shap_force", "shap_bar", "lime_view"]
)
def test_what_is_explained_the_answer_and_the_strongest_pieces(bundle):
    reader = shown(job(TEXTS, SCORES, errors=ERRORS), bundle)
    assert reader.text["h3"] == ["Why “Paris”?"]
    assert "“France” pushed Paris." in reader.text["p"]
    assert reader.text["b"] == ["France"]
    assert reader.text["ins"] == ["capital"]
    assert reader.text["td"] == [
        *("“France”", "+6 ± 0.588"),
        *("“capital”", "\N{MINUS SIGN}3 ± 0.392"),
        *("“is” ?", "+1 ± 3.92"),
        *("“The”", "+0.2 ± 0.196"),
    ]
    assert "seed: 0" in reader.text["small"]
    assert "Only a test." in reader.text["p"]
    assert "".join(reader.text["p"]).count("Still running") == 0


def test_the_text_is_whole_where_it_is_short():
    html = snapshot({"snapshot": job(TEXTS, SCORES)}, "token_highlighter")
    assert "The capital of France is" in re.sub("<[^>]*>", "", html)
    assert "left out" not in html


def test_a_long_text_is_cut_around_its_strongest_pieces():
    texts = [f" word{i}" for i in range(3000)]
    scores = np.full(3000, 0.001)
    scores[2222] = 4.0
    reader = shown(job(texts, scores))
    assert reader.text["b"] == ["word2222"]
    said = " ".join(reader.text["small"])
    left, whole = re.search(r"([\d,]+) of ([\d,]+) characters are left out", said).groups()
    assert int(whole.replace(",", "")) == len("".join(texts))
    near = "".join(reader.text["p"])
    assert "word2217 word2218" in near
    assert "word100 " not in near
    shown_ = int(whole.replace(",", "")) - int(left.replace(",", ""))
    assert 100 < shown_ <= 600


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"status": "queued"}, "Waiting for its turn when this was saved."),
        ({"status": "running"}, "Still running when this was saved: 12 of 512 done."),
        ({"status": "running", "total": 0}, "Still running when this was saved."),
        ({"status": "cancelled"}, "Stopped before it was finished."),
        (
            {"status": "failed", "error": {"name": "NonFiniteError", "message": "NaN <b>"}},
            "Failed: NonFiniteError: NaN <b>",
        ),
    ],
)
def test_what_is_not_finished_says_so(state, said):
    assert said in shown(job(TEXTS, SCORES, **state)).text["p"]


def test_before_the_first_scores_there_is_the_text():
    empty = job(TEXTS, SCORES, status="queued") | {"scores": b"", "standard_error": b""}
    reader = shown(empty)
    assert "The capital of France is" in reader.text["p"]
    assert "table" not in reader.tags


@pytest.mark.parametrize("bundle", ["token_highlighter", "generation_view"])
def test_several_outputs_each_with_its_strongest_pieces(bundle):
    outputs = [f" word{i}" for i in range(40)]
    scores = np.arange(200).reshape(40, 5) % 7 - 3.0
    reader = shown(job(TEXTS, scores, outputs=outputs), bundle, output=3)
    assert reader.text["h3"] == ["Why “word3”?"]
    assert "“word15”" in reader.text["td"]
    assert "24 more are not shown." in reader.text["p"]


def test_methods_stand_side_by_side():
    others = [job(TEXTS, [-s for s in SCORES], status="running")]
    reader = shown(job(TEXTS, SCORES), "compare", others=others, labels=["one", "two"])
    assert reader.text["th"] == ["piece", "one", "two"]
    assert reader.text["td"][:3] == ["“France”", "+6", "\N{MINUS SIGN}6"]
    assert "two: Still running when this was saved: 12 of 512 done." in reader.text["p"]


def test_more_methods_than_fit_are_counted():
    others = [job(TEXTS, SCORES)] * 9
    reader = shown(job(TEXTS, SCORES), "compare", others=others, labels=list("abcdefghij"))
    assert reader.text["th"] == ["piece", *"abcd"]
    assert "6 more are not shown." in reader.text["p"]


def collection(texts, words, scores):
    """Return texts of which each word is a piece; positions count in UTF-16 units."""
    starts, ends, offsets = [], [], [0]
    for text, of in zip(texts, words, strict=True):
        at = 0
        for word in of:
            at = text.index(word, at)
            starts.append(len(text[:at].encode("utf-16-le", "surrogatepass")) // 2)
            ends.append(starts[-1] + len(word.encode("utf-16-le", "surrogatepass")) // 2)
            at += len(word)
        offsets.append(len(starts))
    data = {
        "protocol": wire.PROTOCOL,
        "texts": list(texts),
        "outputs": ["positive"],
        "unit": "logit",
        "method_title": "Shapley values",
        "caution": "Only a test.",
        "facts": [{"label": "texts", "value": str(len(texts)), "level": "plain"}],
        "flags": np.isnan(scores).astype(np.uint8).tobytes(),
        "scores": wire.pack(scores),
        "base_values": b"",
        "output_values": b"",
    }
    names = {"offsets": offsets, "starts": starts, "ends": ends}
    return data | {name: np.array(of, "<u4").tobytes() for name, of in names.items()}


def test_a_collection_shows_its_words():
    texts, words = ["👩‍💻 Good, good film", "bad film"], [["Good", "good", "film"], ["bad", "film"]]
    data = collection(texts, words, np.array([1.0, 2.0, 0.25, -2.0, -0.5]))
    reader = checked(snapshot({"data": data, "output": 0}, "beeswarm"))
    assert reader.text["h3"] == ["Shapley values: 2 texts"]
    assert reader.text["th"] == ["word", "mean, logit", "mean |…|", "texts"]
    assert reader.text["td"] == [
        *("“good”", "+3", "3", "1"),
        *("“bad”", "\N{MINUS SIGN}2", "2", "1"),
        *("“film”", "\N{MINUS SIGN}0.125", "0.375 ± 0.245", "2"),
    ]


def test_a_collection_shows_the_rows_of_its_view():
    texts, words = ["👩‍💻 Good, good film", "bad film"], [["Good", "good", "film"], ["bad", "film"]]
    data = collection(texts, words, np.array([1.0, 2.0, 0.25, -2.0, -0.5]))
    state = {"data": data, "output": 0}

    def cells(**more):
        return checked(snapshot(state | more, "beeswarm")).text["td"]

    assert cells(least=2)[::4] == ["“film”"]
    groups = {"praise": ["good"], "blame": ["bad", "awful"]}
    assert cells(by={"kind": "group", "groups": groups})[::4] == ["praise", "blame"]
    by = {"kind": "value", "groups": {"stars": [5, 1]}}
    reader = checked(snapshot(state | {"by": by}, "beeswarm"))
    assert reader.text["th"] == ["number", "rank correlation", "texts"]
    assert reader.text["td"] == ["stars", "+1", "2"]
    places = cells(by={"kind": "position", "groups": {}})[::4]
    assert set(places) == {f"{n}–{n + 10} % of the text" for n in (0, 30, 50, 60)}


def browser(tokens, scores, **overview):
    layers, heads = scores.shape[1:]
    text = {"tokens": tokens, "special": b"", "pieces": {}, "labels": {}}
    stack = {
        "name": "self",
        "title": "self-attention",
        "layers": layers,
        "heads": heads,
        "queries": 0,
        "keys": 0,
        "causal": True,
        "target": "",
        "can": [],
        "cannot": {},
        "facts": [{"label": "dtype", "value": "float32", "level": "plain"}],
    }
    subject = {"protocol": 1, "title": "A model", "caution": "Weights.", "texts": [text]}
    known = {
        "rows": 1,
        "cols": 1,
        "stages": bytes(layers),
        "pictures": b"",
        "names": ["induction", "entropy"][: len(scores)],
        "scores": wire.pack(scores),
        "status": "done",
    }
    return {
        "subject": subject | {"stacks": [stack]},
        "overviews": [known | overview],
        "stack": "self",
    }


def test_heads_with_the_highest_scores_of_each_kind():
    scores = np.full((2, 3, 4), np.nan)
    scores[0, 2, 1], scores[0, 0, 3] = 0.9, 0.4
    reader = checked(snapshot(browser(TEXTS, scores), "attention_browser"))
    assert reader.text["h3"] == ["A model"]
    assert "self-attention: 3 layers × 4 heads, 5 × 5 tokens." in reader.text["p"]
    assert reader.text["td"] == ["induction", "2.1: 0.90 · 0.3: 0.40"]
    running = browser(TEXTS, scores, status="running", stages=bytes([2, 1, 0]))
    said = checked(snapshot(running, "attention_browser")).text["p"]
    assert "Still running when this was saved: 2 of 3 done." in said


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_text_and_never_too_long(text):
    quiet = shown(job(["a", " b"], [1.0, -2.0]), "compare", labels=["c"])
    evil = job([text, text], [1.0, -2.0], outputs=[text], sentences=[text])
    evil["subject"] |= {"target": text, "caution": text, "method_title": text}
    evil["state"]["facts"] = [{"label": text, "value": text, "level": "plain"}] * 3
    loud = shown(evil, "compare", labels=[text])
    for tag in ("script", "img"):
        assert tag not in loud.tags
    assert set(loud.tags) - {"br"} <= set(quiet.tags)
    shown(evil, "token_highlighter")
    shown(job([text] * 2000, np.arange(60_000) % 13, outputs=[text] * 30), "generation_view")
    words = collection([text], [[text]], np.array([1.0]))
    checked(snapshot({"data": words, "output": 0}, "beeswarm"))
    checked(snapshot(browser([text] * 9, np.ones((2, 48, 64))), "attention_browser"))


@pytest.mark.parametrize(
    "state",
    [{}, {"snapshot": {}}, {"snapshot": {"subject": 1}}, {"data": {}}, {"subject": {}}],
)
@pytest.mark.parametrize(
    "bundle", ["token_highlighter", "compare", "beeswarm", "attention_browser"]
)
def test_a_state_that_is_not_ours_gives_a_sentence(state, bundle):
    html = snapshot(state, bundle)
    assert checked(html).text["p"] == ["An interactive view stood here. Run the cell to see it."]


def test_pieces_that_are_no_parts_of_the_prompt_are_shown_one_after_the_other():
    spread = job(TEXTS, SCORES, prompt="?")
    html = snapshot({"snapshot": spread}, "token_highlighter")
    assert "The capital of France is" in re.sub("<[^>]*>", "", html)
