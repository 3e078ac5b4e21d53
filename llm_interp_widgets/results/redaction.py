"""Redaction: what of a text may be seen, decided before it is shown, saved or exported.

What comes in: what to cover, and a result or what a view is about. What goes out: the same with
every covered character replaced by a block, one for one.

Guarantees: a piece's text stays what the prompt has at its span, so nothing moves; a piece of which
a character is covered has no token id any more; what is covered in the prompt is covered wherever
else it is said: in outputs, targets, notes, parameters and sentences. Numbers stay. What is asked
for and found nowhere is an error, as silence would leave a secret in.

It hides characters, not their number, nor what the numbers say to someone who has the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from llm_interp_widgets.errors import CancelledJobError, JobError, ParameterError
from llm_interp_widgets.results.describe import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_interp_widgets.results.collection import Collection
    from llm_interp_widgets.results.describe import About, Level
    from llm_interp_widgets.results.result import Result
    from llm_interp_widgets.text.tokens import Token

What: TypeAlias = "Literal[True] | str | re.Pattern[str] | Sequence[str | re.Pattern[str]]"
Span: TypeAlias = "tuple[int, int]"
BLOCK = "█"
_WORD = re.compile(r"\w+")
_VISIBLE = re.compile(r"\S+")
_TELLING = 4  # letters of a word of the prompt that is covered within longer words, too


T = TypeVar("T", bound="About | Result")


class Cover:
    """What is covered. One cover may be laid over several results; then ``check`` it.

    Args:
        what: ``True`` for every character of a prompt but blanks; a text; a compiled pattern; or a
            sequence of texts and patterns.

    Raises:
        ParameterError: It is something else, or an empty text.

    Example:
        >>> Cover("key 42").text("My key 42!")
        'My ███ ██!'
    """

    def __init__(self, what: What) -> None:
        self._everything = what is True
        listed = isinstance(what, Sequence) and not isinstance(what, str | bytes)
        given: Sequence[Any] = what if listed else [what]  # type: ignore[assignment]
        self._asked = [] if self._everything else [_checked(one) for one in given]
        if not self._everything and not self._asked:
            raise ParameterError(f"redact={what!r} names nothing. {_ACCEPTED}")
        self._found: set[int] = set()
        self._words: set[str] = set()  # that were covered in a prompt
        self._quotes: dict[str, str] = {}  # of pieces, as sentences quote them

    def text(self, text: str) -> str:
        """Return any text with what was asked for, and what was covered so far, covered."""
        for old, new in self._quotes.items():
            text = text.replace(old, new)
        return _blocked(text, [*self._asked_in(text), *self._known_in(text)])

    def name(self, name: str) -> str:
        """Return a model's name, covered: ``True`` is about the text, and leaves it."""
        return name if self._everything else self.text(name)

    def prompt(self, text: str) -> str:
        """Return a prompt covered; what is covered there is covered elsewhere from now on."""
        if self._everything:
            self._words.update(word.casefold() for word in _WORD.findall(text))
            return _blocked(text, (match.span() for match in _VISIBLE.finditer(text)))
        spans = list(self._asked_in(text))
        for start, end in spans:
            self._words.update({text[start:end], text[start:end].strip()} - {""})
        return _blocked(text, spans)

    def tokens(
        self, tokens: Sequence[Token], *, of: str = "", answer: bool = False
    ) -> tuple[Token, ...]:
        """Return tokens whose texts are covered: what they say in a row counts, and their place.

        Args:
            tokens: In order.
            of: The prompt that they are pieces of; they may leave out parts of it.
            answer: They are no part of the prompt: covered is what the prompt says, too.
        """
        shown = [i for i, token in enumerate(tokens) if not token.added]
        whole = "".join(tokens[i].text for i in shown)
        covered, around = self.text(whole) if answer else self.prompt(whole), self.prompt(of)
        made, at, touched = list(tokens), 0, False
        for i in shown:
            token = tokens[i]
            text = covered[at : at + len(token.text)]
            at += len(token.text)
            if of[token.start : token.end] == token.text:
                text = _either(text, around[token.start : token.end])
            # Bytes of one character stand with the first of its tokens; the others are empty.
            touched = touched if not token.text else text != token.text
            if touched:
                made[i] = replace(token, text=text, id=-1)
        for i in set(range(len(tokens))) - set(shown):
            if (text := self.text(tokens[i].text)) != tokens[i].text:
                made[i] = replace(tokens[i], text=text, id=-1)
        for old, new in zip(tokens, made, strict=True):
            if old.text != new.text:
                self._quotes[quoted(old.text)] = quoted(new.text)
        return tuple(made)

    def over(self, told: T) -> T:
        """Return a result, or what a view is about, covered; says so in ``hidden``."""
        prompt = self.prompt(told.prompt)
        changes: dict[str, Any] = {
            "prompt": prompt,
            "inputs": self.tokens(told.inputs, of=told.prompt),
            "outputs": self.tokens(told.outputs, answer=True),
            "params": self.plain(told.params),
            "hidden": hidden(told.prompt, prompt, was=told.hidden),
            **{name: self.text(getattr(told, name)) for name in ("target", "off", "note")},
        }
        changes["model"] = replace(told.model, name=self.name(told.model.name))
        if hasattr(told, "without"):
            changes["without"] = self.plain(told.without)
        return replace(told, **changes)

    def over_texts(self, kept: Collection) -> Collection:
        """Return explanations of many texts, covered."""
        texts = tuple(self.prompt(text) for text in kept.texts)
        facts = [fact for fact in self.plain(kept.facts) if fact[0] != "redacted"]
        count = sum(old != new for old, new in zip(kept.texts, texts, strict=True))
        told: tuple[str, str, Level] = (
            "redacted",
            f"in {count:,} of {len(texts):,} texts",
            "plain",
        )
        return replace(
            kept,
            about=self.over(kept.about),
            texts=texts,
            outputs=self.plain(kept.outputs),
            facts=(*facts, told),
        )

    def choices(
        self, rows: Sequence[Sequence[str]], old: Sequence[Token], new: Sequence[Token]
    ) -> list[list[str]]:
        """Return what a model nearly wrote, covered; what it did write as in its outputs."""
        return [
            [b.text if one == a.text else self.text(one) for one in row]
            for row, a, b in zip(rows, old, new, strict=True)
        ]

    def words(self, words: Sequence[Any]) -> list[Any]:
        """Return words that are looked up in any case, covered; numbers stay."""
        known = {word.casefold() for word in self._words}
        return [
            BLOCK * len(one)
            if isinstance(one, str) and one.strip().casefold() in known
            else self.plain(one)
            for one in words
        ]

    def plain(self, value: Any) -> Any:  # noqa: ANN401 - any plain value
        """Return lists, names and values of texts, covered."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return type(value)(self.plain(one) for one in value)
        if isinstance(value, Mapping):
            return {name: self.plain(one) for name, one in value.items()}
        return value

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise what is raised within as it is, unless it says what is covered."""
        try:
            yield
        except CancelledJobError:  # says nothing of the text, and is no failure
            raise
        except Exception as error:
            if (words := self.text(str(error))) == str(error):
                raise
            raise JobError(f"{type(error).__name__}: {words}") from None

    def check(self) -> None:
        """Raise ``ParameterError`` if something that was asked for was found nowhere."""
        lost = [one for i, one in enumerate(self._asked) if i not in self._found]
        if lost:
            names = ", ".join(repr(one if isinstance(one, str) else one.pattern) for one in lost)
            raise ParameterError(
                f"redact: {names} is found nowhere in the text, so nothing would be covered. Write "
                "it as it stands there, upper and lower case, or leave it out."
            )
        if self._everything and not self._words:
            raise ParameterError("redact=True: there is no text to cover.")

    def _asked_in(self, text: str) -> Iterator[Span]:
        for number, one in enumerate(self._asked):
            for span in _places(one, text):
                self._found.add(number)
                yield span

    def _known_in(self, text: str) -> Iterator[Span]:
        """Find what was covered in a prompt: texts anywhere; of a whole prompt, its words."""
        if not self._everything:
            for word in self._words:
                yield from _places(word, text)
            return
        for match in _WORD.finditer(text):
            own, first = match.group().casefold(), match.start()
            if any(own in word for word in self._words):
                yield match.span()
            for word in self._words:
                if len(word) >= _TELLING and (at := own.find(word)) >= 0:
                    yield first + at, first + at + len(word)


