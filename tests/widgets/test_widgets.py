"""One contract for every widget: it streams, waits, cancels, closes, exports, and frees."""

from __future__ import annotations

import gc
import time
import weakref

import numpy as np
import pytest
import traitlets

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.errors import ClosedWidgetError, ExportError
from llm_interp_widgets.jobs import Job
from llm_interp_widgets.results import describe
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.widgets.base import ResultWidget

TEXT = "The capital of France is"
LONG = "The capital of France is Paris, and the capital of Japan is Tokyo. " * 3  # is sampled


def unpacked(widget):
    shot = widget.snapshot
    shape = len(shot["subject"]["outputs"]), len(shot["subject"]["inputs"])
    return wire.unpack(shot["scores"], shape)


@pytest.fixture
def slow(tiny_lm):
    """A job of many seconds."""
    widgets = []

    def start():
        widget = liw.explain(tiny_lm(), LONG, evaluations=10**6, precision=None)
        widgets.append(widget)
        while np.isnan(unpacked(widget)).any():
            time.sleep(0.01)
        return widget

    yield start
    for widget in widgets:
        widget.close()


def test_explain_is_attribute_with_a_view(tiny_lm):
    lm = tiny_lm()
    a = liw.attribute(lm, TEXT, evaluations=200)
    w = liw.explain(lm, TEXT, evaluations=200)
    assert np.array_equal(w.result().scores, a.scores)
    assert np.array_equal(unpacked(w), a.scores)
    state = w.snapshot["state"]
    assert state["status"] == "done"
    assert state["verdict"] == a.verdict
    assert state["evaluations"] == a.evaluations
    assert state["error"] is None
    assert [t["text"] for t in w.snapshot["subject"]["inputs"]] == [t.text for t in a.inputs]


def test_bad_input_is_raised_in_the_callers_cell(tiny_lm):
    lm = tiny_lm()
    for arguments, error in [
        ((lm, ""), liw.errors.EmptyPromptError),
        ((lm, TEXT, 10**9), liw.errors.TargetError),
        ((lm, TEXT, None, "shaply"), liw.errors.UnknownMethodError),
        (("gpt2", TEXT), liw.errors.ParameterError),
    ]:
        with pytest.raises(error):
            liw.explain(*arguments)
    with pytest.raises(liw.errors.UnknownMethodError, match="Did you mean 'shapley'"):
        liw.attribute(lm, TEXT, None, "shaply")
    with pytest.raises(liw.errors.ParameterError, match="seed"):
        liw.attribute(lm, TEXT, seed=-1)


def test_cancel_within_a_second_keeps_the_scores(slow):
    w = slow()
    asked = time.monotonic()
    w.cancel()
    a = w.result(5)
    assert time.monotonic() - asked < 1
    assert a.cancelled
    assert np.isfinite(a.scores).all()
    assert w.snapshot["state"]["status"] == "cancelled"
    assert w.snapshot["state"]["verdict"] == "still moving"


def test_the_browsers_cancel_and_nobody_elses(slow):
    w = slow()
    for message in ({"type": "cancel", "job": "another"}, {"type": "nonsense"}, "text", None):
        w._handle_custom_msg(message, [])
    assert not w.job.finished
    w._handle_custom_msg({"type": "cancel", "job": w.job.id}, [])
    assert w.job.wait(5)


def test_failure_is_shown_and_raised(tiny_model, tokenizer, monkeypatch):
    model = tiny_model("llama")
    lm = liw.wrap(model, tokenizer)
    w_forward = type(model).forward

    def later(*args, **kwargs):
        if kwargs["input_ids"].shape[0] > 1:
            raise RuntimeError("planted <b>failure</b>")
        return w_forward(model, *args, **kwargs)

    model.forward = later
    w = liw.explain(lm, TEXT)
    with pytest.raises(RuntimeError, match="planted"):
        w.result(10)
    assert w.snapshot["state"]["status"] == "failed"
    assert w.snapshot["state"]["error"] == {
        "name": "RuntimeError", "message": "planted <b>failure</b>",
    }  # fmt: skip


def test_closed_widgets_say_so(slow, tmp_path):
    w = slow()
    w.close()
    assert w.job.wait(5)
    for call in (w.cancel, lambda: w.to_html(tmp_path / "x.html")):
        with pytest.raises(ClosedWidgetError, match="closed"):
            call()


