"""Pieces: whole, ordered, never mixed."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_interp_widgets.errors import EmptyPromptError, ParameterError
from llm_interp_widgets.text.features import GRANULARITIES, pieces, require_features
from llm_interp_widgets.text.tokens import align

if TYPE_CHECKING:
    from llm_interp_widgets.text.tokens import Prompt


def by_tokens(*tokens: str, special=(), roles=None) -> Prompt:
    offsets, at = [], 0
    for token in tokens:
        offsets.append((at, at + len(token)))
        at += len(token)
    n = len(tokens)
    marks = [i in special for i in range(n)]
    return align("".join(tokens), range(n), offsets, marks, names=tokens, roles=roles)


def by_bytes(text: str) -> Prompt:
    offsets = [(i, i + 1) for i, char in enumerate(text) for _ in char.encode()]
    n = len(offsets)
    return align(text, range(n), offsets, [False] * n, names=[""] * n)


def texts(found) -> list[str]:
    return [piece.text for piece in found]


SENTENCE = by_tokens("un", "able", " cat", "'s", "!", " Go", ".")


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        ("token", ["un", "able", " cat", "'s", "!", " Go", "."]),
        ("word", ["unable", " cat's", "!", " Go", "."]),
        ("sentence", ["unable cat's!", " Go."]),
        ("turn", ["unable cat's! Go."]),
        ([(7, 10)], ["unable", " cat", "'s! Go."]),
        ([(14, 16), (0, 3)], ["unable", " cat's!", " Go", "."]),
    ],
)
def test_granularities(granularity, expected):
    found = pieces(SENTENCE, granularity)
    assert texts(found) == expected
    assert [piece.position for piece in found] == [
        sum(piece.size for piece in found[:i]) for i in range(len(found))
    ]
    assert [piece.id for piece in found] == [SENTENCE.ids[piece.position] for piece in found]


def test_bytes_of_one_visible_character_are_one_piece():
    assert texts(pieces(by_bytes("👩‍💻e\u0301龘\r\n"))) == ["👩‍💻", "e\u0301", "龘", "\r\n"]
    assert [piece.size for piece in pieces(by_bytes("👩‍💻!"))] == [11, 1]


def test_a_token_across_two_characters_joins_them():
    prompt = align("龘好", [0, 1, 2], [(0, 1), (0, 2), (1, 2)], [False] * 3, names=[""] * 3)
    assert texts(pieces(prompt)) == ["龘好"]


def test_an_empty_first_token_joins_the_next():
    prompt = align("ab", [0, 1, 2], [(0, 0), (0, 1), (1, 2)], [False] * 3, names=[""] * 3)
    assert [(piece.text, piece.size) for piece in pieces(prompt)] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize("granularity", [*GRANULARITIES, [(0, 4)]])
def test_special_tokens_and_roles_are_never_mixed(granularity):
    prompt = by_tokens(
        "Hi", "<s>", "<s>", "Hi", "you", special={1, 2}, roles=["a", "a", "a", "a", "b"]
    )
    assert texts(pieces(prompt, granularity)) == ["Hi", "<s>", "<s>", "Hi", "you"]


def test_turns():
    prompt = by_tokens(
        "[", "Hi", " you", "]", "[", "Yes", "]", special={0, 3, 4, 6}, roles=[*"uuuuaaa"]
    )
    found = pieces(prompt, "turn")
    assert texts(found) == ["[", "Hi you", "]", "[", "Yes", "]"]
    assert [(piece.text, piece.role) for piece in require_features(found)] == [
        ("Hi you", "u"),
        ("Yes", "a"),
    ]


def test_nothing_to_switch_off():
    with pytest.raises(EmptyPromptError, match="only special tokens"):
        require_features(pieces(by_tokens("<s>", special={0})))


@pytest.mark.parametrize(
    ("granularity", "message"),
    [
        ("words", "Did you mean 'word'"),
        ([(3, 3)], r"\(3, 3\) is empty"),
        ([(0, 99)], r"\(0, 99\) leaves the text"),
        ([(-1, 2)], r"\(-1, 2\) leaves the text"),
        ([(0, 4), (2, 6)], r"\(0, 4\) and \(2, 6\) overlap"),
        ([(0, 1, 2)], "no character span"),
        ([("a", "b")], "no character span"),
        ([5], "no character span"),
        ([], "No span is given"),
        (None, "no granularity"),
        (7, "no granularity"),
        ([(6, 7), (7, 8)], "holds no token of its own.*' cat'"),
        ([(0, 1), (1, 2)], r"\(1, 2\) holds no token of its own"),
    ],
)
def test_bad_granularities(granularity, message):
    with pytest.raises(ParameterError, match=message):
        pieces(SENTENCE, granularity)


def test_a_span_of_special_tokens_only_is_no_feature():
    with pytest.raises(ParameterError, match="not special"):
        pieces(by_tokens("Hi", "<s>", special={1}), [(2, 5)])


@given(st.text(min_size=1), st.lists(st.integers(1, 4)), st.data())
def test_pieces_partition_the_positions(text, sizes, data):
    cuts = sorted({0, len(text.encode()), *(sum(sizes[:i]) for i in range(len(sizes)))})
    owner = [i for i, char in enumerate(text) for _ in char.encode()]
    cuts = [cut for cut in cuts if cut <= len(owner)]
    offsets = [(owner[i], owner[j - 1] + 1) for i, j in pairwise(cuts)]
    n = len(offsets)
    special = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    roles = data.draw(st.lists(st.sampled_from([None, "user"]), min_size=n, max_size=n))
    prompt = align(text, range(n), offsets, special, names=["<s>"] * n, roles=roles)
    start = data.draw(st.integers(0, len(text) - 1))
    for granularity in (*GRANULARITIES, [(start, data.draw(st.integers(start + 1, len(text))))]):
        try:
            found = pieces(prompt, granularity)
        except ParameterError:
            assert isinstance(granularity, list)  # the span lies inside a token
            continue
        assert "".join(texts(found)) == text
        covered = [range(piece.position, piece.position + piece.size) for piece in found]
        assert [i for positions in covered for i in positions] == list(range(n))
        for piece, positions in zip(found, covered, strict=True):
            tokens = [prompt.tokens[i] for i in positions]
            groups = groupby(tokens, key=lambda token: (token.special, token.role))
            assert [key for key, _ in groups] == [(piece.special, piece.role)]
            assert (piece.start, piece.end) == (tokens[0].start, tokens[-1].end)


def test_a_token_that_begins_with_a_line_break_begins_a_sentence():
    prompt = by_tokens("Hello", " you", ".", "\nBig", " world", ".")
    assert texts(pieces(prompt, "sentence")) == ["Hello you.", "\nBig world."]
