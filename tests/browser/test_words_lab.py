"""Views of saved results in JupyterLab: in every theme, and in another language meanwhile."""

from __future__ import annotations

from made import attribution, lime

SETUP = """import llm_interp_widgets as liw
from IPython.display import display
results = [liw.Attribution.load(f"{i}.npz") for i in range(4)]"""
SHOW = """views = [liw.TokenHighlighter.of(results[0]), liw.compare(results[:3]),
         liw.lime(results[3]), liw.beeswarm(results[:3])]
display(*views)"""
OUTPUTS = ".jp-OutputArea-output:has(.liw)"


def test_views_are_for_all_in_every_theme_and_change_their_language_live(lab, axe):
    results = [attribution(outputs=(" good",), target="“good”", seed=i) for i in range(3)]
    for i, one in enumerate([*results, lime()]):
        one.save(lab.server.root / f"{i}.npz")
    lab.open(SETUP, SHOW)
    lab.output(".liw-bee canvas").first.wait_for(timeout=60_000)
    lab.output(".liw-lime-scatter").wait_for()
    for summary in lab.output("summary").all():
        summary.click()
    for theme in lab.THEMES:
        lab.theme(theme)
        lab.output(".liw-text [data-index='3']").first.hover()
        assert axe(lab.page, OUTPUTS) == [], theme

    lab.output(".liw-text [data-index='3']").first.click()  # what is pinned stays so
    assert lab.python("print(liw.language('zh'))") == "zh"
    lab.page.locator("h2:has-text('为什么是“good”？')").nth(1).wait_for()
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
    lab.page.locator("h2:has-text('Why “good”?')").nth(1).wait_for()
    assert lab.output(".liw").first.get_attribute("lang") == "en"
