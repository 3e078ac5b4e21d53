"""Prefix sharing: token rows that begin alike are read once.

What comes in: token rows of any lengths, each with a readout. What goes out: the logits
that the readouts ask for, as if every row had been read alone.

Sorted, the rows form a tree: a row owns only the tokens after what it shares with the row
before it. The owned tokens of a batch travel through the model packed as *one* sequence, so
that everything but attention costs what they cost; a registered attention function lets
each token see its own ancestors and nothing else. Keys and values of a batch's last row are
kept, so that the next batch, and the next question, go on from there.

Guarantees: nothing is padded; what a decoder sees of a row is what it would see of the row
alone, to rounding; a model with which this cannot be done (``shares_prefixes``) is found out
by comparing both ways once, before any result depends on it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from llm_interp_widgets.errors import CancelledJobError
from llm_interp_widgets.models.language_model import Inputs, Readout
from llm_interp_widgets.models.memory import out_of_memory
from llm_interp_widgets.models.visits import attention, usual_attention

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float, Int
    from numpy import ndarray
    from torch import Tensor
    from transformers import PreTrainedModel

    from llm_interp_widgets.models.language_model import LanguageModel

NAME = "llm_interp_widgets_tree"
_KINDS = {"full_attention", "sliding_attention"}
_MOVING_ROTARY = ("dynamic", "longrope")  # angles that depend on the longest row of a batch
_BUCKET = 1.4  # rows that own up to so many times as many tokens are attended to together


@dataclass(slots=True)
class Entry:
    """One row with one readout.

    Attributes:
        row: Number of the row it belongs to.
        number: Number of the readout.
        ids: The prompt's tokens, as far as they are on.
        readout: What to read.
        segments: Which text of a pair each token belongs to.
        slot: Where a masked model is read.
        path: The tokens and what is teacher-forced after them.
    """

    row: int
    number: int
    ids: Int[ndarray, " token"]
    readout: Readout
    segments: Int[ndarray, " token"] | None = None
    slot: int | None = None
    path: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.path = (*self.ids.tolist(), *self.readout.suffix)

    @property
    def keep(self) -> int:
        """At how many last tokens logits are read."""
        return self.readout.keep


# ── planning ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some consecutive rows of the sorted entries; index 0 … carried-1 are kept keys.

    Attributes:
        tokens: Owned tokens of all rows, one after the other.
        positions: Of each of them, in its row.
        nodes: (row, position) where each row's keys are; 0 behind a row's end.
        lengths: Of the rows.
        starts: First owned position of each row.
        carried: How many kept keys the first row builds on.
    """

    tokens: Int[ndarray, " node"]
    positions: Int[ndarray, " node"]
    nodes: Int[ndarray, "row position"]
    lengths: Int[ndarray, " row"]
    starts: Int[ndarray, " row"]
    carried: int

    @property
    def owned(self) -> Int[ndarray, " row"]:
        """How many tokens each row adds."""
        owned: ndarray = self.lengths - self.starts
        return owned

    def reads(self, row: int, keep: int) -> Int[ndarray, " keep"]:
        """Return where the last ``keep`` tokens of a row are among ``tokens``."""
        end = int(self.owned[: row + 1].sum())
        return np.arange(end - keep, end)


def _shared(entries: Sequence[Entry], before: Sequence[int]) -> Int[ndarray, " row"]:
    """Return how many tokens each entry shares with the one before it, sorted as they are.

    What is read is always owned: logits are not kept, only keys and values are.
    """
    rows = [before, *(entry.path for entry in entries)]
    padded = np.full((len(rows), max(map(len, rows))), -1)
    for at, row in enumerate(rows):
        padded[at, : len(row)] = row
    same = (padded[1:] == padded[:-1]) & (padded[1:] >= 0)
    shared: ndarray = np.logical_and.accumulate(same, axis=1).sum(axis=1)
    most: ndarray = np.array([len(entry.path) - entry.keep for entry in entries])
    fewest: ndarray = np.minimum(shared, most)
    return fewest


