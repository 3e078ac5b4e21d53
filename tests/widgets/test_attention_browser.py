"""The browser of heads: what it draws by itself, answers, refuses, and frees."""

from __future__ import annotations

import gc
import threading
import time
import weakref
import zlib
from itertools import pairwise

import numpy as np
import pytest
import torch
import traitlets

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.errors import ClosedWidgetError, ParameterError, ResultError
from llm_interp_widgets.export._payload import islands
from llm_interp_widgets.results.attention import SCORES
from llm_interp_widgets.widgets._desk import Desk

TEXT = "The capital of France is Paris, and the capital of Japan is"
LONG = TEXT * 4  # longer than a coarse picture


def decoded(codes, shape):
    return (np.frombuffer(codes, np.uint8).reshape(shape) / 255.0) ** 4


class Page:
    """Stands in for the browser: asks, and keeps what comes back."""

    def __init__(self, widget):
        self.widget, self.heard, self.number = widget, [], 0
        self.came = threading.Condition()
        widget.send = self._hear

    def _hear(self, message, buffers=None):
        with self.came:
            self.heard.append((message, list(buffers or [])))
            self.came.notify_all()

    def say(self, message):
        self.widget._handle_custom_msg(message, [])

    def ask(self, what, *, slot="place", wants=None, **more):
        want = {"what": what, "stack": 0, "layer": 0, "head": 0, "how": "", "rows": [], "cols": []}
        one = want | {"a": 0, "b": 0} | more
        self.number += 1
        wants = [one] if wants is None else [one | w for w in wants]
        self.say({"type": "ask", "view": "v", "slot": slot, "id": self.number, "wants": wants})
        return self.number

    def answers(self, number, count=1, seconds=20):
        """Wait for the answers of one question; words of progress do not count."""

        def found():
            return [
                (message, buffers)
                for message, buffers in self.heard
                if message["type"] == "answer"
                and message["id"] == number
                and (buffers or message["error"])
            ]

        with self.came:
            assert self.came.wait_for(lambda: len(found()) >= count, seconds), self.heard[-1:]
            return found()

    def numbers(self, what, **more):
        ((message, buffers),) = self.answers(self.ask(what, **more))
        assert message["error"] is None, message["error"]
        return [np.frombuffer(buffer, "<f4") for buffer in buffers]

    def failure(self, what, **more):
        ((message, _),) = self.answers(self.ask(what, **more))
        return message["error"]


@pytest.fixture
def browse(tiny_lm):
    made = []

    def start(family="llama", prompt=TEXT, **more):
        widget = liw.attend(tiny_lm(family), prompt, **more)
        made.append(widget)
        return widget, Page(widget)

    yield start
    for widget in made:
        widget.close()


def drawn(widget, stack=0):
    state = widget.overviews[stack]
    layers, heads = widget.record.layers, widget.record.heads
    shape = layers, heads, state["rows"], state["cols"]
    pictures = decoded(zlib.decompress(state["pictures"]), shape)
    scores = wire.unpack(state["scores"], (len(SCORES), layers, heads))
    return state, pictures, dict(zip(state["names"], scores, strict=True))


# ── the overview ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prompt", [TEXT, LONG])
def test_the_overview_ends_with_every_head_exact(browse, prompt):
    widget, _ = browse(prompt=prompt)
    assert widget.wait(60)
    state, pictures, scores = drawn(widget)
    assert state["status"] == "done"
    assert set(state["stages"]) == {2}
    for layer in range(widget.record.layers):
        exact = widget.record.pooled(layer, 64)
        assert np.abs(pictures[layer] - exact).max() <= 0.008
    for name, values in widget.record.head_scores().items():
        np.testing.assert_allclose(scores[name], values, atol=1e-6, err_msg=name)


def test_sampled_pictures_of_all_layers_come_before_the_first_exact_one(browse):
    widget, page = browse(prompt=LONG)
    assert widget.wait(60)
    stages = [m["stage"] for m, _ in page.heard if m["type"] == "drawn"]
    late = [(m, b) for m, b in page.heard if m["type"] == "drawn" and m["stage"] == 2]
    assert stages == sorted(stages)
    assert len(late) >= widget.record.layers - 2  # the first may have come before the page did
    message, (codes,) = late[-1]
    shape = message["layers"], widget.record.heads, message["rows"], message["cols"]
    part = slice(message["layer"], message["layer"] + message["layers"])
    assert np.array_equal(decoded(zlib.decompress(codes), shape), drawn(widget)[1][part])


