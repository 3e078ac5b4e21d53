"""Who says what in a rendered chat: the contents of the turns, and the markup around them.

A chat template is a program; its output alone does not tell a content ``user`` from the markup
``user``. So it is run once more with a unique stand-in for every content: what is between the
stand-ins is markup, by construction. Contents that the template trims are still found. Where a
template will not have stand-ins, contents are searched in order, and one that is not found is an
error, never silently taken for markup.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from llm_interp_widgets.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_interp_widgets.text.tokens import Prompt, Token

Message: TypeAlias = Mapping[str, object]

REPLY_ROLE = "assistant"


class Render(Protocol):
    """A chat template: gives the text of messages, or None where it refuses them."""

    def __call__(self, messages: Sequence[Message], *, open_reply: bool) -> str | None:
        """Render messages, with or without the opening of the model's reply."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a rendered chat.

    Attributes:
        start: First character.
        end: One past the last character.
        role: Role of the turn it belongs to, where known.
        is_content: Whether somebody said it; else it is markup.
    """

    start: int
    end: int
    role: str | None
    is_content: bool


def chat_segments(
    messages: Sequence[Message], rendered: str, render: Render
) -> tuple[Segment, ...]:
    r"""Divide a rendered chat into contents and markup.

    Args:
        messages: What was rendered: mappings with ``role`` and ``content``, both strings.
        rendered: The messages' text, with the opening of the reply.
        render: The template.

    Returns:
        Segments that cover ``rendered`` in order. A content that the template drops has none.

    Raises:
        PromptError: A content is not found in the text.

    Example:
        >>> def render(messages, *, open_reply):
        ...     text = "".join(f"<{m['role']}>{m['content']}\n" for m in messages)
        ...     return text + "<assistant>" * open_reply
        >>> chat = [{"role": "user", "content": "user"}]
        >>> text = render(chat, open_reply=True)
        >>> [(text[s.start : s.end], s.role, s.is_content)
        ...  for s in chat_segments(chat, text, render)]  # doctest: +NORMALIZE_WHITESPACE
        [('<user>', 'user', False), ('user', 'user', True), ('\n', 'user', False),
         ('<assistant>', 'assistant', False)]
    """
    roles = [str(message["role"]) for message in messages]
    contents = [str(message["content"]) for message in messages]
    mark = _unused_mark(rendered, contents)
    probes = [{**message, "content": f"{mark}{i}{mark}"} for i, message in enumerate(messages)]
    skeleton = _parse(render(probes, open_reply=True), mark)
    places = _placed(rendered, contents, skeleton) if skeleton else None
    if skeleton is None or places is None:
        return tuple(_searched(rendered, roles, contents))
    closings = _closings(probes, roles, render, mark)
    opened = _preamble(probes, skeleton, closings, render, mark)
    return tuple(_segments(rendered, roles, places, closings, opened))


def mark_turns(prompt: Prompt, segments: Sequence[Segment]) -> Prompt:
    """Give each token the role of its turn, and make markup special.

    A token on the border of a content and markup belongs to the content if it holds any of its
    characters other than spaces. A special token stays special wherever it is written.

    Args:
        prompt: The tokens of a rendered chat.
        segments: What ``chat_segments`` made of its text.

    Returns:
        The same tokens with roles.
    """
    begins = [segment.start for segment in segments]
    tokens: list[Token] = []
    owner = segments[0]
    for token in prompt.tokens:
        if token.start < token.end:
            touched = segments[
                bisect_right(begins, token.start) - 1 : bisect_left(begins, token.end)
            ]
            owner = _owner(prompt.text, token, touched)
        is_special = token.special or not owner.is_content
        tokens.append(replace(token, role=owner.role, special=is_special))
    return replace(prompt, tokens=tuple(tokens))


def _owner(text: str, token: Token, touched: Sequence[Segment]) -> Segment:
    visible = [
        segment
        for segment in touched
        if text[max(token.start, segment.start) : min(token.end, segment.end)].strip()
    ]
    candidates = visible or touched
    return next((segment for segment in candidates if segment.is_content), candidates[0])


class _Skeleton(NamedTuple):
    """A template's output with stand-ins: the markup around them, and whose they are."""

    literals: list[str]
    order: list[int]


class _Place(NamedTuple):
    """Where the content of a message stands."""

    start: int
    end: int
    message: int


def _unused_mark(rendered: str, contents: Sequence[str]) -> str:
    everything = "\n".join([rendered, *contents])
    return next(mark for mark in (f"Qx{n}xQ" for n in count()) if mark not in everything)


