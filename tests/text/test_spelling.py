"""From names and decoded windows to spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_interp_widgets.text.spelling import (
    decoded_offsets,
    readable_name,
    searched_offsets,
    spelled_offsets,
)


@pytest.mark.parametrize(
    ("text", "names", "spans"),
    [
        ("né e", ["n", "Ã", "©", "Ġe"], [(0, 1), (1, 2), (1, 2), (2, 4)]),
        ("é!", ["Ã©!"], [(0, 2)]),
        ("a.\n\nb", ["a", ".ĊĊ", "b"], [(0, 1), (1, 4), (4, 5)]),
        ("Hi yo", ["▁Hi", "▁yo"], [(0, 2), (2, 5)]),
        ("Hi", ["▁", "Hi"], [(0, 0), (0, 2)]),
        ("é", ["<0xC3>", "<0xA9>"], [(0, 1), (0, 1)]),
        ("é", ["Ã", "©"], [(0, 1), (0, 1)]),
        ("hi", [None, "hi", None], [(0, 0), (0, 2), (0, 0)]),
        ("龘<｜s｜>", ["é¾", "ĺ", "<｜s｜>"], [(0, 1), (0, 1), (1, 6)]),
    ],
)
def test_spelled(text, names, spans):
    assert spelled_offsets(text, names) == spans


@pytest.mark.parametrize("names", [["hello"], ["hello", "##!"], ["[UNK]"], ["▁▁Hello"]])
def test_names_that_spell_something_else(names):
    assert spelled_offsets("Hello!", names) is None


@given(st.text())
def test_every_text_spelled_in_bytes(text):
    names = [f"<0x{byte:02X}>" for byte in text.encode()]
    owner = [(i, i + 1) for i, char in enumerate(text) for _ in char.encode()]
    assert spelled_offsets(text, names) == owner
    if "\N{REPLACEMENT CHARACTER}" not in text:
        found = decoded_offsets(
            list(text.encode()),
            lambda ids: bytes(ids).decode(errors="replace"),
            [False] * len(owner),
        )
        assert found == (text, owner)


def test_undecodable_bytes_do_not_wait_for_ever():
    calls = []

    def decode(ids):
        calls.append(len(ids))
        return bytes(ids).decode(errors="replace")

    text, spans = decoded_offsets([0xFF] * 1000, decode, [False] * 1000)
    assert len(spans) == 1000
    assert spans[-1][1] == len(text)
    assert max(calls) < 32


def test_special_tokens_do_not_wait_and_are_not_waited_for():
    def decode(ids):
        return bytes(ids).decode(errors="replace").replace("a", "<s>")

    text, spans = decoded_offsets([0xE9, ord("a"), 0xE9], decode, [False, True, False])
    assert (text, spans) == ("\ufffd<s>\ufffd", [(0, 1), (1, 4), (4, 5)])


def test_searched_parts_lose_nothing_but_the_unknown():
    text = "The quick [x] Fox"
    assert searched_offsets(text, ["the", "[UNK]", " fox"]) == [(0, 3), (3, 3), (14, 17)]


@pytest.mark.parametrize(
    ("name", "decoded", "expected"),
    [
        ("ĠPar", " Par", " Par"),
        ("▁Par", "Par", " Par"),
        ("▁", "", " "),
        ("##ing", "##ing", "##ing"),
        ("ä¸", "\N{REPLACEMENT CHARACTER}", "«0xE4B8»"),
        ("<0xE4>", "\N{REPLACEMENT CHARACTER}", "«0xE4»"),
        ("<0x0A>", "\n", "\n"),
        ("Ã", "", "«0xC3»"),
        ("<pad>", "", "<pad>"),
        ("</s>", "</s>", "</s>"),
    ],
)
def test_readable_names(name, decoded, expected):
    assert readable_name(name, decoded) == expected
