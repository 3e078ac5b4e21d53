"""Views of saved results in JupyterLab: in every theme, and in another language meanwhile."""

from __future__ import annotations

import numpy as np

from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.neighbourhood import Neighbourhood
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token

WORDS = "the plot is dull but both actors are wonderful in it".split()
SETUP = """import llm_interp_widgets as liw
from IPython.display import display
results = [liw.Attribution.load(f"{i}.npz") for i in range(4)]"""
SHOW = """views = [liw.TokenHighlighter.of(results[0]), liw.compare(results[:3]),
         liw.lime(results[3]), liw.beeswarm(results[:3])]
display(*views)"""
OUTPUTS = ".jp-OutputArea-output:has(.liw)"


def result(seed, method="shapley", **more):
    rng = np.random.default_rng(seed)
    tokens, at = [], 0
    for i, word in enumerate(WORDS):
        text = word if i == 0 else f" {word}"
        tokens.append(Token(text, i, at, at + len(text), position=i))
        at += len(text)
    scores = rng.normal(size=(1, len(WORDS)))
    given = {
        "scores": scores, "inputs": tuple(tokens), "base_values": np.zeros(1),
        "outputs": (Token(" good", 0, at, at, position=len(WORDS)),),
        "output_values": scores.sum(1), "completeness_gap": np.zeros(1),
        "standard_error": np.full(scores.shape, 0.2), "method": method, "title": "Shapley values",
        "target": "“good”", "unit": "log_prob", "prompt": "".join(t.text for t in tokens),
        "model": ModelInfo("m", None, "float32", "cpu"), "seed": seed, "seconds": 1.0,
        "evaluations": 100, "converged": True,
    }  # fmt: skip
    return Attribution(**given | more)


def test_views_are_for_all_in_every_theme_and_change_their_language_live(lab, axe):
    rng = np.random.default_rng(9)
    masks = rng.random((60, len(WORDS))) > 0.4
    seen = Neighbourhood(masks, rng.normal(size=(60, 1)), masks.mean(1), np.zeros(1))
    more = {"title": "LIME", "neighbourhood": seen, "fit": np.array([0.3]), "additive": False}
    for i, one in enumerate([*map(result, range(3)), result(3, "lime", **more)]):
        one.save(lab.server.root / f"{i}.npz")
    lab.open(SETUP, SHOW)
    lab.output(".liw-bee canvas").first.wait_for(timeout=60_000)
    lab.output(".liw-lime-scatter").wait_for()
    for theme in lab.THEMES:
        lab.theme(theme)
        assert axe(lab.page, OUTPUTS) == [], theme

    lab.output(".liw-text [data-index='3']").first.click()  # what is pinned stays so
    assert lab.python("print(liw.language('zh'))") == "zh"
    lab.page.locator("h2:has-text('为什么是“good”？')").nth(2).wait_for()
    lab.page.locator("h2:has-text('3 个文本中什么重要')").wait_for()
    assert lab.output(".liw").evaluate_all("all => all.map(e => e.lang)") == ["zh-Hans"] * 4
    assert lab.output(".liw-text [aria-selected=true]").first.inner_text().strip() == "dull"
    label = lab.output(".liw-text [data-index='3']").first.get_attribute("aria-label")
    assert label.startswith("“dull”，第四个词元，")
    assert "推向" in lab.output(".liw-sentence").first.inner_text()
    assert lab.output("h3 >> text=个遮盖文本").count() == 1
    assert lab.python("print(views[0].selected)") == "3"
    assert axe(lab.page, OUTPUTS) == []
    page = lab.python("print(views[1].to_html('zh.html', overwrite=True).read_text('utf-8')[:40])")
    assert '<html lang="zh-Hans">' in page

    lab.python("liw.language('en')")
    lab.page.locator("h2:has-text('Why “good”?')").nth(2).wait_for()
    assert lab.output(".liw").first.get_attribute("lang") == "en"
