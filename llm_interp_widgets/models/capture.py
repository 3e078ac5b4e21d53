"""Capture: what every head compared, kept while a model runs as it always does.

What comes in: a transformers model, and one forward pass. What goes out: for every call of its
attention, post-rotary queries and keys with all that decides the weights (scale, mask, soft cap,
sinks, position bias), so that any weight can be computed later, and none has to be before.

Guarantees:

- The pass itself is computed by the function the model would have used; its outputs are the same
  to the last bit. Another thread's pass of the same model is delegated and not kept.
- What is kept explains what the model did: the weights of a few queries of every call, times
  values, are held against the call's own output; where they differ, ``UnsupportedModelError``.
- Nothing of size tokens² is kept but what the model itself hands over in a form that has no
  shorter one: a mask with holes, a bias that is not one of distances.
- The model is left as it was; see ``visits``.
"""

from __future__ import annotations

import re
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

from llm_interp_widgets.errors import UnsupportedModelError
from llm_interp_widgets.models.heads import Call, explains, telling
from llm_interp_widgets.models.masks import Bias, Mask
from llm_interp_widgets.models.visits import attention, usual_attention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor
    from transformers import PreTrainedModel

Look: TypeAlias = "Callable[[str, Tensor, Tensor], None]"  # module, queries, keys
Off: TypeAlias = "Mapping[tuple[str, int], tuple[int, ...]]"  # heads by module and time of call

NAME = "llm_interp_widgets"
_CROSS = re.compile(r"cross|encdec|encoder_attn", re.IGNORECASE)


@dataclass(slots=True)
class Capture:
    """What one thread's passes left behind.

    Attributes:
        calls: In the order in which the model made them.
        parts: How many parts of inputs each module was given that got no whole ones, by its name;
            their calls are not kept.
    """

    names: Mapping[int, str]
    row: int
    values: bool
    slopes: bool
    off: Off
    keep: bool
    look: Look | None = None
    batch: int | None = None
    parts: dict[str, int] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    times: dict[str, int] = field(default_factory=dict)
    rules: dict[tuple[int, int, bool, int | None], Mask] = field(default_factory=dict)
    masks: dict[tuple[object, ...], tuple[Tensor, Mask, Bias | None]] = field(default_factory=dict)
    rows: dict[int, Tensor] = field(default_factory=dict)
    biases: dict[int, tuple[Tensor, Bias | None]] = field(default_factory=dict)
    outputs: list[Tensor] = field(default_factory=list)


class _Here(threading.local):
    """What this thread captures."""

    capture: Capture | None = None


_here = _Here()


@contextmanager
def capturing(
    model: PreTrainedModel,
    *,
    row: int = 0,
    values: bool = False,
    slopes: bool = False,
    off: Off | None = None,
    keep: bool = True,
    look: Look | None = None,
    batch: int | None = None,
) -> Iterator[Capture]:
    """Keep what the heads of this thread's passes compare; a context manager.

    Args:
        model: A transformers model.
        row: Which row of a batch is kept.
        values: Keep values, too.
        slopes: Keep each call's output in the graph; ``Capture.outputs``.
        off: Heads whose output is set to zero, by the name of their module and how many times
            it was called before: models that share layers call one several times.
        keep: Whether anything is kept at all, or heads are only switched off.
        look: Called with the name of each module, its queries and its keys, all still in the
            graph; what it raises ends the pass.
        batch: How many inputs there are. A call of another number is one of windows or crops,
            of which no one is an input's own.
    """
    names = {id(module): name for name, module in model.named_modules()}
    capture = Capture(names, row, values, slopes, off or {}, keep, look, batch)
    outer, _here.capture = _here.capture, capture
    try:
        with attention(model, NAME):
            yield capture
    finally:
        _here.capture = outer


def bypasses(model: PreTrainedModel) -> bool:
    """Return whether a model's attention is written outside of transformers' registry."""
    return not model._can_set_attn_implementation()  # noqa: SLF001


def stack_of(module: str, query: int, key: int) -> str:
    """Return which stack of attention a module belongs to, from its dotted name."""
    lower = module.lower()
    if query != key or _CROSS.search(lower):
        return "cross"
    for name in ("vision", "text", "decoder", "encoder"):
        if re.search(rf"(^|[._]){name}", lower):
            return name
    return "self"


# ── what the model calls ──────────────────────────────────────────────────────


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # transformers looks for this name
    **options: Any,  # noqa: ANN401 - handed on
) -> tuple[Tensor, Tensor | None]:
    """Do what the model would have done, and keep what it was given."""
    compute = _usual(module)
    output, weights = compute(module, query, key, value, attention_mask, **options)
    capture = _here.capture
    name = None if capture is None else capture.names.get(id(module))
    if capture is None or name is None:
        return output, weights
    if capture.look is not None:
        capture.look(name, query, key)
    time = capture.times.get(name, 0)
    capture.times[name] = time + 1
    if capture.keep:
        given = query, key, value, attention_mask
        _keep(capture, (name, time), module, given, output, options)
    if heads := capture.off.get((name, time)):
        output = output.clone()
        output[:, :, list(heads)] = 0
    if capture.slopes:
        if not output.requires_grad:  # nothing before it does: a decoder's own first layer
            output = output.detach().requires_grad_(True)  # noqa: FBT003 - torch's API
        capture.outputs.append(output)
    return output, weights


def _mask(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on
    usual = _usual_name(options.get("config"))
    known: Any = AttentionMaskInterface._global_mapping  # noqa: SLF001
    return known.get(usual, known["sdpa"])(*args, **options)


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, _mask)