def test_closed_before_there_was_anything(tiny_lm):
    lm = tiny_lm()
    first = liw.explain(lm, LONG, evaluations=10**6, precision=None)
    second = liw.explain(lm, LONG)
    second.close()
    with pytest.raises(ClosedWidgetError, match="before it had a result"):
        second.result(5)
    first.close()


def test_traits_are_checked(tiny_lm):
    w = liw.explain(tiny_lm(), TEXT, evaluations=200)
    w.selected = 2
    w.selected = None
    w.color_limit = 0.5
    for name, value in [("selected", 99), ("output", 1), ("color_limit", -1.0)]:
        with pytest.raises(traitlets.TraitError):
            setattr(w, name, value)


def test_to_html(tiny_lm, tmp_path):
    w = liw.explain(tiny_lm(), TEXT, evaluations=200)
    path = w.to_html(tmp_path / "page.html")
    assert "Why" in path.read_text(encoding="utf-8")
    with pytest.raises(ExportError, match="overwrite=True"):
        w.to_html(path)
    w.to_html(path, overwrite=True)
    several = liw.save_html(tmp_path / "two.html", [w, w], title="Two <views>")
    assert "Two &lt;views&gt;" in several.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["occlusion", "input_x_gradient"])
def test_what_is_never_switched_off_is_absent_on_screen(tiny_lm, tokenizer, monkeypatch, method):
    monkeypatch.setattr(
        tokenizer, "chat_template", "<s>{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    )
    lm = tiny_lm()
    w = liw.explain(lm, [{"role": "user", "content": "The capital"}], 9, method)
    a = w.result()
    special = np.array([t.special for t in a.inputs])
    assert special.any()
    assert (np.isnan(unpacked(w)[0]) == (special if method == "occlusion" else False)).all()
    assert np.isfinite(a.scores).all()


def test_a_saved_result_is_shown_again(tiny_lm, tmp_path):
    a = liw.attribute(tiny_lm(), TEXT, evaluations=200)
    again = liw.Attribution.load(a.save(tmp_path / "a.liw"))
    w = liw.TokenHighlighter.of(again)
    assert w.result() is again
    assert np.array_equal(unpacked(w), a.scores)
    assert w.snapshot["state"]["verdict"] == a.verdict
    liw.save_html(tmp_path / "a.html", again)
    with pytest.raises(liw.errors.ParameterError, match="A str cannot stand on a page"):
        liw.save_html(tmp_path / "b.html", ["a.liw"])
    with pytest.raises(liw.errors.ParameterError, match="nothing to show"):
        liw.save_html(tmp_path / "b.html", [])


def test_a_closed_widget_is_freed_while_its_worker_lives(tiny_lm):
    lm = tiny_lm()
    w = liw.explain(lm, TEXT, evaluations=200)
    w.result()
    alive = weakref.ref(w)
    w.close()
    del w
    for _ in range(50):
        gc.collect()
        if alive() is None:
            return
        time.sleep(0.02)
    pytest.fail("something holds the closed widget")


def test_esm_is_text_so_that_no_file_watcher_holds_the_widget(tiny_lm):
    w = liw.explain(tiny_lm(), TEXT, evaluations=200)
    assert isinstance(w._esm, str)
    assert len(w._esm) < 40_000
    w.result()


def _kinds(kind):
    below = kind.__subclasses__()
    return below + [one for sub in below for one in _kinds(sub)]


def test_every_widget_shows_a_result_without_a_model():
    from llm_interp_widgets.text.tokens import Token

    token = Token("a", 0, 0, 1)
    about = describe.About(
        prompt="a", inputs=(token,), outputs=(token,), target="x", unit="logit", method="m",
        title="M", caution="", off="", granularity="token", params={},
        model=ModelInfo("m", None, "f", "cpu"), seed=0,
    )  # fmt: skip
    kinds = [kind for kind in _kinds(ResultWidget) if hasattr(kind, "bundle_name")]
    assert kinds
    for kind in kinds:
        job = Job(lambda stop: iter(()), (1, 1), lambda look: look)
        widget = kind(about, job)
        assert widget.snapshot["protocol"] == wire.PROTOCOL
        assert np.isnan(unpacked(widget)).all()
        widget.close()


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["TokenHighlighter", "Compare", "AttentionBrowser", "Beeswarm"])
def test_a_widget_that_was_never_made_ends_quietly(name):
    for arguments in ((), (3,)):
        with pytest.raises((TypeError, AttributeError)):
            getattr(liw, name)(*arguments)
        gc.collect()
