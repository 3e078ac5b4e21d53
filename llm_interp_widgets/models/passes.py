"""Passes: how each kind of model is called, and where its answer stands.

What comes in: rows and a readout. What goes out: what the readout reduces, one function a
kind. Ids and embeddings are read alike; nothing is padded, so no mask is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from llm_interp_widgets.errors import TargetError, UnsupportedModelError
from llm_interp_widgets.models.visits import logits_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.models.kinds import Kind
    from llm_interp_widgets.models.language_model import Inputs, LanguageModel, Readout


def read(lm: LanguageModel, inputs: Inputs, readout: Readout) -> Float[Tensor, "row keep answer"]:
    """Call the model once.

    Returns:
        Logits at the positions that are read (row, keep, vocabulary or labels); for an encoder
        its last hidden states (row, token, d). In the model's own dtype.
    """
    return _PASSES[lm.kind](lm, inputs, readout)


def decoder_start(lm: LanguageModel) -> int:
    """Return the token with which an encoder-decoder begins to write.

    Raises:
        UnsupportedModelError: Its configuration names none.
    """
    for config in (lm.model.config, lm.model.generation_config):
        start = getattr(config, "decoder_start_token_id", None)
        if start is not None:
            return int(start)
    raise UnsupportedModelError(
        f"{lm.name} does not say with which token its decoder starts. Set "
        "model.config.decoder_start_token_id (for translation models: the target language's)."
    )


def _causal(lm: LanguageModel, inputs: Inputs, readout: Readout) -> Tensor:
    tokens = _continued(lm, inputs.tokens.to(lm.device), readout.suffix)
    options = {"logits_to_keep": readout.keep, "use_cache": False}
    known = {name: value for name, value in options.items() if name in lm.accepts}
    with logits_at(slice(-readout.keep, None)):
        logits: Tensor = _call(lm, tokens, **known).logits
    return logits[:, -readout.keep :]


def _classifier(lm: LanguageModel, inputs: Inputs, _: Readout) -> Tensor:
    logits: Tensor = _call(lm, inputs.tokens, **_segments(lm, inputs)).logits
    return logits[:, None]


def _masked(lm: LanguageModel, inputs: Inputs, _: Readout) -> Tensor:
    at = inputs.slot
    if at is None:
        raise TargetError(f"{lm.name} is read at one token; say which: Inputs(tokens, slot=…).")
    with logits_at(slice(at, at + 1)):
        logits: Tensor = _call(lm, inputs.tokens, **_segments(lm, inputs)).logits
    return logits if logits.shape[1] == 1 else logits[:, at : at + 1]


def _encoder(lm: LanguageModel, inputs: Inputs, _: Readout) -> Tensor:
    hidden: Tensor = _call(lm, inputs.tokens, **_segments(lm, inputs)).last_hidden_state
    return hidden


def _seq2seq(lm: LanguageModel, inputs: Inputs, readout: Readout) -> Tensor:
    said = torch.tensor([[decoder_start(lm), *readout.suffix]], device=lm.device)
    rows = said.expand(len(inputs.tokens), -1)
    logits: Tensor = _call(lm, inputs.tokens, decoder_input_ids=rows, use_cache=False).logits
    return logits[:, -readout.keep :]


_PASSES: dict[Kind, Callable[[LanguageModel, Inputs, Readout], Tensor]] = {
    "causal": _causal,
    "classifier": _classifier,
    "masked": _masked,
    "encoder": _encoder,
    "seq2seq": _seq2seq,
}


def _call(lm: LanguageModel, tokens: Tensor, **options: object) -> Any:  # noqa: ANN401 - ModelOutput
    name = "inputs_embeds" if tokens.is_floating_point() else "input_ids"
    return lm.model(**{name: tokens.to(lm.device)}, **options, return_dict=True)


def _segments(lm: LanguageModel, inputs: Inputs) -> dict[str, Tensor]:
    """Token types, for models that tell texts apart by them."""
    types = getattr(lm.model.config, "type_vocab_size", None)
    if inputs.segments is None or "token_type_ids" not in lm.accepts or types == 1:
        return {}
    return {"token_type_ids": inputs.segments.to(lm.device)}


def _continued(lm: LanguageModel, tokens: Tensor, suffix: tuple[int, ...]) -> Tensor:
    if not suffix:
        return tokens
    tail = torch.tensor([suffix], device=tokens.device)
    if tokens.is_floating_point():
        tail = lm.embed(tail)
    return torch.cat([tokens, tail.expand(len(tokens), *tail.shape[1:])], dim=1)
