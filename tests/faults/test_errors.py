"""An error, an interrupt or an exit at every pass: it reaches the caller, nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets import jobs
from llm_interp_widgets.methods import METHODS

TEXT = "The capital of France is"
FEW = {
    "shapley": {"evaluations": 60, "precision": None},
    "kernel_shap": {"evaluations": 30, "precision": None},
    "owen": {"evaluations": 60},
    "lime": {"evaluations": 30},
    "smooth_grad": {"samples": 8, "precision": None},
    "integrated_gradients": {"steps": 16},
}


class PlantedError(Exception):
    pass


ERRORS = (PlantedError, KeyboardInterrupt, SystemExit, RuntimeError)


def widgets():
    import ipywidgets.widgets.widget as room

    return dict(room._instances)


def each_time(faults, same, lm, work):
    """Raise each kind of error at every pass; return how many passes there are."""
    faults.watch(lm.model.train())
    work()  # what is found out once a model is not asked again
    unchanged, open_before = same(lm.model), widgets().keys()
    passes, undisturbed = faults.counted(work)
    assert passes
    for k in range(1, passes + 1):
        error = ERRORS[k % len(ERRORS)]
        raising = faults.raising(lambda error=error, k=k: error(f"planted at {k}"), k)
        with raising, pytest.raises(error, match=f"planted at {k}"):
            work()
        assert all(job.wait(10) for job in jobs.live())
        unchanged(bits=False)
        assert widgets().keys() == open_before, "what failed left a widget behind"
    unchanged()
    worker = jobs._workers.get(str(lm.device))
    assert worker is None or worker.is_alive()
    assert jobs.live() == []
    np.testing.assert_array_equal(np.asarray(work()), np.asarray(undisturbed))
    print(f"{passes} passes")


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("method", list(METHODS))
def test_in_any_pass_of_any_method(tiny_lm, faults, same, family, method):
    if family == "t5" and "rollout" in method:
        return  # refused before any pass
    lm = tiny_lm(family)
    each_time(
        faults, same, lm,
        lambda: liw.attribute(lm, TEXT, None, method, **FEW.get(method, {})).scores,
    )  # fmt: skip


def explained(lm):
    widget = liw.explain(lm, TEXT, None, "shapley", evaluations=60, precision=None)
    try:
        return widget.result().scores
    finally:
        widget.close()


def written(lm):
    widget = liw.generate(lm, TEXT, 2, "occlusion")
    try:
        why = widget.contrast(0, 1).scores
        return np.concatenate([widget.result().scores, why])
    finally:
        widget.close()


def compared(lm):
    widget = liw.compare(lm, TEXT, 5, ("occlusion", "saliency"))
    try:
        return np.concatenate([one.scores for one in widget.results()])
    finally:
        widget.close()


def browsed(lm):
    widget = liw.attend(lm, TEXT, 5)
    try:
        assert widget.wait()
        return widget.record.weights(0, 0)
    finally:
        widget.close()


WORK = {
    "explain": explained,
    "generate": written,
    "compare": compared,
    "attend": browsed,
    "interactions": lambda lm: liw.interactions(lm, TEXT, 5, filler=" of").values,
    "attention": lambda lm: liw.attention(lm, TEXT).weights(0, 0),
    "attention with a target": lambda lm: liw.attention(lm, TEXT, 5).weights(0, 0, of="gradient"),
    "effect": lambda lm: liw.attention(lm, TEXT).effect([(0, 1)]).after,
    "components": lambda lm: liw.attention(lm, TEXT).components(1, 2, 4, 1).query,
    "repetition": lambda lm: liw.attention(lm, TEXT).repetition()["induction"],
}


@pytest.mark.parametrize("work", list(WORK))
def test_in_any_pass_of_whatever_else_reads_the_model(tiny_lm, faults, same, work):
    lm = tiny_lm("llama")
    each_time(faults, same, lm, lambda: WORK[work](lm))


def test_a_view_says_what_ended_its_job_and_the_next_job_runs(tiny_lm, faults):
    lm = tiny_lm("llama")
    faults.watch(lm.model)
    with faults.raising(lambda: SystemExit("planted"), 3):
        widget = liw.explain(lm, TEXT, 5, "occlusion")
        with pytest.raises(SystemExit):
            widget.result(20)
    assert widget.snapshot["state"]["status"] == "failed"
    assert widget.snapshot["state"]["error"] == {"name": "SystemExit", "message": "planted"}
    assert liw.attribute(lm, TEXT, 5, "occlusion").scores.any()
    widget.close()