def _batch(entries: Sequence[Entry], shared: Int[ndarray, " row"]) -> _Batch:
    """Lay out consecutive entries, the first of which builds on the kept row."""
    lengths = np.array([len(entry.path) for entry in entries])
    position = np.arange(lengths.max())
    inside = position < lengths[:, None]
    own = inside & (position >= shared[:, None])
    carried = int(shared[0])
    number = np.cumsum(own).reshape(own.shape) - 1 + carried
    nodes = np.where(own, number, 0)
    nodes[0, :carried] = position[:carried]
    nodes = np.maximum.accumulate(nodes, axis=0)  # a shared token is the latest one above
    ids = np.zeros(own.shape, dtype=np.int64)
    for row, entry in enumerate(entries):
        ids[row, : len(entry.path)] = entry.path
    return _Batch(
        tokens=ids[own],
        positions=np.broadcast_to(position, own.shape)[own],
        nodes=np.where(inside, nodes, 0),
        lengths=lengths,
        starts=shared,
        carried=carried,
    )


# ── attention over the tree ───────────────────────────────────────────────────


@dataclass(slots=True)
class _Group:
    """Rows that own about as many tokens, attended to in one call.

    Attributes:
        queries: (row, query) which new token; the last one is repeated to fill a row up.
        at: (row, query) its position.
        keys: (row, key) where the keys are.
        real: Which of the flattened queries are not fillings.
        target: Which new token each of those is.
        masks: By window, made when first asked for, for all layers alike.
    """

    queries: Int[Tensor, "row query"]
    at: Int[Tensor, "row query"]
    keys: Int[Tensor, "row key"]
    real: Int[Tensor, " own"]
    target: Int[Tensor, " own"]
    masks: dict[int | None, Float[Tensor, "row 1 query key"]] = field(default_factory=dict)

    def mask(
        self, window: int | None, heads: int, dtype: torch.dtype
    ) -> Float[Tensor, "row 1 query key"]:
        """Return 0 where a query sees (its ancestors and itself, the nearest ``window``).

        The queries of so many heads stand one below the other.
        """
        if window not in self.masks:
            key = torch.arange(self.keys.shape[1], device=self.keys.device)
            seen = key <= self.at[..., None]
            if window is not None:
                seen &= key > self.at[..., None] - window
            hidden = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
            hidden.masked_fill_(~seen, -torch.inf)
            self.masks[window] = hidden.repeat(1, heads, 1)[:, None]
        return self.masks[window]


def _groups(batch: _Batch, device: torch.device) -> list[_Group]:
    owned = batch.owned
    first = np.cumsum(owned) - owned
    order = np.argsort(-owned, kind="stable")
    groups = []
    while len(order):
        most = owned[order[0]]
        rows = order[owned[order] * _BUCKET >= most]
        order = order[len(rows) :]
        step = np.minimum(np.arange(most), owned[rows, None] - 1)
        queries = first[rows, None] + step
        real = np.flatnonzero(np.arange(most) < owned[rows, None])
        keys = batch.nodes[rows, : batch.lengths[rows].max()]
        groups.append(
            _Group(
                queries=_to(queries, device),
                at=_to(batch.starts[rows, None] + step, device),
                keys=_to(keys, device),
                real=_to(real, device),
                target=_to(queries.ravel()[real], device),
            )
        )
    return groups


@dataclass(slots=True)
class _Walk:
    """One pass of a batch through the layers.

    Attributes:
        groups: How its rows are attended to.
        carried: How many kept keys are in front.
        last: Where the last row's keys are: what the next batch may build on.
        before: Kept keys and values, a pair a layer.
        after: The same for the last row, filled layer by layer.
        windowed: Whether every layer said how far it sees.
    """

    groups: list[_Group]
    carried: int
    last: Int[Tensor, " key"]
    before: list[tuple[Tensor, Tensor]]
    after: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    windowed: bool = True


class _Here(threading.local):
    """The pass on this thread; others use the same model in their own way."""

    walk: _Walk | None = None


_here = _Here()


