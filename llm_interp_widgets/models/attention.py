"""Attention of one pass: a text or other inputs go in, a record comes out.

What comes in: a wrapped model and a prompt, or any transformers model and its inputs. What goes
out: an ``AttentionRecord``.

Guarantees: what ``untouched`` and ``capture`` guarantee; what the record will take is compared
with the free memory before the pass, and refused with a typed error where it does not fit.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import transformers

from llm_interp_widgets.errors import (
    InterpError,
    ModelMemoryError,
    ParameterError,
    PromptTooLongError,
    UnsupportedModelError,
)
from llm_interp_widgets.models._names import InputNames, TextNames
from llm_interp_widgets.models.again import NoPasses, TextPasses
from llm_interp_widgets.models.assembly import assemble
from llm_interp_widgets.models.attentions import handed_out
from llm_interp_widgets.models.capture import bypasses, capturing
from llm_interp_widgets.models.gradients import differentiable
from llm_interp_widgets.models.heads import Call
from llm_interp_widgets.models.language_model import Inputs, Readout, longest
from llm_interp_widgets.models.masks import Mask
from llm_interp_widgets.models.memory import fitting, free_bytes, record_bytes
from llm_interp_widgets.models.visits import untouched
from llm_interp_widgets.results.result import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transformers import PreTrainedModel

    from llm_interp_widgets.models.again import Asked, Passes
    from llm_interp_widgets.models.capture import Capture
    from llm_interp_widgets.models.language_model import LanguageModel
    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.text.tokens import Prompt

EAGER_TOKENS = 1_024  # a model that hands out whole tables: 4 MB a head at this length
_ANSWER = 20  # tokens that an encoder-decoder writes
_SHARE_OF_FREE = 0.8
_SUM_TOLERANCE = 1e-3
_EAGER_NOTE = (
    "This model's attention is its own: its weights were taken whole from an eager pass, for "
    f"texts of at most {EAGER_TOKENS:,} tokens."
)


def of_target(lm: LanguageModel, asked: Asked) -> AttentionRecord:
    """Capture a prompt and a target's words after it, with the target's slopes.

    Args:
        lm: The model.
        asked: The target.

    Raises:
        ParameterError: The target is read from two texts.
        UnsupportedModelError: The model makes no call of attention, or calls that the record
            cannot explain.
        ModelMemoryError: Queries and keys do not fit into memory.
        PromptTooLongError: The model hands out whole tables, and the text is too long for them.
    """
    if len(asked.readouts) > 1:
        raise ParameterError(
            f"The target ({asked.words}) is read from {len(asked.readouts)} texts, and a record "
            "is of one. Contrast their first tokens, or capture each by itself."
        )
    readout = asked.readouts[0]
    words = asked.words
    return _of_text(lm, asked.prompt, readout, asked.slot, lambda: asked, target=words)


def of_text(
    lm: LanguageModel, prompt: Prompt, ask: Callable[[], Asked], *, values: bool = False
) -> AttentionRecord:
    """Capture a prompt without a target.

    An encoder-decoder's own answer, up to ``_ANSWER`` tokens, is what its decoder reads.

    Args:
        lm: The model.
        prompt: What it reads.
        ask: Makes the model's own answer the target, once one is needed.
        values: Keep values, too.

    Raises:
        UnsupportedModelError: As ``of_target``.
        ModelMemoryError: As ``of_target``.
        PromptTooLongError: As ``of_target``.
    """
    said = lm.top_tokens(prompt.ids, _ANSWER)[:-1] if lm.kind == "seq2seq" else ()
    slot = 0 if lm.kind == "masked" else None  # where it is read changes nothing before
    return _of_text(lm, prompt, Readout(tuple(said), 1, _first), slot, ask, values=values)


def of_inputs(
    model: PreTrainedModel,
    given: Mapping[str, Any],
    *,
    name: str,
    row: int | None = None,
    values: bool = False,
    lm: LanguageModel | None = None,
) -> AttentionRecord:
    """Capture one row of a batch of whatever a model reads: pixels, padded texts, both.

    Args:
        model: A transformers model.
        given: What its ``forward`` is called with.
        name: Of the model.
        row: Which row of the batch is kept; needed where there are several.
        values: Keep values, too.
        lm: The model with its tokenizer, to name tokens.

    Raises:
        ParameterError: There are several rows and none was chosen, or no such row.
        UnsupportedModelError: As ``of_text``.
        ModelMemoryError: As ``of_text``.
    """
    main = given.get(model.main_input_name)
    first = main if main is not None else next(iter(given.values()), None)
    if not isinstance(first, torch.Tensor) or not first.ndim:
        raise ParameterError(
            "Inputs must be tensors as the model's forward takes them: "
            f'attention(model, {{"{model.main_input_name}": tensor}}).'
        )
    rows = len(first)
    if rows != 1 and row is None:
        raise ParameterError(
            f"This batch holds {rows} inputs; a record keeps one. Pass row=0 … row={rows - 1}."
        )
    chosen = row or 0
    if not 0 <= chosen < rows:
        raise ParameterError(f"row={chosen} is out of range: there are {rows}, 0 to {rows - 1}.")
    if bypasses(model):
        raise UnsupportedModelError(
            f"{name} computes attention outside of transformers' registry; its weights can be "
            "taken from a prompt only: attention(lm, prompt)."
        )
    if "input_ids" in given:
        _check_length(model, name, given["input_ids"].shape[1], lm)
    at = {key: v.to(model.device) if isinstance(v, torch.Tensor) else v for key, v in given.items()}
    device = torch.device(model.device)
    with (
        fitting(device, _attention_of(first.shape[1])),
        untouched(model),
        torch.inference_mode(),
        capturing(model, row=chosen, values=values, batch=rows) as capture,
    ):
        _fed(model, at)
    note = _of_parts(capture, rows)
    if not capture.calls and note:
        raise UnsupportedModelError(f"{name} has no attention over a whole input. {note}")
    if not capture.calls:
        raise UnsupportedModelError(f"{name} made no call of attention: there are no weights.")
    info = ModelInfo(name, None, str(model.dtype).removeprefix("torch."), str(model.device))
    ids = at.get("input_ids")
    answer = at.get("decoder_input_ids")
    names = InputNames(
        lm,
        None if ids is None else ids[chosen].tolist(),
        None if answer is None else answer[chosen].tolist(),
        patches=_patches(model, at.get("pixel_values")),
    )
    why = ParameterError(
        "This record is of raw inputs, and nothing is asked of the model there. For what a head "
        "does to a target, ask a model of text: attention(lm, prompt, target)."
    )
    shared = {"prompt": "", "model": info, "note": note, "passes": NoPasses(why)}
    return assemble(capture.calls, names.of, shared)


def _of_parts(capture: Capture, rows: int) -> str:
    """Say what was not kept because it attends within windows or crops; empty if nothing."""
    if not capture.parts:
        return ""
    module, parts = next(iter(capture.parts.items()))
    return (
        f"{len(capture.parts)} modules, the first being {module}, look at {parts} parts of "
        f"{rows} inputs, each part by itself; these are not shown."
    )


def _check_length(model: PreTrainedModel, name: str, tokens: int, lm: LanguageModel | None) -> None:
    if lm is not None:
        lm.check_length(tokens)
    elif (limit := longest(model)) is not None and tokens > limit:
        raise PromptTooLongError(f"This takes {tokens} tokens; {name} reads {limit}. Shorten it.")


def _patches(model: PreTrainedModel, pixels: Any) -> tuple[int, int] | None:  # noqa: ANN401
    """Return rows and columns of patches; (0, 0) for an image whose patches are not known."""
    if pixels is None:
        return None
    config: Any = getattr(model.config, "vision_config", model.config)
    side = getattr(config, "patch_size", None)
    if not isinstance(pixels, torch.Tensor) or pixels.ndim != 4 or not side:
        return 0, 0
    tall, wide = side if isinstance(side, tuple | list) else (side, side)
    return pixels.shape[2] // int(tall), pixels.shape[3] // int(wide)


def _fed(model: PreTrainedModel, given: dict[str, Any]) -> None:
    """Call a model, and say what it takes if it does not take this."""
    try:
        model(**given)
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InterpError):
            raise
        takes = ", ".join(list(inspect.signature(model.forward).parameters)[:8])
        raise ParameterError(
            f"{type(model).__name__} did not take {', '.join(given)}: {error} "
            f"(Its forward takes {takes}, …)"
        ) from error


# ── passes ────────────────────────────────────────────────────────────────────


def _of_text(
    lm: LanguageModel,
    prompt: Prompt,
    readout: Readout,
    slot: int | None,
    ask: Callable[[], Asked] | None,
    *,
    values: bool = False,
    target: str = "",
) -> AttentionRecord:
    inputs, tokens = Inputs.of(prompt, slot), len(prompt.tokens)
    answer = 1 + len(readout.suffix) if lm.kind == "seq2seq" else 0
    read = tokens if answer else tokens + len(readout.suffix)
    parts = 3 if target else 2 if values else 1
    _check_memory(lm.model, read, answer, parts)
    own = bypasses(lm.model)
    with fitting(lm.device, _attention_of(read)):
        if own:
            calls = _whole_tables(lm, inputs, readout, slopes=bool(target))
        elif target:
            calls = _with_slopes(lm, inputs, readout)
        else:
            with capturing(lm.model, values=values) as capture:
                lm.scores(inputs, readout)
            calls = capture.calls
    if not calls:
        raise UnsupportedModelError(
            f"{lm.name} made no call of attention: there are no weights to show. Attribution "
            "methods work: shapley, occlusion, input_x_gradient."
        )
    shared = {
        "prompt": prompt.text,
        "model": lm.info,
        "target": target,
        "note": _EAGER_NOTE if own else "",
        "passes": None if ask is None else _passes(lm, prompt, ask, own=own),
    }
    return assemble(calls, TextNames(lm, prompt, readout).of, shared)


def _passes(lm: LanguageModel, prompt: Prompt, ask: Callable[[], Asked], *, own: bool) -> Passes:
    if own:
        return NoPasses(
            UnsupportedModelError(
                f"{lm.name} computes attention outside of transformers' registry: its heads "
                "cannot be switched off one by one. Attribution methods work: shapley, "
                "occlusion, input_x_gradient."
            )
        )

    def capture(prompt: Prompt, readout: Readout, slot: int | None) -> AttentionRecord:
        return _of_text(lm, prompt, readout, slot, None)

    return TextPasses(lm, prompt, capture, ask)


def _first(answers: torch.Tensor) -> torch.Tensor:
    return answers[:, -1, :1]


def _with_slopes(lm: LanguageModel, inputs: Inputs, readout: Readout) -> list[Call]:
    leaf = lm.embed(inputs.tokens).requires_grad_(True)  # noqa: FBT003 - torch's API
    with differentiable(lm), capturing(lm.model, values=True, slopes=True) as capture:
        values = lm.forward(replace(inputs, tokens=leaf), readout)[0]
        slopes = torch.autograd.grad(values.sum(), capture.outputs, materialize_grads=True)
    return [
        replace(call, slope=slope[0].detach())
        for call, slope in zip(capture.calls, slopes, strict=True)
    ]


def _whole_tables(
    lm: LanguageModel, inputs: Inputs, readout: Readout, *, slopes: bool
) -> list[Call]:
    if lm.kind == "seq2seq":
        raise UnsupportedModelError(
            f"{lm.name} computes attention outside of the registry of transformers "
            f"{transformers.__version__}, and a model with an encoder and a decoder is read from "
            "nowhere else. T5 is in the registry from transformers 5.15 on. Attribution methods "
            "work: shapley, occlusion, input_x_gradient."
        )
    tokens = inputs.tokens.shape[1] + len(readout.suffix)
    if tokens > EAGER_TOKENS:
        raise PromptTooLongError(
            f"{lm.name} computes attention outside of transformers' registry: its weights come "
            f"as whole tables, for at most {EAGER_TOKENS:,} tokens; this text has {tokens:,}."
        )
    if slopes:
        raise ParameterError(
            f"{lm.name} computes attention outside of transformers' registry; gradient × "
            "attention is not available. Leave the target out."
        )
    tables = handed_out(lm, inputs, readout)
    found = []
    for number, table in enumerate(tables):
        rows = table[0].detach()
        sums = rows.float().sum(-1)
        if not bool(((sums - 1).abs() <= _SUM_TOLERANCE).all()):
            raise UnsupportedModelError(
                f"{lm.name} hands out weights that do not sum to 1 (layer {number}: "
                f"{float(sums.min()):.3g} to {float(sums.max()):.3g}); they are not shown."
            )
        none = rows.new_zeros(rows.shape[0], 0, 0)
        mask = Mask.of((rows != 0).any(0))
        found.append(Call(f"self.{number}", none, none, None, 1.0, mask, table=rows))
    return found


# ── memory ────────────────────────────────────────────────────────────────────


def _check_memory(model: PreTrainedModel, tokens: int, answer: int, parts: int) -> None:
    device = torch.device(model.device)
    free, needed = free_bytes(device), parts * record_bytes(model, tokens, answer)
    if free is not None and needed > _SHARE_OF_FREE * free:
        raise ModelMemoryError(
            f"The record of {tokens:,} tokens takes {needed / 1e9:.3g} GB; {device} has "
            f"{free / 1e9:.3g} GB free. Shorten the prompt, or load the model in bfloat16."
        )


def _attention_of(tokens: int) -> str:
    return f"Attention of {tokens:,} tokens"
