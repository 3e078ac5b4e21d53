"""Components: why a head attends here, by what earlier parts of the model wrote.

What comes in: one captured call, a head, a query and a key; for components, the model and what it
read. What goes out: the score before the softmax, split over dimensions, or over the embedding and
every earlier attention and MLP.

What a block adds to the stream is a difference of the stream; attention and MLP are told apart
where two of the block's modules add up to it. The norm before attention is held fixed at this
token (RMSNorm, LayerNorm: division by a number), and then queries and keys are linear in the
stream, as projections and rotation are; the linear map is the gradient of the score with respect to
what the norm gives (direct attribution, after Elhage et al. 2021).

Guarantees: what ``untouched`` guarantees, and hooks only while a pass lasts; states of two tokens
are kept, never all; the pass ends where the head compared. What does not add up to the score is not
shown: ``UnsupportedModelError``.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from llm_interp_widgets.errors import ParameterError, UnsupportedModelError
from llm_interp_widgets.models.capture import capturing
from llm_interp_widgets.models.gradients import differentiable
from llm_interp_widgets.models.memory import fitting
from llm_interp_widgets.models.visits import blocks
from llm_interp_widgets.results.split import Components, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.models.heads import Call
    from llm_interp_widgets.models.language_model import Inputs, LanguageModel, Readout

_CLOSE = 1e-3  # of what is split, relative to its size
_COARSE = 6e-2  # the same, where the stream, queries and keys were rounded to 16 bits
_HALF = (torch.float16, torch.bfloat16)
_NOTE = "The norm before this layer is held fixed at both tokens."


def split(call: Call, head: int, query: int, key: int) -> Split:
    """Split the score of a query and a key over the dimensions of a head.

    Raises:
        ParameterError: The query does not see the key.
        UnsupportedModelError: The model hands out weights only.
    """
    if call.table is not None:
        raise UnsupportedModelError(
            "This model hands out weights only; its queries and keys are not known."
        )
    _check_seen(call, query, key)
    parts = call.q[head, query].double() * call.k[_shared(call, head), key].double() * call.scale
    rest: dict[str, float] = {}
    score = float(parts.sum())
    if call.softcap is not None:
        capped = call.softcap * float(np.tanh(score / call.softcap))
        rest["soft cap"], score = capped - score, capped
    if call.bias is not None:
        at = [torch.tensor([i], device=call.device) for i in (query, key)]
        rest["position bias"] = float(call.bias.at(slice(head, head + 1), *at))
        score += rest["position bias"]
    numbers = np.array([*rest.values()], np.float32)
    return Split(parts.float().cpu().numpy(), tuple(rest), numbers, score)


def components(
    lm: LanguageModel,
    inputs: Inputs,
    readout: Readout,
    call: Call,
    head: int,
    query: int,
    key: int,
) -> Components:
    """Split a score over what earlier components wrote at the query, and at the key.

    Args:
        lm: The model.
        inputs: What it read when the call was captured; one row.
        readout: Likewise; its suffix is read, too.
        call: Of the head's layer.
        head: Of it.
        query: Position.
        key: Position.

    Raises:
        ParameterError: The query does not see the key.
        UnsupportedModelError: The score is not linear in what earlier components wrote.
    """
    if lm.kind == "seq2seq" or call.time:
        raise UnsupportedModelError(
            "Scores of encoder-decoders, where two streams meet, and of models that use a layer "
            "several times, are split over dimensions only."
        )
    _check_seen(call, query, key)
    path = _Path.of(lm, call.module)
    seen = _Seen((query, key), (head, _shared(call, head)), call.scale)
    given = replace(inputs, tokens=lm.embed(inputs.tokens))
    what = f"The graph of {inputs.tokens.shape[1]:,} tokens"
    with fitting(lm.device, what), differentiable(lm), seen.watching(path):
        for look in (seen.compare, seen.compare_nothing)[: 1 + _biased(path.attention)]:
            with suppress(_Enough), capturing(lm.model, keep=False, look=look(call.module)):
                lm.forward(given, readout)
    return seen.told()


class _Enough(Exception):  # noqa: N818 - no error: the pass need not go on
    """The head has compared."""


@dataclass(frozen=True, slots=True)
class _Path:
    """Blocks up to the one whose attention is looked at, by their place in the model."""

    blocks: tuple[torch.nn.Module, ...]
    attention: torch.nn.Module

    @classmethod
    def of(cls, lm: LanguageModel, module: str) -> _Path:
        attention = lm.model.get_submodule(module)
        stack = blocks(lm.model)
        at = [i for i, block in enumerate(stack) if any(m is attention for m in block.modules())]
        if not at:
            raise UnsupportedModelError(f"{module} stands in no block of {lm.name}.")
        if any("norm" in type(m).__name__.lower() for m in attention.modules()):
            raise UnsupportedModelError(
                f"{lm.name} normalises queries and keys after projecting them: its scores are not "
                "linear in what earlier components wrote. The split over dimensions is exact."
            )
        return cls(tuple(stack[: at[0] + 1]), attention)


@dataclass(slots=True)
class _Seen:
    """What hooks caught, at (query, key) only."""

    at: tuple[int, int]
    heads: tuple[int, int]
    scale: float
    streams: list[Tensor] = field(default_factory=list)  # before each block, float64
    written: list[list[Tensor]] = field(default_factory=list)
    norms: list[tuple[torch.nn.Module, Tensor, Tensor]] = field(default_factory=list)
    entered: Tensor | None = None
    slopes: tuple[Tensor, Tensor] | None = None
    compared: tuple[Tensor, Tensor] | None = None
    score: float = 0.0
    size: float = 0.0  # of what the score is a sum of
    bias: tuple[float, float] = (0.0, 0.0)  # what projections add by themselves

    @contextmanager
    def watching(self, path: _Path) -> Iterator[None]:
        """Keep what comes before each block, what its parts give, and enter attention afresh."""
        here = threading.get_ident()

        def mine(hook: Any) -> Any:  # noqa: ANN401 - torch's hooks
            return lambda *args: hook(*args) if threading.get_ident() == here else None

        enter, before = mine(self._enter), mine(self._before)
        hooks = [path.attention.register_forward_pre_hook(enter, with_kwargs=True)]
        hooks += [b.register_forward_pre_hook(before, with_kwargs=True) for b in path.blocks]
        parts = [m for block in path.blocks[:-1] for m in block.children()]
        hooks += [m.register_forward_hook(mine(self._after)) for m in parts]
        norms = path.blocks[-1].children()
        hooks += [m.register_forward_hook(mine(self._norm)) for m in norms]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _before(self, _: object, args: Any, options: dict[str, Any]) -> None:  # noqa: ANN401
        if self.slopes is None:
            self.streams.append(self._here(_states(args, options)))
            self.written.append([])

    def _after(self, _: object, __: object, output: Any) -> None:  # noqa: ANN401
        states = output[0] if isinstance(output, tuple) else output
        if self.slopes is None and isinstance(states, torch.Tensor) and states.ndim == 3:
            self.written[-1].append(self._here(states))

    def _norm(self, module: torch.nn.Module, args: Any, output: Any) -> None:  # noqa: ANN401
        if args and isinstance(output, torch.Tensor) and args[0].shape == output.shape:
            self.norms.append((module, self._here(args[0]), self._here(output)))

    def _enter(self, _: object, args: Any, options: dict[str, Any]) -> Any:  # noqa: ANN401
        """Begin the graph here, or, the second time, with nothing."""
        states = _states(args, options)
        if self.slopes is None:
            states = self.entered = states.detach().requires_grad_(True)  # noqa: FBT003
        else:
            states = torch.zeros_like(states)
        if args:
            return (states, *args[1:]), options
        return args, options | {"hidden_states": states}

    def compare(self, name: str) -> Any:  # noqa: ANN401 - a function
        """Return what takes the head's query and key, and lets the pass go no further."""

        def look(module: str, queries: Tensor, keys: Tensor) -> None:
            if module != name or self.entered is None:
                return
            (head, shared), (i, j) = self.heads, self.at
            q, k = queries[0, head, i], keys[0, shared, j]
            of_query = (q * k.detach()).sum() * self.scale
            of_key = (q.detach() * k).sum() * self.scale
            slopes = [
                torch.autograd.grad(value, self.entered, retain_graph=True)[0][0]
                for value in (of_query, of_key)
            ]
            self.slopes = slopes[0][i].double(), slopes[1][j].double()
            self.compared = q.detach(), k.detach()
            self.score = float(of_query.detach())
            self.size = float((q * k).detach().abs().sum()) * self.scale + _CLOSE
            raise _Enough

        return look

    def compare_nothing(self, name: str) -> Any:  # noqa: ANN401 - a function
        """Return what takes the query and key that projections make of nothing."""

        def look(module: str, queries: Tensor, keys: Tensor) -> None:
            if module != name or self.compared is None:
                return
            (head, shared), (i, j) = self.heads, self.at
            q, k = self.compared
            none = queries[0, head, i].detach(), keys[0, shared, j].detach()
            self.bias = (
                float((none[0] * k).sum()) * self.scale,
                float((q * none[1]).sum()) * self.scale,
            )
            raise _Enough

        return look

    def _here(self, states: Tensor) -> Float[Tensor, "two d"]:
        return states.detach()[0, list(self.at)].double()

    def told(self) -> Components:
        """Return each component's part, once it is sure that they add up."""
        if self.entered is None or self.slopes is None:
            raise UnsupportedModelError(
                "This head compared nothing that its module was given; no component can be told."
            )
        names, parts = self._parts()
        scales, shift, centred = self._frozen(self._here(self.entered))
        sides = []
        for side, slope in enumerate(self.slopes):
            each = parts[:, side]
            if centred:
                each = each - each.mean(-1, keepdim=True)
            values = (each * scales[side]) @ slope
            bias = float(shift @ slope) + self.bias[side]
            total = float(values.sum()) + bias
            close = _COARSE if self.entered.dtype in _HALF else _CLOSE
            if abs(total - self.score) > close * self.size:
                raise UnsupportedModelError(
                    "What earlier components wrote does not add up to this head's score "
                    f"({total:.3g} of {self.score:.3g}): something between them is not linear. "
                    "The split over dimensions is exact."
                )
            sides.append(np.array([*values.tolist(), bias], np.float32))
        return Components((*names, "bias"), sides[0], sides[1], self.score, _NOTE)

    def _parts(self) -> tuple[list[str], Float[Tensor, "component two d"]]:
        """Return what was written, by whom: the embedding, then each block in one part or two."""
        names, parts = ["embedding"], [self.streams[0]]
        for number, (stream, after) in enumerate(zip(self.streams, self.streams[1:], strict=False)):
            added = after - stream
            pair = _pair(self.written[number], added)
            if pair is None:
                names.append(f"layer {number}")
                parts.append(added)
            else:
                names += [f"layer {number} attention", f"layer {number} MLP"]
                parts += [pair[0], added - pair[0]]
        return names, torch.stack(parts)

    def _frozen(
        self, entered: Float[Tensor, "two d"]
    ) -> tuple[Float[Tensor, "two d"], Float[Tensor, " d"], bool]:
        """Return the norm before attention as a linear map: factors, shift, whether it centres."""
        stream = self.streams[-1]
        for module, given, gave in self.norms:
            if self.entered is None or not _close(gave, entered) or not _close(given, stream):
                continue
            weight, shift, centred = _probed(module, self.entered)
            unit = (given - given.mean(-1, keepdim=True) if centred else given) * weight
            rate = (unit * (gave - shift)).sum(-1, keepdim=True) / (unit * unit).sum(
                -1, keepdim=True
            )
            if _close(rate * unit + shift, gave, coarse=self.entered.dtype in _HALF):
                return rate * weight, shift, centred
        raise UnsupportedModelError(
            "The stream is not normalised right before this head's attention, as in models that "
            "normalise after adding: what earlier components wrote is not a sum there. The split "
            "over dimensions is exact."
        )


