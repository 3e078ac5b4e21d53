"""Widgets of several jobs: what was written and what nearly was; explanations side by side."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import traitlets

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.errors import (
    ClosedWidgetError,
    ModelMemoryError,
    ParameterError,
    ResultError,
    TargetError,
)
from llm_interp_widgets.jobs import Job, run_here
from llm_interp_widgets.models.tokenize import token_name

TEXT = "The capital of France is"
FEW = {"evaluations": 40, "precision": None}


def scores(snapshot):
    shape = len(snapshot["subject"]["outputs"]), len(snapshot["subject"]["inputs"])
    return wire.unpack(snapshot["scores"], shape)


@pytest.fixture
def lm(tiny_lm):
    return tiny_lm()


class TestGeneration:
    def test_is_the_attribution_of_what_the_model_writes(self, lm):
        a = liw.attribute(lm, TEXT, liw.Generate(3), "occlusion")
        g = liw.generate(lm, TEXT, 3, "occlusion")
        assert np.array_equal(g.result().scores, a.scores)
        assert [o.text for o in g.about.outputs] == [o.text for o in a.outputs]

    def test_alternatives_are_the_models_own_next_tokens(self, lm):
        import torch

        g = liw.generate(lm, TEXT, 3, "occlusion", alternatives=4)
        said = [output.id for output in g.about.outputs]
        ids = torch.tensor([[*lm.encode(TEXT).ids, *said]])
        with torch.no_grad():
            logits = lm.model(ids).logits[0, -4:-1].log_softmax(-1)
        best = logits.topk(5)
        found = wire.unpack(g.alternatives["log_probs"], (3, 5))
        np.testing.assert_allclose(found, best.values, atol=1e-5)
        assert best.indices[:, 0].tolist() == said  # written greedily
        names = [[token_name(lm.tokenizer, i) for i in row] for row in best.indices.tolist()]
        assert g.alternatives["tokens"] == names

    def test_contrast_explains_the_choice_after_what_was_written(self, lm):
        g = liw.generate(lm, TEXT, 3, "occlusion")
        c = g.contrast(1, 2)
        assert g.alternatives["tokens"][1][0] == g.about.outputs[1].text
        chances = wire.unpack(g.alternatives["log_probs"], (3, 6))
        assert c.output_values[0] == pytest.approx(chances[1, 0] - chances[1, 2], abs=1e-4)
        assert [piece.text for piece in c.inputs] == [p.text for p in g.result().inputs]
        assert (g.output, g.span, g.contrast_shown) == (1, 1, 0)
        assert g.contrasts == [[1, 2]]
        assert np.array_equal(scores(g.others[0]), c.scores)

    def test_the_browser_asks_as_python_does_and_once(self, lm):
        g = liw.generate(lm, TEXT, 2, "occlusion")
        ask = {"type": "contrast", "output": 0, "alternative": 1}
        for message in (ask, ask, {"type": "contrast", "output": "0"}, {"type": "contrast"}):
            g._handle_custom_msg(message, [])
        assert g.contrasts == [[0, 1]]
        assert len(g.results(10)) == 2
        g._handle_custom_msg({**ask, "alternative": 99}, [])
        assert "candidates" in g.failure["message"]
        g._handle_custom_msg({**ask, "alternative": 0}, [])
        assert g.failure["name"] == "TargetError"  # with itself
        g._handle_custom_msg(ask, [])
        assert g.failure == {}

    def test_without_a_model_it_shows_and_says_what_is_missing(self, lm):
        a = liw.attribute(lm, TEXT, liw.Generate(2), "occlusion")
        g = liw.generation(a, output=1)
        assert g.output == 1
        assert g.alternatives == {}
        with pytest.raises(ParameterError, match="generate"):
            g.contrast(0, 1)

    def test_bad_input(self, lm, tiny_lm):
        for alternatives in (-1, True, "5"):
            with pytest.raises(ParameterError, match="alternatives"):
                liw.generate(lm, TEXT, 2, alternatives=alternatives)
        with pytest.raises(TargetError):
            liw.generate(tiny_lm("bert"), TEXT)
        g = liw.generate(lm, TEXT, 2, "occlusion")
        with pytest.raises(traitlets.TraitError, match="contrast_shown"):
            g.contrast_shown = 0
        g.close()
        with pytest.raises(ClosedWidgetError):
            g.contrast(0, 1)

    def test_a_contrast_that_failed_can_be_asked_for_again(self, lm, monkeypatch):
        g = liw.generate(lm, TEXT, 3, "occlusion")
        g.result()
        own = g._ask

        def fails(*asked):
            about, _, _ = own(*asked)

            def run(_):
                raise ModelMemoryError("not now")
                yield

            job = Job(run, (1, len(about.inputs)), lambda _: None)
            return about, job, lambda: run_here(job)

        monkeypatch.setattr(g, "_ask", fails)
        with pytest.raises(ModelMemoryError, match="not now"):
            g.contrast(0, 1)
        monkeypatch.setattr(g, "_ask", own)
        a = g.contrast(0, 1)
        assert np.isfinite(a.scores).all()
        assert g.contrasts == [[0, 1]]
        assert [one["state"]["status"] for one in g.others] == ["done"]
        assert len(g._feeds) == 2

    def test_a_contrast_is_left_when_another_token_is_chosen(self, lm):
        g = liw.generate(lm, TEXT, 3, "occlusion")
        g.contrast(0, 1)
        g.set_state({"output": 2})
        assert g.contrast_shown is None
        g.contrast(0, 1)
        g.set_state({"span": 2})
        assert (g.contrast_shown, g.span) == (None, 2)
        g.contrast(0, 1)
        assert (g.output, g.span, g.contrast_shown) == (0, 1, 0)

    def test_page_holds_the_contrasts_that_were_made(self, lm):
        g = liw.generate(lm, TEXT, 2, "occlusion")
        g.contrast(0, 1)
        state = g.view().state
        assert len(state["others"]) == 1
        assert state["others"][0]["state"]["status"] == "done"
        assert state["contrasts"] == [[0, 1]]


class TestContrastAfter:
    def test_is_the_difference_of_two_log_probs_after_the_text(self, lm):
        after = lm.encode(" Paris and").ids
        a, b = 11, 23
        common = 0  # log p(x) - log p(common), after the same text
        one, two = (
            liw.attribute(lm, TEXT, liw.Contrast(x, common, tuple(after)), "occlusion")
            for x in (a, b)
        )
        why = liw.attribute(lm, TEXT, liw.Contrast(a, b, tuple(after)), "occlusion")
        np.testing.assert_allclose(why.scores, one.scores - two.scores, atol=2e-4)

    def test_is_that_of_the_longer_continuations(self, lm):
        after, a, b = lm.encode(" Paris").ids, 11, 23
        why = liw.attribute(lm, TEXT, liw.Contrast(a, b, tuple(after)), "occlusion")

        def chance(x):  # log p(after, x), by hand
            import torch

            def read(ids):
                whole = torch.tensor([[*ids, *after, x]])
                with torch.no_grad():
                    said = lm.model(whole).logits[0].log_softmax(-1)
                places = range(len(ids) - 1, len(ids) + len(after))
                return sum(float(said[p, t]) for p, t in zip(places, [*after, x], strict=True))

            return read(list(lm.encode(TEXT).ids))

        assert why.output_values[0] == pytest.approx(chance(a) - chance(b), abs=1e-4)

    def test_takes_a_text(self, lm):
        ids = liw.attribute(
            lm, TEXT, liw.Contrast(11, 23, tuple(lm.encode(" Paris").ids)), "occlusion"
        )
        text = liw.attribute(lm, TEXT, liw.Contrast(11, 23, " Paris"), "occlusion")
        np.testing.assert_allclose(ids.scores, text.scores, atol=1e-6)

    def test_bad_input(self, lm, tiny_lm):
        with pytest.raises(liw.errors.PromptError, match="vocabulary"):
            liw.attribute(lm, TEXT, liw.Contrast(1, 2, (10**9,)))
        with pytest.raises(TargetError, match="after"):
            liw.attribute(tiny_lm("bert"), TEXT, liw.Contrast(0, 1, " x"))


class TestCompare:
    def test_each_is_what_it_is_alone(self, lm):
        methods = ("shapley", "kernel_shap", "occlusion", "saliency")
        w = liw.compare(lm, TEXT, 5, methods)
        for name, result in zip(methods, w.results(30), strict=True):
            alone = liw.attribute(lm, TEXT, 5, name)
            np.testing.assert_allclose(result.scores, alone.scores, atol=1e-5)
            assert result.evaluations == alone.evaluations
        assert w.labels == ["Shapley values", "KernelSHAP", "Occlusion", "Saliency"]
        assert np.array_equal(scores(w.others[0]), w.results()[1].scores)

    def test_methods_share_what_they_learn_of_the_model(self, lm):
        rows = []
        forward = lm.model.forward

        def counted(*args, **kwargs):
            rows.append(len(kwargs["input_ids"]))
            return forward(*args, **kwargs)

        lm.model.forward = counted
        try:
            liw.attribute(lm, TEXT, 5, "shapley")
            alone = sum(rows)
            rows.clear()
            liw.compare(lm, TEXT, 5, ("shapley", "kernel_shap", "owen", "occlusion")).results(30)
            together = sum(rows)
        finally:
            del lm.model.forward
        assert alone <= together <= 1.2 * alone

    def test_ways_of_switching_off_share_nothing(self, lm):
        wanted = {"kernel_shap": {"off": "replace"}, "occlusion": {"off": "remove"}}
        results = liw.compare(lm, TEXT, 5, wanted).results(30)
        for result, (name, params) in zip(results, wanted.items(), strict=True):
            alone = liw.attribute(lm, TEXT, 5, name, **params)
            np.testing.assert_allclose(result.scores, alone.scores, atol=1e-5)

    def test_seeds_and_models_and_parameters_are_told_apart(self, lm, tiny_lm):
        w = liw.compare(lm, TEXT, 5, "random", seeds=(0, 1))
        assert w.labels == ["seed 0", "seed 1"]
        w = liw.compare(lm, TEXT, 5, {"occlusion": {"window": 2}, "random": {}})
        assert [len(r.inputs) for r in w.results(10)] == [len(lm.encode(TEXT).tokens)] * 2
        one, two = (liw.attribute(lm, TEXT, 5, "kernel_shap", evaluations=n) for n in (12, 14))
        assert liw.compare([one, two]).labels == ["evaluations 12", "evaluations 14"]
        assert liw.compare([one, one]).labels[0] != liw.compare([one, one]).labels[1]

    def test_of_results_live_widgets_and_shap(self, lm):
        a = liw.attribute(lm, TEXT, 5, "occlusion")
        live = liw.explain(lm, TEXT, 5, "shapley")
        of_shap = SimpleNamespace(  # as shap.Explanation, without shap
            values=a.scores[0], base_values=a.base_values, data=[t.text for t in a.inputs]
        )
        w = liw.compare([a, live, of_shap])
        assert [r.method for r in w.results(20)] == ["occlusion", "shapley", "shap"]
        w.close()
        assert live.result(20).method == "shapley"  # not its own to stop

    def test_closing_it_stops_what_it_began(self, lm):
        w = liw.compare(lm, TEXT * 6, 5, "shapley", seeds=(0, 1), evaluations=10**6,
                        precision=None)  # fmt: skip
        time.sleep(0.05)
        w.close()
        for feed in w._feeds:
            assert feed.job.wait(5)

    def test_bad_input(self, lm):
        a = liw.attribute(lm, TEXT, 5, "occlusion")
        other = liw.attribute(lm, TEXT + " not", 5, "occlusion")
        words = liw.attribute(lm, TEXT + " unbelievably", 5, "occlusion", granularity="word")
        tokens = liw.attribute(lm, TEXT + " unbelievably", 5, "occlusion")
        two = liw.attribute(lm, TEXT, liw.Generate(2), "occlusion")
        for sources, words_of_it in [
            ([a, other], "different texts"),
            ([words, tokens], "word"),
            ([a, two], "outputs"),
        ]:
            with pytest.raises(ResultError, match=words_of_it):
                liw.compare(sources)
        for arguments, words_of_it in [
            (([],), "nothing"),
            ((lm,), "prompt"),
            ((lm, TEXT, 5, ()), "at least one"),
            (([a, 3],), "int"),
        ]:
            with pytest.raises(ParameterError, match=words_of_it):
                liw.compare(*arguments)