def test_a_late_view_is_told_what_is_there(browse):
    widget, page = browse(prompt=LONG)
    page.say({"type": "ready"})
    assert widget.wait(60)
    assert widget.overviews[0]["status"] == "done"
    before = widget.overviews
    page.say({"type": "ready"})
    assert widget.overviews is before, "nothing is sent twice once all is said"


def test_an_interrupt_stops_the_drawing_and_questions_are_still_answered(tiny_lm, monkeypatch):
    from llm_interp_widgets import jobs
    from llm_interp_widgets.models.record import AttentionRecord

    going = threading.Event()
    usual = AttentionRecord.pooled

    def slow(self, *args, **options):
        going.set()
        time.sleep(0.3)
        return usual(self, *args, **options)

    monkeypatch.setattr(AttentionRecord, "pooled", slow)
    widget = liw.attend(tiny_lm("llama"), LONG)
    page = Page(widget)
    going.wait(10)
    jobs.cancel_all()
    assert widget.wait(5)
    assert widget.overviews[0]["status"] == "cancelled"
    (row,) = page.numbers("row", a=3)
    assert row.sum() == pytest.approx(1, abs=1e-5)
    widget.close()


def test_what_fails_is_said_and_raised(tiny_lm, monkeypatch):
    from llm_interp_widgets.models.record import AttentionRecord

    def broken(*_args, **_options):
        raise MemoryError("no room")

    monkeypatch.setattr(AttentionRecord, "pooled", broken)
    widget = liw.attend(tiny_lm("llama"), TEXT)
    with pytest.raises(MemoryError, match="no room"):
        widget.wait(10)
    assert widget.failure == {"name": "MemoryError", "message": "no room"}
    assert widget.overviews[0]["status"] == "failed"
    widget.close()


# ── questions ─────────────────────────────────────────────────────────────────


def test_answers_are_the_records_own(browse):
    widget, page = browse()
    record, size = widget.record, len(widget.record.tokens)
    whole = record.weights(1, 2)
    head = {"layer": 1, "head": 2}
    assert np.array_equal(page.numbers("row", a=5, **head)[0], record.weights(1, 2, rows=5)[0])
    np.testing.assert_allclose(page.numbers("column", b=3, **head)[0], whole[:, 3], atol=1e-6)
    received, given, entropy = page.numbers("sums", **head)
    np.testing.assert_allclose(received, whole.sum(0), atol=1e-5)
    np.testing.assert_allclose(given, whole.sum(1), atol=1e-5)
    assert len(entropy) == size
    top = page.numbers("top", a=4, **head)[0].reshape(4, 3)
    assert top[:, 2] == pytest.approx(np.sort(whole.ravel())[::-1][:4])
    edges = [0, 3, 4, size]
    for how, reduce in (("max", np.max), ("", np.max), ("mean", lambda c: c.sum(1).mean())):
        number = page.ask("grid", rows=edges, cols=edges, how=how, **head)
        ((_, (codes,)),) = page.answers(number)
        cells = [[reduce(whole[a:b, c:d]) for c, d in pairwise(edges)]
                 for a, b in pairwise(edges)]  # fmt: skip
        assert np.abs(decoded(codes, (3, 3)) - cells).max() <= 0.008, how


@pytest.mark.parametrize("how", ["mean", "max", "rollout"])
@pytest.mark.parametrize("layer", [-1, 1])
def test_heads_taken_together_are_the_records_aggregates(browse, how, layer):
    widget, page = browse()
    size = len(widget.record.tokens)
    whole = widget.record.aggregate(how, None if layer < 0 else layer)
    more = {"layer": layer, "head": -1, "how": how}
    np.testing.assert_allclose(page.numbers("row", a=4, **more)[0], whole[4], atol=1e-6)
    ((_, (codes,)),) = page.answers(page.ask("grid", rows=[0, 5, size], cols=[2, 7], **more))
    expected = [[whole[:5, 2:7].max()], [whole[5:, 2:7].max()]]
    assert np.abs(decoded(codes, (2, 1)) - expected).max() <= 0.008
    np.testing.assert_allclose(page.numbers("column", b=4, **more)[0], whole[:, 4], atol=1e-6)