def _probed(
    norm: torch.nn.Module, like: Tensor
) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"], bool]:
    """Measure a norm's weight, up to a factor, its bias, and whether it takes the mean off.

    Alternating signs have mean 0: what a norm makes of them and of their opposite tells the two
    apart, however it holds them and whatever it is called; what it makes of ones, the mean.
    """
    ones = torch.ones_like(like[0, 0]).detach()
    signs = ones.clone()
    signs[1::2] = -1
    if len(signs) % 2:
        signs[1] = -2
    with torch.no_grad():
        up, down, level = (
            norm.forward(v[None, None])[0, 0].double() for v in (signs, -signs, ones)
        )
    weight, bias = (up - down) / (2 * signs), (up + down) / 2
    return weight, bias, bool((level - bias).norm() < 0.5 * weight.norm())


def _pair(written: list[Tensor], added: Float[Tensor, "two d"]) -> tuple[Tensor, Tensor] | None:
    """Return the two outputs of a block's parts that add up to what the block added."""
    for first, second in combinations(written, 2):
        if first.shape == second.shape == added.shape and _close(first + second, added):
            return first, second
    return None


def _states(args: Any, options: dict[str, Any]) -> Tensor:  # noqa: ANN401 - as torch has them
    states: Tensor = args[0] if args else options["hidden_states"]
    return states


def _close(one: Tensor, other: Tensor, *, coarse: bool = False) -> bool:
    return bool((one - other).norm() <= (_COARSE if coarse else _CLOSE) * other.norm())


def _biased(attention: torch.nn.Module) -> bool:
    return any(name.endswith("bias") for name, _ in attention.named_parameters())


def _shared(call: Call, head: int) -> int:
    return head // (len(call.q) // len(call.k))


def _check_seen(call: Call, query: int, key: int) -> None:
    mask = call.mask
    seen = int(mask.first[query]) <= key < int(mask.stop[query])
    if not seen or (mask.seen is not None and not bool(mask.seen[query, key])):
        raise ParameterError(
            f"Token {query} does not see token {key}: there is no score between them."
        )
