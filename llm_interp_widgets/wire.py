"""The contract with the browser: every message, every field, every buffer.

What comes in: an explanation's fixed part (tokens, target, method), its state
(progress, verdict, facts) and its numbers (float32 arrays).
What goes out: plain dictionaries and byte buffers that survive Jupyter's JSON.

Guarantees:

- The TypedDicts below are the only definition. ``python -m llm_interp_widgets.wire``
  writes ``js/src/protocol.gen.ts`` from them; a test fails when the two differ.
- Numbers that can be absent travel as little-endian float32 buffers, never as JSON:
  NaN means *absent* and survives the journey. Rows are outputs, columns are inputs.
- Texts are Unicode on the wire: what is not travels as ``text.travel`` says, and arrives exact.
- A chunk's rows *replace* rows of the same number, so a replayed chunk is harmless.
- ``seq`` grows by one with every chunk of a job. A snapshot carries the ``seq`` of the
  last chunk merged into it; a client that sees a gap asks for a snapshot (``ready``).

Conversation of one widget::

    browser                                   kernel
      │  ready ─────────────────────────────▶   │
      │  ◀──────────── snapshot (a trait) ──    │
      │  ◀──────────── chunk seq=1,2,3 … ───    │   at most 30 a second
      │  ack (every 8 chunks) ──────────────▶   │   no ack: the kernel waits and merges
      │  ping (now and then) ───────────────▶   │
      │  ◀───────────────────────────── pong    │   no pong: the view says that the kernel is busy
      │  cancel ────────────────────────────▶   │
      │  ◀──────────── snapshot (final) ────    │
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args, get_origin, get_type_hints

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

PROTOCOL = 1
ACK_EVERY = 8
MAX_CHUNK_BYTES = 256 * 1024

Status = Literal["queued", "running", "done", "cancelled", "failed"]
Verdict = Literal["exact", "converged", "still moving", "did not converge", "unknown"]
Level = Literal["plain", "warn", "bad"]
Unit = Literal["logit", "log_prob", "prob", "cosine", "value", "score"]


class TokenInfo(TypedDict):
    """One piece of the text as shown. ``start``/``end`` are characters of the prompt."""

    text: str
    start: int
    end: int
    special: bool
    role: str | None
    position: int
    size: int


class Fact(TypedDict):
    """One entry of the honesty footer, e.g. ``{"label": "samples", "value": "512"}``."""

    label: str
    value: str
    level: Level


class ErrorInfo(TypedDict):
    """A failure as the reader sees it."""

    name: str
    message: str


class Subject(TypedDict):
    """What is explained; fixed for the life of a job.

    ``unit`` is that of the scores; "score" where these are no effects on the target.
    """

    prompt: str
    inputs: list[TokenInfo]
    outputs: list[TokenInfo]
    target: str
    unit: Unit
    method: str
    method_title: str
    caution: str


class JobState(TypedDict):
    """Where the job stands; ``sentences`` has one plain sentence for each output.

    ``preview`` marks scores of a cheaper stand-in method.
    """

    status: Status
    preview: bool
    verdict: Verdict
    done: int
    total: int
    evaluations: int
    seconds: float
    sentences: list[str]
    facts: list[Fact]
    error: ErrorInfo | None


class Snapshot(TypedDict):
    """The whole truth so far; a synchronised trait, so saved notebooks carry it.

    ``scores`` and ``standard_error`` hold (outputs x inputs) float32, ``totals`` holds
    (3 x outputs): base values, output values, completeness gaps. Buffers may be empty
    (nothing known yet, or the method gives no standard error).
    """

    protocol: int
    job: str
    seq: int
    subject: Subject
    state: JobState
    scores: bytes
    standard_error: bytes
    totals: bytes


class Chunk(TypedDict):
    """Kernel to browser: rows ``row … row+rows-1`` are replaced.

    Buffers, in order: scores (rows x inputs), standard_error (the same, or empty),
    totals (3 x outputs, or empty).
    """

    type: Literal["chunk"]
    job: str
    seq: int
    row: int
    rows: int
    state: JobState


class Ready(TypedDict):
    """Browser to kernel: a view (re)appeared and wants the snapshot, then chunks.

    ``binary`` is false where the host lost the buffers of the traits: from then on every buffer
    comes as base64 text in its place, and those of a message as its field ``buffers``.
    """

    type: Literal["ready"]
    binary: bool


class Ping(TypedDict):
    """Browser to kernel: does anybody hear?"""

    type: Literal["ping"]


class Rest(TypedDict):
    """Browser to kernel: what was running is over, and nobody is busy with a view of it."""

    type: Literal["rest"]


class Pong(TypedDict):
    """Kernel to browser: yes. What was said before it was heard, too."""

    type: Literal["pong"]


class Ack(TypedDict):
    """Browser to kernel: everything up to ``seq`` was drawn."""

    type: Literal["ack"]
    job: str
    seq: int


class Cancel(TypedDict):
    """Browser to kernel: stop the job, keep what it has."""

    type: Literal["cancel"]
    job: str


class NeighbourhoodData(TypedDict):
    """What a local linear model was fitted to.

    ``places`` says which inputs the features are. ``masks`` (samples x features) is packed, eight
    to a byte, the first in the highest bit; ``values`` (samples x outputs), ``proximity``
    (samples), ``intercept`` and ``fit`` (outputs; weighted R²) are float32. ``samples`` is 0 where
    the neighbourhood was not kept.
    """

    samples: int
    places: list[int]
    masks: bytes
    values: bytes
    proximity: bytes
    intercept: bytes
    fit: bytes


class CollectionData(TypedDict):
    """Explanations of many texts.

    ``offsets`` (texts + 1), ``starts`` and ``ends`` (pieces; UTF-16 units) are
    uint32; ``flags`` (outputs x pieces) uint8: 1 for special, 2 where the sign is sure; ``scores``
    (outputs x pieces), ``base_values`` and ``output_values`` (outputs x texts) float32. The name
    of the only output is empty where each text was asked about a target of its own.
    """

    protocol: int
    texts: list[str]
    outputs: list[str]
    unit: Unit
    method_title: str
    caution: str
    facts: list[Fact]
    offsets: bytes
    starts: bytes
    ends: bytes
    flags: bytes
    scores: bytes
    base_values: bytes
    output_values: bytes


class KeptRule(TypedDict):
    """What decides the weights of some layers, besides scores.

    ``data`` is deflated: uint32 ``first`` and ``stop`` (queries): a query sees keys from the one up
    to the other; float32 biases (``biases``, queries + keys - 1), of one or all heads, at key -
    query + queries - 1; float32 sinks (heads); packed bits (queries, keys): what is seen in
    between. The last three only where there are any.
    """

    softcap: float | None
    biases: int
    sinks: bool
    seen: bool
    data: bytes


class KeptPart(TypedDict):
    """Query heads of a layer that share a key head, deflated.

    ``data`` of a table: weights of each head's cells, first all high bytes, then all low ones. Of
    scores: float32 sigma (rank), uint32 numbers of gaps and of steps of each head in turn, uint8
    wide (rank); for each dimension int8 q (head, query), int8 k (key), or, if wide, int16: all low
    bytes, then all high ones; each head's gaps; each head's steps.
    """

    layer: int
    head: int
    heads: int
    rank: int
    data: bytes


class KeptHeads(TypedDict):
    """Heads of a stack as an exported page keeps them.

    A query's cells are the keys it sees, and one for its sink; cells are numbered query by query.
    Tables hold weights in steps of 1 / ``levels``. Scores are the sum of sigma · q · k; where the
    weight they give is off, steps of 1 / ``levels`` (modulo 256) are added, at cells whose
    distances, less 1, are ``gaps`` (255: and more). The other cells share what is left of the row.
    ``rule_of`` (layers) says which rule is whose.
    """

    encoding: Literal["tables", "scores"]
    layers: int
    heads: int
    queries: int
    keys: int
    levels: int
    rules: list[KeptRule]
    rule_of: list[int]
    parts: list[KeptPart]
    error_max: float
    error_mean: float
    rows_checked: int
    left_out: str


class Alternatives(TypedDict):
    """What a model nearly wrote: for each output, its likeliest tokens and how likely they were.

    ``log_probs`` holds (outputs x candidates) float32.
    """

    tokens: list[list[str]]
    log_probs: bytes


class AskContrast(TypedDict):
    """Browser to kernel: explain why this output and not that candidate."""

    type: Literal["contrast"]
    output: int
    alternative: int


class AttentionText(TypedDict):
    """Tokens that attend, or that are attended to.

    ``special`` (tokens) is uint8. ``pieces`` names ways to take tokens together, and says where
    each piece begins: uint32 positions, the first one 0.
    """

    tokens: list[str]
    special: bytes
    pieces: dict[str, bytes]
    labels: dict[str, list[str]]


class AttentionStack(TypedDict):
    """Heads that attend from one text to another; fixed for the life of a view.

    ``queries`` and ``keys`` say which texts. ``causal``: no query sees a later key. ``can`` names
    what can be asked for besides weights, ``cannot`` why not, by the same names.
    """

    name: str
    title: str
    layers: int
    heads: int
    queries: int
    keys: int
    causal: bool
    target: str
    can: list[str]
    cannot: dict[str, str]
    facts: list[Fact]


class AttentionSubject(TypedDict):
    """What an attention browser shows: every stack of a pass, or of two."""

    protocol: int
    title: str
    caution: str
    texts: list[AttentionText]
    stacks: list[AttentionStack]


class AttentionOverview(TypedDict):
    """All heads of a stack as pictures, as far as they are drawn; a synchronised trait.

    ``pictures`` is deflated uint8 (layer, head, row, col), a byte being 255 · weight^(1/4);
    ``stages`` (layer) uint8: 0 for not yet, 1 for sampled, 2 for exact. ``scores`` is float32
    (score, layer, head) in the order of ``names``; NaN for what is not known.
    """

    rows: int
    cols: int
    stages: bytes
    pictures: bytes
    names: list[str]
    scores: bytes
    status: Status


class HeadsDrawn(TypedDict):
    """Kernel to browser: pictures of some layers, deflated, as in ``AttentionOverview``."""

    type: Literal["drawn"]
    stack: int
    layer: int
    layers: int
    rows: int
    cols: int
    stage: int


class HeadsScored(TypedDict):
    """Kernel to browser: what tells heads apart, as in ``AttentionOverview``."""

    type: Literal["scored"]
    stack: int
    names: list[str]


class Want(TypedDict):
    """One thing that a view asks of the heads.

    ``head`` is -1 for heads taken together as ``how`` says; ``layer`` is -1 for all layers.
    ``what``: ``"grid"`` (cells with edges ``rows`` and ``cols``, a byte each), ``"row"`` and
    ``"column"`` (weights of query ``a``, of key ``b``), ``"sums"``, ``"top"`` (the ``a`` largest),
    ``"split"`` and ``"parts"`` (the score of query ``a`` and key ``b``), ``"effect"``.
    """

    what: str
    stack: int
    layer: int
    head: int
    how: str
    rows: list[int]
    cols: list[int]
    a: int
    b: int


class AskHeads(TypedDict):
    """Browser to kernel: everything wanted in a place of the view; replaces what was before."""

    type: Literal["ask"]
    view: str
    slot: str
    id: int
    wants: list[Want]


class HeadsAnswer(TypedDict):
    """Kernel to browser: the answer to one want, as buffers and, for words, as ``said``."""

    type: Literal["answer"]
    view: str
    id: int
    want: int
    error: ErrorInfo | None
    said: dict[str, str]


class AskPart(TypedDict):
    """Browser to kernel: a part of the view is needed, by the name of its bundle."""

    type: Literal["part"]
    name: str


class PartSource(TypedDict):
    """Kernel to browser: a part's source text, as the only buffer."""

    type: Literal["part"]
    name: str


