"""The public functions: the only room where all layers meet.

Each function checks its arguments at the border, then hands strict values inward. What
is wrong is raised here, in the caller's cell, before any work has started.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from llm_interp_widgets.errors import ModelError, ParameterError
from llm_interp_widgets.jobs import run_here, submit
from llm_interp_widgets.methods.interactions import PairInteractions
from llm_interp_widgets.models.attention import of_inputs, of_target, of_text
from llm_interp_widgets.models.language_model import LanguageModel
from llm_interp_widgets.models.load import load, public_name
from llm_interp_widgets.models.record import AttentionRecord
from llm_interp_widgets.models.tokenize import token_name
from llm_interp_widgets.planning import plan, plan_pairs, read
from llm_interp_widgets.results.redaction import covering
from llm_interp_widgets.targets import Contrast, Generate, ask
from llm_interp_widgets.wire import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from llm_interp_widgets.jobs import Job
    from llm_interp_widgets.methods._interactions import Index
    from llm_interp_widgets.models.batches import Known
    from llm_interp_widgets.models.fillers import Off
    from llm_interp_widgets.models.tokenize import PromptLike
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.describe import About
    from llm_interp_widgets.results.interactions import Interactions
    from llm_interp_widgets.results.redaction import What
    from llm_interp_widgets.targets.kinds import TargetLike
    from llm_interp_widgets.text.features import Granularity
    from llm_interp_widgets.widgets.attention_browser import AttentionBrowser
    from llm_interp_widgets.widgets.compare import Compare
    from llm_interp_widgets.widgets.generation_view import GenerationView
    from llm_interp_widgets.widgets.token_highlighter import TokenHighlighter
    from llm_interp_widgets.wire import Alternatives

__all__ = [
    "attend",
    "attention",
    "attribute",
    "compare",
    "explain",
    "generate",
    "interactions",
    "load",
    "wrap",
]


def attend(
    lm: LanguageModel | PreTrainedModel | AttentionRecord,
    prompt: PromptLike | Mapping[str, Any] | None = None,
    target: TargetLike = None,
    *,
    beside: PromptLike | AttentionRecord | None = None,
    row: int | None = None,
    redact: What | None = None,
    **traits: Any,  # noqa: ANN401 - checked by the widget
) -> AttentionBrowser:
    """Browse all heads of a model on one text, at any length.

    Reads the text once, and returns; the overview then draws itself, and what is opened is
    computed when it is opened.

    Args:
        lm: As in ``attention``; or a record that was captured before, without a prompt.
        prompt: As in ``attention``.
        target: As in ``attention``; heads switched off are measured on it. The model's own
            answer by default.
        beside: Another text, or its record, to compare heads on both.
        row: Which row of a batch of several.
        redact: What of the texts the view, its outputs and its pages never hold; see
            ``Attribution.redacted``.
        **traits: Initial traits of the view: ``head=(layer, head)``, or (-1, -1) with ``how=``
            ``"mean"``, ``"max"``, ``"rollout"``, ``"value"`` or ``"gradient"`` for all together;
            ``mode="matrix"``, ``"lines"``, ``"text"``, ``"compare"`` or ``"why"``; ``stack=``
            as in ``attention``; ``selected=`` and ``key=``, positions;
            ``selected_heads=[(5, 1)]``; ``sort=`` a name of ``head_scores()``, ``least=`` a
            score; ``pieces="token"``, ``"window"``, ``"sentence"`` or ``"role"``; ``scale="root"``,
            ``"linear"`` or ``"log"``.

    Raises:
        InterpError: As ``attention``.
        ParameterError: A prompt with a record, no such trait, or nothing to redact.

    Example:
        >>> b = attend(lm, "The cat sat because the cat was tired")  # doctest: +SKIP
        >>> b.selected_heads  # doctest: +SKIP
        [(5, 1)]
    """
    from llm_interp_widgets.widgets.attention_browser import (  # noqa: PLC0415 - Jupyter on demand
        AttentionBrowser,
    )

    def record(one: Any) -> AttentionRecord:  # noqa: ANN401 - a text or its record
        found: AttentionRecord = (
            one
            if isinstance(one, AttentionRecord)
            else _record(lm, one, target, row=row, values=True)  # type: ignore[arg-type]
        )
        return found

    if isinstance(lm, AttentionRecord) != (prompt is None):
        raise ParameterError("Pass a model and a prompt, attend(lm, prompt), or attend(record).")
    if prompt is None and (target is not None or row is not None):
        raise ParameterError(
            "A record has its target and its row already: attend(attention(lm, prompt, target))."
        )
    if prompt is None and beside is not None and not isinstance(beside, AttentionRecord):
        raise ParameterError(
            "A record is compared with a record: attend(record, beside=attention(lm, text))."
        )
    AttentionBrowser.check(traits)
    with covering(redact, prompt, beside):
        shown = record(lm if prompt is None else prompt)
        if "stack" in traits:
            shown.stack(traits["stack"])
        other = None if beside is None else record(beside)
    return AttentionBrowser(shown, other, redact=redact, **traits)


def attention(
    lm: LanguageModel | PreTrainedModel,
    prompt: PromptLike | Mapping[str, Any],
    target: TargetLike = None,
    *,
    stack: str | None = None,
    row: int | None = None,
    values: bool = False,
) -> AttentionRecord:
    """Capture what every head compared in one pass; weights are computed when asked for.

    Args:
        lm: From ``load`` or ``wrap``; or, with a mapping of inputs, any transformers model.
        prompt: As in ``attribute``; or a mapping of what the model's ``forward`` takes, e.g.
            ``{"pixel_values": …}`` or a padded batch.
        target: As in ``attribute``: its words are read after the prompt, and gradient ×
            attention becomes available. None of it by default; an encoder-decoder writes its
            own answer.
        stack: Which attention: ``"self"``, ``"encoder"``, ``"decoder"``, ``"cross"``,
            ``"vision"``, ``"text"``; all are kept, see ``AttentionRecord.stack``.
        row: Which row of a batch of several.
        values: Keep values, too, for ``of="value"``; with a target they are kept anyway.

    Raises:
        PromptError: The prompt is empty, too long, or of a kind that cannot be read.
        TargetError: The target does not fit the model.
        ParameterError: No such stack or row, or a mapping with a target.
        ModelError: The model has no attention, or none that can be shown, or memory runs out.

    Example:
        >>> r = attention(lm, "The capital of France is")  # doctest: +SKIP
        >>> r.weights(layer=3, head=1).shape  # doctest: +SKIP
        (5, 5)
    """
    record = _record(lm, prompt, target, row=row, values=values)
    return record if stack is None else record.stack(stack)


def _record(
    lm: LanguageModel | PreTrainedModel,
    prompt: PromptLike | Mapping[str, Any],
    target: TargetLike,
    *,
    row: int | None,
    values: bool,
) -> AttentionRecord:
    if isinstance(prompt, Mapping):
        wrapped = lm if isinstance(lm, LanguageModel) else None
        model: Any = wrapped.model if wrapped else lm
        if target is not None:
            raise ParameterError("A target needs a prompt: attention(lm, prompt, target).")
        if not hasattr(model, "main_input_name"):
            raise ParameterError(f"attention needs a model, not a {type(model).__name__}.")
        name = wrapped.name if wrapped else type(model).__name__
        return of_inputs(model, prompt, name=name, row=row, values=values, lm=wrapped)
    if not isinstance(lm, LanguageModel):
        raise ParameterError(
            f"The first argument is a {type(lm).__name__}; a prompt needs a model from "
            'lm = load(…) or wrap(model, tokenizer), other inputs a mapping: {"pixel_values": …}.'
        )
    if row is not None:
        raise ParameterError("row= chooses from a batch of inputs; a prompt is one text.")
    _check_one_text(lm, prompt)
    encoded = lm.encode(prompt)
    if target is not None:
        return of_target(lm, ask(target, lm, encoded))
    return of_text(lm, encoded, lambda: ask(None, lm, encoded), values=values)


def _check_one_text(lm: LanguageModel, prompt: PromptLike) -> None:
    """Refuse a batch: a list of texts (but a pair, of a model that reads pairs), ids or chats."""
    if not isinstance(prompt, list | tuple) or not prompt:
        return
    texts = all(isinstance(one, str) for one in prompt)
    pair = texts and len(prompt) == 2 and lm.kind != "causal"
    nested = all(isinstance(one, list | tuple) for one in prompt)
    if (texts and not pair) or nested:
        raise ParameterError(
            f"attention reads one text, and this is a list of {len(prompt)}. Capture each by "
            "itself: records = [attention(lm, text) for text in texts]. One padded batch goes "
            'in as a mapping: attention(lm, {"input_ids": …, "attention_mask": …}, row=0).'
        )


def wrap(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str | None = None
) -> LanguageModel:
    """Explain a transformers model that is already in memory.

    The model is left exactly as it is: mode, hooks, ``requires_grad``, dtype, attention
    implementation, vocabulary.

    Args:
        model: A decoder, an encoder-decoder, a masked language model, a sequence classifier or
            a plain encoder.
        tokenizer: The tokenizer that goes with it.
        name: For provenance; where it was loaded from, or its class, by default.

    Raises:
        UnsupportedModelError: Another kind of model.

    Example:
        >>> lm = wrap(model, tokenizer)  # doctest: +SKIP
    """
    if not hasattr(model, "get_input_embeddings") or not hasattr(model, "config"):
        raise ModelError(
            f"wrap needs a transformers model, not a {type(model).__name__}. "
            "Use load('…') for a name or a path."
        )
    if not callable(tokenizer) or not hasattr(tokenizer, "decode"):
        raise ModelError(
            f"wrap needs the model's tokenizer as its second argument, not a "
            f"{type(tokenizer).__name__}. Load it with AutoTokenizer.from_pretrained(…)."
        )
    known = public_name(str(getattr(model, "name_or_path", "")))
    return LanguageModel(model, tokenizer, name=name or known or type(model).__name__)


def attribute(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike = None,
    method: str = "shapley",
    *,
    granularity: Granularity = "token",
    seed: int = 0,
    redact: What | None = None,
    **params: Any,  # noqa: ANN401 - checked against the method's fields
) -> Attribution:
    """Return how much each piece of the prompt pushed the target; blocks, no widget.

    Args:
        lm: From ``load`` or ``wrap``.
        prompt: A text, token ids, a chat (a list of ``{"role", "content"}``), or two texts for
            models that read pairs.
        target: What is explained. ``None``: the model's own top next token, its predicted label,
            or its guess at the masked token. A text: that continuation (its leading space belongs
            to it: " Paris"), that answer of an encoder-decoder, the label of that name, or a text
            to compare an encoder's embedding with. A number: that token id, or that label. A list
            of a classifier's labels: an output for each (``lm.labels``: all of them). Or
            ``LogProb``, ``Logit``, ``Prob``, ``Contrast``, ``Generate``, ``Masked``,
            ``Similarity``, or a callable from logits (row, vocabulary) to one scalar a row.
        method: A name from ``methods()``.
        granularity: ``"token"``, ``"word"``, ``"sentence"``, ``"turn"``, or character spans.
        seed: Of every random draw.
        redact: What of the text the result never holds; the model reads all of it. See
            ``Attribution.redacted``.
        **params: The method's parameters.

    Returns:
        Scores of shape (output, input) with everything needed to trust them.

    Raises:
        PromptError: The prompt is empty, too long, or of a kind that cannot be read.
        TargetError: The target does not fit the model.
        UnknownMethodError: No such method.
        ParameterError: No such parameter, or out of range; or what is to be covered is nowhere.
        ModelError: The model cannot do what the method needs.

    Example:
        >>> a = attribute(lm, "The capital of France is", " Paris")  # doctest: +SKIP
    """
    _, job = plan(lm, prompt, target, method, granularity, seed, params, redact=redact)
    return submit(job, str(lm.device)).result()


def explain(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike = None,
    method: str = "shapley",
    *,
    granularity: Granularity = "token",
    seed: int = 0,
    redact: What | None = None,
    **params: Any,  # noqa: ANN401 - checked against the method's fields
) -> TokenHighlighter:
    """Return a live view of ``attribute``: returns at once, streams, can be cancelled.

    Takes the arguments of ``attribute`` and raises the same errors for bad input; what goes
    wrong later is shown in the widget and raised by ``result()``.

    With ``redact`` the model reads the whole text, and the view, its result, its outputs and its
    pages never hold what is covered; see ``Attribution.redacted``. A cell's source is not covered.

    Example:
        >>> w = explain(lm, "The capital of France is", " Paris")  # doctest: +SKIP
        >>> w.result()  # doctest: +SKIP
    """
    from llm_interp_widgets.widgets.token_highlighter import (  # noqa: PLC0415 - Jupyter on demand
        TokenHighlighter,
    )

    about, job = plan(lm, prompt, target, method, granularity, seed, params, redact=redact)
    widget = TokenHighlighter(about, job)
    submit(job, str(lm.device))
    return widget


def interactions(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike = None,
    *,
    index: Index = "k-SII",
    granularity: Granularity = "token",
    seconds: float | None = None,
    off: Off = "replace",
    filler: str | Sequence[str] = "auto",
    redact: What | None = None,
) -> Interactions:
    """Return what each pair of pieces does together that neither does by itself; blocks.

    Exact, from every coalition of the pieces: 2ⁿ forward passes for n pieces and one filler.

    Args:
        lm: From ``load`` or ``wrap``.
        prompt: As in ``attribute``.
        target: As in ``attribute``.
        index: How what three pieces and more do together is shared out among their pairs.
            ``"k-SII"`` (Bordt & von Luxburg 2023) has the pairs of ``"SII"`` and a diagonal
            such that all adds up to output − base. ``"SII"``, the Shapley interaction index
            (Grabisch & Roubens 1999), has the Shapley values on its diagonal and does not add
            up. ``"STII"``, Shapley-Taylor (Sundararajan et al. 2020), adds up; its diagonal is
            what each piece does with all others off.
        granularity: ``"token"``, ``"word"``, ``"sentence"``, ``"turn"``, or character spans.
        seconds: Wall-clock limit; running into it is an error, as no pair is known before all
            coalitions are.
        off: ``"replace"`` puts a filler where a piece was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, a text of one token, or several whose games are averaged.
        redact: As in ``attribute``.

    Returns:
        Symmetric matrices of shape (output, input, input).

    Raises:
        PromptError: The prompt is empty, too long, or of a kind that cannot be read.
        TargetError: The target does not fit the model.
        ParameterError: Too many pieces, an unknown index, too few seconds, or another
            parameter out of range; or what is to be covered is nowhere.
        ModelError: The model cannot be read, or its scores are not finite.

    Example:
        >>> pairs = interactions(lm, "It is not bad", " good", filler=" the")  # doctest: +SKIP
        >>> pairs.top(3)  # doctest: +SKIP
    """
    chosen = PairInteractions(index=index, seconds=seconds, off=off, filler=filler)
    with covering(redact, prompt) as cover:
        job = plan_pairs(lm, prompt, target, chosen, granularity, cover)
        found = submit(job, str(lm.device)).result()
    return found if cover is None else cover.over(found)


def generate(
    lm: LanguageModel,
    prompt: PromptLike,
    n: int = 20,
    method: str = "shapley",
    *,
    granularity: Granularity = "token",
    seed: int = 0,
    alternatives: int = 5,
    redact: What | None = None,
    **params: Any,  # noqa: ANN401 - checked against the method's fields
) -> GenerationView:
    """Let the model write, and explain every token it writes; returns at once, streams.

    A click on what it nearly wrote instead explains why it did not, with ``Contrast``.

    Args:
        lm: From ``load`` or ``wrap``; a model that writes.
        prompt: As in ``attribute``.
        n: How many tokens; fewer where the model ends the text.
        method: A name from ``methods()``.
        granularity: As in ``attribute``.
        seed: Of every random draw.
        alternatives: How many other tokens are offered in each place.
        redact: As in ``explain``.
        **params: The method's parameters.

    Raises:
        InterpError: As ``attribute``.

    Example:
        >>> g = generate(lm, "The capital of France is", 8)  # doctest: +SKIP
        >>> g.contrast(output=0, alternative=1)  # doctest: +SKIP
    """
    from llm_interp_widgets.widgets.generation_view import (  # noqa: PLC0415 - Jupyter on demand
        GenerationView,
    )

    if isinstance(alternatives, bool) or not isinstance(alternatives, int) or alternatives < 0:
        raise ParameterError(f"alternatives={alternatives!r} must be a whole number, 0 or above.")
    about, job = plan(lm, prompt, Generate(n), method, granularity, seed, params, redact=redact)
    outputs = about.outputs
    with covering(redact, prompt) as cover:
        if cover is not None:
            question, _ = read(lm, prompt, Generate(n), granularity)
            cover.tokens(question.prompt.tokens)
            outputs = question.outputs
        said = [output.id for output in outputs]
        ids, log_probs = lm.likely(lm.encode(prompt), said, alternatives + 1)
    device = str(lm.device)

    def ask(output: int, other: int) -> tuple[About, Job[Attribution], Callable[[], object]]:
        why = Contrast(said[output], int(ids[output, other]), tuple(said[:output]))
        about, job = plan(lm, prompt, why, method, granularity, seed, params, redact=redact)
        return about, job, lambda: submit(job, device)

    names = [[token_name(lm.tokenizer, int(i)) for i in row] for row in ids]
    if cover is not None:
        names = cover.choices(names, outputs, about.outputs)
    offered: Alternatives = {"tokens": names, "log_probs": pack(log_probs.cpu().numpy())}
    widget = GenerationView(about, job, ask=ask, alternatives=offered)
    submit(job, device)
    return widget


def compare(
    sources: LanguageModel | Sequence[Any],
    prompt: PromptLike | None = None,
    target: TargetLike = None,
    methods: str | Sequence[str] | Mapping[str, Mapping[str, Any]] = (
        "shapley",
        "integrated_gradients",
    ),
    *,
    granularity: Granularity = "token",
    seeds: Sequence[int] = (0,),
    redact: What | None = None,
    **params: Any,  # noqa: ANN401 - checked against the methods' fields
) -> Compare:
    """Show several explanations of one text side by side, and where they disagree.

    Args:
        sources: A model, or several, with a prompt: every method runs with every seed, and
            methods that switch pieces off share what they learn of the model. Or a sequence of
            what ``bar`` takes: widgets, results, explanations by shap.
        prompt: As in ``attribute``, with models.
        target: As in ``attribute``, with models.
        methods: Names from ``methods()``; or a mapping from names to their parameters.
        granularity: As in ``attribute``. Models that split text differently need "word".
        seeds: Of the random draws.
        redact: As in ``explain``, with models; results are redacted one by one.
        **params: Of every method.

    Raises:
        ResultError: The explanations are not of one text in the same pieces.
        ParameterError: There is nothing to compare, or something that cannot be.
        InterpError: As ``attribute``.

    Example:
        >>> compare(lm, "The capital of France is", " Paris")  # doctest: +SKIP
        >>> compare([a, b])  # doctest: +SKIP
    """
    from llm_interp_widgets.widgets.compare import Compare  # noqa: PLC0415 - Jupyter on demand
    from llm_interp_widgets.widgets.sources import job_of  # noqa: PLC0415 - Jupyter on demand

    given: list[Any] = [sources] if isinstance(sources, LanguageModel) else list(sources)
    if not given:
        raise ParameterError("There is nothing to compare: pass a model and a prompt, or results.")
    if prompt is None:
        if any(isinstance(source, LanguageModel) for source in given):
            raise ParameterError("A model needs a prompt: compare(lm, prompt, target).")
        if redact is not None:
            raise ParameterError("redact= needs a model and a prompt; of results: a.redacted(…).")
        jobs = [job_of(source) for source in given]
        widget = Compare.among(jobs, owned=False)
        for source, (_, job) in zip(given, jobs, strict=True):
            if not hasattr(source, "job"):
                run_here(job)
        return widget
    named = {methods: {}} if isinstance(methods, str) else methods
    each = named if isinstance(named, Mapping) else {name: {} for name in named}
    if not each or not seeds:
        raise ParameterError("Pass at least one method and one seed.")
    memos: list[Known] = [{} for _ in given]
    planned = [
        (lm, plan(lm, prompt, target, name, granularity, seed, {**params, **own}, memo, redact))
        for (lm, memo), (name, own), seed in product(
            zip(given, memos, strict=True), each.items(), seeds
        )
    ]
    widget = Compare.among([about_and_job for _, about_and_job in planned])
    for lm, (_, job) in planned:
        submit(job, str(lm.device))
    return widget
