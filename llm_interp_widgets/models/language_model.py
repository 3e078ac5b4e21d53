"""LanguageModel: a transformers model and its tokenizer, asked politely.

What comes in: a model in memory. What goes out: logits, or an encoder's hidden states, for
rows of token ids or of embeddings, and text as tokens.

Guarantees: the model is left exactly as it was, after success, error or cancel: training
flags, ``requires_grad``, gradients, configuration. It is in eval mode, without parameter
gradients, only while a batch is in flight; several threads may be in flight at once.
"""

from __future__ import annotations

import inspect
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from llm_interp_widgets.errors import (
    CancelledJobError,
    PromptError,
    PromptTooLongError,
    UnsupportedModelError,
)
from llm_interp_widgets.models.kinds import kind_of
from llm_interp_widgets.models.memory import fitting, record_bytes
from llm_interp_widgets.models.passes import decoder_start, read
from llm_interp_widgets.models.tokenize import encode, pair_of
from llm_interp_widgets.models.visits import untouched
from llm_interp_widgets.results.result import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from jaxtyping import Float, Int
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from llm_interp_widgets.models.kinds import Kind
    from llm_interp_widgets.models.tokenize import PromptLike
    from llm_interp_widgets.text.tokens import Prompt

_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Readout:
    """What to read from the model, independent of which features are on.

    Attributes:
        suffix: Token ids teacher-forced after the prompt; for an encoder-decoder, after the
            token with which its decoder starts.
        keep: How many of the last positions have logits that are needed.
        reduce: (rows, keep, vocabulary or labels) logits in float32 -> (rows, outputs). An
            encoder's last hidden states (rows, tokens, d) take their place.
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

    @classmethod
    def of(
        cls,
        prompt: Prompt,
        slot: int | None = None,
        tokens: Int[Tensor, "row token"] | Float[Tensor, "row token d"] | None = None,
    ) -> Inputs:
        """Return rows as long as a prompt, with its token types.

        Args:
            prompt: The prompt.
            slot: Which of its tokens a masked model is read at.
            tokens: Ids or embeddings; by default one row, the prompt's own ids.
        """
        rows = torch.tensor([prompt.ids]) if tokens is None else tokens
        if prompt.segments is None:
            return cls(rows, None, slot)
        return cls(rows, torch.tensor([prompt.segments]).expand(len(rows), -1), slot)


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
            UnsupportedModelError: It is of no kind that can be.
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
        """What it is asked for.

        ``"causal"`` for decoder-only language models, ``"classifier"`` for classifiers,
        ``"masked"`` for models that fill in a masked token, ``"seq2seq"`` for
        encoder-decoders, ``"encoder"`` for encoders without a head.
        """
        names = [cls.__name__ for cls in type(self.model).__mro__]
        if self.model.main_input_name != "input_ids":
            raise UnsupportedModelError(
                f"{names[0]} reads {self.model.main_input_name}; only models of text can be "
                "explained."
            )
        return kind_of(names, self.model.config, names[0])

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
    def layers(self) -> int:
        """Number of blocks; 1 where the configuration does not say."""
        return int(getattr(self.model.config.get_text_config(), "num_hidden_layers", None) or 1)

    @property
    def context_length(self) -> int | None:
        """Longest input in tokens, or ``None`` where there is no limit."""
        limit = longest(self.model)
        if self.kind in ("classifier", "masked", "encoder"):
            most = self.tokenizer.model_max_length
            if most and 0 < most < _NO_LIMIT:
                return int(most) if limit is None else min(limit, int(most))
        return limit

    @property
    def _embedding(self) -> torch.nn.Embedding:
        has_two = self.kind == "seq2seq"
        reader: Any = self.model.get_encoder() if has_two else self.model
        embedding: torch.nn.Embedding = reader.get_input_embeddings()
        if not isinstance(getattr(embedding, "weight", None), torch.Tensor):
            raise UnsupportedModelError(
                f"{type(self.model).__name__} has no input embedding table."
            )
        return embedding

    def attention_bytes(self, tokens: int, answer: int = 0) -> int:
        """Return how much memory an ``AttentionRecord`` of so many tokens will take.

        Queries and keys; ``attend`` keeps values, too: about half as much again, less where key
        heads are shared. ``attention`` refuses what does not fit before it reads anything.

        Args:
            tokens: Of the prompt.
            answer: Of an encoder-decoder's answer, its start included.
        """
        return record_bytes(self.model, tokens, answer)

    # ── text ──────────────────────────────────────────────────────────────────

    def encode(self, prompt: PromptLike) -> Prompt:
        """Return the prompt's tokens with exact spans; see ``models.tokenize.encode``.

        Raises:
            PromptError: It is empty or of a kind that cannot be read.
            PromptTooLongError: It does not fit the model's context.
        """
        if self.kind == "causal" and (pair := pair_of(prompt)):
            raise PromptError(
                f"{self.name} is a decoder and reads one text, not a pair. Write the prompt as "
                f"it should stand: {pair[0][:20] + chr(10) + pair[1][:20]!r}."
            )
        encoded = encode(self.tokenizer, prompt, add_special_tokens=True)
        self.check_ids(encoded.ids)
        self.check_length(len(encoded.tokens))
        return encoded

    def check_ids(self, ids: Sequence[int]) -> None:
        """Raise ``PromptError`` if the model has no embedding for one of these tokens."""
        size = self.vocabulary_size
        wrong = [i for i in ids if not 0 <= i < size]
        if wrong:
            raise PromptError(
                f"Token id {wrong[0]} is outside of {self.name}'s vocabulary (0 to "
                f"{self.vocabulary_size - 1}): this tokenizer does not belong to this model. "
                "Load both from the same place."
            )

    def check_length(self, tokens: int, suffix: int = 0) -> None:
        """Raise ``PromptTooLongError`` if so many tokens do not fit.

        Args:
            tokens: Of the prompt.
            suffix: Teacher-forced after it; an encoder-decoder reads these by themselves.
        """
        limit = self.context_length
        tokens = max(tokens, 1 + suffix) if self.kind == "seq2seq" else tokens + suffix
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

        Raises:
            ModelMemoryError: They do not fit into memory.
        """
        self.checkpoint()
        rows, tokens = inputs.tokens.shape[:2]
        with self._fitting(rows, tokens), self.untouched(), torch.inference_mode():
            return self.forward(inputs, readout)

    def embed(self, ids: Int[Tensor, "row token"]) -> Float[Tensor, "row token d"]:
        """Return input embeddings, detached, as the model's own table gives them."""
        with self._fitting(*ids.shape), self.untouched(), torch.no_grad():
            embedded: Tensor = self._embedding(ids.to(self.device))
        return embedded.detach().clone()

    @cached_property
    def accepts(self) -> frozenset[str]:
        """Names of what the model's own ``forward`` can be given."""
        return frozenset(inspect.signature(self.model.forward).parameters)

    def forward(self, inputs: Inputs, readout: Readout) -> Float[Tensor, "row o"]:
        """Read rows; within ``untouched``, with whatever gradient mode is set."""
        return readout.reduce(read(self, inputs, readout).float())

    def top_tokens(self, ids: Sequence[int], count: int) -> tuple[int, ...]:
        """Return ``count`` greedily generated token ids; stops after an end-of-text token.

        Uses the key/value cache where the model has one; an encoder reads the prompt once.
        """
        has_two = self.kind == "seq2seq"
        self.check_length(len(ids), count - 1)  # the last one is never read
        ends = _end_ids(self.model)
        tokens: list[int] = []
        begun = [decoder_start(self)] if has_two else list(ids)
        name = "decoder_input_ids" if has_two else "input_ids"
        extra: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in self.accepts else {}
        step = torch.tensor([begun], device=self.device)
        cache: Any = None
        for i in range(count):
            self.checkpoint()
            with self._fitting(1, len(ids) + i), self.untouched(), torch.inference_mode():
                if has_two and i == 0:
                    encoder: Any = self.model.get_encoder()
                    prompt = torch.tensor([list(ids)], device=self.device)
                    extra["encoder_outputs"] = encoder(input_ids=prompt, return_dict=True)
                out = self.model(
                    **{name: step},
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
            grown = [*begun, *tokens]
            step = torch.tensor([[best] if cache is not None else grown], device=self.device)
        return tuple(tokens)

    def _fitting(self, rows: int, tokens: int) -> fitting:
        many = "" if rows == 1 else f"{rows} rows of "
        return fitting(self.device, f"A pass of {many}{tokens:,} tokens")

    def likely(
        self, prompt: Prompt, said: Sequence[int], count: int
    ) -> tuple[Int[Tensor, "token count"], Float[Tensor, "token count"]]:
        """Return what the model holds likeliest where it said each token; one forward pass.

        Args:
            prompt: What was asked.
            said: Ids of what it went on with.
            count: How many candidates a place, the likeliest first.

        Returns:
            Their ids and log-probabilities.
        """
        most = min(count, self.vocabulary_size)

        def reduce(logits: Tensor) -> Tensor:
            best = logits.log_softmax(-1).topk(most, dim=-1)
            return torch.stack([best.indices.double(), best.values.double()], 1).flatten(1)

        readout = Readout(tuple(said[:-1]), len(said), reduce)
        found = self.scores(Inputs.of(prompt), readout).reshape(2, len(said), most)
        return found[0].long(), found[1].float()


def longest(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model reads at most; ``None`` where it does not say."""
    config = model.config.get_text_config()
    names = ["max_position_embeddings", "max_seq_len"]
    if not hasattr(config, "relative_attention_num_buckets"):
        names.append("n_positions")  # T5 names the length it was trained at, and reads more
    limits = [*(getattr(config, name, None) for name in names), _learned_positions(model)]
    known = [int(n) for n in limits if n and 0 < n < _NO_LIMIT]
    return min(known) if known else None


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
