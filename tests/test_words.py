"""The words of the screen: one catalogue, whole and without dead entries; switching languages."""

from __future__ import annotations

import ast
import gc
import json
import re
import weakref
from pathlib import Path

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets import words
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.export import heads
from llm_interp_widgets.export.bundles import templates
from llm_interp_widgets.export.snapshot import _INTERACTIVE, _NOTHING, ON_PAGE
from llm_interp_widgets.methods import METHODS
from llm_interp_widgets.models import components
from llm_interp_widgets.results import describe
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token
from llm_interp_widgets.widgets import _texts, attention_browser

PACKAGE = Path(liw.__file__).parent
CHINESE = json.loads((PACKAGE / "words" / "zh.json").read_text("utf-8"))
CONSTANT = re.compile(r'^export const \w+ =\s*("(?:[^"\\]|\\.)*");', re.MULTILINE)


@pytest.fixture(autouse=True)
def _english_again():
    yield
    words.language("en")


def attribution(**more):
    prompt = "The capital of France is"
    tokens, at = [], 0
    for i, word in enumerate(prompt.split()):
        text = word if i == 0 else f" {word}"
        tokens.append(Token(text, i, at, at + len(text), position=i))
        at += len(text)
    scores = np.array([[0.1, 2.0, 0.0, 6.9, -1.5]])
    given = {
        "scores": scores, "inputs": tuple(tokens), "base_values": np.zeros(1),
        "outputs": (Token(" Paris", 9, at, at, position=5),),
        "output_values": scores.sum(1), "completeness_gap": np.zeros(1),
        "standard_error": np.full((1, 5), 0.01), "method": "shapley", "title": "Shapley values",
        "caution": METHODS["shapley"].CARD.caution, "off": "“_”, “ the”, averaged",
        "without": ("Without “capital” and “France” it would have said “the”, not “Paris”.",),
        "target": "“Paris”", "unit": "log_prob", "prompt": prompt,
        "model": ModelInfo("m", None, "float32", "cpu"), "seed": 0, "seconds": 1.0,
        "evaluations": 100, "converged": True,
    }  # fmt: skip
    return Attribution(**given | more)


# ── The catalogue ────────────────────────────────────────────────────────────


def of_the_views():
    source = (PACKAGE.parent / "js" / "src" / "words.ts").read_text("utf-8")
    found = [json.loads(text) for text in CONSTANT.findall(source)]
    assert len(found) == source.count("\nexport ")
    assert len(found) == len(set(found)), "one constant a text"
    return set(found)


