"""From tokens back to characters, where a tokenizer gives no offsets or rough ones.

Two ways, both in linear time. *Spelling*: vocabularies name their tokens in a few known alphabets
(byte-level, Latin-1 bytes, ``▁`` for a space with ``<0xE4>`` for a byte); if the names, read in
one of them, spell the text byte for byte, the spans are exact. *Decoding*: the text that each
further token adds, seen through a short window, because a byte or a word piece alone decodes to
something else.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BYTE_NAME = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"

# A character is at most four bytes; a longer undecodable run is not waiting for its last byte.
_LONGEST_RUN = 8


def spelled_offsets(text: str, names: Sequence[str | None]) -> list[tuple[int, int]] | None:
    """Return exact character spans if the tokens' names spell the text byte for byte.

    Args:
        text: The text.
        names: Vocabulary names of its tokens; None for added special tokens.

    Returns:
        One span per token, (0, 0) for None; a token of the middle of a character spans all of
        it. None if the names spell something else in every known alphabet.

    Example:
        >>> spelled_offsets("né e", ["n", "Ã", "©", None, "Ġe"])
        [(0, 1), (1, 2), (1, 2), (0, 0), (2, 4)]
    """
    wanted = text.encode()
    for read in (_byte_level, _latin_bytes, _sentence_piece):
        parts = [_read(name, read) for name in names]
        spelled = b"".join(parts)
        if spelled == wanted:
            return _char_spans(wanted, parts, lead=0)
        if spelled == b" " + wanted:
            return _char_spans(wanted, parts, lead=1)
    return None


def decoded_offsets(
    ids: Sequence[int], decode: Callable[[Sequence[int]], str], special: Sequence[bool]
) -> tuple[str, list[tuple[int, int]]]:
    """Return the text of ids and the span that each adds, by decoding short windows.

    Args:
        ids: Vocabulary ids.
        decode: Gives the text of some ids.
        special: Which ids are special tokens: those share characters with no other.

    Returns:
        The text that the windows join to, and one span per id. Ids that only together make
        characters (bytes) share one span.

    Example:
        >>> decoded_offsets([1, 2], lambda ids: " ".join("abc"[i] for i in ids), [False] * 2)
        ('b c', [(0, 1), (1, 3)])
    """
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    known, done, length = 0, 0, 0
    for i in range(1, len(ids) + 1):
        before, after = decode(ids[known:done]), decode(ids[known:i])
        is_open = after.endswith(_REPLACEMENT) or len(after) <= len(before)
        may_wait = i < len(ids) and i - done < _LONGEST_RUN and not any(special[i - 1 : i + 1])
        if is_open and may_wait:
            continue
        part = after[len(before) :]
        parts.append(part)
        spans += [(length, length + len(part))] * (i - done)
        length += len(part)
        known, done = done, i
    return "".join(parts), spans


def searched_offsets(text: str, parts: Sequence[str]) -> list[tuple[int, int]]:
    """Return where parts are found in a text, one after the other, whatever their case.

    Args:
        text: The text.
        parts: What each token looks like; spaces around it do not matter.

    Returns:
        One span per part; an empty one at the last place found where a part is not found nearby.

    Example:
        >>> searched_offsets("Hello world", ["hello", "?", " WORLD"])
        [(0, 5), (5, 5), (6, 11)]
    """
    lowered = text.lower() if len(text.lower()) == len(text) else text
    spans, cursor, missing = [], 0, 0
    for part in parts:
        wanted = part.strip()
        wanted = wanted.lower() if len(wanted.lower()) == len(wanted) else wanted
        reach = cursor + len(wanted) + 32 * (1 + missing)
        at = lowered.find(wanted, cursor, reach) if wanted else -1
        if at < 0:
            missing += 1
            spans.append((cursor, cursor))
            continue
        cursor, missing = at + len(wanted), 0
        spans.append((at, cursor))
    return spans


def readable_name(name: str, decoded: str) -> str:
    """Return what to call one token in a message.

    Args:
        name: Its name in the vocabulary.
        decoded: What it decodes to alone.

    Returns:
        Its text with the leading space that decoding alone may drop; bytes that are no character
        in hexadecimal.

    Example:
        >>> readable_name("▁Par", "Par"), readable_name("ä¸", "\N{REPLACEMENT CHARACTER}")
        (' Par', '«0xE4B8»')
    """
    if not decoded or (_REPLACEMENT in decoded and _REPLACEMENT not in name):
        byte = _BYTE_NAME.fullmatch(name)
        data = bytes.fromhex(byte[1]) if byte else (_byte_level if decoded else _latin_bytes)(name)
        if data and not data.isascii():
            return f"«0x{data.hex().upper()}»"
    if name.startswith(_WORD_START) and not decoded.startswith(" "):
        return " " + decoded
    return decoded or name


def _read(name: str | None, read: Callable[[str], bytes | None]) -> bytes:
    """Return what a name spells; a name outside the alphabet (an added token) spells itself."""
    if name is None:
        return b""
    data = read(name)
    return name.encode() if data is None else data


def _char_spans(data: bytes, parts: Sequence[bytes], lead: int) -> list[tuple[int, int]]:
    """Return the characters that each run of bytes touches."""
    begins = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80
    # begun[k]: how many characters begin before byte k.
    begun = np.concatenate([[0], np.cumsum(begins)])
    sizes = [len(part) for part in parts]
    spans = []
    for size, stop in zip(sizes, accumulate(sizes), strict=True):
        first, last = max(stop - size - lead, 0), max(stop - lead, 0)
        if size == 0:
            spans.append((0, 0))
        elif first == last:
            spans.append((int(begun[first]),) * 2)
        else:
            spans.append((int(begun[first + 1]) - 1, int(begun[last])))
    return spans


@cache
def _byte_of_char() -> dict[str, int]:
    """Return GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    stand_ins = {chr(byte): byte for byte in printable}
    return stand_ins | {chr(256 + i): byte for i, byte in enumerate(others)}


def _byte_level(name: str) -> bytes | None:
    table = _byte_of_char()
    try:
        return bytes([table[char] for char in name])
    except KeyError:
        return None


def _latin_bytes(name: str) -> bytes | None:
    try:
        return name.encode("latin-1")
    except UnicodeEncodeError:
        return None


def _sentence_piece(name: str) -> bytes:
    byte = _BYTE_NAME.fullmatch(name)
    if byte:
        return bytes([int(byte[1], 16)])
    return name.replace(_WORD_START, " ").encode()