def test_a_head_is_switched_off_on_request(browse):
    widget, page = browse(target=" Tokyo")
    effect = widget.record.effect([(1, 2)])
    ((message, (numbers,)),) = page.answers(page.ask("effect", layer=1, head=2))
    found = np.frombuffer(numbers, "<f4")
    assert found[:2] == pytest.approx([effect.before, effect.after])
    assert message["said"]["target"] == effect.target
    assert message["said"]["after"] == effect.top_after.text


@pytest.mark.parametrize("how", ["value", "gradient"])
@pytest.mark.parametrize("table", [1 << 23, 4])  # kept whole, and too long for it
def test_every_part_of_what_is_no_share_has_one_scale(browse, monkeypatch, how, table):
    monkeypatch.setattr("llm_interp_widgets.widgets._heads._TABLE", table)
    widget, page = browse(target=" Tokyo")
    whole = widget.record.aggregate(how)
    size = len(whole)
    for rows in ([0, 1], [3, 4, 5], [size - 1, size]):
        number = page.ask("grid", layer=-1, head=-1, how=how, rows=rows, cols=[*range(size + 1)])
        ((message, (codes,)),) = page.answers(number)
        assert message["error"] is None
        cells = whole[rows[0] : rows[-1]] / whole.max()
        assert np.abs(decoded(codes, cells.shape) - cells).max() <= 0.009


def test_a_rollout_of_a_long_text_is_of_the_rows_that_are_looked_at(browse, monkeypatch):
    from llm_interp_widgets.models.record import AttentionRecord

    monkeypatch.setattr("llm_interp_widgets.widgets._heads._TABLE", 4)
    widget, page = browse()
    asked, usual = [], AttentionRecord.aggregate

    def aggregate(self, how, layer=None, rows=None):
        asked.append(rows)
        return usual(self, how, layer, rows)

    monkeypatch.setattr(AttentionRecord, "aggregate", aggregate)
    (row,) = page.numbers("row", layer=-1, head=-1, how="rollout", a=5)
    assert asked == [range(5, 6)]
    np.testing.assert_allclose(row, usual(widget.record, "rollout")[5], atol=1e-6)


def test_a_row_of_a_very_long_text_is_one_answer():
    from llm_interp_widgets.widgets._heads import Answers

    class Long:
        def grid(self, _layer, _head, rows, cols, _pooling):
            return np.zeros((len(rows) - 1, len(cols) - 1), np.float32)

    want = {"what": "grid", "stack": 0, "layer": 0, "head": 0, "how": "mean", "a": 0, "b": 0}
    ((_, (codes,)),) = Answers([Long()])(want | {"rows": [7, 8], "cols": [*range(32_769)]})
    assert len(codes) == 32_768


@pytest.mark.parametrize(
    ("what", "more", "words"),
    [
        ("row", {"layer": 9}, "there are 2 layers, 0 to 1"),
        ("row", {"head": 7}, "there are 4 heads, 0 to 3"),
        ("row", {"a": 999}, "row=999 is out of range"),
        ("row", {"stack": 3}, "no 'row' of stack 3"),
        ("everything", {}, "no 'everything'"),
        ("grid", {"rows": [*range(9000)], "cols": [*range(9000)]}, "at most 4,194,304 cells"),
        ("row", {"head": -1, "how": "gradient", "layer": -1}, "target"),
    ],
)
def test_a_bad_question_is_answered_in_words_and_the_next_one_as_ever(browse, what, more, words):
    _, page = browse()
    assert words in page.failure(what, **more)["message"]
    assert page.numbers("row", a=1)[0].sum() == pytest.approx(1, abs=1e-5)


def test_nonsense_from_the_browser_is_ignored(browse):
    _, page = browse()
    for message in (None, 3, {}, {"type": "ask"}, {"type": "ask", "wants": [{"what": "row"}]},
                    {"type": "part", "name": "../secret"}):  # fmt: skip
        page.say(message)
    assert page.numbers("row", a=1)[0].sum() == pytest.approx(1, abs=1e-5)
    assert not [m for m, _ in page.heard if m["type"] == "part"]


