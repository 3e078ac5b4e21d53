"""Exported pages: self-contained, inert towards hostile text, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from llm_interp_widgets import wire
from llm_interp_widgets.errors import ExportError, FrontEndMissingError, ParameterError
from llm_interp_widgets.export import View, bundle, render_page, write_page
from llm_interp_widgets.export._payload import encode, islands

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]>",
    "&lt;b&gt;",
    "\u2028\u2029",
    "lone \ud800 surrogate",
    "'\"`${alert(1)}\\u003c",
    "\x00\x07\x1b",
    "{views}%s",
    "👩‍💻 今天\r\n",
]


class Reader(HTMLParser):
    """Collects tags, and text by the tag it stands in."""

    def __init__(self):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.setdefault(self._open[-1] if self._open else "", []).append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader._open, "every element is closed"
    return reader


def island(page: str) -> dict:
    (found,) = islands(page)
    return found


def snapshot(texts: list[str], scores: list[float], *, target: str = "“Paris”") -> wire.Snapshot:
    inputs: list[wire.TokenInfo] = [
        {
            "text": text,
            "start": 0,
            "end": len(text),
            "special": False,
            "role": None,
            "position": position,
            "size": 1,
        }
        for position, text in enumerate(texts)
    ]
    return {
        "protocol": wire.PROTOCOL,
        "job": "job",
        "seq": 0,
        "subject": {
            "prompt": "".join(texts),
            "inputs": inputs,
            "outputs": inputs[:1],
            "target": target,
            "unit": "log_prob",
            "method": "shapley",
            "method_title": "Shapley values",
            "caution": "Only a test.",
        },
        "state": {
            "status": "done",
            "preview": False,
            "verdict": "exact",
            "done": 4,
            "total": 4,
            "evaluations": 4,
            "seconds": 0.5,
            "sentences": ["France pushed hardest."],
            "facts": [{"label": "seed", "value": "0", "level": "plain"}],
            "error": None,
        },
        "scores": wire.pack([scores]),
        "standard_error": wire.pack([[0.25] * len(scores)]),
        "totals": wire.pack(np.zeros((3, 1))),
    }


def view(texts: list[str] | None = None, **options: str) -> View:
    texts = texts or ["The", " France"]
    scores = [(-1) ** i * (i + 0.5) for i in range(len(texts))]
    return View("token_highlighter", {"snapshot": snapshot(texts, scores, **options), "output": 0})


def test_a_page_is_one_document_without_addresses():
    page = render_page([view()], "Why Paris?")
    reader = read(page)
    tags = dict(reader.tags)
    assert page.startswith("<!doctype html>")
    assert tags["html"]["lang"] == "en"
    assert {"main", "h1", "title", "noscript"} <= set(tags)
    assert not {"src", "href"} & {name for _, attrs in reader.tags for name in attrs}
    known = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}
    known |= {"http://www.w3.org/1998/Math/MathML", "http://www.w3.org/1999/xlink"}
    known |= {"http://www.w3.org/XML/1998/namespace"}
    outside = page + "".join(island(page)["bundles"].values())
    assert set(re.findall(r"https?://[\w./-]+", outside)) <= known, "names of XML, no addresses"


def test_the_policy_names_no_origin():
    policies = [
        attrs["content"]
        for tag, attrs in read(render_page([view()], "x")).tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; ")
    assert "http" not in policies[0]
    assert "*" not in policies[0]


def test_landmarks_headings_and_what_made_it(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    named = View("token_highlighter", view().state, name="Why <Paris>?")
    reader = read(render_page([named, view()], "Two views"))
    tags = [tag for tag, _ in reader.tags]
    order = [tags.index(tag) for tag in ("header", "h1", "main", "section", "footer")]
    assert order == sorted(order)
    assert tags.count("h1") == 1
    labels = [attrs["aria-label"] for tag, attrs in reader.tags if tag == "section"]
    assert labels == ["Why <Paris>?", "View 2"]
    assert reader.text["h1"] == reader.text["title"] == ["Two views"]
    version = importlib.metadata.version("llm_interp_widgets")
    assert f"Made with llm_interp_widgets {version}, " in reader.text["p"]
    assert reader.text["time"] == ["1970-01-02"]


def test_the_same_views_give_the_same_page(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    for csp in ("inline", "strict"):
        assert render_page([view()], "x", csp=csp) == render_page([view()], "x", csp=csp)


def test_the_strict_policy_names_every_script_and_style_by_its_hash():
    page = render_page([view(HOSTILE), View("shap_bar", view().state)], HOSTILE[0], csp="strict")
    reader = read(page)
    (policy,) = (attrs["content"] for tag, attrs in reader.tags if "http-equiv" in attrs)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        texts = re.findall(f'<{tag}(?: type="module")?>(.*?)</{tag}>', page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in texts]
        assert rules[kind].split() == [f"'sha256-{digest}'" for digest in hashes]
        assert len(hashes) == {"script": 3, "style": 2}[tag]
    assert "unsafe" not in policy
    assert "blob:" not in rules["script-src"]
    assert not [name for _, attrs in reader.tags for name in attrs if name[:2] == "on"]
    assert not any("style" in attrs for _, attrs in reader.tags)
    assert island(page)["bundles"] == {}


def test_a_policy_that_is_unknown_is_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(ParameterError, match="Did you mean 'strict'"):
        render_page([view()], "x", csp="strikt")


def test_each_bundle_stands_in_the_page_once():
    page = render_page([view(), view(), view()], "three")
    assert set(island(page)["bundles"]) == {"token_highlighter"}
    assert [model["id"] for model in island(page)["models"]] == ["view-1", "view-2", "view-3"]
    places = [attrs for tag, attrs in read(page).tags if tag == "section"]
    assert [place["data-liw-view"] for place in places] == ["view-1", "view-2", "view-3"]
    assert len(page) < len(render_page([view()], "one")) + 8_000


def test_bytes_at_any_depth_come_back_in_their_places():
    state = {"a": {"b": [1, b"\x00\x01", {"c": memoryview(b"\xff")}]}, "d": bytearray(b"")}
    pages = render_page([View("token_highlighter", state)] * 2, "x")
    for model in island(pages)["models"]:
        assert model["state"] == {"a": {"b": [1, b"\x00\x01", {"c": b"\xff"}]}, "d": b""}


def test_buffers_are_aligned_and_the_same_island_is_the_same_text():
    model = {"id": "1", "bundle": "b", "kernel": "", "state": {"x": [b"123"] * 5, "y": bytes(16)}}
    text = encode([model], {})
    assert text == encode([model], {})
    whole = zlib.decompress(base64.b64decode(text))
    end = 4 + int.from_bytes(whole[:4], "little")
    buffers = json.loads(whole[4:end])["models"][0]["buffers"]
    assert end % 8 == 0
    assert [buffer["at"] % 8 for buffer in buffers] == [0] * 6


def test_numbers_json_does_not_know_become_null():
    page = render_page([View("token_highlighter", {"x": [float("nan"), float("inf"), 1.5]})], "x")
    assert island(page)["models"][0]["state"] == {"x": [None, None, 1.5]}


def test_a_state_that_is_no_data_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        render_page([View("token_highlighter", {"x": object()})], "x")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_and_makes_no_element(text):
    hostile = view([text, " end"], target=text)
    page = render_page([hostile], text)
    quiet, loud = read(render_page([view(["a", " end"])], "x")), read(page)
    assert [tag for tag, _ in loud.tags] == [tag for tag, _ in quiet.tags]
    subject = island(page)["models"][0]["state"]["snapshot"]["subject"]
    assert subject["inputs"][0]["text"] == text
    shown = "".join(loud.text["h1"])
    assert shown == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_the_island_holds_nothing_that_could_end_it():
    page = render_page([view(HOSTILE)], "x")
    inside = page.split('id="liw-page" data-liw-island>')[1].split("</script>")[0]
    assert re.fullmatch("[A-Za-z0-9+/=]+", inside)


def test_without_javascript_there_are_the_sentence_and_the_scores():
    reader = read(render_page([view(["The", " <b>France</b>"])], "x"))
    assert "France pushed hardest." in " ".join(reader.text["p"])
    assert reader.text["td"] == ["+0.5 ± 0.49", "−1.5 ± 0.49"]
    assert "<b>France</b>" in reader.text["th"]
    assert "Only a test." in reader.text["p"]


def test_without_javascript_all_that_is_compared_is_there():
    first, second = (snapshot(["The", " France"], scores) for scores in ([1.0, 2.0], [3.0, 4.0]))
    state = {"snapshot": first, "others": [second], "labels": ["one", "two"]}
    reader = read(render_page([View("compare", state)], "x"))
    assert reader.text["td"] == [f"+{n} ± 0.49" for n in (1, 2, 3, 4)]
    said = [words.split(", done")[0] for words in reader.text["p"] if ", done" in words]
    assert said == ["one, Shapley values", "two, Shapley values"]
    assert reader.text["pre"] == ["The France"], "once"


def test_a_view_with_nothing_known_has_a_fallback_too():
    reader = read(render_page([View("token_highlighter", {"snapshot": {}})], "x"))
    assert "This view needs JavaScript." in reader.text["p"]


def test_a_missing_bundle_says_how_to_make_it():
    with pytest.raises(FrontEndMissingError, match="make frontend"):
        bundle("no_such_bundle")


# ── Files ────────────────────────────────────────────────────────────────────


def test_a_file_is_written_as_utf8(tmp_path):
    path = write_page(tmp_path / "page.html", "größe 今天")
    assert path.read_bytes() == "größe 今天".encode()
    assert [item.name for item in tmp_path.iterdir()] == ["page.html"]


def test_a_lone_surrogate_does_not_break_the_file(tmp_path):
    page = render_page([view(["\udc80"])], "\udc80")
    write_page(tmp_path / "page.html", page).read_bytes().decode("utf-8")


def test_a_file_is_replaced_only_when_asked(tmp_path):
    path = write_page(tmp_path / "page.html", "one")
    with pytest.raises(ExportError, match=r"page\.html exists already.*overwrite=True"):
        write_page(path, "two")
    assert path.read_text() == "one"
    write_page(path, "two", overwrite=True)
    assert path.read_text() == "two"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_appears_in_the_meantime_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    link = os.link

    def slow(source, target):
        path.write_text("theirs")
        return link(source, target)

    monkeypatch.setattr(os, "link", slow)
    with pytest.raises(ExportError, match="overwrite=True"):
        write_page(path, "ours")
    assert path.read_text() == "theirs"


def test_a_file_system_without_links_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert write_page(tmp_path / "page.html", "one").read_text() == "one"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_page(tmp_path / "page.html", "one")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(ExportError, match="No space left on device"):
        write_page(path, "two", overwrite=True)
    assert path.read_text() == "one"
    assert [item.name for item in tmp_path.iterdir()] == ["page.html"]


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(ExportError, match=r"nowhere does not exist"):
        write_page(tmp_path / "nowhere" / "page.html", "one")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ExportError, match="is a folder"):
        write_page(tmp_path, "one", overwrite=True)


def test_a_place_that_cannot_hold_files_is_an_error():
    with pytest.raises(ExportError, match="cannot be written"):
        write_page("/proc/page.html", "one")


def test_the_file_has_the_rights_of_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    path = write_page(tmp_path / "page.html", "one")
    assert path.stat().st_mode == plain.stat().st_mode
