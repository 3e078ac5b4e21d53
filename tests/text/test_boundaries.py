"""Words and sentences: the rules, and that they stay linear."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_interp_widgets.text.boundaries import (
    grapheme_boundaries,
    sentence_boundaries,
    word_boundaries,
)


def cut(text: str, boundaries) -> list[str]:
    return [text[i:j] for i, j in pairwise(sorted(boundaries))]


@pytest.mark.parametrize(
    "parts",
    [
        ["Don't", " stop", "!"],
        ["L’été", " well-known", ",", " 3.14", " 1,000", " km", "."],
        ["a", "-", " b", " (", "c", ")"],
        ["snake_case", " =", " f", "(", "x", ")"],
        [" Straße", " Łódź", " नमस्ते", " 한국어"],
        ["今", "天", "ok", "天", "。"],
        ["ห", "นู"],
        ["👩‍💻", "🇫🇷", " 1️⃣"],
        ["a", "\n\n", "b", " \n", " c", "  "],
        ["e\u0301te\u0301"],
    ],
)
def test_words(parts):
    assert cut("".join(parts), word_boundaries("".join(parts))) == parts


@pytest.mark.parametrize(
    "parts",
    [
        ["Dr. Wu paid 3.50 for it.", " Why?!", " He left."],
        ["See e.g. Fig. 3 and p. 4.", " J. R. Smith et al. (2020) agree."],
        ["It opened at 9 a.m. on Jan. 5 in the U.S. capital.", " So am I.", " And you?"],
        ["He works for Acme Inc.", " She does not."],
        ["1. First thing.\n", "2. Second thing."],
        ["In 1990.", " Then 1991."],
        ['"Stop!"', " he said.", ' (Or "go".)', " Well ... maybe...", " Perhaps… not."],
        ["今天很好。", "你呢？", "「好！」", "是的"],
        ["Hello.\n\n", "World\n", "again"],
        ["\n\nHello.", " Bye. \n"],
        ["नमस्ते।", " ठीक है।"],
        ["   "],
        ["..."],
        ["She said no.", " Then left."],
    ],
)
def test_sentences(parts):
    assert cut("".join(parts), sentence_boundaries("".join(parts))) == parts


def test_graphemes():
    parts = ["👩‍💻", "e\u0301", "\r\n", "🇫🇷", "नि", "한"]
    assert cut("".join(parts), grapheme_boundaries("".join(parts))) == parts


@given(st.text())
def test_boundaries_cut_the_whole_text(text):
    for boundaries in (grapheme_boundaries, word_boundaries, sentence_boundaries):
        found = boundaries(text)
        assert {0, len(text)} <= found
        assert "".join(cut(text, found)) == text
    if text.strip():
        assert all(part.strip() for part in cut(text, sentence_boundaries(text)))


@pytest.mark.parametrize(
    "run", [" ", "\n", ".", "!", ")", ". ", "a", "\u0301", "-", "'", "1.", "。"]
)
def test_long_runs_take_linear_time(run):
    def seconds(n: int) -> float:
        begin = time.process_time()
        word_boundaries(run * n)
        sentence_boundaries(run * n)
        return time.process_time() - begin

    seconds(1000)
    assert seconds(40_000) < 40 * max(seconds(4_000), 0.002)