def pack(values: npt.ArrayLike | None) -> bytes:
    """Encode numbers as little-endian float32 bytes; ``None`` becomes no bytes.

    Args:
        values: Any array; NaN stands for an absent number.
    """
    if values is None:
        return b""
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def pack_rows(rows: npt.NDArray[np.float32] | None, special: npt.NDArray[np.bool_]) -> bytes:
    """Encode rows of scores or errors; what is never switched off is absent, not zero.

    Args:
        rows: (rows, inputs), or ``None``.
        special: (inputs,) True for special tokens and chat markup. A gradient method scores
            them too, so only their zeros become NaN.
    """
    return pack(None if rows is None else np.where(special & (rows == 0), np.nan, rows))


def pack_weights(weights: npt.NDArray[np.float32]) -> bytes:
    """Encode weights of 0 … 1, a byte each: 255 · weight^(1/4), which tells small ones apart.

    Off by at most 0.8 % of the whole, and by at most 0.005 % at a weight of 0.001.
    """
    codes: npt.NDArray[np.uint8] = np.rint(255 * np.clip(weights, 0, 1) ** 0.25).astype(np.uint8)
    return codes.tobytes()


def unpack(buffer: bytes | memoryview, shape: Sequence[int]) -> npt.NDArray[np.float32] | None:
    """Decode what ``pack`` made; no bytes become ``None``.

    Raises:
        ValueError: The buffer does not hold as many numbers as ``shape`` asks for.
    """
    if not len(buffer):
        return None
    return np.frombuffer(buffer, dtype="<f4").reshape(tuple(shape)).astype(np.float32)