def _attend(
    module: torch.nn.Module,
    query: Float[Tensor, "1 head node d"],
    key: Float[Tensor, "1 kv node d"],
    value: Float[Tensor, "1 kv node d"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,  # noqa: ANN401 - whatever a family hands its attention
) -> tuple[Float[Tensor, "1 node head d"], None]:
    """Attend from every new token to its ancestors; transformers' attention interface."""
    walk = _here.walk
    if walk is None:
        return _usual(module)(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
    layer = len(walk.after)
    keys, values = key[0], value[0]
    if walk.carried:
        old_keys, old_values = walk.before[layer]
        keys = torch.cat([old_keys[:, : walk.carried], keys], dim=1)
        values = torch.cat([old_values[:, : walk.carried], values], dim=1)
    walk.after.append((keys[:, walk.last], values[:, walk.last]))
    walk.windowed &= "sliding_window" in options
    heads = query.shape[1] // len(keys)
    out = query.new_empty(query.shape[2], query.shape[1], values.shape[-1])
    for group in walk.groups:
        # Queries of the heads that share keys stand in one row of queries: nothing is repeated.
        count, most = group.queries.shape
        q = query[0][:, group.queries].view(len(keys), heads, count, most, -1)
        q = q.permute(2, 0, 1, 3, 4).flatten(2, 3)  # row kv head·query d
        k, v = keys[:, group.keys].transpose(0, 1), values[:, group.keys].transpose(0, 1)
        mask = group.mask(options.get("sliding_window"), heads, q.dtype)
        found = _softmax_attention(q, k, v, mask, scaling, heads, options)
        found = found.view(count, len(keys), heads, most, -1)
        found = found.permute(0, 3, 1, 2, 4)  # row query kv head d
        out[group.target] = found.reshape(count * most, *out.shape[1:])[group.real]
    return out[None], None


def _softmax_attention(
    q: Float[Tensor, "row kv hq d"],
    k: Float[Tensor, "row kv key d"],
    v: Float[Tensor, "row kv key d"],
    mask: Float[Tensor, "row 1 hq key"],
    scaling: float | None,
    heads: int,
    options: dict[str, Any],
) -> Float[Tensor, "row kv hq d"]:
    cap, sinks = options.get("softcap"), options.get("s_aux")
    if cap is None and sinks is None:
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, scale=scaling
        )
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scaling is None else scaling)
    if cap is not None:
        scores = cap * torch.tanh(scores / cap)
    scores = (scores + mask).float()
    if sinks is not None:
        a_query = sinks.reshape(1, k.shape[1], heads, 1, 1).float()
        a_query = a_query.expand(len(q), -1, -1, q.shape[2] // heads, -1).flatten(2, 3)
        scores = torch.cat([scores, a_query], dim=-1)
    weights = scores.softmax(-1)[..., : k.shape[2]]
    return weights.to(v.dtype) @ v


def _mask(*args: Any, **options: Any) -> Tensor | None:  # noqa: ANN401 - transformers' interface
    """Return no mask for a tree; what the model would have used for anybody else."""
    if _here.walk is not None:
        return None
    name = usual_attention(options.get("config")) or "sdpa"
    usual = ALL_MASK_ATTENTION_FUNCTIONS.get(name, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    return usual(*args, **options)  # type: ignore[no-any-return]


def _usual(module: torch.nn.Module) -> Any:  # noqa: ANN401
    """Return the attention that a pass on another thread would have had."""
    name = usual_attention(getattr(module, "config", None)) or "sdpa"
    modeling = sys.modules[type(module).__module__]
    default = getattr(modeling, "eager_attention_forward", ALL_ATTENTION_FUNCTIONS["sdpa"])
    return ALL_ATTENTION_FUNCTIONS.get(name, default)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _mask)


# ── reading ───────────────────────────────────────────────────────────────────


class PrefixTree:
    """Reads rows that begin alike; remembers the last one.

    Args:
        lm: A model for which ``shares_prefixes`` is true.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self._lm = lm
        self._row: tuple[int, ...] = ()
        self._kept: list[tuple[Tensor, Tensor]] = []
        self.walked: _Walk | None = None

    def order(self, entries: Sequence[Entry]) -> list[Entry]:
        """Sort so that neighbours share most."""
        return sorted(entries, key=lambda entry: entry.path)

    def left(self, entries: Sequence[Entry]) -> float:
        """Return which share of all tokens has to be read."""
        shared = _shared(self.order(entries), self._row)
        return 1 - float(shared.sum()) / sum(len(entry.path) for entry in entries)

    def take(self, entries: Sequence[Entry], tokens: int, reads: int) -> int:
        """Return how many of the sorted entries make a batch of so many new tokens."""
        ahead = entries[: max(reads, 1)]
        shared = _shared(ahead, self._row)
        owned = np.cumsum([len(entry.path) for entry in ahead] - shared)
        read = np.cumsum([entry.keep for entry in ahead])
        return max(1, int(((owned <= tokens) & (read <= reads)).sum()))

    def read(self, batch: Sequence[Entry]) -> list[Float[Tensor, " output"]]:
        """Return the values of sorted entries, within ``untouched`` and inference mode."""
        parts = torch.split(self._logits(batch), [entry.keep for entry in batch])
        values: dict[int, Tensor] = {}
        for number in {entry.number for entry in batch}:
            of = [i for i, entry in enumerate(batch) if entry.number == number]
            logits = torch.stack([parts[i] for i in of]).float()
            values.update(zip(of, batch[of[0]].readout.reduce(logits), strict=True))
        return [values[i] for i in range(len(batch))]

    def _logits(self, entries: Sequence[Entry]) -> Float[Tensor, "read vocab"]:
        """Return the logits at the last tokens of each entry, one below the other."""
        batch = _batch(entries, _shared(entries, self._row))
        device = self._lm.device
        last = batch.nodes[-1, : batch.lengths[-1]]
        walk = _Walk(_groups(batch, device), batch.carried, _to(last, device), self._kept)
        reads = np.concatenate([batch.reads(r, entry.keep) for r, entry in enumerate(entries)])
        model = self._lm.model
        with _walking(walk, model):
            logits: Tensor = model(
                input_ids=_to(batch.tokens, device)[None],
                position_ids=_to(batch.positions, device)[None],
                logits_to_keep=_to(reads, device),
                use_cache=False,
                return_dict=True,
            ).logits
        self._row, self._kept, self.walked = entries[-1].path, walk.after, walk
        return logits[0]


@contextmanager
def _walking(walk: _Walk, model: PreTrainedModel) -> Iterator[None]:
    """Hand a walk to the attention function of this thread."""
    with attention(model, NAME):
        _here.walk = walk
        try:
            yield
        finally:
            _here.walk = None


# ── whether it can be done ────────────────────────────────────────────────────

_shares: weakref.WeakKeyDictionary[PreTrainedModel, bool] = weakref.WeakKeyDictionary()
_PROBE = 12  # tokens
_CLOSE = {torch.float32: 1e-3, torch.float64: 1e-6}  # of the logits' own size
_CLOSE_HALF = 0.1


def shares_prefixes(lm: LanguageModel) -> bool:
    """Return whether this model's rows can be read as a tree; found out once a model."""
    known = _shares.get(lm.model)
    if known is None:
        try:
            known = _shares[lm.model] = _says_so(lm) and _agrees(lm)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            known = False  # for now: there may be more memory the next time
    return known


def _says_so(lm: LanguageModel) -> bool:
    config: Any = lm.model.config.get_text_config()
    rotary = str(getattr(config, "rope_parameters", None) or "")
    return (
        lm.kind == "causal"
        and lm.accepts >= {"position_ids", "logits_to_keep", "use_cache"}
        and set(getattr(config, "layer_types", None) or ()) <= _KINDS
        and not any(name in rotary for name in _MOVING_ROTARY)
    )


def _agrees(lm: LanguageModel) -> bool:
    """Compare a small tree with its rows read one by one."""
    first = np.arange(_PROBE) * 7 % min(lm.vocabulary_size, 97)
    rows = [first, first.copy(), first.copy(), first[:-2]]
    rows[1][_PROBE // 2] += 1
    rows[2][2] += 1
    both = Readout((), 2, lambda logits: logits.flatten(1))
    tree = PrefixTree(lm)
    entries = tree.order([Entry(i, 0, row, both) for i, row in enumerate(rows)])
    try:
        with lm.untouched(), torch.inference_mode():
            found = torch.stack([*tree.read(entries[:2]), *tree.read(entries[2:])])
            alone = [
                lm.forward(Inputs(torch.from_numpy(entry.ids)[None]), both) for entry in entries
            ]
    except CancelledJobError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        return False  # a family that cannot do it may fail in any way
    wanted = torch.cat(alone)
    scale = wanted.std(dim=-1, keepdim=True)
    limit = _CLOSE.get(lm.model.dtype, _CLOSE_HALF)
    config: Any = lm.model.config.get_text_config()
    walk = tree.walked
    if walk is None or len(walk.after) != config.num_hidden_layers:
        return False
    # Beyond the probe's length a window shows only where the layers speak of it.
    if getattr(config, "sliding_window", None) and not walk.windowed:
        return False
    return bool(((found - wanted).abs() <= limit * scale).all())


def _to(array: ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