def of_python():
    """What ``say`` and ``retold`` are called with, and what they say by way of a table."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        named = {
            one.targets[0].id: one.value.value
            for one in tree.body
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
            and isinstance(one.value, ast.Constant)
        }  # fmt: skip
        for call in ast.walk(tree):
            name = call.func.id if isinstance(call, ast.Call) and hasattr(call.func, "id") else ""
            if name in ("say", "retold", "_counted"):
                for said in call.args[1:] if name == "retold" else call.args[:1]:
                    found.update(_texts_of(said, named))
    cards = [method.CARD for method in METHODS.values()]
    found.update(card.title for card in cards)
    found.update(card.caution for card in cards if card.caution)
    found.update(describe.UNIT_NAMES.values(), _texts._TITLES.values())
    found |= {ON_PAGE, _INTERACTIVE, _NOTHING}
    found |= {heads._PINNED_OUT, heads._LARGEST_OUT, components._NOTE, attention_browser._CAUTION}
    found |= {"SHAP", "LIME", "Slopes of a simpler model: with a low R² they say little."}
    return found | set(facts_of_many())


def _texts_of(node, named):
    match node:
        case ast.Name(name) if name in named:
            yield named[name]
        case ast.Constant(str(text)):
            yield text
        case ast.IfExp(_, one, two):
            yield from [*_texts_of(one, named), *_texts_of(two, named)]


def facts_of_many():
    """Labels of facts that are kept in English."""
    source = (PACKAGE / "results" / "collection.py").read_text("utf-8")
    (facts,) = (f for f in ast.walk(ast.parse(source)) if getattr(f, "name", "") == "_facts")
    for node in ast.walk(facts):
        if isinstance(node, ast.Tuple) and len(node.elts) == 3:
            yield from _texts_of(node.elts[0], {})


def test_every_word_is_translated_and_no_translation_is_dead():
    said = of_the_views() | of_python()
    assert len(said) > 400
    assert sorted(said - CHINESE.keys()) == []
    assert sorted(CHINESE.keys() - said) == []


@pytest.mark.parametrize("english", sorted(CHINESE))
def test_a_translation_has_the_places_of_the_english(english):
    assert words.places(english) == words.places(CHINESE[english])
    loose = re.sub(r"\{\w+\}", "", english + CHINESE[english])
    assert not set("{}") & set(loose)


def test_a_bundle_lists_its_own_words():
    views = of_the_views()
    for name in ("token_highlighter", "attention_browser", "attention_head", "beeswarm"):
        own = templates(name)
        assert 40 < len(own) < 150
        assert set(own) <= views
    assert "Attention weights" in templates("attention_browser")
    assert "Attention weights" not in templates("token_highlighter")
    assert templates("host") == ()


# ── Saying ───────────────────────────────────────────────────────────────────


def test_what_is_missing_or_misfits_is_said_in_english(monkeypatch):
    monkeypatch.setattr(words, "catalogue", lambda code: {"Why {target}?": "为什么是{target}？"})
    words.language("zh")
    assert words.say("Why {target}?", target="“{n}”") == "为什么是“{n}”？"
    assert words.say("{n} heads", n=3) == "3 heads"
    assert words.say("{n} heads") == "{n} heads"
    assert words.say("{0.__class__} %s {") == "{0.__class__} %s {"


def test_a_translation_with_other_places_is_left_out(tmp_path, monkeypatch):
    (tmp_path / "xx.json").write_text('{"a {n}": "b {m}", "c {n}": "{n} d", "e": "f {g}"}')
    monkeypatch.setattr(words, "files", lambda _: tmp_path)
    words.catalogue.cache_clear()
    try:
        assert words.available() == ("en", "xx")
        assert words.catalogue("xx") == {"c {n}": "{n} d"}
    finally:
        words.catalogue.cache_clear()


def test_an_unknown_language_says_which_there_are():
    for wrong in ("fr", "", "../zh", "zhuang", "-zh", 5):
        with pytest.raises(ParameterError, match="Available: en, zh"):
            words.language(wrong)
    assert liw.language() == "en"


@pytest.mark.parametrize("tag", ["zh", "ZH", "zh-CN", "zh_Hans_CN"])
def test_a_tag_of_a_language_is_that_language(tag):
    try:
        assert words.language(tag) == liw.language() == "zh"
    finally:
        assert words.language("en-GB") == "en"


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("“_”, “ the”, averaged", "“_”, “ the” 的平均"),
        ("removing the tokens", "删除词元"),
        ("“_”", "“_”"),
        ("“a”, averaged”, “b”, averaged", "“a”, averaged”, “b” 的平均"),
    ],
)
def test_what_was_kept_in_english_is_told_anew(kept, told):
    assert describe.stands_in(kept) == kept
    words.language("zh")
    assert describe.stands_in(kept) == told


def test_targets_are_told_anew_but_not_their_tokens():
    words.language("zh")
    assert describe.target_words("“yes” rather than “no”") == "“yes”而非“no”"
    assert describe.target_words("“value”") == "“value”"


# ── Views and pages ──────────────────────────────────────────────────────────


def test_a_widget_gets_exactly_its_words():
    assert liw.bar(attribution()).words == {}
    words.language("zh")
    for widget in (liw.bar(attribution()), liw.TokenHighlighter.of(attribution())):
        assert widget.words == {t: CHINESE[t] for t in templates(widget.bundle_name)}


def test_an_open_view_speaks_the_new_language_and_the_old_one_again():
    w = liw.TokenHighlighter.of(attribution())
    before = w.snapshot
    assert before["state"]["sentences"][0].startswith("“France” pushed hardest towards “Paris”")
    words.language("zh")
    (told,) = w.snapshot["state"]["sentences"]
    assert told == (
        "“France”推向“Paris”的力度最大（+6.9 对数概率）；“is”推向相反方向（−1.5）。"
        "没有“capital”和“France”，它会说“the”，而不是“Paris”。"
    )
    facts = {fact["label"]: fact["value"] for fact in w.snapshot["state"]["facts"]}
    assert facts["关闭方式"] == "“_”, “ the” 的平均"
    assert facts["目标"] == "“Paris” (对数概率)"
    assert w.snapshot["subject"]["method_title"] == "Shapley 值"
    assert w.snapshot["scores"] == before["scores"]
    assert w.heading == "为什么是“Paris”？"
    words.language("en")
    assert w.words == {}
    assert w.snapshot == before


def test_labels_and_collections_follow():
    both = [attribution(), attribution(method="lime", title="LIME", seed=1)]
    compared, many = liw.compare(both), liw.beeswarm([attribution(), attribution()])
    words.language("zh")
    assert compared.labels == ["Shapley 值 · 种子 0", "LIME · 种子 1"]
    assert {"label": "已收敛", "value": "2 / 2", "level": "plain"} in many.data["facts"]
    assert many.heading == "2 个文本中什么重要"
    assert many.data["caution"].startswith("关闭部分片段后")


def test_what_is_shown_without_scripts_follows():
    w = liw.TokenHighlighter.of(attribution())
    assert "Run the cell for the interactive view." in w._repr_mimebundle_()[0]["text/html"]
    words.language("zh")
    shown = w._repr_mimebundle_()[0]["text/html"]
    assert "<h3>为什么是“Paris”？</h3>" in shown
    assert "运行单元格以使用交互视图。" in shown
    left = re.sub(r"<[^>]*>|France|Paris|The|capital|of|is|the|Shapley", "", shown)
    assert set(re.findall(r"[A-Za-z]{2,}", left)) == {"shapley", "float", "cpu"}


def test_a_closed_view_stays_as_it_was_and_is_not_kept_alive():
    w = liw.TokenHighlighter.of(attribution())
    w.close()
    words.language("zh")
    assert w.words == {}
    gone = weakref.ref(w)
    del w
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("later", [False, True])
def test_a_page_is_in_the_language_in_force(tmp_path, later):
    w = liw.TokenHighlighter.of(attribution())
    words.language("zh")
    if later:
        w = liw.waterfall(w)
    page = liw.save_html(tmp_path / "page.html", w).read_text("utf-8")
    assert '<html lang="zh-Hans">' in page
    assert "<title>为什么是“Paris”？</title>" in page
    fallback = re.search(r"<noscript>(?!<style)(.*?)</noscript>", page, re.DOTALL)[1]
    assert "Shapley 值，已完成，已收敛。" in fallback
    assert "对数概率" in fallback
    left = re.sub(r"<[^>]*>|France|Paris|The|capital|of|is|the|Shapley", "", fallback)
    assert re.findall(r"[A-Za-z]{2,}", left) == ["shapley", "float", "cpu"]
    words.language("en")
    assert '<html lang="en">' in liw.save_html(tmp_path / "en.html", w).read_text("utf-8")


def test_heads_follow(tiny_lm):
    w = liw.attend(tiny_lm("llama"), "The capital of France is Paris.")
    try:
        before = w.subject
        words.language("zh")
        (stack,) = w.subject["stacks"]
        assert stack["title"] == "自注意力"
        assert stack["name"] == "self"
        assert {"label": "注意力头", "value": "2 层 × 4", "level": "plain"} in stack["facts"]
        assert w.subject["caution"].startswith("是权重，不是重要性")
        assert w.words["Matrix"] == "矩阵", "of the part that shows one head"
        words.language("en")
        assert w.subject == before
    finally:
        w.close()
