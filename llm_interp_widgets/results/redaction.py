"""Redaction: what of a text may be seen, decided before it is shown, saved or exported.

What comes in: what to cover, and a result or what a view is about. What goes out: the same with
every covered character replaced by a block, one for one.

Guarantees: a piece's text stays what the prompt has at its span, so nothing moves; a piece of which
a character is covered has no token id any more; what is covered in the prompt is covered wherever
else it is said, in upper or lower case: in outputs, targets, notes, parameters and sentences. So is
the beginning of it where an answer is cut off. Numbers stay. What is asked for and found nowhere is
an error, as silence would leave a secret in; no error says what is covered.

It hides characters, not their number, nor what the numbers say to someone who has the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from llm_interp_widgets.errors import (
    CancelledJobError,
    InterpError,
    JobError,
    ParameterError,
)
from llm_interp_widgets.results.describe import quoted

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

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
_QUOTED = re.compile("'.*'|\".*\"|“.*?”", re.DOTALL)
_BEGUN = 2  # letters by which a secret that is cut off may be known
_KEY = 8  # letters by which words are found in a text


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

    def prompt(self, text: str, then: str = "") -> str:
        """Return a prompt covered; what is covered there is covered elsewhere from now on.

        Args:
            text: The prompt.
            then: What is written after it: a secret may begin here and end there.
        """
        if self._everything:
            self._words.update(word.casefold() for word in _WORD.findall(text))
            return _blocked(text, (match.span() for match in _VISIBLE.finditer(text)))
        spans = list(self._asked_in(text))
        for start, end in spans:
            self._words.update({text[start:end], text[start:end].strip()} - {""})
        across = [one for one in self._asked_in(text + then) if one[0] < len(text)] if then else []
        return _blocked(text, [*spans, *across, *self._known_in(text, apart=True)])

    def raw(self, prompt: object) -> None:
        """Take note of what is covered in a prompt as a user gives it, of whatever kind."""
        if isinstance(prompt, str):
            self.prompt(prompt)
        elif isinstance(prompt, Mapping):
            self.raw(list(prompt.values()))
        elif isinstance(prompt, list | tuple):
            for one in prompt:
                self.raw(one)

    def tokens(
        self,
        tokens: Sequence[Token],
        *,
        of: str = "",
        answer: bool = False,
        after: str = "",
        then: str = "",
        told: str = "",
    ) -> tuple[Token, ...]:
        """Return tokens whose texts are covered: what they say in a row counts, and their place.

        Args:
            tokens: In order.
            of: The prompt that they are pieces of; they may leave out parts of it, and go on
                after it.
            answer: They are no part of the prompt: covered is what the prompt says, too.
            after: What stands before them: a secret may begin there.
            then: What stands after them: a secret may end there.
            told: What else is said of them, and may be longer than they are: a secret that is
                whole there may be cut off here.
        """
        shown = [i for i, token in enumerate(tokens) if not token.added]
        starts = [0]
        for i in shown:
            starts.append(starts[-1] + len(tokens[i].text))
        whole, around = "".join(tokens[i].text for i in shown), self.prompt(of, then)
        covered, own = "", 0
        if not answer:
            own = _until(tokens, shown, starts, of) if of else len(whole)
            covered = self.prompt(whole, then)[:own]
        if own < len(whole):
            rest = {at - own for at in starts}
            covered += self._answer(whole[own:], after + whole[:own], rest, told)
        made, touched = list(tokens), False
        for at, i in zip(starts, shown, strict=False):
            token = tokens[i]
            text = covered[at : at + len(token.text)]
            if of[token.start : token.end] == token.text:
                text = _either(text, around[token.start : token.end])
            # Bytes of one character stand with the first of its tokens; the others are empty.
            touched = touched if not token.text else text != token.text
            if touched:
                made[i] = replace(token, text=text, id=-1)
        for i in set(range(len(tokens))) - set(shown):
            if (text := self.text(tokens[i].text)) != tokens[i].text:
                made[i] = replace(tokens[i], text=text, id=-1)
        self._quotes |= {
            quoted(old.text): quoted(new.text)
            for old, new in zip(tokens, made, strict=True)
            if old.text != new.text
        }
        return tuple(map(self._role, made))

    def _role(self, token: Token) -> Token:
        return token if token.role is None else replace(token, role=self.name(token.role))

    def _answer(self, text: str, after: str, starts: Container[int], told: str) -> str:
        """Return what was written, covered, with a secret that its beginning or end cuts off."""
        covered = self.text(text)
        if self._everything:
            return covered
        across = [
            (max(0, start - len(after)), end - len(after))
            for start, end in self._asked_in(after + text)
            if end > len(after)
        ]
        said = [told[start:end] for start, end in self._asked_in(told)]
        begun = min(
            self._begun(text, starts, said, 1), self._begun(text, starts, self._whole(), _BEGUN)
        )
        return _blocked(covered, [*across, (begun, len(text))])

    def _begun(self, text: str, starts: Container[int], secrets: Iterable[str], least: int) -> int:
        """Return where the beginning of a secret stands with which a text ends."""
        lower, known = _lower(text), [_lower(one).strip() for one in secrets]
        longest = max(map(len, known), default=0)
        for at in range(max(0, len(text) - longest - 1), len(text)):
            piece = lower[at:].lstrip()
            edge = at in starts or not lower[at - 1].isalnum()
            if edge and len(piece) >= least and any(_begins(one, piece) for one in known):
                return at
        return len(text)

    def _whole(self) -> list[str]:
        """Return secrets that are known word by word."""
        return [*self._words, *(one for one in self._asked if isinstance(one, str))]

    def over(self, told: T) -> T:
        """Return a result, or what a view is about, covered; says so in ``hidden``."""
        # Written text goes on where the prompt ends; a label stands there, but does not.
        goes_on = all(one.end > one.start for one in told.outputs)
        written = "".join(one.text for one in told.outputs) if goes_on else ""
        prompt = self.prompt(told.prompt, written)
        changes: dict[str, Any] = {
            "prompt": prompt,
            "inputs": self.tokens(told.inputs, of=told.prompt, then=written),
            "outputs": self.tokens(
                told.outputs, answer=True, after=told.prompt if goes_on else "", told=told.target
            ),
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
        for text in kept.texts:  # what one of them says, others may say
            self.prompt(text)
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
            [b.text if one == a.text else self._answer(one, "", {0}, "") for one in row]
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
            if (covered := self.error(error)) is error:
                raise
            raise covered from None

    def error(self, error: BaseException) -> BaseException:
        """Return an error that does not say what is covered: itself, if it never did."""
        words = self.message(str(error))
        if words == str(error):
            return error
        own = isinstance(error, InterpError)
        return type(error)(words) if own else JobError(f"{type(error).__name__}: {words}")

    def message(self, words: str) -> str:
        """Return an error's words, covered: it may quote a text in Python's way, or cut it off."""
        if self._everything:  # what is quoted is the text; the rest stays readable
            told = _QUOTED.sub(lambda found: self.text(found[0]), words)
            own = (m for m in _WORD.finditer(told) if m.group().casefold() in self._words)
            return _blocked(told, (m.span() for m in own if len(m.group()) >= _TELLING))
        covered = self.text(words)
        for secret in self._whole():
            spelled = repr(secret)[1:-1]
            for one in (spelled, *(spelled[:end] for end in range(len(spelled) - 1, _TELLING, -1))):
                covered = covered.replace(one, BLOCK * len(one))
        return covered

    def check(self) -> None:
        """Raise ``ParameterError`` if something that was asked for was found nowhere."""
        lost = [i for i in range(len(self._asked)) if i not in self._found]
        if lost:
            names = ", ".join(_numbered(i, self._asked) for i in lost)
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

    def _known_in(self, text: str, *, apart: bool = False) -> Iterator[Span]:
        """Find what was covered in a prompt: texts anywhere; of a whole prompt, its words.

        Args:
            text: Where.
            apart: Only what is no part of a longer word.
        """
        if not self._everything:
            yield from self._occurrences(_lower(text), apart=apart)
            return
        every = "\n".join(self._words)
        known: dict[str, list[Span]] = {}
        for match in _WORD.finditer(text):
            own, first = match.group().casefold(), match.start()
            if own not in known:
                known[own] = [(0, len(own))] if own in every else list(self._within(own))
            yield from ((first + start, first + end) for start, end in known[own])

    def _within(self, word: str) -> Iterator[Span]:
        """Find words of the prompt in a longer word."""
        for start in range(len(word) - _TELLING + 1):
            for end in range(start + _TELLING, len(word) + 1):
                if word[start:end] in self._words:
                    yield start, end

    def _occurrences(self, lower: str, *, apart: bool) -> Iterator[Span]:
        """Find words, of which there may be thousands, in a text in lower case."""
        known: dict[str, list[str]] = {}
        for word in {_lower(word) for word in self._words}:
            known.setdefault(word[:_KEY], []).append(word)
        sizes = sorted({len(key) for key in known})
        for at in range(len(lower)) if known else ():
            for size in sizes:
                for word in known.get(lower[at : at + size], ()):
                    end = at + len(word)
                    within = apart and (_joined(lower, at) or _joined(lower, end))
                    if not within and lower.startswith(word, at):
                        yield at, end


@contextmanager
def covering(what: What | None, *prompts: object) -> Iterator[Cover | None]:
    """Give a cover of these prompts; no error that is raised within says what it covers.

    Args:
        what: To cover; nothing where it is ``None``, and then there is no cover.
        *prompts: Texts as a user gives them.

    Raises:
        ParameterError: It is nothing that can be covered.
    """
    if what is None:
        yield None
        return
    cover = Cover(what)
    for prompt in prompts:
        cover.raw(prompt)
    with cover.errors():
        yield cover


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


def _numbered(place: int, asked: Sequence[str | re.Pattern[str]]) -> str:
    """Say which one is meant, but not what it says: it is to be seen nowhere."""
    one = asked[place]
    kind = f"a text of {len(one)} characters" if isinstance(one, str) else "a pattern"
    return kind if len(asked) == 1 else f"number {place + 1} of {len(asked)}, {kind},"


def _lower(text: str) -> str:
    """Return a text in lower case, every character in its place."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := one.lower()) == 1 else one for one in text)


def _joined(text: str, at: int) -> bool:
    """Whether a word goes on across a place."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


def _begins(whole: str, piece: str) -> bool:
    return len(piece) < len(whole) and whole.startswith(piece)


def _until(tokens: Sequence[Token], shown: Sequence[int], starts: Sequence[int], of: str) -> int:
    """Return where in what tokens say the prompt ends that they are pieces of."""
    until = 0
    for at, i in zip(starts, shown, strict=False):
        token = tokens[i]
        if token.end > token.start and of[token.start : token.end] == token.text:
            until = at + len(token.text)
    return until


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