def _parse(text: str | None, mark: str) -> _Skeleton | None:
    if text is None:
        return None
    parts = re.split(f"{mark}(\\d+){mark}", text)
    return _Skeleton(parts[::2], [int(number) for number in parts[1::2]])


def _placed(rendered: str, contents: Sequence[str], skeleton: _Skeleton) -> list[_Place] | None:
    """Return the places of the contents if the text has exactly the skeleton's markup."""
    head, *rest = skeleton.literals
    if not rendered.startswith(head):
        return None
    places, at = [], len(head)
    for k, (message, literal) in enumerate(zip(skeleton.order, rest, strict=True), start=1):
        said = contents[message]
        is_last = k == len(rest)
        for form in (said, said.strip(), said.rstrip(), said.lstrip()):
            end = at + len(form)
            matches = (
                rendered[at:] == form + literal
                if is_last
                else rendered.startswith(form + literal, at)
            )
            if matches:
                break
        else:
            return None
        places.append(_Place(at, end, message))
        at = end + len(literal)
    return places if places or rendered == head else None


def _searched(rendered: str, roles: Sequence[str], contents: Sequence[str]) -> Iterator[Segment]:
    at = 0
    for i, (role, said) in enumerate(zip(roles, contents, strict=True)):
        form = next((form for form in (said, said.strip()) if form in rendered[at:]), None)
        if form is None:
            raise PromptError(
                f"The chat template changes the content of message {i} ({role!r}): {said[:40]!r} "
                "is not in the text it renders, so its tokens cannot be told from markup. Render "
                "the chat yourself and give the text."
            )
        start = rendered.index(form, at)
        yield from _filled(at, start, role, is_content=False)
        at = start + len(form)
        yield from _filled(start, at, role, is_content=True)
    yield from _filled(at, len(rendered), roles[-1], is_content=False)


def _closings(
    probes: Sequence[Message], roles: Sequence[str], render: Render, mark: str
) -> dict[str, str]:
    """Return the markup that ends a turn, for each role where the template tells."""
    closings = {}
    for role in dict.fromkeys(roles):
        i = roles.index(role)
        text = render(probes[: i + 1], open_reply=False)
        _, found, closing = (text or "").rpartition(f"{mark}{i}{mark}")
        if found:
            closings[role] = closing
    return closings


def _preamble(
    probes: Sequence[Message],
    skeleton: _Skeleton,
    closings: Mapping[str, str],
    render: Render,
    mark: str,
) -> tuple[int, str | None]:
    """Return how much text the template puts before the first turn, and in whose name.

    Many templates add a system prompt of their own. A probe with a system prompt of ours shows
    what opens and closes one.
    """
    own = f"{mark}{len(probes)}{mark}"
    text = render([{"role": "system", "content": own}, *probes], open_reply=True)
    probe = _parse(text, mark)
    if probe is None or probe.order[:1] != [len(probes)] or len(probe.order) < 2:
        return 0, None
    opens_system, between = probe.literals[:2]
    head = skeleton.literals[0]
    for closing in closings.values():
        opening = between.removeprefix(closing)
        if closing and between.startswith(closing) and opening and head.endswith(opening):
            length = len(head) - len(opening)
            is_system = opens_system and head[:length].startswith(opens_system)
            return length, "system" if is_system else None
    return 0, None


def _segments(
    rendered: str,
    roles: Sequence[str],
    places: Sequence[_Place],
    closings: Mapping[str, str],
    preamble: tuple[int, str | None],
) -> Iterator[Segment]:
    at, before = preamble[0], preamble[1]
    yield from _filled(0, at, before, is_content=False)
    for k, (start, end, message) in enumerate(places):
        role = roles[message]
        if k:
            closed = _closed(rendered[at:start], before, closings)
            yield from _filled(at, at + closed, before, is_content=False)
            at += closed
        yield from _filled(at, start, role, is_content=False)
        yield from _filled(start, end, role, is_content=True)
        at, before = end, role
    closed = _closed(rendered[at:], before, closings) or len(rendered) - at
    yield from _filled(at, at + closed, before, is_content=False)
    yield from _filled(at + closed, len(rendered), REPLY_ROLE, is_content=False)


def _closed(markup: str, role: str | None, closings: Mapping[str, str]) -> int:
    closing = closings.get(role or "", "")
    return len(closing) if markup.startswith(closing) else 0


def _filled(start: int, end: int, role: str | None, *, is_content: bool) -> Iterator[Segment]:
    if start < end:
        yield Segment(start, end, role, is_content)