def test_a_part_of_the_view_is_handed_over_as_text(browse):
    _, page = browse()
    page.say({"type": "part", "name": "attention_head"})
    ((_, (code,)),) = [(m, b) for m, b in page.heard if m["type"] == "part"]
    assert b"export" in code


def test_a_record_that_was_closed_says_so_in_the_view(browse):
    widget, page = browse()
    assert widget.wait(30)
    widget.record.close()
    failure = page.failure("row", a=1)
    assert failure["name"] == "ResultError"
    assert "closed" in failure["message"]
    assert widget.overviews[0]["status"] == "done"
    widget.set_state({"head": [1, 1], "selected": 2})  # stays, and says why it is empty
    assert (widget.head, widget.selected) == ([1, 1], 2)


# ── the desk ──────────────────────────────────────────────────────────────────


def _request(slot, number, *heads):
    want = {"what": "row", "stack": 0, "layer": 0, "how": "", "rows": [], "cols": [], "a": 0}
    wants = [want | {"head": head, "b": head} for head in heads]
    return {"type": "ask", "view": "v", "slot": slot, "id": number, "wants": wants}


def test_the_newest_is_answered_first_and_what_is_stale_never():
    gate, served, sent = threading.Semaphore(0), [], []

    def answer(want):
        gate.acquire()
        served.append(want["head"])
        yield {}, [b"x"]

    desk = Desk(answer, lambda message, _: sent.append(message["id"]))
    desk.ask(_request("first", 1, 10, 11, 12))
    while not desk._lanes[False]._current:
        time.sleep(0.001)
    desk.ask(_request("a", 2, 20))
    desk.ask(_request("b", 3, 30))
    desk.ask(_request("a", 4, 40))  # replaces 2, and is the newest
    desk.ask(_request("first", 5, 50))  # replaces what is being answered
    for _ in range(10):
        gate.release()
    deadline = time.monotonic() + 5
    while len(sent) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert served == [10, 50, 40, 30]
    assert sent == [5, 4, 3]
    desk.close()


def test_what_is_slow_holds_up_nothing_quick():
    gate, sent = threading.Event(), []

    def answer(want):
        if want["head"] < 0:
            gate.wait(10)
        yield {}, [b"x"]

    desk = Desk(answer, lambda message, _: sent.append(message["id"]))
    desk.ask(_request("whole", 1, -1))
    desk.ask(_request("row", 2, 3))
    deadline = time.monotonic() + 5
    while 2 not in sent and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sent == [2]
    gate.set()
    desk.close()


def test_a_desk_that_could_send_nothing_answers_what_waits_and_the_next_question():
    sent, broken, gate = [], threading.Event(), threading.Event()
    broken.set()

    def send(message, _):
        if broken.is_set():
            raise OSError("the line is dead")
        sent.append(message["id"])

    def answer(_want):
        gate.wait(10)
        yield {}, [b"x"]

    desk = Desk(answer, send)
    desk.ask(_request("a", 1, 1))
    while not desk._lanes[False]._current:
        time.sleep(0.001)
    desk.ask(_request("b", 2, 1))  # waits behind the one that cannot be sent
    send_now, desk._lanes[False]._serving = desk._lanes[False]._serving, (
        answer, lambda message, _: sent.append(message["id"]),
    )  # fmt: skip
    gate.set()
    deadline = time.monotonic() + 10
    while sent != [2] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sent == [2]
    assert isinstance(desk.error, OSError)
    broken.clear()
    desk._lanes[False]._serving = send_now
    desk.ask(_request("a", 3, 1))
    while sent != [2, 3] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sent == [2, 3]
    desk.close()


def test_an_answer_that_exits_is_a_failure_that_the_view_is_told():
    sent = []

    def answer(want):
        if want["head"] == 1:
            raise SystemExit("out")
        yield {}, [b"x"]

    desk = Desk(answer, lambda message, _: sent.append(message["error"]))
    desk.ask(_request("a", 1, 1, 2))
    deadline = time.monotonic() + 10
    while len(sent) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sent == [{"name": "SystemExit", "message": "out"}, None]
    desk.close()


