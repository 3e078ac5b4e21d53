"""Who says what, for templates of every temper."""

from __future__ import annotations

import pytest

from llm_interp_widgets.errors import PromptError
from llm_interp_widgets.text.chat import chat_segments, mark_turns
from llm_interp_widgets.text.tokens import align


def chatml(messages, *, open_reply):
    if messages[0]["role"] != "system":
        messages = [{"role": "system", "content": "Be user."}, *messages]
    text = "".join(f"<|{m['role']}\n{m['content']}|>\n" for m in messages)
    return text + "<|assistant\n" * open_reply


def llama2(messages, *, open_reply):
    out, system = "", ""
    for m in messages:
        if m["role"] == "system":
            system = f"<<SYS>>\n{m['content']}\n<</SYS>>\n\n"
        elif m["role"] == "user":
            out += f"<s>[INST] {(system + m['content']).strip()} [/INST]"
            system = ""
        else:
            out += f" {m['content'].strip()} </s>"
    return out or None


def gemma(messages, *, open_reply):
    if any(m["role"] == "system" for m in messages):
        return None
    names = {"assistant": "model"}
    text = "<bos>" + "".join(
        f"<turn>{names.get(m['role'], m['role'])}\n{m['content'].strip()}<end>\n" for m in messages
    )
    return text + "<turn>model\n" * open_reply


def picky(messages, *, open_reply):
    """Refuses stand-ins."""
    if any("Qx0xQ" in m["content"] for m in messages):
        return None
    return "".join(f"[{m['role']}] {m['content'].strip()} " for m in messages) + "[assistant]"


def bare(messages, *, open_reply):
    return "".join(m["content"] for m in messages)


def forgetful(messages, *, open_reply):
    return chatml(messages[-1:], open_reply=open_reply)


def twice(messages, *, open_reply):
    return "".join(f"{m['content']}={m['content']};" for m in messages)


def terse(messages, *, open_reply):
    return "<" + "\n>".join(m["content"] for m in messages) + " >"


def chat(*turns):
    return [{"role": role, "content": content} for role, content in turns]


def said(messages, render):
    text = render(messages, open_reply=True)
    segments = chat_segments(messages, text, render)
    assert "".join(text[s.start : s.end] for s in segments) == text
    return text, segments, [(text[s.start : s.end], s.role) for s in segments if s.is_content]


TEMPLATES = [chatml, llama2, gemma]


@pytest.mark.parametrize("render", TEMPLATES)
@pytest.mark.parametrize(
    "content",
    [
        "user",
        "assistant",
        "Qx0xQ0Qx0xQ",
        "<|user\nuser|>\n",
        "<turn>user\nhi<end>\n",
        "[INST] user [/INST]",
        "{{ messages }}",
        "s",
        "\N{WOMAN}\u200d💻",
    ],
)
def test_contents_that_look_like_markup(render, content):
    messages = chat(("user", content), ("assistant", content), ("user", "user"))
    _, _, found = said(messages, render)
    assert found == [
        (content.strip() if render is not chatml else content, "user"),
        (content.strip() if render is not chatml else content, "assistant"),
        ("user", "user"),
    ]


@pytest.mark.parametrize("render", [llama2, gemma])
def test_trimmed_contents(render):
    _, _, found = said(chat(("user", "  hi\n"), ("assistant", "\tyes "), ("user", " ")), render)
    assert found == [("hi", "user"), ("yes", "assistant")]


def test_a_system_prompt_folded_into_the_first_turn():
    _, _, found = said(chat(("system", "Be kind."), ("user", "hi ")), llama2)
    assert found == [("Be kind.", "system"), ("hi", "user")]


def test_markup_has_the_role_of_its_turn():
    text, segments, _ = said(chat(("user", "a"), ("assistant", "b"), ("user", "c")), chatml)
    assert [(text[s.start : s.end], s.role) for s in segments if not s.is_content] == [
        ("<|system\nBe user.|>\n", "system"),
        ("<|user\n", "user"),
        ("|>\n", "user"),
        ("<|assistant\n", "assistant"),
        ("|>\n", "assistant"),
        ("<|user\n", "user"),
        ("|>\n", "user"),
        ("<|assistant\n", "assistant"),
    ]


def test_a_template_that_refuses_stand_ins_is_searched_in_order():
    _, _, found = said(chat(("user", "\thello\n"), ("assistant", "hello")), picky)
    assert found == [("hello", "user"), ("hello", "assistant")]


def test_contents_without_markup():
    _, segments, found = said(chat(("user", "a"), ("assistant", "b")), bare)
    assert found == [("a", "user"), ("b", "assistant")]
    assert all(segment.is_content for segment in segments)


def test_contents_that_the_template_drops_or_repeats():
    assert said(chat(("user", "a"), ("user", "b")), forgetful)[2] == [("b", "user")]
    assert said(chat(("user", "a")), twice)[2] == [("a", "user"), ("a", "user")]


def test_a_changed_content_is_an_error_and_never_markup():
    def shout(messages, *, open_reply):
        return "".join(m["content"].upper() for m in messages)

    with pytest.raises(PromptError, match="changes the content of message 0"):
        chat_segments(chat(("user", "hi")), "HI", shout)


def test_tokens_on_a_border_belong_to_what_is_visible_in_them():
    messages = chat(("user", "hi\n"), ("assistant", "yes"))
    text, segments, _ = said(messages, terse)
    assert text == "<hi\n\n>yes >"
    offsets = [(0, 1), (1, 3), (3, 5), (5, 6), (6, 7), (6, 7), (7, 11)]
    special = [True, *[False] * 6]
    prompt = align(text, range(7), offsets, special, names=[""] * 7)
    marked = mark_turns(prompt, segments)
    assert [(token.text, token.special) for token in marked.tokens] == [
        ("<", True),
        ("hi", False),
        ("\n\n", False),
        (">", True),
        ("y", False),
        ("", False),
        ("es >", False),
    ]
    assert [token.role for token in marked.tokens[-2:]] == ["assistant"] * 2


def test_blank_of_a_content_does_not_turn_markup_into_a_feature():
    messages = chat(("user", "hi\n\n"), ("assistant", "yes"))
    text, segments, _ = said(messages, terse)
    assert text == "<hi\n\n\n>yes >"
    offsets = [(0, 1), (1, 3), (6, 7), (7, 10), (11, 12)]
    marked = mark_turns(align(text, range(5), offsets, [False] * 5, names=[""] * 5), segments)
    assert [(token.text, token.special) for token in marked.tokens] == [
        ("<", True),
        ("hi", False),
        ("\n\n\n>", True),
        ("yes", False),
        (" >", True),
    ]