# ── TypeScript ────────────────────────────────────────────────────────────────

_MESSAGES: tuple[type, ...] = (
    TokenInfo, Fact, ErrorInfo, Subject, JobState, Snapshot, Chunk, Ready, Ping, Rest, Pong, Ack,
    Cancel, Alternatives, AskContrast, NeighbourhoodData, CollectionData, KeptRule, KeptPart,
    KeptHeads, AttentionText, AttentionStack, AttentionSubject, AttentionOverview,
    HeadsDrawn, HeadsScored, Want, AskHeads, HeadsAnswer, AskPart, PartSource,
)  # fmt: skip
_ALIASES: dict[str, Any] = {"Status": Status, "Verdict": Verdict, "Level": Level, "Unit": Unit}
_SCALARS: dict[Any, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    bytes: "DataView",
    type(None): "null",
}


def _typescript_type(hint: Any) -> str:  # noqa: ANN401 - a type hint has no narrower type
    for name, alias in _ALIASES.items():
        if hint == alias:
            return name
    if hint in _SCALARS:
        return _SCALARS[hint]
    if get_origin(hint) is Literal:
        return " | ".join(f'"{value}"' for value in get_args(hint))
    parts = get_args(hint)
    if get_origin(hint) in (list, dict):
        of = _typescript_type(parts[-1])
        return f"{of}[]" if get_origin(hint) is list else f"Record<string, {of}>"
    return " | ".join(_typescript_type(part) for part in parts) or str(hint.__name__)


def typescript() -> str:
    """Return the TypeScript twin of this module's messages."""
    lines = [
        "// Generated from llm_interp_widgets/wire.py by `make protocol`. Do not edit.",
        "",
        f"export const PROTOCOL = {PROTOCOL};",
        f"export const ACK_EVERY = {ACK_EVERY};",
        "",
    ]
    for name, alias in _ALIASES.items():
        values = " | ".join(f'"{value}"' for value in get_args(alias))
        lines += [f"export type {name} = {values};"]
    for message in _MESSAGES:
        summary = (message.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"/** {summary} */", f"export interface {message.__name__} {{"]
        for field, hint in get_type_hints(message).items():
            lines += [f"  {field}: {_typescript_type(hint)};"]
        lines += ["}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(typescript(), encoding="utf-8")