def test_threads_end(monkeypatch):
    from llm_interp_widgets.widgets import _desk

    monkeypatch.setattr(_desk, "_PATIENCE", 0.05)
    sent = []
    desk = Desk(lambda _: iter([({}, [b"x"])]), lambda message, _: sent.append(message["id"]))

    def threads():
        return [t for t in threading.enumerate() if t.name == "llm_interp_widgets:desk"]

    before = len(threads())
    for number in (1, 2):
        desk.ask(_request("a", number, 1))
        deadline = time.monotonic() + 5
        while (number not in sent or len(threads()) > before) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sent[-1] == number
        assert len(threads()) == before
    desk.close()


# ── traits ────────────────────────────────────────────────────────────────────


def test_traits_are_checked_and_say_what_there_is(browse):
    widget, _ = browse(head=(1, 3), mode="text", sort="induction")
    assert widget.head == [1, 3]
    widget.selected_heads = [(1, 2), [0, 3]]
    assert [tuple(one) for one in widget.selected_heads] == [(1, 2), (0, 3)]
    widget.selected_heads = [(1, 2, "self")]
    assert widget.selected_heads == [(1, 2)], "one head has one name"
    for name, value, words in (
        ("head", (2, 0), "layer=2 is out of range: there are 2, 0 to 1"),
        ("head", (0, 4), "head=4 is out of range: there are 4"),
        ("stack", "vision", "no stack 'vision'; this view has 'self'"),
        ("selected", 999, "selected=999 is out of range"),
        ("selected_heads", [(9, 9)], "layer=9 is out of range"),
        ("selected_heads", [(1,)], "holds (layer, head)"),
        ("selected_heads", [5], "holds (layer, head)"),
        ("head", (-1, 2), "(-1, -1) takes all heads together"),
        ("beside", [0, 9], "head=9 is out of range"),
        ("mode", "cube", "mode"),
    ):
        with pytest.raises(traitlets.TraitError) as caught:
            setattr(widget, name, value)
        assert words in str(caught.value)


def test_bad_input_is_raised_in_the_callers_cell(tiny_lm):
    lm = tiny_lm("llama")
    for call, words in (
        (lambda: liw.attend(lm), "attend(lm, prompt), or attend(record)"),
        (lambda: liw.attend(lm, TEXT, hed=(0, 0)), "Did you mean 'head'"),
        (lambda: liw.attend(lm, TEXT, stack="cross"), "no stack 'cross'"),
        (lambda: liw.attend(lm, [TEXT, TEXT]), "one text"),
        (lambda: liw.attend(liw.attention(lm, TEXT), TEXT), "attend(record)"),
        (lambda: liw.attend(liw.attention(lm, TEXT), None, " Tokyo"), "has its target"),
        (lambda: liw.attend(liw.attention(lm, TEXT), row=0), "has its target"),
    ):
        with pytest.raises(ParameterError) as caught:
            call()
        assert words in str(caught.value)


def test_two_texts_and_several_stacks_are_all_there(browse):
    widget, page = browse("bart", beside="Once more")
    names = [stack["name"] for stack in widget.subject["stacks"]]
    both = ["decoder", "encoder", "cross"]
    assert sorted(names) == sorted(both + [f"{name} (second text)" for name in both])
    texts = widget.subject["texts"]
    cross = widget.subject["stacks"][names.index("cross")]
    assert len(texts[cross["keys"]]["tokens"]) == len(widget.record.stack("encoder").tokens)
    assert not cross["causal"]
    assert widget.subject["stacks"][names.index("decoder")]["causal"]
    assert widget.wait(60)
    (row,) = page.numbers("row", stack=names.index("cross"), layer=1, head=1, a=0)
    assert np.array_equal(row, widget.record.stack("cross").weights(1, 1, rows=0)[0])
    widget.stack = "cross"
    widget.selected_heads = [(1, 1, "cross")]
    assert widget.selected_heads == [(1, 1, "cross")]


def test_another_stack_is_entered_at_a_head_and_tokens_that_it_has(browse):
    widget, _ = browse("bart", target=" Paris", stack="encoder")
    widget.head, widget.selected, widget.key = [1, 3], 9, 2
    widget.stack = "cross"
    assert (widget.head, widget.selected, widget.key) == ([1, 3], None, 2)
    widget.stack = "decoder"
    assert widget.key is None or widget.key < widget.record.stack("decoder").shape[1]