def over(told: T, what: What) -> T:
    """Return a result, or what a view is about, covered.

    Raises:
        ParameterError: ``what`` is nothing that can be covered, or found nowhere.
    """
    cover = Cover(what)
    covered = cover.over(told)
    cover.check()
    return covered


def hidden(old: str, new: str, was: str = "") -> str:
    """Return how much of a prompt is covered, in words."""
    count = sum(b == BLOCK and (a != BLOCK or bool(was)) for a, b in zip(old, new, strict=True))
    if not count and old:
        return "not the text, but what is said of it"
    return f"{count:,} of {len(old):,} characters"


_ACCEPTED = (
    "Pass True for the whole prompt, a text, a compiled pattern (re.compile(…)), or a list of "
    "texts and patterns."
)


def _checked(one: object) -> str | re.Pattern[str]:
    if isinstance(one, str) and one.strip():
        return one
    if isinstance(one, re.Pattern) and isinstance(one.pattern, str):
        return one
    raise ParameterError(f"redact cannot cover {one!r:.60}. {_ACCEPTED}")


def _places(wanted: str | re.Pattern[str], text: str) -> Iterator[Span]:
    """Find a pattern, or every occurrence of a text, those that overlap too."""
    if isinstance(wanted, re.Pattern):
        yield from (match.span() for match in wanted.finditer(text) if match.group())
        return
    at = text.find(wanted)
    while at >= 0:
        yield at, at + len(wanted)
        at = text.find(wanted, at + 1)


def _either(one: str, other: str) -> str:
    """Return a text with the blocks of both."""
    return "".join(BLOCK if BLOCK in pair else pair[0] for pair in zip(one, other, strict=True))


def _blocked(text: str, spans: Iterable[Span]) -> str:
    """Return a text with blocks for what is not blank within spans."""
    letters = list(text)
    for start, end in spans:
        for i in range(start, min(end, len(letters))):
            letters[i] = letters[i] if letters[i].isspace() else BLOCK
    return "".join(letters)
