"""What widgets, files, pages and errors keep: nothing that was redacted."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import traceback
import zipfile

import numpy as np
import pytest
from held import FEW, TEXT, contents, file, made, page

import llm_interp_widgets as liw
from llm_interp_widgets import errors
from llm_interp_widgets.errors import (
    ClosedWidgetError,
    InterpError,
    JobError,
    ModelError,
    ParameterError,
)
from llm_interp_widgets.export._payload import islands
from llm_interp_widgets.models.record import AttentionRecord
from llm_interp_widgets.results.redaction import BLOCK, Cover
from llm_interp_widgets.text.tokens import Token


def hides(text, *secrets):
    assert not [one for one in secrets if one in text], text[:300]
    assert BLOCK in text


def test_a_redacted_result_keeps_its_layout_and_numbers():
    a = made()
    b = a.redacted("Zanzibar Hilton")
    assert b.prompt == TEXT.replace("Zanzibar", BLOCK * 8).replace("Hilton", BLOCK * 6)
    assert [b.prompt[t.start : t.end] for t in b.inputs] == [t.text for t in b.inputs]
    assert [(t.start, t.end, t.position) for t in b.inputs] == [
        (t.start, t.end, t.position) for t in a.inputs
    ]
    assert np.array_equal(a.scores, b.scores)
    assert [t.id for t in b.inputs if BLOCK in t.text] == [-1, -1]
    assert [t.id for t in b.inputs if BLOCK not in t.text] == [
        t.id for t in a.inputs if "Zanzibar" not in t.text and "Hilton" not in t.text
    ]
    assert b.inputs[8].text == " ██████'s"  # covered in part, as its span is
    assert b.hidden == f"14 of {len(TEXT)} characters"
    assert ("redacted", b.hidden, "plain") in facts(b)
    assert a.prompt == TEXT
    assert a.hidden == ""


def facts(a):
    from llm_interp_widgets.results import describe
    from llm_interp_widgets.results.partial import Merged

    return describe.facts(a.about(), Merged.empty(*a.scores.shape).merge(a.as_partial()))


def test_what_is_covered_is_covered_wherever_it_is_said():
    b = made().redacted(["Zanzibar", "qx7-41", " key"])
    assert b.target == f"“{BLOCK * 8}”"
    assert b.outputs[0].text == " " + BLOCK * 8
    assert b.outputs[0].id == -1
    assert b.note == f"The target “{BLOCK * 8}” is long."
    assert b.without == (f"Without “{BLOCK * 6}” it would have said “Hilton's”.",)
    assert b.off == f"“ {BLOCK * 3}”"
    assert b.params["filler"] == [f" {BLOCK * 3}", "_"]
    assert b.params["evaluations"] == 7


def test_everything_but_blanks():
    b = made().redacted(True)
    assert b.prompt == re.sub(r"\S", BLOCK, TEXT)
    assert {t.id for t in b.inputs} == {-1}
    assert b.target == f"“{BLOCK * 8}”"  # the prompt says it, too
    assert b.model.name == "tiny"
    assert b.hidden == f"{len(TEXT.replace(' ', ''))} of {len(TEXT)} characters"


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        (re.compile(r"\d+"), TEXT.replace("7", BLOCK).replace("41", BLOCK * 2)),
        (re.compile(r"x?"), TEXT.replace("x", BLOCK)),
        (["of France", "nce is"], TEXT.replace("of France is", f"██ {BLOCK * 6} ██")),
        ("an", TEXT.replace("an", "██")),
    ],
)
def test_patterns_and_places_that_overlap(what, shown):
    assert made().redacted(what).prompt == shown


def test_texts_that_overlap_themselves():
    from dataclasses import replace

    from llm_interp_widgets.text.tokens import Token

    a = replace(made(), prompt="banana", inputs=(Token("banana", 1, 0, 6),), scores=np.ones((1, 1)))
    assert a.redacted("ana").prompt == "b█████"


@pytest.mark.parametrize("what", ["key 42", re.compile(r"(?<=my key )\d+"), re.compile("42!$")])
def test_a_piece_is_covered_where_the_prompt_is_whatever_stands_between(what):
    from dataclasses import replace

    from llm_interp_widgets.text.tokens import Token

    inputs = (Token("my", 1, 0, 2), Token("42!", 2, 7, 10))  # what stands between is no piece
    a = replace(made(), prompt="my key 42!", inputs=inputs, without=(), scores=np.ones((1, 2)))
    b = a.redacted(what)
    assert [b.prompt[t.start : t.end] for t in b.inputs] == [t.text for t in b.inputs]
    assert b.inputs[1].text.startswith("██")
    assert b.inputs[1].id == -1


@pytest.mark.parametrize("what", [True, "qx7-41", re.compile(r"(?<=key is )\S+")])
def test_a_page_covers_what_would_have_been_said_without(tmp_path, what):
    w = liw.TokenHighlighter.of(made())
    hides(page(w.to_html(tmp_path / "a.html", redact=what)), "qx7-41")
    hides(contents(str(liw.embed(w, redact=what))), "qx7-41")


@pytest.mark.parametrize("what", [False, None, 3, b"Paris", [], "", " ", [3], re.compile(b"a"), {}])
def test_what_cannot_be_covered(what):
    with pytest.raises(ParameterError, match=r"Pass True|names nothing"):
        made().redacted(what)


@pytest.mark.parametrize("what", ["zanzibar", ["Zanzibar", "Lisbon"], re.compile("Lisbon|x{9}")])
def test_what_is_found_nowhere_is_an_error(what, tmp_path):
    with pytest.raises(ParameterError, match="found nowhere"):
        made().redacted(what)
    with pytest.raises(ParameterError, match="found nowhere"):
        made().save(tmp_path / "a.npz", redact=what)
    with pytest.raises(ParameterError, match="found nowhere"):
        liw.bar(made()).to_html(tmp_path / "a.html", redact=what)
    assert not list(tmp_path.iterdir())


def test_redacted_twice():
    b = made().redacted("Zanzibar").redacted("Paris")
    assert b.hidden == f"13 of {len(TEXT)} characters"
    hides(contents(b.prompt), "Zanzibar", "Paris")


def test_bytes_of_one_character_lose_their_ids_with_it(tiny_lm):
    a = liw.attribute(tiny_lm(), "The 👩‍💻 is", " a", "input_x_gradient")
    record = liw.attention(tiny_lm(), "The 👩‍💻 is")
    assert sum(not t.text for t in record.tokens) > 3
    for tokens in (a.redacted("👩‍💻").inputs, record.redacted("👩‍💻").tokens):
        assert all((t.id == -1) == (BLOCK in t.text or not t.text) for t in tokens)
        assert "".join(t.text for t in tokens) == "The ███ is"


SAID = "The capital of France is qx7-41 of Japan"


@pytest.fixture
def lm(tiny_lm):
    return tiny_lm()


@pytest.mark.parametrize("what", [True, "qx7-41", re.compile(r"qx\d-\d+"), ["France", "qx7-41"]])
def test_views_that_never_hold_it(lm, tmp_path, what):
    views = [
        liw.explain(lm, SAID, " France", redact=what, **FEW),
        liw.compare(lm, SAID, " qx7-41", ["occlusion", "saliency"], redact=what),
        liw.generate(lm, SAID, 3, "occlusion", redact=what),
        liw.attend(lm, SAID, " qx7-41", redact=what),
        liw.lime(liw.explain(lm, SAID, " Japan", "lime", evaluations=40, redact=what)),
    ]
    views[2].contrast(0, 1)
    for w in views:
        path = w.to_html(tmp_path / "a.html", overwrite=True)
        for text in (page(path), contents(w.get_state())):
            hides(text, "qx7-41")
    a = views[0].result()
    hides(repr(a) + contents(a.prompt), "qx7-41")
    hides(file(a.save(tmp_path / "a.npz")), "qx7-41")
    again = liw.Attribution.load(tmp_path / "a.npz")
    assert (again.hidden, again.prompt) == (a.hidden, a.prompt)
    whole = liw.attribute(lm, SAID, " France", **FEW)
    assert np.array_equal(whole.scores, a.scores)


@pytest.mark.parametrize("what", [True, "qx7-41", re.compile(r"qx\d-\d+")])
def test_pages_and_files_that_never_hold_it(lm, tmp_path, what):
    a = liw.attribute(lm, SAID, " qx7-41", "lime", evaluations=40)
    other = liw.attribute(lm, "Another text of Japan and qx7-41", " qx7-41", "lime", evaluations=40)
    views = [
        liw.TokenHighlighter.of(a),
        liw.bar(a),
        liw.lime(a),
        liw.compare([a, a]),
        liw.generation(a),
        liw.beeswarm([a, other], by={"keys": ["QX7-41", "japan"], "countries": ["france"]}),
        liw.generate(lm, SAID, 2, "occlusion"),
        liw.attend(lm, SAID, " qx7-41"),
    ]
    for w in views:
        path = w.to_html(tmp_path / "a.html", title=f"On {SAID}", redact=what, overwrite=True)
        hides(page(path), "qx7-41", "QX7-41")
        assert "qx7-41" in contents(w.get_state())  # the live view has it still
    path = liw.save_html(tmp_path / "all.html", [*views, a], redact=what)
    hides(page(path), "qx7-41", "QX7-41")
    pairs = liw.interactions(lm, "The key qx7", " qx7", granularity="word", filler=" of")
    for result, secret in (
        (a, "qx7-41"),
        (liw.attention(lm, SAID, " qx7-41"), "qx7-41"),
        (pairs, "qx7"),
    ):
        given = what if secret == "qx7-41" or what is True else "qx7"
        hides(file(result.save(tmp_path / "b.npz", redact=given)), secret)
        assert secret in file(result.save(tmp_path / "b.npz"))


def test_ids_of_what_is_covered_are_in_no_file(lm, tmp_path):
    record = liw.attention(lm, SAID).redacted("qx7-41")
    a = liw.attribute(lm, SAID, " qx7-41", "occlusion").redacted("qx7-41")
    for result in (record, a):
        with zipfile.ZipFile(result.save(tmp_path / "a.npz")) as archive:
            header = json.loads(archive.read("header.npy")[128:])
        for token in header["inputs"] + header["outputs"]:
            assert (token["id"] == -1) == (BLOCK in token["text"])


def test_a_redacted_record_shows_the_same_weights_and_asks_nothing_again(lm, tmp_path):
    record = liw.attention(lm, SAID, " France")
    covered = record.redacted("France")
    assert covered.prompt == SAID.replace("France", BLOCK * 6)
    np.testing.assert_array_equal(covered.weights(0, 1), record.weights(0, 1))
    with pytest.raises(liw.errors.ResultError, match="covered"):
        covered.effect([(0, 1)])
    liw.AttentionRecord.load(covered.save(tmp_path / "r.npz"))
    w = liw.attend(covered)
    assert "France" not in contents(w.get_state())


def test_a_page_of_a_redacted_view_covers_both(lm, tmp_path):
    w = liw.attend(lm, SAID, redact="France")
    hides(page(w.to_html(tmp_path / "a.html", redact="Japan")), "France", "Japan")
    w = liw.explain(lm, SAID, redact="France", **FEW)
    hides(page(w.to_html(tmp_path / "b.html", redact="Japan")), "France", "Japan")


def test_what_one_text_says_is_covered_in_all_views_whichever_comes_first(tmp_path):
    from dataclasses import replace

    one = replace(made(), target="“Eve”")
    two = replace(made(), prompt="Eve", inputs=made().inputs[:1], scores=np.ones((1, 1)))
    two = replace(two, inputs=(replace(two.inputs[0], text="Eve", start=0, end=3),))
    for results in ([one, two], [two, one]):
        path = liw.save_html(tmp_path / "a.html", results, redact=True, overwrite=True)
        hides(page(path), "“Eve”")
        hides(contents(str(liw.embed(results, redact=True))), "“Eve”")


def test_a_models_name_is_covered_in_titles_and_outputs_too(lm, tmp_path):
    record = liw.attention(lm, SAID)
    w = liw.attend(record, redact=["France", record.model.name])
    hides(contents(w._repr_mimebundle_()[0]), record.model.name)
    hides(page(w.to_html(tmp_path / "a.html")), record.model.name)
    hides(page(liw.save_html(tmp_path / "b.html", w)), record.model.name)


def test_an_error_that_says_it_is_covered(tiny_model, tokenizer):
    lm = liw.wrap(tiny_model("llama"), tokenizer)
    forward = type(lm.model).forward

    def later(*args, **kwargs):
        if kwargs["input_ids"].shape[0] > 1:
            raise RuntimeError(f"cannot read {SAID!r}")
        return forward(lm.model, *args, **kwargs)

    lm.model.forward = later
    w = liw.explain(lm, SAID, redact="qx7-41")
    with pytest.raises(
        JobError, match="RuntimeError: cannot read 'The capital of France is ██████"
    ):
        w.result(20)
    hides(contents(w.get_state()), "qx7-41")


def test_a_cancelled_job_did_not_fail_whatever_is_covered(tiny_model, tokenizer):
    lm = liw.wrap(tiny_model("llama"), tokenizer)
    forward = type(lm.model).forward
    ran, goes = threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        if kwargs["input_ids"].shape[0] > 1:
            ran.set()
            assert goes.wait(20)
        return forward(lm.model, *args, **kwargs)

    lm.model.forward = slow
    w = liw.explain(lm, "The job was cancelled by Eve", redact=True)
    assert ran.wait(20)
    w.cancel()
    goes.set()
    w.job.wait(20)
    assert w.job.progress.status == "cancelled"


def test_results_are_redacted_one_by_one(lm):
    a = liw.attribute(lm, SAID, " a", "occlusion")
    with pytest.raises(ParameterError, match="redacted"):
        liw.compare([a, a], redact="France")


def test_numbers_alone_are_covered_too(lm):
    a = liw.attribute(lm, SAID, method="occlusion", redact="France")
    pairs = liw.interactions(lm, "in France", " a", redact="France", filler=" the")
    for found, scores in ((a, "scores"), (pairs, "values")):
        assert "France" not in contents(found.__dict__)
        assert "██████" in found.prompt
        assert getattr(found, scores).any()
    for ask in (liw.attribute, liw.interactions):
        assert "the" not in ask(lm, "in France", " a", filler=" the", redact="the").off
        with pytest.raises(ParameterError, match="found nowhere"):
            ask(lm, "in Spain", " a", redact="France")


def test_a_secret_is_covered_wherever_a_message_is_cut(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "s3cret-s3cret")
    for length in range(3_980, 4_001):
        assert "s3c" not in errors.told(OSError("x" * length + "s3cret-s3cret"))["message"]
    monkeypatch.setenv("OTHER_TOKEN", "s3cret-s3cret" + 1_200 * "-more")
    long = "s3cret-s3cret" + 1_200 * "-more"
    assert errors.told(OSError(60 * long))["message"] == 60 * "…"


def test_a_closed_view_has_no_page(lm, tmp_path):
    w = liw.explain(lm, SAID, redact="France", **FEW)
    w.close()
    with pytest.raises(ClosedWidgetError):
        w.to_html(tmp_path / "a.html", redact="France")


NAME = "Featherstonehaugh"  # many tokens for the model


def said_of(widget):
    """Return all that a view holds, as one text."""
    state = {name: getattr(widget, name) for name in widget.shared_traits}
    tokens = [text["tokens"] for text in state.get("subject", {}).get("texts", [])]
    return json.dumps(state, default=repr) + "".join(map("".join, tokens))


def pieces_of(word, least=4):
    return [word[i : i + least] for i in range(len(word) - least + 1)]


@pytest.mark.parametrize("prompt", [f"Dr. {NAME} met his wife, Mrs.", "He called the doctor, Mr."])
def test_a_target_that_is_cut_off_is_covered(lm, tmp_path, prompt):
    record = liw.attention(lm, prompt, f" {NAME}")
    assert record.tokens[-1].text.strip() in NAME
    assert not "".join(token.text for token in record.tokens).endswith(NAME)
    covered = record.redacted([NAME])
    left = "".join(token.text for token in covered.tokens)
    assert not [piece for piece in pieces_of(NAME) if piece in left]
    for old, new in zip(record.tokens, covered.tokens, strict=True):
        assert new.id == (old.id if new.text == old.text else -1)
    widget = liw.attend(lm, prompt, f" {NAME}", redact=re.compile("Fe[a-z]+gh"))
    try:
        assert not [piece for piece in pieces_of(NAME) if piece in said_of(widget)]
        page = widget.to_html(tmp_path / "page.html").read_text()
        state = islands(page)[0]["models"][0]["state"]
        tokens = "".join(state["subject"]["texts"][0]["tokens"])
        assert not [piece for piece in pieces_of(NAME) if piece in tokens]
    finally:
        widget.close()


def attribution_of(prompt, written):
    """Return a result of these pieces and outputs."""
    ends = [sum(map(len, prompt[: i + 1])) for i in range(len(prompt))]
    inputs = [
        Token(text, i, end - len(text), end, position=i)
        for i, (text, end) in enumerate(zip(prompt, ends, strict=True))
    ]
    shape = (len(written), len(prompt))
    return dataclasses.replace(
        made(),
        prompt="".join(prompt),
        inputs=tuple(inputs),
        outputs=tuple(Token(text, 7, ends[-1], ends[-1] + len(text)) for text in written),
        scores=np.zeros(shape),
        standard_error=None,
        spread=None,
        **{name: np.zeros(shape[:1]) for name in ("base_values", "output_values")},
        completeness_gap=np.zeros(shape[:1]),
        without=(),
        params={},
        target="",
        note="",
        off="",
    )


@pytest.mark.parametrize("turned", [False, True])
def test_what_a_pattern_finds_in_one_text_is_covered_in_the_other(lm, turned):
    texts = ["My name is Zanzibar. Hello", "Who is zanzibar?"]
    first, second = texts[::-1] if turned else texts
    widget = liw.attend(lm, first, beside=second, redact=re.compile(r"(?<=name is )\w+"))
    try:
        assert "zanzibar" not in said_of(widget).lower()
    finally:
        widget.close()


def test_a_secret_may_begin_in_the_prompt_and_end_in_the_answer():
    a = attribution_of(["My", " Zan"], ["zib", "ar"])
    covered = a.redacted(["Zanzibar"])
    assert covered.prompt == "My ███"
    assert [token.text for token in covered.outputs] == ["███", "██"]
    begun = attribution_of(["My", " Zanzibar"], [" Hi", " Za", "nzi"]).redacted(["Zanzibar"])
    assert [token.text for token in begun.outputs] == [" Hi", " ██", "███"]
    other = attribution_of(["My", " Zanzibar"], [" ZANZIBAR"]).redacted(["Zanzibar"])
    assert other.outputs[0].text == " ████████"


def test_a_label_is_no_end_of_the_prompts_last_word():
    a = attribution_of(["My", " Film"], ["good"])
    label = dataclasses.replace(a.outputs[0], start=7, end=7)
    covered = dataclasses.replace(a, outputs=(label,)).redacted(re.compile(r"[A-Z]\w{3,}"))
    assert (covered.prompt, covered.outputs[0].text) == ("My ████", "good")


def test_roles_are_covered():
    a = attribution_of(["My", " Zanzibar"], [" Hi"])
    inputs = tuple(dataclasses.replace(token, role="Zanzibar Hilton") for token in a.inputs)
    covered = dataclasses.replace(a, inputs=inputs).redacted(["Zanzibar"])
    assert {token.role for token in covered.inputs} == {"████████ Hilton"}


def test_a_word_of_a_pattern_is_covered_apart_from_longer_words_of_the_prompt():
    what = re.compile(r"(?<=is )Ann\b")
    assert Cover(what).prompt("She is Ann. Ann, annual") == "She is ███. ███, annual"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda lm, text, redact: liw.explain(lm, text, redact=redact, filler=text), "filler"),
        (
            lambda lm, text, redact: liw.attribute(lm, text, text * 2, "shaply", redact=redact),
            "shapley",
        ),
        (
            lambda lm, text, redact: liw.attribute(
                lm, text, liw.Contrast(f" {NAME}", f" {NAME}"), redact=redact
            ),
            "compares",
        ),
        (
            lambda lm, text, redact: liw.attend(lm, text, liw.Contrast(text, text), redact=redact),
            "compares",
        ),
        (lambda lm, text, redact: liw.interactions(lm, text, filler=text, redact=redact), "filler"),
        (lambda lm, text, redact: liw.explain(lm, text, redact=["Mozambique-77"]), "found nowhere"),
    ],
)
def test_no_error_says_what_is_covered(lm, ask, words):
    text = f"Dr. {NAME} said\nno"
    for redact in ([NAME], True, [f"{NAME} said\nno"]):
        with pytest.raises(InterpError, match=words) as caught:
            ask(lm, text, redact)
        told = "".join(traceback.format_exception(caught.value))
        said = str(caught.value)
        assert not [piece for piece in pieces_of(NAME, 6) if piece in said], said
        assert "Mozambique" not in said
        assert caught.value.__cause__ is None or NAME not in str(caught.value.__cause__), told


def test_an_error_of_the_overview_does_not_say_what_is_covered(lm, monkeypatch):
    def fail(self, *_, **__):
        raise ModelError(f"cannot read {self.prompt!r}")

    monkeypatch.setattr(AttentionRecord, "repetition", fail, raising=True)
    widget = liw.attend(lm, f"Dr. {NAME} said no", redact=[NAME])
    try:
        widget.wait(60)
        assert NAME not in said_of(widget) + str(widget.failure)
        assert "cannot read" in widget.failure["message"]
    finally:
        widget.close()


def test_a_view_whose_record_was_closed_can_be_covered(lm, tmp_path):
    widget = liw.attend(lm, f"Dr. {NAME} said no")
    assert widget.wait(60)
    widget.record.close()
    page = widget.to_html(tmp_path / "page.html", redact=[NAME]).read_text()
    tokens = islands(page)[0]["models"][0]["state"]["subject"]["texts"][0]["tokens"]
    assert not [piece for piece in pieces_of(NAME) if piece in "".join(tokens)]
    widget.close()


def test_what_was_nearly_written_does_not_begin_a_secret():
    cover = Cover([NAME])
    cover.prompt(f"Dr. {NAME}")
    here = [Token(" x", 1, 0, 0)]
    assert cover.choices([[" Fe", " dog", "ather", f" {NAME}"]], here, here) == [
        [" ██", " dog", "ather", " " + "█" * len(NAME)]
    ]