def test_another_language_reaches_all_views_though_a_record_was_closed(tiny_lm):
    record = liw.attention(tiny_lm(), "The cat sat on the mat")
    views = [liw.attend(record), liw.explain(tiny_lm(), "The cat", " a", "saliency")]
    assert views[0].wait(60)
    views[1].result(60)
    record.close()
    try:
        liw.language("zh")
        assert views[0].subject["caution"].encode("ascii", "ignore") == b""
        assert views[1].snapshot["subject"]["caution"].encode("ascii", "ignore") == b""
    finally:
        liw.language("en")
        for view in views:
            view.close()


def test_a_page_says_without_javascript_which_heads_stand_out(tiny_lm, tmp_path):
    widget = liw.attend(tiny_lm(), "The cat sat because the cat was tired")
    page = widget.to_html(tmp_path / "a.html").read_text()
    said = page.split("<noscript>", 2)[2].split("</noscript>")[0]
    assert "previous token" in said
    assert "This view needs JavaScript." in said
    assert "Run the cell" not in said
    widget.close()


def test_a_closed_record_is_refused_and_leaves_nothing(tiny_lm):
    record = liw.attention(tiny_lm("llama"), TEXT)
    record.close()
    with pytest.raises(ResultError, match="was closed"):
        liw.attend(record)
    gc.collect()


def test_roles_and_sentences_are_pieces(lm):
    chat = [
        {"role": "system", "content": "Be brief. Be kind."},
        {"role": "user", "content": "Who are you? Say it."},
    ]
    widget = liw.attend(lm, chat)
    (text,) = widget.subject["texts"]
    roles = np.frombuffer(text["pieces"]["role"], "<u4")
    tokens = widget.record.tokens
    assert roles[0] == 0
    assert all(tokens[i].role != tokens[i - 1].role for i in roles[1:].tolist())
    assert "user" in text["labels"]["role"]
    starts = np.frombuffer(text["pieces"]["sentence"], "<u4").tolist()
    assert any(tokens[i].text.strip() == "Say" for i in starts)
    widget.close()


def test_an_image_can_be_browsed(tiny_model):
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    widget = liw.attend(tiny_model("vit"), {"pixel_values": pixels})
    assert widget.wait(30)
    page = Page(widget)
    assert page.numbers("row", a=1)[0].sum() == pytest.approx(1, abs=1e-5)
    assert "effect" in widget.subject["stacks"][0]["cannot"]
    assert page.failure("effect")["message"]
    widget.close()


def test_a_saved_record_is_browsed_without_its_model(browse, tmp_path):
    first, _ = browse()
    path = first.record.save(tmp_path / "record.npz")
    widget = liw.attend(liw.AttentionRecord.load(path))
    assert widget.wait(30)
    page = Page(widget)
    assert np.array_equal(page.numbers("row", a=4)[0], first.record.weights(0, 0, rows=4)[0])
    assert "model" in page.failure("effect")["message"]
    assert np.array_equal(drawn(widget)[2]["induction"], first.record.head_scores()["induction"])
    widget.close()


# ── its end ───────────────────────────────────────────────────────────────────


def test_a_closed_widget_is_freed_and_says_so(tiny_lm, tmp_path):
    widget = liw.attend(tiny_lm("llama"), LONG)
    page = Page(widget)
    page.numbers("row", a=1)
    widget.close()
    with pytest.raises(ClosedWidgetError):
        widget.to_html(tmp_path / "page.html")
    record = weakref.ref(widget.record)
    del widget, page
    deadline = time.monotonic() + 15
    while record() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    assert record() is None


def test_an_exported_page_keeps_heads_within_the_budget(browse, tmp_path):
    widget, _ = browse()
    path = widget.to_html(tmp_path / "page.html")
    small = widget.to_html(tmp_path / "small.html", budget=2_000)
    assert small.stat().st_size < path.stat().st_size
    (kept,) = islands(small.read_text())[0]["models"][0]["state"]["kept"]
    assert "to stay within its budget" in kept["left_out"]
    with pytest.raises(ParameterError, match="budget"):
        widget.to_html(tmp_path / "no.html", budget=-1)
    assert widget.wait(30)
    widget.record.close()
    assert isinstance(liw.save_html(tmp_path / "closed.html", widget), type(path))
    with pytest.raises(ResultError):
        widget.record.weights(0, 0)
