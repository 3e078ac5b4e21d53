"""Exact spans out of rough offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_interp_widgets.errors import EmptyPromptError
from llm_interp_widgets.text.tokens import align

if TYPE_CHECKING:
    from llm_interp_widgets.text.tokens import Prompt


def texts(prompt: Prompt) -> list[str]:
    return [token.text for token in prompt.tokens]


def plain(text: str, offsets: list[tuple[int, int]]) -> Prompt:
    n = len(offsets)
    return align(text, list(range(n)), offsets, [False] * n, names=[""] * n)


def test_stripped_space_goes_to_the_following_token_and_trailing_space_to_the_last():
    assert texts(plain(" a \x00 b ", [(1, 2), (5, 6)])) == [" a", " \x00 b "]


def test_a_dropped_combining_mark_stays_with_the_character_it_continues():
    assert texts(plain("e\u0301 b", [(0, 1), (3, 4)])) == ["e\u0301", " b"]


def test_byte_fragments_share_a_character_and_the_first_one_has_it():
    prompt = plain("a🙂b", [(0, 1), (1, 2), (1, 2), (2, 3)])
    assert texts(prompt) == ["a", "🙂", "", "b"]
    assert [(token.start, token.end) for token in prompt.tokens] == [(0, 1), (1, 2), (2, 2), (2, 3)]


def test_a_token_across_two_characters_joins_them():
    prompt = plain("a龘好b", [(0, 1), (1, 2), (1, 3), (2, 3), (3, 4)])
    assert texts(prompt) == ["a", "龘好", "", "", "b"]


def test_added_special_tokens_have_a_name_and_cover_nothing():
    prompt = align(
        "hi",
        [101, 7, 102],
        [(0, 0), (0, 2), (0, 0)],
        [True, False, True],
        names=["[CLS]", "hi", "[SEP]"],
        roles=[None, "user", None],
    )
    assert texts(prompt) == ["[CLS]", "hi", "[SEP]"]
    assert [token.added for token in prompt.tokens] == [True, False, True]
    assert [(token.start, token.end) for token in prompt.tokens] == [(0, 0), (0, 2), (2, 2)]
    assert [token.position for token in prompt.tokens] == [0, 1, 2]
    assert prompt.tokens[1].role == "user"
    assert prompt.ids == (101, 7, 102)


def test_a_special_token_written_in_the_text_covers_its_characters():
    offsets, special = [(0, 1), (1, 5)], [False, True]
    prompt = align("a</s>", [1, 2], offsets, special, names=["", "</s>"])
    assert texts(prompt) == ["a", "</s>"]
    assert [token.special for token in prompt.tokens] == special
    assert not any(token.added for token in prompt.tokens)


def test_a_text_that_the_tokenizer_drops_entirely_is_refused():
    with pytest.raises(EmptyPromptError, match="keeps no character"):
        align("\x00", [1], [(0, 0)], [True], names=["[CLS]"])


@given(
    st.text(max_size=12),
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=8),
)
def test_spans_are_exact_however_wrong_the_offsets(text, offsets):
    prompt = plain(text, offsets)
    assert "".join(texts(prompt)) == text
    cursor = 0
    for token in prompt.tokens:
        assert (token.start, prompt.text[token.start : token.end]) == (cursor, token.text)
        cursor = token.end
