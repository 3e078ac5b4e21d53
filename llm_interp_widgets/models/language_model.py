"""LanguageModel: a transformers model and its tokenizer, asked politely.

What comes in: a model in memory. What goes out: logits for rows of token ids or of
embeddings, gradients, and text as tokens.

Guarantees: the model is left exactly as it was, after success, error or cancel: training
flags, ``requires_grad``, gradients, configuration. It is in eval mode, without parameter
gradients, only while a batch is in flight; several threads may be in flight at once.
"""

from __future__ import annotations

import inspect
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch

from llm_interp_widgets.errors import (
    CancelledJobError,
    PromptError,
    PromptTooLongError,
    UnsupportedModelError,
)
from llm_interp_widgets.models.tokenize import encode
from llm_interp_widgets.models.visits import untouched
from llm_interp_widgets.results.attribution import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from jaxtyping import Float, Int
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from llm_interp_widgets.models.tokenize import PromptLike
    from llm_interp_widgets.text.tokens import Prompt

Kind = Literal["causal", "classifier"]
_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Readout:
    """What to read from the model, independent of which features are on.

    Attributes:
        suffix: Token ids teacher-forced after the prompt.
        keep: How many of the last positions have logits that are needed.
        reduce: (rows, keep, vocabulary or labels) logits in float32 -> (rows, outputs).
    """

    suffix: tuple[int, ...]
    keep: int
    reduce: Callable[[Float[Tensor, "row keep vocab"]], Float[Tensor, "row output"]]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows of equal length, as the model reads them; nothing is padded.

    Attributes:
        tokens: (row, token) ids, or (row, token, d) embeddings in their place.
        segments: (row, token) which text of a pair a token belongs to, for models that ask.
        slot: Which token a masked model is read at, in all rows alike.
    """

    tokens: Int[Tensor, "row token"] | Float[Tensor, "row token d"]
    segments: Int[Tensor, "row token"] | None = None
    slot: int | None = None


@dataclass(frozen=True, eq=False, repr=False)
class LanguageModel:
    """A transformers model and tokenizer that can be explained.

    Attributes:
        model: The transformers model itself.
        tokenizer: Its tokenizer.
        name: Hub id, folder, file or class name, for provenance.
        revision: Hub revision asked for.
        stop: Checked before every batch; once set, ``CancelledJobError`` is raised.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    revision: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Check that this kind of model can be explained.

        Raises:
            UnsupportedModelError: It is neither a decoder nor a sequence classifier.
        """
        _ = self.kind

    def __repr__(self) -> str:
        """Return one line: name, kind, precision, place."""
        info = self.info
        return f"<LanguageModel {self.name}: {self.kind}, {info.dtype}, {info.device}>"

    def stoppable(self, stop: threading.Event) -> LanguageModel:
        """Return a handle on the same model that obeys ``stop``."""
        return LanguageModel(self.model, self.tokenizer, self.name, self.revision, stop)

    def checkpoint(self) -> None:
        """Raise ``CancelledJobError`` if this handle was told to stop."""
        if self.stop.is_set():
            raise CancelledJobError("The job was cancelled.")

    # ── what it is ────────────────────────────────────────────────────────────

    @cached_property
    def kind(self) -> Kind:
        """``"causal"`` for decoder-only language models, ``"classifier"`` for classifiers."""
        config = self.model.config
        names = [cls.__name__ for cls in type(self.model).__mro__]
        one_stack = not config.is_encoder_decoder
        if one_stack and any(name.endswith("ForSequenceClassification") for name in names):
            return "classifier"
        decoder = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)
        looks_ahead = _looks_ahead(names[0]) and getattr(config, "is_decoder", True) is False
        if one_stack and decoder and not looks_ahead:
            return "causal"
        raise UnsupportedModelError(
            f"{names[0]} cannot be explained yet. What can be: decoder-only language models "
            "(…ForCausalLM) and sequence classifiers (…ForSequenceClassification)."
        )

    @property
    def device(self) -> torch.device:
        """Where the input embeddings live; inputs are sent there."""
        return self._embedding.weight.device

    @property
    def info(self) -> ModelInfo:
        """Provenance for results."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        return ModelInfo(self.name, self.revision, dtype, str(self.device))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of a classifier's labels, by index; empty for language models."""
        if self.kind != "classifier":
            return ()
        config = self.model.config
        names: dict[Any, str] = config.id2label or {}
        return tuple(str(names.get(i, f"LABEL_{i}")) for i in range(config.num_labels or 0))

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of the input embedding."""
        return int(self._embedding.weight.shape[0])

    @cached_property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def context_length(self) -> int | None:
        """Longest input in tokens, or ``None`` where there is no limit."""
        config = self.model.config.get_text_config()
        names = ("max_position_embeddings", "n_positions", "max_seq_len")
        limits = [getattr(config, name, None) for name in names]
        if self.kind == "classifier":
            limits.append(self.tokenizer.model_max_length)
        limits.append(_learned_positions(self.model))
        known = [int(n) for n in limits if n and 0 < n < _NO_LIMIT]
        return min(known) if known else None

    @property
    def _embedding(self) -> torch.nn.Embedding:
        embedding = self.model.get_input_embeddings()
        if not isinstance(getattr(embedding, "weight", None), torch.Tensor):
            raise UnsupportedModelError(
                f"{type(self.model).__name__} has no input embedding table."
            )
        return embedding  # type: ignore[return-value]

    # ── text ──────────────────────────────────────────────────────────────────

    def encode(self, prompt: PromptLike) -> Prompt:
        """Return the prompt's tokens with exact spans; see ``models.tokenize.encode``.

        Raises:
            PromptError: It is empty or of a kind that cannot be read.
            PromptTooLongError: It does not fit the model's context.
        """
        encoded = encode(self.tokenizer, prompt, add_special_tokens=True)
        self.check_ids(encoded.ids)
        self.check_length(len(encoded.tokens))
        return encoded

    def check_ids(self, ids: Sequence[int]) -> None:
        """Raise ``PromptError`` if the model has no embedding for one of these tokens."""
        wrong = [i for i in ids if not 0 <= i < self.vocabulary_size]
        if wrong:
            raise PromptError(
                f"Token id {wrong[0]} is outside of {self.name}'s vocabulary (0 to "
                f"{self.vocabulary_size - 1}): this tokenizer does not belong to this model. "
                "Load both from the same place."
            )

    def check_length(self, tokens: int) -> None:
        """Raise ``PromptTooLongError`` if so many tokens do not fit."""
        limit = self.context_length
        if limit is not None and tokens > limit:
            raise PromptTooLongError(
                f"This takes {tokens} tokens; {self.name} reads {limit}. Shorten it by "
                f"{tokens - limit} tokens, or split it. (Prompts are never cut silently.)"
            )

    # ── forward ───────────────────────────────────────────────────────────────

    def untouched(self) -> AbstractContextManager[None]:
        """Visit the model: eval mode, no parameter gradients, obedient; all put back after."""
        return untouched(self.model, self.stop)

    def scores(self, inputs: Inputs, readout: Readout) -> Float[Tensor, "row o"]:
        """Score rows in one forward pass, without gradients.

        Args:
            inputs: Ids or embeddings.
            readout: What to append and what to read.

        Returns:
            (rows, outputs) float32 on the model's device.
        """
        self.checkpoint()
        with self.untouched(), torch.inference_mode():
            return self.forward(inputs, readout)

    def embed(self, ids: Int[Tensor, "row token"]) -> Float[Tensor, "row token d"]:
        """Return input embeddings, detached, as the model's own table gives them."""
        with self.untouched(), torch.no_grad():
            embedded: Tensor = self._embedding(ids.to(self.device))
        return embedded.detach().clone()

    @cached_property
    def _accepts(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.model.forward).parameters)

    def forward(self, inputs: Inputs, readout: Readout) -> Float[Tensor, "row o"]:
        """Read rows; within ``untouched``, with whatever gradient mode is set."""
        options: dict[str, Any] = {"return_dict": True}
        if self.kind == "causal":
            if "logits_to_keep" in self._accepts:
                options["logits_to_keep"] = readout.keep
            if "use_cache" in self._accepts:
                options["use_cache"] = False
        tokens = self._with_suffix(inputs.tokens.to(self.device), readout)
        name = "inputs_embeds" if tokens.is_floating_point() else "input_ids"
        logits: Tensor = self.model(**{name: tokens}, **options).logits
        if self.kind == "classifier":
            logits = logits[:, None]
        return readout.reduce(logits[:, -readout.keep :].float())

    def _with_suffix(self, tokens: Tensor, readout: Readout) -> Tensor:
        if not readout.suffix:
            return tokens
        tail = torch.tensor([readout.suffix], device=tokens.device)
        if tokens.is_floating_point():
            tail = self.embed(tail)
        return torch.cat([tokens, tail.expand(len(tokens), *tail.shape[1:])], dim=1)

    def top_tokens(self, ids: Sequence[int], count: int) -> tuple[int, ...]:
        """Return ``count`` greedily generated token ids; stops after an end-of-text token.

        Uses the key/value cache where the model has one.
        """
        self.check_length(len(ids) + count - 1)  # the last one is never read
        ends = _end_ids(self.model)
        tokens: list[int] = []
        step = torch.tensor([list(ids)], device=self.device)
        cache: Any = None
        for _ in range(count):
            self.checkpoint()
            with self.untouched(), torch.inference_mode():
                extra = {"logits_to_keep": 1} if "logits_to_keep" in self._accepts else {}
                out = self.model(
                    input_ids=step,
                    past_key_values=cache,
                    use_cache=count > 1,
                    return_dict=True,
                    **extra,
                )
            best = int(out.logits[0, -1].float().argmax())
            tokens.append(best)
            if best in ends:
                break
            cache = getattr(out, "past_key_values", None)
            grown = [*ids, *tokens]
            step = torch.tensor([[best] if cache is not None else grown], device=self.device)
        return tuple(tokens)


def _looks_ahead(name: str) -> bool:
    """Whether a model of this class is an encoder unless its configuration says otherwise."""
    families = ("Bert", "Electra", "Roberta", "Camembert", "XLMRoberta", "Rembert", "RoFormer")
    return any(family.lower() in name.lower() for family in families)


def _learned_positions(model: PreTrainedModel) -> int | None:
    """Return how many tokens a learned table of positions has room for.

    RoBERTa and its kin count from one past the padding index, so that their tables hold
    fewer tokens than rows.
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            offset = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - offset
    return None


def _end_ids(model: PreTrainedModel) -> frozenset[int]:
    config = getattr(model, "generation_config", None) or model.config
    ends = config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or [])
