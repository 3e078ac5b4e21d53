"""Where characters, words and sentences of a text begin and end.

Every function returns the set of character positions at which something ends and something else
may begin; 0 and the text's length always belong to it (both are 0 for an empty text). All rules
are Unicode's own or short and written down here: no language model, no word list but a few dozen
abbreviations, linear time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_CLUSTER = regex.compile(r"\X")

# Scripts written without spaces: a tokenizer's own pieces are the best words there are.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"(?:[^\W{_UNSPACED}]|\p{{M}})"
_WORD = regex.compile(
    rf"""
    \s*\n                                       # line breaks stand alone where the tokens allow
    | \s* (?:
        {_LETTER}+                              # a word or a number, and what may join two:
        (?: (?: ['’‐-] | (?<=\d)[.,](?=\d) ) {_LETTER}+ )*
        | \X                                    # anything else is a piece of its own
    )
    """,
    regex.VERBOSE,
)

# What closes a quotation belongs to the sentence in it; so does the line break after it. No
# quantifier gives back what it took, so that a long run of marks stays linear.
_CLOSERS = r"[\"'”’»)\]}」』）】]*+"
_SENTENCE_END = regex.compile(
    rf"""
    (?: (?P<stop> (?<![.])[.] {_CLOSERS} (?=\s|$) )
      | (?<![.…]) (?: [.]{{2,}}+ | … ) [.…]*+ {_CLOSERS} (?=\s+[^\s\p{{Ll}}]|\s*$)
      | (?<![!?])[!?]++ [.!?…]*+ {_CLOSERS} (?=\s|$)
      | [。！？．｡؟۔।॥።]++ {_CLOSERS}
    ) (?:\s*\n)?
    | \n (?:\s*\n)?
    """,
    regex.VERBOSE,
)
_LAST_WORD = regex.compile(r"(?:^|[\s(\[\"'“‘«])([^\s(\[\"'“‘«]+)$")
_INITIALS = regex.compile(r"\p{L}(?:\.\p{L})*")

# Abbreviations, by what must follow for the point after them not to end the sentence.
_BEFORE_ANY = frozenset(
    """approx bzw ca capt cf dr e.g eg gen gov hon i.e ie lt mlle mme mr mrs ms mt nr pres prof
    sen sgt st vgl viz vs z.b""".split()
)
_BEFORE_SMALL = frozenset(
    """a.m al apr aug ave bldg bros co corp dec dept ed eds est etc ext feb inc jan jr jul jun ltd
    nov oct p.m ph.d rev sep sept sr usw""".split()
)
_BEFORE_NUMBER = frozenset("art ch col eq eqs fig figs no nos op p pp ref sec vol".split())
_SMALL = regex.compile(r"\s+[\p{Ll}\d(]")
_NUMBER = regex.compile(r"\s+[(\[]?\d")


def grapheme_boundaries(text: str) -> AbstractSet[int]:
    r"""Return where user-perceived characters end (extended grapheme clusters, Unicode UAX 29).

    Args:
        text: Any text.

    Returns:
        Positions at which the text can be cut without breaking a character.

    Example:
        >>> sorted(grapheme_boundaries("e\u0301!"))
        [0, 2, 3]
    """
    return {0, *(match.end() for match in _CLUSTER.finditer(text))}


def word_boundaries(text: str) -> AbstractSet[int]:
    """Return where words, numbers and marks end; a space belongs to the word that follows it.

    Apostrophes and hyphens join (``don't``, ``well-known``), points and commas join digits; every
    other mark is its own piece. In scripts without spaces each character may end one: pieces are
    made of whole tokens, so there the tokens themselves are the words.

    Args:
        text: Any text.

    Returns:
        Positions between words.

    Example:
        >>> sorted(word_boundaries("It’s 3.5 km."))
        [0, 4, 8, 11, 12]
    """
    return {0, *(match.end() for match in _WORD.finditer(text))}


def sentence_boundaries(text: str) -> AbstractSet[int]:
    """Return where sentences and lines end; a space belongs to the sentence that follows it.

    A point ends no sentence inside a number, after an abbreviation or an initial, or in the
    number of a list item.

    Args:
        text: Any text.

    Returns:
        Positions between sentences; none of the sentences is blank unless the text is.

    Example:
        >>> sorted(sentence_boundaries("Dr. Wu paid 3.50. Why?"))
        [0, 17, 22]
    """
    cuts, start = [0], 0
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if not text[start:end].strip():
            continue
        if match["stop"] is not None and "\n" not in match[0]:
            before = text[max(start, match.start() - 80) : match.start()]
            if _is_abbreviation(before, text, end):
                continue
        cuts.append(end)
        start = end
    if cuts[-1] and not text[cuts[-1] :].strip():
        cuts.pop()
    return {*cuts, 0, len(text)}


def _is_abbreviation(before: str, text: str, end: int) -> bool:
    """Return whether the point between ``before`` (of this sentence) and ``end`` goes on."""
    found = _LAST_WORD.search(before)
    if found is None:
        return not before.strip()
    word = found[1].lower()
    if word.isdigit():
        return not before[: found.start()].strip() and len(word) <= 3
    if word in _BEFORE_NUMBER:
        return _NUMBER.match(text, end) is not None
    if word in _BEFORE_SMALL:
        return _SMALL.match(text, end) is not None
    return word in _BEFORE_ANY or (word != "i" and _INITIALS.fullmatch(word) is not None)