def _usual_name(config: object) -> str:
    """Return what the model uses; also for a pass that a switch back overtook on its way here."""
    known = usual_attention(config) or getattr(config, "_attn_implementation", None)
    return "sdpa" if known in (None, NAME) else str(known)


def _usual(module: torch.nn.Module) -> Any:  # noqa: ANN401 - a function
    eager = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    usual = _usual_name(getattr(module, "config", None))
    if usual == "eager":
        if eager is None:
            raise UnsupportedModelError(
                f"{type(module).__name__} runs eager attention that its file does not name; load "
                'the model with attn_implementation="sdpa".'
            )
        return eager
    return ALL_ATTENTION_FUNCTIONS[usual]


def _keep(
    capture: Capture,
    place: tuple[str, int],
    module: torch.nn.Module,
    given: tuple[Tensor, Tensor, Tensor, Tensor | None],
    output: Tensor,
    options: Mapping[str, Any],
) -> None:
    (name, time), (query, key, value, attention_mask) = place, given
    if capture.batch not in (None, len(query)):
        capture.parts[name] = len(query)
        return
    if capture.row >= len(query):
        return
    mask, added = _masked(capture, module, query, key, attention_mask, options)
    bias, scaling = options.get("position_bias"), options.get("scaling")
    sinks, softcap = options.get("s_aux"), options.get("softcap")
    if sinks is None and isinstance(held := getattr(module, "sinks", None), torch.Tensor):
        sinks = held
    known = added if bias is None else _bias(capture, bias)
    if bias is not None and added is not None:
        raise _unknown(name, "adds a bias in its mask and another beside it")
    call = Call(
        module=name,
        time=time,
        q=_own(query, capture.row),
        k=_own(key, capture.row),
        v=_own(value, capture.row) if capture.values else None,
        scale=float(query.shape[-1] ** -0.5 if scaling is None else scaling),
        mask=mask,
        bias=known,
        softcap=None if softcap is None else float(softcap),
        sinks=None if sinks is None else sinks.detach().reshape(-1).clone(),  # no view of the model
    )
    rows = capture.rows.get(id(mask))  # whose masks are kept, so that an id stays its own
    if rows is None:
        rows = capture.rows[id(mask)] = telling(mask)
    if not explains(call, rows, value[capture.row].detach(), output[capture.row].detach()):
        raise _unknown(name, "computes something that its queries, keys and mask do not explain")
    capture.calls.append(call)


def _unknown(name: str, what: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{name} {what}; its weights cannot be recomputed and are not shown. Please report the "
        "model. Attribution methods work: shapley, occlusion, input_x_gradient."
    )


def _own(tensor: Tensor, row: int) -> Tensor:
    """Return one row; a copy where it would keep more than itself in memory."""
    own = tensor.detach()[row]
    alone = own.untyped_storage().nbytes() <= 1.05 * own.numel() * own.element_size()
    return own if alone else own.contiguous().clone()


# ── masks and biases ──────────────────────────────────────────────────────────


def _masked(
    capture: Capture,
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    given: Tensor | None,
    options: Mapping[str, Any],
) -> tuple[Mask, Bias | None]:
    queries, keys = query.shape[2], key.shape[2]
    flag = options.get("is_causal")
    causal = bool(getattr(module, "is_causal", True) if flag is None else flag) and queries > 1
    if given is None or given.ndim == 2:
        usual = _usual_name(getattr(module, "config", None))
        hidden = usual == "eager" and given is None  # eager knows no flag
        window = options.get("sliding_window") if given is not None or usual != "sdpa" else None
        key_of = queries, keys, causal and not hidden, window
        if key_of not in capture.rules:
            made = Mask.rule(queries, keys, causal=causal and not hidden, window=window)
            capture.rules[key_of] = made.to(query.device)
        mask = capture.rules[key_of]
        if given is None:
            return mask, None
        place: tuple[object, ...] = id(given), *key_of
        if place not in capture.masks:
            capture.masks[place] = given, mask.padded(given[capture.row].bool()), None
        return capture.masks[place][1:]
    place = id(given), queries, keys
    if place in capture.masks:
        return capture.masks[place][1:]
    rows = given[min(capture.row, len(given) - 1)][..., :queries, :keys]
    if rows.dtype == torch.bool:
        mask, bias = Mask.of(_same(rows).expand(queries, keys)), None
    else:
        mask, bias = _additive(rows.expand(-1, queries, keys))
    capture.masks[place] = (given, mask, bias)  # kept, so that its id stays its own
    return mask, bias


def _same(rows: Tensor) -> Tensor:
    if len(rows) > 1 and not bool((rows == rows[:1]).all()):
        raise UnsupportedModelError("Heads with masks of their own are not handled.")
    return rows[0]


def _additive(rows: Tensor) -> tuple[Mask, Bias | None]:
    """Take an additive mask apart: what is hidden, and what is added to what is not."""
    least = torch.finfo(rows.dtype).min / 2
    seen = rows > least
    mask = Mask.of(_same(seen))
    rest = rows.masked_fill(~seen, 0)
    return mask, Bias.of(rest) if bool(rest.any()) else None


def _bias(capture: Capture, given: Tensor) -> Bias | None:
    if id(given) not in capture.biases:
        rows = given.detach()[min(capture.row, len(given) - 1)]
        capture.biases[id(given)] = given, Bias.of(rows) if bool(rows.any()) else None
    return capture.biases[id(given)][1]
